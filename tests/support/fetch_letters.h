/* fetch_letters.h: what the tests of fetching share: a file of letters, a folder for each test, and what must hold
 * after a fetch.
 */
#ifndef FETCH_LETTERS_H
#define FETCH_LETTERS_H

#include <signal.h>
#include <sys/stat.h>

#include "gptpipe/fetch.h"
#include "http_server.h"

/* 26 letters, 1000 times; its SHA-256 by sha256sum. */
enum { LENGTH = 26000 };
static char letters[LENGTH + 1];
static const char *const letters_sha256 = "9bae04df8ee130bb0a94596b84b4ab161a2abf8a94c4e30523249fad5754ae27";

static char dir[64], path[96], part[112];

static inline int set_up(void **state)
{
    (void)state;
    for (int i = 0; i < LENGTH; i++)
        letters[i] = (char)('a' + i % 26);
    unsetenv("http_proxy"), unsetenv("all_proxy"), unsetenv("ALL_PROXY");
    return 0;
}

/* Each test has a folder of its own. */
static inline int make_folder(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/gptpipe-fetch-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/letters.txt", dir);
    snprintf(part, sizeof part, "%s.part", path);
    return 0;
}

static inline int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

/* Fetches letters.txt from the server; what is known of it can be left out (NULL, -1). */
/* One file to a path; *how, unless NULL, is where it came from. */
static inline int fetch_file(const gp_catalog_file *f, const char *to, const gp_fetch_options *o, gp_fetched *how)
{
    gp_fetch_job job = {.file = f, .path = to};
    int rc = gp_fetch_files(&job, 1, o, NULL, NULL);
    if (how)
        *how = job.how;
    return rc;
}

static inline int fetch_known(const server *s, const char *sha256, int64_t size)
{
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/letters.txt", s->port);
    const char *const urls[] = {url};
    gp_catalog_file f = {.path = "letters.txt", .urls = urls, .url_count = 1, .sha256 = sha256, .size = size};
    gp_fetch_options o = {.quiet = true, .retries = 2, .pause = 0.01, .stall = 1};
    return fetch_file(&f, path, &o, NULL);
}

static inline int fetch(const server *s)
{
    return fetch_known(s, letters_sha256, LENGTH);
}

static inline void assert_arrived(void)
{
    gp_map m;
    assert_int_equal(gp_map_open(&m, path), 0);
    assert_int_equal(m.size, LENGTH);
    assert_memory_equal(m.data, letters, LENGTH);
    gp_map_close(&m);
    assert_false(gp_exists(part));
}

static inline void assert_failed_with(const char *words)
{
    if (!strstr(gp_error(), words))
        fail_msg("\"%s\" does not say \"%s\"", gp_error(), words);
    assert_false(gp_exists(path));
}

static inline void assert_asked_from(const server *s, int request, long from)
{
    char range[64], wanted[64] = "";
    if (from)
        snprintf(wanted, sizeof wanted, "bytes=%ld-", from);
    assert_string_equal(request_header(s->request[request], "\r\nRange:", range, sizeof range), wanted);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

#endif
