"""Perceptrons (book: chapter 2): inputs times weights, summed, and an all-or-none threshold."""

import numpy as np

from . import _core

__all__ = ["AND", "NAND", "OR", "XOR", "Neuron", "np"]


class Neuron:
    """Fires (1) if the weighted sum of its inputs is above its threshold, else rests (0).

    Parameters
    ----------
    weights : list of numbers
        One for each input.
    bias : number
        The neuron fires where ``sum(weights * x) + bias > 0``.
    threshold : number
        Instead of bias: it fires where ``sum(weights * x) > threshold``. The bias is minus the threshold.

    Examples
    --------
    >>> both = Neuron([0.5, 0.5], threshold=0.7)
    >>> both(1, 0), both(1, 1)
    (0, 1)
    """

    def __init__(self, weights, bias=None, *, threshold=None):
        if bias is not None and threshold is not None:
            raise TypeError("a Neuron takes bias or threshold, not both: the bias is minus the threshold")
        self.weights = _real(weights, "weights").astype(float)
        if self.weights.ndim != 1 or self.weights.size == 0:
            raise ValueError(f"weights must be one row of numbers, got shape {self.weights.shape}")
        if threshold is None:
            self.bias = _one(0.0 if bias is None else bias, "bias")
        else:
            self.bias = 0.0 - _one(threshold, "threshold")  # not -0.0

    @property
    def threshold(self):
        """float: what the weighted sum has to exceed."""
        return 0.0 - self.bias

    def predict(self, x):
        """The answer for one sample, or for many.

        Parameters
        ----------
        x : (n,) or (..., n) numbers
            n inputs along the last axis.

        Returns
        -------
        int, or (...) array of int
            0 or 1.
        """
        x = _real(x, "x")
        if x.ndim == 0 or x.shape[-1] != self.weights.size:
            raise ValueError(f"x has shape {x.shape}, expected {self.weights.size} inputs along the last axis")
        fires = (x * self.weights).sum(axis=-1) > self.threshold
        return fires.astype(int) if fires.ndim else int(fires)

    def __call__(self, *inputs):
        """The answer for inputs given one by one, numbers or arrays of one shape; a list of them is ``predict``."""
        if len(inputs) == 1 and (np.ndim(inputs[0]) > 0 or isinstance(inputs[0], (str, bytes))):
            return self.predict(inputs[0])
        if len(inputs) != self.weights.size:
            raise TypeError(f"this neuron has {self.weights.size} inputs, got {len(inputs)}")
        columns = [_real(one, f"x{index}") for index, one in enumerate(inputs, 1)]
        if len({column.shape for column in columns if column.ndim}) > 1:
            raise ValueError(f"the inputs have different shapes: {[column.shape for column in columns]}")
        return self.predict(np.stack(np.broadcast_arrays(*columns), axis=-1))

    def __repr__(self):
        return f"Neuron(weights={self.weights.tolist()}, bias={self.bias})"


def AND(x1, x2):  # noqa: N802
    """1 if both inputs are 1, else 0 (book: section 2.3).

    Parameters
    ----------
    x1, x2 : numbers, or arrays of one shape
        0 or 1. Other numbers are weighed as any neuron does, so that the line it draws can be plotted.

    Returns
    -------
    int, or array of int

    Raises
    ------
    TypeError, ValueError
        What is not a number; NaN and infinity; arrays of different shapes.
    """
    return _AND(x1, x2)


def NAND(x1, x2):  # noqa: N802
    """0 if both inputs are 1, else 1: not AND (book: section 2.3). Takes and returns what ``AND`` does."""
    return _NAND(x1, x2)


def OR(x1, x2):  # noqa: N802
    """1 if an input is 1, else 0 (book: section 2.3). Takes and returns what ``AND`` does."""
    return _OR(x1, x2)


def XOR(x1, x2):  # noqa: N802
    """1 if exactly one input is 1 (book: section 2.5). One neuron cannot do it; two layers of them can.

    Takes and returns what ``AND`` does.
    """
    return AND(NAND(x1, x2), OR(x1, x2))


def _real(value, name):
    """An array of finite real numbers."""
    try:
        array = _core.real_array(value, name)
    except ValueError:
        raise ValueError(f"{name} is ragged: its rows have different lengths") from None
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {value!r:.80}")
    return array


def _one(value, name):
    array = _real(value, name)
    if array.ndim:
        raise TypeError(f"{name} must be one number, got shape {array.shape}")
    return float(array)


_AND = Neuron([0.5, 0.5], threshold=0.7)
_NAND = Neuron([-0.5, -0.5], threshold=-0.7)
_OR = Neuron([0.5, 0.5], threshold=0.2)
