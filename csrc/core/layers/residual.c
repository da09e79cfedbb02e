/* Residual: out = x + branch(x)              (He et al., "Deep residual learning", 2015; book: section 8.2.4)
 *
 * NumPy twin:   out = x + branch.forward(x)
 *               dx = dout + branch.backward(dout)
 *
 * The branch is made of the layer's children; the plan of the net runs them, this file adds. Its two inputs are
 * x and what the children made of x; both get dout, and the plan sums the two gradients that meet at x.
 */
#ifdef real

static void REAL(residual_forward)(const bd_layer *layer, const bd_io *io)
{
    const bd_range r = bd_share_elements(io);
    const REAL(bd_kernels) *k = io->kernels;
    const real *x = io->x[0], *branch = io->x[1];

    (void)layer;
    k->add((real *)io->out + r.from, x + r.from, branch + r.from, r.count);
}

static void REAL(residual_backward)(const bd_layer *layer, const bd_io *io)
{
    const bd_range r = bd_share_elements(io);

    (void)layer;
    /* out = x + branch(x) */
    for (int i = 0; i < 2; i++)
        if (io->dx[i])
            memcpy((real *)io->dx[i] + r.from, (const real *)io->dout + r.from, (size_t)r.count * sizeof(real));
}

#else

#include <string.h>

#include "../badak.h"
#include "../../kernels/kernels.h"
#include "../share.h"

#define BD_BODY "layers/residual.c"
#include "../each_real.h"

static bd_status residual_shape(const bd_layer *layer, const bd_shape *x, bd_form *form, bd_detail *detail)
{
    (void)layer;
    if (!bd_same_shape(&x[0], &x[1])) {
        *detail = (bd_detail){.what = "the branch of Residual", .got = bd_features(&x[1]), .expected = bd_features(x)};
        return BD_BAD_FEATURES;
    }
    form->out = x[0];
    return BD_OK;
}

const bd_layer_kind bd_residual = {
    .name = "Residual",
    .inputs = 2,
    .branches = 1,
    .flags = BD_ANY_ORDER | BD_SHARES,
    .shape = residual_shape,
    .forward = BD_EACH_REAL(residual_forward),
    .backward = BD_EACH_REAL(residual_backward),
};

#endif
