/* SigmoidWithLoss: y = sigmoid(x), loss = -sum(t log y + (1 - t) log(1 - y)) / n        (yes or no, for each column)
 *
 * NumPy twin:   y = 1 / (1 + np.exp(-x))
 *               loss = (np.maximum(x, 0) - x * t + np.log1p(np.exp(-abs(x)))).sum() / n
 *               dx = dout * (y - t) / n
 *
 * Shapes:       x (n, c), t rows of as many numbers in [0, 1]; loss one number; keeps y (n, c).
 * Written so, the logarithm is exact for any x.
 */
#ifdef real

static void REAL(sigmoid_with_loss_forward)(const bd_layer *layer, const bd_io *io)
{
    const bd_size n = io->shape->dim[0], count = bd_count(io->shape);
    const REAL(bd_kernels) *k = io->kernels;
    const real *x = io->x[0], *t = io->target->rows;
    real *loss = io->out;
    wide_real total = 0;

    (void)layer;
    k->sigmoid(io->keep, x, count);
    for (bd_size i = 0; i < count; i++) {
        const wide_real size = x[i] < 0 ? -x[i] : x[i];
        total += (x[i] > 0 ? x[i] : 0) - (wide_real)x[i] * t[i] + WIDE_LOG1P(WIDE_EXP(-size));
    }
    *loss = (real)(total / (wide_real)n);
}

static void REAL(sigmoid_with_loss_backward)(const bd_layer *layer, const bd_io *io)
{
    const bd_size n = io->shape->dim[0], count = bd_count(io->shape);
    const real *y = io->keep, *t = io->target->rows;
    const real scale = *(const real *)io->dout / (real)n;
    real *dx = io->dx[0];

    (void)layer;
    /* loss = -sum(t log y + (1 - t) log(1 - y)) / n, y = sigmoid(x) */
    for (bd_size i = 0; dx && i < count; i++)
        dx[i] = (y[i] - t[i]) * scale;
}

#else

#include <math.h>

#include "../badak.h"
#include "../../kernels/kernels.h"

#define WIDE_EXP(x) _Generic((x), long double: expl, default: exp)(x)
#define WIDE_LOG1P(x) _Generic((x), long double: log1pl, default: log1p)(x)

#define BD_BODY "layers/sigmoid_with_loss.c"
#include "../each_real.h"

static bd_status sigmoid_with_loss_shape(const bd_layer *layer, const bd_shape *x, bd_form *form, bd_detail *detail)
{
    (void)layer;
    if (x->ndim != 2) {
        *detail = (bd_detail){.what = "the scores", .got = x->ndim, .expected = 2};
        return BD_BAD_NDIM;
    }
    form->out = bd_shape1(1);
    form->keep = bd_count(x);
    return BD_OK;
}

const bd_layer_kind bd_sigmoid_with_loss = {
    .name = "SigmoidWithLoss",
    .inputs = 1,
    .flags = BD_IS_LOSS | BD_ROW_TARGET | BD_BINARY_TARGET,
    .shape = sigmoid_with_loss_shape,
    .forward = BD_EACH_REAL(sigmoid_with_loss_forward),
    .backward = BD_EACH_REAL(sigmoid_with_loss_backward),
};

#endif
