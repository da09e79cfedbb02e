"""Making nets (B098, B099, B102, B103, and the sizes of the layers)."""

import gc
import sys

import numpy as np
import pytest

import badak as bd

from .world import INT64_MIN, case, each, fail, failure_of, fresh_net, nested, refused, resident_bytes, rows

UNITS_OF_256_TIB = 2**31, 2**13  # more than any address space has, and less than 2**48 elements


def net(layers=None, **options):
    layers = [bd.Affine(units=3)] if layers is None else layers
    return bd.Net(layers, **{"loss": bd.SoftmaxWithLoss(), "input_shape": 4, **options})


def shared():
    layer = bd.Affine(units=3)
    return [layer, bd.Relu(), layer]


NET_ROWS = [
    ("layers=None", lambda: bd.Net(None, loss=bd.SoftmaxWithLoss(), input_shape=4), TypeError, "layers must be a list"),
    ("layers=int", lambda: net(5), TypeError, "layers must be a list of layers, got int"),
    ("layers=str", lambda: net("abc"), TypeError, "layers must be a list of layers, got str"),
    ("layers=layer", lambda: net(bd.Relu()), TypeError, "layers must be a list of layers, got Relu"),
    ("layers=dict", lambda: net({"a": bd.Relu()}), TypeError, "layer 1 must be a badak layer, got str"),
    ("layers raises", lambda: net(map(fail, [1])), LookupError, "mine"),
    ("B098 []", lambda: net([]), ValueError, "layers is empty"),
    ("B098 [None]", lambda: net([bd.Relu(), None]), TypeError, "layer 2 must be a badak layer, got NoneType"),
    ("B098 ['x']", lambda: net(["x"]), TypeError, "layer 1 must be a badak layer, got str"),
    (
        "B098 same twice",
        lambda: net(shared()),
        ValueError,
        "the same object",
    ),
    ("a class", lambda: net([bd.Affine(units=3), bd.Relu]), TypeError, r"layer 2 is the class Relu: write Relu\(...\)"),
    ("AddLayer", lambda: net([bd.AddLayer()]), TypeError, r"missing .* 'y'"),
    (
        "a loss inside",
        lambda: net([bd.Relu(), bd.IdentityWithLoss()]),
        ValueError,
        "IdentityWithLoss is a loss layer: pass it as loss=",
    ),
    (
        "a loss in a branch",
        lambda: net([bd.Residual([bd.IdentityWithLoss()])]),
        ValueError,
        "IdentityWithLoss is a loss layer",
    ),
    ("no loss", lambda: bd.Net([bd.Relu()], input_shape=4), TypeError, "loss"),
    ("loss=None", lambda: net(loss=None), TypeError, "loss must be a loss layer.*got NoneType"),
    ("loss=str", lambda: net(loss="softmax"), TypeError, "loss must be a loss layer.*got str"),
    (
        "loss=class",
        lambda: net(loss=bd.SoftmaxWithLoss),
        TypeError,
        r"loss is the class SoftmaxWithLoss: write SoftmaxWithLoss\(\)",
    ),
    ("loss=Relu()", lambda: net(loss=bd.Relu()), TypeError, "loss must be a loss layer.*got Relu"),
    ("loss by position", lambda: bd.Net([bd.Relu()], bd.SoftmaxWithLoss(), 4), TypeError, "positional"),
    ("B096 unknown keyword", lambda: net(optimizer=bd.SGD()), TypeError, "unexpected keyword argument 'optimizer'"),
    ("no input_shape", lambda: bd.Net([bd.Relu()], loss=bd.SoftmaxWithLoss()), TypeError, "input_shape"),
    ("input_shape=None", lambda: net(input_shape=None), TypeError, "input_shape must be a tuple.*got NoneType"),
    ("input_shape=str", lambda: net(input_shape="784"), TypeError, "input_shape must be a tuple.*got str"),
    ("input_shape=float", lambda: net(input_shape=4.0), TypeError, "input_shape must be a tuple.*got float"),
    ("input_shape=True", lambda: net(input_shape=True), TypeError, "input_shape must be a tuple.*got bool"),
    ("input_shape=(4.0,)", lambda: net(input_shape=(4.0,)), TypeError, "input_shape must be an integer, got float"),
    ("input_shape=('4',)", lambda: net(input_shape=("4",)), TypeError, "input_shape must be an integer, got str"),
    ("input_shape=(True,)", lambda: net(input_shape=(True,)), TypeError, "input_shape must be an integer, got bool"),
    (
        "input_shape=(None, 4)",
        lambda: net(input_shape=(None, 4)),
        TypeError,
        "input_shape must be an integer, got None",
    ),
    ("input_shape=()", lambda: net(input_shape=()), ValueError, "input_shape must have 1 to 7 sizes"),
    ("input_shape of 8", lambda: net(input_shape=(1,) * 8), ValueError, "input_shape must have 1 to 7 sizes"),
    ("input_shape=0", lambda: net(input_shape=0), ValueError, r"input_shape = \(0,\): every size must be at least 1"),
    ("input_shape=-4", lambda: net(input_shape=-4), ValueError, "input_shape.* every size must be at least 1"),
    (
        "input_shape=(1, 0, 4)",
        lambda: net(input_shape=(1, 0, 4)),
        ValueError,
        "input_shape.* every size must be at least 1",
    ),
    ("input_shape=INT64_MIN", lambda: net(input_shape=INT64_MIN), ValueError, "input_shape.* every size"),
    ("input_shape=2**70", lambda: net(input_shape=2**70), OverflowError, "input_shape does not fit 64 bits"),
    ("input_shape=2**62", lambda: net(input_shape=2**62), ValueError, r"x would have more than 2\*\*48"),
    ("input_shape wraps", lambda: net(input_shape=(2**32, 2**32)), ValueError, r"x would have more than 2\*\*48"),
    ("input_shape wraps to 1", lambda: net(input_shape=(2**63 - 1, 2**63 - 1)), ValueError, r"more than 2\*\*48"),
    ("dtype=None", lambda: net(dtype=None), TypeError, 'dtype must be "float32" or "float64", got None'),
    ("dtype=float16", lambda: net(dtype="float16"), TypeError, "dtype must be .*got 'float16'"),
    ("dtype=int", lambda: net(dtype=int), TypeError, "dtype must be .*got <class 'int'>"),
    ("dtype=complex64", lambda: net(dtype=np.complex64), TypeError, "dtype must be"),
    ("dtype=object", lambda: net(dtype=object), TypeError, "dtype must be"),
    ("dtype=longdouble", lambda: net(dtype=np.longdouble), TypeError, "dtype must be"),
    ("dtype=nonsense", lambda: net(dtype="abc"), TypeError, "dtype must be"),
    ("dtype=5", lambda: net(dtype=5), TypeError, "dtype must be"),
    ("dtype structured", lambda: net(dtype=[("a", "f4")]), TypeError, "dtype must be"),
    ("dtype=(f4, 2)", lambda: net(dtype=("f4", (2,))), TypeError, "dtype must be"),
    ("dtype swapped", lambda: net(dtype=np.dtype("f4").newbyteorder()), TypeError, "dtype must be"),
    ("B095 seed=-1", lambda: net(seed=-1), ValueError, "seed = -1: expected 0 or more"),
    ("B095 seed=2**64", lambda: net(seed=2**64), OverflowError, "seed = 18446744073709551616 does not fit 64 bits"),
    ("seed=-2**70", lambda: net(seed=-(2**70)), OverflowError, "does not fit 64 bits"),
    ("B095 seed=1.5", lambda: net(seed=1.5), TypeError, "seed must be an integer, got float"),
    ("B095 seed=str", lambda: net(seed="a"), TypeError, "seed must be an integer, got str"),
    ("seed=True", lambda: net(seed=True), TypeError, "seed must be an integer, got bool"),
    ("seed=[1]", lambda: net(seed=[1]), TypeError, "seed must be an integer, got list"),
    (
        "arrays do not fit",
        lambda: net([bd.Affine(np.ones((5, 3)), np.ones(3))]),
        ValueError,
        r"W1 has shape \(4, 3\), got .*\(5, 3\)",
    ),
    (
        "branch of another width",
        lambda: net([bd.Affine(units=5), bd.Residual([bd.Affine(units=4)])]),
        ValueError,
        "Residual|branch",
    ),
    (
        "scores of 3 dimensions",
        lambda: net([bd.Relu()], input_shape=(2, 2)),
        ValueError,
        "the scores has 3 dimensions, expected 2",
    ),
    (
        "B073 2**32 x 2**32",
        lambda: net([bd.Affine(units=2**32), bd.Affine(units=2**32)]),
        ValueError,
        r"more than 2\*\*48 elements",
    ),
    ("2**48 units", lambda: net([bd.Affine(units=2**48)]), ValueError, r"more than 2\*\*48 elements"),
    (
        "parameters add up",
        lambda: net([bd.Affine(units=2**47 - i % 2 * (2**47 - 1)) for i in range(6)], input_shape=1),
        ValueError,
        r"more than 2\*\*48 elements",
    ),
    ("65 deep", lambda: net([nested(66)], loss=bd.IdentityWithLoss()), ValueError, "nested more than 64 deep"),
    ("B099 5000 deep", lambda: net([nested(5000)], loss=bd.IdentityWithLoss()), (RecursionError, ValueError), ""),
]


@each(("call", "error", "message"), rows(NET_ROWS))
def making_a_net(world, call, error, message):
    refused(world, call, error, message)


@each(
    ("layers", "options", "number"),
    [
        ([bd.Affine(units=2**32), bd.Affine(units=2**32)], {}, 2),
        ([bd.Relu(), bd.Tanh(), bd.SoftmaxWithLoss()], {}, 3),
        ([bd.Relu(), bd.Affine(units=2), bd.Affine(np.ones((2, 2**10)), 0.0), bd.Affine(units=2**45)], {}, 4),
    ],
)
def messages_name_the_layer(layers, options, number):
    with pytest.raises(ValueError, match=rf"layer {number}\b"):
        net(layers, **options)


@case
def memory_that_is_not_there(world):  # B074
    units, more = UNITS_OF_256_TIB
    for i in range(20):
        if i == 5:  # what a forked process touches first is a copy
            before = resident_bytes()
        refused(world, lambda: net([bd.Affine(units=units), bd.Affine(units=more)]), MemoryError, "not enough memory")
    assert resident_bytes() - before < 1 << 20


@case
def parameters_that_add_up_to_2_to_the_64():
    layers = [bd.Affine(units=2**47 if i % 2 == 0 else 1) for i in range(2**17)]
    with pytest.raises(ValueError, match=r"more than 2\*\*48 elements"):
        bd.Net(layers, loss=bd.IdentityWithLoss(), input_shape=1, seed=0)


@case
def a_hundred_thousand_layers():  # B098: no stack overflow, no quadratic time
    deep = net([bd.Relu() if i % 2 else bd.Tanh() for i in range(10**5)], loss=bd.IdentityWithLoss())
    x = np.full((2, 4), 0.5)
    assert deep.predict(x).shape == (2, 4)
    assert len(deep.gradient(x, x)) == 0
    many = net([bd.Affine(units=1) for _ in range(10**4)], loss=bd.IdentityWithLoss())
    assert list(many.params)[-1] == "b10000"


@case
def layers_inside_each_other_are_freed_without_a_stack_overflow():
    layer = nested(10**5)
    del layer
    gc.collect()
    with pytest.raises(RecursionError):
        repr(nested(5000))
    with pytest.raises(RecursionError):
        nested(5000).forward(np.ones((2, 2)))


@case
def the_deepest_net_that_is_allowed():
    deepest = net([nested(64)], loss=bd.IdentityWithLoss())
    np.testing.assert_array_equal(deepest.predict(np.ones((1, 4))), np.full((1, 4), 65.0))
    assert repr(deepest).count("Residual") == 64
    assert len(deepest.gradient(np.ones((1, 4)), np.ones((1, 4)))) == 0


@case
def a_net_that_was_never_made(world):  # B102
    empty = bd.Net.__new__(bd.Net)
    for call in (lambda: empty.predict(world.x), lambda: empty.fit(world.x, world.t, epochs=1), lambda: empty.params):
        assert failure_of(call)[0] in (AttributeError, RuntimeError)
    for kind in (bd.Affine, bd.Relu, bd.Residual, bd.SoftmaxWithLoss):
        layer = kind.__new__(kind)
        for call in (lambda layer=layer: layer.forward(world.x), lambda layer=layer: layer.backward(1.0)):
            assert failure_of(call)[0] in (AttributeError, RuntimeError, TypeError)
    core = bd._core if hasattr(bd, "_core") else sys.modules["badak._core"]
    for kind in (core.Net, core.Layer, core.Saved):
        with pytest.raises(TypeError):
            kind.__new__(kind)
        with pytest.raises(TypeError):
            kind()


@case
def a_net_that_is_made_twice(world):  # B103
    a_net = fresh_net()
    view = a_net.params["W1"]
    kept = view.copy()
    a_net.train_step(world.x, world.t, bd.Adam())
    a_net.__init__([bd.Affine(units=3)], loss=bd.SoftmaxWithLoss(), input_shape=4, seed=1)
    assert a_net.optimizer is None
    assert a_net.params["W1"] is not view
    np.testing.assert_array_equal(a_net.params["W1"], kept)
    view += 1
    np.testing.assert_array_equal(a_net.params["W1"], kept)
    np.testing.assert_array_equal(a_net.predict(world.x), fresh_net().predict(world.x))
