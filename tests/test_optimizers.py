"""badak.optimizer: against the twins, in place whatever the strides, all or nothing, ranges of the hyper-parameters."""

import copy
import math
import pickle

import numpy as np
import pytest
from cases import DTYPES, layouts, same_bits

import badak as bd
from badak import _core, _reference
from badak.optimizer import SGD, Adam

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])
MAKERS = {
    "SGD": lambda module: module.SGD(),
    "SGD, large steps": lambda module: module.SGD(lr=0.7),
    "Momentum": lambda module: module.Momentum(),
    "Momentum, heavy": lambda module: module.Momentum(lr=0.3, momentum=0.5),
    "Nesterov": lambda module: module.Nesterov(),
    "Nesterov, heavy": lambda module: module.Nesterov(lr=0.3, momentum=0.5),
    "AdaGrad": lambda module: module.AdaGrad(),
    "AdaGrad, other rates": lambda module: module.AdaGrad(lr=0.5, eps=1e-3),
    "RMSprop": lambda module: module.RMSprop(),
    "RMSprop, other rates": lambda module: module.RMSprop(lr=0.05, decay_rate=0.7, eps=1e-3),
    "Adam": lambda module: module.Adam(),
    "Adam, other rates": lambda module: module.Adam(lr=0.05, beta1=0.5, beta2=0.9, eps=1e-3),
}
every_optimizer = pytest.mark.parametrize("name", MAKERS)

SHAPES = {"W1": (7, 9), "b1": (9,), "W2": (9, 1), "b2": (1,), "kernel": (2, 3, 4, 5), "one": ()}


def make(name):
    return MAKERS[name](bd.optimizer)


def random_arrays(dtype, seed=1):
    rng = np.random.default_rng(seed)
    return {name: np.asarray(rng.standard_normal(shape)).astype(dtype) for name, shape in SHAPES.items()}


# ---------------------------------------------------------------- right


@every_dtype
@every_optimizer
def test_twenty_steps_agree_with_the_twin(name, dtype):
    """Steps of about 1 at most: after k of them, 4 k roundings of numbers below 8."""
    optimizer, twin = make(name), MAKERS[name](_reference)
    params = random_arrays(dtype)
    expected = {key: array.astype(float) for key, array in params.items()}
    for step in range(1, 21):
        grads = random_arrays(dtype, seed=100 + step)
        optimizer.update(params, grads)
        twin.update(expected, {key: array.astype(float) for key, array in grads.items()})
        for key in params:
            assert params[key].dtype == dtype
            size = np.maximum(np.abs(expected[key]), 1)
            assert np.all(np.abs(params[key] - expected[key]) <= 4 * step * np.finfo(dtype).eps * size), (key, step)
    assert optimizer.iter == 20


@every_dtype
def test_sgd_goes_down_the_slope_by_lr(dtype):
    params = {"W": np.array([1.0, 2.0], dtype)}
    SGD(lr=0.5).update(params, {"W": np.array([2.0, -4.0], dtype)})
    assert np.array_equal(params["W"], [0, 4])


@every_dtype
def test_the_first_step_of_adam_is_lr_for_every_size_of_gradient(dtype):
    params = {"W": np.zeros(4, dtype)}
    Adam(lr=0.01).update(params, {"W": np.array([1e-3, -1.0, 1e3, 0.0], dtype)})
    assert params["W"] == pytest.approx([-0.01, 0.01, -0.01, 0], rel=1e-2)


@every_dtype
def test_adam_without_memory_goes_by_the_sign_of_the_gradient(dtype):
    optimizer, params = Adam(lr=0.25, beta1=0.0, beta2=0.0), {"W": np.zeros(4, dtype)}
    for grad in ([1, -1, 2, -2], [-1, -1, 3, 1]):
        optimizer.update(params, {"W": grad})
    assert params["W"] == pytest.approx([0, 0.5, -0.5, 0], abs=1e-6)


def test_adam_is_the_books_with_eps_outside_the_root():
    params = {"W": np.zeros(1)}
    Adam(lr=1.0, beta1=0.9, beta2=0.999, eps=1e-7).update(params, {"W": np.array([1e-7])})
    m, v = 0.1 * 1e-7, 0.001 * 1e-14
    step = math.sqrt(1 - 0.999) / (1 - 0.9) * m / (math.sqrt(v) + 1e-7)
    assert params["W"][0] == pytest.approx(-step, rel=1e-12, abs=0)


def test_the_books_path_over_a_long_valley():
    """Book: section 6.1: x^2 / 20 + y^2 from (-7, 2), with Python numbers as parameters."""
    for optimizer in (SGD(lr=0.95), Adam(lr=0.3)):
        params = {"x": -7.0, "y": 2.0}
        for _ in range(60):
            optimizer.update(params, {"x": params["x"] / 10, "y": 2 * params["y"]})
        assert type(params["x"]) is float and type(params["y"]) is float
        assert params["x"] ** 2 / 20 + params["y"] ** 2 < 0.05


# ---------------------------------------------------------------- in place


@every_optimizer
def test_arrays_change_in_place_and_gradients_do_not(name):
    params, grads = random_arrays(np.float64), random_arrays(np.float64, 2)
    arrays, before, grads_before = dict(params), copy.deepcopy(params), copy.deepcopy(grads)
    make(name).update(params, grads)
    for key in params:
        assert params[key] is arrays[key]
        assert np.all(params[key] != before[key])
        assert same_bits(grads[key], grads_before[key])


@every_dtype
@every_optimizer
def test_parameters_and_gradients_of_any_strides(name, dtype):
    start, grads = random_arrays(dtype)["W1"], [random_arrays(dtype, seed)["W1"] for seed in (2, 3)]

    def after_two_steps(W, layout):
        optimizer = make(name)
        for grad in grads:
            optimizer.update({"W": W}, {"W": layouts(grad).get(layout, grad)})
        return W

    expected = after_two_steps(start.copy(), None)
    for layout, W in layouts(start).items():
        if layout not in ("read-only", "byte-swapped", "misaligned by one byte"):
            assert same_bits(after_two_steps(W, layout), expected), layout
        assert same_bits(after_two_steps(start.copy(), layout), expected), layout


def test_only_the_view_changes():
    base = np.zeros((4, 4))
    SGD(lr=1.0).update({"W": base[::2, 1::2]}, {"W": np.ones((2, 2))})
    expected = np.zeros((4, 4))
    expected[::2, 1::2] = -1
    assert np.array_equal(base, expected)


@pytest.mark.parametrize("number", [3.0, 3, np.float64(3), np.float32(3), np.int64(3)])
@every_optimizer
def test_numbers_are_rebound(name, number):
    params, arrays = {"x": number}, {"x": np.array([3.0])}
    ours, control = make(name), make(name)
    for _ in range(3):
        ours.update(params, {"x": 0.5})
        control.update(arrays, {"x": np.array([0.5])})
    assert type(params["x"]) is float and params["x"] == arrays["x"][0]


def test_arrays_of_no_axis_change_in_place():
    x = np.array(3.0)
    params = {"x": x}
    SGD(lr=1.0).update(params, {"x": 2.0})
    assert params["x"] is x and x == 1


def test_gradients_of_other_numbers_are_converted():
    for grad in ([1, 2], np.array([1, 2]), np.array([1, 2], np.float16), np.array([1, 2], ">f8"), (1.0, 2.0)):
        params = {"W": np.zeros(2, np.float32)}
        SGD(lr=1.0).update(params, {"W": grad})
        assert np.array_equal(params["W"], [-1, -2])


def test_a_parameter_may_be_its_own_gradient():
    params = {"W": np.arange(9.0)}
    SGD(lr=0.5).update(params, params)
    assert np.array_equal(params["W"], np.arange(9.0) / 2)


def test_gradients_that_no_parameter_has_are_left_out():
    params = {"W": np.zeros(2)}
    SGD(lr=1.0).update(params, {"W": np.ones(2), "other": "not looked at"})
    assert np.array_equal(params["W"], [-1, -1])


def test_nothing_to_update_is_a_step():
    optimizer = Adam()
    optimizer.update({}, {})
    assert optimizer.iter == 1 and optimizer.m == {}


@every_dtype
def test_a_nan_gradient_spoils_its_own_element_only(dtype):
    for name in MAKERS:
        params = {"W": np.ones(19, dtype)}
        grad = np.ones(19, dtype)
        grad[7] = np.nan
        make(name).update(params, {"W": grad})
        assert np.array_equal(np.isnan(params["W"]), np.arange(19) == 7), name


@every_dtype
def test_vanishing_means_of_adam_become_0(dtype):
    """Arithmetic on denormal numbers is slow, so that a net with dead units would get slower and slower."""
    optimizer, params = Adam(), {"W": np.ones(5, dtype)}
    optimizer.update(params, {"W": np.full(5, 1e-18 if dtype == np.float32 else 1e-150, dtype)})
    for _ in range(20_000 if dtype == np.float32 else 100):
        optimizer.update(params, {"W": np.zeros(5, dtype)})
    smallest = np.finfo(dtype).smallest_normal
    for array in (optimizer.m["W"], optimizer.v["W"]):
        assert np.all((array == 0) | (np.abs(array) >= smallest))
    assert dtype == np.float64 or not optimizer.m["W"].any()


# ---------------------------------------------------------------- all or nothing


BAD_SECONDS = {
    "another shape": (np.zeros((3, 2)), ValueError, r"shape \(2, 3\), but its gradient has shape \(3, 2\)"),
    "broadcastable": (np.zeros(3), ValueError, "its gradient has shape"),
    "a number": (1.0, ValueError, "its gradient has shape"),
    "complex": (np.zeros((2, 3), complex), TypeError, "a gradient must hold real numbers"),
    "objects": (np.zeros((2, 3), object), TypeError, "a gradient must hold real numbers"),
    "text": ("abc", TypeError, "a gradient must hold real numbers"),
    "None": (None, TypeError, "a gradient must hold real numbers"),
    "ragged": ([[1, 2], [3]], ValueError, "inhomogeneous"),
    "masked": (np.ma.array(np.zeros((2, 3)), mask=True), TypeError, "masked"),
}


def snapshot(optimizer, params):
    state = {name: arrays and {k: a.tobytes() for k, a in arrays.items()} for name, arrays in optimizer.state.items()}
    return {key: np.asarray(a).tobytes() for key, a in params.items()}, state, optimizer.iter


@pytest.mark.parametrize("steps_before", [0, 1])
@pytest.mark.parametrize("row", BAD_SECONDS)
@every_optimizer
def test_a_bad_second_gradient_of_three_changes_nothing(name, row, steps_before):
    bad, error, message = BAD_SECONDS[row]
    params = {"a": np.ones(4), "b": np.asfortranarray(np.ones((2, 3))), "c": 5.0}
    good = {"a": np.ones(4), "b": np.ones((2, 3)), "c": 1.0}
    optimizer = make(name)
    for _ in range(steps_before):
        optimizer.update(params, good)
    before = snapshot(optimizer, params)
    with pytest.raises(error, match=message):
        optimizer.update(params, good | {"b": bad})
    assert snapshot(optimizer, params) == before
    assert params["b"].flags.writeable


@every_optimizer
def test_a_missing_gradient_changes_nothing(name):
    params, optimizer = {"a": np.ones(4), "b": np.ones(2)}, make(name)
    before = snapshot(optimizer, params)
    with pytest.raises(KeyError, match="b"):
        optimizer.update(params, {"a": np.ones(4)})
    assert snapshot(optimizer, params) == before


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ([1.0, 2.0], TypeError),
        (None, TypeError),
        ("abc", TypeError),
        (True, TypeError),
        (1j, TypeError),
        (np.ones(2, int), TypeError),
        (np.ones(2, np.float16), TypeError),
        (np.ones(2, complex), TypeError),
        (np.broadcast_to(1.0, 2), ValueError),
        (np.ones(2, ">f8"), ValueError),
        (layouts(np.ones(2))["misaligned by one byte"], ValueError),
    ],
)
@every_optimizer
def test_a_bad_parameter_changes_nothing(name, bad, error):
    params, optimizer = {"a": np.ones(4), "b": bad}, make(name)
    with pytest.raises(error):
        optimizer.update(params, {"a": np.ones(4), "b": np.ones(2)})
    assert np.array_equal(params["a"], np.ones(4)) and optimizer.iter == 0 and params["b"] is bad


@pytest.mark.parametrize("change", [lambda a: np.ones(5), lambda a: a.astype(np.float32)])
def test_a_parameter_that_no_longer_fits_its_state_is_refused(change):
    optimizer, params = Adam(), {"W": np.ones(3)}
    optimizer.update(params, {"W": np.ones(3)})
    params["W"] = change(params["W"])
    before = snapshot(optimizer, params)
    with pytest.raises((TypeError, ValueError), match=r"\b[mv]\b"):
        optimizer.update(params, {"W": np.ones_like(params["W"])})
    assert snapshot(optimizer, params) == before


# ---------------------------------------------------------------- hyper-parameters


NOT_ABOVE_0 = [
    (0, ValueError),
    (-1, ValueError),
    (math.nan, ValueError),
    (math.inf, ValueError),
    (-math.inf, ValueError),
]
NOT_A_NUMBER = [("0.1", TypeError), (None, TypeError), (True, TypeError), (1j, TypeError), ([0.1], TypeError)]
NOT_A_NUMBER += [(np.array([0.1]), TypeError), (10**400, OverflowError)]


@pytest.mark.parametrize(
    ("kind", "hyper", "bad", "error"),
    [
        *((kind, hyper, *row) for kind, hyper in ((SGD, "lr"), (Adam, "lr"), (Adam, "eps")) for row in NOT_ABOVE_0),
        *((Adam, beta, *row) for beta in ("beta1", "beta2") for row in [(1.0, ValueError), (-0.1, ValueError)]),
        *((Adam, beta, math.nan, ValueError) for beta in ("beta1", "beta2")),
        *(
            (kind, name, *row)
            for kind in (SGD, Adam)
            for name in kind().__dict__
            if name == "lr"
            for row in NOT_A_NUMBER
        ),
    ],
)
def test_hyper_parameters_out_of_range_are_refused(kind, hyper, bad, error):
    with pytest.raises(error, match=None if error is OverflowError else hyper):
        kind(**{hyper: bad})
    optimizer, params = kind(), {"W": np.ones(3)}
    optimizer.update(params, {"W": np.ones(3)})
    setattr(optimizer, hyper, bad)
    before = snapshot(optimizer, params)
    with pytest.raises(error):
        optimizer.update(params, {"W": np.ones(3)})
    assert snapshot(optimizer, params) == before


@pytest.mark.parametrize("lr", [np.float32(0.5), np.float64(0.5), np.array(0.5), 0.5])
def test_numbers_of_numpy_are_numbers(lr):
    params = {"W": np.zeros(2)}
    SGD(lr).update(params, {"W": np.ones(2)})
    assert np.array_equal(params["W"], [-0.5, -0.5])


def test_hyper_parameters_are_read_anew_at_each_step():
    optimizer, params = SGD(lr=1.0), {"W": np.zeros(2)}
    optimizer.update(params, {"W": np.ones(2)})
    optimizer.lr = 0.25
    optimizer.update(params, {"W": np.ones(2)})
    assert np.array_equal(params["W"], [-1.25, -1.25])


# ---------------------------------------------------------------- state


def test_state_begins_with_the_first_step_and_counts():
    optimizer, params = Adam(), {"W": np.ones((3, 2)), "b": 1.0}
    assert optimizer.iter == 0 and optimizer.m is None and optimizer.v is None
    for step in range(1, 4):
        optimizer.update(params, {"W": np.ones((3, 2)), "b": 1.0})
        assert optimizer.iter == step
    assert set(optimizer.m) == set(optimizer.v) == {"W", "b"}
    assert optimizer.m["W"].shape == (3, 2) and optimizer.m["W"][0, 0] == pytest.approx(1 - 0.9**3)
    assert not np.shares_memory(optimizer.m["W"], optimizer.v["W"])
    assert SGD().state == {}


@every_optimizer
def test_several_dicts_can_share_one_optimizer(name):
    """Book: the scripts of chapter 6 give one SGD to several nets; a new name begins with state of 0."""
    optimizer = make(name)
    optimizer.update({"W": np.ones(2)}, {"W": np.ones(2)})
    params = {"W": np.ones(2), "new": np.ones(3)}
    optimizer.update(params, {"W": np.ones(2), "new": np.ones(3)})
    assert np.all(params["new"] < 1) and optimizer.iter == 2


@every_optimizer
def test_a_copy_goes_on_by_itself(name):
    optimizer, params = make(name), random_arrays(np.float64)
    optimizer.update(params, random_arrays(np.float64, 2))
    for again in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        mine, its = copy.deepcopy(params), copy.deepcopy(params)
        control = copy.deepcopy(optimizer)
        grads = random_arrays(np.float64, 3)
        again.update(mine, grads)
        control.update(its, grads)
        assert again.iter == 2 and optimizer.iter == 1
        assert all(same_bits(mine[key], its[key]) for key in mine)


def test_an_optimizer_bound_to_a_net_can_be_pickled():
    net = bd.Net([bd.Affine(units=2)], loss=bd.SoftmaxWithLoss(), input_shape=(3,), seed=1)
    optimizer = Adam(lr=0.5)
    net.train_step(np.ones((4, 3)), [0, 1, 0, 1], optimizer)
    again = pickle.loads(pickle.dumps(optimizer))
    assert again.lr == 0.5 and again.iter == 1
    assert np.array_equal(again.m["W1"], optimizer.m["W1"])


@pytest.mark.parametrize(
    ("optimizer", "text"),
    [
        (SGD(), "SGD(lr=0.01)"),
        (SGD(0.5), "SGD(lr=0.5)"),
        (Adam(), "Adam(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-07)"),
    ],
)
def test_repr(optimizer, text):
    assert repr(optimizer) == text
    assert repr(eval(text)) == text


def test_the_core_refuses_what_the_face_would_not_pass():
    W = np.ones(2)
    with pytest.raises(ValueError, match="AdaGrad3"):
        _core.update("AdaGrad3", (), [], [], [], 1)
    with pytest.raises(ValueError, match="one gradient and one tuple"):
        _core.update("SGD", (0.1,), [W], [], [()], 1)
    with pytest.raises(ValueError, match="t counts from 1"):
        _core.update("SGD", (0.1,), [W], [W], [()], 0)
    with pytest.raises(ValueError, match="Adam keeps 2 arrays"):
        _core.update("Adam", (0.1, 0.9, 0.999, 1e-7), [W], [W], [()], 1)
    with pytest.raises(TypeError, match="1 hyper-parameters"):
        _core.update("SGD", (), [W], [W], [()], 1)
    assert np.array_equal(W, [1, 1])
