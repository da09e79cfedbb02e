/* Instruction sets: which one is chosen, and that all of them compute the same. One body for all float types. */
#ifdef real

/* Runs all kernels on the same numbers; the results go to `out`, RESULTS of them. */
static void REAL(run_all)(real *out)
{
    enum { M = 14, N = 45, K = 40, COUNT = M * N };
    const REAL(bd_kernels) *k = bd_kernels(DTYPE(real));
    uint64_t state = 9;
    real a[M * K], b[K * N], x[COUNT], y[COUNT], m[COUNT], v[COUNT];

    for (int i = 0; i < M * K; i++)
        a[i] = (real)random_between(&state, -1, 1);
    for (int i = 0; i < K * N; i++)
        b[i] = (real)random_between(&state, -1, 1);
    for (int i = 0; i < COUNT; i++) {
        x[i] = (real)random_between(&state, -4, 4);
        y[i] = (real)random_between(&state, 0, 1);
        m[i] = v[i] = y[i];
    }
    k->gemm_nn(out, a, b, M, N, K, b, true, NULL);
    k->gemm_nt(out += COUNT, a, b, M, N, K, x, NULL);
    k->gemm_tn(out += COUNT, a, b, M, N, K, NULL);
    k->exp(out += COUNT, x, COUNT);
    k->log(out += COUNT, y, COUNT);
    k->sigmoid(out += COUNT, x, COUNT);
    k->tanh(out += COUNT, x, COUNT);
    k->sigmoid_backward(out += COUNT, x, y, COUNT);
    k->tanh_backward(out += COUNT, x, y, COUNT);
    k->softmax_rows(out += COUNT, x, M, N);
    memcpy(out += COUNT, x, sizeof x);
    k->adam(out, y, m, v, COUNT, (real)0.1L, (real)0.1L, (real)0.01L, (real)1e-7L);
    memset(out += COUNT, 0, COUNT * sizeof *out);
    k->sum_rows(out, x, M, N);
    _Static_assert(RESULTS == 12 * COUNT, "one block of results for each call above");
}

__attribute__((unused)) static void REAL(check_agreement)(const char *one, const char *other, double bound)
{
    real *a = malloc(RESULTS * sizeof *a), *b = malloc(RESULTS * sizeof *b);

    bd_choose_isa(one);
    REAL(run_all)(a);
    bd_choose_isa(other);
    REAL(run_all)(b);
    for (int i = 0; i < RESULTS; i++)
        if (bound > 0)
            CHECK_NEAR(a[i], b[i], bound * dtype_eps(DTYPE(real)));
        else
            CHECK_SAY(same_number(a[i], b[i]), "block %d: %.17Lg and %.17Lg", i / (14 * 45), (long double)a[i],
                      (long double)b[i]);
    free(a);
    free(b);
}

#else

#include <stdlib.h>

#include "support.h"
#include "test.h"

enum { RESULTS = 12 * 14 * 45 };

#define BD_BODY "../../tests/c/test_isa.c"
#include "../../csrc/core/each_real.h"

static bool can_run(const char *isa)
{
    for (const char *const *name = bd_isa_names(); *name; name++)
        if (!strcmp(*name, isa))
            return true;
    return false;
}

static void the_vector_kernels_agree_to_the_bit(void)
{
    if (!can_run("avx2") || !can_run("avx512"))
        return;
    check_agreement_f32("avx2", "avx512", 0);
    check_agreement_f64("avx2", "avx512", 0);
}

static void the_generic_kernels_agree_within_rounding(void)
{
    const char *best = NULL;

    for (const char *const *name = bd_isa_names(); *name; name++)
        best = *name;
    check_agreement_f32("generic", best, 200);
    check_agreement_f64("generic", best, 200);
}

static void the_chosen_kernels_are_those_named(void)
{
    const char *best = NULL;

    CHECK(!strcmp(bd_isa_names()[0], "generic"));
    for (const char *const *name = bd_isa_names(); *name; name++) {
        CHECK(bd_choose_isa(*name));
        CHECK(!strcmp(bd_isa(), *name));
        best = *name;
    }
    CHECK(bd_kernels(BD_EXT) == &bd_generic_ext);
    CHECK(bd_choose_isa("generic"));
    CHECK(bd_kernels(BD_F32) == &bd_generic_f32 && bd_kernels(BD_F64) == &bd_generic_f64);
    CHECK(bd_choose_isa(NULL));
    CHECK(!strcmp(bd_isa(), best));
}

static void an_unknown_name_changes_nothing(void)
{
    CHECK(bd_choose_isa("generic"));
    CHECK(!bd_choose_isa("avx1024") && !bd_choose_isa(""));
    CHECK(!strcmp(bd_isa(), "generic"));
}

const test_group isa_tests = {
    .name = "isa",
    .cases =
        (const test_case[]){
            {"the vector kernels agree to the bit", the_vector_kernels_agree_to_the_bit},
            {"the generic kernels agree within rounding", the_generic_kernels_agree_within_rounding},
            {"the chosen kernels are those named", the_chosen_kernels_are_those_named},
            {"an unknown name changes nothing", an_unknown_name_changes_nothing},
            {0},
        },
};

#endif
