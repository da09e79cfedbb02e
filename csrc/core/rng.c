/* Random numbers: Philox4x32-10, a keyed bijection of a counter (Salmon, Moraes, Dror, Shaw: "Parallel random
 * numbers: as easy as 1, 2, 3", SC 2011). Only integer arithmetic, +, *, / and sqrt of doubles and our own log
 * are used, so a seed gives the same numbers on every machine. */
#include <math.h>

#include "badak.h"

enum { ROUNDS = 10 };

static void philox(uint32_t out[4], uint64_t counter, uint64_t key)
{
    uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32), c2 = 0, c3 = 0;
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);

    for (int round = 0; round < ROUNDS; round++) {
        const uint64_t a = (uint64_t)c0 * 0xD2511F53u, b = (uint64_t)c2 * 0xCD9E8D57u;
        const uint32_t n0 = (uint32_t)(b >> 32) ^ c1 ^ k0, n2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c0 = n0;
        c1 = (uint32_t)b;
        c2 = n2;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* Each position gives 64 bits: even positions the first half of a Philox block, odd ones the second. */
uint64_t bd_rng_next(bd_rng *rng)
{
    uint32_t block[4];

    philox(block, rng->position / 2, rng->seed);
    const int half = (int)(rng->position++ & 1) * 2;
    return (uint64_t)block[half + 1] << 32 | block[half];
}

double bd_rng_uniform(bd_rng *rng)
{
    return (double)(bd_rng_next(rng) >> 11) * 0x1p-53;
}

/* log x for 0 < x < 1, normal, to about 1 ULP; libm's may differ between systems, this does not. */
static double portable_log(double x)
{
    int exponent;
    double m = frexp(x, &exponent); /* x = m 2^exponent, m in [.5, 1) */
    if (m < 0.70710678118654752) {
        m *= 2;
        exponent--;
    }
    const double s = (m - 1) / (m + 1), z = s * s;
    double series = 0; /* log m = 2 (s + s^3/3 + s^5/5 + ...), |s| < .172 */
    for (int k = 23; k >= 1; k -= 2)
        series = series * z + 1.0 / k;
    return exponent * 0.69314718055994531 + 2 * s * series;
}

/* Marsaglia's polar method; the second normal of the pair is dropped, so that the state stays two numbers. */
double bd_rng_normal(bd_rng *rng)
{
    for (;;) {
        const double u = 2 * bd_rng_uniform(rng) - 1, v = 2 * bd_rng_uniform(rng) - 1;
        const double s = u * u + v * v;
        if (s > 0 && s < 1)
            return u * sqrt(-2 * portable_log(s) / s);
    }
}

/* 0 .. bound-1 without bias: draws that would favour small numbers are thrown away. */
static uint64_t below(bd_rng *rng, uint64_t bound)
{
    const uint64_t unfair = (uint64_t)-bound % bound; /* 2^64 mod bound */
    uint64_t draw;

    do
        draw = bd_rng_next(rng);
    while (draw < unfair);
    return draw % bound;
}

void bd_rng_shuffle(bd_rng *rng, int64_t *index, bd_size n)
{
    for (bd_size i = n - 1; i > 0; i--) {
        const bd_size j = (bd_size)below(rng, (uint64_t)i + 1);
        const int64_t other = index[j];
        index[j] = index[i];
        index[i] = other;
    }
}
