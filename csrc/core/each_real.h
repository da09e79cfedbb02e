/* Includes BD_BODY once per float type, with `real` and REAL(name) defined: one body, three types.
 * `wide` is the type for long sums.
 * Meant to be included several times, so it has no include guard.
 *
 *     #define BD_BODY "layers/relu.c"
 *     #include "each_real.h"
 *     ... BD_EACH_REAL(relu_forward) ...   ->   { relu_forward_f32, relu_forward_f64, relu_forward_ext }
 */
#define real float
#define wide double
#define REAL(name) name##_f32
#include BD_BODY
#undef real
#undef wide
#undef REAL

#define real double
#define wide double
#define REAL(name) name##_f64
#include BD_BODY
#undef real
#undef wide
#undef REAL

#define real long double
#define wide long double
#define REAL(name) name##_ext
#include BD_BODY
#undef real
#undef wide
#undef REAL

#undef BD_BODY
#undef BD_EACH_REAL
#define BD_EACH_REAL(name) {name##_f32, name##_f64, name##_ext}
