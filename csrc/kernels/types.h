/* What a kernel file defines before the shim and the bodies: BD_SINGLE, BD_DOUBLE or BD_EXTENDED, and BD_TARGET
 * (generic, avx2 ...). Gives `real`, `sint` (the integer of the same width) and the names. */
#ifndef BADAK_KERNEL_TYPES_H
#define BADAK_KERNEL_TYPES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels.h"

#define BD_JOIN_(a, b, c) a##_##b##_##c
#define BD_JOIN(a, b, c) BD_JOIN_(a, b, c)

#if defined BD_SINGLE
typedef float real;
typedef int32_t sint;
#define BD_TYPE f32
typedef bd_kernels_f32 bd_kernels_real;
typedef bd_nonzero_f32 bd_nonzero;
#elif defined BD_DOUBLE
typedef double real;
typedef int64_t sint;
#define BD_TYPE f64
typedef bd_kernels_f64 bd_kernels_real;
typedef bd_nonzero_f64 bd_nonzero;
#else
typedef long double real;
typedef int sint;
#define BD_TYPE ext
typedef bd_kernels_ext bd_kernels_real;
typedef bd_nonzero_ext bd_nonzero;
#endif

#define KERNEL(name) BD_JOIN(bd_##name, BD_TYPE, BD_TARGET) /* bd_gemm_nn_f32_avx2 */
#define TABLE BD_JOIN(bd, BD_TARGET, BD_TYPE)               /* bd_avx2_f32 */

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* Keeps the compiler from working out how this variable came about. */
#define OPAQUE(pointer) __asm__("" : "+r"(pointer))

/* Full unrolling, for the small loops over a tile's registers. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

#endif
