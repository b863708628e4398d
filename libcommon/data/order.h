/* order.h: where the rows of one set of streams begin, as a function of the row's number alone. loader.h says what
 * the orders are.
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

/* What an order counts in one span: places, windows, micro-batches or documents. */
typedef struct gp_units {
    int64_t before, count; /* in the spans before it, and in it */
    int64_t spare;         /* shuffle: tokens that its windows leave over */
    int64_t document;      /* documents: the first that may begin a row */
    int64_t separator;     /* documents: ids of the separator */
} gp_units;

typedef struct gp_order gp_order;
struct gp_order {
    const gp_stream_set *set;
    int64_t T, rows; /* tokens a row; rows that sequential takes or leaves together */
    uint64_t seed;
    uint32_t stream; /* of random numbers, the first span's; see gp_order_open */
    int64_t windows; /* of T tokens in the whole set, which do not overlap */
    int64_t total;   /* units */
    gp_units *units; /* (set->count) */
    gp_place (*place)(const gp_order *o, int64_t row);
};

/* rows: sequential's, of a micro-batch; where no span holds so many, it goes by single rows. first: spans in the
 * sets before this one, so that no two spans draw the same numbers. The set outlives the order. 0, or -1 when no
 * span of the set holds a row. */
int gp_order_open(gp_order *o, gp_data_order order, const gp_stream_set *set, int64_t T, int64_t rows, uint64_t seed,
                  int64_t first);
void gp_order_close(gp_order *o);

gp_place gp_order_place(const gp_order *o, int64_t row);

/* Rows after which the order has been through the set once. */
int64_t gp_order_epoch(const gp_order *o);

/* Spans of which no row is taken: too short. */
int gp_order_unread(const gp_order *o);

#endif
