"""What ``gradcheck`` can check, as a ``Subject``; functions, layers, networks, PyTorch, JAX in files of their own."""

import contextlib

import numpy as np

from ._causes import causes_for
from ._conduct import OUTSIDE, Conduct, is_gradient
from ._containers import copied, is_container, put_back
from ._judge import Context, judge
from ._kinks import judge_joint
from ._noise import noise_of_outputs, precision_of_dtype, rounding_of_gradient, signed
from ._own_arrays import shape_of_list
from ._slope import FLOAT64_EPS, Slope
from ._state import random_stream
from .language import Text
from .report import Entry

CHOSEN = 16  # elements looked at one by one in large arrays, where Python runs for each evaluation
NEIGHBOURS = 24  # gradients taken beside a kink: enough that each of three tied numbers takes its turn


def near(array, point, rng, attempt=0):
    """A random point near `array`, some of its signs flipped; nearer and tamer with each attempt.

    Points 1 and 2, 3 and 4 ... flip each other's signs: between them every element has been on both sides of 0.
    """
    finite = array[np.isfinite(array)].astype(float)
    size = np.sqrt(np.mean(finite**2)) if finite.size else 0.0
    factor = rng.uniform(-0.3, 0.3, array.shape)
    added = 0.1 * (size or 1e-3) * signed(rng, array.shape)
    pair = random_stream((point + 1) // 2, array.size)
    flips = pair.choice([-1.0, 1.0], array.shape) * (1 if point % 2 else -1)
    if attempt <= 1:
        moved = array * (1 + factor) + added
        return moved * flips if attempt == 0 else moved
    return array * (1 + factor * (1.0, 0.1, 1e-2, 1e-4, 1e-6)[attempt - 2])


ATTEMPTS = 7


class Subject(Conduct):
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
        self.unchecked = []  # what looks like a parameter and has no gradient
        self.gradient_moves = True  # it is computed, not given as an array
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
            elif is_container(value):
                value = copied(value)
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
        return found, self._left_by_forward(given)

    def _left_by_forward(self, given):
        """The arguments for backward: as they were, and with what forward has added to lists and dicts."""
        left = self._given() if self.copying else given
        for i, value in enumerate(self.arguments):
            if is_container(value):
                self._say_if_container_changed(i, value, given[i], self.forward_name)
                left[i] = put_back(given[i], value)
        return left

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
            kind = type(found).__name__ + (f" of {y.dtype}" if hasattr(found, "dtype") else "")
            raise TypeError(f"what is checked must return real numbers or arrays of them, got {kind}")
        return y if y.dtype.kind == "f" and y.dtype.itemsize <= 8 else y.astype(float)

    def _upstream_as_given(self, gy):
        """An upstream gradient in the form of the output: of our own making, to be changed by nobody else."""
        if self.form is None:
            return gy.copy() if gy.ndim else gy[()]
        ends = np.cumsum([size for _, size in self.form])[:-1]
        return tuple(part.reshape(shape).copy() for part, (shape, _) in zip(np.split(gy, ends), self.form, strict=True))

    def _raw_backward(self, gy, given):
        kept = [(array, array.copy()) for array in self._parameters().values()] if self.changes_parameters else ()
        held = [i for i, value in enumerate(self.arguments) if is_container(value)]
        passed = [copied(value) if i in held else value for i, value in enumerate(given)]
        found = {name: _copied(gradient) for name, gradient in self._back(gy, passed).items()}
        for i in held:
            self._say_if_container_changed(i, given[i], passed[i], self.backward_name)
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
        with self.watch(self.forward_name):
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
        found = self._as_output(self.reference(*self._given()))
        if found.shape != self.y.shape:
            raise ValueError(f"reference gives shape {found.shape}, the function {self.y.shape}")
        return found

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
        with self.watch(self.backward_name) as changed:
            analytic = self.gradients(gy, stir=True)
        if changed:
            analytic = self.gradients(gy, stir=True)
        others = [] if self.one else [(c, self.gradients(c * gy)) for c in (1.37, -0.71)]
        noise = np.abs(gy) * self._noise(y, rng)
        sampling = Sampling(self, y, gy, noise)
        context = Context(rtol, rng, self.most(), float(noise.sum()))
        context.largest = _largest(analytic.values())
        context.unit = self.unit
        context.size = float(np.abs(gy * y).sum())
        context.reach = max(float(np.nanmax(np.abs(array), initial=0)) for array in self._movable())
        context.widths = self.widths
        context.sampling = sampling
        context.neighbours = self._neighbours() if self.gradient_moves else None
        context.gradients = None if self.one else self.gradients
        context.slopes_beside = self._slopes_beside(sampling, rtol)
        context.one_hot = self._one_hot(y)
        context.gy = gy
        context.variables = self.variables
        causes = causes_for(self, y, gy, analytic)
        entries = []
        for name, array in self.variables.items():
            entry = self._entry(name, point)
            gradient = analytic.get(name)
            if not has_form(entry, gradient, array, self._narrowest(name, array)):
                if entry.status == "NONFINITE" and point and not self._resolves(array, entry, sampling, rtol):
                    continue  # so far from the given point that neither side is defined
            elif array.size:
                own = precision_of_dtype(np.asarray(gradient).dtype)
                gradient = np.asarray(gradient, dtype=float)
                told = self.keep or self.reference is not None or own > self.unit
                context.floor = rounding_of_gradient(gradient, name, others, max(self.unit, own), told)
                context.name = name
                with self.watch(self.forward_name) as changed:
                    entry = self._judged(entry, causes, sampling, gradient, context)
                if changed:
                    entry = self._judged(self._entry(name, point), causes, sampling, gradient, context)
            entries.append(entry)
        judge_joint(entries, analytic, context)
        yield from entries

    def _judged(self, entry, causes, sampling, gradient, context):
        slope = Slope(self.variables[entry.name], sampling.sample)
        judge(entry, slope, gradient, context)
        if slope.touched is not None and not self.copying:
            self._say_touched(entry, *slope.touched)
            return self._judged(self._entry(entry.name, entry.point), causes, sampling, gradient, context)
        if entry.status in ("FAIL", "UNRESOLVED"):
            entry = self._explained(entry, causes, slope, gradient, context, entry.name)
        if self.unit > 1e-9 and entry.status == "UNRESOLVED":
            entry.diagnosis = Text("hidden float32")
        return entry

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

    def _narrowest(self, name, array):
        """The narrowest dtype that its gradient may have: that of what the caller gave, of which ours is a copy."""
        given = self.dtypes.get(name)
        if array.dtype.itemsize > 8:  # upstream gradients are float64
            return np.dtype(np.float64)
        return given if isinstance(given, np.dtype) and given.itemsize < array.dtype.itemsize else array.dtype

    def _neighbours(self):
        """A function that gives gradients at points very near, off any kink: the possible values at one.

        ``nearest``: as near as floats allow, where only what is tied to the last place takes another branch.
        """
        known = {}

        def neighbours(gy, nearest=False):
            key = gy.tobytes(), nearest
            if key not in known:
                moves = self._moves_beside(nearest)
                known[key] = [self._gradients_moved(gy, move) for move in moves]
            return known[key]

        return neighbours

    def _moves_beside(self, nearest):
        rng = random_stream(self.seed, 2000)
        found = []
        for _ in range(NEIGHBOURS // 2):
            move = []
            for array in self._movable():
                if nearest:
                    size = np.spacing(np.where(array == 0, np.abs(array).max(initial=0) or 1.0, np.abs(array)))
                    step = 16 * size
                else:
                    step = (1e-6 if array.dtype == np.float64 else 1e-3) * np.maximum(np.abs(array), 1e-2)
                move.append(step * signed(rng, array.shape))
            found += [[-step for step in move], move]
        return found

    @contextlib.contextmanager
    def _moved(self, move):
        """Be there for a while."""
        movable = self._movable()
        kept = [array.copy() for array in movable]
        try:
            for array, old, step in zip(movable, kept, move, strict=True):
                array[...] = old + step
            yield
        finally:
            for array, old in zip(movable, kept, strict=True):
                array[...] = old

    def _gradients_moved(self, gy, move):
        with self._moved(move):
            gradients = self.gradients(gy)
        return {n: np.asarray(g, dtype=float) for n, g in gradients.items() if is_gradient(g)}

    def _slopes_beside(self, sampling, rtol):
        """A function that gives what the ladder finds for elements of a variable, at one of the points near."""

        def slopes(name, indices, at):
            with self._moved(self._moves_beside(False)[at]):
                here = Sampling(self, np.asarray(self._numeric_output(), dtype=float), sampling.gy, sampling.noise)
                return Slope(self.variables[name], here.sample).elements(indices, rtol)

        return slopes

    def _one_hot(self, y):
        if self.one or y.size <= 1:
            return None

        def gradients(i):
            gy = np.zeros(y.shape)
            gy.reshape(-1)[i] = 1.0
            return self.gradients(gy)

        return gradients

    def _noise(self, y, rng):
        """A bound on the rounding error of each number of the output; notes the unit that the code computes with."""
        movable = self._movable()
        kept = [array.copy() for array in movable]
        directions = [np.abs(array) * signed(rng, array.shape) for array in movable]

        def output_along(step):
            for array, old, direction in zip(movable, kept, directions, strict=True):
                array[...] = old + step * direction
            return self.numeric_output_or_nan()

        try:
            least = FLOAT64_EPS if self.reference is not None else precision_of_dtype(self.y.dtype)
            noise, unit = noise_of_outputs(output_along, y, least)
            self.unit = max(self.unit, unit)
            return noise
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


def _copied(gradient):
    if shape_of_list(gradient) is not None:
        return np.array(gradient, dtype=float)
    return np.array(gradient) if isinstance(gradient, (np.ndarray, np.generic)) else gradient


def _largest(gradients):
    sizes = [np.abs(np.asarray(g, dtype=float)).max(initial=0) for g in gradients if is_gradient(g)]
    return max((float(size) for size in sizes if np.isfinite(size)), default=0.0)


def has_form(entry, gradient, array, narrowest=None):
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
    elif found.dtype.kind != "f" or found.dtype.itemsize < (narrowest or array.dtype).itemsize:
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
