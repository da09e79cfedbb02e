"""The toy sets of badak.dataset: what they promise, and that nets learn them."""

import numpy as np
import pytest

import badak as bd
from badak.dataset import regression1d, spiral, xor

SETS = {"spiral": spiral, "xor": xor, "regression1d": regression1d}


@pytest.mark.parametrize("make", SETS.values(), ids=SETS)
def test_the_seed_decides_and_the_global_generator_is_left_alone(make):
    before = np.random.get_state()[1].copy()
    for one, other in zip(make(seed=3), make(seed=3), strict=True):
        assert np.array_equal(one, other) and not np.shares_memory(one, other)
    assert not np.array_equal(make(seed=3)[0], make(seed=4)[0])
    assert np.array_equal(before, np.random.get_state()[1])


def test_shapes_dtypes_and_classes():
    x, t = spiral(50, classes=4)
    assert x.shape == (200, 2) and x.dtype == float and t.dtype.kind == "i"
    assert np.array_equal(np.bincount(t), [50] * 4) and np.all(np.hypot(*x.T) <= 1)
    x, t = xor(30)
    assert x.shape == (120, 2) and np.array_equal(np.bincount(t), [60, 60]) and t.dtype.kind == "i"
    x, t = regression1d(40)
    assert x.shape == t.shape == (40, 1) and np.all(np.diff(x[:, 0]) > 0) and x.min() >= 0 and x.max() < 1


def test_without_noise_they_are_what_they_are_named_after():
    x, t = xor(1, noise=0)
    assert x.tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]] and t.tolist() == [0, 1, 1, 0]
    x, t = regression1d(noise=0)
    assert np.array_equal(t, np.sin(2 * np.pi * x))
    x, t = regression1d(noise=0, f=lambda x: 3 * x - 1)
    assert np.array_equal(t, 3 * x - 1)
    x, t = spiral(10, 3, noise=0)
    turn = 2 * np.pi / 3
    assert np.allclose(x[10:20] @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]], x[:10])


@pytest.mark.parametrize(("name", "line"), [("spiral", 0.65), ("xor", 0.8)])
def test_a_hidden_layer_learns_what_a_line_cannot(name, line):
    x, t = SETS[name]()
    reached = []
    for hidden in ([], [bd.Affine(units=30), bd.Relu()]):
        net = bd.Net([*hidden, bd.Affine(units=3)], loss=bd.SoftmaxWithLoss(), input_shape=(2,), seed=0)
        net.fit(x, t, epochs=200, batch_size=30, optimizer=bd.Adam(lr=0.02), progress=False)
        reached.append(net.accuracy(x, t))
    assert reached[0] < line < 0.95 < reached[1]


@pytest.mark.parametrize("make", SETS.values(), ids=SETS)
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"n": 0}, ValueError),
        ({"n": 2.0}, TypeError),
        ({"n": True}, TypeError),
        ({"noise": -1}, ValueError),
        ({"noise": float("nan")}, ValueError),
        ({"seed": -1}, ValueError),
        ({"seed": "a"}, TypeError),
    ],
)
def test_arguments_out_of_range_are_refused(make, arguments, error):
    with pytest.raises(error):
        make(**arguments)


def test_what_else_is_refused():
    with pytest.raises(ValueError, match="classes = 0"):
        spiral(classes=0)
    with pytest.raises(ValueError, match="element by element"):
        regression1d(f=np.sum)
