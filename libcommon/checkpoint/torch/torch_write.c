/* torch_write.c: see torch.h. */
#include "base/file.h"
#include "checkpoint/torch/torch.h"
#include "checkpoint/torch/zip_write.h"

#include <stdlib.h>
#include <string.h>

typedef struct written {
    char *name;
    int ndim;
    int64_t dim[GP_MAX_DIMS], count;
    int64_t storage; /* the number of its storage: another tensor's, if it is an alias */
    char *of;        /* NULL, or the tensor that it is an alias of */
} written;

struct gp_torch_writer {
    gp_out out;
    gp_store store;
    bool nanogpt, begun;
    gp_torch_entry *args;
    int64_t arg_count;
    written *tensors;
    int64_t tensor_count, storage_count;
    int64_t current, done; /* the tensor whose storage is open, and its numbers so far */
    gp_zip_writer zip;
};

static const char *const storages[] = {
    [GP_STORE_F32] = "FloatStorage", [GP_STORE_F16] = "HalfStorage", [GP_STORE_BF16] = "BFloat16Storage"};

/* ---- the pickle, of protocol 2 --------------------------------------------------------------------------- */

static void pickle_text(gp_buf *b, const char *s)
{
    gp_buf_puts(b, "X");
    gp_buf_number(b, strlen(s), 4);
    gp_buf_puts(b, s);
}

static void pickle_whole(gp_buf *b, int64_t v)
{
    if (v >= 0 && v <= UINT8_MAX) {
        gp_buf_puts(b, "K"); /* BININT1 */
        gp_buf_number(b, (uint64_t)v, 1);
    } else if (v >= INT32_MIN && v <= INT32_MAX) {
        gp_buf_puts(b, "J"); /* BININT */
        gp_buf_number(b, (uint64_t)v, 4);
    } else {
        gp_buf_puts(b, "\x8a\x08"); /* LONG1 of 8 bytes */
        gp_buf_number(b, (uint64_t)v, 8);
    }
}

/* BINFLOAT: the highest byte first. */
static void pickle_real(gp_buf *b, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    gp_buf_puts(b, "G");
    for (int i = 7; i >= 0; i--)
        gp_buf_number(b, bits >> (8 * i), 1);
}

static void pickle_entry(gp_buf *b, const gp_torch_entry *e)
{
    pickle_text(b, e->name);
    switch (e->type) {
    case GP_TORCH_BOOL:
        gp_buf_puts(b, e->whole ? "\x88" : "\x89");
        break;
    case GP_TORCH_INT:
        pickle_whole(b, e->whole);
        break;
    case GP_TORCH_REAL:
        pickle_real(b, e->real);
        break;
    case GP_TORCH_TEXT:
        pickle_text(b, e->text);
        break;
    case GP_TORCH_NONE:
    case GP_TORCH_OTHER:
        gp_buf_puts(b, "N");
        break;
    }
}

static void pickle_tuple(gp_buf *b, const int64_t *v, int n)
{
    gp_buf_puts(b, "(");
    for (int i = 0; i < n; i++)
        pickle_whole(b, v[i]);
    gp_buf_puts(b, "t");
}

static const char ordered_dict[] = "ccollections\nOrderedDict\n)R";

/* _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks) */
static void pickle_tensor(gp_buf *b, const gp_torch_writer *w, const written *t)
{
    int64_t stride[GP_MAX_DIMS], step = 1;
    char key[24];
    for (int i = t->ndim - 1; i >= 0; step *= t->dim[i--])
        stride[i] = step;
    snprintf(key, sizeof key, "%lld", (long long)t->storage);
    pickle_text(b, t->name);
    gp_buf_puts(b, "ctorch._utils\n_rebuild_tensor_v2\n((");
    pickle_text(b, "storage");
    gp_buf_printf(b, "ctorch\n%s\n", storages[w->store]);
    pickle_text(b, key);
    pickle_text(b, "cpu");
    pickle_whole(b, t->count);
    gp_buf_puts(b, "tQ"); /* the persistent id */
    pickle_whole(b, 0);
    pickle_tuple(b, t->dim, t->ndim);
    pickle_tuple(b, stride, t->ndim);
    gp_buf_puts(b, "\x89");
    gp_buf_puts(b, ordered_dict);
    gp_buf_puts(b, "tR");
}

static void pickle_state(gp_buf *b, const gp_torch_writer *w)
{
    gp_buf_puts(b, ordered_dict);
    gp_buf_puts(b, "(");
    for (int64_t i = 0; i < w->tensor_count; i++)
        pickle_tensor(b, w, &w->tensors[i]);
    gp_buf_puts(b, "u");
}

/* A group of AdamW's parameters with nanoGPT's settings, of which its train.py sets lr at each step; they are the
 * `count` ones from number `first` on. */
static void pickle_group(gp_buf *b, int64_t first, int64_t count, double weight_decay)
{
    gp_buf_puts(b, "}(");
    pickle_text(b, "lr");
    pickle_real(b, 6e-4);
    pickle_text(b, "betas");
    pickle_real(b, 0.9);
    pickle_real(b, 0.95);
    gp_buf_puts(b, "\x86"); /* TUPLE2 */
    pickle_text(b, "eps");
    pickle_real(b, 1e-8);
    pickle_text(b, "weight_decay");
    pickle_real(b, weight_decay);
    pickle_text(b, "amsgrad");
    gp_buf_puts(b, "\x89");
    pickle_text(b, "params");
    gp_buf_puts(b, "](");
    for (int64_t i = 0; i < count; i++)
        pickle_whole(b, first + i);
    gp_buf_puts(b, "eu");
}

/* An optimizer before its first step, so that nanoGPT's train.py --init_from=resume starts: matrices decay. */
static void pickle_optimizer(gp_buf *b, const gp_torch_writer *w)
{
    int64_t matrices = 0, others = 0;
    for (int64_t i = 0; i < w->tensor_count; i++) {
        matrices += !w->tensors[i].of && w->tensors[i].ndim >= 2;
        others += !w->tensors[i].of && w->tensors[i].ndim < 2;
    }
    pickle_text(b, "optimizer");
    gp_buf_puts(b, "}(");
    pickle_text(b, "state");
    gp_buf_puts(b, "}");
    pickle_text(b, "param_groups");
    gp_buf_puts(b, "](");
    pickle_group(b, 0, matrices, 0.1);
    pickle_group(b, matrices, others, 0);
    gp_buf_puts(b, "eu");
}

static void pickle_nanogpt(gp_buf *b, const gp_torch_writer *w)
{
    gp_buf_puts(b, "}(");
    pickle_text(b, "model");
    pickle_state(b, w);
    pickle_optimizer(b, w);
    pickle_text(b, "model_args");
    gp_buf_puts(b, "}(");
    for (int64_t i = 0; i < w->arg_count; i++)
        pickle_entry(b, &w->args[i]);
    gp_buf_puts(b, "u");
    pickle_text(b, "iter_num");
    pickle_whole(b, 0);
    pickle_text(b, "best_val_loss");
    pickle_real(b, 1e9);
    pickle_text(b, "config");
    gp_buf_puts(b, "}u");
}

static int write_pickle(gp_torch_writer *w)
{
    gp_buf b = {0};
    gp_buf_puts(&b, "\x80\x02");
    (w->nanogpt ? pickle_nanogpt : pickle_state)(&b, w);
    gp_buf_puts(&b, ".");
    int rc = gp_zip_add(&w->zip, "data.pkl", b.data, b.len);
    gp_buf_release(&b);
    return rc ? rc : gp_zip_add(&w->zip, "byteorder", "little", strlen("little"));
}

/* ---- the tensors ----------------------------------------------------------------------------------------- */

gp_torch_writer *gp_torch_create(const char *path, gp_store store, bool nanogpt, const gp_torch_entry *args,
                                 int64_t arg_count)
{
    BUG_ON((size_t)store >= ARRAY_LEN(storages));
    gp_torch_writer *w = gp_calloc(1, sizeof *w);
    w->store = store;
    w->nanogpt = nanogpt;
    if (gp_out_open(&w->out, path)) {
        free(w);
        return NULL;
    }
    w->zip.out = &w->out;
    w->args = gp_calloc((size_t)arg_count, sizeof *w->args);
    for (; w->arg_count < arg_count; w->arg_count++) {
        gp_torch_entry *e = &w->args[w->arg_count];
        *e = args[w->arg_count];
        e->name = gp_strdup(e->name);
        e->text = e->text ? gp_strdup(e->text) : NULL;
    }
    return w;
}

static written *add_tensor(gp_torch_writer *w, const char *name)
{
    BUG_ON(w->begun);
    w->tensors = gp_grow(w->tensors, w->tensor_count, sizeof *w->tensors);
    written *t = &w->tensors[w->tensor_count++];
    *t = (written){.name = gp_strdup(name)};
    return t;
}

static int declare(void *self, const char *name, int ndim, const int64_t *dim)
{
    gp_torch_writer *w = self;
    BUG_ON(ndim < 0 || ndim > GP_MAX_DIMS);
    written *t = add_tensor(w, name);
    t->ndim = ndim;
    t->count = 1;
    for (int i = 0; i < ndim; i++) {
        t->dim[i] = dim[i];
        if (dim[i] < 0 || !gp_mul(t->count, dim[i], &t->count) || t->count > INT64_MAX / 16)
            return fail("%s: tensor %s: its shape overflows", w->out.path, name);
    }
    t->storage = w->storage_count++;
    return 0;
}

void gp_torch_alias(gp_torch_writer *w, const char *name, const char *of)
{
    add_tensor(w, name)->of = gp_strdup(of);
}

/* The tensor that an alias stands for, or NULL. */
static const written *find_declared(const gp_torch_writer *w, const char *name)
{
    for (int64_t i = 0; i < w->tensor_count; i++)
        if (!w->tensors[i].of && !strcmp(w->tensors[i].name, name))
            return &w->tensors[i];
    return NULL;
}

static void free_tensor(written *t)
{
    free(t->name);
    free(t->of);
}

/* Gives each alias the shape and the storage of its tensor. */
static void resolve_aliases(gp_torch_writer *w)
{
    int64_t count = 0;
    for (int64_t i = 0; i < w->tensor_count; i++) {
        written t = w->tensors[i];
        const written *of = t.of ? find_declared(w, t.of) : NULL;
        if (t.of && !of) {
            free_tensor(&t);
            continue;
        }
        if (of) {
            t.ndim = of->ndim;
            t.count = of->count;
            t.storage = of->storage;
            memcpy(t.dim, of->dim, sizeof t.dim);
        }
        w->tensors[count++] = t;
    }
    w->tensor_count = count;
}

static int begin(gp_torch_writer *w)
{
    resolve_aliases(w);
    w->begun = true;
    return write_pickle(w);
}

/* Ends storages that have all their numbers, and begins the next one that lacks some; at the end, current is
 * tensor_count. The pickle comes before the first. */
static int advance(gp_torch_writer *w)
{
    bool open = w->begun;
    int rc = open ? 0 : begin(w);
    while (!rc && w->current < w->tensor_count) {
        const written *t = &w->tensors[w->current];
        char name[32];
        if (!open && !t->of) {
            snprintf(name, sizeof name, "data/%lld", (long long)t->storage);
            gp_zip_begin(&w->zip, name, t->count * gp_dtype_size(gp_store_dtype(w->store)));
            w->done = 0;
        }
        if (!t->of && w->done < t->count)
            return 0;
        if (!t->of)
            rc = gp_zip_end(&w->zip);
        open = false;
        w->current++;
    }
    return rc;
}

static int put(void *self, const void *data, size_t bytes)
{
    return gp_zip_write(self, data, bytes);
}

static int write_numbers(void *self, const float *x, int64_t count)
{
    gp_torch_writer *w = self;
    int rc = w->begun ? 0 : advance(w);
    if (rc)
        return rc;
    BUG_ON(w->current >= w->tensor_count || count > w->tensors[w->current].count - w->done);
    w->done += count;
    rc = gp_put_numbers(gp_store_dtype(w->store), x, count, put, &w->zip);
    if (!rc && w->done == w->tensors[w->current].count)
        rc = advance(w);
    return rc;
}

gp_tensor_writer gp_torch_tensor_writer(gp_torch_writer *w)
{
    return (gp_tensor_writer){w, declare, write_numbers, gp_store_largest(w->store)};
}

static void release(gp_torch_writer *w)
{
    for (int64_t i = 0; i < w->arg_count; i++) {
        free(w->args[i].name);
        free(w->args[i].text);
    }
    for (int64_t i = 0; i < w->tensor_count; i++)
        free_tensor(&w->tensors[i]);
    free(w->args);
    free(w->tensors);
    gp_zip_abandon(&w->zip);
    free(w);
}

int gp_torch_finish(gp_torch_writer *w)
{
    int rc = w->begun ? 0 : advance(w); /* there may be no numbers */
    BUG_ON(!rc && w->current < w->tensor_count);
    if (!rc)
        rc = gp_zip_add(&w->zip, "version", "3\n", 2);
    if (!rc)
        rc = gp_zip_finish(&w->zip);
    rc = gp_out_end(&w->out, rc);
    release(w);
    return rc;
}

void gp_torch_abort(gp_torch_writer *w)
{
    gp_out_abandon(&w->out);
    release(w);
}
