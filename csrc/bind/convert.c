/* The single intake: every array, number and option that enters passes here. */
#include <math.h>
#include <string.h>

#include "../core/share.h"
#include "../kernels/kernels.h"
#include "bind.h"

/* ---------------------------------------------------------------- float types */

int type_num_of(bd_dtype dtype)
{
    return dtype == BD_F32 ? NPY_FLOAT : NPY_DOUBLE;
}

int dtype_of(PyArrayObject *array)
{
    switch (PyArray_TYPE(array)) {
    case NPY_FLOAT: return BD_F32;
    case NPY_DOUBLE: return BD_F64;
    default:
        PyErr_Format(PyExc_TypeError, "expected float32 or float64, got %S", (PyObject *)PyArray_DESCR(array));
        return -1;
    }
}

int parse_dtype(PyObject *object, bd_dtype *dtype)
{
    PyArray_Descr *descr = NULL;

    if (object == Py_None || !PyArray_DescrConverter(object, &descr)) {
        if (object == Py_None || PyErr_ExceptionMatches(PyExc_TypeError))
            PyErr_Format(PyExc_TypeError, "dtype must be \"float32\" or \"float64\", got %R", object);
        return -1;
    }
    const int number = PyDataType_ISNOTSWAPPED(descr) ? descr->type_num : NPY_NOTYPE;
    Py_DECREF(descr);
    if (number != NPY_FLOAT && number != NPY_DOUBLE) {
        PyErr_Format(PyExc_TypeError, "dtype must be \"float32\" or \"float64\", got %R", object);
        return -1;
    }
    *dtype = number == NPY_FLOAT ? BD_F32 : BD_F64;
    return 0;
}

/* ---------------------------------------------------------------- arrays */

static bool is_real(int type_num)
{
    return type_num == NPY_BOOL || PyTypeNum_ISINTEGER(type_num) || type_num == NPY_HALF || type_num == NPY_FLOAT ||
           type_num == NPY_DOUBLE;
}

/* A masked array with masked items would silently lose its mask: refuse it. */
static int refuse_mask(PyArrayObject *array, const char *name)
{
    if (PyArray_CheckExact(array))
        return 0;
    PyObject *mask = PyObject_GetAttrString((PyObject *)array, "mask");
    if (!mask) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError))
            return -1;
        PyErr_Clear(); /* not a masked array */
        return 0;
    }
    int masked = 0;
    if (PyArray_Check(mask)) {
        PyArrayObject *flags = (PyArrayObject *)PyArray_FROMANY(mask, NPY_BOOL, 0, 0, NPY_ARRAY_CARRAY_RO);
        masked = !flags ? -1 : memchr(PyArray_DATA(flags), true, (size_t)PyArray_SIZE(flags)) != NULL;
        Py_XDECREF(flags);
    }
    Py_DECREF(mask);
    if (masked > 0)
        PyErr_Format(PyExc_TypeError, "%s is a masked array with masked values: fill them first (%s.filled(0))", name,
                     name);
    return masked ? -1 : 0;
}

/* np.asarray, but for an array interface of more dimensions than NumPy has: NumPy 1 crashes on those. */
static PyArrayObject *as_array(PyObject *object, const char *name)
{
    if (!PyArray_Check(object) && !PyList_Check(object) && !PyTuple_Check(object) && !PyArray_IsAnyScalar(object)) {
        PyObject *interface = PyObject_GetAttrString(object, "__array_interface__");
        PyObject *key = interface ? PyUnicode_FromString("shape") : NULL;
        PyObject *shape = key && PyDict_Check(interface) ? PyDict_GetItemWithError(interface, key) : NULL;
        const bool absurd = shape && PyTuple_Check(shape) && PyTuple_GET_SIZE(shape) > NPY_MAXDIMS_LEGACY_ITERS;
        Py_XDECREF(interface);
        Py_XDECREF(key);
        if (PyErr_Occurred()) {
            if (PyErr_ExceptionMatches(PyExc_MemoryError))
                return NULL;
            PyErr_Clear(); /* it has none, or NumPy will meet the same error */
        }
        if (absurd) {
            PyErr_Format(PyExc_ValueError, "%s describes an array of more than %d dimensions", name,
                         NPY_MAXDIMS_LEGACY_ITERS);
            return NULL;
        }
    }
    return (PyArrayObject *)PyArray_FROM_O(object);
}

enum { AS_THE_CORE_READS = NPY_ARRAY_CARRAY_RO | NPY_ARRAY_NOTSWAPPED | NPY_ARRAY_ENSUREARRAY | NPY_ARRAY_FORCECAST };

/* double to float by a loop of our own: NumPy's warns where a number becomes infinite. */
static PyArrayObject *narrowed(PyArrayObject *array)
{
    PyArrayObject *wide =
        (PyArrayObject *)PyArray_FromArray(array, PyArray_DescrFromType(NPY_DOUBLE), AS_THE_CORE_READS);
    PyArrayObject *result =
        wide ? (PyArrayObject *)PyArray_SimpleNew(PyArray_NDIM(wide), PyArray_DIMS(wide), NPY_FLOAT) : NULL;

    if (result) {
        const double *from = PyArray_DATA(wide);
        float *to = PyArray_DATA(result);
        const npy_intp count = PyArray_SIZE(wide);
        Py_BEGIN_ALLOW_THREADS for (npy_intp i = 0; i < count; i++) to[i] = (float)from[i];
        Py_END_ALLOW_THREADS
    }
    Py_XDECREF(wide);
    return result;
}

/* ---------------------------------------------------------------- images with their channels last */

/* Between one item and the next, in bytes, of an image that lies n h w c. */
static void strides_of_channels_last(npy_intp stride[4], const npy_intp dim[4], npy_intp item)
{
    stride[1] = item;
    stride[3] = dim[1] * stride[1];
    stride[2] = dim[3] * stride[3];
    stride[0] = dim[2] * stride[2];
}

bool has_channels_last(PyArrayObject *array)
{
    if (PyArray_NDIM(array) != 4 || PyArray_IS_C_CONTIGUOUS(array) || !PyArray_ISALIGNED(array) ||
        !PyArray_ISNOTSWAPPED(array))
        return false;
    npy_intp stride[4];
    strides_of_channels_last(stride, PyArray_DIMS(array), PyArray_ITEMSIZE(array));
    return !memcmp(stride, PyArray_STRIDES(array), sizeof stride);
}

PyArrayObject *new_channels_last(const bd_shape *shape, bd_dtype dtype)
{
    npy_intp dim[4], stride[4];

    for (int i = 0; i < 4; i++)
        dim[i] = (npy_intp)shape->dim[i];
    strides_of_channels_last(stride, dim, (npy_intp)bd_dtype_size(dtype));
    return fresh_array(4, dim, type_num_of(dtype), stride);
}

typedef struct {
    const char *from;
    char *to;
    bd_size images, rows, columns; /* of each */
    bd_dtype dtype;
} turn_job;

static void turn_part(void *context, int part, int parts)
{
    const turn_job *job = context;
    const bd_range mine = bd_share_of(job->images, 1, part, parts);
    const size_t bytes = (size_t)(job->rows * job->columns) * bd_dtype_size(job->dtype);
    const void *k = bd_kernels(job->dtype);

    for (bd_size i = mine.from; i < mine.from + mine.count; i++) {
        const void *from = job->from + (size_t)i * bytes;
        void *to = job->to + (size_t)i * bytes;
        if (job->dtype == BD_F32)
            ((const bd_kernels_f32 *)k)->transpose(to, job->rows, from, job->columns, job->rows, job->columns);
        else
            ((const bd_kernels_f64 *)k)->transpose(to, job->rows, from, job->columns, job->rows, job->columns);
    }
}

PyArrayObject *turned_image(PyArrayObject *image)
{
    enum { OPERATIONS = 80 }; /* of one number, by the time it takes */
    const bd_dtype dtype = PyArray_TYPE(image) == NPY_FLOAT ? BD_F32 : BD_F64;
    const bool last = has_channels_last(image);
    bd_shape shape;

    if (shape_of(image, "x", 4, &shape))
        return NULL;
    PyArrayObject *result = last ? new_array(&shape, dtype) : new_channels_last(&shape, dtype);
    if (!result)
        return NULL;
    const bd_size c = shape.dim[1], area = shape.dim[2] * shape.dim[3];
    turn_job job = {PyArray_DATA(image), PyArray_DATA(result), shape.dim[0], last ? area : c, last ? c : area, dtype};
    Py_BEGIN_ALLOW_THREADS const int parts = bd_parts_for_call(OPERATIONS * (double)bd_count(&shape));
    const bd_team team = bd_team_begin(parts);
    bd_team_run(team, parts, turn_part, &job);
    bd_team_end(team);
    Py_END_ALLOW_THREADS return result;
}

PyArrayObject *intake_image(PyObject *object, const char *name, int type_num, bool *last)
{
    *last = PyArray_CheckExact(object) && PyArray_TYPE((PyArrayObject *)object) == type_num &&
            has_channels_last((PyArrayObject *)object);
    return *last ? (PyArrayObject *)Py_NewRef(object) : intake(object, name, type_num);
}

/* ---------------------------------------------------------------- the intake of arrays */

PyArrayObject *intake(PyObject *object, const char *name, int type_num)
{
    PyArrayObject *array, *result = NULL;

    if (PyArray_CheckExact(object) && PyArray_TYPE((PyArrayObject *)object) == type_num &&
        PyArray_ISCARRAY_RO((PyArrayObject *)object))
        return (PyArrayObject *)Py_NewRef(object);
    if (PyArray_CheckExact(object) && PyArray_TYPE((PyArrayObject *)object) == type_num &&
        has_channels_last((PyArrayObject *)object))
        return turned_image((PyArrayObject *)object);

    array = as_array(object, name);
    if (!array)
        return NULL;
    const int given = PyArray_TYPE(array);
    if (!is_real(given)) {
        PyErr_Format(PyExc_TypeError, "%s must hold real numbers, got %s of dtype %S", name, Py_TYPE(object)->tp_name,
                     (PyObject *)PyArray_DESCR(array));
        goto done;
    }
    if (refuse_mask(array, name))
        goto done;
    if (type_num == ANY_FLOAT)
        type_num = given == NPY_FLOAT ? NPY_FLOAT : NPY_DOUBLE;
    if (given == NPY_DOUBLE && type_num == NPY_FLOAT)
        result = narrowed(array);
    else
        result = (PyArrayObject *)PyArray_FromArray(array, PyArray_DescrFromType(type_num), AS_THE_CORE_READS);
done:
    Py_DECREF(array);
    return result;
}

int shape_of(PyArrayObject *array, const char *name, int min_ndim, bd_shape *shape)
{
    const int ndim = PyArray_NDIM(array);

    if (ndim < min_ndim) {
        PyErr_Format(PyExc_ValueError, "%s has %d dimension%s, expected %s%d: the first axis counts samples%s", name,
                     ndim, ndim == 1 ? "" : "s", "at least ", min_ndim,
                     ndim + 1 == min_ndim ? " (for one sample pass x[None])" : "");
        return -1;
    }
    if (ndim > BD_MAX_DIM) {
        PyErr_Format(PyExc_ValueError, "%s has %d dimensions, expected at most %d", name, ndim, BD_MAX_DIM);
        return -1;
    }
    *shape = (bd_shape){.ndim = ndim};
    for (int i = 0; i < ndim; i++)
        shape->dim[i] = PyArray_DIM(array, i);
    return 0;
}

PyArrayObject *new_array(const bd_shape *shape, bd_dtype dtype)
{
    npy_intp dim[BD_MAX_DIM];

    for (int i = 0; i < shape->ndim; i++)
        dim[i] = (npy_intp)shape->dim[i];
    return fresh_array(shape->ndim, dim, type_num_of(dtype), NULL);
}

PyObject *shape_tuple(const bd_shape *shape, int from)
{
    PyObject *tuple = PyTuple_New(shape->ndim - from);

    for (int i = from; tuple && i < shape->ndim; i++) {
        PyObject *size = PyLong_FromLongLong(shape->dim[i]);
        if (!size)
            Py_CLEAR(tuple);
        else
            PyTuple_SET_ITEM(tuple, i - from, size);
    }
    return tuple;
}

/* ---------------------------------------------------------------- parameters */

int check_parameter(PyObject *object, const char *name)
{
    if (!PyArray_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be a float32 or float64 NumPy array, got %s", name,
                     Py_TYPE(object)->tp_name);
        return -1;
    }
    PyArrayObject *array = (PyArrayObject *)object;
    const int type = PyArray_TYPE(array);
    if (type != NPY_FLOAT && type != NPY_DOUBLE) {
        PyErr_Format(PyExc_TypeError,
                     "%s has dtype %S: a parameter is used where it lies, so it must be float32 or float64 already "
                     "(%s = %s.astype(float))",
                     name, (PyObject *)PyArray_DESCR(array), name, name);
        return -1;
    }
    if (refuse_mask(array, name))
        return -1;
    if (!PyArray_ISWRITEABLE(array) || !PyArray_ISALIGNED(array) || !PyArray_ISNOTSWAPPED(array)) {
        PyErr_Format(PyExc_ValueError,
                     "%s is %s: a parameter is used and changed where it lies (%s = %s.%s makes one that can be)", name,
                     !PyArray_ISWRITEABLE(array) ? "read-only"
                     : !PyArray_ISALIGNED(array) ? "not aligned in memory"
                                                 : "not in native byte order",
                     name, name, PyArray_ISNOTSWAPPED(array) ? "copy()" : "astype(float)");
        return -1;
    }
    return 0;
}

PyArrayObject *parameter_values(PyObject *object, const char *name, const bd_shape *shape, int type_num)
{
    if (check_parameter(object, name))
        return NULL;
    PyArrayObject *array = (PyArrayObject *)object;
    if (PyArray_TYPE(array) != type_num) {
        const char *expected = type_num == NPY_FLOAT ? "float32" : "float64";
        PyErr_Format(PyExc_TypeError, "%s is %S, but this layer computes in %s: assign %s.astype(\"%s\")", name,
                     (PyObject *)PyArray_DESCR(array), expected, name, expected);
        return NULL;
    }
    bool same = PyArray_NDIM(array) == shape->ndim;
    for (int i = 0; same && i < shape->ndim; i++)
        same = PyArray_DIM(array, i) == shape->dim[i];
    if (!same) {
        PyObject *got = PyObject_GetAttrString(object, "shape");
        PyObject *expected = shape_tuple(shape, 0);
        if (got && expected)
            PyErr_Format(PyExc_ValueError, "%s has shape %S, expected %S", name, got, expected);
        Py_XDECREF(got);
        Py_XDECREF(expected);
        return NULL;
    }
    return (PyArrayObject *)PyArray_FromArray(array, PyArray_DescrFromType(type_num),
                                              NPY_ARRAY_CARRAY_RO | NPY_ARRAY_ENSUREARRAY);
}

/* ---------------------------------------------------------------- numbers */

int parse_int(PyObject *object, const char *name, int64_t *value)
{
    const bool array = PyArray_Check(object) && (PyArray_NDIM((PyArrayObject *)object) != 0 ||
                                                 !PyTypeNum_ISINTEGER(PyArray_TYPE((PyArrayObject *)object)));

    if (PyBool_Check(object) || PyArray_IsScalar(object, Bool) || array || !PyIndex_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be an integer, got %s", name, Py_TYPE(object)->tp_name);
        return -1;
    }
    PyObject *number = PyNumber_Index(object);
    if (!number)
        return -1;
    const long long result = PyLong_AsLongLong(number);
    Py_DECREF(number);
    if (result == -1 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_OverflowError))
            PyErr_Format(PyExc_OverflowError, "%s does not fit 64 bits", name);
        return -1;
    }
    *value = result;
    return 0;
}

int parse_real(PyObject *object, const char *name, double *value)
{
    const bool number = PyFloat_Check(object) || PyLong_Check(object) || PyArray_IsScalar(object, Number) ||
                        (PyArray_Check(object) && PyArray_NDIM((PyArrayObject *)object) == 0 &&
                         is_real(PyArray_TYPE((PyArrayObject *)object)));

    if (!number || PyBool_Check(object) || PyArray_IsScalar(object, ComplexFloating)) {
        PyErr_Format(PyExc_TypeError, "%s must be a number, got %s", name, Py_TYPE(object)->tp_name);
        return -1;
    }
    *value = PyFloat_AsDouble(object);
    return *value == -1 && PyErr_Occurred() ? -1 : 0;
}

static int parse_init(PyObject *object, const char *name, double *value)
{
    if (!PyUnicode_Check(object))
        return parse_real(object, name, value);
    if (PyUnicode_CompareWithASCIIString(object, "he") == 0)
        *value = BD_INIT_HE;
    else if (PyUnicode_CompareWithASCIIString(object, "xavier") == 0)
        *value = BD_INIT_XAVIER;
    else {
        PyErr_Format(PyExc_ValueError, "%s must be \"he\", \"xavier\" or a standard deviation, got %R", name, object);
        return -1;
    }
    return 0;
}

/* "lr = -1: expected above 0 and at most 1e+30" */
static void raise_range(const bd_hyper_spec *spec, PyObject *given, const char *owner)
{
    char low[60], high[60] = "";

    snprintf(low, sizeof low, "%s %g", spec->above ? "above" : "at least", spec->min);
    if (spec->max < 1e14)
        snprintf(high, sizeof high, " and %s %g", spec->below ? "below" : "at most", spec->max);
    PyErr_Format(PyExc_ValueError, "%s: %s = %R is out of range: expected a finite number %s%s", owner, spec->name,
                 given, low, high);
}

int parse_hyper(PyObject *tuple, const bd_hyper_spec *spec, bd_value *value, const char *owner)
{
    const int count = bd_hyper_count(spec);
    bd_detail detail;

    if (!PyTuple_Check(tuple) || PyTuple_GET_SIZE(tuple) != count) {
        PyErr_Format(PyExc_TypeError, "%s takes %d hyper-parameters", owner, count);
        return -1;
    }
    for (int i = 0; i < count; i++) {
        PyObject *item = PyTuple_GET_ITEM(tuple, i);
        int failed;
        if (spec[i].type == BD_INT)
            failed = parse_int(item, spec[i].name, &value[i].i);
        else if (spec[i].type == BD_INIT)
            failed = parse_init(item, spec[i].name, &value[i].f);
        else
            failed = parse_real(item, spec[i].name, &value[i].f);
        if (!failed && spec[i].type == BD_INIT && !PyUnicode_Check(item) && value[i].f < 0) {
            raise_range(&spec[i], item, owner); /* the rules are told by name only */
            failed = -1;
        }
        if (failed)
            return -1;
    }
    if (bd_check_hyper(spec, value, &detail)) {
        raise_range(&spec[detail.where], PyTuple_GET_ITEM(tuple, detail.where), owner);
        return -1;
    }
    return 0;
}

PyObject *hyper_value(const bd_hyper_spec *spec, bd_value value)
{
    if (spec->type == BD_INT)
        return PyLong_FromLongLong(value.i);
    if (spec->type == BD_INIT && value.f == BD_INIT_HE)
        return PyUnicode_FromString("he");
    if (spec->type == BD_INIT && value.f == BD_INIT_XAVIER)
        return PyUnicode_FromString("xavier");
    return PyFloat_FromDouble(value.f);
}

/* ---------------------------------------------------------------- targets */

/* The class of each row, if every row is 0 but for a single 1; NULL without an exception if not. */
static PyArrayObject *classes_of_one_hot(PyArrayObject *rows)
{
    npy_intp n = PyArray_DIM(rows, 0);
    const npy_intp c = PyArray_DIM(rows, 1);
    const bool single = PyArray_TYPE(rows) == NPY_FLOAT;
    const float *f = PyArray_DATA(rows);
    const double *d = PyArray_DATA(rows);
    PyArrayObject *classes = (PyArrayObject *)PyArray_SimpleNew(1, &n, NPY_INT64);

    if (!classes)
        return NULL;
    int64_t *class = PyArray_DATA(classes);
    for (npy_intp i = 0; i < n; i++) {
        class[i] = -1;
        for (npy_intp j = 0; j < c; j++) {
            const double value = single ? (double)f[i * c + j] : d[i * c + j];
            if (value == 1 && class[i] < 0)
                class[i] = j;
            else if (value != 0)
                goto no;
        }
        if (class[i] < 0)
            goto no;
    }
    return classes;
no:
    Py_DECREF(classes);
    return NULL;
}

static int refuse_target(const bd_layer *loss, PyArrayObject *array, PyObject *type, const char *wanted, bd_size n,
                         bd_size width)
{
    PyObject *shape = PyObject_GetAttrString((PyObject *)array, "shape");

    if (shape)
        PyErr_Format(type, "t has shape %S and dtype %S, but %s needs %s (here N = %lld, C = %lld)", shape,
                     (PyObject *)PyArray_DESCR(array), loss->kind->name, wanted, (long long)n, (long long)width);
    Py_XDECREF(shape);
    return -1;
}

static int take_labels(target_in *in, PyArrayObject *given)
{
    in->array = (PyArrayObject *)PyArray_FromArray(given, PyArray_DescrFromType(NPY_INT64), AS_THE_CORE_READS);
    if (!in->array)
        return -1;
    in->target.index = PyArray_DATA(in->array);
    return 0;
}

static int take_rows(target_in *in, PyObject *object, const bd_layer *loss, bd_size width, bd_dtype dtype)
{
    in->array = intake(object, "t", type_num_of(dtype));
    if (!in->array)
        return -1;
    if (loss->kind->flags & BD_CLASS_TARGET) {
        PyArrayObject *classes = classes_of_one_hot(in->array);
        if (!classes && PyErr_Occurred())
            return -1;
        if (classes) {
            Py_SETREF(in->array, classes);
            in->target.index = PyArray_DATA(in->array);
            return 0;
        }
    }
    in->target = (bd_target){.rows = PyArray_DATA(in->array), .width = width};
    return 0;
}

int intake_target(target_in *in, PyObject *object, const bd_layer *loss, const bd_shape *scores, bd_dtype dtype)
{
    const bd_size n = scores->dim[0], width = bd_features(scores);
    const bool classes = loss->kind->flags & BD_CLASS_TARGET;
    const char *wanted =
        classes ? "integer labels (N,) or (N, 1), or rows of weights (N, C)" : "rows of numbers (N, C)";
    bd_detail detail;
    int failed = -1;

    *in = (target_in){0};
    PyArrayObject *given = as_array(object, "t");
    if (!given)
        return -1;
    const int type = PyArray_TYPE(given), ndim = PyArray_NDIM(given);
    const bool whole = type == NPY_BOOL || PyTypeNum_ISINTEGER(type);
    if (!is_real(type)) {
        failed = refuse_target(loss, given, PyExc_TypeError, wanted, n, width);
        goto done;
    }
    if (refuse_mask(given, "t"))
        goto done;
    if (ndim == 0) {
        failed = refuse_target(loss, given, PyExc_ValueError, wanted, n, width);
        goto done;
    }
    if (PyArray_DIM(given, 0) != n) {
        PyErr_Format(PyExc_ValueError, "x has %lld samples, but t has %lld", (long long)n,
                     (long long)PyArray_DIM(given, 0));
        goto done;
    }
    bd_size columns = 1;
    bool like_scores = ndim == scores->ndim;
    for (int i = 1; i < ndim; i++) {
        columns *= PyArray_DIM(given, i);
        like_scores = like_scores && PyArray_DIM(given, i) == scores->dim[i];
    }

    if (classes && whole && (ndim == 1 || (ndim == 2 && columns == 1)))
        failed = take_labels(in, given);
    else if (loss->kind->flags & BD_BINARY_TARGET && ndim == 1 && width == 1)
        failed = take_rows(in, (PyObject *)given, loss, width, dtype);
    else if (like_scores && (ndim >= 2 || !classes))
        failed = take_rows(in, (PyObject *)given, loss, width, dtype);
    else
        failed =
            refuse_target(loss, given, classes && ndim == 1 ? PyExc_TypeError : PyExc_ValueError, wanted, n, width);
    if (!failed) {
        const bd_status status = bd_check_target(loss, &in->target, n, width, dtype, &detail);
        if (status == BD_BAD_LABEL && detail.got < 0 && PyTypeNum_ISUNSIGNED(type)) /* as it was before conversion */
            PyErr_Format(PyExc_ValueError, "label %llu of sample %lld is not a class: expected 0 to %lld",
                         (unsigned long long)detail.got, (long long)detail.where, (long long)detail.expected);
        else if (status)
            raise_status(status, &detail, NULL);
        failed = status ? -1 : 0;
    }
done:
    Py_DECREF(given);
    if (failed)
        Py_CLEAR(in->array);
    return failed;
}
