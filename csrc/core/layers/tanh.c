/* Tanh: out = tanh(x)                                              (book: section 6.2.2)
 *
 * NumPy twin:   out = np.tanh(x)
 *               dx = dout * (1 - out**2)
 *
 * Shapes:       any; out like x.
 */
#ifdef real

static void REAL(tanh_forward)(const bd_layer *layer, const bd_io *io)
{
    const REAL(bd_kernels) *k = io->kernels;

    (void)layer;
    k->tanh(io->out, io->x[0], bd_count(io->shape));
}

static void REAL(tanh_backward)(const bd_layer *layer, const bd_io *io)
{
    const REAL(bd_kernels) *k = io->kernels;

    (void)layer;
    /* out = tanh(x), so d out / dx = 1 - out^2 */
    if (io->dx[0])
        k->tanh_backward(io->dx[0], io->dout, io->out, bd_count(io->shape));
}

#else

#include "../badak.h"
#include "../../kernels/kernels.h"
#include "same_shape.h"

#define BD_BODY "layers/tanh.c"
#include "../each_real.h"

const bd_layer_kind bd_tanh = {
    .name = "Tanh",
    .inputs = 1,
    .flags = BD_KEEP_OUTPUT | BD_ANY_ORDER | BD_PER_CHANNEL,
    .shape = same_shape,
    .forward = BD_EACH_REAL(tanh_forward),
    .backward = BD_EACH_REAL(tanh_backward),
};

#endif
