/* products.c: see products.h. */
#include "train/products.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/progress.h"

#include <stdlib.h>
#include <string.h>

/* ---- the file -------------------------------------------------------------------------------------------- */

/* An object a line. */
void gp_products_print(const gp_backend *be, gp_buf *text)
{
    json_t *head = json_pack("{s:s, s:s}", "library", be->products_library, "device", be->device);
    char *printed = gp_json_print(head, JSON_COMPACT);
    gp_buf_printf(text, "{\"chosen_by\": %s, \"products\": [", printed);
    free(printed);
    json_decref(head);
    for (int i = 0; i < be->choice_count; i++) {
        const gp_product_choice *c = &be->choices[i];
        json_t *one = json_pack("{s:s, s:s, s:s, s:s, s:f, s:f, s:b}", "product", c->product, "way", c->way,
                                "algorithm", c->algorithm, "details", c->details, "seconds", c->seconds,
                                "first_seconds", c->first_seconds, "refused", (int)c->refused);
        printed = gp_json_print(one, JSON_COMPACT | JSON_REAL_PRECISION(6));
        gp_buf_printf(text, "%s\n  %s", i ? "," : "", printed);
        free(printed);
        json_decref(one);
    }
    gp_buf_puts(text, "]}\n");
}

static bool read_text(char *to, size_t size, const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text && (size_t)snprintf(to, size, "%s", text) < size;
}

static bool read_choice(gp_product_choice *c, const json_t *object)
{
    const json_t *seconds = json_object_get(object, "seconds"), *first = json_object_get(object, "first_seconds"),
                 *refused = json_object_get(object, "refused");
    *c = (gp_product_choice){.seconds = json_number_value(seconds),
                             .first_seconds = json_number_value(first),
                             .refused = json_is_true(refused)};
    return json_is_number(seconds) && json_is_number(first) && json_is_boolean(refused) &&
           read_text(c->product, sizeof c->product, object, "product") &&
           read_text(c->way, sizeof c->way, object, "way") &&
           read_text(c->algorithm, sizeof c->algorithm, object, "algorithm") &&
           read_text(c->details, sizeof c->details, object, "details");
}

static bool read_all(gp_products *p, const json_t *root)
{
    const json_t *head = json_object_get(root, "chosen_by"), *list = json_object_get(root, "products");
    if (!read_text(p->library, sizeof p->library, head, "library") ||
        !read_text(p->device, sizeof p->device, head, "device") || !json_is_array(list))
        return false;
    size_t count = json_array_size(list);
    p->choices = gp_calloc(count + 1, sizeof *p->choices);
    for (p->count = 0; (size_t)p->count < count; p->count++)
        if (!read_choice(&p->choices[p->count], json_array_get(list, (size_t)p->count)))
            return false;
    return true;
}

int gp_products_read(gp_products *p, const char *path)
{
    gp_buf text = {0};
    json_error_t e;
    int there = gp_exists(path), rc = there < 0 ? -1 : 0;
    *p = (gp_products){0};
    if (there <= 0 || gp_file_read_regular(&text, path, 1 << 20))
        return there > 0 ? -1 : rc;
    json_t *root = gp_json_load(text.data ? text.data : "", text.len, JSON_REJECT_DUPLICATES, &e);
    if (!root || !read_all(p, root))
        rc = fail("%s: is not a record of the algorithm that each matrix product uses, as train writes it; "
                  "restore it, or remove it to choose the algorithms again (results may then not be bit-identical)",
                  path);
    json_decref(root);
    gp_buf_release(&text);
    return rc;
}

void gp_products_release(gp_products *p)
{
    free(p->choices);
    *p = (gp_products){0};
}

/* ---- using, measuring ------------------------------------------------------------------------------------ */

int gp_products_use(gp_backend *be, const gp_products *p, bool measured, char *why, size_t size)
{
    int used = 0;
    *why = 0;
    for (int i = 0; i < p->count; i++)
        used += measured || p->choices[i].refused;
    if (!used)
        return 0;
    if (strcmp(p->library, be->products_library) || strcmp(p->device, be->device)) {
        snprintf(why, size, "the algorithms that this run recorded are those of %s on %s",
                 *p->library ? p->library : "no library", p->device);
        return 0;
    }
    for (int i = 0; i < p->count; i++) {
        const gp_product_choice *c = &p->choices[i];
        if (!measured && !c->refused)
            continue;
        if (gp_backend_choose_product(be, c))
            return -1;
        be->choices[be->choice_count - 1].reported = c->refused; /* by the run that recorded it */
    }
    return 0;
}

const gp_product_choice *gp_products_next_lost(gp_backend *be)
{
    for (int i = 0; i < be->choice_count; i++) {
        gp_product_choice *c = &be->choices[i];
        if (c->lost && !c->reported) {
            c->reported = true;
            return c;
        }
    }
    return NULL;
}

double gp_products_measure(gp_backend *be, int (*pass)(void *self), void *self)
{
    double begin = gp_now();
    be->measures_products = true;
    int rc = pass(self);
    be->measures_products = false;
    be->ops->sync(be);
    return rc ? -1 : gp_now() - begin;
}

void gp_products_total(const gp_backend *be, double *chosen, double *first)
{
    *chosen = *first = 0;
    for (int i = 0; i < be->choice_count; i++) {
        *chosen += be->choices[i].seconds * (double)be->choices[i].calls;
        *first += be->choices[i].first_seconds * (double)be->choices[i].calls;
    }
}

const char *gp_products_describe(const gp_backend *be, char *text, size_t size)
{
    bool measured = false;
    for (int i = 0; i < be->choice_count; i++)
        measured |= be->choices[i].seconds > 0;
    snprintf(text, size, "%s%s", be->products_library, measured ? " (measured)" : "");
    return text;
}
