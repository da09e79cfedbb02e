"""What code does besides computing: changing what it was given, remembering, drawing random numbers."""

import numpy as np

from . import FAIL, PASS, Case, random_of

CASES = []


def add(title, make, conduct=(), expect=PASS, may=(), family="conduct"):
    def built():
        return make(random_of(title))

    CASES.append(Case(family, title, built, frozenset(expect), frozenset(conduct), frozenset(may)))


def function(f, vjp):
    return lambda r: (f, (r.normal(size=(2, 3)),), {"vjp": vjp})


def square(x):
    return x * x


def square_vjp(gy, x):
    return gy * 2 * x


add("nothing to find", function(square, square_vjp))

# ---------------------------------------------------------------- arguments


def in_place(x):
    x *= x
    return x


def in_place_but_copied(x):
    x *= x
    return x.copy()


def clipping(x):
    x[x > 0.5] = 0.5
    return x * x


def vjp_overwrites_x(gy, x):
    g = gy * 2 * x
    x[...] = 0
    return g


def vjp_uses_x_for_result(gy, x):
    np.multiply(gy, 2 * x, out=x)
    return x


def vjp_overwrites_gy(gy, x):
    gy *= 2 * x
    return gy


def vjp_zeroes_gy_afterwards(gy, x):
    g = gy * 2 * x
    gy[...] = 0
    return g


add("f squares its argument in place and returns it", function(in_place, square_vjp), ["MUTATED_INPUT"])
add("f squares its argument in place", function(in_place_but_copied, square_vjp), ["MUTATED_INPUT"])
CLIPPING = {"vjp": lambda gy, x: gy * 2 * np.minimum(x, 0.5) * (x <= 0.5)}
add(
    "f clips its argument in place",
    lambda r: (clipping, (np.array([0.8, -1.0, 0.2]),), dict(CLIPPING)),
    ["MUTATED_INPUT"],
)
add(
    "f clips its argument in place, though not at the given point",
    lambda r: (clipping, (np.array([0.4, -1.0, 0.2]),), dict(CLIPPING)),
    ["MUTATED_INPUT"],
    ["PASS", "KINK"],
)
add("vjp overwrites the input", function(square, vjp_overwrites_x), ["MUTATED_INPUT"])
add("vjp writes its result into the input", function(square, vjp_uses_x_for_result), ["MUTATED_INPUT"])
add("vjp multiplies gy in place", function(square, vjp_overwrites_gy), ["MUTATED_GY"])
add("vjp clears gy", function(square, vjp_zeroes_gy_afterwards), ["MUTATED_GY"])


def mutates_second(r):
    def f(a, b):
        y = a @ b
        b += 1
        return y

    return f, (r.normal(size=(2, 3)), r.normal(size=(3, 2))), {"vjp": lambda gy, a, b: (gy @ b.T, a.T @ gy)}


add("f changes its second argument", mutates_second, ["MUTATED_INPUT"])


def mutates_labels(r):
    def f(x, t):
        y = x[np.arange(2), t].sum()
        t += 0 if t.max() else 1
        t[0] = 1
        return y

    def vjp(gy, x, t):
        g = np.zeros_like(x)
        g[np.arange(2), t] = gy
        return g, None

    return f, (r.normal(size=(2, 3)), np.array([1, 2])), {"vjp": vjp}


add("labels set to what they are", mutates_labels)


def sorts_integers(r):
    def f(x, order):
        order.sort()
        return x[order] ** 2

    def vjp(gy, x, order):
        g = np.zeros_like(x)
        g[np.sort(order)] = gy * 2 * x[np.sort(order)]
        return g, None

    return f, (r.normal(size=4), np.array([2, 0, 3, 1])), {"vjp": vjp}


add("f sorts the integers it was given", sorts_integers, ["MUTATED_INPUT"])

# ---------------------------------------------------------------- results that share memory: no fault


add("f returns its argument", function(lambda x: x, lambda gy, x: gy))
add("f returns a view of its argument", function(lambda x: x.T[::-1], lambda gy, x: gy[::-1].T))
add("vjp returns a view of gy", function(lambda x: x.T, lambda gy, x: gy.T))
add(
    "vjp returns a broadcast array",
    lambda r: (np.sum, (r.normal(size=(2, 3)),), {"vjp": lambda gy, x: np.broadcast_to(gy, x.shape)}),
)
add(
    "vjp returns one array for two inputs",
    lambda r: (np.add, (r.normal(size=3), r.normal(size=3)), {"vjp": lambda gy, a, b: (gy, gy)}),
)


def reuses_memory(wrong):
    def make(r):
        y, dx = np.empty((2, 3)), np.empty((2, 3))
        factor = 4.0 if wrong else 2.0
        return (
            lambda x: np.multiply(x, x, out=y),
            (r.normal(size=(2, 3)),),
            {"vjp": lambda gy, x: np.multiply(gy, factor * x, out=dx)},
        )

    return make


add("results are written into the same memory each time", reuses_memory(False))
add("results are written into the same memory, and doubled", reuses_memory(True), expect=FAIL)
add(
    "f returns a list",
    lambda r: (lambda x: list(x * x), (r.normal(size=3),), {"vjp": lambda gy, x: 2 * np.asarray(gy) * x}),
)

# ---------------------------------------------------------------- gy


add("gy ignored", function(square, lambda gy, x: 2 * x), ["NOT_LINEAR_IN_GY"], FAIL)
add("|gy|", function(square, lambda gy, x: np.abs(gy) * 2 * x), ["NOT_LINEAR_IN_GY"], FAIL)
add("gy squared", function(square, lambda gy, x: gy * gy * 2 * x), ["NOT_LINEAR_IN_GY"], FAIL)
add("only the sign of gy", function(square, lambda gy, x: np.sign(gy) * 2 * x), ["NOT_LINEAR_IN_GY"], FAIL)
add("weight decay added", function(square, lambda gy, x: gy * 2 * x + 0.1 * x), ["NOT_LINEAR_IN_GY"], FAIL)
add(
    "gradient clipped to length 1",
    function(square, lambda gy, x: (lambda g: g / max(1.0, np.sqrt((g * g).sum())))(gy * 2 * x)),
    ["NOT_LINEAR_IN_GY"],
    ["PASS", "FAIL"],
)
add(
    "gradient clipped to 2",
    function(square, lambda gy, x: np.clip(gy * 2 * x, -2, 2)),
    ["NOT_LINEAR_IN_GY"],
    ["PASS", "FAIL"],
)
add("gy rounded to float16", function(square, lambda gy, x: gy.astype(np.float16) * 2 * x), ["NOT_LINEAR_IN_GY"], FAIL)
CASES[-1] = Case("conduct", "gy rounded to float16", CASES[-1].make, FAIL, may=frozenset({"NOT_LINEAR_IN_GY"}))
add("mean of gy for gy", function(square, lambda gy, x: gy.mean() * 2 * x), expect=FAIL)
add("gy of the neighbour", function(square, lambda gy, x: np.roll(gy, 1) * 2 * x), expect=FAIL)
add(
    "loss: gy ignored",
    lambda r: (lambda x: (x * x).sum(), (r.normal(size=4),), {"vjp": lambda gy, x: 2 * x}),
    ["NOT_LINEAR_IN_GY"],
    ["FAIL", "PASS"],
)

# ---------------------------------------------------------------- chance and memory


def noisy_from(draw):
    return lambda r: (lambda x: x * x + 1e-3 * draw(x.shape), (r.normal(size=3),), {"vjp": square_vjp})


ANY = frozenset({"PASS", "FAIL", "UNRESOLVED", "DISCONTINUOUS", "KINK"})

add(
    "random numbers from a fresh generator",
    noisy_from(lambda shape: np.random.default_rng().normal(size=shape)),
    ["NONDETERMINISTIC"],
    ANY,
)
add("random numbers from np.random", noisy_from(lambda shape: np.random.normal(size=shape)), ["NONDETERMINISTIC"], ANY)


def own_generator(r):
    mine = np.random.default_rng(3)
    return lambda x: x * x + 1e-3 * mine.normal(size=x.shape), (r.normal(size=3),), {"vjp": square_vjp}


add("random numbers from a generator of its own", own_generator, ["NONDETERMINISTIC"], ANY)


def tiny_noise(r):
    mine = np.random.default_rng(3)
    return lambda x: x * x * (1 + 1e-13 * mine.normal(size=x.shape)), (r.normal(size=3),), {"vjp": square_vjp}


add("random numbers in the 13th digit", tiny_noise, ["NONDETERMINISTIC"], ANY)


def drifting(r):
    calls = []

    def f(x):
        calls.append(1)
        return x * x + 1e-2 * len(calls)

    return f, (r.normal(size=3),), {"vjp": square_vjp}


add("each call adds something to the result", drifting, ["NONDETERMINISTIC", "STATE_CHANGED"], ANY)


def seeded(r):
    def f(x):
        return x * np.random.default_rng(0).uniform(0.5, 1.5, x.shape)

    return f, (r.normal(size=3),), {"vjp": lambda gy, x: gy * np.random.default_rng(0).uniform(0.5, 1.5, x.shape)}


add("the same random numbers each time", seeded)


def accumulating(r):
    total = np.zeros((2, 3))

    def vjp(gy, x):
        nonlocal total
        total = total + gy * 2 * x
        return total

    return square, (r.normal(size=(2, 3)),), {"vjp": vjp}


def accumulating_in_place(r):
    total = np.zeros((2, 3))

    def vjp(gy, x):
        total[...] += gy * 2 * x
        return total

    return square, (r.normal(size=(2, 3)),), {"vjp": vjp}


MEMORY = ["NOT_REENTRANT", "NOT_LINEAR_IN_GY", "STATE_CHANGED", "NONDETERMINISTIC"]
add("gradients add up over the calls", accumulating, MEMORY, ANY)
add("gradients add up over the calls in one array", accumulating_in_place, MEMORY, ANY)


def random_backward(r):
    mine = np.random.default_rng(1)
    return square, (r.normal(size=3),), {"vjp": lambda gy, x: gy * 2 * x * (1 + 1e-3 * mine.normal(size=x.shape))}


add(
    "a backward that draws random numbers",
    random_backward,
    ["NOT_REENTRANT", "NONDETERMINISTIC"],
    ANY,
    may=["NOT_LINEAR_IN_GY"],
)


def every_other(r):
    calls = []

    def vjp(gy, x):
        calls.append(1)
        return gy * 2 * x * (1 if len(calls) % 2 else 2)

    return square, (r.normal(size=3),), {"vjp": vjp}


add(
    "a backward that is right every other time",
    every_other,
    ["NOT_REENTRANT", "NONDETERMINISTIC"],
    ANY,
    may=["NOT_LINEAR_IN_GY"],
)


def remembers_forward(r):
    """A pair of functions with a cache: right as long as backward follows its forward."""
    kept = {}

    def f(x):
        kept["y"] = np.exp(x)
        return kept["y"].copy()

    return f, (r.normal(size=3),), {"vjp": lambda gy, x: gy * kept["y"]}


add("a cache between forward and backward", remembers_forward)


def first_cache(r):
    """Keeps what the first forward computed for ever."""
    kept = {}

    def f(x):
        y = np.exp(x)
        kept.setdefault("y", y)
        return y

    return f, (r.normal(size=3),), {"vjp": lambda gy, x: gy * kept["y"]}


add("a cache that is never renewed", first_cache, expect=FAIL, may=["STATE_CHANGED"])


def sets_the_seed(r):
    def f(x):
        np.random.seed(0)
        return x * np.random.rand(*x.shape)

    def vjp(gy, x):
        np.random.seed(0)
        return gy * np.random.rand(*x.shape)

    return f, (r.normal(size=3),), {"vjp": vjp}


add("the global seed is set", sets_the_seed, may=["STATE_CHANGED"])
