/* Pooling: out[n, c] = the largest, or the mean, of each window of x[n, c]     (book: section 7.3)
 *
 * NumPy twin:   windows = sliding windows of x;  out = windows.max(-1)  or  windows.mean(-1)
 *               dx: dout goes to the first of the largest, or in equal parts to all
 *
 * Shapes:       x (n, c, h, w), out (n, c, oh, ow). Padding never wins (-inf), and the mean is over the pixels inside
 *               the image. A NaN wins.
 */
#ifdef real

static void REAL(pooling_forward)(const bd_layer *layer, const bd_io *io)
{
    const bd_window s = window_of(layer, io->shape);
    const bd_size area = s.oh * s.ow, image = s.h * s.w * s.c;
    const bd_range images = bd_share(io, io->shape->dim[0], 1);
    const REAL(bd_kernels) *k = io->kernels;
    real *x_room = io->work, *out_room = x_room + image, *winner = winners_of(layer, io, &s);

    for (bd_size i = images.from; i < images.from + images.count; i++) {
        const real *x = REAL(channels_last)(x_room, (const real *)io->x[0] + i * image, s.c, s.h * s.w, io->x_last, k);
        real *out = (real *)io->out + i * area * s.c, *to = io->out_last || s.c == 1 ? out : out_room;
        k->pool(to, winner ? winner + i * area * s.c : NULL, x, &s, layer->hyper[MEAN].i, io->relu_out);
        if (to != out)
            k->transpose(out, area, to, s.c, area, s.c);
    }
}

static void REAL(pooling_backward)(const bd_layer *layer, const bd_io *io)
{
    const bd_window s = window_of(layer, io->shape);
    const bd_size area = s.oh * s.ow, image = s.h * s.w * s.c;
    const bd_range images = bd_share(io, io->shape->dim[0], 1);
    const REAL(bd_kernels) *k = io->kernels;
    const real *winner = io->relu_dx ? NULL : winners_of(layer, io, &s);
    real *x_room = io->work, *dout_room = x_room + image, *dx_room = dout_room + area * s.c;

    for (bd_size i = images.from; i < images.from + images.count && io->dx[0]; i++) {
        const real *dout =
            REAL(channels_last)(dout_room, (const real *)io->dout + i * area * s.c, s.c, area, io->out_last, k);
        real *dx = (real *)io->dx[0] + i * image, *to = io->x_last || s.c == 1 ? dx : dx_room;
        /* out = the largest of x in a window, or the mean over it */
        if (winner) {
            k->unpool(to, dout, winner + i * area * s.c, &s);
        } else {
            const real *x = (const real *)io->x[0] + i * image;
            k->pool_backward(to, REAL(channels_last)(x_room, x, s.c, s.h * s.w, io->x_last, k), dout, &s,
                             layer->hyper[MEAN].i, io->relu_dx);
        }
        if (to != dx)
            k->transpose(dx, s.h * s.w, to, s.c, s.h * s.w, s.c);
    }
}

static bd_size REAL(winner)(const real *x, const bd_window *s, bd_size oy, bd_size ox)
{
    const bd_size top = oy * s->stride - s->pad, left = ox * s->stride - s->pad;
    bd_size best = -1;

    for (bd_size y = top < 0 ? 0 : top; y < top + s->fh && y < s->h; y++)
        for (bd_size j = left < 0 ? 0 : left; j < left + s->fw && j < s->w; j++)
            if (best < 0 || x[y * s->w + j] > x[best])
                best = y * s->w + j;
    return best;
}

/* Which pixel is the largest of each window, compared with `before`. */
static bd_branch REAL(pooling_branch)(const bd_layer *layer, const bd_io *io, const void *before)
{
    const bd_window s = window_of(layer, io->shape);
    const real *x = io->x[0], *b = before;
    bd_branch branch = BD_SAME_BRANCH;

    for (bd_size c = 0; c < s.c && !layer->hyper[MEAN].i; c++, x += s.h * s.w, b += s.h * s.w)
        for (bd_size o = 0; o < s.oh * s.ow; o++) {
            const bd_size now = REAL(winner)(x, &s, o / s.ow, o % s.ow), was = REAL(winner)(b, &s, o / s.ow, o % s.ow);
            if (io->out)
                ((real *)io->out)[c * s.oh * s.ow + o] = x[was];
            if (now != was && b[now] != b[was])
                branch = BD_CROSSED;
            else if (now != was && branch != BD_CROSSED)
                branch = BD_LEFT_TIE;
        }
    return branch;
}

#else

#include "../badak.h"
#include "../../kernels/kernels.h"
#include "../share.h"

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

/* The largest of squares of 2 by 2 that fill the image? */
static bool are_squares(const bd_layer *layer, const bd_window *s)
{
    return s->fh == 2 && s->fw == 2 && s->stride == 2 && s->pad == 0 && !layer->hyper[MEAN].i && s->h % 2 == 0 &&
           s->w % 2 == 0;
}

/* Where forward in training keeps which pixel of each square won: then backward need not read x. NULL: nowhere. */
static void *winners_of(const bd_layer *layer, const bd_io *io, const bd_window *s)
{
    return io->training && are_squares(layer, s) ? io->keep : NULL;
}

bool bd_pools_squares(const bd_layer *layer, const bd_shape *x)
{
    if (layer->kind != &bd_pooling || x->ndim != 4)
        return false;
    const bd_window s = window_of(layer, x);
    return are_squares(layer, &s);
}

#define BD_BODY "layers/channels_last.h"
#include "../each_real.h"

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
    const bd_shape image = {.ndim = 3, .dim = {s.c, s.h, s.w}}, of_out = {.ndim = 3, .dim = {s.c, s.oh, s.ow}};
    form->work = 2 * bd_count(&image) + bd_count(&of_out);
    form->frees_x = are_squares(layer, &s);
    form->keep = form->frees_x ? bd_count(&form->out) : 0;
    return BD_OK;
}

const bd_layer_kind bd_pooling = {
    .name = "Pooling",
    .inputs = 1,
    .flags = BD_KEEP_INPUT | BD_CAN_RELU | BD_IMAGES | BD_PER_CHANNEL | BD_SHARES,
    .hyper = {[HEIGHT] = {"pool_h", BD_INT, .min = 1, .max = 0x1p48, .needed = true},
              [WIDTH] = {"pool_w", BD_INT, .min = 1, .max = 0x1p48, .needed = true},
              [STRIDE] = {"stride", BD_INT, .min = 1, .max = 0x1p62, .fallback = 2},
              [PAD] = {"pad", BD_INT, .min = 0, .max = 0x1p62},
              [MEAN] = {"mean", BD_INT, .min = 0, .max = 1}},
    .shape = pooling_shape,
    .forward = BD_EACH_REAL(pooling_forward),
    .backward = BD_EACH_REAL(pooling_backward),
    .branch = BD_EACH_REAL(pooling_branch),
};

#endif
