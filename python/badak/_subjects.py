"""What ``gradcheck`` can check: functions, layers and book-style networks, each as a ``Subject``."""

import copy
import inspect

import numpy as np

from . import _core
from ._judge import judge, rounding_floor, signed
from ._slope import FLOAT64_EPS, Slope
from .layers import CoreLayer
from .report import Entry

CHOSEN = 16  # elements looked at one by one in large arrays, where Python runs for each evaluation
PRIVATE = 0x62616461  # begins every stream of ours, so that no user's seed gives the same numbers
FLOAT32_EPS = 2.0**-23


def random_stream(*key):
    """A generator that depends on the key alone."""
    return np.random.Generator(np.random.Philox(seed=np.random.SeedSequence([PRIVATE, *key])))


def near(array, point, rng):
    """A random point near `array`; every second one with some signs flipped."""
    size = np.sqrt(np.mean(array**2)) if array.size else 0.0
    moved = array * rng.uniform(0.7, 1.3, array.shape) + 0.1 * max(size, 1e-3) * signed(rng, array.shape)
    return moved * rng.choice([-1.0, 1.0], array.shape) if point % 2 else moved


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
        gy = self._upstream(y, random_stream(self.seed, 1000))
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
        return signed(rng, np.shape(y))

    def _output(self):
        """The output as a float array, of the dtype that the code gave it."""
        with np.errstate(all="ignore"):  # what is not finite is judged, not warned about
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
                array[...] = near(start, point, rng)
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
        floor = rounding_floor(analytic.values())

        noise = np.abs(gy) * self._noise(y, rng)

        def sample():
            with np.errstate(all="ignore"):
                change = self._output() - y
                moved = change != 0
                return float((gy * change).sum()), float(noise[moved].sum() if moved.any() else noise.sum())

        for name, array in self.variables.items():
            if array is None:
                continue
            entry = Entry(name, array.shape, self._dtype(name, array))
            entry.point = point
            gradient = analytic[name]
            if has_form(entry, gradient, array) and array.size:
                if not np.isfinite(y).all():
                    entry.status, entry.diagnosis = "NONFINITE", "the output of the function is not finite here"
                else:
                    slope = Slope(array, sample)
                    judge(entry, slope, np.asarray(gradient, dtype=float), CHOSEN, rtol, rng, floor)
            yield entry

    def _dtype(self, name, array):
        return array.dtype

    def _noise(self, y, rng):
        """A bound on the rounding error of each number of the output.

        That is the number's own rounding unit (float32's if all of them fit float32, here and nearby), or more where
        larger terms inside the function have cancelled: this is seen by moving so little that it hardly changes.
        """
        movable = self._movable()
        kept = [array.copy() for array in movable]
        directions = [np.abs(array) * signed(rng, array.shape) for array in movable]

        def output_at(step):
            for array, old, direction in zip(movable, kept, directions, strict=True):
                array[...] = old + step * direction
            return self._output()

        with np.errstate(all="ignore"):
            near = output_at(1e-3)
            close = [output_at(step * 1e-12) for step in range(8)]
            output_at(0)
            hidden = near.any() and np.array_equal(near, near.astype(np.float32))
            rough = np.abs(np.diff(close, 3, axis=0)).max(axis=0) / 2  # third differences: what is smooth is gone
            unit = np.finfo(y.dtype).eps if y.dtype.itemsize < 8 else FLOAT32_EPS if hidden else FLOAT64_EPS
            return np.maximum(unit * np.abs(y), np.where(np.isfinite(rough), rough, 0.0))


def has_form(entry, gradient, array):
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
        return np.array(_core.real_array(value, "an input"), dtype=np.float64)
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
        gradients = self._call_gradient(self._upstream(y, random_stream(seed, 1001)))
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
        self.title = repr(layer) if isinstance(layer, CoreLayer) else type(layer).__name__
        self.inputs = [_private(value) for value in inputs]
        self.names = _input_names(names, len(inputs)) if names or len(inputs) != 2 else ["x", "t"]
        self.dtypes = {}
        before = [np.copy(value) for value in self.inputs]
        wide = self._float64_parameters()
        y = self._output()
        returned = self._call_backward(self._upstream(y, random_stream(seed, 1001)))
        if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(before, self.inputs, strict=True)):
            self.findings.append("MUTATED_INPUT: forward or backward changed an input")
            for array, old in zip(self.inputs, before, strict=True):
                if isinstance(array, np.ndarray):
                    array[...] = old
        self.variables = {
            name: value if i < len(returned) and returned[i] is not None and _is_variable(value) else None
            for i, (name, value) in enumerate(zip(self.names, self.inputs, strict=True))
        }
        for name, array in wide:
            self.variables[name] = array

    def _parts(self):
        """(prefix, layer) of the layer and of those inside it."""
        yield from _parts_of(self.layer, "")

    def _float64_parameters(self):
        """The parameters by name, replaced by float64 arrays of our own where they are narrower."""
        found = []
        if isinstance(getattr(self.layer, "params", None), dict) and not isinstance(self.layer, CoreLayer):
            for name, array in self.layer.params.items():
                if isinstance(array, np.ndarray) and array.dtype.kind == "f":
                    found.append((name, array))
            return found
        for prefix, layer in self._parts():
            wide = {}
            for name, _ in PAIRS:
                array = getattr(layer, name, None)
                if isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.ndim:
                    self.dtypes[prefix + name] = array.dtype
                    wide[name] = np.array(array, dtype=np.float64, order="C")
            if isinstance(layer, CoreLayer):
                layer._set_params(layer._params | wide)
            else:
                for name, array in wide.items():
                    setattr(layer, name, array)
            found += [(prefix + name, array) for name, array in wide.items()]
        return found

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
        for prefix, layer in self._parts():
            for name, gradient in PAIRS:
                if prefix + name in self.variables:
                    found[prefix + name] = getattr(layer, gradient, None)
        for name in self.variables:
            if found.get(name) is None and name not in self.names and isinstance(grads, dict):
                found[name] = grads.get(name)
        return found


def _parts_of(layer, prefix):
    yield prefix, layer
    if isinstance(layer, CoreLayer):
        for i, child in enumerate(layer._layers):
            yield from _parts_of(child, f"{prefix}layers[{i}].")


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
