"""What an adversary thought of: ripples, tiny scales, edges very near, ties, saturation, rounding inside backward."""

import numpy as np

from . import FAIL, GREEN, KINK, NOISY, PASS, WRONG_BUT_NOISY, Case, family, random_of
from .kinks import relu

CASES = []


def add(*args, **kwargs):
    CASES.extend(family(*args, **kwargs))


def elementwise(name, f, slope, at, bugs, **kwargs):
    def vjp(g):
        return lambda gy, x: gy * g(x)

    bugs = {key: (vjp(bug[0]), bug[1]) if isinstance(bug, tuple) else vjp(bug) for key, bug in bugs.items()}
    add(name, f, lambda r: (np.array(at, dtype=float),), vjp(slope), bugs, **kwargs)


# ---------------------------------------------------------------- shape that looks like noise, and scales


for waves in (1e6, 1e7, 1e8):
    elementwise(
        f"sin({waves:g} x)",
        lambda x, w=waves: np.sin(w * x),
        lambda x, w=waves: w * np.cos(w * x),
        [0.31, 1.7],
        {"doubled": lambda x, w=waves: 2 * w * np.cos(w * x), "0": lambda x: 0 * x},
    )
    elementwise(
        f"x + sin({waves:g} x) / {waves:g}",
        lambda x, w=waves: x + np.sin(w * x) / w,
        lambda x, w=waves: 1 + np.cos(w * x),
        [0.31, 1.7],
        {"ripple forgotten": np.ones_like},
    )
for scale in (1e-9, 1e-12, 1e-20, 1e-30, 1e12):
    elementwise(
        f"sine of a scale of {scale:g}",
        lambda x, s=scale: s * np.sin(x / s),
        lambda x, s=scale: np.cos(x / s),
        np.array([0.3, -1.2, 2.0]) * scale,
        {
            "doubled": lambda x, s=scale: 2 * np.cos(x / s),
            "1 % off": lambda x, s=scale: 1.01 * np.cos(x / s),
        },
    )
elementwise("sine at 1e8", np.sin, np.cos, [1e8, 3e8], {"doubled": lambda x: 2 * np.cos(x)})
for name, height in (("on a slope", 1e-3), ("on a slope, tiny", 1e-6)):
    elementwise(
        f"a peak 1e-6 wide {name}",
        lambda x, h=height: x + h * np.exp(-(((x - 1) / 1e-6) ** 2)),
        lambda x, h=height: 1 - 2e12 * h * (x - 1) * np.exp(-(((x - 1) / 1e-6) ** 2)),
        [1 + 5e-7, 2.0],
        {"peak forgotten": np.ones_like},
    )
elementwise(
    "Weierstrass' function, twelve terms",
    lambda x: sum(0.5**k * np.cos(7.0**k * x) for k in range(12)),
    lambda x: sum(-(3.5**k) * np.sin(7.0**k * x) for k in range(12)),
    [0.3, 1.1],
    {"ten terms": lambda x: sum(-(3.5**k) * np.sin(7.0**k * x) for k in range(10))},
)

# ---------------------------------------------------------------- edges of domains, very near


elementwise(
    "artanh at 1 - 1e-6", np.arctanh, lambda x: 1 / ((1 - x) * (1 + x)), [0.999999, -0.3],
    {"of arctan": lambda x: 1 / (1 + x * x)},
)  # fmt: skip
elementwise(
    "arcsin at 1 - 1e-12", np.arcsin, lambda x: 1 / np.sqrt((1 - x) * (1 + x)), [1 - 1e-12, 0.5],
    {"doubled": lambda x: 2 / np.sqrt((1 - x) * (1 + x))}, expect=NOISY,
)  # fmt: skip
elementwise("logarithm at 1e-12", np.log, lambda x: 1 / x, [1e-12, 0.3], {"doubled": lambda x: 2 / x})
elementwise("x log x at 1e-12", lambda x: x * np.log(x), lambda x: np.log(x) + 1, [1e-12, 0.3], {"no 1": np.log})
elementwise("1/x at 1e-30", lambda x: 1 / x, lambda x: -1 / x**2, [1e-30, 2e-20], {"sign": lambda x: 1 / x**2})

# ---------------------------------------------------------------- sure of the answer: 1 to the last place


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def softmax_vjp(gy, x, factor=1.0):
    p = softmax(x)
    return factor * p * (gy - (gy * p).sum())


add(
    "softmax of 0, 30 and 60",
    softmax,
    lambda r: (np.array([0.0, 30, 60]),),
    softmax_vjp,
    {"doubled": (lambda gy, x: softmax_vjp(gy, x, 2.0), WRONG_BUT_NOISY)},
    expect=NOISY,
)
add(
    "softmax of 690 to 705, without subtracting",
    lambda x: np.exp(x) / np.exp(x).sum(),
    lambda r: (np.array([700.0, 690, 705]),),
    softmax_vjp,
    {"diagonal only": lambda gy, x: gy * softmax(x) * (1 - softmax(x))},
)
add(
    "cross-entropy of 50, 0 and -50",
    lambda x: -x[0] + np.log(np.exp(x - x.max()).sum()) + x.max(),
    lambda r: (np.array([50.0, 0, -50]),),
    lambda x: softmax(x) - np.array([1.0, 0, 0]),
    {"label forgotten": softmax},
    form="grad",
    expect=NOISY,
)

# ---------------------------------------------------------------- kinks: at the point, beside it, tied


for distance in (1e-9, 1e-10, 1e-11, 1e-12):
    add(
        f"ReLU {distance:g} left of its kink",
        relu,
        lambda r, d=distance: (np.array([-d, 1.0, -2.0]),),
        lambda gy, x: gy * (x > 0),
        {
            "1": lambda gy, x, d=distance: gy * (x > -2 * d),
            "1/2": lambda gy, x, d=distance: gy * np.where(np.abs(x) < 2 * d, 0.5, x > 0),
        },
    )
ZEROS = np.zeros(4)
for title, f, x, right, wrong in (
    ("sum of ReLUs at 0", lambda x: relu(x).sum(), ZEROS, ZEROS, {"2": ZEROS + 2, "-1": ZEROS - 1,
        "one of 1.2": np.array([0, 1.2, 0, 0])}),
    ("sum of moduli at 0", lambda x: np.abs(x).sum(), ZEROS, ZEROS, {"2": ZEROS + 2,
        "one of -1.1": np.array([0, -1.1, 0, 0])}),
    ("largest of four equal ones", np.max, ZEROS + 1, ZEROS + 0.25, {"all 1": ZEROS + 1, "all 1/2": ZEROS + 0.5,
        "0.9 together": np.array([0.5, 0.4, 0, 0]), "none": ZEROS}),
):  # fmt: skip
    add(f"{title}, the gradient an array", f, lambda r, x=x: (x.copy(),), right, wrong, form="grad", expect=KINK)
add(
    "ReLUs at 0, looked at there alone",
    relu,
    lambda r: (np.zeros(4),),
    lambda gy, x: gy * (x > 0),
    {"2 above": lambda gy, x: gy * 2 * (x >= 0), "1.5 at 0": lambda gy, x: gy * np.where(x == 0, 1.5, x > 0)},
    expect=KINK,
    points=1,
)


def of_median(share):
    return lambda gy, x: gy * share(x, x == np.median(x))


def first_of(x, tied):
    return 1.0 * (np.arange(x.size) == np.argsort(x, kind="stable")[x.size // 2])


add(
    "median of five, three of them equal",  # moved alone, none of the three moves it
    np.median,
    lambda r: (np.array([1.0, 2, 2, 3, 2]),),
    of_median(first_of),
    {
        "all of them": of_median(lambda x, tied: 1.0 * tied),
        "one of them doubled": of_median(lambda x, tied: 2 * first_of(x, tied)),
    },
    expect=KINK,
)
add(
    "median of five, three of them equal",
    np.median,
    lambda r: (np.array([1.0, 2, 2, 3, 2]),),
    of_median(lambda x, tied: tied / tied.sum()),
    expect=KINK,
    title="they share it",
)

# ---------------------------------------------------------------- rounded inside


for title, dtype, expect in (("float16", np.float16, FAIL), ("float32", np.float32, PASS)):
    add(
        "backward rounds its result",
        lambda x: x * np.sin(x),
        lambda r: (r.normal(size=4),),
        None,
        {f"to {title}": (
            lambda gy, x, d=dtype: (gy * (np.sin(x) + x * np.cos(x))).astype(d).astype(float), expect,
        )},
    )  # fmt: skip
add(
    "the input rounded to float32",
    lambda x: np.sin(x.astype(np.float32).astype(float)),
    lambda r: (r.normal(size=4),),
    lambda gy, x: gy * np.cos(x),
    {"doubled": lambda gy, x: 2 * gy * np.cos(x), "1 % off": (lambda gy, x: 1.01 * gy * np.cos(x), WRONG_BUT_NOISY)},
    expect=NOISY,
)

# ---------------------------------------------------------------- inputs and conduct


def windows(r):
    return (np.lib.stride_tricks.sliding_window_view(r.normal(size=6), 3),)


add("layout", lambda x: x * x, windows, lambda gy, x: gy * 2 * x, {"windows, x for 2 x": lambda gy, x: gy * x},
    title="windows that overlap")  # fmt: skip
add(
    "NaN among the inputs",
    lambda x: np.nan_to_num(x) ** 2,
    lambda r: (np.array([np.nan, 2.0, 1.0]),),
    lambda gy, x: gy * 2 * np.nan_to_num(x),
    {"x for 2 x": (lambda gy, x: gy * np.nan_to_num(x), WRONG_BUT_NOISY | {"NONFINITE"})},
    expect=frozenset({"PASS", "NONFINITE"}),
)


def conduct(title, f, make, keywords, kinds, expect=GREEN):
    CASES.append(
        Case("conduct", title, lambda: (f, make(random_of(title)), dict(keywords)), frozenset(expect), frozenset(kinds))
    )


def clips_above(x):
    """Changes its argument only where a step of the check leads over 1."""
    x[x > 1] = 1
    return x * x


conduct(
    "f clips its argument in place, though only beside the point",
    clips_above,
    lambda r: (np.array([0.999, 0.2, -0.5]),),
    {"vjp": lambda gy, x: gy * 2 * x, "points": 1},
    ["MUTATED_INPUT"],
)
conduct(
    "jvp is not linear",
    np.sin,
    lambda r: (r.normal(size=4),),
    {"jvp": lambda v, x: np.cos(x) * v * (1 if np.count_nonzero(v) < 2 else 2)},
    ["NOT_LINEAR_IN_GY"],
)
conduct(
    "vjp divides by the length of gy",
    np.square,
    lambda r: (r.normal(size=3),),
    {"vjp": lambda gy, x: gy * 2 * x if np.any(gy) else x / (1 - int(not np.any(gy)))},
    ["NOT_LINEAR_IN_GY"],
)
