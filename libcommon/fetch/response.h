/* response.h: a server's response while it is received: its headers, and whether it is what was requested. */
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
    bool conditional;      /* the rest was requested, on condition that the file is still the same */
    bool by_size;          /* the rest was requested, and must be of a file of the same size */
    bool ranged;           /* a range was requested */
    bool ends;             /* its end is marked where no length is given: chunks, HTTP/2 */
    char *etag, *modified; /* header values */
    char *encoding;        /* of Content-Encoding */
    char *location;        /* where the last redirect led */
    int64_t from, whole;   /* of Content-Range: its first byte, the file's size; -1: not given */
    int64_t promised;      /* Content-Length, -1: none */
    int64_t page;          /* bytes of an error's page */
    bool body;             /* its first byte was received */
    bool connected;
    double last_received; /* gp_now() of the last bytes; at first, the deadline of the connection */
    gp_transfer verdict;  /* why a callback stopped the transfer */
    char reason[CURL_ERROR_SIZE];
} gp_response;

/* Discards the headers, before the first response and after each redirect. */
void gp_response_clear(gp_response *r);

/* One header line of n bytes, or the status line. */
void gp_response_header(gp_response *r, const char *line, size_t n);

/* Called at the first byte of a body: whether it continues the part, or replaces it. */
gp_transfer gp_response_begin(gp_response *r);

/* The verdict on a status of 300 or more. */
gp_transfer gp_response_judge_status(gp_response *r);

/* Sets the verdict, and returns it. */
gp_transfer gp_response_stop(gp_response *r, gp_transfer verdict);

#endif
