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
    const bd_range r = bd_share_elements(io);
    const REAL(bd_kernels) *k = io->kernels;

    (void)layer;
    k->tanh((real *)io->out + r.from, (const real *)io->x[0] + r.from, r.count);
}

static void REAL(tanh_backward)(const bd_layer *layer, const bd_io *io)
{
    const bd_range r = bd_share_elements(io);
    const REAL(bd_kernels) *k = io->kernels;
    const real *out = io->out, *dout = io->dout;
    real *dx = io->dx[0];

    (void)layer;
    /* out = tanh(x), so d out / dx = 1 - out^2 */
    if (dx)
        k->tanh_backward(dx + r.from, dout + r.from, out + r.from, r.count);
}

#else

#include "../badak.h"
#include "../../kernels/kernels.h"
#include "../share.h"
#include "same_shape.h"

#define BD_BODY "layers/tanh.c"
#include "../each_real.h"

const bd_layer_kind bd_tanh = {
    .name = "Tanh",
    .inputs = 1,
    .flags = BD_KEEP_OUTPUT | BD_ANY_ORDER | BD_PER_CHANNEL | BD_SHARES,
    .shape = same_shape,
    .forward = BD_EACH_REAL(tanh_forward),
    .backward = BD_EACH_REAL(tanh_backward),
};

#endif
