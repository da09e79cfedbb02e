"""Functions as subjects of ``gradcheck``: with a vector-Jacobian product, a gradient or a Jacobian-vector product."""

import inspect

import numpy as np

from ._containers import copied
from ._noise import signed
from ._own_arrays import (
    chosen_by,
    input_names,
    is_variable,
    nothing_to_differentiate,
    own_arguments,
    shape_of_list,
)
from ._state import ClosureSnapshot, random_stream
from ._subjects import Subject


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
            raise TypeError(nothing_to_differentiate(inputs))
        self.one = grad is not None
        self.gradient_moves = grad is None or callable(grad)
        self.variables = {}
        self.snapshot = ClosureSnapshot([g for g in (f, vjp, grad, jvp) if callable(g)])
        self.in_jvp = set()

    def numbers(self):
        return {name: v for name, v in zip(self.names, self.arguments, strict=True) if isinstance(v, (int, float))}

    def accept_output(self, y):
        if self.grad is not None and y.size != 1:
            raise ValueError(f"grad= is for a function that returns one number, got shape {y.shape}: use vjp=")

    def _run(self, given):
        return self.f(*given, **copied(self.kwargs))

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
        if len(self.arguments) == 1 and shape_of_list(found) == self.arguments[0].shape:
            return [found]
        found = list(found) if isinstance(found, (tuple, list)) else [found]
        if len(found) == len(self.arguments):
            return found
        floats = [name for name, value in zip(self.names, self.arguments, strict=True) if is_variable(value)]
        for wanted in (floats, [name for name in floats if name not in self.lists]):
            if len(found) == len(wanted):
                by_name = dict(zip(wanted, found, strict=True))
                return [by_name.get(name) for name in self.names]
        raise ValueError(
            f"{self.backward_name} must give a gradient for each of {len(self.arguments)} inputs (None for what has "
            f"none), got {len(found)}"
        )

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

    def _look_at_linearity(self, gy, first, y):
        if self.jvp is not None:
            self._look_at_jvp(gy, first)
        super()._look_at_linearity(gy, first, y)

    def _look_at_jvp(self, gy, first):
        """The derivative along many inputs at once is the sum of those along each."""
        rng = random_stream(self.seed, 3000)
        moves = {id(v): signed(rng, v.shape) for v in self.arguments if is_variable(v)}
        self._reset()
        found = np.ravel(self._tangent([moves.get(id(v)) for v in self.arguments], self._given())).astype(float)
        parts = [
            np.asarray(first[name], dtype=float) * moves[id(array)]
            for name, array in self.variables.items()
            if self.vjp is None or name.endswith(" (jvp)")
        ]
        together = float(np.ravel(gy) @ found)
        alone = float(sum(part.sum() for part in parts))
        size = float(sum(np.abs(part).sum() for part in parts)) + float(np.abs(np.ravel(gy) * found).sum())
        if len(parts) == len(moves) and abs(together - alone) > 1e-9 * size:
            self._say("NOT_LINEAR_IN_GY jvp", before=alone, after=together)

    def _tangent(self, tangents, given):
        v = tangents[0] if len(tangents) == 1 else tuple(tangents)
        return self._as_output(self.jvp(v, *given))

    def set_variables(self, first):
        """Fix what is differentiated: float inputs that get a gradient, by vjp, by jvp or both."""
        wanted = chosen_by(self.wrt, self.names)
        wanted |= {first for first, others in self.aliases.items() if wanted.intersection(others)}
        gone = {name for names in self.aliases.values() for name in names}
        for name, value in zip(self.names, self.arguments, strict=True):
            if not is_variable(value) or name in gone or name not in wanted:
                continue
            if self.vjp is None or first.get(name) is not None or self.wrt is not None:
                self.variables[name] = value
            if self.vjp is not None and self.jvp is not None:
                self.variables[f"{name} (jvp)"] = value
