"""Numerical differentiation (book: section 4.3). For a verdict with its own error bound see ``badak.gradcheck``."""

import numpy as np

from . import _core

__all__ = ["gradient_descent", "np", "numerical_diff", "numerical_gradient", "numerical_gradient_2d"]


def numerical_diff(f, x):
    """Slope of f at x, (f(x + h) - f(x - h)) / 2h with h = 1e-4 (book: section 4.3.1).

    Parameters
    ----------
    f : callable
        Of one number; or element by element of an array.
    x : number or array

    Returns
    -------
    number or array, as f returns
    """
    h = 1e-4
    return (f(x + h) - f(x - h)) / (2 * h)


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


def numerical_gradient_2d(f, X):
    """The gradient of f at each row of X: f is called with one row (book: the gradient field of section 4.4).

    Parameters
    ----------
    f : callable
        ``f(row)`` returns one number.
    X : float32 or float64 array, one point (d,) or many (N, d)
        Restored to the bit, as in ``numerical_gradient``.

    Returns
    -------
    array like X
    """
    if np.ndim(X) == 1:
        return numerical_gradient(f, X)
    if np.ndim(X) != 2:
        raise ValueError(f"X has {np.ndim(X)} dimensions, expected 1 (a point) or 2 (a point in each row)")
    gradients = np.zeros_like(X)
    for row, x in enumerate(X):
        gradients[row] = numerical_gradient(f, x)
    return gradients


def gradient_descent(f, init_x, lr=0.01, step_num=100):
    """Go downhill from init_x: x -= lr * numerical_gradient(f, x), again and again (book: section 4.4.1).

    Parameters
    ----------
    f : callable
        ``f(x)`` returns one number.
    init_x : array or list
        Where to begin. Not changed (the book's own code does change it).
    lr : float
        Learning rate.
    step_num : int
        How many steps.

    Returns
    -------
    x : array
        Where it ended.
    x_history : (step_num, ...) array
        Where each step began.
    """
    x = np.array(_core.real_array(init_x, "init_x"))
    x_history = np.zeros((step_num, *x.shape), x.dtype)
    for step in range(step_num):
        x_history[step] = x
        x -= lr * numerical_gradient(f, x)
    return x, x_history
