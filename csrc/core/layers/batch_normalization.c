/* BatchNormalization: out = gamma (x - mean) / sqrt(var + eps) + beta
 *                                          (book: section 6.3; Ioffe and Szegedy 2015)
 * NumPy twin, of rows x (n, d):
 *     xc = x - x.mean(0);  std = np.sqrt((xc**2).mean(0) + eps);  out = gamma * xc / std + beta
 *     dbeta, dgamma = dout.sum(0), (xc / std * dout).sum(0)
 *     dx = gamma / std * (dout - dbeta / n - xc / std * dgamma / n)
 *
 * Shapes:   x (n, ...). Per feature, as the book: d = all features, s = 1. Per channel: d = c, s = h w, and the means
 *           run over n and s. Parameters and buffers (d). Keeps xhat = xc / std like x, and std (d).
 * Training uses the batch's own mean and variance and moves the buffers towards them; else the buffers are used.
 */
#ifdef real

/* sum[c] = sum over n and s of a b (b NULL: of a), for the means `of` */
static void REAL(sum_over_batch)(wide_real *sum, const real *a, const real *b, bd_size n, bd_size d, bd_size s,
                                 bd_range of)
{
    const bd_size end = of.from + of.count;

    for (bd_size c = of.from; c < end; c++)
        sum[c] = 0;
    for (bd_size i = 0; i < n; i++)
        for (bd_size c = of.from, at = (i * d + c) * s; c < end; c++) {
            wide_real part = 0;
            for (bd_size j = 0; j < s; j++, at++)
                part += b ? (wide_real)a[at] * b[at] : a[at];
            sum[c] += part;
        }
}

/* Each part has its share of the means, and the numbers that belong to them. */
static void REAL(batch_normalization_forward)(const bd_layer *layer, const bd_io *io)
{
    const bd_size n = io->shape->dim[0], d = normalized(layer, io->shape), s = bd_features(io->shape) / d;
    const bd_range of = bd_share(io, d, unit_of(s));
    const bd_size end = of.from + of.count;
    const real *x = io->x[0], *gamma = io->param[GAMMA], *beta = io->param[BETA];
    const double eps = layer->hyper[EPS].f, momentum = layer->hyper[MOMENTUM].f;
    real *out = io->out, *xhat = io->keep, *std = xhat + n * d * s, *mean = std + d;
    real *running_mean = io->buffer[MEAN], *running_var = io->buffer[VAR];
    wide_real *sum = (wide_real *)io->work;
    const wide_real count = (wide_real)(n * s);

    if (io->training)
        REAL(sum_over_batch)(sum, x, NULL, n, d, s, of);
    for (bd_size c = of.from; c < end; c++)
        mean[c] = io->training ? (real)(sum[c] / count) : running_mean[c];
    for (bd_size i = 0; i < n; i++)
        for (bd_size c = of.from, at = (i * d + c) * s; c < end; c++)
            for (bd_size j = 0; j < s; j++, at++)
                xhat[at] = x[at] - mean[c]; /* not yet divided */
    if (io->training)
        REAL(sum_over_batch)(sum, xhat, xhat, n, d, s, of);
    for (bd_size c = of.from; c < end; c++) {
        const wide_real var = io->training ? sum[c] / count : (wide_real)running_var[c];
        std[c] = (real)WIDE_SQRT(var + (wide_real)eps);
        if (io->training) {
            running_mean[c] = (real)((wide_real)momentum * running_mean[c] + (wide_real)(1 - momentum) * mean[c]);
            running_var[c] = (real)((wide_real)momentum * running_var[c] + (wide_real)(1 - momentum) * var);
        }
    }
    for (bd_size i = 0; i < n; i++)
        for (bd_size c = of.from, at = (i * d + c) * s; c < end; c++)
            for (bd_size j = 0; j < s; j++, at++) {
                xhat[at] /= std[c];
                out[at] = gamma[c] * xhat[at] + beta[c];
            }
}

static void REAL(batch_normalization_backward)(const bd_layer *layer, const bd_io *io)
{
    const bd_size n = io->shape->dim[0], d = normalized(layer, io->shape), s = bd_features(io->shape) / d;
    const bd_range of = bd_share(io, d, unit_of(s));
    const bd_size end = of.from + of.count;
    const real *dout = io->dout, *xhat = io->keep, *std = xhat + n * d * s, *gamma = io->param[GAMMA];
    real *dx = io->dx[0], *dgamma = io->dparam[GAMMA], *dbeta = io->dparam[BETA];
    wide_real *sum = (wide_real *)io->work;
    const real count = (real)(n * s);

    /* out = gamma xhat + beta, xhat = (x - mean) / std; mean and std depend on x too */
    REAL(sum_over_batch)(sum, dout, NULL, n, d, s, of);
    for (bd_size c = of.from; c < end; c++)
        dbeta[c] = (real)sum[c];
    REAL(sum_over_batch)(sum, dout, xhat, n, d, s, of);
    for (bd_size c = of.from; c < end; c++)
        dgamma[c] = (real)sum[c];
    if (!dx)
        return;
    for (bd_size i = 0; i < n; i++)
        for (bd_size c = of.from, at = (i * d + c) * s; c < end; c++)
            for (bd_size j = 0; j < s; j++, at++) {
                real inner = dout[at];
                if (io->training) /* otherwise mean and std are constants */
                    inner -= (dbeta[c] + xhat[at] * dgamma[c]) / count;
                dx[at] = gamma[c] / std[c] * inner;
            }
}

#else

#include <math.h>
#include <string.h>

#include "../badak.h"
#include "../share.h"

enum { MOMENTUM, EPS, PER_CHANNEL }; /* hyper-parameters */
enum { GAMMA, BETA };                /* parameters */
enum { MEAN, VAR };                  /* buffers */

#define WIDE_SQRT(x) _Generic((x), long double: sqrtl, default: sqrt)(x)

/* How many means there are. */
static bd_size normalized(const bd_layer *layer, const bd_shape *x)
{
    return layer->hyper[PER_CHANNEL].i ? x->dim[1] : bd_features(x);
}

/* Shares of means whose numbers lie side by side are whole cache lines. */
static bd_size unit_of(bd_size s)
{
    return s < BD_LINE ? BD_LINE : 1;
}

#define BD_BODY "layers/batch_normalization.c"
#include "../each_real.h"

static bd_status batch_normalization_shape(const bd_layer *layer, const bd_shape *x, bd_form *form, bd_detail *detail)
{
    if (x->ndim < 2) {
        *detail = (bd_detail){.what = "x", .got = x->ndim, .expected = 2};
        return BD_BAD_NDIM;
    }
    const bd_size d = normalized(layer, x);
    form->out = x[0];
    form->param[GAMMA] = form->param[BETA] = form->buffer[MEAN] = form->buffer[VAR] = bd_shape1(d);
    form->fan_in = d;
    form->keep = bd_count(x) + 2 * d;
    form->work = 2 * d; /* d of `wide_real`, which is at most two reals */
    return BD_OK;
}

const bd_layer_kind bd_batch_normalization = {
    .name = "BatchNormalization",
    .inputs = 1,
    .flags = BD_MIXES_SAMPLES | BD_DIFFERS_IN_TRAINING | BD_SHARES,
    .hyper = {[MOMENTUM] = {"momentum", BD_REAL, .min = 0, .max = 1, .below = true, .fallback = 0.9},
              [EPS] = {"eps", BD_REAL, .min = 0, .above = true, .max = 1, .fallback = 1e-6},
              [PER_CHANNEL] = {"per_channel", BD_INT, .min = 0, .max = 1}},
    .param = {[GAMMA] = {"gamma", BD_SCALE}, [BETA] = {"beta", BD_BIAS}},
    .buffer = {[MEAN] = {"running_mean", BD_STATISTIC}, [VAR] = {"running_var", BD_STATISTIC}},
    .shape = batch_normalization_shape,
    .forward = BD_EACH_REAL(batch_normalization_forward),
    .backward = BD_EACH_REAL(batch_normalization_backward),
};

#endif
