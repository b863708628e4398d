/* options_yaml.c: options from a YAML file, by libyaml. One flat mapping whose keys are the long
 * names:
 *
 *     steps: 2000
 *     data:
 *       - a.tok
 *       - b.tok
 *     recorded:          # skipped, whatever is below
 *       version: 0.1.0
 */
#include "base/file.h"
#include "cli/options.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

typedef struct yaml_reader {
    const gp_tool *tool;
    void *args;
    const char *path;
    bool *given;  /* one a row of the table, or NULL */
    bool *valued; /* rows to which this file has given a value */
    size_t *line; /* where each row was set in this file, 0: not yet */
    int depth;    /* mappings and lists that are open */
    yaml_parser_t parser;
    yaml_event_t event;
} yaml_reader;

/* libyaml's work grows with the square of depth and tags. */
enum { MAX_DEPTH = 64, MAX_TAGS = 64, MAX_SIZE = 1 << 20 };

static size_t event_line(const yaml_reader *r)
{
    return r->event.start_mark.line + 1;
}

static int follow_depth(yaml_reader *r)
{
    yaml_event_type_t type = r->event.type;
    r->depth += type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT;
    r->depth -= type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT;
    return r->depth > MAX_DEPTH
               ? fail("%s:%zu: is nested deeper than the limit of %d", r->path, event_line(r), MAX_DEPTH)
               : 0;
}

/* The next event, in place of the last one. */
static int next(yaml_reader *r)
{
    yaml_event_delete(&r->event);
    if (yaml_parser_parse(&r->parser, &r->event))
        return follow_depth(r);
    if (r->parser.error == YAML_MEMORY_ERROR)
        die("out of memory (libyaml)");
    const char *problem = r->parser.problem ? r->parser.problem : "not YAML";
    bool at_byte = r->parser.error == YAML_READER_ERROR; /* no line is known then */
    if (at_byte)
        return fail("%s: %s at byte %zu", r->path, problem, r->parser.problem_offset);
    return fail("%s:%zu: %s", r->path, r->parser.problem_mark.line + 1, problem);
}

/* Over the rest of a value whose first event is the current one. */
static int skip_value(yaml_reader *r)
{
    yaml_event_type_t type = r->event.type;
    bool opens = type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT;
    for (int around = r->depth - opens; r->depth > around;)
        if (next(r))
            return -1;
    return 0;
}

static const char *event_kind(const yaml_reader *r)
{
    switch (r->event.type) {
    case YAML_MAPPING_START_EVENT:
        return "a mapping";
    case YAML_SEQUENCE_START_EVENT:
        return "a list";
    case YAML_ALIAS_EVENT:
        return "an alias";
    case YAML_SCALAR_EVENT:
        return "a value";
    default:
        return "nothing";
    }
}

/* Six bits a character (RFC 4648); blanks between them are skipped. -1 when the text is not base64. */
static int decode_base64(gp_buf *b, const char *text, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    int have = 0;
    gp_buf_reserve(b, n);
    for (size_t i = 0; i < n && text[i] != '='; i++) {
        const char *digit = text[i] ? strchr(digits, text[i]) : NULL;
        if (!digit && (text[i] == ' ' || text[i] == '\n'))
            continue;
        if (!digit)
            return -1;
        bits = bits << 6 | (uint32_t)(digit - digits);
        have += 6;
        if (have >= 8) {
            have -= 8;
            gp_buf_add(b, &(char){(char)(bits >> have)}, 1);
        }
    }
    return 0;
}

/* The current scalar as a string that lives on; NULL when it cannot be one. */
static const char *keep_scalar(const yaml_reader *r)
{
    const char *value = (const char *)r->event.data.scalar.value;
    size_t length = r->event.data.scalar.length;
    const char *tag = (const char *)r->event.data.scalar.tag;
    const char *text = NULL;
    gp_buf bytes = {0};
    if (tag && !strcmp(tag, "tag:yaml.org,2002:binary")) {
        if (decode_base64(&bytes, value, length)) {
            fail("this is not base64");
            goto out;
        }
        value = bytes.data;
        length = bytes.len;
    }
    if (memchr(value, 0, length))
        fail("a NUL byte cannot be in a value");
    else
        text = gp_option_keep(value, length);
out:
    gp_buf_release(&bytes);
    return text;
}

static bool is_null(const yaml_reader *r)
{
    const char *s = (const char *)r->event.data.scalar.value;
    return r->event.type == YAML_SCALAR_EVENT && r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*s || !strcmp(s, "~") || !strcasecmp(s, "null"));
}

static int set_flag(const yaml_reader *r, const gp_option *o)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    const char *s = (const char *)r->event.data.scalar.value;
    bool plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    for (size_t i = 0; plain && i < ARRAY_LEN(words); i++) {
        if (!strcasecmp(s, words[i])) {
            gp_option_set_flag(o, r->args, i & 1);
            return 0;
        }
    }
    return fail(plain ? "'%s' is neither true nor false" : "\"%s\" is a string, true or false was expected", s);
}

static int set_scalar(const yaml_reader *r, const gp_option *o, bool first)
{
    if (r->event.type != YAML_SCALAR_EVENT)
        return fail("%s was found, one value was expected", event_kind(r));
    if (o->type == GP_OPT_FLAG)
        return set_flag(r, o);
    const char *text = keep_scalar(r);
    if (!text)
        return -1;
    bool number = o->type == GP_OPT_INT || o->type == GP_OPT_FLOAT;
    if (number && r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return fail("\"%s\" is a string, a number was expected", text);
    return gp_option_set(o, r->args, text, first);
}

static int set_list(yaml_reader *r, const gp_option *o)
{
    gp_option_set_null(o, r->args);
    for (bool first = true;; first = false) {
        if (next(r))
            return -2; /* said with its place already */
        if (r->event.type == YAML_SEQUENCE_END_EVENT)
            return 0;
        if (is_null(r))
            return fail("an empty item was found in the list");
        if (set_scalar(r, o, first))
            return -1;
    }
}

/* The value of o, whose first event is the current one. */
static int set_value(yaml_reader *r, const gp_option *o)
{
    int rc = 0;
    if (is_null(r))
        gp_option_set_null(o, r->args);
    else if (o->type == GP_OPT_LIST && r->event.type == YAML_SEQUENCE_START_EVENT)
        rc = set_list(r, o);
    else
        rc = set_scalar(r, o, true);
    if (rc == -1)
        fail("%s:%zu: %s: %s", r->path, event_line(r), o->name, gp_error());
    return rc;
}

static int fail_key(const yaml_reader *r, const char *key)
{
    char *hint = gp_option_suggest(r->tool, key, false);
    fail("%s:%zu: unknown key '%s'%s", r->path, event_line(r), key, hint);
    free(hint);
    return -1;
}

/* One "key: value"; the key is the current event. */
static int read_pair(yaml_reader *r)
{
    if (r->event.type != YAML_SCALAR_EVENT)
        return fail("%s:%zu: %s was found, the name of an option was expected", r->path, event_line(r), event_kind(r));
    const char *key = (const char *)r->event.data.scalar.value;
    size_t length = r->event.data.scalar.length;
    if (!strcmp(key, "recorded"))
        return next(r) ? -1 : skip_value(r);
    const gp_option *o = gp_option_find(r->tool->options, key, length);
    if (!o)
        return fail_key(r, key);
    size_t row = (size_t)(o - r->tool->options);
    if (r->line[row])
        return fail("%s:%zu: %s was set before, in line %zu", r->path, event_line(r), key, r->line[row]);
    r->line[row] = event_line(r);
    if (next(r))
        return -1;
    bool valued = !is_null(r);
    if (set_value(r, o))
        return -1;
    r->valued[row] = valued;
    if (valued && gp_option_replace(r->tool, o, r->args, r->valued))
        return fail("%s:%zu: %s", r->path, r->line[row], gp_error());
    if (r->given)
        r->given[row] = true;
    return 0;
}

static int read_document(yaml_reader *r)
{
    do { /* past the stream's start and a document's */
        if (next(r))
            return -1;
        if (r->event.type == YAML_STREAM_END_EVENT)
            return 0; /* an empty file sets nothing */
    } while (r->event.type == YAML_STREAM_START_EVENT || r->event.type == YAML_DOCUMENT_START_EVENT);
    bool empty = is_null(r); /* nothing but comments */
    if (!empty && r->event.type != YAML_MAPPING_START_EVENT)
        return fail("%s:%zu: %s was found, lines of 'option: value' were expected", r->path, event_line(r),
                    event_kind(r));
    while (!empty) {
        if (next(r))
            return -1;
        if (r->event.type == YAML_MAPPING_END_EVENT)
            break;
        if (read_pair(r))
            return -1;
    }
    do {
        if (next(r))
            return -1;
    } while (r->event.type == YAML_DOCUMENT_END_EVENT);
    if (r->event.type != YAML_STREAM_END_EVENT)
        return fail("%s:%zu: a second document was found, one was expected", r->path, event_line(r));
    return 0;
}

/* A file of options needs no %TAG directives at all. In UTF-16, which libyaml reads too, zeros lie between. */
static int check_tags(const yaml_reader *r, const gp_buf *text)
{
    static const char word[] = "%TAG";
    size_t matched = 0;
    int tags = 0;
    for (size_t i = 0; i < text->len; i++) {
        char c = text->data[i];
        if (!c)
            continue;
        matched = c == word[matched] ? matched + 1 : c == *word;
        tags += matched == strlen(word);
        matched %= strlen(word);
    }
    return tags > MAX_TAGS ? fail("%s: has %d %%TAG directives, the limit is %d", r->path, tags, MAX_TAGS) : 0;
}

int gp_options_load_given(const gp_tool *tool, void *args, const char *path, bool *given)
{
    yaml_reader r = {.tool = tool, .args = args, .path = path, .given = given};
    gp_buf text = {0};
    size_t rows = 0;
    int rc = gp_file_read(&text, path, MAX_SIZE);
    if (rc)
        goto out;
    while (!gp_option_ends(&tool->options[rows]))
        rows++;
    r.line = gp_calloc(rows, sizeof *r.line);
    r.valued = gp_calloc(rows, sizeof *r.valued);
    if (!yaml_parser_initialize(&r.parser))
        die("out of memory");
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text.data, text.len);
    rc = check_tags(&r, &text) || read_document(&r) ? -1 : 0;
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
out:
    free(r.line);
    free(r.valued);
    gp_buf_release(&text);
    return rc;
}

int gp_options_load(const gp_tool *tool, void *args, const char *path)
{
    return gp_options_load_given(tool, args, path, NULL);
}
