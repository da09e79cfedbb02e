"""The figures as pictures: times relative to the fastest peer, and shares of the peak."""

import matplotlib
import race
import targets

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COLOURS = {
    "badak": "#c1272d",
    "badak, layer by layer": "#e8998d",
    "PyTorch": "#8c510a",
    "PyTorch, channels_last": "#bf812d",
    "PyTorch, torch.compile": "#dfc27d",
    "JAX, jit": "#35978f",
    "scikit-learn": "#80cdc1",
    "NumPy, as in the book (float64)": "#555555",
    "NumPy, as in the book but float32": "#aaaaaa",
    "NumPy": "#555555",
}
LONGEST = 4.0  # times the fastest peer; bars beyond are cut and labelled


def _bars(axes, works, labels):
    """For each work a group of bars: time over that of the fastest peer."""
    for row, work in enumerate(works):
        rows = race.summary(work["rounds"])
        unit = rows[targets.fastest_peer(work)[0]]["median"]
        names = [name for name in COLOURS if name in rows]
        height = 0.8 / len(names)
        for place, name in enumerate(names):
            length = rows[name]["median"] / unit
            y = row - 0.4 + (place + 0.5) * height
            first = name not in axes.get_legend_handles_labels()[1]
            axes.barh(y, min(length, LONGEST), height, color=COLOURS[name], label=name if first else None)
            if length > LONGEST or name == "badak":
                text = f"{length:.2g}" if length < 10 else f"{length:.0f}"
                axes.text(min(length, LONGEST) + 0.03, y, text, va="center", fontsize=6)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(works)), labels, fontsize=8)
    axes.set_ylim(len(works) - 0.5, -0.5)
    axes.set_xlim(0, LONGEST * 1.1)
    axes.set_xlabel("time / time of the fastest peer")


def _relative(record, prefix, title, path):
    panels = []
    for run in record["runs"]:
        works = [work for work in run["works"] if work["name"].startswith(prefix) and targets.fastest_peer(work)]
        if works:
            panels.append((run["threads"], works))
    if not panels:
        return
    rows = max(len(works) for _, works in panels)
    size = (5.2 * len(panels) + 1.5, 1.2 + 0.62 * rows)
    figure, all_axes = plt.subplots(1, len(panels), figsize=size, constrained_layout=True, squeeze=False)
    for axes, (threads, works) in zip(all_axes[0], panels, strict=True):
        labels = [work["name"].split("-", 1)[1].replace("-batch", "\nbatch ") for work in works]
        _bars(axes, works, labels)
        axes.set_title(f"{title}, {threads} thread{'s' if threads > 1 else ''}", fontsize=10)
    handles = {}
    for axes in all_axes[0]:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    names = [name for name in COLOURS if name in handles]
    figure.legend([handles[name] for name in names], names, loc="outside lower center", ncols=4, fontsize=7)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _peak(record, path):
    """badak's and the fastest peer's share of the peak in each training step."""
    runs = [
        (run["threads"], [w for w in run["works"] if w["name"].startswith("step-") and targets.fastest_peer(w)])
        for run in record["runs"]
    ]
    runs = [(threads, works) for threads, works in runs if works]
    if not runs:
        return
    rows = max(len(works) for _, works in runs)
    size = (5.2 * len(runs), 1.2 + 0.4 * rows)
    figure, all_axes = plt.subplots(1, len(runs), figsize=size, constrained_layout=True, squeeze=False)
    for axes, (threads, works) in zip(all_axes[0], runs, strict=True):
        for row, work in enumerate(works):
            summary = race.summary(work["rounds"])
            for place, name in enumerate(("badak", targets.fastest_peer(work)[0])):
                share = work["flops"] / summary[name]["median"] / 1e3 / work["peak"]
                axes.barh(row - 0.2 + 0.4 * place, share * 100, 0.4, color=COLOURS[name])
        labels = [work["name"].removeprefix("step-").replace("-batch", ", batch ") for work in works]
        axes.set_yticks(range(len(works)), labels, fontsize=8)
        axes.set_ylim(len(works) - 0.5, -0.5)
        axes.axvline(100, color="black", linewidth=0.8)
        axes.set_xlabel("% of the peak (operations of the plain algorithm)")
        axes.set_title(f"badak (above) and the fastest peer, {threads} thread{'s' if threads > 1 else ''}", fontsize=10)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def draw(record, folder):
    """Write the PNG files of a run; those that have nothing to show are left out."""
    for prefix, title in (
        ("step-", "Training step"),
        ("infer-", "Inference"),
        ("layer-", "Layer"),
        ("epoch-", "Epoch"),
    ):
        _relative(record, prefix, title, folder / f"{prefix.rstrip('-')}.png")
    _peak(record, folder / "peak.png")
