/* folder_tokenizer.c: the tokenizer of a checkpoint: a folder's, or that which the weights' file carries. */
#include "checkpoint/folder.h"
#include "base/file.h"
#include "text/text.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TOKENIZER = 1 << 28 };

/* Vocabulary files in the folder become the text of a tokenizer.json. */
static int build_tokenizer(gp_checkpoint *c, const char *folder)
{
    gp_tokenizer *t = gp_tokenizer_open(folder);
    if (!t && gp_error_is_io())
        return -1;
    if (!t) {
        c->tokenizer_problem = gp_strdup(gp_error());
        return 0;
    }
    char *text = gp_tokenizer_to_json(t);
    gp_checkpoint_warning_tokenizer(c, t);
    gp_tokenizer_close(t);
    gp_checkpoint_set_tokenizer(c, text, strlen(text), NULL);
    return 0;
}

/* Whether two texts are of the same tokenizer. */
static bool same_tokenizer(const char *a, size_t n, const char *b, size_t m)
{
    if (n == m && !memcmp(a, b, n))
        return true;
    gp_tokenizer *first = gp_tokenizer_from_json(a, n, "one"), *second = gp_tokenizer_from_json(b, m, "other");
    char *x = first ? gp_tokenizer_to_json(first) : NULL, *y = second ? gp_tokenizer_to_json(second) : NULL;
    bool same = x && y && !strcmp(x, y);
    gp_tokenizer_close(first);
    gp_tokenizer_close(second);
    free(x);
    free(y);
    return same;
}

int gp_folder_tokenizer(gp_checkpoint *c, const char *text, size_t length, const char *folder, bool config_counts)
{
    gp_buf b = {0};
    int rc = text && !config_counts ? 1 : gp_folder_read(&b, folder, "tokenizer.json", MAX_TOKENIZER);
    if (!rc && b.len) {
        bool same = !text || same_tokenizer(text, length, b.data, b.len);
        gp_checkpoint_set_tokenizer(c, b.data, b.len, folder);
        if (!same)
            gp_checkpoint_add_tokenizer_warning(c, gp_strdup("tokenizer.json and the tokenizer in the weights' "
                                                             "file disagree; tokenizer.json is taken"));
        return 0;
    }
    gp_buf_release(&b);
    if (rc >= 0 && text) {
        gp_checkpoint_set_tokenizer(c, gp_strndup(text, length), length, NULL);
        return 0;
    }
    if (rc <= 0)
        return rc;
    if (!folder)
        return 0;
    int there = gp_vocabulary_exists(folder);
    return there > 0 ? build_tokenizer(c, folder) : there;
}
