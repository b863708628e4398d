/* safetensors_sums.h: the record of CRCs that a file carries in its metadata, under a key that other readers pass over.
 * It is JSON text, 8 hexadecimal digits for each string of the metadata but itself, and for the data of each tensor:
 *
 *     {"metadata": {"format": "1c291ca3", ...}, "tensors": {"transformer.wte.weight": "46dd794e", ...}} */
#ifndef GP_DATA_SAFETENSORS_SUMS_H
#define GP_DATA_SAFETENSORS_SUMS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define GP_SUMS_KEY "gptpipe.crc32c"

/* The record of a file with this header (__metadata__ included), crc[i] being that of its i-th tensor. Its length
 * depends on the header alone. The caller frees. */
char *gp_sums_print(json_t *header, const uint32_t *crc);

/* Reads a header's record, if it has one, and checks the metadata by it. *tensors (to be decref'd) is NULL where there
 * is none. -1 where the record is no such thing, where a string differs, or where it names what is not there. */
int gp_sums_read(const char *path, json_t *header, json_t **tensors);

/* Whether there is a CRC for that tensor. */
bool gp_sums_find(const json_t *tensors, const char *name, uint32_t *crc);

#endif
