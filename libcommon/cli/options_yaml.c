/* options_yaml.c: reads options from a YAML file, with libyaml. The file is one flat mapping whose keys are long names:
 *
 *     steps: 2000
 *     data:
 *       - a.tok
 *       - b.tok
 *     recorded:          # ignored, with all keys below it
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
    bool *given;  /* per row of the table, or NULL */
    bool *valued; /* rows that this file has set to a value other than null */
    size_t *line; /* the line in which this file sets each row, or 0 */
    int depth;    /* of open mappings and lists */
    yaml_parser_t parser;
    yaml_event_t event;
} yaml_reader;

/* libyaml takes time quadratic in depth and in the number of tags. */
enum { MAX_DEPTH = 64, MAX_TAGS = 64, MAX_SIZE = 1 << 20 };

static size_t event_line(const yaml_reader *r)
{
    return r->event.start_mark.line + 1;
}

static int update_depth(yaml_reader *r)
{
    yaml_event_type_t type = r->event.type;
    r->depth += type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT;
    r->depth -= type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT;
    return r->depth > MAX_DEPTH ? fail("%s:%zu: nesting exceeds %d levels", r->path, event_line(r), MAX_DEPTH) : 0;
}

/* Replaces the current event with the next one. */
static int next(yaml_reader *r)
{
    yaml_event_delete(&r->event);
    if (yaml_parser_parse(&r->parser, &r->event))
        return update_depth(r);
    if (r->parser.error == YAML_MEMORY_ERROR)
        die("out of memory (libyaml)");
    const char *problem = r->parser.problem ? r->parser.problem : "not YAML";
    if (r->parser.error == YAML_READER_ERROR) /* no line is known then */
        return fail("%s: %s at byte %zu", r->path, problem, r->parser.problem_offset);
    return fail("%s:%zu: %s", r->path, r->parser.problem_mark.line + 1, problem);
}

/* Skips the rest of a value whose first event is the current one. */
static int skip_value(yaml_reader *r)
{
    yaml_event_type_t type = r->event.type;
    bool opens = type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT;
    for (int outer = r->depth - opens; r->depth > outer;)
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
        return "a scalar";
    default:
        return "nothing";
    }
}

/* Decodes base64 with white space in place; returns the length, or -1. */
static int64_t decode_binary(char *text, size_t n)
{
    size_t digits = 0;
    for (size_t i = 0; i < n; i++)
        if (text[i] != ' ' && text[i] != '\n')
            text[digits++] = text[i];
    char *source = gp_strndup(text, digits);
    int64_t length = digits ? gp_base64_decode((uint8_t *)text, source, digits) : 0;
    free(source);
    return length;
}

/* A copy of the current scalar that lives until the process ends; NULL if it is no valid string. */
static const char *copy_scalar(const yaml_reader *r)
{
    char *value = (char *)r->event.data.scalar.value;
    int64_t length = (int64_t)r->event.data.scalar.length;
    const char *tag = (const char *)r->event.data.scalar.tag;
    if (tag && !strcmp(tag, "tag:yaml.org,2002:binary"))
        length = decode_binary(value, (size_t)length);
    if (length < 0)
        return fail("!!binary value is not valid base64"), NULL;
    if (memchr(value, 0, (size_t)length))
        return fail("value contains a NUL byte"), NULL;
    return gp_option_strndup(value, (size_t)length);
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
    return fail(plain ? "expected true or false, found '%s'" : "expected true or false, found the string \"%s\"", s);
}

static int set_scalar(const yaml_reader *r, const gp_option *o, bool first)
{
    if (r->event.type != YAML_SCALAR_EVENT)
        return fail("expected one value, found %s", event_kind(r));
    if (o->type == GP_OPT_FLAG)
        return set_flag(r, o);
    const char *text = copy_scalar(r);
    if (!text)
        return -1;
    bool number = o->type == GP_OPT_INT || o->type == GP_OPT_FLOAT;
    if (number && r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return fail("expected a number, found the string \"%s\"", text);
    return gp_option_set(o, r->args, text, first);
}

static int set_list(yaml_reader *r, const gp_option *o)
{
    gp_option_set_null(o, r->args);
    for (bool first = true;; first = false) {
        if (next(r))
            return -2; /* its message already has a line */
        if (r->event.type == YAML_SEQUENCE_END_EVENT)
            return 0;
        if (is_null(r))
            return fail("empty item in the list");
        if (set_scalar(r, o, first))
            return -1;
    }
}

/* Reads the value of o, whose first event is the current one. */
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

/* Reads "key: value"; the key is the current event. */
static int read_pair(yaml_reader *r)
{
    if (r->event.type != YAML_SCALAR_EVENT)
        return fail("%s:%zu: expected the name of an option, found %s", r->path, event_line(r), event_kind(r));
    const char *key = (const char *)r->event.data.scalar.value;
    size_t length = r->event.data.scalar.length;
    if (!strcmp(key, "recorded"))
        return next(r) ? -1 : skip_value(r);
    const gp_option *o = gp_option_find(r->tool->options, key, length);
    if (!o)
        return fail_key(r, key);
    size_t row = (size_t)(o - r->tool->options);
    if (r->line[row])
        return fail("%s:%zu: %s is already set in line %zu", r->path, event_line(r), key, r->line[row]);
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
    do { /* skip the start of the stream and of the document */
        if (next(r))
            return -1;
        if (r->event.type == YAML_STREAM_END_EVENT)
            return 0; /* an empty file sets nothing */
    } while (r->event.type == YAML_STREAM_START_EVENT || r->event.type == YAML_DOCUMENT_START_EVENT);
    bool empty = is_null(r); /* only comments */
    if (!empty && r->event.type != YAML_MAPPING_START_EVENT)
        return fail("%s:%zu: expected lines of 'option: value', found %s", r->path, event_line(r), event_kind(r));
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
        return fail("%s:%zu: expected one document, found another", r->path, event_line(r));
    return 0;
}

/* Limits %TAG directives, which a file of options does not need. Zeros are skipped because libyaml reads UTF-16 too. */
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
    size_t rows = gp_option_count(tool->options);
    int rc = gp_file_read(&text, path, MAX_SIZE);
    if (rc)
        goto out;
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
