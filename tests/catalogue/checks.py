"""Numerical gradients, gradient checks and data sets (B114-B118)."""

import numpy as np
import pytest

import badak as bd

from .world import ONES, case, each, fail, fresh_net, misaligned, read_only, refused, rows


@each(
    ("f", "x", "error", "message"),
    rows(
        [
            ("B115 f=None", None, np.ones(3), TypeError, "f must be callable, got NoneType"),
            (
                "B115 f gives None",
                lambda x: None,
                np.ones(3),
                TypeError,
                "the result of f must be a number, got NoneType",
            ),
            (
                "B115 f gives an array",
                lambda x: x * 2,
                np.ones(3),
                ValueError,
                "f must return one number, got an array of 3",
            ),
            ("B115 f gives nothing", lambda x: x[:0], np.ones(3), ValueError, "f must return one number"),
            (
                "B115 f gives complex",
                lambda x: 1j,
                np.ones(3),
                TypeError,
                "the result of f must be a number, got complex",
            ),
            (
                "B115 f gives a complex array",
                lambda x: np.array(1j),
                np.ones(3),
                TypeError,
                "the result of f must be a number",
            ),
            ("B115 f gives str", lambda x: "1", np.ones(3), TypeError, "the result of f must be a number, got str"),
            ("B116 f raises", fail, np.ones(3), LookupError, "mine"),
            ("x of integers", np.sum, np.ones(3, int), TypeError, r"x has dtype int64: .*x.astype\(float\)"),
            ("x a list", np.sum, [1.0], TypeError, "x must be a float32 or float64 NumPy array, got list"),
            ("x a number", np.sum, 1.0, TypeError, "x must be a float32 or float64 NumPy array"),
            ("x None", np.sum, None, TypeError, "x must be a float32 or float64 NumPy array"),
            ("x complex", np.sum, np.ones(3, complex), TypeError, "x has dtype complex128"),
            ("B117 x read-only", np.sum, read_only(np.ones(3)), ValueError, "x is read-only"),
            ("x masked", np.sum, np.ma.masked_array(np.ones(3), mask=True), TypeError, "masked"),
            ("x broadcast", np.sum, np.broadcast_to(1.0, 3), ValueError, "x is read-only"),
            ("x misaligned", np.sum, misaligned(np.ones(3)), ValueError, "x is not aligned"),
        ]
    ),
)
def numerical_gradient(world, f, x, error, message):
    refused(world, lambda: bd.numerical_gradient(f, x), error, message, f, x)


@case
def a_step_that_float32_does_not_see(world):  # B118: 0 / 0 otherwise
    x = np.array([1.0, 1000.0], np.float32)
    refused(
        world,
        lambda: bd.numerical_gradient(lambda x: float((x**2).sum()), x, 1e-5),
        ValueError,
        "h = 1e-05 is lost beside an element of x that is 1000.0: float32 has no number so near. .*larger",
        x,
    )
    assert bd.numerical_gradient(lambda x: float((x**2).sum()), x, 1.0)[1] == 2000


@each("k", [0, 1, 2, 3, 5])
def x_is_restored_when_f_raises_at_any_call(k):  # B116
    x = np.array([0.1, -0.0, 1e300])
    before = x.tobytes()
    calls = []

    def f(x):
        calls.append(1)
        if len(calls) == k + 1:
            raise KeyboardInterrupt
        return 0.0

    with pytest.raises(KeyboardInterrupt):
        bd.numerical_gradient(f, x)
    assert x.tobytes() == before


@case
def f_may_not_move_the_memory_of_x():  # B125
    def resizes(x):
        x.resize(10**6, refcheck=False)
        return 0.0

    with pytest.raises(RuntimeError, match="f changed the memory of x"):
        bd.numerical_gradient(resizes, np.ones(3))


@each(
    ("call", "error", "message"),
    rows(
        [
            ("rtol=str", lambda: check(rtol="1"), TypeError, "rtol must be a number, got str"),
            ("rtol=True", lambda: check(rtol=True), TypeError, "rtol must be a number, got bool"),
            ("rtol=0", lambda: check(rtol=0), ValueError, "rtol = 0: expected above 0 and below 1"),
            ("rtol=nan", lambda: check(rtol=np.nan), ValueError, "rtol = nan: expected above 0"),
            ("rtol=1", lambda: check(rtol=1), ValueError, "rtol = 1: expected"),
            ("points=0", lambda: check(points=0), ValueError, "points = 0: expected at least 1"),
            ("points=1.5", lambda: check(points=1.5), TypeError, "points must be an integer, got float"),
            ("points=True", lambda: check(points=True), TypeError, "points must be an integer, got bool"),
            ("seed=-1", lambda: check(seed=-1), ValueError, "seed = -1: expected at least 0"),
            ("seed=str", lambda: check(seed="a"), TypeError, "seed must be an integer, got str"),
            ("unknown keyword", lambda: check(tol=1), TypeError, "unexpected keyword argument 'tol'"),
            ("B115 subject=5", lambda: bd.gradcheck(5, np.ones(3)), TypeError, ""),
            ("B115 subject=None", lambda: bd.gradcheck(None, np.ones(3)), TypeError, ""),
            ("no gradient", lambda: bd.gradcheck(np.sin, np.ones(3)), TypeError, "vjp|grad"),
            ("no inputs", lambda: bd.gradcheck(np.sin, vjp=np.cos), (TypeError, ValueError), ""),
            ("f gives None", lambda: bd.gradcheck(lambda x: None, np.ones(3), vjp=np.cos), TypeError, ""),
            ("f gives str", lambda: bd.gradcheck(lambda x: "1", np.ones(3), vjp=np.cos), TypeError, ""),
            ("f gives complex", lambda: bd.gradcheck(lambda x: x + 0j, np.ones(3), vjp=np.cos), TypeError, ""),
            (
                "f raises",
                lambda: bd.gradcheck(fail, np.ones(3), vjp=np.cos),
                LookupError,
                "mine",
            ),
            ("a net without data", lambda: bd.gradcheck(fresh_net()), TypeError, ""),
            ("a net with bad labels", lambda: bd.gradcheck(fresh_net(), ONES, np.full(12, 9)), ValueError, "label 9"),
            (
                "a net with bad x",
                lambda: bd.gradcheck(fresh_net(), ONES[:, :3], np.zeros(12, int)),
                ValueError,
                "expected 4",
            ),
        ]
    ),
)
def gradcheck(world, call, error, message):
    refused(world, call, error, message)


def check(**options):
    return bd.gradcheck(np.sin, np.ones(3), vjp=lambda gy, x: gy * np.cos(x), **options)


@case
def gradcheck_leaves_a_net_alone(world):
    before = world.state()
    assert bd.gradcheck(world.net, world.x, world.t).ok
    after = world.state()
    before.pop(("net", "grads"))
    after.pop(("net", "grads"))
    assert after == before


@each(
    ("call", "error"),
    rows(
        [
            ("load_mnist normalize", lambda: bd.load_mnist(normalize=1), TypeError),
            ("load_mnist flatten", lambda: bd.load_mnist(flatten="yes"), TypeError),
            ("load_mnist one_hot_label", lambda: bd.load_mnist(one_hot_label=None), TypeError),
            ("load_mnist unknown", lambda: bd.load_mnist(onehot=True), TypeError),
            ("load_idx None", lambda: bd.load_idx(None), TypeError),
            ("load_idx 3", lambda: bd.load_idx(3), TypeError),
            ("load_idx missing", lambda: bd.load_idx("/no/such/file"), FileNotFoundError),
            ("load_idx NUL", lambda: bd.load_idx("a\0b"), ValueError),
        ]
    ),
)
def data_sets(world, call, error):
    refused(world, call, error, "")
