/* product_choice.h: which of a library's implementations makes a matrix product: chosen by measurement or after a
 * refusal, recorded with the run, and used again when it is resumed. */
#ifndef GP_BACKEND_PRODUCT_CHOICE_H
#define GP_BACKEND_PRODUCT_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

/* The selected implementation of one matrix product, where a library has several. It is reused with the same library
 * and device. */
typedef struct gp_product_choice {
    char product[96];    /* the product: shape, dtypes, epilogue; the key of this choice */
    char way[16];        /* fused epilogue of the library's kernel: sums, gelu, bias, alone; plain: not the library's */
    char algorithm[136]; /* the library's, in hexadecimal; "": its heuristic's first */
    char details[96];    /* the same, readable */
    double seconds;      /* of one call, measured; 0: not measured */
    double first_seconds; /* of the default choice */
    int64_t calls;        /* of the product during the measurement */
    bool refused;         /* fallback: the library refused the default when it first ran */
    bool lost;            /* recorded with the run, but not available here */
    bool reported;        /* refused or lost was reported to the user */
} gp_product_choice;

#endif
