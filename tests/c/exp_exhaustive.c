/* Errors of exp, log, tanh and sigmoid over all 2^32 floats, for every instruction set; BADAK_ISA restricts it to one.
 * Fails where exp or log is off by more than 2 ULP (units in the last place), or anything is NaN that should not be. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../csrc/kernels/kernels.h"

enum { CHUNK = 1 << 16, MAX_ISAS = 8 };
typedef enum { EXP, LOG, TANH, SIGMOID, FUNCTIONS } function_name;

static const char *const text[FUNCTIONS] = {"exp", "log", "tanh", "sigmoid"};
static const double limit[FUNCTIONS] = {2, 2, INFINITY, INFINITY};

static struct {
    const char *isa;
    const bd_kernels_f32 *kernels;
    double worst[FUNCTIONS];
    float at[FUNCTIONS];
    uint64_t wrong[FUNCTIONS]; /* NaN for a number, or a number for NaN */
} tried[MAX_ISAS];

/* exp and log in long double; tanh and sigmoid, which are only reported, in double: 29 bits more than a float. Where
 * the result is known, libm is not asked: most floats are very small. */
static double reference_of(function_name function, double x)
{
    const double size = fabs(x);

    switch (function) {
    case EXP: return size < 0x1p-64 ? 1 : x > 200 ? INFINITY : x < -200 ? 0 : (double)expl((long double)x);
    case LOG: return x > 0 && x < INFINITY ? (double)logl((long double)x) : log(x);
    case TANH: return size < 0x1p-30 ? x : size > 30 ? copysign(1, x) : tanh(x);
    default: return size < 0x1p-60 ? 0.5 : x > 200 ? 1 : x < -200 ? 0 : 1 / (1 + exp(-x));
    }
}

/* The unit in the last place of the float next to x: the power of 2 at or below |x|, 23 places on. */
static double last_place(double x)
{
    uint64_t bits;
    double power;

    memcpy(&bits, &x, sizeof bits);
    bits &= 0x7ff0000000000000u;
    memcpy(&power, &bits, sizeof power);
    power = power < 0x1p-126 ? 0x1p-126 : power > 0x1p127 ? 0x1p127 : power;
    return power * 0x1p-23;
}

/* An infinity counts as 2^128, the power of 2 after the largest float. */
static double without_infinity(double x)
{
    return x > 0x1p128 ? 0x1p128 : x < -0x1p128 ? -0x1p128 : x;
}

static void compare(int isa, function_name function, const float *x, const float *got, const double *expected)
{
    double error[CHUNK], worst = 0;
    uint64_t wrong = 0;

    for (int i = 0; i < CHUNK; i++) {
        const double e = without_infinity(expected[i]), g = without_infinity((double)got[i]);
        wrong += isnan(got[i]) != isnan(expected[i]);
        error[i] = isnan(expected[i]) ? 0 : fabs(g - e) / last_place(e);
    }
    for (int i = 0; i < CHUNK; i++)
        worst = error[i] > worst ? error[i] : worst;
    tried[isa].wrong[function] += wrong;
    if (worst <= tried[isa].worst[function])
        return;
    tried[isa].worst[function] = worst;
    for (int i = 0; i < CHUNK; i++)
        if (error[i] == worst)
            tried[isa].at[function] = x[i];
}

static void try_chunk(uint32_t first, int isas)
{
    static float x[CHUNK], got[CHUNK];
    static double expected[CHUNK];

    for (uint32_t i = 0; i < CHUNK; i++) {
        const uint32_t bits = first + i;
        memcpy(&x[i], &bits, sizeof bits);
    }
    for (function_name function = EXP; function < FUNCTIONS; function++) {
        for (int i = 0; i < CHUNK; i++)
            expected[i] = reference_of(function, (double)x[i]);
        for (int isa = 0; isa < isas; isa++) {
            const bd_kernels_f32 *k = tried[isa].kernels;
            void (*const map[FUNCTIONS])(float *, const float *, bd_size) = {k->exp, k->log, k->tanh, k->sigmoid};
            map[function](got, x, CHUNK);
            compare(isa, function, x, got, expected);
        }
    }
}

static int find_isas(void)
{
    const char *forced = getenv("BADAK_ISA");
    int count = 0;

    for (const char *const *name = bd_isa_names(); *name && count < MAX_ISAS; name++)
        if ((!forced || !*forced || !strcmp(*name, forced)) && bd_choose_isa(*name)) {
            tried[count].isa = *name;
            tried[count++].kernels = bd_kernels(BD_F32);
        }
    return count;
}

int main(void)
{
    const int isas = find_isas();
    int passed = 0, failed = 0;

    for (uint64_t first = 0; first < (uint64_t)1 << 32; first += CHUNK) {
        try_chunk((uint32_t)first, isas);
        if (first % ((uint64_t)1 << 28) == 0)
            fprintf(stderr, "%2d/16\n", (int)(first >> 28));
    }
    for (int isa = 0; isa < isas; isa++)
        for (function_name function = EXP; function < FUNCTIONS; function++) {
            const double worst = tried[isa].worst[function];
            const bool good = worst <= limit[function] && tried[isa].wrong[function] == 0;
            printf("%-8s %-8s at most %.4f ULP, at %a; %llu NaN misplaced%s\n", text[function], tried[isa].isa, worst,
                   (double)tried[isa].at[function], (unsigned long long)tried[isa].wrong[function],
                   good ? "" : "  FAILED");
            passed += good;
            failed += !good;
        }
    printf("%d passed, %d failed\n", passed, failed);
    return failed || !passed;
}
