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
    const bd_range r = bd_share_elements(io);
    const REAL(bd_kernels) *k = io->kernels;
    const real *x = io->x[0];
    real *out = io->out;

    (void)layer;
    if (io->sign)
        k->relu_signs(out + r.from, io->sign + r.from, x + r.from, r.count);
    else
        k->relu(out + r.from, x + r.from, r.count);
}

static void REAL(relu_backward)(const bd_layer *layer, const bd_io *io)
{
    const bd_range r = bd_share_elements(io);
    const REAL(bd_kernels) *k = io->kernels;
    const real *out = io->out, *dout = io->dout;
    real *dx = io->dx[0];

    (void)layer;
    /* out = x where x > 0, else 0: out tells the two apart as well as x */
    if (dx && io->sign)
        k->relu_backward_signs(dx + r.from, dout + r.from, io->sign + r.from, r.count);
    else if (dx)
        k->relu_backward(dx + r.from, dout + r.from, out + r.from, r.count);
}

#else

#include "../badak.h"
#include "../../kernels/kernels.h"
#include "../share.h"
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
    .flags = BD_KEEP_OUTPUT | BD_IS_RELU | BD_ANY_ORDER | BD_PER_CHANNEL | BD_SHARES,
    .shape = same_shape,
    .forward = BD_EACH_REAL(relu_forward),
    .backward = BD_EACH_REAL(relu_backward),
    .branch = BD_EACH_REAL(side_of_0),
};

#endif
