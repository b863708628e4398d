/* library.h: a shared library that is opened when something of it is needed. What libraries bring with them takes a
 * program longer to load than a book to become tokens, and most runs of most tools need none of it.
 *
 *     #define FUNCTIONS(X) X(easy_init) X(easy_cleanup)
 *     static struct { FUNCTIONS(...) } curl;                         // pointers by these names
 *     static const gp_function functions[] = {{"curl_easy_init", &curl.easy_init}, ...};
 *     bool found = gp_library_open(names, ARRAY_LEN(names), functions, ARRAY_LEN(functions));
 */
#ifndef GP_BASE_LIBRARY_H
#define GP_BASE_LIBRARY_H

#include "base/base.h"

typedef struct gp_function {
    const char *name;
    void *to; /* a pointer to a pointer to a function */
} gp_function;

/* Opens the first library of these names that is here, for as long as the process lives, and takes the functions from
 * it. false: there is none, or it lacks one of them. */
bool gp_library_open(const char *const *names, size_t name_count, const gp_function *functions, size_t count);

#endif
