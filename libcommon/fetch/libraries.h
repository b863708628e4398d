/* libraries.h: libcurl and libarchive, loaded when the first transfer or archive begins.
 *
 * They depend on some forty libraries, and most runs of most tools need neither. With both loaded at its start,
 * tokenize of a 36 kB text takes 14.4 ms of processor time in place of 7.3 (medians of 150 alternating runs, two cores
 * of an EPYC; loaded by LD_PRELOAD, which is what linking does). */
#ifndef GP_FETCH_LIBRARIES_H
#define GP_FETCH_LIBRARIES_H

#include <archive.h>
#include <archive_entry.h>
#define CURL_DISABLE_TYPECHECK /* its macros call curl_easy_setopt by name */
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

#define GP_ARCHIVE_FUNCTIONS(X)                                                                                        \
    X(read_new)                                                                                                        \
    X(read_support_format_tar)                                                                                         \
    X(read_support_format_zip)                                                                                         \
    X(read_support_format_raw)                                                                                         \
    X(read_support_filter_gzip)                                                                                        \
    X(read_support_filter_zstd)                                                                                        \
    X(read_support_filter_xz)                                                                                          \
    X(read_support_filter_bzip2)                                                                                       \
    X(read_set_callback_data)                                                                                          \
    X(read_set_read_callback)                                                                                          \
    X(read_set_seek_callback)                                                                                          \
    X(read_open1)                                                                                                      \
    X(set_error)                                                                                                       \
    X(read_next_header2)                                                                                               \
    X(entry_new)                                                                                                       \
    X(entry_free)                                                                                                      \
    X(read_data)                                                                                                       \
    X(read_data_skip)                                                                                                  \
    X(read_free)                                                                                                       \
    X(error_string)                                                                                                    \
    X(filter_bytes)                                                                                                    \
    X(filter_code)                                                                                                     \
    X(format)                                                                                                          \
    X(entry_pathname)                                                                                                  \
    X(entry_pathname_utf8)                                                                                             \
    X(entry_hardlink)                                                                                                  \
    X(entry_hardlink_utf8)                                                                                             \
    X(entry_filetype)                                                                                                  \
    X(entry_size_is_set)                                                                                               \
    X(entry_size)

#define GP_CURL_MEMBER(name)    __typeof__(curl_##name) *name;
#define GP_ARCHIVE_MEMBER(name) __typeof__(archive_##name) *name;

typedef struct gp_curl {
    GP_CURL_FUNCTIONS(GP_CURL_MEMBER)
} gp_curl;

/* Its functions, or NULL with the reason in gp_error(). Any thread. */
const gp_curl *gp_curl_open(void);

/* Valid after gp_libarchive_open, which any thread may call. 0, or -1 with the reason in gp_error(). */
extern struct gp_archive_library {
    GP_ARCHIVE_FUNCTIONS(GP_ARCHIVE_MEMBER)
    __typeof__(archive_errno) *error_number; /* errno is a macro */
} gp_libarchive;
int gp_libarchive_open(void);

#endif
