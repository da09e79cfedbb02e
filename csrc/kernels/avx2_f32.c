/* Kernels for float with AVX2 and FMA. */
#ifdef __x86_64__

#define BD_SINGLE
#define BD_TARGET avx2
#define BD_FEATURES "avx2,fma"

#include <immintrin.h>

#include "types.h"

#include "target_begin.h"

#include "simd_avx2.h"

#include "bodies.h"

#include "target_end.h"

#else
typedef int bd_no_avx2_here; /* an empty file is not C */
#endif
