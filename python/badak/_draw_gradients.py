"""The pictures of a GradientReport: scatter, error against step, map, digits, slice. Matplotlib, only when drawing."""

import numpy as np

from . import _draw
from ._draw import BLUE, GREEN, GREY, ORANGE, WRONG, _short, _tidy, pyplot
from .report import STATUSES

KINDS = ("scatter", "error", "map", "digits", "slice")
AMBER = ORANGE


def plot(report, axes, kind, name):
    """Draw one kind, or all of them."""
    if kind == "all":
        return _all(report, axes, name)
    if kind not in KINDS:
        raise ValueError(f"kind = {kind!r}: expected one of {', '.join(KINDS)} or 'all'")
    if kind == "scatter":
        return _draw.gradients(report, axes)
    if axes is None:
        _, axes = pyplot().subplots(figsize=(5.6, 4.2), layout="constrained")
    if kind == "digits":
        return digits(report, axes)
    entry = _chosen(report, name, needs_curve=kind in ("error", "slice"))
    if entry is None:
        return _nothing(axes, kind)
    return {"error": error, "map": error_map, "slice": kink_slice}[kind](entry, axes)


def _all(report, axes, name):
    if axes is None:
        _, axes = pyplot().subplots(2, 3, figsize=(15, 8.6), layout="constrained")
    flat = np.ravel(axes)
    for one, kind in zip(flat, KINDS, strict=False):
        plot(report, one, kind, name)
    for one in flat[len(KINDS) :]:
        one.set_axis_off()
        one.text(0, 1, str(report.subject) + "\n" + report.status, va="top", transform=one.transAxes)
    return axes


def _chosen(report, name, needs_curve=False):
    """The entry to draw: the one asked for, else the worst."""
    if name is not None:
        return report[name]
    candidates = [e for e in report.entries if len(e.pairs) and (e.curve is not None or not needs_curve)]
    if not candidates:
        return None

    def rank(e):
        return STATUSES.index(e.status), -np.nan_to_num(e.relative_error)

    return min(candidates, key=rank)


def _nothing(axes, kind):
    axes.set_axis_off()
    axes.text(0.5, 0.5, f"{kind}: nothing to draw", ha="center", transform=axes.transAxes)
    return axes


def _place(entry):
    return entry.name + ("[" + ", ".join(map(str, entry.worst_index)) + "]" if entry.worst_index else "")


def error(entry, axes):
    """The V-curve: how far plain central differences are from the ladder's value, for every step."""
    h, right, left = entry.curve
    slope = (right - left) / (2 * h)
    size = max(abs(entry.analytic), abs(entry.numeric) if np.isfinite(entry.numeric) else 0.0) or 1.0
    off = np.abs(slope - (entry.numeric if np.isfinite(entry.numeric) else entry.analytic)) / size
    axes.loglog(
        h, np.maximum(off, 1e-17), color=BLUE, marker="o", markersize=3, linewidth=1, label="central difference"
    )
    if np.isfinite(entry.step) and entry.step > 0:
        axes.axvline(
            entry.step, color=GREEN, linewidth=1.5, linestyle="--", label=f"h of the ladder, {_short(entry.step)}"
        )
    if np.isfinite(entry.uncertainty):
        axes.axhspan(
            1e-17, max(3 * entry.uncertainty / size, 2e-17), color=GREEN, alpha=0.18, label="3 u of the ladder"
        )
    if np.isfinite(entry.relative_error):
        color = GREY if entry.ok else WRONG
        at = max(entry.relative_error, 1e-17)
        axes.axhline(at, color=color, linewidth=1.5, label=f"analytic value, {_short(entry.relative_error)}")
    axes.set_ylim(bottom=1e-17)
    axes.set_xlabel("step h")
    axes.set_ylabel("relative distance from the ladder's value")
    axes.set_title(f"{_place(entry)}: {entry.status}", loc="left", fontsize="medium")
    axes.legend(frameon=False, fontsize="small")
    _tidy(axes)
    return axes


def error_map(entry, axes):
    """The relative error of every compared element, in the shape of the parameter; filters as tiles."""
    a, n, u = entry.here.T
    with np.errstate(all="ignore"):
        relative = np.abs(a - n) / np.maximum(np.maximum(np.abs(a), np.abs(n)), 1e-300)
        relative = np.where(np.abs(a - n) <= 3 * u, np.minimum(relative, 1e-16 + 3 * u), relative)
    values = np.full(entry.size, np.nan)
    values[entry.indices] = np.log10(np.clip(np.where((a == 0) & (n == 0), 1e-16, relative), 1e-16, 1))
    image = axes.imshow(
        np.ma.masked_invalid(_tiled(values.reshape(entry.shape))),
        cmap="cividis",
        vmin=-16,
        vmax=0,
        aspect="auto" if max(_tiled(values.reshape(entry.shape)).shape) > 40 else "equal",
        interpolation="nearest",
    )
    axes.set_facecolor("#e4e4e4")
    bar = axes.figure.colorbar(image, ax=axes, ticks=[-16, -12, -8, -4, 0], shrink=0.8)
    bar.ax.set_yticklabels(["≤1e-16", "1e-12", "1e-8", "1e-4", "1"])
    bar.outline.set_visible(False)
    axes.set_title(
        f"{entry.name} {entry.shape}: relative error ({entry.checked:,} of {entry.size:,})",
        loc="left",
        fontsize="medium",
    )
    axes.set_xticks([])
    axes.set_yticks([])
    return axes


def _tiled(values):
    """Any number of axes as a picture: filters beside each other, with a gap."""
    if values.ndim < 2:
        return np.atleast_2d(values)
    if values.ndim == 2:
        return values
    h, w = values.shape[-2:]
    tiles = values.reshape(-1, h, w)
    columns = values.shape[1] if values.ndim == 4 and values.shape[1] > 1 else int(np.ceil(np.sqrt(len(tiles))))
    rows = -(-len(tiles) // columns)
    picture = np.full((rows * (h + 1) - 1, columns * (w + 1) - 1), np.nan)
    for i, tile in enumerate(tiles):
        y, x = (i // columns) * (h + 1), (i % columns) * (w + 1)
        picture[y : y + h, x : x + w] = tile
    return picture


def digits(report, axes):
    """How many digits of each gradient are confirmed."""
    entries = report.entries[:40]
    heights = [e.digits if np.isfinite(e.digits) else 0.0 for e in entries]
    colors = [BLUE if e.ok else AMBER if e.status == "VACUOUS" else WRONG for e in entries]
    places = np.arange(len(entries))[::-1]
    axes.barh(places, heights, color=colors, height=0.7)
    for y, e, value in zip(places, entries, heights, strict=True):
        note = "" if e.status == "PASS" else f"  {e.status}"
        axes.text(value + 0.15, y, f"{value:.1f}{note}", va="center", fontsize="small")
    axes.set_yticks(places, [e.name for e in entries])
    axes.set_xlim(0, 19)
    axes.set_xlabel("certain digits of the numerical gradient (median)")
    _tidy(axes)
    axes.grid(False, axis="y")
    return axes


def kink_slice(entry, axes):
    """The function around the worst element, with its one-sided tangents and the slope that the gradient claims."""
    h, right, left = entry.curve
    reach = h[h <= 0.02 * h.max()].max() if entry.status != "KINK" else h.max() * 0.1
    near = (h <= reach) & np.isfinite(right) & np.isfinite(left)
    t = np.concatenate([-h[near][::-1], [0.0], h[near]])
    f = np.concatenate([left[near][::-1], [0.0], right[near]])
    order = np.argsort(t)
    axes.plot(t[order], f[order], color=BLUE, linewidth=2, label="the function, less its value here")
    ends = np.array([-reach, 0.0, reach])
    if entry.one_sided is not None and np.all(np.isfinite(entry.one_sided)) and entry.status != "DISCONTINUOUS":
        slope_left, slope_right = entry.one_sided
        axes.plot(
            ends[:2], slope_left * ends[:2], color=GREEN, linestyle="--", label=f"from the left {_short(slope_left)}"
        )
        axes.plot(
            ends[1:],
            slope_right * ends[1:],
            color=ORANGE,
            linestyle="--",
            label=f"from the right {_short(slope_right)}",
        )
    if np.isfinite(entry.analytic):
        color = GREY if entry.ok else WRONG
        axes.plot(ends, entry.analytic * ends, color=color, linewidth=1, label=f"analytic {_short(entry.analytic)}")
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel(f"{_place(entry)} moved by")
    axes.set_title(f"{_place(entry)}: {entry.status}", loc="left", fontsize="medium")
    axes.legend(frameon=False, fontsize="small")
    _tidy(axes)
    return axes
