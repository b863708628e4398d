/* chars.h: a char tokenizer of one text. */
#ifndef CHARS_H
#define CHARS_H

#include "gptpipe/tokenizer.h"

static inline gp_tokenizer *chars_of(const char *text, size_t length)
{
    gp_charset *c = gp_charset_new();
    gp_charset_add(c, text, length);
    return gp_charset_build(c);
}

#endif
