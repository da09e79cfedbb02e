"""``gradcheck``: numerical against analytic gradients, with a numerical side that knows its own error.

The numerical derivative is Ridders' ladder (csrc/core/gradcheck.c): steps from coarse to fine, extrapolated, with a
bound on what is left. For a ``Net`` it runs in C; for everybody else's functions and layers C calls back.

How a verdict comes about, for each input and parameter, at the given point and at random ones near it:

1. The analytic gradient is asked for, with a random upstream gradient of both signs.
2. Elements are differentiated one by one: all of them, or the largest, the smallest and some others.
3. Random directions through all elements cover the rest; if one disagrees, bisection names an element.
4. An element agrees if |a - n| <= rtol max(|a|, |n|) + 3 u, u being the bound on n. Where it does not, the slopes
   from the left and the right are looked at before it counts as wrong: it may be a kink.
"""

import copy
import inspect
import time

import numpy as np

from . import _core
from .layers import Layer
from .net import Net
from .report import STATUSES, Entry, GradientReport

EXHAUSTIVE = 512  # arrays up to this size are checked element by element
CHOSEN = 16  # elements of larger arrays, where Python runs for each evaluation
CHOSEN_IN_C = 256  # the same where C does
DIRECTIONS = 3
PRIVATE = 0x62616461  # begins every stream of ours, so that no user's seed gives the same numbers
FLOAT64_EPS, FLOAT32_EPS = 2.0**-52, 2.0**-23


def gradcheck(
    subject,
    *inputs,
    vjp=None,
    grad=None,
    rtol=1e-6,
    points=3,
    seed=0,
    names=None,
    forward_kwargs=None,
    allow=(),
    raise_error=False,
):
    """Check analytic against numerical gradients.

    Parameters
    ----------
    subject : Net, layer, book-style network or function
        An object with ``params``, ``loss`` and ``gradient`` is a network: ``gradcheck(net, x, t)`` checks every
        parameter, and of a ``Net`` the input too. One with ``forward`` and ``backward`` is a layer:
        ``gradcheck(layer, x)`` checks its inputs and parameters (W/dW, b/db, gamma/dgamma, beta/dbeta, or
        ``params``/``grads``). Anything else callable is a function, and needs `vjp` or `grad`.
    *inputs : arrays
        Where to check. Float arrays are checked in float64; integers are passed on and not differentiated.
    vjp : callable
        ``vjp(gy, *inputs)`` gives the gradient of each input (one array, or a tuple; None: not differentiable).
    grad : array, tuple of arrays or callable
        The gradient of a function that returns one number; a callable is called with the inputs.
    rtol : float
        Relative difference that still agrees.
    points : int
        1: only at the inputs given. More: also at random points near them, with some signs flipped. With arrays for
        `grad` there is only one point.
    seed : int
        Of the random numbers; the same seed gives the same report.
    names : list of str
        For the inputs of a function or layer.
    forward_kwargs : dict
        Further arguments of ``forward``.
    allow : collection of str
        Kinds of conduct that are no failure here, such as ``{"MUTATED_GY"}``.
    raise_error : bool
        Raise GradientError unless all is well.

    Returns
    -------
    GradientReport
        True if every gradient is right as far as could be shown.

    Examples
    --------
    >>> bd.gradcheck(np.sin, np.array([0.1, 2.0]), vjp=lambda gy, x: gy * np.cos(x))
    """
    _check_options(rtol, points, seed)
    began = time.perf_counter()
    checked = _subject_for(subject, inputs, vjp, grad, names, forward_kwargs or {}, seed)
    entries = {}
    conduct = checked.conduct()
    for point in range(1 if grad is not None and not callable(grad) else points):
        rng = _random(seed, point)
        if not checked.go_to(point, rng) and point > 0:
            continue  # a random point outside of the function's domain shows nothing
        for entry in checked.check(rtol, rng, point):
            entries[entry.name] = _merged(entries.get(entry.name), entry)
    for entry in entries.values():
        if entry.status == "PASS" and entry.checked and not entry.pairs[:, :2].any():
            entry.status = "VACUOUS"
    report = GradientReport(
        checked.title,
        list(entries.values()),
        conduct,
        allow=allow,
        seed=seed,
        rtol=rtol,
        seconds=time.perf_counter() - began,
    )
    if raise_error:
        report.raise_if_failed()
    return report


def _check_options(rtol, points, seed):
    if isinstance(rtol, bool) or not isinstance(rtol, (int, float, np.floating)):
        raise TypeError(f"rtol must be a number, got {type(rtol).__name__}")
    if not 0 < rtol < 1:
        raise ValueError(f"rtol = {rtol}: expected above 0 and below 1")
    for name, value, least in (("points", points, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"{name} must be an integer, got {type(value).__name__}")
        if value < least:
            raise ValueError(f"{name} = {value}: expected at least {least}")


def _random(*key):
    return np.random.Generator(np.random.Philox(seed=np.random.SeedSequence([PRIVATE, *key])))


def _signed(rng, shape):
    """Numbers of both signs, none of them near 0: nothing can hide behind a small one."""
    return rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)


def _near(array, point, rng):
    """A random point near `array`; every second one with some signs flipped."""
    size = np.sqrt(np.mean(array**2)) if array.size else 0.0
    moved = array * rng.uniform(0.7, 1.3, array.shape) + 0.1 * max(size, 1e-3) * _signed(rng, array.shape)
    return moved * rng.choice([-1.0, 1.0], array.shape) if point % 2 else moved


def _merged(old, new):
    """One entry for several points: the worst of them, with everything counted."""
    if old is None:
        return new
    worse = new if STATUSES.index(new.status) < STATUSES.index(old.status) else old
    worse.evaluations = old.evaluations + new.evaluations
    worse.pairs = np.concatenate([old.pairs, new.pairs])
    return worse


# -- one gradient at one point ----------------------------------------------------------------


class Slope:
    """Numerical derivatives of one scalar function along elements and directions of one array.

    ``value(move)`` must return the function with the array moved: `move` is (element, h) or (direction, h).
    """

    def __init__(self, array, value, at_rest, eps):
        self.array = array
        self.value = value
        self.at_rest = at_rest  # the size of the function's terms: what its rounding is relative to
        self.eps = eps
        self.evaluations = 0

    def element(self, index, rtol):
        """(value, uncertainty, step) for element `index` of the flat array."""
        flat = self.array.reshape(-1)
        kept = flat[index]

        def probe(h):
            flat[index] = kept + h
            moved = flat[index] - kept
            return self.at_rest + self.value(), float(moved)

        try:
            return self._run(probe, abs(float(kept)), rtol)
        finally:
            flat[index] = kept

    def along(self, direction, rtol):
        """The same along a direction, of the size of the flat array."""
        flat = self.array.reshape(-1)
        kept = flat.copy()

        def probe(h):
            flat[:] = kept + h * direction
            return self.at_rest + self.value()

        try:
            return self._run(probe, float(np.abs(kept).max(initial=0)), rtol)
        finally:
            flat[:] = kept

    def _run(self, probe, scale, rtol):
        value, uncertainty, step, evaluations, *_ = _core.derivative(probe, scale, self.eps, rtol)
        self.evaluations += evaluations
        return value, uncertainty, step

    def elements(self, indices, rtol):
        """(k, 3) array of value, uncertainty and step for several elements."""
        return np.array([self.element(i, rtol) for i in indices]).reshape(-1, 3)

    def values(self, index, steps):
        """The function with element `index` moved by each of `steps`."""
        flat = self.array.reshape(-1)
        kept = flat[index]
        values = []
        try:
            for h in steps:
                flat[index] = kept + h
                values.append(self.value())
        finally:
            flat[index] = kept
        self.evaluations += len(values)
        return np.array(values)


class NetSlope:
    """The same for the loss of a float64 Net, all in C. `which`: a parameter's number, or -1 for the input."""

    def __init__(self, core, which, array, x, t):
        self.core, self.which, self.array, self.x, self.t = core, which, array, x, t
        self.evaluations = 0

    def _derivatives(self, directions, rtol):
        found = self.core.derivatives(self.which, directions, self.x, self.t, rtol, 0.0)
        self.evaluations += int(found[:, 3].sum())
        return found[:, :3]

    def elements(self, indices, rtol):
        return self._derivatives(np.asarray(indices, dtype=np.int64), rtol)

    def element(self, index, rtol):
        return tuple(self.elements([index], rtol)[0])

    def along(self, direction, rtol):
        return tuple(self._derivatives(np.ascontiguousarray(direction[None]), rtol)[0])

    def values(self, index, steps):
        self.evaluations += len(steps)
        where = np.array([index], dtype=np.int64)
        return self.core.losses_along(self.which, where, np.asarray(steps, dtype=float), self.x, self.t)


def _agrees(a, n, u, rtol):
    return abs(a - n) <= rtol * max(abs(a), abs(n)) + 3 * u


def _resolved(a, n, u):
    return u <= 1e-3 * max(abs(a), abs(n)) or (a == n == 0 and u == 0)


def _one_sided(slope, index, scale):
    """Slopes from the left and from the right with their errors: three-point formulas over a ladder of steps."""
    found = []
    for side in (-1.0, 1.0):
        h = side * 1e-2 * max(scale, 1.0) * 0.5 ** np.arange(20)
        values = slope.values(index, np.concatenate([[0.0], h, 2 * h]))
        at, near, far = values[0], values[1:21], values[21:]
        slopes = (4 * near - far - 3 * at) / (2 * h)
        noise = 8 * FLOAT64_EPS * max(abs(at), 1e-300) / np.abs(h)
        error = np.abs(np.diff(slopes)) + noise[1:]
        error[~np.isfinite(error)] = np.inf
        best = int(np.argmin(error))
        found.append((float(slopes[best + 1]), float(error[best])))
    return found


def _is_kink(slope, index, scale, a, rtol):
    """(is it a kink with `a` between the one-sided slopes, (left, right) or None)."""
    (left, left_error), (right, right_error) = _one_sided(slope, index, scale)
    error = left_error + right_error
    if not np.isfinite(error) or abs(right - left) <= max(10 * error, 1e-5 * max(abs(left), abs(right))):
        return False, None
    slack = 3 * error + rtol * max(abs(left), abs(right))
    return min(left, right) - slack <= a <= max(left, right) + slack, (left, right)


def _choose(analytic, most, rng):
    """Indices to look at one by one: all, or the largest, the smallest and some others."""
    size = analytic.size
    if size <= max(most, EXHAUSTIVE):
        return np.arange(size)
    order = np.argsort(np.abs(analytic), kind="stable")
    some = rng.choice(size, most - 2 * (most // 3), replace=False)
    return np.unique(np.concatenate([order[: most // 3], order[-(most // 3) :], some]))


def _judge(entry, slope, analytic, most, rtol, rng):
    """Fill the entry for one gradient: elements, then directions."""
    flat = analytic.reshape(-1)
    indices = _choose(flat, most, rng)
    found = slope.elements(indices, rtol)
    entry.checked = len(indices)
    entry.pairs = np.column_stack([flat[indices], found[:, :2]])
    kinks, wrong, unresolved = [], [], []
    for index, (n, u, step) in zip(indices, found, strict=True):
        a = flat[index]
        if np.isfinite(u) and _agrees(a, n, u, rtol):
            if not _resolved(a, n, u):
                unresolved.append(index)
            continue
        kink, sides = _is_kink(slope, index, abs(float(slope.array.reshape(-1)[index])), a, rtol)
        if kink:
            kinks.append((index, sides))
        elif not np.isfinite(u):
            unresolved.append(index)
        else:
            wrong.append((index, n, u, step, sides))
    if wrong:
        _describe_wrong(entry, flat, wrong)
    else:
        _describe_right(entry, flat, indices, found)
        if kinks:
            entry.status = "KINK"
            entry.one_sided = kinks[0][1]
            left, right = entry.one_sided
            entry.diagnosis = (
                f"{len(kinks)} of {len(indices)} elements sit exactly on a kink; at the first the slope is {left:.4g} "
                f"from the left and {right:.4g} from the right, and the analytic value is one of those between"
            )
        _judge_directions(entry, slope, flat, len(indices) < flat.size, bool(unresolved), bool(kinks), rtol, rng)
    entry.evaluations = slope.evaluations


def _set_worst(entry, flat, index, n, u, step):
    a = float(flat[index])
    entry.worst_index = tuple(int(i) for i in np.unravel_index(index, entry.shape))
    entry.analytic, entry.numeric, entry.uncertainty, entry.step = a, float(n), float(u), float(step)
    entry.relative_error = abs(a - n) / max(abs(a), abs(n)) if a != n else 0.0


def _describe_right(entry, flat, indices, found):
    if not len(indices):
        return
    n, u = found[:, 0], found[:, 1]
    size = np.maximum(np.abs(n), np.abs(flat[indices]))
    finite = np.isfinite(u) & (size > 0)
    if finite.any():
        excess = np.where(finite, np.abs(flat[indices] - n) / np.where(size > 0, size, 1), -1)
        worst = int(np.argmax(np.where(u <= 1e-3 * size, excess, -1)))
        digits = -np.log10(np.maximum(u[finite], 1e-17 * size[finite]) / size[finite])
        entry.digits = float(np.median(digits))
    else:
        worst = 0
    _set_worst(entry, flat, indices[worst], *found[worst])


def _describe_wrong(entry, flat, wrong):
    def excess(item):
        index, n, u, *_ = item
        return abs(flat[index] - n) / (max(abs(flat[index]), abs(n)) + u)

    index, n, u, step, sides = max(wrong, key=excess)
    entry.status = "FAIL"
    entry.one_sided = sides
    _set_worst(entry, flat, index, n, u, step)
    entry.diagnosis = _diagnosis(flat, wrong, entry.checked)


def _diagnosis(flat, wrong, checked):
    """What is likely wrong, in one sentence."""
    a = np.array([flat[index] for index, *_ in wrong])
    n = np.array([item[1] for item in wrong])
    share = f"{len(wrong)} of {checked} elements differ"
    big = np.abs(n) > 1e-8 * np.abs(n).max(initial=0)
    if not big.any():
        return f"{share}: the numerical gradient is 0 there, the analytic one is not"
    ratio = a[big] / n[big]
    if np.all(a[big] == 0):
        return f"{share}: the analytic gradient is 0 there, the numerical one is not (a term that is never added?)"
    if np.ptp(ratio) <= 1e-4 * abs(ratio[0]) and abs(ratio[0] - 1) > 1e-3:
        if abs(ratio[0] + 1) < 1e-4:
            return f"{share}, all by their sign: the analytic gradient is -1 times the numerical one"
        return f"{share}, all by the same factor: the analytic gradient is {ratio[0]:.5g} times the numerical one"
    return share


def _judge_directions(entry, slope, flat, not_all, unresolved, kinks, rtol, rng):
    """Random directions through all elements: they see what was not looked at one by one, or was too small to."""
    if not (not_all or unresolved) or kinks:
        if unresolved and entry.status == "PASS":
            entry.status = "UNRESOLVED"
        return
    resolved = 0
    for _ in range(DIRECTIONS):
        u = _signed(rng, flat.size) / np.sqrt(flat.size)
        error, bound, known = _direction_error(slope, flat, u, rtol)
        if known and error > bound:
            _name_by_bisection(entry, slope, flat, u, rtol)
            return
        resolved += known
    if not resolved:
        entry.status = "UNRESOLVED"


def _direction_error(slope, flat, u, rtol):
    """(how far analytic and numeric slope along u are apart, how far they may be, whether that says anything)."""
    terms = flat * u
    a = float(terms.sum())
    n, uncertainty, _ = slope.along(u, rtol)
    bound = rtol * max(abs(a), abs(n)) + 3 * uncertainty + 4 * FLOAT64_EPS * float(np.abs(terms).sum())
    known = np.isfinite(uncertainty) and uncertainty <= 1e-3 * float(np.sqrt(np.sum(terms**2)))
    return abs(a - n), bound, bool(known) or not terms.any()


def _name_by_bisection(entry, slope, flat, u, rtol):
    """A direction disagrees: halve the set of its elements, keeping a half that disagrees, down to one element."""
    among = np.arange(flat.size)
    while len(among) > 1:
        halves = np.array_split(among, 2)
        errors = []
        for half in halves:
            part = np.zeros_like(u)
            part[half] = u[half]
            error, bound, _ = _direction_error(slope, flat, part, rtol)
            errors.append(error / bound if bound > 0 else 0.0)
        if max(errors) <= 1:
            break  # too small to be seen alone: name the first of what is left
        among = halves[int(np.argmax(errors))]
    entry.status = "FAIL"
    index = int(among[0])
    _set_worst(entry, flat, index, *slope.element(index, rtol))
    found = "found by bisecting" if len(among) == 1 else f"one of {len(among)} elements from there, found by bisecting"
    entry.diagnosis = f"single elements looked right, but a random direction did not; {found} it"


# -- what can be checked ----------------------------------------------------------------------


def _subject_for(subject, inputs, vjp, grad, names, kwargs, seed):
    if isinstance(subject, Net):
        return NetSubject(subject, inputs, seed)
    if all(hasattr(subject, name) for name in ("params", "loss", "gradient")):
        return NetworkSubject(subject, inputs)
    if hasattr(subject, "forward") and hasattr(subject, "backward"):
        return LayerSubject(subject, inputs, names, kwargs, seed)
    if not callable(subject):
        raise TypeError(
            f"{type(subject).__name__} is not a network (params, loss, gradient), a layer (forward, backward) "
            "or a function"
        )
    if (vjp is None) == (grad is None):
        raise TypeError("a function needs its analytic gradient: either vjp=g, called g(gy, *inputs), or grad=")
    return FunctionSubject(subject, inputs, vjp, grad, names, seed)


class Subject:
    """Something with variables, a forward pass and analytic gradients, at a point that can be moved.

    Subclasses set ``title`` and ``variables`` (name -> float64 array of our own, or None where it is not
    differentiated) and define ``_forward()`` and ``_backward(gy)``.
    """

    def __init__(self, seed):
        self.seed = seed
        self.findings = []

    def conduct(self):
        """Look for what the code does besides computing; list of findings."""
        y = self._output()
        again = self._output()
        if not np.array_equal(y, again, equal_nan=True):
            self.findings.append("NONDETERMINISTIC: the same input gave two different outputs")
        gy = self._upstream(y, _random(self.seed, 1000))
        given = gy.copy()
        first = self._gradients(gy)
        if not np.array_equal(gy, given):
            self.findings.append("MUTATED_GY: the backward pass changed the upstream gradient it was given")
        scaled = self._gradients(-3.0 * given)
        for name in first:
            if first[name] is not None and np.shape(first[name]) == np.shape(scaled[name]):
                expected = -3.0 * np.asarray(first[name])
                if not np.allclose(scaled[name], expected, rtol=1e-6, atol=1e-12, equal_nan=True):
                    self.findings.append(
                        f"NOT_LINEAR_IN_GY: the gradient of {name} is not proportional to the upstream gradient "
                        "(is it ignored?)"
                    )
                    break
        return self.findings

    def _upstream(self, y, rng):
        return _signed(rng, np.shape(y))

    def _output(self):
        """The output as a float array, of the dtype that the code gave it."""
        y = np.asarray(self._forward())
        if y.dtype.kind not in "fiub":
            raise TypeError(f"the function must return real numbers, got dtype {y.dtype}")
        return y if y.dtype.kind == "f" else y.astype(float)

    def _gradients(self, gy):
        """Analytic gradients by name, after a forward pass at this point."""
        self._forward()
        return self._backward(gy)

    def go_to(self, point, rng):
        """Move to the point; False if the function is not finite there."""
        if point:
            for array, start in zip(self._movable(), self.start, strict=True):
                array[...] = _near(start, point, rng)
        else:
            self.start = [array.copy() for array in self._movable()]
        with np.errstate(all="ignore"):
            return bool(np.isfinite(self._output()).all())

    def _movable(self):
        return [array for array in self.variables.values() if array is not None]

    def check(self, rtol, rng, point):
        """An entry for each variable, at this point."""
        y = self._output()
        gy = self._upstream(y, rng)
        analytic = self._gradients(gy.copy())

        def value():
            with np.errstate(all="ignore"):
                return float((gy * (self._output() - y)).sum())

        eps = self._rounding(y, rng)
        at_rest = max(float(np.abs(gy * y).sum()), self._noise(value, rng) / eps)
        for name, array in self.variables.items():
            if array is None:
                continue
            entry = Entry(name, array.shape, self._dtype(name, array))
            entry.point = point
            gradient = analytic[name]
            if _has_form(entry, gradient, array) and array.size:
                if not np.isfinite(y).all():
                    entry.status, entry.diagnosis = "NONFINITE", "the output of the function is not finite here"
                else:
                    slope = Slope(array, value, at_rest, eps)
                    _judge(entry, slope, np.asarray(gradient, dtype=float), CHOSEN, rtol, rng)
            yield entry

    def _dtype(self, name, array):
        return array.dtype

    def _noise(self, value, rng):
        """How much rounding inside the function moves its value: seen where the function itself hardly moves."""
        movable = self._movable()
        kept = [array.copy() for array in movable]
        directions = [np.abs(array) * _signed(rng, array.shape) for array in movable]
        values = []
        for step in range(8):
            for array, old, direction in zip(movable, kept, directions, strict=True):
                array[...] = old + step * 1e-12 * direction
            values.append(value())
        for array, old in zip(movable, kept, strict=True):
            array[...] = old
        rough = np.abs(np.diff(values, 3))  # third differences: what is smooth is gone
        return float(rough.max()) / 2 if np.isfinite(rough).all() else 0.0

    def _rounding(self, y, rng):
        """The rounding unit of the output: float32's if every number of it, here and nearby, fits float32."""
        if y.dtype != np.float64:
            return FLOAT32_EPS
        movable = self._movable()
        kept = [array.copy() for array in movable]
        for array in movable:
            array *= 1 + 1e-3 * rng.random(array.shape)
        with np.errstate(all="ignore"):
            near = self._output()
            hidden = bool(np.all(near == near.astype(np.float32)) and near.any())
        for array, old in zip(movable, kept, strict=True):
            array[...] = old
        return FLOAT32_EPS if hidden else FLOAT64_EPS


def _has_form(entry, gradient, array):
    """Is it a gradient at all: of the right shape, dtype, and finite? Says so in the entry if not."""
    if gradient is None:
        entry.status, entry.diagnosis = "SHAPE", "there is no gradient (None)"
        return False
    found = np.asarray(gradient)
    if found.shape != array.shape:
        entry.status = "SHAPE"
        entry.diagnosis = f"the gradient has shape {found.shape}, expected {array.shape}"
    elif found.dtype.kind != "f" or found.dtype.itemsize < array.dtype.itemsize:
        entry.status = "DTYPE"
        entry.diagnosis = f"the gradient has dtype {found.dtype}, expected {array.dtype}"
    elif not np.isfinite(found).all():
        entry.status = "NONFINITE"
        where = np.unravel_index(int(np.argmax(~np.isfinite(found))), found.shape)
        entry.worst_index = tuple(int(i) for i in where)
        entry.analytic = float(found[where])
        entry.diagnosis = f"the gradient is {found[where]} at {entry.worst_index}"
    return entry.status == "PASS"


def _private(value):
    """Our own float64 copy of a float array or number; other things as they are."""
    if isinstance(value, (float, np.floating)) or (isinstance(value, np.ndarray) and value.dtype.kind == "f"):
        return np.array(value, dtype=np.float64, order="C")
    return value


def _is_variable(value):
    return isinstance(value, np.ndarray) and value.dtype == np.float64


class FunctionSubject(Subject):
    """A function of arrays with its vector-Jacobian product, or with its gradient."""

    def __init__(self, f, inputs, vjp, grad, names, seed):
        super().__init__(seed)
        self.f, self.vjp, self.grad = f, vjp, grad
        self.title = getattr(f, "__name__", type(f).__name__)
        self.inputs = [_private(value) for value in inputs]
        self.names = _input_names(names, len(inputs))
        self.variables = {
            name: value if _is_variable(value) else None for name, value in zip(self.names, self.inputs, strict=True)
        }
        if not self._movable():
            raise TypeError("none of the inputs is a float array: there is nothing to differentiate")
        self.mutates = False
        before = [np.copy(value) for value in self.inputs]
        y = self._output()
        if grad is not None and y.size != 1:
            raise ValueError(f"grad= is for a function that returns one number, got shape {y.shape}: use vjp=")
        gradients = self._call_gradient(self._upstream(y, _random(seed, 1001)))
        if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(before, self.inputs, strict=True)):
            self.mutates = True
            self.findings.append("MUTATED_INPUT: an input was changed")
            for array, old in zip(self.inputs, before, strict=True):
                if isinstance(array, np.ndarray):
                    array[...] = old
        for name, gradient in zip(self.names, gradients, strict=True):
            if gradient is None:
                self.variables[name] = None

    def _arguments(self):
        return [np.copy(v) if self.mutates and isinstance(v, np.ndarray) else v for v in self.inputs]

    def _forward(self):
        return self.f(*self._arguments())

    def _call_gradient(self, gy):
        if self.vjp is not None:
            found = self.vjp(gy if gy.ndim else gy[()], *self._arguments())
        else:
            found = self.grad(*self._arguments()) if callable(self.grad) else self.grad
        found = found if isinstance(found, (tuple, list)) else (found,)
        if len(found) != len(self.inputs):
            if len(found) == len(self._movable()):  # one for each float input
                found = iter(found)
                return [next(found) if self.variables[name] is not None else None for name in self.names]
            raise ValueError(f"expected a gradient for each of {len(self.inputs)} inputs, got {len(found)}")
        return list(found)

    def _backward(self, gy):
        found = dict(zip(self.names, self._call_gradient(gy), strict=True))
        if self.grad is not None:
            found = {name: None if g is None else np.asarray(g) * float(gy) for name, g in found.items()}
        return found


def _input_names(names, count):
    if names is None:
        return ["x"] if count == 1 else [f"x{i}" for i in range(count)]
    names = list(names)
    if len(names) != count or len(set(names)) != count:
        raise ValueError(f"names must be {count} different names, got {names}")
    return names


PAIRS = (("W", "dW"), ("b", "db"), ("gamma", "dgamma"), ("beta", "dbeta"))


class LayerSubject(Subject):
    """An object with forward and backward: its inputs and its parameters."""

    def __init__(self, layer, inputs, names, kwargs, seed):
        super().__init__(seed)
        self.layer = copy.deepcopy(layer)
        self.kwargs = kwargs
        self.title = repr(layer) if isinstance(layer, Layer) else type(layer).__name__
        self.inputs = [_private(value) for value in inputs]
        self.names = _input_names(names, len(inputs)) if names or len(inputs) != 2 else ["x", "t"]
        self.dtypes = {}
        before = [np.copy(value) for value in self.inputs]
        y = self._output()
        returned = self._call_backward(self._upstream(y, _random(seed, 1001)))
        if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(before, self.inputs, strict=True)):
            self.findings.append("MUTATED_INPUT: forward or backward changed an input")
            for array, old in zip(self.inputs, before, strict=True):
                if isinstance(array, np.ndarray):
                    array[...] = old
        self.variables = {
            name: value if i < len(returned) and returned[i] is not None and _is_variable(value) else None
            for i, (name, value) in enumerate(zip(self.names, self.inputs, strict=True))
        }
        for name, array in self._float64_parameters():
            self.variables[name] = array

    def _float64_parameters(self):
        """The layer's own parameters, replaced by float64 ones of ours where they are narrower."""
        found = []
        if isinstance(getattr(self.layer, "params", None), dict) and not isinstance(self.layer, Layer):
            for name, array in self.layer.params.items():
                if isinstance(array, np.ndarray) and array.dtype.kind == "f":
                    found.append((name, array))
            return found
        wide = {}
        for name, _ in PAIRS:
            array = getattr(self.layer, name, None)
            if isinstance(array, np.ndarray) and array.dtype.kind == "f":
                self.dtypes[name] = array.dtype
                wide[name] = np.array(array, dtype=np.float64, order="C")
        if isinstance(self.layer, Layer):
            self.layer._set_params(self.layer._params | wide)
        else:
            for name, array in wide.items():
                setattr(self.layer, name, array)
        return list(wide.items())

    def _dtype(self, name, array):
        return self.dtypes.get(name, array.dtype)

    def _forward(self):
        return self.layer.forward(*self.inputs, **self.kwargs)

    def _call_backward(self, gy):
        found = self.layer.backward(gy if gy.ndim else float(gy))
        return list(found) if isinstance(found, (tuple, list)) else [found]

    def _backward(self, gy):
        returned = self._call_backward(gy)
        found = {name: returned[i] if i < len(returned) else None for i, name in enumerate(self.names)}
        grads = getattr(self.layer, "grads", None)
        for name in self.variables:
            if name not in found:
                attribute = getattr(self.layer, "d" + name, None)
                found[name] = grads.get(name) if attribute is None and isinstance(grads, dict) else attribute
        return found


class NetworkSubject(Subject):
    """A book-style network: ``params``, ``loss(x, t)``, ``gradient(x, t)``. Works on a deep copy."""

    def __init__(self, network, inputs):
        super().__init__(0)
        self.network = copy.deepcopy(network)
        self.inputs = inputs
        self.title = type(network).__name__
        self.loss_kwargs = _training_flag(self.network.loss)
        self.gradient_kwargs = _training_flag(self.network.gradient)
        self.variables = {
            name: array
            for name, array in self.network.params.items()
            if isinstance(array, np.ndarray) and array.dtype.kind == "f"
        }

    def _upstream(self, y, rng):
        return np.ones(np.shape(y))

    def conduct(self):
        if self.network.loss(*self.inputs, **self.loss_kwargs) != self.network.loss(*self.inputs, **self.loss_kwargs):
            self.findings.append("NONDETERMINISTIC: the same parameters gave two different losses")
        return self.findings

    def _forward(self):
        return self.network.loss(*self.inputs, **self.loss_kwargs)

    def _gradients(self, gy):
        found = self.network.gradient(*self.inputs, **self.gradient_kwargs)
        return {name: np.array(found[name]) if name in found else None for name in self.variables}


def _training_flag(method):
    try:
        return {"train_flg": True} if "train_flg" in inspect.signature(method).parameters else {}
    except (TypeError, ValueError):
        return {}


class NetSubject:
    """A badak Net: a float64 net of the same architecture and parameters, evaluated in C."""

    def __init__(self, net, inputs, seed):
        if len(inputs) != 2:
            raise TypeError("a Net is checked with gradcheck(net, x, t)")
        self.net = net
        self.seed = seed
        self.core = net._float64_twin()
        self.params = dict(self.core.arrays("params"))
        self.x, self.t = self.core.prepare(*inputs)
        self.x = np.array(self.x, dtype=np.float64)
        self.title = f"Net of {len(net.layers)} layers ({net.size:,} parameters, {net.dtype}, checked in float64)"
        macs = sum(step["macs"] for step in self.core.steps()) * len(self.x)
        # about a second for the whole check: some 30 evaluations an element, 4e9 multiply-adds a second
        self.most = int(np.clip(4e9 / (30 * (macs + 1) * (len(self.params) + 1)), CHOSEN, CHOSEN_IN_C))

    def conduct(self):
        return []

    def go_to(self, point, rng):
        arrays = [self.x, *self.params.values()]
        if point == 0:
            self.start = [array.copy() for array in arrays]
        else:
            for array, start in zip(arrays, self.start, strict=True):
                array[...] = _near(start, point, rng)
        return bool(np.isfinite(self.core.evaluate(self.x, self.t, True)[0]))

    def check(self, rtol, rng, point):
        *_, dx = self.core.gradient(self.x, self.t, True, True)
        analytic = {name: array.copy() for name, array in self.core.arrays("grads")}
        for which, (name, array) in enumerate([*self.params.items(), ("x", self.x)]):
            last = which == len(self.params)
            gradient = dx if last else analytic[name]
            entry = Entry(name, array.shape, self.net.dtype)
            entry.point = point
            if _has_form(entry, gradient, array) and array.size:
                slope = NetSlope(self.core, -1 if last else which, array, self.x, self.t)
                _judge(entry, slope, gradient, self.most, rtol, rng)
            yield entry


def derivative(f, x, *, rtol=1e-10):
    """The derivative of f at the number x, with a bound on its own error.

    Parameters
    ----------
    f : callable
        From a float to a float.
    x : float
    rtol : float
        Stop once the bound is this small, relatively.

    Returns
    -------
    Derivative
        ``value``, ``uncertainty``, ``step`` and ``evaluations``.
    """
    x = float(x)

    def probe(h):
        moved = (x + h) - x
        return float(f(x + h)), moved

    value, uncertainty, step, evaluations, *_ = _core.derivative(probe, abs(x), FLOAT64_EPS, rtol)
    return Derivative(value, uncertainty, step, evaluations)


class Derivative:
    """A number with a bound: the truth is within ``uncertainty`` of ``value``."""

    def __init__(self, value, uncertainty, step, evaluations):
        self.value = value
        self.uncertainty = uncertainty
        self.step = step
        self.evaluations = evaluations
        resolved = np.isfinite(uncertainty) and (value == 0 or uncertainty < abs(value))
        self.status = "PASS" if resolved else "UNRESOLVED"

    def __repr__(self):
        return f"{self.value!r} ± {self.uncertainty:.1g}"
