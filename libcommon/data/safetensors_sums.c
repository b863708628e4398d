/* safetensors_sums.c: see safetensors_sums.h. */
#include "data/safetensors_sums.h"
#include "base/file.h"
#include "base/json.h"

#include <string.h>

static const char metadata_key[] = "__metadata__";

static uint32_t string_crc(const json_t *text)
{
    return gp_crc32c(0, json_string_value(text), json_string_length(text));
}

static void set_digits(json_t *object, const char *name, uint32_t crc)
{
    char digits[9];
    snprintf(digits, sizeof digits, "%08x", crc);
    json_object_set_new(object, name, json_string(digits));
}

char *gp_sums_print(json_t *header, const uint32_t *crc)
{
    const char *name;
    json_t *v, *strings = json_object(), *tensors = json_object();
    int64_t i = 0;
    json_object_foreach (json_object_get(header, metadata_key), name, v) {
        if (strcmp(name, GP_SUMS_KEY))
            set_digits(strings, name, string_crc(v));
    }
    json_object_foreach (header, name, v) {
        if (strcmp(name, metadata_key))
            set_digits(tensors, name, crc[i++]);
    }
    json_t *record = json_pack("{s:o, s:o}", "metadata", strings, "tensors", tensors);
    char *text = gp_json_dump(record, JSON_COMPACT);
    json_decref(record);
    return text;
}

/* Accepts exactly the format that set_digits prints. */
static bool read_digits(const json_t *v, uint32_t *crc)
{
    const char *digits = json_string_value(v);
    if (!digits || json_string_length(v) != 8 || strspn(digits, "0123456789abcdef") != 8)
        return false;
    *crc = 0;
    for (; *digits; digits++)
        *crc = *crc << 4 | (uint32_t)(*digits <= '9' ? *digits - '0' : *digits - 'a' + 10);
    return true;
}

bool gp_sums_find(const json_t *tensors, const char *name, uint32_t *crc)
{
    return read_digits(json_object_get(tensors, name), crc);
}

static int check_strings(const char *path, const json_t *header, json_t *sums)
{
    const char *key;
    json_t *v;
    uint32_t expected;
    const json_t *metadata = json_object_get(header, metadata_key);
    json_object_foreach (sums, key, v) {
        const json_t *text = json_object_get(metadata, key);
        if (!read_digits(v, &expected))
            return fail("%s: is damaged: " GP_SUMS_KEY " in its metadata has no CRC of 8 digits for %.100s", path, key);
        if (!text)
            return fail("%s: is damaged: its metadata lack %.100s, of which " GP_SUMS_KEY " has a CRC", path, key);
        if (string_crc(text) != expected)
            return fail("%s: is damaged: %.100s in its metadata has the CRC-32C %08x, expected %08x by " GP_SUMS_KEY,
                        path, key, string_crc(text), expected);
    }
    return 0;
}

static int check_names(const char *path, const json_t *header, json_t *sums)
{
    const char *name;
    json_t *v;
    uint32_t crc;
    json_object_foreach (sums, name, v) {
        if (!read_digits(v, &crc))
            return fail("%s: is damaged: " GP_SUMS_KEY " in its metadata has no CRC of 8 digits for tensor %.100s",
                        path, name);
        if (!json_object_get(header, name) || !strcmp(name, metadata_key))
            return fail("%s: is damaged: there is no tensor %.100s, of which " GP_SUMS_KEY " in its metadata has a CRC",
                        path, name);
    }
    return 0;
}

int gp_sums_read(const char *path, json_t *header, json_t **tensors)
{
    json_error_t error;
    const json_t *text = json_object_get(json_object_get(header, metadata_key), GP_SUMS_KEY);
    *tensors = NULL;
    if (!text)
        return 0;
    json_t *record = gp_json_load(json_string_value(text), json_string_length(text), JSON_REJECT_DUPLICATES, &error);
    json_t *strings = json_object_get(record, "metadata"), *sums = json_object_get(record, "tensors");
    int rc = -1;
    if (!json_is_object(strings) || !json_is_object(sums) || json_object_size(record) != 2)
        fail("%s: is damaged: " GP_SUMS_KEY " in its metadata is not a record of CRCs of metadata and tensors", path);
    else
        rc = check_strings(path, header, strings) || check_names(path, header, sums) ? -1 : 0;
    if (!rc)
        *tensors = json_incref(sums);
    json_decref(record);
    return rc;
}
