/* folder_config.c: a model's configuration. A folder's is config.json, as for transformers, and generation_config.json
 * says what ends a sample; a single file's is its own metadata, else config.json in the same folder. */
#include "base/file.h"
#include "checkpoint/folder.h"
#include "model/config.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_CONFIG = 1 << 24 };

typedef int read_fn(gp_config *c, const char *json, size_t length, const char *where);

/* 0, -1, or 1 where there is no such file. */
static int read_config(gp_config *config, const char *folder, const char *name, read_fn *read)
{
    gp_buf b = {0};
    int rc = gp_folder_read(&b, folder, name, MAX_CONFIG);
    if (!rc) {
        char *where = gp_path_join(folder, name);
        rc = read(config, b.data ? b.data : "", b.len, where);
        free(where);
    }
    gp_buf_release(&b);
    return rc;
}

/* Where config.json and the file's metadata say different things. A file of any name may lie beside another model's
 * config.json: that one has other sizes, and is not compared. */
static void compare(gp_checkpoint *c, const gp_config *beside, const gp_config *own, bool beside_counts)
{
    gp_buf text = {0};
    bool sizes;
    if (gp_config_differ(beside, own, &sizes, &text) && (beside_counts || !sizes))
        gp_checkpoint_warning_add(c, gp_format("%s: %s, by config.json and by its own metadata; %s", c->path, text.data,
                                               beside_counts ? "config.json counts" : "its metadata count"));
    gp_buf_release(&text);
}

/* 1: there is neither. */
static int choose(gp_checkpoint *c, const char *text, size_t length, const char *folder, bool loadable)
{
    gp_config beside, own;
    int rc = read_config(&beside, folder, "config.json", gp_config_from_json);
    if (rc < 0 && (loadable || !text))
        return -1;
    if (rc && !text)
        return 1;
    bool owns = text && !gp_config_from_json(&own, text, length, c->path), counts = !rc && (loadable || !text);
    if (text && !owns && !counts)
        return -1;
    c->config = counts ? beside : own;
    if (!rc && owns)
        compare(c, &beside, &own, counts);
    return 0;
}

int gp_folder_config(gp_checkpoint *c, const char *text, size_t length, const char *folder, bool config_counts)
{
    int rc = choose(c, text, length, folder, config_counts);
    if (rc)
        return rc;
    return config_counts && read_config(&c->config, folder, "generation_config.json", gp_config_ends_from_json) < 0 ? -1
                                                                                                                    : 0;
}
