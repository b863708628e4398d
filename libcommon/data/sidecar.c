/* sidecar.c: see sidecar.h. */
#include "data/sidecar.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum { SIDECAR_MAX = 1 << 28 };

static int check_numbers(const json_t *list, const char *name, const char *path)
{
    size_t i;
    json_t *x;
    json_array_foreach (list, i, x)
        if (!json_is_number(x) || json_number_value(x) < 0)
            return fail("%s: item %zu of its %s is not a number of 0 or more", path, i, name);
    return 0;
}

static int read_entropy(gp_sidecar *s, const json_t *entropy, const char *path)
{
    json_t *nats = json_object_get(entropy, "nats"), *chars = json_object_get(entropy, "chars");
    if (!entropy)
        return 0;
    if (!json_is_array(nats) || !json_is_array(chars) || json_array_size(nats) != json_array_size(chars))
        return fail("%s: its entropy is not two lists of the same length, nats and chars", path);
    if (check_numbers(nats, "nats", path) || check_numbers(chars, "chars", path))
        return -1;
    s->nats = json_incref(nats);
    s->chars = json_incref(chars);
    return 0;
}

/* Other members, which describe these texts and not their distribution, are left out. */
static int read_bayes(gp_sidecar *s, const json_t *bayes, const char *path)
{
    const json_t *accuracy = json_object_get(bayes, "accuracy"), *loss = json_object_get(bayes, "loss");
    double a = json_number_value(accuracy), l = json_number_value(loss);
    if (!bayes)
        return 0;
    if (!json_is_number(accuracy) || !json_is_number(loss) || a < 0 || a > 1 || l < 0)
        return fail("%s: its bayes is not an accuracy from 0 to 1 and a loss of 0 or more", path);
    s->bayes = json_pack("{s:f, s:f}", "accuracy", a, "loss", l);
    return 0;
}

static int check_text(const char *made_for, const char *path, const gp_map *text)
{
    char sha256[65];
    gp_sha256_hex(sha256, text->data, text->size);
    if (strcmp(made_for, sha256))
        return fail("%s: belongs to another text, of SHA-256 %.64s; this one's is %s. Make the text again, or remove "
                    "this file",
                    path, made_for, sha256);
    return 0;
}

static int read_root(gp_sidecar *s, const json_t *root, const char *path, const gp_map *text)
{
    const json_t *separator = json_object_get(root, "separator"), *entropy = json_object_get(root, "entropy");
    const json_t *bayes = json_object_get(root, "bayes");
    const char *made_for = json_string_value(json_object_get(json_object_get(root, "source"), "sha256"));
    if (!separator && !entropy && !bayes)
        return 0;
    if (made_for && check_text(made_for, path, text))
        return -1;
    if (separator && !json_string_length(separator))
        return fail("%s: its separator is not a string", path);
    if (separator) {
        s->separator_length = json_string_length(separator);
        s->separator = gp_strndup(json_string_value(separator), s->separator_length);
    }
    return read_entropy(s, entropy, path) || read_bayes(s, bayes, path) ? -1 : 0;
}

int gp_sidecar_read(gp_sidecar *s, const char *text_path, const gp_map *text)
{
    char *path = gp_format("%s.json", text_path);
    gp_buf json = {0};
    json_error_t e;
    json_t *root = NULL;
    int rc = 0;
    *s = (gp_sidecar){0};
    int there = gp_exists(path);
    if (there) {
        rc = there > 0 ? gp_file_read_regular(&json, path, SIDECAR_MAX) : -1;
        if (!rc && !(root = gp_json_load(json.data, json.len, JSON_ALLOW_NUL, &e)))
            rc = fail("%s: is not JSON, line %d: %s; a file of this name must describe %s", path, e.line, e.text,
                      text_path);
        if (!rc)
            rc = read_root(s, root, path, text);
    }
    json_decref(root);
    gp_buf_release(&json);
    free(path);
    return rc;
}

void gp_sidecar_drop_documents(gp_sidecar *s)
{
    free(s->separator);
    json_decref(s->nats);
    json_decref(s->chars);
    *s = (gp_sidecar){.bayes = s->bayes};
}

void gp_sidecar_release(gp_sidecar *s)
{
    gp_sidecar_drop_documents(s);
    json_decref(s->bayes);
    *s = (gp_sidecar){0};
}

void gp_sidecar_join(gp_sidecar *s, const gp_sidecar *next)
{
    bool same = s->separator && next->separator && s->separator_length == next->separator_length &&
                !memcmp(s->separator, next->separator, s->separator_length);
    if (!s->bayes || !next->bayes || !json_equal(s->bayes, next->bayes)) {
        json_decref(s->bayes);
        s->bayes = NULL;
    }
    if (same && s->nats && next->nats) {
        json_array_extend(s->nats, next->nats);
        json_array_extend(s->chars, next->chars);
        return;
    }
    json_decref(s->nats);
    json_decref(s->chars);
    s->nats = s->chars = NULL;
    if (!same) {
        free(s->separator);
        s->separator = NULL;
        s->separator_length = 0;
    }
}
