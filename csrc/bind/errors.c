/* The one place where a status of the core becomes a Python exception. */
#include "bind.h"

static PyObject *exception_of(bd_status status)
{
    switch (status) {
    case BD_NO_MEMORY: return PyExc_MemoryError;
    case BD_GRADIENT_NOT_FINITE:
    case BD_UPDATE_NOT_FINITE:
    case BD_LOSS_NOT_FINITE: return PyExc_FloatingPointError;
    case BD_NEEDS_CLASS_LABELS:
    case BD_NEEDS_TARGET_ROWS: return PyExc_TypeError;
    default: return PyExc_ValueError;
    }
}

PyObject *raise_status(bd_status status, const bd_detail *detail, const char *where)
{
    char text[400];

    if (status == BD_STOPPED && PyErr_Occurred()) /* by a Python layer: what it raised passes unchanged */
        return NULL;
    bd_explain(status, detail, text, sizeof text);
    if (where)
        return PyErr_Format(exception_of(status), "%s: %s", where, text);
    PyErr_SetString(exception_of(status), text);
    return NULL;
}
