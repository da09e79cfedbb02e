"""What ``gradcheck`` found: one entry for each input and parameter, and a verdict over all."""

import json

import numpy as np

from .errors import GradientError
from .language import Text, say

NAMES = 4  # of gradients that are explained together
# Worst first. PASS, KINK and EXPLAINED are green; VACUOUS is amber: nothing was shown, it does not count as checked.
STATUSES = (
    "SHAPE",
    "DTYPE",
    "NONFINITE",
    "FAIL",
    "DISCONTINUOUS",
    "UNRESOLVED",
    "VACUOUS",
    "EXPLAINED",
    "KINK",
    "PASS",
)
GREEN = ("EXPLAINED", "KINK", "PASS")
CONDUCT = (
    "MUTATED_INPUT",
    "MUTATED_GY",
    "STATE_CHANGED",
    "NONDETERMINISTIC",
    "NOT_REENTRANT",
    "NOT_LINEAR_IN_GY",
)
ROWS = 25  # entries in the text: the worst ones
LINES = 40  # lines of text


def number(value):
    """A number as short as it says something: 0.3333, 1e-7, 1.1e+06."""
    return value if isinstance(value, str) else f"{value:.4g}"


class Entry:
    """The finding for one input or parameter.

    Attributes
    ----------
    name, shape, dtype : of the input or parameter
    status : str
        One of ``STATUSES``.
    checked, size : int
        Elements compared one by one, and elements in all; the others were covered by random directions.
    worst_index : tuple or None
        Where analytic and numeric value differ most for their size; the attributes that follow are of this element.
    analytic, numeric, uncertainty, relative_error, step : float
        ``numeric`` is within ``uncertainty`` of the truth; ``step`` is the h it was read at.
    digits : float
        Digits of the numerical gradient that are certain, in the median over the elements.
    invisible : float
        A single wrong element would stay unseen if it is off by less than this.
    one_sided : (float, float) or None
        Slopes from the left and from the right.
    wrong : list of tuple
        Indices of wrong elements, at most ten of them.
    unresolved : int
        Elements that could not be judged alone.
    evaluations : int
        Of the function, for this entry.
    bisection : int
        Those of them that naming the wrong elements took.
    seconds : float
        How long it took (not part of ``to_dict``: the same seed gives the same bytes).
    point : int
        0: where you asked; 1, 2 ...: a random point near it.
    diagnosis : str
    """

    _WRITTEN = (
        "name",
        "shape",
        "dtype",
        "size",
        "status",
        "checked",
        "worst_index",
        "analytic",
        "numeric",
        "uncertainty",
        "relative_error",
        "step",
        "digits",
        "invisible",
        "one_sided",
        "wrong",
        "unresolved",
        "evaluations",
        "bisection",
        "point",
        "diagnosis",
    )

    def __init__(self, name, shape, dtype):
        self.name = name
        self.shape = tuple(shape)
        self.dtype = str(dtype)
        self.size = int(np.prod(self.shape, dtype=np.int64))
        self.status = "PASS"
        self.checked = 0
        self.worst_index = None
        self.analytic = self.numeric = self.uncertainty = self.relative_error = self.step = float("nan")
        self.digits = self.invisible = float("nan")
        self.one_sided = None
        self.wrong = []
        self.unresolved = 0
        self.evaluations = self.bisection = 0
        self.seconds = 0.0
        self.point = 0
        self.diagnosis = ""
        self.pairs = np.empty((0, 3))  # analytic, numeric, uncertainty of every element compared, for plots
        self.indices = np.empty(0, np.int64)  # their places in the flat array
        self.kinked = []
        self.zero = False
        self.values = self.context = self.curve = self.slice = None

    @property
    def ok(self):
        """bool: is the status green?"""
        return self.status in GREEN

    def to_dict(self):
        """Everything but the compared pairs and the time, as plain Python values."""
        return {key: str(self.diagnosis) if key == "diagnosis" else getattr(self, key) for key in self._WRITTEN}

    def __repr__(self):
        return f"<{self.name} {self.shape}: {self.status}>"


class GradientReport:
    """The result of ``gradcheck``. True if every gradient is right as far as could be shown.

    Attributes
    ----------
    entries : list of Entry
    conduct : list of str
        What the code did besides computing, each with where and how: "MUTATED_INPUT: ...", and MUTATED_GY,
        STATE_CHANGED, NONDETERMINISTIC, NOT_REENTRANT, NOT_LINEAR_IN_GY likewise.
    subject : str
        What was checked.
    reproducer : str
        The call that gives this report again.
    unchecked : list of str
        Arrays of a layer that may be parameters, but have no gradient of a name that we know.
    """

    def __init__(self, subject, entries, conduct, *, allow=(), seed=0, rtol=1e-6, seconds=0.0, reproducer=""):
        self.subject = subject
        self.entries = entries
        self.conduct = conduct
        self.allow = tuple(allow)
        self.seed = seed
        self.rtol = rtol
        self.seconds = seconds
        self.reproducer = reproducer
        self.unchecked = []

    @property
    def status(self):
        """str: the worst of the entries."""
        return min((entry.status for entry in self.entries), key=STATUSES.index, default="VACUOUS")

    @property
    def ok(self):
        """bool: every entry green, and no conduct but what was allowed."""
        return self.status in GREEN and not self._bad_conduct

    @property
    def evaluations(self):
        """int: how often the function was evaluated for the numerical gradients."""
        return sum(entry.evaluations for entry in self.entries)

    @property
    def _bad_conduct(self):
        return [finding for finding in self.conduct if _kind(finding) not in self.allow]

    def __bool__(self):
        return self.ok

    def __getitem__(self, name):
        """The entry of this name."""
        for entry in self.entries:
            if entry.name == name:
                return entry
        raise KeyError(name)

    def raise_if_failed(self):
        """Raise GradientError (an AssertionError) with this report as its text, unless ``ok``."""
        if not self.ok:
            raise GradientError(str(self))

    def to_dict(self):
        """All findings as plain Python values."""
        return {
            "subject": self.subject,
            "ok": self.ok,
            "status": self.status,
            "conduct": [_said(finding) for finding in self.conduct],
            "entries": [entry.to_dict() for entry in self.entries],
            "evaluations": self.evaluations,
            "seed": self.seed,
            "rtol": self.rtol,
            "reproducer": self.reproducer,
            "unchecked": self.unchecked,
        }

    def to_json(self):
        """``to_dict`` as JSON; numbers that are not finite become null. The same seed gives the same bytes."""

        def plain(value):
            if isinstance(value, float) and not np.isfinite(value):
                return None
            if isinstance(value, dict):
                return {key: plain(item) for key, item in value.items()}
            if isinstance(value, (list, tuple)):
                return [plain(item) for item in value]
            return value

        return json.dumps(plain(self.to_dict()), ensure_ascii=False)

    # -- as text ------------------------------------------------------------------------------

    _HEAD = ("gradient of", "shape", "status", "checked", "worst at", "analytic", "numeric", "rel. error", "digits")

    def _shown(self):
        """The entries that have room: in their order, but the worst ones if there are too many."""
        if len(self.entries) <= ROWS:
            return self.entries
        worst = sorted(range(len(self.entries)), key=lambda i: (STATUSES.index(self.entries[i].status), i))[:ROWS]
        return [self.entries[i] for i in sorted(worst)]

    @staticmethod
    def _row(e):
        index = "" if e.worst_index is None else "[" + ", ".join(map(str, e.worst_index)) + "]"
        known = e.worst_index is not None and np.isfinite(e.numeric)
        return (
            e.name,
            str(e.shape),
            e.status,
            f"{e.checked}/{e.size}",
            index + (f" point {e.point}" if e.point and not e.ok else ""),
            f"{e.analytic:.6g}" if np.isfinite(e.analytic) or e.worst_index is not None else "",
            f"{e.numeric:.6g} ± {e.uncertainty:.1g}" if known else "",
            f"{e.relative_error:.1e}" if known else "",
            f"{e.digits:.1f}" if np.isfinite(e.digits) else "",
        )

    def _notes(self):
        shown = sorted(self.entries, key=lambda e: STATUSES.index(e.status))
        notes = [say("unchecked", names=", ".join(self.unchecked))] if self.unchecked else []
        said = set()
        for e in shown:
            names, text = self._together(e), str(e.diagnosis)
            if text and e.name == names[0] and (text not in said or e.name in text):
                said.add(text)
                more = say("and more", count=len(names) - NAMES) if len(names) > NAMES else ""
                notes.append(f"{', '.join(names[:NAMES])}{more}: {text}")
        return notes

    def _together(self, entry):
        """The names of all entries that the same harmless cause explains; the one that is most off comes first."""
        if getattr(entry.diagnosis, "key", "") != "log eps":
            return [entry.name]
        same = [e for e in self.entries if getattr(e.diagnosis, "key", "") == "log eps"]
        same = [e for e in same if e.diagnosis.values["eps"] == entry.diagnosis.values["eps"]]
        same.sort(key=lambda e: -abs(float(e.diagnosis.values["largest"])))
        return [e.name for e in same]

    def _conduct_notes(self):
        return [say("conduct", finding=_said(finding)) for finding in self.conduct]

    def _verdict(self):
        trouble = [self.status] if self.status not in GREEN else []
        trouble += sorted({_kind(f) for f in self._bad_conduct}, key=CONDUCT.index)
        word = self.status if self.ok else f"NOT OK ({', '.join(trouble)})"
        if self.ok and self.status != "PASS":
            word = f"PASS ({self.status})"
        evaluations = f"{self.evaluations:,}"
        text = say("verdict", word=word, subject=self.subject, evaluations=evaluations) + f", {self.seconds:.2g} s"
        explained = any(entry.diagnosis for entry in self.entries if not entry.ok)
        return text if self.status in GREEN or explained else f"{text}\n{say(self.status)}"

    def _evidence(self):
        """The bound of the weakest evidence, for what passed."""
        known = [e for e in self.entries if e.ok and np.isfinite(e.invisible) and np.isfinite(e.analytic)]
        if not known or not self.ok:
            return []
        weakest = max(known, key=lambda e: e.invisible / max(self._size(e), 1e-300))
        return [
            say(
                "evidence", name=weakest.name, invisible=f"{weakest.invisible:.1e}", largest=number(self._size(weakest))
            )
        ]

    @staticmethod
    def _size(entry):
        finite = entry.pairs[np.isfinite(entry.pairs[:, :2]).all(axis=1)] if len(entry.pairs) else entry.pairs
        return float(np.abs(finite[:, :2]).max(initial=0)) if len(finite) else 0.0

    def __str__(self):
        rows = [self._HEAD, *map(self._row, self._shown())]
        widths = [max(len(row[i]) for row in rows) for i in range(len(self._HEAD))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        lines.insert(1, "-" * max(map(len, lines)))
        if len(self.entries) > ROWS:
            lines.append(say("more", count=len(self.entries) - ROWS))
        conduct = self._conduct_notes()
        tail = [*self._evidence(), *([say("again", call=self.reproducer)] if self.reproducer else [])]
        tail += self._verdict().splitlines()
        room = LINES - len(lines) - len(tail)
        notes = [*conduct[:4], *self._notes()][: max(1, min(8, room))]
        return "\n".join([*lines, *notes, *tail])

    __repr__ = __str__

    def _repr_html_(self):
        from html import escape

        def row(cells, tag, style=""):
            return f"<tr{style}>" + "".join(f"<{tag}>{escape(c)}</{tag}>" for c in cells) + "</tr>"

        def colour(entry):
            if entry.ok:
                return ""
            return f' style="color:{"#9a6700" if entry.status == "VACUOUS" else "#c4320a"};font-weight:bold"'

        body = "".join(row(self._row(e), "td", colour(e)) for e in self.entries)
        notes = "".join(f"<li>{escape(note)}</li>" for note in [*self._conduct_notes(), *self._notes()])
        tail = "<br>".join(map(escape, [*self._evidence(), *self._verdict().splitlines()]))
        again = f"<pre>{escape(self.reproducer)}</pre>" if self.reproducer else ""
        return (
            f"<table><thead>{row(self._HEAD, 'th')}</thead><tbody>{body}</tbody></table>"
            f"<ul>{notes}</ul><p>{tail}</p>{again}"
        )

    def plot(self, axes=None, kind="scatter", entry=None):
        """Draw the report. Needs matplotlib.

        Parameters
        ----------
        axes : matplotlib Axes or None
            None: a new figure.
        kind : str
            ``"scatter"``: numerical against analytic gradients, a colour per entry. ``"error"``: the error of plain
            differences against the step, with the ladder's choice. ``"map"``: relative error in the parameter's own
            shape. ``"digits"``: digits confirmed, per entry. ``"slice"``: the function around the worst element, with
            its one-sided tangents. ``"all"``: all five in one figure.
        entry : str or None
            The entry to draw, for the kinds that draw one. None: the worst.

        Returns
        -------
        matplotlib Axes, or an array of them for ``"all"``
        """
        from ._draw_gradients import plot

        return plot(self, axes, kind, entry)


def _kind(finding):
    return getattr(finding, "kind", str(finding).split(":")[0])


def _said(finding):
    """A finding in the language in use now."""
    return f"{finding.kind}: {finding.text}" if isinstance(getattr(finding, "text", None), Text) else str(finding)
