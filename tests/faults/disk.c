/* disk.c: see disk.h. */
#include "disk.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "run/checkpoint_names.h"

enum { MAX_NODES = 4096, MAX_NAMES = 65536, MAX_ENTRIES = 4096, MAX_DISKS = 1 << 16 };

/* One write that was not flushed: n bytes at `at`; n < 0: the size becomes `at`; whole: the old bytes go first. */
typedef struct change {
    int64_t at, n;
    char *data;
    bool whole;
} change;

typedef struct node {
    char kind; /* 'f', 'd', 'l' */
    gp_buf first, now, safe, crashed;
    change *changes;
    int change_count;
    char *target;
} node;

typedef struct entry {
    int folder, node;
    char *name;
} entry;

/* One operation on names: `from` of a folder goes (NULL: nothing does), `to` is the node from then on (NULL:
 * nothing). */
typedef struct name_op {
    int from_folder, to_folder, node;
    char *from, *to;
    bool exchange, safe;
} name_op;

static struct {
    node nodes[MAX_NODES];
    int node_count;
    entry first[MAX_ENTRIES], now[MAX_ENTRIES], crashed[MAX_ENTRIES];
    int first_count, now_count, crashed_count;
    name_op ops[MAX_NAMES];
    int op_count;
    int ids[MAX_NODES]; /* node of a recorded file, -1: not known */
    FILE *trace;
    gp_buf data;
    int done;
    char line[1200], crash[40];
    uint64_t seen[MAX_DISKS];
    uint64_t random;
    bool ended;
} d;

static void stop(const char *what, const char *path)
{
    fprintf(stderr, "power_cut: %s: %s\n", path, what);
    exit(1);
}

/* ---- names ----------------------------------------------------------------------------------------------- */

static int new_node(char kind)
{
    BUG_ON(d.node_count == MAX_NODES);
    d.nodes[d.node_count] = (node){.kind = kind};
    return d.node_count++;
}

static entry *find(entry *list, int count, int folder, const char *name)
{
    for (int i = 0; i < count; i++)
        if (list[i].folder == folder && !strcmp(list[i].name, name))
            return &list[i];
    return NULL;
}

static void take_away(entry *list, int *count, int folder, const char *name)
{
    entry *e = find(list, *count, folder, name);
    if (e)
        *e = list[--*count];
}

static void put(entry *list, int *count, int folder, char *name, int node)
{
    take_away(list, count, folder, name);
    BUG_ON(*count == MAX_ENTRIES);
    list[(*count)++] = (entry){folder, node, name};
}

static void apply(entry *list, int *count, const name_op *o)
{
    if (o->exchange) {
        entry *a = find(list, *count, o->from_folder, o->from), *b = find(list, *count, o->to_folder, o->to);
        if (a && b) {
            int node = a->node;
            a->node = b->node;
            b->node = node;
        }
        return;
    }
    if (o->from)
        take_away(list, count, o->from_folder, o->from);
    if (o->to)
        put(list, count, o->to_folder, o->to, o->node);
}

/* The folder that holds the path's last part, which *name is; -1 where it is not there. */
static int folder_in(entry *list, int count, const char *path, const char **name)
{
    int folder = 0;
    for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
        char *part = gp_strndup(path, (size_t)(slash - path));
        const entry *e = find(list, count, folder, part);
        free(part);
        if (!e || d.nodes[e->node].kind != 'd')
            return -1;
        folder = e->node;
    }
    *name = path;
    return folder;
}

static int folder_of(const char *path, const char **name)
{
    return folder_in(d.now, d.now_count, path, name);
}

static int node_in(entry *list, int count, const char *path)
{
    const char *name;
    if (!strcmp(path, "."))
        return 0;
    int folder = folder_in(list, count, path, &name);
    const entry *e = folder < 0 ? NULL : find(list, count, folder, name);
    return e ? e->node : -1;
}

static int node_at(const char *path)
{
    return node_in(d.now, d.now_count, path);
}

/* Records a change of names and does it. from or to may be NULL. */
static void rename_it(const char *from, const char *to, int node, bool exchange)
{
    const char *a = NULL, *b = NULL;
    int from_folder = from ? folder_of(from, &a) : 0, to_folder = to ? folder_of(to, &b) : 0;
    if (from_folder < 0 || to_folder < 0)
        stop("names a folder that is not there", d.line);
    BUG_ON(d.op_count == MAX_NAMES);
    name_op *o = &d.ops[d.op_count++];
    *o = (name_op){from_folder, to_folder, node, a ? gp_strdup(a) : NULL, b ? gp_strdup(b) : NULL, exchange, false};
    apply(d.now, &d.now_count, o);
}

static void flush_names(int folder)
{
    for (int i = 0; i < d.op_count; i++) {
        name_op *o = &d.ops[i];
        if ((o->to ? o->to_folder : o->from_folder) == folder)
            o->safe = true;
    }
}

/* ---- bytes ----------------------------------------------------------------------------------------------- */

static void set_bytes(gp_buf *b, const char *data, size_t n)
{
    b->len = 0;
    gp_buf_add(b, data, n);
}

static void do_change(gp_buf *b, const change *c, int64_t n)
{
    if (c->whole)
        b->len = 0;
    size_t end = (size_t)c->at + (size_t)(n > 0 ? n : 0);
    while (b->len < end)
        gp_buf_add(b, "", 1);
    if (n > 0)
        memcpy(b->data + c->at, c->data, (size_t)n);
    if (c->n < 0)
        b->len = (size_t)c->at;
}

static void add_change(int node, change c)
{
    if (node < 0)
        return;
    struct node *f = &d.nodes[node];
    f->changes = gp_realloc(f->changes, (size_t)f->change_count + 1, sizeof *f->changes);
    f->changes[f->change_count++] = c;
    do_change(&f->now, &c, c.n);
}

static void flush_bytes(int node)
{
    if (node < 0)
        return;
    set_bytes(&d.nodes[node].safe, d.nodes[node].now.data, d.nodes[node].now.len);
    d.nodes[node].change_count = 0;
}

/* ---- the folder as it was, and the recording ------------------------------------------------------------- */

static void load_folder(const char *path, int folder)
{
    DIR *dir = opendir(path);
    if (!dir)
        stop("cannot be read", path);
    for (struct dirent *e; (e = readdir(dir));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        char *name = gp_path_join(path, e->d_name), target[512];
        struct stat st;
        if (lstat(name, &st))
            stop("cannot be read", name);
        int node = new_node(S_ISDIR(st.st_mode) ? 'd' : S_ISLNK(st.st_mode) ? 'l' : 'f');
        put(d.first, &d.first_count, folder, gp_strdup(e->d_name), node);
        if (S_ISDIR(st.st_mode)) {
            load_folder(name, node);
        } else if (S_ISLNK(st.st_mode)) {
            ssize_t n = readlink(name, target, sizeof target);
            d.nodes[node].target = gp_strndup(target, (size_t)gp_max(n, 0));
        } else {
            if (gp_file_read(&d.nodes[node].now, name, 1 << 28))
                stop(gp_error(), name);
            set_bytes(&d.nodes[node].first, d.nodes[node].now.data, d.nodes[node].now.len);
            flush_bytes(node);
        }
        free(name);
    }
    closedir(dir);
}

void disk_load(const char *before, const char *trace)
{
    memset(&d, 0, sizeof d); /* what the first pass had is left to the end of the process */
    new_node('d');
    load_folder(before, 0);
    memcpy(d.now, d.first, sizeof d.first);
    d.now_count = d.first_count;
    char *data = gp_format("%s.data", trace);
    d.trace = fopen(trace, "re");
    if (!d.trace || gp_file_read(&d.data, data, 1 << 30))
        stop("cannot be read", trace);
    free(data);
}

static const char *bytes_at(unsigned long long at, long long n)
{
    if (n < 0 || at > d.data.len || (unsigned long long)n > d.data.len - at)
        stop("is cut short", "the recording");
    return d.data.data + at;
}

static void do_operation(char kind, char **f)
{
    int id = strchr("CAOWZFVL", kind) ? atoi(f[0]) : 0, made;
    BUG_ON(id < 0 || id >= MAX_NODES);
    switch (kind) {
    case 'C':
    case 'A':
        d.ids[id] = new_node('f');
        if (kind == 'C')
            rename_it(NULL, f[1], d.ids[id], false);
        break;
    case 'O':
        d.ids[id] = node_at(f[1]);
        break;
    case 'W':
        add_change(d.ids[id], (change){.at = atoll(f[1]),
                                       .n = atoll(f[2]),
                                       .data = (char *)(uintptr_t)bytes_at(strtoull(f[3], NULL, 10), atoll(f[2]))});
        break;
    case 'V': {
        const char *all = bytes_at(strtoull(f[2], NULL, 10), atoll(f[1]));
        const gp_buf *now = d.ids[id] < 0 ? NULL : &d.nodes[d.ids[id]].now;
        if (now && (now->len != (size_t)atoll(f[1]) || memcmp(now->len ? now->data : "", all, now->len)))
            add_change(d.ids[id], (change){.n = atoll(f[1]), .data = (char *)(uintptr_t)all, .whole = true});
        break;
    }
    case 'Z':
        add_change(d.ids[id], (change){.at = atoll(f[1]), .n = -1});
        break;
    case 'F':
        flush_bytes(d.ids[id]);
        break;
    case 'D':
        flush_names(node_at(f[0]));
        break;
    case 'S':
        for (int i = 0; i < d.node_count; i++)
            flush_bytes(i);
        for (int i = 0; i < d.op_count; i++)
            d.ops[i].safe = true;
        break;
    case 'R':
    case 'X':
        rename_it(f[0], f[1], node_at(f[0]), kind == 'X');
        break;
    case 'L':
        rename_it(NULL, f[1], d.ids[id], false);
        break;
    case 'Y':
        made = new_node('l');
        d.nodes[made].target = gp_strdup(f[0]);
        rename_it(NULL, f[1], made, false);
        break;
    case 'M':
        rename_it(NULL, f[0], new_node('d'), false);
        break;
    case 'U':
        rename_it(f[0], NULL, -1, false);
        break;
    default:
        stop("is not a recording", d.line);
    }
}

bool disk_next(disk_op *o)
{
    char line[sizeof d.line], *save = NULL, *f[5] = {"", "", "", "", ""};
    if (d.ended)
        return false;
    if (!fgets(line, sizeof line, d.trace)) {
        d.ended = true;
        fclose(d.trace);
        snprintf(d.line, sizeof d.line, "the end");
        if (o)
            *o = (disk_op){.kind = 'E'};
        return o != NULL;
    }
    line[strcspn(line, "\n")] = 0;
    snprintf(d.line, sizeof d.line, "%s", line);
    for (char *c = d.line; *c; c++)
        *c = *c == '\t' ? ' ' : *c;
    char *word = strtok_r(line, "\t", &save);
    for (int i = 0; i < 4 && (word = strtok_r(NULL, "\t", &save)); i++)
        f[i] = word;
    do_operation(*line, f);
    d.done++;
    if (o) {
        o->kind = *line;
        snprintf(o->from, sizeof o->from, "%s", f[0]);
        snprintf(o->to, sizeof o->to, "%s", *line == 'M' ? f[0] : f[1]);
    }
    return true;
}

int disk_operations(void)
{
    return d.done;
}

const char *disk_operation(void)
{
    return d.line;
}

/* ---- what is there now ----------------------------------------------------------------------------------- */

static void copy_content(content *c, const gp_buf *b)
{
    *c = (content){.there = true, .data = gp_strndup(b->len ? b->data : "", b->len), .size = b->len};
}

void disk_content(const char *path, content *c)
{
    int node = node_at(path);
    *c = (content){0};
    if (node >= 0 && d.nodes[node].kind == 'f')
        copy_content(c, &d.nodes[node].now);
}

void disk_first_content(const char *path, content *c)
{
    int node = node_in(d.first, d.first_count, path);
    *c = (content){0};
    if (node >= 0 && d.nodes[node].kind == 'f')
        copy_content(c, &d.nodes[node].first);
}

bool disk_is_folder(const char *path)
{
    int node = node_at(path);
    return node >= 0 && d.nodes[node].kind == 'd';
}

static bool names_flushed(int folder, const char *name)
{
    for (int i = 0; i < d.op_count; i++) {
        const name_op *o = &d.ops[i];
        if (!o->safe && ((o->to && o->to_folder == folder && (!name || !strcmp(o->to, name))) ||
                         (o->from && o->from_folder == folder && (!name || !strcmp(o->from, name)))))
            return false;
    }
    return true;
}

static bool unflushed(int node)
{
    const struct node *f = &d.nodes[node];
    if (f->kind != 'd')
        return f->change_count > 0;
    bool any = !names_flushed(node, NULL);
    for (int i = 0; !any && i < d.now_count; i++)
        any = d.now[i].folder == node && unflushed(d.now[i].node);
    return any;
}

bool disk_unflushed(const char *path)
{
    int node = node_at(path);
    return node >= 0 && unflushed(node);
}

bool disk_name_flushed(const char *path)
{
    const char *name;
    int folder = folder_of(path, &name);
    return folder >= 0 && names_flushed(folder, name);
}

const char *disk_link(const char *path)
{
    int node = node_at(path);
    return node >= 0 && d.nodes[node].kind == 'l' ? d.nodes[node].target : NULL;
}

static int by_value(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

int disk_steps(const char *path, int64_t *steps, int most)
{
    int folder = node_at(path), count = 0;
    for (int i = 0; i < d.now_count && count < most; i++)
        if (d.now[i].folder == folder && gp_run_step(d.now[i].name) >= 0)
            steps[count++] = gp_run_step(d.now[i].name);
    qsort(steps, (size_t)count, sizeof *steps, by_value);
    return count;
}

/* ---- the power goes -------------------------------------------------------------------------------------- */

static uint64_t draw(uint64_t n)
{
    d.random = d.random * 6364136223846793005u + 1442695040888963407u;
    return (d.random >> 33) % n;
}

static uint64_t hash(uint64_t h, const void *data, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const unsigned char *)data)[i]) * 0x100000001b3u;
    return h;
}

/* Of every folder's tree; the order of entries does not count. */
static uint64_t hash_tree(int folder)
{
    uint64_t sum = 0;
    for (int i = 0; i < d.crashed_count; i++) {
        const entry *e = &d.crashed[i];
        const node *f = &d.nodes[e->node];
        if (e->folder != folder)
            continue;
        uint64_t h = hash(0xcbf29ce484222325u, e->name, strlen(e->name) + 1);
        uint64_t inner = f->kind == 'd' ? hash_tree(e->node) : 0;
        h = hash(h, &inner, sizeof inner);
        h = f->kind == 'l' ? hash(h, f->target, strlen(f->target)) : hash(h, f->crashed.data, f->crashed.len);
        sum += h * h;
    }
    return sum;
}

static void crash_bytes(node *f, int kind)
{
    set_bytes(&f->crashed, f->safe.data, f->safe.len);
    for (int i = 0; i < f->change_count; i++) {
        const change *c = &f->changes[i];
        int64_t n = c->n;
        if (kind == DISK_FLUSHED || kind == DISK_NAMES)
            continue;
        if (kind >= DISK_RANDOM && draw(3) == 0)
            continue;
        if (kind >= DISK_RANDOM && c->n > 1 && draw(2)) /* a part of it arrived */
            n = 1 + (int64_t)draw((uint64_t)c->n - 1);
        do_change(&f->crashed, c, n);
    }
}

bool disk_crash(int kind, int64_t expected, uint64_t seed)
{
    static const char *const words[] = {"all is on disk", "only what was flushed", "names without bytes",
                                        "bytes without names"};
    d.random = seed * 0x9E3779B97F4A7C15u + 1;
    snprintf(d.crash, sizeof d.crash, "%s", kind < DISK_RANDOM ? words[kind] : "some of what was not flushed");
    memcpy(d.crashed, d.first, sizeof d.first);
    d.crashed_count = d.first_count;
    for (int i = 0; i < d.op_count; i++)
        if (d.ops[i].safe || kind == DISK_ALL || kind == DISK_NAMES || (kind >= DISK_RANDOM && draw(2)))
            apply(d.crashed, &d.crashed_count, &d.ops[i]);
    for (int i = 0; i < d.node_count; i++)
        if (d.nodes[i].kind == 'f')
            crash_bytes(&d.nodes[i], kind);
    uint64_t h = hash(hash_tree(0), &expected, sizeof expected) | 1, at = h % MAX_DISKS;
    for (int tries = 0; d.seen[at] && tries < MAX_DISKS; tries++, at = (at + 1) % MAX_DISKS)
        if (d.seen[at] == h)
            return false;
    d.seen[at] = h;
    return true;
}

const char *disk_kind(void)
{
    return d.crash;
}

static void write_folder(const char *path, int folder)
{
    for (int i = 0; i < d.crashed_count; i++) {
        const entry *e = &d.crashed[i];
        const node *f = &d.nodes[e->node];
        if (e->folder != folder)
            continue;
        char *name = gp_path_join(path, e->name);
        if (f->kind == 'd') {
            BUG_ON(mkdir(name, 0777));
            write_folder(name, e->node);
        } else if (f->kind == 'l') {
            BUG_ON(symlink(f->target, name));
        } else {
            FILE *out = fopen(name, "we");
            BUG_ON(!out || fwrite(f->crashed.len ? f->crashed.data : "", 1, f->crashed.len, out) != f->crashed.len);
            BUG_ON(fclose(out));
        }
        free(name);
    }
}

void disk_write(const char *folder)
{
    write_folder(folder, 0);
}
