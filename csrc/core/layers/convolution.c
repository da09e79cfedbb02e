/* Convolution: out[n, f] = sum over c of W[f, c] slid over x[n, c], + b[f]     (book: section 7.4)
 *
 * NumPy twin:   col = im2col(x);  out = (col @ W.reshape(FN, -1).T + b), axes to n f oh ow
 *               db, dW = dout.sum((0, 2, 3)), (dout.T @ col);  dx = col2im(dout @ W)
 *
 * Shapes:       x (n, c, h, w), W (f, c, fh, fw), b (f), out (n, f, oh, ow)
 *
 * One image at a time, its channels last and its padding around it: the kernels want it so (kernels/convolution.inc).
 */
#ifdef real

/* W (f, c, fh fw) with the filters last (fh fw, c, f), or back. */
static void REAL(filters_last)(real *out, const real *w, const bd_window *s, bd_size f, const REAL(bd_kernels) * k)
{
    const bd_size area = s->fh * s->fw;

    for (bd_size c = 0; c < s->c; c++)
        k->transpose(out + c * f, s->c * f, w + c * area, s->c * area, f, area);
}

static void REAL(filters_first)(real *w, const real *last, const bd_window *s, bd_size f, const REAL(bd_kernels) * k)
{
    const bd_size area = s->fh * s->fw;

    for (bd_size c = 0; c < s->c; c++)
        k->transpose(w + c * area, s->c * area, last + c * f, s->c * f, area, f);
}

/* From (fh fw, c, f) to (fh fw, f, c): what takes dout back to x. For stride 1 the window is turned round. */
static void REAL(turned)(real *out, const real *last, const bd_window *s, bd_size f, const REAL(bd_kernels) * k)
{
    const bd_size area = s->fh * s->fw, size = s->c * f;

    for (bd_size i = 0; i < area; i++)
        k->transpose(out + (s->stride == 1 ? area - 1 - i : i) * size, s->c, last + i * size, f, s->c, f);
}

/* Copies image (h, w, c) to the place (top, left) of frame (frame_h, frame_w, c), as far as it lies inside, or back. */
static void REAL(put)(real *frame, bd_size frame_h, bd_size frame_w, const real *image, bd_size h, bd_size w, bd_size c,
                      bd_size top, bd_size left)
{
    const bd_size y0 = top < 0 ? -top : 0, y1 = top + h > frame_h ? frame_h - top : h;
    const bd_size x0 = left < 0 ? -left : 0, x1 = left + w > frame_w ? frame_w - left : w;

    for (bd_size y = y0; y < y1 && x0 < x1; y++)
        memcpy(frame + ((top + y) * frame_w + left + x0) * c, image + (y * w + x0) * c,
               (size_t)((x1 - x0) * c) * sizeof *frame);
}

/* Pieces of io->work, in the order in which they are taken. */
static real *REAL(take)(real **work, bd_size size)
{
    real *piece = *work;
    *work += piece_of_work(size);
    return piece;
}

static void REAL(convolution_forward)(const bd_layer *layer, const bd_io *io)
{
    const bd_window s = window_of(layer, io->shape), framed = frame_of(&s);
    const bd_size f = layer->hyper[FILTERS].i, area = s.oh * s.ow, image = s.h * s.w * s.c;
    const REAL(bd_kernels) *k = io->kernels;
    real *work = io->work;
    real *w = REAL(take)(&work, s.fh * s.fw * s.c * f);
    real *frame = REAL(take)(&work, framed.h * framed.w * s.c);
    real *x_room = REAL(take)(&work, image), *out_room = REAL(take)(&work, area * f);

    REAL(filters_last)(w, io->param[W], &s, f, k);
    memset(frame, 0, (size_t)(framed.h * framed.w * s.c) * sizeof *frame);
    for (bd_size i = 0; i < io->shape->dim[0]; i++) {
        const real *x = REAL(channels_last)(x_room, (const real *)io->x[0] + i * image, s.c, s.h * s.w, io->x_last, k);
        real *out = (real *)io->out + i * area * f, *to = io->out_last || f == 1 ? out : out_room;
        if (s.pad) {
            REAL(put)(frame, framed.h, framed.w, x, s.h, s.w, s.c, s.pad, s.pad);
            x = frame;
        }
        k->convolve(to, x, w, &framed, f, io->param[B], io->relu_out, NULL);
        if (to != out)
            k->transpose(out, area, to, f, area, f);
    }
}

/* dx (h, w, c) of one image from dout (oh, ow, f); mask as the kernel's. The border of the frame stays 0. */
static void REAL(image_gradient)(real *dx, const real *dout, const real *w, real *frame, const bd_window *s, bd_size f,
                                 const real *mask, const REAL(bd_kernels) * k)
{
    const bd_window back = back_of(s, f);

    if (s->stride == 1) { /* what windows over dout give, because every pixel of x has one */
        REAL(put)(frame, back.h, back.w, dout, s->oh, s->ow, f, back_pad(s->fh, s), back_pad(s->fw, s));
        k->convolve(dx, frame, w, &back, s->c, NULL, false, mask);
    } else {
        memset(frame, 0, (size_t)(back.h * back.w * s->c) * sizeof *frame);
        k->convolve_back(frame, dout, w, &back, f);
        REAL(put)(dx, s->h, s->w, frame, back.h, back.w, s->c, -s->pad, -s->pad);
        if (mask)
            k->relu_backward(dx, dx, mask, s->h * s->w * s->c);
    }
}

static void REAL(convolution_backward)(const bd_layer *layer, const bd_io *io)
{
    const bd_size f = layer->hyper[FILTERS].i;
    const bd_window s = window_of(layer, io->shape), framed = frame_of(&s), back = back_of(&s, f);
    const bd_size size = s.fh * s.fw * s.c * f, area = s.oh * s.ow, image = s.h * s.w * s.c;
    const REAL(bd_kernels) *k = io->kernels;
    real *work = io->work, *db = io->dparam[B];
    real *w = REAL(take)(&work, size), *dw = REAL(take)(&work, size), *part = REAL(take)(&work, f);
    real *frame = REAL(take)(&work, framed.h * framed.w * s.c), *x_room = REAL(take)(&work, image);
    real *back_frame = REAL(take)(&work, back.h * back.w * back.c), *dx_room = REAL(take)(&work, image);
    real *dout_room = REAL(take)(&work, area * f);

    if (io->dx[0]) {
        REAL(filters_last)(dw, io->param[W], &s, f, k);
        REAL(turned)(w, dw, &s, f, k);
    }
    memset(dw, 0, (size_t)size * sizeof *dw);
    memset(db, 0, (size_t)f * sizeof *db);
    memset(frame, 0, (size_t)(framed.h * framed.w * s.c) * sizeof *frame);
    memset(back_frame, 0, (size_t)(back.h * back.w * back.c) * sizeof *back_frame);
    for (bd_size i = 0; i < io->shape->dim[0]; i++) {
        const real *x = REAL(channels_last)(x_room, (const real *)io->x[0] + i * image, s.c, s.h * s.w, io->x_last, k);
        const real *dout =
            REAL(channels_last)(dout_room, (const real *)io->dout + i * area * f, f, area, io->out_last, k);
        if (s.pad)
            REAL(put)(frame, framed.h, framed.w, x, s.h, s.w, s.c, s.pad, s.pad);

        /* out = windows of x times W, + b */
        k->convolve_filter(dw, s.pad ? frame : x, dout, &framed, f);
        k->sum_rows(part, dout, area, f);
        k->add(db, db, part, f);
        if (io->dx[0]) {
            real *dx = (real *)io->dx[0] + i * image, *to = io->x_last || s.c == 1 ? dx : dx_room;
            REAL(image_gradient)(to, dout, w, back_frame, &s, f, io->relu_dx ? x : NULL, k);
            if (to != dx)
                k->transpose(dx, s.h * s.w, to, s.c, s.h * s.w, s.c);
        }
    }
    REAL(filters_first)(io->dparam[W], dw, &s, f, k);
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

/* The same windows over an image that holds its padding. */
static bd_window frame_of(const bd_window *s)
{
    bd_window frame = *s;
    frame.h += 2 * s->pad;
    frame.w += 2 * s->pad;
    frame.pad = 0;
    return frame;
}

/* How far windows of dout reach over its border, so that each pixel of x has one; negative where padding made dout
 * larger than that. */
static bd_size back_pad(bd_size f, const bd_window *s)
{
    return s->dilation * (f - 1) - s->pad;
}

/* The way back. For stride 1 these windows over a frame about dout, as many as x has pixels; else the frame of x. */
static bd_window back_of(const bd_window *s, bd_size filters)
{
    bd_window back = frame_of(s);

    if (s->stride == 1) {
        back.c = filters;
        back.h = s->h + s->dilation * (s->fh - 1);
        back.w = s->w + s->dilation * (s->fw - 1);
        back.oh = s->h;
        back.ow = s->w;
    }
    return back;
}

/* A piece of work begins where a cache line does. */
static bd_size piece_of_work(bd_size size)
{
    return (size + 15) / 16 * 16;
}

#define BD_BODY "layers/channels_last.h"
#include "../each_real.h"

#define BD_BODY "layers/convolution.c"
#include "../each_real.h"

/* Reals of scratch that backward takes; forward takes fewer. False if they are too many. */
static bool work_of(const bd_window *s, bd_size f, bd_size *work)
{
    const bd_window frame = frame_of(s), back = back_of(s, f);
    const bd_shape piece[] = {
        {4, {s->fh, s->fw, s->c, f}},  {4, {s->fh, s->fw, s->c, f}}, {1, {f}},
        {3, {frame.h, frame.w, s->c}}, {3, {s->h, s->w, s->c}},      {3, {back.h, back.w, back.c}},
        {3, {s->h, s->w, s->c}},       {3, {s->oh, s->ow, f}}};

    *work = 0;
    for (size_t i = 0; i < sizeof piece / sizeof *piece; i++) {
        if (bd_count(&piece[i]) < 0)
            return false;
        *work += piece_of_work(bd_count(&piece[i]));
    }
    return *work <= BD_MAX_ELEMENTS;
}

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
    form->fan_in = s.c * s.fh * s.fw;
    if (!work_of(&s, filters, &form->work)) {
        *detail = (bd_detail){.what = "Convolution"};
        return BD_TOO_LARGE;
    }
    form->macs = bd_count(&form->param[W]) * s.oh * s.ow;
    return BD_OK;
}

#define SIZE(what) {what, BD_INT, .min = 1, .max = 0x1p48, .needed = true}

const bd_layer_kind bd_convolution = {
    .name = "Convolution",
    .inputs = 1,
    .flags = BD_KEEP_INPUT | BD_CAN_RELU | BD_IMAGES,
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
