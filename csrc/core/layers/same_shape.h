/* The shape rule of layers that change every element by itself. */
#ifndef BADAK_SAME_SHAPE_H
#define BADAK_SAME_SHAPE_H

#include "../badak.h"

static inline bd_status same_shape(const bd_layer *layer, const bd_shape *x, bd_form *form, bd_detail *detail)
{
    (void)layer;
    (void)detail;
    form->out = x[0];
    return BD_OK;
}

#endif
