/* fetch.h: data sets by name: what there is, and how it gets here whole.
 *
 *     gp_catalog *c = gp_catalog_open(NULL);
 *     const gp_catalog_entry *d = gp_catalog_find(c, "shakespeare");
 *     gp_fetch_options o = {.mirror = getenv("FETCH_DATA_MIRROR")};
 *     if (!d || gp_fetch(d, "data", &o))
 *         fprintf(stderr, "%s\n", gp_error());
 *     gp_catalog_close(c);
 *
 * Every file is checked by its SHA-256 and appears under its name only then. A download that was cut leaves
 * NAME.part behind, from which the next one goes on. An archive is unpacked and not kept: what came out of it is
 * stamped with its SHA-256 (NAME/.unpacked, .NAME.unpacked), and so known again by the next run.
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

typedef struct gp_catalog_file {
    const char *path;        /* inside the output folder: "gpt2/vocab.bpe"; of what is unpacked: its result */
    const char *const *urls; /* tried in order */
    int url_count;
    const char *sha256; /* 64 hex digits; NULL: not known */
    int64_t size;       /* bytes; -1: not known */
    int shard, shards;  /* its number, from 1, among so many files of one series; 0, 0: it stands alone */
    const char *unpack; /* "folder": an archive whose files go into the folder path; "file": an archive or a
                         * compressed file whose one file becomes path; NULL: it is what it is */
    int64_t unpacked;   /* bytes of all its files together; -1: not known */
} gp_catalog_file;

/* The formats of data sets whose items gptpipe/dataset.h reads: "text", "labelled", "jsonl". */
typedef enum gp_items_format { GP_ITEMS_TEXT, GP_ITEMS_LABELLED, GP_ITEMS_JSONL, GP_ITEMS_FORMATS } gp_items_format;

/* What the items of a data set are. */
typedef struct gp_catalog_items {
    gp_items_format format;
    const char *const *splits, *const *split_paths; /* "test"; its file or folder inside the output folder */
    int split_count;                                /* 0: all of the first file, which has no splits */
    const char *const *labels;                      /* the name of label 0, 1, ...; NULL: none are known */
    int label_count;
    const char *separator;    /* of text: what ends a document; NULL: what its sidecar says */
    const char *text, *label; /* of jsonl: which members they are; label NULL: it has none */
} gp_catalog_items;

typedef struct gp_catalog_entry {
    const char *name, *note, *licence, *home; /* note: one line; home: where a person reads about it, or NULL */
    const gp_catalog_file *files;
    int file_count;                /* 0: made here, as the stories are */
    const gp_catalog_items *items; /* NULL: it is nothing that has items */
} gp_catalog_entry;

typedef struct gp_catalog gp_catalog;

/* The built-in catalog, and the entries of a JSON file in the same form (data/catalog.json shows it), which win
 * over built-in ones of the same name. path NULL: built-in alone. NULL on failure. */
GP_API gp_catalog *gp_catalog_open(const char *path);
GP_API void gp_catalog_close(gp_catalog *c);

GP_API int gp_catalog_count(const gp_catalog *c);
GP_API const gp_catalog_entry *gp_catalog_get(const gp_catalog *c, int i);

/* NULL when there is none of that name: the failure suggests the nearest. */
GP_API const gp_catalog_entry *gp_catalog_find(const gp_catalog *c, const char *name);

/* For people, or as one JSON value: a line for each data set, or all of the one that is named (NULL: all). */
GP_API int gp_catalog_print(const gp_catalog *c, const char *name, bool json, FILE *out);

typedef struct gp_fetch_options {
    /* Folder or URL: https://host/path is looked for as MIRROR/host/path first; or NULL. */
    const char *mirror;
    bool offline;     /* never opens a socket: what is there, or in a mirror folder, or a failure */
    bool quiet;       /* no progress */
    int parallel;     /* files at once; 0: the default, 4 */
    int retries;      /* after a failure that may pass; 0: the default, 5; negative: none */
    double connect;   /* seconds for a connection to be made; 0: the default, 20 */
    double stall;     /* seconds without a byte after which a transfer counts as cut; 0: the default, 30 */
    double pause;     /* seconds before the first retry, doubled for each further one; 0: the default, 1 */
    const char *lock; /* a file of SHA-256 and sizes: what it knows is checked, what it does not know is added
                         * to it once it is here; it need not be there yet. NULL: none */
} gp_fetch_options;

typedef enum gp_fetched { GP_FETCHED_PRESENT, GP_FETCHED_MIRROR, GP_FETCHED_DOWNLOADED } gp_fetched;

/* One file wanted, and what became of it. */
typedef struct gp_fetch_job {
    const gp_catalog_entry *set;
    const gp_catalog_file *file; /* of that set */
    const char *path;            /* where it goes; its folder is made. "-": checked first, to stdout */
    bool failed;                 /* out, as what follows */
    gp_fetched how;
    char sha256[65]; /* of the file, or of the archive that was unpacked; "": not known */
    int64_t size;    /* of the same; -1: not known */
} gp_fetch_job;

/* Called when a job is done with, on the thread that did it, but on one thread at a time and with no progress in the
 * way. After a failure gp_error() says why. */
typedef void gp_fetch_report(void *self, const gp_fetch_job *job);

/* Brings all files, several at once (fetch_options.parallel). A failure of one does not keep the others from coming,
 * but for want of room. report may be NULL. 0, or -1 where any failed: gp_error() is its reason where one was
 * wanted, or how many of them failed. */
GP_API int gp_fetch_files(gp_fetch_job *jobs, int count, const gp_fetch_options *o, gp_fetch_report *report,
                          void *self);

/* Brings one file, checked, into an unlinked temporary file: its descriptor, which the caller closes; -1 on failure.
 * What is packed stays packed. */
GP_API int gp_fetch_open(const gp_catalog_file *f, const gp_fetch_options *o);

/* All files of a data set below the folder `dir`. 0 or -1. */
GP_API int gp_fetch(const gp_catalog_entry *d, const char *dir, const gp_fetch_options *o);

#ifdef __cplusplus
}
#endif
#endif
