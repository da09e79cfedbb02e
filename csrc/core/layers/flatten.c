/* Flatten: out = x as rows, one per sample, in c h w order
 *
 * NumPy twin:   out = x.reshape(len(x), -1);  dx = dout.reshape(x.shape)
 *
 * Shapes:       x (n, ...), out (n, features). Affine flattens by itself: this is for those who want to see it.
 */
#ifdef real

static void REAL(flatten_forward)(const bd_layer *layer, const bd_io *io)
{
    const bd_range r = bd_share_elements(io);

    (void)layer;
    memcpy((real *)io->out + r.from, (const real *)io->x[0] + r.from, (size_t)r.count * sizeof(real));
}

static void REAL(flatten_backward)(const bd_layer *layer, const bd_io *io)
{
    const bd_range r = bd_share_elements(io);

    (void)layer;
    if (io->dx[0])
        memcpy((real *)io->dx[0] + r.from, (const real *)io->dout + r.from, (size_t)r.count * sizeof(real));
}

#else

#include <string.h>

#include "../badak.h"
#include "../share.h"

#define BD_BODY "layers/flatten.c"
#include "../each_real.h"

static bd_status flatten_shape(const bd_layer *layer, const bd_shape *x, bd_form *form, bd_detail *detail)
{
    (void)layer;
    (void)detail;
    form->out = bd_shape2(x->dim[0], bd_features(x));
    return BD_OK;
}

const bd_layer_kind bd_flatten = {
    .name = "Flatten",
    .inputs = 1,
    .flags = BD_PER_CHANNEL | BD_SHARES,
    .shape = flatten_shape,
    .forward = BD_EACH_REAL(flatten_forward),
    .backward = BD_EACH_REAL(flatten_backward),
};

#endif
