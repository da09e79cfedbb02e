#include "support.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---------------------------------------------------------------- numbers */

uint64_t random_bits(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

double random_between(uint64_t *state, double low, double high)
{
    return low + (high - low) * ((double)(random_bits(state) >> 11) * 0x1p-53);
}

long double real_at(bd_dtype dtype, const void *base, bd_size i)
{
    return dtype == BD_F32 ? (long double)((const float *)base)[i]
         : dtype == BD_F64 ? (long double)((const double *)base)[i]
                           : ((const long double *)base)[i];
}

void set_real(bd_dtype dtype, void *base, bd_size i, long double value)
{
    if (dtype == BD_F32)
        ((float *)base)[i] = (float)value;
    else if (dtype == BD_F64)
        ((double *)base)[i] = (double)value;
    else
        ((long double *)base)[i] = value;
}

double dtype_eps(bd_dtype dtype)
{
    return dtype == BD_F32 ? (double)FLT_EPSILON : dtype == BD_F64 ? DBL_EPSILON : (double)LDBL_EPSILON;
}

long double dtype_largest(bd_dtype dtype)
{
    return dtype == BD_F32 ? (long double)FLT_MAX : dtype == BD_F64 ? (long double)DBL_MAX : LDBL_MAX;
}

/* The smallest that is not denormal. */
long double dtype_normal(bd_dtype dtype)
{
    return dtype == BD_F32 ? (long double)FLT_MIN : dtype == BD_F64 ? (long double)DBL_MIN : LDBL_MIN;
}

long double dtype_smallest(bd_dtype dtype)
{
    return dtype_normal(dtype) * (long double)dtype_eps(dtype);
}

bool same_number(long double a, long double b)
{
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b);
    return a == b && !signbit(a) == !signbit(b);
}

/* ---------------------------------------------------------------- guarded places */

enum { PLACE_BYTES = 1 << 24, GUARD_BYTES = 1 << 16, MARGIN = 256 };

static struct {
    unsigned char *memory; /* PLACE_BYTES, then the guard */
    size_t bytes, tail;
} places[PLACES];

static unsigned char *memory_of(int place)
{
    if (!places[place].memory) {
        void *memory =
            mmap(NULL, PLACE_BYTES + GUARD_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED || mprotect((char *)memory + PLACE_BYTES, GUARD_BYTES, PROT_NONE)) {
            perror("guarded memory");
            exit(2);
        }
        places[place].memory = memory;
    }
    return places[place].memory;
}

void *place_array(int place, size_t bytes, size_t tail)
{
    unsigned char *memory = memory_of(place);

    if (bytes + tail + MARGIN > PLACE_BYTES) {
        fprintf(stderr, "a test wants an array of %zu bytes\n", bytes);
        exit(2);
    }
    places[place].bytes = bytes;
    places[place].tail = tail;
    unsigned char *array = memory + PLACE_BYTES - tail - bytes;
    memset(array - MARGIN, 0xff, MARGIN + bytes + tail);
    return array;
}

bool place_intact(int place)
{
    const unsigned char *end = places[place].memory + PLACE_BYTES, *tail = end - places[place].tail;
    const unsigned char *array = tail - places[place].bytes;

    for (const unsigned char *byte = array - MARGIN; byte < array; byte++)
        if (*byte != 0xff)
            return false;
    for (const unsigned char *byte = tail; byte < end; byte++)
        if (*byte != 0xff)
            return false;
    return true;
}

/* ---------------------------------------------------------------- allocations, counted by the linker's --wrap */

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t bytes);

static atomic_long allocations, allowed = -1; /* some tests have several threads */

static bool refused(size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    if (allowed >= 0 && atomic_fetch_sub(&allowed, 1) == 0)
        return true;
    return bytes > (size_t)1 << 40;
}

void *__wrap_malloc(size_t bytes)
{
    return refused(bytes) ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t size)
{
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) || refused(bytes) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
    return refused(bytes) ? NULL : __real_realloc(memory, bytes);
}

long allocation_count(void)
{
    return allocations;
}

void fail_allocation_after(long more)
{
    allowed = more;
}
