/* test_context.c: a context that goes on. A line's answer is that of a fresh run over all that was read and handed out
 * before it, whether or not it is in the cache still. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "backends.h"
#include "gptpipe/sampler.h"
#include "infer/generate.h"
#include "model/model.h"

enum { POSITIONS = 64 };

typedef struct fixture {
    gp_backend *be;
    gp_tokenizer *t;
    gp_model *m;
    gp_context *c;
    gp_generation how;
} fixture;

static fixture open_fixture(const char *backend)
{
    fixture f = {.be = gp_backend_open(backend, "fp32", 2), .t = gp_tokenizer_open("bytes"), .c = gp_context_open()};
    assert_non_null(f.be);
    assert_non_null(f.t);
    gp_config c;
    assert_int_equal(gp_config_preset(&c, "nano"), 0);
    c.layers = c.heads = 2;
    c.channels = 32;
    c.inner = 64;
    c.positions = POSITIONS;
    c.vocab_size = gp_tokenizer_vocab_size(f.t);
    c.init_std = 0.3; /* far from uniform, so that the likeliest is clear */
    f.m = gp_model_create(&c, f.be, false);
    gp_model_init(f.m, 7);
    f.how = (gp_generation){.sampling = {.top_p = 1}, .samples = 1, .max_tokens = 5};
    return f;
}

static void close_fixture(fixture *f)
{
    gp_context_close(f->c);
    gp_model_free(f->m);
    gp_tokenizer_close(f->t);
    gp_backend_close(f->be);
}

/* What fn of a run is told: ids, the text, and after how many ids it says to stop (0: never). */
typedef struct heard {
    int32_t ids[256];
    int64_t count, most;
    gp_buf text;
} heard;

static int hear(void *self, const gp_token_event *d)
{
    heard *h = self;
    if (d->token)
        h->ids[h->count++] = d->drawn.id;
    gp_buf_add(&h->text, d->bytes, d->n);
    return h->count == h->most;
}

/* Adds a line and draws its answer; and the same from a fresh prompt on a model of its own, with the ids that the row
 * would read. */
static void converse(fixture *f, const char *line, int64_t most, heard *answer)
{
    heard fresh = {.most = most};
    *answer = fresh;
    assert_int_equal(gp_context_add(f->c, f->t, line, strlen(line), true), 0);
    gp_prompt p = gp_context_prompt(f->c);
    int64_t start, count = p.count, cached = gp_context_cached(f->c, f->m, &start);
    int32_t *ids = gp_malloc((size_t)count * sizeof *ids);
    memcpy(ids, p.ids, (size_t)count * sizeof *ids);
    assert_true(cached <= count - start);
    f->how.context = f->c;
    assert_int_equal(gp_generate_all(f->m, f->t, &p, 1, &f->how, hear, answer, NULL), most > 0);

    gp_model *m = gp_model_create(gp_model_config(f->m), f->be, false);
    gp_model_init(m, 7);
    gp_generation how = f->how;
    how.context = NULL;
    assert_int_equal(
        gp_generate_all(m, f->t, &(gp_prompt){.ids = ids + start, .count = count - start}, 1, &how, hear, &fresh, NULL),
        most > 0);
    gp_model_free(m);
    assert_int_equal(answer->count, fresh.count);
    assert_memory_equal(answer->ids, fresh.ids, (size_t)fresh.count * sizeof *fresh.ids);
    assert_int_equal(answer->text.len, fresh.text.len);
    assert_memory_equal(answer->text.data, fresh.text.data, fresh.text.len);
    gp_buf_release(&fresh.text);

    p = gp_context_prompt(f->c); /* line and answer are the context now */
    assert_true(p.count >= count && !memcmp(p.ids, ids, (size_t)count * sizeof *ids));
    assert_memory_equal(p.ids + count, answer->ids, (size_t)(p.count - count) * sizeof *ids);
    free(ids);
}

static int64_t cached_of(const fixture *f)
{
    int64_t start;
    return gp_context_cached(f->c, f->m, &start);
}

/* Lines of one to many tokens, an empty one, and answers: what was there is not read again. */
static void an_answer_is_that_of_a_fresh_run(void **state)
{
    (void)state;
    for (size_t b = 0; b < ARRAY_LEN(backends); b++) {
        fixture f = open_fixture(backends[b]);
        static const char *const lines[] = {"ab", "c", "", "a line of more tokens"};
        int64_t read = 0;
        for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
            heard a;
            converse(&f, lines[i], 0, &a);
            read += (int64_t)strlen(lines[i]) + (i && *lines[i]); /* a newline before later ones */
            assert_int_equal(gp_context_prompt(f.c).count, read + (int64_t)a.text.len);
            assert_int_equal(cached_of(&f), gp_min(read + 4, read + (int64_t)a.text.len)); /* not the last id drawn */
            read += (int64_t)a.text.len;
            gp_buf_release(&a.text);
        }
        gp_context_reset(f.c);
        assert_int_equal(gp_context_prompt(f.c).count + cached_of(&f), 0);
        close_fixture(&f);
    }
}

/* Three times the model's context, and answers that pass it half-way. */
static void past_the_context_it_goes_on_over_the_last_half_window(void **state)
{
    (void)state;
    for (size_t b = 0; b < ARRAY_LEN(backends); b++) {
        fixture f = open_fixture(backends[b]);
        f.how.max_tokens = 11;
        for (int i = 0; i < 12; i++) {
            heard a;
            converse(&f, i % 3 ? "seven l" : "a longer line", 0, &a);
            assert_true(cached_of(&f) <= POSITIONS);
            gp_buf_release(&a.text);
        }
        assert_true(gp_context_prompt(f.c).count > 3 * POSITIONS);
        close_fixture(&f);
    }
}

/* Stopped by whom the text goes to, by an id, by a text: what was not handed out is not part of the context. */
static void the_context_is_what_was_handed_out(void **state)
{
    (void)state;
    for (size_t b = 0; b < ARRAY_LEN(backends); b++) {
        fixture f = open_fixture(backends[b]);
        f.how.max_tokens = 6;
        heard whole, a;
        converse(&f, "once", 0, &whole);
        assert_int_equal(whole.count, 6);

        gp_context_reset(f.c);
        converse(&f, "once", 3, &a);
        assert_int_equal(gp_context_prompt(f.c).count, 4 + (int64_t)a.text.len);
        gp_buf_release(&a.text);
        converse(&f, "more", 0, &a);
        gp_buf_release(&a.text);

        int32_t end = whole.ids[3];
        gp_context_reset(f.c);
        f.how.stop_ids = &end;
        f.how.stop_id_count = 1;
        converse(&f, "once", 0, &a);
        assert_int_equal(a.count, 4);
        assert_int_equal(gp_context_prompt(f.c).count, 4 + (int64_t)a.text.len);
        gp_buf_release(&a.text);
        f.how.stop_id_count = 0;
        converse(&f, "more", 0, &a);
        gp_buf_release(&a.text);

        char stop[3] = {0}; /* the third and the fourth byte drawn */
        size_t n;
        stop[0] = *gp_tokenizer_bytes(f.t, whole.ids[2], &n);
        stop[1] = *gp_tokenizer_bytes(f.t, whole.ids[3], &n);
        gp_context_reset(f.c);
        f.how.stops = (char *[]){stop, NULL};
        converse(&f, "once", 0, &a);
        assert_int_equal(a.count, 4);
        assert_int_equal(gp_context_prompt(f.c).count, 4 + (int64_t)a.text.len);
        gp_buf_release(&a.text);
        f.how.stops = NULL;
        converse(&f, "more", 0, &a);
        gp_buf_release(&a.text);
        gp_buf_release(&whole.text);
        close_fixture(&f);
    }
}

/* Another run of the model takes the cache: then all is read again. */
static void a_cache_that_others_had_is_not_trusted(void **state)
{
    (void)state;
    for (size_t b = 0; b < ARRAY_LEN(backends); b++) {
        fixture f = open_fixture(backends[b]);
        heard a, other = {0};
        converse(&f, "first", 0, &a);
        gp_buf_release(&a.text);
        assert_true(cached_of(&f) > 0);
        gp_generation how = f.how;
        how.context = NULL;
        assert_int_equal(gp_generate_all(f.m, f.t, &(gp_prompt){.ids = (int32_t[]){9, 8, 7}, .count = 3}, 1, &how, hear,
                                         &other, NULL),
                         0);
        gp_buf_release(&other.text);
        assert_int_equal(cached_of(&f), 0);
        converse(&f, "second", 0, &a);
        gp_buf_release(&a.text);
        close_fixture(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_that_of_a_fresh_run),
        cmocka_unit_test(past_the_context_it_goes_on_over_the_last_half_window),
        cmocka_unit_test(the_context_is_what_was_handed_out),
        cmocka_unit_test(a_cache_that_others_had_is_not_trusted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
