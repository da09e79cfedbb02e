"""Functions that are hard to differentiate numerically, and code that computes with few digits."""

import math
from dataclasses import replace

import numpy as np

from . import FAIL, NOISY, PASS, WRONG_BUT_NOISY, family

CASES = []


def add(*args, **kwargs):
    CASES.extend(family(*args, **kwargs))


def scalar_map(name, f, slope, at, wrong=None, **kwargs):
    """f of each element at these numbers; doubled slopes must be seen, whatever else is in `wrong`."""
    wrong = {"doubled": lambda x: 2 * slope(x)} | (wrong or {})
    noisy = kwargs.get("expect") == NOISY
    add(
        name,
        f,
        lambda r: (np.array(at, dtype=float),),
        lambda gy, x: gy * slope(x),
        {k: (lambda gy, x, g=g: gy * g(x), WRONG_BUT_NOISY if noisy else FAIL) for k, g in wrong.items()},
        **kwargs,
    )


# ---------------------------------------------------------------- scales


scalar_map("numbers of 1e8", lambda x: x * x, lambda x: 2 * x, [1e8, -3e8, 2e7])
scalar_map("numbers of 1e-8", lambda x: np.sin(x * 1e8), lambda x: 1e8 * np.cos(x * 1e8), [1e-8, -3e-8, 2e-9])
scalar_map("results of 1e-20", lambda x: 1e-20 * np.exp(x), lambda x: 1e-20 * np.exp(x), [0.3, -1.0])
scalar_map("results of 1e200", lambda x: 1e200 * np.exp(x), lambda x: 1e200 * np.exp(x), [0.3, -1.0])
scalar_map("numbers from 1e-6 to 1e6", lambda x: x**3, lambda x: 3 * x * x, [1e-6, 1e-3, 1.0, 1e3, 1e6])
SCALES = 10.0 ** np.arange(-6, 7, 2)
add(
    "a sum with weights from 1e-6 to 1e6",
    lambda x: SCALES @ np.sin(x),
    lambda r: (r.uniform(0.2, 1.2, size=7),),
    lambda x: SCALES * np.cos(x),
    {
        "largest off by 1e-4": lambda x: SCALES * np.cos(x) * (1 + 1e-4 * (np.arange(7) == 6)),
        "weights forgotten": lambda x: np.cos(x),
        "middle one doubled": lambda x: SCALES * np.cos(x) * (1 + (np.arange(7) == 3)),
    },
    form="grad",
)


def rosenbrock(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def rosenbrock_grad(x, last=True):
    g = np.zeros_like(x)
    g[1:] += 200 * (x[1:] - x[:-1] ** 2)
    g[:-1] += -400 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2 * (1 - x[:-1])
    if not last:
        g[-1] = 0
    return g


add(
    "Rosenbrock",
    rosenbrock,
    lambda r: (r.normal(size=5),),
    rosenbrock_grad,
    {
        "last element 0": lambda x: rosenbrock_grad(x, last=False),
        "inner term missing": lambda x: rosenbrock_grad(x) + 2 * (1 - x),
    },
    form="grad",
)
add(
    "Rosenbrock at its minimum",  # the gradient is 0 there, and nowhere near
    rosenbrock,
    lambda r: (np.ones(4),),
    rosenbrock_grad,
    {"last element 0": lambda x: rosenbrock_grad(x, last=False)},
    form="grad",
)

# ---------------------------------------------------------------- domains


with np.errstate(all="ignore"):
    scalar_map("logarithm at 1e-3", np.log, lambda x: 1 / x, [1e-3, 0.5, 3.0])
    scalar_map("logarithm at 1e-8", np.log, lambda x: 1 / x, [1e-8, 0.5])
    scalar_map("square root at 1e-6", np.sqrt, lambda x: 0.5 / np.sqrt(x), [1e-6, 0.04, 2.0])
    scalar_map("arcsine at 0.9999", np.arcsin, lambda x: 1 / np.sqrt(1 - x * x), [0.9999, -0.5])
    scalar_map("1/x at 1e-3", lambda x: 1 / x, lambda x: -1 / x**2, [1e-3, -2.0], {"sign": lambda x: 1 / x**2})
    scalar_map("1/x at 1e-6", lambda x: 1 / x, lambda x: -1 / x**2, [1e-6, -1e-5], {"sign": lambda x: 1 / x**2})
    scalar_map("tangent near its pole", np.tan, lambda x: 1 / np.cos(x) ** 2, [1.57, 0.3])
    scalar_map("exponential near overflow", np.exp, np.exp, [709.0, 700.0])
    scalar_map(
        "entropy",
        lambda x: -x * np.log(x),
        lambda x: -np.log(x) - 1,
        [1e-4, 0.3, 0.9],
        {"-1 missing": lambda x: -np.log(x)},
    )
    scalar_map("logit", lambda x: np.log(x / (1 - x)), lambda x: 1 / (x * (1 - x)), [1e-3, 0.5, 0.999])


def domain(name, f, slope, at, statuses, **kwargs):
    add(
        name,
        f,
        lambda r: (np.array(at, dtype=float),),
        lambda gy, x: gy * slope(x),
        expect=frozenset(statuses),
        **kwargs,
    )


domain(
    "square root at 0",
    lambda x: np.sqrt(x),
    lambda x: 0.5 / np.sqrt(np.where(x > 0, x, np.nan)),
    [0.0, 1.0],
    {"NONFINITE"},
    title="the slope is infinite",
)
domain(
    "square root at 0",
    lambda x: np.sqrt(x),
    lambda x: np.where(x > 0, 0.5 / np.sqrt(np.where(x > 0, x, 1)), 0),
    [0.0, 1.0],
    {"FAIL", "UNRESOLVED"},
    title="0 where the slope is infinite",
)
domain(
    "x^1.5 at 0",
    lambda x: np.power(x, 1.5),
    lambda x: 1.5 * np.sqrt(x),
    [0.0, 0.5, 2.0],
    {"PASS", "UNRESOLVED"},
    title="one-sided",
)
domain("logarithm at 0", np.log, lambda x: 1 / np.maximum(x, 1e-300), [0.0, 1.0], {"NONFINITE"}, title="not finite")
domain("a function that is NaN", lambda x: x * np.nan, lambda x: x, [1.0, 2.0], {"NONFINITE"})
domain(
    "NaN from the branch not taken",
    lambda x: np.where(x > 0, np.log(np.where(x > 0, x, 1)), 0),
    lambda x: np.where(x > 0, 1, 0) * np.where(x > 0, 1 / x, np.nan),
    [1.0, -1.0],
    {"NONFINITE"},
)
domain(
    "a root whose other side does not exist",
    lambda x: np.sqrt(1 - x),
    lambda x: -0.5 / np.sqrt(1 - x),
    [1 - 1e-10, 0.5],
    {"PASS", "UNRESOLVED"},
    title="1e-10 from the edge",
)

# ---------------------------------------------------------------- curvature


scalar_map("sin(100 x)", lambda x: np.sin(100 * x), lambda x: 100 * np.cos(100 * x), [0.3, 1.0, -2.2])
scalar_map("sin(1e4 x)", lambda x: np.sin(1e4 * x), lambda x: 1e4 * np.cos(1e4 * x), [0.3, 1.0, -2.2])
scalar_map("exp(20 x)", lambda x: np.exp(20 * x), lambda x: 20 * np.exp(20 * x), [0.3, 1.0, -2.2])
scalar_map(
    "a peak 1e-3 wide",
    lambda x: np.exp(-((x / 1e-3) ** 2)),
    lambda x: -2e6 * x * np.exp(-((x / 1e-3) ** 2)),
    [5e-4, -1e-3],
)
scalar_map(
    "tanh(1000 x)", lambda x: np.tanh(1e3 * x), lambda x: 1e3 / np.cosh(np.clip(1e3 * x, -300, 300)) ** 2, [1e-4, -5e-4]
)
scalar_map("sin(1/x)", lambda x: np.sin(1 / x), lambda x: -np.cos(1 / x) / x**2, [0.05, 0.2])
scalar_map(
    "a sharp bend that is smooth",
    lambda x: np.logaddexp(0, 1e4 * x) / 1e4,
    lambda x: 1 / (1 + np.exp(-np.clip(1e4 * x, -500, 500))),
    [1e-5, -1e-4, 1.0],
    {"a step": lambda x: (x > 0) * 1.0},
)
scalar_map(
    "root of x^2 + 1e-12",
    lambda x: np.sqrt(x * x + 1e-12),
    lambda x: x / np.sqrt(x * x + 1e-12),
    [1e-6, 1.0],
    {"sign(x)": np.sign},
)
scalar_map(
    "a fast ripple on a slow wave",
    lambda x: x + 1e-6 * np.sin(1e6 * x),
    lambda x: 1 + np.cos(1e6 * x),
    [0.1, 0.7],
    {"ripple forgotten": lambda x: np.ones_like(x)},
)
scalar_map("degree 20", lambda x: x**20, lambda x: 20 * x**19, [0.5, 1.1, -1.3])
scalar_map("x^2 at 0", lambda x: x * x, lambda x: 2 * x, [0.0, 0.0], title="a minimum, elsewhere not")

# ---------------------------------------------------------------- cancellation and noise


scalar_map(
    "(1 - cos x) / x^2",
    lambda x: (1 - np.cos(x)) / x**2,
    lambda x: np.sin(x) / x**2 - 2 * (1 - np.cos(x)) / x**3,
    [0.5, 1.0, -2.0],
)
scalar_map(
    "(1 - cos x) / x^2 at 1e-3",
    lambda x: (1 - np.cos(x)) / x**2,
    lambda x: -x / 12 + x**3 / 180,
    [1e-3, -2e-3],
)
scalar_map("exp(x) - 1 at 1e-9", lambda x: np.exp(x) - 1, np.exp, [1e-9, -2e-9])
scalar_map(
    "root of x^2 + 1, less x, at 1e5",
    lambda x: np.sqrt(x * x + 1) - x,
    lambda x: -1 / (np.sqrt(x * x + 1) * (np.sqrt(x * x + 1) + x)),
    [1e5, 5e4],
    expect=NOISY,
)
add(
    "variance as E x^2 - (E x)^2 around 1e4",
    lambda x: np.mean(x * x) - np.mean(x) ** 2,
    lambda r: (1e4 + r.normal(size=4),),
    lambda x: 2 * (x - x.mean()) / x.size,
    {"doubled": (lambda x: 4 * (x - x.mean()) / x.size, WRONG_BUT_NOISY)},
    form="grad",
    expect=NOISY,
)


def hashed(x):
    """Numbers in [-1, 1] that look random and are the same for the same x."""
    bits = np.ascontiguousarray(x, dtype=float).view(np.uint64)
    mixed = (bits ^ (bits >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0x94D049BB133111EB)
    return (mixed >> np.uint64(11)).astype(float) / 2.0**52 - 1


for noise in (1e-12, 1e-9, 1e-6):
    scalar_map(
        f"noise of {noise:g}",
        lambda x, noise=noise: np.sin(x) + noise * hashed(x),
        np.cos,
        [0.3, 1.0, -0.7],
        expect=NOISY,
    )
scalar_map(
    "noise of 1",
    lambda x: np.sin(x) + hashed(x),
    np.cos,
    [0.3, 1.0, -0.7],
    expect=frozenset({"UNRESOLVED", "DISCONTINUOUS"}),
    title="all noise",
)
CASES = [c for c in CASES if not (c.family == "noise of 1" and c.title != "all noise")]

# ---------------------------------------------------------------- float32


def in_float32(f, back=np.float64):
    return lambda *inputs: f(*(np.asarray(x, dtype=np.float32) for x in inputs)).astype(back)


def doubled(g):
    return lambda gy, x: 2 * gy * g(x)


for title, back in (("returned as float32", np.float32), ("hidden in float64", np.float64)):
    add(
        "float32 inside",
        in_float32(np.sin, back),
        lambda r: (np.array([0.3, 1.0, -2.0]),),
        lambda gy, x: gy * np.cos(x),
        {f"doubled, {title}": doubled(np.cos), f"1 % off, {title}": lambda gy, x: 1.01 * gy * np.cos(x)},
        expect=NOISY,
        title=title,
    )
add(
    "float32 inside, scaled in float64",  # the results do not fit float32, yet know no more digits
    lambda x: np.sin(x.astype(np.float32)).astype(float) / 3.0,
    lambda r: (np.array([0.3, 1.0, -2.0]),),
    lambda gy, x: gy * np.cos(x) / 3,
    {"doubled": lambda gy, x: gy * 2 * np.cos(x) / 3},
    expect=NOISY,
)
add(
    "sum of float32 terms in float64",
    lambda x: np.sum((x.astype(np.float32) ** 2).astype(float)),
    lambda r: (r.normal(size=6),),
    lambda x: 2 * x,
    {"2 missing": lambda x: x.copy()},
    form="grad",
    expect=NOISY,
)
add(
    "float32 inside, a float64 twin given",
    in_float32(np.sin, np.float32),
    lambda r: (np.array([0.3, 1.0, -2.0]),),
    lambda gy, x: gy * np.cos(x),
    {"doubled": lambda gy, x: 2 * gy * np.cos(x), "1e-3 off": lambda gy, x: 1.001 * gy * np.cos(x)},
    reference=np.sin,
)
add(
    "saturated sigmoid",  # 1 to all 16 digits: no slope to be seen
    lambda x: 1 / (1 + np.exp(-x)),
    lambda r: (np.array([60.0, 80.0]),),
    lambda gy, x: gy * np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))) ** 2,
    {"1": lambda gy, x: gy * 1.0},
    expect=frozenset({"PASS", "UNRESOLVED", "VACUOUS"}),
)


# ---------------------------------------------------------------- layouts and forms of inputs


def fortran(r):
    return (np.asfortranarray(r.normal(size=(3, 4))),)


def quadratic(gy, x):
    return gy * 2 * x


for title, inputs in {
    "Fortran order": fortran,
    "a view with steps": lambda r: (r.normal(size=(6, 8))[::2, ::-2],),
    "a transposed view": lambda r: (r.normal(size=(4, 3)).T,),
    "stride 0": lambda r: (np.broadcast_to(r.normal(size=4), (3, 4)),),
    "read-only": lambda r: (np.broadcast_to(r.normal(size=(3, 4)), (3, 4)),),
    "one number": lambda r: (1.25,),
    "an array without dimensions": lambda r: (np.array(1.25),),
    "float32": lambda r: (r.normal(size=(3, 4)).astype(np.float32),),
    "a dimension of 1": lambda r: (r.normal(size=(3, 1, 1)),),
}.items():
    add("layout", lambda x: x * x, inputs, quadratic, {f"{title}, x for 2 x": lambda gy, x: gy * x}, title=title)
add(
    "layout",
    lambda x: x * np.arange(12.0).reshape(3, 4),
    fortran,
    lambda gy, x: gy * np.arange(12.0).reshape(3, 4),
    {"Fortran order taken for C": lambda gy, x: gy * np.arange(12.0).reshape(4, 3).T},
    title="Fortran order, element by element",
)
add(
    "integers are passed on",
    lambda x, n: x**n,
    lambda r: (r.uniform(0.5, 2, size=4), np.array([1, 2, 3, 4])),
    lambda gy, x, n: (gy * n * x ** (n - 1), None),
    {"n forgotten": lambda gy, x, n: (gy * x ** (n - 1), None)},
)
add(
    "scalar of a scalar",
    lambda x: math.exp(math.sin(x)),
    lambda r: (0.7,),
    lambda x: math.cos(x) * math.exp(math.sin(x)),
    {"chain rule forgotten": lambda x: math.exp(math.sin(x))},
    form="grad",
)


def twice(r):
    x = r.normal(size=4)
    return x, x


def aliased(name, f, right, wrong, expect=PASS):
    """f(x, x): the inputs must stay one object, so they are made without copying."""
    from . import Case, random_of

    def make(vjp):
        return lambda: (f, twice(random_of(name)), {"vjp": vjp})

    return [Case(name, "right", make(right), expect)] + [Case(name, k, make(v), FAIL) for k, v in wrong.items()]


CASES += aliased(
    "the same array twice",
    lambda a, b: a * b,
    lambda gy, a, b: (gy * b, gy * a),
    {
        "one of the two forgotten": lambda gy, a, b: (gy * b, np.zeros_like(a)),
        "both as if squared": lambda gy, a, b: (2 * gy * b, 2 * gy * a),
    },
)
add(
    "two views of one array",
    lambda a, b: a * np.sin(b),
    lambda r: (lambda x: (x[:4], x[2:]))(r.normal(size=6)),
    lambda gy, a, b: (gy * np.sin(b), gy * a * np.cos(b)),
    {"one doubled": lambda gy, a, b: (2 * gy * np.sin(b), gy * a * np.cos(b))},
)

# ---------------------------------------------------------------- what is no gradient at all


def cube(x):
    return x**3


for title, gradient, status in (
    ("a row for a vector", lambda gy, x: (gy * 3 * x * x)[None], "SHAPE"),
    ("a number for an array", lambda gy, x: float((gy * 3 * x * x).sum()), "SHAPE"),
    ("one element too few", lambda gy, x: (gy * 3 * x * x)[:-1], "SHAPE"),
    ("the whole Jacobian", lambda gy, x: np.diag(gy * 3 * x * x), "SHAPE"),
    ("nothing", lambda gy, x: np.array([]), "SHAPE"),
    ("float32", lambda gy, x: (gy * 3 * x * x).astype(np.float32), "DTYPE"),
    ("integers", lambda gy, x: np.full(4, 3), "DTYPE"),
    ("complex numbers", lambda gy, x: (gy * 3 * x * x).astype(complex), "DTYPE"),
    ("NaN", lambda gy, x: gy * 3 * x * x * np.where(np.arange(4) == 2, np.nan, 1), "NONFINITE"),
    ("infinity", lambda gy, x: gy * 3 * x * x / np.where(np.arange(4) == 0, 0.0, 1), "NONFINITE"),
):
    add("not a gradient", cube, lambda r: (1 + r.random(4),), None, {title: (gradient, frozenset({status}))})

# ---------------------------------------------------------------- forward mode


add(
    "forward mode",
    lambda x: np.sin(x) * x.sum(),
    lambda r: (r.normal(size=4),),
    lambda v, x: np.cos(x) * v * x.sum() + np.sin(x) * v.sum(),
    {
        "product rule forgotten": lambda v, x: np.cos(x) * v * x.sum(),
        "one element off": lambda v, x: (
            (np.cos(x) * v * x.sum() + np.sin(x) * v.sum()) * (1 + 0.1 * (np.arange(4) == 1))
        ),
        "constant direction": lambda v, x: np.cos(x) * x.sum() + np.sin(x) * 4,
    },
    form="jvp",
)
NOT_LINEAR = {"not a gradient: integers", "forward mode: constant direction"}
CASES = [replace(c, may=frozenset({"NOT_LINEAR_IN_GY"})) if c.name in NOT_LINEAR else c for c in CASES]
CASES += family(
    "forward and backward together",
    lambda x: np.exp(x) * x[0],
    lambda r: (r.normal(size=4),),
    lambda gy, x: gy * np.exp(x) * x[0] + (gy * np.exp(x)).sum() * (np.arange(4) == 0),
    {"backward wrong": lambda gy, x: gy * np.exp(x) * x[0]},
    jvp=lambda v, x: np.exp(x) * v * x[0] + np.exp(x) * v[0],
)

# ---------------------------------------------------------------- small errors of great formulas


def eps_in_log(p, t):
    return -np.sum(t * np.log(p + 1e-7))


ONE_HOT = np.eye(3)[[0, 2]].astype(int)


def book_loss(x, t):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return eps_in_log(e / e.sum(axis=1, keepdims=True), t) / len(x)


def book_loss_grad(x, t, factor=1.0):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return factor * (e / e.sum(axis=1, keepdims=True) - t) / len(x), None


add(
    "the book's loss, with 1e-7 inside the log",
    book_loss,
    lambda r: (3 * r.normal(size=(2, 3)), ONE_HOT),
    book_loss_grad,
    {
        "1e-7 and 1 % too much": lambda x, t: book_loss_grad(x, t, 1.01),
        "1e-7 and twice": lambda x, t: book_loss_grad(x, t, 2.0),
    },
    form="grad",
    expect=frozenset({"PASS", "EXPLAINED"}),
)
add(
    "Simpson's rule",
    lambda w: np.sum(np.array([1, 4, 2, 4, 1]) * np.exp(w * np.linspace(0, 1, 5))) / 12,
    lambda r: (0.8,),
    lambda w: np.sum(np.array([1, 4, 2, 4, 1]) * np.linspace(0, 1, 5) * np.exp(w * np.linspace(0, 1, 5))) / 12,
    {"differentiated before it was discretised": lambda w: ((w - 1) * np.exp(w) + 1) / w**2},
    form="grad",
)


def newton_root(a, steps=4):
    x = np.where(np.real(a) > 0, a, np.nan)
    for _ in range(steps):
        x = 0.5 * (x + a / x)
    return x


scalar_map("a root by Newton's method", lambda a: newton_root(a, 8), lambda a: 0.5 / np.sqrt(a), [2.0, 3.5])
scalar_map(
    "a root by too few steps of Newton's method",
    newton_root,
    lambda a: np.imag(newton_root(a + 1e-30j)) / 1e-30,
    [20.0, 35.0],
    {"as if it were the root": lambda a: 0.5 / np.sqrt(a)},
)


# ---------------------------------------------------------------- traps for ladders of steps


for waves in (20, 80, 320, 1000):  # steps that are multiples of the period see a constant
    scalar_map(
        f"{waves} waves from 0 to 1",
        lambda x, w=2 * np.pi * waves: np.sin(w * x),
        lambda x, w=2 * np.pi * waves: w * np.cos(w * x),
        [0.3, 1.01, -2.2],
        {"0": lambda x: np.zeros_like(x)},
    )
scalar_map(
    "a number of 1e-9 among others in one sum",
    lambda x: x * x,
    lambda x: 2 * x,
    [1e-9, 1.0, 2.0],
    {"doubled at 1e-9": lambda x: np.where(np.abs(x) < 1e-3, 4, 2) * x},
)
add(
    "squares of 1e-9 and 1 in one sum",
    lambda x: np.sum(x * x),
    lambda r: (np.array([1e-9, 1.0, 2.0]),),
    lambda x: 2 * x,
    {"doubled at 1e-9": lambda x: np.array([2.0, 1, 1]) * 2 * x},
    form="grad",
)
scalar_map("rounded to 6 digits", lambda x: np.round(np.sin(x), 6), np.cos, [0.3, 1.0, -0.7], expect=NOISY)


def bisected(a):
    """The root of z^3 + z = a to 1e-9: jumps by as much."""
    low, high = -10.0, 10.0
    while high - low > 1e-9:
        z = 0.5 * (low + high)
        low, high = (z, high) if z**3 + z < a else (low, z)
    return 0.5 * (low + high)


scalar_map(
    "a root found to 1e-9",
    np.vectorize(bisected, otypes=[float]),
    lambda a: 1 / (3 * np.vectorize(bisected, otypes=[float])(a) ** 2 + 1),
    [2.0, 5.0],
    expect=NOISY,
)
scalar_map(
    "float16 inside", lambda x: np.sin(x.astype(np.float16)).astype(float), np.cos, [0.3, 1.0, -2.0], expect=NOISY
)


# ---------------------------------------------------------------- functions that raise outside of their domain


for name, f, slope, at in (
    ("math.log at 1e-3", math.log, lambda x: 1 / x, 1e-3),
    ("math.sqrt at 1e-4", math.sqrt, lambda x: 0.5 / math.sqrt(x), 1e-4),
    ("math.exp at 709", math.exp, math.exp, 709.0),
    ("1/x at 0.05, of a number", lambda x: 1 / float(x), lambda x: -1 / x**2, 0.05),
):
    add(name, f, lambda r, at=at: (at,), slope, {"doubled": lambda x, slope=slope: 2 * slope(x)}, form="grad")


def cholesky_logdet(a):
    return 2 * np.sum(np.log(np.diag(np.linalg.cholesky(0.5 * (a + a.T)))))


def nearly_singular(r):
    q = np.linalg.qr(r.normal(size=(3, 3)))[0]
    return (q @ np.diag([1e-3, 1.0, 2.0]) @ q.T,)


add(
    "log-determinant by Cholesky, nearly singular",
    cholesky_logdet,
    nearly_singular,
    lambda a: np.linalg.inv(0.5 * (a + a.T)),
    {"lower half only": lambda a: np.tril(np.linalg.inv(0.5 * (a + a.T)))},
    form="grad",
)
add(
    "layout",
    lambda x: x * x,
    lambda r: (np.empty((0, 3)),),
    quadratic,
    title="nothing in it",
    expect=frozenset({"PASS", "VACUOUS"}),
)
add(
    "the gradient as an array",
    lambda x: np.sum(x**3),
    lambda r: (np.array([0.5, -1.0, 2.0]),),
    np.array([0.75, 3.0, 12.0]),
    {"doubled": np.array([1.5, 6.0, 24.0])},
    form="grad",
)
CASES += [
    replace(case, invisible=True)
    for case in family(
        "a batch of one",
        lambda x, b: x + b,
        lambda r: (r.normal(size=(1, 3)), r.normal(size=3)),
        None,
        {
            "db a mean": (lambda gy, x, b: (gy, gy.mean(axis=0)), PASS),
            "db of the first row": (lambda gy, x, b: (gy, gy[0]), PASS),
        },
    )
]

# ---------------------------------------------------------------- chirps: the faster, the further


def chirp(title, f, slope, at, expect=PASS):
    wrong = {"1 % off": lambda x: 1.01 * slope(x), "other sign": lambda x: -slope(x)}
    scalar_map(f"chirp {title}", f, slope, at, wrong, expect=expect)


def sin_square(x):
    return np.sin(x * x)


def sin_inverse(x):
    return np.sin(1 / x)


chirp("sin(x^2) at 1e3", sin_square, lambda x: 2 * x * np.cos(x * x), [1e3, -700.0])
chirp("sin(x^2) at 1e6", sin_square, lambda x: 2 * x * np.cos(x * x), [1e6], NOISY)
chirp("sin(1/x) at 1e-4", sin_inverse, lambda x: -np.cos(1 / x) / x**2, [2e-4, -1e-3])
chirp("sin(1/x) at 1e-8", sin_inverse, lambda x: -np.cos(1 / x) / x**2, [1e-8])
chirp("sin(exp(x)) at 20", lambda x: np.sin(np.exp(x)), lambda x: np.exp(x) * np.cos(np.exp(x)), [20.0])
add(
    "chirps of 700 numbers",
    sin_square,
    lambda r: (300 * r.normal(size=700),),
    lambda gy, x: gy * 2 * x * np.cos(x * x),
    {"1 % off": (lambda gy, x: 1.01 * gy * 2 * x * np.cos(x * x), WRONG_BUT_NOISY)},
)
add(
    "stairs of 1e-8 below a sine",
    lambda x: (x + 1e8) - 1e8 + np.sin(x),
    lambda r: (r.normal(size=(4, 5)),),
    lambda gy, x: gy * (1 + np.cos(x)),
    {
        "sine only": (lambda gy, x: gy * np.cos(x), WRONG_BUT_NOISY),
        "1 % off": (lambda gy, x: 1.01 * gy * (1 + np.cos(x)), WRONG_BUT_NOISY),
    },
)
