"""The book's tools (its ``common/util.py``): smoothing, shuffling, and images as matrices."""

import numpy as np

from . import _core

__all__ = ["col2im", "conv_output_size", "im2col", "np", "shuffle_dataset", "smooth_curve"]


def smooth_curve(x):
    """A smoother version of the curve x, for plots: a Kaiser window of 11 points slid over it.

    Parameters
    ----------
    x : 1-D array or list of more than 10 numbers

    Returns
    -------
    array as long as x
    """
    x = _core.real_array(x).astype(float, copy=False)
    width = 11
    if x.ndim != 1 or len(x) < width:
        raise ValueError(f"smooth_curve needs at least {width} numbers in one row, got shape {x.shape}")
    window = np.kaiser(width, 2)
    mirrored = np.concatenate([x[width - 1 : 0 : -1], x, x[-1:-width:-1]])
    smooth = np.convolve(window / window.sum(), mirrored, mode="valid")
    return smooth[width // 2 : len(smooth) - width // 2]


def shuffle_dataset(x, t):
    """Samples and targets in a new order, drawn from ``np.random``.

    Parameters
    ----------
    x, t : arrays with as many rows

    Returns
    -------
    (x, t) : new arrays
    """
    x, t = np.asarray(x), np.asarray(t)
    if len(x) != len(t):
        raise ValueError(f"x has {len(x)} samples, but t has {len(t)}")
    order = np.random.permutation(len(x))
    return x[order], t[order]


def conv_output_size(input_size, filter_size, stride=1, pad=0):
    """How often a window fits: (input_size + 2 pad - filter_size) / stride + 1, as the book a float."""
    return (input_size + 2 * pad - filter_size) / stride + 1


def im2col(input_data, filter_h, filter_w, stride=1, pad=0):
    """The windows of images as the rows of a matrix (book: section 7.4.2).

    Parameters
    ----------
    input_data : (N, C, H, W) array
    filter_h, filter_w, stride, pad : int

    Returns
    -------
    (N * out_h * out_w, C * filter_h * filter_w) array
        float32 stays float32; the book's is always float64.
    """
    return _core.im2col(input_data, filter_h, filter_w, stride, pad)


def col2im(col, input_shape, filter_h, filter_w, stride=1, pad=0):
    """The sum of windows, each back at its place in the images: the gradient of ``im2col``.

    Parameters
    ----------
    col : (N * out_h * out_w, C * filter_h * filter_w) array
    input_shape : (N, C, H, W)
    filter_h, filter_w, stride, pad : int

    Returns
    -------
    (N, C, H, W) array
    """
    return _core.col2im(col, tuple(input_shape), filter_h, filter_w, stride, pad)
