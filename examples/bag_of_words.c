/* bag_of_words.c: which of two labels a text has, by its words alone: TF-IDF and logistic regression. A baseline for
 * classifiers that read words in order.
 *
 *     make -C examples
 *     fetch-data reviews -o reviews.jsonl
 *     examples/bag_of_words ./reviews.jsonl        # single words
 *     examples/bag_of_words ./reviews.jsonl 2      # and pairs of neighbouring words
 *
 * The first argument is a data set of the catalog in the folder data (imdb), or a path: JSON Lines with text, label and
 * split, or a folder like IMDB's. It is trained on the split train and tested on the split test.
 *
 * The features and the objective are those of scikit-learn's TfidfVectorizer and LogisticRegression with their default
 * settings. A term is a word of two or more characters in lower case, or a pair of them. Of n training texts, df have
 * the term:
 *
 *     idf = log((1 + n) / (1 + df)) + 1,   x = tf idf / |tf idf|
 *     minimize over w, b:  1/2 |w|^2 + sum over texts of log(1 + exp(-y (w x + b))),   y = -1 or 1
 *
 * Beyond ASCII, letters keep their case and punctuation counts as letters.
 */
#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gptpipe/dataset.h>

typedef struct vocabulary {
    char **terms;
    double *idf; /* while terms are counted: the number of texts that have the term */
    int64_t count, slots;
    int64_t *table; /* hash table of slots, a power of two: a term's number + 1; 0: free */
} vocabulary;

/* Sparse rows: text i has terms term[k] with value[k] for begin[i] <= k < begin[i + 1]. */
typedef struct matrix {
    int64_t texts, *begin, *term;
    double *value;
    int *label;
} matrix;

static void *resize(void *memory, int64_t count, size_t size)
{
    memory = realloc(memory, (size_t)(count ? count : 1) * size);
    if (!memory) {
        fprintf(stderr, "bag_of_words: out of memory\n");
        exit(1);
    }
    return memory;
}

/* ---- terms ----------------------------------------------------------------------------------------------- */

/* The slot of a term, which may be free (FNV-1a, linear probing). */
static int64_t find_slot(const vocabulary *v, const char *term)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (const char *c = term; *c; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
    int64_t slot = (int64_t)(hash & (uint64_t)(v->slots - 1));
    while (v->table[slot] && strcmp(v->terms[v->table[slot] - 1], term) != 0)
        slot = (slot + 1) & (v->slots - 1);
    return slot;
}

static void double_table(vocabulary *v)
{
    v->slots = v->slots ? 2 * v->slots : 1024;
    v->table = resize(v->table, v->slots, sizeof *v->table);
    v->terms = resize(v->terms, v->slots, sizeof *v->terms);
    v->idf = resize(v->idf, v->slots, sizeof *v->idf);
    memset(v->table, 0, (size_t)v->slots * sizeof *v->table);
    for (int64_t i = 0; i < v->count; i++)
        v->table[find_slot(v, v->terms[i])] = i + 1;
}

/* The number of a term; a new one is added with grow, else -1. */
static int64_t find_term(vocabulary *v, const char *term, bool grow)
{
    if (grow && 2 * v->count >= v->slots)
        double_table(v);
    int64_t slot = find_slot(v, term);
    if (!v->table[slot] && grow) {
        v->terms[v->count] = strcpy(resize(NULL, (int64_t)strlen(term) + 1, 1), term);
        v->idf[v->count] = 0;
        v->table[slot] = ++v->count;
    }
    return v->table[slot] - 1;
}

static bool is_word_byte(unsigned char c)
{
    return isalnum(c) || c == '_' || c >= 0x80;
}

static int by_number(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* The numbers of all terms of a text, sorted, repeated as often as they are in it; of n words at most 2 n. `terms` has
 * room for as many as the text has bytes; `pair` for twice its bytes. */
static int64_t find_terms(vocabulary *v, const char *text, size_t length, int ngrams, bool grow, int64_t *terms,
                          char *pair)
{
    int64_t count = 0, term;
    size_t last = 0; /* length of the previous word, at the beginning of pair */
    for (size_t i = 0; i < length;) {
        char *word = pair + last + (last > 0);
        size_t n = 0;
        while (i < length && !is_word_byte((unsigned char)text[i]))
            i++;
        while (i < length && is_word_byte((unsigned char)text[i]))
            word[n++] = (char)tolower((unsigned char)text[i++]);
        word[n] = 0;
        if (n < 2)
            continue;
        if ((term = find_term(v, word, grow)) >= 0)
            terms[count++] = term;
        if (last > 0 && ngrams == 2) {
            pair[last] = ' ';
            if ((term = find_term(v, pair, grow)) >= 0)
                terms[count++] = term;
        }
        memmove(pair, word, n);
        last = n;
    }
    qsort(terms, (size_t)count, sizeof *terms, by_number);
    return count;
}

/* ---- TF-IDF ---------------------------------------------------------------------------------------------- */

/* Appends a text's row of term frequencies. */
static void append_row(matrix *m, const int64_t *terms, int64_t count, int label)
{
    int64_t end = m->texts ? m->begin[m->texts] : 0;
    m->begin = resize(m->begin, m->texts + 2, sizeof *m->begin);
    m->begin[0] = 0;
    m->label = resize(m->label, m->texts + 1, sizeof *m->label);
    m->term = resize(m->term, end + count, sizeof *m->term);
    m->value = resize(m->value, end + count, sizeof *m->value);
    for (int64_t i = 0; i < count; i++) {
        if (i && terms[i] == terms[i - 1]) {
            m->value[end - 1]++;
            continue;
        }
        m->term[end] = terms[i];
        m->value[end++] = 1;
    }
    m->label[m->texts++] = label;
    m->begin[m->texts] = end;
}

/* idf from the training texts. */
static void count_documents(vocabulary *v, const matrix *train)
{
    for (int64_t k = 0; k < train->begin[train->texts]; k++)
        v->idf[train->term[k]]++;
    for (int64_t i = 0; i < v->count; i++)
        v->idf[i] = log((1 + (double)train->texts) / (1 + v->idf[i])) + 1;
}

/* Term frequencies to rows of length 1. */
static void weight_rows(const vocabulary *v, matrix *m)
{
    for (int64_t i = 0; i < m->texts; i++) {
        double squares = 0;
        for (int64_t k = m->begin[i]; k < m->begin[i + 1]; k++) {
            m->value[k] *= v->idf[m->term[k]];
            squares += m->value[k] * m->value[k];
        }
        for (int64_t k = m->begin[i]; k < m->begin[i + 1]; k++)
            m->value[k] /= sqrt(squares);
    }
}

/* The term frequencies of all items of a split. 0 or -1. */
static int read_split(const char *name, const char *split, vocabulary *v, int ngrams, bool grow, matrix *m)
{
    gp_dataset *d = gp_dataset_open(name, &(gp_dataset_options){.split = split, .label = "label"});
    gp_data_item item = {0};
    int64_t *terms = NULL;
    char *pair = NULL;
    int rc = d ? 0 : -1;
    for (int64_t i = 0; !rc && i < gp_dataset_length(d); i++) {
        rc = gp_dataset_get(d, i, &item);
        if (!rc && (item.label < 0 || item.label > 1))
            rc = gp_fail("%s: item %lld has label %d, expected 0 or 1", name, (long long)i, item.label);
        if (rc)
            break;
        terms = resize(terms, (int64_t)item.length + 1, sizeof *terms);
        pair = resize(pair, 2 * (int64_t)item.length + 2, 1);
        append_row(m, terms, find_terms(v, item.text, item.length, ngrams, grow, terms, pair), item.label);
    }
    if (!rc && !m->texts)
        rc = gp_fail("%s: its split %s is empty", name, split);
    free(terms);
    free(pair);
    gp_data_item_release(&item);
    gp_dataset_close(d);
    return rc;
}

/* ---- logistic regression --------------------------------------------------------------------------------- */

/* w x + b of text i; b is w[terms]. */
static double score(const matrix *m, int64_t i, const double *w, int64_t terms)
{
    double sum = w[terms];
    for (int64_t k = m->begin[i]; k < m->begin[i + 1]; k++)
        sum += m->value[k] * w[m->term[k]];
    return sum;
}

/* The gradient of the objective at w (terms + 1), and its length. */
static double gradient(const matrix *m, const double *w, int64_t terms, double *g)
{
    double squares = 0;
    memcpy(g, w, (size_t)terms * sizeof *g);
    g[terms] = 0;
    for (int64_t i = 0; i < m->texts; i++) {
        double error = 1 / (1 + exp(-score(m, i, w, terms))) - m->label[i];
        for (int64_t k = m->begin[i]; k < m->begin[i + 1]; k++)
            g[m->term[k]] += error * m->value[k];
        g[terms] += error;
    }
    for (int64_t j = 0; j <= terms; j++)
        squares += g[j] * g[j];
    return sqrt(squares);
}

/* The minimum, by accelerated gradient descent (Nesterov 1983), whose momentum starts anew where it leads uphill
 * (O'Donoghue & Candes 2015). The step is 1 over a bound of the curvature: 1 of the first term, and
 * 1/4 |(x, 1)|^2 = 1/2 of each text. w has terms + 1 zeros. Returns the number of steps. */
static int fit(const matrix *m, int64_t terms, double *w)
{
    enum { MAX_STEPS = 5000 };
    double step = 1 / (1 + 0.5 * (double)m->texts), t = 1;
    double *ahead = resize(NULL, terms + 1, sizeof *ahead), *g = resize(NULL, terms + 1, sizeof *g);
    int steps = 0;
    memcpy(ahead, w, (size_t)(terms + 1) * sizeof *w);
    while (gradient(m, ahead, terms, g) > 1e-5 * (double)m->texts && steps++ < MAX_STEPS) {
        double uphill = 0, next = (1 + sqrt(1 + 4 * t * t)) / 2;
        for (int64_t j = 0; j <= terms; j++) {
            double to = ahead[j] - step * g[j], moved = to - w[j];
            uphill += g[j] * moved;
            ahead[j] = to + (t - 1) / next * moved;
            w[j] = to;
        }
        t = next;
        if (uphill > 0) {
            t = 1;
            memcpy(ahead, w, (size_t)(terms + 1) * sizeof *w);
        }
    }
    free(ahead);
    free(g);
    return steps;
}

static double accuracy(const matrix *m, const double *w, int64_t terms)
{
    int64_t right = 0;
    for (int64_t i = 0; i < m->texts; i++)
        right += (score(m, i, w, terms) > 0) == m->label[i];
    return (double)right / (double)m->texts;
}

/* ---- */

static void release(vocabulary *v, matrix *m)
{
    for (int64_t i = 0; i < v->count; i++)
        free(v->terms[i]);
    free(v->terms);
    free(v->idf);
    free(v->table);
    for (int k = 0; k < 2; k++) {
        free(m[k].begin);
        free(m[k].term);
        free(m[k].value);
        free(m[k].label);
    }
}

int main(int argc, char **argv)
{
    int ngrams = argc > 2 ? atoi(argv[2]) : 1;
    vocabulary v = {0};
    matrix m[2] = {{0}}; /* train, test */
    if (argc < 2 || argc > 3 || ngrams < 1 || ngrams > 2) {
        fprintf(stderr, "usage: bag_of_words NAME|PATH [1|2]\n");
        return 2;
    }
    int rc =
        read_split(argv[1], "train", &v, ngrams, true, &m[0]) || read_split(argv[1], "test", &v, ngrams, false, &m[1]);
    if (rc) {
        fprintf(stderr, "bag_of_words: %s\n", gp_error());
    } else {
        double *w = calloc((size_t)v.count + 1, sizeof *w);
        count_documents(&v, &m[0]);
        weight_rows(&v, &m[0]);
        weight_rows(&v, &m[1]);
        int steps = w ? fit(&m[0], v.count, w) : 0;
        printf("%lld terms, %lld texts for training, %lld for testing; %d steps\n", (long long)v.count,
               (long long)m[0].texts, (long long)m[1].texts, steps);
        printf("accuracy: train %.4f, test %.4f\n", accuracy(&m[0], w, v.count), accuracy(&m[1], w, v.count));
        free(w);
    }
    release(&v, m);
    return rc;
}
