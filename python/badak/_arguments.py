"""Arguments of the net, its fit and its schedules, checked: what was given, what was expected."""

import inspect
import math
import operator

import numpy as np


def checked_shape(shape):
    if isinstance(shape, (int, np.integer)) and not isinstance(shape, bool):
        shape = (shape,)
    if not isinstance(shape, (tuple, list)):
        raise TypeError(f"input_shape must be a tuple such as (784,), got {type(shape).__name__}")
    return tuple(shape)


def checked_count(value, name, *, least):
    value = checked_int(value, name)
    if not -(2**63) <= value < 2**63:
        raise OverflowError(f"{name} does not fit 64 bits")
    if value < least:
        raise ValueError(f"{name} = {value}: expected at least {least}")
    return value


def checked_seed(seed):
    seed = checked_int(seed, "seed")
    if not -(2**63) <= seed < 2**64:
        raise OverflowError(f"seed = {seed} does not fit 64 bits")
    if seed < 0:
        raise ValueError(f"seed = {seed}: expected 0 or more")
    return seed


def checked_int(value, name):
    is_array = isinstance(value, np.ndarray) and (value.ndim > 0 or value.dtype.kind not in "iu")
    if isinstance(value, (bool, np.bool_)) or is_array or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}")
    return operator.index(value)


def checked_real(value, name, *, least):
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.floating, np.integer)):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    if not (least <= value and math.isfinite(value)):
        raise ValueError(f"{name} = {value}: expected {least} or more")
    return float(value)


def checked_step(h):
    h = checked_real(h, "h", least=0)
    if not 0 < h <= 1:
        raise ValueError(f"h = {h}: expected above 0 and at most 1")
    return h


def checked_flag(value, name):
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {type(value).__name__}")
    return bool(value)


def checked_callbacks(callbacks):
    if not hasattr(callbacks, "__iter__"):
        hint = ": write [...] around it" if callable(callbacks) else ""
        raise TypeError(f"callbacks must be a list of callables, got {type(callbacks).__name__}{hint}")
    callbacks = tuple(callbacks)
    for callback in callbacks:
        if isinstance(callback, type):
            raise TypeError(f"a callback is the class {callback.__name__}: write {callback.__name__}(...)")
        if not callable(callback):
            raise TypeError(f"a callback must be callable as callback(net, event), got {type(callback).__name__}")
        check_call(callback, "a callback", "callback(net, event)", 2)
    return callbacks


def check_call(function, name, call, count):
    """Refuse a function that cannot be called so, with `count` arguments, if it tells."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*range(count))
    except TypeError:
        given = getattr(function, "__name__", type(function).__name__)
        raise TypeError(f"{name} is called as {call}, but {given} takes {signature}") from None
