/* Flatten: out = x as rows, one per sample, in c h w order
 *
 * NumPy twin:   out = x.reshape(len(x), -1);  dx = dout.reshape(x.shape)
 *
 * Shapes:       x (n, ...), out (n, features). Affine flattens by itself: this is for those who want to see it.
 */
#ifdef real

static void REAL(flatten_forward)(const bd_layer *layer, const bd_io *io)
{
    (void)layer;
    memcpy(io->out, io->x[0], (size_t)bd_count(io->shape) * sizeof(real));
}

static void REAL(flatten_backward)(const bd_layer *layer, const bd_io *io)
{
    (void)layer;
    if (io->dx[0])
        memcpy(io->dx[0], io->dout, (size_t)bd_count(io->shape) * sizeof(real));
}

#else

#include <string.h>

#include "../badak.h"

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
    .flags = BD_PER_CHANNEL,
    .shape = flatten_shape,
    .forward = BD_EACH_REAL(flatten_forward),
    .backward = BD_EACH_REAL(flatten_backward),
};

#endif
