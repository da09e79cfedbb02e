/* What the files of the binding share. The binding checks arguments, allocates, releases the GIL and turns a
 * bd_status into an exception; it computes nothing. Order in every function: intake, checks, allocation, GIL off,
 * core, GIL on, result. */
#ifndef BADAK_BIND_H
#define BADAK_BIND_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define NPY_NO_DEPRECATED_API NPY_1_25_API_VERSION /* what numpy >= 1.26 offers; keep with pyproject.toml */
#define NPY_TARGET_VERSION NPY_1_25_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL badak_numpy_api
#ifndef BD_IMPORTS_NUMPY
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

#include "../core/badak.h"

typedef struct {
    PyTypeObject *layer_type, *python_layer_type, *saved_type, *net_type;
} module_state;

module_state *state_of(PyObject *module);
module_state *state_of_type(PyTypeObject *type);

/* ---------------------------------------------------------------- errors.c */

/* Sets the exception of a status; `where` (or NULL) begins the message. Returns NULL. */
PyObject *raise_status(bd_status status, const bd_detail *detail, const char *where);

/* ---------------------------------------------------------------- convert.c: what comes in */

#define ANY_FLOAT (-1) /* float32 and float64 stay, other real numbers become float64 */

/* An array of real numbers as a C-contiguous, aligned, native one of `type_num`: a new reference, to the argument
 * itself where it is that already. Masked values, complex numbers, objects and text are a TypeError. */
PyArrayObject *intake(PyObject *object, const char *name, int type_num);
/* The same, but an image (n, c, h, w) whose channels are last in memory stays as it is: `last` says so. */
PyArrayObject *intake_image(PyObject *object, const char *name, int type_num, bool *last);
/* Does an array of four dimensions lie so? One that is C-contiguous as well does not count. */
bool has_channels_last(PyArrayObject *array);
/* The shape of an array; ValueError beyond `BD_MAX_DIM` dimensions or below `min_ndim`. */
int shape_of(PyArrayObject *array, const char *name, int min_ndim, bd_shape *shape);
/* A parameter: an array that is used where it lies. TypeError or ValueError if it cannot be. */
int check_parameter(PyObject *object, const char *name);
/* The same as a C-contiguous array to read: the array itself, or a copy if it lies differently. */
PyArrayObject *parameter_values(PyObject *object, const char *name, const bd_shape *shape, int type_num);
/* A float type of ours; -1 and TypeError for another. */
int dtype_of(PyArrayObject *array);
int type_num_of(bd_dtype dtype);
int parse_dtype(PyObject *object, bd_dtype *dtype);
/* int64 from an int or an object with __index__; a bool or a float is a TypeError, more than 64 bits OverflowError. */
int parse_int(PyObject *object, const char *name, int64_t *value);
/* A real number; a bool, text or None is a TypeError. */
int parse_real(PyObject *object, const char *name, double *value);
/* Hyper-parameters from a tuple, in the order of the specs, checked. */
int parse_hyper(PyObject *tuple, const bd_hyper_spec *spec, bd_value *value, const char *owner);
PyObject *hyper_value(const bd_hyper_spec *spec, bd_value value);
PyArrayObject *new_array(const bd_shape *shape, bd_dtype dtype);
/* Of shape (n, c, h, w); in memory n, h, w, c. */
PyArrayObject *new_channels_last(const bd_shape *shape, bd_dtype dtype);
/* A copy of an image, C-contiguous in memory or with its channels last, that lies the other way round. */
PyArrayObject *turned_image(PyArrayObject *image);
/* The sizes from dimension `from` on, as Python's shape. */
PyObject *shape_tuple(const bd_shape *shape, int from);

/* The target of a loss, with the array that holds it. */
typedef struct {
    PyArrayObject *array;
    bd_target target;
} target_in;

/* Labels or rows for scores (n, c): where the loss has classes, integers (n,) or (n, 1), or one-hot or soft rows; else
 * rows of the shape of the scores. What the loss cannot use is an error. */
int intake_target(target_in *in, PyObject *object, const bd_layer *loss, const bd_shape *scores, bd_dtype dtype);

/* ---------------------------------------------------------------- array_memory.c */

/* An array of floats, doubles or int8, not initialised; `stride` in bytes, or NULL for C-contiguous. A large one gets
 * memory that an earlier one has left, if there is some. */
PyArrayObject *fresh_array(int ndim, npy_intp *dim, int type_num, npy_intp *stride);

/* ---------------------------------------------------------------- the rest */

typedef struct {
    PyObject_HEAD bd_layer layer;
    PyObject *children; /* tuple of Layer */
} LayerObject;

extern PyType_Spec layer_type_spec, saved_type_spec; /* layer_type.c */
const bd_layer *layer_of(PyObject *object);          /* of a _core.Layer */
PyObject *children_of(PyObject *object);             /* borrowed tuple of _core.Layer */
extern PyType_Spec net_type_spec;                    /* net_type.c */
extern PyMethodDef function_methods[];               /* function_methods.c */

extern PyType_Spec python_layer_type_spec; /* python_layer.c */
bool has_python_layers(const bd_net *net);
/* Before an update: are the Python layers' own parameter arrays there, to be written back to? */
int hold_own(const bd_net *net);
/* After it: the new values into them. Cannot fail; the GIL must have been held since hold_own. */
void write_back_own(const bd_net *net);

PyObject *describe_kinds(PyObject *module, PyObject *unused);   /* layer_type.c */
PyObject *numerical_gradient(PyObject *module, PyObject *args); /* gradcheck.c */
PyObject *derivative(PyObject *module, PyObject *args);
PyObject *one_sided(PyObject *module, PyObject *args);

#endif
