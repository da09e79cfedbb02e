/* _core.Layer: a layer kind with its hyper-parameters, immutable; and _core.Saved: what its forward keeps for its
 * backward. In Python terms:
 *
 *     layer = _core.Layer("Affine", (50, "he"))                 # kind, hyper-parameters in the kind's order
 *     out, saved = layer.forward((x,), (W, b), target, training, buffers, draws)
 *     (dx,), (dW, db) = layer.backward(saved, dout, (W, b))
 *
 * A Layer holds no array, so it can serve any number of calls and threads at once.
 */
#include "../core/share.h"
#include "../kernels/kernels.h"
#include "bind.h"

typedef struct {
    PyObject_HEAD bd_layer layer;
    bd_dtype dtype;
    bd_form form;
    bd_shape shape[BD_MAX_INPUT];
    PyArrayObject *input[BD_MAX_INPUT];            /* NULL where backward does not read x: it need not live so long */
    PyArrayObject *out, *sign, *keep, *keep_index; /* NULL where the kind keeps none; of a ReLU's out only the sign */
    target_in target;
    bool training;
    bool x_last; /* input[0] has its channels last in memory */
} SavedObject;

/* Below this many multiply-adds a call is shorter than handing over the GIL is worth (about 10 us). */
enum { WORTH_RELEASING = 100000 };

/* ---------------------------------------------------------------- making one */

static PyObject *layer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"kind", "hyper", "children", NULL};
    const char *name;
    PyObject *hyper, *children = NULL;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO!|O!:Layer", names, &name, &PyTuple_Type, &hyper, &PyTuple_Type,
                                     &children))
        return NULL;
    const bd_layer_kind *kind = bd_find_layer(name);
    if (!kind)
        return PyErr_Format(PyExc_ValueError, "there is no layer kind \"%s\"", name);
    const Py_ssize_t count = children ? PyTuple_GET_SIZE(children) : 0;
    if (count && !kind->branches)
        return PyErr_Format(PyExc_ValueError, "%s takes no children", name);
    for (Py_ssize_t i = 0; i < count; i++)
        if (!PyObject_TypeCheck(PyTuple_GET_ITEM(children, i), state_of_type(type)->layer_type))
            return PyErr_Format(PyExc_TypeError, "child %zd is not a _core.Layer", i);
    LayerObject *self = (LayerObject *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->layer.kind = kind;
    self->children = children ? Py_NewRef(children) : PyTuple_New(0);
    if (!self->children || parse_hyper(hyper, kind->hyper, self->layer.hyper, kind->name)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int layer_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((LayerObject *)object)->children);
    return 0;
}

static void layer_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    Py_XDECREF(((LayerObject *)object)->children);
    type->tp_free(object);
    Py_DECREF(type);
}

const bd_layer *layer_of(PyObject *object)
{
    return &((LayerObject *)object)->layer;
}

PyObject *children_of(PyObject *object)
{
    return ((LayerObject *)object)->children;
}

static PyObject *layer_repr(PyObject *object)
{
    const bd_layer *layer = layer_of(object);
    PyObject *hyper = PyObject_GetAttrString(object, "hyper");
    PyObject *text = hyper ? PyUnicode_FromFormat("_core.Layer(\"%s\", %R)", layer->kind->name, hyper) : NULL;

    Py_XDECREF(hyper);
    return text;
}

/* ---------------------------------------------------------------- taking the arguments of a call */

static void drop_arrays(PyArrayObject *array[], int count)
{
    for (int i = 0; i < count; i++)
        Py_CLEAR(array[i]);
}

/* A scalar bias (book: chapter 7) stands for an array of that value. */
static bool is_scalar(PyObject *object)
{
    return PyArray_IsAnyScalar(object) || (PyArray_Check(object) && PyArray_NDIM((PyArrayObject *)object) == 0);
}

static PyArrayObject *filled(PyObject *scalar, const char *name, const bd_shape *shape, bd_dtype dtype)
{
    double value;
    if (parse_real(scalar, name, &value))
        return NULL;
    PyArrayObject *array = new_array(shape, dtype);
    PyObject *number = PyFloat_FromDouble(value);
    if (array && (!number || PyArray_FillWithScalar(array, number)))
        Py_CLEAR(array);
    Py_XDECREF(number);
    return array;
}

static int check_count(PyObject *tuple, int count, const char *what, const bd_layer_kind *kind)
{
    if (PyTuple_Check(tuple) && PyTuple_GET_SIZE(tuple) == count)
        return 0;
    PyErr_Format(PyExc_TypeError, "%s takes a tuple of %d %s", kind->name, count, what);
    return -1;
}

/* The type that a call runs in: that of the parameters, or else of the inputs. */
static int dtype_for(const bd_layer_kind *kind, PyObject *inputs, PyObject *params, bd_dtype *dtype)
{
    if (kind->param[0].name) {
        PyObject *first = PyTuple_GET_ITEM(params, 0);
        if (check_parameter(first, kind->param[0].name))
            return -1;
        const int found = dtype_of((PyArrayObject *)first);
        *dtype = (bd_dtype)found;
        return found < 0 ? -1 : 0;
    }
    *dtype = BD_F32;
    for (int i = kind->branches ? kind->inputs - 1 : 0; i < kind->inputs;
         i++) { /* a branch has parameters: it decides */
        PyArrayObject *x = (PyArrayObject *)PyTuple_GET_ITEM(inputs, i);
        if (!PyArray_Check((PyObject *)x) || PyArray_TYPE(x) != NPY_FLOAT)
            *dtype = BD_F64;
    }
    return 0;
}

/* Does the first parameter fit x? Said of x, because that is what is new in this call. */
static int check_fit(const bd_layer *layer, const bd_form *form, PyObject *params, const bd_shape *x)
{
    if (!layer->kind->param[0].name)
        return 0;
    PyArrayObject *first = (PyArrayObject *)PyTuple_GET_ITEM(params, 0);
    const bd_shape *expected = &form->param[0];
    bool fits = PyArray_NDIM(first) == expected->ndim;
    for (int i = 0; fits && i < expected->ndim; i++)
        fits = PyArray_DIM(first, i) == expected->dim[i];
    if (fits)
        return 0;
    PyObject *x_shape = shape_tuple(x, 0), *wanted = shape_tuple(expected, 0);
    PyObject *shape = PyObject_GetAttrString((PyObject *)first, "shape");
    if (x_shape && shape && wanted)
        PyErr_Format(PyExc_ValueError,
                     "x of shape %S does not fit this %s: its %s has shape %S, expected %S for this x", x_shape,
                     layer->kind->name, layer->kind->param[0].name, shape, wanted);
    Py_XDECREF(x_shape);
    Py_XDECREF(shape);
    Py_XDECREF(wanted);
    return -1;
}

static int take_params(const bd_layer_kind *kind, const bd_form *form, PyObject *params, bd_dtype dtype,
                       PyArrayObject *array[BD_MAX_PARAM])
{
    for (int i = 0; i < bd_array_count(kind->param, BD_MAX_PARAM); i++) {
        PyObject *given = PyTuple_GET_ITEM(params, i);
        array[i] = is_scalar(given) ? filled(given, kind->param[i].name, &form->param[i], dtype)
                                    : parameter_values(given, kind->param[i].name, &form->param[i], type_num_of(dtype));
        if (!array[i])
            return -1;
    }
    return 0;
}

/* Buffers are the layer's own arrays: changed where they lie, so they must lie as the core reads them. */
static int take_buffers(const bd_layer_kind *kind, const bd_form *form, PyObject *buffers, bd_dtype dtype,
                        void *data[BD_MAX_BUFFER])
{
    for (int i = 0; i < bd_array_count(kind->buffer, BD_MAX_BUFFER); i++) {
        PyArrayObject *buffer = (PyArrayObject *)PyTuple_GET_ITEM(buffers, i);
        PyArrayObject *same =
            parameter_values((PyObject *)buffer, kind->buffer[i].name, &form->buffer[i], type_num_of(dtype));
        if (!same)
            return -1;
        Py_DECREF(same);
        if (!PyArray_ISCARRAY(buffer)) {
            PyErr_Format(PyExc_ValueError, "%s must be C-contiguous", kind->buffer[i].name);
            return -1;
        }
        data[i] = PyArray_DATA(buffer);
    }
    return 0;
}

static PyArrayObject *take_draws(PyObject *object, bd_size count)
{
    PyArrayObject *draws = intake(object, "draws", NPY_DOUBLE);

    if (draws && PyArray_SIZE(draws) != count) {
        PyErr_Format(PyExc_ValueError, "draws holds %lld numbers, expected %lld", (long long)PyArray_SIZE(draws),
                     (long long)count);
        Py_CLEAR(draws);
    }
    return draws;
}

static PyArrayObject *flat_array(bd_size count, int type_num)
{
    npy_intp dim = (npy_intp)count;
    return (PyArrayObject *)PyArray_SimpleNew(1, &dim, type_num);
}

/* A byte for each number of an array, in the order of its memory. */
static PyArrayObject *signs_like(PyArrayObject *array)
{
    npy_intp stride[BD_MAX_DIM];

    for (int i = 0; i < PyArray_NDIM(array); i++)
        stride[i] = PyArray_STRIDE(array, i) / PyArray_ITEMSIZE(array);
    return fresh_array(PyArray_NDIM(array), PyArray_DIMS(array), NPY_INT8, stride);
}

/* The scratch space of a call in so many parts. */
typedef struct {
    void *work, *common;
    size_t work_bytes;
    int parts;
} scratch;

static int make_scratch(scratch *s, const bd_form *form, const bd_shape *x, bd_dtype dtype, int times)
{
    enum { LINE = 64 };
    const size_t size = bd_dtype_size(dtype);

    s->parts = bd_parts_for_call(times * bd_layer_operations(form, x->dim[0], x));
    s->work_bytes = ((size_t)form->work * size + LINE - 1) / LINE * LINE;
    s->work = form->work ? bd_alloc(s->work_bytes * (size_t)s->parts) : NULL;
    s->common = form->common ? bd_alloc((size_t)form->common * size) : NULL;
    if ((!form->work || s->work) && (!form->common || s->common))
        return 0;
    PyErr_NoMemory();
    return -1;
}

static void free_scratch(scratch *s)
{
    bd_free(s->work);
    bd_free(s->common);
}

/* A copy of out, which the caller may change before backward reads it. */
typedef struct {
    void *to;
    const void *from;
    bd_size count;
    bd_dtype dtype;
} copy_job;

/* By the part that wrote it: it is near. */
static void copy_part(void *context, int part, int parts)
{
    const copy_job *job = context;
    const bd_range range = bd_share_of(job->count, BD_LINE, part, parts);
    const size_t size = bd_dtype_size(job->dtype), at = (size_t)range.from * size;

    memcpy((char *)job->to + at, (const char *)job->from + at, (size_t)range.count * size);
}

/* Calls f, and then makes the copy, if there is one. */
static void run(void (*f)(const bd_layer *, const bd_io *), const bd_layer *layer, bd_io *io, const bd_form *form,
                const scratch *s, copy_job *copy)
{
    io->work = s->work;
    io->common = s->common;
    if (form->macs * io->shape->dim[0] + 8 * bd_count(io->shape) > WORTH_RELEASING) {
        Py_BEGIN_ALLOW_THREADS const bd_team team = bd_team_begin(s->parts);
        bd_team_run_layer(team, s->parts, f, layer, io, s->work_bytes);
        if (copy->to)
            bd_team_run(team, s->parts, copy_part, copy);
        bd_team_end(team);
        Py_END_ALLOW_THREADS
    } else {
        f(layer, io);
        if (copy->to)
            copy_part(copy, 0, 1);
    }
}

/* ---------------------------------------------------------------- in which order images lie */

/* Images have their channels last in memory between layers that can read them so: else each would turn them round. */
static bool takes_channels_last(const bd_layer_kind *kind)
{
    return kind->inputs == 1 && kind->flags & (BD_IMAGES | BD_ANY_ORDER);
}

/* Is the result to lie so? Not where it makes no difference. */
static bool makes_channels_last(const SavedObject *saved)
{
    const bd_shape *out = &saved->form.out;

    if (saved->layer.kind->flags & BD_ANY_ORDER)
        return saved->x_last;
    return saved->layer.kind->flags & BD_IMAGES && out->ndim == 4 && out->dim[1] > 1 && out->dim[2] * out->dim[3] > 1;
}

/* ---------------------------------------------------------------- forward */

static SavedObject *new_saved(PyTypeObject *layer_type)
{
    PyTypeObject *type = state_of_type(layer_type)->saved_type;
    return (SavedObject *)type->tp_alloc(type, 0);
}

static PyObject *layer_forward(PyObject *object, PyTypeObject *type, PyObject *const *args, Py_ssize_t count,
                               PyObject *names)
{
    const bd_layer *layer = layer_of(object);
    const bd_layer_kind *kind = layer->kind;
    PyArrayObject *param[BD_MAX_PARAM] = {0}, *out = NULL, *draws = NULL;
    const void *param_data[BD_MAX_PARAM] = {0};
    void *buffer_data[BD_MAX_BUFFER] = {0};
    SavedObject *saved = NULL;
    PyObject *result = NULL;
    bd_detail detail = {0};
    scratch room = {0};
    copy_job copy = {0};
    bd_io io = {0};

    if (count != 6 || (names && PyTuple_GET_SIZE(names)))
        return PyErr_Format(PyExc_TypeError, "forward takes inputs, params, target, training, buffers, draws");
    PyObject *inputs = args[0], *params = args[1], *buffers = args[4];
    const int training = PyObject_IsTrue(args[3]);
    const int param_count = bd_array_count(kind->param, BD_MAX_PARAM);
    if (training < 0 || check_count(inputs, kind->inputs, "inputs", kind) ||
        check_count(params, param_count, "parameters", kind) ||
        check_count(buffers, bd_array_count(kind->buffer, BD_MAX_BUFFER), "buffers", kind))
        return NULL;

    if (!(saved = new_saved(type)))
        return NULL;
    saved->layer = *layer;
    saved->training = training;
    if (dtype_for(kind, inputs, params, &saved->dtype))
        goto done;
    for (int i = 0; i < kind->inputs; i++) {
        PyObject *x = PyTuple_GET_ITEM(inputs, i);
        saved->input[i] = takes_channels_last(kind) ? intake_image(x, "x", type_num_of(saved->dtype), &saved->x_last)
                                                    : intake(x, "x", type_num_of(saved->dtype));
        if (!saved->input[i] || shape_of(saved->input[i], "x", kind->param[0].name ? 2 : 1, &saved->shape[i]))
            goto done;
        io.x[i] = PyArray_DATA(saved->input[i]);
    }
    bd_status status = bd_layer_form(layer, saved->shape, &saved->form, &detail);
    const bd_size n = saved->shape[0].dim[0];
    if (!status && kind->flags & BD_IS_LOSS && n == 0) {
        detail.what = "x";
        status = BD_EMPTY_BATCH;
    }
    if (status) {
        raise_status(status, &detail, kind->name);
        goto done;
    }
    if (check_fit(layer, &saved->form, params, saved->shape) ||
        take_params(kind, &saved->form, params, saved->dtype, param) ||
        take_buffers(kind, &saved->form, buffers, saved->dtype, buffer_data))
        goto done;
    if (training && saved->form.draws && !(draws = take_draws(args[5], saved->form.draws)))
        goto done;
    if (kind->flags & BD_IS_LOSS && intake_target(&saved->target, args[2], layer, saved->shape, saved->dtype))
        goto done;

    io.x_last = saved->x_last;
    io.out_last = makes_channels_last(saved);
    out = io.out_last ? new_channels_last(&saved->form.out, saved->dtype) : new_array(&saved->form.out, saved->dtype);
    if (out && kind->flags & BD_IS_RELU) {
        if (!(saved->sign = signs_like(out)))
            goto done;
        io.sign = PyArray_DATA(saved->sign);
    } else if (out && kind->flags & BD_KEEP_OUTPUT) {
        saved->out = fresh_array(PyArray_NDIM(out), PyArray_DIMS(out), PyArray_TYPE(out), PyArray_STRIDES(out));
        if (!saved->out)
            goto done;
        copy = (copy_job){PyArray_DATA(saved->out), PyArray_DATA(out), PyArray_SIZE(out), saved->dtype};
    }
    saved->keep = saved->form.keep ? flat_array(saved->form.keep, type_num_of(saved->dtype)) : NULL;
    saved->keep_index = saved->form.keep_index ? flat_array(saved->form.keep_index, NPY_INT64) : NULL;
    if (!out || (saved->form.keep && !saved->keep) || (saved->form.keep_index && !saved->keep_index) ||
        make_scratch(&room, &saved->form, saved->shape, saved->dtype, 1))
        goto done;
    for (int i = 0; i < param_count; i++)
        param_data[i] = PyArray_DATA(param[i]);
    io.shape = saved->shape;
    io.out_shape = &saved->form.out;
    io.out = PyArray_DATA(out);
    io.param = param_data;
    io.keep = saved->keep ? PyArray_DATA(saved->keep) : NULL;
    io.keep_index = saved->keep_index ? PyArray_DATA(saved->keep_index) : NULL;
    io.buffer = buffer_data;
    io.draws = draws ? PyArray_DATA(draws) : NULL;
    io.target = &saved->target.target;
    io.kernels = bd_kernels(saved->dtype);
    io.training = training;
    run(kind->forward[saved->dtype], layer, &io, &saved->form, &room, &copy);
    if (!(kind->flags & BD_KEEP_INPUT) || (training && saved->form.frees_x))
        drop_arrays(saved->input, kind->inputs);

    PyObject *given = kind->flags & BD_IS_LOSS ? PyArray_ToScalar(PyArray_DATA(out), out) : Py_NewRef((PyObject *)out);
    if (given)
        result = Py_BuildValue("NO", given, saved);
done:
    free_scratch(&room);
    drop_arrays(param, BD_MAX_PARAM);
    Py_XDECREF(draws);
    Py_XDECREF(out);
    Py_DECREF(saved);
    return result;
}

/* ---------------------------------------------------------------- backward */

/* Nobody must have reshaped or resized, in place, an array that forward saw. */
static int check_unchanged(const SavedObject *saved)
{
    for (int i = 0; i < saved->layer.kind->inputs && saved->input[i]; i++) {
        PyArrayObject *x = saved->input[i];
        bool same = PyArray_NDIM(x) == saved->shape[i].ndim && PyArray_TYPE(x) == type_num_of(saved->dtype) &&
                    (saved->x_last ? has_channels_last(x) : PyArray_ISCARRAY_RO(x));
        for (int j = 0; same && j < saved->shape[i].ndim; j++)
            same = PyArray_DIM(x, j) == saved->shape[i].dim[j];
        if (!same) {
            PyErr_SetString(PyExc_RuntimeError, "x changed its shape or dtype between forward and backward");
            return -1;
        }
    }
    return 0;
}

static PyArrayObject *intake_dout(const SavedObject *saved, PyObject *object, bool *last)
{
    bd_shape shape;
    PyArrayObject *dout = takes_channels_last(saved->layer.kind)
                            ? intake_image(object, "dout", type_num_of(saved->dtype), last)
                            : intake(object, "dout", type_num_of(saved->dtype));

    if (!dout)
        return NULL;
    const bool number = saved->layer.kind->flags & BD_IS_LOSS;
    if (number ? PyArray_SIZE(dout) == 1
               : !shape_of(dout, "dout", 0, &shape) && bd_same_shape(&shape, &saved->form.out)) {
        if (!(saved->layer.kind->flags & BD_ANY_ORDER) || *last == saved->x_last)
            return dout;
        PyArrayObject *like_x = turned_image(dout);
        Py_DECREF(dout);
        return like_x;
    }
    if (!PyErr_Occurred()) {
        PyObject *got = PyObject_GetAttrString((PyObject *)dout, "shape");
        PyObject *expected = shape_tuple(&saved->form.out, 0);
        if (got && expected)
            PyErr_Format(PyExc_ValueError, "dout has shape %S, expected %S as the output of forward", got, expected);
        Py_XDECREF(got);
        Py_XDECREF(expected);
    }
    Py_DECREF(dout);
    return NULL;
}

static PyObject *tuple_of(PyArrayObject *array[], int count)
{
    PyObject *tuple = PyTuple_New(count);
    for (int i = 0; tuple && i < count; i++)
        PyTuple_SET_ITEM(tuple, i, Py_NewRef((PyObject *)array[i]));
    return tuple;
}

static PyObject *layer_backward(PyObject *object, PyTypeObject *type, PyObject *const *args, Py_ssize_t count,
                                PyObject *names)
{
    const bd_layer *layer = layer_of(object);
    const bd_layer_kind *kind = layer->kind;
    const int param_count = bd_array_count(kind->param, BD_MAX_PARAM);
    PyArrayObject *param[BD_MAX_PARAM] = {0}, *dparam[BD_MAX_PARAM] = {0}, *dx[BD_MAX_INPUT] = {0}, *dout = NULL;
    const void *param_data[BD_MAX_PARAM] = {0};
    void *dparam_data[BD_MAX_PARAM] = {0};
    PyObject *result = NULL;
    scratch room = {0};
    bd_io io = {0};

    if (count != 3 || (names && PyTuple_GET_SIZE(names)))
        return PyErr_Format(PyExc_TypeError, "backward takes saved, dout, params");
    if (!PyObject_TypeCheck(args[0], state_of_type(type)->saved_type))
        return PyErr_Format(PyExc_RuntimeError, "%s.backward needs a forward before it", kind->name);
    SavedObject *saved = (SavedObject *)args[0];
    if (saved->layer.kind != kind)
        return PyErr_Format(PyExc_RuntimeError, "%s.backward got what a %s had saved", kind->name,
                            saved->layer.kind->name);
    PyObject *params = args[2];
    if (check_count(params, param_count, "parameters", kind) || check_unchanged(saved))
        return NULL;
    if (kind->param[0].name && (check_parameter(PyTuple_GET_ITEM(params, 0), kind->param[0].name) ||
                                check_fit(layer, &saved->form, params, saved->shape)))
        goto done;
    if (memcmp(saved->layer.hyper, layer->hyper, sizeof layer->hyper)) {
        PyErr_Format(PyExc_RuntimeError, "%s.backward got what a %s of other hyper-parameters had saved", kind->name,
                     kind->name);
        goto done;
    }
    if (take_params(kind, &saved->form, params, saved->dtype, param) ||
        !(dout = intake_dout(saved, args[1], &io.out_last)))
        goto done;
    for (int i = 0; i < kind->inputs; i++) {
        dx[i] = saved->x_last ? new_channels_last(&saved->shape[i], saved->dtype)
                              : new_array(&saved->shape[i], saved->dtype);
        if (!dx[i])
            goto done;
        io.x[i] = saved->input[i] ? PyArray_DATA(saved->input[i]) : NULL;
        io.dx[i] = PyArray_DATA(dx[i]);
    }
    for (int i = 0; i < param_count; i++) {
        if (!(dparam[i] = new_array(&saved->form.param[i], saved->dtype)))
            goto done;
        param_data[i] = PyArray_DATA(param[i]);
        dparam_data[i] = PyArray_DATA(dparam[i]);
    }
    if (make_scratch(&room, &saved->form, saved->shape, saved->dtype, 2)) /* two products where forward has one */
        goto done;
    io.shape = saved->shape;
    io.out_shape = &saved->form.out;
    io.out = saved->out ? PyArray_DATA(saved->out) : NULL;
    io.sign = saved->sign ? PyArray_DATA(saved->sign) : NULL;
    io.param = param_data;
    io.dparam = dparam_data;
    io.keep = saved->keep ? PyArray_DATA(saved->keep) : NULL;
    io.keep_index = saved->keep_index ? PyArray_DATA(saved->keep_index) : NULL;
    io.target = &saved->target.target;
    io.dout = PyArray_DATA(dout);
    io.kernels = bd_kernels(saved->dtype);
    io.training = saved->training;
    io.x_last = saved->x_last;
    run(kind->backward[saved->dtype], layer, &io, &saved->form, &room, &(copy_job){0});

    PyObject *dxs = tuple_of(dx, kind->inputs), *dparams = tuple_of(dparam, param_count);
    if (dxs && dparams)
        result = PyTuple_Pack(2, dxs, dparams);
    Py_XDECREF(dxs);
    Py_XDECREF(dparams);
done:
    free_scratch(&room);
    drop_arrays(param, BD_MAX_PARAM);
    drop_arrays(dparam, BD_MAX_PARAM);
    drop_arrays(dx, BD_MAX_INPUT);
    Py_XDECREF(dout);
    return result;
}

/* ---------------------------------------------------------------- attributes and types */

static PyObject *layer_kind(PyObject *object, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(layer_of(object)->kind->name);
}

static PyObject *layer_hyper(PyObject *object, void *closure)
{
    const bd_layer *layer = layer_of(object);
    const int count = bd_hyper_count(layer->kind->hyper);
    PyObject *tuple = PyTuple_New(count);

    (void)closure;
    for (int i = 0; tuple && i < count; i++) {
        PyObject *value = hyper_value(&layer->kind->hyper[i], layer->hyper[i]);
        if (!value)
            Py_CLEAR(tuple);
        else
            PyTuple_SET_ITEM(tuple, i, value);
    }
    return tuple;
}

static PyObject *layer_children(PyObject *object, void *closure)
{
    (void)closure;
    return Py_NewRef(children_of(object));
}

static PyMethodDef layer_methods[] = {
    {"forward", (PyCFunction)(void (*)(void))layer_forward, METH_METHOD | METH_FASTCALL | METH_KEYWORDS,
     "forward($self, inputs, params, target, training, buffers, draws, /)\n--\n\n(out, saved) for a tuple of inputs "
     "and one of parameters."},
    {"backward", (PyCFunction)(void (*)(void))layer_backward, METH_METHOD | METH_FASTCALL | METH_KEYWORDS,
     "backward($self, saved, dout, params, /)\n--\n\n(dx per input, gradient per parameter), new arrays."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef layer_getset[] = {
    {"kind", layer_kind, NULL, "Name of the kind.", NULL},
    {"hyper", layer_hyper, NULL, "Values of the hyper-parameters, in the kind's order.", NULL},
    {"children", layer_children, NULL, "The layers of its branch.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot layer_slots[] = {
    {Py_tp_doc, "Layer(kind, hyper, children=())\n--\n\nA layer kind with its hyper-parameters; immutable."},
    {Py_tp_new, layer_new},
    {Py_tp_dealloc, layer_dealloc},
    {Py_tp_traverse, layer_traverse},
    {Py_tp_repr, layer_repr},
    {Py_tp_methods, layer_methods},
    {Py_tp_getset, layer_getset},
    {0, NULL},
};

PyType_Spec layer_type_spec = {
    .name = "badak._core.Layer",
    .basicsize = sizeof(LayerObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = layer_slots,
};

static void saved_dealloc(PyObject *object)
{
    SavedObject *self = (SavedObject *)object;
    PyTypeObject *type = Py_TYPE(object);

    drop_arrays(self->input, BD_MAX_INPUT);
    Py_XDECREF(self->out);
    Py_XDECREF(self->sign);
    Py_XDECREF(self->keep);
    Py_XDECREF(self->keep_index);
    Py_XDECREF(self->target.array);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *or_none(PyArrayObject *array)
{
    return Py_NewRef(array ? (PyObject *)array : Py_None);
}

static PyObject *saved_x(PyObject *object, void *closure)
{
    (void)closure;
    return or_none(((SavedObject *)object)->input[0]);
}

static PyObject *saved_x_shape(PyObject *object, void *closure)
{
    (void)closure;
    return shape_tuple(((SavedObject *)object)->shape, 0);
}

/* A copy, because backward reads the original. */
static PyObject *saved_out(PyObject *object, void *closure)
{
    SavedObject *self = (SavedObject *)object;
    (void)closure;
    return self->out ? PyArray_NewCopy(self->out, NPY_CORDER) : Py_NewRef(Py_None);
}

static PyObject *saved_sign(PyObject *object, void *closure)
{
    SavedObject *self = (SavedObject *)object;
    (void)closure;
    return self->sign ? PyArray_NewCopy(self->sign, NPY_KEEPORDER) : Py_NewRef(Py_None);
}

static PyObject *saved_keep(PyObject *object, void *closure)
{
    SavedObject *self = (SavedObject *)object;
    (void)closure;
    return self->keep ? PyArray_NewCopy(self->keep, NPY_CORDER) : Py_NewRef(Py_None);
}

static PyObject *saved_target(PyObject *object, void *closure)
{
    (void)closure;
    return or_none(((SavedObject *)object)->target.array);
}

/* It never changes, so that a copy of a layer may share it. */
static PyObject *saved_copy(PyObject *object, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(object);
}

static PyMethodDef saved_methods[] = {
    {"__copy__", saved_copy, METH_NOARGS, NULL},
    {"__deepcopy__", saved_copy, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef saved_getset[] = {
    {"x", saved_x, NULL, "The first input of forward, as converted; None where backward does not read it.", NULL},
    {"x_shape", saved_x_shape, NULL, "The shape of that input.", NULL},
    {"out", saved_out, NULL, "A copy of the output, or None.", NULL},
    {"sign", saved_sign, NULL, "A copy of the ReLU's signs, 1 where x passed and else 0, or None.", NULL},
    {"keep", saved_keep, NULL, "A copy of what else was kept, or None.", NULL},
    {"target", saved_target, NULL, "Labels or rows, as converted, or None.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot saved_slots[] = {
    {Py_tp_doc, "What forward kept for backward."},
    {Py_tp_dealloc, saved_dealloc},
    {Py_tp_methods, saved_methods},
    {Py_tp_getset, saved_getset},
    {0, NULL},
};

PyType_Spec saved_type_spec = {
    .name = "badak._core.Saved",
    .basicsize = sizeof(SavedObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = saved_slots,
};

/* ---------------------------------------------------------------- the descriptors, for Python */

static PyObject *describe_hyper(const bd_hyper_spec *spec)
{
    PyObject *list = PyTuple_New(bd_hyper_count(spec));

    for (int i = 0; list && i < bd_hyper_count(spec); i++) {
        PyObject *fallback = NULL, *item = NULL;
        if (spec[i].needed)
            fallback = Py_NewRef(Py_None);
        else if (spec[i].type == BD_INT)
            fallback = PyLong_FromLong((long)spec[i].fallback);
        else
            fallback = hyper_value(&spec[i], (bd_value){.f = spec[i].fallback});
        if (fallback)
            item = Py_BuildValue("sN", spec[i].name, fallback);
        if (!item)
            Py_CLEAR(list);
        else
            PyTuple_SET_ITEM(list, i, item);
    }
    return list;
}

static PyObject *describe_arrays(const bd_array_spec *spec, int max)
{
    const int count = bd_array_count(spec, max);
    PyObject *list = PyTuple_New(count);

    for (int i = 0; list && i < count; i++) {
        PyObject *name = PyUnicode_FromString(spec[i].name);
        if (!name)
            Py_CLEAR(list);
        else
            PyTuple_SET_ITEM(list, i, name);
    }
    return list;
}

static PyObject *describe_kind(const bd_layer_kind *kind)
{
    PyObject *hyper = describe_hyper(kind->hyper), *params = describe_arrays(kind->param, BD_MAX_PARAM);
    PyObject *buffers = describe_arrays(kind->buffer, BD_MAX_BUFFER), *result = NULL;

    if (hyper && params && buffers)
        result = Py_BuildValue("{sisOsOsOsOsOsO}", "inputs", kind->inputs, "hyper", hyper, "params", params, "buffers",
                               buffers, "is_loss", kind->flags & BD_IS_LOSS ? Py_True : Py_False, "classifies",
                               kind->flags & (BD_CLASS_TARGET | BD_BINARY_TARGET) ? Py_True : Py_False, "branches",
                               kind->branches ? Py_True : Py_False);
    Py_XDECREF(hyper);
    Py_XDECREF(params);
    Py_XDECREF(buffers);
    return result;
}

PyObject *describe_kinds(PyObject *module, PyObject *unused)
{
    PyObject *all = PyDict_New();

    (void)module;
    (void)unused;
    for (const bd_layer_kind *const *kind = bd_layer_kinds; all && *kind; kind++) {
        PyObject *one = describe_kind(*kind);
        if (!one || PyDict_SetItemString(all, (*kind)->name, one))
            Py_CLEAR(all);
        Py_XDECREF(one);
    }
    return all;
}
