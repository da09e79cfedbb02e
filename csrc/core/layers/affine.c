/* Affine: out = x W + b                                            (book: section 5.6)
 *
 * NumPy twin:   out = x @ W + b
 *               dx, dW, db = dout @ W.T, x.T @ dout, dout.sum(axis=0)
 *
 * Shapes:       x (n, ...) read as rows of `in` features, W (in, units), b (units), out (n, units)
 */
#ifdef real /* ---------------------------------------------- once per float type */

/* Is so much of x 0, as in images of digits or what a ReLU made or gave back, that it is worth while to skip it? A few
 * rows tell. And is it right: with factors that are not finite, 0 times them counts, and to look at them takes as long
 * as to use them for a sample or two. Few samples, whose factors are `known` to be finite, save what they do not have
 * to read. */
static bool REAL(is_sparse)(const real *x, bd_size n, bd_size in, const real *factor, bd_size factors, bd_size units,
                            bool known, const REAL(bd_kernels) * k)
{
    const bool few = n < SPARSE_LEAST;
    const bd_size step = few ? 1 : n / LOOKED_AT + 1, looked_at = (n + step - 1) / step;
    bd_size count = 0;

    if ((few && !known) || in < SPARSE_LEAST || units < SPARSE_LEAST)
        return false;
    for (bd_size i = 0; i < n; i += step)
        count += k->count_nonzero(x + i * in, in);
    if (few)
        return count <= in / 4 * 3;
    return count <= looked_at * in / 3 * 2 && (known || k->all_below(factor, factors, (real)INFINITY));
}

static void REAL(affine_forward)(const bd_layer *layer, const bd_io *io)
{
    const bd_size n = io->shape->dim[0], in = bd_features(io->shape), units = layer->hyper[UNITS].i;
    const REAL(bd_kernels) *k = io->kernels;

    const bd_block block = share_of_product(io, n, units);

    if (REAL(is_sparse)(io->x[0], n, in, io->param[W], in * units, units, io->finite, k))
        k->gemm_nn_sparse(io->out, io->x[0], io->param[W], n, units, in, io->param[B], io->relu_out, &block);
    else
        k->gemm_nn(io->out, io->x[0], io->param[W], n, units, in, io->param[B], io->relu_out, &block);
}

static void REAL(affine_backward)(const bd_layer *layer, const bd_io *io)
{
    const bd_size n = io->shape->dim[0], in = bd_features(io->shape), units = layer->hyper[UNITS].i;
    const bd_block dw = share_of_product(io, in, units), dx = share_of_product(io, n, in);
    const REAL(bd_kernels) *k = io->kernels;

    /* out = x W + b */
    if (REAL(is_sparse)(io->x[0], n, in, io->dout, n * units, units, false, k)) /* dW = x^T dout */
        k->gemm_tn_sparse(io->dparam[W], io->x[0], io->dout, in, units, n, &dw);
    else
        k->gemm_tn(io->dparam[W], io->x[0], io->dout, in, units, n, &dw);
    if (bd_is_last(io))
        k->sum_rows(io->dparam[B], io->dout, n, units); /* db = sum of dout over the batch */
    if (!io->dx[0])
        return;
    const real *mask = io->relu_dx ? io->x[0] : NULL; /* dx = dout W^T, 0 where a ReLU made x 0 */
    if (REAL(is_sparse)(io->dout, n, units, io->param[W], in * units, in, false, k))
        k->gemm_nt_sparse(io->dx[0], io->dout, io->param[W], n, in, units, mask, &dx);
    else
        k->gemm_nt(io->dx[0], io->dout, io->param[W], n, in, units, mask, &dx);
}

/* part: out[unit] */
static void REAL(affine_nudge)(const bd_layer *layer, const bd_io *io, int param, bd_size element, const void *step,
                               void *part)
{
    const real *x = io->x[0];

    *(real *)part += *(const real *)step * (param == W ? x[element / layer->hyper[UNITS].i] : 1);
}

static void REAL(affine_spread)(const bd_layer *layer, const bd_io *io, void *out, const void *change, bd_size from,
                                bd_size count)
{
    const bd_size units = layer->hyper[UNITS].i;
    const real *w = (const real *)io->param[W] + from * units, *d = change;
    real *to = out;

    for (bd_size i = 0; i < count; i++, w += units)
        for (bd_size j = 0; j < units && d[i] != 0; j++)
            to[j] += d[i] * w[j];
}

#else /* ----------------------------------------------------- once */

#include <math.h>

#include "../badak.h"
#include "../../kernels/kernels.h"
#include "../share.h"

enum { UNITS, INIT };       /* hyper-parameters */
enum { W, B };              /* parameters */
enum { LOOKED_AT = 8 };     /* rows of x, about, that tell how many of its elements are 0 */
enum { SPARSE_LEAST = 32 }; /* samples, features and units with which skipping can pay */

/* This part's share of a product (m, n). A product copies the columns of its right side once for all rows, so wide
 * shares are dearer than high ones; but a share of a few rows pays for the copy alone. */
static bd_block share_of_product(const bd_io *io, bd_size m, bd_size n)
{
    enum { ROWS_OF_A_COPY = 8, COLUMNS = 8 };
    const int parts = io->parts > 1 ? io->parts : 1;
    bd_size least = 0;
    int bands = 1; /* of rows; the others are of columns */

    for (int rows = 1; rows <= parts; rows++) {
        const bd_size high = bd_share_of(m, 1, rows - 1, rows).count;
        const bd_size wide = bd_share_of(n, COLUMNS, parts / rows - 1, parts / rows).count;
        const bd_size cost = (high + ROWS_OF_A_COPY) * ((wide + COLUMNS - 1) / COLUMNS);
        if (parts % rows == 0 && (least == 0 || cost < least)) {
            least = cost;
            bands = rows;
        }
    }
    const bd_range rows = bd_share_of(m, 1, io->part % bands, bands);
    const bd_range columns = bd_share_of(n, COLUMNS, io->part / bands, parts / bands);
    return (bd_block){rows.from, rows.count, columns.from, columns.count};
}

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

static void affine_reach(const bd_layer *layer, const bd_shape *x, int param, bd_size element, bd_size *from,
                         bd_size *count)
{
    (void)x;
    *from = param == W ? element % layer->hyper[UNITS].i : element;
    *count = 1;
}

const bd_layer_kind bd_affine = {
    .name = "Affine",
    .inputs = 1,
    .flags = BD_KEEP_INPUT | BD_CAN_RELU | BD_SHARES,
    .hyper = {[UNITS] = {"units", BD_INT, .min = 1, .max = 0x1p48, .needed = true},
              [INIT] = {"init", BD_INIT, .min = 0, .max = 1e300, .fallback = BD_INIT_HE}},
    .param = {[W] = {"W", BD_WEIGHT}, [B] = {"b", BD_BIAS}},
    .shape = affine_shape,
    .forward = BD_EACH_REAL(affine_forward),
    .backward = BD_EACH_REAL(affine_backward),
    .reach = affine_reach,
    .nudge = BD_EACH_REAL(affine_nudge),
    .spread = BD_EACH_REAL(affine_spread),
};

#endif
