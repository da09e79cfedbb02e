/* The functions of badak._core: the book's functions, optimiser updates, and facts. */
#include <math.h>
#include <stdlib.h>

#include "../core/share.h"
#include "../kernels/kernels.h"
#include "bind.h"

/* ---------------------------------------------------------------- element by element */

typedef void (*map_f32)(float *, const float *, bd_size);
typedef void (*map_f64)(double *, const double *, bd_size);

static int find_map(const char *name, map_f32 *single, map_f64 *doubled)
{
    const bd_kernels_f32 *s = bd_kernels(BD_F32);
    const bd_kernels_f64 *d = bd_kernels(BD_F64);
    const struct {
        const char *name;
        map_f32 s;
        map_f64 d;
    } map[] = {{"sigmoid", s->sigmoid, d->sigmoid},
               {"tanh", s->tanh, d->tanh},
               {"relu", s->relu, d->relu},
               {"exp", s->exp, d->exp},
               {"log", s->log, d->log}};

    for (size_t i = 0; i < sizeof map / sizeof *map; i++)
        if (!strcmp(name, map[i].name)) {
            *single = map[i].s;
            *doubled = map[i].d;
            return 0;
        }
    PyErr_Format(PyExc_ValueError, "there is no function \"%s\"", name);
    return -1;
}

/* An array like x for a result; 0-d results leave as scalars (PyArray_Return). */
static PyObject *apply(PyObject *module, PyObject *args)
{
    const char *name;
    PyObject *object;
    map_f32 single;
    map_f64 doubled;

    (void)module;
    if (!PyArg_ParseTuple(args, "sO:apply", &name, &object) || find_map(name, &single, &doubled))
        return NULL;
    PyArrayObject *x = intake(object, "x", ANY_FLOAT);
    if (!x)
        return NULL;
    PyArrayObject *out = (PyArrayObject *)PyArray_SimpleNew(PyArray_NDIM(x), PyArray_DIMS(x), PyArray_TYPE(x));
    if (out) {
        const bd_size count = PyArray_SIZE(x);
        Py_BEGIN_ALLOW_THREADS if (PyArray_TYPE(x) == NPY_FLOAT) single(PyArray_DATA(out), PyArray_DATA(x), count);
        else doubled(PyArray_DATA(out), PyArray_DATA(x), count);
        Py_END_ALLOW_THREADS
    }
    Py_DECREF(x);
    return out ? PyArray_Return(out) : NULL;
}

/* The intake for Python code: an array of real numbers, with at least `min_ndim` dimensions where that is said. */
static PyObject *real_array(PyObject *module, PyObject *args)
{
    PyObject *object;
    const char *name = "x";
    int min_ndim = -1;
    bd_shape shape;

    (void)module;
    if (!PyArg_ParseTuple(args, "O|si:real_array", &object, &name, &min_ndim))
        return NULL;
    PyArrayObject *x = intake(object, name, ANY_FLOAT);
    if (x && min_ndim >= 0 && shape_of(x, name, min_ndim, &shape))
        Py_CLEAR(x);
    return (PyObject *)x;
}

static PyObject *softmax(PyObject *module, PyObject *object)
{
    (void)module;
    PyArrayObject *x = intake(object, "x", ANY_FLOAT), *out = NULL;
    if (!x)
        return NULL;
    const int ndim = PyArray_NDIM(x);
    if (ndim == 0 || PyArray_DIM(x, ndim - 1) == 0) {
        PyErr_SetString(PyExc_ValueError, "x needs at least one axis, and a last axis that is not empty");
        goto done;
    }
    if (!(out = (PyArrayObject *)PyArray_SimpleNew(ndim, PyArray_DIMS(x), PyArray_TYPE(x))))
        goto done;
    const bd_size c = PyArray_DIM(x, ndim - 1), n = PyArray_SIZE(x) / c;
    Py_BEGIN_ALLOW_THREADS if (PyArray_TYPE(x) == NPY_FLOAT)((const bd_kernels_f32 *)bd_kernels(BD_F32))
        ->softmax_rows(PyArray_DATA(out), NULL, NULL, PyArray_DATA(x), n, c);
    else((const bd_kernels_f64 *)bd_kernels(BD_F64))
        ->softmax_rows(PyArray_DATA(out), NULL, NULL, PyArray_DATA(x), n, c);
    Py_END_ALLOW_THREADS done : Py_DECREF(x);
    return (PyObject *)out;
}

/* ---------------------------------------------------------------- windows of images */

/* The window of im2col and col2im, for images of a shape. */
static int parse_window(bd_window *window, const bd_shape *x, PyObject *const sizes[4])
{
    static const char *const name[4] = {"filter_h", "filter_w", "stride", "pad"};
    int64_t *to[4] = {&window->fh, &window->fw, &window->stride, &window->pad};
    bd_detail detail = {.what = "the images"};

    window->dilation = 1;
    for (int i = 0; i < 4; i++) {
        if (parse_int(sizes[i], name[i], to[i]))
            return -1;
        if (*to[i] < (i < 3)) {
            PyErr_Format(PyExc_ValueError, "%s = %lld: expected at least %d", name[i], (long long)*to[i], i < 3);
            return -1;
        }
    }
    const bd_status status = bd_count(x) < 0 ? BD_TOO_LARGE : bd_window_fit(window, x, &detail);
    if (status)
        raise_status(status, &detail, NULL);
    return status ? -1 : 0;
}

static PyObject *im2col(PyObject *module, PyObject *args)
{
    PyObject *object, *sizes[4];
    PyArrayObject *col = NULL;
    bd_window window;
    bd_shape shape;

    (void)module;
    if (!PyArg_ParseTuple(args, "OOOOO:im2col", &object, &sizes[0], &sizes[1], &sizes[2], &sizes[3]))
        return NULL;
    PyArrayObject *x = intake(object, "input_data", ANY_FLOAT);
    if (!x || shape_of(x, "input_data", 1, &shape) || parse_window(&window, &shape, sizes))
        goto done;
    const bd_dtype dtype = PyArray_TYPE(x) == NPY_FLOAT ? BD_F32 : BD_F64;
    const bd_shape result = {.ndim = 5, .dim = {shape.dim[0], window.oh * window.ow, window.c, window.fh, window.fw}};
    if (bd_count(&result) < 0) {
        raise_status(BD_TOO_LARGE, &(bd_detail){.what = "col"}, NULL);
        goto done;
    }
    const bd_shape rows = bd_shape2(shape.dim[0] * window.oh * window.ow, window.c * window.fh * window.fw);
    if ((col = new_array(&rows, dtype))) {
        Py_BEGIN_ALLOW_THREADS bd_im2col(PyArray_DATA(col), PyArray_DATA(x), shape.dim[0], &window, dtype);
        Py_END_ALLOW_THREADS
    }
done:
    Py_XDECREF(x);
    return (PyObject *)col;
}

static PyObject *col2im(PyObject *module, PyObject *args)
{
    PyObject *object, *input_shape, *sizes[4];
    PyArrayObject *x = NULL;
    bd_window window;
    bd_shape shape = {.ndim = 4};

    (void)module;
    if (!PyArg_ParseTuple(args, "OO!OOOO:col2im", &object, &PyTuple_Type, &input_shape, &sizes[0], &sizes[1], &sizes[2],
                          &sizes[3]))
        return NULL;
    if (PyTuple_GET_SIZE(input_shape) != 4)
        return PyErr_Format(PyExc_ValueError, "input_shape must be (N, C, H, W), got %R", input_shape);
    for (int i = 0; i < 4; i++)
        if (parse_int(PyTuple_GET_ITEM(input_shape, i), "a size in input_shape", &shape.dim[i]))
            return NULL;
        else if (shape.dim[i] < 0)
            return PyErr_Format(PyExc_ValueError, "input_shape = %R: no size can be negative", input_shape);
    PyArrayObject *col = intake(object, "col", ANY_FLOAT);
    if (!col || parse_window(&window, &shape, sizes))
        goto done;
    const bd_shape expected = {.ndim = 5, .dim = {shape.dim[0], window.oh * window.ow, window.c, window.fh, window.fw}};
    if (PyArray_SIZE(col) != bd_count(&expected)) {
        PyErr_Format(PyExc_ValueError, "col holds %lld numbers, expected %lld for input_shape %R",
                     (long long)PyArray_SIZE(col), (long long)bd_count(&expected), input_shape);
        goto done;
    }
    const bd_dtype dtype = PyArray_TYPE(col) == NPY_FLOAT ? BD_F32 : BD_F64;
    if ((x = new_array(&shape, dtype))) {
        Py_BEGIN_ALLOW_THREADS bd_col2im(PyArray_DATA(x), PyArray_DATA(col), shape.dim[0], &window, dtype);
        Py_END_ALLOW_THREADS
    }
done:
    Py_XDECREF(col);
    return (PyObject *)x;
}

/* ---------------------------------------------------------------- losses of arrays */

static PyObject *cross_entropy(PyObject *module, PyObject *args)
{
    PyObject *y_object, *t_object;
    double eps, loss;
    target_in target;
    bd_shape shape;

    (void)module;
    if (!PyArg_ParseTuple(args, "OOd:cross_entropy", &y_object, &t_object, &eps))
        return NULL;
    PyArrayObject *y = intake(y_object, "y", ANY_FLOAT);
    if (!y || shape_of(y, "y", 2, &shape))
        goto fail;
    const bd_size n = shape.dim[0], c = bd_features(&shape);
    const bd_dtype dtype = PyArray_TYPE(y) == NPY_FLOAT ? BD_F32 : BD_F64;
    if (n == 0 || c == 0) {
        PyErr_SetString(PyExc_ValueError, "y has no samples or no classes: the mean over them does not exist");
        goto fail;
    }
    for (bd_size i = 0; i < n * c; i++) {
        const double value = dtype == BD_F32 ? (double)((float *)PyArray_DATA(y))[i] : ((double *)PyArray_DATA(y))[i];
        if (value < 0) { /* NaN propagates */
            char number[32];
            PyOS_snprintf(number, sizeof number, "%g", value);
            PyErr_Format(PyExc_ValueError,
                         "y holds %s: probabilities are not negative (are these scores? softmax them)", number);
            goto fail;
        }
    }
    const bd_layer loss_layer = {.kind = &bd_softmax_with_loss};
    if (intake_target(&target, t_object, &loss_layer, &shape, dtype))
        goto fail;
    loss = dtype == BD_F32 ? bd_cross_entropy_f32(PyArray_DATA(y), &target.target, n, c, eps)
                           : bd_cross_entropy_f64(PyArray_DATA(y), &target.target, n, c, eps);
    Py_DECREF(target.array);
    Py_DECREF(y);
    return PyFloat_FromDouble(loss);
fail:
    Py_XDECREF(y);
    return NULL;
}

static PyObject *squared_distance(PyObject *module, PyObject *args)
{
    PyObject *y_object, *t_object, *result = NULL;
    PyArrayObject *y, *t = NULL;

    (void)module;
    if (!PyArg_ParseTuple(args, "OO:squared_distance", &y_object, &t_object))
        return NULL;
    if (!(y = intake(y_object, "y", ANY_FLOAT)) || !(t = intake(t_object, "t", ANY_FLOAT)))
        goto done;
    if (PyArray_TYPE(y) != PyArray_TYPE(t)) { /* in the wider of the two */
        PyArrayObject **narrow = PyArray_TYPE(y) == NPY_FLOAT ? &y : &t;
        PyArrayObject *wide = intake((PyObject *)*narrow, "y", NPY_DOUBLE);
        if (!wide)
            goto done;
        Py_SETREF(*narrow, wide);
    }
    if (!PyArray_SAMESHAPE(y, t)) {
        PyObject *ys = PyObject_GetAttrString((PyObject *)y, "shape"),
                 *ts = PyObject_GetAttrString((PyObject *)t, "shape");
        if (ys && ts)
            PyErr_Format(PyExc_ValueError, "y has shape %S, but t has shape %S: they must be the same", ys, ts);
        Py_XDECREF(ys);
        Py_XDECREF(ts);
        goto done;
    }
    result = PyFloat_FromDouble(PyArray_TYPE(y) == NPY_FLOAT
                                    ? bd_squared_distance_f32(PyArray_DATA(y), PyArray_DATA(t), PyArray_SIZE(y))
                                    : bd_squared_distance_f64(PyArray_DATA(y), PyArray_DATA(t), PyArray_SIZE(y)));
done:
    Py_XDECREF(y);
    Py_XDECREF(t);
    return result;
}

/* ---------------------------------------------------------------- optimisers on single arrays */

/* A contiguous work array for one that may lie in any way; changes go back when it is resolved. */
static PyArrayObject *in_place(PyObject *object, const char *name, int type_num)
{
    if (check_parameter(object, name))
        return NULL;
    if (type_num != ANY_FLOAT && PyArray_TYPE((PyArrayObject *)object) != type_num) {
        PyErr_Format(PyExc_TypeError, "%s has another dtype than its parameter", name);
        return NULL;
    }
    return (PyArrayObject *)PyArray_FromArray((PyArrayObject *)object, NULL,
                                              NPY_ARRAY_CARRAY | NPY_ARRAY_WRITEBACKIFCOPY | NPY_ARRAY_ENSUREARRAY);
}

static int finish_in_place(PyArrayObject *array, bool commit)
{
    int failed = 0;

    if (!array)
        return 0;
    if (commit)
        failed = PyArray_ResolveWritebackIfCopy(array) < 0;
    else
        PyArray_DiscardWritebackIfCopy(array);
    Py_DECREF(array);
    return failed;
}

/* One parameter of an update, ready to be computed. */
typedef struct {
    PyArrayObject *p, *g, *state[BD_MAX_STATE];
    void *state_data[BD_MAX_STATE];
} update_item;

static int prepare_item(update_item *item, const bd_optimizer_kind *kind, PyObject *p, PyObject *g, PyObject *states)
{
    const int state_count = bd_state_count(kind);

    if (!PyTuple_Check(states) || PyTuple_GET_SIZE(states) != state_count) {
        PyErr_Format(PyExc_ValueError, "%s keeps %d arrays for each parameter", kind->name, state_count);
        return -1;
    }
    if (!(item->p = in_place(p, "a parameter", ANY_FLOAT)) ||
        !(item->g = intake(g, "a gradient", PyArray_TYPE(item->p))))
        return -1;
    if (!PyArray_SAMESHAPE(item->p, item->g)) {
        PyObject *ps = PyObject_GetAttrString(p, "shape"), *gs = PyObject_GetAttrString((PyObject *)item->g, "shape");
        if (ps && gs)
            PyErr_Format(PyExc_ValueError, "a parameter has shape %S, but its gradient has shape %S", ps, gs);
        Py_XDECREF(ps);
        Py_XDECREF(gs);
        return -1;
    }
    for (int i = 0; i < state_count; i++) {
        item->state[i] = in_place(PyTuple_GET_ITEM(states, i), kind->state[i], PyArray_TYPE(item->p));
        if (!item->state[i])
            return -1;
        if (!PyArray_SAMESHAPE(item->p, item->state[i])) {
            PyErr_Format(PyExc_ValueError, "%s has another shape than its parameter", kind->state[i]);
            return -1;
        }
        item->state_data[i] = PyArray_DATA(item->state[i]);
    }
    return 0;
}

typedef struct {
    const bd_optimizer *optimizer;
    const update_item *item;
    Py_ssize_t count;
    int64_t t;
} update_job;

/* A share of every parameter: much the same share as of its gradient, which is near where a layer's part computed it.
 */
static void update_part(void *context, int part, int parts)
{
    const update_job *job = context;

    for (Py_ssize_t i = 0; i < job->count; i++) {
        const update_item *item = &job->item[i];
        const bd_dtype dtype = PyArray_TYPE(item->p) == NPY_FLOAT ? BD_F32 : BD_F64;
        const bd_range range = bd_share_of(PyArray_SIZE(item->p), BD_LINE, part, parts);
        const size_t at = (size_t)range.from * bd_dtype_size(dtype);
        void *state[BD_MAX_STATE] = {0};
        for (int j = 0; j < BD_MAX_STATE && item->state[j]; j++)
            state[j] = (char *)item->state_data[j] + at;
        job->optimizer->kind->update[dtype]((char *)PyArray_DATA(item->p) + at,
                                            (const char *)PyArray_DATA(item->g) + at, state, range.count,
                                            job->optimizer->hyper, job->t, bd_kernels(dtype));
    }
}

typedef struct {
    const char *from, *to;
} span;

static int by_start(const void *a, const void *b)
{
    const span *x = a, *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

/* Do two of the arrays share memory, so that the order of their updates may count? */
static bool share_memory(const update_item *item, Py_ssize_t count)
{
    enum { MEMBERS = 2 + BD_MAX_STATE };
    span *all = PyMem_Calloc((size_t)count * MEMBERS, sizeof *all);
    size_t found = 0;
    bool shared = false;

    if (!all)
        return true; /* that is right in any case */
    for (Py_ssize_t i = 0; i < count; i++)
        for (int j = 0; j < MEMBERS; j++) {
            PyArrayObject *array = j == 0 ? item[i].p : j == 1 ? item[i].g : item[i].state[j - 2];
            if (array)
                all[found++] = (span){PyArray_BYTES(array), PyArray_BYTES(array) + PyArray_NBYTES(array)};
        }
    qsort(all, found, sizeof *all, by_start);
    for (size_t i = 1; i < found; i++)
        shared |= all[i].from < all[i - 1].to;
    PyMem_Free(all);
    return shared;
}

/* In threads where that is worth it. */
static void update_all(const bd_optimizer *optimizer, const update_item *item, Py_ssize_t count, int64_t t)
{
    enum { OPERATIONS = 40 }; /* of one number in one array, by the time it takes */
    update_job job = {optimizer, item, count, t};
    bd_size size = 0;

    for (Py_ssize_t i = 0; i < count; i++)
        size += PyArray_SIZE(item[i].p);
    int parts = bd_parts_for_call(OPERATIONS * (1 + bd_state_count(optimizer->kind)) * (double)size);
    if (parts > 1 && share_memory(item, count))
        parts = 1;
    const bd_team team = bd_team_begin(parts);
    bd_team_run(team, parts, update_part, &job);
    bd_team_end(team);
}

/* All parameters are checked before the first is changed. */
static PyObject *update(PyObject *module, PyObject *args)
{
    const char *name;
    PyObject *hyper, *params, *grads, *states;
    long long t;
    bd_optimizer optimizer;

    (void)module;
    if (!PyArg_ParseTuple(args, "sOO!O!O!L:update", &name, &hyper, &PyList_Type, &params, &PyList_Type, &grads,
                          &PyList_Type, &states, &t))
        return NULL;
    optimizer.kind = bd_find_optimizer(name);
    if (!optimizer.kind)
        return PyErr_Format(PyExc_ValueError, "there is no optimiser \"%s\"", name);
    if (parse_hyper(hyper, optimizer.kind->hyper, optimizer.hyper, name))
        return NULL;
    const Py_ssize_t count = PyList_GET_SIZE(params);
    if (PyList_GET_SIZE(grads) != count || PyList_GET_SIZE(states) != count || t < 1)
        return PyErr_Format(PyExc_ValueError,
                            "one gradient and one tuple of states for each parameter; t counts from 1");
    update_item *item = PyMem_Calloc((size_t)count + 1, sizeof *item);
    if (!item)
        return PyErr_NoMemory();

    bool ready = true, failed = false;
    for (Py_ssize_t i = 0; i < count && ready; i++)
        ready = !prepare_item(&item[i], optimizer.kind, PyList_GET_ITEM(params, i), PyList_GET_ITEM(grads, i),
                              PyList_GET_ITEM(states, i));
    if (ready)
        update_all(&optimizer, item, count, t);
    for (Py_ssize_t i = 0; i < count; i++) {
        failed |= finish_in_place(item[i].p, ready);
        for (int j = 0; j < BD_MAX_STATE; j++)
            failed |= finish_in_place(item[i].state[j], ready);
        Py_XDECREF(item[i].g);
    }
    PyMem_Free(item);
    return ready && !failed ? Py_NewRef(Py_None) : NULL;
}

static PyObject *check_parameter_method(PyObject *module, PyObject *args)
{
    PyObject *object;
    const char *name;

    (void)module;
    if (!PyArg_ParseTuple(args, "Os:check_parameter", &object, &name) || check_parameter(object, name))
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *check_optimizer(PyObject *module, PyObject *args)
{
    const char *name;
    PyObject *hyper;
    bd_value value[BD_MAX_HYPER];

    (void)module;
    if (!PyArg_ParseTuple(args, "sO:check_optimizer", &name, &hyper))
        return NULL;
    const bd_optimizer_kind *kind = bd_find_optimizer(name);
    if (!kind)
        return PyErr_Format(PyExc_ValueError, "there is no optimiser \"%s\"", name);
    return parse_hyper(hyper, kind->hyper, value, name) ? NULL : Py_NewRef(Py_None);
}

static PyObject *describe_optimizers(PyObject *module, PyObject *unused)
{
    PyObject *all = PyDict_New();

    (void)module;
    (void)unused;
    for (const bd_optimizer_kind *const *kind = bd_optimizer_kinds; all && *kind; kind++) {
        PyObject *hyper = PyList_New(0), *state = PyList_New(0), *one = NULL;
        for (int i = 0; hyper && i < bd_hyper_count((*kind)->hyper); i++) {
            PyObject *item = Py_BuildValue("sd", (*kind)->hyper[i].name, (*kind)->hyper[i].fallback);
            if (!item || PyList_Append(hyper, item))
                Py_CLEAR(hyper);
            Py_XDECREF(item);
        }
        for (int i = 0; state && i < bd_state_count(*kind); i++) {
            PyObject *item = PyUnicode_FromString((*kind)->state[i]);
            if (!item || PyList_Append(state, item))
                Py_CLEAR(state);
            Py_XDECREF(item);
        }
        if (hyper && state)
            one = Py_BuildValue("{sOsO}", "hyper", hyper, "state", state);
        if (!one || PyDict_SetItemString(all, (*kind)->name, one))
            Py_CLEAR(all);
        Py_XDECREF(one);
        Py_XDECREF(hyper);
        Py_XDECREF(state);
    }
    return all;
}

/* ---------------------------------------------------------------- facts */

static PyObject *isa(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyUnicode_FromString(bd_isa());
}

static PyObject *isa_names(PyObject *module, PyObject *unused)
{
    PyObject *list = PyList_New(0);

    (void)module;
    (void)unused;
    for (const char *const *name = bd_isa_names(); list && *name; name++) {
        PyObject *item = PyUnicode_FromString(*name);
        if (!item || PyList_Append(list, item))
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

static PyObject *set_num_threads(PyObject *module, PyObject *number)
{
    int64_t count;

    (void)module;
    if (parse_int(number, "n", &count))
        return NULL;
    if (count < 1)
        return PyErr_Format(PyExc_ValueError, "n = %lld: there must be at least 1 thread", (long long)count);
    bd_set_threads(count < BD_MOST_THREADS ? (int)count : BD_MOST_THREADS);
    Py_RETURN_NONE;
}

static PyObject *get_num_threads(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyLong_FromLong(bd_threads());
}

PyMethodDef function_methods[] = {
    {"apply", apply, METH_VARARGS, "apply(name, x, /)\n--\n\nsigmoid, tanh, relu, exp or log of every element."},
    {"real_array", real_array, METH_VARARGS,
     "real_array(x, name='x', min_ndim=-1, /)\n--\n\nx as a contiguous float32 or float64 array; TypeError unless it "
     "holds real numbers."},
    {"softmax", softmax, METH_O, "softmax(x, /)\n--\n\nSoftmax over the last axis."},
    {"im2col", im2col, METH_VARARGS, "im2col(x, filter_h, filter_w, stride, pad, /)\n--\n\nWindows of images as rows."},
    {"col2im", col2im, METH_VARARGS,
     "col2im(col, input_shape, filter_h, filter_w, stride, pad, /)\n--\n\nThe sum of windows, as images."},
    {"cross_entropy", cross_entropy, METH_VARARGS,
     "cross_entropy(y, t, eps, /)\n--\n\nMean over the rows of -sum(t log(y + eps))."},
    {"squared_distance", squared_distance, METH_VARARGS, "squared_distance(y, t, /)\n--\n\nSum of (y - t)^2."},
    {"update", update, METH_VARARGS,
     "update(kind, hyper, params, grads, states, t, /)\n--\n\nOne optimiser step on lists of arrays, in place."},
    {"check_parameter", check_parameter_method, METH_VARARGS,
     "check_parameter(array, name, /)\n--\n\nRaises unless the array can be used where it lies."},
    {"check_optimizer", check_optimizer, METH_VARARGS,
     "check_optimizer(kind, hyper, /)\n--\n\nRaises unless the hyper-parameters are in range."},
    {"numerical_gradient", numerical_gradient, METH_VARARGS,
     "numerical_gradient(f, x, h, /)\n--\n\nCentral differences; x is changed in place and restored."},
    {"derivative", derivative, METH_VARARGS,
     "derivative(f, size, rtol, coarsest=0.0, /)\n--\n\nRidders' ladder: (value, uncertainty, step, evaluations, left, "
     "right, finite, one_sided, bend, kind, left_uncertainty, right_uncertainty)."},
    {"one_sided", one_sided, METH_VARARGS,
     "one_sided(f, size, rtol, coarsest=0.0, /)\n--\n\nThe same, the slopes from either side extrapolated on their "
     "own."},
    {"layer_kinds", describe_kinds, METH_NOARGS, "layer_kinds()\n--\n\nThe descriptors, as dictionaries."},
    {"optimizer_kinds", describe_optimizers, METH_NOARGS, "optimizer_kinds()\n--\n\nThe optimisers, likewise."},
    {"isa", isa, METH_NOARGS, "isa()\n--\n\nThe instruction set whose kernels are in use."},
    {"isa_names", isa_names, METH_NOARGS, "isa_names()\n--\n\nThose that this processor can run, best last."},
    {"set_num_threads", set_num_threads, METH_O,
     "set_num_threads(n, /)\n--\n\nHow many threads a call may use, at least 1."},
    {"get_num_threads", get_num_threads, METH_NOARGS, "get_num_threads()\n--\n\nHow many threads a call may use."},
    {NULL, NULL, 0, NULL},
};
