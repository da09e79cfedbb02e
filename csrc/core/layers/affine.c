/* Affine: out = x W + b                                            (book: section 5.6)
 *
 * NumPy twin:   out = x @ W + b
 *               dx, dW, db = dout @ W.T, x.T @ dout, dout.sum(axis=0)
 *
 * Shapes:       x (n, ...) read as rows of `in` features, W (in, units), b (units), out (n, units)
 */
#ifdef real /* ---------------------------------------------- once per float type */

static void REAL(affine_forward)(const bd_layer *layer, const bd_io *io)
{
    const bd_size n = io->shape->dim[0], in = bd_features(io->shape), units = layer->hyper[UNITS].i;
    const REAL(bd_kernels) *k = io->kernels;

    k->gemm_nn(io->out, io->x[0], io->param[W], n, units, in, io->param[B], io->relu_out);
}

static void REAL(affine_backward)(const bd_layer *layer, const bd_io *io)
{
    const bd_size n = io->shape->dim[0], in = bd_features(io->shape), units = layer->hyper[UNITS].i;
    const REAL(bd_kernels) *k = io->kernels;

    /* out = x W + b */
    k->gemm_tn(io->dparam[W], io->x[0], io->dout, in, units, n); /* dW = x^T dout */
    k->sum_rows(io->dparam[B], io->dout, n, units);              /* db = sum of dout over the batch */
    if (io->dx[0])                                               /* dx = dout W^T, 0 where a ReLU made x 0 */
        k->gemm_nt(io->dx[0], io->dout, io->param[W], n, in, units, io->relu_dx ? io->x[0] : NULL);
}

#else /* ----------------------------------------------------- once */

#include "../badak.h"
#include "../../kernels/kernels.h"

enum { UNITS, INIT }; /* hyper-parameters */
enum { W, B };        /* parameters */

#define BD_BODY "layers/affine.c"
#include "../each_real.h"

static bd_status affine_shape(const bd_layer *layer, const bd_shape *x, bd_form *form, bd_detail *detail)
{
    const bd_size in = bd_features(x), units = layer->hyper[UNITS].i;

    (void)detail;
    form->out = bd_shape2(x->dim[0], units);
    form->param[W] = bd_shape2(in, units);
    form->param[B] = bd_shape1(units);
    form->fan_in = in;
    form->macs = bd_count(&form->param[W]);
    return BD_OK;
}

const bd_layer_kind bd_affine = {
    .name = "Affine",
    .inputs = 1,
    .flags = BD_KEEP_INPUT | BD_CAN_RELU,
    .hyper = {[UNITS] = {"units", BD_INT, .min = 1, .max = 0x1p48, .needed = true},
              [INIT] = {"init", BD_INIT, .min = 0, .max = 1e300, .fallback = BD_INIT_HE}},
    .param = {[W] = {"W", BD_WEIGHT}, [B] = {"b", BD_BIAS}},
    .shape = affine_shape,
    .forward = BD_EACH_REAL(affine_forward),
    .backward = BD_EACH_REAL(affine_backward),
};

#endif
