/* Dropout: in training each number is kept or made 0 by chance             (book: section 6.4.3; Hinton et al. 2012)
 *
 * NumPy twin:   mask = np.random.rand(*x.shape) > ratio;  out, dx = x * mask, dout * mask
 *               not in training: out = x * (1 - ratio)
 *               inverted: the mask is divided by 1 - ratio instead, and out = x when not in training
 *
 * Shapes:       any; out like x; keeps what x was multiplied by.
 */
#ifdef real

static void REAL(dropout_forward)(const bd_layer *layer, const bd_io *io)
{
    const bd_range r = bd_share_elements(io);
    const double ratio = layer->hyper[RATIO].f;
    const bool inverted = layer->hyper[INVERTED].i;
    const real kept = inverted ? (real)(1 / (1 - ratio)) : 1, always = inverted ? 1 : (real)(1 - ratio);
    const real *x = io->x[0];
    real *out = io->out, *factor = io->keep;

    for (bd_size i = r.from; i < r.from + r.count; i++) {
        factor[i] = !io->training ? always : io->draws[i] > ratio ? kept : 0;
        out[i] = x[i] * factor[i];
    }
}

static void REAL(dropout_backward)(const bd_layer *layer, const bd_io *io)
{
    const bd_range r = bd_share_elements(io);
    const real *factor = io->keep, *dout = io->dout;
    real *dx = io->dx[0];

    (void)layer;
    /* out = x factor */
    for (bd_size i = r.from; dx && i < r.from + r.count; i++)
        dx[i] = dout[i] * factor[i];
}

#else

#include "../badak.h"
#include "../share.h"

enum { RATIO, INVERTED }; /* hyper-parameters */

#define BD_BODY "layers/dropout.c"
#include "../each_real.h"

static bd_status dropout_shape(const bd_layer *layer, const bd_shape *x, bd_form *form, bd_detail *detail)
{
    (void)layer;
    (void)detail;
    form->out = x[0];
    form->keep = form->draws = bd_count(x);
    return BD_OK;
}

const bd_layer_kind bd_dropout = {
    .name = "Dropout",
    .inputs = 1,
    .flags = BD_DIFFERS_IN_TRAINING | BD_PER_CHANNEL | BD_SHARES,
    .hyper = {[RATIO] = {"dropout_ratio", BD_REAL, .min = 0, .max = 1, .below = true, .fallback = 0.5},
              [INVERTED] = {"inverted", BD_INT, .min = 0, .max = 1}},
    .shape = dropout_shape,
    .forward = BD_EACH_REAL(dropout_forward),
    .backward = BD_EACH_REAL(dropout_backward),
};

#endif
