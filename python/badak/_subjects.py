"""What ``gradcheck`` can check, as a ``Subject``: functions here; layers, networks, PyTorch, JAX in their own files."""

import inspect

import numpy as np

from . import _core
from ._causes import causes_for
from ._judge import Context, judge, signed
from ._kinks import judge_joint
from ._slope import FLOAT64_EPS, Slope
from ._state import Chance, ClosureSnapshot, random_stream
from .language import Text
from .report import Entry, number

CHOSEN = 16  # elements looked at one by one in large arrays, where Python runs for each evaluation
NEIGHBOURS = 8  # gradients taken beside a kink


def near(array, point, rng, attempt=0):
    """A random point near `array`, some of its signs flipped; nearer and tamer with each attempt.

    Points 1 and 2, 3 and 4 ... flip each other's signs: between them every element has been on both sides of 0.
    """
    size = np.sqrt(np.mean(array.astype(float) ** 2)) if array.size else 0.0
    factor = rng.uniform(-0.3, 0.3, array.shape)
    added = 0.1 * max(size, 1e-3) * signed(rng, array.shape)
    pair = random_stream((point + 1) // 2, array.size)
    flips = pair.choice([-1.0, 1.0], array.shape) * (1 if point % 2 else -1)
    if attempt <= 1:
        moved = array * (1 + factor) + added
        return moved * flips if attempt == 0 else moved
    return array * (1 + factor * (1.0, 0.1, 1e-2, 1e-4, 1e-6)[attempt - 2])


ATTEMPTS = 7
OUTSIDE = ArithmeticError, ValueError  # what code raises outside of its function's domain; anything else passes on


class Subject:
    """Something with variables, a forward pass and analytic gradients, at a point that can be moved.

    Subclasses set ``title``, ``arguments`` (what the code is called with; float arrays are our own) and define
    ``_run(arguments)`` and ``_back(gy, arguments)``, and perhaps ``_parameters()``.
    """

    forward_name, backward_name = "forward", "backward"
    draws_freely = True  # drawing random numbers is no misconduct as long as they can be replayed

    def __init__(self, seed, chance):
        self.seed = seed
        self.chance = chance
        self.findings = []
        self.dtypes = {}
        self.layouts = {}
        self.copying = self.changes_parameters = False
        self.restoring = False
        self.snapshot = None
        self.one = False  # only an upstream gradient of 1 makes sense
        self.form = None
        self.reference = None
        self.keep = False
        self.unit = FLOAT64_EPS
        self.evaluations = 0

    # -- calling the code ---------------------------------------------------------------------

    def _parameters(self):
        """{name: array} of what belongs to the object itself."""
        return {}

    def _given(self):
        """The arguments to call with: our own arrays, or copies of them for code that changes them."""
        given, seen = [], {}
        for i, value in enumerate(self.arguments):
            if isinstance(value, np.ndarray):
                if id(value) in seen:
                    value = seen[id(value)]
                else:
                    key, value = id(value), self._laid_out(i, value)
                    seen[key] = value
            given.append(value)
        return given

    def _laid_out(self, i, array):
        kind = self.layouts.get(i)
        if kind == "number":
            return array[()]
        if kind is not None:
            return kind(array)
        return array.copy() if self.copying else array

    def _reset(self):
        """Go back to where the check of this point began: random numbers and, where it matters, state."""
        self.chance.replay()
        if self.restoring and self.snapshot is not None:
            self.snapshot.restore()

    def _raw_forward(self):
        given = self._given()
        self.evaluations += 1
        kept = [(array, array.copy()) for array in self._parameters().values()] if self.changes_parameters else ()
        found = self._as_output(self._run(given))
        for array, before in kept:
            array[...] = before
        return found, self._given() if self.copying else given

    def _as_output(self, found):
        """The output as a float array of our own, of the dtype that the code gave it."""
        if isinstance(found, (tuple, list)) and any(isinstance(part, np.ndarray) for part in found):
            parts = [self._numbers(part) for part in found]
            self.form = [(part.shape, part.size) for part in parts]
            return np.concatenate([part.ravel() for part in parts]) if parts else np.empty(0)
        return self._numbers(found)

    @staticmethod
    def _numbers(found):
        y = np.array(found)
        if y.dtype.kind not in "fiub":
            raise TypeError(f"the function must return real numbers, got dtype {y.dtype}")
        return y if y.dtype.kind == "f" and y.dtype.itemsize <= 8 else y.astype(float)

    def _upstream_as_given(self, gy):
        """An upstream gradient in the form of the output: of our own making, to be changed by nobody else."""
        if self.form is None:
            return gy.copy() if gy.ndim else gy[()]
        ends = np.cumsum([size for _, size in self.form])[:-1]
        return tuple(part.reshape(shape).copy() for part, (shape, _) in zip(np.split(gy, ends), self.form, strict=True))

    def _raw_backward(self, gy, given):
        kept = [(array, array.copy()) for array in self._parameters().values()] if self.changes_parameters else ()
        found = {name: _copied(gradient) for name, gradient in self._back(gy, given).items()}
        for array, before in kept:
            array[...] = before
        return found

    def output(self):
        """The output here."""
        self._reset()
        return self._raw_forward()[0]

    def gradients(self, gy, stir=False):
        """Analytic gradients by name, after a forward pass at this point."""
        self._reset()
        if stir:
            self._stir()
            self._reset()
        _, given = self._raw_forward()
        found = self._raw_backward(self._upstream_as_given(gy), given)
        return found

    def _stir(self):
        """A forward pass elsewhere: nothing of it may be left in the gradients at this point."""
        kept = [array.copy() for array in self._movable()]
        try:
            for array in self._movable():
                array[...] = array * 1.001 + 1e-4
            self._raw_forward()
        except OUTSIDE:
            pass
        finally:
            for array, old in zip(self._movable(), kept, strict=True):
                array[...] = old

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
            raise TypeError(
                "none of the inputs is a float array that gets a gradient: there is nothing to differentiate"
            )
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
        parameters = self._parameters()
        for i, name in enumerate(self.names):
            if name in arrays and not np.array_equal(now := np.asarray(given[i]), before[name], equal_nan=_floats(now)):
                self._say("MUTATED_INPUT", **_first_difference(before[name], now), who=who, name=name)
                self.copying = True
                arrays[name][...] = before[name]
        for name, array in parameters.items():
            if name in before and not np.array_equal(array, before[name], equal_nan=True):
                self._say("STATE_CHANGED parameter", **_first_difference(before[name], array), who=who, name=name)
                self.changes_parameters = True
                array[...] = before[name]

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
        nothing = self.gradients(0.0 * gy)
        for name in self.variables:
            a, b, zero = first.get(name), scaled.get(name), nothing.get(name)
            if not all(_is_gradient(g) for g in (a, b, zero)) or not np.shape(a) == np.shape(b) == np.shape(zero):
                continue
            finite = np.isfinite(a) & np.isfinite(b) & np.isfinite(zero)
            a, b, zero = (np.where(finite, g, 0.0) for g in (a, b, zero))
            size = np.abs(a).max(initial=0)
            tolerance = min(0.1, max(1e-6, 1e3 * precision(a), 1e3 * precision(y))) * size
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
        if not _is_gradient(a) or not _is_gradient(b):
            return (a is None) != (b is None)
        return _differ(a, b)

    def _say_if_different(self, key, first, second, **values):
        if not _differ(first, second):
            return False
        self._say(key, **_first_difference(first, second), **values)
        return True

    def _say(self, key, **values):
        self.findings.append(Finding(key, **values))

    # -- points -------------------------------------------------------------------------------

    def _movable(self):
        unique = {id(array): array for array in self.variables.values()}
        return list(unique.values())

    def go_to(self, point, rng):
        """Move to the point; False if there is none at which the function is finite."""
        movable = self._movable()
        if point == 0:
            self.start_values = [array.copy() for array in movable]
            self.chance.begin(self.seed, 0)
            return self._finite_output()
        self.chance.begin(self.seed, point)
        for attempt in range(ATTEMPTS):
            for array, start in zip(movable, self.start_values, strict=True):
                array[...] = near(start, point, rng, attempt)
            try:
                if self._finite_output():
                    return True
            except OUTSIDE:
                continue
        return False

    def _finite_output(self):
        return bool(np.isfinite(self.output()).all())

    def close(self):
        """Leave what is not ours as it was."""

    # -- values -------------------------------------------------------------------------------

    def upstream(self, y, rng):
        """A random upstream gradient: of both signs, nothing near 0."""
        return np.ones(np.shape(y)) if self.one else signed(rng, np.shape(y))

    def _numeric_output(self):
        if self.reference is None:
            return self.output()
        return self._as_output(self.reference(*self._given()))

    def numeric_output_or_nan(self):
        """The output at a moved point, which may lie outside of the domain: code may raise there."""
        try:
            return np.asarray(self._numeric_output(), dtype=float)
        except OUTSIDE:
            return np.full(self.y.shape, np.nan)

    def check(self, rtol, rng, point):
        """An entry for each variable, at this point."""
        self.unit = FLOAT64_EPS
        y = np.asarray(self._numeric_output(), dtype=float)
        if not np.isfinite(y).all():
            for name in self.variables:
                entry = self._entry(name, point)
                entry.status, entry.diagnosis = "NONFINITE", Text("output not finite")
                yield entry
            return
        gy = self.upstream(y, rng)
        analytic = self.gradients(gy, stir=True)
        others = [] if self.one else [(c, self.gradients(c * gy)) for c in (1.37, -0.71)]
        noise = np.abs(gy) * self._noise(y, rng)
        sampling = Sampling(self, y, gy, noise)
        context = Context(rtol, rng, self.most(), float(noise.sum()))
        context.largest = _largest(analytic.values())
        context.unit = self.unit
        context.size = float(np.abs(gy * y).sum())
        context.widths = self.widths
        context.sampling = sampling
        context.neighbours = self._neighbours()
        context.one_hot = self._one_hot(y)
        context.gy = gy
        context.variables = self.variables
        causes = causes_for(self, y, gy, analytic)
        entries = []
        for name, array in self.variables.items():
            entry = self._entry(name, point)
            gradient = analytic.get(name)
            if not has_form(entry, gradient, array, self._dtype(name, array)):
                if entry.status == "NONFINITE" and point and not self._resolves(array, entry, sampling, rtol):
                    continue  # so far from the given point that neither side is defined
            elif array.size:
                gradient = np.asarray(gradient, dtype=float)
                context.floor = _rounding(gradient, name, others, self.unit if self.keep or self.reference else None)
                context.name = name
                slope = Slope(array, sampling.sample)
                judge(entry, slope, gradient, context)
                if not entry.ok and entry.status in ("FAIL", "UNRESOLVED"):
                    entry = self._explained(entry, causes, slope, gradient, context, name)
                if self.unit > 1e-9 and entry.status == "UNRESOLVED":
                    entry.diagnosis = Text("hidden float32")
            entries.append(entry)
        judge_joint(entries, analytic, context)
        yield from entries

    @staticmethod
    def _resolves(array, entry, sampling, rtol):
        """Does the function have a slope where its gradient is not finite?"""
        index = int(np.ravel_multi_index(entry.worst_index, array.shape)) if array.shape else 0
        n, u, *_ = Slope(array, sampling.sample).element(index, rtol)
        return np.isfinite(u) and u <= 1e-6 * abs(n)

    def _explained(self, entry, causes, slope, gradient, context, name):
        for cause in causes:
            sample = cause.sample(slope, entry, gradient, context)
            if sample is None:
                continue
            other = self._entry(name, entry.point)
            judge(other, Slope(slope.array, sample), gradient, context)
            if other.status in ("PASS", "KINK"):
                entry.status, entry.diagnosis = "EXPLAINED", cause.text(entry)
                entry.evaluations += other.evaluations
                entry.digits = other.digits
                return entry
        return entry

    def most(self):
        """How many elements of large arrays are looked at one by one."""
        return CHOSEN

    def _entry(self, name, point):
        array = self.variables[name]
        entry = Entry(name, array.shape, self._dtype(name, array))
        entry.point = point
        entry.values = array.copy() if array.size <= 4096 else None
        entry.context = self.facts
        return entry

    @property
    def facts(self):
        """What a diagnosis may refer to: sizes, arguments and attributes."""
        return Facts(self)

    def _dtype(self, name, array):
        return self.dtypes.get(name, array.dtype)

    def _neighbours(self):
        """A function that gives gradients at points very near, off any kink: the possible values at one."""
        known = {}

        def neighbours(gy):
            key = gy.tobytes()
            if key not in known:
                known[key] = self._gradients_beside(gy)
            return known[key]

        return neighbours

    def _gradients_beside(self, gy):
        found = []
        movable = self._movable()
        kept = [array.copy() for array in movable]
        rng = random_stream(self.seed, 2000)
        try:
            for i in range(NEIGHBOURS):
                if i % 2 == 0:
                    moves = [signed(rng, old.shape) for old in kept]
                for array, old, move in zip(movable, kept, moves, strict=True):
                    step = 1e-6 if array.dtype == np.float64 else 1e-3
                    array[...] = old + (step if i % 2 else -step) * np.maximum(np.abs(old), 1e-2) * move
                gradients = self.gradients(gy)
                found.append({n: np.asarray(g, dtype=float) for n, g in gradients.items() if _is_gradient(g)})
        finally:
            for array, old in zip(movable, kept, strict=True):
                array[...] = old
        return found

    def _one_hot(self, y):
        if self.one or y.size <= 1:
            return None

        def gradients(i):
            gy = np.zeros(y.shape)
            gy.reshape(-1)[i] = 1.0
            return self.gradients(gy)

        return gradients

    def _noise(self, y, rng):
        """A bound on the rounding error of each number of the output.

        That is the number's own rounding unit (that of a narrower float if all that moves fits one), or more where
        larger terms inside the function have cancelled: this is seen by moving so little that it hardly changes.
        Where such a move changes nothing at all, although a larger one does, the function goes in stairs, as code does
        that computes in float32 inside: then the height of a stair is looked for.
        """
        movable = self._movable()
        kept = [array.copy() for array in movable]
        directions = [np.abs(array) * signed(rng, array.shape) for array in movable]

        def output_at(step):
            for array, old, direction in zip(movable, kept, directions, strict=True):
                array[...] = old + step * direction
            return self.numeric_output_or_nan()

        def roughness(scale):
            # not at the point itself, where the function may have a kink or jump; the median: one elsewhere is no noise
            close = np.array([output_at(step * scale) for step in range(1, 11)])
            third = np.median(np.abs(np.diff(close, 3, axis=0)), axis=0)  # what is smooth is gone
            return np.where(np.isfinite(third), third, 0.0), np.abs(close - close[0]).max(axis=0) == 0

        try:
            far = output_at(1e-3)
            moved = np.isfinite(far) & (far != y)
            unit = precision(far[moved]) if moved.any() else FLOAT64_EPS
            if self.reference is None:
                unit = max(unit, precision_of_dtype(self.y.dtype))
            rough, still = roughness(1e-7)
            if unit < 1e-12:
                # noise stays the same at a quarter of the step, what is left of a curve goes with its cube
                finer, closely = roughness(2.5e-8)
                rough = np.where(finer < rough / 16, finer, rough)
                still &= closely
                for scale in (1e-9, 1e-12):
                    finer, closely = roughness(scale)
                    rough, still = np.maximum(rough, finer), still & closely
            change = np.where(moved, np.abs(far - y), 0.0)
            frozen = still & (change * 1e-7 > 16 * FLOAT64_EPS * np.abs(y))
            for scale in (1e-6, 1e-5, 1e-4):
                if unit > 1e-12 or not frozen.any():
                    break
                stairs, still = roughness(scale)
                rough = np.where(frozen, np.maximum(rough, stairs), rough)
                if (frozen & (stairs > 16 * FLOAT64_EPS * np.abs(y))).any():
                    self.unit = 2.0**-23
                frozen = frozen & still
            self.unit = max(self.unit, unit)
            noise = np.maximum(unit * np.abs(y), rough)
            return np.where(np.isfinite(noise), noise, 0.0)
        finally:
            for array, old in zip(movable, kept, strict=True):
                array[...] = old
            self._numeric_output()


class Sampling:
    """The scalar function that is differentiated: the sum of upstream gradient times output, less its value here."""

    def __init__(self, subject, y, gy, noise):
        self.subject, self.y, self.gy, self.noise = subject, y, gy, noise
        self.total = float(noise.sum())

    def change(self):
        """How far each number of the output has moved."""
        return self.subject.numeric_output_or_nan() - self.y

    def sample(self):
        """(value, noise)."""
        change = self.change()
        moved = change != 0
        value = float((self.gy * change).sum())
        return value, float(self.noise[moved].sum()) if moved.any() else self.total

    def changes_along(self, moves, steps):
        """(len(steps), outputs): changes of every output for steps along [(array, flat direction), ...]."""
        kept = [array.copy() for array, _ in moves]
        found = []
        try:
            for h in steps:
                for (array, direction), old in zip(moves, kept, strict=True):
                    array[...] = old + h * direction.reshape(array.shape)
                found.append(np.ravel(self.change()))
        finally:
            for (array, _), old in zip(moves, kept, strict=True):
                array[...] = old
        return np.array(found)


class Finding(str):
    """One finding about conduct: a string "KIND: where and how", in the language in use when it is printed."""

    def __new__(cls, key, **values):
        text = Text(key, **{name: number(v) if isinstance(v, float) else v for name, v in values.items()})
        kind = key.split()[0]
        self = super().__new__(cls, f"{kind}: {text}")
        self.kind, self.text = kind, text
        return self


class Facts:
    """Sizes and attributes that a diagnosis may refer to."""

    def __init__(self, subject):
        self.inputs = {
            name: value
            for name, value in zip(subject.names, subject.arguments, strict=True)
            if isinstance(value, np.ndarray)
        }
        self.outputs = getattr(subject, "y", np.empty(0))
        self.numbers = subject.numbers()
        self.aliases = getattr(subject, "aliases", {})


# -- small things -----------------------------------------------------------------------------


def _floats(array):
    return array.dtype.kind in "fc"


def _copied(gradient):
    return np.array(gradient) if isinstance(gradient, (np.ndarray, np.generic)) else gradient


def _is_gradient(gradient):
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


def _largest(gradients):
    sizes = [np.abs(np.asarray(g, dtype=float)).max(initial=0) for g in gradients if _is_gradient(g)]
    return max((float(size) for size in sizes if np.isfinite(size)), default=0.0)


def _rounding(gradient, name, others, unit):
    """What rounding does to each element of an analytic gradient, measured: it is asked for at other scales."""
    floor = 4 * FLOAT64_EPS * np.abs(gradient)
    most = 64 * max(precision(gradient), FLOAT64_EPS) * np.abs(gradient).max(initial=0)
    for scale, found in others:
        other = found.get(name)
        if _is_gradient(other) and np.shape(other) == gradient.shape:
            spread = 8 * np.abs(np.asarray(other, dtype=float) / scale - gradient)
            floor = np.maximum(floor, np.minimum(np.where(np.isfinite(spread), spread, 0.0), most))
    if unit is not None:
        own = precision(gradient)
        floor = np.maximum(floor, 16 * own * np.abs(gradient))
        if own > 1e-9:
            floor = np.maximum(floor, own * np.abs(gradient).max(initial=0))
    return floor


def precision(values):
    """The rounding unit of the narrowest float type that holds all of these float64 numbers.

    Numbers of a few bits, such as whole ones, say nothing about the type.
    """
    values = np.ravel(np.asarray(values, dtype=float))
    values = values[np.isfinite(values) & (values != 0)]
    if not values.size:
        return FLOAT64_EPS
    whole = np.ldexp(np.frexp(values)[0], 53).astype(np.int64)
    bits = 54 - int(np.frexp((whole & -whole).astype(float))[1].min())
    for most, unit in ((5, FLOAT64_EPS), (8, 2.0**-7), (11, 2.0**-10), (24, 2.0**-23)):
        if bits <= most:
            return unit
    return FLOAT64_EPS


def precision_of_dtype(dtype):
    """The rounding unit of a dtype."""
    return float(np.finfo(dtype).eps) if dtype.kind == "f" and dtype.itemsize < 8 else FLOAT64_EPS


def has_form(entry, gradient, array, dtype=None):
    """Is it a gradient at all: of the right shape, dtype, and finite? Says so in the entry if not."""
    if gradient is None:
        entry.status, entry.diagnosis = "SHAPE", Text("no gradient")
        return False
    found = np.asarray(gradient)
    if found.dtype.kind not in "fiub":
        entry.status, entry.diagnosis = "DTYPE", Text("not a number", found=type(gradient).__name__)
    elif found.shape != array.shape:
        entry.status = "SHAPE"
        entry.diagnosis = Text(
            "wrong shape", found=found.shape, expected=array.shape, hint=_shape_hint(found.shape, array.shape)
        )
    elif found.dtype.kind != "f" or found.dtype.itemsize < array.dtype.itemsize:
        entry.status = "DTYPE"
        entry.diagnosis = Text("wrong dtype", found=found.dtype, expected=array.dtype)
    elif not np.isfinite(found).all():
        entry.status = "NONFINITE"
        where = np.unravel_index(int(np.argmax(~np.isfinite(found))), found.shape)
        entry.worst_index = tuple(int(i) for i in where)
        entry.analytic = float(found[where])
        entry.diagnosis = Text("not finite", value=found[where], index=entry.worst_index)
    return entry.status == "PASS"


def _shape_hint(found, expected):
    if found == expected[::-1] and len(found) > 1:
        return Text("hint transposed")
    if len(found) > len(expected) or (
        len(found) == len(expected) and all(f >= e for f, e in zip(found, expected, strict=True))
    ):
        return Text("hint not summed")
    if len(found) < len(expected):
        return Text("hint summed")
    return ""


# -- functions --------------------------------------------------------------------------------


def private(value, keep=False):
    """Our own float64 copy of a float array or number; other things as they are."""
    if isinstance(value, (float, np.floating)) or (isinstance(value, np.ndarray) and value.dtype.kind == "f"):
        dtype = value.dtype.newbyteorder("=") if keep and isinstance(value, np.ndarray) else np.float64
        return np.array(_core.real_array(value, "an input") if dtype is np.float64 else value, dtype=dtype, order="C")
    return value.copy() if isinstance(value, np.ndarray) else value


def layout_of(value):
    """A function that lays a C-contiguous array out in memory as `value` is; None where it is C-contiguous itself."""
    if isinstance(value, (float, np.floating)) and not isinstance(value, np.ndarray):
        return "number"
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or not value.ndim or value.flags.c_contiguous:
        return None
    if value.flags.f_contiguous:
        return np.asfortranarray
    if 0 in value.strides or not value.size or any(s % value.itemsize for s in value.strides):
        return None
    steps = [s // value.itemsize for s in value.strides]
    low = sum((n - 1) * s for n, s in zip(value.shape, steps, strict=True) if s < 0)
    high = sum((n - 1) * s for n, s in zip(value.shape, steps, strict=True) if s > 0)
    if high - low > 64 * value.size:
        return None

    def lay(array):
        memory = np.zeros(high - low + 1, array.dtype)
        strides = [s * array.itemsize for s in steps]
        view = np.ndarray(array.shape, array.dtype, memory.data, -low * array.itemsize, strides)
        view[...] = array
        return view

    return lay


def same_memory(a, b):
    """Are both the same elements of the same memory?"""
    if a is b:
        return isinstance(a, np.ndarray)
    return (
        isinstance(a, np.ndarray)
        and isinstance(b, np.ndarray)
        and a.__array_interface__["data"] == b.__array_interface__["data"]
        and a.shape == b.shape
        and a.strides == b.strides
        and a.dtype == b.dtype
        and a.size > 0
    )


def own_arguments(subject, inputs):
    """Give the subject its own arrays, laid out in memory like the caller's; the same array given twice stays one."""
    subject.arguments, subject.aliases = [], {}
    for i, value in enumerate(inputs):
        twin = next((j for j in range(i) if same_memory(inputs[j], value)), None)
        subject.arguments.append(private(value, subject.keep) if twin is None else subject.arguments[twin])
        subject.layouts[i] = layout_of(value)
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            subject.dtypes[subject.names[i]] = value.dtype
        if twin is not None and is_variable(subject.arguments[i]):
            subject.aliases.setdefault(subject.names[twin], []).append(subject.names[i])


def is_variable(value):
    """Is it one of our own float arrays?"""
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def chosen_by(wrt, names):
    """The names among `names` that `wrt` chooses; None: all."""
    if wrt is None:
        return set(names)
    wanted = [wrt] if isinstance(wrt, (str, int)) else list(wrt)
    wanted = [names[w] if isinstance(w, int) and -len(names) <= w < len(names) else w for w in wanted]
    for name in wanted:
        if name not in names:
            raise ValueError(f"wrt: there is no {name!r}: expected some of {', '.join(map(str, names))}")
    return set(wanted)


class FunctionSubject(Subject):
    """A function of arrays with its vector-Jacobian product, its gradient or its Jacobian-vector product."""

    backward_name = "vjp"
    draws_freely = False

    def __init__(
        self, f, inputs, *, vjp, grad, jvp, names, seed, chance, wrt=None, kwargs=None, reference=None, keep=False
    ):
        super().__init__(seed, chance)
        self.f, self.vjp, self.grad, self.jvp = f, vjp, grad, jvp
        self.wrt, self.kwargs, self.reference, self.keep = wrt, kwargs or {}, reference, keep
        self.forward_name = self.title = getattr(f, "__name__", type(f).__name__)
        self.backward_name = "vjp" if vjp is not None else "grad" if grad is not None else "jvp"
        self.names = input_names(names, len(inputs))
        own_arguments(self, inputs)
        if not any(is_variable(value) for value in self.arguments):
            raise TypeError("none of the inputs is a float array: there is nothing to differentiate")
        self.one = grad is not None
        self.variables = {}
        self.snapshot = ClosureSnapshot([g for g in (f, vjp, grad, jvp) if callable(g)])
        self.in_jvp = set()

    def numbers(self):
        return {name: v for name, v in zip(self.names, self.arguments, strict=True) if isinstance(v, (int, float))}

    def accept_output(self, y):
        if self.grad is not None and y.size != 1:
            raise ValueError(f"grad= is for a function that returns one number, got shape {y.shape}: use vjp=")

    def _run(self, given):
        return self.f(*given, **self.kwargs)

    def _back(self, gy, given):
        found = {}
        if self.jvp is not None:
            found = {f"{name} (jvp)" if self.vjp else name: g for name, g in self._by_columns(gy, given).items()}
        if self.vjp is not None:
            gradients = self.vjp(gy, *given, **self._extra(self.vjp))
        elif self.grad is not None:
            gradients = self.grad(*given, **self._extra(self.grad)) if callable(self.grad) else self.grad
        else:
            return found
        for name, gradient in zip(self.names, self._one_each(gradients), strict=True):
            found[name] = gradient
        for first, others in self.aliases.items():
            parts = [found.get(name) for name in (first, *others)]
            known = [p for p in parts if p is not None]
            if all(np.shape(p) == np.shape(known[0]) for p in known) and known:
                found[first] = sum(np.asarray(p) for p in known)
            for name in others:
                found.pop(name, None)
        return found

    def _extra(self, function):
        if not self.kwargs:
            return {}
        try:
            known = inspect.signature(function).parameters
        except (TypeError, ValueError):
            return {}
        if any(p.kind is p.VAR_KEYWORD for p in known.values()):
            return self.kwargs
        return {name: value for name, value in self.kwargs.items() if name in known}

    def _one_each(self, found):
        """A list with one gradient, or None, for each input."""
        found = list(found) if isinstance(found, (tuple, list)) else [found]
        if len(found) == len(self.arguments):
            return found
        floats = [name for name, value in zip(self.names, self.arguments, strict=True) if is_variable(value)]
        if len(found) == len(floats):
            by_name = dict(zip(floats, found, strict=True))
            return [by_name.get(name) for name in self.names]
        raise ValueError(f"expected a gradient for each of {len(self.arguments)} inputs, got {len(found)}")

    def _by_columns(self, gy, given):
        """The gradient that a Jacobian-vector product implies: a column for every element."""
        found = {}
        flat = np.concatenate([np.ravel(part) for part in gy]) if isinstance(gy, tuple) else np.ravel(gy)
        for i, name in enumerate(self.names):
            if not is_variable(self.arguments[i]) or name in {n for names in self.aliases.values() for n in names}:
                continue
            gradient = np.zeros(self.arguments[i].shape)
            moved = [j for j, value in enumerate(self.arguments) if value is self.arguments[i]]
            for index in np.ndindex(*gradient.shape):
                tangents = [np.zeros(v.shape) if is_variable(v) else None for v in self.arguments]
                for j in moved:
                    tangents[j][index] = 1.0
                column = np.ravel(np.asarray(self._tangent(tangents, given), dtype=float))
                if column.shape != flat.shape:
                    raise ValueError(f"jvp gave {column.size} numbers, expected {flat.size}, as many as the output has")
                gradient[index] = float(flat @ column)
            found[name] = gradient
        return found

    def _tangent(self, tangents, given):
        v = tangents[0] if len(tangents) == 1 else tuple(tangents)
        return self._as_output(self.jvp(v, *given))

    def set_variables(self, first):
        """Fix what is differentiated: float inputs that get a gradient, by vjp, by jvp or both."""
        wanted = chosen_by(self.wrt, self.names)
        gone = {name for names in self.aliases.values() for name in names}
        for name, value in zip(self.names, self.arguments, strict=True):
            if not is_variable(value) or name in gone or name not in wanted:
                continue
            if self.vjp is None or first.get(name) is not None or self.wrt is not None:
                self.variables[name] = value
            if self.vjp is not None and self.jvp is not None:
                self.variables[f"{name} (jvp)"] = value


def input_names(names, count):
    """The names of `count` inputs."""
    if names is None:
        return ["x"] if count == 1 else [f"x{i}" for i in range(count)]
    names = list(names)
    if len(names) != count or len(set(names)) != count:
        raise ValueError(f"names must be {count} different names, got {names}")
    return names


__all__ = ["Chance", "FunctionSubject", "Subject", "input_names", "random_stream"]
