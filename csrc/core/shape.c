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
