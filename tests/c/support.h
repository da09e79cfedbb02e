/* What several tests need: numbers, memory that notices who leaves it, a count of allocations. */
#ifndef BADAK_TEST_SUPPORT_H
#define BADAK_TEST_SUPPORT_H

#include <stddef.h>
#include <stdint.h>

#include "../../csrc/core/badak.h"

/* For tests with one body for all types (each_real.h). */
#define DTYPE(type) (sizeof(type) == sizeof(float) ? BD_F32 : sizeof(type) == sizeof(double) ? BD_F64 : BD_EXT)
#define FOR_EACH_TYPE(function)                                                                                        \
    static void function(void)                                                                                         \
    {                                                                                                                  \
        function##_f32();                                                                                              \
        function##_f64();                                                                                              \
        function##_ext();                                                                                              \
    }

/* Random numbers that owe nothing to the core (splitmix64). */
uint64_t random_bits(uint64_t *state);
double random_between(uint64_t *state, double low, double high);

/* The elements of a buffer of any float type. */
long double real_at(bd_dtype dtype, const void *base, bd_size i);
void set_real(bd_dtype dtype, void *base, bd_size i, long double value);
double dtype_eps(bd_dtype dtype); /* the distance from 1 to the next number */
long double dtype_largest(bd_dtype dtype), dtype_normal(bd_dtype dtype), dtype_smallest(bd_dtype dtype);

/* Equal and of the same sign, or both NaN. */
bool same_number(long double a, long double b);

/* Places for arrays, each before a page that cannot be touched. A place ends `tail` bytes before that page, which makes
 * odd addresses; the bytes around it, and at first those in it, are 0xff: a NaN in every float type. */
enum { PLACES = 8 };
void *place_array(int place, size_t bytes, size_t tail);
/* Are the bytes around it untouched? */
bool place_intact(int place);

/* Calls of malloc and its siblings by the core and the tests. More than a terabyte is refused, as by most machines. */
long allocation_count(void);
/* The allocation after `allowed` more fails, once; -1: none does. */
void fail_allocation_after(long allowed);

#endif
