/* A convolution's way back from a dout that is mostly 0, by lists: what the dense kernels give. All numbers are whole
 * and small, so that sums are exact in any order. */
#ifdef real

static void REAL(check_way_back)(bd_size c, bd_size f, bd_size side, uint64_t *state)
{
    enum { H = 6, W = 7, IN_A_LIST = 4 };
    const REAL(bd_kernels) *k = bd_kernels(DTYPE(real));
    const bd_window s = {.c = c,
                         .h = H,
                         .w = W,
                         .fh = side,
                         .fw = side,
                         .stride = 1,
                         .dilation = 1,
                         .oh = H - side + 1,
                         .ow = W - side + 1};
    const bd_size windows = s.oh * s.ow, pixels = s.h * s.w, taps = side * side;
    const size_t room = (size_t)(windows * f) + BD_NONZERO_SPARE;
    real *x = malloc((size_t)(pixels * c) * sizeof(real)), *dout = malloc((size_t)(windows * f) * sizeof(real));
    real *w = malloc((size_t)(taps * c * f) * sizeof(real)), *wt = malloc((size_t)(taps * c * f) * sizeof(real));
    real *dx = place_array(0, (size_t)(pixels * c) * sizeof(real), 0);
    real *dw = place_array(1, (size_t)(taps * c * f) * sizeof(real), 0);
    real *dense_dx = calloc((size_t)(pixels * c), sizeof(real)),
         *dense_dw = calloc((size_t)(taps * c * f), sizeof(real));
    REAL(bd_nonzero)
    list = {.value = malloc(room * sizeof(real)),
            .filter_value = malloc(room * sizeof(real)),
            .filter = malloc(room * sizeof(int32_t)),
            .window = malloc(room * sizeof(int32_t)),
            .window_count = malloc((size_t)windows * sizeof(int32_t)),
            .filter_count = malloc((size_t)f * sizeof(int32_t))};

    for (bd_size i = 0; i < pixels * c; i++)
        x[i] = (real)(random_bits(state) % 15) - 7;
    for (bd_size i = 0; i < windows * f; i++)
        dout[i] = random_bits(state) % IN_A_LIST ? 0 : (real)(random_bits(state) % 15) - 7;
    for (bd_size i = 0; i < f; i++)
        for (bd_size t = 0; t < taps; t++)
            for (bd_size j = 0; j < c; j++)
                wt[(t * f + i) * c + j] = w[(i * taps + t) * c + j] = (real)(random_bits(state) % 15) - 7;
    memset(dx, 0, (size_t)(pixels * c) * sizeof(real));
    memset(dw, 0, (size_t)(taps * c * f) * sizeof(real));
    k->list_nonzero(&list, dout, &s, f);
    k->convolve_back_sparse(dx, &list, w, &s);
    k->convolve_filter_sparse(dw, x, &list, &s, f);
    k->convolve_back(dense_dx, dout, wt, &s, f);
    k->convolve_filter(dense_dw, x, dout, &s, f);
    for (bd_size i = 0; i < pixels * c; i++)
        CHECK_SAY(dx[i] == dense_dx[i], "dx[%lld] of %lld channels", (long long)i, (long long)c);
    for (bd_size i = 0; i < taps * c; i++)
        for (bd_size j = 0; j < f; j++)
            CHECK_SAY(dw[j * taps * c + i] == dense_dw[i * f + j], "dw[%lld] of %lld channels", (long long)i,
                      (long long)c);
    for (int i = 0; i < 2; i++)
        CHECK_SAY(place_intact(i), "array %d was left", i);
    void *parts[] = {x,
                     dout,
                     w,
                     wt,
                     dense_dx,
                     dense_dw,
                     list.value,
                     list.filter_value,
                     list.filter,
                     list.window,
                     list.window_count,
                     list.filter_count};
    for (int i = 0; i < 12; i++)
        free(parts[i]);
}

/* Rows of windows of every number of vectors there is a tile for, and of more. */
static void REAL(lists_give_what_dense_kernels_do)(void)
{
    uint64_t state = 5;

    for (bd_size side = 1; side <= 5; side += 2)
        for (bd_size c = 1; side * c <= 400; c += c < 50 ? 1 : 7)
            REAL(check_way_back)(c, 1 + c % 9, side, &state);
}

/* An image of which few pixels are not 0, some of them at its edges or not. */
static void REAL(check_pixels)(bd_size side, bd_size f, bd_size margin, uint64_t *state)
{
    const REAL(bd_kernels) *k = bd_kernels(DTYPE(real));
    const bd_window s = {
        .c = 1, .h = 11, .w = 21, .fh = side, .fw = side, .stride = 1, .dilation = 1, .oh = 12 - side, .ow = 22 - side};
    const bd_size windows = s.oh * s.ow, pixels = s.h * s.w, taps = side * side;
    const size_t room = (size_t)(pixels + BD_NONZERO_SPARE), dw_size = (size_t)(taps * f) * sizeof(real);
    real *x = place_array(0, (size_t)pixels * sizeof(real), 0);
    real *dout = place_array(1, (size_t)(windows * f) * sizeof(real), 0);
    real *dw = place_array(2, dw_size, 0), *dense = malloc(dw_size);
    REAL(bd_nonzero)
    list = {.value = malloc(room * sizeof(real)),
            .filter_value = malloc(room * sizeof(real)),
            .filter = malloc(room * sizeof(int32_t)),
            .window = malloc(room * sizeof(int32_t)),
            .window_count = malloc((size_t)s.h * sizeof(int32_t))};
    bd_size count = 0;

    for (bd_size i = 0; i < pixels; i++) {
        const bool white = i % s.w < margin || i % s.w >= s.w - margin || random_bits(state) % 4;
        x[i] = white ? 0 : (real)random_between(state, -1, 1);
        count += x[i] != 0;
    }
    for (bd_size i = 0; i < windows * f; i++)
        dout[i] = (real)random_between(state, -1, 1);
    for (bd_size i = 0; i < taps * f; i++)
        dw[i] = dense[i] = (real)random_between(state, -1, 1);
    CHECK_INT(k->list_pixels(&list, x, &s), count);
    k->convolve_filter_pixels(dw, &list, dout, &s, f);
    k->convolve_filter(dense, x, dout, &s, f);
    for (bd_size i = 0; i < taps * f; i++)
        CHECK_SAY(dw[i] == dense[i], "dw[%lld] of %lld filters, %lld by %lld", (long long)i, (long long)f,
                  (long long)side, (long long)side);
    for (int i = 0; i < 3; i++)
        CHECK_SAY(place_intact(i), "array %d was left", i);
    void *parts[] = {dense, list.value, list.filter_value, list.filter, list.window, list.window_count};
    for (int i = 0; i < 6; i++)
        free(parts[i]);
}

static void REAL(pixels_give_what_the_image_does)(void)
{
    uint64_t state = 6;

    for (bd_size side = 1; side <= 11; side += side < 7 ? 1 : 4)
        for (bd_size f = 1; f <= 70; f += f < 35 ? 1 : 7)
            for (bd_size margin = 0; margin <= 6; margin += 2)
                REAL(check_pixels)(side, f, margin, &state);
}

#else

#include <stdlib.h>
#include <string.h>

#include "support.h"
#include "test.h"

#define BD_BODY "../../tests/c/test_sparse.c"
#include "../../csrc/core/each_real.h"

FOR_EACH_TYPE(lists_give_what_dense_kernels_do)
FOR_EACH_TYPE(pixels_give_what_the_image_does)

const test_group sparse_tests = {
    .name = "sparse",
    .each_isa = true,
    .cases = (const test_case[]){{"lists give what dense kernels do", lists_give_what_dense_kernels_do},
                                 {"pixels give what the image does", pixels_give_what_the_image_does},
                                 {0}},
};

#endif
