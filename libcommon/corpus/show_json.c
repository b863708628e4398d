/* show_json.c: what a model reads for each document of a text, as JSON Lines: gp_corpus_show_json. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_write.h"
#include "corpus/corpus.h"

enum { AROUND = 1 << 16 }; /* more than a post_processor puts around texts */

/* The tokens of one of the two texts. */
typedef struct coded {
    int32_t *ids;
    int64_t *offsets; /* (count, 2) */
    int64_t count;
} coded;

/* gp_tokenizer_assemble is given places in place of ids: token i of text k is -1 - (2 i + k). So what remains after
 * truncation is known with its offsets; an id that is not negative is a token around the texts. */
static int32_t *places_of(const coded *c, int k)
{
    int32_t *places = gp_malloc((size_t)(c->count + 1) * sizeof *places);
    for (int64_t i = 0; i < c->count; i++)
        places[i] = (int32_t)(-1 - (2 * i + k));
    return places;
}

static void put_document(gp_buf *b, const gp_tokenizer *t, const coded texts[2], const int32_t *places,
                         const int32_t *types, int64_t n)
{
    static const char *const keys[] = {"ids", "tokens", "types", "texts", "offsets"};
    gp_json_open(b, NULL, '{');
    for (size_t key = 0; key < ARRAY_LEN(keys); key++) {
        gp_json_open(b, keys[key], '[');
        for (int64_t i = 0; i < n; i++) {
            bool around = places[i] >= 0;
            int64_t place = around ? 0 : -1 - (int64_t)places[i];
            const coded *c = &texts[place % 2];
            int32_t id = around ? places[i] : c->ids[place / 2];
            size_t length;
            const char *bytes = gp_tokenizer_bytes(t, id, &length);
            gp_buf_puts(b, i ? "," : "");
            if (key == 0)
                gp_buf_printf(b, "%d", id);
            else if (key == 1)
                gp_json_quote(b, bytes, length);
            else if (key == 2)
                gp_buf_printf(b, "%d", types[i]);
            else if (key == 3)
                gp_buf_puts(b, around ? "null" : place % 2 ? "1" : "0");
            else
                gp_buf_printf(b, "[%lld,%lld]", (long long)(around ? 0 : c->offsets[place / 2 * 2]),
                              (long long)(around ? 0 : c->offsets[place / 2 * 2 + 1]));
        }
        gp_json_close(b, ']');
    }
    gp_json_close(b, '}');
    gp_buf_puts(b, "\n");
}

/* Encodes, assembles and writes one document, the text and, unless NULL, the second text of part. */
static int show_document(const gp_tokenizer *t, const gp_buf *text, const gp_text_part *part, const gp_show_options *o,
                         FILE *out)
{
    coded texts[2] = {0};
    int32_t *places[2] = {0}, *all = NULL;
    gp_buf b = {0};
    int rc = gp_tokenizer_encode_offsets(t, text->data ? text->data : "", text->len, o->special, &texts[0].ids,
                                         &texts[0].offsets, &texts[0].count);
    if (!rc && part->pair)
        rc = gp_tokenizer_encode_offsets(t, part->pair, part->pair_length, o->special, &texts[1].ids, &texts[1].offsets,
                                         &texts[1].count);
    if (!rc && texts[0].count + texts[1].count > INT32_MAX / 4)
        rc = fail("it has too many tokens to show");
    if (!rc) {
        int64_t room = texts[0].count + texts[1].count + AROUND, max = o->max ? o->max : room;
        for (int k = 0; k < (part->pair ? 2 : 1); k++)
            places[k] = places_of(&texts[k], k);
        all = gp_malloc(2 * (size_t)(gp_min(room, max) + 1) * sizeof *all);
        int32_t *types = all + gp_min(room, max) + 1;
        int64_t n = gp_tokenizer_assemble(t, places[0], texts[0].count, places[1], texts[1].count, max, o->truncate,
                                          all, types);
        rc = n < 0 ? -1 : 0;
        if (!rc)
            put_document(&b, t, texts, all, types, n);
    }
    if (rc)
        gp_fail_in("%s", part->file);
    else if (fwrite(b.data, 1, b.len, out) != b.len)
        rc = fail("the tokens cannot be written: %s", strerror(errno));
    gp_buf_release(&b);
    free(all);
    for (int k = 0; k < 2; k++) {
        free(texts[k].ids);
        free(texts[k].offsets);
        free(places[k]);
    }
    return rc;
}

int gp_corpus_show_json(gp_text *text, const gp_tokenizer *t, const gp_corpus_options *o, const gp_show_options *how,
                        FILE *out)
{
    gp_separator separator = gp_separator_choose(gp_text_get_info(text), o);
    gp_buf document = {0};
    gp_text_part part;
    int rc;
    while ((rc = gp_text_next(text, separator.text, separator.length, &part)) > 0) {
        gp_buf_add(&document, part.data, part.length);
        if (!part.separated && !part.file_ends)
            continue;
        /* the end of a file after its last separator or line is no document */
        if ((part.separated || document.len) && show_document(t, &document, &part, how, out)) {
            rc = -1;
            break;
        }
        document.len = 0;
    }
    gp_buf_release(&document);
    return rc;
}
