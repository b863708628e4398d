/* objects.c: the names that a pickle of torch.save may use, and what they make. What torch calls them is in its
 * torch/_utils.py and torch/_weights_only_unpickler.py. */
#include "checkpoint/torch/pickle.h"

#include <string.h>

typedef enum {          /* what a name is */
               TYPE,    /* torch.float32, torch.FloatStorage */
               UNTYPED, /* bytes */
               TENSOR_CLASS,
               DICT,
               SET,
               SIZE,
               DEVICE,
               TENSOR,     /* (storage, offset, size, stride, ...) */
               TENSOR_V3,  /* (storage, offset, size, stride, requires_grad, hooks, dtype) of an untyped storage */
               PARAMETER,  /* (tensor, requires_grad, hooks) */
               FROM_CLASS, /* (function, class, its arguments, attributes) */
} meaning;

static const gp_torch_type types[] = {
    {"FloatStorage", "float32", "F32", 4, true, GP_F32},
    {"HalfStorage", "float16", "F16", 2, true, GP_F16},
    {"BFloat16Storage", "bfloat16", "BF16", 2, true, GP_BF16},
    {"DoubleStorage", "float64", "F64", 8, true, GP_F64},
    {"LongStorage", "int64", "I64", 8, false, GP_I64},
    {"IntStorage", "int32", "I32", 4, false, GP_I32},
    {"ShortStorage", "int16", "I16", 2, false, GP_I32},
    {"CharStorage", "int8", "I8", 1, false, GP_I32},
    {"ByteStorage", "uint8", "U8", 1, false, GP_U8},
    {"BoolStorage", "bool", "BOOL", 1, false, GP_U8},
    {"ComplexFloatStorage", "complex64", "C64", 8, false, GP_F32},
    {"ComplexDoubleStorage", "complex128", "C128", 16, false, GP_F64},
    {NULL, "complex32", "C32", 4, false, GP_F16},
    {NULL, "uint16", "U16", 2, false, GP_I32},
    {NULL, "uint32", "U32", 4, false, GP_I64},
    {NULL, "uint64", "U64", 8, false, GP_I64},
    {NULL, "float8_e4m3fn", "F8_E4M3", 1, false, GP_F16},
    {NULL, "float8_e5m2", "F8_E5M2", 1, false, GP_F16},
    {NULL, "float8_e4m3fnuz", "F8_E4M3FNUZ", 1, false, GP_F16},
    {NULL, "float8_e5m2fnuz", "F8_E5M2FNUZ", 1, false, GP_F16},
    {NULL, "float8_e8m0fnu", "F8_E8M0", 1, false, GP_BF16},
};

static const struct {
    const char *module, *name;
    meaning meaning;
} names[] = {
    {"collections", "OrderedDict", DICT},
    {"__builtin__", "set", SET},
    {"builtins", "set", SET},
    {"torch", "Size", SIZE},
    {"torch", "device", DEVICE},
    {"torch", "Tensor", TENSOR_CLASS},
    {"torch.nn.parameter", "Parameter", TENSOR_CLASS},
    {"torch", "UntypedStorage", UNTYPED},
    {"torch.storage", "UntypedStorage", UNTYPED},
    {"torch.storage", "_UntypedStorage", UNTYPED},
    {"torch._utils", "_rebuild_tensor", TENSOR},
    {"torch._utils", "_rebuild_tensor_v2", TENSOR},
    {"torch._utils", "_rebuild_tensor_v3", TENSOR_V3},
    {"torch._utils", "_rebuild_parameter", PARAMETER},
    {"torch._utils", "_rebuild_parameter_with_state", PARAMETER},
    {"torch._tensor", "_rebuild_from_type_v2", FROM_CLASS},
};

static bool same(const char *s, const char *text, size_t n)
{
    return s && strlen(s) == n && !memcmp(s, text, n);
}

int gp_torch_name_find(const gp_pickle *p, const char *module, size_t m, const char *name, size_t n,
                       gp_torch_name *found)
{
    enum { SHOWN = 80 };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (same(names[i].module, module, m) && same(names[i].name, name, n)) {
            *found = (gp_torch_name){names[i].name, (int)names[i].meaning, NULL};
            return 0;
        }
    }
    for (size_t i = 0; same("torch", module, m) && i < ARRAY_LEN(types); i++) {
        if (same(types[i].storage, name, n) || same(types[i].dtype, name, n)) {
            *found = (gp_torch_name){types[i].dtype, TYPE, &types[i]};
            return 0;
        }
    }
    return gp_pickle_fail(p, "refuses to load %.*s.%.*s; only tensors, dicts, lists, numbers and text are loaded",
                          (int)gp_min((int64_t)m, SHOWN), module, (int)gp_min((int64_t)n, SHOWN), name);
}

/* ---- arguments ------------------------------------------------------------------------------------------- */

static const gp_value *item(const gp_value *tuple, int64_t i)
{
    static const gp_value none = {GP_VALUE_NONE, {0}};
    return i < tuple->as.list.count ? tuple->as.list.items[i] : &none;
}

static bool is_name(const gp_value *v, meaning meaning)
{
    return v->type == GP_VALUE_NAME && v->as.name.meaning == (int)meaning;
}

gp_value *gp_torch_storage(gp_pickle *p, const gp_value *id)
{
    if (id->type != GP_VALUE_TUPLE || id->as.list.count < 5 || !gp_value_is(item(id, 0), "storage"))
        return gp_pickle_fail(p, "a persistent id is not a storage's"), NULL;
    const gp_value *class = item(id, 1), *key = item(id, 2), *count = item(id, 4);
    bool untyped = is_name(class, UNTYPED);
    if ((!untyped && !is_name(class, TYPE)) || key->type != GP_VALUE_TEXT || count->type != GP_VALUE_INT)
        return gp_pickle_fail(p, "a storage is described by %s, %s and %s, expected its class, key and size",
                              gp_value_type_name(class), gp_value_type_name(key), gp_value_type_name(count)),
               NULL;
    if (item(id, 5)->type != GP_VALUE_NONE)
        return gp_pickle_fail(p, "a storage is a view of another one, which is not supported"), NULL;
    gp_pickle_storage s = {key->as.text.data, key->as.text.size, untyped ? NULL : class->as.name.type, count->as.whole,
                           0};
    if (s.count < 0 || !gp_mul(s.count, s.type ? s.type->size : 1, &s.bytes))
        return gp_pickle_fail(p, "a storage of %lld elements", (long long)s.count), NULL;
    gp_value *v = gp_pickle_value(p, GP_VALUE_STORAGE);
    v->as.storage = gp_malloc(sizeof s);
    *v->as.storage = s;
    return v;
}

/* size and stride of a tensor of this type: dims, whether they lie in the storage, and whether in its order. */
static int read_shape(const gp_pickle *p, gp_pickle_tensor *t, const gp_value *size, const gp_value *stride)
{
    int64_t last = t->offset, elements = 1, room = t->storage->bytes / t->type->size;
    bool empty = false;
    if (size->type != GP_VALUE_TUPLE || stride->type != GP_VALUE_TUPLE ||
        size->as.list.count != stride->as.list.count || size->as.list.count > GP_MAX_DIMS)
        return gp_pickle_fail(p, "a tensor's size and stride are a %s and a %s of %lld, expected tuples of at most %d",
                              gp_value_type_name(size), gp_value_type_name(stride), (long long)size->as.list.count,
                              GP_MAX_DIMS);
    t->ndim = (int)size->as.list.count;
    t->contiguous = true;
    for (int i = t->ndim - 1; i >= 0; i--) {
        const gp_value *n = item(size, i), *step = item(stride, i);
        int64_t way = 0;
        if (n->type != GP_VALUE_INT || step->type != GP_VALUE_INT || n->as.whole < 0 || step->as.whole < 0)
            return gp_pickle_fail(p, "a tensor's size or stride is negative or no integer");
        t->dim[i] = n->as.whole;
        t->stride[i] = step->as.whole;
        t->contiguous &= t->dim[i] <= 1 || t->stride[i] == elements;
        empty |= !t->dim[i];
        if (!gp_mul(elements, t->dim[i], &elements) || (t->dim[i] && !gp_mul(t->dim[i] - 1, t->stride[i], &way)) ||
            __builtin_add_overflow(last, way, &last))
            return gp_pickle_fail(p, "a tensor's size overflows");
    }
    t->contiguous |= empty;
    if (t->offset < 0 || t->offset > room || (!empty && (last >= room || elements > room)))
        return gp_pickle_fail(p, "a tensor of %lld elements from %lld to %lld is in a storage of %lld",
                              (long long)elements, (long long)t->offset, (long long)last, (long long)room);
    return 0;
}

static gp_value *make_tensor(gp_pickle *p, const gp_value *args, bool typed_apart)
{
    const gp_value *storage = item(args, 0), *offset = item(args, 1), *type = item(args, 6);
    const gp_value *bits = item(args, typed_apart ? 7 : 6);
    if (storage->type != GP_VALUE_STORAGE || offset->type != GP_VALUE_INT || (typed_apart && !is_name(type, TYPE)))
        return gp_pickle_fail(p, "a tensor is made of a %s, expected a storage", gp_value_type_name(storage)), NULL;
    gp_pickle_tensor t = {.storage = storage->as.storage,
                          .type = typed_apart ? type->as.name.type : storage->as.storage->type,
                          .offset = offset->as.whole};
    if (!t.type)
        return gp_pickle_fail(p, "a tensor has no dtype"), NULL;
    if (bits->type != GP_VALUE_NONE && (bits->type != GP_VALUE_DICT || bits->as.list.count))
        return gp_pickle_fail(p,
                              "a tensor's numbers are negated or conjugated when it is read (its metadata), which is "
                              "not supported"),
               NULL;
    if (read_shape(p, &t, item(args, 2), item(args, 3)))
        return NULL;
    gp_value *v = gp_pickle_value(p, GP_VALUE_TENSOR);
    v->as.tensor = gp_malloc(sizeof t);
    *v->as.tensor = t;
    return v;
}

/* OrderedDict() or, by Python 2, OrderedDict([[key, value], ...]). One list may be used again and again: no more items
 * are copied than the pickle has had bytes. */
static gp_value *make_dict(gp_pickle *p, const gp_value *args)
{
    gp_value *v = gp_pickle_value(p, GP_VALUE_DICT);
    const gp_value *from = item(args, 0);
    if (from->type != GP_VALUE_LIST)
        return v;
    p->copied += from->as.list.count;
    if ((size_t)p->copied > p->at)
        return gp_pickle_fail(p, "the pickle makes too many dicts of a list"), NULL;
    for (int64_t i = 0; i < from->as.list.count; i++) {
        gp_value *pair = from->as.list.items[i];
        if ((pair->type != GP_VALUE_LIST && pair->type != GP_VALUE_TUPLE) || pair->as.list.count != 2)
            return gp_pickle_fail(p, "a dict is made of a %s, expected pairs", gp_value_type_name(pair)), NULL;
        gp_value_append(v, pair->as.list.items[0]);
        gp_value_append(v, pair->as.list.items[1]);
    }
    return v;
}

gp_value *gp_torch_call(gp_pickle *p, gp_torch_name name, const gp_value *args)
{
    const gp_value *first = item(args, 0), *inner = item(args, 2);
    switch ((meaning)name.meaning) {
    case DICT:
        return make_dict(p, args);
    case SET: /* of a list, which stands for it */
        return first->type == GP_VALUE_LIST ? args->as.list.items[0] : gp_pickle_value(p, GP_VALUE_SET);
    case DEVICE:
        return gp_pickle_value(p, GP_VALUE_OTHER);
    case SIZE:
        if (first->type == GP_VALUE_TUPLE)
            return args->as.list.items[0];
        break;
    case TENSOR:
    case TENSOR_V3:
        return make_tensor(p, args, name.meaning == TENSOR_V3);
    case PARAMETER:
        if (first->type == GP_VALUE_TENSOR)
            return args->as.list.items[0];
        break;
    case FROM_CLASS: /* a tensor with attributes of Python's, which mean nothing here */
        if ((is_name(first, TENSOR) || is_name(first, TENSOR_V3)) && is_name(item(args, 1), TENSOR_CLASS) &&
            inner->type == GP_VALUE_TUPLE)
            return make_tensor(p, inner, first->as.name.meaning == TENSOR_V3);
        break;
    case TYPE:
    case UNTYPED:
    case TENSOR_CLASS:
        break;
    }
    return gp_pickle_fail(p, "the pickle calls %s with a %s", name.name, gp_value_type_name(first)), NULL;
}
