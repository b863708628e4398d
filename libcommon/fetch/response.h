/* response.h: a server's response, as it comes: its headers, and whether it is what was asked for. */
#ifndef GP_FETCH_RESPONSE_H
#define GP_FETCH_RESPONSE_H

#include "fetch/download.h"
#include "fetch/libraries.h"

/* One response being read. */
typedef struct gp_response {
    gp_download *d;
    const gp_curl *lib;
    CURL *curl;
    const char *url;
    long status;
    bool conditional;      /* the rest was asked for, under the condition that the file is still the same */
    bool by_size;          /* it was asked for, and must be of a file of the same size */
    bool ranged;           /* a part was asked for */
    bool ends;             /* its end is marked where no length is given: chunks, HTTP/2 */
    char *etag, *modified; /* header values */
    char *encoding;        /* of Content-Encoding */
    char *location;        /* where the last redirect led */
    int64_t from, whole;   /* of Content-Range: its first byte, the file's size; -1: not told */
    int64_t promised;      /* Content-Length, -1: none */
    int64_t page;          /* bytes of an error's page */
    bool body;             /* its first byte has come */
    bool connected;
    double last_received; /* gp_now() of the last bytes; at first, the deadline of the connection */
    gp_transfer verdict;  /* why a callback stopped the transfer */
    char reason[CURL_ERROR_SIZE];
} gp_response;

/* Forgets the headers, at the start and before the next response: after a redirect, say. */
void gp_response_clear(gp_response *r);

/* One header line of n bytes, or the status line. */
void gp_response_header(gp_response *r, const char *line, size_t n);

/* Called at the first byte of a body: does it fit what is here? */
gp_transfer gp_response_begin(gp_response *r);

/* What follows from a status of 300 or more. */
gp_transfer gp_response_judge_status(gp_response *r);

/* Sets the verdict, and returns it. */
gp_transfer gp_response_stop(gp_response *r, gp_transfer verdict);

#endif
