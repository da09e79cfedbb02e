/* _core.PythonLayer: a layer that Python computes. In Python terms:
 *
 *     layer = _core.PythonLayer(adapter, "Swish", ("W", "b"))      # goes among the layers of _core.Net
 *
 *     adapter.shapes((10,)) -> ((10,), [(10, 10), (10,)])          # of one sample's output, and of the parameters
 *     adapter.forward(x, training) -> out                          # x is a read-only copy
 *     adapter.backward(dout) -> dx
 *     adapter.own                                                  # the layer's own parameter arrays
 *
 * The core sees a kind like any other, made for this object. The values of the parameters pass through the net's
 * memory: the adapter copies the layer's arrays in before forward and the gradients after backward; after the update
 * write_back_own copies the new values out. A call that raises stops the run (bd_io.stop) with the exception pending.
 */
#include <string.h>

#include "bind.h"

enum { MAX_NAME = 24 };

typedef struct {
    LayerObject base;
    bd_layer_kind kind;
    PyObject *adapter, *own;
    char name[MAX_NAME + 1], param_name[BD_MAX_PARAM][MAX_NAME + 1];
    bool formed; /* the shapes below are known */
    bd_shape x, out, param[BD_MAX_PARAM];
} PythonLayerObject;

static PythonLayerObject *of_kind(const bd_layer_kind *kind)
{
    return (PythonLayerObject *)((uintptr_t)kind - offsetof(PythonLayerObject, kind));
}

/* ---------------------------------------------------------------- shapes */

static int parse_shape(PyObject *object, const char *what, int first, bd_shape *shape)
{
    PyObject *sizes = PySequence_Tuple(object);
    const Py_ssize_t count = sizes ? PyTuple_GET_SIZE(sizes) : 0;

    if (!sizes)
        return -1;
    *shape = (bd_shape){.ndim = (int)count + first, .dim = {1}};
    if (count + first > BD_MAX_DIM)
        PyErr_Format(PyExc_ValueError, "%s has %zd dimensions, expected at most %d", what, count, BD_MAX_DIM - first);
    for (int i = 0; i < (int)count && !PyErr_Occurred(); i++)
        parse_int(PyTuple_GET_ITEM(sizes, i), what, &shape->dim[i + first]);
    Py_DECREF(sizes);
    return PyErr_Occurred() ? -1 : 0;
}

static int ask_shapes(PythonLayerObject *self, const bd_shape *x)
{
    const int count = bd_array_count(self->kind.param, BD_MAX_PARAM);
    PyObject *input = shape_tuple(x, 1), *out, *params;
    PyObject *answer = input ? PyObject_CallMethod(self->adapter, "shapes", "(O)", input) : NULL;
    int failed = -1;

    if (answer && PyArg_ParseTuple(answer, "OO!:shapes", &out, &PyList_Type, &params) &&
        !parse_shape(out, self->name, 1, &self->out)) {
        failed = PyList_GET_SIZE(params) != count;
        if (failed)
            PyErr_Format(PyExc_TypeError, "%s has %zd parameters, expected %d", self->name, PyList_GET_SIZE(params),
                         count);
        for (int i = 0; i < count && !failed; i++) {
            failed = parse_shape(PyList_GET_ITEM(params, i), self->param_name[i], 0, &self->param[i]);
            self->kind.param[i].role = self->param[i].ndim > 1 ? BD_WEIGHT : BD_BIAS;
        }
    }
    Py_XDECREF(input);
    Py_XDECREF(answer);
    return failed ? -1 : 0;
}

static bd_status python_shape(const bd_layer *layer, const bd_shape *x, bd_form *form, bd_detail *detail)
{
    PythonLayerObject *self = of_kind(layer->kind);
    bd_shape one = *x;

    (void)detail;
    one.dim[0] = 1;
    if (!self->formed || !bd_same_shape(&one, &self->x)) {
        const PyGILState_STATE gil = PyGILState_Ensure();
        self->formed = !ask_shapes(self, x);
        self->x = one;
        PyGILState_Release(gil);
        if (!self->formed)
            return BD_STOPPED;
    }
    form->out = self->out;
    form->out.dim[0] = x->dim[0];
    memcpy(form->param, self->param, sizeof self->param);
    form->fan_in = 1;
    return BD_OK;
}

/* ---------------------------------------------------------------- the two passes */

/* A copy of data of the core's that the user may keep, and may not write to. */
static PyObject *read_only_copy(const void *data, const bd_shape *shape, bd_dtype dtype)
{
    PyArrayObject *array = new_array(shape, dtype);

    if (!array)
        return NULL;
    memcpy(PyArray_DATA(array), data, (size_t)PyArray_NBYTES(array));
    PyArray_CLEARFLAGS(array, NPY_ARRAY_WRITEABLE);
    return (PyObject *)array;
}

/* Takes what a call returned (stolen; NULL: it raised) as an array of the given shape. */
static bool take(void *to, PyObject *returned, const PythonLayerObject *self, const char *method, const bd_shape *shape,
                 bd_dtype dtype)
{
    char name[MAX_NAME + 40];

    if (!returned)
        return false;
    PyOS_snprintf(name, sizeof name, "what %s.%s returned", self->name, method);
    PyArrayObject *array = intake(returned, name, type_num_of(dtype));
    Py_DECREF(returned);
    bool fits = array && PyArray_NDIM(array) == shape->ndim;
    for (int i = 0; fits && i < shape->ndim; i++)
        fits = PyArray_DIM(array, i) == shape->dim[i];
    if (fits)
        memcpy(to, PyArray_DATA(array), (size_t)PyArray_NBYTES(array));
    else if (array) {
        PyObject *got = PyObject_GetAttrString((PyObject *)array, "shape"), *wanted = shape_tuple(shape, 0);
        if (got && wanted)
            PyErr_Format(PyExc_ValueError, "%s has shape %S, expected %S", name, got, wanted);
        Py_XDECREF(got);
        Py_XDECREF(wanted);
    }
    Py_XDECREF(array);
    return fits;
}

static void python_forward(const bd_layer *layer, const bd_io *io, bd_dtype dtype)
{
    const PythonLayerObject *self = of_kind(layer->kind);
    const PyGILState_STATE gil = PyGILState_Ensure();
    PyObject *x = PyErr_Occurred() ? NULL : read_only_copy(io->x[0], io->shape, dtype);
    PyObject *out =
        x ? PyObject_CallMethod(self->adapter, "forward", "OO", x, io->training ? Py_True : Py_False) : NULL;

    *io->stop = !take(io->out, out, self, "forward", io->out_shape, dtype);
    Py_XDECREF(x);
    PyGILState_Release(gil);
}

static void python_backward(const bd_layer *layer, const bd_io *io, bd_dtype dtype)
{
    const PythonLayerObject *self = of_kind(layer->kind);
    const PyGILState_STATE gil = PyGILState_Ensure();
    PyObject *dout = PyErr_Occurred() ? NULL : read_only_copy(io->dout, io->out_shape, dtype);
    PyObject *dx = dout ? PyObject_CallMethod(self->adapter, "backward", "(O)", dout) : NULL;

    if (io->dx[0] || !dx) {
        *io->stop = !take(io->dx[0], dx, self, "backward", io->shape, dtype);
    } else {
        Py_DECREF(dx); /* nobody wants it: the first layer of a net may return anything */
    }
    Py_XDECREF(dout);
    PyGILState_Release(gil);
}

static void python_forward_f32(const bd_layer *layer, const bd_io *io)
{
    python_forward(layer, io, BD_F32);
}

static void python_forward_f64(const bd_layer *layer, const bd_io *io)
{
    python_forward(layer, io, BD_F64);
}

static void python_backward_f32(const bd_layer *layer, const bd_io *io)
{
    python_backward(layer, io, BD_F32);
}

static void python_backward_f64(const bd_layer *layer, const bd_io *io)
{
    python_backward(layer, io, BD_F64);
}

/* ---------------------------------------------------------------- the layer's own parameters */

static bool is_own(PyObject *object, const bd_shape *shape)
{
    PyArrayObject *array = (PyArrayObject *)object;
    bool fits = PyArray_Check(object) && PyArray_ISBEHAVED(array) && PyArray_NDIM(array) == shape->ndim &&
                (PyArray_TYPE(array) == NPY_FLOAT || PyArray_TYPE(array) == NPY_DOUBLE);

    for (int i = 0; fits && i < shape->ndim; i++)
        fits = PyArray_DIM(array, i) == shape->dim[i];
    return fits;
}

/* The step of a net as a Python layer, or NULL. */
static PythonLayerObject *layer_at(const bd_net *net, int step, bd_step_info *info)
{
    bd_net_step_info(net, step, info);
    return info->layer.kind->forward[BD_F32] == python_forward_f32 ? of_kind(info->layer.kind) : NULL;
}

bool has_python_layers(const bd_net *net)
{
    bd_step_info info;

    for (int i = 0; i < bd_net_step_count(net); i++)
        if (layer_at(net, i, &info))
            return true;
    return false;
}

int hold_own(const bd_net *net)
{
    bd_step_info info;

    for (int i = 0; i < bd_net_step_count(net); i++) {
        PythonLayerObject *self = layer_at(net, i, &info);
        if (!self)
            continue;
        Py_XSETREF(self->own, PyObject_GetAttrString(self->adapter, "own"));
        if (!self->own)
            return -1;
        bool fits = PyTuple_Check(self->own) && PyTuple_GET_SIZE(self->own) == info.param_count;
        for (int p = 0; fits && p < info.param_count; p++)
            fits = is_own(PyTuple_GET_ITEM(self->own, p), &self->param[p]);
        if (!fits) {
            PyErr_Format(PyExc_RuntimeError, "a parameter of %s changed its shape or dtype during a step", self->name);
            return -1;
        }
    }
    return 0;
}

/* Copies C-contiguous numbers into an array of any strides. */
static const char *scatter(char *to, bool to_double, const npy_intp *dim, const npy_intp *stride, int ndim,
                           const char *from, bool from_double)
{
    if (ndim > 0) {
        for (npy_intp i = 0; i < dim[0]; i++)
            from = scatter(to + i * stride[0], to_double, dim + 1, stride + 1, ndim - 1, from, from_double);
        return from;
    }
    const double value = from_double ? *(const double *)(const void *)from : *(const float *)(const void *)from;
    if (to_double)
        *(double *)(void *)to = value;
    else
        *(float *)(void *)to = (float)value;
    return from + (from_double ? sizeof(double) : sizeof(float));
}

void write_back_own(const bd_net *net)
{
    const bd_dtype dtype = bd_net_dtype(net);
    bd_step_info info;

    for (int i = 0; i < bd_net_step_count(net); i++) {
        PythonLayerObject *self = layer_at(net, i, &info);
        for (int p = 0; self && p < info.param_count; p++) {
            PyArrayObject *own = (PyArrayObject *)PyTuple_GET_ITEM(self->own, p);
            const char *from = (const char *)bd_net_params(net) +
                               (size_t)bd_net_param(net, info.first_param + p)->offset * bd_dtype_size(dtype);
            if (PyArray_TYPE(own) == type_num_of(dtype) && PyArray_IS_C_CONTIGUOUS(own))
                memcpy(PyArray_DATA(own), from, (size_t)PyArray_NBYTES(own));
            else
                scatter(PyArray_DATA(own), PyArray_TYPE(own) == NPY_DOUBLE, PyArray_DIMS(own), PyArray_STRIDES(own),
                        PyArray_NDIM(own), from, dtype == BD_F64);
        }
        if (self)
            Py_CLEAR(self->own);
    }
}

/* ---------------------------------------------------------------- type */

static int copy_name(char to[MAX_NAME + 1], PyObject *name, const char *what)
{
    const char *text = PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;

    if (!text || !*text || strlen(text) > MAX_NAME) {
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_ValueError, "%s must be a name of 1 to %d letters, got %R", what, MAX_NAME, name);
        return -1;
    }
    strcpy(to, text);
    return 0;
}

static PyObject *python_layer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *adapter, *name, *params;

    if (kwargs && PyDict_GET_SIZE(kwargs))
        return PyErr_Format(PyExc_TypeError, "PythonLayer takes no keywords");
    if (!PyArg_ParseTuple(args, "OOO!:PythonLayer", &adapter, &name, &PyTuple_Type, &params))
        return NULL;
    const Py_ssize_t count = PyTuple_GET_SIZE(params);
    if (count > BD_MAX_PARAM)
        return PyErr_Format(PyExc_ValueError, "%U has %zd parameters, expected at most %d", name, count, BD_MAX_PARAM);
    PythonLayerObject *self = (PythonLayerObject *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->adapter = Py_NewRef(adapter);
    self->kind = (bd_layer_kind){.name = self->name,
                                 .inputs = 1,
                                 .flags = BD_MIXES_SAMPLES | BD_DIFFERS_IN_TRAINING, /* nobody knows */
                                 .shape = python_shape,
                                 .forward = {python_forward_f32, python_forward_f64},
                                 .backward = {python_backward_f32, python_backward_f64}};
    self->base.layer.kind = &self->kind;
    self->base.children = PyTuple_New(0);
    bool failed = !self->base.children || copy_name(self->name, name, "the class of a layer");
    for (Py_ssize_t i = 0; i < count && !failed; i++) {
        failed = copy_name(self->param_name[i], PyTuple_GET_ITEM(params, i), "a parameter");
        self->kind.param[i] = (bd_array_spec){.name = self->param_name[i], .role = BD_BIAS};
    }
    if (failed)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int python_layer_traverse(PyObject *object, visitproc visit, void *arg)
{
    PythonLayerObject *self = (PythonLayerObject *)object;

    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->base.children);
    Py_VISIT(self->adapter);
    Py_VISIT(self->own);
    return 0;
}

static int python_layer_clear(PyObject *object)
{
    PythonLayerObject *self = (PythonLayerObject *)object;

    Py_CLEAR(self->adapter);
    Py_CLEAR(self->own);
    return 0;
}

static void python_layer_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    python_layer_clear(object);
    Py_XDECREF(((PythonLayerObject *)object)->base.children);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *not_here(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    (void)args;
    (void)count;
    return PyErr_Format(PyExc_TypeError, "%s is computed by its own methods", ((PythonLayerObject *)object)->name);
}

static PyMethodDef python_layer_methods[] = {
    {"forward", (PyCFunction)(void (*)(void))not_here, METH_FASTCALL,
     "forward($self, /, *unused)\n--\n\nA TypeError: Python computes it."},
    {"backward", (PyCFunction)(void (*)(void))not_here, METH_FASTCALL,
     "backward($self, /, *unused)\n--\n\nA TypeError: Python computes it."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot python_layer_slots[] = {
    {Py_tp_doc, "PythonLayer(adapter, name, params)\n--\n\nA layer that Python computes, for a Net."},
    {Py_tp_new, python_layer_new},
    {Py_tp_dealloc, python_layer_dealloc},
    {Py_tp_traverse, python_layer_traverse},
    {Py_tp_clear, python_layer_clear},
    {Py_tp_methods, python_layer_methods},
    {0, NULL},
};

PyType_Spec python_layer_type_spec = {
    .name = "badak._core.PythonLayer",
    .basicsize = sizeof(PythonLayerObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = python_layer_slots,
};
