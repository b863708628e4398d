/* products.h: the algorithms of matrix products, where a backend's library has several: measured, recorded with a run,
 * and used again when it is resumed. */
#ifndef GP_TRAIN_PRODUCTS_H
#define GP_TRAIN_PRODUCTS_H

#include "backend/backend.h"
#include "base/base.h"

#define GP_PRODUCTS_NAME "products.json" /* in the run */

/* What a run recorded. */
typedef struct gp_products {
    char library[32], device[128]; /* of the backend that chose */
    gp_product_choice *choices;    /* (count) */
    int count;
} gp_products;

/* Reads a run's file; a missing file has no choices. 0 or -1; gp_products_release in both cases. */
int gp_products_read(gp_products *p, const char *path);
void gp_products_release(gp_products *p);

/* Appends the file's text, with the choices of this backend. */
void gp_products_print(const gp_backend *be, gp_buf *text);

/* Makes the backend use the recorded algorithms: where `measured` is set all of them, else those that replace one that
 * the library refused. Those of another library or device are not used, and why (else "") reports that. 0 or -1. */
int gp_products_use(gp_backend *be, const gp_products *p, bool measured, char *why, size_t size);

/* The next choice that is not reported yet and was made because the recorded one is not available. NULL: there is
 * none. */
const gp_product_choice *gp_products_next_lost(gp_backend *be);

/* Runs a pass in which the algorithms of each product without a choice are timed; returns its seconds, negative on
 * failure. The results of the pass are not valid. */
double gp_products_measure(gp_backend *be, int (*pass)(void *self), void *self);

/* Seconds of all products of a pass: with the chosen algorithms, and with the library's first ones. */
void gp_products_total(const gp_backend *be, double *chosen, double *first);

/* "cuBLASLt 13.1.1 (measured)"; "" where they are the backend's own. */
const char *gp_products_describe(const gp_backend *be, char *text, size_t size);

#endif
