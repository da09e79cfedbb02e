/* A pool of squares of 2 by 2 that a convolution does: what it keeps is what the pool by itself has. */
#ifdef real

/* What a convolution keeps of a pool of squares, done plainly: of each the first of the largest, a NaN before all, and
 * which pixel that was, or 4 where a ReLU made it 0. */
static void REAL(pool_plainly)(real *out, real *winner, const real *x, const bd_window *pool, bool relu)
{
    const bd_size c = pool->c, row = pool->w * c;

    for (bd_size i = 0; i < pool->oh * pool->ow * c; i++) {
        const bd_size square = i / c;
        const real *first = x + square / pool->ow * 2 * row + square % pool->ow * 2 * c + i % c;
        const real pixel[] = {first[0], first[c], first[row], first[row + c]};
        int best = 0;
        for (int p = 1; p < 4; p++)
            if (pixel[p] > pixel[best] || (isnan(pixel[p]) && !isnan(pixel[best])))
                best = p;
        const bool stopped = relu && pixel[best] <= 0;
        out[i] = stopped ? 0 : pixel[best];
        winner[i] = stopped ? 4 : (real)best;
    }
}

/* dout as the pool by itself takes it back, its list and its sums. */
static void REAL(check_squares)(bd_size pixels_h, bd_size pixels_w, bd_size c, bool relu, uint64_t *state)
{
    const REAL(bd_kernels) *k = bd_kernels(DTYPE(real));
    const bd_size pixels = pixels_h * pixels_w, squares = pixels / 4;
    const bd_window pool = {.c = c,
                            .h = pixels_h,
                            .w = pixels_w,
                            .fh = 2,
                            .fw = 2,
                            .stride = 2,
                            .dilation = 1,
                            .oh = pixels_h / 2,
                            .ow = pixels_w / 2};
    const bd_window windows = {.c = 1,
                               .h = pixels_h + 2,
                               .w = pixels_w + 2,
                               .fh = 3,
                               .fw = 3,
                               .stride = 1,
                               .dilation = 1,
                               .oh = pixels_h,
                               .ow = pixels_w};
    const size_t large = (size_t)(pixels * c) * sizeof(real), small = (size_t)(squares * c) * sizeof(real);
    real *x = place_array(0, large, 0), *dx = place_array(1, large, 0), *back = malloc(large);
    real *out = place_array(2, small, 0), *winner = place_array(3, small, 0);
    real *plain = malloc(small), *plain_winner = malloc(small);
    real *dout = malloc(small), *dout_first = malloc(small), *winner_first = malloc(small);
    real *sum = place_array(4, (size_t)c * sizeof(real), 0), *rows = malloc((size_t)c * sizeof(real));

    for (bd_size i = 0; i < pixels * c; i++) {
        const uint64_t draw = random_bits(state) % 40;
        x[i] = draw == 0 ? (real)NAN : draw < 12 ? (real)draw - 6 : (real)random_between(state, -1, 1);
    }
    for (bd_size i = 0; i < squares * c; i++)
        dout[i] = random_bits(state) % 8 ? (real)random_between(state, -1, 1) : 0;
    REAL(pool_plainly)(plain, plain_winner, x, &pool, relu);
    k->pool(out, NULL, x, &pool, false, relu);
    CHECK_BYTES(out, plain, sizeof(real) < 16 ? small : 0); /* a long double has bytes without a meaning */
    memset(out, 0, small);
    k->pool(out, winner, x, &pool, false, relu);
    CHECK_BYTES(out, plain, sizeof(real) < 16 ? small : 0);
    for (bd_size i = 0; i < squares * c; i++)
        CHECK_SAY(winner[i] == plain_winner[i], "winner[%lld] of %lld channels", (long long)i, (long long)c);
    k->pool_backward(back, x, dout, &pool, false, relu);
    k->unpool(dx, dout, winner, &pool);
    for (bd_size i = 0; i < pixels * c; i++)
        CHECK_SAY(dx[i] == back[i], "dx[%lld] of %lld channels", (long long)i, (long long)c);

    const size_t room = (size_t)(pixels * c) + BD_NONZERO_SPARE;
    REAL(bd_nonzero) list[2];
    for (int i = 0; i < 2; i++)
        list[i] = (REAL(bd_nonzero)){.value = malloc(room * sizeof(real)),
                                     .filter_value = malloc(room * sizeof(real)),
                                     .filter = malloc(room * sizeof(int32_t)),
                                     .window = malloc(room * sizeof(int32_t)),
                                     .window_count = malloc((size_t)pixels * sizeof(int32_t)),
                                     .filter_count = malloc((size_t)c * sizeof(int32_t))};
    k->list_nonzero(&list[0], back, &windows, c);
    k->sum_rows(rows, back, pixels, c);
    k->transpose(dout_first, squares, dout, c, squares, c);
    k->transpose(winner_first, squares, winner, c, squares, c);
    k->list_winners(&list[1], dout, winner, &windows, c);
    k->list_winners_of_filters(&list[1], sum, dout_first, winner_first, &windows, c);
    bd_size at = 0;
    for (bd_size p = 0; p < pixels; p++) {
        CHECK_INT(list[1].window_count[p], list[0].window_count[p]);
        for (int i = 0; i < list[0].window_count[p]; i++, at++) {
            CHECK_INT(list[1].filter[at], list[0].filter[at]);
            CHECK(list[1].value[at] == list[0].value[at]);
        }
    }
    for (bd_size j = 0; j < c; j++) {
        CHECK_INT(list[1].filter_count[j], list[0].filter_count[j]);
        CHECK(sum[j] == rows[j]);
        for (bd_size i = j * pixels; i < j * pixels + list[0].filter_count[j]; i++) {
            CHECK_INT(list[1].window[i], list[0].window[i]);
            CHECK(list[1].filter_value[i] == list[0].filter_value[i]);
        }
    }
    for (int i = 0; i < 5; i++)
        CHECK_SAY(place_intact(i), "array %d was left", i);
    for (int i = 0; i < 2; i++) {
        void *parts[] = {list[i].value,  list[i].filter_value, list[i].filter,
                         list[i].window, list[i].window_count, list[i].filter_count};
        for (int j = 0; j < 6; j++)
            free(parts[j]);
    }
    void *parts[] = {back, plain, plain_winner, dout, dout_first, winner_first, rows};
    for (int j = 0; j < 7; j++)
        free(parts[j]);
}

static void REAL(what_is_kept_of_squares_is_what_the_pool_has)(void)
{
    uint64_t state = 3;

    for (bd_size h = 2; h <= 6; h += 2)
        for (bd_size w = 2; w <= 40; w += w < 8 ? 2 : 16)
            for (bd_size c = 1; c <= 34; c += c < 4 ? 1 : 5)
                for (int relu = 0; relu < 2; relu++)
                    REAL(check_squares)(h, w, c, relu, &state);
}

typedef struct {
    bd_window s;
    bd_size f;
    bool winograd, relu, bias, blank; /* blank: x has rows and columns of zeros */
} REAL(pooled_case);

/* A convolution gives the same whether it pools its results as it makes them or somebody does later. */
static void REAL(check_pooled_at_once)(const REAL(pooled_case) * t, uint64_t *state)
{
    const REAL(bd_kernels) *k = bd_kernels(DTYPE(real));
    const bd_window *s = &t->s;
    const bd_size c = s->c, f = t->f, pixels = s->oh * s->ow, taps = s->fh * s->fw * c;
    const bd_window pool = {
        .c = f, .h = s->oh, .w = s->ow, .fh = 2, .fw = 2, .stride = 2, .dilation = 1, .oh = s->oh / 2, .ow = s->ow / 2};
    const size_t small = (size_t)(pixels / 4 * f) * sizeof(real);
    const bd_size work_size = t->winograd ? 16 * BD_WINOGRAD_SQUARES * (c + f) : 0;
    real *x = place_array(3, (size_t)(s->h * s->w * c) * sizeof(real), 0);
    real *w = place_array(4, (size_t)(taps * f) * sizeof(real), 0), *bias = malloc((size_t)f * sizeof(real));
    real *all = malloc((size_t)(pixels * f) * sizeof(real));
    real *u = malloc((size_t)(16 * BD_WINOGRAD_PLANE(c * f)) * sizeof(real));
    real *work = place_array(0, (size_t)work_size * sizeof(real), 0);
    real *out = place_array(1, small, 0), *winner = place_array(2, small, 0), *expected = malloc(small),
         *expected_winner = malloc(small);

    for (bd_size i = 0; i < s->h * s->w * c; i++) {
        const bool zero = t->blank && (i / (s->w * c) % 5 < 3 || i / c % s->w % 9 < 6);
        x[i] = zero ? 0 : (real)random_between(state, -1, 1);
    }
    for (bd_size i = 0; i < taps * f; i++)
        w[i] = (real)random_between(state, -1, 1);
    for (bd_size i = 0; i < f; i++)
        bias[i] = i == 3 ? (real)NAN : (real)random_between(state, -1, 1);
    if (t->winograd)
        k->winograd_filters(u, w, c, f, 9, 9 * c, false);
    for (int pooled = 0; pooled < 3; pooled++) { /* not, without winners, with them */
        real *to = pooled ? out : all, *won = pooled == 2 ? winner : NULL;
        memset(out, 0, small);
        if (t->winograd)
            k->convolve_winograd(to, x, u, s, f, t->bias ? bias : NULL, pooled && t->relu, NULL, pooled, won, work);
        else
            k->convolve(to, x, w, s, f, t->bias ? bias : NULL, pooled && t->relu, NULL, pooled, won);
        if (!pooled)
            REAL(pool_plainly)(expected, expected_winner, all, &pool, t->relu);
        /* where blank rows are skipped, squares skip others than single rows of windows: a zero may change its sign */
        const real signless = c < 4 && t->blank ? 0 : -(real)0;
        for (bd_size i = 0; pooled && i < pixels / 4 * f; i++) {
            CHECK_SAY(same_number(out[i] + signless, expected[i] + signless),
                      "out[%lld]: %Lg, expected %Lg (%lld channels, %lld filters)", (long long)i, (long double)out[i],
                      (long double)expected[i], (long long)c, (long long)f);
            CHECK(!won || winner[i] == expected_winner[i]);
        }
    }
    for (int i = 0; i < 5; i++)
        CHECK_SAY(place_intact(i), "array %d was left", i);
    void *parts[] = {bias, all, u, expected, expected_winner};
    for (int j = 0; j < 5; j++)
        free(parts[j]);
}

static void REAL(convolutions_pool_as_they_go)(void)
{
    const bd_size sizes[] = {2, 4, 6, 10, 24, 26}, filters[] = {1, 3, 4, 7, 8, 11, 16, 17, 30, 33, 50};
    uint64_t state = 4;

    for (int i = 0; i < 6 * 11; i++)
        for (bd_size c = 1; c <= 5; c += 2)
            for (int way = 0; way < 12; way++) {
                const bd_size side = (bd_size[]){1, 2, 3, 5}[way % 4], stride = way / 4 == 1 ? 2 : 1;
                const bd_size dilation = way / 4 == 2 ? 2 : 1, reach = dilation * (side - 1) + 1;
                const bd_size oh = sizes[(i + way) % 4], ow = sizes[i % 6];
                REAL(pooled_case)
                t = {.s = {.c = c,
                           .h = (oh - 1) * stride + reach,
                           .w = (ow - 1) * stride + reach,
                           .fh = side,
                           .fw = side,
                           .stride = stride,
                           .dilation = dilation,
                           .oh = oh,
                           .ow = ow},
                     .f = filters[i / 6],
                     .relu = way % 3 > 0,
                     .bias = way % 5 > 0,
                     .blank = (i + way) % 2 == 0};
                REAL(check_pooled_at_once)(&t, &state);
            }
}

#else

#include <math.h>
#include <stdlib.h>

#include "support.h"
#include "test.h"

#define BD_BODY "../../tests/c/test_squares.c"
#include "../../csrc/core/each_real.h"

FOR_EACH_TYPE(what_is_kept_of_squares_is_what_the_pool_has)
FOR_EACH_TYPE(convolutions_pool_as_they_go)

static void squares_of_winograd_are_pooled_as_they_are_made(void)
{
    uint64_t state = 4;

    for (bd_size c = 16; c <= 18; c++)
        for (bd_size f = 16; f <= 50; f += f < 18 ? 1 : 16)
            for (int relu = 0; relu < 2; relu++) {
                const pooled_case_f32 t = {
                    .s = {.c = c, .h = 10, .w = 20, .fh = 3, .fw = 3, .stride = 1, .dilation = 1, .oh = 8, .ow = 18},
                    .f = f,
                    .winograd = true,
                    .relu = relu,
                    .bias = true};
                check_pooled_at_once_f32(&t, &state);
            }
}

const test_group square_tests = {
    .name = "squares",
    .each_isa = true,
    .cases =
        (const test_case[]){
            {"what is kept of squares is what the pool has", what_is_kept_of_squares_is_what_the_pool_has},
            {"convolutions pool as they go", convolutions_pool_as_they_go},
            {"squares of Winograd are pooled as they are made", squares_of_winograd_are_pooled_as_they_are_made},
            {0}},
};

#endif
