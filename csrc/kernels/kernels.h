/* The inner loops: one table of functions per float type, filled once (dispatch.c).
 *
 * Contract of every kernel: sizes may be 0; pointers need only the alignment of their type; no output overlaps
 * an input, unless said; nothing is allocated. Row-major throughout.
 *
 * Numbers: each output element of a product is one chain of multiply-adds, k ascending, begun from the bias or
 * zero (but not in Winograd's method, winograd.inc). It does not depend on how many rows or columns are asked for. The
 * vector kernels (avx2 ...) fuse each multiply-add; generic rounds twice. Sums run over a fixed number of lanes, joined
 * in a fixed order.
 *
 * Names: bd_<what>_<type>_<isa>, such as bd_gemm_nn_f32_avx2.
 */
#ifndef BADAK_KERNELS_H
#define BADAK_KERNELS_H

#include <stdbool.h>

#include "../core/badak.h"

/* From one of the 16 planes of n numbers to the next: not a power of two, or they would share places in the cache. */
#define BD_WINOGRAD_PLANE(n) ((n) + 16)
enum { BD_NONZERO_SPARE = 16 };    /* the most lanes of a vector */
enum { BD_WINOGRAD_SQUARES = 12 }; /* that are transformed together (winograd.inc): whole tiles of products */

/* A part of a matrix. */
typedef struct {
    bd_size row, rows, column, columns;
} bd_block;

#define BD_BODY "../kernels/kernel_table.h"
#include "../core/each_real.h"

extern const bd_kernels_f32 bd_generic_f32, bd_avx2_f32, bd_avx512_f32, bd_neon_f32;
extern const bd_kernels_f64 bd_generic_f64, bd_avx2_f64, bd_avx512_f64, bd_neon_f64;
extern const bd_kernels_ext bd_generic_ext;

#endif
