"""What checked code does besides computing: changes of arguments and state, chance, memory between the calls."""

import contextlib

import numpy as np

from ._containers import first_change
from ._noise import precision
from ._own_arrays import nothing_to_differentiate
from ._slope import FLOAT64_EPS
from ._state import random_stream
from .language import Text
from .report import number

OUTSIDE = ArithmeticError, ValueError, AssertionError  # what code raises outside of its domain; all else passes on


class Conduct:
    """The part of a ``Subject`` that watches the code."""

    # -- conduct ------------------------------------------------------------------------------

    def start(self):
        """The first calls: what are the variables, and what does the code do besides computing?"""
        self.chance.begin(self.seed, 0)
        arrays = self._watched()
        before = {name: array.copy() for name, array in arrays.items()}
        self.chance.replay()
        y, given = self._raw_forward()
        self._look_for_changes(arrays, before, given, self.forward_name)
        drew = not self.draws_freely
        if drew:
            self.chance.forget_unused()
            drew = self.chance.used
            self.chance.drawn_from = set(range(len(self.chance.sources)))
        self.accept_output(y)
        self.y = y
        gy = self.upstream(y, random_stream(self.seed, 1000))
        first = self._first_gradients(gy, arrays, before)
        self.chance.forget_unused()
        self.set_variables(first)
        if not self._movable():
            raise TypeError(nothing_to_differentiate(self.arguments, self.backward_name))
        self.restoring = True
        y_first = self.output()
        y_second = self.output()
        if drew and self._say_if_different("NONDETERMINISTIC", y_first, self._raw_forward()[0]):
            pass
        elif not self._say_if_different("NONDETERMINISTIC", y_first, y_second):
            self.chance.replay()
            y_third, _ = self._raw_forward()
            stateful = self._say_if_different("STATE_CHANGED output", y_first, y_third, who=self.forward_name)
            self._look_at_backward(gy, y, stateful)
            self.restoring = stateful or self._found("NOT_REENTRANT") or self._found("STATE_CHANGED")
            return
        else:
            self.noisy = True
        self.restoring = False

    widths = 0.2
    noisy = False

    def _found(self, kind):
        return any(finding.kind == kind for finding in self.findings)

    def accept_output(self, y):
        """Raise if this output cannot be checked."""

    def _watched(self):
        arrays = {}
        for name, value in zip(self.names, self.arguments, strict=True):
            if isinstance(value, np.ndarray):
                arrays[name] = value
        return arrays | self._parameters()

    def _look_for_changes(self, arrays, before, given, who):
        for i, name in enumerate(self.names):
            if name in arrays:
                self._say_if_changed(name, np.asarray(given[i]), arrays[name], before[name], who)
        for name in self._parameters():
            if name in before:
                self._say_if_changed(name, arrays[name], arrays[name], before[name], who)

    def _say_if_changed(self, name, now, own, before, who):
        """Says it, puts `own` back, and takes care from now on; True if `now` is not what it was."""
        if np.array_equal(now, before, equal_nan=_floats(now)):
            return False
        is_input = name in self.names
        key = "MUTATED_INPUT" if is_input else "STATE_CHANGED parameter"
        if not any(finding.about == (key, name, who) for finding in self.findings):
            self._say(key, **_first_difference(before, now), who=who, name=name)
        self.copying |= is_input
        self.changes_parameters |= not is_input
        own[...] = before
        return True

    def _say_if_container_changed(self, i, before, after, who):
        """A list or dict among the arguments: the code always gets a copy, so there is nothing to put back."""
        name = self.names[i]
        if any(finding.about == ("MUTATED_INPUT", name, who) for finding in self.findings):
            return
        change = first_change(before, after)
        if change is not None:
            self._say("MUTATED_INPUT", **change, who=who, name=name)

    def _say_touched(self, entry, index, before, after):
        """The element that was being moved is what the code changed."""
        is_input = entry.name in self.names
        where = ", ".join(str(int(i)) for i in np.unravel_index(index, entry.shape))
        key = "MUTATED_INPUT" if is_input else "STATE_CHANGED parameter"
        self._say(key, index=f"[{where}]", before=before, after=after, who=self.forward_name, name=entry.name)
        self.copying = True
        self.changes_parameters |= not is_input

    @contextlib.contextmanager
    def watch(self, who):
        """While the code runs: gives a list that will hold the names of the arrays that it has changed."""
        arrays = self._watched()
        before = {name: array.copy() for name, array in arrays.items()}
        changed = []
        try:
            yield changed
        finally:
            for name, array in arrays.items():
                if self._say_if_changed(name, array, array, before[name], who):
                    changed.append(name)

    def _first_gradients(self, gy, arrays, before):
        self.chance.replay()
        if self.snapshot is not None:
            self.snapshot.restore()
        _, given = self._raw_forward()
        for name, array in arrays.items():
            array[...] = before[name]
        passed = self._upstream_as_given(gy)
        flat = [np.copy(part) for part in passed] if self.form else np.copy(passed)
        found = self._raw_backward(passed, given)
        parts = zip(passed, flat, strict=True) if self.form else [(passed, flat)]
        for now, then in parts:
            if not np.array_equal(now, then):
                self._say("MUTATED_GY", **_first_difference(then, np.asarray(now)), who=self.backward_name)
                break
        self._look_for_changes(arrays, before, given, self.backward_name)
        return found

    def _look_at_backward(self, gy, y, stateful):
        first = self.gradients(gy)
        again = self.gradients(gy)
        for name in self.variables:
            if self._differ(first.get(name), again.get(name)) and not self._found("NONDETERMINISTIC"):
                self._say("NOT_REENTRANT", **_first_difference(first[name], again[name]), name=name, hint="")
                return
        if self.calls_back_alone:
            self._back_twice(gy)
        if not stateful and not self._found("NOT_REENTRANT"):
            self._back_again(gy)
        if self.one or self._found("NOT_REENTRANT"):
            return
        self._look_at_linearity(gy, first, y)

    calls_back_alone = False  # backward uses what forward left behind

    def _back_twice(self, gy):
        """One forward, two backwards."""
        self._reset()
        _, given = self._raw_forward()
        first = self._raw_backward(self._upstream_as_given(gy), given)
        try:
            second = self._raw_backward(self._upstream_as_given(gy), given)
        except Exception as error:
            self._say("NOT_REENTRANT raises", error=f"{type(error).__name__}: {error}"[:200])
            return
        self._say_if_not_the_same(first, second)

    def _back_again(self, gy):
        """Forward and backward, twice, with nothing put back between."""
        self._reset()
        _, given = self._raw_forward()
        first = self._raw_backward(self._upstream_as_given(gy), given)
        self.chance.replay()
        _, given = self._raw_forward()
        self._say_if_not_the_same(first, self._raw_backward(self._upstream_as_given(gy), given))

    def _say_if_not_the_same(self, first, second):
        for name in self.variables:
            a, b = first.get(name), second.get(name)
            if self._differ(a, b):
                doubled = np.allclose(b, 2 * np.asarray(a), rtol=1e-6, atol=0)
                self._say(
                    "NOT_REENTRANT",
                    **_first_difference(a, b),
                    name=name,
                    hint=Text("hint accumulates") if doubled else "",
                )
                return

    def _look_at_linearity(self, gy, first, y):
        scaled = self.gradients(-3.0 * gy)
        try:
            nothing = self.gradients(0.0 * gy)
        except OUTSIDE as error:
            self._say("NOT_LINEAR_IN_GY raises", error=f"{type(error).__name__}: {error}"[:200])
            return
        sizes = [np.abs(np.asarray(g, dtype=float)).max(initial=0) for g in first.values() if is_gradient(g)]
        rounding = 1e3 * FLOAT64_EPS * max((float(s) for s in sizes if np.isfinite(s)), default=0.0)
        for name in self.variables:
            a, b, zero = first.get(name), scaled.get(name), nothing.get(name)
            if not all(is_gradient(g) for g in (a, b, zero)) or not np.shape(a) == np.shape(b) == np.shape(zero):
                continue
            lost = np.isfinite(a) & ~np.isfinite(zero)
            if lost.any():
                self._say("NOT_LINEAR_IN_GY zero", **_at(a, zero, int(np.argmax(lost))), name=name)
                return
            finite = np.isfinite(a) & np.isfinite(b) & np.isfinite(zero)
            a, b, zero = (np.where(finite, g, 0.0) for g in (a, b, zero))
            size = np.abs(a).max(initial=0)
            tolerance = min(0.1, max(1e-6, 1e3 * precision(a), 1e3 * precision(y))) * size
            if 0 < size <= rounding:  # 0 but for rounding, as a bias in front of batch normalization has it
                continue
            if size and np.abs(b - a).max(initial=0) <= tolerance:
                self._say("NOT_LINEAR_IN_GY ignored", name=name)
                self.one = y.size == 1
                return
            if np.abs(b + 3.0 * a).max(initial=0) > tolerance:
                where = int(np.argmax(np.abs(b + 3.0 * a)))
                self._say("NOT_LINEAR_IN_GY", **_at(a, b, where), name=name)
                return
            if np.abs(zero).max(initial=0) > 1e-3 * tolerance:
                where = int(np.argmax(np.abs(zero)))
                self._say("NOT_LINEAR_IN_GY zero", **_at(a, zero, where), name=name)
                return

    def _differ(self, a, b):
        if not is_gradient(a) or not is_gradient(b):
            return (a is None) != (b is None)
        return _differ(a, b)

    def _say_if_different(self, key, first, second, **values):
        if not _differ(first, second):
            return False
        self._say(key, **_first_difference(first, second), **values)
        return True

    def _say(self, key, **values):
        self.findings.append(Finding(key, **values))


class Finding(str):
    """One finding about conduct: a string "KIND: where and how", in the language in use when it is printed."""

    def __new__(cls, key, **values):
        text = Text(key, **{name: number(v) if isinstance(v, float) else v for name, v in values.items()})
        kind = key.split()[0]
        self = super().__new__(cls, f"{kind}: {text}")
        self.kind, self.text = kind, text
        self.about = key, values.get("name"), values.get("who")
        return self


def _floats(array):
    return array.dtype.kind in "fc"


def is_gradient(gradient):
    return gradient is not None and np.asarray(gradient).dtype.kind in "fiub"


def _differ(a, b):
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        return True
    if np.array_equal(a, b, equal_nan=True):
        return False
    finite = np.isfinite(a) & np.isfinite(b)
    if not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return True
    a, b = a[finite].astype(float), b[finite].astype(float)
    return bool(np.abs(a - b).max(initial=0) > 64 * FLOAT64_EPS * np.abs(a).max(initial=0))


def _first_difference(before, after):
    before, after = np.asarray(before), np.asarray(after)
    if before.shape != after.shape:
        return {"index": "shape", "before": str(before.shape), "after": str(after.shape)}
    different = (before != after) & ~((before != before) & (after != after))
    if not different.any():
        return {"index": "?", "before": "?", "after": "?"}
    return _at(before, after, int(np.argmax(different)))


def _at(before, after, where):
    index = tuple(int(i) for i in np.unravel_index(where, before.shape))
    return {
        "index": "[" + ", ".join(map(str, index)) + "]",
        "before": number(before[index]),
        "after": number(np.asarray(after)[index]),
    }
