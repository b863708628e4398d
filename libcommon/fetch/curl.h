/* curl.h: libcurl, opened when a first transfer begins. */
#ifndef GP_FETCH_CURL_H
#define GP_FETCH_CURL_H

#define CURL_DISABLE_TYPECHECK /* which wants to call curl_easy_setopt by this name */
#include <curl/curl.h>

#define GP_CURL_FUNCTIONS(X)                                                                                           \
    X(global_init)                                                                                                     \
    X(easy_init)                                                                                                       \
    X(easy_setopt)                                                                                                     \
    X(easy_getinfo)                                                                                                    \
    X(easy_perform)                                                                                                    \
    X(easy_strerror)                                                                                                   \
    X(easy_cleanup)                                                                                                    \
    X(slist_append)                                                                                                    \
    X(slist_free_all)

typedef struct gp_curl {
#define GP_CURL_MEMBER(name) __typeof__(curl_##name) *name;
    GP_CURL_FUNCTIONS(GP_CURL_MEMBER)
#undef GP_CURL_MEMBER
} gp_curl;

/* Its functions, or NULL: gp_error() says why. Any thread may ask. */
const gp_curl *gp_curl_open(void);

#endif
