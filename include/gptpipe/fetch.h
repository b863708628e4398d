/* fetch.h: data sets by name: what there is, and how it gets here whole.
 *
 *     gp_catalog *c = gp_catalog_open(NULL);
 *     const gp_dataset *d = gp_catalog_find(c, "shakespeare");
 *     gp_fetch_options o = {.mirror = getenv("FETCH_DATA_MIRROR")};
 *     if (!d || gp_fetch(d, "data", &o))
 *         fprintf(stderr, "%s\n", gp_error());
 *     gp_catalog_close(c);
 *
 * Every file is checked by its SHA-256 and appears under its name only then. A download that was cut leaves
 * NAME.part behind, from which the next one goes on.
 */
#ifndef GPTPIPE_FETCH_H
#define GPTPIPE_FETCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "gptpipe/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gp_dataset_file {
    const char *path;        /* inside the output folder: "gpt2/vocab.bpe" */
    const char *const *urls; /* tried in order */
    int url_count;
    const char *sha256; /* 64 hex digits; NULL: not known */
    int64_t size;       /* bytes; -1: not known */
} gp_dataset_file;

typedef struct gp_dataset {
    const char *name, *note, *licence,
        *home; /* note: one line; home: where a person reads about it, or NULL */
    const gp_dataset_file *files;
    int file_count; /* 0: made here, as the stories are */
} gp_dataset;

typedef struct gp_catalog gp_catalog;

/* The built-in catalog, and the entries of a JSON file in the same form (data/catalog.json shows it), which win
 * over built-in ones of the same name. path NULL: built-in alone. NULL on failure. */
GP_API gp_catalog *gp_catalog_open(const char *path);
GP_API void gp_catalog_close(gp_catalog *c);

GP_API int gp_catalog_count(const gp_catalog *c);
GP_API const gp_dataset *gp_catalog_get(const gp_catalog *c, int i);

/* NULL when there is none of that name: the failure suggests the nearest. */
GP_API const gp_dataset *gp_catalog_find(const gp_catalog *c, const char *name);

/* For people, or as one JSON value: a line for each data set, or all of the one that is named (NULL: all). */
GP_API int gp_catalog_print(const gp_catalog *c, const char *name, bool json, FILE *out);

typedef struct gp_fetch_options {
    const char
        *mirror;  /* folder or URL: https://host/path is looked for as MIRROR/host/path first; or NULL */
    bool offline; /* never opens a socket: what is there, or in a mirror folder, or a failure */
    bool quiet;   /* no progress */
    int retries;  /* after a failure that may pass; 0: the default, 5 */
    double stall; /* seconds without a byte after which a transfer counts as cut; 0: the default, 30 */
    double pause; /* seconds before the first retry, doubled for each further one; 0: the default, 1 */
} gp_fetch_options;

typedef enum gp_fetched { GP_FETCHED_PRESENT, GP_FETCHED_MIRROR, GP_FETCHED_DOWNLOADED } gp_fetched;

/* Brings one file of a data set to `path` (folders are made) or, path "-", checked first, to stdout.
 * *how (where not NULL) says where it came from. 0 or -1. */
GP_API int gp_fetch_file(const gp_dataset_file *f, const char *path, const gp_fetch_options *o,
                         gp_fetched *how);

/* All files of a data set below the folder `dir`. 0 or -1. */
GP_API int gp_fetch(const gp_dataset *d, const char *dir, const gp_fetch_options *o);

#ifdef __cplusplus
}
#endif
#endif
