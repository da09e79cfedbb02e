/* The choice of kernels: once, from what the processor and the operating system offer. */
#include <string.h>

#include "kernels.h"

#ifdef __x86_64__
#include <cpuid.h>

enum { XMM_YMM = 0x6, XMM_YMM_ZMM = 0xe6 }; /* register states that the system saves (XCR0) */

static unsigned saved_registers(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static bool has_avx2(void)
{
    unsigned a, b, c, d;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_FMA))
        return false;
    if ((saved_registers() & XMM_YMM) != XMM_YMM)
        return false;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2);
}

static bool has_avx512(void)
{
    const unsigned need = bit_AVX512F | bit_AVX512VL | bit_AVX512DQ | bit_AVX512BW;
    unsigned a, b, c, d;

    if (!has_avx2() || (saved_registers() & XMM_YMM_ZMM) != XMM_YMM_ZMM)
        return false;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & need) == need;
}
#endif

static bool always(void)
{
    return true;
}

/* Best last. */
static const struct {
    const char *name;
    bool (*here)(void);
    const void *kernels[BD_DTYPES];
} isa[] = {
    {"generic", always, {&bd_generic_f32, &bd_generic_f64, &bd_generic_ext}},
#ifdef __x86_64__
    {"avx2", has_avx2, {&bd_avx2_f32, &bd_avx2_f64, &bd_generic_ext}},
    {"avx512", has_avx512, {&bd_avx512_f32, &bd_avx512_f64, &bd_generic_ext}},
#endif
#ifdef __aarch64__
    {"neon", always, {&bd_neon_f32, &bd_neon_f64, &bd_generic_ext}},
#endif
};

enum { COUNT = (int)(sizeof isa / sizeof *isa) };

static int chosen; /* the dispatch table: generic until bd_choose_isa has run */

bool bd_choose_isa(const char *name)
{
    for (int i = COUNT - 1; i >= 0; i--)
        if ((!name || !strcmp(name, isa[i].name)) && isa[i].here()) {
            chosen = i;
            return true;
        }
    return false;
}

const char *bd_isa(void)
{
    return isa[chosen].name;
}

const char *const *bd_isa_names(void)
{
    static const char *names[COUNT + 1];
    int count = 0;

    for (int i = 0; i < COUNT; i++)
        if (isa[i].here())
            names[count++] = isa[i].name;
    names[count] = NULL;
    return names;
}

const void *bd_kernels(bd_dtype dtype)
{
    return isa[chosen].kernels[dtype];
}
