"""The book's functions (chapters 3 and 4): activations, softmax and losses.

All take scalars or arrays of any shape and give new ones: float32 stays float32, other real numbers become float64.
None overflows, or warns, for any finite input.
"""

import numpy as np

from . import _core

__all__ = [
    "cross_entropy_error",
    "identity_function",
    "mean_squared_error",
    "np",  # the book's modules hand it on
    "relu",
    "relu_grad",
    "sigmoid",
    "sigmoid_grad",
    "softmax",
    "softmax_loss",
    "step_function",
    "sum_squared_error",
    "tanh",
]


def identity_function(x):
    """X itself (book: section 3.5)."""
    _core.real_array(x)  # the same error for what is no array of numbers
    return x


def step_function(x):
    """1 where x > 0, else 0, as integers (book: section 3.2.3)."""
    return (_core.real_array(x) > 0).astype(int)


def sigmoid(x):
    """1 / (1 + exp(-x)) (book: section 3.2.4)."""
    return _core.apply("sigmoid", x)


def sigmoid_grad(x):
    """Slope of the sigmoid, sigmoid(x) (1 - sigmoid(x)) (book: section 4.5 uses it)."""
    y = sigmoid(x)
    return (y.dtype.type(1) - y) * y  # of y's own type: a plain 1 would widen float32 scalars in NumPy 1


def relu(x):
    """max(0, x) (book: section 3.2.7). A NaN passes."""
    return _core.apply("relu", x)


def relu_grad(x):
    """1 where x >= 0, else 0, as the book has it; ``layers.Relu`` takes 0 at exactly 0."""
    dtype = np.asarray(relu(x)).dtype
    return (np.asarray(x) >= 0).astype(dtype)


def tanh(x):
    """Hyperbolic tangent."""
    return _core.apply("tanh", x)


def softmax(x):
    """exp(x) / sum(exp(x)) over the last axis (book: section 3.5.2).

    Parameters
    ----------
    x : array with at least one axis

    Returns
    -------
    array like x
        Positive (where exp does not vanish), each row's sum 1.
    """
    return _core.softmax(x)


def sum_squared_error(y, t):
    """0.5 * sum((y - t)**2) (book: section 4.2.1; the Korean edition calls it mean_squared_error).

    Raises
    ------
    ValueError
        If the shapes differ: (N, 1) and (N,) would silently broadcast to (N, N).
    """
    return 0.5 * _core.squared_distance(y, t)


def mean_squared_error(y, t):
    """The mean of (y - t)**2 over all elements.

    Raises
    ------
    ValueError
        If the shapes differ, or there are no elements.
    """
    total = _core.squared_distance(y, t)
    count = np.size(y)
    if count == 0:
        raise ValueError("y has no elements: their mean does not exist")
    return total / count


def cross_entropy_error(y, t):
    """-sum(t log(y + 1e-7)), the mean over the rows (book: section 4.2.4).

    Parameters
    ----------
    y : (N, C) or (C,) array
        Probabilities.
    t : integer labels (N,), or rows like y
        Rows that are not one-hot weigh the classes.

    Raises
    ------
    ValueError
        A label that is not a class, a negative probability, no rows.
    TypeError
        Labels (N,) that are not integers.
    """
    y, t = np.asanyarray(y), np.asanyarray(t)
    if y.ndim == 1:
        y = y.reshape(1, -1)
        t = t.reshape(1, -1) if t.size == y.size else t.reshape(-1)
    return _core.cross_entropy(y, t, 1e-7)


def softmax_loss(X, t):
    """cross_entropy_error(softmax(X), t)."""
    return cross_entropy_error(softmax(X), t)
