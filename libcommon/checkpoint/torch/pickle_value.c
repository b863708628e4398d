/* pickle_value.c: the values of a pickle. See pickle.h. */
#include "checkpoint/torch/pickle.h"

#include <stdlib.h>
#include <string.h>

void gp_values_append(gp_value ***list, int64_t *count, gp_value *v)
{
    *list = gp_grow(*list, *count, sizeof **list);
    (*list)[(*count)++] = v;
}

gp_value *gp_pickle_value(gp_pickle *p, gp_value_type type)
{
    gp_value *v = gp_calloc(1, sizeof *v);
    v->type = type;
    gp_values_append(&p->values, &p->value_count, v);
    return v;
}

void gp_value_append(gp_value *list, gp_value *item)
{
    gp_values_append(&list->as.list.items, &list->as.list.count, item);
}

static void release_value(gp_value *v)
{
    switch (v->type) {
    case GP_VALUE_TUPLE:
    case GP_VALUE_LIST:
    case GP_VALUE_SET:
    case GP_VALUE_DICT:
        free(v->as.list.items);
        break;
    case GP_VALUE_STORAGE:
        free(v->as.storage);
        break;
    case GP_VALUE_TENSOR:
        free(v->as.tensor);
        break;
    default:
        break;
    }
    free(v);
}

void gp_pickle_release(gp_pickle *p)
{
    for (int64_t i = 0; i < p->value_count; i++)
        release_value(p->values[i]);
    free(p->values);
    free(p->stack);
    free(p->memo);
    free(p->marks);
    *p = (gp_pickle){0};
}

bool gp_value_is(const gp_value *text, const char *s)
{
    return text->type == GP_VALUE_TEXT && text->as.text.size == strlen(s) &&
           !memcmp(text->as.text.data, s, text->as.text.size);
}

const gp_value *gp_value_get(const gp_value *dict, const char *key)
{
    for (int64_t i = 0; dict->type == GP_VALUE_DICT && i < dict->as.list.count; i += 2)
        if (gp_value_is(dict->as.list.items[i], key))
            return dict->as.list.items[i + 1];
    return NULL;
}

const char *gp_value_type_name(const gp_value *v)
{
    static const char *const names[] = {
        [GP_VALUE_NONE] = "None",    [GP_VALUE_BOOL] = "bool",       [GP_VALUE_INT] = "int",
        [GP_VALUE_WIDE] = "int",     [GP_VALUE_REAL] = "float",      [GP_VALUE_TEXT] = "str",
        [GP_VALUE_BYTES] = "bytes",  [GP_VALUE_TUPLE] = "tuple",     [GP_VALUE_LIST] = "list",
        [GP_VALUE_SET] = "set",      [GP_VALUE_DICT] = "dict",       [GP_VALUE_NAME] = "class",
        [GP_VALUE_OTHER] = "device", [GP_VALUE_STORAGE] = "storage", [GP_VALUE_TENSOR] = "tensor",
    };
    return names[v->type];
}

int gp_pickle_fail(const gp_pickle *p, const char *fmt, ...)
{
    char what[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return fail("%s: %s (at byte %zu of its pickle)", p->path, what, p->at);
}
