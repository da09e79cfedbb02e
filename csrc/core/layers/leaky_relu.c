/* LeakyRelu: out = x where x > 0, else slope x                     (Maas, Hannun, Ng 2013)
 *
 * NumPy twin:   out, dx = np.where(x > 0, x, slope * x), np.where(x > 0, dout, slope * dout)
 *
 * Shapes:       any; out like x.
 */
#ifdef real

static void REAL(leaky_relu_forward)(const bd_layer *layer, const bd_io *io)
{
    const bd_range r = bd_share_elements(io);
    const real slope = (real)layer->hyper[SLOPE].f;
    const real *x = io->x[0];
    real *out = io->out;

    for (bd_size i = r.from; i < r.from + r.count; i++)
        out[i] = x[i] > 0 ? x[i] : slope * x[i];
}

static void REAL(leaky_relu_backward)(const bd_layer *layer, const bd_io *io)
{
    const bd_range r = bd_share_elements(io);
    const real slope = (real)layer->hyper[SLOPE].f;
    const real *x = io->x[0], *dout = io->dout;
    real *dx = io->dx[0];

    /* out = x where x > 0, else slope x */
    for (bd_size i = r.from; dx && i < r.from + r.count; i++)
        dx[i] = x[i] > 0 ? dout[i] : slope * dout[i];
}

#else

#include "../badak.h"
#include "../share.h"
#include "same_shape.h"

enum { SLOPE }; /* hyper-parameters */

static double below_0(const bd_layer *layer)
{
    return layer->hyper[SLOPE].f;
}

#define BD_BODY "layers/side_of_0.h"
#include "../each_real.h"

#define BD_BODY "layers/leaky_relu.c"
#include "../each_real.h"

const bd_layer_kind bd_leaky_relu = {
    .name = "LeakyRelu",
    .inputs = 1,
    .flags = BD_KEEP_INPUT | BD_ANY_ORDER | BD_PER_CHANNEL | BD_SHARES,
    .hyper = {[SLOPE] = {"slope", BD_REAL, .min = 0, .max = 1, .fallback = 0.01}},
    .shape = same_shape,
    .forward = BD_EACH_REAL(leaky_relu_forward),
    .backward = BD_EACH_REAL(leaky_relu_backward),
    .branch = BD_EACH_REAL(side_of_0),
};

#endif
