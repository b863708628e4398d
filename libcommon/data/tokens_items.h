/* tokens_items.h: the items of a token stream: the labels of its documents, and where their texts begin. */
#ifndef GP_DATA_TOKENS_ITEMS_H
#define GP_DATA_TOKENS_ITEMS_H

#include "gptpipe/tokens.h"

typedef struct gp_tokens_items {
    const char *numbers;       /* (documents) i32 label, u32 tokens of the first text; in the mapped file */
    uint32_t crc;              /* of these and the starts after them, as the trailer has it */
    int64_t separator;         /* tokens at the end of every document that are not of a text */
    char *text, *pair, *label; /* members of the JSON Lines; pair NULL: items are single texts */
    char **names;              /* (info.labels) of the labels */
    int64_t count;             /* of names */
} gp_tokens_items;

/* Reads the members of `items` in the metadata of s, checks the CRC and each item, and sets info->pairs and
 * info->labels, info being that of s. numbers and crc are set. 0 or -1; gp_tokens_items_release in both cases. */
int gp_tokens_items_open(gp_tokens_items *t, const gp_tokens *s, gp_tokens_info *info);
void gp_tokens_items_release(gp_tokens_items *t);

/* Item i, whose document has `tokens` tokens from `begin` on. */
gp_token_item gp_tokens_items_get(const gp_tokens_items *t, int64_t i, int64_t begin, int64_t tokens);

#endif
