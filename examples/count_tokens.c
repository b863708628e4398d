/* count_tokens.c: which tokens a text is made of. A program that uses the library from outside.
 *
 *     make -C examples
 *     examples/count_tokens gpt2 < README.md
 *
 * The argument is a tokenizer: bytes, gpt2, a tokenizer.json or a folder that holds one. One line a token, the most
 * frequent first: how often, its id, its bytes.
 */
#include <stdio.h>
#include <stdlib.h>

#include <gptpipe/tokenizer.h>

typedef struct row {
    int64_t count;
    int32_t id;
} row;

static int by_count(const void *a, const void *b)
{
    const row *x = a, *y = b;
    return x->count != y->count ? (x->count < y->count ? 1 : -1) : x->id - y->id;
}

/* All of stdin, to be freed; NULL when it cannot be read. */
static char *read_stdin(size_t *length)
{
    size_t size = 1 << 16;
    char *text = malloc(size);
    *length = 0;
    while (text) {
        *length += fread(text + *length, 1, size - *length, stdin);
        if (*length < size)
            break;
        size *= 2;
        char *larger = realloc(text, size);
        if (!larger)
            free(text);
        text = larger;
    }
    if (text && ferror(stdin)) {
        free(text);
        text = NULL;
    }
    return text;
}

static void print_bytes(const char *bytes, size_t length)
{
    putchar('"');
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c < ' ' || c == '"' || c == '\\' || c == 127)
            printf("\\x%02x", c);
        else
            putchar(c);
    }
    puts("\"");
}

static void print_counts(const gp_tokenizer *t, const int32_t *ids, int64_t n)
{
    int64_t vocab_size = gp_tokenizer_vocab_size(t);
    row *rows = calloc((size_t)vocab_size, sizeof *rows);
    if (!rows)
        return;
    for (int64_t i = 0; i < vocab_size; i++)
        rows[i].id = (int32_t)i;
    for (int64_t i = 0; i < n; i++)
        rows[ids[i]].count++;
    qsort(rows, (size_t)vocab_size, sizeof *rows, by_count);
    for (int64_t i = 0; i < vocab_size && rows[i].count; i++) {
        size_t length = 0;
        const char *bytes = gp_tokenizer_bytes(t, rows[i].id, &length);
        printf("%8lld %6d ", (long long)rows[i].count, rows[i].id);
        print_bytes(bytes, length);
    }
    free(rows);
}

int main(int argc, char **argv)
{
    size_t length;
    char *text = read_stdin(&length);
    gp_tokenizer *t = text ? gp_tokenizer_open(argc > 1 ? argv[1] : "bytes") : NULL;
    int32_t *ids = NULL;
    int64_t n = 0;
    int rc = 1;
    if (!text)
        fprintf(stderr, "count_tokens: stdin cannot be read\n");
    else if (!t || gp_tokenizer_encode(t, text, length, false, &ids, &n))
        fprintf(stderr, "count_tokens: %s\n", gp_error());
    else
        rc = 0;
    if (!rc)
        print_counts(t, ids, n);
    free(ids);
    free(text);
    if (t)
        gp_tokenizer_close(t);
    return rc;
}
