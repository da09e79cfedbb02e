/* Kernels for float on any processor. */
#define BD_SINGLE
#define BD_TARGET generic

#include "types.h"

#include "simd_generic.h"

#include "bodies.h"
