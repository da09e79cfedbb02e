"""``compare``: two layers side by side. A gradient check cannot see a forward that is consistently wrong; this can."""

import copy
import time

import numpy as np

from ._own_arrays import private
from ._state import Chance, random_stream
from ._subjects_layers import find_parameters

REPEATS = 5


class Row:
    """One thing compared: forward, or one gradient.

    Attributes
    ----------
    name : str
    ok : bool
    shapes, dtypes : (str, str)
        Mine and the reference's.
    error : float
        The largest difference, relative to the largest number of the reference.
    where : tuple or None
        The index of that difference.
    mine, reference : float
        The two numbers there.
    note : str
    """

    def __init__(self, name, mine, reference, rtol):
        self.name, self.note, self.where = name, "", None
        self.error = self.mine = self.reference = float("nan")
        a, b = (None if value is None else np.asarray(value) for value in (mine, reference))
        self.shapes = tuple("none" if v is None else str(v.shape) for v in (a, b))
        self.dtypes = tuple("none" if v is None else str(v.dtype) for v in (a, b))
        self.ok = False
        if a is None or b is None:
            self.ok = a is None and b is None
            self.note = "" if self.ok else "one of them has none"
        elif a.shape != b.shape:
            self.note = "another shape"
        elif a.dtype.kind not in "fiub" or b.dtype.kind not in "fiub":
            self.note = "not numbers"
        else:
            self._compare(a.astype(float), b.astype(float), rtol)
            if a.dtype != b.dtype:
                self.note = "another dtype"

    def _compare(self, a, b, rtol):
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        size = float(np.abs(b[np.isfinite(b)]).max(initial=0)) or 1.0
        difference = np.where(same, 0.0, np.abs(a - b) / size)
        difference[np.isnan(difference)] = np.inf
        self.error = float(difference.max(initial=0))
        self.ok = self.error <= rtol
        if difference.size:
            where = np.unravel_index(int(np.argmax(difference)), difference.shape)
            self.where = tuple(int(i) for i in where)
            self.mine, self.reference = float(a[where]), float(b[where])


def _one_or_both(values):
    return values[0] if values[0] == values[1] else f"{values[0]} / {values[1]}"


class Comparison:
    """What ``compare`` found. True if everything agrees.

    Attributes
    ----------
    rows : list of Row
        Forward, then each gradient.
    seconds : {"forward": (mine, reference), "backward": (mine, reference)}
        The best of a few runs.
    """

    _HEAD = ("", "", "shape", "dtype", "difference", "at", "mine", "reference", "")

    def __init__(self, names, rows, seconds):
        self.names, self.rows, self.seconds = names, rows, seconds

    @property
    def ok(self):
        """bool: does everything agree?"""
        return all(row.ok for row in self.rows)

    def __bool__(self):
        return self.ok

    def _cells(self):
        for row in self.rows:
            known = row.where is not None
            yield (
                row.name,
                "same" if row.ok else "DIFFERS",
                _one_or_both(row.shapes),
                _one_or_both(row.dtypes),
                f"{row.error:.1e}" if np.isfinite(row.error) or known else "",
                "[" + ", ".join(map(str, row.where)) + "]" if known and not row.ok else "",
                f"{row.mine:.6g}" if known and not row.ok else "",
                f"{row.reference:.6g}" if known and not row.ok else "",
                row.note,
            )

    def _times(self):
        for what, (mine, reference) in self.seconds.items():
            yield f"{what}: {1e6 * mine:.0f} µs, reference {1e6 * reference:.0f} µs"

    def __str__(self):
        rows = [self._HEAD, *self._cells()]
        widths = [max(len(row[i]) for row in rows) for i in range(len(self._HEAD))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        verdict = f"{'SAME' if self.ok else 'NOT THE SAME'}: {self.names[0]} and {self.names[1]}"
        return "\n".join([*lines, *self._times(), verdict])

    __repr__ = __str__

    def _repr_html_(self):
        from html import escape

        def line(cells, tag, style=""):
            return f"<tr{style}>" + "".join(f"<{tag}>{escape(c)}</{tag}>" for c in cells) + "</tr>"

        body = "".join(
            line(cells, "td", "" if row.ok else ' style="color:#c4320a;font-weight:bold"')
            for cells, row in zip(self._cells(), self.rows, strict=True)
        )
        return f"<table>{line(self._HEAD, 'th')}{body}</table><p>{escape('; '.join(self._times()))}</p>"


def compare(mine, reference, *inputs, rtol=1e-6, seed=0):
    """Run two layers, or two functions, on the same inputs and put their results side by side.

    Parameters
    ----------
    mine, reference : objects with forward and backward, or functions
        Copies are run; parameters of the same name should hold the same numbers.
    *inputs : arrays
    rtol : float
        Largest difference that still agrees, relative to the largest number of the reference.
    seed : int
        Of the upstream gradient, and of what both draw: the same numbers for both.

    Returns
    -------
    Comparison
        With ``.ok``, ``.rows`` and ``.seconds``.

    Examples
    --------
    >>> bd.compare(MyAffine(W, b), bd.Affine(W, b), x)
    """
    with Chance() as chance, np.errstate(all="ignore"):
        chance.begin(seed, 0)
        results = [_results(one, inputs, chance, seed) for one in (mine, reference)]
    (mine_found, mine_time), (reference_found, reference_time) = results
    names = [*mine_found, *(name for name in reference_found if name not in mine_found)]
    rows = [Row(name, mine_found.get(name), reference_found.get(name), rtol) for name in names]
    seconds = {what: (mine_time[what], reference_time.get(what, np.nan)) for what in mine_time}
    return Comparison([getattr(one, "__name__", type(one).__name__) for one in (mine, reference)], rows, seconds)


def _results(thing, inputs, chance, seed):
    """({what: array}, {what: seconds}) of one of the two."""
    is_layer = hasattr(thing, "forward")
    thing = copy.deepcopy(thing) if is_layer else thing
    forward = thing.forward if is_layer else thing
    seconds = {"forward": np.inf}
    for _ in range(REPEATS):
        chance.replay()
        given = [private(value, keep=True) for value in inputs]
        began = time.perf_counter()
        y = forward(*given)
        seconds["forward"] = min(seconds["forward"], time.perf_counter() - began)
    found = {"forward": np.array(y)}
    if not hasattr(thing, "backward"):
        return found, seconds
    gy = random_stream(seed, 5).uniform(0.5, 1.5, np.shape(y)) * random_stream(seed, 6).choice([-1.0, 1.0], np.shape(y))
    gy = gy.astype(found["forward"].dtype) if found["forward"].dtype.kind == "f" else gy
    gy = gy if np.ndim(y) else 1.0
    seconds["backward"] = np.inf
    for _ in range(REPEATS):
        chance.replay()
        forward(*[private(value, keep=True) for value in inputs])
        passed = np.array(gy) if np.ndim(gy) else gy
        began = time.perf_counter()
        returned = thing.backward(passed)
        seconds["backward"] = min(seconds["backward"], time.perf_counter() - began)
    returned = returned if isinstance(returned, (tuple, list)) else (returned,)
    for i, gradient in enumerate(returned):
        found["dx" if len(returned) == 1 else f"dx{i}"] = None if gradient is None else np.array(gradient)
    for place in find_parameters(thing):
        gradient = place.grad(thing)
        found[f"gradient of {place.name}"] = None if gradient is None else np.array(gradient)
    return found, seconds
