/* fetch.h: data sets by name: the catalog, and verified downloads.
 *
 *     gp_catalog *c = gp_catalog_open(NULL);
 *     const gp_catalog_entry *d = gp_catalog_find(c, "shakespeare");
 *     gp_fetch_options o = {.mirror = getenv("FETCH_DATA_MIRROR")};
 *     if (!d || gp_fetch(d, "data", &o))
 *         fprintf(stderr, "%s\n", gp_error());
 *     gp_catalog_close(c);
 *
 * Every file is verified by its SHA-256 and gets its name only then. An interrupted download leaves NAME.part, from
 * which the next one continues. An archive is unpacked and not kept; a stamp with its SHA-256 (NAME/.unpacked,
 * .NAME.unpacked) lets the next run recognise its files.
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
    const char *path;        /* in the output folder: "gpt2/vocab.bpe"; of an archive: what it is unpacked to */
    const char *const *urls; /* tried in order */
    int url_count;
    const char *sha256; /* 64 hex digits; NULL: not known */
    int64_t size;       /* bytes; -1: not known */
    int shard, shards;  /* its number, from 1, and that of all files of its series; 0, 0: no series */
    const char *unpack; /* "folder": an archive whose files go into the folder path; "file": an archive or a
                         * compressed file whose only file becomes path; NULL: it is not unpacked */
    int64_t unpacked;   /* bytes of all its files together; -1: not known */
} gp_catalog_file;

/* The formats of data sets whose items gptpipe/dataset.h reads: "text", "labelled", "jsonl". */
typedef enum gp_items_format { GP_ITEMS_TEXT, GP_ITEMS_LABELLED, GP_ITEMS_JSONL, GP_ITEMS_FORMATS } gp_items_format;

/* What the items of a data set are. */
typedef struct gp_catalog_items {
    gp_items_format format;
    const char *const *splits, *const *split_paths; /* "test"; its file or folder in the output folder */
    int split_count;                                /* 0: the first file, without splits */
    const char *const *labels;                      /* the name of label 0, 1, ...; NULL: not known */
    int label_count;
    const char *separator;    /* of text: what ends a document; NULL: as its sidecar records */
    const char *text, *label; /* of jsonl: the names of these members; label NULL: none */
} gp_catalog_items;

typedef struct gp_catalog_entry {
    const char *name, *note, *licence, *home; /* note: one line; home: the page about it, or NULL */
    const gp_catalog_file *files;
    int file_count;                /* 0: generated locally, as the stories are */
    const gp_catalog_items *items; /* NULL: it has no items */
} gp_catalog_entry;

typedef struct gp_catalog gp_catalog;

/* The built-in catalog, and the entries of a JSON file in the same form (see data/catalog.json), which replace built-in
 * ones of the same name. path NULL: only the built-in ones. NULL on failure. */
GP_API gp_catalog *gp_catalog_open(const char *path);
GP_API void gp_catalog_close(gp_catalog *c);

GP_API int gp_catalog_count(const gp_catalog *c);
GP_API const gp_catalog_entry *gp_catalog_get(const gp_catalog *c, int i);

/* NULL where there is none of that name; gp_error() suggests the nearest. */
GP_API const gp_catalog_entry *gp_catalog_find(const gp_catalog *c, const char *name);

/* For people, or as one JSON value: a line for each data set (name NULL), or the details of one. */
GP_API int gp_catalog_print(const gp_catalog *c, const char *name, bool json, FILE *out);

typedef struct gp_fetch_options {
    /* Folder or URL, or NULL: MIRROR/host/path is tried before https://host/path. */
    const char *mirror;
    bool offline;     /* never opens a socket: only files that are present or in a mirror folder */
    bool quiet;       /* no progress */
    int parallel;     /* files at once; 0: the default, 4 */
    int retries;      /* after a temporary failure; 0: the default, 5; negative: none */
    double connect;   /* timeout for establishing a connection, in seconds; 0: the default, 20 */
    double stall;     /* seconds without data after which a transfer counts as interrupted; 0: the default, 30 */
    double pause;     /* seconds before the first retry, doubled for each further one; 0: the default, 1 */
    const char *lock; /* file of SHA-256 and sizes, created if missing: listed files are checked against it,
                       * others are added to it once they are downloaded. NULL: none */
} gp_fetch_options;

typedef enum gp_fetched { GP_FETCHED_PRESENT, GP_FETCHED_MIRROR, GP_FETCHED_DOWNLOADED } gp_fetched;

/* One file to be fetched, and the result. */
typedef struct gp_fetch_job {
    const gp_catalog_entry *set;
    const gp_catalog_file *file; /* of that set */
    const char *path;            /* the output; its folder is created. "-": stdout, after verification */
    bool failed;                 /* output, as the following members */
    gp_fetched how;
    char sha256[65]; /* of the file, or of the archive that was unpacked; "": not known */
    int64_t size;    /* of the same; -1: not known */
} gp_fetch_job;

/* Called when a job has ended, on the thread that ran it, one at a time and with the progress lines cleared. After a
 * failure gp_error() is the reason. */
typedef void gp_fetch_report(void *self, const gp_fetch_job *job);

/* Fetches all files, several at once (gp_fetch_options.parallel). After a failure of one the others continue, unless
 * the disk is full. report may be NULL. 0, or -1 where any failed: gp_error() is the reason where count is 1, else how
 * many failed. */
GP_API int gp_fetch_files(gp_fetch_job *jobs, int count, const gp_fetch_options *o, gp_fetch_report *report,
                          void *self);

/* Fetches one file, verified but not unpacked, into an unlinked temporary file; returns its descriptor, which the
 * caller closes, or -1. */
GP_API int gp_fetch_open(const gp_catalog_file *f, const gp_fetch_options *o);

/* Fetches all files of a data set into the folder `dir`. 0 or -1. */
GP_API int gp_fetch(const gp_catalog_entry *d, const char *dir, const gp_fetch_options *o);

#ifdef __cplusplus
}
#endif
#endif
