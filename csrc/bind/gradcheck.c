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

static bool refuse_step(PyObject *h, double element)
{
    PyObject *value = PyFloat_FromDouble(element);

    if (value)
        PyErr_Format(PyExc_ValueError,
                     "h = %R is lost beside an element of x that is %R: float32 has no number so near. Take a larger "
                     "step, or x.astype(float)",
                     h, value);
    Py_XDECREF(value);
    return true;
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
            failed = moved == 0 ? refuse_step(h_object, before)
                                : call_scalar(f, object, &left) || moved_away(x, data, it->size);
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

/* What a call needs: the net with x and t, and moves of one of its parameters. */
typedef struct {
    bd_stack *stack;
    PyArrayObject *x;
    target_in t;
    npy_intp moves;
    const double *along;    /* rows, or ... */
    const int64_t *element; /* ... elements */
    bd_size size;           /* of what moves */
    double most;            /* the largest of its numbers, for directions */
    void *start;
} moving;

static bd_move move_of(const moving *m, npy_intp i)
{
    return m->along ? (bd_move){.along = m->along + i * m->size, .start = m->start, .size = m->most}
                    : (bd_move){.element = m->element[i]};
}

/* The moves: rows of float64 are directions, int64 are elements. */
static int intake_moves(moving *m, NetObject *self, int which, PyArrayObject *directions)
{
    const bd_net *net = self->net;
    const bd_dtype dtype = bd_net_dtype(net);
    const bd_array *array = which < 0 ? NULL : bd_net_param(net, which);
    const bool along = PyArray_NDIM(directions) == 2;
    const bd_size size = array ? bd_count(&array->shape) : PyArray_SIZE(m->x);
    const size_t bytes = (size_t)size * bd_dtype_size(dtype);
    const char *values =
        array ? (const char *)bd_net_params(net) + (size_t)array->offset * bd_dtype_size(dtype) : PyArray_DATA(m->x);

    if (!PyArray_ISCARRAY_RO(directions) || PyArray_TYPE(directions) != (along ? NPY_DOUBLE : NPY_INT64) ||
        PyArray_NDIM(directions) < 1 || (along && PyArray_DIM(directions, 1) != size)) {
        PyErr_SetString(PyExc_ValueError, "directions must be rows of float64, or int64 elements");
        return -1;
    }
    m->moves = PyArray_DIM(directions, 0);
    m->size = size;
    if (!along) {
        m->element = PyArray_DATA(directions);
        for (npy_intp i = 0; i < m->moves; i++)
            if (m->element[i] < 0 || m->element[i] >= size) {
                PyErr_Format(PyExc_IndexError, "element %lld is out of range", (long long)m->element[i]);
                return -1;
            }
        return 0;
    }
    m->along = PyArray_DATA(directions);
    if (!(m->start = PyMem_RawMalloc(bytes + 1))) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(m->start, values, bytes);
    for (bd_size i = 0; i < size; i++)
        m->most = fmax(m->most, fabs(get_element((const char *)m->start + (size_t)i * bd_dtype_size(dtype), dtype)));
    return 0;
}

static int begin_moving(moving *m, NetObject *self, int which, PyArrayObject *directions, PyObject *x, PyObject *t,
                        bool extended)
{
    bd_detail detail;
    bd_status status;
    bd_size n;

    if (which < -1 || which >= bd_net_param_count(self->net)) {
        PyErr_SetString(PyExc_ValueError, "the net has no such parameter");
        return -1;
    }
    if (!(m->x = intake_x_and_t(self, x, t, &n, &m->t)) || intake_moves(m, self, which, directions))
        return -1;
    Py_BEGIN_ALLOW_THREADS status =
        bd_stack_create(&m->stack, self->net, PyArray_DATA(m->x), &m->t.target, n, extended, &detail);
    Py_END_ALLOW_THREADS if (status) raise_status(status, &detail, NULL);
    return status ? -1 : 0;
}

static void end_moving(moving *m)
{
    bd_stack_free(m->stack);
    PyMem_RawFree(m->start);
    Py_XDECREF(m->x);
    Py_XDECREF(m->t.array);
}

enum { RESULT_COLUMNS = 12, SLICE = 512 };

static void write_result(double *row, npy_intp count, const bd_derivative_result *r)
{
    const double all[RESULT_COLUMNS] = {r->value,
                                        r->uncertainty,
                                        r->step,
                                        r->evaluations,
                                        r->left,
                                        r->right,
                                        r->finite,
                                        r->one_sided,
                                        r->bend,
                                        r->kind,
                                        r->left_uncertainty,
                                        r->right_uncertainty};
    memcpy(row, all, (size_t)count * sizeof *row);
}

/* Runs without the GIL; takes it now and then to look for a signal. */
typedef struct {
    PyThreadState *thread;
    double looked;
} signals;

static bool no_signal(void *context)
{
    signals *s = context;
    bool quiet = true;

    if (seconds() - s->looked > SIGNAL_SECONDS) {
        PyEval_RestoreThread(s->thread);
        quiet = !PyErr_CheckSignals();
        s->thread = PyEval_SaveThread();
        s->looked = seconds();
    }
    return quiet;
}

/* Derivatives of the loss for parameter `which` (-1: x): along each row of `directions` (k, size), or for each element
 * in `directions` (k,) of integers. Returns rows as of derivative();
 * with h not 0 plain central differences, (k, 1). The net is
 * left as it was. */
PyObject *net_derivatives(PyObject *object, PyObject *args)
{
    NetObject *self = (NetObject *)object;
    PyObject *x, *t;
    PyArrayObject *directions, *results = NULL;
    bd_ladder_options options = {0};
    moving m = {0};
    int which, both_sides = 0, frozen = 0, extended = 0;
    bool done = false;

    if (!PyArg_ParseTuple(args, "iO!OOdd|dppp:derivatives", &which, &PyArray_Type, &directions, &x, &t, &options.rtol,
                          &options.h, &options.coarsest, &both_sides, &frozen, &extended) ||
        !enter(self))
        return NULL;
    options.both_sides = both_sides;
    options.frozen = frozen;
    if (begin_moving(&m, self, which, directions, x, t, extended))
        goto done;
    const npy_intp columns = options.h != 0 ? 1 : RESULT_COLUMNS;
    npy_intp shape[2] = {m.moves, columns};
    if (!(results = (PyArrayObject *)PyArray_SimpleNew(2, shape, NPY_DOUBLE)))
        goto done;
    double *row = PyArray_DATA(results);
    signals s = {PyEval_SaveThread(), seconds()};
    done = true;
    for (npy_intp from = 0; from < m.moves && done; from += SLICE) {
        const npy_intp count = m.moves - from < SLICE ? m.moves - from : SLICE;
        bd_move move[SLICE];
        bd_derivative_result found[SLICE];
        for (npy_intp i = 0; i < count; i++)
            move[i] = move_of(&m, from + i);
        done = bd_stack_derivatives(m.stack, which, move, count, &options, found, no_signal, &s);
        for (npy_intp i = 0; i < count && done; i++)
            write_result(row + (from + i) * columns, columns, &found[i]);
    }
    PyEval_RestoreThread(s.thread);
    done = done && !PyErr_Occurred(); /* a Python layer may raise */
done:
    leave(self);
    end_moving(&m);
    if (!done)
        Py_CLEAR(results);
    return (PyObject *)results;
}

/* The loss for parameter `which` moved by each of `steps` along one of `directions`: (k, 2), how far it differs from
 * the loss unmoved, and a bound on the rounding in that. */
PyObject *net_losses_along(PyObject *object, PyObject *args)
{
    NetObject *self = (NetObject *)object;
    PyObject *x, *t;
    PyArrayObject *directions, *steps, *losses = NULL;
    moving m = {0};
    int which;

    if (!PyArg_ParseTuple(args, "iO!O!OO:losses_along", &which, &PyArray_Type, &directions, &PyArray_Type, &steps, &x,
                          &t) ||
        !enter(self))
        return NULL;
    if (begin_moving(&m, self, which, directions, x, t, false))
        goto done;
    if (m.moves != 1 || PyArray_TYPE(steps) != NPY_DOUBLE || !PyArray_ISCARRAY_RO(steps)) {
        PyErr_SetString(PyExc_ValueError, "one direction, and steps of float64");
        goto done;
    }
    npy_intp shape[2] = {PyArray_SIZE(steps), 2};
    if (!(losses = (PyArrayObject *)PyArray_SimpleNew(2, shape, NPY_DOUBLE)))
        goto done;
    double *row = PyArray_DATA(losses);
    Py_BEGIN_ALLOW_THREADS for (npy_intp i = 0; i < shape[0]; i++, row += 2)
    {
        const long double rest = bd_stack_at(m.stack).value;
        bd_sample sample;
        bd_move move = move_of(&m, 0);
        move.h = ((const double *)PyArray_DATA(steps))[i];
        bd_stack_losses(m.stack, which, &move, 1, &sample);
        row[0] = (double)(sample.value - rest);
        row[1] = sample.noise;
    }
    Py_END_ALLOW_THREADS done : leave(self);
    end_moving(&m);
    if (PyErr_Occurred()) /* a Python layer may raise */
        Py_CLEAR(losses);
    return (PyObject *)losses;
}
