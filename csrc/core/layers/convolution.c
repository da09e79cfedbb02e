/* Convolution: out[n, f] = sum over c of W[f, c] slid over x[n, c], + b[f]     (book: section 7.4)
 *
 * NumPy twin:   col = im2col(x);  out = (col @ W.reshape(FN, -1).T + b), axes to n f oh ow
 *               db, dW = dout.sum((0, 2, 3)), (dout.T @ col);  dx = col2im(dout @ W)
 *
 * Shapes:       x (n, c, h, w), W (f, c, fh, fw), b (f), out (n, f, oh, ow)
 *
 * One image at a time: its windows become the columns of a matrix (c fh fw, oh ow), and the rest is products.
 */
#ifdef real

/* col (c fh fw, oh ow) = the windows of one image x (c, h, w); what lies in the padding is 0. */
static void REAL(gather)(real *col, const real *x, const bd_window *s)
{
    for (bd_size c = 0; c < s->c; c++)
        for (bd_size i = 0; i < s->fh; i++)
            for (bd_size j = 0; j < s->fw; j++) {
                const bd_size shift = j * s->dilation - s->pad;
                const span inside = columns_inside(shift, s);
                for (bd_size oy = 0; oy < s->oh; oy++, col += s->ow) {
                    const bd_size y = oy * s->stride + i * s->dilation - s->pad;
                    const real *row = x + (c * s->h + y) * s->w + shift;
                    const bool empty = y < 0 || y >= s->h;
                    const bd_size from = empty ? s->ow : inside.from, to = empty ? s->ow : inside.to;
                    for (bd_size ox = 0; ox < from; ox++)
                        col[ox] = 0;
                    if (s->stride == 1 && from < to)
                        memcpy(col + from, row + from, (size_t)(to - from) * sizeof *col);
                    for (bd_size ox = from; s->stride > 1 && ox < to; ox++)
                        col[ox] = row[ox * s->stride];
                    for (bd_size ox = to; ox < s->ow; ox++)
                        col[ox] = 0;
                }
            }
}

/* The reverse: adds each column entry to the pixel of dx that it came from. */
static void REAL(scatter)(real *dx, const real *col, const bd_window *s)
{
    for (bd_size c = 0; c < s->c; c++)
        for (bd_size i = 0; i < s->fh; i++)
            for (bd_size j = 0; j < s->fw; j++) {
                const bd_size shift = j * s->dilation - s->pad;
                const span inside = columns_inside(shift, s);
                for (bd_size oy = 0; oy < s->oh; oy++, col += s->ow) {
                    const bd_size y = oy * s->stride + i * s->dilation - s->pad;
                    real *row = dx + (c * s->h + y) * s->w + shift;
                    if (y < 0 || y >= s->h)
                        continue;
                    if (s->stride == 1)
                        for (bd_size ox = inside.from; ox < inside.to; ox++)
                            row[ox] += col[ox];
                    else
                        for (bd_size ox = inside.from; ox < inside.to; ox++)
                            row[ox * s->stride] += col[ox];
                }
            }
}

static void REAL(convolution_forward)(const bd_layer *layer, const bd_io *io)
{
    const bd_window s = window_of(layer, io->shape);
    const bd_size n = io->shape->dim[0], filters = layer->hyper[FILTERS].i, taps = s.c * s.fh * s.fw,
                  area = s.oh * s.ow;
    const REAL(bd_kernels) *k = io->kernels;
    const real *x = io->x[0], *b = io->param[B];
    real *out = io->out, *col = io->work;

    for (bd_size i = 0; i < n; i++, x += s.c * s.h * s.w, out += filters * area) {
        REAL(gather)(col, x, &s);
        k->gemm_nn(out, io->param[W], col, filters, area, taps, NULL, false); /* out = W col */
        for (bd_size f = 0; f < filters; f++)
            for (bd_size a = 0; a < area; a++)
                out[f * area + a] += b[f];
    }
}

static void REAL(convolution_backward)(const bd_layer *layer, const bd_io *io)
{
    const bd_window s = window_of(layer, io->shape);
    const bd_size n = io->shape->dim[0], filters = layer->hyper[FILTERS].i, taps = s.c * s.fh * s.fw,
                  area = s.oh * s.ow;
    const bd_size image = s.c * s.h * s.w;
    const REAL(bd_kernels) *k = io->kernels;
    const real *x = io->x[0], *dout = io->dout;
    real *dx = io->dx[0], *db = io->dparam[B], *dw = io->dparam[W];
    real *col = io->work, *part = col + taps * area, *sum = part + taps * filters; /* dW^T of one image, of all */

    memset(sum, 0, (size_t)(taps * filters) * sizeof *sum);
    memset(db, 0, (size_t)filters * sizeof *db);
    if (dx)
        memset(dx, 0, (size_t)(n * image) * sizeof *dx);
    for (bd_size i = 0; i < n; i++, x += image, dout += filters * area) {
        /* out = W col + b */
        for (bd_size f = 0; f < filters; f++) {
            wide_real total = 0;
            for (bd_size a = 0; a < area; a++)
                total += dout[f * area + a];
            db[f] += (real)total;
        }
        REAL(gather)(col, x, &s);
        k->gemm_nt(part, col, dout, taps, filters, area, NULL); /* dW^T = col dout^T */
        k->add(sum, sum, part, taps * filters);
        if (dx) {
            k->gemm_tn(col, io->param[W], dout, taps, area, filters); /* dcol = W^T dout */
            REAL(scatter)(dx + i * image, col, &s);
        }
    }
    for (bd_size f = 0; f < filters; f++)
        for (bd_size t = 0; t < taps; t++)
            dw[f * taps + t] = sum[t * filters + f];
}

#else

#include <string.h>

#include "../badak.h"
#include "../../kernels/kernels.h"

enum { FILTERS, HEIGHT, WIDTH, STRIDE, PAD, DILATION, INIT }; /* hyper-parameters */
enum { W, B };                                                /* parameters */

/* For shapes that the shape rule has passed. */
static bd_window window_of(const bd_layer *layer, const bd_shape *x)
{
    bd_window window = {.fh = layer->hyper[HEIGHT].i,
                        .fw = layer->hyper[WIDTH].i,
                        .stride = layer->hyper[STRIDE].i,
                        .pad = layer->hyper[PAD].i,
                        .dilation = layer->hyper[DILATION].i};
    bd_detail detail;

    (void)bd_window_fit(&window, x, &detail);
    return window;
}

typedef struct {
    bd_size from, to;
} span;

/* The windows ox whose column ox stride + shift lies inside the image; the others meet padding. */
static span columns_inside(bd_size shift, const bd_window *s)
{
    const bd_size from = shift >= 0 ? 0 : (-shift + s->stride - 1) / s->stride;
    const bd_size to = s->w > shift ? (s->w - shift - 1) / s->stride + 1 : 0;
    const bd_size first = from < s->ow ? from : s->ow, end = to < s->ow ? to : s->ow;
    return (span){first, end > first ? end : first};
}

#define BD_BODY "layers/convolution.c"
#include "../each_real.h"

static bd_status convolution_shape(const bd_layer *layer, const bd_shape *x, bd_form *form, bd_detail *detail)
{
    const bd_size filters = layer->hyper[FILTERS].i;
    bd_window s = window_of(layer, x);
    const bd_status status = bd_window_fit(&s, x, detail);

    if (status)
        return status;
    form->out = (bd_shape){.ndim = 4, .dim = {x->dim[0], filters, s.oh, s.ow}};
    form->param[W] = (bd_shape){.ndim = 4, .dim = {filters, s.c, s.fh, s.fw}};
    form->param[B] = bd_shape1(filters);
    if (bd_count(&form->param[W]) < 0 || bd_count(&form->out) < 0) {
        *detail = (bd_detail){.what = "Convolution"};
        return BD_TOO_LARGE;
    }
    const bd_shape col = {.ndim = 5, .dim = {s.c, s.fh, s.fw, s.oh, s.ow}};
    form->fan_in = s.c * s.fh * s.fw;
    if (bd_count(&col) < 0) {
        *detail = (bd_detail){.what = "Convolution"};
        return BD_TOO_LARGE;
    }
    form->work = bd_count(&col) + 2 * bd_count(&form->param[W]);
    form->macs = bd_count(&form->param[W]) * s.oh * s.ow;
    return BD_OK;
}

#define SIZE(what) {what, BD_INT, .min = 1, .max = 0x1p48, .needed = true}

const bd_layer_kind bd_convolution = {
    .name = "Convolution",
    .inputs = 1,
    .flags = BD_KEEP_INPUT,
    .hyper = {[FILTERS] = SIZE("filters"),
              [HEIGHT] = SIZE("height"),
              [WIDTH] = SIZE("width"),
              [STRIDE] = {"stride", BD_INT, .min = 1, .max = 0x1p62, .fallback = 1},
              [PAD] = {"pad", BD_INT, .min = 0, .max = 0x1p62},
              [DILATION] = {"dilation", BD_INT, .min = 1, .max = 0x1p62, .fallback = 1},
              [INIT] = {"init", BD_INIT, .min = 0, .max = 1e300, .fallback = BD_INIT_HE}},
    .param = {[W] = {"W", BD_WEIGHT}, [B] = {"b", BD_BIAS}},
    .shape = convolution_shape,
    .forward = BD_EACH_REAL(convolution_forward),
    .backward = BD_EACH_REAL(convolution_backward),
};

#endif
