"""Pictures of functions of two numbers: regions, gradients and ways downhill (``badak.plot`` has them all)."""

import copy
import inspect

import numpy as np

from . import _draw
from ._draw import BLUE, GREY, SERIES, pyplot
from ._plot_arguments import count_of, labels_of, limits_of, many_axes, numbers, one_axes, same_length, scores_of
from .layers import SigmoidWithLoss
from .net import Net


def decision_boundary(f, x=None, t=None, *, xlim=None, ylim=None, resolution=200, threshold=None, axes=None):
    """Draw the regions in which a classifier of two numbers gives the same answer, and the samples.

    Parameters
    ----------
    f : network with ``predict``, ``Neuron``, or function
        A function takes two arrays x1, x2, as ``AND`` does, or points (N, 2). Answers are labels (N,), scores (N, C),
        or one number for each point, compared with `threshold`.
    x : (N, 2) array or None
        Samples. Without samples and limits: the corners (0, 0) to (1, 1), marked by what f answers there.
    t : (N,) labels or None
        The colours and marks of the samples; None: what f answers.
    xlim, ylim : (low, high) or None
        None: around the samples.
    resolution : int
        Points along each side.
    threshold : float or None
        None: 0.5, or 0 for a ``Net`` with ``SigmoidWithLoss``, whose scores are those before the sigmoid.
    axes : Axes or None

    Returns
    -------
    Axes
    """
    if x is None and t is not None:
        raise TypeError("labels t without samples x")
    if x is None and xlim is None and ylim is None:
        x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    if x is not None:
        x = numbers(x, "x")
        if x.ndim != 2 or x.shape[1] != 2:
            raise ValueError(f"x has shape {x.shape}, expected (N, 2): a region can be drawn of two numbers only")
    xlim, ylim = _limits(xlim, x, 0), _limits(ylim, x, 1)
    if threshold is None:
        threshold = 0.0 if isinstance(f, Net) and isinstance(f.loss_layer, SigmoidWithLoss) else 0.5
    answer = _classifier(f, threshold)
    resolution = count_of(resolution, "resolution")
    across, up = np.meshgrid(np.linspace(*xlim, resolution), np.linspace(*ylim, resolution))
    region = answer(np.column_stack([across.ravel(), up.ravel()])).reshape(across.shape)
    labels = None
    if x is not None:
        labels = answer(x) if t is None else labels_of(t)
        same_length(x, labels)
    classes = np.unique(region if labels is None else np.concatenate([region.ravel(), labels]))
    if len(classes) > 20:
        raise ValueError(f"f gives {len(classes)} different answers: expected the labels of a few classes")
    axes = one_axes(axes)
    if axes is None:
        _, axes = pyplot().subplots(figsize=(4.6, 3.8), layout="constrained")
    _regions(axes, across, up, np.searchsorted(classes, region), len(classes))
    if labels is not None:
        for i, label in enumerate(classes):
            mine = x[labels == label]
            if len(mine):
                axes.scatter(
                    *mine.T,
                    s=90 if len(x) < 20 else 16,
                    color=SERIES[i % len(SERIES)],
                    marker=_draw.MARKERS[i % len(_draw.MARKERS)],
                    edgecolors="white",
                    linewidths=0.8 if len(x) < 20 else 0.3,
                    label=str(label),
                    zorder=3,
                )
        where = {
            "loc": "upper left",
            "bbox_to_anchor": (1, 1.03),
            "frameon": False,
            "handletextpad": 0.1,
        }  # hides no point
        axes.legend(fontsize="small", title="truth" if t is not None else "answer", borderaxespad=0.3, **where)
    axes.set(xlabel="x1", ylabel="x2", xlim=xlim, ylim=ylim)
    axes.locator_params(nbins=5)
    return axes


def _regions(axes, across, up, region, count):
    from matplotlib.colors import ListedColormap

    colours = ListedColormap([SERIES[i % len(SERIES)] for i in range(count)])
    axes.pcolormesh(across, up, region, cmap=colours, vmin=-0.5, vmax=count - 0.5, alpha=0.28, shading="nearest", lw=0)
    for level in range(count - 1):
        if (region <= level).any() and (region > level).any():
            axes.contour(across, up, region > level, levels=[0.5], colors=[GREY], linewidths=1)


def _classifier(f, threshold):
    """A function from points (N, 2) to labels (N,)."""

    def answer(points):
        two = not hasattr(f, "predict") and _takes(f) == 2
        values = np.asarray(f(points[:, 0], points[:, 1]) if two else scores_of(f, points))
        if values.shape not in ((len(points),), (len(points), 1)) and (values.ndim != 2 or len(values) != len(points)):
            raise ValueError(f"f gave an array of shape {values.shape} for {len(points)} points")
        if values.ndim == 2 and values.shape[1] > 1:
            return values.argmax(axis=1)
        values = values.reshape(-1)
        return (values > threshold).astype(int) if values.dtype.kind == "f" else values.astype(int)

    if not hasattr(f, "predict") and not callable(f):
        raise TypeError(f"f must be a network or a function, got {type(f).__name__}")
    return answer


def _limits(limits, x, axis):
    if limits is not None:
        return limits_of(limits, "xylim"[axis] + "lim")
    if x is None:
        return -0.5, 1.5
    low, high = x[:, axis].min(), x[:, axis].max()
    margin = 0.5 if len(x) < 20 else 0.08 * (high - low) or 0.5
    return low - margin, high + margin


def gradient_field(f, *, xlim=(-2, 2), ylim=(-2, 2), points=15, downhill=False, axes=None):
    """Draw the gradient of a function of two numbers as arrows, over the lines on which it is constant.

    The gradient is measured, by ``badak.numerical_gradient`` (book: section 4.4).

    Parameters
    ----------
    f : function
        Takes an array x of two numbers, or two numbers x0, x1; gives one number.
    xlim, ylim : (low, high)
    points : int
        Arrows along each side.
    downhill : bool
        Draw minus the gradient, the way that gradient descent goes, as the book does.
    axes : Axes or None

    Returns
    -------
    Axes
    """
    of_point, xlim, ylim = _of_point(f), limits_of(xlim, "xlim"), limits_of(ylim, "ylim")
    points = count_of(points, "points")
    across, up = np.meshgrid(np.linspace(*xlim, points), np.linspace(*ylim, points))
    slopes = np.array([_slope(of_point, one) for one in zip(across.ravel(), up.ravel(), strict=True)])
    slopes = -slopes if downhill else slopes
    axes = one_axes(axes)
    if axes is None:
        _, axes = pyplot().subplots(figsize=(4.8, 4.4), layout="constrained")
    _hills(axes, of_point, xlim, ylim)
    axes.quiver(across, up, *slopes.T, angles="xy", color=BLUE, width=0.005, zorder=3)
    name = getattr(f, "__name__", "f").replace("<lambda>", "f")
    title = f"minus the gradient of {name}: downhill" if downhill else f"gradient of {name}"
    axes.set(xlabel="x0", ylabel="x1", xlim=xlim, ylim=ylim, title=title)
    return axes


def descent_path(f, paths, *, start=None, steps=30, xlim=None, ylim=None, axes=None):
    """Draw ways down a function of two numbers, over the lines on which it is constant (book: section 6.1.7).

    Parameters
    ----------
    f : function
        Takes an array x of two numbers, or two numbers x0, x1; gives one number.
    paths : (n, 2) array, optimiser, or dict of them by name, or list of optimisers
        An optimiser goes `steps` steps from `start`, by the measured gradient; it is not changed.
    start : (x0, x1)
        For optimisers.
    steps : int
    xlim, ylim : (low, high) or None
        None: around the paths.
    axes : Axes, or array of as many Axes as there are paths, or None
        In one Axes they are drawn together; None: a panel for each.

    Returns
    -------
    Axes, or array of Axes
    """
    of_point = _of_point(f)
    paths = {name: _path(of_point, one, start, steps) for name, one in _named(paths).items()}
    every = np.concatenate([path[np.isfinite(path).all(axis=1)] for path in paths.values()])
    xlim, ylim = _around(every, 0, xlim, "xlim"), _around(every, 1, ylim, "ylim")
    if axes is None and len(paths) > 1:
        across = 2 if len(paths) in (2, 4) else 3
        down = -(-len(paths) // across)
        _, grid = pyplot().subplots(
            down, across, figsize=(4 * across, 3 * down), layout="constrained", squeeze=False, sharex=True, sharey=True
        )
        axes = grid.ravel()
        for empty in axes[len(paths) :]:
            empty.remove()
        axes = axes[: len(paths)]
    elif axes is None:
        _, axes = pyplot().subplots(figsize=(5.2, 4), layout="constrained")
    together = np.ndim(axes) == 0
    panels = [one_axes(axes)] * len(paths) if together else many_axes(axes, len(paths))
    for panel in panels[:1] if together else panels:
        _hills(panel, of_point, xlim, ylim)
        panel.set(xlim=xlim, ylim=ylim)
    for i, (panel, (name, path)) in enumerate(zip(panels, paths.items(), strict=True)):
        color = SERIES[i % len(SERIES)]
        marker = _draw.MARKERS[i % len(_draw.MARKERS)]
        panel.plot(*path.T, color=color, marker=marker, markersize=4, linewidth=1.2, label=name, zorder=3)
        panel.plot(*path[-1], marker=marker, color=color, markersize=9, markeredgecolor="white", zorder=4)
        if not together and name:
            panel.set_title(name)
    if together and len(paths) > 1:
        panels[0].legend(fontsize="small")
    return axes


def _named(paths):
    if isinstance(paths, dict):
        named = paths
    elif isinstance(paths, (list, tuple)) and paths and all(hasattr(one, "update") for one in paths):
        named = {}
        for one in paths:
            name = type(one).__name__
            named[name if name not in named else repr(one)] = one
        if len(named) < len(paths):
            raise ValueError("two of the optimisers are the same: give a dict with a name for each")
    else:
        named = {type(paths).__name__ if hasattr(paths, "update") else "": paths}
    if not named:
        raise ValueError("there are no paths")
    return named


def _path(f, one, start, steps):
    if not hasattr(one, "update"):
        path = numbers(one, "a path").astype(float)
        if path.ndim != 2 or path.shape[1] != 2 or not len(path):
            raise ValueError(f"a path has shape {path.shape}, expected (n, 2)")
        return path
    if start is None or np.shape(start) != (2,):
        raise TypeError("an optimiser needs start=(x0, x1), from where it goes")
    optimizer, params = copy.deepcopy(one), {"x": np.array(start, dtype=float)}
    path = [params["x"].copy()]
    for _ in range(count_of(steps, "steps")):
        optimizer.update(params, {"x": _slope(f, params["x"])})
        if not np.isfinite(params["x"]).all():
            break
        path.append(params["x"].copy())
    return np.array(path)


def _around(points, axis, limits, name):
    if limits is not None:
        return limits_of(limits, name)
    low, high = points[:, axis].min(), points[:, axis].max()
    margin = 0.15 * (high - low) or 1.0
    return low - margin, high + margin


def _hills(axes, f, xlim, ylim, resolution=61):
    across, up = np.meshgrid(np.linspace(*xlim, resolution), np.linspace(*ylim, resolution))
    height = np.array([f(np.array(one)) for one in zip(across.ravel(), up.ravel(), strict=True)], dtype=float)
    height = height.reshape(across.shape)
    if np.isfinite(height).any() and np.nanmin(height) < np.nanmax(height):
        levels = np.unique(np.nanquantile(height, np.linspace(0.02, 0.98, 12)))
        axes.contour(across, up, height, levels=levels, colors=[GREY], linewidths=0.7, alpha=0.7)


def _of_point(f):
    if not callable(f):
        raise TypeError(f"f must be a function of two numbers, got {type(f).__name__}")
    two = _takes(f) == 2

    def of_point(x):
        value = np.asarray(f(x[0], x[1]) if two else f(x))
        if value.size != 1:
            raise ValueError(f"f gave an array of shape {value.shape} for one point, expected one number")
        return float(value.reshape(()))

    return of_point


def _slope(f, point):
    from .gradient import numerical_gradient

    return numerical_gradient(f, np.array(point, dtype=float))


def _takes(f):
    """How many arguments a function needs, or None where it does not say."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return None
    needed = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty]
    return len(needed)
