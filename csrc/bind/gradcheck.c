/* Numerical derivatives: of Python functions, which are called back, and of a net's loss, where no Python runs. */
#include <math.h>
#include <string.h>

#include "net_object.h"

/* ---------------------------------------------------------------- numerical derivatives of Python functions */

static int call_scalar(PyObject *f, PyObject *argument, double *value)
{
    PyObject *result = PyObject_CallOneArg(f, argument);
    int failed = 0;

    if (!result)
        return -1;
    if (PyFloat_Check(result)) {
        *value = PyFloat_AS_DOUBLE(result);
    } else if (PyArray_Check(result) && PyArray_SIZE((PyArrayObject *)result) != 1) {
        PyErr_Format(PyExc_ValueError, "f must return one number, got an array of %zd",
                     (Py_ssize_t)PyArray_SIZE((PyArrayObject *)result));
        failed = -1;
    } else if (PyArray_Check(result)) {
        PyObject *number = PyArray_ToScalar(PyArray_DATA((PyArrayObject *)result), (PyArrayObject *)result);
        failed = number ? parse_real(number, "the result of f", value) : -1;
        Py_XDECREF(number);
    } else {
        failed = parse_real(result, "the result of f", value);
    }
    Py_DECREF(result);
    return failed;
}

/* Element `at` of a float array of any layout. */
static double get_element(const void *at, bd_dtype dtype)
{
    return dtype == BD_F32 ? (double)*(const float *)at : *(const double *)at;
}

static void set_element(void *at, bd_dtype dtype, double value)
{
    if (dtype == BD_F32)
        *(float *)at = (float)value;
    else
        *(double *)at = value;
}

/* Did f resize x, or change its type, under our hands? */
static bool moved_away(PyArrayObject *x, const void *data, npy_intp size)
{
    return PyArray_DATA(x) != data || PyArray_SIZE(x) != size ||
           (PyArray_TYPE(x) != NPY_FLOAT && PyArray_TYPE(x) != NPY_DOUBLE);
}

/* (f(x + h) - f(x - h)) / 2h for every element, x changed in place and restored to the bit, also when f raises. */
PyObject *numerical_gradient(PyObject *module, PyObject *args)
{
    PyObject *f, *object, *h_object;
    double h;

    (void)module;
    if (!PyArg_ParseTuple(args, "OOO:numerical_gradient", &f, &object, &h_object))
        return NULL;
    if (!PyCallable_Check(f))
        return PyErr_Format(PyExc_TypeError, "f must be callable, got %s", Py_TYPE(f)->tp_name);
    if (check_parameter(object, "x"))
        return NULL;
    if (parse_real(h_object, "h", &h))
        return NULL;
    if (!(h > 0) || h > 1e30)
        return PyErr_Format(PyExc_ValueError, "h = %R is out of range: expected above 0 and at most 1e30", h_object);
    PyArrayObject *x = (PyArrayObject *)object;
    const bd_dtype dtype = PyArray_TYPE(x) == NPY_FLOAT ? BD_F32 : BD_F64;
    PyArrayObject *gradient = (PyArrayObject *)PyArray_NewLikeArray(x, NPY_CORDER, NULL, 0);
    PyArrayIterObject *it = gradient ? (PyArrayIterObject *)PyArray_IterNew(object) : NULL;
    if (!it) {
        Py_XDECREF(gradient);
        return NULL;
    }
    const void *data = PyArray_DATA(x);
    const size_t size = bd_dtype_size(dtype);
    bool failed = false;

    for (npy_intp i = 0; i < it->size && !failed; i++) {
        double before, right = 0, left = 0, moved = 2 * h;
        char kept[sizeof(double)];
        memcpy(kept, it->dataptr, size);
        before = get_element(it->dataptr, dtype);
        set_element(it->dataptr, dtype, before + h);
        if (dtype == BD_F32) /* what the step really is on the coarser grid */
            moved = get_element(it->dataptr, dtype);
        failed = call_scalar(f, object, &right) || moved_away(x, data, it->size);
        if (!failed) {
            set_element(it->dataptr, dtype, before - h);
            if (dtype == BD_F32)
                moved -= get_element(it->dataptr, dtype);
            failed = call_scalar(f, object, &left) || moved_away(x, data, it->size);
        }
        if (moved_away(x, data, it->size)) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_RuntimeError, "f changed the memory of x");
            break;
        }
        memcpy(it->dataptr, kept, size);
        if (!failed)
            set_element((char *)PyArray_DATA(gradient) + (size_t)i * size, dtype, (right - left) / moved);
        PyArray_ITER_NEXT(it);
    }
    Py_DECREF(it);
    if (failed || PyErr_Occurred())
        Py_CLEAR(gradient);
    return (PyObject *)gradient;
}

/* f(h) of Python, which returns (value, how far it really went, bound on the rounding in value). */
static bool python_probe(void *context, double h, bd_sample *sample)
{
    PyObject *step = PyFloat_FromDouble(h), *result = NULL;
    double value = 0;
    bool good = false;

    if (step)
        result = PyObject_CallOneArg(context, step);
    if (result && PyTuple_Check(result))
        good = PyArg_ParseTuple(result, "ddd", &value, &sample->moved, &sample->noise);
    else if (result)
        PyErr_SetString(PyExc_TypeError, "the probe must return (value, moved, noise)");
    sample->value = value;
    Py_XDECREF(step);
    Py_XDECREF(result);
    return good;
}

typedef bool (*ladder)(bd_derivative_result *, bd_probe, void *, double, double, double);

static PyObject *climb(PyObject *args, ladder with)
{
    PyObject *f;
    double size, rtol, coarsest = 0;
    bd_derivative_result r;

    if (!PyArg_ParseTuple(args, "Odd|d", &f, &size, &rtol, &coarsest))
        return NULL;
    if (!with(&r, python_probe, f, size, coarsest, rtol))
        return NULL;
    return Py_BuildValue("dddiddOOdidd", r.value, r.uncertainty, r.step, r.evaluations, r.left, r.right,
                         r.finite ? Py_True : Py_False, r.one_sided ? Py_True : Py_False, r.bend, (int)r.kind,
                         r.left_uncertainty, r.right_uncertainty);
}

PyObject *derivative(PyObject *module, PyObject *args)
{
    (void)module;
    return climb(args, bd_derivative);
}

PyObject *one_sided(PyObject *module, PyObject *args)
{
    (void)module;
    return climb(args, bd_one_sided);
}

/* ---------------------------------------------------------------- numerical derivatives of the loss */

/* One parameter (or x) being moved along one direction, and the loss there. */
typedef struct {
    bd_net *net;
    double *values;      /* what is moved; the net is a float64 one */
    const double *start; /* its values before */
    const double *along; /* a direction, or NULL to move one element */
    bd_size size_of_values, element;
    int first; /* step from which the forward pass has to run again */
    const void *x;
    const bd_target *t;
    bd_size n;
    double size; /* of the terms of the loss, which its rounding is relative to */
} loss_probe;

static bool probe_loss(void *context, double h, bd_sample *sample)
{
    const loss_probe *probe = context;

    sample->moved = h;
    if (probe->along) {
        for (bd_size i = 0; i < probe->size_of_values; i++)
            probe->values[i] = probe->start[i] + h * probe->along[i];
    } else {
        probe->values[probe->element] = probe->start[probe->element] + h;
        sample->moved = probe->values[probe->element] - probe->start[probe->element];
    }
    sample->value = bd_net_loss_from(probe->net, probe->first, probe->x, probe->t, probe->n, true);
    sample->noise = 0x1p-52 * (probe->size + fabs((double)sample->value));
    return true;
}

static double magnitude(const loss_probe *probe)
{
    double most = 0;

    if (!probe->along)
        return probe->start[probe->element] < 0 ? -probe->start[probe->element] : probe->start[probe->element];
    for (bd_size i = 0; i < probe->size_of_values; i++) {
        const double size = probe->start[i] < 0 ? -probe->start[i] : probe->start[i];
        most = size > most ? size : most;
    }
    return most;
}

/* The arrays behind a loss_probe. */
typedef struct {
    loss_probe probe;
    PyArrayObject *x; /* a copy: the caller's x is never moved */
    target_in t;
    double *start;
} probe_call;

/* Makes ready to move parameter `which` (-1: x), and runs the loss once where it is. */
static int begin_probe(probe_call *call, NetObject *self, int which, PyObject *x_object, PyObject *t_object)
{
    bd_net *net = self->net;
    bd_size n;
    bd_detail detail;
    bd_status status;
    double loss;

    if (bd_net_dtype(net) != BD_F64 || which < -1 || which >= bd_net_param_count(net)) {
        PyErr_SetString(PyExc_ValueError, "numerical derivatives need a float64 net and one of its parameters");
        return -1;
    }
    PyArrayObject *x = intake_x_and_t(self, x_object, t_object, &n, &call->t);
    if (!x)
        return -1;
    call->x = (PyArrayObject *)PyArray_NewCopy(x, NPY_CORDER);
    Py_DECREF(x);
    if (!call->x || reserve(self, n))
        return -1;
    const bd_array *array = which < 0 ? NULL : bd_net_param(net, which);
    call->probe = (loss_probe){.net = net,
                               .size_of_values = array ? bd_count(&array->shape) : PyArray_SIZE(call->x),
                               .values = array ? (double *)bd_net_params(net) + array->offset : PyArray_DATA(call->x),
                               .first = array ? array->step : 0,
                               .x = PyArray_DATA(call->x),
                               .t = &call->t.target,
                               .n = n};
    if (!(call->start = PyMem_RawMalloc((size_t)call->probe.size_of_values * sizeof *call->start + 1))) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(call->start, call->probe.values, (size_t)call->probe.size_of_values * sizeof *call->start);
    call->probe.start = call->start;
    Py_BEGIN_ALLOW_THREADS status = bd_net_loss(net, &loss, NULL, call->probe.x, call->probe.t, n, true, &detail);
    Py_END_ALLOW_THREADS if (status) raise_status(status, &detail, NULL);
    else call->probe.size = bd_net_largest_score(net, n);
    return status ? -1 : 0;
}

/* Puts back what was moved. */
static void restore(const loss_probe *probe)
{
    if (probe->along)
        memcpy(probe->values, probe->start, (size_t)probe->size_of_values * sizeof *probe->start);
    else
        probe->values[probe->element] = probe->start[probe->element];
}

static void end_probe(probe_call *call)
{
    PyMem_RawFree(call->start);
    Py_XDECREF(call->x);
    Py_XDECREF(call->t.array);
}

static int check_directions(const probe_call *call, PyArrayObject *directions)
{
    const bool along = PyArray_NDIM(directions) == 2;
    const int64_t *element = PyArray_DATA(directions);

    if (!PyArray_ISCARRAY_RO(directions) || PyArray_TYPE(directions) != (along ? NPY_DOUBLE : NPY_INT64) ||
        PyArray_NDIM(directions) < 1 || (along && PyArray_DIM(directions, 1) != call->probe.size_of_values)) {
        PyErr_SetString(PyExc_ValueError, "directions must be rows of float64, or int64 elements");
        return -1;
    }
    for (npy_intp i = 0; !along && i < PyArray_DIM(directions, 0); i++)
        if (element[i] < 0 || element[i] >= call->probe.size_of_values) {
            PyErr_Format(PyExc_IndexError, "element %lld is out of range", (long long)element[i]);
            return -1;
        }
    return 0;
}

static void aim(probe_call *call, PyArrayObject *directions, npy_intp i)
{
    if (PyArray_NDIM(directions) == 2)
        call->probe.along = (const double *)PyArray_DATA(directions) + i * call->probe.size_of_values;
    else
        call->probe.element = ((const int64_t *)PyArray_DATA(directions))[i];
}

enum { RESULT_COLUMNS = 12 };

static void write_result(double *row, const bd_derivative_result *r)
{
    row[0] = r->value;
    row[1] = r->uncertainty;
    row[2] = r->step;
    row[3] = r->evaluations;
    row[4] = r->left;
    row[5] = r->right;
    row[6] = r->finite;
    row[7] = r->one_sided;
    row[8] = r->bend;
    row[9] = r->kind;
    row[10] = r->left_uncertainty;
    row[11] = r->right_uncertainty;
}

static void differentiate(bd_derivative_result *r, loss_probe *probe, double rtol, double h)
{
    bd_sample right, left;

    if (h > 0) {
        probe_loss(probe, h, &right);
        probe_loss(probe, -h, &left);
        *r = (bd_derivative_result){
            .value = (double)((right.value - left.value) / (right.moved - left.moved)), .step = h, .evaluations = 2};
    } else {
        bd_derivative(r, probe_loss, probe, magnitude(probe), 0, rtol);
    }
}

/* Derivatives of the loss for parameter `which` (-1: x): along each row of `directions` (k, size), or for each element
 * in `directions` (k,) of integers. h = 0: the adaptive ladder; else a plain central difference. Returns (k, 8): value,
 * uncertainty, step, evaluations, left, right, finite, one_sided. The net is left as it was. */
PyObject *net_derivatives(PyObject *object, PyObject *args)
{
    NetObject *self = (NetObject *)object;
    PyObject *x_object, *t_object;
    PyArrayObject *directions, *results = NULL;
    probe_call call = {0};
    double rtol, h;
    int which;
    bool failed = true;

    if (!PyArg_ParseTuple(args, "iO!OOdd:derivatives", &which, &PyArray_Type, &directions, &x_object, &t_object, &rtol,
                          &h) ||
        !enter(self))
        return NULL;
    if (begin_probe(&call, self, which, x_object, t_object) || check_directions(&call, directions))
        goto done;
    const npy_intp count = PyArray_DIM(directions, 0);
    npy_intp result_shape[2] = {count, RESULT_COLUMNS};
    if (!(results = (PyArrayObject *)PyArray_SimpleNew(2, result_shape, NPY_DOUBLE)))
        goto done;
    double *row = PyArray_DATA(results);
    failed = false;
    for (npy_intp i = 0; i < count && !failed;) {
        Py_BEGIN_ALLOW_THREADS for (const double began = seconds(); i < count && seconds() - began < SIGNAL_SECONDS;
                                    i++)
        {
            bd_derivative_result r = {0};
            aim(&call, directions, i);
            differentiate(&r, &call.probe, rtol, h);
            restore(&call.probe);
            write_result(row + i * RESULT_COLUMNS, &r);
        }
        Py_END_ALLOW_THREADS failed = PyErr_Occurred() || PyErr_CheckSignals(); /* a Python layer may raise */
    }
done:
    leave(self);
    end_probe(&call);
    if (failed)
        Py_CLEAR(results);
    return (PyObject *)results;
}

/* The loss for parameter `which` moved by each of `steps` along one of `directions`: (k,) values. */
PyObject *net_losses_along(PyObject *object, PyObject *args)
{
    NetObject *self = (NetObject *)object;
    PyObject *x_object, *t_object;
    PyArrayObject *directions, *steps, *losses = NULL;
    probe_call call = {0};
    int which;
    bd_sample sample;

    if (!PyArg_ParseTuple(args, "iO!O!OO:losses_along", &which, &PyArray_Type, &directions, &PyArray_Type, &steps,
                          &x_object, &t_object) ||
        !enter(self))
        return NULL;
    if (begin_probe(&call, self, which, x_object, t_object) || check_directions(&call, directions))
        goto done;
    if (PyArray_DIM(directions, 0) != 1 || PyArray_TYPE(steps) != NPY_DOUBLE || !PyArray_ISCARRAY_RO(steps)) {
        PyErr_SetString(PyExc_ValueError, "one direction, and steps of float64");
        goto done;
    }
    npy_intp count = PyArray_SIZE(steps);
    if (!(losses = (PyArrayObject *)PyArray_SimpleNew(1, &count, NPY_DOUBLE)))
        goto done;
    const double *step = PyArray_DATA(steps);
    double *loss = PyArray_DATA(losses);
    aim(&call, directions, 0);
    Py_BEGIN_ALLOW_THREADS for (npy_intp i = 0; i < count; i++)
    {
        probe_loss(&call.probe, step[i], &sample);
        loss[i] = (double)sample.value;
    }
    restore(&call.probe);
    Py_END_ALLOW_THREADS done : leave(self);
    end_probe(&call);
    if (PyErr_Occurred()) /* a Python layer may raise */
        Py_CLEAR(losses);
    return (PyObject *)losses;
}
