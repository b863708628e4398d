/* Data sets as items: what there is of them, in which order, and what is said of what is wrong. */
#include "imdb.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <stdlib.h>
#include <unistd.h>

#include "fetch/unpack.h"
#include "data/dataset.h"

static char dir[64];
static int start = -1;

static int make_folder(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/gptpipe-dataset-XXXXXX");
    start = open(".", O_RDONLY | O_DIRECTORY);
    return start < 0 || !mkdtemp(dir) || chdir(dir) ? -1 : 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return fchdir(start) || close(start) || gp_remove_tree(dir);
}

static void save(const char *path, const char *text)
{
    assert_int_equal(gp_make_parent(path), 0);
    assert_int_equal(gp_file_write(path, text, strlen(text)), 0);
}

static gp_dataset *opened(const char *name, const gp_dataset_options *o)
{
    gp_dataset *d = gp_dataset_open(name, o);
    if (!d)
        fail_msg("%s", gp_error());
    return d;
}

static void assert_said(const char *words)
{
    if (!strstr(gp_error(), words))
        fail_msg("\"%s\" does not say \"%s\"", gp_error(), words);
}

static void assert_refused(const char *name, const gp_dataset_options *o, const char *words)
{
    assert_null(gp_dataset_open(name, o));
    assert_said(words);
}

static void assert_item(const gp_dataset *d, int64_t i, const char *text, int label, const char *split)
{
    gp_data_item item = {0};
    assert_int_equal(gp_dataset_get(d, i, &item), 0);
    assert_int_equal(item.length, strlen(text));
    assert_memory_equal(item.text, text, item.length);
    assert_int_equal(item.label, label);
    if (split)
        assert_string_equal(item.split, split);
    else
        assert_null(item.split);
    gp_data_item_release(&item);
}

static void assert_bad_item(const gp_dataset *d, int64_t i, const char *words)
{
    gp_data_item item = {0};
    assert_int_equal(gp_dataset_get(d, i, &item), -1);
    assert_said(words);
    assert_null(item.memory);
}

/* ---- text ------------------------------------------------------------------------------------------------ */

static void the_documents_of_a_text_are_what_its_separator_ends(void **state)
{
    (void)state;
    save("a.txt", "one\n\ntwo\nlines\n\n\n\nthree");
    gp_dataset *d = opened("./a.txt", &(gp_dataset_options){.separator = "\n\n"});
    assert_int_equal(d->items->format, GP_ITEMS_TEXT);
    assert_int_equal(gp_dataset_length(d), 3); /* what is empty is none */
    assert_item(d, 0, "one", -1, NULL);
    assert_item(d, 1, "two\nlines", -1, NULL);
    assert_item(d, 2, "three", -1, NULL);
    assert_null(gp_dataset_label_name(d, -1));
    gp_dataset_close(d);
    d = opened("./a.txt", NULL); /* no separator is known */
    assert_int_equal(gp_dataset_length(d), 1);
    gp_dataset_close(d);
    save("empty.txt", "");
    d = opened("./empty.txt", NULL);
    assert_int_equal(gp_dataset_length(d), 0);
    gp_dataset_close(d);
}

static void a_sidecar_names_the_separator_of_a_text(void **state)
{
    (void)state;
    save("a.txt", "one--two");
    save("a.txt.json", "{\"separator\": \"--\"}");
    gp_dataset *d = opened("./a.txt", NULL);
    assert_int_equal(gp_dataset_length(d), 2);
    assert_item(d, 1, "two", -1, NULL);
    gp_dataset_close(d);
}

static void shakespeare_is_his_speeches(void **state)
{
    (void)state;
    save("there/shakespeare.txt", "First Citizen:\nSpeak.\n\nAll:\nSpeak, speak.\n");
    gp_dataset *d = opened("shakespeare", &(gp_dataset_options){.folder = "there"});
    assert_int_equal(gp_dataset_length(d), 2);
    assert_item(d, 0, "First Citizen:\nSpeak.", -1, NULL);
    gp_dataset_close(d);
    assert_refused("shakespeare", &(gp_dataset_options){.folder = "elsewhere"},
                   "elsewhere/shakespeare.txt: is missing; download it with: fetch-data shakespeare -o elsewhere/");
    assert_refused("shakespear", NULL, "did you mean shakespeare?");
    assert_refused("gpt2-tokenizer", NULL, "has no description of its items");
}

/* ---- labelled -------------------------------------------------------------------------------------------- */

static void assert_imdb(const gp_dataset *d)
{
    assert_int_equal(d->items->format, GP_ITEMS_LABELLED);
    assert_int_equal(gp_dataset_label_count(d), 2);
    assert_string_equal(gp_dataset_label_name(d, 0), "neg");
    assert_string_equal(gp_dataset_label_name(d, 1), "pos");
    assert_int_equal(gp_dataset_length(d), ARRAY_LEN(imdb_items));
    for (size_t i = 0; i < ARRAY_LEN(imdb_items); i++)
        assert_item(d, (int64_t)i, imdb_items[i].text, imdb_items[i].label, imdb_items[i].split);
}

static void imdb_is_the_same_as_a_folder_and_as_its_archive(void **state)
{
    (void)state;
    pack("aclImdb_v1.tar.gz", imdb_files);
    gp_dataset *d = opened("./aclImdb_v1.tar.gz", NULL);
    assert_imdb(d);
    gp_dataset_close(d);
    assert_int_equal(system("tar xzf aclImdb_v1.tar.gz"), 0);
    d = opened("./aclImdb", NULL);
    assert_imdb(d);
    gp_dataset_close(d);
    d = opened("./aclImdb/test", NULL); /* a split alone has no name */
    assert_int_equal(gp_dataset_length(d), 3);
    assert_item(d, 2, "test good 0", 1, NULL);
    gp_dataset_close(d);
    assert_int_equal(mkdir("data", 0777), 0);
    assert_int_equal(rename("aclImdb", "data/imdb"), 0); /* where the catalog has it */
    d = opened("imdb", NULL);
    assert_imdb(d);
    gp_dataset_close(d);
}

static void a_split_is_chosen_by_its_name(void **state)
{
    (void)state;
    pack("x.zip", imdb_files);
    gp_dataset *d = opened("./x.zip", &(gp_dataset_options){.split = "test"});
    assert_int_equal(gp_dataset_length(d), 3);
    assert_item(d, 0, "test bad 0", 0, "test");
    gp_dataset_close(d);
    assert_refused("./x.zip", &(gp_dataset_options){.split = "dev"}, "has no split dev (it has: train, test)");
}

static void labels_that_are_named_are_the_only_ones(void **state)
{
    (void)state;
    static const char *const labels[] = {"pos", "unsup"};
    pack("x.tar", imdb_files);
    gp_dataset *d = opened("./x.tar", &(gp_dataset_options){.split = "train", .labels = labels, .label_count = 2});
    assert_int_equal(gp_dataset_length(d), 3);
    assert_item(d, 0, "train good 2", 0, "train");
    assert_item(d, 2, "nobody knows", 1, "train");
    gp_dataset_close(d);
}

static void a_file_that_went_away_is_told(void **state)
{
    (void)state;
    save("x/neg/0_1.txt", "bad");
    save("x/neg/notes.md", "is no document");
    gp_dataset *d = opened("./x", NULL);
    assert_int_equal(gp_dataset_length(d), 1);
    assert_int_equal(unlink("x/neg/0_1.txt"), 0);
    assert_bad_item(d, 0, "./x/neg/0_1.txt: No such file");
    gp_dataset_close(d);
    assert_refused("./x", NULL, "./x: has no files LABEL/NAME.txt");
    assert_refused("./absent/x.tar.gz", NULL, "absent/x.tar.gz: No such file");
}

static void imdb_is_brought_by_downloading(void **state)
{
    (void)state;
    assert_int_equal(gp_make_dirs("mirror/example.org"), 0);
    pack("mirror/example.org/aclImdb_v1.tar.gz", imdb_files);
    save("c.json",
         "{\"reviews\": {\"note\": \"n\", \"licence\": \"l\", \"items\": {\"kind\": \"labelled\", \"splits\": "
         "{\"train\": \"r/train\", \"test\": \"r/test\"}}, \"files\": [{\"path\": \"r\", \"unpack\": "
         "\"folder\", "
         "\"urls\": [\"https://example.org/aclImdb_v1.tar.gz\"]}]}}");
    gp_catalog *c = gp_catalog_open("c.json");
    gp_fetch_options fetch = {.mirror = "mirror", .offline = true, .quiet = true};
    gp_dataset_options o = {.catalog = c, .folder = "d", .fetch = &fetch, .temporary = true};
    gp_dataset *d = opened("reviews", &o);
    assert_imdb(d);
    gp_dataset_close(d);
    assert_false(gp_exists("d"));
    o.temporary = false;
    d = opened("reviews", &o);
    assert_imdb(d);
    gp_dataset_close(d);
    o.fetch = NULL;
    d = opened("reviews", &o);
    assert_imdb(d);
    assert_int_equal(gp_dataset_write(d, "all.jsonl"), 0);
    gp_dataset_close(d);
    gp_catalog_close(c);
    d = opened("./all.jsonl", &(gp_dataset_options){.label = "label", .split = "test"}); /* and back */
    assert_int_equal(gp_dataset_length(d), 3);
    assert_item(d, 0, "test bad 0", 0, "test");
    assert_item(d, 2, "test good 0", 1, "test");
    gp_dataset_close(d);
}

/* ---- jsonl ----------------------------------------------------------------------------------------------- */

static void lines_of_json_are_items(void **state)
{
    (void)state;
    static const char *const labels[] = {"no", "yes"};
    save("a.jsonl", "{\"text\": \"caf\\u00e9\", \"body\": \"b\", \"label\": 7}\n\n{\"text\": \"\", \"label\": 0}\r\n"
                    "{\"text\": \"last\"}");
    gp_dataset *d = opened("./a.jsonl", NULL);
    assert_int_equal(gp_dataset_length(d), 3);
    assert_item(d, 0, "caf\xc3\xa9", -1, NULL);
    assert_item(d, 1, "", -1, NULL);
    assert_item(d, 2, "last", -1, NULL);
    gp_dataset_close(d);
    d = opened("./a.jsonl", &(gp_dataset_options){.text = "body", .label = "label"});
    assert_item(d, 0, "b", 7, NULL);
    gp_dataset_close(d);
    save("b.jsonl", "{\"text\": \"x\", \"label\": \"yes\"}\n{\"text\": \"y\", \"label\": 0}\n");
    d = opened("./b.jsonl", &(gp_dataset_options){.label = "label", .labels = labels, .label_count = 2});
    assert_item(d, 0, "x", 1, NULL);
    assert_item(d, 1, "y", 0, NULL);
    gp_dataset_close(d);
}

/* As Python compares them, to the end. */
static void names_are_compared_beyond_a_zero(void **state)
{
    (void)state;
    static const char *const labels[] = {"no", "yes"};
    save("a.jsonl", "{\"text\": \"a\", \"split\": \"test\\u0000\"}\n{\"text\": \"b\", \"split\": \"test\", "
                    "\"label\": \"yes\\u0000\"}\n");
    gp_dataset *d = opened("./a.jsonl", &(gp_dataset_options){.split = "test"});
    assert_int_equal(gp_dataset_length(d), 1);
    assert_item(d, 0, "b", -1, "test");
    gp_dataset_close(d);
    d = opened("./a.jsonl", &(gp_dataset_options){.label = "label", .labels = labels, .label_count = 2});
    assert_bad_item(d, 1, "./a.jsonl: line 2: its \"label\" is \"yes\", which is not one of the 2 labels");
    gp_dataset_close(d);
}

static void a_wrong_line_is_named_when_it_is_asked_for(void **state)
{
    (void)state;
    static const char *const labels[] = {"no", "yes"};
    save("a.jsonl", "{\"text\": \"good\", \"label\": 1}\n{\"text\": 5}\n\n{\"text\": \"x\"\n[1]\n{\"text\": \"x\"}\n"
                    "{\"text\": \"x\", \"label\": 2}\n{\"text\": \"x\", \"label\": \"maybe\"}\n{\"text\": \"x\", "
                    "\"label\": 1.5}\n");
    gp_dataset *d = opened("./a.jsonl", &(gp_dataset_options){.label = "label", .labels = labels, .label_count = 2});
    assert_int_equal(gp_dataset_length(d), 8);
    assert_item(d, 0, "good", 1, NULL);
    assert_bad_item(d, 1, "./a.jsonl: line 2: its \"text\" is not a string");
    assert_bad_item(d, 2, "./a.jsonl: line 4 is not JSON");
    assert_bad_item(d, 3, "./a.jsonl: line 5 is not a JSON object");
    assert_bad_item(d, 4, "./a.jsonl: line 6: its \"label\" is missing");
    assert_bad_item(d, 5, "./a.jsonl: line 7: its \"label\" is 2, expected 0 to 1");
    assert_bad_item(d, 6, "./a.jsonl: line 8: its \"label\" is \"maybe\", which is not one of the 2 labels");
    assert_bad_item(d, 7, "./a.jsonl: line 9: its \"label\" is neither a whole number nor a name");
    assert_int_equal(gp_dataset_write(d, "out.jsonl"), -1);
    assert_false(gp_exists("out.jsonl"));
    gp_dataset_close(d);
}

static void a_data_set_outlives_its_catalog(void **state)
{
    (void)state;
    save("data/reviews/neg/0_1.txt", "bad");
    save("data/reviews/pos/0_9.txt", "good");
    save("more.json",
         "{\"reviews\": {\"note\": \"n\", \"licence\": \"l\", \"items\": {\"kind\": \"labelled\"},"
         " \"files\": [{\"path\": \"reviews\", \"urls\": [\"https://h/x.tar\"], \"unpack\": \"folder\"}]}}");
    gp_catalog *c = gp_catalog_open("more.json");
    assert_non_null(c);
    gp_dataset *d = opened("reviews", &(gp_dataset_options){.catalog = c});
    gp_catalog_close(c);
    assert_int_equal(gp_dataset_length(d), 2);
    assert_item(d, 0, "bad", 0, NULL);
    assert_item(d, 1, "good", 1, NULL);
    gp_dataset_close(d);
}

static void what_cannot_be_opened_is_told(void **state)
{
    (void)state;
    save("a.txt", "x");
    assert_refused("./a.txt", &(gp_dataset_options){.kind = "pictures"}, "no kind of data set \"pictures\"");
    assert_refused("./a.txt", &(gp_dataset_options){.split = "train"}, "./a.txt: has no split train");
    assert_refused("./b.txt", NULL, "./b.txt: No such file");
    save("page.zip", "<html>");
    assert_refused("./page.zip", NULL, "page.zip: is not an archive");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_documents_of_a_text_are_what_its_separator_ends),
        TEST(a_sidecar_names_the_separator_of_a_text),
        TEST(shakespeare_is_his_speeches),
        TEST(imdb_is_the_same_as_a_folder_and_as_its_archive),
        TEST(a_split_is_chosen_by_its_name),
        TEST(labels_that_are_named_are_the_only_ones),
        TEST(a_file_that_went_away_is_told),
        TEST(imdb_is_brought_by_downloading),
        TEST(lines_of_json_are_items),
        TEST(names_are_compared_beyond_a_zero),
        TEST(a_wrong_line_is_named_when_it_is_asked_for),
        TEST(a_data_set_outlives_its_catalog),
        TEST(what_cannot_be_opened_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
