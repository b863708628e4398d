/* fetch-data: data sets by name in, verified files out. */
#include "gptpipe/dataset.h"
#include "gptpipe/fetch.h"
#include "gptpipe/options.h"
#include "gptpipe/output.h"
#include "gptpipe/reviews.h"
#include "gptpipe/stories.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct args {
    gp_list names;
    const char *out, *catalog, *lock, *mirror, *info, *split;
    bool list, offline, quiet, json;
    int64_t shards, parallel, retries, connect_timeout, stall_timeout, stories, reviews, seed;
} args;

static const gp_option options[] = {
    {"out", 'o', GP_OPT_STRING, offsetof(args, out), "FILE|DIR|-",
     "output; a folder where it is one already or its name ends in /",
     .default_text = "data/, or stdout where that is a pipe or, for one file, redirected", .nonempty = true},
    {"split", 0, GP_OPT_STRING, offsetof(args, split), "NAME",
     "one split of a data set: train, test, ...; of an archive, only to stdout or one file",
     .default_text = "all of it", .nonempty = true},
    {"list", 'l', GP_OPT_FLAG, offsetof(args, list), NULL, "list the available data sets", .unlogged = true},
    {"info", 'i', GP_OPT_STRING, offsetof(args, info), "NAME", "show the details of one data set", .unlogged = true,
     .nonempty = true},
    {"shards", 0, GP_OPT_INT, offsetof(args, shards), "N", "only the first N files of a data set in numbered files",
     .default_text = "all", .min = 1, .max = 1e6},
    {"lock", 0, GP_OPT_STRING, offsetof(args, lock), "FILE",
     "check the SHA-256 and size of each file against FILE, and add the files that it does not list yet",
     .nonempty = true},
    {"Sources", 0, GP_OPT_GROUP, 0, NULL, NULL},
    {"mirror", 0, GP_OPT_STRING, offsetof(args, mirror), "DIR|URL", "look for https://host/path as DIR/host/path first",
     .default_text = "$FETCH_DATA_MIRROR"},
    {"offline", 0, GP_OPT_FLAG, offsetof(args, offline), NULL, "never open a socket"},
    {"catalog", 0, GP_OPT_STRING, offsetof(args, catalog), "FILE",
     "additional data sets, in the format of data/catalog.json", .nonempty = true},
    {"Network", 0, GP_OPT_GROUP, 0, NULL, NULL},
    {"parallel", 'P', GP_OPT_INT, offsetof(args, parallel), "N", "number of files to download at once", .min = 1,
     .max = 16},
    {"retries", 0, GP_OPT_INT, offsetof(args, retries), "N",
     "retries after a temporary failure; an attempt that makes progress does not count", .min = 0, .max = 1000},
    {"connect-timeout", 0, GP_OPT_INT, offsetof(args, connect_timeout), "S",
     "timeout for establishing a connection, in seconds", .min = 1, .max = 1e6},
    {"stall-timeout", 0, GP_OPT_INT, offsetof(args, stall_timeout), "S",
     "seconds without data after which a transfer counts as interrupted", .min = 1, .max = 1e6},
    {"Generated data sets", 0, GP_OPT_GROUP, 0, NULL, NULL},
    {"stories", 0, GP_OPT_INT, offsetof(args, stories), "N",
     "number of stories; a folder also gets N/20 for validation", .min = 1, .max = 1e9},
    {"reviews", 0, GP_OPT_INT, offsetof(args, reviews), "N",
     "number of reviews for training; there are N/5 more for testing", .min = 1, .max = 1e9},
    {"seed", 0, GP_OPT_INT, offsetof(args, seed), "N", "random seed of the stories or reviews", .min = 0,
     .max = 4294967295.0},
    {"Messages", 0, GP_OPT_GROUP, 0, NULL, NULL},
    {"quiet", 'q', GP_OPT_FLAG, offsetof(args, quiet), NULL, "print errors only"},
    {"json", 0, GP_OPT_FLAG, offsetof(args, json), NULL, "with --list or --info: print JSON", .unlogged = true},
    {0},
};

static const gp_tool tool = {
    .name = "fetch-data",
    .summary = "downloads data sets and verifies them",
    .usage = "NAME... [OPTION]...",
    .description =
        "A file gets its name only after its SHA-256 is verified. A download interrupted by Ctrl-C or the network "
        "is resumed by the next run; two runs share one download. Where no SHA-256 is known, that of the downloaded "
        "file is printed, and --lock records it.\n\n"
        "Proxies and certificates are found as curl finds them: http_proxy, https_proxy, all_proxy, no_proxy; "
        "CURL_CA_BUNDLE, SSL_CERT_FILE, SSL_CERT_DIR. Ten redirects are followed, from https only to https.\n\n"
        "stories are generated locally from a grammar whose entropy is known exactly: into a folder go stories.txt "
        "and, with another seed, stories-val.txt, each with the probabilities of its stories in FILE.json.\n\n"
        "reviews are generated likewise, with a label each: into a folder go reviews-train.jsonl and "
        "reviews-test.jsonl, each with the accuracy that no classifier can surpass in FILE.json; -o - and -o FILE give "
        "both splits.",
    .examples = "# 20,000 stories and 1,000 for validation into data/\n"
                "fetch-data stories -o data/\n"
                "# the text alone, through a pipe\n"
                "fetch-data stories --stories 100 | head -3\n"
                "# 20,000 labelled reviews for training and 4,000 for testing into data/\n"
                "fetch-data reviews -o data/\n"
                "# film reviews as JSON Lines, one split of their archive\n"
                "fetch-data imdb --split train -o - | head -1\n"
                "# the training stories of TinyStories to the next tool\n"
                "fetch-data tinystories --split train -o - | tokenize --tokenizer gpt2 -o tiny.tok\n"
                "# two models, eight files at a time, with their SHA-256 recorded for the next time\n"
                "fetch-data gpt2 gpt2-large -P 8 --lock models.lock -o models/\n"
                "# the first 500 million tokens of FineWeb-Edu, and its validation tokens\n"
                "fetch-data fineweb-edu --shards 5\n"
                "# from a copy on this machine, without a network\n"
                "fetch-data shakespeare --mirror /srv/mirror --offline\n",
    .options = options,
    .positionals = 1 + offsetof(args, names),
};

/* What -o denotes: stdout, one file, or a folder. */
typedef struct place {
    bool std, folder;
    const char *path;
} place;

/* The files to be fetched. */
typedef struct list {
    const args *a;
    gp_fetch_job *jobs;
    int count;
} list;

/* one: a single file is selected, so a name that is not a folder is the name of that file. */
static place choose_place(const char *out, bool one)
{
    struct stat st;
    /* several files go to data/ even where stdout is redirected, as into a log */
    bool pipe = !fstat(STDOUT_FILENO, &st) && S_ISFIFO(st.st_mode);
    out = out ? out : pipe || (one && gp_stdout_takes_data()) ? "-" : "data/";
    size_t n = strlen(out);
    bool std = !strcmp(out, "-");
    bool folder = !std && (!one || (n && out[n - 1] == '/') || (!stat(out, &st) && S_ISDIR(st.st_mode)));
    return (place){.std = std, .folder = folder, .path = out};
}

static void print_result(const args *a, const char *path, const char *how)
{
    struct stat st;
    if (a->quiet || stat(path, &st))
        return;
    if (S_ISDIR(st.st_mode))
        fprintf(stderr, "%s: %s\n", gp_printable(path), how);
    else
        fprintf(stderr, "%s: %s, %" PRId64 " bytes\n", gp_printable(path), how, (int64_t)st.st_size);
}

/* p, or the end of the tool where an allocation failed. */
static void *need(void *p)
{
    if (!p)
        exit(gp_tool_exit(&tool, gp_fail("out of memory")));
    return p;
}

/* dir/name, fresh. */
static char *below(const char *dir, const char *name)
{
    char *path = NULL;
    size_t n = strlen(dir);
    return need(asprintf(&path, "%s%s%s", dir, n && dir[n - 1] != '/' ? "/" : "", name) < 0 ? NULL : path);
}

/* Of the data sets that are generated, the reviews are those with labels. */
static bool is_reviews(const gp_catalog_entry *d)
{
    return d->items->label != NULL;
}

/* Split i, from 0, of a generated data set. Seeds of i = 0 are below 2^32 and those of others above, so no seed is used
 * for two splits. */
static gp_reviews_split generated_split(const args *a, const gp_catalog_entry *d, int i)
{
    int64_t count = is_reviews(d) ? a->reviews : a->stories, part = is_reviews(d) ? 5 : 20;
    return (gp_reviews_split){.name = d->items->splits[i],
                              .seed = (uint64_t)a->seed + ((uint64_t)i << 32),
                              .count = i ? (count + part - 1) / part : count};
}

/* Writes splits to one file: stories of a single split, reviews of several. */
static int write_generated(const args *a, const gp_catalog_entry *d, const gp_reviews_split *splits, int count,
                           const char *path)
{
    int rc;
    if (is_reviews(d)) {
        rc = gp_reviews_write(splits, count, path);
    } else {
        gp_stories *s = gp_stories_open(splits->seed);
        rc = !s || gp_stories_write(s, splits->count, path) ? -1 : 0;
        gp_stories_close(s);
    }
    if (!rc && strcmp(path, "-"))
        print_result(a, path, "made");
    return rc;
}

/* A folder gets a file for each split, or for that of --split; one file, all the reviews or the training stories. */
static int generate(const args *a, const gp_catalog_entry *d, const place *to)
{
    gp_reviews_split splits[2];
    int count = 0, rc = 0;
    for (int i = 0; d->items && i < d->items->split_count && i < 2 && !rc; i++) {
        if (a->split && strcmp(d->items->splits[i], a->split) != 0)
            continue;
        splits[count] = generated_split(a, d, i);
        if (to->folder) {
            char *path = below(to->path, d->items->split_paths[i]);
            rc = write_generated(a, d, splits + count, 1, path);
            free(path);
        }
        count++;
    }
    if (!count)
        return gp_fail("%s: its catalog entry has neither files nor splits", d->name);
    return to->folder ? rc : write_generated(a, d, splits, count, to->path);
}

static void report(void *self, const gp_fetch_job *j)
{
    static const char *const words[] = {"already here", "copied from the mirror", "downloaded"};
    const list *l = self;
    if (j->failed && l->count > 1) /* main reports that of a single file */
        fprintf(stderr, "%s: %s\n", tool.name, gp_error());
    if (j->failed || !strcmp(j->path, "-"))
        return;
    print_result(l->a, j->path, words[j->how]);
    if (!l->a->quiet && !j->file->sha256 && *j->sha256)
        fprintf(stderr, "%s: sha256 %s\n", gp_printable(j->path), j->sha256);
}

/* Begins with a line break, which ends the line of progress on a terminal and is left out elsewhere. */
static const char *volatile stop_message = "\nfetch-data: stopped\n";
static volatile sig_atomic_t stop_skips;

static void on_signal(int number)
{
    const char *text = stop_message + stop_skips;
    ssize_t unused = write(STDERR_FILENO, text, strlen(text));
    (void)unused;
    _exit(128 + number);
}

static gp_fetch_options fetch_options(const args *a)
{
    return (gp_fetch_options){.mirror = a->mirror,
                              .offline = a->offline,
                              .quiet = a->quiet,
                              .parallel = (int)a->parallel,
                              .retries = a->retries ? (int)a->retries : -1,
                              .connect = (double)a->connect_timeout,
                              .stall = (double)a->stall_timeout,
                              .lock = a->lock};
}

/* The path of a split by the catalog; NULL: there is no split of that name. */
static const char *split_path(const gp_catalog_entry *d, const char *split)
{
    for (int i = 0; d->items && i < d->items->split_count; i++)
        if (!strcmp(d->items->splits[i], split))
            return d->items->split_paths[i];
    return NULL;
}

static bool is_selected(const args *a, const gp_catalog_entry *d, const gp_catalog_file *f)
{
    return a->split ? !strcmp(f->path, split_path(d, a->split)) : !a->shards || f->shard <= a->shards;
}

static int count_selected(const args *a, const gp_catalog_entry *d)
{
    int count = 0;
    for (int i = 0; i < d->file_count; i++)
        count += is_selected(a, d, d->files + i);
    return count;
}

/* Adds the selected files of a set. */
static void add_files(list *l, const gp_catalog_entry *d, const place *to)
{
    l->jobs = need(realloc(l->jobs, (size_t)(l->count + d->file_count) * sizeof *l->jobs));
    for (const gp_catalog_file *f = d->files; f < d->files + d->file_count; f++)
        if (is_selected(l->a, d, f))
            l->jobs[l->count++] = (gp_fetch_job){
                .set = d, .file = f, .path = to->folder ? below(to->path, f->path) : need(strdup(to->path))};
}

/* An archive of items, which can also be written as one text or as JSON Lines. */
static bool is_packed(const gp_catalog_entry *d)
{
    return d->items && d->file_count == 1 && d->files->unpack && !strcmp(d->files->unpack, "folder");
}

/* A split must be a file of the set. (Of a packed set, gp_dataset_open checks it.) */
static int check_split(const args *a, const gp_catalog_entry *d)
{
    if (!a->split || is_packed(d))
        return 0;
    if (!split_path(d, a->split) || (d->file_count && !count_selected(a, d)))
        return gp_fail("%s: has no split %s; see: %s%s --info %s", d->name, a->split, gp_tool_prefix(), tool.name,
                       d->name);
    return 0;
}

static int write_items(const args *a, const gp_catalog *c, const char *name, const char *path)
{
    gp_fetch_options fetch = fetch_options(a);
    gp_dataset_options o = {.catalog = c, .split = a->split, .fetch = &fetch, .temporary = true};
    gp_dataset *d = gp_dataset_open(name, &o);
    int rc = d ? gp_dataset_write(d, path) : -1;
    if (!rc && strcmp(path, "-"))
        print_result(a, path, "written");
    gp_dataset_close(d);
    return rc;
}

/* By its name; the content of an archive is text. */
static bool is_binary(const gp_catalog_file *f)
{
    static const char *const texts[] = {".txt", ".json", ".jsonl", ".bpe", ".md", ".csv", ".tsv", ".yaml"};
    const char *slash = strrchr(f->path, '/'), *dot = strrchr(slash ? slash : f->path, '.');
    for (size_t i = 0; dot && i < sizeof texts / sizeof *texts; i++)
        if (!strcmp(dot, texts[i]))
            return false;
    return dot && !f->unpack;
}

/* The binary file that would be written to a terminal, or NULL. */
static const char *find_binary(const args *a, const gp_catalog_entry *d, const place *to)
{
    if (to->folder || !gp_output_is_terminal(to->path))
        return NULL;
    for (const gp_catalog_file *f = d->files; f < d->files + d->file_count; f++)
        if (is_selected(a, d, f) && is_binary(f))
            return f->path;
    return NULL;
}

/* Fetches the selected files of the sets, or generates the stories. */
static int fetch_sets(const args *a, const gp_catalog_entry *const *sets, int count, const place *to)
{
    list l = {.a = a};
    int rc = 0;
    for (int i = 0; i < count && !rc; i++) {
        if (sets[i]->file_count)
            add_files(&l, sets[i], to);
        else
            rc = generate(a, sets[i], to);
    }
    gp_fetch_options o = fetch_options(a);
    if (l.count && !to->std) /* partial files are valid at any moment: there is nothing to clean up */
        stop_message = "\nfetch-data: stopped; what was downloaded is kept; run the same command again to continue\n";
    if (!rc && l.count)
        rc = gp_fetch_files(l.jobs, l.count, &o, report, &l);
    for (int i = 0; i < l.count; i++)
        free((char *)(uintptr_t)l.jobs[i].path);
    free(l.jobs);
    return rc;
}

/* The named sets, without duplicates; returns how many, or -1. */
static int find_sets(const args *a, const gp_catalog *c, const gp_catalog_entry **sets)
{
    int count = 0;
    for (int i = 0; i < a->names.count; i++) {
        const gp_catalog_entry *d = gp_catalog_find(c, a->names.items[i]);
        bool again = false;
        if (!d)
            return -1;
        for (int k = 0; k < count; k++)
            again = again || sets[k] == d;
        if (!again)
            sets[count++] = d;
    }
    return count;
}

static int fetch_all(const args *a, const gp_catalog *c, const gp_catalog_entry **sets)
{
    int count = find_sets(a, c, sets);
    if (count < 1)
        return -1;
    if (a->split && count > 1)
        return gp_fail("--split chooses from one data set, %d are named", count);
    const gp_catalog_entry *first = *sets;
    if (check_split(a, first))
        return -1;
    bool one = count == 1 && (is_packed(first) || count_selected(a, first) <= 1);
    place to = choose_place(a->out, one);
    if (to.std && !one)
        return gp_fail("stdout takes one file, several are selected; give a folder: -o DIR/%s",
                       count == 1 && first->items && first->items->split_count ? ", or --split" : "");
    const char *binary = find_binary(a, first, &to);
    if (binary)
        return gp_tool_usage(&tool, "%s cannot be written to a terminal: give -o FILE", binary);
    if (one && !to.folder && is_packed(first))
        return write_items(a, c, first->name, to.path);
    if (a->split && is_packed(first))
        return gp_fail("--split chooses from an archive that goes to stdout or one file");
    return fetch_sets(a, sets, count, &to);
}

/* A missing mirror folder would pass unnoticed where the files can be downloaded. */
static int check_mirror(const char *mirror)
{
    struct stat st;
    if (!mirror || !strncmp(mirror, "http://", 7) || !strncmp(mirror, "https://", 8))
        return 0;
    const char *folder = strncmp(mirror, "file://", 7) ? mirror : mirror + 7;
    if (stat(folder, &st) || !S_ISDIR(st.st_mode))
        return gp_fail("%s: is not a folder (expected a folder or a URL for --mirror)", folder);
    return 0;
}

static int fetch(const args *a, const gp_catalog *c)
{
    const gp_catalog_entry **sets = need(calloc((size_t)a->names.count, sizeof *sets));
    int rc = fetch_all(a, c, sets);
    free(sets);
    return rc;
}

int main(int argc, char **argv)
{
    args a = {.stories = 20000,
              .reviews = 20000,
              .seed = 1,
              .parallel = 4,
              .retries = 5,
              .connect_timeout = 20,
              .stall_timeout = 30};
    int rc = gp_tool_start(&tool, &a, argc, argv);
    if (rc != GP_OPTIONS_RUN)
        return rc;
    if (!a.list && !a.info && !a.names.count)
        return gp_tool_usage(&tool, "no data set is named; --list shows those available");
    const char *given = a.mirror && *a.mirror ? a.mirror : NULL;
    a.mirror = a.mirror ? given : getenv("FETCH_DATA_MIRROR");
    if (a.mirror && !*a.mirror)
        a.mirror = NULL;
    stop_skips = !isatty(STDERR_FILENO);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    gp_catalog *c = gp_catalog_open(a.catalog);
    if (!c)
        rc = -1;
    else if (a.list || a.info)
        rc = gp_catalog_print(c, a.info, a.json, stdout);
    else
        rc = check_mirror(given) ? -1 : fetch(&a, c);
    gp_catalog_close(c);
    return rc == GP_OPTIONS_USAGE ? rc : gp_tool_exit(&tool, rc);
}
