/* pickle.c: see pickle.h. */
#include "checkpoint/torch/pickle.h"

#include <string.h>

/* ---- bytes and the stack --------------------------------------------------------------------------------- */

/* The next n bytes, or NULL. */
static const char *take(gp_pickle *p, uint64_t n)
{
    const char *at = p->data + p->at;
    if (n > p->size - p->at)
        return gp_pickle_fail(p, "the pickle ends early"), NULL;
    p->at += (size_t)n;
    return at;
}

/* A little-endian unsigned number of 1 to 8 bytes. */
static int take_number(gp_pickle *p, int bytes, uint64_t *v)
{
    const char *at = take(p, (uint64_t)bytes);
    *v = 0;
    for (int i = bytes - 1; at && i >= 0; i--)
        *v = *v << 8 | (uint8_t)at[i];
    return at ? 0 : -1;
}

static int push(gp_pickle *p, gp_value *v)
{
    if (!v)
        return -1;
    gp_values_append(&p->stack, &p->depth, v);
    return 0;
}

/* Where the stack's current part begins: behind the last mark. */
static int64_t floor_of(const gp_pickle *p)
{
    return p->mark_count ? p->marks[p->mark_count - 1] : 0;
}

/* The n topmost values, which leave the stack: their place in it, or NULL. They stay there until the next push. */
static gp_value **pop(gp_pickle *p, int64_t n)
{
    if (p->depth - floor_of(p) < n)
        return gp_pickle_fail(p, "the pickle takes more values than there are"), NULL;
    p->depth -= n;
    return p->stack + p->depth;
}

/* The topmost value, which stays, or NULL. */
static gp_value *top(gp_pickle *p)
{
    return pop(p, 1) ? p->stack[p->depth++] : NULL;
}

static void mark(gp_pickle *p)
{
    p->marks = gp_grow(p->marks, p->mark_count, sizeof *p->marks);
    p->marks[p->mark_count++] = p->depth;
}

/* All values behind the last mark, which leave the stack with it: their number, or -1. They stay there until the next
 * push, from p->stack + p->depth on. */
static int64_t pop_mark(gp_pickle *p)
{
    if (!p->mark_count)
        return gp_pickle_fail(p, "the pickle lacks a mark");
    int64_t n = p->depth - p->marks[--p->mark_count];
    p->depth -= n;
    return n;
}

/* ---- groups of opcodes: each 0, -1, or 1 where the opcode is not of the group ---------------------------- */

static int push_whole(gp_pickle *p, gp_value_type type, int64_t whole)
{
    gp_value *v = gp_pickle_value(p, type);
    v->as.whole = whole;
    return push(p, v);
}

/* LONG1 and LONG4: two's complement of n bytes. */
static int push_long(gp_pickle *p, uint64_t n)
{
    const char *at = take(p, n);
    if (!at)
        return -1;
    if (n > 8) {
        gp_value *v = gp_pickle_value(p, GP_VALUE_WIDE);
        v->as.text.data = at;
        v->as.text.size = (size_t)n;
        return push(p, v);
    }
    uint64_t v = n && at[n - 1] & 0x80 ? UINT64_MAX : 0;
    for (uint64_t i = n; i > 0; i--)
        v = v << 8 | (uint8_t)at[i - 1];
    return push_whole(p, GP_VALUE_INT, (int64_t)v);
}

/* BINFLOAT: the highest byte first. */
static int push_real(gp_pickle *p)
{
    const char *at = take(p, 8);
    uint64_t bits = 0;
    if (!at)
        return -1;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | (uint8_t)at[i];
    gp_value *v = gp_pickle_value(p, GP_VALUE_REAL);
    memcpy(&v->as.real, &bits, sizeof bits);
    return push(p, v);
}

static int run_number(gp_pickle *p, uint8_t op)
{
    static const uint8_t bytes[256] = {['K'] = 1, ['M'] = 2, ['J'] = 4, [0x8A] = 1, [0x8B] = 4};
    uint64_t v = 0;
    if (bytes[op] && take_number(p, bytes[op], &v))
        return -1;
    switch (op) {
    case 'N':
        return push_whole(p, GP_VALUE_NONE, 0);
    case 0x88: /* NEWTRUE, NEWFALSE */
    case 0x89:
        return push_whole(p, GP_VALUE_BOOL, op == 0x88);
    case 'K': /* BININT1, BININT2 */
    case 'M':
        return push_whole(p, GP_VALUE_INT, (int64_t)v);
    case 'J': /* BININT */
        return push_whole(p, GP_VALUE_INT, (int32_t)(uint32_t)v);
    case 0x8A: /* LONG1, LONG4 */
    case 0x8B:
        return push_long(p, v);
    case 'G':
        return push_real(p);
    default:
        return 1;
    }
}

/* Text and bytes, after their length. Python 2 wrote names as BINSTRING. */
static int run_text(gp_pickle *p, uint8_t op)
{
    static const struct {
        uint8_t op, bytes; /* of the length */
        gp_value_type type;
    } texts[] = {
        {'X', 4, GP_VALUE_TEXT},  {0x8C, 1, GP_VALUE_TEXT},  {0x8D, 8, GP_VALUE_TEXT},
        {'U', 1, GP_VALUE_TEXT},  {'T', 4, GP_VALUE_TEXT},   {'B', 4, GP_VALUE_BYTES},
        {'C', 1, GP_VALUE_BYTES}, {0x8E, 8, GP_VALUE_BYTES}, {0x96, 8, GP_VALUE_BYTES},
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        uint64_t n;
        if (texts[i].op != op)
            continue;
        const char *at = take_number(p, texts[i].bytes, &n) ? NULL : take(p, n);
        if (!at)
            return -1;
        gp_value *v = gp_pickle_value(p, texts[i].type);
        v->as.text.data = at;
        v->as.text.size = (size_t)n;
        return push(p, v);
    }
    return 1;
}

/* A value of n items out of the stack, from its new top on. */
static int push_items(gp_pickle *p, gp_value_type type, int64_t n)
{
    if (n < 0)
        return -1;
    gp_value *v = gp_pickle_value(p, type);
    for (int64_t i = 0; i < n; i++)
        gp_value_append(v, p->stack[p->depth + i]);
    return push(p, v);
}

/* Adds the n values behind the stack's top to the container on it. */
static int add_items(gp_pickle *p, gp_value_type type, int64_t n)
{
    gp_value *to = n < 0 ? NULL : top(p);
    if (!to)
        return -1;
    if (to->type != type || (type == GP_VALUE_DICT && n % 2))
        return gp_pickle_fail(p, "the pickle adds %lld items to a %s", (long long)n, gp_value_type_name(to));
    for (int64_t i = 0; i < n; i++)
        gp_value_append(to, p->stack[p->depth + i]);
    return 0;
}

static int run_container(gp_pickle *p, uint8_t op)
{
    switch (op) {
    case '(':
        mark(p);
        return 0;
    case ')':
        return push_items(p, GP_VALUE_TUPLE, 0);
    case ']':
        return push_items(p, GP_VALUE_LIST, 0);
    case '}':
        return push_items(p, GP_VALUE_DICT, 0);
    case 0x8F: /* EMPTY_SET */
        return push_items(p, GP_VALUE_SET, 0);
    case 't':
        return push_items(p, GP_VALUE_TUPLE, pop_mark(p));
    case 0x91: /* FROZENSET */
        return push_items(p, GP_VALUE_SET, pop_mark(p));
    case 0x85: /* TUPLE1, TUPLE2, TUPLE3 */
    case 0x86:
    case 0x87:
        return pop(p, op - 0x84) ? push_items(p, GP_VALUE_TUPLE, op - 0x84) : -1;
    case 'a':
        return pop(p, 1) ? add_items(p, GP_VALUE_LIST, 1) : -1;
    case 's':
        return pop(p, 2) ? add_items(p, GP_VALUE_DICT, 2) : -1;
    case 'e':
        return add_items(p, GP_VALUE_LIST, pop_mark(p));
    case 'u':
        return add_items(p, GP_VALUE_DICT, pop_mark(p));
    case 0x90: /* ADDITEMS */
        return add_items(p, GP_VALUE_SET, pop_mark(p));
    default:
        return 1;
    }
}

/* No pickle remembers more values than it has had bytes. */
static int put(gp_pickle *p, uint64_t i)
{
    gp_value *v = top(p);
    if (!v)
        return -1;
    if (i > p->at)
        return gp_pickle_fail(p, "the pickle stores value %llu of its memo", (unsigned long long)i);
    if (i >= (uint64_t)p->memo_size) {
        int64_t size = gp_max(2 * p->memo_size, (int64_t)i + 64);
        p->memo = gp_realloc(p->memo, (size_t)size, sizeof *p->memo);
        memset(p->memo + p->memo_size, 0, (size_t)(size - p->memo_size) * sizeof *p->memo);
        p->memo_size = size;
    }
    p->memo_count += !p->memo[i];
    p->memo[i] = v;
    return 0;
}

static int run_memo(gp_pickle *p, uint8_t op)
{
    static const uint8_t bytes[256] = {['q'] = 1, ['r'] = 4, ['h'] = 1, ['j'] = 4};
    uint64_t i = 0;
    if (bytes[op] && take_number(p, bytes[op], &i))
        return -1;
    switch (op) {
    case 'q': /* BINPUT, LONG_BINPUT */
    case 'r':
        return put(p, i);
    case 0x94: /* MEMOIZE */
        return put(p, (uint64_t)p->memo_count);
    case 'h': /* BINGET, LONG_BINGET */
    case 'j':
        if (i >= (uint64_t)p->memo_size || !p->memo[i])
            return gp_pickle_fail(p, "the pickle's memo has no value %llu", (unsigned long long)i);
        return push(p, p->memo[i]);
    default:
        return 1;
    }
}

static int push_name(gp_pickle *p, const char *module, size_t m, const char *name, size_t n)
{
    gp_torch_name found;
    if (gp_torch_name_find(p, module, m, name, n, &found))
        return -1;
    gp_value *v = gp_pickle_value(p, GP_VALUE_NAME);
    v->as.name = found;
    return push(p, v);
}

/* GLOBAL: module and name, each up to the end of a line. */
static int run_global(gp_pickle *p)
{
    const char *part[2];
    size_t size[2];
    for (int i = 0; i < 2; i++) {
        part[i] = p->data + p->at;
        const char *end = memchr(part[i], '\n', p->size - p->at);
        if (!end)
            return gp_pickle_fail(p, "the pickle ends early");
        size[i] = (size_t)(end - part[i]);
        p->at += size[i] + 1;
    }
    return push_name(p, part[0], size[0], part[1], size[1]);
}

static int run_stack_global(gp_pickle *p)
{
    gp_value **v = pop(p, 2);
    if (!v)
        return -1;
    if (v[0]->type != GP_VALUE_TEXT || v[1]->type != GP_VALUE_TEXT)
        return gp_pickle_fail(p, "a name in the pickle is a %s", gp_value_type_name(v[0]));
    return push_name(p, v[0]->as.text.data, v[0]->as.text.size, v[1]->as.text.data, v[1]->as.text.size);
}

static int run_reduce(gp_pickle *p)
{
    gp_value **v = pop(p, 2);
    if (!v)
        return -1;
    if (v[0]->type != GP_VALUE_NAME || v[1]->type != GP_VALUE_TUPLE)
        return gp_pickle_fail(p, "the pickle calls a %s with a %s", gp_value_type_name(v[0]), gp_value_type_name(v[1]));
    return push(p, gp_torch_call(p, v[0]->as.name, v[1]));
}

/* BUILD: attributes of an OrderedDict (a state_dict's _metadata: versions of its modules) mean nothing here. */
static int run_build(gp_pickle *p)
{
    gp_value **v = pop(p, 1), *to = v ? top(p) : NULL;
    if (!to)
        return -1;
    v = p->stack + p->depth;
    if (to->type != GP_VALUE_DICT || v[0]->type != GP_VALUE_DICT)
        return gp_pickle_fail(p, "the pickle sets attributes of a %s", gp_value_type_name(to));
    return 0;
}

static int run_object(gp_pickle *p, uint8_t op)
{
    gp_value **v;
    switch (op) {
    case 'c':
        return run_global(p);
    case 0x93:
        return run_stack_global(p);
    case 'R':
        return run_reduce(p);
    case 'b':
        return run_build(p);
    case 'Q': /* BINPERSID */
        v = pop(p, 1);
        return v ? push(p, gp_torch_storage(p, v[0])) : -1;
    default:
        return 1;
    }
}

/* ---- the machine ----------------------------------------------------------------------------------------- */

/* PROTO and FRAME mean nothing to a reader of bytes that are all there. */
static int run_frame(gp_pickle *p, uint8_t op)
{
    uint64_t v;
    if (op == 0x80) {
        if (take_number(p, 1, &v))
            return -1;
        return v >= 2 && v <= 5 ? 0 : gp_pickle_fail(p, "pickle protocol %d, expected 2 to 5", (int)v);
    }
    if (op != 0x95)
        return 1;
    if (take_number(p, 8, &v))
        return -1;
    return v <= p->size - p->at ? 0 : gp_pickle_fail(p, "the pickle ends early");
}

static int run_op(gp_pickle *p, uint8_t op)
{
    static int (*const groups[])(gp_pickle *, uint8_t) = {run_memo,   run_number, run_text,
                                                          run_object, run_frame,  run_container};
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        int rc = groups[i](p, op);
        if (rc <= 0)
            return rc;
    }
    return gp_pickle_fail(p, "pickle opcode 0x%02x is not supported (torch.save writes none)", op);
}

const gp_value *gp_pickle_run(gp_pickle *p, const char *path, const char *data, size_t size)
{
    *p = (gp_pickle){.path = path, .data = data, .size = size};
    if (!size || (uint8_t)*data != 0x80)
        return gp_pickle_fail(p, "does not begin as a pickle of protocol 2 to 5"), NULL;
    for (;;) {
        const char *op = take(p, 1);
        if (!op)
            return NULL;
        if (p->at > GP_PICKLE_MAX)
            return gp_pickle_fail(p, "the pickle is longer than %d bytes", GP_PICKLE_MAX), NULL;
        if (*op == '.')
            break;
        if (run_op(p, (uint8_t)*op))
            return NULL;
    }
    if (p->depth != 1 || p->mark_count)
        return gp_pickle_fail(p, "the pickle leaves %lld values, expected 1", (long long)p->depth), NULL;
    return p->stack[0];
}
