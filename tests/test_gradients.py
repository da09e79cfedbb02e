"""badak.gradient and badak.gradcheck: right gradients pass, wrong ones are named, nobody's arrays are touched."""

import copy
import json
import warnings

import numpy as np
import pytest
from cases import DTYPES, layouts, same_bits

import badak as bd
from badak import GradientError, _reference

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])


def rng(seed=0):
    return np.random.default_rng(seed)


# ================================================================ numerical_gradient


def test_the_books_numerical_gradient():
    """Book: section 4.4: the gradient of x0^2 + x1^2 at (3, 4)."""
    assert bd.numerical_gradient(lambda x: np.sum(x**2), np.array([3.0, 4.0])) == pytest.approx([6, 8], abs=1e-9)


@every_dtype
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 4), (2, 3, 4), (0,), (0, 3)])
def test_every_element_of_any_shape(shape, dtype):
    x = np.asarray(rng().standard_normal(shape)).astype(dtype)
    weight = rng(1).standard_normal(shape)
    gradient = bd.numerical_gradient(lambda x: float(np.sum(weight * np.sin(x.astype(float)))), x, h=1e-3)
    assert gradient.dtype == dtype and gradient.shape == shape and type(gradient) is np.ndarray
    assert gradient.flags.c_contiguous and gradient.flags.owndata
    tolerance = 1e-6 if dtype == np.float64 else 1e-3
    assert np.all(np.abs(gradient - weight * np.cos(x.astype(float))) <= tolerance)


def test_x_of_any_layout_in_place():
    x = rng().standard_normal((3, 4))
    for name, other in layouts(x).items():
        if name in ("read-only", "byte-swapped", "misaligned by one byte"):
            with pytest.raises(ValueError, match="x is "):
                bd.numerical_gradient(lambda x: 0.0, other)
        else:
            before = other.tobytes()
            gradient = bd.numerical_gradient(lambda x: np.sum(x**2), other)
            assert gradient == pytest.approx(2 * x, abs=1e-8), name
            assert other.tobytes() == before, name


def test_f_is_called_with_x_itself():
    x = np.zeros(2)
    seen = []
    bd.numerical_gradient(lambda given: seen.append((given is x, given.tolist())) or 0.0, x, h=0.5)
    assert seen == [(True, [0.5, 0]), (True, [-0.5, 0]), (True, [0, 0.5]), (True, [0, -0.5])]


AWKWARD = [-0.0, 0.1, 1e16, 5e-324, -1e308, np.inf, np.frombuffer(b"\x01\x02\x03\x04\x05\x06\xf8\x7f")[0]]  # a NaN


@every_dtype
def test_x_is_restored_bit_for_bit(dtype):
    with np.errstate(over="ignore", under="ignore"):
        x = np.array(AWKWARD).astype(dtype)
    x[2] = min(x[2], 1e3 / np.finfo(dtype).eps * 1e-7)  # where a step of 1e-4 is still seen
    before = x.tobytes()
    bd.numerical_gradient(lambda x: 0.0, x)
    assert x.tobytes() == before


def test_x_is_restored_where_the_step_is_lost():
    x = np.array([0.1, 1e16, -0.0], np.float32)
    before = x.tobytes()
    with pytest.raises(ValueError, match="float32 has no number so near"):
        bd.numerical_gradient(lambda x: 0.0, x)
    assert x.tobytes() == before


@pytest.mark.parametrize("call", range(1, 7))
def test_x_is_restored_and_the_error_passes_when_f_raises(call):
    x = np.array([0.1, -0.0, 1e16])
    before, calls = x.tobytes(), []

    def f(x):
        calls.append(1)
        if len(calls) == call:
            raise ZeroDivisionError("mine")
        return 0.0

    with pytest.raises(ZeroDivisionError, match="mine"):
        bd.numerical_gradient(f, x)
    assert x.tobytes() == before and len(calls) == call


@pytest.mark.parametrize(
    "value", [2.5, np.float64(2.5), np.float32(2.5), 2, np.int8(2), np.array(2.5), np.ones((1, 1))]
)
def test_f_may_return_any_one_number(value):
    assert np.array_equal(bd.numerical_gradient(lambda x: value, np.ones(2)), [0, 0])


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (None, TypeError),
        ("1", TypeError),
        (1j, TypeError),
        (np.complex128(1), TypeError),
        (np.array([1j]), TypeError),
        (np.array(["a"]), TypeError),
        ([1.0], TypeError),
        (True, TypeError),
        (np.zeros(2), ValueError),
        (np.zeros(0), ValueError),
        (10**400, OverflowError),
    ],
)
def test_f_that_does_not_return_one_number(value, error):
    x = np.array([0.1, 0.2])
    before = x.tobytes()
    with pytest.raises(error):
        bd.numerical_gradient(lambda x: value, x)
    assert x.tobytes() == before


@pytest.mark.parametrize("dtype", [int, np.uint8, bool, np.float16, complex])
def test_an_array_of_integers_is_refused_with_the_remedy(dtype):
    x = np.ones(2, dtype)
    with pytest.raises(TypeError, match=r"x\.astype\(float\)") as caught:
        bd.numerical_gradient(lambda x: float(np.sum(x.real)), x)
    if dtype is not complex:
        remedy = str(caught.value).split("(x = ")[1].removesuffix(")")
        assert bd.numerical_gradient(lambda x: float(np.sum(x)), eval(remedy, {"x": x})) == pytest.approx([1, 1])


@pytest.mark.parametrize("x", [3.0, [1.0, 2.0], None, "abc"])
def test_x_must_be_an_array(x):
    with pytest.raises(TypeError, match="x must be"):
        bd.numerical_gradient(lambda x: 0.0, x)


@pytest.mark.parametrize("h", [0, -1e-4, np.nan, np.inf])
def test_h_must_be_positive(h):
    with pytest.raises(ValueError, match=r"h = .* is out of range"):
        bd.numerical_gradient(lambda x: 0.0, np.ones(2), h)


def test_bad_h_and_f():
    with pytest.raises(TypeError):
        bd.numerical_gradient(lambda x: 0.0, np.ones(2), h="small")
    with pytest.raises(TypeError, match="f must be callable"):
        bd.numerical_gradient(3.0, np.ones(2))


@pytest.mark.parametrize("size", [0, 1, 2, 1000, 1_000_000])
def test_f_that_resizes_x_is_an_error_and_no_crash(size):
    x = np.ones(3)
    with pytest.raises(RuntimeError, match="changed the memory of x"):
        bd.numerical_gradient(lambda x: x.resize(size, refcheck=False) or 0.0, x)
    assert x.size == size


def test_f_that_changes_the_dtype_of_x_is_an_error():
    x = np.ones(3)

    def f(x):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            x.dtype = np.int64
        return 0.0

    with pytest.raises(RuntimeError, match="changed the memory of x"):
        bd.numerical_gradient(f, x)


def test_a_parameter_that_a_layer_holds():
    """Book: section 5.7.4: numerical_gradient changes the very array that the layer holds."""
    layer, loss = bd.Affine(rng().standard_normal((3, 2)), np.zeros(2)), bd.SoftmaxWithLoss()
    x, t = rng(1).standard_normal((4, 3)), np.array([0, 1, 1, 0])

    def f(_):
        return loss.forward(layer.forward(x), t)

    for name in ("W", "b"):
        numeric = bd.numerical_gradient(f, getattr(layer, name))
        f(None)
        layer.backward(loss.backward())
        assert numeric == pytest.approx(layer.grads[name], abs=1e-8)


# ================================================================ derivative


SMOOTH = [
    (lambda x, a: np.sin(a * x), lambda x, a: a * np.cos(a * x)),
    (lambda x, a: np.exp(a * x), lambda x, a: a * np.exp(a * x)),
    (lambda x, a: np.tanh(a * x), lambda x, a: a / np.cosh(a * x) ** 2),
    (lambda x, a: x**3 - a * x, lambda x, a: 3 * x**2 - a),
    (lambda x, a: 1 / (1 + a * a * x * x), lambda x, a: -2 * a * a * x / (1 + a * a * x * x) ** 2),
    (lambda x, a: np.log(x * x + a * a + 1), lambda x, a: 2 * x / (x * x + a * a + 1)),
    (lambda x, a: np.sqrt(x * x + 1) * np.cos(a), lambda x, a: x / np.sqrt(x * x + 1) * np.cos(a)),
    (
        lambda x, a: np.exp(-x * x) * np.sin(a * x),
        lambda x, a: np.exp(-x * x) * (a * np.cos(a * x) - 2 * x * np.sin(a * x)),
    ),
    (lambda x, a: 1e6 + np.sin(a * x), lambda x, a: a * np.cos(a * x)),
    (lambda x, a: 1e-9 * np.sin(a * x), lambda x, a: 1e-9 * a * np.cos(a * x)),
]


def test_the_bound_of_derivative_holds_and_is_not_much_too_large():
    """1,000 smooth functions: in 99 of 100 the truth is within the bound; half of the bounds are below 100 errors."""
    random = rng(5)
    kept, looseness, digits = [], [], []
    for i in range(1000):
        f, slope = SMOOTH[i % len(SMOOTH)]
        x, a = random.normal(0, 2), random.uniform(0.1, 4)
        found, truth = bd.derivative(lambda x, f=f, a=a: f(x, a), x), slope(x, a)
        error = abs(found.value - truth)
        kept.append(error <= found.uncertainty)
        looseness.append(found.uncertainty / max(error, 1e-17 * abs(truth)))
        digits.append(-np.log10(max(found.uncertainty, 1e-17 * abs(truth)) / abs(truth)))
    assert np.mean(kept) >= 0.99
    assert np.median(looseness) <= 100
    assert np.median(digits) >= 8


def test_derivative_of_a_constant_is_exactly_0():
    found = bd.derivative(lambda x: 3.0, 1.0)
    assert found.value == 0 and found.status == "PASS"


def test_derivative_says_when_it_does_not_know():
    def rough(x):
        return np.modf(np.sin(1e6 * x) * 43758.5453)[0]

    for x in np.linspace(0.1, 5, 50):
        found, truth = bd.derivative(rough, x), 43758.5453e6 * np.cos(1e6 * x)
        assert found.status == "UNRESOLVED" or abs(found.value - truth) <= found.uncertainty
    assert bd.derivative(lambda x: np.nan, 1.0).status == "NONFINITE"


def test_derivative_at_the_edge_of_a_domain():
    with np.errstate(invalid="ignore", divide="ignore"):
        found = bd.derivative(np.log, 1e-6)
        assert found.value == pytest.approx(1e6, rel=1e-6) and abs(found.value - 1e6) <= found.uncertainty
        one_sided = bd.derivative(lambda x: x * np.sqrt(x), 0.0)
    assert abs(one_sided.value) <= max(one_sided.uncertainty, 1e-3)


def test_derivative_lets_errors_pass_and_prints_its_bound():
    with pytest.raises(ZeroDivisionError):
        bd.derivative(lambda x: 1 / 0, 1.0)
    with pytest.raises(TypeError):
        bd.derivative(lambda x: None, 1.0)
    found = bd.derivative(np.sin, 0.0)
    assert repr(found) == f"{found.value!r} ± {found.uncertainty:.1g}"


# ================================================================ gradcheck: right gradients


def softmax_vjp(gy, x):
    y = _reference.softmax(x)
    return y * (gy - (gy * y).sum(axis=-1, keepdims=True))


RIGHT = {
    "sin": (np.sin, [rng().standard_normal((3, 4))], lambda gy, x: gy * np.cos(x)),
    "exp": (np.exp, [rng().standard_normal(5)], lambda gy, x: gy * np.exp(x)),
    "a product of matrices": (
        np.matmul,
        [rng().standard_normal((3, 4)), rng(1).standard_normal((4, 2))],
        lambda gy, a, b: (gy @ b.T, a.T @ gy),
    ),
    "softmax": (_reference.softmax, [rng().standard_normal((3, 5))], softmax_vjp),
    "a number of a number": (lambda x: x**3, [0.7], lambda gy, x: gy * 3 * x**2),
    "a mean": (np.mean, [rng().standard_normal((6, 2))], lambda gy, x: np.full(x.shape, gy / x.size)),
    "a norm": (lambda x: np.sqrt((x**2).sum()), [rng().standard_normal(9)], lambda gy, x: gy * x / np.linalg.norm(x)),
    "very different scales": (
        lambda x: x * np.array([1e-12, 1.0, 1e12]),
        [np.array([1.0, 2.0, 3.0])],
        lambda gy, x: gy * np.array([1e-12, 1.0, 1e12]),
    ),
    "large numbers": (np.square, [1e8 * rng().standard_normal(4)], lambda gy, x: 2 * gy * x),
    "small numbers": (np.square, [1e-8 * rng().standard_normal(4)], lambda gy, x: 2 * gy * x),
    "more elements than are looked at one by one": (
        np.tanh,
        [rng().standard_normal((40, 50))],
        lambda gy, x: gy * (1 - np.tanh(x) ** 2),
    ),
    "near the edge of a domain": (np.log, [np.array([1e-3, 1e-6, 2.0])], lambda gy, x: gy / x),
    "near kinks": (
        lambda x: np.maximum(x, 0),
        [np.array([1e-3, -1e-3, 1e-5, -1e-5, 1e-7, -1e-7])],
        lambda gy, x: gy * (x > 0),
    ),
    "three inputs": (
        lambda a, b, c: a * b + c,
        [rng(i).standard_normal((2, 3)) for i in range(3)],
        lambda gy, a, b, c: [gy * b, gy * a, gy],
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_gradients_pass(name):
    f, inputs, vjp = RIGHT[name]
    with np.errstate(invalid="ignore", divide="ignore"):
        report = bd.gradcheck(f, *inputs, vjp=vjp)
    assert report.ok and bool(report) and report.status == "PASS" and report.conduct == [], report
    assert [entry.shape for entry in report.entries] == [np.shape(x) for x in inputs]
    for entry in report.entries:
        assert entry.ok and entry.evaluations > 0 and 0 < entry.checked <= entry.size, report


@pytest.mark.parametrize("name", RIGHT)
def test_the_same_gradients_doubled_fail(name):
    f, inputs, vjp = RIGHT[name]

    def doubled(gy, *inputs):
        found = vjp(gy, *inputs)
        return [2 * g for g in found] if isinstance(found, (tuple, list)) else 2 * found

    with np.errstate(invalid="ignore", divide="ignore"):
        report = bd.gradcheck(f, *inputs, vjp=doubled)
    assert not report.ok and all(entry.status == "FAIL" for entry in report.entries), report
    assert all("2 times" in entry.diagnosis for entry in report.entries), report


def test_gradients_given_as_arrays_or_callables():
    x, y = rng().standard_normal(4), rng(1).standard_normal(4)

    def f(x, y):
        return (x * y).sum()

    for grad in ((y, x), [y, x], lambda x, y: (y, x)):
        assert bd.gradcheck(f, x, y, grad=grad).ok
    for grad in ((x, y), lambda x, y: (x, y)):
        report = bd.gradcheck(f, x, y, grad=grad)
        assert [entry.status for entry in report.entries] == ["FAIL", "FAIL"], report
    assert bd.gradcheck(lambda x: (x**2).sum(), x, grad=2 * x).ok


def test_integers_are_passed_on_and_not_differentiated():
    x, which = rng().standard_normal((4, 3)), np.array([2, 0])
    report = bd.gradcheck(lambda x, i: x[i], x, which, vjp=lambda gy, x, i: (np.eye(4)[:, i] @ gy, None))
    assert report.ok and [entry.shape for entry in report.entries] == [(4, 3)], report
    one = bd.gradcheck(lambda x, i: x[i], x, which, vjp=lambda gy, x, i: np.eye(4)[:, i] @ gy)
    assert one.ok, one


def test_float32_inputs_are_checked_in_float64():
    seen = set()

    def f(x):
        seen.add(x.dtype)
        return np.sin(x)

    assert bd.gradcheck(f, np.ones(3, np.float32), vjp=lambda gy, x: gy * np.cos(x))
    assert seen == {np.dtype(np.float64)}


def test_code_that_computes_in_float32_is_not_called_wrong():
    def f(x):
        return np.sin(x.astype(np.float32)).astype(np.float64)

    report = bd.gradcheck(f, rng().standard_normal(20), vjp=lambda gy, x: gy * np.cos(x))
    assert report.status != "FAIL", report
    wrong = bd.gradcheck(f, rng().standard_normal(20), vjp=lambda gy, x: gy * 1.3 * np.cos(x))
    assert wrong.status == "FAIL", wrong


@pytest.mark.parametrize("layout", layouts(np.ones((2, 2))))
def test_inputs_of_any_layout(layout):
    x = layouts(rng().standard_normal((3, 4)))[layout]
    before = x.tobytes()
    assert bd.gradcheck(np.sin, x, vjp=lambda gy, x: gy * np.cos(x)).ok
    assert x.tobytes() == before
    assert bd.gradcheck(np.sin, np.broadcast_to(x[:1], (5, 4)), vjp=lambda gy, x: gy * np.cos(x)).ok


def test_names():
    report = bd.gradcheck(np.multiply, np.ones(2), np.ones(2), vjp=lambda gy, a, b: (gy * b, gy * a), names=["p", "q"])
    assert [entry.name for entry in report.entries] == ["p", "q"] and report.subject == "multiply"


# ================================================================ gradcheck: wrong gradients


class PlainAffine:
    """A layer that somebody wrote, after the book; subclasses break one thing."""

    def __init__(self, inputs, units):
        self.W = rng(3).standard_normal((inputs, units))
        self.b = rng(4).standard_normal(units)
        self.x = self.dW = self.db = None

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW = self.x.T @ dout
        self.db = dout.sum(axis=0)
        self.spoil(dout)
        return self.dx(dout)

    def dx(self, dout):
        return dout @ self.W.T

    def spoil(self, dout):
        pass


def affine_with(spoil=PlainAffine.spoil, dx=PlainAffine.dx, inputs=4, units=4):
    return type("Spoiled", (PlainAffine,), {"spoil": spoil, "dx": dx})(inputs, units)


def setter(name, change):
    return lambda layer, dout: setattr(layer, name, change(getattr(layer, name)))


WRONG = {
    "dW doubled": ("W", {"spoil": setter("dW", lambda g: 2 * g)}, "2 times"),
    "dW halved": ("W", {"spoil": setter("dW", lambda g: g / 2)}, "0.5 times"),
    "dW with the wrong sign": ("W", {"spoil": setter("dW", np.negative)}, "sign"),
    "dW zero": ("W", {"spoil": setter("dW", np.zeros_like)}, "analytic gradient is 0"),
    "dW transposed, W square": ("W", {"spoil": setter("dW", np.transpose)}, "differ"),
    "dW rolled": ("W", {"spoil": setter("dW", lambda g: np.roll(g, 1))}, "differ"),
    "db a mean": ("b", {"spoil": lambda layer, dout: setattr(layer, "db", dout.mean(axis=0))}, "0.33333 times"),
    "db of the first sample": ("b", {"spoil": lambda layer, dout: setattr(layer, "db", dout[0])}, "differ"),
    "dx = dout @ W, W square": ("x", {"dx": lambda layer, dout: dout @ layer.W}, "differ"),
    "dx is dout": ("x", {"dx": lambda layer, dout: dout}, "differ"),
}


def test_a_layer_that_somebody_wrote_passes():
    report = bd.gradcheck(PlainAffine(4, 3), rng().standard_normal((3, 4)))
    assert report.ok and [entry.name for entry in report.entries] == ["x", "W", "b"], report


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_gradient_is_named_with_its_worst_element_and_a_reason(name):
    wrong, change, reason = WRONG[name]
    report = bd.gradcheck(affine_with(**change), rng().standard_normal((3, 4)))
    assert not report.ok and report.status == "FAIL" and not bool(report), report
    for entry in report.entries:
        assert entry.status == ("FAIL" if entry.name == wrong else "PASS"), report
        if entry.name == wrong:
            assert reason in entry.diagnosis, report
            assert len(entry.worst_index) == len(entry.shape)
            assert abs(entry.analytic - entry.numeric) > 3 * entry.uncertainty
            assert entry.relative_error == pytest.approx(
                abs(entry.analytic - entry.numeric) / max(abs(entry.analytic), abs(entry.numeric))
            )
    assert f"{wrong}: " in str(report) and "FAIL" in str(report)


def spoil_one(index):
    def spoil(layer, dout):
        layer.dW[index] *= 1.1

    return spoil


def test_one_element_of_400_off_by_a_tenth_is_named():
    report = bd.gradcheck(affine_with(spoil_one((7, 13)), inputs=20, units=20), rng().standard_normal((3, 20)))
    (entry,) = (entry for entry in report.entries if not entry.ok)
    assert entry.name == "W" and entry.worst_index == (7, 13) and "1 of 400" in entry.diagnosis, report
    assert entry.relative_error == pytest.approx(1 / 11, rel=1e-3)


def test_one_element_of_10000_off_by_a_tenth_is_found_by_bisection():
    layer = affine_with(spoil_one((61, 17)), inputs=100, units=100)
    report = bd.gradcheck(layer, rng().standard_normal((3, 100)), points=1)
    entry = next(entry for entry in report.entries if entry.name == "W")
    assert entry.checked < entry.size == 10_000
    assert entry.status == "FAIL" and entry.worst_index == (61, 17), report


def test_a_missing_division_by_the_batch_size():
    class Loss:
        def forward(self, x, t):
            self.y, self.t = _reference.softmax(x), np.eye(x.shape[1])[t]
            return -(self.t * np.log(self.y)).sum() / len(x)

        def backward(self, dout=1):
            return dout * (self.y - self.t)

    report = bd.gradcheck(Loss(), rng().standard_normal((5, 3)), np.array([0, 2, 1, 1, 0]))
    (entry,) = report.entries
    assert entry.status == "FAIL" and "5 times" in entry.diagnosis, report


def test_a_wrong_slope_on_one_side_of_0_is_found_from_inputs_of_the_other():
    """Random points near the inputs, with signs flipped."""
    report = bd.gradcheck(np.abs, np.array([1.0, 2.0]), vjp=lambda gy, x: gy)
    assert report.status == "FAIL" and report.entries[0].point > 0, report
    assert bd.gradcheck(np.abs, np.array([1.0, 2.0]), vjp=lambda gy, x: gy, points=1).ok


# ================================================================ gradcheck: kinks


def relu_with_slope(slope):
    return lambda gy, x: gy * np.where(x > 0, 1.0, np.where(x == 0, slope, 0.0))


ON_THE_KINK = np.array([0.0, 1.0, -2.0, 0.0])


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_relu_at_0_is_a_kink_for_every_slope_between(slope):
    report = bd.gradcheck(lambda x: np.maximum(x, 0), ON_THE_KINK, vjp=relu_with_slope(slope))
    (entry,) = report.entries
    assert report.ok and entry.status == "KINK" and "2 of 4" in entry.diagnosis, report
    assert sorted(map(abs, entry.one_sided))[0] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("slope", [7.0, -1.0, 1.5])
def test_relu_at_0_with_a_slope_that_is_not_between_fails(slope):
    report = bd.gradcheck(lambda x: np.maximum(x, 0), ON_THE_KINK, vjp=relu_with_slope(slope))
    assert report.status == "FAIL" and report.entries[0].worst_index in ((0,), (3,)), report


def test_an_absolute_value_at_0():
    x = np.array([0.0, 1.0])
    assert bd.gradcheck(np.abs, x, vjp=lambda gy, x: gy * np.sign(x)).status == "KINK"
    assert bd.gradcheck(np.abs, x, vjp=lambda gy, x: gy * np.where(x == 0, 2.0, np.sign(x))).status == "FAIL"


def test_a_wrong_element_beside_a_kink_fails():
    def vjp(gy, x):
        found = gy * (x > 0)
        found[1] *= 1.5
        return found

    report = bd.gradcheck(lambda x: np.maximum(x, 0), ON_THE_KINK, vjp=vjp)
    assert report.status == "FAIL" and report.entries[0].worst_index == (1,), report


# ================================================================ gradcheck: what is no gradient


@pytest.mark.parametrize(
    ("gradient", "status"),
    [
        (lambda x: x[:, None], "SHAPE"),
        (lambda x: x[:-1], "SHAPE"),
        (lambda x: 1.0, "SHAPE"),
        (lambda x: x.astype(np.float32), "DTYPE"),
        (lambda x: np.ones(x.shape, int), "DTYPE"),
        (lambda x: np.where(np.arange(x.size) == 2, np.nan, x), "NONFINITE"),
        (lambda x: np.where(np.arange(x.size) == 2, np.inf, x), "NONFINITE"),
    ],
)
def test_something_that_is_not_a_gradient(gradient, status):
    report = bd.gradcheck(np.sin, rng().standard_normal(4), vjp=lambda gy, x: gradient(gy * np.cos(x)))
    assert not report.ok and report.status == status and report.entries[0].diagnosis, report
    if status == "NONFINITE":
        assert report.entries[0].worst_index == (2,)


def test_a_gradient_of_another_shape_says_which():
    report = bd.gradcheck(np.sin, np.ones(4), vjp=lambda gy, x: np.ones((4, 1)))
    assert "(4, 1)" in str(report) and "(4,)" in str(report)


def test_a_layer_that_never_sets_a_gradient():
    report = bd.gradcheck(affine_with(setter("db", lambda g: None)), rng().standard_normal((3, 4)))
    assert [entry.status for entry in report.entries] == ["PASS", "PASS", "SHAPE"], report


def test_a_function_that_is_not_finite():
    with np.errstate(invalid="ignore"):
        report = bd.gradcheck(np.sqrt, np.array([-1.0, 1.0]), vjp=lambda gy, x: gy, points=1)
    assert report.status == "NONFINITE" and not report.ok, report


def test_two_zeros_show_nothing():
    report = bd.gradcheck(lambda x: np.ones(3), np.ones(3), vjp=lambda gy, x: np.zeros(3))
    assert report.status == "VACUOUS" and not report.ok, report


def test_noise_is_unresolved_and_not_called_wrong():
    random = rng(1)
    report = bd.gradcheck(
        lambda x: np.sin(x) + random.standard_normal(3), np.ones(3), vjp=lambda gy, x: gy * np.cos(x), points=1
    )
    assert not report.ok and report.status != "PASS"
    assert any(finding.startswith("NONDETERMINISTIC") for finding in report.conduct), report


# ================================================================ gradcheck: conduct


def kinds(report):
    return [finding.split(":")[0] for finding in report.conduct]


def square_vjp(gy, x):
    return 2 * gy * x


def changes_gy(gy, x):
    gy *= 2
    return gy * x


def f_changes_x(x):
    y = x**2
    x *= 1.5
    return y


def vjp_changes_x(gy, x):
    found = 2 * gy * x
    x[0] = 7
    return found


def ignores_gy(gy, x):
    return 2 * x


CONDUCT = {
    "MUTATED_GY": (np.square, changes_gy),
    "MUTATED_INPUT": (f_changes_x, square_vjp),
    "MUTATED_INPUT by the gradient": (np.square, vjp_changes_x),
}


@pytest.mark.parametrize("name", CONDUCT)
def test_conduct_is_found_and_may_be_allowed(name):
    f, vjp = CONDUCT[name]
    kind = name.split()[0]
    report = bd.gradcheck(f, rng().standard_normal(5), vjp=vjp)
    assert kinds(report) == [kind] and not report.ok, report
    assert report.status == "PASS", report  # the values are right all the same
    assert kind in str(report)
    allowed = bd.gradcheck(f, rng().standard_normal(5), vjp=vjp, allow={kind})
    assert allowed.ok and kinds(allowed) == [kind], allowed
    assert not bd.gradcheck(f, rng().standard_normal(5), vjp=vjp, allow={"NONDETERMINISTIC"})


def test_an_ignored_upstream_gradient():
    report = bd.gradcheck(np.square, rng().standard_normal(5), vjp=ignores_gy)
    assert "NOT_LINEAR_IN_GY" in kinds(report) and not report.ok, report
    assert not bd.gradcheck(np.square, rng().standard_normal(5), vjp=ignores_gy, allow={"NOT_LINEAR_IN_GY"})


def test_a_function_that_gives_another_answer_each_time():
    random = rng(1)
    report = bd.gradcheck(lambda x: x**2 * random.uniform(), np.ones(3), vjp=square_vjp)
    assert "NONDETERMINISTIC" in kinds(report) and not report.ok, report


def test_the_books_relu_changes_dout_and_is_right():
    class BookRelu:
        def forward(self, x):
            self.mask = x <= 0
            out = x.copy()
            out[self.mask] = 0
            return out

        def backward(self, dout):
            dout[self.mask] = 0
            return dout

    x = rng().standard_normal((3, 4))
    report = bd.gradcheck(BookRelu(), x)
    assert kinds(report) == ["MUTATED_GY"] and report.status == "PASS", report
    assert bd.gradcheck(BookRelu(), x, allow=["MUTATED_GY"]).ok


@pytest.mark.parametrize("allow", ["MUTATED_GY", {"MUTATED"}, {"mutated_gy"}, [3]])
def test_allow_must_name_kinds_of_conduct(allow):
    with pytest.raises((TypeError, ValueError), match="allow"):
        bd.gradcheck(np.square, np.ones(2), vjp=square_vjp, allow=allow)


# ================================================================ gradcheck: the report


def failing_report(**options):
    return bd.gradcheck(
        affine_with(setter("dW", lambda g: 2 * g)), np.random.default_rng(0).standard_normal((3, 4)), **options
    )


def test_raise_error():
    with pytest.raises(GradientError, match="2 times") as caught:
        failing_report(raise_error=True)
    assert isinstance(caught.value, AssertionError)
    with pytest.raises(GradientError, match="FAIL"):
        failing_report().raise_if_failed()
    good = bd.gradcheck(np.sin, np.ones(2), vjp=lambda gy, x: gy * np.cos(x), raise_error=True)
    assert good.ok and good.raise_if_failed() is None


def test_the_same_seed_gives_the_same_bytes():
    assert failing_report(seed=7).to_json() == failing_report(seed=7).to_json()
    assert failing_report(seed=7).to_json() != failing_report(seed=8).to_json()


def test_json_holds_what_the_report_holds():
    for report in (failing_report(), bd.gradcheck(np.sin, np.ones(2), vjp=lambda gy, x: gy * np.nan)):
        found = json.loads(report.to_json())
        assert found["ok"] is False and found["status"] == report.status and found["seed"] == 0
        assert [entry["name"] for entry in found["entries"]] == [entry.name for entry in report.entries]
        for entry, written in zip(report.entries, found["entries"], strict=True):
            assert written["diagnosis"] == entry.diagnosis and written["shape"] == list(entry.shape)
            assert written["checked"] == entry.checked and written["evaluations"] == entry.evaluations
        assert report.to_dict()["entries"][0]["status"] == report.entries[0].status


@pytest.mark.parametrize("options", [{"seed": np.int64(3)}, {"rtol": np.float32(1e-5)}, {"points": np.int32(2)}])
def test_json_of_options_that_are_numbers_of_numpy(options):
    report = bd.gradcheck(np.sin, np.ones(2), vjp=lambda gy, x: gy * np.cos(x), **options)
    assert json.loads(report.to_json())["ok"] is True


def test_the_text_fits_a_screen_however_many_parameters_there_are():
    class Many:
        def __init__(self, wrong):
            self.params = {f"W{i}": np.array([1.0 + i]) for i in range(60)}
            self.wrong = wrong

        def loss(self, x, t):
            return sum(float(p[0] ** 2) for p in self.params.values())

        def gradient(self, x, t):
            return {name: (3 if self.wrong else 2) * p for name, p in self.params.items()}

    for wrong in (False, True):
        report = bd.gradcheck(Many(wrong), None, None, points=1)
        assert report.ok != wrong and len(report.entries) == 60
        lines = str(report).splitlines()
        assert len(lines) <= 40 and "35 more" in str(report)
        assert ("NOT OK" in lines[-2] or "NOT OK" in lines[-1]) == wrong
        assert str(report) == repr(report)


def test_the_html_names_and_escapes():
    def f(x):
        return x**2

    f.__name__ = "<b>f</b>"
    html = bd.gradcheck(f, np.ones(2), vjp=square_vjp)._repr_html_()
    assert "<table>" in html and "PASS" in html and "<b>f" not in html and "&lt;b&gt;" in html


# ================================================================ gradcheck: arguments


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: bd.gradcheck(np.sin, np.ones(2)), TypeError, "vjp"),
        (lambda: bd.gradcheck(np.sin, np.ones(2), vjp=square_vjp, grad=np.ones(2)), TypeError, "either"),
        (lambda: bd.gradcheck(3, np.ones(2), vjp=square_vjp), TypeError, "int is not a network"),
        (lambda: bd.gradcheck(np.sin, np.ones(2, int), vjp=square_vjp), TypeError, "nothing to differentiate"),
        (lambda: bd.gradcheck(np.sin, np.ones(2), grad=np.ones(2)), ValueError, "one number"),
        (
            lambda: bd.gradcheck(np.sin, np.ones(2), vjp=lambda gy, x: (gy, gy, gy)),
            ValueError,
            "each of 1 inputs .*got 3",
        ),
        (lambda: bd.gradcheck(lambda x: x * 1j, np.ones(2), vjp=square_vjp), TypeError, "real numbers"),
        (lambda: bd.gradcheck(np.sin, np.ones(2), vjp=square_vjp, names=["a", "b"]), ValueError, "names"),
        (lambda: bd.gradcheck(np.sin, np.ones(2), vjp=square_vjp, rtol=0), ValueError, "rtol"),
        (lambda: bd.gradcheck(np.sin, np.ones(2), vjp=square_vjp, rtol=np.nan), ValueError, "rtol"),
        (lambda: bd.gradcheck(np.sin, np.ones(2), vjp=square_vjp, rtol="1e-6"), TypeError, "rtol"),
        (lambda: bd.gradcheck(np.sin, np.ones(2), vjp=square_vjp, points=0), ValueError, "points"),
        (lambda: bd.gradcheck(np.sin, np.ones(2), vjp=square_vjp, points=1.5), TypeError, "points"),
        (lambda: bd.gradcheck(np.sin, np.ones(2), vjp=square_vjp, seed=-1), ValueError, "seed"),
        (lambda: bd.gradcheck(np.sin, np.ones(2), vjp=square_vjp, seed=None), TypeError, "seed"),
        (lambda: bd.gradcheck(small_net(), np.ones((2, 3))), TypeError, r"gradcheck\(net, x, t\)"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_an_error_in_the_checked_code_passes():
    def vjp(gy, x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        bd.gradcheck(np.sin, np.ones(2), vjp=vjp)


# ================================================================ gradcheck: networks


def small_net(dtype="float64", loss=None, layers=None):
    layers = layers or [bd.Affine(units=5), bd.Relu(), bd.Affine(units=4), bd.Tanh(), bd.Affine(units=3)]
    return bd.Net(layers, loss=loss or bd.SoftmaxWithLoss(), input_shape=(3,), dtype=dtype, seed=1)


NETS = {
    "relu and tanh": lambda: None,
    "sigmoid": lambda: [bd.Affine(units=6), bd.Sigmoid(), bd.Affine(units=3)],
    "residual": lambda: [bd.Affine(units=4), bd.Residual([bd.Affine(units=4), bd.Tanh()]), bd.Affine(units=3)],
    "one layer": lambda: [bd.Affine(units=3)],
}
X, LABELS = rng(11).standard_normal((6, 3)), np.array([0, 2, 1, 1, 0, 2])
TARGETS = {
    "labels": (bd.SoftmaxWithLoss, LABELS),
    "soft labels": (bd.SoftmaxWithLoss, rng(12).dirichlet(np.ones(3), 6)),
    "numbers": (bd.IdentityWithLoss, rng(13).standard_normal((6, 3))),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NETS)
def test_nets_pass(name, target, dtype):
    loss, t = TARGETS[target]
    net = small_net(dtype, loss(), NETS[name]())
    report = bd.gradcheck(net, X, t)
    assert report.ok, report
    assert [entry.name for entry in report.entries] == [*net.params, "x"]
    assert all(entry.checked == entry.size for entry in report.entries)


class Crooked:
    """A compiled net whose gradient is changed on its way out."""

    def __init__(self, core, change):
        self._core, self._change = core, change

    def __getattr__(self, name):
        return getattr(self._core, name)

    def gradient(self, *arguments):
        *numbers, dx = self._core.gradient(*arguments)
        self._change({**dict(self._core.arrays("grads")), "x": dx})
        return (*numbers, dx)


@pytest.mark.parametrize("wrong", ["W1", "b1", "W2", "b3", "x"])
@pytest.mark.parametrize("factor", [1.001, -1, 0])
def test_a_net_with_a_changed_gradient_is_not_ok(wrong, factor, monkeypatch):
    def change(gradients):
        gradients[wrong].flat[1] *= factor

    twin = bd.Net._float64_twin
    monkeypatch.setattr(bd.Net, "_float64_twin", lambda net: Crooked(twin(net), change))
    layers = [bd.Affine(units=5), bd.Tanh(), bd.Affine(units=4), bd.Sigmoid(), bd.Affine(units=3)]  # no dead unit
    report = bd.gradcheck(small_net(layers=layers), X, LABELS)
    assert not report.ok and [entry.name for entry in report.entries if not entry.ok] == [wrong], report
    entry = next(entry for entry in report.entries if entry.name == wrong)
    assert entry.status == "FAIL" and np.ravel_multi_index(entry.worst_index, entry.shape) == 1


class BookNet:
    """Book: section 5.7.2."""

    def __init__(self, wrong=None):
        self.params = {
            "W1": rng(1).standard_normal((3, 4)),
            "b1": np.full(4, 0.1),
            "W2": rng(2).standard_normal((4, 2)),
            "b2": np.zeros(2),
        }
        self.layers = [
            bd.Affine(self.params["W1"], self.params["b1"]),
            bd.Sigmoid(),
            bd.Affine(self.params["W2"], self.params["b2"]),
        ]
        self.last = bd.SoftmaxWithLoss()
        self.wrong = wrong

    def loss(self, x, t):
        for layer in self.layers:
            x = layer.forward(x)
        return self.last.forward(x, t)

    def gradient(self, x, t):
        self.loss(x, t)
        dout = self.last.backward(1)
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        first, _, second = self.layers
        grads = {"W1": first.dW, "b1": first.db, "W2": second.dW, "b2": second.db}
        if self.wrong:
            grads[self.wrong] = grads[self.wrong] * 1.01
        return grads


def test_a_network_after_the_book():
    x, t = rng(3).standard_normal((5, 3)), np.array([0, 1, 1, 0, 1])
    report = bd.gradcheck(BookNet(), x, t)
    assert report.ok and [entry.name for entry in report.entries] == ["W1", "b1", "W2", "b2"], report
    for wrong in BookNet().params:
        report = bd.gradcheck(BookNet(wrong), x, t)
        assert [entry.name for entry in report.entries if not entry.ok] == [wrong], report
        assert not report.ok and "1.01 times" in str(report)


def test_a_network_with_a_training_flag_is_checked_in_training():
    seen = []

    class Flagged(BookNet):
        def loss(self, x, t, train_flg=False):
            seen.append(train_flg)
            return super().loss(x, t)

        def gradient(self, x, t, train_flg=False):
            assert train_flg
            return super().gradient(x, t)

    assert bd.gradcheck(Flagged(), rng(3).standard_normal((5, 3)), np.array([0, 1, 1, 0, 1]), points=1).ok
    assert True in seen


def test_a_gradient_that_is_missing():
    class Forgetful(BookNet):
        def gradient(self, x, t):
            grads = super().gradient(x, t)
            del grads["b1"]
            return grads

    report = bd.gradcheck(Forgetful(), rng(3).standard_normal((5, 3)), np.array([0, 1, 1, 0, 1]))
    assert [entry.status for entry in report.entries] == ["PASS", "SHAPE", "PASS", "PASS"], report


# ================================================================ gradcheck: nothing of the caller's is touched


def test_arrays_layers_networks_and_random_numbers_are_left_alone():
    np.random.seed(5)
    state = np.random.get_state()[1].tobytes()
    x, t = rng(3).standard_normal((5, 3)), np.array([0, 1, 1, 0, 1])

    layer = bd.Affine(rng(1).standard_normal((3, 2)).astype(np.float32), np.zeros(2, np.float32))
    W = layer.W
    plain, network, net = affine_with(inputs=3), BookNet(), small_net("float32")
    net.gradient(x, t)
    objects = [x, t, W, layer.b, plain.W, plain.b, *network.params.values(), *net.params.values(), *net.grads.values()]
    before = [array.tobytes() for array in objects]
    before_rng = net._core.rng

    for subject, *inputs in ((layer, x), (plain, x), (network, x, t), (net, x, t)):
        assert bd.gradcheck(subject, *inputs).ok
    assert bd.gradcheck(np.sin, x, vjp=lambda gy, x: gy * np.cos(x)).ok

    assert [array.tobytes() for array in objects] == before
    assert layer.W is W and layer.dW is None and layer.x is None and W.dtype == np.float32
    assert plain.x is None and plain.dW is None
    assert net._core.rng == before_rng
    assert np.random.get_state()[1].tobytes() == state


def test_a_layer_goes_on_where_it_was():
    layer, x = bd.Affine(rng().standard_normal((3, 2)), np.zeros(2)), rng(1).standard_normal((4, 3))
    layer.forward(x)
    expected = copy.deepcopy(layer)
    expected.forward(x)
    bd.gradcheck(layer, rng(2).standard_normal((2, 3)))
    assert layer.x is x
    assert same_bits(layer.backward(np.ones((4, 2))), expected.backward(np.ones((4, 2))))
