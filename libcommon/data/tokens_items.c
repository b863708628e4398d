/* tokens_items.c: see tokens_items.h. */
#include "data/tokens_items.h"

#include <stdlib.h>
#include <string.h>

#include "data/labels.h"
#include "data/tokens_format.h"
#include "data/tokens_metadata.h"

/* The member of the metadata as a fresh string. */
static char *member(const json_t *from, const char *name)
{
    const json_t *value = json_object_get(from, name);
    return value ? gp_strdup(json_string_value(value)) : NULL;
}

static bool is_name(const json_t *value)
{
    const char *text = json_string_value(value);
    return text && strlen(text) == json_string_length(value);
}

static int read_metadata(gp_tokens_items *t, const json_t *root, const char *name)
{
    const json_t *items = json_object_get(root, "items"), *pair = json_object_get(items, "pair"),
                 *labels = json_object_get(items, "labels");
    size_t i, count = json_array_size(labels);
    const json_t *label;
    if (!is_name(json_object_get(items, "text")) || !is_name(json_object_get(items, "label")) ||
        (pair && !is_name(pair)))
        return fail("%s: its metadata does not name the members of its items (text, label)", name);
    if (count < 1 || count > GP_LABELS_MAX)
        return fail("%s: its metadata names %zu labels, expected 1 to %d", name, count, GP_LABELS_MAX);
    t->text = member(items, "text");
    t->pair = member(items, "pair");
    t->label = member(items, "label");
    t->names = gp_calloc(count, sizeof *t->names);
    json_array_foreach (labels, i, label) {
        if (!is_name(label))
            return fail("%s: the name of label %zu in its metadata is not a string", name, i);
        t->names[t->count++] = gp_strdup(json_string_value(label));
    }
    t->separator = (int64_t)json_array_size(json_object_get(json_object_get(root, "separator"), "ids"));
    return 0;
}

/* Labels must have names, and the texts must fit their documents. */
static int check_items(const gp_tokens_items *t, const gp_tokens *s, const gp_tokens_info *info)
{
    uint32_t crc = gp_crc32(0, t->numbers, (size_t)(16 * info->documents)); /* and of the starts that follow */
    if (crc != t->crc)
        return fail("%s: is corrupt: the CRC of its items is %08x, its trailer says %08x", info->name, crc, t->crc);
    for (int64_t i = 0; i < info->documents; i++) {
        int64_t begin = gp_tokens_document(s, i), tokens = gp_tokens_document(s, i + 1) - begin;
        gp_token_item item = gp_tokens_items_get(t, i, begin, tokens);
        if (item.label < -1 || item.label >= t->count)
            return fail("%s: is corrupt: the label of item %lld is %d, expected -1 to %lld", info->name, (long long)i,
                        item.label, (long long)t->count - 1);
        if (item.second < 0 || item.first + item.second + t->separator != tokens)
            return fail("%s: is corrupt: item %lld has %lld tokens, of which its first text has %lld and its separator "
                        "%lld",
                        info->name, (long long)i, (long long)tokens, (long long)item.first, (long long)t->separator);
    }
    return 0;
}

int gp_tokens_items_open(gp_tokens_items *t, const gp_tokens *s, gp_tokens_info *info)
{
    json_t *root = gp_tokens_metadata(s);
    int rc = root ? read_metadata(t, root, info->name) : -1;
    json_decref(root);
    info->labels = t->count;
    info->pairs = t->pair != NULL;
    return rc ? rc : check_items(t, s, info);
}

void gp_tokens_items_release(gp_tokens_items *t)
{
    for (int64_t i = 0; i < t->count; i++)
        free(t->names[i]);
    free(t->names);
    free(t->text);
    free(t->pair);
    free(t->label);
    *t = (gp_tokens_items){0};
}

gp_token_item gp_tokens_items_get(const gp_tokens_items *t, int64_t i, int64_t begin, int64_t tokens)
{
    gp_token_item item = {
        .begin = begin, .first = gp_get32(t->numbers + 8 * i + 4), .label = (int32_t)gp_get32(t->numbers + 8 * i)};
    if (t->pair)
        item.second = tokens - item.first - t->separator;
    return item;
}
