"""badak.functions: against the twins, the book's numbers, accuracy in ULP, extremes without a warning, bad input."""

import warnings

import numpy as np
import pytest
from cases import DTYPES, layouts, same_bits

from badak import _core, _reference, functions

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])
ELEMENTWISE = ["sigmoid", "sigmoid_grad", "relu", "relu_grad", "tanh", "step_function"]
elementwise = pytest.mark.parametrize("name", ELEMENTWISE)

SHAPES = [(), (1,), (7,), (1, 1), (3, 5), (0,), (0, 4), (2, 3, 4), (33, 17), (2, 3, 4, 5)]


def numbers(shape, dtype, seed=1):
    return np.asarray(4 * np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


# ---------------------------------------------------------------- right


@every_dtype
@elementwise
@pytest.mark.parametrize("shape", SHAPES)
def test_elementwise_functions_agree_with_their_twins(name, shape, dtype):
    x = numbers(shape, dtype)
    found, expected = getattr(functions, name)(x), getattr(_reference, name)(x)
    assert np.shape(found) == shape
    assert found.dtype == (int if name == "step_function" else dtype)
    size = _reference.sigmoid(x) if name == "sigmoid_grad" else np.abs(expected)  # of the terms that are multiplied
    assert np.all(np.abs(found - expected) <= 4 * np.finfo(dtype).eps * size)


@every_dtype
@pytest.mark.parametrize("shape", [(1,), (7,), (1, 1), (3, 5), (0, 4), (2, 3, 17), (33, 50), (2, 1000)])
def test_softmax_agrees_with_its_twin_and_sums_to_1(shape, dtype):
    x = numbers(shape, dtype)
    y = functions.softmax(x)
    eps = np.finfo(dtype).eps
    assert y.dtype == dtype and y.shape == shape
    assert np.all(np.abs(y - _reference.softmax(x)) <= 40 * eps * _reference.softmax(x))
    assert np.all(np.abs(y.sum(axis=-1, dtype=float) - 1) <= 16 * eps)


@every_dtype
@pytest.mark.parametrize("shape", [(1, 1), (1, 10), (9, 3), (33, 50)])
def test_losses_agree_with_their_twins(shape, dtype):
    rng = np.random.default_rng(4)
    scores, other = numbers(shape, dtype, 1), numbers(shape, dtype, 2)
    y = functions.softmax(scores)
    labels = rng.integers(0, shape[1], shape[0])
    soft = rng.uniform(0, 1, shape).astype(dtype)
    eps = float(np.finfo(dtype).eps)
    allowed = {"rel": 8 * eps, "abs": 8 * eps}
    for t in (labels, np.eye(shape[1])[labels], soft):
        assert functions.cross_entropy_error(y, t) == pytest.approx(_reference.cross_entropy_error(y, t), **allowed)
        assert functions.softmax_loss(scores, t) == functions.cross_entropy_error(y, t)
    for name in ("sum_squared_error", "mean_squared_error"):
        found = getattr(functions, name)(scores, other)
        assert found == pytest.approx(getattr(_reference, name)(scores, other), rel=8 * np.finfo(float).eps, abs=0)


def test_the_books_softmax():
    """Book: section 3.5.1 and 3.5.2."""
    y = functions.softmax(np.array([0.3, 2.9, 4.0]))
    assert y == pytest.approx([0.01821127, 0.24519181, 0.73659691], abs=5e-9)
    assert functions.softmax(np.array([1010, 1000, 990])) == pytest.approx(
        [9.99954600e-01, 4.53978686e-05, 2.06106005e-09]
    )


def test_the_books_activations():
    """Book: sections 3.2.3, 3.2.4 and 3.2.7."""
    assert np.array_equal(functions.step_function(np.array([-1.0, 1.0, 2.0])), [0, 1, 1])
    assert functions.sigmoid(np.array([-1.0, 1.0, 2.0])) == pytest.approx(
        [0.26894142, 0.73105858, 0.88079708], abs=5e-9
    )
    assert np.array_equal(functions.relu(np.array([-1.0, 0.0, 2.0])), [0, 0, 2])
    assert functions.step_function(0) == 0 and functions.relu_grad(0.0) == 1 and functions.sigmoid(0) == 0.5
    assert functions.sigmoid_grad(0.0) == 0.25 and functions.tanh(0.0) == 0


def test_the_books_losses():
    """Book: sections 4.2.1 and 4.2.2: ten guesses, of which class 2 is right, and the same with class 7 favoured."""
    t = [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    right = np.array([0.1, 0.05, 0.6, 0.0, 0.05, 0.1, 0.0, 0.1, 0.0, 0.0])
    wrong = np.array([0.1, 0.05, 0.1, 0.0, 0.05, 0.1, 0.0, 0.6, 0.0, 0.0])
    assert functions.sum_squared_error(right, t) == pytest.approx(0.0975)
    assert functions.sum_squared_error(wrong, t) == pytest.approx(0.5975)
    assert functions.mean_squared_error(right, t) == pytest.approx(0.0195)
    assert functions.cross_entropy_error(right, t) == pytest.approx(0.510825457099338, rel=1e-14)
    assert functions.cross_entropy_error(wrong, t) == pytest.approx(2.302584092994546, rel=1e-14)
    assert functions.cross_entropy_error(right, 2) == functions.cross_entropy_error(right, t)


def test_probability_zero_costs_what_the_books_eps_makes_of_it():
    """B063"""
    assert functions.cross_entropy_error(np.array([[0.0, 1.0]]), [0]) == pytest.approx(-np.log(1e-7))


def test_identity_function_gives_what_it_got():
    x = np.array([1.5, -2.0])
    assert np.array_equal(functions.identity_function(x), x) and functions.identity_function(3) == 3


# ---------------------------------------------------------------- accuracy


def ulps(found, exact):
    """How many units in the last place of its dtype each number of `found` is from `exact` (long double)."""
    dtype = found.dtype
    with np.errstate(all="ignore"):
        rounded = exact.astype(dtype)
        unit = np.spacing(np.minimum(np.abs(rounded), np.finfo(dtype).max))
        error = np.abs(found.astype(np.longdouble) - exact) / unit
    assert np.array_equal(np.isnan(found), np.isnan(exact))
    return np.where(np.isnan(exact) | (np.isinf(rounded) & (found == rounded)), 0, error)


def hard_numbers(dtype):
    """Some 250,000: every exponent by random bits, the range of exp, and the neighbourhoods of 0, 1 and the limits."""
    rng = np.random.default_rng(6)
    info = np.finfo(dtype)
    integer = np.uint32 if dtype == np.float32 else np.uint64
    bits = rng.integers(0, np.iinfo(integer).max, 150_000, integer, endpoint=True).view(dtype)
    tiny = np.arange(1, 2000).astype(integer).view(dtype)  # denormal
    limits = np.concatenate(
        [np.log(info.max), np.log(info.smallest_normal), np.log(info.smallest_subnormal)], axis=None
    )
    near_limits = (limits[:, None] * (1 + np.linspace(-1e-2, 1e-2, 1000))).ravel()
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, info.max, -info.max, info.smallest_normal, info.tiny, 1, -1]
    parts = [bits, tiny, -tiny, near_limits, 1 + rng.uniform(-1e-3, 1e-3, 20_000), rng.uniform(-1, 1, 30_000), special]
    parts.append(rng.uniform(1.02 * limits.min(), 1.02 * limits.max(), 50_000))
    return np.concatenate([np.asarray(part).astype(dtype) for part in parts])


EXACT = {
    "exp": (np.exp, 2),
    "log": (np.log, 2),
    "tanh": (np.tanh, 3),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), 3),
}


@every_dtype
@pytest.mark.parametrize("name", EXACT)
def test_accuracy_over_all_magnitudes(name, dtype):
    """The kernels promise 2 ULP for exp and log; tanh and sigmoid divide once more."""
    if dtype == np.float64 and np.finfo(np.longdouble).nmant < 60:
        pytest.skip("long double is no more than float64 on this platform: there is nothing to compare with")
    x = hard_numbers(dtype)
    assert len(x) > 200_000
    exact, allowed = EXACT[name]
    with np.errstate(all="ignore"):
        expected = exact(x.astype(np.longdouble))
    error = ulps(_core.apply(name, x), expected)
    worst = int(np.argmax(error))
    assert error[worst] <= allowed, f"{name}({x[worst]!r}) is off by {error[worst]:.2f} ULP"


@every_dtype
def test_exact_limits(dtype):
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan], dtype)
    for name, expected in (
        ("exp", [1, 1, np.inf, 0, np.nan]),
        ("log", [-np.inf, -np.inf, np.inf, np.nan, np.nan]),
        ("sigmoid", [0.5, 0.5, 1, 0, np.nan]),
        ("tanh", [0, 0, 1, -1, np.nan]),
        ("relu", [0, 0, np.inf, 0, np.nan]),
    ):
        assert np.array_equal(_core.apply(name, x), np.array(expected, dtype), equal_nan=True), name
    assert _core.apply("exp", dtype(np.finfo(dtype).max)) == np.inf
    assert np.isnan(_core.apply("log", dtype(-1)))
    assert np.signbit(_core.apply("tanh", dtype(-0.0)))


@every_dtype
def test_sigmoid_and_tanh_are_monotonic_and_symmetric(dtype):
    x = np.linspace(-30, 30, 20_001).astype(dtype)
    sigmoid, tanh = functions.sigmoid(x), functions.tanh(x)
    eps = np.finfo(dtype).eps
    assert np.all(np.diff(sigmoid) >= -2 * eps) and np.all(np.diff(tanh) >= -2 * eps)
    assert np.all(np.abs(tanh) <= 1) and np.all((sigmoid >= 0) & (sigmoid <= 1))
    assert same_bits(functions.tanh(-x), -tanh)
    assert np.all(np.abs(sigmoid + functions.sigmoid(-x) - 1) <= 2 * eps)


# ---------------------------------------------------------------- dtypes, layouts, scalars


@elementwise
def test_scalars_in_scalars_out(name):
    function = getattr(functions, name)
    whole = np.int64 if name == "step_function" else None
    for x, kind in ((0.5, np.float64), (2, np.float64), (True, np.float64), (np.float32(0.5), np.float32)):
        y = function(x)
        assert np.ndim(y) == 0 and isinstance(y, whole or kind), (name, x)
        assert y == pytest.approx(getattr(_reference, name)(x), rel=1e-6)
    assert isinstance(function(np.array(0.5)), np.generic)


@pytest.mark.parametrize("name", ["sigmoid", "relu", "tanh", "sigmoid_grad", "relu_grad", "softmax"])
def test_dtypes_float32_and_float64_stay_and_others_become_float64(name):
    function = getattr(functions, name)
    whole = np.array([[0, 1, 2], [3, 0, 1]])
    assert function(whole.astype(np.float32)).dtype == np.float32
    expected = function(whole.astype(float))
    for other in (float, np.float16, np.int8, np.int64, np.uint8, ">f8", ">i4"):
        assert same_bits(function(whole.astype(other)), expected), other
    assert same_bits(function(whole.tolist()), expected)
    assert same_bits(function(np.ma.array(whole)), expected)
    flags = whole.astype(bool)
    assert same_bits(function(flags), function(flags.astype(float)))


@every_dtype
@pytest.mark.parametrize("name", [*ELEMENTWISE, "softmax"])
def test_any_layout_gives_the_bits_of_the_contiguous_one_and_is_left_alone(name, dtype):
    function, x = getattr(functions, name), numbers((5, 6), dtype)
    expected = function(x)
    for layout, other in layouts(x).items():
        before = other.tobytes()
        found = function(other)
        assert same_bits(found, expected), layout
        assert other.tobytes() == before and not np.shares_memory(found, other)
    assert same_bits(function(np.broadcast_to(x[0], (4, 6))), function(np.tile(x[0], (4, 1))))


@every_dtype
@pytest.mark.parametrize("name", ["sum_squared_error", "mean_squared_error", "cross_entropy_error"])
def test_losses_of_any_layout(name, dtype):
    function = getattr(functions, name)
    y, t = functions.softmax(numbers((5, 6), dtype)), functions.softmax(numbers((5, 6), dtype, 2))
    expected = function(y, t)
    assert isinstance(expected, float)
    for layout in layouts(y):
        assert function(layouts(y)[layout], t) == expected == function(y, layouts(t)[layout]), layout


@pytest.mark.parametrize(
    "form",
    [
        lambda t: t,
        lambda t: t.tolist(),
        lambda t: t[:, None],
        lambda t: t.astype(np.uint8),
        lambda t: t.astype(">i2"),
        lambda t: np.eye(3)[t],
        lambda t: np.eye(3, dtype=int)[t],
        lambda t: np.eye(3, dtype=bool)[t],
        lambda t: np.eye(3, dtype=np.float32)[t].tolist(),
    ],
)
def test_labels_of_every_form_cost_the_same(form):
    y, t = functions.softmax(numbers((4, 3), float)), np.array([2, 0, 1, 1])
    assert functions.cross_entropy_error(y, form(t)) == functions.cross_entropy_error(y, t)


def test_one_sample_may_come_without_its_axis():
    y = functions.softmax(numbers(3, float))
    expected = functions.cross_entropy_error(y[None], [1])
    for t in (1, [1], np.array(1), [0, 1, 0], [[0, 1, 0]]):
        assert functions.cross_entropy_error(y, t) == expected


# ---------------------------------------------------------------- extremes


EXTREMES = [0.0, -0.0, 1e-45, 5e-324, 1e-310, 1.0, 88.8, 104.0, 710.0, 746.0, 1e10, 3.4028235e38, 1e300, 1e308]
EXTREMES.append(np.finfo(float).max)


@pytest.mark.parametrize("name", [*ELEMENTWISE, "softmax"])
def test_no_finite_number_overflows_or_warns(name):
    """Warnings are errors in this suite."""
    function = getattr(functions, name)
    x = np.array([s * value for value in EXTREMES for s in (-1, 1)])
    y = function(x)
    assert np.isfinite(y).all() and np.all(y[x >= 0] >= 0)
    with np.errstate(over="ignore", under="ignore"):
        x = x.astype(np.float32)
    assert np.isfinite(function(x[np.isfinite(x)])).all()
    for row in np.array(np.meshgrid(EXTREMES, EXTREMES)).T.reshape(-1, 2):
        assert np.isfinite(function(row)).all()


def test_softmax_of_extremes():
    largest = np.finfo(float).max
    assert np.array_equal(functions.softmax(np.array([largest, -largest])), [1, 0])
    assert np.array_equal(functions.softmax(np.array([largest, largest])), [0.5, 0.5])
    assert np.array_equal(functions.softmax(np.array([-largest, -np.inf])), [1, 0])
    assert np.isnan(functions.softmax(np.array([1.0, np.nan, 2.0]))).all()


def test_squares_of_extremes_do_not_warn():
    assert functions.sum_squared_error(np.array([1e200]), np.array([0.0])) == np.inf
    assert functions.mean_squared_error(np.array([1e-200]), np.array([0.0])) == 0
    assert functions.sum_squared_error(np.array([1e150, 1.0]), np.array([0.0, 0.0])) == pytest.approx(5e299)


def test_a_float64_target_is_not_too_large_for_float32_predictions():
    y, t = np.zeros(2, np.float32), np.array([1e300, 0.1])
    assert functions.sum_squared_error(y, t) == np.inf
    assert functions.sum_squared_error(y[1:], t[1:]) == pytest.approx(0.005, rel=1e-6)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu", "softmax", "sigmoid_grad"])
def test_a_nan_passes(name):
    assert np.isnan(getattr(functions, name)(np.array([np.nan, 1.0]))[0])


def test_losses_of_nan_are_nan():
    y = np.array([[np.nan, 0.5], [0.5, 0.5]])
    assert np.isnan(functions.cross_entropy_error(y, [0, 1]))
    assert np.isnan(functions.sum_squared_error(y, np.zeros((2, 2))))


# ---------------------------------------------------------------- bad input


NOT_NUMBERS = [None, "abc", b"abc", 1j, np.array([1j]), np.array([None]), [object()], {1}, np.zeros(1, "M8[s]")]
NOT_NUMBERS += [np.ones(2, np.longdouble), np.ma.array([1.0, 2.0], mask=[0, 1]), np.zeros(1, [("a", float)])]


@pytest.mark.parametrize("name", ["sigmoid", "relu", "relu_grad", "tanh", "softmax", "sigmoid_grad"])
@pytest.mark.parametrize("bad", NOT_NUMBERS, ids=lambda bad: repr(bad).split(" at 0x")[0][:40])
def test_what_is_not_real_numbers_is_refused(name, bad):
    with pytest.raises(TypeError, match="x"):
        getattr(functions, name)(bad)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0)])
def test_softmax_needs_classes(shape):
    with pytest.raises(ValueError, match="at least one axis"):
        functions.softmax(np.zeros(shape))


@pytest.mark.parametrize(
    ("y", "t", "error", "message"),
    [
        (np.full((2, 3), 0.3), [0, 3], ValueError, "label 3 of sample 1"),
        (np.full((2, 3), 0.3), [-1, 0], ValueError, "label -1 of sample 0"),
        (np.full((2, 3), 0.3), [0.0, 1.0], TypeError, "integer labels"),
        (np.full((2, 3), 0.3), [np.nan, 1.0], TypeError, "integer labels"),
        (np.full((2, 3), 0.3), [0, 1, 2], ValueError, "2 samples, but t has 3"),
        (np.full((2, 3), 0.3), np.zeros((2, 2), int), ValueError, "C = 3"),
        (np.full((2, 3), 0.3), np.full((2, 3), -0.1), ValueError, "soft labels"),
        (np.full((2, 3), 0.3), np.full((2, 3), np.inf), ValueError, "soft labels"),
        (np.full((2, 3), 0.3), ["a", "b"], TypeError, "integer labels"),
        (np.full((2, 3), 0.3), np.array([2**63 + 5, 0], np.uint64), ValueError, "label"),
        (np.array([[0.5, -0.5]]), [0], ValueError, "softmax them"),
        (np.zeros((0, 3)), np.zeros(0, int), ValueError, "no samples"),
        (np.zeros((2, 0)), np.zeros(2, int), ValueError, "no classes"),
        (np.array([["a"]]), [0], TypeError, "y must hold real numbers"),
        (0.5, 0, ValueError, "y has 0 dimensions"),
        (np.full(3, 0.3), 3, ValueError, "label 3"),
        (np.ma.array([[0.5, 0.5]], mask=[[0, 1]]), [0], TypeError, "masked"),
        (np.full((2, 3), 0.3), np.ma.array([0, 1], mask=[0, 1]), TypeError, "masked"),
    ],
)
def test_bad_arguments_of_cross_entropy_error(y, t, error, message):
    with pytest.raises(error, match=message):
        functions.cross_entropy_error(y, t)


@pytest.mark.parametrize("name", ["sum_squared_error", "mean_squared_error"])
def test_squared_errors_need_equal_shapes(name):
    """B064: (N, 1) against (N,) would silently be (N, N)."""
    function = getattr(functions, name)
    for y, t in (((4, 1), (4,)), ((4,), (4, 1)), ((4, 2), (4, 3)), ((4,), ()), ((1,), (3,))):
        with pytest.raises(ValueError, match=r"y has shape .* but t has shape"):
            function(np.zeros(y), np.zeros(t))
    with pytest.raises(TypeError, match="t must hold real numbers"):
        function(np.zeros(1), [1j])


def test_the_mean_of_nothing_does_not_exist():
    with pytest.raises(ValueError, match="no elements"):
        functions.mean_squared_error([], [])
    assert functions.sum_squared_error([], []) == 0


def test_an_unknown_function_of_the_core():
    with pytest.raises(ValueError, match="cosh"):
        _core.apply("cosh", 1.0)


def test_the_module_hands_on_what_the_books_does():
    space = {}
    exec("from badak.functions import *", space)
    assert set(functions.__all__) <= set(space) and space["np"] is np


def test_warnings_are_errors_here():
    """Without it the tests of extremes would show nothing."""
    with pytest.raises(RuntimeWarning), warnings.catch_warnings():
        warnings.simplefilter("error")
        np.exp(np.array([1e308]))
