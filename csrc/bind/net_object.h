/* _core.Net as the files that run it see it. */
#ifndef BADAK_NET_OBJECT_H
#define BADAK_NET_OBJECT_H

#include <stdatomic.h>
#include <time.h>

#include "bind.h"

typedef struct {
    PyObject_HEAD bd_net *net;
    PyObject *arena; /* capsule */
    PyObject
        *values; /* capsule of that: what views of parameters share, so that its count says whether there are any */
    PyObject *layers; /* tuple of _core.Layer: Python layers live in them */
    PyObject *places; /* tuple of str: what messages call each step of the plan, the loss last */
    bd_shape input;   /* of one sample */
    bool calls_python;
    bd_size macs, numbers; /* of one sample, forward: multiply-adds, and what all layers give */
    double polled;         /* when Python last looked for signals */
    atomic_flag busy;
    enum { UNKNOWN, MET_ONCE, FINITE, NOT_FINITE } params; /* what is known of them (net_predict) */
} NetObject;

#define SIGNAL_SECONDS 0.05 /* how long C may run before Python looks for Ctrl-C */

static inline double seconds(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* One call at a time; this one leaves the parameters as they are. */
static inline bool enter_to_read(NetObject *self)
{
    if (!atomic_flag_test_and_set(&self->busy))
        return true;
    PyErr_SetString(PyExc_RuntimeError, "this net is in use: by another thread, or by the call that called back");
    return false;
}

static inline bool enter(NetObject *self)
{
    if (!enter_to_read(self))
        return false;
    self->params = UNKNOWN;
    bd_net_params_are_known(self->net, false);
    return true;
}

static inline void leave(NetObject *self)
{
    atomic_flag_clear(&self->busy);
}

/* ---------------------------------------------------------------- net_views.c */

PyObject *net_names(PyObject *object, PyObject *args);
PyObject *net_array(PyObject *object, PyObject *args);
PyObject *net_arrays(PyObject *object, PyObject *args);
PyObject *net_steps(PyObject *object, PyObject *unused);

/* ---------------------------------------------------------------- net_calls.c */

/* x (n, ...) and t as the net reads them, n at least 1: a new reference, and one in t->array. */
PyArrayObject *intake_x_and_t(NetObject *self, PyObject *x_object, PyObject *t_object, bd_size *n, target_in *t);
/* Room for n samples; -1 and MemoryError if there is none. */
int reserve(NetObject *self, bd_size n);

PyObject *net_predict(PyObject *object, PyObject *x_object);
PyObject *net_evaluate(PyObject *object, PyObject *args);
PyObject *net_gradient(PyObject *object, PyObject *args);
PyObject *net_penalty(PyObject *object, PyObject *number);
PyObject *net_bind(PyObject *object, PyObject *args);
PyObject *net_train(PyObject *object, PyObject *const *args, Py_ssize_t count);
PyObject *net_fit_slice(PyObject *object, PyObject *args);
PyObject *net_prepare_x(PyObject *object, PyObject *args);
PyObject *net_prepare_t(PyObject *object, PyObject *args);
PyObject *net_prepare(PyObject *object, PyObject *args);
PyObject *net_shuffled(PyObject *object, PyObject *args);

/* ---------------------------------------------------------------- gradcheck.c */

PyObject *net_derivatives(PyObject *self, PyObject *args);
PyObject *net_losses_along(PyObject *self, PyObject *args);

#endif
