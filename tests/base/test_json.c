/* JSON by jansson: its budget of memory, its allocator. */
#include "test.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"

/* For AddressSanitizer, which would report the allocation that is to fail. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

/* "[" and n times `item`, "]". */
static gp_buf list_of(const char *item, size_t n)
{
    gp_buf b = {0};
    gp_buf_puts(&b, "[");
    for (size_t i = 0; i < n; i++) {
        gp_buf_puts(&b, i ? "," : "");
        gp_buf_puts(&b, item);
    }
    gp_buf_puts(&b, "]");
    return b;
}

static void the_budget_is_64_mib_and_20_times_the_text(void **state)
{
    (void)state;
    assert_int_equal(gp_json_budget(0), 67108864);
    assert_int_equal(gp_json_budget(1000), 67108864 + 20000);
    assert_true(gp_json_budget(SIZE_MAX) == SIZE_MAX);
}

/* Three bytes of text, and 100 or more of memory. */
static void text_that_takes_more_than_its_budget_is_refused(void **state)
{
    (void)state;
    json_error_t e;
    gp_buf b = list_of("[]", 1200000);
    assert_null(gp_json_load(b.data, b.len, 0, &e));
    assert_string_equal(e.text, "its values take more than 139108884 bytes of memory, the limit for 3600001 "
                                "bytes of JSON");
    assert_null(gp_json_load(b.data, b.len, 0, NULL));
    gp_buf_release(&b);
}

static void ordinary_text_is_within_it(void **state)
{
    (void)state;
    gp_buf b = list_of("{\"dtype\":\"F32\",\"shape\":[768,768],\"data_offsets\":[1234567890,1236926988]}", 50000);
    for (int times = 0; times < 3; times++) { /* and what was freed does not count any more */
        json_t *root = gp_json_load(b.data, b.len, 0, NULL);
        assert_int_equal(json_array_size(root), 50000);
        json_decref(root);
    }
    gp_buf_release(&b);
    b = list_of("[]", 100000); /* more than 20 times its size, and below 64 MiB */
    json_t *root = gp_json_load(b.data, b.len, 0, NULL);
    assert_int_equal(json_array_size(root), 100000);
    json_decref(root);
    gp_buf_release(&b);
}

/* jansson alone returns NULL, which its callers read as "is not there". */
static void out_of_memory_inside_jansson_ends_the_process(void **state)
{
    (void)state;
    int ends[2], status;
    char text[200] = "";
    json_malloc_t allocate;
    json_free_t release;
    json_get_alloc_funcs(&allocate, &release);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (!child) {
        dup2(ends[1], STDERR_FILENO);
        void *p = allocate((size_t)1 << 60);
        _exit(p ? 3 : 4);
    }
    close(ends[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(read(ends[0], text, sizeof text - 1) > 0);
    close(ends[0]);
    const char *line = strstr(text, "test_json: "); /* behind what a sanitizer says */
    assert_non_null(line);
    assert_string_equal(line, "test_json: out of memory (1152921504606846976 bytes)\n");
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_budget_is_64_mib_and_20_times_the_text),
        cmocka_unit_test(text_that_takes_more_than_its_budget_is_refused),
        cmocka_unit_test(ordinary_text_is_within_it),
        cmocka_unit_test(out_of_memory_inside_jansson_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
