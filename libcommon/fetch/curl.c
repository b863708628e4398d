/* curl.c: see curl.h. */
#include "fetch/curl.h"

#include <pthread.h>

#include "base/library.h"

/* What was here when this was built, then as distributions name it by what does its TLS: OpenSSL, GnuTLS. */
static const char *const libraries[] = {GPTPIPE_LIBCURL, "libcurl.so.4", "libcurl-gnutls.so.4"};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static gp_curl curl;
static bool found;

static void open_once(void)
{
#define GP_CURL_FUNCTION(name) {"curl_" #name, &curl.name},
    static const gp_function functions[] = {GP_CURL_FUNCTIONS(GP_CURL_FUNCTION)};
    found = gp_library_open(libraries, ARRAY_LEN(libraries), functions, ARRAY_LEN(functions));
    /* curl_easy_init would do it, but not on two threads at once in versions before 7.84. */
    if (found && curl.global_init(CURL_GLOBAL_DEFAULT))
        die("libcurl cannot be started");
}

const gp_curl *gp_curl_open(void)
{
    pthread_once(&once, open_once);
    if (found)
        return &curl;
    fail("%s cannot be opened, which transfers need; install libcurl4, or name its folder in LD_LIBRARY_PATH",
         libraries[0]);
    return NULL;
}
