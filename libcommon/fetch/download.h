/* download.h: one transfer over libcurl into a part file. */
#ifndef GP_FETCH_DOWNLOAD_H
#define GP_FETCH_DOWNLOAD_H

#include "cli/progress.h"
#include "fetch/partial_file.h"

typedef enum gp_transfer {
    GP_TRANSFER_DONE,  /* the part has the whole file of the server */
    GP_TRANSFER_AGAIN, /* a retry may succeed: interruption, time-out, busy server */
    GP_TRANSFER_NO,    /* this source does not have the file */
    GP_TRANSFER_STOP,  /* no source can help: the disk is full */
} gp_transfer;

typedef struct gp_download {
    gp_partial *part;
    gp_progress *progress;
    int64_t size;   /* expected bytes of the file; -1: not known */
    int64_t limit;  /* maximum bytes of a file whose size neither the catalog nor the server gives */
    bool checked;   /* its SHA-256 is known, so a mixture of two versions will be detected */
    double connect; /* seconds for the connection to be made */
    double stall;   /* seconds without a byte */
    double wait;    /* out: seconds that the server requested before a retry, or 0 */
    bool changed;   /* out: the file has changed at the server, and the part was discarded */
    bool no_host;   /* out: the host was not found: there may be no network at all */
} gp_download;

/* Downloads url into d->part, and continues the part where the server confirms that it is the same file. After any
 * other result than GP_TRANSFER_DONE gp_error() is the reason. */
gp_transfer gp_download_run(gp_download *d, const char *url);

#endif
