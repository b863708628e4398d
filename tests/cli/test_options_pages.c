/* The pages that an option table becomes: help, manual, completion. */
#include "options_table.h"

#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

static char *page(const char *columns, char *a, char *b)
{
    setenv("COLUMNS", columns, 1);
    result r = RUN(a, b);
    assert_int_equal(r.rc, GP_OPTIONS_DONE);
    assert_string_equal(r.err, "");
    free(r.err);
    return r.out;
}

static void help_is_grouped_and_aligned_with_defaults_and_choices(void **state)
{
    (void)state;
    char *text = page("80", "--help", NULL);
    assert_string_equal(text, "Usage: make-it [OPTION]... [FILE]...\n"
                              "Makes it.\n"
                              "\n"
                              "Reads one thing and writes another; this paragraph is long enough to be broken\n"
                              "into lines, wherever the terminal ends.\n"
                              "\n"
                              "A second one:\n"
                              "\n"
                              "    stands as it is\n"
                              ".so does this\n"
                              "\n"
                              "Options:\n"
                              "  -o, --out FILE          where the result goes\n"
                              "\n"
                              "Training:\n"
                              "  -s, --steps N           optimizer steps (default: 1000)\n"
                              "      --limit N           any number at all (default: 0)\n"
                              "      --lr X              peak learning rate (default: 0.0006)\n"
                              "      --decay X           any number at all (default: 0)\n"
                              "      --order WHICH       data order [random|shuffle] (default: random)\n"
                              "  -d, --data FILE         token streams (may be repeated)\n"
                              "\n"
                              "Machine:\n"
                              "  -t, --threads N         threads (default: the machine's cores)\n"
                              "  -e, --[no-]echo         print the prompt too (default: on)\n"
                              "  -q, --quiet             no progress\n"
                              "\n"
                              "Common options:\n"
                              "      --config FILE       read options from a YAML file, by their long names;\n"
                              "                          the command line takes precedence (may be repeated)\n"
                              "      --print-config      print every option's value as YAML for --config, and\n"
                              "                          exit\n"
                              "  -h, --help              print this help and exit\n"
                              "      --version           print the version and exit\n"
                              "      --man               print the manual page in man(7) and exit\n"
                              "      --completion SHELL  print a completion script and exit [bash|zsh|fish]\n"
                              "\n"
                              "Examples:\n"
                              "  # once\n"
                              "  make-it --steps 1\n"
                              "\n"
                              "  # with a path\n"
                              "  make-it -o 'a\\b'\n");
    free(text);
}

static void no_line_of_help_is_wider_than_the_terminal(void **state)
{
    (void)state;
    static const char *const widths[] = {"1", "40", "57", "80", "100", "5000"};
    for (size_t i = 0; i < ARRAY_LEN(widths); i++) {
        size_t width = (size_t)atoi(widths[i]), widest = 0;
        char *text = page(widths[i], "-h", NULL);
        for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
            widest = strcspn(line, "\n") > widest ? strcspn(line, "\n") : widest;
        assert_in_range(widest, 30, width < 46 ? 46 : width > 100 ? 100 : width);
        free(text);
    }
}

static void help_shows_defaults_even_beside_other_options(void **state)
{
    (void)state;
    char *text = page("80", "--steps=5", "--help");
    assert_non_null(strstr(text, "optimizer steps (default: 1000)"));
    free(text);
}

static void the_version_names_the_tool_and_the_toolkit(void **state)
{
    (void)state;
    char *text = page("80", "--version", NULL), *expected = gp_format("make-it (gptpipe) %s\n", gp_version());
    assert_string_equal(text, expected);
    free(text);
    free(expected);
}

static void a_page_that_cannot_be_written_is_a_failure(void **state)
{
    (void)state;
    static const char *const pages[] = {"--help", "--man", "--print-config", "--completion=zsh"};
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        int status;
        fflush(stdout);
        pid_t child = fork();
        if (!child) {
            args a = defaults();
            if (!freopen("/dev/full", "w", stdout) || !freopen("/dev/null", "w", stderr))
                _exit(99);
            _exit(gp_options_parse(&tool, &a, 2, (char *[]){"make-it", (char *)(uintptr_t)pages[i], NULL}));
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(WEXITSTATUS(status), GP_OPTIONS_FAILED);
    }
}

/* Feeds text to a program's stdin; its exit status, or -1 when there is no such program. Its output goes to
 * *out. */
static int feed(const char *text, char *const argv[], char **out)
{
    int in = memfd_create("in", 0), both = memfd_create("out", 0), status = -1;
    pid_t child;
    posix_spawn_file_actions_t actions;
    assert_int_equal(gp_write_all(in, text, strlen(text), "memory"), 0);
    lseek(in, 0, SEEK_SET);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, 0);
    posix_spawn_file_actions_adddup2(&actions, both, 1);
    posix_spawn_file_actions_adddup2(&actions, both, 2);
    if (!posix_spawnp(&child, argv[0], &actions, NULL, argv, environ))
        waitpid(child, &status, 0);
    posix_spawn_file_actions_destroy(&actions);
    close(in);
    *out = drain(both);
    return status == -1 ? -1 : WEXITSTATUS(status);
}

static void the_manual_is_complete_roff(void **state)
{
    (void)state;
    static const char *const parts[] = {
        ".TH \"MAKE\\-IT\" 1 ",
        ".SH NAME\nmake\\-it \\- makes it\n",
        ".SH SYNOPSIS\n\\fBmake\\-it\\fR [OPTION]... [FILE]...\n",
        ".SH DESCRIPTION\nReads one thing",
        ".PP\nA second one:\n",
        ".EX\n    stands as it is\n.EE\n.PP\n\\&.so does this\n",
        ".SS \"Training\"\n",
        ".TP\n\\fB\\-s\\fR, \\fB\\-\\-steps\\fR \\fIN\\fR\noptimizer steps (default: 1000)\n",
        "[\\fBno\\-\\fR]\\fBecho\\fR\n",
        ".SH \"EXIT STATUS\"\n",
        ".SH EXAMPLES\n.PP\nonce:\n.PP\n.EX\n    make\\-it \\-\\-steps 1\n.EE\n",
        "    make\\-it \\-o 'a\\eb'\n",
    };
    char *text = page("80", "--man", NULL);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (!strstr(text, parts[i]))
            fail_msg("the manual lacks '%s':\n%s", parts[i], text);
    free(text);
}

static void groff_finds_no_fault_in_the_manual(void **state)
{
    (void)state;
    char *text = page("80", "--man", NULL), *out;
    int rc = feed(text, (char *[]){"groff", "-ww", "-man", "-Tascii", "-z", NULL}, &out);
    free(text);
    if (rc == -1) {
        print_message("skipped: groff is missing\n");
        skip();
    }
    assert_string_equal(out, "");
    assert_int_equal(rc, 0);
    free(out);
}

/* What bash offers for these words, the last one being completed. */
static void assert_bash_offers(const char *words, const char *expected)
{
    char *script = page("80", "--completion", "bash"), *out;
    char *text = gp_format("%s\nCOMP_WORDS=(%s)\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_gptpipe_make_it\n"
                           "echo \"${COMPREPLY[@]}\"\n",
                           script, words);
    int rc = feed(text, (char *[]){"bash", "--norc", "-u", NULL}, &out);
    assert_int_equal(rc, 0);
    assert_string_equal(out, expected);
    free(script);
    free(text);
    free(out);
}

static void bash_completes_names_choices_and_files(void **state)
{
    (void)state;
    assert_bash_offers("make-it --st", "--steps\n");
    assert_bash_offers("make-it --no-", "--no-echo\n");
    assert_bash_offers("make-it --order ''", "random shuffle\n");
    assert_bash_offers("make-it --order sh", "shuffle\n");
    assert_bash_offers("make-it --order = sh", "shuffle\n");
    assert_bash_offers("make-it --order =", "random shuffle\n");
    assert_bash_offers("make-it --steps ''", "\n");
    assert_bash_offers("make-it --completion f", "fish\n");
    assert_bash_offers("make-it -o CMakeL", "CMakeLists.txt\n");
    assert_bash_offers("make-it CMakeL", "CMakeLists.txt\n");
}

static void zsh_is_given_every_option(void **state)
{
    (void)state;
    char *text = page("80", "--completion", "zsh");
    assert_memory_equal(text, "#compdef make-it\n_arguments ", 28);
    assert_non_null(strstr(text, " \\\n    '--order=[data order]:WHICH:(random shuffle)'"));
    assert_non_null(strstr(text, " \\\n    '-o+[where the result goes]:FILE:_files'"));
    assert_non_null(strstr(text, " \\\n    '*--data=[token streams]:FILE:_files'"));
    assert_non_null(strstr(text, "print every option'\\''s value"));
    assert_non_null(strstr(text, " \\\n    '*:file:_files'\n"));
    free(text);
}

static void fish_is_given_every_option(void **state)
{
    (void)state;
    char *text = page("80", "--completion", "fish");
    assert_non_null(strstr(text, "complete -c make-it -l order -x -a 'random shuffle' -d 'data order'\n"));
    assert_non_null(strstr(text, "complete -c make-it -l out -s o -r -F -d 'where the result goes'\n"));
    assert_non_null(strstr(text, "complete -c make-it -l no-echo -d "));
    assert_non_null(strstr(text, "print every option\\'s value"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_is_grouped_and_aligned_with_defaults_and_choices),
        cmocka_unit_test(no_line_of_help_is_wider_than_the_terminal),
        cmocka_unit_test(help_shows_defaults_even_beside_other_options),
        cmocka_unit_test(the_version_names_the_tool_and_the_toolkit),
        cmocka_unit_test(a_page_that_cannot_be_written_is_a_failure),
        cmocka_unit_test(the_manual_is_complete_roff),
        cmocka_unit_test(groff_finds_no_fault_in_the_manual),
        cmocka_unit_test(bash_completes_names_choices_and_files),
        cmocka_unit_test(zsh_is_given_every_option),
        cmocka_unit_test(fish_is_given_every_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
