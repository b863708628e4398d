/* curl.c: see curl.h. */
#include "data/curl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include "base/base.h"

/* As distributions name it by what does its TLS: OpenSSL or whatever was chosen, GnuTLS. */
static const char *const libraries[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static gp_curl curl;
static bool found;

/* It stays open: what libraries like it leave in a process does not take being unloaded well. */
static void open_once(void)
{
    void *library = NULL;
    for (size_t i = 0; i < ARRAY_LEN(libraries) && !library; i++)
        library = dlopen(libraries[i], RTLD_NOW | RTLD_LOCAL);
    found = library != NULL;
#define GP_CURL_TAKE(name)                                                                                   \
    if (found) {                                                                                             \
        void *address = dlsym(library, "curl_" #name);                                                       \
        memcpy(&curl.name, &address, sizeof curl.name);                                                      \
        found = address != NULL;                                                                             \
    }
    GP_CURL_FUNCTIONS(GP_CURL_TAKE)
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
