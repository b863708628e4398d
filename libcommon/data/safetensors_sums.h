/* safetensors_sums.h: the CRC-32C record of a safetensors file, in its metadata under a key that other readers ignore:
 * JSON text with 8 hexadecimal digits for each other string of the metadata and for the data of each tensor,
 *
 *     {"metadata": {"format": "1c291ca3", ...}, "tensors": {"transformer.wte.weight": "46dd794e", ...}} */
#ifndef GP_DATA_SAFETENSORS_SUMS_H
#define GP_DATA_SAFETENSORS_SUMS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define GP_SUMS_KEY "gptpipe.crc32c"

/* The record of a file with this header (__metadata__ included); crc[i] is that of its i-th tensor. Its length depends
 * on the header alone. The caller frees. */
char *gp_sums_print(json_t *header, const uint32_t *crc);

/* Reads the record of a header and checks the metadata against it. *tensors, which the caller json_decrefs, is NULL if
 * there is no record. -1 if the record is malformed, a string's CRC differs, or it names something missing. */
int gp_sums_read(const char *path, json_t *header, json_t **tensors);

/* The CRC of a tensor; false if the record has none. */
bool gp_sums_find(const json_t *tensors, const char *name, uint32_t *crc);

#endif
