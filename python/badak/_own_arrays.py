"""Our own copies of the arrays that checked code is given: float64, laid out in memory like the caller's.

A list of floats is an array to us and a list to the code. Other lists and dicts are copied (_containers.py).
"""

import copy

import numpy as np

from ._containers import copied, leaves_of

REAL = int, float, np.integer, np.floating


def private(value, keep=False):
    """Our own float64 copy of a float array, number or list of floats; our own copy of what else can be changed."""
    if isinstance(value, (np.random.Generator, np.random.RandomState)):
        return copy.deepcopy(value)
    if isinstance(value, (float, np.floating)) or (isinstance(value, np.ndarray) and value.dtype.kind == "f"):
        kept = keep and isinstance(value, (np.ndarray, np.floating))
        return np.array(value, dtype=value.dtype.newbyteorder("=") if kept else np.float64, order="C")
    if is_list_of_floats(value):
        return np.array(value, dtype=np.float64)
    return copied(value)


def is_list_of_floats(value):
    """Is it a list or tuple of numbers, or of such ones of one length, and one of the numbers a float?"""
    shape = shape_of_list(value)
    return shape is not None and any(isinstance(leaf, (float, np.floating)) for _, leaf in leaves_of(value))


def shape_of_list(value):
    """The shape of a list or tuple of real numbers, or of such ones of one length; None for all else."""
    if not isinstance(value, (list, tuple)) or hasattr(value, "_fields"):
        return None
    if not all(isinstance(leaf, REAL) and not isinstance(leaf, bool) for _, leaf in leaves_of(value)):
        return None
    try:
        return np.shape(value)
    except ValueError:  # rows of several lengths
        return None


def nothing_to_differentiate(inputs, backward=None):
    """The text of a TypeError where none of the inputs, and no parameter, has a gradient."""
    if any(map(is_variable, inputs)):
        return f"{backward} gives no gradient of any float array (None for each): there is nothing to differentiate"
    kinds = [_kind_of(value) for value in inputs]
    return (
        "none of the inputs is a float array, a float or a list of floats that gets a gradient: "
        f"there is nothing to differentiate; got {', '.join(kinds) or 'no inputs'}"
    )


def _kind_of(value):
    """What it is, in words for somebody who gave it."""
    if hasattr(value, "dtype"):
        return f"{type(value).__name__} of {value.dtype}"
    rows = value if isinstance(value, (list, tuple)) else ()
    lengths = {len(row) for row in rows if isinstance(row, (list, tuple))}
    return f"{type(value).__name__} whose rows differ in length" if len(lengths) > 1 else type(value).__name__


def layout_of(value):
    """A function that lays a C-contiguous array out in memory as `value` is; None where it is C-contiguous itself."""
    if isinstance(value, (float, np.floating)) and not isinstance(value, np.ndarray):
        return "number"
    if is_list_of_floats(value):
        return lambda array: _like(array.tolist(), value)
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or not value.ndim or value.flags.c_contiguous:
        return None
    if value.flags.f_contiguous:
        return np.asfortranarray
    if 0 in value.strides or not value.size or any(s % value.itemsize for s in value.strides):
        return None
    steps = [s // value.itemsize for s in value.strides]
    low = sum((n - 1) * s for n, s in zip(value.shape, steps, strict=True) if s < 0)
    high = sum((n - 1) * s for n, s in zip(value.shape, steps, strict=True) if s > 0)
    if high - low > 64 * value.size or _overlaps(value, steps, low, high):
        return None

    def lay(array):
        memory = np.zeros(high - low + 1, array.dtype)
        strides = [s * array.itemsize for s in steps]
        view = np.ndarray(array.shape, array.dtype, memory.data, -low * array.itemsize, strides)
        view[...] = array
        return view

    return lay


def _like(values, value):
    """Nested lists with tuples where `value` has them."""
    if not isinstance(value, (list, tuple)):
        return values
    return type(value)(_like(*pair) for pair in zip(values, value, strict=True))


def _overlaps(value, steps, low, high):
    """Do two elements of the array share memory, as those of sliding windows do?"""
    used = np.zeros(high - low + 1, bool)
    size = used.itemsize
    np.ndarray(value.shape, bool, used.data, -low * size, [s * size for s in steps])[...] = True
    return int(used.sum()) < value.size


def same_memory(a, b):
    """Are both the same elements of the same memory?"""
    if a is b:
        return isinstance(a, np.ndarray)
    return (
        isinstance(a, np.ndarray)
        and isinstance(b, np.ndarray)
        and a.__array_interface__["data"] == b.__array_interface__["data"]
        and a.shape == b.shape
        and a.strides == b.strides
        and a.dtype == b.dtype
        and a.size > 0
    )


def own_arguments(subject, inputs):
    """Give the subject its own arrays, laid out in memory like the caller's; the same array given twice stays one."""
    subject.arguments, subject.aliases = [], {}
    subject.lists = {name for name, value in zip(subject.names, inputs, strict=True) if is_list_of_floats(value)}
    for i, value in enumerate(inputs):
        twin = next((j for j in range(i) if same_memory(inputs[j], value)), None)
        subject.arguments.append(private(value, subject.keep) if twin is None else subject.arguments[twin])
        subject.layouts[i] = layout_of(value)
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            subject.dtypes[subject.names[i]] = value.dtype
        if twin is not None and is_variable(subject.arguments[i]):
            subject.aliases.setdefault(subject.names[twin], []).append(subject.names[i])


def is_variable(value):
    """Is it one of our own float arrays?"""
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def chosen_by(wrt, names):
    """The names among `names` that `wrt` chooses; None: all."""
    if wrt is None:
        return set(names)
    wanted = [wrt] if isinstance(wrt, (str, int)) else list(wrt)
    wanted = [names[w] if isinstance(w, int) and -len(names) <= w < len(names) else w for w in wanted]
    for name in wanted:
        if name not in names:
            raise ValueError(f"wrt: there is no {name!r}: expected some of {', '.join(map(str, names))}")
    if not wanted:
        raise ValueError(f"wrt chooses nothing: expected some of {', '.join(map(str, names))}")
    return set(wanted)


def input_names(names, count):
    """The names of `count` inputs."""
    if names is None:
        return ["x"] if count == 1 else [f"x{i}" for i in range(count)]
    names = list(names)
    if len(names) != count or len(set(names)) != count:
        raise ValueError(f"names must be {count} different names, got {names}")
    return names
