/* libraries.c: see libraries.h. */
#include "fetch/libraries.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include "base/base.h"

typedef struct function {
    const char *name;
    void *to; /* a pointer to a pointer to a function */
} function;

/* Loads the first of these libraries that is installed, for the life of the process, and looks up the functions. False:
 * none is installed, or one of the functions is missing. */
static bool open_library(const char *const *names, size_t name_count, const function *functions, size_t count)
{
    void *library = NULL;
    for (size_t i = 0; i < name_count && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; i < count; i++) {
        void *address = library ? dlsym(library, functions[i].name) : NULL;
        if (!address)
            return false;
        memcpy(functions[i].to, &address, sizeof address); /* C has no cast from data to functions */
    }
    return true;
}

/* The one of the build, then the names that distributions use for the variants with OpenSSL and with GnuTLS. */
static const char *const curls[] = {GPTPIPE_LIBCURL, "libcurl.so.4", "libcurl-gnutls.so.4"};
static const char *const archives[] = {GPTPIPE_LIBARCHIVE};

static gp_curl curl;
struct gp_archive_library gp_libarchive;
static bool has_curl, has_archive;

static void open_curl(void)
{
#define CURL_FUNCTION(name) {"curl_" #name, &curl.name},
    static const function functions[] = {GP_CURL_FUNCTIONS(CURL_FUNCTION)};
    has_curl = open_library(curls, ARRAY_LEN(curls), functions, ARRAY_LEN(functions));
    /* curl_easy_init would do it, but not on two threads at once in versions before 7.84. */
    if (has_curl && curl.global_init(CURL_GLOBAL_DEFAULT))
        die("libcurl cannot be started");
}

static void open_archive(void)
{
#define ARCHIVE_FUNCTION(name) {"archive_" #name, &gp_libarchive.name},
    static const function functions[] = {
        GP_ARCHIVE_FUNCTIONS(ARCHIVE_FUNCTION){"archive_errno", &gp_libarchive.error_number}};
    has_archive = open_library(archives, ARRAY_LEN(archives), functions, ARRAY_LEN(functions));
}

const gp_curl *gp_curl_open(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_curl);
    if (has_curl)
        return &curl;
    fail("%s cannot be opened, which transfers need; install libcurl4, or name its folder in LD_LIBRARY_PATH",
         curls[0]);
    return NULL;
}

int gp_libarchive_open(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_archive);
    return has_archive ? 0
                       : fail("%s cannot be opened, which archives need; install libarchive13, or name its folder in "
                              "LD_LIBRARY_PATH",
                              archives[0]);
}
