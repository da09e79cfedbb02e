/* Status codes and their texts: the one table. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "badak.h"

/* {what} {got} {expected} {where} {value} are taken from the bd_detail. */
static const char *const text_of[BD_STATUSES] = {
    [BD_OK] = "no error",
    [BD_NO_MEMORY] = "not enough memory",
    [BD_TOO_LARGE] = "{what} would have more than 2**48 elements",
    [BD_BAD_NDIM] = "{what} has {got} dimensions, expected {expected}",
    [BD_BAD_FEATURES] = "{what} has {got} features per sample, expected {expected}",
    [BD_EMPTY_FEATURES] = "{what} has no features: every axis but the first must be at least 1",
    [BD_EMPTY_BATCH] = "{what} has no samples: give at least one",
    [BD_BAD_HYPER] = "{what} = {value} is out of range",
    [BD_BAD_LABEL] = "label {got} of sample {where} is not a class: expected 0 to {expected}",
    [BD_BAD_SOFT_LABEL] = "row {where} of the labels holds {value}: soft labels must be finite and not negative",
    [BD_BAD_TARGET_WIDTH] = "rows of t have {got} columns, but the scores have {expected}",
    [BD_NEEDS_CLASS_LABELS] = "{what} needs labels: integers (N,) or rows (N, {expected})",
    [BD_NEEDS_TARGET_ROWS] = "{what} needs float targets t of shape (N, {expected}), as the scores",
    [BD_NOT_FINITE] = "{what} holds NaN or infinity (first in row {where}), at its element {got}",
    [BD_LOSS_NOT_FINITE] = "the loss became {value}",
    [BD_GRADIENT_NOT_FINITE] = "the gradient became infinite or NaN",
    [BD_UPDATE_NOT_FINITE] = "the update would make parameters infinite or NaN",
    [BD_STOPPED] = "a layer stopped the run",
    [BD_NOT_A_LOSS] = "{what} is not a loss layer",
    [BD_LOSS_INSIDE] = "{what} is a loss layer: pass it as loss=, not among the layers",
    [BD_TOO_DEEP] = "{what} is nested more than {expected} deep",
    [BD_NEEDS_IMAGES] = "x has {got} dimensions, expected 4: samples, channels, height, width",
    [BD_WINDOW_TOO_LARGE] = "the window spans {got}, but the padded image only {expected}",
    [BD_PAD_TOO_LARGE] =
        "pad = {got} must be smaller than the pool, {expected}: a window could lie in the padding alone",
    [BD_BAD_BINARY_TARGET] = "row {where} of t holds {value}: expected 0, 1 or a probability between",
    [BD_BAD_ROW] = "row {got} does not exist: expected 0 to {expected}",
};

/* Appends to text[*used ..size), always leaving it closed by a zero. */
static void append(char *text, size_t size, size_t *used, const char *piece, size_t length)
{
    if (*used + 1 >= size)
        return;
    const size_t room = size - *used - 1;
    const size_t take = length < room ? length : room;
    memcpy(text + *used, piece, take);
    *used += take;
    text[*used] = '\0';
}

void bd_explain(bd_status status, const bd_detail *detail, char *text, size_t size)
{
    const char *format = status < BD_STATUSES ? text_of[status] : "unknown status";
    size_t used = 0;

    if (size == 0)
        return;
    text[0] = '\0';
    while (*format) {
        const char *open = strchr(format, '{');
        const char *close = open ? strchr(open, '}') : NULL;
        if (!close) {
            append(text, size, &used, format, strlen(format));
            break;
        }
        append(text, size, &used, format, (size_t)(open - format));
        char number[40] = "?";
        const char *piece = number;
        const size_t name = (size_t)(close - open - 1);
        if (!strncmp(open + 1, "what", name))
            piece = detail->what ? detail->what : "the argument";
        else if (!strncmp(open + 1, "got", name))
            snprintf(number, sizeof number, "%lld", (long long)detail->got);
        else if (!strncmp(open + 1, "expected", name))
            snprintf(number, sizeof number, "%lld", (long long)detail->expected);
        else if (!strncmp(open + 1, "where", name))
            snprintf(number, sizeof number, "%lld", (long long)detail->where);
        else if (!strncmp(open + 1, "value", name))
            snprintf(number, sizeof number, "%g", isnan(detail->value) ? (double)NAN : detail->value); /* not "-nan" */
        append(text, size, &used, piece, strlen(piece));
        format = close + 1;
    }
}
