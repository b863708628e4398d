/* download.h: one transfer over libcurl into a part file. */
#ifndef GP_FETCH_DOWNLOAD_H
#define GP_FETCH_DOWNLOAD_H

#include "cli/progress.h"
#include "fetch/partial_file.h"

typedef enum gp_transfer {
    GP_TRANSFER_DONE,  /* the server's whole file is in the part */
    GP_TRANSFER_AGAIN, /* it may work when tried again: a cut, a time-out, a busy server */
    GP_TRANSFER_NO,    /* this source does not have it */
    GP_TRANSFER_STOP,  /* no source will help: the disk is full */
} gp_transfer;

typedef struct gp_download {
    gp_partial *part;
    gp_progress *progress;
    int64_t size;   /* that the file should have; -1: not known */
    int64_t limit;  /* bytes of a file whose size neither the catalog nor the server gives */
    bool checked;   /* its SHA-256 is known, so a wrong joint cannot go unseen */
    double connect; /* seconds for the connection to be made */
    double stall;   /* seconds without a byte */
    double wait;    /* out: the server asked to come back after so many seconds, or 0 */
    bool changed;   /* out: the rest of what was here is not there any more, so that is forgotten */
    bool no_host;   /* out: the host's name was not found: there may be no network at all */
} gp_download;

/* Brings url into d->part, going on from what is there where the server agrees that it is the same file.
 * Anything but GP_TRANSFER_DONE has said why in gp_error(). */
gp_transfer gp_download_run(gp_download *d, const char *url);

#endif
