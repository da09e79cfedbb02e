/* Kernels for double with NEON, which every 64-bit Arm processor has. */
#ifdef __aarch64__

#define BD_DOUBLE
#define BD_TARGET neon

#include <arm_neon.h>

#include "types.h"

#include "simd_neon.h"

#include "bodies.h"

#else
typedef int bd_no_neon_here; /* an empty file is not C */
#endif
