/* memory.c: see memory.h. Control groups are looked for in both versions: the limit of each group from that of this
 * process up to the root holds, and what their caches could give back is free. */
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The number after `key` at the start of a line ("MemAvailable: 1234"), or of the whole file with ""; -1: there is
 * none. */
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
        unsigned long long number = strtoull(digits, &end, 10); /* of all bits set where it is too large */
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

/* Names of one version's files. */
typedef struct version {
    const char *folder, *limit, *usage, *cache;
} version;

static const version versions[] = {
    {"/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file "},
    {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "},
};

static void narrow(gp_room *room, const version *v, const char *folder)
{
    int64_t limit = read_in(folder, v->limit, ""); /* "max" is no number: no limit */
    int64_t usage = read_in(folder, v->usage, ""), cache = read_in(folder, "memory.stat", v->cache);
    if (limit < 0 || usage < 0)
        return;
    room->total = gp_min(room->total, limit);
    room->free = gp_min(room->free, gp_max(0, limit - usage + gp_max(0, cache)));
}

/* The group and all above it. In a container its path may be one that is only seen from outside; its root is ours
 * then. */
static void narrow_all(gp_room *room, const version *v, const char *root, const char *group)
{
    char *path = gp_format("%s%s%s", root, v->folder, group);
    size_t top = strlen(root) + strlen(v->folder);
    for (size_t n = strlen(path); n >= top; n--)
        if (!path[n] || path[n] == '/') {
            path[n] = 0;
            narrow(room, v, path);
        }
    free(path);
}

/* A line of /proc/self/cgroup is "0::/group", or in version 1 "9:cpu,memory:/group". */
static void narrow_by_line(gp_room *room, const char *root, char *line)
{
    line[strcspn(line, "\n")] = 0;
    char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group)
        return;
    *group++ = 0;
    controllers++;
    bool first = !*controllers;
    for (char *name = strtok(controllers, ","); name && !first; name = strtok(NULL, ","))
        if (!strcmp(name, "memory"))
            narrow_all(room, &versions[1], root, group);
    if (first)
        narrow_all(room, &versions[0], root, group);
}

gp_room gp_memory_room(const char *root)
{
    int64_t page = sysconf(_SC_PAGESIZE);
    gp_room room = {.total = sysconf(_SC_PHYS_PAGES) * page};
    char line[4096], *meminfo = gp_format("%s/proc/meminfo", root), *own = gp_format("%s/proc/self/cgroup", root);
    int64_t kilobytes = read_number(meminfo, "MemAvailable:");
    room.free = kilobytes < 0 ? room.total : kilobytes * 1024;
    FILE *f = fopen(own, "re");
    while (f && fgets(line, sizeof line, f))
        narrow_by_line(&room, root, line);
    if (f)
        fclose(f);
    free(meminfo);
    free(own);
    return room;
}

int64_t gp_memory_peak(void)
{
    int64_t kilobytes = read_number("/proc/self/status", "VmHWM:");
    return kilobytes < 0 ? 0 : kilobytes * 1024;
}
