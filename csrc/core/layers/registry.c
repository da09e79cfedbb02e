/* The table of layer kinds, and what is the same for all of them. A new layer is one row here. */
#include <math.h>
#include <string.h>

#include "../badak.h"

const bd_layer_kind *const bd_layer_kinds[] = {
    &bd_affine,
    &bd_convolution,
    &bd_pooling,
    &bd_batch_normalization,
    &bd_dropout,
    &bd_relu,
    &bd_leaky_relu,
    &bd_sigmoid,
    &bd_tanh,
    &bd_softmax,
    &bd_flatten,
    &bd_residual,
    &bd_softmax_with_loss,
    &bd_sigmoid_with_loss,
    &bd_identity_with_loss,
    NULL,
};

const bd_layer_kind *bd_find_layer(const char *name)
{
    for (const bd_layer_kind *const *kind = bd_layer_kinds; *kind; kind++)
        if (!strcmp((*kind)->name, name))
            return *kind;
    return NULL;
}

int bd_hyper_count(const bd_hyper_spec *hyper)
{
    int count = 0;
    while (count < BD_MAX_HYPER && hyper[count].name)
        count++;
    return count;
}

int bd_array_count(const bd_array_spec *array, int max)
{
    int count = 0;
    while (count < max && array[count].name)
        count++;
    return count;
}

int bd_find_hyper(const bd_hyper_spec *hyper, const char *name)
{
    for (int i = 0; i < bd_hyper_count(hyper); i++)
        if (!strcmp(hyper[i].name, name))
            return i;
    return -1;
}

static bool in_range(const bd_hyper_spec *spec, double value)
{
    if (spec->type == BD_INIT && (value == BD_INIT_HE || value == BD_INIT_XAVIER))
        return true;
    if (!isfinite(value)) /* NaN would pass the comparisons below */
        return false;
    if (spec->above ? value <= spec->min : value < spec->min)
        return false;
    return !(spec->below ? value >= spec->max : value > spec->max);
}

bd_status bd_check_hyper(const bd_hyper_spec *hyper, const bd_value *value, bd_detail *detail)
{
    for (int i = 0; i < bd_hyper_count(hyper); i++) {
        const double number = hyper[i].type == BD_INT ? (double)value[i].i : value[i].f;
        if (!in_range(&hyper[i], number)) {
            *detail = (bd_detail){.what = hyper[i].name, .value = number, .where = i};
            return BD_BAD_HYPER;
        }
    }
    return BD_OK;
}

static bool sane(const bd_shape *shape)
{
    return shape->ndim == 0 || bd_count(shape) >= 0;
}

bd_status bd_layer_form(const bd_layer *layer, const bd_shape *x, bd_form *form, bd_detail *detail)
{
    *form = (bd_form){0};
    for (int i = 0; i < layer->kind->inputs; i++) {
        if (!sane(&x[i])) {
            *detail = (bd_detail){.what = "x"};
            return BD_TOO_LARGE;
        }
        if (bd_features(&x[i]) == 0) {
            *detail = (bd_detail){.what = "x"};
            return BD_EMPTY_FEATURES;
        }
    }
    const bd_status status = layer->kind->shape(layer, x, form, detail);
    if (status)
        return status;
    bool fits = sane(&form->out);
    for (int i = 0; i < BD_MAX_PARAM; i++)
        fits = fits && sane(&form->param[i]);
    for (int i = 0; i < BD_MAX_BUFFER; i++)
        fits = fits && sane(&form->buffer[i]);
    if (!fits) {
        *detail = (bd_detail){.what = layer->kind->name};
        return BD_TOO_LARGE;
    }
    return BD_OK;
}

double bd_layer_operations(const bd_form *form, bd_size n, const bd_shape *x)
{
    enum { OF_AN_ELEMENT = 4, FAR = 1 << 18, OF_A_FAR_ELEMENT = 32 }; /* far: beyond the near caches */
    const bd_size in = bd_features(x), out = bd_features(&form->out);
    const double elements = (double)n * (double)(in > out ? in : out);

    return 2 * (double)n * (double)form->macs + (elements < FAR ? OF_AN_ELEMENT : OF_A_FAR_ELEMENT) * elements;
}

bd_status bd_check_target(const bd_layer *loss, const bd_target *target, bd_size n, bd_size width, bd_dtype dtype,
                          bd_detail *detail)
{
    const bool classes = loss->kind->flags & BD_CLASS_TARGET;

    *detail = (bd_detail){.what = loss->kind->name, .expected = width};
    if (!classes && !target->rows)
        return BD_NEEDS_TARGET_ROWS;
    if (target->rows && target->width != width) {
        detail->got = target->width;
        return BD_BAD_TARGET_WIDTH;
    }
    if (!classes && !(loss->kind->flags & BD_BINARY_TARGET))
        return BD_OK;
    if (!target->rows && !target->index)
        return BD_NEEDS_CLASS_LABELS;
    if (target->index) {
        for (bd_size i = 0; i < n; i++)
            if (target->index[i] < 0 || target->index[i] >= width) {
                *detail = (bd_detail){.what = "t", .got = target->index[i], .where = i, .expected = width - 1};
                return BD_BAD_LABEL;
            }
        return BD_OK;
    }
    for (bd_size i = 0; i < n * width; i++) {
        const double value = dtype == BD_F32 ? ((const float *)target->rows)[i]
                           : dtype == BD_F64 ? ((const double *)target->rows)[i]
                                             : (double)((const long double *)target->rows)[i];
        const bool binary = loss->kind->flags & BD_BINARY_TARGET;
        if (!(value >= 0) || isinf(value) || (binary && value > 1)) {
            *detail = (bd_detail){.what = "t", .value = value, .where = i / width};
            return binary ? BD_BAD_BINARY_TARGET : BD_BAD_SOFT_LABEL;
        }
    }
    return BD_OK;
}
