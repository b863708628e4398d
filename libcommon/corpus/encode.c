/* encode.c: text into token streams; see gptpipe/corpus.h. */
#include <stdlib.h>

#include "base/threads.h"
#include "corpus/corpus.h"
#include "corpus/shards.h"

/* One call of gp_corpus_encode. */
typedef struct encoding {
    gp_text *text;
    const gp_text_info *info;
    const gp_tokenizer *t;
    const gp_corpus_options *o;
    gp_separator separator;
    int64_t cut, train_documents; /* the byte where the validation part begins, or -1; documents before it */
    gp_shards train, val, *current;
    char *val_path;
    int64_t first;      /* of the current item: tokens of its first text */
    int64_t item_begin; /* the current part's tokens before the item */
    uint8_t *seen;      /* (labels) bit 0: occurs in the training part, bit 1: in the validation part */
} encoding;

/* The sidecars' entropies of documents [first, first + count), or NULL. */
static char *entropy_of(const encoding *j, int64_t first, int64_t count)
{
    bool whole = !j->o->shard_size; /* the number of documents in a shard is not known when it is opened */
    return whole && j->separator.of_sidecar ? gp_text_entropy(j->text, first, count) : NULL;
}

/* Opens the streams of a part. It has documents [first, first + count), if count is known. */
static int create(encoding *j, gp_shards *part, const char *path, int64_t first, int64_t count)
{
    char *tokenizer = gp_tokenizer_to_json(j->t), *entropy = entropy_of(j, first, count);
    char *metadata = gp_tokens_describe(&(gp_tokens_description){
        .tokenizer = tokenizer,
        .source = j->info->name,
        .source_sha256 = j->info->sha256,
        .separator = j->separator.count ? j->separator.text : NULL,
        .separator_length = j->separator.length,
        .separator_ids = j->separator.ids,
        .separator_count = j->separator.count,
        .entropy = entropy,
        .text = j->info->text,
        .pair = j->info->pair,
        .label = j->info->label,
        .labels = j->info->labels,
        .label_count = j->info->label_count,
        .bayes = j->info->bayes,
    });
    gp_tokens_info info = {.vocab_size = gp_tokenizer_vocab_size(j->t),
                           .format = j->o->format,
                           .metadata = metadata,
                           .items = j->info->label};
    gp_tokenizer_fingerprint(j->t, info.fingerprint);
    int rc = gp_shards_open(part, path, j->o->shard_size, gp_has_documents(j->info, &j->separator), &info);
    free(metadata);
    free(tokenizer);
    free(entropy);
    return rc;
}

static int put(void *self, const int32_t *ids, int64_t count)
{
    return gp_shards_write(((encoding *)self)->current, ids, count);
}

static int end_document(void *self)
{
    return gp_shards_end_document(((encoding *)self)->current);
}

static int end_first(void *self)
{
    encoding *j = self;
    j->first = j->current->tokens - j->item_begin;
    return 0;
}

static int end_item(void *self, int32_t label)
{
    encoding *j = self;
    j->item_begin = j->current->tokens;
    j->seen[label] |= j->current == &j->val ? 2 : 1;
    return gp_shards_end_item(j->current, label, j->first);
}

static int cross(void *self)
{
    encoding *j = self;
    j->current = &j->val;
    j->item_begin = 0;
    return create(j, &j->val, j->val_path, j->train_documents, j->info->entropy_documents - j->train_documents);
}

static void count(const encoding *j, int64_t bytes, gp_corpus_counts *n)
{
    *n = (gp_corpus_counts){.bytes = bytes,
                            .tokens = j->train.tokens + j->val.tokens,
                            .documents = gp_max(1, gp_shards_documents(&j->train) + gp_shards_documents(&j->val)),
                            .val_tokens = j->val.tokens,
                            .val_documents = gp_shards_documents(&j->val),
                            .files = j->train.count + j->val.count};
    for (int i = 0; j->val.count && i < j->info->label_count && !n->label; i++)
        n->label = j->seen[i] == 1 || j->seen[i] == 2 ? j->info->labels[i] : NULL;
}

static int check_counts(const encoding *j, const gp_corpus_counts *n)
{
    int64_t known = j->info->entropy_documents;
    if (!n->bytes)
        return fail("%s: is empty", j->info->name);
    if (j->separator.of_sidecar && j->info->entropy && n->documents != known)
        return fail("%s: has %lld documents, but its sidecar describes %lld; regenerate both", j->info->name,
                    (long long)n->documents, (long long)known);
    return 0;
}

static int begin(encoding *j, const char *out)
{
    j->separator = gp_separator_choose(j->info, j->o);
    j->seen = gp_calloc((size_t)j->info->label_count + 1, 1);
    j->cut = -1;
    j->train_documents = j->info->entropy_documents;
    if (gp_separator_encode(&j->separator, j->t))
        return -1;
    if (j->o->val_fraction > 0 &&
        gp_walk_find_cut(j->text, &j->separator, j->o->val_fraction, &j->cut, &j->train_documents))
        return -1;
    j->val_path = j->o->val ? gp_strdup(j->o->val) : gp_name_with(out, "-val");
    j->current = &j->train;
    return create(j, &j->train, out, 0, j->train_documents);
}

enum { DEFAULT_THREADS_MAX = 16 }; /* as many as one thread can feed, in less than 200 MB of memory */

int gp_corpus_encode(gp_text *text, const gp_tokenizer *t, const char *out, const gp_corpus_options *o,
                     gp_corpus_counts *counts)
{
    encoding j = {.text = text, .info = gp_text_get_info(text), .t = t, .o = o};
    int rc = begin(&j, out);
    gp_walk walk = {.text = text,
                    .t = t,
                    .separator = &j.separator,
                    .cut = j.cut,
                    .threads = o->threads ? o->threads : (int)gp_min(DEFAULT_THREADS_MAX, gp_processors()),
                    .allow_special = o->allow_special,
                    .quiet = o->quiet,
                    .put = put,
                    .end_document = end_document,
                    .end_first = end_first,
                    .end_item = end_item,
                    .cross = cross,
                    .self = &j};
    if (!rc)
        rc = gp_walk_run(&walk);
    if (!rc) {
        count(&j, walk.bytes, counts);
        counts->special = walk.special;
        counts->special_offset = walk.special_offset;
        rc = check_counts(&j, counts);
    }
    if (!rc)
        rc = gp_shards_prepare(&j.train) || (j.val.count && gp_shards_prepare(&j.val));
    if (!rc)
        rc = gp_shards_finish(&j.train) || gp_shards_finish(&j.val);
    gp_shards_release(&j.train);
    gp_shards_release(&j.val);
    gp_separator_release(&j.separator);
    free(j.val_path);
    free(j.seen);
    return rc ? -1 : 0;
}
