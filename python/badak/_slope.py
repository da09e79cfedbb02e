"""Numerical derivatives of one scalar function along elements and directions of one array, for ``gradcheck``."""

import numpy as np

from . import _core

FLOAT64_EPS = 2.0**-52
SMOOTH, KINK, JUMP = 0, 1, 2  # of the kinds that the ladder tells
COARSEST = 2.0**-9  # for nets: within one branch the loss is very smooth, and near steps cross few kinks


class Slope:
    """Numerical derivatives of one scalar function along elements and directions of one array.

    Each is a row (value, uncertainty, step, left, right, bend, kind), as of ``_core.derivative``. At a kink (kind 1) or
    a jump (2) the uncertainty is infinite: no number is the slope there; left and right are the slopes to either side.

    ``sample()`` must return (value, noise): the function with the array as it is now, less its value at rest, and a
    bound on the rounding in that.
    """

    def __init__(self, array, sample):
        self.array = array
        self.sample = sample
        self.evaluations = 0
        self.touched = None  # (element, what it was, what it became) if the code changed the one that was moved

    def element(self, index, rtol, coarsest=0.0):
        """The row of element `index` of the flat array."""
        return self._at_element(index, _core.derivative, rtol, coarsest)

    def one_sided(self, index, rtol=1e-6):
        """(left, its uncertainty, right, its uncertainty, kind): slopes to either side, each extrapolated to h = 0."""
        return self._sides(self._at_element(index, _core.one_sided, rtol, 0.0, False))

    def along(self, direction, rtol, coarsest=0.0):
        """The row of a direction, of the size of the flat array."""
        return self._along(direction, _core.derivative, rtol, coarsest)

    def one_sided_along(self, direction, rtol=1e-6):
        return self._sides(self._along(direction, _core.one_sided, rtol, 0.0, False))

    def _place(self, index):
        """Where the flat element is: the array may lie in memory in any order."""
        return np.unravel_index(int(index), self.array.shape)

    def _at_element(self, index, ladder, rtol, coarsest, as_row=True):
        array, place = self.array, self._place(index)
        kept = array[place]

        def probe(h):
            array[place] = kept + h
            placed = array[place]
            value, noise = self.sample()
            if array[place] != placed and placed == placed:
                self.touched = self.touched or (int(index), float(placed), float(array[place]))
            return value, float(placed - kept), noise

        try:
            return self._run(ladder, probe, abs(float(kept)), rtol, coarsest, as_row)
        finally:
            array[place] = kept

    def _along(self, direction, ladder, rtol, coarsest, as_row=True):
        array = self.array
        kept, move = array.copy(), direction.reshape(array.shape)

        def probe(h):
            array[...] = kept + h * move
            value, noise = self.sample()
            return value, h, noise

        try:
            return self._run(ladder, probe, float(np.abs(kept).max(initial=0)), rtol, coarsest, as_row)
        finally:
            array[...] = kept

    def _run(self, ladder, probe, size, rtol, coarsest, as_row):
        found = ladder(probe, size, rtol, coarsest)
        self.evaluations += found[3]
        return tuple(rows_of(np.array(found, dtype=float)[None])[0]) if as_row else found

    def _sides(self, found):
        return found[4], found[10], found[5], found[11], found[9]

    def elements(self, indices, rtol, coarsest=0.0):
        """The rows of several elements, (k, 7)."""
        return np.array([self.element(i, rtol, coarsest) for i in indices]).reshape(-1, 7)

    def values(self, index, steps):
        """(the function with element `index` moved by each of `steps`, a bound on the rounding in it)."""
        place = self._place(index)
        kept = self.array[place]
        samples = []
        try:
            for h in steps:
                self.array[place] = kept + h
                samples.append(self.sample())
        finally:
            self.array[place] = kept
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


def rows_of(found):
    """Results of the ladder, (k, 12), as rows (k, 7)."""
    rows = found[:, [0, 1, 2, 4, 5, 8, 9]]
    rows[(rows[:, 6] == KINK) | (rows[:, 6] == JUMP), 1] = np.inf
    return rows


class NetSlope:
    """The same for the loss of a float64 Net, all in C. `which`: a parameter's number, or -1 for the input.

    C compares the branches that every ReLU and max pool takes: a kink (kind 1) is known there, not guessed.
    """

    def __init__(self, core, which, array, x, t, replay):
        self.core, self.which, self.array, self.x, self.t = core, which, array, x, t
        self.replay = replay  # state of the generator, for layers that draw
        self.evaluations = 0

    def _derivatives(self, directions, rtol, coarsest, both_sides=False, frozen=False, extended=False):
        self.core.rng = self.replay
        options = rtol, 0.0, coarsest, both_sides, frozen, extended
        found = self.core.derivatives(self.which, directions, self.x, self.t, *options)
        self.evaluations += int(found[:, 3].sum())
        return found

    def elements(self, indices, rtol, coarsest=COARSEST):
        return rows_of(self._derivatives(np.asarray(indices, dtype=np.int64), rtol, coarsest))

    def element(self, index, rtol, coarsest=COARSEST):
        return tuple(self.elements([index], rtol, coarsest)[0])

    def along(self, direction, rtol, coarsest=COARSEST):
        """The row of a direction.

        Through many numbers some branch changes at every step, and where some sit on a kink there is no slope: then
        the branches are kept as they are at rest.
        """
        direction = np.ascontiguousarray(direction[None])
        row = rows_of(self._derivatives(direction, rtol, coarsest))[0]
        if row[6] not in (SMOOTH, JUMP):
            row = rows_of(self._derivatives(direction, rtol, coarsest, False, True))[0]
        return tuple(row)

    def frozen_elements(self, indices, rtol):
        """The rows if every ReLU and pool kept to the branch that it takes at rest: what backward differentiates."""
        indices = np.asarray(indices, dtype=np.int64)
        return rows_of(self._derivatives(indices, rtol, COARSEST, False, True))

    def extended_elements(self, indices):
        """The rows in extended precision, as many digits as float64 can hold; branches kept as at rest."""
        indices = np.asarray(indices, dtype=np.int64)
        return rows_of(self._derivatives(indices, 1e-13, 2.0**-3, False, True, True))

    def one_sided(self, index, rtol=1e-6):
        found = self._derivatives(np.array([index], dtype=np.int64), rtol, COARSEST, True)
        return tuple(found[0, [4, 10, 5, 11, 9]])

    def one_sided_along(self, direction, rtol=1e-6):
        found = self._derivatives(np.ascontiguousarray(direction[None]), rtol, COARSEST, True)
        return tuple(found[0, [4, 10, 5, 11, 9]])

    def values(self, index, steps):
        """(the loss after each step, less the loss at rest; a bound on the rounding in that)."""
        return self._values(np.array([index], dtype=np.int64), steps)

    def values_along(self, direction, steps):
        return self._values(np.ascontiguousarray(direction[None]), steps)

    def _values(self, directions, steps):
        self.evaluations += len(steps)
        self.core.rng = self.replay
        steps = np.asarray(steps, dtype=float)
        losses, noise = self.core.losses_along(self.which, directions, steps, self.x, self.t).T
        return losses, float(noise.max(initial=0))
