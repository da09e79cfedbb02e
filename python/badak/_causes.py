"""Known, harmless causes of a difference between forward and backward, fitted to the data before they are named.

A cause is a term that the function has and its gradient ignores. It explains an entry if the function without that term
has the analytic gradient, judged by the same rule as everything else.
"""

import numpy as np

from ._slope import FLOAT64_EPS
from .language import Text
from .report import number


def causes_for(subject, y, gy, analytic):
    """Causes to try for a subject that does not pass."""
    causes = [LogOfProbabilities(subject, gy, 1e-7), LogOfProbabilities(subject, gy)] if np.size(y) == 1 else []
    return [*causes, LogOfSoftmax(), LogOfInput()]


class LogEps:
    """The book's log(y + 1e-7), differentiated as log(y) (book: section 4.2.2)."""

    eps = None

    def text(self, entry):
        """The sentence that explains it."""
        a, n = entry.analytic, entry.numeric
        return Text("log eps", eps=f"{self.eps:.0e}".replace("e-0", "e-"), largest=number(abs(a - n)))

    def sample(self, slope, entry, analytic, context):
        """The function without the term, to be judged again; None if this cause does not fit."""
        term = self.term(slope, entry, analytic, context)
        if term is None:
            return None
        with np.errstate(all="ignore"):
            rest = term()
        if not np.isfinite(rest):
            return None
        plain = slope.sample

        def without():
            value, noise = plain()
            with np.errstate(all="ignore"):
                change = term() - rest
            return value + change, noise + 8 * FLOAT64_EPS * (abs(change) + 1e-12 * abs(rest))

        return without


def nice(eps):
    """The number to one digit, if that is what it is and it is small; None otherwise."""
    if not np.isfinite(eps) or not 1e-16 < eps < 1.1e-5:  # more is no longer harmless
        return None
    rounded = float(f"{eps:.0e}")
    return rounded if abs(rounded / eps - 1) < 0.03 else None


def _same_changes(slope, where, steps, claimed):
    """Does the function change over large steps as the cause says? Its slope alone would fit many."""
    values, noise = slope.values(where, steps)
    off = np.abs(values - values[0] - claimed)
    return bool(np.all(off <= 1e-6 * np.abs(claimed).max() + 8 * noise))


class LogOfInput(LogEps):
    """f has w log(x + eps), and its gradient is w / x."""

    def term(self, slope, entry, analytic, context):
        x = slope.array
        flat, a = np.ravel(x), np.ravel(analytic)
        if entry.worst_index is None or (flat <= 0).any() or not entry.numeric or not entry.analytic:
            return None
        where = int(np.ravel_multi_index(entry.worst_index, entry.shape)) if entry.shape else 0
        ratio = entry.numeric / entry.analytic
        self.eps = nice(flat[where] * (1 - ratio) / ratio)
        if self.eps is None:
            return None
        weights = (a * flat).reshape(x.shape)
        steps = flat[where] * np.array([0.0, 0.5, -0.3])
        claimed = weights.flat[where] * np.log((flat[where] + steps + self.eps) / (flat[where] + self.eps))
        if not _same_changes(slope, where, steps, claimed):
            return None
        return lambda: float((weights * (np.log(x) - np.log(x + self.eps))).sum())


class LogOfSoftmax(LogEps):
    """f has -w log(softmax(x)[t] + eps), and its gradient is w (softmax(x) - one-hot t)."""

    def term(self, slope, entry, analytic, context):
        x = slope.array
        if (
            entry.worst_index is None
            or x.ndim not in (1, 2)
            or x.shape[-1] < 2
            or not entry.analytic
            or not entry.numeric
        ):
            return None
        rows, a = x.reshape(-1, x.shape[-1]), analytic.reshape(-1, x.shape[-1])
        labels = np.argmax(np.abs(a), axis=1)
        every = np.arange(len(rows))
        p = _softmax(rows)
        p_label = p[every, labels]
        weights = -a[every, labels] / (1 - p_label)
        expected = weights[:, None] * p
        expected[every, labels] -= weights
        if np.abs(expected - a).max() > 1e-6 * np.abs(a).max():
            return None
        row = entry.worst_index[0] if x.ndim == 2 else 0
        ratio = entry.numeric / entry.analytic
        self.eps = nice(p_label[row] * (1 - ratio) / ratio)
        if self.eps is None:
            return None

        where = int(np.ravel_multi_index(entry.worst_index, entry.shape))
        column = entry.worst_index[-1]
        steps = np.array([0.0, 0.5, -0.7])
        claimed = []
        for step in steps:
            moved = rows[row].copy()
            moved[column] += step
            claimed.append(-weights[row] * np.log(_softmax(moved)[labels[row]] + self.eps))
        if not _same_changes(slope, where, steps, np.array(claimed) - claimed[0]):
            return None

        def term():
            now = _softmax(x.reshape(rows.shape))[every, labels]
            return float((weights * np.log1p(self.eps / now)).sum())

        return term


def _softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


class LogOfProbabilities(LogEps):
    """A loss that keeps its probabilities ``y`` and labels ``t``, the mean of -log(y[t] + eps)."""

    def __init__(self, subject, gy, eps=None):
        self.subject = subject
        self.given = eps
        self.weight = float(np.ravel(gy)[0])

    def term(self, slope, entry, analytic, context):
        thing = getattr(self.subject, "checked_object", None)
        if thing is None or (entry.worst_index is None and not self.given):
            return None
        self.subject.output()
        find = _label_probabilities if _label_probabilities(thing) is not None else self._predicted
        if find(thing) is None:
            return None

        def mean_log(eps):
            found = find(thing)
            return self.weight * float(np.mean(np.log1p(eps / found)))

        self.eps = self.given or self._fitted(slope, entry, mean_log, context)
        return None if self.eps is None else lambda: mean_log(self.eps)

    def _predicted(self, thing):
        """What a network predicts, if those are probabilities (book: section 4.5)."""
        given = self.subject._given()
        if not hasattr(thing, "predict") or not hasattr(thing, "params") or len(given) != 2:
            return None
        return _of_labels(thing.predict(given[0]), given[1])

    def _fitted(self, slope, entry, mean_log, context):
        """The eps for which the worst element would agree."""
        where = int(np.ravel_multi_index(entry.worst_index, entry.shape)) if entry.shape else 0
        rest = mean_log(1e-7)

        def sample():
            slope.sample()
            value = mean_log(1e-7) - rest
            return value, 4 * FLOAT64_EPS * abs(rest)

        row = type(slope)(slope.array, sample).element(where, 1e-4)
        slope.sample()
        if not row[0]:
            return None
        return nice(1e-7 * (entry.analytic - entry.numeric) / float(row[0]))


def _of_labels(y, t):
    """The probability in y, (N, C), of each label in t, if they are such."""
    if not isinstance(y, np.ndarray) or not isinstance(t, np.ndarray) or y.ndim != 2 or y.dtype.kind != "f":
        return None
    if not len(y) or not np.all(y >= 0) or not np.allclose(y.sum(axis=1), 1, atol=1e-5):
        return None
    labels = t.argmax(axis=1) if t.size == y.size else t.reshape(-1).astype(int)
    if len(labels) != len(y) or labels.min() < 0 or labels.max() >= y.shape[1]:
        return None
    return y[np.arange(len(y)), labels].astype(float)


def _label_probabilities(thing, depth=3):
    """The probability of each sample's label, from an object that keeps y and t, or from what it holds."""
    own = _of_labels(getattr(thing, "y", None), getattr(thing, "t", None))
    if own is not None:
        return own
    if depth == 0 or not hasattr(thing, "__dict__"):
        return None
    for value in vars(thing).values():
        for held in (
            value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else [value]
        ):
            if hasattr(held, "__dict__") and not isinstance(held, type):
                found = _label_probabilities(held, depth - 1)
                if found is not None:
                    return found
    return None
