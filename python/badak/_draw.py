"""What badak draws, as functions that take axes and return them. Matplotlib is imported here, and only when drawing."""

import numpy as np

# Okabe and Ito's colours: told apart with every kind of colour blindness.
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, BLACK = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#000000",
)
GREY = "#8a8a8a"
WRONG = VERMILION
SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, BLACK)  # not WRONG: that colour means something
MARKERS = ("o", "s", "^", "D", "v", "P")

LINE = 0.25  # the height of a caption's line, in widths of an image
SMOOTHED_POINTS = 50  # about so many independent points remain of a curve
LEGEND_MOST = 10
MARKED_EPOCHS = 30  # with more of them, a line without markers


def pyplot():
    """matplotlib.pyplot, or an ImportError that says how to get it."""
    need_matplotlib()
    from matplotlib import pyplot

    return pyplot


def need_matplotlib():
    """Raise an ImportError that says how to get matplotlib, unless it is there."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ImportError(f"drawing needs matplotlib: pip install badak[plot] ({error})") from error


# -- learning curves --------------------------------------------------------------------------


def history(history, axes=None):
    """Draw what a ``fit`` saw: the loss, and beside it the accuracy where there is one.

    Parameters
    ----------
    history : History
    axes : Axes, or two of them, or None
        None: a new figure. One where there is accuracy: only the loss is drawn.

    Returns
    -------
    Axes or array of two Axes
        Those drawn on.
    """
    has_accuracy = bool(history.accuracy or history.val_accuracy)
    if not all(one is None or hasattr(one, "plot") for one in np.ravel(axes)):
        raise TypeError(f"axes must be Axes of matplotlib, one or two, got {type(axes).__name__}")
    if axes is None:
        count = 2 if has_accuracy else 1
        _, axes = pyplot().subplots(1, count, figsize=(5.2 * count, 3.6), layout="constrained")
    first, *others = np.ravel(axes)
    learning_loss(history, first)
    if has_accuracy and others:
        learning_accuracy(history, others[0])
    return axes


def learning_loss(history, axes):
    """The loss of every step, smoothed, and the validation loss after every epoch."""
    steps = np.asarray(history.step_loss, dtype=float)
    width = len(steps) // SMOOTHED_POINTS
    smooth = smoothed(steps, width)
    at = (np.arange(len(steps)) + 0.5) * len(history.epoch) / max(len(steps), 1)
    if width > 1:
        axes.plot(at, steps, color=SKY, alpha=0.35, linewidth=0.6, label="training, each step")
        axes.plot(at, smooth, color=BLUE, linewidth=2, label="training, smoothed")
    elif len(steps):
        axes.plot(at, steps, color=BLUE, linewidth=2, label="training, each step")
    shown = [smooth]
    if history.val_loss:
        _curve(axes, history.epoch, history.val_loss, ORANGE, "s", "validation")
        shown.append(history.val_loss)
    _loss_limits(axes, np.concatenate(shown))
    _epochs(axes, history)
    axes.set_ylabel("loss")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
    return axes


def _loss_limits(axes, values):
    """Logarithmic where the loss falls far; the noise of single steps may leave the axes."""
    if not len(values):
        return
    low, high = values.min(), values.max()
    if low > 0 and high >= 10 * low:
        from matplotlib.ticker import LogLocator, NullFormatter

        axes.set_yscale("log")
        axes.set_ylim(low / 1.6, high * 1.6)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
        axes.yaxis.set_major_formatter(_short)
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        margin = 0.05 * (high - low) or 0.5
        axes.set_ylim(low - margin, high + margin)


def learning_accuracy(history, axes):
    """The accuracy of every epoch, in training and on the validation data."""
    curves = (
        ("training", history.accuracy, BLUE, "o"),
        ("validation", history.val_accuracy, ORANGE, "s"),
    )
    for label, values, color, marker in curves:
        if values:
            _curve(axes, history.epoch, values, color, marker, f"{label} {values[-1]:.4f}")
    _epochs(axes, history)
    axes.set_ylabel("accuracy")
    axes.legend(frameon=False, loc="lower right")
    return axes


def _curve(axes, epochs, values, color, marker, label):
    marker = marker if len(epochs) <= MARKED_EPOCHS else None
    axes.plot(epochs, values, color=color, linewidth=2, marker=marker, markersize=5, label=label)


def _epochs(axes, history):
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(0, max(len(history.epoch), 1) * 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    _tidy(axes)


def smoothed(values, width):
    """Means over `width` neighbours; over fewer at the ends. The first value stays: a loss falls fastest there."""
    values = np.asarray(values, dtype=float)
    last = len(values) - 1
    reach = min(width // 2, max(last, 0) // 2)

    def near(i):
        before = min(i, reach)
        return values[i - before : i + min(before, last - i) + 1].mean()

    middle = np.convolve(values, np.full(2 * reach + 1, 1 / (2 * reach + 1)), "valid") if len(values) else values
    first = [near(i) for i in range(reach)]
    return np.concatenate([first, middle, [near(i) for i in range(last + 1 - reach, last + 1)]])


# -- gradients --------------------------------------------------------------------------------


def gradients(report, axes=None):
    """Draw numerical against analytic gradients: a point for every element compared, a colour for every entry.

    Both axes are logarithmic to both sides of zero. Of entries that are not ok, the elements that disagree are crossed.

    Parameters
    ----------
    report : GradientReport
    axes : Axes or None
        None: a new figure.

    Returns
    -------
    Axes
    """
    if axes is None:
        _, axes = pyplot().subplots(figsize=(5.6, 5.6), layout="constrained")
    pairs = [_finite_pairs(entry) for entry in report.entries]
    edge, linear = _sides_of_zero(np.concatenate([np.abs(p[:, :2]).ravel() for p in pairs] or [np.empty(0)]))
    _both_sides_logarithmic(axes, edge, linear)
    axes.plot([-edge, edge], [-edge, edge], color=GREY, linewidth=1, zorder=1)
    named = sorted(report.entries, key=lambda entry: entry.ok)[:LEGEND_MOST]
    for i, (entry, found) in enumerate(zip(report.entries, pairs, strict=True)):
        _gradient_points(axes, entry, found, i, entry in named, report.rtol)
    left_out = len(report.entries) - len(named)
    if named:
        axes.legend(loc="lower right", frameon=False, handletextpad=0.2, title=f"{left_out} more" if left_out else None)
    axes.text(0.03, 0.97, _agreement(report), transform=axes.transAxes, va="top", linespacing=1.4)
    axes.set_xlabel("analytic gradient")
    axes.set_ylabel("numerical gradient")
    _tidy(axes)
    return axes


def _finite_pairs(entry):
    return entry.pairs[np.isfinite(entry.pairs[:, :2]).all(axis=1)]


def _gradient_points(axes, entry, pairs, i, named, rtol):
    color = SERIES[i % len(SERIES)]
    label = f"{entry.name}: {entry.status}"
    if np.isfinite(entry.relative_error):
        label += f", {_short(entry.relative_error)}"
    axes.scatter(
        pairs[:, 0],
        pairs[:, 1],
        s=30,
        marker=MARKERS[i % len(MARKERS)],
        color=color,
        edgecolors="white",
        linewidths=0.4,
        label=label if named else "_" + label,
        zorder=2 + 1 / (1 + len(pairs)),  # few points on top of many
    )
    if not entry.ok and len(pairs):
        a, n, u = pairs.T
        apart = ~(np.abs(a - n) <= rtol * np.maximum(np.abs(a), np.abs(n)) + 3 * u)
        axes.scatter(a[apart], n[apart], s=60, marker="x", color=WRONG, linewidths=1.2, label="_differ", zorder=4)


def _agreement(report):
    known = [entry for entry in report.entries if np.isfinite(entry.relative_error)]
    if not known:
        return "nothing could be compared"
    worst = max(known, key=lambda entry: entry.relative_error)
    count = sum(len(entry.pairs) for entry in report.entries)
    return f"{count:,} comparisons\nlargest relative difference\n{_short(worst.relative_error)}, in {worst.name}"


def _sides_of_zero(sizes):
    """(where the axes end, where they become linear around zero) for numbers of these sizes."""
    sizes = np.clip(sizes[sizes > 0], 1e-290, 1e290)
    if not len(sizes):
        return 1.0, 0.1
    edge = 10 ** (np.log10(sizes.max()) + 0.3)
    small = max(np.quantile(sizes, 0.05), sizes.max() * 1e-6)
    return float(edge), float(10 ** np.floor(np.log10(min(small, edge / 10))))


def _both_sides_logarithmic(axes, edge, linear):
    decades = np.arange(np.floor(np.log10(edge)), np.log10(linear) + 0.5, -1)
    decades = decades[:: -(-len(decades) // 4)] if len(decades) else decades
    ticks = np.concatenate([-(10.0**decades), [0.0], 10.0 ** decades[::-1]])
    axes.set_xscale("symlog", linthresh=linear, linscale=0.5)
    axes.set_yscale("symlog", linthresh=linear, linscale=0.5)
    axes.set(xlim=(-edge, edge), ylim=(-edge, edge))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ticks, [_short(tick) for tick in ticks])
        axis.set_ticks([], minor=True)


# -- images -----------------------------------------------------------------------------------


def images(images, axes=None, *, columns=None, captions=None, colors=None, gap=1 / 7, lines=None, **kwargs):
    """Draw small images as a grid, row by row. All distances are in widths of one image.

    Parameters
    ----------
    images : (N, height, width) array, or (N, height, width, 3) in colour
    axes : Axes or None
        None: a new figure.
    columns : int
        None: about as many as rows.
    captions : N str
        Below the images, of one line or more.
    colors : N colours or None
        Of the captions, and of frames around the images; None: the style's, and no frame.
    gap : float
        Between images.
    lines : int
        Room for captions; None: as they need.
    **kwargs
        For ``imshow``, such as ``cmap``, ``vmin`` and ``vmax``. Without limits they are those of all images together.

    Returns
    -------
    Axes
    """
    images = np.asarray(images)
    count, height, width = images.shape[:3]
    columns = columns or max(1, round(np.sqrt(count)))
    rows = -(-count // columns)
    tall = height / width
    if lines is None:
        lines = max((caption.count("\n") + 1 for caption in captions or ()), default=0)
    across, down = 1 + gap, tall + (LINE * lines + 1 / 7 if lines else gap)
    if axes is None:
        _, axes = pyplot().subplots(figsize=(0.8 * columns * across, 0.8 * rows * down), layout="constrained")
    if count and "norm" not in kwargs:
        kwargs = {"vmin": images.min(), "vmax": images.max(), "cmap": "gray_r"} | kwargs
    for i, image in enumerate(images):
        left, top = i % columns * across, i // columns * down
        axes.imshow(image, extent=(left, left + 1, top + tall, top), **kwargs)
        color = colors[i] if colors is not None else None
        if captions is not None:
            axes.text(
                left + 0.5,
                top + tall + LINE / 4,
                captions[i],
                ha="center",
                va="top",
                color=color,  # None: that of the style
                fontsize="small",
                linespacing=1.1,
            )
        if color is not None:
            _frame(axes, left, top, tall, color)
    axes.set_xlim(-gap / 2, columns * across - gap / 2)
    axes.set_ylim(rows * down - gap / 2, -gap / 2)
    axes.set_axis_off()
    return axes


def _frame(axes, left, top, tall, color):
    from matplotlib.patches import Rectangle

    out = 0.02
    where = (left - out, top - out)
    axes.add_patch(Rectangle(where, 1 + 2 * out, tall + 2 * out, fill=False, edgecolor=color, linewidth=2))


def predictions(x, labels, probabilities, axes=None, *, columns=None, **kwargs):
    """Draw images with what a net takes them for and how sure it is; the wrong ones framed, with the truth.

    Parameters
    ----------
    x : (N, height, width) array
    labels : (N,) int array
        The truth.
    probabilities : (N, classes) array
    axes : Axes or None
    columns : int or None
    **kwargs
        For ``imshow``.

    Returns
    -------
    Axes
    """
    said = np.argmax(probabilities, axis=1)
    sure = np.max(probabilities, axis=1)
    captions = [
        f"{s}  {percent(p)}" if s == t else f"{s}, not {t}\n{percent(p)}"
        for s, t, p in zip(said, labels, sure, strict=True)
    ]
    wrong = said != np.asarray(labels)
    return images(
        x,
        axes,
        columns=columns,
        captions=captions,
        colors=[WRONG if one else None for one in wrong],
        gap=0.5,
        lines=2,
        **kwargs,
    )


def percent(probability):
    """A probability in per cent, which never claims to be certain."""
    return ">99%" if probability > 0.99 else f"{probability:.0%}"


def filters(weights, axes=None, *, columns=None, **kwargs):
    """Draw weights as small images: one scale for all, symmetric around a white zero.

    Parameters
    ----------
    weights : (N, height, width) array
    axes : Axes or None
    columns : int or None
    **kwargs
        For ``imshow``.

    Returns
    -------
    Axes
    """
    weights = np.asarray(weights)
    limit = float(np.quantile(np.abs(weights), 0.995)) or 1.0  # a few large weights do not pale the others
    return images(weights, axes, columns=columns, **{"cmap": "RdBu_r", "vmin": -limit, "vmax": limit} | kwargs)


def scale(axes, beside):
    """Draw the colour scale of images in the axes `beside`: its ends, which larger numbers share, and its middle."""
    image = axes.images[0]
    low, high = image.get_clim()
    bar = beside.figure.colorbar(image, cax=beside, extend="both", ticks=[low, (low + high) / 2, high])
    bar.ax.set_yticklabels([f"{tick:.2g}" for tick in bar.get_ticks()])
    bar.outline.set_visible(False)
    return beside


# -- looks ------------------------------------------------------------------------------------


def _tidy(axes):
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color=GREY, alpha=0.22, linewidth=0.8)  # seen on light and dark
    axes.set_axisbelow(True)


def _short(value, position=None):
    """A number as short as it can be read: 0.01, 1e-7, -3e-5, 2.5e-10."""
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e4:
        return f"{value:.3g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
