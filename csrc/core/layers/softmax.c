/* Softmax: out = exp(x) / sum(exp(x)) over the last axis           (book: section 3.5)
 *
 * NumPy twin:   out = np.exp(x - x.max(-1, keepdims=True));  out /= out.sum(-1, keepdims=True)
 *               dx = out * (dout - (dout * out).sum(-1, keepdims=True))
 *
 * Shapes:       x (..., c); out like x.
 */
#ifdef real

static void REAL(softmax_forward)(const bd_layer *layer, const bd_io *io)
{
    const bd_size c = io->shape->dim[io->shape->ndim - 1];
    const bd_range rows = bd_share(io, bd_count(io->shape) / c, 1);
    const REAL(bd_kernels) *k = io->kernels;

    (void)layer;
    k->softmax_rows((real *)io->out + rows.from * c, NULL, NULL, (const real *)io->x[0] + rows.from * c, rows.count, c);
}

static void REAL(softmax_backward)(const bd_layer *layer, const bd_io *io)
{
    const bd_size c = io->shape->dim[io->shape->ndim - 1];
    const bd_range rows = bd_share(io, bd_count(io->shape) / c, 1);
    const real *out = (const real *)io->out + rows.from * c, *dout = (const real *)io->dout + rows.from * c;
    real *dx = io->dx[0] ? (real *)io->dx[0] + rows.from * c : NULL;

    (void)layer;
    /* out_i = exp(x_i) / sum exp(x): d out_i / d x_j = out_i ((i == j) - out_j) */
    for (bd_size i = 0; dx && i < rows.count; i++, out += c, dout += c, dx += c) {
        wide_real mixed = 0;
        for (bd_size j = 0; j < c; j++)
            mixed += (wide_real)dout[j] * out[j];
        for (bd_size j = 0; j < c; j++)
            dx[j] = out[j] * (dout[j] - (real)mixed);
    }
}

#else

#include "../badak.h"
#include "../../kernels/kernels.h"
#include "../share.h"

#define BD_BODY "layers/softmax.c"
#include "../each_real.h"

static bd_status softmax_shape(const bd_layer *layer, const bd_shape *x, bd_form *form, bd_detail *detail)
{
    (void)layer;
    if (x->ndim < 2) {
        *detail = (bd_detail){.what = "x", .got = x->ndim, .expected = 2};
        return BD_BAD_NDIM;
    }
    form->out = x[0];
    return BD_OK;
}

const bd_layer_kind bd_softmax = {
    .name = "Softmax",
    .inputs = 1,
    .flags = BD_KEEP_OUTPUT | BD_SHARES,
    .shape = softmax_shape,
    .forward = BD_EACH_REAL(softmax_forward),
    .backward = BD_EACH_REAL(softmax_backward),
};

#endif
