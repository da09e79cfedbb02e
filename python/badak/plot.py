"""Pictures to learn from: ``bd.plot.images(x)``, ``bd.plot.decision_boundary(bd.AND)``, ...

Every function but ``graph`` draws with matplotlib, into new axes or into those given as ``axes``, and returns the axes.
Nothing is shown, closed or set for others: the figures follow the style in use. ``graph`` draws SVG and needs nothing.
"""

import copy
import inspect

import numpy as np

from . import _draw
from ._draw import BLUE, GREY, SERIES, pyplot
from ._graph import graph
from ._outputs import outputs
from .layers import Layer, SigmoidWithLoss
from .net import Net

__all__ = [
    "activations",
    "compare",
    "confusion",
    "decision_boundary",
    "descent_path",
    "feature_maps",
    "filters",
    "gradient_field",
    "graph",
    "images",
    "misclassified",
]

ACTIVATIONS = ("Relu", "Sigmoid", "Tanh", "LeakyRelu")
CHANNELS = 16  # of a layer, or of filters, at most


def __dir__():
    return __all__


# -- images -----------------------------------------------------------------------------------


def images(x, labels=None, *, size=None, count=100, columns=None, axes=None, **kwargs):
    """Draw images side by side.

    Parameters
    ----------
    x : array
        One image (28, 28), or many as (N, 28, 28), (N, 1, 28, 28), in colour (N, 3, h, w), or as rows (N, 784). Colours
        are from 0 to 1, or integers up to 255.
    labels : N things, or None
        Written below the images.
    size : (h, w) or None
        Of rows whose images are not square.
    count : int
        Draw this many of them at most.
    columns : int or None
    axes : Axes or None
    **kwargs
        For ``imshow``: ``cmap``, ``vmin``, ...

    Returns
    -------
    Axes
    """
    pictures = _pictures(x, size)
    if labels is not None:
        labels = [labels] if np.ndim(labels) == 0 else list(labels)
        if len(labels) != len(pictures):
            raise ValueError(f"there are {len(pictures)} images, but {len(labels)} labels")
        labels = [str(label) for label in labels[:count]]
    pictures = pictures[: _positive(count, "count")]
    if pictures.ndim == 4:
        pictures = _colours(pictures)
    return _draw.images(pictures, _one(axes), columns=columns, captions=labels, **kwargs)


def _pictures(x, size=None):
    """The images that an array holds, as (N, h, w), or (N, h, w, 3) in colour."""
    x = _numbers(x, "x")
    if x.size == 0:
        raise ValueError(f"x of shape {x.shape} holds no image")
    if size is not None:
        if len(size) != 2 or x.shape[-1] != size[0] * size[1]:
            raise ValueError(f"rows of {x.shape[-1]} numbers are no images of size {size}")
        return x.reshape(-1, *size)
    if x.ndim == 1:
        x = x[None]
    if x.ndim == 2:
        side = round(np.sqrt(x.shape[1]))
        rows = side * side == x.shape[1] and x.shape[0] != x.shape[1]
        return x.reshape(-1, side, side) if rows else x[None]
    if x.ndim == 3:
        return x[None] if x.shape[2] == 3 and x.shape[0] > 3 else x
    if x.ndim == 4 and x.shape[1] == 1:
        return x[:, 0]
    if x.ndim == 4 and x.shape[1] == 3:
        return np.moveaxis(x, 1, -1)
    raise ValueError(
        f"x has shape {x.shape}: expected (h, w), (N, h, w), (N, 1, h, w), (N, 3, h, w) in colour, or rows (N, h * w)"
    )


def _colours(pictures):
    """Between 0 and 1, as imshow wants them."""
    if pictures.dtype.kind in "iu":
        return pictures.clip(0, 255) / 255
    low, high = pictures.min(), pictures.max()
    if low >= 0 and high <= 1:
        return pictures
    return (pictures - low) / ((high - low) or 1.0)


def filters(what, *, name=None, size=None, columns=None, axes=None, **kwargs):
    """Draw weights as small images: blue below 0, white at 0, red above, one scale for all.

    Parameters
    ----------
    what : array, layer, Net or network in the book's style
        Filters (N, c, h, w): a tile for each; where c > 1 a column for each filter and a row for each channel, 16 of
        them at most. Or a matrix (h * w, units) of an Affine layer: a tile for each unit. Of a network: its first.
    name : str or None
        Which weights of a network: "W2".
    size : (h, w) or None
        Of the tiles of a matrix; None: square.
    columns : int or None
    axes : Axes or None
    **kwargs
        For ``imshow``.

    Returns
    -------
    Axes
    """
    weights = _weights(what, name)
    if weights.ndim == 4:
        if weights.shape[1] > 1:
            weights = weights[:CHANNELS, :CHANNELS].swapaxes(0, 1)
            columns = columns or weights.shape[1]
        tiles = weights.reshape(-1, *weights.shape[2:])
    elif weights.ndim == 2:
        side = round(np.sqrt(len(weights)))
        size = size or (side, side)
        if len(size) != 2 or size[0] * size[1] != len(weights):
            raise ValueError(
                f"columns of {len(weights)} weights are no images: say size=(h, w), h * w = {len(weights)}"
            )
        tiles = weights.T.reshape(-1, *size)
    elif weights.ndim == 3:
        tiles = weights
    else:
        raise ValueError(f"weights of shape {weights.shape}: expected (N, c, h, w), or a matrix (h * w, units)")
    return _draw.filters(tiles[:256], _one(axes), columns=columns, **{"interpolation": "nearest"} | kwargs)


def _weights(what, name):
    params = getattr(what, "params", None)
    if isinstance(what, Layer) or params is None:
        if name is not None:
            raise TypeError("name chooses among the weights of a network: what was given has only one")
        weights = getattr(what, "W", what)
        if weights is None:
            raise TypeError(f"{what!r} has no arrays yet: inside a Net they are net.params")
        if isinstance(what, (Layer, type)) and weights is what:
            raise TypeError(f"{what!r} has no weights W")
        return _numbers(weights, "the weights")
    if name is None:
        name = next((key for key, array in params.items() if np.ndim(array) in (2, 4)), None)
    if name not in params:
        raise KeyError(f"no weights {name!r}: this network has {', '.join(params)}")
    return _numbers(params[name], name)


def feature_maps(what, x, *, channels=CHANNELS, axes=None, **kwargs):
    """Draw what the layers of a network make of one image: a row for each layer, an image for each channel.

    Parameters
    ----------
    what : Net, network in the book's style, layer or list of layers
    x : array
        One image, (1, 28, 28) or (1, 1, 28, 28); (28, 28) is taken as one channel.
    channels : int
        So many of each layer at most.
    axes : Axes or None
    **kwargs
        For ``imshow``. Each image has its own scale from its least to its greatest number.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If no layer gives images.
    """
    x = _numbers(x, "x")
    if isinstance(what, Net):
        x = x.reshape(1, *what.input_shape) if x.size == np.prod(what.input_shape) else x
    x = x.reshape(1, 1, *x.shape) if x.ndim == 2 else x[None] if x.ndim == 3 else x
    if x.ndim != 4 or len(x) != 1:
        raise ValueError(f"x has shape {x.shape}: feature_maps takes one image, such as x[:1] or x[0]")
    rows = [("x", x)] + [(type(layer).__name__, out) for layer, out in outputs(what, x)]
    rows = [(title, out[0, : _positive(channels, "channels")]) for title, out in rows if out.ndim == 4]
    if len(rows) == 1:
        raise ValueError("none of these layers gives images (N, c, h, w): there are no feature maps")
    across = max(len(maps) for _, maps in rows)
    axes = _one(axes)
    if axes is None:
        _, axes = pyplot().subplots(figsize=(1.5 + 0.62 * across, 0.66 * len(rows) + 0.2), layout="constrained")
    kwargs = {"cmap": "gray_r"} | kwargs
    for i, (title, maps) in enumerate(rows):
        for j, one in enumerate(maps):
            axes.imshow(one, extent=(1.1 * j, 1.1 * j + 1, 1.15 * i + 1, 1.15 * i), **kwargs)
        axes.text(-0.2, 1.15 * i + 0.5, title, ha="right", va="center", fontsize="small")
    room = 0.25 + 0.12 * max(len(title) for title, _ in rows)
    axes.set(xlim=(-room, 1.1 * across), ylim=(1.15 * len(rows), -0.1))
    axes.set_axis_off()
    return axes


# -- what a network does ----------------------------------------------------------------------


def activations(what, x=None, *, bins=30, every=False, axes=None):
    """Draw how the outputs of each layer are distributed, one histogram a layer (book: section 6.2.2).

    Only of the activation layers (Relu, Sigmoid, Tanh, LeakyRelu) where there are any.

    Parameters
    ----------
    what : Net, network in the book's style, list of layers, or dict of arrays by name
    x : (N, ...) array
        Goes through the network; not with a dict.
    bins : int
    every : bool
        Of all layers.
    axes : array of as many Axes, or None

    Returns
    -------
    array of Axes
    """
    if isinstance(what, dict):
        found = [(str(name), _numbers(array, str(name))) for name, array in what.items()]
        if x is not None:
            raise TypeError("x goes through a network; a dict holds the outputs already")
    else:
        if x is None:
            raise TypeError("activations(net, x) needs x")
        found = [(type(layer).__name__, out) for layer, out in outputs(what, _numbers(x, "x"))]
        found = [(f"{i} {name}", out) for i, (name, out) in enumerate(found, 1)]
        some = [one for one in found if one[0].split()[1] in ACTIVATIONS]
        found = found if every or not some else some
    if not found:
        raise ValueError("there is nothing to draw: the dict is empty")
    if axes is None:
        size = (min(2.4 * len(found), 14), 2.6)
        _, axes = pyplot().subplots(1, len(found), figsize=size, layout="constrained", squeeze=False)
    panels = _many(axes, len(found))
    for panel, (name, values) in zip(panels, found, strict=True):
        values = values[np.isfinite(values)]
        panel.hist(values, bins=bins, color=BLUE)
        panel.set_yticks([])
        panel.spines[["top", "right", "left"]].set_visible(False)
        told = f"mean {values.mean():.2g}, std {values.std():.2g}" if values.size else "not finite"
        panel.set_title(f"{name}\n{told}", fontsize="small")
    return panels


def confusion(what, x, t=None, *, labels=None, axes=None):
    """Draw how often each class was taken for which: truth in rows, answers in columns.

    Parameters
    ----------
    what : network with ``predict``, function, or (N,) answers, or (N, C) scores
    x : (N, ...) array
        The samples; with answers or scores, the truth instead: ``confusion(answers, t)``.
    t : (N,) labels or (N, C) one-hot rows
        The truth.
    labels : C things, or None
        Names of the classes.
    axes : Axes or None

    Returns
    -------
    Axes
    """
    if t is None:
        if callable(what) or hasattr(what, "predict"):
            raise TypeError("confusion(net, x, t) needs the truth t; with answers instead of a net it is (answers, t)")
        scores, t = _numbers(what, "the answers"), x
    else:
        scores = _scores(what, x)
    said, truth = _answers(scores), _truth(t)
    _same_length(said, truth)
    classes = int(max(said.max(), truth.max(), len(labels) - 1 if labels is not None else 0)) + 1
    if scores.ndim == 2:
        classes = max(classes, scores.shape[1])
    if classes > 1000:
        raise ValueError(f"there are {classes} classes: too many to draw")
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (truth, said), 1)
    axes = _one(axes)
    if axes is None:
        side = max(3.2, 0.45 * classes + 1)
        _, axes = pyplot().subplots(figsize=(side, side), layout="constrained")
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    if classes <= 30:
        for (i, j), count in np.ndenumerate(counts):
            if count:
                axes.text(j, i, count, ha="center", va="center", fontsize=8, color="w" if share[i, j] > 0.5 else "k")
        names = range(classes) if labels is None else labels
        axes.set_xticks(range(classes), names)
        axes.set_yticks(range(classes), names)
    right = np.trace(counts)
    axes.set(xlabel="answer", ylabel="truth", title=f"{right:,} of {len(truth):,} right: {right / len(truth):.2%}")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return axes


def misclassified(net, x, t, *, count=24, columns=None, axes=None, **kwargs):
    """Draw the images that a network gets wrong, those first of which it is most certain.

    Parameters
    ----------
    net : network with ``predict``, or function
        Gives scores (N, C).
    x : (N, ...) array
        Images, in one of the forms that ``images`` takes.
    t : (N,) labels or (N, C) one-hot rows
    count : int
        So many at most.
    columns : int or None
    axes : Axes or None
    **kwargs
        For ``imshow``.

    Returns
    -------
    Axes
        With a line of text where nothing is wrong.
    """
    from .functions import softmax

    scores, truth = _scores(net, x), _truth(t)
    if scores.ndim != 2:
        raise ValueError(f"the network gives an array of shape {scores.shape}, expected scores (N, C)")
    _same_length(scores, truth)
    rows = scores.astype(np.float64)
    positive = (rows >= 0).all() and np.allclose(rows.sum(axis=1), 1, atol=1e-3)
    probability = rows if positive else softmax(rows)
    said = rows.argmax(axis=1)
    wrong = np.flatnonzero(said != truth)
    wrong = wrong[np.argsort(-probability[wrong].max(axis=1), kind="stable")][: _positive(count, "count")]
    axes = _one(axes)
    if not len(wrong):
        if axes is None:
            _, axes = pyplot().subplots(figsize=(4, 1), layout="constrained")
        axes.text(0.5, 0.5, f"all {len(truth):,} are right", ha="center", va="center", transform=axes.transAxes)
        axes.set_axis_off()
        return axes
    pictures = _pictures(np.asarray(x)[wrong])
    if pictures.ndim == 4:
        pictures = _colours(pictures)
    captions = [f"{said[i]}, not {truth[i]}\n{_draw.percent(probability[i].max())}" for i in wrong]
    columns = columns or min(8, len(wrong))
    return _draw.images(pictures, axes, columns=columns, captions=captions, gap=0.5, lines=2, **kwargs)


# -- functions of two numbers -----------------------------------------------------------------


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
        x = _numbers(x, "x")
        if x.ndim != 2 or x.shape[1] != 2:
            raise ValueError(f"x has shape {x.shape}, expected (N, 2): a region can be drawn of two numbers only")
    xlim, ylim = _limits(xlim, x, 0), _limits(ylim, x, 1)
    if threshold is None:
        threshold = 0.0 if isinstance(f, Net) and isinstance(f.loss_layer, SigmoidWithLoss) else 0.5
    answer = _classifier(f, threshold)
    resolution = _positive(resolution, "resolution")
    across, up = np.meshgrid(np.linspace(*xlim, resolution), np.linspace(*ylim, resolution))
    region = answer(np.column_stack([across.ravel(), up.ravel()])).reshape(across.shape)
    labels = None
    if x is not None:
        labels = answer(x) if t is None else _truth(t)
        _same_length(x, labels)
    classes = np.unique(region if labels is None else np.concatenate([region.ravel(), labels]))
    if len(classes) > 20:
        raise ValueError(f"f gives {len(classes)} different answers: expected the labels of a few classes")
    axes = _one(axes)
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
        values = np.asarray(f(points[:, 0], points[:, 1]) if two else _scores(f, points))
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
        return _range(limits, "xylim"[axis] + "lim")
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
    of_point, xlim, ylim = _of_point(f), _range(xlim, "xlim"), _range(ylim, "ylim")
    points = _positive(points, "points")
    across, up = np.meshgrid(np.linspace(*xlim, points), np.linspace(*ylim, points))
    slopes = np.array([_slope(of_point, one) for one in zip(across.ravel(), up.ravel(), strict=True)])
    slopes = -slopes if downhill else slopes
    axes = _one(axes)
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
    panels = [_one(axes)] * len(paths) if together else _many(axes, len(paths))
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
        path = _numbers(one, "a path").astype(float)
        if path.ndim != 2 or path.shape[1] != 2 or not len(path):
            raise ValueError(f"a path has shape {path.shape}, expected (n, 2)")
        return path
    if start is None or np.shape(start) != (2,):
        raise TypeError("an optimiser needs start=(x0, x1), from where it goes")
    optimizer, params = copy.deepcopy(one), {"x": np.array(start, dtype=float)}
    path = [params["x"].copy()]
    for _ in range(_positive(steps, "steps")):
        optimizer.update(params, {"x": _slope(f, params["x"])})
        if not np.isfinite(params["x"]).all():
            break
        path.append(params["x"].copy())
    return np.array(path)


def _around(points, axis, limits, name):
    if limits is not None:
        return _range(limits, name)
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


# -- side by side -----------------------------------------------------------------------------


def compare(results, *, what=None, axes=None):
    """Draw several trainings, or gradient checks, beside one another.

    Parameters
    ----------
    results : dict by name
        Of ``History``, of ``Trainer``, or of lists of numbers: curves in one picture. Of ``GradientReport``: a panel
        each.
    what : str or None
        Of histories: one of "loss", "accuracy", "val_loss", "val_accuracy". None: the loss, and beside it the accuracy,
        on the validation data where there are any.
    axes : Axes, or array of Axes, or None

    Returns
    -------
    Axes, or array of Axes
    """
    if not isinstance(results, dict) or not results:
        raise TypeError('compare takes a dict with a name for each: {"SGD": history1, "Adam": history2}')
    if any(hasattr(one, "entries") for one in results.values()):
        return _compare_reports(results, axes)
    curves = _curves(results, what)
    if axes is None:
        size = (5.2 * len(curves), 3.6)
        _, axes = pyplot().subplots(1, len(curves), figsize=size, layout="constrained", squeeze=len(curves) == 1)
        axes = axes if len(curves) == 1 else axes.ravel()
    panels = _many(axes, len(curves))
    for panel, (name, lines) in zip(panels, curves.items(), strict=True):
        for i, (label, (x, y)) in enumerate(lines.items()):
            marker = _draw.MARKERS[i % len(_draw.MARKERS)] if len(y) <= _draw.MARKED_EPOCHS else None
            panel.plot(x, y, color=SERIES[i % len(SERIES)], marker=marker, markersize=5, linewidth=1.8, label=label)
        panel.set(ylabel=name, xlabel="epoch" if name else "step")
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(True, color=GREY, alpha=0.25, linewidth=0.8)
        panel.legend(frameon=False)
    return axes


def _curves(results, what):
    """The panels: name -> label -> (x, y)."""
    known = ("loss", "accuracy", "val_loss", "val_accuracy")
    if what not in (None, *known):
        raise ValueError(f"what must be one of {', '.join(known)}, got {what!r}")
    if not any(hasattr(one, "epoch") or hasattr(one, "train_acc_list") for one in results.values()):
        if what is not None:
            raise TypeError("what chooses from histories; lists of numbers are drawn as they are")
        lists = {name: np.asarray(one, dtype=float) for name, one in results.items()}
        for name, one in lists.items():
            if one.ndim != 1:
                raise ValueError(f"{name} has shape {one.shape}, expected a list of numbers")
        return {"": {name: (np.arange(len(one)), one) for name, one in lists.items()}}
    measured = {name: _measured(name, one) for name, one in results.items()}
    if what is None:
        validated = all(one["val_loss"] or one["val_accuracy"] for one in measured.values())
        chosen = [f"val_{kind}" if validated else kind for kind in ("loss", "accuracy")]
        chosen = [kind for kind in chosen if all(one[kind] for one in measured.values())]
    else:
        chosen = [what]
    panels = {}
    for kind in chosen:
        lines = {name: (np.arange(1, len(one[kind]) + 1), one[kind]) for name, one in measured.items() if one[kind]}
        if lines:
            panels[kind.replace("val_", "validation ")] = lines
    if not panels:
        raise ValueError(f"none of the histories has {what or 'a curve that all of them have'}")
    return panels


def _measured(name, one):
    if hasattr(one, "epoch"):
        return {kind: list(getattr(one, kind)) for kind in ("loss", "accuracy", "val_loss", "val_accuracy")}
    if hasattr(one, "train_acc_list"):  # the book's Trainer: a loss for each step, accuracies for each epoch
        return {"loss": [], "val_loss": [], "accuracy": one.train_acc_list, "val_accuracy": one.test_acc_list}
    raise TypeError(f"{name} is {type(one).__name__}: histories and lists cannot be compared in one picture")


def _compare_reports(reports, axes):
    for name, one in reports.items():
        if not hasattr(one, "entries"):
            raise TypeError(f"{name} is no GradientReport, but {type(one).__name__}")
    if axes is None:
        size = (4.6 * len(reports), 4.6)
        _, axes = pyplot().subplots(1, len(reports), figsize=size, layout="constrained", squeeze=False)
        axes = axes.ravel()
    panels = _many(axes, len(reports))
    for panel, (name, report) in zip(panels, reports.items(), strict=True):
        report.plot(panel)
        panel.set_title(name)
    return axes


# -- arguments --------------------------------------------------------------------------------


def _numbers(x, name):
    """An array of real numbers."""
    try:
        x = np.asarray(x)
    except ValueError:
        raise ValueError(f"{name} is ragged: its rows have different lengths") from None
    if x.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be an array of real numbers, got {x.dtype} ({type(x).__name__})")
    return x


def _scores(net, x):
    """What a network, or a function, says for all of x."""
    if isinstance(net, type):
        raise TypeError(f"got the class {net.__name__}: write {net.__name__}(...)")
    predict = getattr(net, "predict", net)
    if not callable(predict):
        raise TypeError(f"expected a network with predict, or a function, got {type(net).__name__}")
    return _numbers(predict(x), "what the network gives")


def _answers(scores):
    if scores.ndim == 2 and scores.shape[1] > 1:
        return scores.argmax(axis=1)
    return _classes(scores, "the answers")


def _truth(t):
    """Labels (N,) from labels (N,) or (N, 1), or one-hot rows."""
    t = _numbers(t, "t")
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


def _same_length(x, t):
    if len(x) != len(t):
        raise ValueError(f"there are {len(x)} samples, but {len(t)} labels")


def _positive(value, name):
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number, got {value!r:.60}")
    if value < 1:
        raise ValueError(f"{name} = {value}: expected at least 1")
    return int(value)


def _range(limits, name):
    limits = np.asarray(limits, dtype=float)
    if limits.shape != (2,) or not np.isfinite(limits).all() or limits[0] >= limits[1]:
        raise ValueError(f"{name} must be (low, high), got {tuple(limits.tolist()) if limits.ndim else limits}")
    return float(limits[0]), float(limits[1])


def _one(axes):
    if axes is None:
        return None
    if not hasattr(axes, "imshow"):
        what = f"an array of {np.size(axes)}" if np.ndim(axes) else type(axes).__name__
        raise TypeError(f"axes must be one of matplotlib's Axes, got {what}")
    return axes


def _many(axes, count):
    """As many Axes as needed, as an array."""
    panels = np.array(axes, dtype=object).ravel()
    if len(panels) != count:
        raise ValueError(f"{count} Axes are needed, got {len(panels)}")
    for one in panels:
        _one(one)
    return panels
