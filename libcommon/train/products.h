/* products.h: the ways in which matrix products are made, where a backend's library has several: measured, recorded
 * with a run, and taken again by one that is resumed. */
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

/* A run's file; nothing where there is none. 0; or -1, and then too it is to be released. */
int gp_products_read(gp_products *p, const char *path);
void gp_products_release(gp_products *p);

/* The file's text of what this backend chose. */
void gp_products_print(const gp_backend *be, gp_buf *text);

/* The backend takes what was recorded: what was measured, where `measured`, and what was left when the library refused
 * another way. Nothing where it was another library or device; *why then says so ("" where nothing is to be said). 0 or
 * -1. */
int gp_products_use(gp_backend *be, const gp_products *p, bool measured, char *why, size_t size);

/* A choice that was not reported yet: made when the library refused an algorithm as it ran, or because a recorded one
 * is not available. NULL where there is none. */
const gp_product_choice *gp_products_next(gp_backend *be);

/* Runs a pass in which each product that has no choice is timed in its ways, and gives the seconds that it took; below
 * 0 where it failed. What the pass computes is worth nothing. */
double gp_products_measure(gp_backend *be, int (*pass)(void *self), void *self);

/* Seconds of a pass' products, as chosen and as they would be without. */
void gp_products_total(const gp_backend *be, double *chosen, double *first);

/* "cuBLASLt 13.1.1 (measured)"; "" where products are the backend's own. */
const char *gp_products_describe(const gp_backend *be, char *text, size_t size);

#endif
