/* bert.c: looks characters up in the tables of bert_table.c. */
#include "text/unicode/bert.h"

#include <stddef.h>

#include "base/base.h"

uint32_t gp_bert_class(uint32_t c)
{
    int64_t changes = 0; /* at or before c */
    GP_LOWER_BOUND(changes, gp_bert_classes_count, i, gp_bert_classes[i] >> 8 <= c);
    return changes ? gp_bert_classes[changes - 1] & 255 : 0;
}

unsigned gp_bert_order_of(uint32_t c)
{
    int64_t i = 0;
    GP_LOWER_BOUND(i, gp_bert_orders_count, k, gp_bert_orders[k].last < c);
    return i < gp_bert_orders_count && gp_bert_orders[i].first <= c ? gp_bert_orders[i].order : 0;
}

const gp_bert_long *gp_bert_stripped_of(uint32_t c)
{
    int64_t i = 0;
    GP_LOWER_BOUND(i, gp_bert_stripped_count, k, gp_bert_stripped[k].c < c);
    return i < gp_bert_stripped_count && gp_bert_stripped[i].c == c ? &gp_bert_stripped[i] : NULL;
}
