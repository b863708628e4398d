/* fuzz.h: what the fuzz targets share.
 *
 * A target is one .c with LLVMFuzzerTestOneInput: it gives bytes to one reader, as a file or a few, and then uses what
 * was opened. What must hold: no error of memory or arithmetic (the sanitizers see it), nothing but one line of reason
 * for what is refused, and the promises of the header for what is opened. libFuzzer drives it (`make fuzz`), and
 * replay.c runs the files of corpus/ through it in `make test`.
 */
#ifndef GPTPIPE_FUZZ_H
#define GPTPIPE_FUZZ_H

#include <stdlib.h>
#include <string.h>

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Writes a file into the folder of this process and gives its path, good for the next few calls. A .safetensors whose
 * content begins with '{' is a header alone, up to a zero byte, and the numbers: it gets the length that a mutated
 * header must have before it, so that mutations come past the first check. */
const char *fuzz_file(const char *name, const uint8_t *data, size_t size);

/* Removes all files, then writes those of a bundle: "@NAME\n" begins each, at the start of the bundle or after a
 * newline. A name may have one folder before it, "ckpt-00000002/state.safetensors", and "@NAME -> TARGET\n" is a link.
 * Gives the folder. Other names are left out. */
const char *fuzz_bundle(const uint8_t *data, size_t size);

/* Cuts the input at its first line that holds `mark` alone: the first part's size, and where the second begins. */
size_t fuzz_cut(const uint8_t *data, size_t size, const char *mark, size_t *second);

/* Before a call that may fail; and after it failed: there must be one line that says why. */
void fuzz_begin(void);
void fuzz_refused(void);

/* What a tokenizer promises: any text becomes ids of its vocabulary, and they become the text. */
struct gp_tokenizer;
void fuzz_use_tokenizer(const struct gp_tokenizer *t);

/* What a container promises: each tensor is found by its name, and all numbers of float tensors can be read or are
 * refused with a reason. Closes it. */
struct gp_container;
void fuzz_use_container(struct gp_container *k);

/* /dev/null, open to be printed into. */
FILE *fuzz_nowhere(void);

#endif
