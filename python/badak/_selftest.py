"""``selftest`` and ``mutant``: backward passes broken on purpose, to show that the checker sees each of them."""

import copy

import numpy as np

from ._gradcheck import gradcheck
from ._state import random_stream
from ._subjects_layers import find_parameters, is_array

RTOL = 1e-6


def _one_element(g, rng):
    g = g.copy()
    g.reshape(-1)[int(rng.integers(g.size))] *= 1.1
    return g


def _drop_first(g, rng):
    g = g.copy()
    g[:1] = 0
    return g


def _dropped_mean(g, rng):
    return g + 0.1 * (np.abs(g).mean() or 1.0)


# What is done to a gradient. Each keeps its shape and dtype.
MUTATIONS = {
    "twice as large": lambda g, rng: 2 * g,
    "half as large": lambda g, rng: g / 2,
    "the sign turned": lambda g, rng: -g,
    "zero": lambda g, rng: np.zeros_like(g),
    "0.1 % too large": lambda g, rng: 1.001 * g,
    "transposed": lambda g, rng: np.ascontiguousarray(g.T) if g.shape == g.T.shape else g,
    "reversed": lambda g, rng: np.ascontiguousarray(np.flip(g)),
    "shifted by one": lambda g, rng: np.roll(g.reshape(-1), 1).reshape(g.shape),
    "one element 10 % too large": _one_element,
    "the first slice forgotten": _drop_first,
    "a constant added": _dropped_mean,
    "its absolute value": lambda g, rng: np.abs(g),
}


class Mutant:
    """A layer whose backward has one gradient changed; all else is the layer's own.

    Attributes
    ----------
    secret : str
        What was done to which gradient.
    """

    def __init__(self, layer, which, mutation, seed):
        self._layer, self._which, self._mutation, self._seed = layer, which, mutation, seed
        places = find_parameters(layer)
        self.params = {place.name: place.array(layer) for place in places}
        self._places = places
        self.grads = {}
        self.secret = f"the gradient of {which}: {mutation}"

    def forward(self, *inputs, **kwargs):
        """The layer's own forward."""
        return self._layer.forward(*inputs, **kwargs)

    def backward(self, *dout):
        """The layer's own backward, with one gradient changed."""
        returned = self._layer.backward(*dout)
        self.grads = {place.name: self._changed(place.name, place.grad(self._layer)) for place in self._places}
        if isinstance(returned, (tuple, list)):
            return type(returned)(self._changed(i, g) for i, g in enumerate(returned))
        return self._changed(0, returned)

    def _changed(self, which, gradient):
        if which != self._which or not is_array(np.asarray(gradient)):
            return gradient
        array = np.array(gradient)
        found = MUTATIONS[self._mutation](array, random_stream(self._seed, 77))
        return np.asarray(found, dtype=array.dtype)

    def __repr__(self):
        return f"<a mutant of {self._layer!r}>"


def mutant(layer, seed=0):
    """A copy of the layer whose backward is wrong in one way, for you or the checker to find.

    Parameters
    ----------
    layer : object with forward and backward
        Not changed.
    seed : int
        Chooses what is broken: every number is another game.

    Returns
    -------
    Mutant
        Its ``secret`` says what was done.
    """
    rng = random_stream(int(seed), 76)
    layer = copy.deepcopy(layer)
    gradients = [0, *(place.name for place in find_parameters(layer))]
    which = gradients[int(rng.integers(len(gradients)))]
    return Mutant(layer, which, list(MUTATIONS)[int(rng.integers(len(MUTATIONS)))], int(seed))


class SelfTest:
    """What ``selftest`` found. True if the layer is right and every mutant was caught.

    Attributes
    ----------
    report : GradientReport
        Of the layer itself.
    killed, survived, equivalent : list of str
        Mutants that were caught, that were not, and that change nothing here (by more than rtol).
    """

    def __init__(self, report, killed, survived, equivalent):
        self.report, self.killed, self.survived, self.equivalent = report, killed, survived, equivalent

    @property
    def score(self):
        """float: the share of mutants that were caught."""
        count = len(self.killed) + len(self.survived)
        return len(self.killed) / count if count else float("nan")

    @property
    def ok(self):
        """bool: the layer is right, and there were mutants, all of them caught."""
        return self.report.ok and bool(self.killed) and not self.survived

    def __bool__(self):
        return self.ok

    def __repr__(self):
        count = len(self.killed) + len(self.survived)
        lines = [
            f"{self.report.subject}: {self.report.status}; {len(self.killed)} of {count} mutants caught",
            *(f"SURVIVED: {name}" for name in self.survived),
        ]
        if self.equivalent:
            lines.append(f"{len(self.equivalent)} more change nothing at these inputs")
        return "\n".join(lines)


def selftest(layer, *inputs, seed=0, points=1, **options):
    """Break the layer's backward in many ways and see that ``gradcheck`` notices each.

    Parameters
    ----------
    layer : object with forward and backward
    *inputs : arrays
        For ``forward``.
    seed, points, **options
        For ``gradcheck``.

    Returns
    -------
    SelfTest
        With the mutation score. A mutant that changes its gradient by no more than rtol at these inputs counts as
        equivalent: nobody could tell it from the layer.
    """
    report = gradcheck(layer, *inputs, seed=seed, points=points, **options)
    killed, survived, equivalent = [], [], []
    names = [entry.name for entry in report.entries]
    inside = {place.name for place in find_parameters(layer)}
    for name in names:
        which = name if name in inside else names.index(name)
        for mutation in MUTATIONS:
            broken = Mutant(copy.deepcopy(layer), which, mutation, seed)
            changed = gradcheck(broken, *inputs, seed=seed, points=points, **options)
            label = f"{name}: {mutation}"
            if not changed[name].ok:
                killed.append(label)
            elif _same(report[name], changed[name]):
                equivalent.append(label)
            else:
                survived.append(label)
    return SelfTest(report, killed, survived, equivalent)


def _same(right, changed):
    a, b = right.pairs[:, 0], changed.pairs[:, 0]
    return a.shape == b.shape and bool(np.all(np.abs(a - b) <= RTOL * np.maximum(np.abs(a), np.abs(b)) + 1e-15))
