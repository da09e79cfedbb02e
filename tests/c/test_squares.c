/* A pool of squares of 2 by 2 that a convolution does: what it keeps is what the pool by itself has. */
#ifdef real

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
    real *out = place_array(2, small, 0), *winner = place_array(3, small, 0), *plain = malloc(small);
    real *dout = malloc(small), *dout_first = malloc(small), *winner_first = malloc(small);
    real *sum = place_array(4, (size_t)c * sizeof(real), 0), *rows = malloc((size_t)c * sizeof(real));

    for (bd_size i = 0; i < pixels * c; i++) {
        const uint64_t draw = random_bits(state) % 40;
        x[i] = draw == 0 ? (real)NAN : draw < 12 ? (real)draw - 6 : (real)random_between(state, -1, 1);
    }
    for (bd_size i = 0; i < squares * c; i++)
        dout[i] = random_bits(state) % 8 ? (real)random_between(state, -1, 1) : 0;
    k->pool(plain, x, &pool, false, relu);
    k->pool_winners(out, winner, x, &pool, relu);
    CHECK_BYTES(out, plain, sizeof(real) < 16 ? small : 0); /* a long double has bytes without a meaning */
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
    void *parts[] = {back, plain, dout, dout_first, winner_first, rows};
    for (int j = 0; j < 6; j++)
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

/* Winograd's method, whose squares they are: the same whether it pools them or the pool does. */
__attribute__((unused)) static void REAL(check_pooled_at_once)(bd_size c, bd_size f, bool relu, uint64_t *state)
{
    enum { H = 8, W = 18 };
    const REAL(bd_kernels) *k = bd_kernels(DTYPE(real));
    const bd_window s = {
        .c = c, .h = H + 2, .w = W + 2, .fh = 3, .fw = 3, .stride = 1, .dilation = 1, .oh = H, .ow = W};
    const bd_window pool = {
        .c = f, .h = H, .w = W, .fh = 2, .fw = 2, .stride = 2, .dilation = 1, .oh = H / 2, .ow = W / 2};
    const size_t small = (size_t)(H * W / 4 * f) * sizeof(real);
    const bd_size work_size = 16 * BD_WINOGRAD_SQUARES * (c + f);
    real *x = malloc((size_t)(s.h * s.w * c) * sizeof(real)), *bias = malloc((size_t)f * sizeof(real));
    real *w = malloc((size_t)(9 * c * f) * sizeof(real)), *all = malloc((size_t)(H * W * f) * sizeof(real));
    real *u = malloc((size_t)(16 * BD_WINOGRAD_PLANE(c * f)) * sizeof(real));
    real *work = place_array(0, (size_t)work_size * sizeof(real), 0);
    real *out = place_array(1, small, 0), *winner = place_array(2, small, 0), *expected = malloc(small),
         *expected_winner = malloc(small);

    for (bd_size i = 0; i < s.h * s.w * c; i++)
        x[i] = (real)random_between(state, -1, 1);
    for (bd_size i = 0; i < 9 * c * f; i++)
        w[i] = (real)random_between(state, -1, 1);
    for (bd_size i = 0; i < f; i++)
        bias[i] = i == 3 ? (real)NAN : (real)random_between(state, -1, 1);
    k->winograd_filters(u, w, c, f, 9, 9 * c, false);
    k->convolve_winograd(all, x, u, &s, f, bias, false, NULL, false, NULL, work);
    k->pool_winners(expected, expected_winner, all, &pool, relu);
    for (int with_winner = 0; with_winner < 2; with_winner++) {
        memset(out, 0, small);
        k->convolve_winograd(out, x, u, &s, f, bias, relu, NULL, true, with_winner ? winner : NULL, work);
        CHECK_BYTES(out, expected, small);
    }
    for (bd_size i = 0; i < H * W / 4 * f; i++)
        CHECK(winner[i] == expected_winner[i]);
    for (int i = 0; i < 3; i++)
        CHECK_SAY(place_intact(i), "array %d was left", i);
    void *parts[] = {x, bias, w, all, u, expected, expected_winner};
    for (int j = 0; j < 7; j++)
        free(parts[j]);
}

#else

#include <stdlib.h>

#include "support.h"
#include "test.h"

#define BD_BODY "../../tests/c/test_squares.c"
#include "../../csrc/core/each_real.h"

FOR_EACH_TYPE(what_is_kept_of_squares_is_what_the_pool_has)

static void squares_may_be_pooled_as_they_are_made(void)
{
    uint64_t state = 4;

    for (bd_size c = 16; c <= 18; c++)
        for (bd_size f = 16; f <= 50; f += f < 18 ? 1 : 16)
            for (int relu = 0; relu < 2; relu++)
                check_pooled_at_once_f32(c, f, relu, &state);
}

const test_group square_tests = {
    .name = "squares",
    .each_isa = true,
    .cases = (const test_case[]){{"what is kept of squares is what the pool has",
                                  what_is_kept_of_squares_is_what_the_pool_has},
                                 {"squares may be pooled as they are made", squares_may_be_pooled_as_they_are_made},
                                 {0}},
};

#endif
