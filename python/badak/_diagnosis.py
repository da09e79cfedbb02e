"""What is likely wrong with a gradient, in one sentence: patterns that the difference fits, and what to look at next.

A pattern is named only if every element that was compared fits it, within tolerance.
"""

import numpy as np

from .language import Text
from .report import number

RATIO_TOLERANCE = 1e-4


def diagnose(entry, table, bisected=None):
    """A Text for an entry that fails."""
    if bisected is not None:
        return _bisected(entry, table, bisected)
    case = Case(entry, table)
    for pattern in (
        _zeros,
        _constant_ratio,
        _rearranged,
        _by_place if case.wrong.mean() < 0.95 else _by_difference,
        _by_difference if case.wrong.mean() < 0.95 else _by_place,
    ):
        found = pattern(case)
        if found is not None:
            return found
    return Text("differ", share=case.share, index=_index(entry.worst_index))


class Case:
    """Analytic and numerical gradient where compared, and what surrounds them."""

    def __init__(self, entry, table):
        self.entry, self.name, self.shape = entry, entry.name, entry.shape
        self.a, self.n, self.u, self.wrong = table.a, table.n, table.u, table.wrong
        self.indices = table.indices
        self.full = len(table.indices) == table.flat.size
        self.facts = entry.context
        self.values = entry.values
        self.share = Text("share", wrong=int(self.wrong.sum()), checked=len(self.a))
        finite = np.isfinite(self.n)
        self.size = max(np.abs(self.n[finite]).max(initial=0), np.abs(self.a).max(initial=0))

    def same(self, x, y):
        """Are these arrays the same as far as can be told?"""
        with np.errstate(all="ignore"):
            slack = RATIO_TOLERANCE * np.maximum(np.abs(x), np.abs(y)) + 1e-9 * self.size + 3 * np.nanmedian(self.u)
            return bool(np.all(np.abs(x - y) <= slack))

    def grid(self, values):
        """In the shape of the parameter."""
        return values.reshape(self.shape)


def _index(where):
    return "[" + ", ".join(map(str, where or ())) + "]"


# -- all elements by one factor ---------------------------------------------------------------


def _zeros(case):
    a, n = case.a[case.wrong], case.n[case.wrong]
    if np.all(np.abs(n) <= np.maximum(1e-9 * case.size, 3 * case.u[case.wrong])):
        return _with_place(case, Text("numeric zero", share=case.share))
    if np.all(np.abs(a) <= 1e-12 * case.size):
        return _with_place(case, Text("zero", share=case.share))
    return None


def _with_place(case, text):
    if case.wrong.all() or case.wrong.sum() < 2:
        return text
    place = _by_place(case)
    return text + place if place is not None and place.key != "only slice" else text


def _constant_ratio(case):
    big = np.abs(case.n) > np.maximum(1e-7 * case.size, 1e5 * case.u)
    if not big.any() or not case.wrong[big].all():
        return None
    ratio = case.a[big] / case.n[big]
    first = float(np.median(ratio))
    if np.ptp(ratio) > RATIO_TOLERANCE * abs(first) or first == 0:
        return None
    if not case.same(case.a, first * case.n):
        return None
    if len(case.a) == 1 and case.full and not _telling(first, case):
        return None if case.entry.size > 1 else _ratio_text(case, first)
    return _ratio_text(case, first)


def _telling(ratio, case):
    return any(abs(ratio - r) < 1e-4 * abs(r) for r in (-1, 2, 0.5))


def _near(x, y):
    return abs(x - y) <= RATIO_TOLERANCE * abs(y)


def _ratio_text(case, ratio):
    aliases = case.facts.aliases.get(case.name)
    if aliases and _near(ratio, 1 / (1 + len(aliases))):
        return Text("aliasing", share=case.share, count=1 + len(aliases))
    if _near(ratio, -1):
        return Text("sign", share=case.share)
    said = Text("ratio", share=case.share, ratio=f"{ratio:.5g}")
    reason = _reason_of(case, abs(ratio))
    return said + (reason if reason is not None else Text("ratio plain"))


def _reason_of(case, ratio):
    """What this factor may come from; None if nothing in sight has it."""
    sizes = [(name, array.shape) for name, array in [*case.facts.inputs.items(), ("the output", case.facts.outputs)]]
    own = [(case.name, case.shape)]
    found = None
    for name, shape in [*sizes, *own]:
        for axis, size in enumerate(shape):
            if size > 1 and _near(ratio, size):
                found = found or Text("ratio size", size=size, axis=axis, what=name)
            elif size > 1 and _near(ratio, 1 / size):
                found = found or Text("ratio one over size", size=size, axis=axis, what=name)
    for name, shape in [*sizes, *own]:
        size = int(np.prod(shape)) if shape else 1
        if size > 1 and _near(ratio, size):
            found = found or Text("ratio total", size=size, what=name)
        elif size > 1 and _near(ratio, 1 / size):
            found = found or Text("ratio one over total", size=size, what=name)
    for key, value in (("ratio 2", 2), ("ratio half", 0.5)):
        if _near(ratio, value):
            return Text(key) if found is None else Text(key) + found
    if found is not None:
        return found
    for name, value in case.facts.numbers.items():
        if value in (0, 1) or not np.isfinite(value):
            continue
        for formula, result in ((f"{name}", value), (f"1 - {name}", 1 - value), (f"1 / {name}", 1 / value)):
            if result and _near(ratio, abs(result)):
                return Text("ratio attribute", formula=formula, name=name, value=f"{value:g}")
        if value != 1 and _near(ratio, abs(1 / (1 - value))):
            return Text("ratio attribute", formula=f"1 / (1 - {name})", name=name, value=f"{value:g}")
    return None


# -- the right values in other places ---------------------------------------------------------


def _rearranged(case):
    if case.same(case.a, case.n):  # then any order of what is alike would fit
        return None
    if not case.full or case.entry.size < 3 or not case.wrong.any():
        return None
    a, n = case.grid(case.a), case.grid(case.n)
    if len(np.unique(np.round(n / (case.size or 1), 9))) < 3:
        return None
    shape, same = case.shape, case.same
    for i in range(len(shape)):
        for j in range(i + 1, len(shape)):
            if shape[i] == shape[j] and same(a, np.swapaxes(n, i, j)):
                return Text("transposed", share=case.share)
    for axis in range(len(shape)):
        if shape[axis] > 1 and same(a, np.flip(n, axis)):
            return Text("flipped", share=case.share, axis=axis)
    if len(shape) > 1 and same(a, np.flip(n, (-2, -1))):
        return Text("flipped", share=case.share, axis=f"{len(shape) - 2} and {len(shape) - 1}")
    if same(a, np.flip(n)):
        return Text("flipped", share=case.share, axis="all")
    for axis, size in enumerate(shape):
        for shift in _shifts(size):
            if same(a, np.roll(n, shift, axis)):
                return Text("rolled", share=case.share, shift=abs(shift), axis=axis)
    for shift in _shifts(case.entry.size):
        if same(a.ravel(), np.roll(n.ravel(), shift)):
            return Text("rolled flat", share=case.share, shift=abs(shift))
    for axis, size in enumerate(shape):
        if size > 1 and len(shape) > 1:
            key = lambda m, axis=axis: np.moveaxis(m, axis, 0).reshape(m.shape[axis], -1)  # noqa: E731
            rows_a, rows_n = key(a), key(n)
            order_a, order_n = np.argsort(rows_a[:, 0]), np.argsort(rows_n[:, 0])
            if same(rows_a[order_a], rows_n[order_n]):
                return Text("permuted axis", share=case.share, axis=axis)
    if same(np.sort(a.ravel()), np.sort(n.ravel())):
        return Text("permuted", share=case.share)
    return None


def _shifts(size):
    most = min(size - 1, 8)
    return [s for k in range(1, most + 1) for s in (k, -k)]


# -- what the difference looks like -----------------------------------------------------------


def _by_difference(case):
    if case.wrong.sum() < 2:
        return None
    d = case.a - case.n
    large = np.abs(d).max()
    slack = 1e-4 * large + 3 * float(np.nanmedian(case.u)) + 1e-9 * case.size
    if len(d) > 2 and np.ptp(d) <= slack:
        return Text("constant", share=case.share, value=number(float(np.median(d))))
    if case.full and len(case.shape) > 1:
        found = _along_axes(case, case.grid(d), slack)
        if found is not None:
            return found
    if case.values is not None:
        values = case.values.ravel()[case.indices].astype(float)
        for key, reference in (("proportional", values), ("proportional sign", np.sign(values))):
            ratio = _fits(d, reference, slack)
            if ratio is not None and len(np.unique(np.abs(reference))) > (key == "proportional") and len(d) > 2:
                return Text(key, share=case.share, ratio=f"{ratio:.4g}", name=case.name)
        if case.full and len(case.shape) > 1:
            found = _centred(case, case.grid(d), slack)
            if found is not None:
                return found
    if case.full and len(case.shape) > 1:
        return _scaled_slices(case)
    return None


def _fits(d, reference, slack):
    """The factor with which d is this reference, or None."""
    norm = float(reference @ reference)
    if norm == 0 or np.ptp(reference) == 0:
        return None
    ratio = float(d @ reference) / norm
    return ratio if ratio and np.abs(d - ratio * reference).max() <= slack else None


def _along_axes(case, d, slack):
    axes = [axis for axis, size in enumerate(case.shape) if size > 1]
    for axis in axes:
        if np.ptp(d, axis=axis).max() <= slack:
            return Text("constant along", share=case.share, axis=axis)
    if len(axes) > 2:
        rest = tuple(axis for axis in axes if axis != 1)
        if np.ptp(d, axis=rest).max() <= slack:
            return Text("constant along", share=case.share, axis=", ".join(map(str, rest)))
    return None


def _centred(case, d, slack):
    values = case.grid(case.values.ravel().astype(float))
    for axes in [(axis,) for axis in range(values.ndim)] + ([(0, *range(2, values.ndim))] if values.ndim > 2 else []):
        if np.prod([values.shape[axis] for axis in axes]) < 3:
            continue
        centred = values - values.mean(axis=axes, keepdims=True)
        norm = (centred**2).sum(axis=axes, keepdims=True)
        with np.errstate(all="ignore"):
            ratio = np.where(norm > 0, (d * centred).sum(axis=axes, keepdims=True) / norm, 0.0)
        if np.abs(d - ratio * centred).max() <= slack:
            axis = axes[0] if len(axes) == 1 else ", ".join(map(str, axes))
            return Text("centred along", share=case.share, name=case.name, axis=axis)
    return None


def _scaled_slices(case):
    a, n = case.grid(case.a), case.grid(case.n)
    for axis, size in enumerate(case.shape):
        if size < 2 or case.entry.size // size < 2:
            continue
        rows_a = np.moveaxis(a, axis, 0).reshape(size, -1)
        rows_n = np.moveaxis(n, axis, 0).reshape(size, -1)
        norm = (rows_n**2).sum(axis=1)
        if np.any(norm <= 1e-14 * case.size**2):
            continue
        ratio = (rows_a * rows_n).sum(axis=1) / norm
        if np.ptp(ratio) > 1e-3 and case.same(rows_a, ratio[:, None] * rows_n):
            return Text("scaled per", share=case.share, axis=axis)
    return None


# -- where the wrong elements are -------------------------------------------------------------


def _by_place(case):
    wrong, indices = case.wrong, case.indices
    if case.values is not None and wrong.sum() >= 1 and not wrong.all():
        values = case.values.ravel()[indices]
        relevant = np.abs(case.n) + np.abs(case.a) > 1e-9 * case.size  # elsewhere a wrong factor would not be seen
        for key, there in (("only zeros", values == 0), ("only negatives", values < 0), ("only positives", values > 0)):
            if (
                there.any()
                and np.array_equal(wrong, there & (relevant | wrong))
                and (there.sum() > 1 or key == "only zeros")
            ):
                return Text(key, share=case.share, name=case.name)
        _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
        tied = counts[where.reshape(-1)] > 1
        if tied.any() and not tied.all() and np.all(tied[wrong]) and wrong.sum() > 1:
            return Text("only ties", share=case.share, name=case.name)
    if wrong.sum() == 1:
        i = int(np.argmax(wrong))
        place = Text(
            "only one", share=case.share, index=_index(case.entry.worst_index), ratio=_ratio_of(case.a[i], case.n[i])
        )
        edge = _edges(case)
        return place + edge if edge is not None and case.entry.size > 2 and len(case.shape) == 1 else place
    if wrong.all() or wrong.mean() > 0.95:
        return None
    duplicates = _duplicates(case)
    if duplicates is not None:
        return duplicates
    return _edges(case)


def _ratio_of(a, n):
    return f"{a / n:.5g}" if n else "inf"


def _duplicates(case):
    """Are the wrong rows those that an index input names more than once?"""
    if len(case.shape) < 1:
        return None
    rows = np.unravel_index(case.indices, case.shape)[0]
    for name, array in case.facts.inputs.items():
        if array.dtype.kind not in "iu" or not array.size:
            continue
        index, counts = np.unique(array, return_counts=True)
        repeated = index[counts > 1]
        if (
            len(repeated)
            and np.isin(rows[case.wrong], repeated).all()
            and not np.isin(rows[~case.wrong], repeated).any()
        ):
            return Text("only duplicates", share=case.share, name=case.name, other=name)
    return None


def _edges(case):
    places = np.array(np.unravel_index(case.indices, case.shape)) if case.shape else np.zeros((0, 1), int)
    wrong = case.wrong
    for axis, size in enumerate(case.shape):
        if size < 3:
            continue
        at = places[axis]
        for key, there in (("only first", at == 0), ("only last", at == size - 1)):
            if np.all(there[wrong]) and wrong[there].mean() > 0.5:
                return Text(key, share=case.share, axis=axis)
    if len(case.shape) >= 2 and min(case.shape[-2:]) > 2:
        h, w = case.shape[-2:]
        border = (places[-2] == 0) | (places[-2] == h - 1) | (places[-1] == 0) | (places[-1] == w - 1)
        if np.all(border[wrong]) and wrong[border].mean() > 0.5:
            return Text("only border", share=case.share)
        if len(case.shape) >= 3 and not wrong[border].any() and wrong[~border].mean() > 0.5:
            return Text("only inside", share=case.share)
    for axis, size in enumerate(case.shape):
        at = places[axis]
        found = np.unique(at[wrong])
        if size > 2 and len(found) == 1 and wrong[at == found[0]].mean() > 0.5:
            return Text("only slice", share=case.share, index=int(found[0]), axis=axis)
    return None


def _bisected(entry, table, wrong):
    count = len(wrong)
    places = [_index(np.unravel_index(index, entry.shape)) for index, *_ in wrong[:5]]
    listed = ", ".join(places) + (f" ... ({count})" if count > 5 else "")
    a = np.array([table.flat[index] for index, *_ in wrong])
    n = np.array([item[1] for item in wrong])
    text = Text("bisected", evaluations=entry.bisection, found=listed)
    with np.errstate(all="ignore"):
        ratio = a / n
    if np.all(np.isfinite(ratio)) and np.ptp(ratio) <= RATIO_TOLERANCE * abs(ratio[0]):
        share = Text("share", wrong=count, checked=entry.size)
        said = Text("sign", share=share) if _near(ratio[0], -1) else Text("ratio", share=share, ratio=f"{ratio[0]:.5g}")
        return text + said
    return text
