/* Pooling: out[n, c] = the largest, or the mean, of each window of x[n, c]     (book: section 7.3)
 *
 * NumPy twin:   windows = sliding windows of x;  out = windows.max(-1)  or  windows.mean(-1)
 *               dx: dout goes to the first of the largest, or in equal parts to all
 *
 * Shapes:       x (n, c, h, w), out (n, c, oh, ow); keeps where each maximum was. Padding never wins (-inf), and the
 *               mean is over the pixels inside the image. A NaN wins.
 */
#ifdef real

static void REAL(pooling_forward)(const bd_layer *layer, const bd_io *io)
{
    const bd_window s = window_of(layer, io->shape);
    const bool mean = layer->hyper[MEAN].i;
    const bd_size planes = io->shape->dim[0] * s.c;
    const real *x = io->x[0];
    real *out = io->out;
    int64_t *winner = io->keep_index;

    for (bd_size p = 0; p < planes; p++, x += s.h * s.w) {
        for (bd_size oy = 0; oy < s.oh; oy++)
            for (bd_size ox = 0; ox < s.ow; ox++) {
                const span rows = inside(oy, s.fh, s.h, &s), columns = inside(ox, s.fw, s.w, &s);
                bd_size best = rows.from * s.w + columns.from;
                real sum = 0;
                for (bd_size y = rows.from; y < rows.to; y++)
                    for (bd_size at = y * s.w + columns.from; at < y * s.w + columns.to; at++) {
                        sum += x[at];
                        if (x[at] > x[best] || (x[at] != x[at] && x[best] == x[best]))
                            best = at;
                    }
                const bd_size count = (rows.to - rows.from) * (columns.to - columns.from);
                *winner++ = best;
                *out++ = mean ? sum / (real)count : x[best];
            }
    }
}

static void REAL(pooling_backward)(const bd_layer *layer, const bd_io *io)
{
    const bd_window s = window_of(layer, io->shape);
    const bool mean = layer->hyper[MEAN].i;
    const bd_size planes = io->shape->dim[0] * s.c;
    const real *dout = io->dout;
    const int64_t *winner = io->keep_index;
    real *dx = io->dx[0];

    if (!dx)
        return;
    memset(dx, 0, (size_t)bd_count(io->shape) * sizeof *dx);
    for (bd_size p = 0; p < planes; p++, dx += s.h * s.w) {
        for (bd_size oy = 0; oy < s.oh; oy++)
            for (bd_size ox = 0; ox < s.ow; ox++, dout++, winner++) {
                /* out = x[winner], or the mean over the window */
                if (!mean) {
                    dx[*winner] += *dout;
                    continue;
                }
                const span rows = inside(oy, s.fh, s.h, &s), columns = inside(ox, s.fw, s.w, &s);
                const real share = *dout / (real)((rows.to - rows.from) * (columns.to - columns.from));
                for (bd_size y = rows.from; y < rows.to; y++)
                    for (bd_size at = y * s.w + columns.from; at < y * s.w + columns.to; at++)
                        dx[at] += share;
            }
    }
}

#else

#include <string.h>

#include "../badak.h"

enum { HEIGHT, WIDTH, STRIDE, PAD, MEAN }; /* hyper-parameters */

/* For shapes that the shape rule has passed. */
static bd_window window_of(const bd_layer *layer, const bd_shape *x)
{
    bd_window window = {.fh = layer->hyper[HEIGHT].i,
                        .fw = layer->hyper[WIDTH].i,
                        .stride = layer->hyper[STRIDE].i,
                        .pad = layer->hyper[PAD].i,
                        .dilation = 1};
    bd_detail detail;

    (void)bd_window_fit(&window, x, &detail);
    return window;
}

/* The part of a window that lies inside the image: never empty, because the padding is smaller than the window. */
typedef struct {
    bd_size from, to;
} span;

static span inside(bd_size o, bd_size f, bd_size size, const bd_window *s)
{
    const bd_size from = o * s->stride - s->pad, to = from + f;
    return (span){from > 0 ? from : 0, to < size ? to : size};
}

#define BD_BODY "layers/pooling.c"
#include "../each_real.h"

static bd_status pooling_shape(const bd_layer *layer, const bd_shape *x, bd_form *form, bd_detail *detail)
{
    const bd_size smaller =
        layer->hyper[HEIGHT].i < layer->hyper[WIDTH].i ? layer->hyper[HEIGHT].i : layer->hyper[WIDTH].i;
    bd_window s = window_of(layer, x);
    const bd_status status = bd_window_fit(&s, x, detail);

    if (status)
        return status;
    if (s.pad >= smaller) {
        *detail = (bd_detail){.what = "pad", .got = s.pad, .expected = smaller};
        return BD_PAD_TOO_LARGE;
    }
    form->out = (bd_shape){.ndim = 4, .dim = {x->dim[0], s.c, s.oh, s.ow}};
    form->keep_index = bd_count(&form->out);
    return BD_OK;
}

const bd_layer_kind bd_pooling = {
    .name = "Pooling",
    .inputs = 1,
    .hyper = {[HEIGHT] = {"pool_h", BD_INT, .min = 1, .max = 0x1p48, .needed = true},
              [WIDTH] = {"pool_w", BD_INT, .min = 1, .max = 0x1p48, .needed = true},
              [STRIDE] = {"stride", BD_INT, .min = 1, .max = 0x1p62, .fallback = 2},
              [PAD] = {"pad", BD_INT, .min = 0, .max = 0x1p62},
              [MEAN] = {"mean", BD_INT, .min = 0, .max = 1}},
    .shape = pooling_shape,
    .forward = BD_EACH_REAL(pooling_forward),
    .backward = BD_EACH_REAL(pooling_backward),
};

#endif
