/* catalog_items.h: the member "items" of the catalog, which describes the items of a data set. */
#ifndef GP_FETCH_CATALOG_ITEMS_H
#define GP_FETCH_CATALOG_ITEMS_H

#include <jansson.h>

#include "gptpipe/fetch.h"

/* {"kind": "labelled", "splits": {"train": "imdb/train", ...}, "labels": ["neg", "pos"], "separator", "text", "label"}.
 * The strings remain owned by the JSON. NULL where it is malformed; `where` is for messages. */
gp_catalog_items *gp_items_read(json_t *from, const char *where);
void gp_items_free(const gp_catalog_items *items);

/* For --info: as lines, and as the JSON it was read from. */
void gp_items_print(const gp_catalog_items *items, FILE *out);
json_t *gp_items_to_json(const gp_catalog_items *items);

#endif
