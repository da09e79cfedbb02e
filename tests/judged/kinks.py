"""Where a function bends or jumps: what lies between the one-sided slopes is a gradient, all else is not."""

import numpy as np

from . import KINK, family

CASES = []
JUMP = frozenset({"DISCONTINUOUS"})
NOT_CHECKED = frozenset({"VACUOUS"})


def add(*args, **kwargs):
    CASES.extend(family(*args, **kwargs))


def relu(x):
    return np.maximum(x, 0)


def unsorted(gy, order):
    """The gradient of x[order]."""
    dx = np.empty_like(gy)
    dx[order] = gy
    return dx


def relu_vjp(slope, above=0.0):
    """ReLU's backward with this slope at 0, or taking everything up to `above` for negative."""
    return lambda gy, x: gy * np.where(x == 0, slope, x > above)


AT_0 = np.array([[-1.0, 0.0, 2.0], [0.0, 0.5, -0.25]])

for slope in (0.0, 0.5, 1.0):
    add("ReLU at 0", relu, lambda r: (AT_0,), relu_vjp(slope), expect=KINK, title=f"slope {slope:g}")
add(
    "ReLU at 0",
    relu,
    lambda r: (AT_0,),
    None,
    {
        "slope 7": relu_vjp(7.0),
        "slope -0.1": relu_vjp(-0.1),
        "slope 1.05": relu_vjp(1.05),
        "right at 0, passes on everything below": lambda gy, x: gy * np.where(x == 0, 0, 1.0),
        "right at 0, 1 % too much above": lambda gy, x: gy * np.where(x == 0, 0, 1.01 * (x > 0)),
    },
)
add("ReLU at 0 everywhere", relu, lambda r: (np.zeros((2, 3)),), relu_vjp(0.0), {"slope 2": relu_vjp(2.0)}, expect=KINK)
for distance in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9):
    add(
        f"ReLU {distance:g} from 0",
        relu,
        lambda r, d=distance: (np.array([d, -d, 1.0, -2.0]),),
        relu_vjp(0.0),
        {
            f"0 up to {2 * distance:g}": relu_vjp(0.0, 2 * distance),
            f"1 from {-2 * distance:g}": relu_vjp(1.0, -2 * distance),
        },
    )
add(
    "sum of ReLUs 1e-6 from 0",  # one number out of many terms: their rounding hides the bend's place
    lambda x: relu(x).sum(),
    lambda r: (np.array([1e-6, -1e-6, 1.0, -2.0, 3.0]),),
    lambda x: (x > 0) * 1.0,
    {"slopes swapped near 0": lambda x: np.array([0.0, 1, 1, 0, 1])},
    form="grad",
)
add(
    "leaky ReLU at 0",
    lambda x: np.where(x > 0, x, 0.1 * x),
    lambda r: (AT_0,),
    lambda gy, x: gy * np.where(x > 0, 1, 0.1),
    {"slope 0 at 0": lambda gy, x: gy * np.where(x > 0, 1, np.where(x == 0, 0, 0.1))},
    expect=KINK,
)
add(
    "|x| at 0",
    np.abs,
    lambda r: (AT_0,),
    lambda gy, x: gy * np.sign(x),
    {"slope 2 at 0": lambda gy, x: gy * np.where(x == 0, 2, np.sign(x)), "1 everywhere": lambda gy, x: gy * 1.0},
    expect=KINK,
)
add("|x| at 0", np.abs, lambda r: (AT_0,), lambda gy, x: gy * np.where(x < 0, -1, 1), expect=KINK, title="slope 1 at 0")
add(
    "L1 loss where prediction and target meet",
    lambda y: np.abs(y - np.array([1.0, 2.0, -1.0])).sum(),
    lambda r: (np.array([1.0, 2.5, -1.0]),),
    lambda y: np.sign(y - np.array([1.0, 2.0, -1.0])),
    {"mean for a sum": lambda y: np.sign(y - np.array([1.0, 2.0, -1.0])) / 3},
    form="grad",
    expect=KINK,
)

# ---------------------------------------------------------------- maxima and their ties


def pool(x):
    return x.reshape(x.shape[0] // 2, 2, -1, 2).max(axis=(1, 3))


def pool_vjp(how):
    def vjp(gy, x):
        windows = x.reshape(x.shape[0] // 2, 2, -1, 2).transpose(0, 2, 1, 3).reshape(*gy.shape, 4)
        top = windows == windows.max(axis=-1, keepdims=True)
        if how == "first":
            top = np.arange(4) == windows.argmax(axis=-1)[..., None]
        elif how == "last":
            top = np.arange(4) == 3 - windows[..., ::-1].argmax(axis=-1)[..., None]
        elif how == "split":
            top = top / top.sum(axis=-1, keepdims=True)
        elif how == "none where tied":
            top = top & (top.sum(axis=-1, keepdims=True) == 1)
        dx = gy[..., None] * top
        return dx.reshape(*gy.shape, 2, 2).transpose(0, 2, 1, 3).reshape(x.shape)

    return vjp


TIED = np.array([[1.0, 1.0, 0.0, 2.0], [1.0, 1.0, 2.0, 2.0]])
UNTIED = np.array([[1.0, 2.0, 0.3, 2.0], [0.5, -1.0, 1.5, 2.5]])

for how in ("first", "last", "split"):
    add("max-pool with ties", pool, lambda r: (TIED,), pool_vjp(how), expect=KINK, title=how)
add(
    "max-pool with ties",
    pool,
    lambda r: (TIED,),
    None,
    {"all tied get the full gradient": pool_vjp("all"), "none of the tied gets any": pool_vjp("none where tied")},
)
add(
    "max-pool without ties",
    pool,
    lambda r: (UNTIED,),
    pool_vjp("all"),
    {
        "always the first of the window": lambda gy, x: np.kron(gy, [[1.0, 0], [0, 0]]),
        "to the mean": lambda gy, x: np.kron(gy, np.full((2, 2), 0.25)),
    },
)
add(
    "max-pool of blank images",
    pool,
    lambda r: (np.zeros((4, 4)),),
    pool_vjp("first"),
    {"all tied get the full gradient": pool_vjp("all")},
    expect=KINK,
)
add(
    "largest of a row, two tied",
    lambda x: x.max(axis=1),
    lambda r: (np.array([[3.0, 1.0, 3.0], [0.0, -1.0, -2.0]]),),
    lambda gy, x: (
        gy[:, None]
        * (x == x.max(axis=1, keepdims=True))
        / (x == x.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True)
    ),
    {"both full": lambda gy, x: gy[:, None] * (x == x.max(axis=1, keepdims=True))},
    expect=KINK,
)
add(
    "maximum of two arrays that tie",
    np.maximum,
    lambda r: (np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.0, 3.0])),
    lambda gy, a, b: (gy * (a >= b), gy * (a < b)),
    {
        "both full": lambda gy, a, b: (gy * (a >= b), gy * (a <= b)),
        "neither": lambda gy, a, b: (gy * (a > b), gy * (a < b)),
    },
    expect=KINK,
)
add(
    "sort with equal numbers",
    np.sort,
    lambda r: (np.array([2.0, 1.0, 2.0, 0.0]),),
    lambda gy, x: gy[np.argsort(np.argsort(x, kind="stable"))],
    {"not permuted": lambda gy, x: gy.copy()},
    expect=KINK,
)
add(
    "median of five",
    np.median,
    lambda r: (np.array([3.0, -1.0, 0.5, 8.0, 0.1]),),
    lambda x: (x == np.median(x)) * 1.0,
    {"the mean's": lambda x: np.full(5, 0.2)},
    form="grad",
)
add(
    "largest modulus, tied",
    lambda x: np.abs(x).max(),
    lambda r: (np.array([2.0, -2.0, 1.0]),),
    lambda x: np.where(np.abs(x) == np.abs(x).max(), np.sign(x) / (np.abs(x) == np.abs(x).max()).sum(), 0),
    {"both full": lambda x: np.where(np.abs(x) == np.abs(x).max(), np.sign(x), 0)},
    form="grad",
    expect=KINK,
)

# ---------------------------------------------------------------- other bends


def huber(x):
    return np.where(np.abs(x) <= 1, 0.5 * x * x, np.abs(x) - 0.5).sum()


add(
    "Huber at delta",  # its slope is continuous
    huber,
    lambda r: (np.array([1.0, -1.0, 0.5, 3.0]),),
    lambda x: np.clip(x, -1, 1),
    {"never clipped": lambda x: x.copy(), "2 x inside": lambda x: np.where(np.abs(x) < 1, 2 * x, np.sign(x))},
    form="grad",
)
CLIPPED = np.array([-1.0, -0.5, 1.0, 3.0])
for title, inside in (("0 at the edges", np.less), ("1 at the edges", np.less_equal)):
    add(
        "clip at its edges",
        lambda x: np.clip(x, -1, 1),
        lambda r: (CLIPPED,),
        lambda gy, x, inside=inside: gy * inside(np.abs(x), 1),
        expect=KINK,
        title=title,
    )
add(
    "clip at its edges",
    lambda x: np.clip(x, -1, 1),
    lambda r: (CLIPPED,),
    None,
    {"passed on outside": lambda gy, x: gy * 1.0, "sign": lambda gy, x: -gy * (np.abs(x) < 1)},
)
add(
    "hinge loss at its margin",
    lambda s: np.maximum(0, 1 - s).mean(),
    lambda r: (np.array([1.0, 0.2, 3.0, -1.0]),),
    lambda s: -((s < 1) / 4.0),
    {"slope beyond the margin": lambda s: np.full(4, -0.25), "sum for mean": lambda s: -((s < 1) * 1.0)},
    form="grad",
    expect=KINK,
)


def norm(x):
    return np.sqrt((x * x).sum())


for title, gradient in (
    ("0", np.zeros(3)),
    ("a unit vector", np.array([0.0, 1.0, 0.0])),
    ("inside the ball", np.full(3, 0.5)),
):
    add(
        "norm at 0",
        norm,
        lambda r: (np.zeros(3),),
        lambda x, at=gradient: at.copy() if not x.any() else x / norm(x),
        form="grad",
        expect=KINK,
        title=title,
    )
add(
    "norm at 0",
    norm,
    lambda r: (np.zeros(3),),
    None,
    {
        "every element 1, longer than 1": lambda x: np.ones(3) if not x.any() else x / norm(x),
        "NaN": (lambda x: x / norm(x), frozenset({"NONFINITE"})),
        "one element 1.5": lambda x: np.array([1.5, 0, 0]) if not x.any() else x / norm(x),
    },
    form="grad",
)
add(
    "norm beside 0",
    norm,
    lambda r: (np.array([1e-7, 2e-7, -1e-7]),),
    lambda x: x / norm(x),
    {"0 because it is so small": lambda x: np.zeros(3) if norm(x) < 1e-6 else x / norm(x)},
    form="grad",
)
add(
    "x |x| and |x|^3 at 0",  # bent nowhere in the first derivative
    lambda x: x * np.abs(x) + np.abs(x) ** 3,
    lambda r: (np.array([0.0, 1.0, -0.5]),),
    lambda gy, x: gy * (2 * np.abs(x) + 3 * x * np.abs(x)),
    {"|x|": lambda gy, x: gy * (np.abs(x) + 3 * x * np.abs(x))},
)
add(
    "x^3 at 0",
    lambda x: x**3,
    lambda r: (np.array([0.0, 1.0, -2.0]),),
    lambda gy, x: gy * 3 * x * x,
    {"1 at 0": lambda gy, x: gy * np.where(x == 0, 1, 3 * x * x)},
)
add(
    "kinks of opposite sign in one output",
    lambda x: np.abs(x[0]) - np.abs(x[1]) + x[2] ** 2,
    lambda r: (np.array([0.0, 0.0, 1.0]),),
    lambda x: np.array([np.sign(x[0]), -np.sign(x[1]), 2 * x[2]]),
    {"3 at the first": lambda x: np.array([3.0 if x[0] == 0 else np.sign(x[0]), -np.sign(x[1]), 2 * x[2]])},
    form="grad",
    expect=KINK,
)
add(
    "bias of a ReLU layer on blank images",
    lambda W, b: relu(np.vstack([np.zeros((3, 4)), np.arange(8.0).reshape(2, 4)]) @ W + b),
    lambda r: (r.normal(size=(4, 2)), np.zeros(2)),
    lambda gy, W, b: (lambda X: (lambda g: (X.T @ g, g.sum(axis=0)))(gy * (X @ W + b > 0)))(
        np.vstack([np.zeros((3, 4)), np.arange(8.0).reshape(2, 4)])
    ),
    {
        "db a mean": lambda gy, W, b: (lambda X: (lambda g: (X.T @ g, g.mean(axis=0)))(gy * (X @ W + b > 0)))(
            np.vstack([np.zeros((3, 4)), np.arange(8.0).reshape(2, 4)])
        ),
    },
    expect=KINK,
)

# ---------------------------------------------------------------- jumps and flats


add(
    "floor(x) + x",
    lambda x: np.floor(x) + x,
    lambda r: (np.array([0.4, 1.7, -2.3]),),
    lambda gy, x: gy * 1.0,
    {"slope 2": lambda gy, x: gy * 2.0},
)
add(
    "floor(x) + x",
    lambda x: np.floor(x) + x,
    lambda r: (np.array([1.0, 2.5]),),
    lambda gy, x: gy * 1.0,
    expect=JUMP,
    title="on a jump",
)
add(
    "rounding",
    np.round,
    lambda r: (np.array([0.2, 1.4, -3.3]),),
    lambda gy, x: gy * 0.0,
    {"straight through": lambda gy, x: gy * 1.0},
    expect=NOT_CHECKED,
)
add(
    "rounding", np.round, lambda r: (np.array([0.5, 1.4, 2.5]),), lambda gy, x: gy * 0.0, expect=JUMP, title="on a jump"
)
add(
    "a step 1e-3 away",
    lambda x: x * x + 5.0 * (x > 1),
    lambda r: (np.array([1.001, 0.999, 3.0]),),
    lambda gy, x: gy * 2 * x,
    {"x": lambda gy, x: gy * x},
)
add(
    "hard shrinkage on its jump",
    lambda x: np.where(np.abs(x) > 0.5, x, 0),
    lambda r: (np.array([0.5, 2.0, 0.1]),),
    lambda gy, x: gy * (np.abs(x) > 0.5),
    expect=JUMP,
)
add(
    "argmax",
    lambda x: np.argmax(x, axis=1).astype(float),
    lambda r: (r.normal(size=(2, 4)),),
    lambda gy, x: np.zeros_like(x),
    expect=NOT_CHECKED,
)
add(
    "a constant",
    lambda x: np.ones(3),
    lambda r: (r.normal(size=4),),
    lambda gy, x: np.zeros_like(x),
    {"not 0": lambda gy, x: np.full_like(x, 0.1 * gy.sum())},
    expect=NOT_CHECKED,
)
add(
    "an input that is not used",
    lambda x, y: x * x,
    lambda r: (r.normal(size=3), r.normal(size=2)),
    lambda gy, x, y: (gy * 2 * x, np.zeros_like(y)),
    {"a gradient for it all the same": lambda gy, x, y: (gy * 2 * x, np.full_like(y, gy.sum()))},
    expect=NOT_CHECKED,
)
add(
    "where: one of two branches",
    lambda x: np.where(x > 0, np.sin(x), x * x),
    lambda r: (np.array([-1.0, 0.5, 2.0, -0.3]),),
    lambda gy, x: gy * np.where(x > 0, np.cos(x), 2 * x),
    {
        "branches swapped": lambda gy, x: gy * np.where(x > 0, 2 * x, np.cos(x)),
        "one branch for both": lambda gy, x: gy * np.cos(x),
    },
)

for distance in (1e-6, 1e-8):
    add(
        f"max(x, 1) at 1 + {distance:g}",
        lambda x: np.maximum(x, 1),
        lambda r, d=distance: (np.array([1 + d, 1 - d, 3.0, -2.0]),),
        lambda gy, x: gy * (x > 1),
        {
            "sides confused": lambda gy, x, d=distance: gy * (x > 1 - 2 * d),
            "bend at 1 + 2e-6": lambda gy, x: gy * (x > 1 + 2e-6),
        },
    )
add(
    "a dead zone of 1e-7",  # looks like x from afar, and is flat
    lambda x: np.sign(x) * np.maximum(np.abs(x) - 1e-7, 0),
    lambda r: (np.array([0.0, 1.0, -2.0]),),
    lambda gy, x: gy * (np.abs(x) > 1e-7),
    {"1 inside": lambda gy, x: gy * 1.0},
)
KNOTS = np.array([-5.0, -1.0, 0.0, 1.0, 5.0])
HEIGHTS = np.array([2.0, 0.0, 1.0, -1.0, 0.0])


def slope_between(x):
    i = np.clip(np.searchsorted(KNOTS, x, side="right") - 1, 0, 3)
    return (HEIGHTS[i + 1] - HEIGHTS[i]) / (KNOTS[i + 1] - KNOTS[i])


add(
    "linear interpolation between knots",
    lambda x: np.interp(x, KNOTS, HEIGHTS),
    lambda r: (np.array([-0.5, 0.25, 2.0]),),
    lambda gy, x: gy * slope_between(x),
    {"of the next interval": lambda gy, x: gy * slope_between(x + 1)},
)
add(
    "linear interpolation at a knot",
    lambda x: np.interp(x, KNOTS, HEIGHTS),
    lambda r: (np.array([1.0, 0.25, 0.0]),),
    lambda gy, x: gy * slope_between(x),
    {"5 at the knots": lambda gy, x: gy * np.where(np.isin(x, KNOTS), 5, slope_between(x))},
    expect=KINK,
)
add(
    "wrong below 0 only, looked at above",
    lambda x: x * np.abs(x),
    lambda r: (np.array([0.5, 1.0, 2.0]),),
    None,
    {"2 x": lambda gy, x: gy * 2 * x},
)
add(
    "argmax",
    lambda x: np.argmax(x, axis=1),
    lambda r: (r.normal(size=(2, 4)),),
    lambda gy, x: np.zeros_like(x),
    expect=NOT_CHECKED,
    title="as integers",
)
add(
    "a comparison",
    lambda x: x > 0,
    lambda r: (r.normal(size=4),),
    lambda gy, x: np.zeros_like(x),
    {"of the hinge": lambda gy, x: gy * (x > 0)},
    expect=NOT_CHECKED,
)
