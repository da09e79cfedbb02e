"""What looks odd, and is fine (B010, B012-B018, B020, B031, B040, B041, B046, B071, B076)."""

import numpy as np
import pytest

import badak as bd

from .nets import net
from .world import (
    ONES,
    World,
    case,
    digest,
    each,
    fingerprint,
    fresh_net,
    misaligned,
    read_only,
    rows,
    swapped,
    with_index,
)


def negative_stride_of_length_one(x):
    odd = x[:1][::-1]
    assert odd.flags.c_contiguous
    return odd


class HasArray:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


WHOLE = np.arange(48).reshape(12, 4) % 2
ACCEPTED = [
    ("B010 float16", lambda: WHOLE.astype("f2") / 2),
    ("B012 bool", lambda: WHOLE.astype(bool)),
    ("B013 uint8", lambda: (WHOLE * 255).astype("u1")),
    ("int8", lambda: -WHOLE.astype("i1")),
    ("uint64", lambda: WHOLE.astype("u8")),
    ("longlong", lambda: WHOLE.astype(np.longlong)),
    ("B038 beyond 2**53", lambda: WHOLE * (2**53 + 1)),
    ("B014 byte-swapped f8", lambda: swapped(ONES / 3)),
    ("B014 byte-swapped f4", lambda: swapped((ONES / 3).astype("f4"))),
    ("B014 byte-swapped i4", lambda: swapped(WHOLE.astype("i4"))),
    ("B015 misaligned f8", lambda: misaligned(ONES / 3)),
    ("B015 misaligned f4", lambda: misaligned((ONES / 3).astype("f4"))),
    ("B016 rows backwards", lambda: (WHOLE / 3)[::-1]),
    ("B016 columns backwards", lambda: (WHOLE / 3)[:, ::-1]),
    ("B016 every second", lambda: np.arange(96.0).reshape(12, 8)[:, ::2]),
    ("B016 transposed", lambda: np.arange(48.0).reshape(4, 12).T),
    ("B016 Fortran", lambda: np.asfortranarray(WHOLE / 3)),
    ("B016 Fortran f4", lambda: np.asfortranarray((WHOLE / 3).astype("f4"))),
    ("B018 broadcast", lambda: np.broadcast_to(np.arange(4.0), (12, 4))),
    ("B020 windows", lambda: np.lib.stride_tricks.sliding_window_view(np.arange(15.0), 4)),
    ("B035 NaN", lambda: np.where(WHOLE, np.nan, 0.5)),
    ("B037 denormals", lambda: np.full((12, 4), 5e-324)),
    ("B037 -0.0", lambda: np.full((12, 4), -0.0)),
    ("B040 nothing masked", lambda: np.ma.masked_array(WHOLE / 3)),
    ("B040 a mask of False", lambda: np.ma.masked_array(WHOLE / 3, mask=WHOLE < 0)),
    ("B041 matrix", lambda: WHOLE.view(np.matrix)),
    ("B046 __array__", lambda: HasArray(WHOLE / 3)),
    ("memoryview", lambda: memoryview(WHOLE / 3)),
    ("list of lists", lambda: (WHOLE / 3).tolist()),
    ("tuple of arrays", lambda: tuple(WHOLE / 3)),
    ("read-only", lambda: read_only(WHOLE / 3)),
    ("a record's field", lambda: np.ones(12, [("a", "f4", 4), ("b", "u1")])["a"]),
    ("4-d", lambda: (WHOLE / 3).reshape(12, 1, 2, 2)),
]


@each("make", rows(ACCEPTED))
def odd_arrays_are_taken_for_what_they_hold(world, make):
    x = make()
    plain = np.array(x, dtype=np.float64, order="C", copy=True)
    plain = plain if plain.shape[1] == 4 else plain.reshape(12, 4)
    t, before = world.t, fingerprint(x)

    for call in (
        lambda x: world.net.predict(x),
        lambda x: world.net.loss(x, t),
        lambda x: world.net.accuracy(x, t),
        lambda x: list(world.net.gradient(x, t).values()),
        lambda x: world.net.forward(x, keep=True)[-1],
        lambda x: world.affine.forward(x),
    ):
        found, expected = call(x), call(plain)
        assert digest(found if isinstance(found, list) else [found]) == digest(
            expected if isinstance(expected, list) else [expected]
        )
        assert type(found) in (np.ndarray, float, list)
    assert fingerprint(x) == before

    if np.isfinite(plain).all():
        first, second = fresh_net(), fresh_net()
        first.fit(x, t, epochs=2, batch_size=5, progress=False)
        second.fit(plain, t, epochs=2, batch_size=5, progress=False)
        assert digest(first.params.values()) == digest(second.params.values())


@case
def a_row_with_a_negative_stride(world):  # B017
    x = (WHOLE / 3).astype("f4")
    np.testing.assert_array_equal(world.net.predict(negative_stride_of_length_one(x)), world.net.predict(x[:1].copy()))


@each("make", rows([row for row in ACCEPTED if row[0] != "4-d"]))
def odd_arrays_for_functions_and_dout(world, make):
    x = make()
    plain = np.array(x, copy=True, order="C", subok=False)
    plain = plain.astype(np.float32 if plain.dtype.str.endswith("f4") else np.float64)
    for f in (bd.sigmoid, bd.relu, bd.tanh, bd.softmax, world.relu.forward, world.sigmoid.forward):
        found = f(x)
        np.testing.assert_array_equal(found, f(plain))
        assert type(found) is np.ndarray
    world.relu.forward(world.x)
    np.testing.assert_array_equal(world.relu.backward(x), world.relu.backward(plain))


ACCEPTED_LABELS = [
    ("list", lambda t: t.tolist()),
    ("uint8", lambda t: t.astype("u1")),
    ("uint64", lambda t: t.astype("u8")),
    ("longlong", lambda t: t.astype(np.longlong)),
    ("byte-swapped", lambda t: swapped(t)),
    ("misaligned", lambda t: misaligned(t)),
    ("strided", lambda t: np.repeat(t, 2)[::2]),
    ("backwards", lambda t: t[::-1].copy()[::-1]),
    ("B057 (N, 1)", lambda t: t[:, None]),
    ("read-only", lambda t: read_only(t)),
    ("nothing masked", lambda t: np.ma.masked_array(t)),
    ("one-hot float", lambda t: np.eye(3)[t]),
    ("one-hot int", lambda t: np.eye(3, dtype=int)[t]),
    ("one-hot bool", lambda t: np.eye(3, dtype=bool)[t]),
    ("one-hot Fortran", lambda t: np.asfortranarray(np.eye(3)[t])),
    ("one-hot lists", lambda t: np.eye(3)[t].tolist()),
]


@each("make", rows(ACCEPTED_LABELS))
def labels_in_other_forms(world, make):
    t = make(world.t)
    assert world.net.loss(world.x, t) == world.net.loss(world.x, world.t)
    assert world.net.accuracy(world.x, t) == world.net.accuracy(world.x, world.t)
    found, expected = world.net.gradient(world.x, t), world.net.gradient(world.x, world.t)
    assert digest(found.values()) == digest(expected.values())
    world.net.train_step(world.x, world.t)
    other = World()
    other.net.train_step(other.x, t)
    assert digest(world.net.params.values()) == digest(other.net.params.values())


@each("count", [np.int64(3), np.uint8(3), np.array(3), with_index(lambda: 3)])
def integers_of_every_kind(world, count):  # B071
    assert bd.Affine(units=count)._hyper["units"].__index__() == 3
    a_net = net([bd.Affine(units=count)], seed=count)
    assert a_net.params["W1"].shape == (4, 3)
    assert digest(a_net.params.values()) == digest(net(seed=3).params.values())
    assert a_net.fit(world.x, world.t, epochs=count, batch_size=count, seed=count, progress=False).epoch == [1, 2, 3]


@each("value", [1, np.float32(1), np.float64(1), np.array(1.0), np.array(1), np.int8(1)])
def numbers_of_every_kind(value):
    params, expected = {"p": np.ones(3)}, {"p": np.ones(3)}
    bd.SGD(lr=value).update(params, {"p": np.ones(3)})
    bd.SGD(lr=1.0).update(expected, {"p": np.ones(3)})
    np.testing.assert_array_equal(params["p"], expected["p"])


@case
def no_samples_are_fine_where_nothing_is_averaged(world):  # B031
    x = np.empty((0, 4))
    assert world.net.predict(x).shape == (0, 3)
    assert [output.shape for output in world.net.forward(x, keep=True)] == [(0, 5), (0, 5), (0, 5), (0, 3)]
    for layer in world.layers:
        out = layer.forward(x)
        assert out.shape[0] == 0
        dx = layer.backward(out)
        assert dx.shape == (0, 4)
    assert not world.affine.dW.any()
    assert bd.softmax(np.empty((0, 3))).shape == (0, 3)


@case
def an_index_that_uses_the_net_meanwhile(world):  # B076
    def index():
        world.net.train_step(world.x, world.t)
        return 2

    history = world.net.fit(world.x, world.t, epochs=with_index(index), batch_size=with_index(index), progress=False)
    assert history.epoch == [1, 2]


@case
def an_array_method_that_uses_the_net_meanwhile(world):  # B126
    class Greedy:
        def __array__(self, dtype=None, copy=None):
            return world.net.predict(world.x)

    before = world.state()
    with pytest.raises(RuntimeError, match="in use"):
        world.net.predict(Greedy())
    assert world.state() == before
    assert world.goes_on_undisturbed()


@case
def a_stride_beyond_every_image():  # B081: the window fits once
    layer = bd.Convolution(np.ones((1, 1, 2, 2)), np.zeros(1), stride=2**62)
    np.testing.assert_array_equal(layer.forward(np.ones((2, 1, 4, 4))), np.full((2, 1, 1, 1), 4.0))


@case
def weights_that_lie_in_any_way(world):  # B101: held by reference; another byte order is refused, see PARAMETER_ROWS
    expected = world.affine.forward(world.x)
    for W in (np.asfortranarray(world.affine.W), np.repeat(world.affine.W, 2, axis=1)[:, ::2]):
        world.affine.W = W
        assert world.affine.W is W
        np.testing.assert_array_equal(world.affine.forward(world.x), expected)
