"""Numerical derivatives of one scalar function along elements and directions of one array, for ``gradcheck``."""

import numpy as np

from . import _core

FLOAT64_EPS = 2.0**-52


class Slope:
    """Numerical derivatives of one scalar function along elements and directions of one array.

    ``sample()`` must return (value, noise): the function with the array as it is now, less its value at rest, and a
    bound on the rounding in that.
    """

    def __init__(self, array, sample):
        self.array = array
        self.sample = sample
        self.evaluations = 0

    def element(self, index, rtol):
        """(value, uncertainty, step, left, right) for element `index` of the flat array."""
        flat = self.array.reshape(-1)
        kept = flat[index]

        def probe(h):
            flat[index] = kept + h
            value, noise = self.sample()
            return value, float(flat[index] - kept), noise

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
            value, noise = self.sample()
            return value, h, noise

        try:
            return self._run(probe, float(np.abs(kept).max(initial=0)), rtol)
        finally:
            flat[:] = kept

    def _run(self, probe, scale, rtol):
        value, uncertainty, step, evaluations, left, right, *_ = _core.derivative(probe, scale, rtol)
        self.evaluations += evaluations
        return value, uncertainty, step, left, right

    def elements(self, indices, rtol):
        """(k, 5) array of value, uncertainty, step, left and right slope for several elements."""
        return np.array([self.element(i, rtol) for i in indices]).reshape(-1, 5)

    def values(self, index, steps):
        """(the function with element `index` moved by each of `steps`, a bound on the rounding in it)."""
        flat = self.array.reshape(-1)
        kept = flat[index]
        samples = []
        try:
            for h in steps:
                flat[index] = kept + h
                samples.append(self.sample())
        finally:
            flat[index] = kept
        self.evaluations += len(samples)
        values, noise = np.array(samples).T
        return values, float(noise[1:].max())

    def values_along(self, direction, steps):
        """The same along a direction, of the size of the flat array."""
        kept = self.array.copy()
        samples = []
        try:
            for h in steps:
                self.array[...] = kept + h * direction.reshape(kept.shape)
                samples.append(self.sample())
        finally:
            self.array[...] = kept
        self.evaluations += len(samples)
        values, noise = np.array(samples).T
        return values, float(noise.max())


class NetSlope:
    """The same for the loss of a float64 Net, all in C. `which`: a parameter's number, or -1 for the input."""

    def __init__(self, core, which, array, x, t, replay):
        self.core, self.which, self.array, self.x, self.t = core, which, array, x, t
        self.replay = replay  # state of the generator, for layers that draw
        self.evaluations = 0

    def _derivatives(self, directions, rtol):
        self.core.rng = self.replay
        found = self.core.derivatives(self.which, directions, self.x, self.t, rtol, 0.0)
        self.evaluations += int(found[:, 3].sum())
        return found[:, [0, 1, 2, 4, 5]]

    def elements(self, indices, rtol):
        return self._derivatives(np.asarray(indices, dtype=np.int64), rtol)

    def element(self, index, rtol):
        return tuple(self.elements([index], rtol)[0])

    def along(self, direction, rtol):
        return tuple(self._derivatives(np.ascontiguousarray(direction[None]), rtol)[0])

    def values(self, index, steps):
        self.evaluations += len(steps)
        where = np.array([index], dtype=np.int64)
        self.core.rng = self.replay
        losses = self.core.losses_along(self.which, where, np.asarray(steps, dtype=float), self.x, self.t)
        return losses, 64 * FLOAT64_EPS * (1 + float(np.abs(losses[0])))
