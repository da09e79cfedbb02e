"""The arguments of ``badak.plot``: arrays, answers, labels and axes, checked."""

import numpy as np


def numbers(x, name):
    """An array of real numbers."""
    try:
        x = np.asarray(x)
    except ValueError:
        raise ValueError(f"{name} is ragged: its rows have different lengths") from None
    if x.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be an array of real numbers, got {x.dtype} ({type(x).__name__})")
    return x


def scores_of(net, x):
    """What a network, or a function, says for all of x."""
    if isinstance(net, type):
        raise TypeError(f"got the class {net.__name__}: write {net.__name__}(...)")
    predict = getattr(net, "predict", net)
    if not callable(predict):
        raise TypeError(f"expected a network with predict, or a function, got {type(net).__name__}")
    return numbers(predict(x), "what the network gives")


def answers_of(scores):
    if scores.ndim == 2 and scores.shape[1] > 1:
        return scores.argmax(axis=1)
    return _classes(scores, "the answers")


def labels_of(t):
    """Labels (N,) from labels (N,) or (N, 1), or one-hot rows."""
    t = numbers(t, "t")
    if t.ndim == 2 and t.shape[1] > 1:
        return t.argmax(axis=1)
    return _classes(t, "t")


def _classes(labels, name):
    if labels.ndim == 0 or labels.size != len(labels):
        raise ValueError(f"{name} has shape {labels.shape}, expected labels (N,) or rows (N, C)")
    whole = labels.reshape(-1).astype(np.int64)
    if labels.size == 0 or (whole != labels.reshape(-1)).any() or whole.min() < 0:
        raise ValueError(f"{name} must be labels of classes: whole numbers from 0")
    return whole


def same_length(x, t):
    if len(x) != len(t):
        raise ValueError(f"there are {len(x)} samples, but {len(t)} labels")


def count_of(value, name):
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number, got {value!r:.60}")
    if value < 1:
        raise ValueError(f"{name} = {value}: expected at least 1")
    return int(value)


def limits_of(limits, name):
    limits = np.asarray(limits, dtype=float)
    if limits.shape != (2,) or not np.isfinite(limits).all() or limits[0] >= limits[1]:
        raise ValueError(f"{name} must be (low, high), got {tuple(limits.tolist()) if limits.ndim else limits}")
    return float(limits[0]), float(limits[1])


def one_axes(axes):
    if axes is None:
        return None
    if not hasattr(axes, "imshow"):
        what = f"an array of {np.size(axes)}" if np.ndim(axes) else type(axes).__name__
        raise TypeError(f"axes must be one of matplotlib's Axes, got {what}")
    return axes


def many_axes(axes, count):
    """As many Axes as needed, as an array."""
    panels = np.array(axes, dtype=object).ravel()
    if len(panels) != count:
        raise ValueError(f"{count} Axes are needed, got {len(panels)}")
    for one in panels:
        one_axes(one)
    return panels
