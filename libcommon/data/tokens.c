/* tokens.c: reads and verifies token streams. Every size in a file is checked against the file's own before use. */
#include "gptpipe/tokens.h"

#include <stdlib.h>
#include <zlib.h>

#include "data/tokens_format.h"
#include "data/tokens_items.h"
#include "data/spool.h"

struct gp_tokens {
    gp_tokens_info info;
    gp_map map;
    char *name;         /* for messages */
    char *metadata;     /* what info.metadata points to */
    const char *ids;    /* width * count bytes */
    const char *starts; /* (documents) u64, unaligned */
    gp_tokens_items items;
    bool has_crc;  /* it is a .tok */
    bool verified; /* CRC and ids were checked on opening */
    uint32_t crc;
};

/* ---- .tok ------------------------------------------------------------------------------------------------ */

/* Inflates the metadata into s->metadata, at most GP_TOK_METADATA_MAX bytes. */
static int inflate_metadata(gp_tokens *s, const char *packed, uint64_t size)
{
    gp_buf json = {0};
    z_stream z = {0};
    int rc = -1, state = Z_OK;
    if (inflateInit(&z) != Z_OK)
        die("zlib cannot start");
    z.next_in = (z_const Bytef *)(uintptr_t)packed;
    z.avail_in = (uInt)size;
    while (state == Z_OK) {
        gp_buf_reserve(&json, json.len + (1 << 16));
        size_t available = (size_t)gp_min((int64_t)(json.cap - json.len - 1), 1 << 30);
        z.next_out = (Bytef *)json.data + json.len;
        z.avail_out = (uInt)available;
        state = inflate(&z, Z_NO_FLUSH);
        json.len += available - z.avail_out;
        if (json.len > GP_TOK_METADATA_MAX) {
            fail("%s: its metadata is larger than %d bytes", s->name, GP_TOK_METADATA_MAX);
            goto out;
        }
    }
    json.data[json.len] = 0;
    if (state != Z_STREAM_END || strlen(json.data) != json.len) {
        fail("%s: its metadata is corrupt (%s)", s->name, z.msg ? z.msg : "it ends early");
        goto out;
    }
    s->metadata = json.data;
    json.data = NULL;
    rc = 0;
out:
    inflateEnd(&z);
    gp_buf_release(&json);
    return rc;
}

/* Checks each field of the header alone. */
static int check_header(const gp_tokens *s, const char *h)
{
    uint64_t vocab = gp_get64(h + 16);
    if (gp_get32(h + 8) != GP_TOK_HEADER_SIZE)
        return fail("%s: its header says it has %u bytes, expected %d", s->name, gp_get32(h + 8), GP_TOK_HEADER_SIZE);
    if (vocab < 1 || vocab > INT32_MAX)
        return fail("%s: its header gives a vocabulary of %llu, expected 1 to %d", s->name, (unsigned long long)vocab,
                    INT32_MAX);
    if (gp_get32(h + 12) != (uint32_t)gp_tok_width((int64_t)vocab))
        return fail("%s: its header gives %u bytes a token, expected %d with a vocabulary of %llu", s->name,
                    gp_get32(h + 12), gp_tok_width((int64_t)vocab), (unsigned long long)vocab);
    if (gp_get64(h + 56) & ~(uint64_t)GP_TOK_ITEMS)
        return fail("%s: its header has flags (0x%llx) that this version does not know", s->name,
                    (unsigned long long)gp_get64(h + 56));
    if (gp_get64(h + 32) > GP_TOK_METADATA_MAX)
        return fail("%s: its header gives %llu bytes of metadata, more than the limit of %d", s->name,
                    (unsigned long long)gp_get64(h + 32), GP_TOK_METADATA_MAX);
    return 0;
}

/* Document starts must rise from 0 and stay below count. */
static int check_index(const gp_tokens *s)
{
    uint64_t previous = 0, count = (uint64_t)s->info.count;
    for (int64_t i = 0; i < s->info.documents; i++) {
        uint64_t start = gp_get64(s->starts + 8 * i);
        if (i ? start <= previous || start >= count : start != 0)
            return fail("%s: its index is corrupt: document %lld starts at token %llu", s->name, (long long)i,
                        (unsigned long long)start);
        previous = start;
    }
    return 0;
}

/* Tokens, items and index must exactly fill the space from byte `at`, where the metadata ends, to the trailer. */
static int check_sizes(gp_tokens *s, uint64_t at, uint64_t header_count)
{
    const char *trailer = s->map.data + s->map.size - GP_TOK_TRAILER_SIZE;
    uint64_t size = s->map.size - at - GP_TOK_TRAILER_SIZE, width = (uint64_t)s->info.width;
    uint64_t count = gp_get64(trailer + 8), documents = gp_get64(trailer + 16);
    if (count != header_count && header_count != UINT64_MAX)
        return fail("%s: is corrupt: its header counts %llu tokens, its trailer %llu", s->name,
                    (unsigned long long)header_count, (unsigned long long)count);
    uint64_t items = s->info.items ? 8 : 0, index = documents ? (8 + items) * documents + 8 : 0;
    if (documents > size / 8 || count > size / width || index > size || count * width != size - index)
        return fail("%s: is corrupt: %llu tokens of %llu bytes and %llu documents do not fill its %llu bytes", s->name,
                    (unsigned long long)count, (unsigned long long)width, (unsigned long long)documents,
                    (unsigned long long)s->map.size);
    s->info.count = (int64_t)count;
    s->info.documents = (int64_t)documents;
    s->ids = s->map.data + at;
    s->items.numbers = s->ids + count * width;
    s->starts = s->items.numbers + items * documents;
    if (documents && gp_get64(trailer - 8) != documents)
        return fail("%s: is corrupt: its index counts %llu documents, its trailer %llu", s->name,
                    (unsigned long long)gp_get64(trailer - 8), (unsigned long long)documents);
    if (gp_get32(trailer + 28) && !s->info.items)
        return fail("%s: is corrupt: its trailer does not end with zero", s->name);
    s->items.crc = gp_get32(trailer + 28);
    s->has_crc = true;
    s->crc = gp_get32(trailer + 24);
    return check_index(s);
}

static int open_tok(gp_tokens *s)
{
    const char *h = s->map.data;
    uint64_t size = s->map.size;
    if (size < GP_TOK_HEADER_SIZE + GP_TOK_TRAILER_SIZE)
        return fail("%s: is cut short: %llu bytes are less than the header and the trailer of a token stream", s->name,
                    (unsigned long long)size);
    if (check_header(s, h))
        return -1;
    uint64_t packed = gp_get64(h + 32), at = GP_TOK_HEADER_SIZE + gp_round_up(packed, 64);
    if (at > size - GP_TOK_TRAILER_SIZE ||
        memcmp(h + size - GP_TOK_TRAILER_SIZE, GP_TOK_TRAILER, strlen(GP_TOK_TRAILER)))
        return fail("%s: is cut short: its %llu bytes do not end with a token stream's trailer; make it again", s->name,
                    (unsigned long long)size);
    s->info.vocab_size = (int64_t)gp_get64(h + 16);
    s->info.width = gp_tok_width(s->info.vocab_size);
    memcpy(s->info.fingerprint, h + 40, sizeof s->info.fingerprint);
    s->info.items = gp_get64(h + 56) & GP_TOK_ITEMS;
    if (packed && inflate_metadata(s, h + GP_TOK_HEADER_SIZE, packed))
        return -1;
    return check_sizes(s, at, gp_get64(h + 24));
}

/* ---- formats without metadata ---------------------------------------------------------------------------- */

static int open_llmc(gp_tokens *s, int64_t vocab_size)
{
    if (s->map.size < GP_LLMC_HEADER_SIZE || gp_get32(s->map.data) != GP_LLMC_MAGIC)
        return fail("%s: is not llm.c's .bin: it does not begin with the number %d and a header of %d bytes", s->name,
                    GP_LLMC_MAGIC, GP_LLMC_HEADER_SIZE);
    if (gp_get32(s->map.data + 4) != GP_LLMC_VERSION)
        return fail("%s: is llm.c's .bin of version %u, expected %d (uint16 ids)", s->name, gp_get32(s->map.data + 4),
                    GP_LLMC_VERSION);
    uint64_t size = s->map.size - GP_LLMC_HEADER_SIZE, count = gp_get32(s->map.data + 8);
    if (count > INT32_MAX || 2 * count != size)
        return fail("%s: is corrupt: its header counts %u tokens, the %llu bytes after it hold %llu", s->name,
                    (unsigned)count, (unsigned long long)size, (unsigned long long)size / 2);
    s->info.vocab_size = vocab_size ? vocab_size : GP_LLMC_VOCAB;
    s->info.count = (int64_t)count;
    s->ids = s->map.data + GP_LLMC_HEADER_SIZE;
    return 0;
}

/* Other id files begin with a header, which raw16 would read as ids. llm.c has three: GPT-2's ids, LLaMA's ids, and
 * questions. */
static int check_raw16(const gp_tokens *s)
{
    static const struct {
        const char *bytes, *what;
    } others[] = {
        {GP_TOK_MAGIC, "a token stream of tokenize's (--format tok)"},
        {"\x88\xd8\x34\x01", "llm.c's .bin (--format llmc)"},
        {"\xa1\xd9\x34\x01", "llm.c's .bin of LLaMA's ids, which is not supported"},
        {"\x8a\xd8\x34\x01", "llm.c's .bin of questions, which is not supported"},
        {"\x93NUMPY", "a numpy array; its tofile() writes the bare ids"},
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        size_t n = strlen(others[i].bytes);
        if (s->map.size >= n && !memcmp(s->map.data, others[i].bytes, n))
            return fail("%s: is not raw16, which has no header: it begins like %s", s->name, others[i].what);
    }
    return 0;
}

static int open_raw16(gp_tokens *s, int64_t vocab_size)
{
    if (check_raw16(s))
        return -1;
    if (!vocab_size)
        return fail("%s: a raw stream does not record its vocabulary; give --vocab-size", s->name);
    if (s->map.size % 2)
        return fail("%s: has %zu bytes, an odd number; raw16 has two bytes a token", s->name, s->map.size);
    s->info.vocab_size = vocab_size;
    s->info.count = (int64_t)(s->map.size / 2);
    s->ids = s->map.data;
    return 0;
}

/* ---- opening --------------------------------------------------------------------------------------------- */

const char *gp_stream_format_name(gp_stream_format format)
{
    static const char *const names[] = {GP_STREAM_FORMATS(GP_CHOICE_NAME)};
    return names[format];
}

static gp_stream_format detect_format(const gp_map *m)
{
    if (m->size >= 8 && !memcmp(m->data, GP_TOK_MAGIC, 8))
        return GP_STREAM_TOK;
    if (m->size >= 8 && gp_get32(m->data) == GP_LLMC_MAGIC && gp_get32(m->data + 4) < 256)
        return GP_STREAM_LLMC;
    return GP_STREAM_ANY;
}

static int open_format(gp_tokens *s, gp_stream_format format, int64_t vocab_size)
{
    gp_stream_format detected = detect_format(&s->map);
    if (!s->map.size)
        return fail("%s: is empty; a token stream was expected", s->name);
    if (gp_refuse_lfs_pointer(s->map.data, s->map.size, s->name))
        return -1;
    if (!format && !detected)
        return fail("%s: is not a token stream: it begins neither with %s nor as llm.c's .bin does (make one "
                    "with tokenize; for bare uint16 ids give --format raw16 --vocab-size N)",
                    s->name, GP_TOK_MAGIC);
    s->info.format = format ? format : detected;
    s->info.width = 2;
    if (s->info.format == GP_STREAM_TOK) {
        if (detected != GP_STREAM_TOK)
            return fail("%s: is not a token stream: it does not begin with %s", s->name, GP_TOK_MAGIC);
        return open_tok(s);
    }
    if (vocab_size < 0 || vocab_size > 65536)
        return fail("%s: a vocabulary of %lld does not fit uint16 ids (1 to 65536)", s->name, (long long)vocab_size);
    return s->info.format == GP_STREAM_LLMC ? open_llmc(s, vocab_size) : open_raw16(s, vocab_size);
}

static int open_input(gp_tokens *s, gp_input *in, gp_stream_format format, int64_t vocab_size, const char *spool)
{
    gp_out out = {.fd = -1};
    bool keep = spool && (!in->mapped || in->fd == STDIN_FILENO), pipe = keep || !in->mapped;
    int rc = -1;
    s->info.name = s->name = gp_strdup(in->name);
    if (keep && gp_out_open_file(&out, spool))
        return -1;
    if (keep   ? gp_input_spool_to(in, INT64_MAX, &out, &s->map, spool)
        : pipe ? gp_input_spool(in, INT64_MAX, &s->map)
               : gp_map_fd(&s->map, in->fd, in->name))
        goto out;
    s->info.metadata = "{}";
    if (open_format(s, format, vocab_size))
        goto out;
    if (s->metadata)
        s->info.metadata = s->metadata;
    if ((s->info.items && gp_tokens_items_open(&s->items, s, &s->info)) || (pipe && gp_tokens_verify(s)))
        goto out;
    s->verified = pipe;
    rc = keep ? gp_out_commit(&out) : 0;
    keep = false;
out:
    if (keep)
        gp_out_abandon(&out);
    return rc;
}

gp_tokens *gp_tokens_open_as(const char *path, gp_stream_format format, int64_t vocab_size, const char *spool)
{
    gp_input in;
    if (gp_input_open(&in, path))
        return NULL;
    gp_tokens *s = gp_calloc(1, sizeof *s);
    if (open_input(s, &in, format, vocab_size, spool)) {
        gp_tokens_close(s);
        s = NULL;
    }
    gp_input_close(&in);
    return s;
}

gp_tokens *gp_tokens_open(const char *path, const char *spool)
{
    return gp_tokens_open_as(path, GP_STREAM_ANY, 0, spool);
}

void gp_tokens_close(gp_tokens *s)
{
    if (!s)
        return;
    gp_map_close(&s->map);
    gp_tokens_items_release(&s->items);
    free(s->metadata);
    free(s->name);
    free(s);
}

int gp_tokens_expect(const gp_tokens *s, int64_t vocab_size)
{
    if (!vocab_size || vocab_size == s->info.vocab_size)
        return 0;
    return fail("%s: has a vocabulary of %lld ids, %lld were given; --vocab-size is for streams that do not record one",
                s->name, (long long)s->info.vocab_size, (long long)vocab_size);
}

void gp_tokens_share(gp_tokens *s, const gp_tokens *like)
{
    if (!like || !s->metadata || strcmp(s->metadata, like->info.metadata))
        return;
    s->info.metadata = like->info.metadata;
    free(s->metadata);
    s->metadata = NULL;
}

void gp_tokens_add_sum(const gp_tokens *s, int pieces, gp_sha256 *h)
{
    enum { PIECE = 4096 };
    char line[48];
    int64_t bytes = s->info.count * s->info.width, size = gp_min(bytes, PIECE);
    int n = snprintf(line, sizeof line, "%lld %d %08x\n", (long long)s->info.count, s->info.width, s->crc);
    gp_sha256_add(h, line, (size_t)n);
    if (s->info.items)
        gp_sha256_add(h, &s->items.crc, sizeof s->items.crc);
    for (int64_t i = 0; i < pieces && !s->has_crc; i++) {
        int64_t at = pieces > 1 ? (int64_t)((double)(bytes - size) * (double)i / (pieces - 1)) : 0;
        gp_sha256_add(h, s->ids + at, (size_t)size);
    }
}

/* ---- reading --------------------------------------------------------------------------------------------- */

const gp_tokens_info *gp_tokens_get_info(const gp_tokens *s)
{
    return &s->info;
}

/* ids[i] = token first + i, unchecked. Returns the largest. */
static uint32_t widen(const gp_tokens *s, int64_t first, int64_t count, int32_t *ids)
{
    const char *p = s->ids + first * s->info.width;
    uint32_t max = 0;
    for (int64_t i = 0; i < count; i++) {
        uint32_t id;
        if (s->info.width == 2) {
            uint16_t half;
            memcpy(&half, p + 2 * i, 2);
            id = half;
        } else {
            id = gp_get32(p + 4 * i);
        }
        max = id > max ? id : max;
        ids[i] = (int32_t)id;
    }
    return max;
}

int gp_tokens_read(const gp_tokens *s, int64_t first, int64_t count, int32_t *ids)
{
    if (first < 0 || count < 0 || first > s->info.count || count > s->info.count - first)
        return fail("%s: cannot read %lld tokens from %lld on: it has %lld", s->name, (long long)count,
                    (long long)first, (long long)s->info.count);
    if (!count || widen(s, first, count, ids) < (uint64_t)s->info.vocab_size)
        return 0;
    int64_t i = 0;
    while ((uint32_t)ids[i] < (uint64_t)s->info.vocab_size)
        i++;
    return fail("%s: token %lld is %u, but its vocabulary has %lld ids%s", s->name, (long long)(first + i),
                (uint32_t)ids[i], (long long)s->info.vocab_size, s->has_crc ? "" : "; --vocab-size sets the number");
}

static int compare_crc(const gp_tokens *s, uint32_t crc)
{
    if (!s->has_crc || crc == s->crc)
        return 0;
    return fail("%s: is corrupt: the CRC of its tokens is %08x, its trailer says %08x", s->name, crc, s->crc);
}

static int check_ids(const gp_tokens *s, int64_t first, int64_t count)
{
    int32_t ids[4096];
    int rc = 0;
    for (int64_t at = first, n; !rc && at < first + count; at += n)
        rc = gp_tokens_read(s, at, n = gp_min(ARRAY_LEN(ids), first + count - at), ids);
    return rc;
}

/* With a CRC, a wrong id is reported only if the CRC is right: otherwise the file is damaged. */
int gp_tokens_check(const gp_tokens *s, const _Atomic bool *stop)
{
    enum { STEP = 1 << 20 };
    uint32_t crc = 0;
    int64_t wrong = -1, n;
    for (int64_t at = 0; at < s->info.count && (wrong < 0 || s->has_crc); at += n) {
        n = gp_min(STEP, s->info.count - at);
        if (stop && (*stop || s->verified))
            return 0;
        const char *ids = s->ids + at * s->info.width;
        size_t bytes = (size_t)(n * s->info.width);
        crc = s->has_crc ? gp_crc32(crc, ids, bytes) : 0;
        if (wrong < 0 && check_ids(s, at, n))
            wrong = at;
        if (stop)
            gp_map_drop_pages(ids, bytes); /* a stream may be larger than memory */
    }
    int rc = compare_crc(s, crc);
    return rc || wrong < 0 ? rc : check_ids(s, wrong, gp_min(STEP, s->info.count - wrong));
}

int gp_tokens_verify(const gp_tokens *s)
{
    return gp_tokens_check(s, NULL);
}

int64_t gp_tokens_document(const gp_tokens *s, int64_t i)
{
    BUG_ON(i < 0 || i > s->info.documents);
    return i == s->info.documents ? s->info.count : (int64_t)gp_get64(s->starts + 8 * i);
}

gp_token_item gp_tokens_item(const gp_tokens *s, int64_t i)
{
    BUG_ON(!s->info.items || i < 0 || i >= s->info.documents);
    int64_t begin = gp_tokens_document(s, i);
    return gp_tokens_items_get(&s->items, i, begin, gp_tokens_document(s, i + 1) - begin);
}

const char *gp_tokens_label_name(const gp_tokens *s, int64_t label)
{
    BUG_ON(label < 0 || label >= s->info.labels);
    return s->items.names[label];
}

void gp_tokens_item_members(const gp_tokens *s, const char **text, const char **pair, const char **label)
{
    *text = s->items.text;
    *pair = s->items.pair;
    *label = s->items.label;
}
