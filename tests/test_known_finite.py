"""A net that nobody looks into remembers that its parameters are finite and the same.

Predictions then pass over the rows of W that meet a 0, and use what was made of filters before. Whatever may have
written parameters makes the net forget: 0 times infinity is NaN, in every prediction.
"""

import ctypes
import gc

import numpy as np
import pytest

import badak as bd

BORDER = 0  # a pixel that is 0 in all these digits
NETS = {
    "784-50-10": lambda: [bd.Affine(units=50), bd.Relu(), bd.Affine(units=10)],
    "784-300-300-10": lambda: (
        [layer for _ in range(2) for layer in (bd.Affine(units=300), bd.Relu())] + [bd.Affine(units=10)]
    ),
    "convolution": lambda: [
        *(bd.Convolution(filters=8, size=5), bd.Relu(), bd.Pooling(2, 2, stride=2)),
        *(bd.Affine(units=100), bd.Relu(), bd.Affine(units=10)),
    ],
    "filters of 3 by 3": lambda: [
        *(bd.Convolution(filters=16, size=3, pad=1), bd.Relu(), bd.Convolution(filters=32, size=3, pad=1), bd.Relu()),
        *(bd.Pooling(2, 2, stride=2), bd.Convolution(filters=16, size=3), bd.Affine(units=10)),
    ],
}


def net_of(name="784-50-10", dtype="float32"):
    return bd.Net(NETS[name](), loss=bd.SoftmaxWithLoss(), input_shape=(1, 28, 28), dtype=dtype, seed=1)


@pytest.fixture(scope="module")
def digits():
    return bd.load_mnist(flatten=False)[0]


def settled(net, x):
    """The third prediction: the second looked at the parameters."""
    for _ in range(3):
        scores = net.predict(x)
    return scores


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETS)
def test_predictions_keep_their_bits(name, dtype, threads, digits):
    before = bd.get_num_threads()
    bd.set_num_threads(threads)
    try:
        for n in (1, 2, 3, 5, 31, 32, 100):
            net, x = net_of(name, dtype), digits[0][7 : 7 + n]
            first = net.predict(x)
            assert settled(net, x).tobytes() == first.tobytes()
            held = net.params["W1"]
            assert held.dtype == dtype
            assert net.predict(x).tobytes() == first.tobytes()
    finally:
        bd.set_num_threads(before)


@pytest.mark.parametrize("n", [1, 2])
def test_rows_that_meet_zeros_are_not_read(n, digits):
    """Seen by what nobody may do: to write where a view was that is no more."""
    net, x = net_of(), digits[0][:n]
    address = net.params["W1"][BORDER].ctypes.data
    scores = settled(net, x)
    ctypes.memset(address, 0xFF, 200)  # NaN
    assert net.predict(x).tobytes() == scores.tobytes()
    assert np.isnan(net.params["W1"][BORDER]).all()
    assert np.isnan(net.predict(x)).all()


def item(net, x, t):
    net.params["W1"][BORDER] = np.inf


def whole(net, x, t):
    W = net.params["W1"].copy()
    W[BORDER] = -np.inf
    net.params["W1"] = W


def memory(net, x, t):
    memoryview(net.params["W1"]).cast("B").cast("f", net.params["W1"].shape)[BORDER, 0] = np.nan


def through_a_copy_of_the_state(net, x, t):
    net.__setstate__({**net.__getstate__(), "params": {**copies(net), "W1": np.full((784, 50), np.inf, "f")}})


def copies(net):
    return {name: array.copy() for name, array in net.params.items()}


@pytest.mark.parametrize("write", [item, whole, memory, through_a_copy_of_the_state])
def test_what_was_written_between_two_predictions_counts(write, digits):
    (x, t), net = digits, net_of()
    assert np.isfinite(settled(net, x[:1])).all()
    write(net, x[:10], t[:10])
    for _ in range(4):
        assert np.isnan(net.predict(x[:1])).any()


HOLD = {
    "the array": lambda net: net.params["W1"],
    "a row": lambda net: net.params["W1"][BORDER],
    "another shape": lambda net: net.params["W1"].reshape(-1),
    "memory": lambda net: np.asarray(memoryview(net.params["W1"])),
    "a dict": lambda net: dict(net.params)["W1"],
    "of DLPack": lambda net: np.from_dlpack(net.params["W1"]),
}


@pytest.mark.parametrize("hold", HOLD)
def test_what_is_written_through_a_view_that_was_held_counts(hold, digits):
    (x, _), net = digits, net_of()
    view = HOLD[hold](net)
    if not view.flags.writeable:
        pytest.skip("this NumPy gives a view that cannot be written")
    assert np.isfinite(settled(net, x[:1])).all()
    view.ravel()[:3] = np.inf
    for _ in range(4):
        assert np.isnan(net.predict(x[:1])).any()


def test_a_net_with_a_layer_of_python_never_passes_over(digits):
    class Spoils(bd.Layer):
        net = None

        def forward(self, x):
            if self.net:
                self.net.params["W1"][BORDER] = np.nan
            return x

        def backward(self, dout):
            return dout

    (x, _) = digits
    spoils = Spoils()
    net = bd.Net([spoils, *NETS["784-50-10"]()], loss=bd.SoftmaxWithLoss(), input_shape=(784,), seed=1)
    flat = x[:1].reshape(1, -1)
    assert np.isfinite(settled(net, flat)).all()
    spoils.net = net
    assert np.isnan(net.predict(flat)).any()


def test_what_was_made_of_filters_is_made_again(digits):
    (x, t), name = digits, "filters of 3 by 3"
    net = net_of(name)

    def scores_are_those_of_a_net_that_knows_nothing():
        """More than once, for batches that need more room and less."""
        for n in (1, 3, 1, 2, 40, 1, 1):
            other = net_of(name)
            for array, given in zip(other.params.values(), copies(net).values(), strict=True):
                array[...] = given
            settled(net, x[:1])
            assert net.predict(x[:n]).tobytes() == other.predict(x[:n]).tobytes()

    scores_are_those_of_a_net_that_knows_nothing()
    net.train_step(x[:10], t[:10], bd.SGD(lr=0.1))
    scores_are_those_of_a_net_that_knows_nothing()
    net.params["W2"] *= 1.5
    scores_are_those_of_a_net_that_knows_nothing()
    net.params["W2"][3, 2, 1, 1] = 1e30  # too large for Winograd's method
    scores_are_those_of_a_net_that_knows_nothing()
    net.params["W2"][3, 2, 1, 1] = 0.1
    scores_are_those_of_a_net_that_knows_nothing()


def test_weights_that_are_not_finite_stay_so(digits):
    (x, _), net = digits, net_of()
    net.params["W1"][BORDER] = np.inf
    for _ in range(5):
        assert np.isnan(net.predict(x[:1])).any()
    net.params["W1"][BORDER] = 0
    assert np.isfinite(settled(net, x[:1])).all()


def test_a_view_is_the_same_object_while_it_is_held_and_outlives_its_net():
    net = net_of()
    view, row = net.params["W1"], net.params["W1"][3]
    assert net.params["W1"] is view
    assert list(net.params) == ["W1", "b1", "W2", "b2"]
    expected = view.copy()
    del net
    gc.collect()
    assert (view == expected).all()
    assert (row == expected[3]).all()
