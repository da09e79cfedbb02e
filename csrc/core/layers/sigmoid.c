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
    const REAL(bd_kernels) *k = io->kernels;

    (void)layer;
    k->sigmoid(io->out, io->x[0], bd_count(io->shape));
}

static void REAL(sigmoid_backward)(const bd_layer *layer, const bd_io *io)
{
    const REAL(bd_kernels) *k = io->kernels;

    (void)layer;
    /* out = 1 / (1 + exp(-x)), so d out / dx = out (1 - out) */
    if (io->dx[0])
        k->sigmoid_backward(io->dx[0], io->dout, io->out, bd_count(io->shape));
}

#else

#include "../badak.h"
#include "../../kernels/kernels.h"
#include "same_shape.h"

#define BD_BODY "layers/sigmoid.c"
#include "../each_real.h"

const bd_layer_kind bd_sigmoid = {
    .name = "Sigmoid",
    .inputs = 1,
    .flags = BD_KEEP_OUTPUT | BD_ANY_ORDER | BD_PER_CHANNEL,
    .shape = same_shape,
    .forward = BD_EACH_REAL(sigmoid_forward),
    .backward = BD_EACH_REAL(sigmoid_backward),
};

#endif
