/* fetch-data: data sets by name, checked, whole. */
#include "gptpipe/fetch.h"
#include "gptpipe/options.h"
#include "gptpipe/stories.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct args {
    gp_list names;
    const char *out, *catalog, *mirror, *info;
    bool list, offline, quiet, json;
    int64_t stories, seed;
} args;

static const gp_option options[] = {
    {"out", 'o', GP_OPT_STRING, offsetof(args, out), "FILE|DIR|-",
     "where it goes; a folder is one that exists or whose name ends in /",
     .implied = "data/, or stdout where that is a pipe"},
    {"list", 'l', GP_OPT_FLAG, offsetof(args, list), NULL, "show what there is", .unlogged = true},
    {"info", 'i', GP_OPT_STRING, offsetof(args, info), "NAME", "show all that is known of one data set",
     .unlogged = true},
    {"Where it comes from", 0, GP_OPT_GROUP, 0, NULL, NULL},
    {"mirror", 0, GP_OPT_STRING, offsetof(args, mirror), "DIR|URL",
     "look for https://host/path as DIR/host/path first", .implied = "$FETCH_DATA_MIRROR"},
    {"offline", 0, GP_OPT_FLAG, offsetof(args, offline), NULL, "never open a socket"},
    {"catalog", 0, GP_OPT_STRING, offsetof(args, catalog), "FILE",
     "further data sets, in the form of data/catalog.json"},
    {"Stories", 0, GP_OPT_GROUP, 0, NULL, NULL},
    {"stories", 0, GP_OPT_INT, offsetof(args, stories), "N",
     "how many; a folder also gets N/20 for validation", .min = 1, .max = 1e9},
    {"seed", 0, GP_OPT_INT, offsetof(args, seed), "N", "another seed gives other stories", .min = 0,
     .max = 4294967295.0},
    {"Messages", 0, GP_OPT_GROUP, 0, NULL, NULL},
    {"quiet", 'q', GP_OPT_FLAG, offsetof(args, quiet), NULL, "say nothing but errors"},
    {"json", 0, GP_OPT_FLAG, offsetof(args, json), NULL, "with --list or --info: for machines",
     .unlogged = true},
    {0},
};

static const gp_tool tool = {
    .name = "fetch-data",
    .summary = "brings data sets here, checked and whole",
    .usage = "NAME... [OPTION]...",
    .description =
        "Files are checked by SHA-256 and get their names only then. What was cut is continued by the next "
        "run.\n\n"
        "stories are made on the spot from a grammar whose entropy is known exactly: into a folder go "
        "stories.txt and, "
        "with another seed, stories-val.txt, each with the probabilities of its stories in FILE.json.",
    .examples = "# 20,000 stories and 1,000 for validation into data/\n"
                "fetch-data stories -o data/\n"
                "# the text alone, through a pipe\n"
                "fetch-data stories --stories 100 | head -3\n"
                "# from a copy on this machine, without a network\n"
                "fetch-data shakespeare --mirror /srv/mirror --offline\n",
    .options = options,
    .positionals = 1 + offsetof(args, names),
};

/* What -o means: stdout, one file, or a folder. */
typedef struct place {
    bool std, folder;
    const char *path;
} place;

static bool is_pipe(int fd)
{
    struct stat st;
    return !fstat(fd, &st) && S_ISFIFO(st.st_mode);
}

/* one: a single file is wanted, so a name that is no folder yet is that file's. */
static place choose_place(const char *out, bool one)
{
    struct stat st;
    out = out ? out : is_pipe(STDOUT_FILENO) ? "-" : "data/";
    size_t n = strlen(out);
    bool std = !strcmp(out, "-");
    bool folder = !std && (!one || (n && out[n - 1] == '/') || (!stat(out, &st) && S_ISDIR(st.st_mode)));
    return (place){.std = std, .folder = folder, .path = out};
}

static void say(const args *a, const char *path, const char *how)
{
    struct stat st;
    if (!a->quiet && !stat(path, &st))
        fprintf(stderr, "%s: %s, %" PRId64 " bytes\n", path, how, (int64_t)st.st_size);
}

static int write_stories(const args *a, uint64_t seed, int64_t count, const char *path)
{
    gp_stories *s = gp_stories_open(seed);
    int rc = !s || gp_stories_write(s, count, path) ? -1 : 0;
    gp_stories_close(s);
    if (!rc && strcmp(path, "-"))
        say(a, path, "made");
    return rc;
}

/* dir/name, fresh. */
static char *below(const char *dir, const char *name)
{
    char *path = NULL;
    size_t n = strlen(dir);
    if (asprintf(&path, "%s%s%s", dir, n && dir[n - 1] != '/' ? "/" : "", name) < 0)
        abort();
    return path;
}

/* The seeds of training are below 2^32 and those of validation above, so the two never meet. */
static int make_stories(const args *a, const place *to)
{
    uint64_t seed = (uint64_t)a->seed;
    if (!to->folder)
        return write_stories(a, seed, a->stories, to->path);
    char *path = below(to->path, "stories.txt"), *val = below(to->path, "stories-val.txt");
    int rc = write_stories(a, seed, a->stories, path);
    if (!rc)
        rc = write_stories(a, seed + (UINT64_C(1) << 32), (a->stories + 19) / 20, val);
    free(path);
    free(val);
    return rc;
}

static int fetch_file(const args *a, const gp_dataset_file *f, const char *path)
{
    static const char *const words[] = {"already here", "copied from the mirror", "downloaded"};
    gp_fetch_options o = {.mirror = a->mirror, .offline = a->offline, .quiet = a->quiet};
    gp_fetched how;
    if (gp_fetch_file(f, path, &o, &how))
        return -1;
    if (strcmp(path, "-"))
        say(a, path, words[how]);
    return 0;
}

static int fetch_set(const args *a, const gp_dataset *d, const place *to)
{
    if (!d->file_count)
        return make_stories(a, to);
    if (!to->folder)
        return fetch_file(a, d->files, to->path);
    for (int i = 0; i < d->file_count; i++) {
        char *path = below(to->path, d->files[i].path);
        int rc = fetch_file(a, d->files + i, path);
        free(path);
        if (rc)
            return -1;
    }
    return 0;
}

static int fetch_all(const args *a, const gp_catalog *c)
{
    bool one = a->names.count == 1;
    for (int i = 0; i < a->names.count; i++) {
        const gp_dataset *d = gp_catalog_find(c, a->names.items[i]);
        if (!d)
            return -1;
        one = one && d->file_count <= 1;
    }
    place to = choose_place(a->out, one);
    if (to.std && !one)
        return gp_fail("stdout takes one file, more are wanted; give a folder: -o DIR/");
    for (int i = 0; i < a->names.count; i++)
        if (fetch_set(a, gp_catalog_find(c, a->names.items[i]), &to))
            return -1;
    return 0;
}

int main(int argc, char **argv)
{
    args a = {.stories = 20000, .seed = 1, .mirror = getenv("FETCH_DATA_MIRROR")};
    int rc = gp_options_parse(&tool, &a, argc, argv);
    if (rc != GP_OPTIONS_RUN)
        return rc;
    if (!a.list && !a.info && !a.names.count)
        return gp_tool_usage(&tool, "no data set is named; --list shows what there is");
    if (a.mirror && !*a.mirror)
        a.mirror = NULL;
    gp_catalog *c = gp_catalog_open(a.catalog);
    if (!c)
        rc = -1;
    else if (a.list || a.info)
        rc = gp_catalog_print(c, a.info, a.json, stdout);
    else
        rc = fetch_all(&a, c);
    gp_catalog_close(c);
    return gp_tool_exit(&tool, rc);
}
