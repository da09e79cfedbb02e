/* Instruction sets: which one is chosen, and that all of them compute the same. One body for all float types. */
#ifdef real

/* Two by four windows of 18 channels by as many filters: the sums have places of their own, except with AVX-512. */
static void REAL(run_winograd)(real *out, uint64_t *state)
{
    enum { C = 18, F = 18, H = 4, W = 6 };
    const REAL(bd_kernels) *k = bd_kernels(DTYPE(real));
    const bd_window s = {
        .c = C, .h = H, .w = W, .fh = 3, .fw = 3, .stride = 1, .dilation = 1, .oh = H - 2, .ow = W - 2};
    real x[H * W * C], w[9 * C * F], first[9 * C * F], u[16 * BD_WINOGRAD_PLANE(C * F)];
    real *work = malloc(16 * BD_WINOGRAD_SQUARES * (C + F) * sizeof *work);

    for (int i = 0; i < H * W * C; i++)
        x[i] = (real)random_between(state, -1, 1);
    for (int i = 0; i < 9 * C * F; i++)
        w[i] = (real)random_between(state, -1, 1);
    k->transpose(first, 9 * C, w, F, 9 * C, F); /* (f, 9, c) */
    for (int i = 0; i < F; i++) {
        real filter[9 * C];
        k->transpose(filter, 9, first + i * 9 * C, C, 9, C);
        memcpy(first + i * 9 * C, filter, sizeof filter);
    }
    k->winograd_filters(u, first, C, F, 9, 9 * C, false);
    k->convolve_winograd(out, x, u, &s, F, w, true, NULL, false, NULL, work);
    memset(u, 0, sizeof u);
    k->winograd_products(u, x, out, &s, F, work);
    k->winograd_filter_gradient(w, u, C * F);
    memcpy(out + (H - 2) * (W - 2) * F, w, 400 * sizeof *w);
    free(work);
}

/* Runs all kernels on the same numbers; the results go to `out`, RESULTS of them. */
static void REAL(run_all)(real *out)
{
    enum { ROWS = 14, COLUMNS = 45, DEPTH = 40, BLOCK = ROWS * COLUMNS };
    const REAL(bd_kernels) *k = bd_kernels(DTYPE(real));
    uint64_t state = 9;
    real a[ROWS * DEPTH], b[DEPTH * COLUMNS], x[BLOCK], y[BLOCK], m[BLOCK], v[BLOCK];

    for (int i = 0; i < ROWS * DEPTH; i++)
        a[i] = (real)random_between(&state, -1, 1);
    for (int i = 0; i < DEPTH * COLUMNS; i++)
        b[i] = (real)random_between(&state, -1, 1);
    for (int i = 0; i < BLOCK; i++) {
        x[i] = (real)random_between(&state, -4, 4);
        y[i] = (real)random_between(&state, 0, 1);
        m[i] = v[i] = y[i];
    }
    k->gemm_nn(out, a, b, ROWS, COLUMNS, DEPTH, b, true, NULL);
    k->gemm_nt(out += BLOCK, a, b, ROWS, COLUMNS, DEPTH, x, NULL);
    k->gemm_tn(out += BLOCK, a, b, ROWS, COLUMNS, DEPTH, NULL);
    k->exp(out += BLOCK, x, BLOCK);
    k->log(out += BLOCK, y, BLOCK);
    k->sigmoid(out += BLOCK, x, BLOCK);
    k->tanh(out += BLOCK, x, BLOCK);
    k->sigmoid_backward(out += BLOCK, x, y, BLOCK);
    k->tanh_backward(out += BLOCK, x, y, BLOCK);
    k->softmax_rows(out += BLOCK, NULL, NULL, x, ROWS, COLUMNS);
    memcpy(out += BLOCK, x, sizeof x);
    k->adam(out, y, m, v, BLOCK, (real)0.1L, (real)0.1L, (real)0.01L, (real)1e-7L);
    memset(out += BLOCK, 0, BLOCK * sizeof *out);
    k->sum_rows(out, x, ROWS, COLUMNS);
    memset(out += BLOCK, 0, BLOCK * sizeof *out);
    if (sizeof(real) == sizeof(float))
        REAL(run_winograd)(out, &state);
    _Static_assert(RESULTS == 13 * BLOCK, "one block of results for each call above");
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

/* One number made of the bytes of all results (FNV-1a), which any other bit changes. */
__attribute__((unused)) static uint64_t REAL(bits_of_kernels)(void)
{
    real *out = malloc(RESULTS * sizeof *out);

    REAL(run_all)(out);
    const uint64_t bits = bits_of(out, RESULTS * sizeof *out);
    free(out);
    return bits;
}

#else

#include <stdlib.h>

#include "nets.h"
#include "support.h"
#include "test.h"

enum { RESULTS = 13 * 14 * 45 };

static uint64_t bits_of(const void *memory, size_t bytes)
{
    const unsigned char *byte = memory;
    uint64_t bits = 0xcbf29ce484222325u;

    for (size_t i = 0; i < bytes; i++)
        bits = (bits ^ byte[i]) * 0x100000001b3u;
    return bits;
}

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

/* A net with images, after three steps of SGD (whose rate needs nothing of the C library, unlike Adam's). */
static uint64_t bits_of_training(bd_dtype dtype)
{
    static const bd_node layers[] = {
        {.layer = {&bd_convolution, {{.i = 9}, {.i = 3}, {.i = 3}, {.i = 1}, {.i = 1}, {.i = 1}, {.f = BD_INIT_HE}}}},
        LAYER(relu),
        {.layer = {&bd_pooling, {{.i = 2}, {.i = 2}, {.i = 2}}}},
        {.layer = {&bd_convolution, {{.i = 18}, {.i = 3}, {.i = 3}, {.i = 1}, {.i = 1}, {.i = 1}, {.f = BD_INIT_HE}}}},
        LAYER(relu),
        {.layer = {&bd_pooling, {{.i = 2}, {.i = 2}, {.i = 2}}}},
        AFFINE(13),
        LAYER(tanh),
        AFFINE(10),
    };
    static const architecture images = {
        .name = "images", .layers = layers, .count = COUNT(layers), .input = {.ndim = 4, .dim = {1, 3, 12, 12}}};
    static const bd_optimizer sgd = {.kind = &bd_sgd, .hyper = {{.f = 0.1}}};
    problem p = make_problem(&images, dtype, LABELS, 7);
    bd_detail detail;
    double loss;

    bd_net_bind(p.net, &bd_sgd);
    for (int i = 0; i < 3; i++)
        CHECK_STATUS(bd_net_train(p.net, &loss, NULL, p.x, &p.target, NULL, 7, 7, &sgd, &detail), BD_OK);
    const uint64_t bits = bits_of(bd_net_params(p.net), param_bytes(p.net));
    free_problem(&p);
    return bits;
}

/* What these numbers are says nothing; that they are the same says that the processors, not only the instruction sets
 * of one, give the same bits. Whoever changes what kernels compute, on purpose, writes the new ones here. */
static void the_vector_kernels_give_the_same_bits_on_every_processor(void)
{
    for (const char *const *name = bd_isa_names(); *name; name++) {
        if (!strcmp(*name, "generic"))
            continue;
        bd_choose_isa(*name);
        const uint64_t kernels_f32 = bits_of_kernels_f32(), kernels_f64 = bits_of_kernels_f64();
        const uint64_t training_f32 = bits_of_training(BD_F32), training_f64 = bits_of_training(BD_F64);
        CHECK_SAY(kernels_f32 == 0x7f0da02023cb8c81u, "%s: 0x%016llx", *name, (unsigned long long)kernels_f32);
        CHECK_SAY(kernels_f64 == 0x74f16b9828f21141u, "%s: 0x%016llx", *name, (unsigned long long)kernels_f64);
        CHECK_SAY(training_f32 == 0x0f7ac70be3740416u, "%s: 0x%016llx", *name, (unsigned long long)training_f32);
        CHECK_SAY(training_f64 == 0x901b6bb3d6fcd684u, "%s: 0x%016llx", *name, (unsigned long long)training_f64);
    }
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
            {"the vector kernels give the same bits on every processor",
             the_vector_kernels_give_the_same_bits_on_every_processor},
            {"the generic kernels agree within rounding", the_generic_kernels_agree_within_rounding},
            {"the chosen kernels are those named", the_chosen_kernels_are_those_named},
            {"an unknown name changes nothing", an_unknown_name_changes_nothing},
            {0},
        },
};

#endif
