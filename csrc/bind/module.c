/* badak._core: the C core as a Python module. What it offers is written in python/badak/_core.pyi.
 *
 * Multi-phase initialisation, no state of its own but the types; the only exported symbol is PyInit__core. */
#define BD_IMPORTS_NUMPY
#include "bind.h"

static struct PyModuleDef core_module;

module_state *state_of(PyObject *module)
{
    return PyModule_GetState(module);
}

module_state *state_of_type(PyTypeObject *type)
{
    return PyType_GetModuleState(type);
}

/* BADAK_ISA forces the kernels of one instruction set; otherwise the best of this processor is taken. */
static int choose_kernels(void)
{
    const char *wanted = getenv("BADAK_ISA");
    const char *const *names = bd_isa_names();

    if (bd_choose_isa(wanted && *wanted ? wanted : NULL))
        return 0;
    PyObject *list = PyList_New(0);
    for (; list && *names; names++) {
        PyObject *name = PyUnicode_FromString(*names);
        if (!name || PyList_Append(list, name))
            Py_CLEAR(list);
        Py_XDECREF(name);
    }
    if (list)
        PyErr_Format(PyExc_ImportError, "BADAK_ISA=%s: this processor has kernels for %R", wanted, list);
    Py_XDECREF(list);
    return -1;
}

/* BADAK_NUM_THREADS says how many threads a call may use; otherwise what suits this process is found out when it is
 * first asked for. */
static int choose_threads(void)
{
    const char *wanted = getenv("BADAK_NUM_THREADS");
    char *end;

    if (!wanted || !*wanted)
        return 0;
    const long count = strtol(wanted, &end, 10);
    if (*end || count < 1) {
        PyErr_Format(PyExc_ImportError, "BADAK_NUM_THREADS=%s: it must be a number of threads, at least 1", wanted);
        return -1;
    }
    bd_set_threads(count < BD_MOST_THREADS ? (int)count : BD_MOST_THREADS);
    return 0;
}

static int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject *base, PyTypeObject **type)
{
    *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, (PyObject *)base);
    return *type ? PyModule_AddType(module, *type) : -1;
}

static int core_exec(PyObject *module)
{
    module_state *state = state_of(module);

    if (PyArray_ImportNumPyAPI() < 0 || choose_kernels() || choose_threads())
        return -1;
    if (add_type(module, &layer_type_spec, NULL, &state->layer_type) ||
        add_type(module, &python_layer_type_spec, state->layer_type, &state->python_layer_type) ||
        add_type(module, &saved_type_spec, NULL, &state->saved_type) ||
        add_type(module, &net_type_spec, NULL, &state->net_type))
        return -1;
    return PyModule_AddFunctions(module, function_methods);
}

static int core_traverse(PyObject *module, visitproc visit, void *arg)
{
    module_state *state = state_of(module);

    Py_VISIT(state->layer_type);
    Py_VISIT(state->python_layer_type);
    Py_VISIT(state->saved_type);
    Py_VISIT(state->net_type);
    return 0;
}

static int core_clear(PyObject *module)
{
    module_state *state = state_of(module);

    Py_CLEAR(state->layer_type);
    Py_CLEAR(state->python_layer_type);
    Py_CLEAR(state->saved_type);
    Py_CLEAR(state->net_type);
    return 0;
}

static void core_free(void *module)
{
    core_clear(module);
}

static PyModuleDef_Slot core_slots[] = {
    {Py_mod_exec, (void *)core_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED}, /* as NumPy */
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef core_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "badak._core",
    .m_doc = "The C core of badak: layers, nets, optimisers and numerical derivatives.",
    .m_size = sizeof(module_state),
    .m_slots = core_slots,
    .m_traverse = core_traverse,
    .m_clear = core_clear,
    .m_free = core_free,
};

PyMODINIT_FUNC PyInit__core(void);

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&core_module);
}
