/* Kernels for long double: the reference of the gradient checker, where digits count and speed does not. */
#define BD_EXTENDED
#define BD_TARGET generic

#include "types.h"

#include "simd_scalar.h"

#include "bodies.h"
