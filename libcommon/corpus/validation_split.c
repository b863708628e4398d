/* validation_split.c: where the validation part of a text begins (--val-fraction of tokenize). Token streams are split
 * by data/validation_split.c. */
#include "corpus/corpus.h"

/* In a text of a single part, the next place between two characters. */
static int64_t between_characters(const gp_text_part *part, int64_t target)
{
    int64_t at = target - part->begin;
    while (at > 0 && at < (int64_t)part->length && ((uint8_t)part->data[at] & 0xC0) == 0x80)
        at++;
    return part->begin + at;
}

int gp_walk_find_cut(gp_text *text, const gp_separator *s, double fraction, int64_t *cut, int64_t *documents)
{
    const gp_text_info *info = gp_text_get_info(text);
    bool cut_anywhere = !gp_has_documents(info, s), begins = true;
    int64_t target = (int64_t)((1 - fraction) * (double)info->bytes), count = 0;
    gp_text_part part;
    int rc = 0;
    *cut = *documents = 0;
    while (*cut < target && (rc = gp_text_next(text, s->text, s->length, &part)) > 0) {
        bool document = begins && part.end > part.begin;
        begins = part.separated || part.file_ends;
        if (cut_anywhere)
            *cut = between_characters(&part, target);
        if (cut_anywhere || !document || !count++)
            continue;
        if (*cut && target - *cut <= part.begin - target)
            break; /* the previous document is nearer */
        *cut = part.begin;
        *documents = count - 1;
    }
    gp_text_rewind(text);
    if (rc < 0)
        return -1;
    if (*cut < 1 || *cut >= info->bytes)
        return fail("%s: its %lld bytes in %lld document%s cannot be split into %g for training and %g for validation",
                    info->name, (long long)info->bytes, (long long)gp_max(1, count), count > 1 ? "s" : "", 1 - fraction,
                    fraction);
    return 0;
}
