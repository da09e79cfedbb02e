"""Lists, tuples, dicts and sets among the arguments of checked code: copies of them, and what code changes in them."""

import copy

import numpy as np

from .language import Text

PLAIN = bool, int, float, complex, str, bytes, np.generic, set, type(None)  # what is the same if it is equal


def is_container(value):
    """Is it a list, tuple or dict that holds what the code may change, rather than an array of ours?"""
    return isinstance(value, (list, tuple, dict, set))


def leaves_of(value, path="", seen=()):
    """(where, what) of all that lists, tuples and dicts hold, down to what is none of them."""
    if not isinstance(value, (list, tuple, dict)) or id(value) in seen:
        yield path, value
        return
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield from leaves_of(item, f"{path}[{key!r}]", (*seen, id(value)))


def copied(value):
    """Our own copy of an array, or of a list, tuple, dict or set and the arrays in it; other things are the same."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if not is_container(value):
        return value
    changeable = np.ndarray, list, tuple, dict, set
    kept = {id(leaf): leaf for _, leaf in leaves_of(value) if not isinstance(leaf, changeable)}
    return copy.deepcopy(value, kept)


def put_back(value, before):
    """`value` with what it held `before`, and with what has been added since: what forward leaves for backward."""
    if isinstance(value, dict) and isinstance(before, dict):
        for key, item in before.items():
            value[key] = put_back(value.get(key), item)
        return value
    if isinstance(value, list) and isinstance(before, list):
        parts = [put_back(*pair) for pair in zip(value, before, strict=False)]
        value[: len(before)] = parts + copied(before[len(parts) :])
        return value
    return copied(before)


def first_change(before, after):
    """{index, before, after} of the first difference between two containers; None if there is none."""
    then, now = dict(leaves_of(before)), dict(leaves_of(after))
    absent = Text("absent")
    for place in {**then, **now}:
        a, b = then.get(place, absent), now.get(place, absent)
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.shape == b.shape:
            different = (a != b) & ~((a != a) & (b != b))
            if np.any(different):
                index = tuple(int(i) for i in np.argwhere(different)[0])
                return _change(place + "".join(f"[{i}]" for i in index), a[index], b[index])
        elif not _is_equal(a, b):
            return _change(place, a, b)
    return None


def _is_equal(a, b):
    if a is b:
        return True
    return type(a) is type(b) and isinstance(a, PLAIN) and bool(a == b or (a != a and b != b))


def _change(place, before, after):
    return {"index": place, "before": _shown(before), "after": _shown(after)}


def _shown(value):
    if isinstance(value, np.ndarray) and value.ndim:
        return f"<{'x'.join(map(str, value.shape))} {value.dtype}>"
    return value if isinstance(value, Text) else f"{value!s:.40}"
