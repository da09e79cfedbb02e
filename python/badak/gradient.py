"""Numerical differentiation (book: section 4.3). For a verdict with its own error bound see ``badak.gradcheck``."""

from . import _core

__all__ = ["numerical_gradient"]


def numerical_gradient(f, x, h=1e-4):
    """Central differences (f(x + h) - f(x - h)) / 2h for every element of x (book: section 4.4).

    Parameters
    ----------
    f : callable
        ``f(x)`` returns one number. It is called with x itself, changed in one element.
    x : float32 or float64 array of any shape and layout
        Changed in place during the call and restored to the bit, also when f raises.
    h : float
        The step.

    Returns
    -------
    array like x

    Raises
    ------
    TypeError
        For an array of integers, where the step would be lost: use ``x.astype(float)``.
    """
    return _core.numerical_gradient(f, x, h)
