/* nvidia.c: whether this machine has an NVIDIA GPU, with or without a driver, according to the Linux kernel. */
#include "backend/nvidia.h"
#include "base/file.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

static bool matches(const char *root, const char *pattern)
{
    glob_t found = {0};
    char *path = gp_format("%s%s", root, pattern);
    bool any = !glob(path, 0, NULL, &found);
    globfree(&found);
    free(path);
    return any;
}

/* Whether a small file of /sys begins with the text. */
static bool begins(const char *path, const char *text)
{
    char head[16] = "";
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    bool same = fgets(head, sizeof head, f) && !strncmp(head, text, strlen(text));
    fclose(f);
    return same;
}

/* A display controller (class 03) of NVIDIA's (vendor 10de), whether or not something drives it. */
static bool on_pci(const char *root)
{
    glob_t found = {0};
    bool any = false;
    char *pattern = gp_format("%s/sys/bus/pci/devices/*/vendor", root);
    if (!glob(pattern, 0, NULL, &found))
        for (size_t i = 0; i < found.gl_pathc && !any; i++) {
            char *folder = gp_folder_of(found.gl_pathv[i]), *class = gp_path_join(folder, "class");
            any = begins(found.gl_pathv[i], "0x10de") && begins(class, "0x03");
            free(class);
            free(folder);
        }
    globfree(&found);
    free(pattern);
    return any;
}

bool gp_nvidia_present(const char *root)
{
    return matches(root, "/dev/nvidia[0-9]*") || matches(root, "/proc/driver/nvidia/gpus/*") ||
           matches(root, "/dev/dxg") /* of the host, in WSL */ || on_pci(root);
}
