/* Unpacking: an archive becomes its folder whole, or nothing; and never a file outside of it. */
#include "archives.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fetch/unpack.h"

/* What stamps hold; no hash is computed here. */
static const char *const sha256 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
static const char *const other = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

static const packed three[] = {
    {"top/a.txt", "alpha\n"}, {"top/sub/", NULL}, {"top/sub/b.txt", "beta\n"}, {"top/empty", ""}, {0}};
enum { THREE_BYTES = 11 };

/* Each test has a folder, dir/out to unpack into, and runs in dir. */
static char dir[64];
static int start = -1;

static int make_folder(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/gptpipe-unpack-XXXXXX");
    start = open(".", O_RDONLY | O_DIRECTORY);
    return start < 0 || !mkdtemp(dir) || chdir(dir) || mkdir("out", 0777) ? -1 : 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return fchdir(start) || close(start) || gp_remove_tree(dir);
}

static int unpack_as(const char *archive, const char *path, bool folder, int64_t size)
{
    gp_unpacking u = {.path = path, .folder = folder, .size = size, .sha256 = sha256, .quiet = true};
    int fd = open(archive, O_RDONLY);
    assert_true(fd >= 0);
    int rc = gp_unpack(fd, archive, &u);
    close(fd);
    return rc;
}

static bool is_present(const char *path, bool folder, const char *hash)
{
    bool present;
    char archive[65];
    gp_unpacking u = {.path = path, .folder = folder, .size = -1, .sha256 = hash};
    assert_int_equal(gp_unpack_check(&u, &present, archive), 0);
    assert_true(!present || !strcmp(archive, sha256)); /* what unpack_as was told */
    return present;
}

static void assert_holds(const char *path, const char *text)
{
    gp_buf b = {0};
    assert_int_equal(gp_file_read(&b, path, 1 << 20), 0);
    assert_string_equal(b.data, text);
    gp_buf_release(&b);
}

static void assert_said(const char *words)
{
    if (!strstr(gp_error(), words))
        fail_msg("\"%s\" does not say \"%s\"", gp_error(), words);
}

/* out/ has nothing, hidden or not: rmdir takes it away. */
static void assert_nothing_came_out(void)
{
    assert_int_equal(rmdir("out"), 0);
    assert_int_equal(mkdir("out", 0777), 0);
}

static void each_kind_of_archive_becomes_a_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"x.tar", "x.tar.gz", "x.tar.zst", "x.tar.xz", "x.zip"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        pack(names[i], three);
        assert_int_equal(unpack_as(names[i], "out/x", true, i % 2 ? THREE_BYTES : -1), 0);
        assert_holds("out/x/a.txt", "alpha\n");
        assert_holds("out/x/sub/b.txt", "beta\n");
        assert_true(gp_exists("out/x/empty"));
        assert_false(gp_exists("out/x.unpacking"));
        assert_int_equal(gp_remove_tree("out/x"), 0);
    }
}

static void only_a_folder_that_holds_everything_is_left_out(void **state)
{
    (void)state;
    pack("x.tar", (packed[]){{"./one/a", "a"}, {"two//b", "b"}, {0}});
    assert_int_equal(unpack_as("x.tar", "out/x", true, -1), 0);
    assert_holds("out/x/one/a", "a");
    assert_holds("out/x/two/b", "b");
    pack("y.tar", (packed[]){{"alone", "a"}, {0}});
    assert_int_equal(unpack_as("y.tar", "out/y", true, -1), 0);
    assert_holds("out/y/alone", "a");
}

static void a_compressed_file_or_an_archive_of_one_becomes_a_file(void **state)
{
    (void)state;
    static const char *const names[] = {"x.gz", "x.zst", "x.zip", "x.tar.xz"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        pack(names[i], (packed[]){{"anything.txt", "to be\n"}, {0}});
        assert_int_equal(unpack_as(names[i], "out/x.txt", false, -1), 0);
        assert_holds("out/x.txt", "to be\n");
        assert_int_equal(unlink("out/x.txt"), 0);
    }
    pack("x.zip", three);
    assert_int_equal(unpack_as("x.zip", "out/many.txt", false, -1), -1);
    assert_said("x.zip: holds more than one file");
    assert_false(gp_exists("out/many.txt"));
    pack("x.gz", (packed[]){{"x", "x"}, {0}});
    assert_int_equal(unpack_as("x.gz", "out/x", true, -1), -1);
    assert_said("x.gz: is one compressed file, an archive of several was expected");
}

static void what_was_unpacked_is_known_again(void **state)
{
    (void)state;
    bool present;
    char archive[65];
    pack("x.zip", three);
    assert_false(is_present("out/x", true, sha256));
    assert_int_equal(unpack_as("x.zip", "out/x", true, -1), 0);
    assert_true(is_present("out/x", true, sha256));
    assert_true(is_present("out/x", true, NULL));
    pack("y.gz", (packed[]){{"y", "yes"}, {0}});
    assert_int_equal(unpack_as("y.gz", "out/y", false, -1), 0);
    assert_true(is_present("out/y", false, sha256));
    assert_false(is_present("out/y", false, other)); /* a newer archive: the file is replaced */
    assert_int_equal(gp_file_write("out/y", "no!", 3), 0);
    assert_false(is_present("out/y", false, sha256));

    gp_unpacking u = {.path = "out/x", .folder = true, .size = -1, .sha256 = other};
    assert_int_equal(gp_unpack_check(&u, &present, archive), -1); /* a folder might hold what a person put there */
    assert_said("out/x: exists, but was not unpacked from this archive; move it away");
    u.sha256 = sha256;
    assert_int_equal(unlink("out/x/sub/b.txt"), 0);
    assert_int_equal(gp_unpack_check(&u, &present, archive), -1);
    assert_said("out/x: has 2 of the 3 files that were unpacked into it; remove it to fetch it again");
}

static void what_leads_out_of_the_folder_is_refused_whole(void **state)
{
    (void)state;
    const struct {
        packed files[3];
        const char *said;
    } bad[] = {
        {{{"ok", "ok"}, {"../evil", "x"}}, "holds a file ../evil, which leads out of its folder"},
        {{{"ok", "ok"}, {"a/../../evil", "x"}}, "a/../../evil, which leads out of its folder"},
        {{{"ok", "ok"}, {"a/..", NULL}}, "which leads out of its folder"},
        {{{"ok", "ok"}, {"/tmp/gptpipe-evil", "x"}}, "/tmp/gptpipe-evil, which is not below the archive's folder"},
        {{{"door", "", .link = ".."}, {"door/evil", "x"}}, "holds a link, door"},
        {{{"door", "", .link = "/tmp"}, {"door/evil", "x"}}, "holds a link, door"},
        {{{"ok", "ok"}, {"hard", "", .link = ">/etc/passwd"}}, "holds a link, hard"},
        {{{"ok", "ok"}, {"hard", "", .link = ">ok"}}, "holds a link, hard"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        pack("bad.tar", bad[i].files);
        assert_int_equal(unpack_as("bad.tar", "out/x", true, -1), -1);
        assert_said("bad.tar: ");
        assert_said(bad[i].said);
        assert_nothing_came_out();
        assert_false(gp_exists("evil"));
        assert_false(gp_exists("/tmp/gptpipe-evil"));
    }
}

static void a_device_and_a_file_that_comes_twice_are_refused(void **state)
{
    (void)state;
    assert_int_equal(mkfifo("pipe", 0666), 0);
    assert_int_equal(system("tar cf fifo.tar pipe"), 0);
    assert_int_equal(unpack_as("fifo.tar", "out/x", true, -1), -1);
    assert_said("holds pipe, which is neither file nor folder");
    pack("twice.tar", (packed[]){{"a", "1"}, {"./a", "2"}, {0}});
    assert_int_equal(unpack_as("twice.tar", "out/x", true, -1), -1);
    assert_said("a: is in the archive twice");
    assert_nothing_came_out();
}

static void a_bomb_is_refused(void **state)
{
    (void)state;
    size_t n = 100 << 20; /* more than 64 MiB + 200 x the 100 kB of its archive */
    char *same = malloc(n);
    memset(same, 'a', n);
    pack("bomb.gz", (packed[]){{"x", same, .length = n}, {0}});
    free(same);
    assert_int_equal(unpack_as("bomb.gz", "out/x", false, -1), -1);
    assert_said("bomb.gz: unpacks to more than ");
    assert_said("which is too much for an archive of ");
    assert_nothing_came_out();
}

static void what_the_catalog_says_is_held_to(void **state)
{
    (void)state;
    pack("x.zip", three);
    assert_int_equal(unpack_as("x.zip", "out/x", true, THREE_BYTES - 1), -1);
    assert_said("x.zip: unpacks to more than the 10 bytes expected");
    assert_int_equal(unpack_as("x.zip", "out/x", true, THREE_BYTES + 1), -1);
    assert_said("x.zip: unpacks to 11 bytes, expected 12");
    assert_nothing_came_out();
}

static void an_archive_that_was_cut_gives_nothing(void **state)
{
    (void)state;
    static const char *const names[] = {"x.tar", "x.tar.gz", "x.tar.zst", "x.tar.xz", "x.zip", "x.gz"};
    enum { NOISE = 100000 };
    char *noise = malloc(NOISE); /* which does not compress */
    for (uint32_t i = 0, x = 1; i < NOISE; i++)
        noise[i] = (char)((x = x * 1664525 + 1013904223) >> 24);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct stat st;
        bool folder = strcmp(names[i], "x.gz");
        pack(names[i], (packed[]){{"first", noise, .length = NOISE}, {"second", noise, .length = NOISE}, {0}});
        assert_int_equal(stat(names[i], &st), 0);
        for (int eighths = 1; eighths < 8; eighths++) {
            assert_int_equal(truncate(names[i], st.st_size * (8 - eighths) / 8), 0);
            assert_int_equal(unpack_as(names[i], "out/x", folder, -1), -1);
            assert_said("it is damaged or cut short");
            assert_nothing_came_out();
        }
    }
    free(noise);
}

/* Cuts a file where `word` begins in it; how long it is then. */
static off_t cut_before(const char *name, const char *word)
{
    gp_map m;
    assert_int_equal(gp_map_open(&m, name), 0);
    const char *at = memmem(m.data, m.size, word, strlen(word));
    assert_non_null(at);
    off_t size = at - m.data;
    gp_map_close(&m);
    assert_int_equal(truncate(name, size), 0);
    return size;
}

/* What is there is whole, but there was more: a tar says so by blocks of zeros at its end, a zip by its directory. */
static void an_archive_that_was_cut_between_two_files_gives_nothing(void **state)
{
    (void)state;
    const packed two[] = {{"first", "one\n"}, {"second", "two\n"}, {0}};
    pack("x.tar", two);
    assert_int_equal(cut_before("x.tar", "second"), 1024); /* a header and a block */
    assert_int_equal(unpack_as("x.tar", "out/x", true, -1), -1);
    assert_said("x.tar: is cut short: the mark at its end is missing");
    pack("x.tar", two);
    assert_int_equal(truncate("x.tar", 2048), 0); /* both are there, and nothing says that there are no more */
    assert_int_equal(unpack_as("x.tar", "out/x", true, -1), -1);
    assert_said("x.tar: is cut short: the mark at its end is missing");
    assert_int_equal(system("gzip -c x.tar > x.tar.gz"), 0);
    assert_int_equal(unpack_as("x.tar.gz", "out/x", true, -1), -1);
    assert_said("x.tar.gz: is cut short: the mark at its end is missing");
    pack("x.tar", two);
    assert_int_equal(truncate("x.tar", 2048 + 512), 0); /* one block of zeros, as some programs write it */
    assert_int_equal(unpack_as("x.tar", "out/x", true, -1), 0);
    assert_holds("out/x/second", "two\n");
    assert_int_equal(gp_remove_tree("out/x"), 0);
    pack("x.zip", two);
    cut_before("x.zip", "PK\1\2");
    assert_int_equal(unpack_as("x.zip", "out/x", true, -1), -1);
    assert_nothing_came_out();
}

/* An archive of n empty files or folders. */
static void pack_many(const char *name, int n, bool folders)
{
    packed *all = gp_calloc((size_t)n + 1, sizeof *all);
    for (int i = 0; i < n; i++)
        all[i] = (packed){gp_format("f%05d%s", i, folders ? "/" : ""), folders ? NULL : ""};
    pack(name, all);
    for (int i = 0; i < n; i++)
        free((void *)(uintptr_t)all[i].path);
    free(all);
}

static void many_entries_in_a_small_archive_are_refused(void **state)
{
    (void)state;
    pack_many("files.tar.gz", 30000, false);
    assert_int_equal(unpack_as("files.tar.gz", "out/x", true, -1), -1);
    assert_said("files.tar.gz: holds more than ");
    assert_said(" files and folders, the limit for an archive of ");
    pack_many("folders.tar.gz", 30000, true);
    assert_int_equal(unpack_as("folders.tar.gz", "out/x", true, -1), -1);
    assert_said("folders.tar.gz: holds more than ");
    assert_nothing_came_out();
    pack_many("fine.tar.gz", 1000, false);
    assert_int_equal(unpack_as("fine.tar.gz", "out/x", true, -1), 0);
}

/* Recursion over them holds a descriptor for each level. */
static void long_and_deep_paths_are_refused(void **state)
{
    (void)state;
    char path[5000] = "", name[5000];
    for (int i = 0; i < 65; i++)
        strcat(path, "a/");
    strcat(path, "b");
    pack("deep.tar", (packed[]){{path, "x"}, {0}});
    assert_int_equal(unpack_as("deep.tar", "out/x", true, -1), -1);
    assert_said("deep.tar: holds a path of 131 bytes and 66 parts, the limits are 4095 and 64: a/a/");
    pack("fine.tar", (packed[]){{path + 4, "x"}, {0}});
    assert_int_equal(unpack_as("fine.tar", "out/x", true, -1), 0);
    assert_int_equal(gp_remove_tree("out/x"), 0);
    memset(name, 'n', 4096);
    name[4096] = 0;
    pack("long.tar", (packed[]){{name, "x"}, {0}});
    assert_int_equal(unpack_as("long.tar", "out/x", true, -1), -1);
    assert_said("long.tar: holds a path of 4096 bytes and 1 parts, the limits are 4095 and 64: nnn");
    assert_nothing_came_out();
}

static void what_is_no_archive_is_told(void **state)
{
    (void)state;
    assert_int_equal(gp_file_write("page.html", "<html>Not found</html>", 22), 0);
    assert_int_equal(unpack_as("page.html", "out/x", true, -1), -1);
    assert_said("page.html: is not an archive (tar or zip) nor compressed (gz, zst, xz, bz2)");
    assert_int_equal(unpack_as("page.html", "out/x", false, -1), -1);
    assert_int_equal(gp_file_write("nothing.tar", "", 0), 0);
    assert_int_equal(unpack_as("nothing.tar", "out/x", true, -1), -1);
    assert_nothing_came_out();
}

/* Unpacks in a child that may not write more than 1000 bytes into a file: it is killed in the middle, or, told to
 * bear it, finds the disk full. Returns how it ended. */
static int unpack_limited(const char *archive, bool killed)
{
    int status;
    pid_t child = fork();
    if (!child) {
        struct rlimit most = {1000, 1000};
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        setrlimit(RLIMIT_FSIZE, &most);
        signal(SIGXFSZ, killed ? SIG_DFL : SIG_IGN);
        _exit(unpack_as(archive, "out/x", true, -1) ? 1 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void a_run_that_was_stopped_leaves_nothing_in_the_way_of_the_next(void **state)
{
    (void)state;
    char large[5000];
    memset(large, 'x', sizeof large);
    large[sizeof large - 1] = 0;
    pack("x.tar.gz", (packed[]){{"small", "s"}, {"large", large}, {"last", "l"}, {0}});
    int status = unpack_limited("x.tar.gz", false);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    assert_nothing_came_out();
    status = unpack_limited("x.tar.gz", true);
    assert_true(WIFSIGNALED(status));
    assert_false(gp_exists("out/x"));
    assert_true(gp_exists("out/x.unpacking/small")); /* what the killed run could not remove */
    assert_false(is_present("out/x", true, sha256));
    assert_int_equal(unpack_as("x.tar.gz", "out/x", true, -1), 0);
    assert_holds("out/x/large", large);
    assert_true(is_present("out/x", true, sha256));
    assert_false(gp_exists("out/x.unpacking"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_kind_of_archive_becomes_a_folder),
        TEST(only_a_folder_that_holds_everything_is_left_out),
        TEST(a_compressed_file_or_an_archive_of_one_becomes_a_file),
        TEST(what_was_unpacked_is_known_again),
        TEST(what_leads_out_of_the_folder_is_refused_whole),
        TEST(a_device_and_a_file_that_comes_twice_are_refused),
        TEST(a_bomb_is_refused),
        TEST(what_the_catalog_says_is_held_to),
        TEST(an_archive_that_was_cut_gives_nothing),
        TEST(an_archive_that_was_cut_between_two_files_gives_nothing),
        TEST(many_entries_in_a_small_archive_are_refused),
        TEST(long_and_deep_paths_are_refused),
        TEST(what_is_no_archive_is_told),
        TEST(a_run_that_was_stopped_leaves_nothing_in_the_way_of_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
