"""gradcheck of a float32 net: its own gradient, held against the float64 one by what rounding can do."""

import numpy as np
import pytest

import badak as bd
from badak._own_gradient import OwnGradient


def net_of(kind, seed=0):
    layers = {
        "affine": [bd.Affine(units=8), bd.Relu(), bd.Affine(units=4)],
        "batch norm": [bd.Affine(units=8), bd.BatchNormalization(), bd.Tanh(), bd.Affine(units=4)],
        "dropout": [bd.Affine(units=8), bd.Relu(), bd.Dropout(0.4), bd.Affine(units=4)],
        "deep": [layer for _ in range(6) for layer in (bd.Affine(units=8, init="xavier"), bd.Sigmoid())]
        + [bd.Affine(units=4)],
    }[kind]
    return bd.Net(layers, loss=bd.SoftmaxWithLoss(), input_shape=(6,), seed=seed)


def data(scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(9, 6)) * scale, rng.integers(0, 4, 9)


@pytest.mark.parametrize("kind", ["affine", "batch norm", "dropout", "deep"])
@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e2])
def test_what_float32_gives_is_right(kind, scale):
    for seed in range(3):
        report = bd.gradcheck(net_of(kind, seed), *data(scale, seed))
        assert report.ok, report


@pytest.mark.parametrize("factor", [1.1, -1.0, 0.0, np.nan])
@pytest.mark.parametrize("name", ["W1", "b2", "x"])
def test_one_wrong_element_of_the_own_gradient_is_named(monkeypatch, name, factor):
    at = OwnGradient.at
    places = []

    def off(self, *arguments):
        at(self, *arguments)
        array = self.found[name]
        place = np.unravel_index(int(np.argmax(np.abs(array))), array.shape)
        places.append(tuple(map(int, place)))
        array[place] *= factor

    monkeypatch.setattr(OwnGradient, "at", off)
    report = bd.gradcheck(net_of("affine"), *data())
    assert not report.ok
    (entry,) = [e for e in report.entries if e.status == "FAIL"]
    assert entry.name == name
    assert entry.worst_index in places
    assert "float32" in str(entry.diagnosis)


def test_a_float64_net_is_its_own_reference(monkeypatch):
    monkeypatch.setattr(OwnGradient, "__init__", lambda *_: pytest.fail("not needed"))
    net = bd.Net([bd.Affine(units=4)], loss=bd.SoftmaxWithLoss(), input_shape=(6,), dtype="float64", seed=0)
    assert bd.gradcheck(net, *data()).ok


def test_the_net_is_left_as_it_was():
    net = net_of("dropout")
    x, t = data()
    net.gradient(x, t)
    before = [array.tobytes() for part in (net.params, net.grads, net.buffers) for array in part.values()]
    assert bd.gradcheck(net, x, t).ok
    assert before == [array.tobytes() for part in (net.params, net.grads, net.buffers) for array in part.values()]
