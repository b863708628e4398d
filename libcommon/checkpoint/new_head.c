/* new_head.c: a head in the place of the file's (gp_checkpoint_options.head), for fine-tuning: parameters that the file
 * lacks are initialized, and tensors of its own head are left out. */
#include "checkpoint/names.h"
#include "checkpoint/weights.h"
#include "model/config.h"

#include <stdlib.h>
#include <string.h>

/* Whether the file's classifier has these labels. Those that nobody has named, LABEL_0 and so on, may be any. */
static bool same_labels(const gp_config *c, const gp_new_head *h)
{
    bool same = c->labels == h->labels, unnamed = same;
    for (int64_t i = 0; (same || unnamed) && i < c->labels; i++) {
        char text[GP_LABEL_UNNAMED];
        const char *own = gp_config_label(c, i), *number = gp_label_unnamed(i, text);
        same = same && !strcmp(own, h->label_names ? h->label_names[i] : number);
        unnamed = unnamed && !strcmp(own, number);
    }
    return same || unnamed;
}

static int set_head(gp_config *c, const gp_new_head *h, const char *path)
{
    bool classified = c->head == GP_HEAD_CLASSIFY;
    if (h->head == GP_HEAD_CLASSIFY) {
        if (gp_config_classify(c, h->labels, h->label_names, path))
            return -1;
        if (!classified)
            c->dropout_head = c->head_dense ? c->dropout_resid : 0;
    } else {
        if (h->head != GP_HEAD_NONE && h->head != gp_config_defaults(c->family).head)
            return fail("%s: is a %s, which has no such head", path, gp_family_name(c->family));
        c->head = h->head;
        if (h->head == GP_HEAD_NONE && c->causal)
            c->tied = false; /* a tied GPT2Model is a language model when it is read again */
        c->labels = 0;
        memset(c->label_names, 0, sizeof c->label_names);
    }
    return gp_config_check(c, path);
}

int gp_weights_replace_head(gp_weights *f, gp_checkpoint *c)
{
    const gp_new_head *h = c->options.head;
    gp_head was = c->config.head;
    if (!h)
        return 0;
    bool same = h->head == was &&
                (was != GP_HEAD_CLASSIFY || h->keep_classifier || (!h->label_names && h->labels == c->config.labels));
    if (same)
        return 0;
    bool other_labels = was == GP_HEAD_CLASSIFY && h->head == was && !same_labels(&c->config, h);
    if (set_head(&c->config, h, c->path))
        return -1;
    if (h->head == was && !other_labels)
        return 0;
    f->replaced = gp_calloc(1, sizeof *f->replaced);
    *f->replaced = (gp_replaced_head){.config = c->config, .seed = h->seed, .other_labels = other_labels};
    return 0;
}

static void list(gp_buf *names, const char *name)
{
    gp_buf_printf(names, "%s%s", names->len ? ", " : "", name);
}

void gp_replaced_head_add(gp_weights *f, const gp_param *row)
{
    const char *pattern = gp_naming_pattern(f->naming, row->role);
    char ours[GP_PARAM_NAME], theirs[GP_TENSOR_NAME];
    f->replaced->is_new[row->role] = true;
    if (pattern)
        gp_naming_expand(f->naming, pattern, 0, theirs);
    list(&f->replaced->added, pattern ? theirs : gp_param_name(row, ours));
}

void gp_replaced_head_leave_out(gp_weights *f, const char *tensor)
{
    list(&f->replaced->left_out, tensor);
}

void gp_replaced_head_report(const gp_weights *f, gp_checkpoint *c)
{
    const gp_replaced_head *r = f->replaced;
    gp_checkpoint_warning_add(c, gp_format("%s: its head is replaced; initialized: %s; left out: %s", c->path,
                                           r->added.len ? r->added.data : "nothing",
                                           r->left_out.len ? r->left_out.data : "nothing"));
}

void gp_replaced_head_read(const gp_weights *f, const gp_param *row, int64_t first, int64_t lines, float *data)
{
    const gp_replaced_head *r = f->replaced;
    int64_t width = row->dim[1];
    gp_params_init_elements(row, (int)(row - f->rows), &r->config, r->seed, first * width, lines * width, data);
}

void gp_replaced_head_free(gp_replaced_head *r)
{
    if (!r)
        return;
    gp_buf_release(&r->added);
    gp_buf_release(&r->left_out);
    free(r);
}
