/* Kernels for float with AVX-512. */
#ifdef __x86_64__

#define BD_SINGLE
#define BD_TARGET avx512
#define BD_FEATURES "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma"

#include <immintrin.h>

#include "types.h"

#define NARROWER bd_avx2_f32 /* the kernels for vectors of half the width */

#include "target_begin.h"

#include "simd_avx512.h"

#include "bodies.h"

#include "target_end.h"

#else
typedef int bd_no_avx512_here; /* an empty file is not C */
#endif
