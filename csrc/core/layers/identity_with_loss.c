/* IdentityWithLoss: y = x, loss = sum((y - t)^2) / (2 n)           (book: section 5.6.3, its last paragraph)
 *
 * NumPy twin:   loss = ((x - t)**2).sum() / (2 * n)
 *               dx = dout * (x - t) / n
 *
 * Shapes:       x (n, ...), t rows of as many numbers; loss one number.
 */
#ifdef real

static void REAL(identity_with_loss_forward)(const bd_layer *layer, const bd_io *io)
{
    const bd_size n = io->shape->dim[0], count = bd_count(io->shape);
    const real *x = io->x[0], *t = io->target->rows;
    real *loss = io->out;
    long double total = 0;

    (void)layer;
    for (bd_size i = 0; i < count; i++)
        total += ((long double)x[i] - t[i]) * ((long double)x[i] - t[i]);
    *loss = (real)(total / (2 * (long double)n));
}

static void REAL(identity_with_loss_backward)(const bd_layer *layer, const bd_io *io)
{
    const bd_size n = io->shape->dim[0], count = bd_count(io->shape);
    const real *x = io->x[0], *t = io->target->rows;
    const real scale = *(const real *)io->dout / (real)n;
    real *dx = io->dx[0];

    (void)layer;
    /* loss = sum((x - t)^2) / (2 n) */
    if (dx)
        for (bd_size i = 0; i < count; i++)
            dx[i] = (x[i] - t[i]) * scale;
}

#else

#include "../badak.h"
#include "../../kernels/kernels.h"

#define BD_BODY "layers/identity_with_loss.c"
#include "../each_real.h"

static bd_status identity_with_loss_shape(const bd_layer *layer, const bd_shape *x, bd_form *form, bd_detail *detail)
{
    (void)layer;
    (void)detail;
    (void)x;
    form->out = bd_shape1(1);
    return BD_OK;
}

const bd_layer_kind bd_identity_with_loss = {
    .name = "IdentityWithLoss",
    .inputs = 1,
    .flags = BD_IS_LOSS | BD_ROW_TARGET | BD_KEEP_INPUT,
    .shape = identity_with_loss_shape,
    .forward = BD_EACH_REAL(identity_with_loss_forward),
    .backward = BD_EACH_REAL(identity_with_loss_backward),
};

#endif
