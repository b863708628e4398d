/* imdb.h: an archive like IMDB's, small. */
#ifndef IMDB_H
#define IMDB_H

#include "archives.h"

/* In the order in which the real one has them: none that could be relied on. */
static const packed imdb_files[] = {{"aclImdb/README", "IMDB\n"},
                                    {"aclImdb/test/pos/0_10.txt", "test good 0"},
                                    {"aclImdb/test/neg/1_1.txt", "test bad 1"},
                                    {"aclImdb/test/neg/0_2.txt", "test bad 0"},
                                    {"aclImdb/test/urls_neg.txt", "http://example.org\n"},
                                    {"aclImdb/train/pos/10_7.txt", "train good 10"},
                                    {"aclImdb/train/pos/2_9.txt", "train good 2"},
                                    {"aclImdb/train/neg/0_3.txt", "train \"bad\" 0"},
                                    {"aclImdb/train/unsup/0_0.txt", "nobody knows"},
                                    {0}};

/* Its items by split, label, number: what a sort of those names on paper gives. */
typedef struct review {
    const char *text;
    int label;
    const char *split;
} review;

static const review imdb_items[] = {{"train \"bad\" 0", 0, "train"}, {"train good 2", 1, "train"},
                                    {"train good 10", 1, "train"},   {"test bad 0", 0, "test"},
                                    {"test bad 1", 0, "test"},       {"test good 0", 1, "test"}};

#endif
