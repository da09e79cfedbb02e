/* Matrix products: against the exact result, and bit for bit against the chain of multiply-adds that kernels.h
 * promises. One body for all float types. */
#ifdef real

enum { REAL(A), REAL(A_TURNED), REAL(B), REAL(B_TURNED), REAL(BIAS), REAL(MASK), REAL(OUT) }; /* places */

/* The operands of one size, each in its guarded place, and the results that they must give. */
typedef struct {
    bd_size m, n, k;
    real *a, *a_turned, *b, *b_turned, *bias, *mask, *out;
    real *plain, *biased;       /* a b, bias + a b: the promised chains */
    long double *exact, *scale; /* a b, and the same of absolute values */
} REAL(case);

static real REAL(multiply_add)(real a, real b, real c, bool fused)
{
    if (!fused)
        return a * b + c;
    return sizeof(real) == sizeof(float) ? (real)fmaf((float)a, (float)b, (float)c)
                                         : (real)fma((double)a, (double)b, (double)c);
}

static void REAL(compute_expected)(REAL(case) * c)
{
    const bool fused = fuses() && sizeof(real) <= sizeof(double);

    for (bd_size i = 0; i < c->m; i++)
        for (bd_size j = 0; j < c->n; j++) {
            long double exact = 0, scale = 0;
            real plain = 0, biased = c->bias[j];
            for (bd_size p = 0; p < c->k; p++) {
                const real x = c->a[i * c->k + p], y = c->b[p * c->n + j];
                exact += (long double)x * (long double)y;
                scale += fabsl((long double)x * (long double)y);
                plain = REAL(multiply_add)(x, y, plain, fused);
                biased = REAL(multiply_add)(x, y, biased, fused);
            }
            c->exact[i * c->n + j] = exact;
            c->scale[i * c->n + j] = scale;
            c->plain[i * c->n + j] = plain;
            c->biased[i * c->n + j] = biased;
        }
}

static real *REAL(random_array)(int place, bd_size count, size_t tail, uint64_t *state)
{
    real *array = place_array(place, (size_t)count * sizeof(real), tail * sizeof(real));

    for (bd_size i = 0; i < count; i++)
        array[i] = (real)random_between(state, -1, 1);
    return array;
}

static real *REAL(turned)(int place, const real *array, bd_size rows, bd_size columns, size_t tail)
{
    real *result = place_array(place, (size_t)(rows * columns) * sizeof(real), tail * sizeof(real));

    for (bd_size i = 0; i < rows; i++)
        for (bd_size j = 0; j < columns; j++)
            result[j * rows + i] = array[i * columns + j];
    return result;
}

/* A mask with all that a slope can be decided by: signs, zeros of both signs, and numbers that are not finite. */
static void REAL(add_specials)(real *mask, bd_size count)
{
    const real special[] = {0, -(real)0, (real)NAN, (real)INFINITY, -(real)INFINITY};

    for (bd_size i = 0; i < count; i++)
        if (i % 7 < 5 && i % 3 == 0)
            mask[i] = special[i % 7];
}

/* `zeros`: of 4 elements of a, so many are 0, in every way that they can lie together. */
static REAL(case) REAL(make_case)(bd_size m, bd_size n, bd_size k, size_t tail, int zeros)
{
    uint64_t state = (uint64_t)(m + 1000 * n + 1000000 * k);
    REAL(case) c = {.m = m, .n = n, .k = k};
    const size_t count = (size_t)(m * n) + 1;

    c.a = REAL(random_array)(REAL(A), m * k, tail, &state);
    for (bd_size i = 0; i < m * k; i++)
        c.a[i] = (int)random_between(&state, 0, 4) < zeros ? 0 : c.a[i];
    c.b = REAL(random_array)(REAL(B), k * n, tail, &state);
    c.bias = REAL(random_array)(REAL(BIAS), n, tail, &state);
    c.mask = REAL(random_array)(REAL(MASK), m * n, tail, &state);
    REAL(add_specials)(c.mask, m * n);
    for (bd_size j = 2; j < n; j += 5)
        c.bias[j] = -(real)0; /* with k = 0 a ReLU makes 0 of it */
    c.a_turned = REAL(turned)(REAL(A_TURNED), c.a, m, k, tail);
    c.b_turned = REAL(turned)(REAL(B_TURNED), c.b, k, n, tail);
    c.plain = malloc(count * sizeof *c.plain);
    c.biased = malloc(count * sizeof *c.biased);
    c.exact = malloc(count * sizeof *c.exact);
    c.scale = malloc(count * sizeof *c.scale);
    REAL(compute_expected)(&c);
    return c;
}

static void REAL(free_case)(REAL(case) * c)
{
    free(c->plain);
    free(c->biased);
    free(c->exact);
    free(c->scale);
}

static real *REAL(fresh_out)(REAL(case) * c, size_t tail)
{
    return c->out = place_array(REAL(OUT), (size_t)(c->m * c->n) * sizeof(real), tail * sizeof(real));
}

/* What the epilogues make of a result. */
static real REAL(relu_of)(real x)
{
    return x <= 0 ? 0 : x;
}

static void REAL(check_out)(const REAL(case) * c, const char *what, const real *expected, bool relu, const real *mask)
{
    const long double eps = (long double)dtype_eps(DTYPE(real));

    CHECK_SAY(place_intact(REAL(OUT)), "%s of %lld %lld %lld leaves its output", what, (long long)c->m, (long long)c->n,
              (long long)c->k);
    for (bd_size i = 0; i < c->m * c->n; i++) {
        const bool zero = mask && mask[i] <= 0;
        const real promised = zero ? 0 : relu ? REAL(relu_of)(expected[i]) : expected[i];
        if (!same_number(c->out[i], promised)) {
            test_fail(__FILE__, __LINE__, "%s of %lld %lld %lld: element %lld is %.17Lg, expected %.17Lg", what,
                      (long long)c->m, (long long)c->n, (long long)c->k, (long long)i, (long double)c->out[i],
                      (long double)promised);
            return;
        }
        if (expected == c->plain && !relu && !zero)
            CHECK_NEAR(c->out[i], c->exact[i], (long double)(c->k + 2) * eps * c->scale[i]);
    }
}

/* Outputs begin as NaN, so that each element must be written; inputs are surrounded by NaN. */
static void REAL(check_case)(bd_size m, bd_size n, bd_size k, size_t tail, int zeros)
{
    const REAL(bd_kernels) *kernels = bd_kernels(DTYPE(real));
    REAL(case) c = REAL(make_case)(m, n, k, tail, zeros);

    kernels->gemm_nn(REAL(fresh_out)(&c, tail), c.a, c.b, m, n, k, NULL, false, NULL);
    REAL(check_out)(&c, "nn", c.plain, false, NULL);
    kernels->gemm_nn(REAL(fresh_out)(&c, tail), c.a, c.b, m, n, k, NULL, true, NULL);
    REAL(check_out)(&c, "nn, relu", c.plain, true, NULL);
    kernels->gemm_nn(REAL(fresh_out)(&c, tail), c.a, c.b, m, n, k, c.bias, false, NULL);
    REAL(check_out)(&c, "nn, bias", c.biased, false, NULL);
    kernels->gemm_nn(REAL(fresh_out)(&c, tail), c.a, c.b, m, n, k, c.bias, true, NULL);
    REAL(check_out)(&c, "nn, bias, relu", c.biased, true, NULL);
    kernels->gemm_nt(REAL(fresh_out)(&c, tail), c.a, c.b_turned, m, n, k, NULL, NULL);
    REAL(check_out)(&c, "nt", c.plain, false, NULL);
    kernels->gemm_nt(REAL(fresh_out)(&c, tail), c.a, c.b_turned, m, n, k, c.mask, NULL);
    REAL(check_out)(&c, "nt, mask", c.plain, false, c.mask);
    kernels->gemm_tn(REAL(fresh_out)(&c, tail), c.a_turned, c.b, m, n, k, NULL);
    REAL(check_out)(&c, "tn", c.plain, false, NULL);
    kernels->gemm_nn_sparse(REAL(fresh_out)(&c, tail), c.a, c.b, m, n, k, NULL, false, NULL);
    REAL(check_out)(&c, "nn, sparse", c.plain, false, NULL);
    kernels->gemm_nn_sparse(REAL(fresh_out)(&c, tail), c.a, c.b, m, n, k, c.bias, true, NULL);
    REAL(check_out)(&c, "nn, sparse, bias, relu", c.biased, true, NULL);
    kernels->gemm_nt_sparse(REAL(fresh_out)(&c, tail), c.a, c.b_turned, m, n, k, NULL, NULL);
    REAL(check_out)(&c, "nt, sparse", c.plain, false, NULL);
    kernels->gemm_nt_sparse(REAL(fresh_out)(&c, tail), c.a, c.b_turned, m, n, k, c.mask, NULL);
    REAL(check_out)(&c, "nt, sparse, mask", c.plain, false, c.mask);
    kernels->gemm_tn_sparse(REAL(fresh_out)(&c, tail), c.a_turned, c.b, m, n, k, NULL);
    REAL(check_out)(&c, "tn, sparse", c.plain, false, NULL);
    REAL(free_case)(&c);
}

static void REAL(check_small_depths)(void)
{
    static const bd_size depth[] = {0, 1, 2, 5, 17, 33};

    if (sizeof(real) > sizeof(double) && !test_first_isa())
        return; /* the extended kernels are the same for all */
    for (int i = 0; i < SIZES; i++)
        for (int j = 0; j < SIZES; j++)
            for (size_t k = 0; k < sizeof depth / sizeof *depth; k++)
                REAL(check_case)(size[i], size[j], depth[k], (size_t)(i + j) % 2, (int)((size_t)(i + j) + k) % 4);
}

static void REAL(check_large_depths)(void)
{
    static const bd_size depth[] = {64, 100, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1100};
    static const bd_size rows[] = {1, 3, 9, 30}, columns[] = {1, 7, 16, 41};

    if (sizeof(real) > sizeof(double) && !test_first_isa())
        return;
    for (size_t k = 0; k < sizeof depth / sizeof *depth; k++)
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            for (size_t j = 0; j < sizeof columns / sizeof *columns; j++)
                REAL(check_case)(rows[i], columns[j], depth[k], k % 2, (int)k % 4);
    REAL(check_case)(30, 16, 2100, 0, 1);               /* more than a panel of any instruction set is deep */
    REAL(check_case)(70, 130, 300, 1, 2);               /* several panels side by side, of lists too */
    for (bd_size k = 0; k <= 600; k += k < 18 ? 1 : 97) /* a single row that is long */
        for (bd_size n = 50; n <= 350; n += 25)
            REAL(check_case)(1, n, k, (size_t)k % 2, (int)k % 4);
    for (bd_size m = 20; m <= 50; m += 5) /* long rows, and all of the right side stays near, or nearly */
        for (bd_size k = 0; k <= 60; k += 12)
            REAL(check_case)(m, 240 + 7 * m, k, (size_t)k % 2, (int)k % 4);
    REAL(check_case)(60, 5, 4700, 0, 1); /* several blocks: of the depth, of rows, of both */
    REAL(check_case)(1500, 5, 180, 0, 1);
    REAL(check_case)(600, 130, 70, 1, 2); /* more rows than are listed at once */
    REAL(check_case)(280, 3, 2100, 0, 1);
}

/* The first rows of a product, and rows from its middle, are the product of those rows. */
static void REAL(check_rows_alone)(void)
{
    enum { M = 100, N = 37, K = 300 };
    const REAL(bd_kernels) *k = bd_kernels(DTYPE(real));
    REAL(case) c = REAL(make_case)(M, N, K, 0, 0);
    real *all = malloc(M * N * sizeof *all), *few = malloc(M * N * sizeof *few);

    k->gemm_nn(all, c.a, c.b, M, N, K, c.bias, false, NULL);
    for (bd_size m = 1; m <= M; m += m < 26 ? 1 : 37) {
        const bd_size from = (M - m) / 2;
        k->gemm_nn(few, c.a + from * K, c.b, m, N, K, c.bias, false, NULL);
        for (bd_size i = 0; i < m * N; i++)
            CHECK(same_number(few[i], all[from * N + i]));
        k->gemm_nt(few, c.a + from * K, c.b_turned, m, N, K, NULL, NULL);
        for (bd_size i = 0; i < m * N; i++)
            CHECK(same_number(few[i], c.plain[from * N + i]));
    }
    for (bd_size i = 0; i < M; i++) {
        k->gemm_nn(few, c.a + i * K, c.b, 1, N, K, c.bias, false, NULL);
        for (bd_size j = 0; j < N; j++)
            CHECK(same_number(few[j], all[i * N + j]));
    }
    free(all);
    free(few);
    REAL(free_case)(&c);
}

/* A block of a product is that block of the whole, and nothing else is written. */
static void REAL(check_blocks_of)(bd_size m, bd_size n, bd_size k)
{
    const bd_block blocks[] = {{0, m, 0, n},  {0, 1, 0, n},  {7, 20, 0, n}, {0, m, 8, 16}, {0, m, 24, 17},
                               {29, 1, 5, 9}, {3, 13, 1, 1}, {4, 0, 0, n},  {0, m, 9, 0},  {11, 1, 9, 137}};
    const REAL(bd_kernels) *kernels = bd_kernels(DTYPE(real));
    REAL(case) c = REAL(make_case)(m, n, k, 0, 2);
    real *whole = malloc((size_t)(m * n) * sizeof *whole), *out = malloc((size_t)(m * n) * sizeof *out);

    memset(c.a + 11 * k, 0,
           (size_t)k * sizeof *c.a); /* a row whose only product is too small for a number: -0, where that is */
    c.a[11 * k + 5] = -(real)dtype_smallest(DTYPE(real)); /* added to a bias of -0 */
    for (int kind = 0; kind < 7; kind++)
        for (size_t b = 0; b <= sizeof blocks / sizeof *blocks; b++) {
            const bd_block *block = b ? &blocks[b - 1] : NULL;
            real *to = b ? out : whole;
            memset(out, 0xff, (size_t)(m * n) * sizeof *out);
            if (kind == 0)
                kernels->gemm_nn(to, c.a, c.b, m, n, k, c.bias, true, block);
            else if (kind == 1)
                kernels->gemm_nt(to, c.a, c.b_turned, m, n, k, c.mask, block);
            else if (kind == 2)
                kernels->gemm_tn(to, c.a_turned, c.b, m, n, k, block);
            else if (kind == 3)
                kernels->gemm_nn_sparse(to, c.a, c.b, m, n, k, c.bias, true, block);
            else if (kind == 4)
                kernels->gemm_tn_sparse(to, c.a_turned, c.b, m, n, k, block);
            else if (kind == 5)
                kernels->gemm_nt_sparse(to, c.a, c.b_turned, m, n, k, c.mask, block);
            else
                kernels->gemm_nn_sparse(to, c.a, c.b, m, n, k, c.bias, false, block);
            for (bd_size i = 0; b && i < m; i++)
                for (bd_size j = 0; j < n; j++) {
                    const bool inside = i >= block->row && i < block->row + block->rows && j >= block->column &&
                                        j < block->column + block->columns;
                    const real expected = inside ? whole[i * n + j] : (real)NAN;
                    CHECK_SAY(same_number(out[i * n + j], expected), "kind %d, block %d, (%d, %d)", kind, (int)b,
                              (int)i, (int)j);
                }
        }
    free(whole);
    free(out);
    REAL(free_case)(&c);
}

static void REAL(check_blocks)(void)
{
    REAL(check_blocks_of)(30, 150, 70);
    REAL(check_blocks_of)(30, 300, 20); /* long rows, and all of the right side stays near */
}

/* What is not finite stays in its row of a, or its column of b. */
static void REAL(check_not_finite)(void)
{
    enum { M = 15, N = 21, K = 40 };
    const REAL(bd_kernels) *k = bd_kernels(DTYPE(real));
    REAL(case) c = REAL(make_case)(M, N, K, 0, 0);

    c.a[4 * K + 7] = (real)NAN;
    c.b[3 * N + 10] = (real)INFINITY;
    c.bias[20] = (real)NAN;
    k->gemm_nn(REAL(fresh_out)(&c, 0), c.a, c.b, M, N, K, c.bias, true, NULL);
    for (bd_size i = 0; i < M; i++)
        for (bd_size j = 0; j < N; j++) {
            const real got = c.out[i * N + j];
            if (i == 4 || j == 20)
                CHECK(isnan(got)); /* through the ReLU too */
            else if (j == 10)
                CHECK_NEAR(got == 0 || isinf(got), 1, 0);
            else
                CHECK(same_number(got, REAL(relu_of)(c.biased[i * N + j])));
        }
    REAL(free_case)(&c);
}

/* The sum of the rows is one chain of additions for each column. */
static void REAL(check_sum_rows)(void)
{
    const REAL(bd_kernels) *k = bd_kernels(DTYPE(real));

    for (int i = 0; i < SIZES; i++)
        for (int j = 0; j < SIZES; j++) {
            uint64_t state = 1;
            const bd_size m = size[i], n = size[j];
            const size_t tail = (size_t)(i + j) % 2;
            const real *x = REAL(random_array)(REAL(A), m * n, tail, &state);
            real *out = place_array(REAL(OUT), (size_t)n * sizeof(real), tail * sizeof(real));
            k->sum_rows(out, x, m, n);
            CHECK(place_intact(REAL(OUT)));
            for (bd_size column = 0; column < n; column++) {
                real sum = 0;
                for (bd_size row = 0; row < m; row++)
                    sum += x[row * n + column];
                CHECK(same_number(out[column], sum));
            }
        }
}

#else

#include <stdio.h>
#include <stdlib.h>

#include "support.h"
#include "test.h"

static const bd_size size[] = {0, 1, 2, 3, 5, 7, 8, 9, 13, 16, 17, 31, 33, 50, 64, 100};
enum { SIZES = (int)(sizeof size / sizeof *size) };

/* All vector kernels fuse their multiply-adds; the generic ones round twice. */
static bool fuses(void)
{
    return strcmp(bd_isa(), "generic") != 0;
}

#define BD_BODY "../../tests/c/test_gemm.c"
#include "../../csrc/core/each_real.h"

FOR_EACH_TYPE(check_small_depths)
FOR_EACH_TYPE(check_large_depths)
FOR_EACH_TYPE(check_rows_alone)
FOR_EACH_TYPE(check_not_finite)
FOR_EACH_TYPE(check_blocks)
FOR_EACH_TYPE(check_sum_rows)

const test_group gemm_tests = {
    .name = "gemm",
    .each_isa = true,
    .cases =
        (const test_case[]){
            {"products are the promised chains, within k eps of exact", check_small_depths},
            {"products deeper than a panel are the same chains", check_large_depths},
            {"rows do not depend on how many are asked for", check_rows_alone},
            {"NaN and infinity stay in their row and column", check_not_finite},
            {"blocks of a product are those of the whole", check_blocks},
            {"sums of rows are chains of additions", check_sum_rows},
            {0},
        },
};

#endif
