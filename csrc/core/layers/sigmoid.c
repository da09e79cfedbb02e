/* Sigmoid: out = 1 / (1 + exp(-x))                                 (book: section 5.5.2)
 *
 * NumPy twin:   out = 1 / (1 + np.exp(-x))            (the kernel does not overflow for large -x)
 *               dx = dout * out * (1 - out)
 *
 * Shapes:       any; out like x.
 */
#ifdef real

static void REAL(sigmoid_forward)(const bd_layer *layer, const bd_io *io)
{
    const bd_range r = bd_share_elements(io);
    const REAL(bd_kernels) *k = io->kernels;

    (void)layer;
    k->sigmoid((real *)io->out + r.from, (const real *)io->x[0] + r.from, r.count);
}

static void REAL(sigmoid_backward)(const bd_layer *layer, const bd_io *io)
{
    const bd_range r = bd_share_elements(io);
    const REAL(bd_kernels) *k = io->kernels;
    const real *out = io->out, *dout = io->dout;
    real *dx = io->dx[0];

    (void)layer;
    /* out = 1 / (1 + exp(-x)), so d out / dx = out (1 - out) */
    if (dx)
        k->sigmoid_backward(dx + r.from, dout + r.from, out + r.from, r.count);
}

#else

#include "../badak.h"
#include "../../kernels/kernels.h"
#include "../share.h"
#include "same_shape.h"

#define BD_BODY "layers/sigmoid.c"
#include "../each_real.h"

const bd_layer_kind bd_sigmoid = {
    .name = "Sigmoid",
    .inputs = 1,
    .flags = BD_KEEP_OUTPUT | BD_ANY_ORDER | BD_PER_CHANNEL | BD_SHARES,
    .shape = same_shape,
    .forward = BD_EACH_REAL(sigmoid_forward),
    .backward = BD_EACH_REAL(sigmoid_backward),
};

#endif
