"""Numerical derivatives: bounds that hold on smooth and on nasty functions, and those of nets, where no Python runs."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

import badak as bd
from badak._slope import KINK, NetSlope

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def bounds():
    spec = importlib.util.spec_from_file_location("derivative_bounds", BENCHMARKS / "derivative_bounds.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ================================================================ of functions


def test_no_nasty_function_gets_a_certain_wrong_slope(bounds):
    for name, calls in bounds.nasty_calls():
        found = bounds.measure(calls[::3])
        assert found["wrong"] == 0, (name, found)
        assert found["kept"] >= 0.95, (name, found)


@pytest.mark.parametrize(
    ("f", "x", "slope"),
    [
        (math.log, 0.01, 100.0),
        (math.sqrt, 1e-3, 0.5 / math.sqrt(1e-3)),
        (math.atanh, 0.999999, 1 / (1 - 0.999999**2)),
        (math.asin, 1 - 1e-12, 1 / math.sqrt(1e-12 * (2 - 1e-12))),
        (lambda x: math.sin(1e8 * x), 1.7, 1e8 * math.cos(1e8 * 1.7)),
        (lambda x: 1 / x, 1e-30, -1e60),
        (lambda x: math.sin(float(np.float32(x))), 0.7, math.cos(0.7)),
    ],
)
def test_the_bound_holds_at_edges_on_ripples_and_on_stairs(f, x, slope):
    """Functions that raise outside of their domain, too."""
    found = bd.derivative(f, x)
    assert abs(found.value - slope) <= found.uncertainty + 1e-4 * abs(slope), found
    assert found.uncertainty <= 0.1 * abs(slope)


def test_a_kink_at_the_point_is_told_from_one_beside_it():
    at, beside = bd.derivative(abs, 0.0), bd.derivative(abs, 1e-9)
    assert (at.status, at.left, at.right) == ("KINK", pytest.approx(-1), pytest.approx(1))
    assert beside.status == "PASS" and beside.value == pytest.approx(1)
    assert bd.derivative(lambda x: float(x > 0), 0.0).status == "DISCONTINUOUS"


def test_a_constant_in_float32_may_hide_a_slope_and_a_plain_one_does_not():
    hidden = bd.derivative(lambda x: float(np.float32(1.3 + 1e-9 * x)), 1.0)
    assert hidden.value == 0 and 1e-9 < hidden.uncertainty < 1e-4 and hidden.status == "UNRESOLVED"
    plain = bd.derivative(lambda x: 3.0, 1.0)
    assert (plain.value, plain.uncertainty, plain.status) == (0, 0, "PASS")


# ================================================================ of nets

NETS = {
    "affine": ([bd.Affine(units=6), bd.Relu(), bd.Affine(units=4)], (5,)),
    "leaky": ([bd.Affine(units=6), bd.LeakyRelu(), bd.Dropout(0.3), bd.Affine(units=4)], (5,)),
    "convolution": (
        [bd.Convolution(filters=3, size=3, stride=2, pad=1), bd.Relu(), bd.Convolution(filters=4, size=2, pad=1),
         bd.Pooling(2, 2, stride=2), bd.Tanh(), bd.Affine(units=4)], (2, 8, 7)),
    "mixing": ([bd.Affine(units=6), bd.BatchNormalization(), bd.Relu(), bd.Affine(units=4)], (5,)),
    "residual": ([bd.Affine(units=5), bd.Residual([bd.Affine(units=5), bd.Sigmoid()]), bd.Affine(units=4)], (5,)),
}  # fmt: skip


def problem(name):
    layers, shape = NETS[name]
    random = np.random.default_rng(3)
    net = bd.Net(layers, loss=bd.SoftmaxWithLoss(), input_shape=shape, dtype="float64", seed=4)
    return net, random.normal(size=(3, *shape)), np.array([0, 3, 1])


@pytest.mark.parametrize("name", NETS)
def test_moved_losses_are_those_of_a_net_whose_parameter_was_moved(name):
    net, x, t = problem(name)
    core, start = net._float64_twin(), net._float64_twin().rng
    for which, (key, array) in enumerate(core.arrays("params")):
        for element in {0, array.size // 2, array.size - 1}:
            found, _ = core.losses_along(which, np.array([element]), np.array([0.0, 0.3, -1e-3]), x, t).T
            flat, kept = array.reshape(-1), array.reshape(-1)[element]
            core.rng = start
            rest = core.evaluate(x, t, True)[0]
            for h, change in zip((0.0, 0.3, -1e-3), found, strict=True):
                flat[element] = kept + h
                core.rng = start
                assert change == pytest.approx(core.evaluate(x, t, True)[0] - rest, abs=1e-13), (key, element)
            flat[element] = kept
            core.rng = start


@pytest.mark.parametrize("name", NETS)
def test_every_derivative_of_a_net_agrees_with_its_gradient_within_the_bound(name):
    net, x, t = problem(name)
    gradient = net.gradient(x, t)
    core = net._float64_twin()
    core.rng = net._core.last_draws
    replay = core.rng
    for which, (key, array) in enumerate(core.arrays("params")):
        rows = NetSlope(core, which, array, x, t, replay).elements(np.arange(array.size), 1e-6)
        error = np.abs(rows[:, 0] - gradient[key].reshape(-1))
        assert (error <= rows[:, 1] + 1e-15).all(), key
        assert np.median(rows[:, 1]) < 1e-9, key


def test_what_nothing_depends_on_has_exactly_no_slope_and_costs_two_evaluations():
    net, x, t = problem("affine")
    x[:, 2] = 0
    core = net._float64_twin()
    found = core.derivatives(0, np.arange(12, 18), x, t, 1e-6, 0.0)
    assert (found[:, [0, 1]] == 0).all() and (found[:, 3] <= 3).all()


def test_a_kink_of_a_net_is_known_and_its_taken_branch_differentiated():
    net = bd.Net(
        [bd.Affine(units=3), bd.Relu(), bd.Affine(units=2)], loss=bd.SoftmaxWithLoss(), input_shape=(2,), seed=1
    )
    x, t = np.array([[0.0, 0.0], [0.0, 0.0]]), np.array([0, 1])
    net.params["W2"] = np.array([[1.0, -2.0], [0.5, 3.0], [2.0, 0.1]])
    core = net._float64_twin()
    t[1] = 0  # so that the two samples do not cancel
    slope = NetSlope(core, 1, dict(core.arrays("params"))["b1"], x, t, core.rng)
    rows = slope.elements(np.arange(3), 1e-6)
    assert (rows[:, 6] == KINK).all() and np.isinf(rows[:, 1]).all()
    assert rows[:, 3] == pytest.approx(0) and (np.abs(rows[:, 4]) > 0.1).all()
    assert slope.frozen_elements(np.arange(3), 1e-6)[:, 0] == pytest.approx(net.gradient(x, t)["b1"])
    assert {e.name: e.status for e in bd.gradcheck(net, x, t, points=1).entries}["b1"] == "KINK"


def test_the_net_and_its_generator_are_left_as_they_were():
    net, x, t = problem("leaky")
    before, rng = {k: v.copy() for k, v in net.params.items()}, net._core.rng
    net.numerical_gradient(x, t)
    assert net._core.rng == rng
    assert all(np.array_equal(v, net.params[k]) for k, v in before.items())
