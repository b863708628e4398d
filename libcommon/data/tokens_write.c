/* tokens_write.c: writes token streams and their CRC. The header of a file gets its token count at the end; a pipe has
 * the count only in the trailer. */
#include "gptpipe/tokens.h"

#include <stdlib.h>
#include <zlib.h>

#include "base/file.h"
#include "data/number_list.h"
#include "data/tokens_format.h"

/* zlib takes 90 ms for GPT-2's tokenizer (1.4 MB of JSON), longer than encoding a book, to save 0.8 MB next to
 * gigabytes of tokens: metadata larger than this is stored uncompressed. */
enum { PACKED_MAX = 1 << 16 };

/* Tokens buffered before they are summed and written, because documents may be short. */
enum { PACKED = 4096 };

struct gp_tokens_writer {
    gp_out out;
    gp_stream_format format;
    int64_t vocab_size, count;
    int width;
    uint32_t crc;
    bool indexed; /* gp_tokens_end_document was called: the stream gets an index */
    bool between; /* the next token begins a document */
    bool labelled;
    bool prepared;
    int64_t documents;
    gp_number_list starts; /* (documents) until the stream is prepared */
    gp_number_list items;  /* (documents that have ended) label and first length, as in the file; likewise */
    int64_t pending;       /* tokens in packed; included in `count`, not yet in `crc` */
    char packed[4 * PACKED];
};

/* A zlib stream of stored blocks (RFC 1950, RFC 1951), written straight from the text; zlib would copy it twice. */
enum { BLOCK_MAX = 65535 };

static size_t stored_size(size_t n)
{
    return 2 + 5 * ((n + BLOCK_MAX - 1) / BLOCK_MAX) + n + 4;
}

static void put_stored(gp_out *o, const char *text, size_t n)
{
    uint32_t sum = (uint32_t)adler32_z(adler32_z(0, NULL, 0), (const Bytef *)text, n);
    char end[4] = {(char)(sum >> 24), (char)(sum >> 16), (char)(sum >> 8), (char)sum};
    gp_out_write(o, "\x78\x01", 2);
    while (n) {
        size_t length = n < BLOCK_MAX ? n : BLOCK_MAX;
        char head[5] = {(char)(length == n)}; /* BFINAL */
        gp_put32(head + 1, (uint32_t)length | (uint32_t)~length << 16);
        gp_out_write(o, head, sizeof head);
        gp_out_write(o, text, length);
        text += length;
        n -= length;
    }
    gp_out_write(o, end, sizeof end);
}

static int put_metadata(gp_tokens_writer *w, const char *header, const char *json)
{
    static const char zeros[64];
    size_t size = json ? strlen(json) : 0;
    uLongf packed_size = size > PACKED_MAX ? stored_size(size) : size ? compressBound(size) : 0;
    Bytef *packed = NULL;
    char head[GP_TOK_HEADER_SIZE];
    if (size > GP_TOK_METADATA_MAX)
        return fail("metadata of %zu bytes is more than a token stream holds (%d)", size, GP_TOK_METADATA_MAX);
    if (size && size <= PACKED_MAX) {
        packed = gp_malloc(packed_size);
        if (compress2(packed, &packed_size, (const Bytef *)json, size, Z_DEFAULT_COMPRESSION) != Z_OK)
            die("zlib cannot compress %zu bytes", size);
    }
    memcpy(head, header, sizeof head);
    gp_put64(head + 32, packed_size);
    gp_out_write(&w->out, head, sizeof head);
    if (packed)
        gp_out_write(&w->out, packed, packed_size);
    else if (size)
        put_stored(&w->out, json, size);
    free(packed);
    return gp_out_write(&w->out, zeros, gp_round_up(packed_size, 64) - packed_size);
}

static int put_header(gp_tokens_writer *w, const gp_tokens_info *info)
{
    char h[GP_LLMC_HEADER_SIZE] = {0};
    switch (w->format) {
    case GP_STREAM_TOK:
        memcpy(h, GP_TOK_MAGIC, 8);
        gp_put32(h + 8, GP_TOK_HEADER_SIZE);
        gp_put32(h + 12, (uint32_t)w->width);
        gp_put64(h + 16, (uint64_t)w->vocab_size);
        gp_put64(h + 24, UINT64_MAX);
        memcpy(h + 40, info->fingerprint, sizeof info->fingerprint);
        gp_put64(h + 56, w->labelled ? GP_TOK_ITEMS : 0);
        return put_metadata(w, h, info->metadata);
    case GP_STREAM_LLMC:
        gp_put32(h, GP_LLMC_MAGIC);
        gp_put32(h + 4, GP_LLMC_VERSION);
        return gp_out_write(&w->out, h, sizeof h);
    case GP_STREAM_RAW16:
    case GP_STREAM_ANY:
        break;
    }
    return 0;
}

static int choose_format(gp_tokens_writer *w, const char *path, const gp_tokens_info *info)
{
    w->format = info->format ? info->format : GP_STREAM_TOK;
    if (info->vocab_size < 1 || info->vocab_size > INT32_MAX)
        return fail("%s: a vocabulary of %lld cannot be written (1 to %d)", path, (long long)info->vocab_size,
                    INT32_MAX);
    if (w->format != GP_STREAM_TOK && info->vocab_size > 65536)
        return fail("%s: %s holds uint16 ids, too small for a vocabulary of %lld; use --format tok", path,
                    gp_stream_format_name(w->format), (long long)info->vocab_size);
    if (w->format != GP_STREAM_TOK && info->items)
        return fail("%s: %s holds no labels; use --format tok", path, gp_stream_format_name(w->format));
    if (w->format == GP_STREAM_LLMC && gp_is_stream(path) > 0)
        return fail("llm.c's .bin begins with its token count and cannot be streamed; give -o FILE");
    return 0;
}

gp_tokens_writer *gp_tokens_create(const char *path, const gp_tokens_info *info)
{
    gp_tokens_writer *w = gp_calloc(1, sizeof *w);
    w->vocab_size = info->vocab_size;
    w->width = gp_tok_width(info->vocab_size);
    w->labelled = info->items;
    if (choose_format(w, path, info) || gp_out_open(&w->out, path)) {
        free(w);
        return NULL;
    }
    if (put_header(w, info)) {
        gp_tokens_abort(w);
        return NULL;
    }
    return w;
}

static int begin_document(gp_tokens_writer *w, uint64_t start)
{
    w->between = false;
    w->documents++;
    return gp_number_list_add(&w->starts, start);
}

static int put_packed(gp_tokens_writer *w)
{
    size_t n = (size_t)(w->pending * w->width);
    w->pending = 0;
    w->crc = gp_crc32(w->crc, w->packed, n);
    return gp_out_write(&w->out, w->packed, n);
}

int gp_tokens_write(gp_tokens_writer *w, const int32_t *ids, int64_t count)
{
    if (w->between && count && begin_document(w, (uint64_t)w->count))
        return -1;
    while (count) {
        int64_t n = gp_min(count, PACKED - w->pending);
        char *to = w->packed + w->pending * w->width;
        for (int64_t i = 0; i < n; i++) {
            if (ids[i] < 0 || ids[i] >= w->vocab_size)
                return fail("%s: id %d cannot be written: the vocabulary has %lld", w->out.path, ids[i],
                            (long long)w->vocab_size);
            if (w->width == 2) /* little-endian: the low bytes come first */
                memcpy(to + 2 * i, &ids[i], 2);
            else
                memcpy(to + 4 * i, &ids[i], 4);
        }
        w->pending += n;
        if (w->pending == PACKED && put_packed(w))
            return -1;
        w->count += n;
        ids += n;
        count -= n;
    }
    return w->out.failed ? -1 : 0;
}

/* Only now is it known that the first document is one. */
static int index_first(gp_tokens_writer *w)
{
    int rc = !w->indexed && w->count ? begin_document(w, 0) : 0;
    w->indexed = true;
    return rc;
}

int gp_tokens_end_document(gp_tokens_writer *w)
{
    BUG_ON(w->labelled);
    int rc = index_first(w);
    w->between = true;
    return rc || w->out.failed ? -1 : 0;
}

int gp_tokens_end_item(gp_tokens_writer *w, int32_t label, int64_t first)
{
    BUG_ON(!w->labelled || label < -1 || first < 0);
    if (index_first(w))
        return -1;
    w->between = true;
    if (w->items.count == w->documents)
        return fail("%s: an item without tokens cannot be written", w->out.path);
    if (first > UINT32_MAX)
        return fail("%s: an item of %lld tokens cannot be written (at most %u)", w->out.path, (long long)first,
                    UINT32_MAX);
    if (gp_number_list_add(&w->items, (uint32_t)label | (uint64_t)first << 32))
        return -1;
    return w->out.failed ? -1 : 0;
}

int64_t gp_tokens_written(const gp_tokens_writer *w)
{
    return w->count;
}

int64_t gp_tokens_documents_written(const gp_tokens_writer *w)
{
    return w->documents;
}

/* Writes the items, and the starts of all documents with their number. The CRC is that of items and starts. */
static int put_index(gp_tokens_writer *w, uint32_t *items_crc)
{
    char number[8];
    if (gp_number_list_write(&w->items, &w->out, items_crc) ||
        gp_number_list_write(&w->starts, &w->out, w->labelled ? items_crc : NULL))
        return -1;
    gp_put64(number, (uint64_t)w->documents);
    return gp_out_write(&w->out, number, sizeof number);
}

static void free_index(gp_tokens_writer *w)
{
    gp_number_list_release(&w->starts);
    gp_number_list_release(&w->items);
}

static int finish_tok(gp_tokens_writer *w)
{
    char trailer[GP_TOK_TRAILER_SIZE] = GP_TOK_TRAILER;
    uint32_t items_crc = 0;
    BUG_ON(w->labelled && w->items.count != w->documents); /* every document is an item */
    if (w->documents && put_index(w, &items_crc))
        return -1;
    gp_put64(trailer + 8, (uint64_t)w->count);
    gp_put64(trailer + 16, (uint64_t)w->documents);
    gp_put32(trailer + 24, w->crc);
    gp_put32(trailer + 28, items_crc);
    if (gp_out_write(&w->out, trailer, sizeof trailer))
        return -1;
    return w->out.temporary ? gp_out_patch(&w->out, 24, trailer + 8, 8) : 0;
}

static int finish_llmc(gp_tokens_writer *w)
{
    char number[4];
    if (w->count > INT32_MAX)
        return fail("%s: llm.c's .bin counts in 31 bits, too few for %lld tokens; use --shard-size or --format tok",
                    w->out.path, (long long)w->count);
    gp_put32(number, (uint32_t)w->count);
    return gp_out_patch(&w->out, 8, number, sizeof number);
}

int gp_tokens_prepare(gp_tokens_writer *w)
{
    w->prepared = true;
    int rc = put_packed(w)                 ? -1
             : w->format == GP_STREAM_TOK  ? finish_tok(w)
             : w->format == GP_STREAM_LLMC ? finish_llmc(w)
                                           : 0;
    free_index(w);
    return rc ? rc : gp_out_prepare(&w->out);
}

int gp_tokens_finish(gp_tokens_writer *w)
{
    if (!w->prepared && gp_tokens_prepare(w)) {
        gp_tokens_abort(w);
        return -1;
    }
    int rc = gp_out_commit(&w->out);
    free(w);
    return rc;
}

void gp_tokens_abort(gp_tokens_writer *w)
{
    if (!w)
        return;
    gp_out_abandon(&w->out);
    free_index(w);
    free(w);
}
