"""Random expression graphs with exact reverse mode, of which one local rule can be broken.

A ``Graph(seed)`` is a scalar or an array function of two or three arrays, ``vjp`` its backward; ``mutants()`` gives it
with the rule of one node replaced.
"""

import numpy as np


def _sum_to(g, shape):
    """Undo broadcasting."""
    while g.ndim > len(shape):
        g = g.sum(axis=0)
    for axis, n in enumerate(shape):
        if n == 1 and g.shape[axis] != 1:
            g = g.sum(axis=axis, keepdims=True)
    return g


# name -> (value, rule): rule(gy, y, *inputs) gives a gradient for each input
UNARY = {
    "sin": (np.sin, lambda g, y, x: (g * np.cos(x),)),
    "tanh": (np.tanh, lambda g, y, x: (g * (1 - y * y),)),
    "exp": (lambda x: np.exp(0.3 * x), lambda g, y, x: (0.3 * g * y,)),
    "log": (lambda x: np.log(1 + x * x), lambda g, y, x: (g * 2 * x / (1 + x * x),)),
    "root": (lambda x: np.sqrt(1 + x * x), lambda g, y, x: (g * x / y,)),
    "square": (lambda x: x * x, lambda g, y, x: (2 * g * x,)),
    "reciprocal": (lambda x: 1 / (1.5 + np.sin(x)), lambda g, y, x: (-g * np.cos(x) * y * y,)),
    "scale": (lambda x: -1.7 * x, lambda g, y, x: (-1.7 * g,)),
    "cumsum": (lambda x: np.cumsum(x, axis=-1), lambda g, y, x: (np.cumsum(g[..., ::-1], axis=-1)[..., ::-1],)),
    "transpose": (lambda x: x.T @ np.ones((x.shape[0], 3)) / 3, lambda g, y, x: (np.ones((x.shape[0], 3)) @ g.T / 3,)),
    "centre": (
        lambda x: x - x.mean(axis=0, keepdims=True),
        lambda g, y, x: (g - g.mean(axis=0, keepdims=True),),
    ),
    "softmax": (
        lambda x: (lambda e: e / e.sum(axis=-1, keepdims=True))(np.exp(x - x.max(axis=-1, keepdims=True))),
        lambda g, y, x: (y * (g - (g * y).sum(axis=-1, keepdims=True)),),
    ),
    "row sum": (lambda x: x.sum(axis=0, keepdims=True), lambda g, y, x: (np.broadcast_to(g, x.shape),)),
    "relu": (lambda x: np.maximum(x, 0), lambda g, y, x: (g * (x > 0),)),
    "reverse": (lambda x: x[::-1], lambda g, y, x: (g[::-1],)),
}
BINARY = {
    "add": (np.add, lambda g, y, a, b: (_sum_to(g, a.shape), _sum_to(g, b.shape))),
    "subtract": (np.subtract, lambda g, y, a, b: (_sum_to(g, a.shape), -_sum_to(g, b.shape))),
    "multiply": (np.multiply, lambda g, y, a, b: (_sum_to(g * b, a.shape), _sum_to(g * a, b.shape))),
    "divide": (
        lambda a, b: a / (2 + b * b),
        lambda g, y, a, b: (_sum_to(g / (2 + b * b), a.shape), _sum_to(-2 * g * b * y / (2 + b * b), b.shape)),
    ),
    "gram": (lambda a, b: a @ b.T, lambda g, y, a, b: (g @ b, g.T @ a)),
}
BREAK = {
    "doubled": lambda g, x: [2 * p for p in g],
    "sign": lambda g, x: [-p for p in g],
    "0": lambda g, x: [0 * p for p in g],
    "first branch only": lambda g, x: [g[0], *(0 * p for p in g[1:])] if len(g) > 1 else [0.5 * g[0]],
    "1 % off": lambda g, x: [1.01 * p for p in g],
    "one element 10 % off": lambda g, x: [g[0] * _bump(g[0].shape), *g[1:]],
    "rolled": lambda g, x: [np.roll(p, 1) for p in g],
    "reversed rows": lambda g, x: [p[::-1] for p in g],
    "mean over the rows": lambda g, x: [np.broadcast_to(p.mean(axis=0, keepdims=True), p.shape) for p in g],
    "0 where negative": lambda g, x: [p * (a > 0) for p, a in zip(g, x, strict=True)],
    "1e-4 off": lambda g, x: [(1 + 1e-4) * p for p in g],
    "plus its input": lambda g, x: [p + 0.1 * a * np.abs(p).mean() for p, a in zip(g, x, strict=True)],
}


def _bump(shape):
    bump = np.ones(shape)
    bump.reshape(-1)[bump.size // 2] = 1.1
    return bump


class Graph:
    """A function and its backward; ``nodes`` are (rule's name, numbers of the inputs)."""

    def __init__(self, seed, smooth=False):
        rng = np.random.default_rng([7, seed])
        self.rng = rng
        n, m = int(rng.integers(1, 5)), int(rng.integers(1, 5))
        self.inputs = tuple(
            rng.normal(size=shape) * 10.0 ** rng.uniform(-1, 1)
            for shape in [(n, m), (n, m), (1, m)][: int(rng.integers(2, 4))]
        )
        self.nodes = []
        values = list(self.inputs)
        used = set()
        names = [name for name in UNARY if not (smooth and name == "relu")]
        for _ in range(int(rng.integers(4, 9))):
            unused = [i for i in range(len(values)) if i not in used]
            i = int(rng.choice(unused)) if unused else int(rng.integers(len(values)))
            partners = [j for j in range(len(values)) if j != i and self._fit(values[i], values[j])]
            if rng.random() < 0.5 and partners:
                name, j = str(rng.choice(list(BINARY))), int(rng.choice(partners))
                if name == "gram" and values[i].shape[1] != values[j].shape[1]:
                    name = "add"
                where = (i, j)
            else:
                name, where = str(rng.choice(names)), (i,)
            y = self._value(name)(*(values[k] for k in where))
            if not np.isfinite(y).all() or np.abs(y).max() > 1e4:
                continue
            self.nodes.append((name, where))
            values.append(y)
            used.update(where)
        self.scalar = rng.random() < 0.5
        # what nobody used ends in the result as well
        self.loose = [i for i in range(len(values)) if i not in used]
        self.weights = {i: rng.normal(size=values[i].shape) for i in self.loose}
        self.last = self.loose[-1]

    @staticmethod
    def _fit(a, b):
        try:
            np.broadcast_shapes(a.shape, b.shape)
        except ValueError:
            return False
        return True

    @staticmethod
    def _value(name):
        return (UNARY.get(name) or BINARY[name])[0]

    @staticmethod
    def _rule(name):
        return (UNARY.get(name) or BINARY[name])[1]

    def _run(self, inputs):
        values = list(inputs)
        for name, where in self.nodes:
            values.append(self._value(name)(*(values[k] for k in where)))
        return values

    def __call__(self, *inputs):
        values = self._run(inputs)
        rest = sum((self.weights[i] * values[i]).sum() for i in self.loose if i != self.last or self.scalar)
        return rest if self.scalar else values[self.last] + rest

    def vjp(self, gy, *inputs, broken=None, how=None):
        values = self._run(inputs)
        g = [np.zeros_like(v) for v in values]
        for i in self.loose:
            if i != self.last or self.scalar:
                g[i] += np.sum(gy) * self.weights[i]
        if not self.scalar:
            g[self.last] = g[self.last] + gy
        for number in reversed(range(len(self.nodes))):
            name, where = self.nodes[number]
            at = len(self.inputs) + number
            arguments = [values[k] for k in where]
            parts = self._rule(name)(g[at], values[at], *arguments)
            if number == broken:
                parts = BREAK[how](parts, arguments)
            for k, part in zip(where, parts, strict=True):
                g[k] = g[k] + part
        return tuple(g[: len(self.inputs)])

    def mutants(self):
        """(description, vjp) of every way to break one rule that changes the gradient visibly."""
        shape = np.shape(self(*self.inputs))
        gy = np.random.default_rng(0).uniform(0.5, 1.5, shape) if shape else 1.0
        right = self.vjp(gy, *self.inputs)
        largest = max(np.abs(g).max() for g in right) or 1.0
        for number, (name, _) in enumerate(self.nodes):
            for how in BREAK:

                def wrong(gy, *inputs, number=number, how=how):
                    return self.vjp(gy, *inputs, broken=number, how=how)

                with np.errstate(all="ignore"):
                    found = wrong(gy, *self.inputs)
                    gap = max(
                        np.max(np.abs(a - b) / np.maximum(np.maximum(np.abs(a), np.abs(b)), 1e-6 * largest))
                        for a, b in zip(found, right, strict=True)
                    )
                if gap > 1e-4:
                    yield f"{name} (node {number}): {how}", wrong
