/* The kernels of optimisers: their formulas bit for bit, and no denormal state. One body for all float types. */
#ifdef real

static real REAL(flushed)(real x)
{
    return x < (real)dtype_normal(DTYPE(real)) && x > -(real)dtype_normal(DTYPE(real)) ? 0 : x;
}

static real REAL(root)(real x)
{
    return sizeof(real) == sizeof(float)  ? (real)sqrtf((float)x)
         : sizeof(real) == sizeof(double) ? (real)sqrt((double)x)
                                          : (real)sqrtl((long double)x);
}

static void REAL(check_sgd)(void)
{
    const REAL(bd_kernels) *k = bd_kernels(DTYPE(real));
    const real lr = (real)0.1L;
    uint64_t state = 2;

    for (bd_size n = 0; n <= 70; n++) {
        real *p = place_array(0, (size_t)n * sizeof(real), (size_t)n % 2 * sizeof(real)), expected[70];
        real *g = place_array(1, (size_t)n * sizeof(real), 0);
        for (bd_size i = 0; i < n; i++) {
            p[i] = (real)random_between(&state, -1, 1);
            g[i] = i % 9 == 8 ? (real)NAN : (real)random_between(&state, -1, 1);
            const real step = lr * g[i];
            expected[i] = p[i] - step;
        }
        k->sgd(p, g, n, lr);
        CHECK(place_intact(0) && place_intact(1));
        for (bd_size i = 0; i < n; i++)
            CHECK_SAY(same_number(p[i], expected[i]), "%.17Lg", (long double)p[i]);
    }
}

static void REAL(check_adam)(void)
{
    const REAL(bd_kernels) *k = bd_kernels(DTYPE(real));
    const real lr = (real)0.01L, rate1 = (real)0.1L, rate2 = (real)0.001L, eps = (real)1e-7L;
    uint64_t state = 3;

    for (bd_size n = 0; n <= 70; n++) {
        real *array[4], new_p[70], new_m[70], new_v[70];
        for (int a = 0; a < 4; a++)
            array[a] = place_array(a, (size_t)n * sizeof(real), (size_t)(n + a) % 2 * sizeof(real));
        real *p = array[0], *g = array[1], *m = array[2], *v = array[3];
        for (bd_size i = 0; i < n; i++) {
            p[i] = (real)random_between(&state, -1, 1);
            g[i] = i % 11 == 10 ? 0 : (real)ldexp(random_between(&state, -1, 1), (int)random_between(&state, -90, 5));
            m[i] = i % 5 == 4 ? 0 : (real)random_between(&state, -1, 1);
            v[i] = i % 7 == 6 ? 0 : (real)random_between(&state, 0, 1);
            const real more_m = rate1 * (g[i] - m[i]), square = g[i] * g[i], more_v = rate2 * (square - v[i]);
            new_m[i] = REAL(flushed)(m[i] + more_m);
            new_v[i] = REAL(flushed)(v[i] + more_v);
            const real step = lr * new_m[i] / (REAL(root)(new_v[i]) + eps);
            new_p[i] = p[i] - step;
        }
        k->adam(p, g, m, v, n, lr, rate1, rate2, eps);
        for (bd_size i = 0; i < n; i++)
            CHECK_SAY(same_number(p[i], new_p[i]) && same_number(m[i], new_m[i]) && same_number(v[i], new_v[i]),
                      "element %lld of %lld: %.17Lg, expected %.17Lg", (long long)i, (long long)n, (long double)p[i],
                      (long double)new_p[i]);
        for (int a = 0; a < 4; a++)
            CHECK(place_intact(a));
    }
}

/* State that decays ends at 0; on the way it is never denormal. Parameters stay where they are. */
static void REAL(check_tiny_state)(void)
{
    enum { N = 19 };
    const REAL(bd_kernels) *k = bd_kernels(DTYPE(real));
    const real least = (real)dtype_normal(DTYPE(real));
    real p[N], g[N] = {0}, m[N], v[N];
    int steps = 0;

    for (int i = 0; i < N; i++) {
        p[i] = (real)(i + 1);
        m[i] = (i % 2 ? -(real)1 : (real)1) * least * (real)(1 << i % 8);
        v[i] = least * (real)(1 << i % 8);
    }
    for (bool left = true; left && steps < 1000; steps++) {
        k->adam(p, g, m, v, N, (real)0.01L, (real)0.1L, (real)0.05L, (real)1e-7L);
        left = false;
        for (int i = 0; i < N; i++) {
            CHECK(m[i] == 0 || m[i] >= least || m[i] <= -least);
            CHECK(v[i] == 0 || v[i] >= least);
            left = left || m[i] != 0 || v[i] != 0;
        }
    }
    CHECK_SAY(steps > 10 && steps < 1000, "%d steps", steps);
    for (int i = 0; i < N; i++) {
        CHECK(same_number(p[i], (real)(i + 1)));
        CHECK(same_number(m[i], 0) && same_number(v[i], 0));
    }
}

/* Padding between parameters, all 0, stays 0; a NaN is not flushed away. */
static void REAL(check_zero_and_nan)(void)
{
    const REAL(bd_kernels) *k = bd_kernels(DTYPE(real));
    real p[3] = {0, 1, 1}, g[3] = {0, (real)NAN, (real)INFINITY}, m[3] = {0}, v[3] = {0};

    k->adam(p, g, m, v, 3, (real)0.01L, (real)0.1L, (real)0.001L, (real)1e-7L);
    CHECK(same_number(p[0], 0) && same_number(m[0], 0) && same_number(v[0], 0));
    CHECK(isnan(p[1]) && isnan(m[1]) && isnan(v[1]));
    CHECK(isnan(p[2]) && isinf(m[2]) && isinf(v[2]));
}

#else

#include "support.h"
#include "test.h"

#define BD_BODY "../../tests/c/test_optimizer.c"
#include "../../csrc/core/each_real.h"

FOR_EACH_TYPE(check_sgd)
FOR_EACH_TYPE(check_adam)
FOR_EACH_TYPE(check_tiny_state)
FOR_EACH_TYPE(check_zero_and_nan)

const test_group optimizer_tests = {
    .name = "optimizer",
    .each_isa = true,
    .cases =
        (const test_case[]){
            {"sgd is its formula, bit for bit", check_sgd},
            {"adam is its formula, bit for bit", check_adam},
            {"adam's state is never denormal", check_tiny_state},
            {"adam leaves zeros alone and hides no NaN", check_zero_and_nan},
            {0},
        },
};

#endif
