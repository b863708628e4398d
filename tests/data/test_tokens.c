/* Token streams: the bytes of docs/formats.md built here by hand, and what must be refused. */
#include "gptpipe/tokens.h"
#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static char path[256], dir[64] = "/tmp/gptpipe-tokens.XXXXXX";

static void save(const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    fclose(f);
}

static size_t load(char *data, size_t most)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(data, 1, most, f);
    fclose(f);
    return n;
}

static void put(char *p, uint64_t x, int bytes)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (char)(x >> 8 * i);
}

/* A stream with 7 ids of a vocabulary of 100, two documents (3 and 4 ids) and metadata, byte by byte as
 * docs/formats.md has it. Gives its size: 64 + 64 + 14 + 24 + 32. */
enum { IMAGE_SIZE = 64 + 64 + 14 + 24 + 32, TOKENS_AT = 128, INDEX_AT = 142, TRAILER_AT = 166 };
static const int32_t image_ids[7] = {0, 1, 99, 5, 6, 7, 42};

static void make_image(char *p)
{
    const char *json = "{\"source\":{\"name\":\"here\"}}";
    uLongf packed = 64;
    memset(p, 0, IMAGE_SIZE);
    memcpy(p, "GPTKTOK1", 8);
    put(p + 8, 64, 4);
    put(p + 12, 2, 4);
    put(p + 16, 100, 8);
    put(p + 24, 7, 8);
    for (int i = 0; i < 16; i++)
        p[40 + i] = (char)(i + 1);
    assert_int_equal(compress((Bytef *)p + 64, &packed, (const Bytef *)json, (uLong)strlen(json)), Z_OK);
    put(p + 32, packed, 8);
    for (int i = 0; i < 7; i++)
        put(p + TOKENS_AT + 2 * i, (uint64_t)image_ids[i], 2);
    put(p + INDEX_AT, 0, 8);
    put(p + INDEX_AT + 8, 3, 8);
    put(p + INDEX_AT + 16, 2, 8);
    memcpy(p + TRAILER_AT, "GPTKEND1", 8);
    put(p + TRAILER_AT + 8, 7, 8);
    put(p + TRAILER_AT + 16, 2, 8);
    put(p + TRAILER_AT + 24, crc32(0, (Bytef *)p + TOKENS_AT, 14), 4);
}

static void assert_refused(const char *said)
{
    gp_tokens *s = gp_tokens_open(path, NULL);
    if (s)
        fail_msg("opened, but should have failed with '%s'", said);
    if (!strstr(gp_error(), said))
        fail_msg("said '%s', expected '%s' in it", gp_error(), said);
    assert_null(strchr(gp_error(), '\n'));
}

static void a_stream_made_by_hand_reads(void **state)
{
    (void)state;
    char p[IMAGE_SIZE];
    int32_t ids[7];
    make_image(p);
    save(p, sizeof p);
    gp_tokens *s = gp_tokens_open(path, NULL);
    assert_non_null(s);
    const gp_tokens_info *info = gp_tokens_get_info(s);
    assert_int_equal(info->count, 7);
    assert_int_equal(info->vocab_size, 100);
    assert_int_equal(info->width, 2);
    assert_int_equal(info->documents, 2);
    assert_int_equal(info->fingerprint[15], 16);
    assert_string_equal(info->metadata, "{\"source\":{\"name\":\"here\"}}");
    assert_int_equal(info->format, GP_STREAM_TOK);
    assert_int_equal(gp_tokens_verify(s), 0);
    assert_int_equal(gp_tokens_read(s, 0, 7, ids), 0);
    assert_memory_equal(ids, image_ids, sizeof ids);
    assert_int_equal(gp_tokens_document(s, 0), 0);
    assert_int_equal(gp_tokens_document(s, 1), 3);
    assert_int_equal(gp_tokens_document(s, 2), 7);
    gp_tokens_close(s);
}

static void a_written_stream_is_the_image_made_by_hand(void **state)
{
    (void)state;
    char want[IMAGE_SIZE], got[IMAGE_SIZE + 1];
    gp_tokens_info info = {.vocab_size = 100, .metadata = "{\"source\":{\"name\":\"here\"}}"};
    make_image(want);
    memcpy(info.fingerprint, want + 40, 16);
    gp_tokens_writer *w = gp_tokens_create(path, &info);
    assert_non_null(w);
    assert_int_equal(gp_tokens_write(w, image_ids, 3), 0);
    assert_int_equal(gp_tokens_end_document(w), 0);
    assert_int_equal(gp_tokens_write(w, image_ids + 3, 4), 0);
    assert_int_equal(gp_tokens_end_document(w), 0);
    assert_int_equal(gp_tokens_written(w), 7);
    assert_int_equal(gp_tokens_documents_written(w), 2);
    assert_int_equal(gp_tokens_finish(w), 0);
    assert_int_equal(load(got, sizeof got), IMAGE_SIZE);
    assert_memory_equal(got, want, IMAGE_SIZE);
}

static void a_vocabulary_over_65536_takes_four_bytes(void **state)
{
    (void)state;
    const int32_t ids[] = {65536, 0, 70000}, two[] = {65535};
    int32_t back[3];
    for (int64_t vocab = 65536; vocab <= 70001; vocab += 70001 - 65536) {
        gp_tokens_writer *w = gp_tokens_create(path, &(gp_tokens_info){.vocab_size = vocab});
        assert_int_equal(gp_tokens_write(w, vocab > 65536 ? ids : two, vocab > 65536 ? 3 : 1), 0);
        assert_int_equal(gp_tokens_finish(w), 0);
        gp_tokens *s = gp_tokens_open(path, NULL);
        assert_non_null(s);
        assert_int_equal(gp_tokens_get_info(s)->width, vocab > 65536 ? 4 : 2);
        assert_int_equal(gp_tokens_get_info(s)->documents, 0);
        assert_int_equal(gp_tokens_read(s, 0, gp_tokens_get_info(s)->count, back), 0);
        assert_memory_equal(back, vocab > 65536 ? ids : two, vocab > 65536 ? sizeof ids : sizeof two);
        gp_tokens_close(s);
    }
}

static void a_count_not_known_in_the_header_comes_from_the_trailer(void **state)
{
    (void)state;
    char p[IMAGE_SIZE];
    make_image(p);
    memset(p + 24, 0xff, 8);
    save(p, sizeof p);
    gp_tokens *s = gp_tokens_open(path, NULL);
    assert_non_null(s);
    assert_int_equal(gp_tokens_get_info(s)->count, 7);
    gp_tokens_close(s);
}

static void each_wrong_field_is_named(void **state)
{
    (void)state;
    static const struct {
        int at, bytes;
        uint64_t value;
        const char *said;
    } cases[] = {
        {0, 1, 'X', "is not a token stream"},
        {8, 4, 65, "its header says it has 65 bytes, expected 64"},
        {12, 4, 4, "4 bytes a token, expected 2"},
        {16, 8, 0, "a vocabulary of 0"},
        {16, 8, (uint64_t)1 << 31, "a vocabulary of 2147483648"},
        {24, 8, 8, "its header counts 8 tokens, its trailer 7"},
        {24, 8, 6, "its header counts 6 tokens, its trailer 7"},
        {24, 8, 0, "its header counts 0 tokens, its trailer 7"},
        {32, 8, (uint64_t)1 << 62, "bytes of metadata"},
        {32, 8, 1000, "is cut short"},
        {32, 8, 10, "metadata is corrupt"},
        {70, 1, 0x55, "metadata is corrupt"},
        {56, 8, 2, "flags (0x2)"},
        {56, 8, 1, "do not fill"}, /* labelled items, of which there are none */
        {INDEX_AT, 8, 1, "document 0 starts at token 1"},
        {INDEX_AT + 8, 8, 0, "document 1 starts at token 0"},
        {INDEX_AT + 8, 8, 7, "document 1 starts at token 7"},
        {INDEX_AT + 8, 8, UINT64_MAX, "document 1 starts at token 18446744073709551615"},
        {INDEX_AT + 16, 8, 3, "its index counts 3 documents, its trailer 2"},
        {TRAILER_AT, 1, 'X', "is cut short"},
        {TRAILER_AT + 8, 8, 6, "its header counts 7 tokens, its trailer 6"},
        {TRAILER_AT + 8, 8, 8, "its header counts 7 tokens, its trailer 8"},
        {TRAILER_AT + 16, 8, 3, "do not fill"},
        {TRAILER_AT + 16, 8, UINT64_MAX, "do not fill"},
        {TRAILER_AT + 16, 8, (uint64_t)1 << 61, "do not fill"},
        {TRAILER_AT + 28, 4, 1, "does not end with zero"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char p[IMAGE_SIZE];
        make_image(p);
        put(p + cases[i].at, cases[i].value, cases[i].bytes);
        save(p, sizeof p);
        assert_refused(cases[i].said);
    }
}

static void counts_that_overflow_are_refused(void **state)
{
    (void)state;
    static const uint64_t counts[] = {UINT64_MAX, (uint64_t)1 << 63, ((uint64_t)1 << 63) + 7, (uint64_t)1 << 33};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        char p[IMAGE_SIZE];
        make_image(p);
        put(p + 24, counts[i], 8);
        put(p + TRAILER_AT + 8, counts[i], 8);
        save(p, sizeof p);
        assert_refused("do not fill");
    }
}

static void a_stream_cut_anywhere_is_refused(void **state)
{
    (void)state;
    char p[IMAGE_SIZE];
    make_image(p);
    for (size_t n = 0; n < IMAGE_SIZE; n++) {
        save(p, n);
        assert_refused(n == 0 ? "is empty" : n < 8 ? "is not a token stream" : "is cut short");
    }
}

static void a_metadata_bomb_is_refused(void **state)
{
    (void)state;
    uLong size = 300 << 20; /* zeros: over the limit, and 300 KB when compressed */
    uLongf packed = compressBound(size);
    char *zeros = calloc(1, size), *p = calloc(1, 64 + packed + 64 + 32);
    assert_int_equal(compress2((Bytef *)p + 64, &packed, (Bytef *)zeros, size, 1), Z_OK);
    free(zeros);
    memcpy(p, "GPTKTOK1", 8);
    put(p + 8, 64, 4);
    put(p + 12, 2, 4);
    put(p + 16, 100, 8);
    put(p + 32, packed, 8);
    size_t at = 64 + (packed + 63) / 64 * 64;
    memcpy(p + at, "GPTKEND1", 8);
    save(p, at + 32);
    free(p);
    assert_refused("its metadata is larger than");
}

static void a_changed_token_fails_the_crc(void **state)
{
    (void)state;
    char p[IMAGE_SIZE];
    make_image(p);
    p[TOKENS_AT] ^= 1;
    save(p, sizeof p);
    gp_tokens *s = gp_tokens_open(path, NULL);
    assert_non_null(s);
    assert_int_equal(gp_tokens_verify(s), -1);
    assert_non_null(strstr(gp_error(), "CRC"));
    gp_tokens_close(s);
}

static int verify(const char *p, size_t n)
{
    save(p, n);
    gp_tokens *s = gp_tokens_open(path, NULL);
    assert_non_null(s);
    int rc = gp_tokens_verify(s);
    gp_tokens_close(s);
    return rc;
}

/* 0 is a CRC as any other: that of the bytes 9d 0a d9 6d (zlib.crc32 of Python), and of no token at all. */
static void a_crc_of_zero_is_compared_too(void **state)
{
    (void)state;
    char p[IMAGE_SIZE];
    make_image(p);
    put(p + TRAILER_AT + 24, 0, 4);
    assert_int_equal(verify(p, IMAGE_SIZE), -1);
    assert_non_null(strstr(gp_error(), "its trailer says 00000000"));

    enum { SIZE = 64 + 4 + 32 };
    gp_tokens_writer *w = gp_tokens_create(path, &(gp_tokens_info){.vocab_size = 65536});
    assert_int_equal(gp_tokens_write(w, (int32_t[]){0x0a9d, 0x6dd9}, 2), 0);
    assert_int_equal(gp_tokens_finish(w), 0);
    assert_int_equal(load(p, sizeof p), SIZE);
    assert_memory_equal(p + SIZE - 8, "\0\0\0\0", 4);
    assert_int_equal(verify(p, SIZE), 0);
    put(p + SIZE - 8, 1, 4);
    assert_int_equal(verify(p, SIZE), -1);
    assert_non_null(strstr(gp_error(), "the CRC of its tokens is 00000000"));
}

static void an_id_outside_the_vocabulary_is_told_with_its_place(void **state)
{
    (void)state;
    char p[IMAGE_SIZE];
    int32_t ids[7];
    make_image(p);
    put(p + TOKENS_AT + 2 * 4, 100, 2);
    save(p, sizeof p);
    gp_tokens *s = gp_tokens_open(path, NULL);
    assert_non_null(s);
    assert_int_equal(gp_tokens_read(s, 0, 4, ids), 0);
    assert_int_equal(gp_tokens_read(s, 2, 4, ids), -1);
    assert_non_null(strstr(gp_error(), "token 4 is 100, but its vocabulary has 100 ids"));
    gp_tokens_close(s);
}

static void a_range_outside_the_stream_is_refused(void **state)
{
    (void)state;
    static const int64_t ranges[][2] = {{-1, 1}, {0, 8}, {8, 0}, {0, -1}, {1, INT64_MAX}, {INT64_MAX, 1}};
    char p[IMAGE_SIZE];
    int32_t ids[8];
    make_image(p);
    save(p, sizeof p);
    gp_tokens *s = gp_tokens_open(path, NULL);
    assert_non_null(s);
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        assert_int_equal(gp_tokens_read(s, ranges[i][0], ranges[i][1], ids), -1);
    assert_int_equal(gp_tokens_read(s, 7, 0, ids), 0);
    gp_tokens_close(s);
}

/* Whatever bytes are changed or cut off: an error or a stream that reads, never a crash. */
static void damaged_streams_never_crash(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252u;
    for (int round = 0; round < 4000; round++) {
        char p[IMAGE_SIZE];
        make_image(p);
        size_t n = sizeof p;
        for (int change = 0; change < 1 + round % 3; change++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            char *byte = p + random % sizeof p;
            *byte = (char)(round % 2 ? random >> 32 : (uint8_t)*byte ^ 1u << (random >> 40) % 8);
        }
        if (round % 5 == 0)
            n = random >> 20 & 255;
        save(p, n < sizeof p ? n : sizeof p);
        gp_tokens *s = gp_tokens_open(path, NULL);
        if (!s)
            continue;
        int64_t count = gp_tokens_get_info(s)->count;
        int32_t ids[64];
        assert_in_range(count, 0, 64);
        gp_tokens_read(s, 0, count, ids);
        gp_tokens_verify(s);
        free(gp_tokens_member(s, "source"));
        for (int64_t i = 0; i <= gp_tokens_get_info(s)->documents; i++)
            assert_in_range(gp_tokens_document(s, i), 0, count);
        gp_tokens_close(s);
    }
}

/* Opens the image as a pipe, spooled to `spool`. */
static gp_tokens *open_piped(const char *p, size_t n, const char *spool)
{
    int ends[2];
    char name[64];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], p, n), n);
    close(ends[1]);
    snprintf(name, sizeof name, "/dev/fd/%d", ends[0]);
    gp_tokens *s = gp_tokens_open(name, spool);
    close(ends[0]);
    return s;
}

static void a_pipe_reads_like_a_file(void **state)
{
    (void)state;
    char p[IMAGE_SIZE];
    int32_t ids[7];
    make_image(p);
    memset(p + 24, 0xff, 8);
    gp_tokens *s = open_piped(p, sizeof p, NULL);
    assert_non_null(s);
    assert_int_equal(gp_tokens_read(s, 0, 7, ids), 0);
    assert_memory_equal(ids, image_ids, sizeof ids);
    gp_tokens_close(s);
}

static void a_pipe_is_kept_where_it_is_spooled_to(void **state)
{
    (void)state;
    char p[IMAGE_SIZE], got[IMAGE_SIZE + 1];
    make_image(p);
    unlink(path);
    gp_tokens *s = open_piped(p, sizeof p, path);
    assert_non_null(s);
    gp_tokens_close(s);
    assert_int_equal(load(got, sizeof got), IMAGE_SIZE);
    assert_memory_equal(got, p, IMAGE_SIZE);
}

static void a_damaged_pipe_is_refused_and_not_kept(void **state)
{
    (void)state;
    char p[IMAGE_SIZE];
    make_image(p);
    p[TOKENS_AT] ^= 1;
    unlink(path);
    assert_null(open_piped(p, sizeof p, path));
    assert_non_null(strstr(gp_error(), "CRC"));
    assert_int_equal(access(path, F_OK), -1);
}

static int make_dir(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/x.tok", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir); /* fails when a temporary file was left behind */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_made_by_hand_reads),
        cmocka_unit_test(a_written_stream_is_the_image_made_by_hand),
        cmocka_unit_test(a_vocabulary_over_65536_takes_four_bytes),
        cmocka_unit_test(a_count_not_known_in_the_header_comes_from_the_trailer),
        cmocka_unit_test(each_wrong_field_is_named),
        cmocka_unit_test(counts_that_overflow_are_refused),
        cmocka_unit_test(a_stream_cut_anywhere_is_refused),
        cmocka_unit_test(a_metadata_bomb_is_refused),
        cmocka_unit_test(a_changed_token_fails_the_crc),
        cmocka_unit_test(a_crc_of_zero_is_compared_too),
        cmocka_unit_test(an_id_outside_the_vocabulary_is_told_with_its_place),
        cmocka_unit_test(a_range_outside_the_stream_is_refused),
        cmocka_unit_test(damaged_streams_never_crash),
        cmocka_unit_test(a_pipe_reads_like_a_file),
        cmocka_unit_test(a_pipe_is_kept_where_it_is_spooled_to),
        cmocka_unit_test(a_damaged_pipe_is_refused_and_not_kept),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
