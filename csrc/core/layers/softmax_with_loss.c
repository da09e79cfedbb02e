/* SoftmaxWithLoss: y = softmax(x), loss = -sum(t log y) / n        (book: section 5.6.3)
 *
 * NumPy twin:   y = np.exp(x - x.max(1, keepdims=True));  y /= y.sum(1, keepdims=True)
 *               loss = -(t * np.log(y + eps)).sum() / n
 *               dx = dout * (y * t.sum(1, keepdims=True) - t) / n
 *
 * Shapes:       x (n, c); t an index (n) or rows (n, c); loss one number; keeps y (n, c).
 * With eps 0 the logarithm is taken exactly: log y = x - max x - log sum exp(x - max x), and that sum is between 1 and
 * c. With eps the loss is the book's, which differentiates as if eps were not there: so does this backward.
 */
#ifdef real

/* With some digits more than the loss has. */
static long double REAL(log_of)(long double x)
{
    return sizeof(real) == sizeof(float) ? (long double)log((double)x) : logl(x);
}

/* -log of the probability of a class: its score is x, its probability y; the largest score and the sum of the sample */
static long double REAL(surprise)(real x, real y, real most, real total, double eps)
{
    if (eps != 0)
        return -REAL(log_of)((long double)y + (long double)eps);
    return ((long double)most - x) + REAL(log_of)(total);
}

static void REAL(softmax_with_loss_forward)(const bd_layer *layer, const bd_io *io)
{
    const bd_size n = io->shape->dim[0], c = io->shape->dim[1];
    const REAL(bd_kernels) *k = io->kernels;
    const double eps = layer->hyper[EPS].f;
    const real *x = io->x[0], *t = io->target->rows;
    real *y = io->keep, *most = y + n * c, *total = most + n, *loss = io->out;
    long double sum = 0;

    k->softmax_rows(y, most, total, x, n, c);
    for (bd_size i = 0; i < n; i++) {
        const bd_size row = i * c;
        if (io->target->index) {
            const bd_size at = row + io->target->index[i];
            sum += REAL(surprise)(x[at], y[at], most[i], total[i], eps);
        } else {
            for (bd_size at = row; at < row + c; at++)
                if (t[at] != 0) /* 0 log 0 is 0 */
                    sum += t[at] * REAL(surprise)(x[at], y[at], most[i], total[i], eps);
        }
    }
    *loss = (real)(sum / (long double)n);
}

static void REAL(softmax_with_loss_backward)(const bd_layer *layer, const bd_io *io)
{
    const bd_size n = io->shape->dim[0], c = io->shape->dim[1];
    const real *y = io->keep, *t = io->target->rows;
    const real scale = *(const real *)io->dout / (real)n;
    real *dx = io->dx[0];

    (void)layer;
    if (!dx)
        return;
    /* loss = -sum(t log y) / n, y = softmax(x) */
    for (bd_size i = 0; i < n; i++) {
        const bd_size row = i * c;
        if (io->target->index) {
            const bd_size class = io->target->index[i];
            for (bd_size j = 0; j < c; j++)
                dx[row + j] = y[row + j] * scale;
            dx[row + class] = (y[row + class] - 1) * scale;
        } else {
            real weight = 0;
            for (bd_size j = 0; j < c; j++)
                weight += t[row + j];
            for (bd_size j = 0; j < c; j++)
                dx[row + j] = (y[row + j] * weight - t[row + j]) * scale;
        }
    }
}

#else

#include <math.h>

#include "../badak.h"
#include "../../kernels/kernels.h"

enum { EPS }; /* hyper-parameters */

#define BD_BODY "layers/softmax_with_loss.c"
#include "../each_real.h"

static bd_status softmax_with_loss_shape(const bd_layer *layer, const bd_shape *x, bd_form *form, bd_detail *detail)
{
    (void)layer;
    if (x->ndim != 2) {
        *detail = (bd_detail){.what = "the scores", .got = x->ndim, .expected = 2};
        return BD_BAD_NDIM;
    }
    form->out = bd_shape1(1);
    form->keep = bd_count(x) + 2 * x->dim[0]; /* probabilities, and of each sample the largest score and the sum */
    return BD_OK;
}

const bd_layer_kind bd_softmax_with_loss = {
    .name = "SoftmaxWithLoss",
    .inputs = 1,
    .flags = BD_IS_LOSS | BD_CLASS_TARGET | BD_ROW_TARGET,
    .hyper = {[EPS] = {"eps", BD_REAL, .min = 0, .max = 1}},
    .shape = softmax_with_loss_shape,
    .forward = BD_EACH_REAL(softmax_with_loss_forward),
    .backward = BD_EACH_REAL(softmax_with_loss_backward),
};

#endif
