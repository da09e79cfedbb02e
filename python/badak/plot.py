"""Pictures to learn from: ``bd.plot.images(x)``, ``bd.plot.decision_boundary(bd.AND)``, ...

Every function but ``graph`` draws with matplotlib, into new axes or into those given as ``axes``, and returns the axes.
Nothing is shown, closed or set for others: the figures follow the style in use. ``graph`` draws SVG and needs nothing.
"""

import numpy as np

from . import _draw
from ._draw import BLUE, GREY, SERIES, pyplot
from ._graph import graph
from ._outputs import outputs
from ._planes import decision_boundary, descent_path, gradient_field
from ._plot_arguments import answers_of, count_of, labels_of, many_axes, numbers, one_axes, same_length, scores_of
from .layers import Layer
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
    pictures = pictures[: count_of(count, "count")]
    if pictures.ndim == 4:
        pictures = _colours(pictures)
    return _draw.images(pictures, one_axes(axes), columns=columns, captions=labels, **kwargs)


def _pictures(x, size=None):
    """The images that an array holds, as (N, h, w), or (N, h, w, 3) in colour."""
    x = numbers(x, "x")
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
    return _draw.filters(tiles[:256], one_axes(axes), columns=columns, **{"interpolation": "nearest"} | kwargs)


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
        return numbers(weights, "the weights")
    if name is None:
        name = next((key for key, array in params.items() if np.ndim(array) in (2, 4)), None)
    if name not in params:
        raise KeyError(f"no weights {name!r}: this network has {', '.join(params)}")
    return numbers(params[name], name)


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
    x = numbers(x, "x")
    if isinstance(what, Net):
        x = x.reshape(1, *what.input_shape) if x.size == np.prod(what.input_shape) else x
    x = x.reshape(1, 1, *x.shape) if x.ndim == 2 else x[None] if x.ndim == 3 else x
    if x.ndim != 4 or len(x) != 1:
        raise ValueError(f"x has shape {x.shape}: feature_maps takes one image, such as x[:1] or x[0]")
    rows = [("x", x)] + [(type(layer).__name__, out) for layer, out in outputs(what, x)]
    rows = [(title, out[0, : count_of(channels, "channels")]) for title, out in rows if out.ndim == 4]
    if len(rows) == 1:
        raise ValueError("none of these layers gives images (N, c, h, w): there are no feature maps")
    across = max(len(maps) for _, maps in rows)
    axes = one_axes(axes)
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
        found = [(str(name), numbers(array, str(name))) for name, array in what.items()]
        if x is not None:
            raise TypeError("x goes through a network; a dict holds the outputs already")
    else:
        if x is None:
            raise TypeError("activations(net, x) needs x")
        found = [(type(layer).__name__, out) for layer, out in outputs(what, numbers(x, "x"))]
        found = [(f"{i} {name}", out) for i, (name, out) in enumerate(found, 1)]
        some = [one for one in found if one[0].split()[1] in ACTIVATIONS]
        found = found if every or not some else some
    if not found:
        raise ValueError("there is nothing to draw: the dict is empty")
    if axes is None:
        size = (min(2.4 * len(found), 14), 2.6)
        _, axes = pyplot().subplots(1, len(found), figsize=size, layout="constrained", squeeze=False)
    panels = many_axes(axes, len(found))
    for panel, (name, values) in zip(panels, found, strict=True):
        values = values[np.isfinite(values)]
        panel.hist(values, bins=bins, color=BLUE)
        panel.set_yticks([])
        panel.locator_params(axis="x", nbins=3)  # small numbers are long: more labels would run into each other
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
        scores, t = numbers(what, "the answers"), x
    else:
        scores = scores_of(what, x)
    said, truth = answers_of(scores), labels_of(t)
    same_length(said, truth)
    classes = int(max(said.max(), truth.max(), len(labels) - 1 if labels is not None else 0)) + 1
    if scores.ndim == 2:
        classes = max(classes, scores.shape[1])
    if classes > 1000:
        raise ValueError(f"there are {classes} classes: too many to draw")
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (truth, said), 1)
    axes = one_axes(axes)
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

    scores, truth = scores_of(net, x), labels_of(t)
    if scores.ndim != 2:
        raise ValueError(f"the network gives an array of shape {scores.shape}, expected scores (N, C)")
    same_length(scores, truth)
    rows = scores.astype(np.float64)
    positive = (rows >= 0).all() and np.allclose(rows.sum(axis=1), 1, atol=1e-3)
    probability = rows if positive else softmax(rows)
    said = rows.argmax(axis=1)
    wrong = np.flatnonzero(said != truth)
    wrong = wrong[np.argsort(-probability[wrong].max(axis=1), kind="stable")][: count_of(count, "count")]
    axes = one_axes(axes)
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
    panels = many_axes(axes, len(curves))
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
    panels = many_axes(axes, len(reports))
    for panel, (name, report) in zip(panels, reports.items(), strict=True):
        report.plot(panel)
        panel.set_title(name)
    return axes
