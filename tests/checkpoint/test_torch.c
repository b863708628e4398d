/* Files of torch.save: what PyTorch wrote (tests/golden/formats) has the numbers of the same model's safetensors file;
 * a pickle that is no plain data, or damaged, is refused in one line. */
#include "torch_files.h"

#include "gptpipe/safetensors.h"

#define GOLDEN "tests/golden/formats/"

/* ---- what PyTorch wrote ---------------------------------------------------------------------------------- */

/* Tensor i of k is t, rounded to k's type; transposed: k has it as (columns, rows). */
static void assert_same(const gp_container *k, int64_t i, const gp_tensor *t, bool transposed)
{
    const gp_stored *s = &k->tensors[i];
    float *x = numbers(k, i);
    int64_t n = gp_tensor_count(t), columns = t->ndim == 2 ? t->dim[1] : 1, rows = n / columns;
    assert_int_equal(s->elements, n);
    assert_int_equal(s->ndim, t->ndim);
    assert_int_equal(s->dim[0], transposed ? columns : rows);
    for (int64_t j = 0; j < n; j++) {
        float expected = ((const float *)t->data)[j];
        uint16_t half;
        if (s->dtype != GP_F32) {
            gp_from_f32(&half, s->dtype, &expected, 1);
            gp_to_f32(&expected, &half, s->dtype, 1);
        }
        assert_float_equal(x[transposed ? j % columns * rows + j / columns : j], expected, 0);
    }
    free(x);
}

static void has_the_models_numbers(const char *file, const char *prefix, bool out_in)
{
    gp_safetensors *s = gp_safetensors_open(GOLDEN "hf/model.safetensors");
    gp_container *k = open_file(file);
    assert_non_null(s);
    assert_non_null(k);
    for (int64_t i = 0; i < gp_safetensors_count(s); i++) {
        gp_tensor t;
        const char *name = gp_safetensors_get(s, i, &t);
        char *full = gp_format("%s%s", prefix, name);
        int64_t found = gp_container_find(k, full);
        bool linear = t.ndim == 2 && !strstr(name, "wte") && !strstr(name, "wpe");
        assert_true(found >= 0);
        assert_int_equal(gp_container_check(k, found, NULL), 0);
        assert_same(k, found, &t, out_in && linear);
        gp_container_forget(k, found);
        free(full);
    }
    gp_container_close(k);
    gp_safetensors_close(s);
}

static void reads_each_layout(void **state)
{
    (void)state;
    has_the_models_numbers(GOLDEN "bin/pytorch_model.bin", "", false);
    has_the_models_numbers(GOLDEN "bin-legacy/pytorch_model.bin", "", false);
    has_the_models_numbers(GOLDEN "bin-deflated/pytorch_model.bin", "", false);
    has_the_models_numbers(GOLDEN "bin-f16/pytorch_model.bin", "", false);
    has_the_models_numbers(GOLDEN "bin-bf16/pytorch_model.bin", "", false);
    has_the_models_numbers(GOLDEN "nanogpt/ckpt.pt", "_orig_mod.", true);
}

static void lists_what_is_no_number(void **state)
{
    (void)state;
    gp_container *k = open_file(GOLDEN "bin-legacy/pytorch_model.bin");
    int64_t mask = gp_container_find(k, "transformer.h.0.attn.bias");
    char text[64];
    assert_true(mask >= 0 && !k->tensors[mask].is_float);
    assert_string_equal(gp_stored_format(&k->tensors[mask], text, sizeof text), "U8 [1,1,16,16]");
    gp_container_close(k);
}

static void reads_nanogpts_settings(void **state)
{
    (void)state;
    gp_container *k = open_file(GOLDEN "nanogpt/no-bias.pt");
    const gp_torch_extras *e = gp_torch_extras_of(k);
    bool bias = false, layers = false, dropout = false;
    assert_true(e->has_args);
    assert_string_equal(e->member, "model");
    for (int64_t i = 0; i < e->arg_count; i++) {
        const gp_torch_entry *a = &e->args[i];
        bias |= !strcmp(a->name, "bias") && a->type == GP_TORCH_BOOL && !a->whole;
        layers |= !strcmp(a->name, "n_layer") && a->type == GP_TORCH_INT && a->whole == 2;
        dropout |= !strcmp(a->name, "dropout") && a->type == GP_TORCH_REAL && a->real == 0;
    }
    assert_true(bias && layers && dropout);
    gp_container_close(k);
    k = open_file(GOLDEN "nanogpt/ckpt.pt");
    assert_non_null(strstr(gp_torch_extras_of(k)->ignored, "optimizer"));
    gp_container_close(k);
}

static void checks_the_crc_of_a_storage(void **state)
{
    (void)state;
    gp_buf b = {0};
    bool summed = false;
    assert_int_equal(gp_file_read(&b, GOLDEN "bin/pytorch_model.bin", 1 << 20), 0);
    write_file(b.data, b.len);
    gp_container *k = open_file(path);
    assert_int_equal(gp_container_check(k, 0, &summed), 0);
    assert_true(summed);
    gp_container_close(k);
    gp_zip z;
    gp_map map = {b.data, b.len};
    assert_int_equal(gp_zip_open(&z, &map, path), 0);
    for (int64_t i = 0; i < z.count; i++)
        if (z.files[i].size == 4 * 272 * 16)
            b.data[z.files[i].data - b.data + 1000] ^= 1;
    gp_zip_close(&z);
    write_file(b.data, b.len);
    k = open_file(path);
    assert_non_null(k);
    assert_int_equal(gp_container_check(k, 0, NULL), -1);
    assert_non_null(strstr(gp_error(), "CRC-32"));
    gp_container_close(k);
    gp_buf_release(&b);
}

/* ---- pickles by hand, as pickletools shows torch's ------------------------------------------------------- */

static void honours_strides(void **state)
{
    (void)state;
    static const float transposed[] = {0, 2, 4, 1, 3, 5};
    PICKLE(STATE(TENSOR(STORAGE("\6"), "K\0K\2K\3\x86K\1K\2\x86"))); /* x.view(3, 2).t() */
    gp_container *k = open_file(path);
    assert_non_null(k);
    assert_int_equal(k->tensors[0].dim[0], 2);
    assert_int_equal(k->tensors[0].dim[1], 3);
    float *x = numbers(k, 0);
    assert_memory_equal(x, transposed, sizeof transposed);
    free(x);
    gp_container_close(k);
    PICKLE(STATE(TENSOR(STORAGE("\6"), "K\4K\2\x85K\1\x85"))); /* x[4:6] */
    k = open_file(path);
    assert_non_null(k);
    x = numbers(k, 0);
    assert_memory_equal(x, ((float[]){4, 5}), 8);
    free(x);
    gp_container_close(k);
}

/* The other ways in which torch has pickled a tensor: as a parameter, with attributes, of an untyped storage, without
 * what follows the stride; and a dict, by Python 2. */
static void knows_each_way_to_make_a_tensor(void **state)
{
    (void)state;
    PICKLE(STATE("ctorch._utils\n_rebuild_parameter\n" TENSOR(STORAGE("\6"), WHOLE) "\x88)\x87R"));
    assert_opens("F32 [6]");
    PICKLE(STATE("ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\n"
                 "ctorch.nn.parameter\nParameter\n(" STORAGE("\6") WHOLE "\x89)t}tR"));
    assert_opens("F32 [6]");
    PICKLE(STATE("ctorch._utils\n_rebuild_tensor\n(" STORAGE("\6") WHOLE "tR"));
    assert_opens("F32 [6]");
    PICKLE(STATE("ctorch._utils\n_rebuild_tensor_v3\n((X\7\0\0\0storagectorch.storage\nUntypedStorage\n"
                 "X\1\0\0\0"
                 "0X\3\0\0\0cpuK\30tQK\0K\3\x85K\1\x85\x89)ctorch\nfloat64\ntR"));
    assert_opens("F64 [3]");
    PICKLE("\x80\2ccollections\nOrderedDict\n]](U\1w" TENSOR(STORAGE("\6"), WHOLE) "ea\x85R.");
    assert_opens("F32 [6]");
}

/* torch.imag(x.conj()) is a view whose numbers are those in the storage with the other sign. */
static void refuses_a_tensor_that_is_negated_when_read(void **state)
{
    (void)state;
#define V2 "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE("\6") WHOLE
    PICKLE(STATE(V2 "\x89)}X\3\0\0\0neg\x88stR"));
    assert_refused("negated or conjugated when it is read");
    PICKLE(
        STATE("ctorch._utils\n_rebuild_tensor_v3\n(" STORAGE("\6") WHOLE "\x89)ctorch\nfloat32\n}X\3\0\0\0neg\x88stR"));
    assert_refused("negated or conjugated when it is read");
    PICKLE(STATE(V2 "\x89)}tR"));
    assert_opens("F32 [6]");
    PICKLE(STATE(V2 "\x89)NtR"));
    assert_opens("F32 [6]");
#undef V2
}

static void refuses_tensors_outside_their_storage(void **state)
{
    (void)state;
    PICKLE(STATE(TENSOR(STORAGE("\6"), "K\0K\2K\4\x86K\4K\1\x86")));
    assert_refused("a tensor of 8 elements from 0 to 7 is in a storage of 6");
    PICKLE(STATE(TENSOR(STORAGE("\6"), "K\4K\3\x85K\1\x85")));
    assert_refused("from 4 to 6 is in a storage of 6");
    PICKLE(STATE(TENSOR(STORAGE("\6"), "J\xff\xff\xff\xffK\3\x85K\1\x85")));
    assert_refused("from -1 to 1");
    PICKLE(STATE(TENSOR(STORAGE("\6"), "K\0J\xff\xff\xff\x7f\x85K\0\x85"))); /* expanded */
    assert_refused("a tensor of 2147483647 elements from 0 to 0 is in a storage of 6");
    PICKLE(STATE(TENSOR(STORAGE("\6"), "K\0\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7fK\2\x86K\1K\1\x86")));
    assert_refused("overflows");
    PICKLE(STATE(TENSOR(STORAGE("\5"), "K\0K\2\x85K\1\x85")));
    assert_refused("its storage 0 has 24 bytes, expected 20");
    PICKLE(STATE(TENSOR("K\6", "K\0K\2\x85K\1\x85")));
    assert_refused("a tensor is made of a int, expected a storage");
}

static void refuses_what_is_no_plain_data(void **state)
{
    (void)state;
    PICKLE("\x80\2}X\1\0\0\0wcposix\nsystem\nX\4\0\0\0ls /\x85Rs.");
    assert_refused("refuses to load posix.system;");
    PICKLE("\x80\4\x95\x16\0\0\0\0\0\0\0\x8c\2os\x8c\6system\x93\x8c\4ls /\x85R.");
    assert_refused("refuses to load os.system;");
    PICKLE("\x80\2cbuiltins\neval\n.");
    assert_refused("refuses to load builtins.eval;");
    PICKLE("\x80\2ctorch\nload\n.");
    assert_refused("refuses to load torch.load;");
    PICKLE("\x80\2}X\1\0\0\0wios\nsystem\n.");
    assert_refused("opcode 0x69");
    PICKLE("\x80\2ccollections\nOrderedDict\n)\x81.");
    assert_refused("opcode 0x81");
    PICKLE("\x80\2]K\1b.");
    assert_refused("sets attributes of a list");
    PICKLE("\x80\2K\1.");
    assert_refused("holds a int, expected a dict of tensors");
    PICKLE("\x80\2}K\1" TENSOR(STORAGE("\6"), "K\0K\2\x85K\1\x85") "s.");
    assert_refused("has a tensor under a key that is a int, expected text");
    PICKLE("\x80\2}(X\1\0\0\0w" TENSOR(STORAGE("\6"), "K\0K\2\x85K\1\x85") "q\0X\1\0\0\0wh\0u.");
    assert_refused("two tensors named w");
}

static void refuses_damaged_pickles(void **state)
{
    (void)state;
    static const struct {
        const char *pickle, *why;
    } cases[] = {
        {"}.", "does not begin as a pickle"},
        {"\x80\x06}.", "protocol 6"},
        {"\x80\x02.", "leaves 0 values"},
        {"\x80\x02}}.", "leaves 2 values"},
        {"\x80\x02(.", "leaves 0 values"},
        {"\x80\x02}", "ends early"},
        {"\x80\x02X\x7f\x7f\x7f\x7f", "ends early"},
        {"\x80\x02s.", "takes more values"},
        {"\x80\x02}(s.", "takes more values"},
        {"\x80\x02u.", "lacks a mark"},
        {"\x80\x02}(}u.", "adds 1 items to a dict"},
        {"\x80\x02h\x07.", "memo has no value 7"},
        {"\x80\x02}r\x7f\x7f\x7f\x7f.", "stores value 2139062143 of its memo"},
        {"\x80\x02"
         "ctorch",
         "ends early"},
        {"\x80\x02}R.", "takes more values"},
        {"\x80\x02}}R.", "calls a dict with a dict"},
        {"\x80\x02"
         "ctorch._utils\n_rebuild_tensor_v2\n)R.",
         "made of a None"},
        {"\x80\x02}Q.", "a persistent id is not a storage's"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_pickle(cases[i].pickle, strlen(cases[i].pickle));
        assert_refused(cases[i].why);
    }
}

/* A list in itself, and lists of lists of one list: walks end. */
static void bounds_what_holds_itself(void **state)
{
    (void)state;
    gp_buf b = {0};
    PICKLE("\x80\2}X\1\0\0\0w]q\0h\0as.");
    assert_refused("nested too deep");
    gp_buf_add(&b, "\x80\2}(X\0\0\0\0]q\0", 12);
    for (int i = 0; i < 14; i++) { /* 10^14 lists, if each were visited */
        gp_buf_printf(&b, "X%c%c%c%ca](", 1, 0, 0, 0);
        for (int j = 0; j < 10; j++)
            gp_buf_printf(&b, "h%c", i);
        gp_buf_printf(&b, "eq%c", i + 1);
    }
    gp_buf_add(&b, "u.", 2);
    write_pickle(b.data, b.len);
    gp_buf_release(&b);
    assert_refused("nested too deep");
}

/* One tensor 400,000 times, each under a name of 400 bytes, among as many empty lists. */
static void bounds_what_lists_tensors(void **state)
{
    (void)state;
    gp_buf b = {0};
    gp_buf_add(&b, "\x80\2}X\x90\1\0\0", 8);
    for (int i = 0; i < 400; i++)
        gp_buf_puts(&b, "n");
    gp_buf_add(&b, "](", 2);
    static const char tensor[] = TENSOR(STORAGE("\6"), WHOLE) "q\0";
    gp_buf_add(&b, tensor, sizeof tensor - 1);
    for (int i = 1; i < 400000; i++)
        gp_buf_add(&b, "h\0]", 3);
    gp_buf_puts(&b, "es.");
    write_pickle(b.data, b.len);
    gp_buf_release(&b);
    assert_refused("too many tensors for the size of its pickle");
}

/* Every beginning of a file is refused, in one line. */
static void refuses_every_truncation(void **state)
{
    (void)state;
    static const char *const files[] = {GOLDEN "bin-deflated/pytorch_model.bin", GOLDEN "bin-legacy/pytorch_model.bin"};
    PICKLE(STATE(TENSOR(STORAGE("\6"), "K\0K\6\x85K\1\x85")));
    gp_buf b = {0};
    assert_int_equal(gp_file_read(&b, path, 1 << 20), 0);
    for (size_t n = 0; n < b.len; n++) {
        write_file(b.data, n);
        assert_refused("");
    }
    gp_buf_release(&b);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        b = (gp_buf){0};
        assert_int_equal(gp_file_read(&b, files[i], 1 << 20), 0);
        for (size_t n = 0; n < b.len; n += n < 2000 || n + 700 > b.len ? 1 : 997) {
            write_file(b.data, n);
            assert_refused("");
        }
        gp_buf_release(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_each_layout),
        cmocka_unit_test(lists_what_is_no_number),
        cmocka_unit_test(reads_nanogpts_settings),
        cmocka_unit_test(checks_the_crc_of_a_storage),
        cmocka_unit_test(honours_strides),
        cmocka_unit_test(knows_each_way_to_make_a_tensor),
        cmocka_unit_test(refuses_a_tensor_that_is_negated_when_read),
        cmocka_unit_test(refuses_tensors_outside_their_storage),
        cmocka_unit_test(refuses_what_is_no_plain_data),
        cmocka_unit_test(refuses_damaged_pickles),
        cmocka_unit_test(bounds_what_holds_itself),
        cmocka_unit_test(bounds_what_lists_tensors),
        cmocka_unit_test(refuses_every_truncation),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
