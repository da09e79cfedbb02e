/* What a net is called for: predictions, losses, gradients, steps. Intake of x and t, room, the GIL, signals. */
#include <math.h>
#include <string.h>

#include "net_object.h"

enum { WORTH_WATCHING = 100000000 }; /* multiply-adds, some milliseconds */

/* Samples at a time where samples are independent, which bounds the memory. In predictions as many for each thread,
 * which then has fewer meetings, if they are small: so many numbers. */
enum { CHUNK = 256, SMALL_SAMPLE = 4096 };

/* ---------------------------------------------------------------- arguments */

/* x (n, ...) with as many features per sample as the net takes; 1-D where that is one. */
static PyArrayObject *intake_x(NetObject *self, PyObject *object, bd_size *n)
{
    PyArrayObject *x = intake(object, "x", type_num_of(bd_net_dtype(self->net)));
    const bd_size expected = bd_features(&self->input);
    bd_shape shape;

    if (!x)
        return NULL;
    if (shape_of(x, "x", expected == 1 ? 1 : 2, &shape)) {
        Py_DECREF(x);
        return NULL;
    }
    if (bd_features(&shape) != expected) {
        PyObject *got = PyObject_GetAttrString((PyObject *)x, "shape"), *want = shape_tuple(&self->input, 1);
        if (got && want)
            PyErr_Format(PyExc_ValueError, "x has shape %S: %lld features per sample, expected %lld for input_shape %S",
                         got, (long long)bd_features(&shape), (long long)expected, want);
        Py_XDECREF(got);
        Py_XDECREF(want);
        Py_DECREF(x);
        return NULL;
    }
    *n = shape.dim[0];
    return x;
}

static int refuse_empty(bd_size n)
{
    bd_detail detail = {.what = "x"};

    if (n > 0)
        return 0;
    raise_status(BD_EMPTY_BATCH, &detail, NULL);
    return -1;
}

PyArrayObject *intake_x_and_t(NetObject *self, PyObject *x_object, PyObject *t_object, bd_size *n, target_in *t)
{
    bd_shape scores = bd_net_output(self->net);
    PyArrayObject *x = intake_x(self, x_object, n);

    if (!x)
        return NULL;
    scores.dim[0] = *n;
    if (refuse_empty(*n) ||
        intake_target(t, t_object, bd_net_loss_layer(self->net), &scores, bd_net_dtype(self->net))) {
        Py_DECREF(x);
        return NULL;
    }
    return x;
}

int reserve(NetObject *self, bd_size n)
{
    bd_status status;

    Py_BEGIN_ALLOW_THREADS status = bd_net_reserve(self->net, n);
    Py_END_ALLOW_THREADS if (status) raise_status(status, &(bd_detail){0}, NULL);
    return status ? -1 : 0;
}

static bd_target target_from(const target_in *t, bd_size row, bd_dtype dtype)
{
    bd_target part = t->target;
    if (part.index)
        part.index += row;
    else
        part.rows = (const char *)part.rows + (size_t)(row * part.width) * bd_dtype_size(dtype);
    return part;
}

static const void *rows_from(const NetObject *self, PyArrayObject *x, bd_size row)
{
    return (const char *)PyArray_DATA(x) +
           (size_t)(row * bd_features(&self->input)) * bd_dtype_size(bd_net_dtype(self->net));
}

/* ---------------------------------------------------------------- forward */

static bd_size chunk_of(const NetObject *self, bd_size n)
{
    const bd_size most = self->numbers < SMALL_SAMPLE ? CHUNK * (bd_size)bd_threads() : CHUNK;
    return n < most ? n : most;
}

/* Zeros among x let rows of weights be passed over, if these are finite: 0 times infinity counts. For one image it
 * takes as long to look at the weights as to use them, so what was found holds until they may have been written: by a
 * call that is no prediction, or through a view. The first prediction after that does not look: it may stay the only
 * one. */
static bool params_are_finite(NetObject *self)
{
    const bd_net *net = self->net;

    if (Py_REFCNT(self->values) > 1 || self->calls_python) /* a view lives, or a layer may make one */
        self->params = UNKNOWN;
    else if (self->params == UNKNOWN)
        self->params = MET_ONCE;
    else if (self->params == MET_ONCE)
        self->params =
            bd_all_below(bd_net_params(net), bd_net_size(net), INFINITY, bd_net_dtype(net)) ? FINITE : NOT_FINITE;
    return self->params == FINITE;
}

PyObject *net_predict(PyObject *object, PyObject *x_object)
{
    NetObject *self = (NetObject *)object;
    PyArrayObject *scores = NULL;
    bd_size n;
    bd_status status = BD_OK;
    bool failed = true;

    if (!enter_to_read(self))
        return NULL;
    PyArrayObject *x = intake_x(self, x_object, &n);
    if (!x)
        goto done;
    bd_shape shape = bd_net_output(self->net);
    const bd_size chunk = chunk_of(self, n), width = bd_features(&shape);
    shape.dim[0] = n;
    if (bd_count(&shape) < 0) {
        raise_status(BD_TOO_LARGE, &(bd_detail){.what = "the result"}, NULL);
        goto done;
    }
    if (!(scores = new_array(&shape, bd_net_dtype(self->net))) || reserve(self, chunk))
        goto done;
    char *to = PyArray_DATA(scores);
    const size_t row = (size_t)width * bd_dtype_size(bd_net_dtype(self->net));
    failed = false;
    bd_net_params_are_known(self->net, params_are_finite(self));
    for (bd_size i = 0; i < n && !failed;) {
        Py_BEGIN_ALLOW_THREADS bd_net_take_threads(self->net, chunk);
        const double start = chunk < n ? seconds() : 0; /* the clock takes as long as a small layer */
        do {
            status = bd_net_forward(self->net, to + (size_t)i * row, rows_from(self, x, i),
                                    n - i < chunk ? n - i : chunk, false, true);
            i += chunk;
        } while (i < n && !status && seconds() - start < SIGNAL_SECONDS);
        bd_net_give_threads(self->net);
        Py_END_ALLOW_THREADS failed = status || PyErr_CheckSignals();
    }
    if (status)
        raise_status(status, NULL, NULL);
done:
    leave(self);
    Py_XDECREF(x);
    if (failed)
        Py_CLEAR(scores);
    return (PyObject *)scores;
}

/* (mean loss, how many samples have their label's score as the largest) */
PyObject *net_evaluate(PyObject *object, PyObject *args)
{
    NetObject *self = (NetObject *)object;
    PyObject *x_object, *t_object, *result = NULL;
    target_in t = {0};
    bd_size n, hits = 0;
    bd_detail detail;
    bd_status status = BD_OK;
    double total = 0;
    int training;

    if (!PyArg_ParseTuple(args, "OOp:evaluate", &x_object, &t_object, &training) || !enter(self))
        return NULL;
    PyArrayObject *x = intake_x_and_t(self, x_object, t_object, &n, &t);
    if (!x)
        goto done;
    const bool whole = training && bd_net_mixes_samples(self->net);
    const bd_size chunk = whole || n < CHUNK ? n : CHUNK; /* sums of a loss must not depend on threads */
    if (reserve(self, chunk))
        goto done;
    for (bd_size i = 0; i < n && !status;) {
        Py_BEGIN_ALLOW_THREADS bd_net_take_threads(self->net, chunk);
        for (const double start = seconds(); i < n && !status && seconds() - start < SIGNAL_SECONDS; i += chunk) {
            const bd_target part = target_from(&t, i, bd_net_dtype(self->net));
            const bd_size count = n - i < chunk ? n - i : chunk;
            double loss = 0;
            bd_size hit = 0;
            status = bd_net_loss(self->net, &loss, &hit, rows_from(self, x, i), &part, count, training, &detail);
            total += loss * (double)count;
            hits += hit;
        }
        bd_net_give_threads(self->net);
        Py_END_ALLOW_THREADS if (!status && PyErr_CheckSignals()) goto done;
    }
    result = status ? raise_status(status, &detail, NULL) : Py_BuildValue("dL", total / (double)n, (long long)hits);
done:
    leave(self);
    Py_XDECREF(x);
    Py_XDECREF(t.array);
    return result;
}

/* ---------------------------------------------------------------- backward and training */

/* Between the steps of a long run, now and then: has the user pressed Ctrl-C? */
static bool no_signal(void *context)
{
    NetObject *self = context;

    if (seconds() - self->polled < SIGNAL_SECONDS)
        return true;
    const PyGILState_STATE gil = PyGILState_Ensure();
    const bool go_on = PyErr_CheckSignals() == 0;
    PyGILState_Release(gil);
    self->polled = seconds();
    return go_on;
}

/* For the run of n samples that comes next; a short one is not worth looking at the clock for. */
static void watch_signals(NetObject *self, bd_size n)
{
    const bool is_long = n > WORTH_WATCHING / (self->macs + 1);

    self->polled = is_long ? seconds() : 0;
    bd_net_set_poll(self->net, is_long ? no_signal : NULL, self);
}

/* (loss, hits, dx or None); the gradients are in arrays("grads") */
PyObject *net_gradient(PyObject *object, PyObject *args)
{
    NetObject *self = (NetObject *)object;
    PyObject *x_object, *t_object, *result = NULL;
    PyArrayObject *dx = NULL;
    target_in t = {0};
    bd_size n, hits;
    bd_detail detail;
    bd_status status;
    double loss;
    int want_dx, fuse;

    if (!PyArg_ParseTuple(args, "OOpp:gradient", &x_object, &t_object, &want_dx, &fuse) || !enter(self))
        return NULL;
    PyArrayObject *x = intake_x_and_t(self, x_object, t_object, &n, &t);
    if (!x || reserve(self, n))
        goto done;
    if (want_dx && !(dx = (PyArrayObject *)PyArray_SimpleNew(PyArray_NDIM(x), PyArray_DIMS(x), PyArray_TYPE(x))))
        goto done;
    watch_signals(self, n);
    Py_BEGIN_ALLOW_THREADS status = bd_net_gradient(self->net, &loss, &hits, dx ? PyArray_DATA(dx) : NULL,
                                                    PyArray_DATA(x), &t.target, n, fuse, &detail);
    Py_END_ALLOW_THREADS watch_signals(self, 0);
    result = status ? raise_status(status, &detail, NULL)
                    : Py_BuildValue("dLO", loss, (long long)hits, dx ? (PyObject *)dx : Py_None);
done:
    leave(self);
    Py_XDECREF(x);
    Py_XDECREF(dx);
    Py_XDECREF(t.array);
    return result;
}

PyObject *net_penalty(PyObject *object, PyObject *number)
{
    double weight_decay;

    if (parse_real(number, "weight_decay", &weight_decay))
        return NULL;
    return PyFloat_FromDouble(bd_net_penalty(((NetObject *)object)->net, weight_decay));
}

static int parse_optimizer(const char *name, PyObject *hyper, bd_optimizer *optimizer)
{
    optimizer->weight_decay = 0;
    optimizer->kind = bd_find_optimizer(name);
    if (!optimizer->kind) {
        PyErr_Format(PyExc_ValueError, "there is no optimiser \"%s\"", name);
        return -1;
    }
    return parse_hyper(hyper, optimizer->kind->hyper, optimizer->hyper, name);
}

/* Steps need the state of the optimiser's kind: bind() first. */
static int check_bound(NetObject *self, const bd_optimizer *optimizer)
{
    if (bd_net_optimizer(self->net) == optimizer->kind)
        return 0;
    PyErr_Format(PyExc_RuntimeError, "%s is not the optimiser that this net is bound to", optimizer->kind->name);
    return -1;
}

PyObject *net_bind(PyObject *object, PyObject *args)
{
    NetObject *self = (NetObject *)object;
    const char *name;

    if (!PyArg_ParseTuple(args, "s:bind", &name))
        return NULL;
    const bd_optimizer_kind *kind = bd_find_optimizer(name);
    if (!kind)
        return PyErr_Format(PyExc_ValueError, "there is no optimiser \"%s\"", name);
    if (!enter(self))
        return NULL;
    bd_net_bind(self->net, kind);
    leave(self);
    Py_RETURN_NONE;
}

/* One step. With Python layers the GIL is held, so that nobody comes between the update and its way to their arrays. */
static bd_status step(NetObject *self, double *loss, bd_size *hits, const void *x, const bd_target *t,
                      const int64_t *rows, bd_size n, bd_size total, const bd_optimizer *optimizer, bd_detail *detail)
{
    watch_signals(self, n);
    bd_status status = bd_net_begin_step(self->net, loss, hits, x, t, rows, n, total, optimizer, detail);
    watch_signals(self, 0);
    if (status)
        return status;
    if (self->calls_python && hold_own(self->net)) {
        bd_net_undo(self->net);
        return BD_STOPPED;
    }
    status = bd_net_end_step(self->net, optimizer, detail);
    if (!status && self->calls_python)
        write_back_own(self->net);
    return status;
}

static PyThreadState *release_gil(const NetObject *self)
{
    return self->calls_python ? NULL : PyEval_SaveThread();
}

static void take_gil(PyThreadState *released)
{
    if (released)
        PyEval_RestoreThread(released);
}

/* The exception of a step that failed. */
static PyObject *raise_step(const NetObject *self, bd_status status, const bd_detail *detail)
{
    const bool not_finite =
        status == BD_LOSS_NOT_FINITE || status == BD_GRADIENT_NOT_FINITE || status == BD_UPDATE_NOT_FINITE;

    raise_status(status, detail, NULL);
    if (not_finite && detail->where >= 0 && PyErr_ExceptionMatches(PyExc_FloatingPointError)) {
        PyObject *type, *error, *traceback;
        PyErr_Fetch(&type, &error, &traceback);
        PyErr_Format(type, "%S, first in %U", error, PyTuple_GET_ITEM(self->places, detail->where));
        Py_XDECREF(type);
        Py_XDECREF(error);
        Py_XDECREF(traceback);
    }
    return NULL;
}

PyObject *net_train(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    NetObject *self = (NetObject *)object;
    PyObject *result = NULL;
    target_in t = {0};
    bd_optimizer optimizer;
    bd_size n, hits;
    bd_detail detail;
    bd_status status;
    double loss;

    const char *name = count == 4 ? PyUnicode_AsUTF8(args[2]) : NULL;
    if (!name)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "train takes x, t, kind, hyper");
    if (parse_optimizer(name, args[3], &optimizer) || !enter(self))
        return NULL;
    PyArrayObject *x = check_bound(self, &optimizer) ? NULL : intake_x_and_t(self, args[0], args[1], &n, &t);
    if (!x || reserve(self, n))
        goto done;
    PyThreadState *released = release_gil(self);
    bd_net_take_threads(self->net, n);
    status = step(self, &loss, &hits, PyArray_DATA(x), &t.target, NULL, n, n, &optimizer, &detail);
    bd_net_give_threads(self->net);
    take_gil(released);
    result = status ? raise_step(self, status, &detail) : Py_BuildValue("dL", loss, (long long)hits);
done:
    leave(self);
    Py_XDECREF(x);
    Py_XDECREF(t.array);
    return result;
}

static bool one_per_batch(PyArrayObject *numbers, bd_size total, bd_size batch)
{
    return PyArray_TYPE(numbers) == NPY_DOUBLE && PyArray_ISCARRAY(numbers) &&
           PyArray_SIZE(numbers) >= total / batch + (total % batch != 0);
}

/* A slice of an epoch: batches of `order` from `start` until `limit` seconds have passed or all are done. The learning
 * rate of each is multiplied by its number in `factors`; its loss goes into `losses`. Returns (where it stopped, hits).
 */
PyObject *net_fit_slice(PyObject *object, PyObject *args)
{
    NetObject *self = (NetObject *)object;
    PyObject *x_object, *t_object, *hyper, *result = NULL;
    PyArrayObject *order, *factors, *losses, *x = NULL;
    const char *name;
    long long start, batch, hits = 0;
    double limit, weight_decay;
    target_in t = {0};
    bd_optimizer optimizer;
    bd_detail detail;
    bd_status status = BD_OK;
    bd_size n;

    if (!PyArg_ParseTuple(args, "OOO!LLsOdO!dO!:fit_slice", &x_object, &t_object, &PyArray_Type, &order, &start, &batch,
                          &name, &hyper, &weight_decay, &PyArray_Type, &factors, &limit, &PyArray_Type, &losses))
        return NULL;
    if (parse_optimizer(name, hyper, &optimizer) || !enter(self))
        return NULL;
    x = check_bound(self, &optimizer) ? NULL : intake_x_and_t(self, x_object, t_object, &n, &t);
    if (!x)
        goto done;
    const bd_size total = PyArray_SIZE(order);
    if (PyArray_TYPE(order) != NPY_INT64 || !PyArray_ISCARRAY_RO(order) || start < 0 || batch < 1 ||
        !one_per_batch(losses, total, batch) || !one_per_batch(factors, total, batch)) {
        PyErr_SetString(PyExc_ValueError, "order must be int64, losses and factors float64, one per batch");
        goto done;
    }
    if (reserve(self, batch < total ? batch : total))
        goto done;
    const int64_t *rows = PyArray_DATA(order);
    double *loss = PyArray_DATA(losses);
    const double *factor = PyArray_DATA(factors);
    const int lr = bd_find_hyper(optimizer.kind->hyper, "lr");
    const double full_rate = optimizer.hyper[lr].f;
    optimizer.weight_decay = weight_decay;
    bd_size at = start;
    PyThreadState *released = release_gil(self);
    bd_net_take_threads(self->net, batch < total ? batch : total);
    const double began = seconds();
    while (at < total) {
        const bd_size count = total - at < batch ? total - at : batch;
        bd_size hit = 0;
        optimizer.hyper[lr].f = full_rate * factor[at / batch];
        status =
            step(self, &loss[at / batch], &hit, PyArray_DATA(x), &t.target, rows + at, count, n, &optimizer, &detail);
        if (status)
            break;
        hits += hit;
        at += count;
        if (seconds() - began >= limit)
            break;
    }
    bd_net_give_threads(self->net);
    take_gil(released);
    result = status ? raise_step(self, status, &detail) : Py_BuildValue("LL", (long long)at, hits);
done:
    leave(self);
    Py_XDECREF(x);
    Py_XDECREF(t.array);
    return result;
}

/* Are `n` rows finite? If not, -1 and a ValueError that counts rows from `first`. */
static int refuse_not_finite(const void *rows, bd_size n, bd_size width, bd_dtype dtype, const char *what,
                             bd_size first)
{
    bd_size bad;

    Py_BEGIN_ALLOW_THREADS bad = bd_first_not_finite(rows, n * width, dtype);
    Py_END_ALLOW_THREADS if (bad < 0) return 0;
    raise_status(BD_NOT_FINITE, &(bd_detail){.what = what, .where = first + bad / width, .got = bad % width}, NULL);
    return -1;
}

/* x as the net reads it. If `finite`, NaN and infinity are refused; `first` is the number of its first row. */
PyObject *net_prepare_x(PyObject *object, PyObject *args)
{
    NetObject *self = (NetObject *)object;
    PyObject *x_object;
    bd_size n;
    long long first;
    int finite;

    if (!PyArg_ParseTuple(args, "OpL:prepare_x", &x_object, &finite, &first))
        return NULL;
    PyArrayObject *x = intake_x(self, x_object, &n);
    if (x && (refuse_empty(n) || (finite && refuse_not_finite(PyArray_DATA(x), n, bd_features(&self->input),
                                                              bd_net_dtype(self->net), "x", first))))
        Py_CLEAR(x);
    return (PyObject *)x;
}

/* The target of n samples as the net reads it, labels (n,) or rows: all of it is what the loss can use. */
PyObject *net_prepare_t(PyObject *object, PyObject *args)
{
    NetObject *self = (NetObject *)object;
    const bd_dtype dtype = bd_net_dtype(self->net);
    const bd_layer *loss = bd_net_loss_layer(self->net);
    bd_shape scores = bd_net_output(self->net);
    PyObject *t_object;
    target_in t = {0};
    long long n;
    int finite;
    bd_detail detail;

    if (!PyArg_ParseTuple(args, "OLp:prepare_t", &t_object, &n, &finite))
        return NULL;
    scores.dim[0] = n;
    if (n < 0 || intake_target(&t, t_object, loss, &scores, dtype))
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "n = %lld is negative", n);
    bool failed = finite && t.target.rows && refuse_not_finite(t.target.rows, n, t.target.width, dtype, "t", 0);
    const bd_status status = failed ? BD_OK : bd_check_target(loss, &t.target, n, bd_features(&scores), dtype, &detail);
    if (status)
        raise_status(status, &detail, NULL);
    if (status || failed)
        Py_CLEAR(t.array);
    return (PyObject *)t.array;
}

/* (x, t) by both. */
PyObject *net_prepare(PyObject *object, PyObject *args)
{
    PyObject *x_object, *t_object, *result = NULL;
    int finite;

    if (!PyArg_ParseTuple(args, "OOp:prepare", &x_object, &t_object, &finite))
        return NULL;
    PyObject *flag = finite ? Py_True : Py_False;
    PyObject *x = PyObject_CallMethod(object, "prepare_x", "OOi", x_object, flag, 0);
    PyObject *t = x ? PyObject_CallMethod(object, "prepare_t", "OnO", t_object,
                                          (Py_ssize_t)PyArray_DIM((PyArrayObject *)x, 0), flag)
                    : NULL;
    if (t)
        result = PyTuple_Pack(2, x, t);
    Py_XDECREF(x);
    Py_XDECREF(t);
    return result;
}

/* 0 .. n-1 in an order drawn from the net's generator, or from a seed */
PyObject *net_shuffled(PyObject *object, PyObject *args)
{
    NetObject *self = (NetObject *)object;
    long long n;

    if (!PyArg_ParseTuple(args, "L:shuffled", &n))
        return NULL;
    npy_intp dim = (npy_intp)n;
    PyArrayObject *order = n < 0 ? NULL : (PyArrayObject *)PyArray_SimpleNew(1, &dim, NPY_INT64);
    if (!order)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "n = %lld is negative", n);
    int64_t *index = PyArray_DATA(order);
    for (bd_size i = 0; i < n; i++)
        index[i] = i;
    if (!enter(self)) {
        Py_DECREF(order);
        return NULL;
    }
    bd_rng_shuffle(bd_net_rng(self->net), index, n);
    leave(self);
    return (PyObject *)order;
}
