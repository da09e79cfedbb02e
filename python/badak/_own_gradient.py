"""The gradient that a float32 ``Net`` computes itself, held against the float64 one that ``gradcheck`` has judged."""

import copy

import numpy as np

from ._noise import signed
from .language import Text
from .report import number

FLOAT32_EPS = 2.0**-23
TRIES = ((4, 1.0), (8, 4.0))  # so often everything is moved by so many units in its last place; more where in doubt
SPREADS = 8  # how many times the spread of those gradients is still rounding
SUMS = 16  # units of the largest gradient that a long sum may be off by


class OwnGradient:
    """What the kernels of the net's own dtype give, and how far rounding can take that.

    A float32 gradient cannot be better than what its inputs, each rounded to float32, let it be: the float64 gradient
    is taken several times with every parameter and x moved by about a unit in the last place of a float32, so that
    the spread knows cancellation and ReLUs that flip. Beside it stands the rounding of the sums themselves.
    """

    def __init__(self, net):
        self.net = copy.deepcopy(net)

    def at(self, twin, arrays, x, t, replay):
        """Gradients by name (``"x"`` among them) of the net at the place where the float64 twin is now."""
        for own, (_, wide) in zip(self.net.params.values(), twin.arrays("params"), strict=True):
            own[...] = wide
        self.net._core.rng = replay
        *_, dx = self.net._core.gradient(x, t, True, True)
        self.found = {name: np.array(g, dtype=np.float64) for name, g in self.net.grads.items()} | {"x": dx}
        self.twin, self.arrays, self.x, self.t, self.replay = twin, arrays, x, t, replay
        self.spreads = {}

    def judge(self, entry, gradient, largest, rng):
        """FAIL where the net's own gradient is further from the float64 one than rounding can take it."""
        own = self.found[entry.name]
        size = float(np.abs(gradient).max(initial=0))
        if size <= 64 * FLOAT32_EPS**2 * largest:  # 0 by rounding, such as a bias before batch normalization
            size = 4 * largest
        for step in range(len(TRIES)):
            allowed = SPREADS * self._spread(entry.name, step, rng) + SUMS * FLOAT32_EPS * size
            excess = np.abs(own - gradient) / np.maximum(allowed, np.finfo(float).tiny)
            excess[~np.isfinite(own)] = np.inf
            if excess.max(initial=0) <= 1:
                return
        worst = np.unravel_index(int(np.argmax(excess)), excess.shape)
        entry.status = "FAIL"
        entry.worst_index = tuple(int(i) for i in worst)
        entry.analytic, entry.numeric = float(own[worst]), float(gradient[worst])
        entry.uncertainty = float(allowed[worst])
        entry.relative_error = abs(entry.analytic - entry.numeric) / max(abs(entry.analytic), abs(entry.numeric))
        entry.diagnosis = Text(
            "own gradient",
            index=f"{entry.name}{list(entry.worst_index)}",
            dtype=str(self.net.dtype),
            own=number(entry.analytic),
            wide=number(entry.numeric),
            allowed=number(entry.uncertainty),
        )

    def _spread(self, name, step, rng):
        """Element by element, how far the float64 gradient moves with the last place of float32 numbers."""
        if step not in self.spreads:
            kept = [array.copy() for array in self.arrays]
            rest, most = self._wide(), {}
            times, units = TRIES[step]
            try:
                for _ in range(times):
                    for array, before in zip(self.arrays, kept, strict=True):
                        array[...] = before * (1 + units * FLOAT32_EPS * signed(rng, array.shape))
                    for key, gradient in self._wide().items():
                        most[key] = np.maximum(most.get(key, 0), np.abs(gradient - rest[key]))
            finally:
                for array, before in zip(self.arrays, kept, strict=True):
                    array[...] = before
            self.spreads[step] = most
        return self.spreads[step][name]

    def _wide(self):
        self.twin.rng = self.replay
        *_, dx = self.twin.gradient(self.x, self.t, True, True)
        return {name: array.copy() for name, array in self.twin.arrays("grads")} | {"x": dx}
