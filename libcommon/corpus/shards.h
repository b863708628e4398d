/* shards.h: writes one token stream, or its numbered shards, which appear together once all are complete.
 *
 *     gp_shards s;
 *     gp_shards_open(&s, "train.tok", 100000000, true, &info);      // train_000000.tok, train_000001.tok, ...
 *     gp_shards_write(&s, ids, n);
 *     gp_shards_end_document(&s);
 *     gp_shards_prepare(&s) || gp_shards_finish(&s);
 *     gp_shards_release(&s);
 */
#ifndef GP_CORPUS_SHARDS_H
#define GP_CORPUS_SHARDS_H

#include "gptpipe/tokens.h"
#include "base/base.h"

typedef struct gp_shards {
    const char *path;     /* of the stream, or the pattern of the shards' names */
    int64_t size;         /* tokens a shard; 0: a single stream */
    bool documents;       /* shards end with a document and have an index; otherwise they end at their size */
    gp_tokens_info info;  /* of each stream */
    char *metadata;       /* info.metadata, owned */
    gp_tokens_writer **w; /* (count) all but the last are prepared */
    int count;
    bool between; /* a document has just ended */
    int64_t tokens;
} gp_shards;

/* "a/train.tok" and "-val": "a/train-val.tok". The caller frees. */
char *gp_name_with(const char *path, const char *suffix);

/* path must outlive s. 0 or -1; call gp_shards_release in both cases. */
int gp_shards_open(gp_shards *s, const char *path, int64_t size, bool documents, const gp_tokens_info *info);
int gp_shards_write(gp_shards *s, const int32_t *ids, int64_t count);
int gp_shards_end_document(gp_shards *s);
int gp_shards_end_item(gp_shards *s, int32_t label, int64_t first); /* see gp_tokens_end_item */
int64_t gp_shards_documents(const gp_shards *s);

int gp_shards_prepare(gp_shards *s);  /* flushes everything to disk, under temporary names */
int gp_shards_finish(gp_shards *s);   /* renames the files */
void gp_shards_release(gp_shards *s); /* removes what was not finished */

#endif
