/* prompts.c: see prompts.h. */
#include "gptpipe/prompts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_python.h"
#include "data/jsonl.h"
#include "infer/generate.h"

static const size_t MAX_BYTES = (size_t)1 << 30; /* of a file of prompts */

static void add(gp_prompts *p, gp_prompt item)
{
    p->items = gp_grow(p->items, p->count, sizeof *p->items);
    p->items[p->count++] = item;
}

int gp_ids_parse(const char *list, int32_t **ids, int64_t *count)
{
    *count = 0;
    *ids = gp_malloc((strlen(list) / 2 + 1) * sizeof **ids);
    for (const char *s = list;; s++) {
        char *end;
        errno = 0;
        long id = strtol(s, &end, 10);
        if (end == s || errno || id < 0 || id > INT32_MAX || (*end && *end != ',')) {
            free(*ids);
            *ids = NULL;
            return fail("'%s': expected token ids separated by commas, such as 1,2,3", list);
        }
        (*ids)[(*count)++] = (int32_t)id;
        if (!*end)
            return 0;
        s = end;
    }
}

char **gp_stops_parse(const gp_list *typed)
{
    char **stops = gp_calloc((size_t)typed->count + 1, sizeof *stops);
    for (int i = 0; i < typed->count; i++) {
        stops[i] = gp_strdup(typed->items[i]);
        int64_t length = gp_unescape(stops[i]);
        if (length < 1 || memchr(stops[i], 0, (size_t)length)) {
            gp_stops_free(stops);
            fail("'%s': expected text that is not empty; escapes are \\n, \\t, \\\\ and \\xHH", typed->items[i]);
            return NULL;
        }
        stops[i][length] = 0;
    }
    return stops;
}

void gp_stops_free(char **stops)
{
    for (char **s = stops; s && *s; s++)
        free(*s);
    free(stops);
}

int gp_prompts_add_ids(gp_prompts *p, const char *list)
{
    gp_prompt item = {0};
    if (gp_ids_parse(list, &item.ids, &item.count))
        return -1;
    add(p, item);
    return 0;
}

/* Encodes a text with the ids that the tokenizer puts around it. An empty text becomes the ids before a text, or
 * end-of-text, or a newline. */
static int encode_text(gp_prompts *p, const gp_tokenizer *t, const char *text, size_t length, gp_prompt *item)
{
    int64_t before;
    int32_t end = gp_tokenizer_end_of_text(t);
    gp_tokenizer_prefix(t, &before);
    if (!length && !before && end < 0) {
        text = "\n";
        length = 1;
    }
    if (gp_tokenizer_encode_whole(t, text, length, p->allow_special, &item->ids, &item->count))
        return -1;
    if (!length && !before) {
        memmove(item->ids + 1, item->ids, (size_t)item->count++ * sizeof *item->ids);
        item->ids[0] = end;
    }
    p->special_text |= length && !p->allow_special && gp_tokenizer_find_special(t, text, length) < length;
    return 0;
}

int gp_prompts_add_text(gp_prompts *p, const gp_tokenizer *t, const char *text, size_t length)
{
    gp_prompt item = {.length = length};
    if (!t)
        return fail("%s: give token ids in place of text", p->why ? p->why : "the checkpoint has no tokenizer");
    if (encode_text(p, t, text, length, &item))
        return -1;
    item.text = gp_strndup(text, length);
    add(p, item);
    return 0;
}

int gp_prompts_add_stdin(gp_prompts *p, const gp_tokenizer *t)
{
    gp_buf text = {0};
    int rc = gp_file_read(&text, "-", MAX_BYTES);
    if (!rc) {
        text.len -= text.len && text.data[text.len - 1] == '\n';
        rc = gp_prompts_add_text(p, t, text.data, text.len);
    }
    gp_buf_release(&text);
    return rc;
}

int gp_prompts_check(const gp_config *c, const gp_prompt *prompts, int64_t count)
{
    for (int64_t p = 0; p < count; p++) {
        char *which = count > 1 ? gp_format("prompt %lld", (long long)p + 1) : gp_strdup("the prompt");
        int rc = prompts[p].count < 1 ? fail("%s is empty: at least one token is needed", which) : 0;
        for (int64_t i = 0; i < prompts[p].count && !rc; i++)
            if (prompts[p].ids[i] < 0 || prompts[p].ids[i] >= c->vocab_size)
                rc = fail("%s: token id %d is outside the model's vocabulary of %lld", which, prompts[p].ids[i],
                          (long long)c->vocab_size);
        free(which);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- JSON Lines ------------------------------------------------------------------------------------------ */

typedef struct prompt_source {
    gp_prompts *p;
    const gp_tokenizer *t;
    const char *name, *field;
    int64_t vocab_size;
} prompt_source;

static int add_array(gp_prompts *p, const json_t *array, int64_t vocab_size)
{
    gp_prompt item = {.count = (int64_t)json_array_size(array)};
    int rc = 0;
    if (!item.count)
        return fail("the array of token ids is empty: at least one is needed");
    item.ids = gp_malloc((size_t)(item.count + 1) * sizeof *item.ids);
    for (int64_t i = 0; i < item.count && !rc; i++) {
        const json_t *id = json_array_get(array, (size_t)i);
        json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        if (value < 0 || value > INT32_MAX)
            rc = fail("item %lld is not a token id", (long long)i + 1);
        else if (value >= vocab_size)
            rc = fail("token id %lld is outside the model's vocabulary of %lld", (long long)value,
                      (long long)vocab_size);
        item.ids[i] = (int32_t)value;
    }
    if (rc)
        free(item.ids);
    else
        add(p, item);
    return rc;
}

static int add_object(void *self, const json_t *object, int64_t number, size_t end)
{
    (void)end;
    const prompt_source *s = self;
    gp_prompts *p = s->p;
    const json_t *value = json_object_get(object, s->field), *id = json_object_get(object, "id");
    const char *text = NULL;
    size_t n;
    if (!json_is_array(value) && !(text = gp_jsonl_string(object, s->field, &n, s->name, number)))
        return -1;
    if (text ? gp_prompts_add_text(p, s->t, text, n) : add_array(p, value, s->vocab_size))
        return gp_fail_in("%s: line %lld", s->name, (long long)number);
    if (id && !(p->items[p->count - 1].name = gp_json_dump_python(id)))
        return fail("%s: line %lld: its \"id\" is not finite and cannot be written as JSON", s->name,
                    (long long)number);
    return 0;
}

int gp_prompts_add_file(gp_prompts *p, const gp_tokenizer *t, const char *path, const char *field, int64_t vocab_size)
{
    gp_buf text = {0};
    prompt_source s = {p, t, strcmp(path, "-") ? path : "stdin", field, vocab_size};
    int64_t before = p->count;
    int rc = gp_file_read(&text, path, MAX_BYTES);
    if (!rc)
        rc = gp_jsonl_for_each(&text, s.name, add_object, &s);
    if (!rc && p->count == before)
        rc = fail("%s: has no prompt: one JSON object a line is expected", s.name);
    gp_buf_release(&text);
    return rc;
}

void gp_prompts_release(gp_prompts *p)
{
    for (int64_t i = 0; i < p->count; i++) {
        free(p->items[i].ids);
        free(p->items[i].text);
        free(p->items[i].name);
    }
    free(p->items);
    *p = (gp_prompts){0};
}
