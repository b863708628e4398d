/* vector.h: this level's vectors, as gcc and clang write them for every machine. */
#ifndef GP_CPU_VECTOR_H
#define GP_CPU_VECTOR_H

/* WIDTH floats a vector; a block of ROWS x VECTORS sums stays in registers. */
#if defined(__AVX512F__)
enum { WIDTH = 16, ROWS = 8, VECTORS = 2 };
#elif defined(__AVX__)
enum { WIDTH = 8, ROWS = 4, VECTORS = 2 };
#else
enum { WIDTH = 4, ROWS = 4, VECTORS = 2 };
#endif

typedef float vec __attribute__((vector_size(WIDTH * sizeof(float))));
typedef float vec_at
    __attribute__((vector_size(WIDTH * sizeof(float)), aligned(4), may_alias)); /* in memory */

#endif
