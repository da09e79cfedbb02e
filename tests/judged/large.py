"""Arrays too large to look at every element in Python: chosen elements, directions through all, bisection."""

import numpy as np

from . import FAIL, GREEN, PASS, Case, random_of
from .kinks import relu, unsorted

CASES = []


def add(family, title, f, inputs, gradient, expect=PASS, form="vjp", **kwargs):
    def make():
        return f, inputs(random_of(family)), {form: gradient}

    CASES.append(Case(family, title, make, frozenset(expect), **kwargs))


def bent(vjp, index, factor=1.1, plus=0.0):
    """The same but for one element of the first result."""

    def wrong(*args):
        found = vjp(*args)
        first = np.array(found[0] if isinstance(found, tuple) else found)
        first.reshape(-1)[index] = first.reshape(-1)[index] * factor + plus
        return (first, *found[1:]) if isinstance(found, tuple) else first

    return wrong


# ---------------------------------------------------------------- one of many


def sines(x):
    return float(np.sum(np.sin(x)))


for size, index, how, change in (
    (400, 217, "10 % off", {}),
    (400, 399, "0", {"factor": 0.0}),
    (10**4, 7777, "10 % off", {}),
    (10**4, 1, "its sign", {"factor": -1.0}),
    (10**4, 9999, "1e-3 off", {"factor": 1.001}),
):

    def of_size(r, size=size):
        return (r.normal(size=size),)

    if not any(case.family == f"one element of {size}" for case in CASES):
        add(f"one element of {size}", "none", sines, of_size, np.cos, form="grad")
    add(f"one element of {size}", how, sines, of_size, bent(np.cos, index, **change), FAIL, "grad")


def plus_and_minus(i, j, by):
    def grad(x):
        g = 2 * x
        g[i] += by
        g[j] -= by
        return g

    return grad


def by_turns(amount):
    return lambda x: np.exp(x / 4) / 4 * (1 + amount * (-1.0) ** np.arange(x.size))


def squares(x):
    return np.sum(x * x)


def thousand(r):
    return (r.normal(size=1000),)


add("errors that cancel", "two of 1000, +0.1 and -0.1", squares, thousand, plus_and_minus(3, 700, 0.1), FAIL, "grad")
add(
    "errors that cancel", "neighbours, +1e-3 and -1e-3", squares, thousand, plus_and_minus(500, 501, 1e-3), FAIL, "grad"
)
for amount, title, expect in ((0.01, "all of 1000, by turns 1 % up and down", FAIL), (0.0, "none", PASS)):
    add("errors that cancel", title, lambda x: np.sum(np.exp(x / 4)), thousand, by_turns(amount), expect, "grad")
add(
    "errors that cancel",
    "a vector orthogonal to the ones added",
    squares,
    thousand,
    lambda x: 2 * x + 1e-3 * np.sin(2 * np.pi * np.arange(1000) / 1000),
    FAIL,
    "grad",
)
add(
    "few of many slopes are not 0",
    "right",
    lambda x: np.sum(np.sin(x[::500])),
    lambda r: (r.normal(size=5000),),
    lambda x: np.where(np.arange(5000) % 500 == 0, np.cos(x), 0),
    form="grad",
)
for index, change, title in ((1500, {"factor": 0.5}, "one of them halved"), (1501, {"plus": 1e-2}, "one more of 0.01")):
    add(
        "few of many slopes are not 0",
        title,
        lambda x: np.sum(np.sin(x[::500])),
        lambda r: (r.normal(size=5000),),
        bent(lambda x: np.where(np.arange(5000) % 500 == 0, np.cos(x), 0), index, **change),
        FAIL,
        "grad",
    )

# ---------------------------------------------------------------- many kinks, some of them near or here


def pair(family, f, inputs, vjp, expect=PASS, bugs=None, form="vjp"):
    add(family, "right", f, inputs, vjp, expect, form)
    for title, wrong in (bugs or {"one element 10 % off": bent(vjp, 123), "all 1 % off": None}).items():
        add(family, title, f, inputs, wrong or (lambda *args: 1.01 * vjp(*args)), FAIL, form)


pair("1000 ReLUs", relu, thousand, lambda gy, x: gy * (x > 0), bugs={
    "one on the wrong side": lambda gy, x: gy * ((x > 0) ^ (np.arange(1000) == 321)),
    "all passed on": lambda gy, x: gy * 1.0,
    "1 % off": lambda gy, x: 1.01 * gy * (x > 0),
})  # fmt: skip


def half_blank(r):
    x = r.normal(size=1000)
    x[::2] = 0
    return (x,)


pair("1000 ReLUs, half of them at 0", relu, half_blank, lambda gy, x: gy * (x > 0), GREEN, {
    "7 at 0": lambda gy, x: gy * np.where(x == 0, 7, x > 0),
    "1 % off above 0": lambda gy, x: 1.01 * gy * (x > 0),
    "one above 0 forgotten": lambda gy, x: gy * ((x > 0) & (np.arange(1000) != 501)),
})  # fmt: skip
pair("sum of 1000 ReLUs, half of them at 0", lambda x: relu(x).sum(), half_blank, lambda x: (x > 0) * 1.0, GREEN, {
    "7 at 0": lambda x: np.where(x == 0, 7.0, x > 0),
    "1 % off above 0": lambda x: 1.01 * (x > 0),
}, "grad")  # fmt: skip
pair("L1 norm of 1000", lambda x: np.abs(x).sum(), thousand, np.sign, bugs={
    "one sign wrong": bent(np.sign, 77, -1.0),
    "mean for a sum": lambda x: np.sign(x) / 1000,
}, form="grad")  # fmt: skip
pair("600 sorted", np.sort, lambda r: (r.normal(size=600),), lambda gy, x: unsorted(gy, np.argsort(x)), bugs={
    "not permuted": lambda gy, x: gy.copy(),
    "two swapped": lambda gy, x: unsorted(gy, np.argsort(x))[np.r_[1, 0, 2:600]],
})  # fmt: skip
pair("largest of 1000", np.max, thousand, lambda x: (np.arange(1000) == x.argmax()) * 1.0, bugs={
    "second largest": lambda x: (np.arange(1000) == np.argsort(x)[-2]) * 1.0,
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(),
}, form="grad")  # fmt: skip

# ---------------------------------------------------------------- edges of domains, scales


pair(
    "logarithms of 1000 numbers from 1e-6 on",
    np.log,
    lambda r: (10.0 ** r.uniform(-6, 1, size=1000),),
    lambda gy, x: gy / x,
)
pair(
    "sum of logarithms of 1000 numbers from 1e-3 on",
    lambda x: np.log(x).sum(),
    lambda r: (10.0 ** r.uniform(-3, 1, size=1000),),
    lambda x: 1 / x,
    bugs={"smallest off by 10 %": lambda x: 1 / x * (1 + 0.1 * (x == x.min())), "1 % off": lambda x: 1.01 / x},
    form="grad",
)
pair(
    "1000 elements in float32",
    lambda x: np.sin(x.astype(np.float32)),
    thousand,
    lambda gy, x: gy * np.cos(x),
    {"PASS", "UNRESOLVED"},
    {"1 % off": lambda gy, x: 1.01 * gy * np.cos(x)},
)


def dense(x, W):
    return np.tanh(x @ W)


def dense_vjp(gy, x, W):
    dz = gy * (1 - np.tanh(x @ W) ** 2)
    return dz @ W.T, x.T @ dz


def with_dW(change):
    """The gradient of x right, that of W changed."""

    def vjp(gy, x, W):
        dx, dW = dense_vjp(gy, x, W)
        return dx, change(dW, gy, x, W)

    return vjp


pair(
    "a layer of 40 x 30",
    dense,
    lambda r: (r.normal(size=(5, 40)), r.normal(size=(40, 30)) / 6),
    dense_vjp,
    bugs={
        "one of 1200 weights 10 % off": with_dW(
            lambda dW, *_: dW * (1 + 0.1 * (np.arange(1200).reshape(40, 30) == 777))
        ),
        "one row of weights 0": with_dW(lambda dW, *_: dW * (np.arange(40) != 17)[:, None]),
        "first sample left out": with_dW(lambda dW, gy, x, W: dense_vjp(gy[1:], x[1:], W)[1]),
    },
)
