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
