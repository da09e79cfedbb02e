"""What ``gradcheck`` found: one entry for each input and parameter, and a verdict over all."""

import json

import numpy as np

from .errors import GradientError

# Worst first. PASS and KINK are green.
STATUSES = ("SHAPE", "DTYPE", "NONFINITE", "FAIL", "UNRESOLVED", "VACUOUS", "KINK", "PASS")
GREEN = ("KINK", "PASS")
CONDUCT = ("MUTATED_INPUT", "MUTATED_GY", "NONDETERMINISTIC", "NOT_LINEAR_IN_GY")

MEANING = {
    "SHAPE": "the gradient has another shape than what it is the gradient of",
    "DTYPE": "the gradient has another dtype than what it is the gradient of",
    "NONFINITE": "the gradient, or the function itself, is NaN or infinite",
    "FAIL": "analytic and numerical gradient differ by more than their errors",
    "UNRESOLVED": "the numerical gradient is too uncertain to judge",
    "VACUOUS": "both gradients are zero everywhere: nothing was shown",
    "KINK": "not differentiable here, and the analytic value lies between the one-sided slopes",
    "PASS": "analytic and numerical gradient agree within their errors",
}


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
        Digits of the analytic gradient that are confirmed, in the median over the elements.
    one_sided : (float, float) or None
        Slopes from the left and from the right, where they were needed.
    evaluations : int
        Of the function, for this entry.
    point : int
        0: where you asked; 1, 2 ...: a random point near it.
    diagnosis : str
    """

    def __init__(self, name, shape, dtype):
        self.name = name
        self.shape = tuple(shape)
        self.dtype = str(dtype)
        self.size = int(np.prod(self.shape, dtype=np.int64))
        self.status = "PASS"
        self.checked = 0
        self.worst_index = None
        self.analytic = self.numeric = self.uncertainty = self.relative_error = self.step = float("nan")
        self.digits = float("nan")
        self.one_sided = None
        self.evaluations = 0
        self.point = 0
        self.diagnosis = ""
        self.pairs = np.empty((0, 3))  # analytic, numeric, uncertainty of every element compared, for plots

    @property
    def ok(self):
        """bool: is the status green?"""
        return self.status in GREEN

    def to_dict(self):
        """Everything but the compared pairs, as plain Python values."""
        return {key: value for key, value in vars(self).items() if key != "pairs"}

    def __repr__(self):
        return f"<{self.name} {self.shape}: {self.status}>"


class GradientReport:
    """The result of ``gradcheck``. True if every gradient is right as far as could be shown.

    Attributes
    ----------
    entries : list of Entry
    conduct : list of str
        What the code did besides computing: MUTATED_INPUT, MUTATED_GY, NONDETERMINISTIC, NOT_LINEAR_IN_GY.
    subject : str
        What was checked.
    """

    def __init__(self, subject, entries, conduct, *, allow=(), seed=0, rtol=1e-6, seconds=0.0):
        self.subject = subject
        self.entries = entries
        self.conduct = conduct
        self.allow = tuple(allow)
        self.seed = seed
        self.rtol = rtol
        self.seconds = seconds

    @property
    def status(self):
        """str: the worst of the entries."""
        return min((entry.status for entry in self.entries), key=STATUSES.index, default="VACUOUS")

    @property
    def ok(self):
        """bool: every entry green, and no conduct but what was allowed."""
        return self.status in GREEN and not self._bad_conduct

    @property
    def _bad_conduct(self):
        return [finding for finding in self.conduct if finding.split(":")[0] not in self.allow]

    def __bool__(self):
        return self.ok

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
            "conduct": list(self.conduct),
            "entries": [entry.to_dict() for entry in self.entries],
            "seed": self.seed,
            "rtol": self.rtol,
        }

    def to_json(self):
        """``to_dict`` as JSON; numbers that are not finite become null."""

        def plain(value):
            if isinstance(value, float) and not np.isfinite(value):
                return None
            if isinstance(value, dict):
                return {key: plain(item) for key, item in value.items()}
            if isinstance(value, (list, tuple)):
                return [plain(item) for item in value]
            return value

        return json.dumps(plain(self.to_dict()))

    # -- as text ------------------------------------------------------------------------------

    _HEAD = ("gradient of", "shape", "status", "checked", "worst at", "analytic", "numeric", "rel. error", "digits")

    def _rows(self):
        for e in self.entries:
            index = "" if e.worst_index is None else "[" + ", ".join(map(str, e.worst_index)) + "]"
            known = e.worst_index is not None
            yield (
                e.name,
                str(e.shape),
                e.status,
                f"{e.checked}/{e.size}",
                index,
                f"{e.analytic:.6g}" if known else "",
                f"{e.numeric:.6g} ± {e.uncertainty:.1g}" if known else "",
                f"{e.relative_error:.1e}" if known else "",
                f"{e.digits:.1f}" if np.isfinite(e.digits) else "",
            )

    def _notes(self):
        notes = [f"{e.name}: {e.diagnosis}" for e in self.entries if e.diagnosis]
        notes += [f"conduct: {finding}" for finding in self.conduct]
        return notes

    def _verdict(self):
        evaluations = sum(e.evaluations for e in self.entries)
        trouble = [self.status] if self.status not in GREEN else [f.split(":")[0] for f in self._bad_conduct]
        word = "PASS" if self.ok else f"NOT OK ({', '.join(trouble)})"
        text = f"{word}: {self.subject}, {evaluations:,} evaluations, {self.seconds:.2g} s"
        explained = any(entry.diagnosis for entry in self.entries if not entry.ok)
        return text if self.status in GREEN or explained else f"{text}\n{MEANING[self.status]}"

    def __str__(self):
        rows = [self._HEAD, *list(self._rows())[:25]]
        widths = [max(len(row[i]) for row in rows) for i in range(len(self._HEAD))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        lines.insert(1, "-" * max(map(len, lines)))
        if len(self.entries) > 25:
            lines.append(f"... and {len(self.entries) - 25} more")
        return "\n".join([*lines, *self._notes()[:8], self._verdict()])

    __repr__ = __str__

    def _repr_html_(self):
        from html import escape

        def row(cells, tag, style=""):
            return f"<tr{style}>" + "".join(f"<{tag}>{escape(c)}</{tag}>" for c in cells) + "</tr>"

        colour = {True: "", False: ' style="color:#c4320a;font-weight:bold"'}
        body = "".join(row(cells, "td", colour[e.ok]) for cells, e in zip(self._rows(), self.entries, strict=True))
        notes = "".join(f"<li>{escape(note)}</li>" for note in self._notes())
        return (
            f"<table><thead>{row(self._HEAD, 'th')}</thead><tbody>{body}</tbody></table>"
            f"<ul>{notes}</ul><p>{escape(self._verdict())}</p>"
        )

    def plot(self, axes=None):
        """Draw numerical against analytic gradients, a colour per entry. Needs matplotlib.

        Returns
        -------
        matplotlib Axes
        """
        from ._draw import gradients

        return gradients(self, axes)
