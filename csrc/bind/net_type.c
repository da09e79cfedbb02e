/* _core.Net: bd_net as a Python object. In Python terms:
 *
 *     net = _core.Net((layer, ...), loss, (1, 28, 28), "float32", seed)
 *     for name, array in net.arrays("params"): ...      # views of the net's own memory
 *     loss, hits = net.train(x, t, "Adam", (lr, beta1, beta2, eps))
 *
 * One call at a time: a second thread, or a callback of a running call, gets a RuntimeError. The arena belongs to a
 * capsule that the views share, so that a view outlives its net.
 */
#include <math.h>
#include <string.h>

#include "net_object.h"

enum { WORTH_WATCHING = 100000000 }; /* multiply-adds, some milliseconds */

/* Samples at a time where samples are independent, which bounds the memory. In predictions as many for each thread,
 * which then has fewer meetings, if they are small: so many numbers. */
enum { CHUNK = 256, SMALL_SAMPLE = 4096 };

/* ---------------------------------------------------------------- making one */

static void free_arena(PyObject *capsule)
{
    bd_free(PyCapsule_GetPointer(capsule, NULL));
}

static void release_arena(PyObject *capsule)
{
    Py_DECREF((PyObject *)PyCapsule_GetPointer(capsule, NULL));
}

static void free_nodes(bd_node *node, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; node && i < count; i++)
        free_nodes((bd_node *)(uintptr_t)node[i].children, node[i].child_count);
    PyMem_Free(node);
}

/* The layers of a tuple as nodes, with their children; NULL and an exception if that cannot be. */
static bd_node *nodes_of(PyObject *layers, PyTypeObject *layer_type)
{
    const Py_ssize_t count = PyTuple_GET_SIZE(layers);
    bd_node *node;

    if (Py_EnterRecursiveCall(" in a net of nested layers"))
        return NULL;
    node = PyMem_Calloc((size_t)count + 1, sizeof *node);
    if (!node)
        PyErr_NoMemory();
    for (Py_ssize_t i = 0; node && i < count; i++) {
        PyObject *layer = PyTuple_GET_ITEM(layers, i);
        if (!PyObject_TypeCheck(layer, layer_type)) {
            PyErr_Format(PyExc_TypeError, "layer %zd is not a _core.Layer", i);
            free_nodes(node, count);
            node = NULL;
            break;
        }
        node[i].layer = *layer_of(layer);
        PyObject *children = children_of(layer);
        if (PyTuple_GET_SIZE(children)) {
            node[i].children = nodes_of(children, layer_type);
            node[i].child_count = (int)PyTuple_GET_SIZE(children);
            if (!node[i].children) {
                free_nodes(node, count);
                node = NULL;
            }
        }
    }
    Py_LeaveRecursiveCall();
    return node;
}

/* "layer 2 (Affine)", or "layer 1 (Relu) of layer 3 (Residual)": appends what messages call each step, in the order of
 * the plan, to a list. */
static int list_places(const bd_node *node, int count, const char *of, PyObject *list)
{
    for (int i = 0; i < count; i++) {
        char place[200];
        PyOS_snprintf(place, sizeof place, "layer %d (%s)%s", i + 1, node[i].layer.kind->name, of);
        if (node[i].child_count) {
            char inside[210];
            PyOS_snprintf(inside, sizeof inside, " of %s", place);
            if (list_places(node[i].children, node[i].child_count, inside, list))
                return -1;
        }
        PyObject *text = PyUnicode_FromString(place);
        const int failed = !text || PyList_Append(list, text);
        Py_XDECREF(text);
        if (failed)
            return -1;
    }
    return 0;
}

static PyObject *places_of(const bd_node *node, int count, const bd_layer *loss)
{
    PyObject *list = PyList_New(0), *places = NULL;
    PyObject *text = PyUnicode_FromFormat("the loss (%s)", loss->kind->name);

    if (list && text && !list_places(node, count, "", list) && !PyList_Append(list, text))
        places = PyList_AsTuple(list);
    Py_XDECREF(list);
    Py_XDECREF(text);
    return places;
}

/* The exception of a status that detail->where gives the step of. */
static PyObject *raise_at(PyObject *places, bd_status status, const bd_detail *detail)
{
    if (status == BD_NO_MEMORY || detail->where < 0 || detail->where >= PyTuple_GET_SIZE(places))
        return raise_status(status, detail, NULL);
    return raise_status(status, detail, PyUnicode_AsUTF8(PyTuple_GET_ITEM(places, detail->where)));
}

static int parse_input_shape(PyObject *tuple, bd_shape *shape)
{
    if (PyTuple_GET_SIZE(tuple) < 1 || PyTuple_GET_SIZE(tuple) > BD_MAX_DIM - 1) {
        PyErr_Format(PyExc_ValueError, "input_shape must have 1 to %d sizes, got %R", BD_MAX_DIM - 1, tuple);
        return -1;
    }
    *shape = (bd_shape){.ndim = (int)PyTuple_GET_SIZE(tuple) + 1, .dim = {1}};
    for (int i = 1; i < shape->ndim; i++) {
        if (parse_int(PyTuple_GET_ITEM(tuple, i - 1), "a size in input_shape", &shape->dim[i]))
            return -1;
        if (shape->dim[i] < 1) {
            PyErr_Format(PyExc_ValueError, "input_shape = %R: every size must be at least 1", tuple);
            return -1;
        }
    }
    return 0;
}

/* What describes a net, parsed. */
typedef struct {
    PyObject *layers;
    bd_node *node;
    int count;
    const bd_layer *loss;
    PyObject *places;
    bd_shape input;
} description;

static int describe(description *d, PyTypeObject *layer_type, PyObject *layers, PyObject *loss, PyObject *input)
{
    *d = (description){.layers = layers, .count = (int)PyTuple_GET_SIZE(layers), .loss = layer_of(loss)};
    if (parse_input_shape(input, &d->input) || !(d->node = nodes_of(layers, layer_type)))
        return -1;
    d->places = places_of(d->node, d->count, d->loss);
    return d->places ? 0 : -1;
}

static void forget(description *d)
{
    free_nodes(d->node, d->count);
    Py_XDECREF(d->places);
}

static PyObject *net_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"layers", "loss", "input_shape", "dtype", "seed", NULL};
    PyTypeObject *layer_type = state_of_type(type)->layer_type;
    PyObject *layers, *loss, *input, *dtype_object;
    unsigned long long seed;
    bd_dtype dtype;
    bd_detail detail = {0};
    bd_status status = BD_NO_MEMORY;
    description d = {0};
    NetObject *self = NULL;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O!O!OK:Net", names, &PyTuple_Type, &layers, layer_type, &loss,
                                     &PyTuple_Type, &input, &dtype_object, &seed) ||
        parse_dtype(dtype_object, &dtype))
        return NULL;
    if (describe(&d, layer_type, layers, loss, input) || !(self = (NetObject *)type->tp_alloc(type, 0)))
        goto done;
    atomic_flag_clear(&self->busy);
    self->input = d.input;
    self->layers = Py_NewRef(layers);
    self->places = Py_NewRef(d.places);
    Py_BEGIN_ALLOW_THREADS status = bd_net_create(&self->net, dtype, d.node, d.count, d.loss, &d.input, seed, &detail);
    Py_END_ALLOW_THREADS if (status)
    {
        raise_at(d.places, status, &detail);
        Py_CLEAR(self);
        goto done;
    }
    self->calls_python = has_python_layers(self->net);
    for (int i = 0; i < bd_net_step_count(self->net); i++) {
        bd_step_info info;
        bd_net_step_info(self->net, i, &info);
        self->macs += info.form.macs;
        self->numbers += bd_count(&info.form.out);
    }
    self->arena = PyCapsule_New(bd_net_take_arena(self->net), NULL, free_arena);
    if (!self->arena) {
        bd_free(bd_net_take_arena(self->net));
        Py_CLEAR(self);
        goto done;
    }
    self->values = PyCapsule_New(self->arena, NULL, release_arena);
    if (self->values)
        Py_INCREF(self->arena);
    else
        Py_CLEAR(self);
done:
    forget(&d);
    return (PyObject *)self;
}

static int net_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((NetObject *)object)->layers);
    return 0;
}

static void net_dealloc(PyObject *object)
{
    NetObject *self = (NetObject *)object;
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    bd_net_free(self->net);
    Py_XDECREF(self->values);
    Py_XDECREF(self->arena);
    Py_XDECREF(self->layers);
    Py_XDECREF(self->places);
    type->tp_free(object);
    Py_DECREF(type);
}

/* ---------------------------------------------------------------- views */

static PyObject *view(NetObject *self, const bd_array *a, void *base)
{
    const bd_dtype dtype = bd_net_dtype(self->net);
    PyObject *owner = self->arena;
    npy_intp dim[BD_MAX_DIM];

    if (base == bd_net_params(self->net)) {
        owner = self->values;
        self->params = UNKNOWN;
    }
    for (int i = 0; i < a->shape.ndim; i++)
        dim[i] = (npy_intp)a->shape.dim[i];
    PyObject *array = PyArray_SimpleNewFromData(a->shape.ndim, dim, type_num_of(dtype),
                                                (char *)base + (size_t)a->offset * bd_dtype_size(dtype));
    if (array && PyArray_SetBaseObject((PyArrayObject *)array, Py_NewRef(owner)))
        Py_CLEAR(array);
    return array;
}

/* The arrays of one kind. */
typedef struct {
    void *base;
    int count;
    const bd_array *(*array)(const bd_net *net, int i);
} arrays;

static bool find_arrays(const bd_net *net, const char *which, arrays *found)
{
    const bool buffers = !strcmp(which, "buffers");

    *found = (arrays){.base = !strcmp(which, "params") ? bd_net_params(net)
                            : !strcmp(which, "grads")  ? bd_net_grads(net)
                            : !strcmp(which, "state0") ? bd_net_state(net, 0)
                            : !strcmp(which, "state1") ? bd_net_state(net, 1)
                            : buffers                  ? bd_net_buffers(net)
                                                       : NULL,
                      .count = buffers ? bd_net_buffer_count(net) : bd_net_param_count(net),
                      .array = buffers ? bd_net_buffer : bd_net_param};
    if (!found->base)
        PyErr_Format(PyExc_ValueError, "a net has no arrays \"%s\"", which);
    return found->base;
}

static PyObject *net_names(PyObject *object, PyObject *args)
{
    const bd_net *net = ((NetObject *)object)->net;
    const char *which;
    arrays found;

    if (!PyArg_ParseTuple(args, "s:names", &which) || !find_arrays(net, which, &found))
        return NULL;
    PyObject *names = PyTuple_New(found.count);
    for (int i = 0; names && i < found.count; i++) {
        PyObject *name = PyUnicode_FromString(found.array(net, i)->name);
        if (!name)
            Py_CLEAR(names);
        else
            PyTuple_SET_ITEM(names, i, name);
    }
    return names;
}

static PyObject *net_array(PyObject *object, PyObject *args)
{
    NetObject *self = (NetObject *)object;
    const char *which;
    arrays found;
    int i;

    if (!PyArg_ParseTuple(args, "si:array", &which, &i) || !find_arrays(self->net, which, &found))
        return NULL;
    if (i < 0 || i >= found.count)
        return PyErr_Format(PyExc_IndexError, "array %d of %d", i, found.count);
    return view(self, found.array(self->net, i), found.base);
}

static PyObject *net_arrays(PyObject *object, PyObject *args)
{
    NetObject *self = (NetObject *)object;
    const char *which;
    arrays found;

    if (!PyArg_ParseTuple(args, "s:arrays", &which) || !find_arrays(self->net, which, &found))
        return NULL;
    PyObject *list = PyList_New(found.count);
    for (int i = 0; list && i < found.count; i++) {
        const bd_array *a = found.array(self->net, i);
        PyObject *array = view(self, a, found.base), *pair = array ? Py_BuildValue("sN", a->name, array) : NULL;
        if (!pair)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, i, pair);
    }
    return list;
}

static PyObject *shapes_list(int count, const bd_array *(*array)(const bd_net *, int), const bd_net *net)
{
    PyObject *list = PyList_New(count);

    for (int i = 0; list && i < count; i++) {
        PyObject *shape = shape_tuple(&array(net, i)->shape, 0);
        PyObject *pair = shape ? Py_BuildValue("sN", array(net, i)->name, shape) : NULL;
        if (!pair)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, i, pair);
    }
    return list;
}

/* The arrays that a net would have, without making it: what a file claims is checked before memory is asked for. */
static PyObject *net_shapes(PyObject *type, PyObject *args)
{
    PyTypeObject *layer_type = state_of_type((PyTypeObject *)type)->layer_type;
    PyObject *layers, *loss, *input, *result = NULL;
    description d = {0};
    bd_net *net = NULL;
    bd_detail detail;
    bd_status status;

    if (!PyArg_ParseTuple(args, "O!O!O!:shapes", &PyTuple_Type, &layers, layer_type, &loss, &PyTuple_Type, &input))
        return NULL;
    if (!describe(&d, layer_type, layers, loss, input)) {
        status = bd_net_plan(&net, BD_F32, d.node, d.count, d.loss, &d.input, 0, &detail);
        PyObject *params = status ? NULL : shapes_list(bd_net_param_count(net), bd_net_param, net);
        PyObject *buffers = params ? shapes_list(bd_net_buffer_count(net), bd_net_buffer, net) : NULL;
        if (status)
            raise_at(d.places, status, &detail);
        else if (buffers)
            result = PyTuple_Pack(2, params, buffers);
        Py_XDECREF(params);
        Py_XDECREF(buffers);
        bd_net_free(net);
    }
    forget(&d);
    return result;
}

/* Facts about each step, for summaries. */
static PyObject *net_steps(PyObject *object, PyObject *unused)
{
    const bd_net *net = ((NetObject *)object)->net;
    PyObject *list = PyList_New(0);

    (void)unused;
    for (int i = 0; list && i < bd_net_step_count(net); i++) {
        bd_step_info info;
        bd_net_step_info(net, i, &info);
        bd_size params = 0;
        for (int p = 0; p < info.param_count; p++)
            params += bd_count(&bd_net_param(net, info.first_param + p)->shape);
        PyObject *shape = shape_tuple(&info.form.out, 1);
        PyObject *row = shape ? Py_BuildValue("{sssOsisNsLsLsOsisi}", "kind", info.layer.kind->name, "place",
                                              PyTuple_GET_ITEM(((NetObject *)object)->places, i), "depth", info.depth,
                                              "shape", shape, "size", (long long)params, "macs",
                                              (long long)info.form.macs, "fused", info.fused ? Py_True : Py_False,
                                              "first_param", info.first_param, "param_count", info.param_count)
                              : NULL;
        if (!row || PyList_Append(list, row))
            Py_CLEAR(list);
        Py_XDECREF(row);
    }
    return list;
}

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

static PyObject *net_predict(PyObject *object, PyObject *x_object)
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
static PyObject *net_evaluate(PyObject *object, PyObject *args)
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
static PyObject *net_gradient(PyObject *object, PyObject *args)
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

static PyObject *net_penalty(PyObject *object, PyObject *number)
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

static PyObject *net_bind(PyObject *object, PyObject *args)
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

static PyObject *net_train(PyObject *object, PyObject *const *args, Py_ssize_t count)
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
static PyObject *net_fit_slice(PyObject *object, PyObject *args)
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
static PyObject *net_prepare_x(PyObject *object, PyObject *args)
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
static PyObject *net_prepare_t(PyObject *object, PyObject *args)
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
static PyObject *net_prepare(PyObject *object, PyObject *args)
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
static PyObject *net_shuffled(PyObject *object, PyObject *args)
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

/* ---------------------------------------------------------------- attributes and type */

static PyObject *net_updates(PyObject *object, void *closure)
{
    (void)closure;
    return PyLong_FromLongLong(bd_net_updates(((NetObject *)object)->net));
}

static int net_set_updates(PyObject *object, PyObject *value, void *closure)
{
    int64_t updates;

    (void)closure;
    if (!value || parse_int(value, "updates", &updates) || updates < 0) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "updates must be 0 or more");
        return -1;
    }
    if (!enter((NetObject *)object))
        return -1;
    bd_net_set_updates(((NetObject *)object)->net, updates);
    leave((NetObject *)object);
    return 0;
}

static PyObject *net_activation_bytes(PyObject *object, void *closure)
{
    (void)closure;
    return PyLong_FromSize_t(bd_net_activation_bytes(((NetObject *)object)->net));
}

static PyObject *net_rng(PyObject *object, void *closure)
{
    const bd_rng *rng = bd_net_rng(((NetObject *)object)->net);
    (void)closure;
    return Py_BuildValue("KK", (unsigned long long)rng->seed, (unsigned long long)rng->position);
}

static PyObject *net_last_draws(PyObject *object, void *closure)
{
    const bd_rng rng = bd_net_last_draws(((NetObject *)object)->net);
    (void)closure;
    return Py_BuildValue("KK", (unsigned long long)rng.seed, (unsigned long long)rng.position);
}

static int net_set_rng(PyObject *object, PyObject *value, void *closure)
{
    unsigned long long seed, position;

    (void)closure;
    if (!value || !PyTuple_Check(value) || !PyArg_ParseTuple(value, "KK", &seed, &position)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "the generator's state is a tuple (seed, position)");
        return -1;
    }
    if (!enter((NetObject *)object))
        return -1;
    *bd_net_rng(((NetObject *)object)->net) = (bd_rng){seed, position};
    leave((NetObject *)object);
    return 0;
}

/* What a batch draws, in the order of the layers, instead of the generator's numbers; None: those again. */
static PyObject *net_give_draws(PyObject *object, PyObject *draws)
{
    NetObject *self = (NetObject *)object;
    PyArrayObject *array = (PyArrayObject *)draws;
    bd_status status;

    if (draws != Py_None &&
        (!PyArray_Check(draws) || PyArray_TYPE(array) != NPY_DOUBLE || !PyArray_ISCARRAY_RO(array))) {
        PyErr_SetString(PyExc_TypeError, "draws must be None or a contiguous array of float64");
        return NULL;
    }
    if (!enter(self))
        return NULL;
    status = draws == Py_None ? bd_net_give_draws(self->net, NULL, 0)
                              : bd_net_give_draws(self->net, PyArray_DATA(array), PyArray_SIZE(array));
    leave(self);
    if (status)
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

/* For those who read or write the arrays while no call may run, as when saving. */
static PyObject *net_hold(PyObject *object, PyObject *unused)
{
    (void)unused;
    if (!enter((NetObject *)object))
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *net_let_go(PyObject *object, PyObject *unused)
{
    (void)unused;
    leave((NetObject *)object);
    Py_RETURN_NONE;
}

static PyMethodDef net_methods[] = {
    {"arrays", net_arrays, METH_VARARGS,
     "arrays($self, which, /)\n--\n\n[(name, view), ...] of params, grads, buffers, state0 or state1."},
    {"names", net_names, METH_VARARGS, "names($self, which, /)\n--\n\nThe names of these arrays."},
    {"array", net_array, METH_VARARGS, "array($self, which, i, /)\n--\n\nA view of one of these arrays."},
    {"steps", net_steps, METH_NOARGS, "steps($self, /)\n--\n\nFacts about each step of the plan."},
    {"predict", net_predict, METH_O, "predict($self, x, /)\n--\n\nScores of the last layer."},
    {"evaluate", net_evaluate, METH_VARARGS, "evaluate($self, x, t, training, /)\n--\n\n(mean loss, hits)"},
    {"gradient", net_gradient, METH_VARARGS,
     "gradient($self, x, t, want_dx, fuse, /)\n--\n\n(loss, hits, dx); gradients go to arrays(\"grads\")."},
    {"shapes", net_shapes, METH_VARARGS | METH_CLASS,
     "shapes($type, layers, loss, input_shape, /)\n--\n\n([(name, shape), ...] of params, the same of buffers) that "
     "such "
     "a net would have."},
    {"give_draws", net_give_draws, METH_O,
     "give_draws($self, draws, /)\n--\n\nWhat batches that draw so many numbers draw, for tests of gradients; None: "
     "the "
     "generator's numbers again."},
    {"hold", net_hold, METH_NOARGS, "hold($self, /)\n--\n\nRefuse all calls until let_go()."},
    {"let_go", net_let_go, METH_NOARGS, "let_go($self, /)\n--\n\nThe end of hold()."},
    {"penalty", net_penalty, METH_O, "penalty($self, weight_decay, /)\n--\n\nweight_decay / 2 * sum(W**2)"},
    {"bind", net_bind, METH_VARARGS, "bind($self, kind, /)\n--\n\nClears the optimiser's state."},
    {"train", (PyCFunction)(void (*)(void))net_train, METH_FASTCALL,
     "train($self, x, t, kind, hyper, /)\n--\n\nOne step; (loss, hits)."},
    {"fit_slice", net_fit_slice, METH_VARARGS,
     "fit_slice($self, x, t, order, start, batch, kind, hyper, weight_decay, factors, limit, losses, /)\n--\n\nSteps "
     "for at most `limit` seconds; (where it stopped, hits)."},
    {"prepare", net_prepare, METH_VARARGS,
     "prepare($self, x, t, finite, /)\n--\n\n(x, t) checked and as the net reads them."},
    {"prepare_x", net_prepare_x, METH_VARARGS,
     "prepare_x($self, x, finite, first_row, /)\n--\n\nx checked and as the net reads it."},
    {"prepare_t", net_prepare_t, METH_VARARGS,
     "prepare_t($self, t, n, finite, /)\n--\n\nThe target of n samples, checked and as the net reads it."},
    {"shuffled", net_shuffled, METH_VARARGS, "shuffled($self, n, /)\n--\n\n0 .. n-1 in random order."},
    {"derivatives", net_derivatives, METH_VARARGS,
     "derivatives($self, which, directions, x, t, rtol, h, coarsest=0.0, both_sides=False, frozen=False, "
     "extended=False, /)\n--\n\nNumerical derivatives of the loss: rows as of derivative; with h not 0 plain "
     "differences, (k, 1)."},
    {"losses_along", net_losses_along, METH_VARARGS,
     "losses_along($self, which, direction, steps, x, t, /)\n--\n\nFor each step along a direction: the loss less the "
     "loss at rest, and a bound on the rounding in that, (k, 2)."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef net_getset[] = {
    {"updates", net_updates, net_set_updates, "Steps that the bound optimiser has made.", NULL},
    {"activation_bytes", net_activation_bytes, NULL, "Memory reserved for batches.", NULL},
    {"last_draws", net_last_draws, NULL, "Where the generator stood when the last run began.", NULL},
    {"rng", net_rng, net_set_rng, "The generator's state, (seed, position).", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot net_slots[] = {
    {Py_tp_doc, "Net(layers, loss, input_shape, dtype, seed)\n--\n\nA compiled net; badak.Net is its face."},
    {Py_tp_new, net_new},
    {Py_tp_dealloc, net_dealloc},
    {Py_tp_traverse, net_traverse},
    {Py_tp_methods, net_methods},
    {Py_tp_getset, net_getset},
    {0, NULL},
};

PyType_Spec net_type_spec = {
    .name = "badak._core.Net",
    .basicsize = sizeof(NetObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = net_slots,
};
