"""Functions of JAX arrays as subjects of ``gradcheck``, by ``jax.vjp``. Loaded only where jax is.

In float64 where JAX is told to (``jax_enable_x64``); otherwise in JAX's float32, with its rounding as the bound.
"""

import sys

import numpy as np

from ._own_arrays import chosen_by, input_names
from ._subjects import Subject


def is_for_jax(subject, inputs):
    """Is it a function that is given JAX arrays, or one that JAX has transformed?"""
    jax = sys.modules["jax"]
    if not hasattr(jax, "vjp") or not callable(subject):
        return False
    made_by_jax = type(subject).__module__.split(".")[0] in ("jax", "jaxlib")
    return made_by_jax or any(isinstance(value, jax.Array) for value in inputs)


class JaxSubject(Subject):
    """A function of arrays, differentiated by JAX."""

    backward_name = "jax.vjp"

    def __init__(self, subject, inputs, *, names, kwargs, seed, chance, wrt=None, reference=None, keep=False):
        super().__init__(seed, chance)
        self.jax = sys.modules["jax"]
        self.f, self.kwargs, self.wrt, self.reference = subject, kwargs or {}, wrt, reference
        self.keep = keep or not self.jax.config.jax_enable_x64
        self.title = self.forward_name = getattr(subject, "__name__", type(subject).__name__)
        self.names = input_names(names, len(inputs))
        self.arguments, self.aliases = [], {}
        seen = {}
        for name, value in zip(self.names, inputs, strict=True):
            if id(value) in seen and hasattr(value, "dtype"):
                first = seen[id(value)]
                self.aliases.setdefault(first, []).append(name)
                self.arguments.append(self.arguments[self.names.index(first)])
                continue
            seen[id(value)] = name
            if isinstance(value, (float, np.floating)) or self._is_float(value):
                self.dtypes[name] = str(getattr(value, "dtype", "float64"))
                value = np.array(value, dtype=np.float32 if self.keep else np.float64)
            self.arguments.append(value)
        self.variables = {}

    def numbers(self):
        return {}

    fast = None  # the function compiled, once it is known to be one

    def start(self):
        super().start()
        if self.findings:
            return
        jitted = self.jax.jit(lambda *floats: self._of_floats(floats))
        given = self._jax_arrays(self._given())
        try:
            found, plain = self._result(jitted(*self._floats_of(given))), self._result(self.f(*given, **self.kwargs))
        except Exception:  # what cannot be traced stays as it is
            return
        parts = zip(found, plain, strict=True) if isinstance(plain, tuple) else [(found, plain)]
        if all(np.allclose(a, b, rtol=1e-5 if self.keep else 1e-12, atol=0, equal_nan=True) for a, b in parts):
            self.fast = jitted

    def _moving(self):
        return [i for i, v in enumerate(self.arguments) if isinstance(v, np.ndarray) and v.dtype.kind == "f"]

    def _floats_of(self, given):
        return [given[i] for i in self._moving()]

    def _of_floats(self, floats):
        full = self._jax_arrays(self.arguments)
        for i, value in zip(self._moving(), floats, strict=True):
            full[i] = value
        return self.f(*full, **self.kwargs)

    def _run(self, given):
        arrays = self._jax_arrays(given)
        if self.fast is not None:
            return self._result(self.fast(*self._floats_of(arrays)))
        return self._result(self.f(*arrays, **self.kwargs))

    def _jax_arrays(self, given):
        return [self.jax.numpy.array(v) if isinstance(v, np.ndarray) else v for v in given]

    def _is_float(self, value):
        """bfloat16 is one, a key for random numbers is none."""
        return hasattr(value, "dtype") and bool(self.jax.numpy.issubdtype(value.dtype, self.jax.numpy.floating))

    @staticmethod
    def _result(found):
        if isinstance(found, (tuple, list)):
            return tuple(JaxSubject._result(part) for part in found)
        found = np.asarray(found)
        return found.astype(np.float32) if found.dtype.kind == "V" else found  # bfloat16

    def _back(self, gy, given):
        jax = self.jax
        arrays, moving = self._jax_arrays(given), self._moving()
        y, pull = jax.vjp(lambda *floats: self._of_floats(floats), *self._floats_of(arrays))
        parts = y if isinstance(y, (tuple, list)) else (y,)
        upstream = gy if isinstance(gy, tuple) else (gy,)
        upstream = [jax.numpy.asarray(np.array(g), part.dtype) for g, part in zip(upstream, parts, strict=True)]
        gradients = pull(type(y)(upstream) if isinstance(y, (tuple, list)) else upstream[0])
        found = {}
        for i, g in zip(moving, gradients, strict=True):
            first = next((f for f, others in self.aliases.items() if self.names[i] in others), self.names[i])
            g = np.array(g, dtype=self.arguments[i].dtype)
            found[first] = found[first] + g if first in found else g
        return found

    def set_variables(self, first):
        wanted = chosen_by(self.wrt, list(first))
        self.variables = {n: self.arguments[self.names.index(n)] for n in first if n in wanted}
