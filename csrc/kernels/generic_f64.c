/* Kernels for double on any processor. */
#define BD_DOUBLE
#define BD_TARGET generic

#include "types.h"

#include "simd_generic.h"

#include "bodies.h"
