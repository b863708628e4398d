/* memory.c: see memory.h. Supports control groups of both versions: the limits of this process's group and of all
 * groups above it apply, and their inactive file cache counts as available. */
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The number after `key` at the start of a line ("MemAvailable: 1234"), or at the start of the file for ""; -1: not
 * found. */
static int64_t read_number(const char *path, const char *key)
{
    char line[256];
    size_t n = strlen(key);
    int64_t value = -1;
    FILE *f = fopen(path, "re");
    if (!f)
        return -1;
    while (value < 0 && fgets(line, sizeof line, f)) {
        char *end, *digits = line + n;
        if (strncmp(line, key, n))
            continue;
        unsigned long long number = strtoull(digits, &end, 10); /* ULLONG_MAX on overflow */
        if (end != digits)
            value = number > INT64_MAX ? INT64_MAX : (int64_t)number;
    }
    fclose(f);
    return value;
}

static int64_t read_in(const char *folder, const char *name, const char *key)
{
    char *path = gp_format("%s/%s", folder, name);
    int64_t value = read_number(path, key);
    free(path);
    return value;
}

/* The files of a control group. */
typedef struct version {
    const char *folder, *limit, *usage, *cache;
} version;

static const version versions[] = {
    {"/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file "},
    {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "},
};

/* Applies the limit of one group. */
static void apply_limit(gp_memory_info *info, const version *v, const char *folder)
{
    int64_t limit = read_in(folder, v->limit, ""); /* "max" is no number: no limit */
    int64_t usage = read_in(folder, v->usage, ""), cache = read_in(folder, "memory.stat", v->cache);
    if (limit < 0 || usage < 0)
        return;
    info->total = gp_min(info->total, limit);
    info->available = gp_min(info->available, gp_max(0, limit - usage + gp_max(0, cache)));
}

/* Applies the limits of a group and of all groups above it. In a container, the path of the group may exist only
 * outside; then the root of /sys/fs/cgroup is the group of this process. */
static void apply_limits(gp_memory_info *info, const version *v, const char *root, const char *group)
{
    char *path = gp_format("%s%s%s", root, v->folder, group);
    size_t top = strlen(root) + strlen(v->folder);
    for (size_t n = strlen(path); n >= top; n--)
        if (!path[n] || path[n] == '/') {
            path[n] = 0;
            apply_limit(info, v, path);
        }
    free(path);
}

/* A line of /proc/self/cgroup is "0::/group", or in version 1 "9:cpu,memory:/group". */
static void read_group(gp_memory_info *info, const char *root, char *line)
{
    line[strcspn(line, "\n")] = 0;
    char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group)
        return;
    *group++ = 0;
    controllers++;
    if (!*controllers)
        apply_limits(info, &versions[0], root, group);
    for (char *name = strtok(controllers, ","); name; name = strtok(NULL, ","))
        if (!strcmp(name, "memory"))
            apply_limits(info, &versions[1], root, group);
}

gp_memory_info gp_memory_query(const char *root)
{
    int64_t page = sysconf(_SC_PAGESIZE);
    gp_memory_info info = {.total = sysconf(_SC_PHYS_PAGES) * page};
    char line[4096], *cgroup = gp_format("%s/proc/self/cgroup", root);
    int64_t kilobytes = read_in(root, "proc/meminfo", "MemAvailable:");
    info.available = kilobytes < 0 ? info.total : kilobytes * 1024;
    FILE *f = fopen(cgroup, "re");
    while (f && fgets(line, sizeof line, f))
        read_group(&info, root, line);
    if (f)
        fclose(f);
    free(cgroup);
    return info;
}

void gp_memory_use_huge_pages(void *p, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = gp_round_up((uintptr_t)p, page);
    uintptr_t end = ((uintptr_t)p + bytes) / page * page;
    if (begin < end)
        madvise((void *)begin, end - begin, MADV_HUGEPAGE);
#else
    (void)p, (void)bytes;
#endif
}

int64_t gp_memory_peak(void)
{
    int64_t kilobytes = read_number("/proc/self/status", "VmHWM:");
    return kilobytes < 0 ? 0 : kilobytes * 1024;
}
