/* order.h: where the rows of one set of streams begin, as a function of the row's number alone. gptpipe/loader.h
 * describes the orders.
 *
 *     gp_order o;
 *     if (!gp_order_open(&o, GP_ORDER_SHUFFLE, &set, T, 1, seed, 0))
 *         gp_place p = gp_order_place(&o, row);       // tokens p.start .. p.start + T of set.spans[p.span]
 *     gp_order_close(&o);
 */
#ifndef GP_DATA_ORDER_H
#define GP_DATA_ORDER_H

#include "base/base.h"
#include "gptpipe/loader.h"

/* The units of an order in one span: start positions, windows, micro-batches or documents. */
typedef struct gp_units {
    int64_t before, count; /* units in the spans before it, and in it */
    int64_t spare;         /* shuffle: tokens left over by its windows */
    int64_t document;      /* documents: the first that may begin a row */
    int64_t separator;     /* documents: ids in a separator */
} gp_units;

typedef struct gp_order gp_order;
struct gp_order {
    const gp_stream_set *set;
    int64_t T, rows; /* tokens a row; rows of a micro-batch (sequential) */
    uint64_t seed;
    uint32_t stream; /* of random numbers for the first span; see gp_order_open */
    int64_t windows; /* non-overlapping windows of T tokens in the whole set */
    int64_t total;   /* units in the whole set */
    gp_units *units; /* (set->count) */
    gp_place (*place)(const gp_order *o, int64_t row);
};

/* rows: of a micro-batch, for sequential; if no span has that many, sequential takes single rows. first: number of
 * spans in the sets before this one, so that no two spans draw the same random numbers. The set must outlive the order.
 * 0, or -1 if every span of the set is too short for a row. */
int gp_order_open(gp_order *o, gp_data_order order, const gp_stream_set *set, int64_t T, int64_t rows, uint64_t seed,
                  int64_t first);
void gp_order_close(gp_order *o);

gp_place gp_order_place(const gp_order *o, int64_t row);

/* Rows of an epoch. */
int64_t gp_order_epoch(const gp_order *o);

/* Spans too short for a row. */
int gp_order_unread(const gp_order *o);

#endif
