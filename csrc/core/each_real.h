/* Includes BD_BODY once per float type, with `real` and REAL(name) defined: one body, three types.
 * `wide_real` is the type for long sums.
 * Meant to be included several times, so it has no include guard.
 *
 *     #define BD_BODY "layers/relu.c"
 *     #include "each_real.h"
 *     ... BD_EACH_REAL(relu_forward) ...   ->   { relu_forward_f32, relu_forward_f64, relu_forward_ext }
 */
#define real float
#define wide_real double
#define REAL(name) name##_f32
#include BD_BODY
#undef real
#undef wide_real
#undef REAL

#define real double
#define wide_real double
#define REAL(name) name##_f64
#include BD_BODY
#undef real
#undef wide_real
#undef REAL

#define real long double
#define wide_real long double
#define REAL(name) name##_ext
#include BD_BODY
#undef real
#undef wide_real
#undef REAL

#undef BD_BODY
#undef BD_EACH_REAL
#define BD_EACH_REAL(name) {name##_f32, name##_f64, name##_ext}
