/* Views of a net's own memory, and facts about its plan.
 *
 * The arena belongs to a capsule that the views share, so that a view outlives its net. Views of parameters share one
 * of their own (NetObject.values): its reference count says whether somebody may write them.
 */
#include <string.h>

#include "net_object.h"

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

PyObject *net_names(PyObject *object, PyObject *args)
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

PyObject *net_array(PyObject *object, PyObject *args)
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

PyObject *net_arrays(PyObject *object, PyObject *args)
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

/* Facts about each step, for summaries. */
PyObject *net_steps(PyObject *object, PyObject *unused)
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
