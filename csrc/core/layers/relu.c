/* Relu: out = x where x > 0, else 0                                (book: section 5.5.1)
 *
 * NumPy twin:   mask = x <= 0
 *               out, dx = np.where(mask, 0, x), np.where(mask, 0, dout)
 *
 * Shapes:       any; out like x. A NaN passes, forward and backward.
 */
#ifdef real

static void REAL(relu_forward)(const bd_layer *layer, const bd_io *io)
{
    const REAL(bd_kernels) *k = io->kernels;

    (void)layer;
    k->relu(io->out, io->x[0], bd_count(io->shape));
}

static void REAL(relu_backward)(const bd_layer *layer, const bd_io *io)
{
    const REAL(bd_kernels) *k = io->kernels;

    (void)layer;
    /* out = x where x > 0, else 0: out tells the two apart as well as x */
    if (io->dx[0])
        k->relu_backward(io->dx[0], io->dout, io->out, bd_count(io->shape));
}

#else

#include "../badak.h"
#include "../../kernels/kernels.h"
#include "same_shape.h"

static double below_0(const bd_layer *layer)
{
    (void)layer;
    return 0;
}

#define BD_BODY "layers/side_of_0.h"
#include "../each_real.h"

#define BD_BODY "layers/relu.c"
#include "../each_real.h"

const bd_layer_kind bd_relu = {
    .name = "Relu",
    .inputs = 1,
    .flags = BD_KEEP_OUTPUT | BD_IS_RELU | BD_ANY_ORDER | BD_PER_CHANNEL,
    .shape = same_shape,
    .forward = BD_EACH_REAL(relu_forward),
    .backward = BD_EACH_REAL(relu_backward),
    .branch = BD_EACH_REAL(side_of_0),
};

#endif
