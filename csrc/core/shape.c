/* Shapes and their checked arithmetic. */
#include "badak.h"

bd_shape bd_shape1(bd_size a)
{
    return (bd_shape){.ndim = 1, .dim = {a}};
}

bd_shape bd_shape2(bd_size a, bd_size b)
{
    return (bd_shape){.ndim = 2, .dim = {a, b}};
}

bool bd_same_shape(const bd_shape *a, const bd_shape *b)
{
    if (a->ndim != b->ndim)
        return false;
    for (int i = 0; i < a->ndim; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}

static bd_size product(const bd_size *dim, int count)
{
    bd_size total = 1;
    bool empty = false;

    for (int i = 0; i < count; i++) {
        if (dim[i] < 0)
            return -1;
        if (dim[i] == 0)
            empty = true; /* the other sizes must be sane all the same */
        else if (__builtin_mul_overflow(total, dim[i], &total) || total > BD_MAX_ELEMENTS)
            return -1;
    }
    return empty ? 0 : total;
}

bd_size bd_count(const bd_shape *shape)
{
    return product(shape->dim, shape->ndim);
}

bd_size bd_features(const bd_shape *shape)
{
    return shape->ndim > 1 ? product(shape->dim + 1, shape->ndim - 1) : 1;
}

/* out = (size + 2 pad - span) / stride + 1, span = dilation (f - 1) + 1; -1 where a term overflows or nothing fits. */
static bd_status times_it_fits(bd_size *out, bd_size size, bd_size f, const bd_window *window, bd_detail *detail)
{
    bd_size span, padded;

    *detail = (bd_detail){.what = "the window"};
    if (__builtin_mul_overflow(f - 1, window->dilation, &span) || span >= BD_MAX_ELEMENTS ||
        __builtin_mul_overflow(window->pad, 2, &padded) || __builtin_add_overflow(padded, size, &padded) ||
        padded > BD_MAX_ELEMENTS)
        return BD_TOO_LARGE;
    span++;
    if (span > padded) {
        detail->got = span;
        detail->expected = padded;
        return BD_WINDOW_TOO_LARGE;
    }
    *out = (padded - span) / window->stride + 1;
    return BD_OK;
}

bd_status bd_window_fit(bd_window *window, const bd_shape *x, bd_detail *detail)
{
    if (x->ndim != 4) {
        *detail = (bd_detail){.what = "x", .got = x->ndim};
        return BD_NEEDS_IMAGES;
    }
    window->c = x->dim[1];
    window->h = x->dim[2];
    window->w = x->dim[3];
    const bd_status status = times_it_fits(&window->oh, window->h, window->fh, window, detail);
    return status ? status : times_it_fits(&window->ow, window->w, window->fw, window, detail);
}
