"""Bad arguments, for every entry point: the right exception, a message that helps, and nothing changed.

Each row says what is passed where, which exception that is, and what its message says. One helper, `refused`, then
looks whether anything changed: parameters, gradients, optimiser, generator, what layers remember, and the arguments
themselves with their reference counts. After it the next good calls must give, bit for bit, what they give in a world
that never saw the bad one. Numbers such as B001 are those of the catalogue of bad arguments.
"""

import gc
import hashlib
import os
import re
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import badak as bd

INT64_MIN = -(2**63)
MAX_NDIM = 64 if int(np.__version__.split(".")[0]) >= 2 else 32  # of NumPy
UNITS_OF_256_TIB = 2**31, 2**13  # more than any address space has, and less than 2**48 elements


# ---- A world to be left alone ----


def nested(depth):
    layer = bd.Relu()
    for _ in range(depth):
        layer = bd.Residual([layer])
    return layer


class World:
    """One of everything, in the middle of its work."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal((12, 4)).astype(np.float32)
        self.t = rng.integers(0, 3, 12)
        self.rows = rng.standard_normal((12, 3))

        self.net = bd.Net(
            [bd.Affine(units=5), bd.Relu(), bd.Residual([bd.Affine(units=5), bd.Tanh()]), bd.Affine(units=3)],
            loss=bd.SoftmaxWithLoss(),
            input_shape=4,
            seed=1,
        )
        self.regression = bd.Net(
            [bd.Affine(units=5), bd.Sigmoid(), bd.Affine(units=3)], loss=bd.IdentityWithLoss(), input_shape=4, seed=2
        )
        for _ in range(2):
            self.net.train_step(self.x, self.t, self.net.optimizer or bd.Adam(lr=0.01))
            self.regression.train_step(self.x, self.rows, self.regression.optimizer or bd.Adam(lr=0.01))
        self.net.fit(self.x, self.t, epochs=1, batch_size=5, progress=False)
        self.net.gradient(self.x, self.t)

        self.affine = bd.Affine(rng.standard_normal((4, 5)), rng.standard_normal(5))
        self.relu, self.sigmoid, self.tanh = bd.Relu(), bd.Sigmoid(), bd.Tanh()
        inner = bd.Affine(rng.standard_normal((4, 4)), rng.standard_normal(4))
        self.residual = bd.Residual([inner, bd.Tanh()])
        self.softmax, self.identity = bd.SoftmaxWithLoss(), bd.IdentityWithLoss()
        self.layers = [self.affine, self.relu, self.sigmoid, self.tanh, self.residual]
        for layer in self.layers:
            layer.backward(layer.forward(self.x))
        for loss, t in ((self.softmax, self.t % 4), (self.identity, self.x.astype(float))):
            loss.forward(self.x, t)
            loss.backward()
        self.all_layers = [*self.layers, inner, self.residual.layers[1], self.softmax, self.identity]

        self.params = {"W": rng.standard_normal((3, 2)), "b": rng.standard_normal(2), "s": 0.5}
        self.grads = {"W": np.ones((3, 2)), "b": np.ones(2), "s": 1.0}
        self.adam = bd.Adam()
        self.sgd = bd.SGD()
        self.adam.update(self.params, self.grads)
        self.went_on = 0

    def state(self):
        """Everything that a refused call must leave as it was."""
        state = {}
        for name, net in (("net", self.net), ("regression", self.regression)):
            for part in ("params", "grads"):
                state[name, part] = digest(getattr(net, part).values())
            for part, arrays in net.optimizer.state.items():
                state[name, part] = digest(arrays.values())
            state[name, "optimizer"] = id(net.optimizer), net.optimizer.hyper, net.optimizer.iter
            state[name, "core"] = net._core.rng, net._core.updates
        for i, layer in enumerate(self.all_layers):
            state[i, "params"] = digest(layer.params.values()), [id(array) for array in layer.params.values()]
            state[i, "grads"] = digest(layer.grads.values())
            state[i, "x"] = digest([layer.x]), id(layer._saved), id(layer._core)
        state["params"] = digest(self.params.values()), [id(value) for value in self.params.values()]
        state["adam"] = [digest(arrays.values()) for arrays in self.adam.state.values()], self.adam.iter
        state["sgd"] = self.sgd.iter
        return state

    def go_on(self):
        """What good calls give from here on."""
        x, t, rows = self.x, self.t, self.rows
        results = [self.net.predict(x), *self.net.gradient(x, t).values()]
        results += [self.net.loss(x, t), self.net.accuracy(x, t), self.net.train_step(x, t)]
        results += self.net.fit(x, t, epochs=1, batch_size=5, progress=False).step_loss
        results += [self.regression.train_step(x, rows), *self.regression.gradient(x, rows).values()]
        for layer in self.layers:
            dout = np.ones_like(layer.forward(x))
            results += [layer.backward(dout), *layer.grads.values()]
        results += [self.softmax.backward(), self.identity.backward()]
        self.adam.update(self.params, self.grads)
        results += self.params.values()
        self.went_on += 1
        return digest(results)

    def goes_on_undisturbed(self):
        """Do good calls give what they give in a world that never saw a bad one?"""
        found = self.go_on()
        while len(UNDISTURBED) < self.went_on:
            UNDISTURBED.append(CONTROL.go_on())
        return found == UNDISTURBED[self.went_on - 1]


def digest(values):
    total = hashlib.sha256()
    for value in values:
        array = np.asarray(value)
        total.update(f"{array.shape}{array.dtype}".encode() + array.tobytes())
    return total.hexdigest()


CONTROL = World()
UNDISTURBED = []  # what the control's calls give, one after the other


def fingerprint(argument):
    if isinstance(argument, np.ndarray):
        content = repr(argument.tolist()) if argument.dtype.hasobject else argument.tobytes()
        return content, argument.shape, argument.strides, argument.dtype, str(argument.flags)
    return None


CONSTANTS = (type(None), bool, int, float, complex, str, bytes, type)  # others hold references to them too


def failure_of(call):
    try:
        call()
    except Exception as error:  # not kept: its traceback would hold references
        return type(error), str(error)
    return None


def refused(world, call, error, message, *arguments):
    """Assert that the call raises exactly this error (or one of these) with this message, and that nothing changed."""
    counted = [argument for argument in arguments if not isinstance(argument, CONSTANTS)]
    watched = [*counted, np.dtype("f4"), world.net, world.net.optimizer, *world.all_layers]
    before, prints = world.state(), [fingerprint(argument) for argument in arguments]

    errors = error if isinstance(error, tuple) else (error,)
    found = failure_of(call)
    assert found is not None, "it was accepted"
    assert issubclass(found[0], MemoryError) if error is MemoryError else found[0] in errors, found
    assert re.search(message, found[1]), found[1]
    assert world.state() == before
    assert [fingerprint(argument) for argument in arguments] == prints

    gc.disable()  # it would free what other tests left
    counts = [sys.getrefcount(one) for one in watched]
    for _ in range(3):
        failure_of(call)
    counts_after = [sys.getrefcount(one) for one in watched]
    gc.enable()
    assert counts_after == counts
    assert world.goes_on_undisturbed()


@pytest.fixture
def world():
    return World()


def rows(table):
    return [pytest.param(*row[1:], id=row[0]) for row in table]


def crossed(entries, table):
    """Every bad argument at every entry."""
    return [pytest.param(entry, *row[1:], id=f"{name}-{row[0]}") for name, entry in entries.items() for row in table]


def evil_array():
    class Evil:
        def __array__(self, dtype=None, copy=None):
            raise LookupError("mine")

    return Evil()


def with_index(index):
    class Index:
        def __index__(self):
            return index()

    return Index()


def fail(*args):
    raise LookupError("mine")


# ---- Arrays that are none (B001-B011, B039, B043-B045, B049, B050): at every entry that takes an array ----

ONES = np.ones((12, 4))
REAL = r"real number"
NUMPY_2 = int(np.__version__.split(".")[0]) >= 2
BY_NUMPY = r""  # NumPy's own words, before we see an array

NO_ARRAYS = [
    ("B001 None", lambda: None, TypeError, REAL),
    ("B002 str", lambda: "abc", TypeError, REAL),
    ("B002 bytes", lambda: b"abc", TypeError, REAL),
    ("B003 ragged", lambda: [[1, 2], [3]], ValueError, "inhomogeneous"),
    ("B004 object array", lambda: ONES.astype(object), TypeError, REAL),
    ("B005 list with None", lambda: [[1.0, None, 2.0, 3.0]], TypeError, REAL),
    ("B006 str array", lambda: ONES.astype("U4"), TypeError, REAL),
    ("B006 bytes array", lambda: ONES.astype("S4"), TypeError, REAL),
    ("B007 complex128", lambda: ONES + 0j, TypeError, REAL),
    ("B007 complex64", lambda: (ONES + 0j).astype("c8"), TypeError, REAL),
    ("B007 complex number", lambda: 1j, TypeError, REAL),
    ("B008 structured", lambda: np.zeros((12, 4), dtype=[("a", "f4")]), TypeError, REAL),
    ("B008 void", lambda: np.zeros((12, 4), dtype="V4"), TypeError, REAL),
    ("B009 datetime64", lambda: np.zeros((12, 4), dtype="M8[s]"), TypeError, REAL),
    ("B009 timedelta64", lambda: np.zeros((12, 4), dtype="m8[s]"), TypeError, REAL),
    ("B011 longdouble", lambda: ONES.astype(np.longdouble), TypeError, REAL),
    ("B011 clongdouble", lambda: ONES.astype(np.clongdouble), TypeError, REAL),
    ("B039 masked", lambda: np.ma.masked_array(ONES, mask=ONES > 0), TypeError, "masked"),
    ("B043 __array__ raises", lambda: evil_array(), LookupError, "mine"),
    # np.asarray of NumPy 1 itself crashes on it, before anything of ours can look
    *([("B045 100 dimensions", lambda: interface(shape=(1,) * 100), ValueError, BY_NUMPY)] if NUMPY_2 else []),
    ("B045 negative shape", lambda: interface(shape=(-1, 3)), ValueError, BY_NUMPY),
    ("B049 nested too deep", lambda: nested_list(MAX_NDIM + 6), ValueError, BY_NUMPY),
    ("B050 generator", lambda: (row for row in ONES), TypeError, REAL),
    ("B050 set", lambda: {1.0, 2.0}, TypeError, REAL),
    ("B050 dict", lambda: {0: 1.0}, TypeError, REAL),
    ("a class", lambda: np.ndarray, TypeError, REAL),
]


def interface(**changes):
    class Interface:
        __array_interface__ = {"typestr": "<f8", "data": (0, False), "version": 3, "shape": (1,)} | changes

    return Interface()


def nested_list(depth):
    value = 1.0
    for _ in range(depth):
        value = [value]
    return value


X_OF_NET = {
    "predict": lambda w, x: w.net.predict(x),
    "forward": lambda w, x: w.net.forward(x),
    "forward keep": lambda w, x: w.net.forward(x, keep=True),
    "loss": lambda w, x: w.net.loss(x, w.t),
    "loss train": lambda w, x: w.net.loss(x, w.t, train=True),
    "accuracy": lambda w, x: w.net.accuracy(x, w.t),
    "gradient": lambda w, x: w.net.gradient(x, w.t),
    "numerical_gradient": lambda w, x: w.net.numerical_gradient(x, w.t),
    "train_step": lambda w, x: w.net.train_step(x, w.t),
    "fit": lambda w, x: w.net.fit(x, w.t, epochs=1, seed=3),
    "fit, first": lambda w, x: fresh_net().fit(x, w.t, epochs=1, optimizer=w.sgd),
    "validation": lambda w, x: w.net.fit(w.x, w.t, epochs=1, seed=3, validation=(x, w.t)),
}
X_OF_LAYER = {
    "Affine": lambda w, x: w.affine.forward(x),
    "Affine()": lambda w, x: w.affine(x),
    "Relu": lambda w, x: w.relu.forward(x),
    "Sigmoid": lambda w, x: w.sigmoid.forward(x),
    "Tanh": lambda w, x: w.tanh.forward(x),
    "Residual": lambda w, x: w.residual.forward(x),
    "SoftmaxWithLoss": lambda w, x: w.softmax.forward(x, w.t),
    "SoftmaxWithLoss()": lambda w, x: w.softmax(x, w.t),
    "IdentityWithLoss": lambda w, x: w.identity.forward(x, w.x),
}
DOUT_OF_LAYER = {
    "Affine.backward": lambda w, dout: w.affine.backward(dout),
    "Relu.backward": lambda w, dout: w.relu.backward(dout),
    "Sigmoid.backward": lambda w, dout: w.sigmoid.backward(dout),
    "Tanh.backward": lambda w, dout: w.tanh.backward(dout),
    "Residual.backward": lambda w, dout: w.residual.backward(dout),
    "SoftmaxWithLoss.backward": lambda w, dout: w.softmax.backward(dout),
    "IdentityWithLoss.backward": lambda w, dout: w.identity.backward(dout),
}
ARRAY_OF_FUNCTION = {
    "sigmoid": lambda w, x: bd.sigmoid(x),
    "sigmoid_grad": lambda w, x: bd.sigmoid_grad(x),
    "relu": lambda w, x: bd.relu(x),
    "relu_grad": lambda w, x: bd.relu_grad(x),
    "tanh": lambda w, x: bd.tanh(x),
    "softmax": lambda w, x: bd.softmax(x),
    "step_function": lambda w, x: bd.step_function(x),
    "softmax_loss": lambda w, x: bd.softmax_loss(x, w.t),
    "cross_entropy_error": lambda w, y: bd.cross_entropy_error(y, w.t),
    "sum_squared_error y": lambda w, y: bd.sum_squared_error(y, ONES),
    "sum_squared_error t": lambda w, t: bd.sum_squared_error(ONES, t),
    "mean_squared_error y": lambda w, y: bd.mean_squared_error(y, ONES),
    "mean_squared_error t": lambda w, t: bd.mean_squared_error(ONES, t),
}


def fresh_net():
    return bd.Net([bd.Affine(units=3)], loss=bd.SoftmaxWithLoss(), input_shape=4, seed=1)


@pytest.mark.parametrize(
    ("call", "make", "error", "message"),
    crossed({**X_OF_NET, **X_OF_LAYER, **DOUT_OF_LAYER, **ARRAY_OF_FUNCTION}, NO_ARRAYS),
)
def test_what_is_no_array_of_real_numbers(world, call, make, error, message):
    argument = make()
    refused(world, lambda: call(world, argument), error, message, argument)


@pytest.mark.parametrize("call", rows((name, call) for name, call in X_OF_NET.items()))
def test_messages_name_x(world, call):
    refused(world, lambda: call(world, ONES + 0j), TypeError, r"x must hold real numbers, got .*complex128")


def test_an_array_method_that_gives_no_array(world):  # B044; NumPy chooses between the two errors
    class NoArray:
        def __array__(self, dtype=None, copy=None):
            return 7

    before = world.state()
    with pytest.raises((TypeError, ValueError)):
        world.net.predict(NoArray())
    assert world.state() == before


def test_a_subclass_whose_finalize_raises(world):  # B042: a matter of who looks at it
    class Evil(np.ndarray):
        armed = False

        def __array_finalize__(self, obj):
            if Evil.armed:
                raise LookupError("mine")

    x = world.x.view(Evil)
    expected = world.net.predict(world.x)
    Evil.armed = True
    try:
        np.testing.assert_array_equal(world.net.predict(x), expected)
    except LookupError as error:
        assert str(error) == "mine"
    finally:
        Evil.armed = False
    assert world.goes_on_undisturbed()


# ---- Arrays of the wrong shape (B026-B034, B047) ----

SHAPES_FOR_ANY = [
    ("B026 0-d", lambda: np.float32(1.0), ValueError, r"\bx has 0 dimensions, expected at least"),
    ("B026 float", lambda: 1.0, ValueError, r"\bx has 0 dimensions, expected at least"),
    ("9-d", lambda: np.zeros((1,) * 9), ValueError, r"\bx has 9 dimensions, expected at most 8"),
    (
        "B029 many dimensions",
        lambda: np.zeros((1,) * MAX_NDIM),
        ValueError,
        r"\bx has \d+ dimensions, expected at most 8",
    ),
    ("B033 no features", lambda: np.zeros((12, 0)), ValueError, "features"),
    ("B034 an axis of 0", lambda: np.zeros((12, 2, 0, 2)), ValueError, "features|dimensions"),
]
SHAPES_FOR_NET = [
    *SHAPES_FOR_ANY,
    ("B027 1-d", lambda: np.ones(4), ValueError, r"x has 1 dimension, expected at least 2.*x\[None\]"),
    ("B030 a feature more", lambda: np.ones((12, 5)), ValueError, r"x has shape \(12, 5\): 5 features.*expected 4"),
    ("B030 a feature less", lambda: np.ones((12, 3)), ValueError, r"x has shape \(12, 3\): 3 features.*expected 4"),
    ("B030 4-d", lambda: np.ones((12, 2, 2, 2)), ValueError, r"8 features per sample, expected 4"),
]
EMPTY = [("B032 no samples", lambda: np.empty((0, 4)), ValueError, r"x has no samples")]
COUNTS = [
    ("B047 a sample less", lambda: np.ones((11, 4)), ValueError, "x has 11 samples, but t has 12"),
    ("B047 a sample more", lambda: np.ones((13, 4)), ValueError, "x has 13 samples, but t has 12"),
]
WITH_T = {name: call for name, call in X_OF_NET.items() if name not in ("predict", "forward", "forward keep")}


@pytest.mark.parametrize(
    ("call", "make", "error", "message"), crossed(X_OF_NET, SHAPES_FOR_NET) + crossed(WITH_T, EMPTY + COUNTS)
)
def test_x_of_the_wrong_shape_for_a_net(world, call, make, error, message):
    x = make()
    refused(world, lambda: call(world, x), error, message, x)


@pytest.mark.parametrize(
    ("call", "make", "error", "message"),
    crossed(X_OF_LAYER, SHAPES_FOR_ANY)
    + rows(
        [
            (
                "Affine 1-d",
                X_OF_LAYER["Affine"],
                lambda: np.ones(4),
                ValueError,
                "x has 1 dimension, expected at least 2",
            ),
            (
                "Affine 5 features",
                X_OF_LAYER["Affine"],
                lambda: np.ones((2, 5)),
                ValueError,
                r"x of shape \(2, 5\).*W has shape \(4, 5\)",
            ),
            (
                "Residual 5 features",
                X_OF_LAYER["Residual"],
                lambda: np.ones((2, 5)),
                ValueError,
                r"x of shape \(2, 5\)",
            ),
            (
                "Residual's branch gives another shape",
                X_OF_LAYER["Residual"],
                lambda: np.ones((12, 1, 4)),
                ValueError,
                r"Residual",
            ),
            (
                "SoftmaxWithLoss 1-d",
                X_OF_LAYER["SoftmaxWithLoss"],
                lambda: np.ones(12),
                ValueError,
                "the scores has 1 dimensions, expected 2",
            ),
            (
                "SoftmaxWithLoss 3-d",
                X_OF_LAYER["SoftmaxWithLoss"],
                lambda: np.ones((12, 2, 2)),
                ValueError,
                "the scores has 3 dimensions, expected 2",
            ),
            (
                "SoftmaxWithLoss 11 rows",
                X_OF_LAYER["SoftmaxWithLoss"],
                lambda: np.ones((11, 4)),
                ValueError,
                "x has 11 samples, but t has 12",
            ),
            (
                "SoftmaxWithLoss no rows",
                lambda w, x: w.softmax.forward(x, w.t[:0]),
                lambda: np.ones((0, 4)),
                ValueError,
                "x has no samples",
            ),
            (
                "IdentityWithLoss no rows",
                lambda w, x: w.identity.forward(x, w.x[:0]),
                lambda: np.ones((0, 4)),
                ValueError,
                "x has no samples",
            ),
            (
                "IdentityWithLoss 11 rows",
                X_OF_LAYER["IdentityWithLoss"],
                lambda: np.ones((11, 4)),
                ValueError,
                "x has 11 samples, but t has 12",
            ),
        ]
    ),
)
def test_x_of_the_wrong_shape_for_a_layer(world, call, make, error, message):
    x = make()
    refused(world, lambda: call(world, x), error, message, x)


def test_a_backward_after_a_refused_forward_belongs_to_the_forward_before():
    world, control = World(), World()
    refused(world, lambda: world.residual.forward(np.ones((12, 1, 4))), ValueError, "Residual")
    dout = np.ones((12, 4))
    np.testing.assert_array_equal(world.residual.backward(dout), control.residual.backward(dout))


@pytest.mark.parametrize("name", ["affine", "relu", "sigmoid", "tanh", "residual"])
@pytest.mark.parametrize(
    "make",
    [
        lambda shape: np.ones((shape[0] - 1, *shape[1:])),  # B113
        lambda shape: np.ones((*shape[:-1], shape[-1] + 1)),
        lambda shape: np.ones(shape[1:]),
        lambda shape: np.ones((*shape, 1)),
        lambda shape: np.float64(1.0),
        lambda shape: np.ones((0, *shape[1:])),
        lambda shape: np.ones((1,) * MAX_NDIM),
        lambda shape: np.ones(shape).T,
    ],
)
def test_dout_of_the_wrong_shape(world, name, make):  # B111
    layer = getattr(world, name)
    dout = make(layer.forward(world.x).shape)
    world = World()
    layer = getattr(world, name)
    refused(world, lambda: layer.backward(dout), ValueError, r"\bdout has (shape|\d+ dimensions).*expected", dout)


@pytest.mark.parametrize("name", ["softmax", "identity"])
def test_dout_of_a_loss_is_one_number(world, name):
    refused(world, lambda: getattr(world, name).backward(np.ones(2)), ValueError, r"dout has shape \(2,\)")


@pytest.mark.parametrize(
    "layer",
    [
        bd.Affine(np.ones((2, 2)), 0.0),
        bd.Relu(),
        bd.Sigmoid(),
        bd.Tanh(),
        bd.Residual([bd.Relu()]),
        bd.SoftmaxWithLoss(),
        bd.IdentityWithLoss(),
    ],
    ids=repr,
)
def test_backward_before_forward(layer):  # B110
    with pytest.raises(RuntimeError, match=rf"{type(layer).__name__}.backward needs a forward before it"):
        layer.backward(np.ones((2, 2)))
    assert layer.x is None
    assert layer.grads == {}


def change_in_place(x, what):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            if what == "shape":
                x.shape = (2, 4)
            elif what == "dtype":
                x.dtype = np.int64
            else:
                x.resize((1000, 1000), refcheck=False)
        except AttributeError:
            pytest.skip(f"this NumPy does not change the {what} of an array in place")


@pytest.mark.parametrize("what", ["shape", "dtype", "size"])
def test_x_that_changed_its_form_between_forward_and_backward(what):  # B112, B125
    layer = bd.Affine(np.ones((2, 3)), np.ones(3))
    x = np.ones((4, 2))
    layer.forward(x)
    change_in_place(x, what)
    with pytest.raises(RuntimeError, match="x changed its shape or dtype between forward and backward"):
        layer.backward(np.ones((4, 3)))
    assert layer.dW is None


@pytest.mark.parametrize(
    ("call", "error", "message"),
    rows(
        [
            ("softmax 0-d", lambda: bd.softmax(1.0), ValueError, "x needs at least one axis"),
            ("softmax no last axis", lambda: bd.softmax(np.ones((3, 0))), ValueError, "last axis"),
            ("cross_entropy_error 0-d", lambda: bd.cross_entropy_error(1.0, 1), ValueError, "y has 0 dim|t has"),
            (
                "cross_entropy_error no rows",
                lambda: bd.cross_entropy_error(np.ones((0, 3)), []),
                ValueError,
                "y has no samples",
            ),
            (
                "cross_entropy_error no classes",
                lambda: bd.cross_entropy_error(np.ones((2, 0)), [0, 0]),
                ValueError,
                "no classes",
            ),
            (
                "cross_entropy_error negative",
                lambda: bd.cross_entropy_error([[-0.5, 1.5]], [0]),
                ValueError,
                "y holds -0.5: probabilities are not negative",
            ),
            (
                "cross_entropy_error counts",
                lambda: bd.cross_entropy_error(np.ones((2, 3)), [0, 1, 2]),
                ValueError,
                "2 samples, but t has 3",
            ),
            (
                "sum_squared_error (N, 1) (N,)",
                lambda: bd.sum_squared_error(np.ones((3, 1)), np.ones(3)),
                ValueError,
                r"y has shape \(3, 1\), but t has shape \(3,\)",
            ),
            (
                "mean_squared_error (N, 1) (N,)",
                lambda: bd.mean_squared_error(np.ones((3, 1)), np.ones(3)),
                ValueError,
                r"y has shape \(3, 1\), but t has shape \(3,\)",
            ),
            ("mean_squared_error of nothing", lambda: bd.mean_squared_error([], []), ValueError, "y has no elements"),
        ]
    ),
)
def test_shapes_for_functions(world, call, error, message):  # B032, B063, B064
    refused(world, call, error, message)


# ---- Labels (B051-B058, B064) ----

CLASSES = r"expected 0 to 2"
NEEDS = r"\bt has shape .* needs (integer labels|rows)"
BAD_LABELS = [
    ("B051 label C", lambda t: np.where(t == 1, 3, t), ValueError, rf"label 3 of sample \d+ is not a class: {CLASSES}"),
    ("B052 label -1", lambda t: np.where(t == 1, -1, t), ValueError, rf"label -1 of sample \d+ .*{CLASSES}"),
    (
        "B053 label INT64_MIN",
        lambda t: np.where(t == 1, INT64_MIN, t),
        ValueError,
        rf"label -9223372036854775808 .*{CLASSES}",
    ),
    ("B054 label 2**63+5", lambda t: np.where(t == 1, np.uint64(2**63 + 5), t.astype("u8")), ValueError, CLASSES),
    ("B054 label 2**64-1", lambda t: np.where(t == 1, np.uint64(2**64 - 1), t.astype("u8")), ValueError, CLASSES),
    ("label 255 as uint8", lambda t: np.full(12, 255, "u1"), ValueError, rf"label 255 of sample 0.*{CLASSES}"),
    ("B055 float labels", lambda t: t.astype(float), TypeError, NEEDS),
    ("B055 list of floats", lambda t: t.astype(float).tolist(), TypeError, NEEDS),
    ("B056 fractions", lambda t: t + 0.5, TypeError, NEEDS),
    ("B056 NaN", lambda t: np.full(12, np.nan), TypeError, NEEDS),
    ("B056 infinity", lambda t: np.full(12, np.inf), TypeError, NEEDS),
    ("B057 (N, 2)", lambda t: np.zeros((12, 2), int), ValueError, NEEDS),
    ("B057 (N, 4)", lambda t: np.eye(4)[t], ValueError, NEEDS),
    ("(N, C, 1)", lambda t: np.eye(3)[t][:, :, None], ValueError, NEEDS),
    ("(N, 1, 1)", lambda t: t[:, None, None], ValueError, NEEDS),
    ("(N, 1) of floats", lambda t: t[:, None].astype(float), (TypeError, ValueError), NEEDS),
    ("0-d", lambda t: 1, ValueError, NEEDS),
    ("no labels", lambda t: t[:0], ValueError, "x has 12 samples, but t has 0"),
    ("B047 one label less", lambda t: t[1:], ValueError, "x has 12 samples, but t has 11"),
    ("B058 soft, negative", lambda t: np.eye(3)[t] - 0.25, ValueError, r"row 0 of the labels holds -0.25"),
    ("B058 soft, NaN", lambda t: np.eye(3)[t] * np.nan, ValueError, "row 0 of the labels holds -?nan"),
    ("B058 soft, infinite", lambda t: np.full((12, 3), np.inf), ValueError, "row 0 of the labels holds inf"),
    ("None", lambda t: None, TypeError, NEEDS),
    ("str", lambda t: "abc", TypeError, NEEDS),
    ("str array", lambda t: t.astype(str), TypeError, NEEDS),
    ("object array", lambda t: t.astype(object), TypeError, NEEDS),
    ("complex", lambda t: t + 0j, TypeError, NEEDS),
    ("datetime64", lambda t: t.astype("M8[s]"), TypeError, NEEDS),
    ("timedelta64", lambda t: t.astype("m8[s]"), TypeError, NEEDS),
    ("structured", lambda t: np.zeros(12, [("a", "i4")]), TypeError, NEEDS),
    ("longdouble", lambda t: t.astype(np.longdouble), TypeError, NEEDS),
    ("masked", lambda t: np.ma.masked_array(t, mask=t == 0), TypeError, "t is a masked array"),
    ("ragged", lambda t: [[1, 2], [3]], ValueError, "inhomogeneous"),
    ("set", lambda t: {0, 1}, TypeError, NEEDS),
]
T_OF_NET = {
    "loss": lambda w, t: w.net.loss(w.x, t),
    "accuracy": lambda w, t: w.net.accuracy(w.x, t),
    "gradient": lambda w, t: w.net.gradient(w.x, t),
    "numerical_gradient": lambda w, t: w.net.numerical_gradient(w.x, t),
    "train_step": lambda w, t: w.net.train_step(w.x, t),
    "fit": lambda w, t: w.net.fit(w.x, t, epochs=1, seed=3),
    "fit, first": lambda w, t: fresh_net().fit(w.x, t, epochs=1, optimizer=w.sgd),
    "validation": lambda w, t: w.net.fit(w.x, w.t, epochs=1, seed=3, validation=(w.x, t)),
    "SoftmaxWithLoss": lambda w, t: w.softmax.forward(w.x[:, :3], t),
    "cross_entropy_error": lambda w, t: bd.cross_entropy_error(np.ones((12, 3)), t),
}


@pytest.mark.parametrize(("call", "make", "error", "message"), crossed(T_OF_NET, BAD_LABELS))
def test_bad_labels(world, call, make, error, message):
    t = make(world.t)
    refused(world, lambda: call(world, t), error, message, t)


def test_the_message_shows_the_label_that_was_given(world):  # B054: not what a cast would make of it
    t = np.full(12, 2**63 + 5, np.uint64)
    refused(world, lambda: world.net.loss(world.x, t), ValueError, f"label {2**63 + 5} of sample 0")


ROWS = r"\bt has shape .* needs rows of numbers"
BAD_ROWS = [
    ("B064 (N,)", lambda t: t[:, 0], ValueError, ROWS),
    ("(N, 1)", lambda t: t[:, :1], ValueError, ROWS),
    ("(N, C + 1)", lambda t: np.ones((12, 4)), ValueError, ROWS),
    ("labels", lambda t: np.zeros(12, int), ValueError, ROWS),
    ("0-d", lambda t: 1.0, ValueError, ROWS),
    ("a row less", lambda t: t[1:], ValueError, "x has 12 samples, but t has 11"),
    ("no rows", lambda t: t[:0], ValueError, "x has 12 samples, but t has 0"),
    ("None", lambda t: None, TypeError, ROWS),
    ("complex", lambda t: t + 0j, TypeError, ROWS),
    ("object", lambda t: t.astype(object), TypeError, ROWS),
    ("longdouble", lambda t: t.astype(np.longdouble), TypeError, ROWS),
    ("masked", lambda t: np.ma.masked_array(t, mask=t > 0), TypeError, "t is a masked array"),
]


@pytest.mark.parametrize(
    ("call", "make", "error", "message"),
    crossed(
        {
            "loss": lambda w, t: w.regression.loss(w.x, t),
            "gradient": lambda w, t: w.regression.gradient(w.x, t),
            "numerical_gradient": lambda w, t: w.regression.numerical_gradient(w.x, t),
            "train_step": lambda w, t: w.regression.train_step(w.x, t),
            "fit": lambda w, t: w.regression.fit(w.x, t, epochs=1, seed=3),
            "validation": lambda w, t: w.regression.fit(w.x, w.rows, epochs=1, seed=3, validation=(w.x, t)),
            "IdentityWithLoss": lambda w, t: w.identity.forward(w.x[:, :3], t),
        },
        BAD_ROWS,
    ),
)
def test_bad_targets_of_a_regression(world, call, make, error, message):
    t = make(world.rows)
    refused(world, lambda: call(world, t), error, message, t)


# ---- The keywords of fit, and other arguments of a net's methods ----


def fit(w, **options):
    return w.net.fit(w.x, w.t, **{"epochs": 1, "seed": 3, "progress": False, **options})


def bound_elsewhere(w):
    adam = bd.Adam()
    fresh_net().train_step(w.x, w.t, adam)
    return adam


NO_INTEGERS = [
    ("float", 2.5, TypeError, "must be an integer, got float"),
    ("whole float", 3.0, TypeError, "must be an integer, got float"),
    ("str", "3", TypeError, "must be an integer, got str"),
    ("list", [3], TypeError, "must be an integer, got list"),
    ("B070 bool", True, TypeError, "must be an integer, got bool"),
    ("B070 np.bool_", np.True_, TypeError, "must be an integer, got (numpy.)?bool"),
    ("0-d bool array", np.array(True), TypeError, "must be an integer"),
    ("0-d float array", np.array(3.0), TypeError, "must be an integer"),
    ("1-d array", np.array([3]), TypeError, "must be an integer"),
    ("B062 2**70", 2**70, OverflowError, "does not fit 64 bits"),
    ("-2**70", -(2**70), OverflowError, "does not fit 64 bits"),
    ("B075 __index__ raises", with_index(fail), LookupError, "mine"),
    ("B075 __index__ gives str", with_index(lambda: "3"), TypeError, "__index__ returned non-int"),
]


@pytest.mark.parametrize("name", ["epochs", "batch_size", "seed"])
@pytest.mark.parametrize(
    ("value", "error", "message"),
    rows([*NO_INTEGERS, ("-1", -1, ValueError, "= -1: expected"), ("None", None, TypeError, "must be an integer")]),
)
def test_counts_of_fit(world, name, value, error, message):  # B095, B106, B107
    if name == "seed" and value is None:
        fit(world, seed=None)
        return
    named = "" if error is LookupError or "__index__" in message else name
    refused(world, lambda: fit(world, **{name: value}), error, f"{named}.*{message}", value)


ZERO_LR = bd.SGD()
ZERO_LR.lr = 0.0
TEXT_BETA = bd.Adam()
TEXT_BETA.beta1 = "0.9"

FIT_ROWS = [
    ("B107 batch_size=0", lambda w: fit(w, batch_size=0), ValueError, "batch_size = 0: expected at least 1"),
    ("seed=2**64", lambda w: fit(w, seed=2**64), OverflowError, "seed = 18446744073709551616 does not fit 64 bits"),
    ("B096 unknown keyword", lambda w: fit(w, lr=1), TypeError, "unexpected keyword argument 'lr'"),
    ("no epochs", lambda w: w.net.fit(w.x, w.t), TypeError, "epochs"),
    ("no t", lambda w: w.net.fit(w.x, epochs=1), TypeError, "'t'"),
    ("epochs by position", lambda w: w.net.fit(w.x, w.t, 1), TypeError, "positional"),
    ("optimizer=str", lambda w: fit(w, optimizer="adam"), TypeError, "optimizer must be one of badak's.*got str"),
    ("optimizer=class", lambda w: fit(w, optimizer=bd.Adam), TypeError, "optimizer must be one of badak's.*got type"),
    ("optimizer=float", lambda w: fit(w, optimizer=0.1), TypeError, "optimizer must be one of badak's.*got float"),
    (
        "B108 bound elsewhere",
        lambda w: fit(w, optimizer=bound_elsewhere(w)),
        ValueError,
        "holds the state of other parameters",
    ),
    ("B108 used by hand", lambda w: fit(w, optimizer=w.adam), ValueError, "holds the state of other parameters"),
    ("B104 optimizer spoilt", lambda w: fit(w, optimizer=ZERO_LR), ValueError, "lr = 0.0 is out of range"),
    ("optimizer spoilt by type", lambda w: fit(w, optimizer=TEXT_BETA), TypeError, "beta1 must be a number, got str"),
    ("B119 callbacks=5", lambda w: fit(w, callbacks=5), TypeError, "callback"),
    ("B119 callbacks=None", lambda w: fit(w, callbacks=None), TypeError, "callback"),
    ("B119 callbacks=function", lambda w: fit(w, callbacks=print), TypeError, "callback"),
    ("B119 callbacks=[None]", lambda w: fit(w, callbacks=[None]), TypeError, "callback must be callable.*got NoneType"),
    ("B119 callbacks=str", lambda w: fit(w, callbacks="abc"), TypeError, "callback must be callable.*got str"),
    ("callbacks raises", lambda w: fit(w, callbacks=map(fail, [1])), LookupError, "mine"),
    ("validation=array", lambda w: fit(w, validation=w.x), TypeError, r"validation must be a pair \(x, t\)"),
    ("validation=str", lambda w: fit(w, validation="xt"), TypeError, "validation must be a pair"),
    ("validation of one", lambda w: fit(w, validation=(w.x,)), TypeError, "validation must be a pair"),
    ("validation of three", lambda w: fit(w, validation=(w.x, w.t, 1)), TypeError, "validation must be a pair"),
    (
        "B120 validation width",
        lambda w: fit(w, validation=(w.x[:, :3], w.t)),
        ValueError,
        "validation: x has shape.*expected 4",
    ),
    ("validation empty", lambda w: fit(w, validation=(w.x[:0], w.t[:0])), ValueError, "validation: x has no samples"),
    ("validation=(None, None)", lambda w: fit(w, validation=(None, None)), TypeError, "validation: x must hold real"),
    ("shuffle=str", lambda w: fit(w, shuffle="no"), TypeError, "shuffle must be True or False, got str"),
    ("shuffle=None", lambda w: fit(w, shuffle=None), TypeError, "shuffle must be True or False"),
    ("shuffle=array", lambda w: fit(w, shuffle=w.t), TypeError, "shuffle must be True or False"),
    ("progress=str", lambda w: fit(w, progress="no"), TypeError, "progress must be True or False"),
    ("B035 NaN", lambda w: w.net.fit(w.x * np.nan, w.t, epochs=1, seed=3), ValueError, "x holds NaN or infinity"),
    ("B036 infinity", lambda w: w.net.fit(w.x / 0, w.t, epochs=1, seed=3), ValueError, "x holds NaN or infinity"),
    ("NaN in t", lambda w: w.regression.fit(w.x, w.rows * np.nan, epochs=1, seed=3), ValueError, "t holds NaN or inf"),
    ("NaN in validation", lambda w: fit(w, validation=(w.x * np.nan, w.t)), ValueError, "validation: x holds NaN"),
]

METHOD_ROWS = [
    ("loss train=str", lambda w: w.net.loss(w.x, w.t, "yes"), TypeError, "train must be True or False"),
    ("loss train=array", lambda w: w.net.loss(w.x, w.t, train=w.t), TypeError, "train must be True or False"),
    ("forward keep=str", lambda w: w.net.forward(w.x, keep="yes"), TypeError, "keep must be True or False"),
    ("predict()", lambda w: w.net.predict(), TypeError, "'x'"),
    ("predict(x, t)", lambda w: w.net.predict(w.x, w.t), TypeError, "positional"),
    ("accuracy of a regression", lambda w: w.regression.accuracy(w.x, w.rows), TypeError, "accuracy needs classes"),
    ("train_step optimizer=str", lambda w: w.net.train_step(w.x, w.t, "adam"), TypeError, "optimizer must be one of"),
    ("train_step optimizer=class", lambda w: w.net.train_step(w.x, w.t, bd.SGD), TypeError, "optimizer must be one of"),
    ("train_step unbound", lambda w: fresh_net().train_step(w.x, w.t), TypeError, "None, and none is bound yet"),
    (
        "B108 train_step bound elsewhere",
        lambda w: w.net.train_step(w.x, w.t, bound_elsewhere(w)),
        ValueError,
        "other parameters",
    ),
    ("B108 train_step used by hand", lambda w: w.net.train_step(w.x, w.t, w.adam), ValueError, "other parameters"),
    (
        "train_step optimizer spoilt",
        lambda w: w.net.train_step(w.x, w.t, ZERO_LR),
        ValueError,
        "lr = 0.0 is out of range",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), rows(FIT_ROWS + METHOD_ROWS))
def test_arguments_of_a_nets_methods(world, call, error, message):
    with np.errstate(all="ignore"):
        refused(world, lambda: call(world), error, message)


@pytest.mark.parametrize("where", ["train_step", "fit"])
def test_a_bound_optimiser_that_was_spoilt(world, where):  # B104
    world.net.optimizer.lr = np.nan
    control = World()
    call = {
        "train_step": lambda: world.net.train_step(world.x, world.t),
        "fit": lambda: world.net.fit(world.x, world.t, epochs=1, seed=3),
    }[where]
    before = world.state()
    assert failure_of(call)[0] is ValueError
    after = world.state()
    for key in before:
        if key != ("net", "optimizer"):  # NaN is not equal to itself
            assert after[key] == before[key], key
    world.net.optimizer.lr = control.net.optimizer.lr
    assert world.goes_on_undisturbed()


@pytest.mark.parametrize("where", ["train_step", "fit"])
@pytest.mark.parametrize(
    ("x", "t"),
    rows(
        [
            ("x is None", None, np.zeros(3, int)),
            ("x of another width", np.ones((3, 5)), np.zeros(3, int)),
            ("no samples", np.ones((0, 4)), np.zeros(0, int)),
            ("t is no class", np.ones((3, 4)), np.full(3, 7)),
            ("t of floats", np.ones((3, 4)), np.ones(3)),
        ]
    ),
)
def test_a_refused_first_call_binds_no_optimiser(world, where, x, t):
    def train(optimizer):
        if where == "fit":
            return world.net.fit(x, t, epochs=1, optimizer=optimizer, progress=False)
        return world.net.train_step(x, t, optimizer)

    new = bd.Adam()
    before = world.state()
    assert failure_of(lambda: train(new))[0] in (TypeError, ValueError)
    assert world.state() == before
    assert new.m is None
    assert new.iter == 0
    assert world.goes_on_undisturbed()
    world.net.train_step(world.x, world.t, new)


BAD_STEPS = [
    (0, ValueError),
    (0.0, ValueError),
    (1e-400, ValueError),
    (-1e-5, ValueError),
    (np.nan, ValueError),
    (np.inf, ValueError),
    (1e300, ValueError),
    ("1e-4", TypeError),
    (None, TypeError),
    (1j, TypeError),
    (True, TypeError),
    ([1e-4], TypeError),
    (np.array([1e-4, 1e-4]), TypeError),
]


@pytest.mark.parametrize(("h", "error"), BAD_STEPS)
def test_h_of_numerical_gradients_of_a_net(world, h, error):  # B114
    refused(world, lambda: world.net.numerical_gradient(world.x, world.t, h=h), error, r"\bh\b", h)


@pytest.mark.parametrize(("h", "error"), BAD_STEPS)
def test_h_of_numerical_gradients_of_functions(world, h, error):  # B114
    x = np.ones(3)
    refused(world, lambda: bd.numerical_gradient(np.sum, x, h), error, r"\bh\b", h, x)


def test_too_many_samples_for_any_memory(world):  # B074
    x = np.broadcast_to(np.ones((1, 4)), (2**46, 4))
    t = np.broadcast_to(np.zeros(1, int), 2**46)
    before = rss()
    for call in (
        lambda: world.net.predict(x),
        lambda: world.net.loss(x, t),
        lambda: world.net.gradient(x, t),
        lambda: world.net.train_step(x, t),
        lambda: fit(world, validation=(x, t)),
        lambda: world.affine.forward(x),
        lambda: bd.sigmoid(x),
    ):
        refused(world, call, MemoryError, "")
    assert rss() - before < 8 << 20


def rss():
    """Memory in use, in bytes (Linux)."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# ---- Making a net (B098, B099, and the sizes of the layers) ----


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
    ("AddLayer", lambda: net([bd.AddLayer()]), TypeError, r"forward\(\) missing .* 'y'"),
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


@pytest.mark.parametrize(("call", "error", "message"), rows(NET_ROWS))
def test_making_a_net(world, call, error, message):
    refused(world, call, error, message)


@pytest.mark.parametrize(
    ("layers", "options", "number"),
    [
        ([bd.Affine(units=2**32), bd.Affine(units=2**32)], {}, 2),
        ([bd.Relu(), bd.Tanh(), bd.SoftmaxWithLoss()], {}, 3),
        ([bd.Relu(), bd.Affine(units=2), bd.Affine(np.ones((2, 2**10)), 0.0), bd.Affine(units=2**45)], {}, 4),
    ],
)
def test_messages_name_the_layer(layers, options, number):
    with pytest.raises(ValueError, match=rf"layer {number}\b"):
        net(layers, **options)


def test_memory_that_is_not_there(world):  # B074
    units, more = UNITS_OF_256_TIB
    before = rss()
    for _ in range(20):
        refused(world, lambda: net([bd.Affine(units=units), bd.Affine(units=more)]), MemoryError, "not enough memory")
    assert rss() - before < 1 << 20


def run(code):
    """Run Python code in another process, which may crash; returns its exit code and output."""
    path = os.pathsep.join([os.path.dirname(os.path.dirname(bd.__file__)), *filter(None, sys.path)])
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": path},
    )
    return result.returncode, result.stdout + result.stderr


@pytest.mark.slow
def test_parameters_that_add_up_to_2_to_the_64():
    code, output = run("""
        import badak as bd
        layers = [bd.Affine(units=2**47 if i % 2 == 0 else 1) for i in range(2**17)]
        try:
            bd.Net(layers, loss=bd.IdentityWithLoss(), input_shape=1, seed=0)
        except ValueError as error:
            print(error)
    """)
    assert code == 0, f"exit code {code}: {output}"
    assert "more than 2**48 elements" in output


def test_a_hundred_thousand_layers():  # B098: no stack overflow, no quadratic time
    deep = net([bd.Relu() if i % 2 else bd.Tanh() for i in range(10**5)], loss=bd.IdentityWithLoss())
    x = np.full((2, 4), 0.5)
    assert deep.predict(x).shape == (2, 4)
    assert len(deep.gradient(x, x)) == 0
    many = net([bd.Affine(units=1) for _ in range(10**4)], loss=bd.IdentityWithLoss())
    assert list(many.params)[-1] == "b10000"


def test_layers_inside_each_other_are_freed_without_a_stack_overflow():
    layer = nested(10**5)
    del layer
    gc.collect()
    with pytest.raises(RecursionError):
        repr(nested(5000))
    with pytest.raises(RecursionError):
        nested(5000).forward(np.ones((2, 2)))


def test_the_deepest_net_that_is_allowed():
    deepest = net([nested(64)], loss=bd.IdentityWithLoss())
    np.testing.assert_array_equal(deepest.predict(np.ones((1, 4))), np.full((1, 4), 65.0))
    assert repr(deepest).count("Residual") == 64
    assert len(deepest.gradient(np.ones((1, 4)), np.ones((1, 4)))) == 0


def test_a_net_that_was_never_made(world):  # B102
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


def test_a_net_that_is_made_twice(world):  # B103
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


# ---- Making layers and optimisers ----

W, B = np.ones((4, 3)), np.ones(3)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def misaligned(array):
    raw = np.empty(array.nbytes + 1, np.uint8)
    moved = raw[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


PARAMETER_ROWS = [
    ("list", lambda: W.tolist(), TypeError, "must be a float32 or float64 NumPy array, got list"),
    ("str", lambda: "abc", TypeError, "must be a float32 or float64 NumPy array, got str"),
    ("integers", lambda: W.astype(int), TypeError, "has dtype int64: .*must be float32 or float64 already"),
    ("float16", lambda: W.astype("f2"), TypeError, "has dtype float16"),
    ("longdouble", lambda: W.astype(np.longdouble), TypeError, "has dtype .*: .*must be float32 or float64"),
    ("complex", lambda: W + 0j, TypeError, "has dtype complex128"),
    ("object", lambda: W.astype(object), TypeError, "has dtype object"),
    ("masked", lambda: np.ma.masked_array(W, mask=W > 0), TypeError, "is a masked array"),
    ("B019 read-only", lambda: read_only(W), ValueError, "is read-only: .*copy"),
    ("B019 broadcast", lambda: np.broadcast_to(1.0, (4, 3)), ValueError, "is read-only"),
    ("misaligned", lambda: misaligned(W), ValueError, "is not aligned in memory: .*copy"),
    (
        "byte-swapped",
        lambda: W.astype(">f8" if sys.byteorder == "little" else "<f8"),
        ValueError,
        r"is not in native byte order: .*astype\(float\) makes one",
    ),
]


@pytest.mark.parametrize(("make", "error", "message"), rows(PARAMETER_ROWS))
def test_arrays_that_cannot_be_parameters(world, make, error, message):
    array = make()
    refused(world, lambda: bd.Affine(array, B), error, rf"\bW {message}", array)
    refused(world, lambda: setattr(world.affine, "W", array), error, rf"\bW {message}", array)
    params = {"W": array, "b": B.copy()}
    refused(world, lambda: world.sgd.update(params, {"W": W, "b": B}), error, message, array)
    np.testing.assert_array_equal(params["b"], B)


OBJECT_0D = np.array(None)
AFFINE_ROWS = [
    ("nothing", lambda: bd.Affine(), TypeError, r"arrays \(W, b\) or units=..."),
    ("the book's sizes", lambda: bd.Affine(784, 50), TypeError, r"arrays \(W, b\), or units=50 inside a Net"),
    ("a number", lambda: bd.Affine(50), TypeError, "units=50"),
    ("a NumPy number", lambda: bd.Affine(np.int64(784), np.int64(50)), TypeError, "units=50"),
    ("W alone", lambda: bd.Affine(W), TypeError, r"arrays \(W, b\) or units=..."),
    ("b alone", lambda: bd.Affine(b=B), TypeError, r"arrays \(W, b\) or units=..."),
    ("both", lambda: bd.Affine(W, B, units=3), TypeError, "not both"),
    ("W 1-d", lambda: bd.Affine(B, B), ValueError, r"W has 1 dimensions?, expected 2"),
    ("W 3-d", lambda: bd.Affine(np.ones((1, 4, 3)), B), ValueError, r"W has 3 dimensions, expected 2"),
    ("B067 no inputs", lambda: bd.Affine(np.ones((0, 3)), B), ValueError, r"W has shape \(0, 3\)"),
    ("B067 no units", lambda: bd.Affine(np.ones((4, 0)), np.ones(0)), ValueError, r"W has shape \(4, 0\)"),
    ("b too long", lambda: bd.Affine(W, np.ones(4)), ValueError, r"b has shape \(4,\), expected \(3,\)"),
    ("b 2-d", lambda: bd.Affine(W, np.ones((1, 3))), ValueError, r"b has shape \(1, 3\), expected \(3,\)"),
    ("b of another dtype", lambda: bd.Affine(W, B.astype("f4")), TypeError, "W is float64, but b is float32"),
    (
        "b list",
        lambda: bd.Affine(W, [1.0, 1.0, 1.0]),
        TypeError,
        "b must be a float32 or float64 NumPy array, got list",
    ),
    ("b str", lambda: bd.Affine(W, "abc"), TypeError, r"\bb must be"),
    ("b complex", lambda: bd.Affine(W, 1j), TypeError, r"\bb must be"),
    ("b complex 0-d", lambda: bd.Affine(W, np.complex128(1)), TypeError, r"\bb\b"),
    ("b str 0-d", lambda: bd.Affine(W, np.array("x")), TypeError, r"\bb\b"),
    ("b object 0-d", lambda: bd.Affine(W, OBJECT_0D), TypeError, r"\bb\b"),
    ("b datetime 0-d", lambda: bd.Affine(W, np.datetime64(0, "s")), TypeError, r"\bb\b"),
    ("b bool", lambda: bd.Affine(W, True), TypeError, r"\bb\b"),
    ("b too large", lambda: bd.Affine(W, 10**400), OverflowError, ""),
    ("b read-only", lambda: bd.Affine(W, read_only(B)), ValueError, "b is read-only"),
    ("B067 units=0", lambda: bd.Affine(units=0), ValueError, "units = 0 is out of range: .*at least 1"),
    ("B068 units=-1", lambda: bd.Affine(units=-1), ValueError, "units = -1 is out of range: .*at least 1"),
    ("units=2**48+1", lambda: bd.Affine(units=2**48 + 1), ValueError, "units = 281474976710657 is out of range"),
    ("units=2**63-1", lambda: bd.Affine(units=2**63 - 1), ValueError, "units = 9223372036854775807 is out of range"),
    (
        "B093 init unknown",
        lambda: bd.Affine(units=3, init="h"),
        ValueError,
        'init must be "he", "xavier" or a standard deviation',
    ),
    ("init ''", lambda: bd.Affine(units=3, init=""), ValueError, 'init must be "he", "xavier"'),
    ("init surrogate", lambda: bd.Affine(units=3, init="\ud800"), ValueError, 'init must be "he", "xavier"'),
    ("init NUL", lambda: bd.Affine(units=3, init="he\0"), ValueError, 'init must be "he", "xavier"'),
    ("B093 init=None", lambda: bd.Affine(units=3, init=None), TypeError, "init must be"),
    ("init=list", lambda: bd.Affine(units=3, init=[0.1]), TypeError, "init must be a number, got list"),
    ("init=bytes", lambda: bd.Affine(units=3, init=b"he"), TypeError, "init must be a number, got bytes"),
    ("init=True", lambda: bd.Affine(units=3, init=True), TypeError, "init must be a number, got bool"),
    ("init=1j", lambda: bd.Affine(units=3, init=1j), TypeError, "init must be a number, got complex"),
    ("B094 init=nan", lambda: bd.Affine(units=3, init=np.nan), ValueError, "init = nan is out of range"),
    ("B094 init=inf", lambda: bd.Affine(units=3, init=np.inf), ValueError, "init = inf is out of range"),
    ("B094 init=-1", lambda: bd.Affine(units=3, init=-1), ValueError, "init = -1 is out of range: .*at least 0"),
    ("B094 init=-2.0", lambda: bd.Affine(units=3, init=-2.0), ValueError, "init = -2.0 is out of range"),
    ("B096 unknown keyword", lambda: bd.Affine(units=3, stride=1), TypeError, "unexpected keyword argument 'stride'"),
]

LAYER_ROWS = [
    ("Layer itself", lambda: bd.Layer(), TypeError, ""),
    ("Relu(1)", lambda: bd.Relu(1), TypeError, "positional"),
    ("Sigmoid(x=1)", lambda: bd.Sigmoid(x=1), TypeError, "unexpected keyword"),
    ("Residual()", lambda: bd.Residual(), TypeError, "layers"),
    ("Residual(None)", lambda: bd.Residual(None), TypeError, ""),
    ("Residual([])", lambda: bd.Residual([]), ValueError, "at least one layer"),
    ("Residual([None])", lambda: bd.Residual([None]), TypeError, "Residual takes badak layers, got NoneType"),
    ("Residual([class])", lambda: bd.Residual([bd.Relu]), TypeError, "Residual takes badak layers, got the class Relu"),
    ("Residual(layer)", lambda: bd.Residual(bd.Relu()), TypeError, ""),
    ("Residual(str)", lambda: bd.Residual("abc"), TypeError, "Residual takes badak layers, got str"),
    ("Residual of one twice", lambda: bd.Residual([LONELY, LONELY]), ValueError, "same"),
    ("SoftmaxWithLoss eps=-1", lambda: bd.SoftmaxWithLoss(eps=-1), ValueError, "eps = -1 is out of range"),
    ("SoftmaxWithLoss eps=nan", lambda: bd.SoftmaxWithLoss(eps=np.nan), ValueError, "eps = nan is out of range"),
    ("SoftmaxWithLoss eps=2", lambda: bd.SoftmaxWithLoss(eps=2), ValueError, "eps = 2 is out of range"),
    ("SoftmaxWithLoss eps=str", lambda: bd.SoftmaxWithLoss(eps="0"), TypeError, "eps must be a number, got str"),
    ("SoftmaxWithLoss eps=None", lambda: bd.SoftmaxWithLoss(eps=None), TypeError, "eps must be a number, got NoneType"),
    ("SoftmaxWithLoss eps=True", lambda: bd.SoftmaxWithLoss(eps=True), TypeError, "eps must be a number, got bool"),
    ("IdentityWithLoss(1)", lambda: bd.IdentityWithLoss(1), TypeError, "positional"),
]
LONELY = bd.Tanh()


@pytest.mark.parametrize(("call", "error", "message"), rows(AFFINE_ROWS + LAYER_ROWS))
def test_making_a_layer(world, call, error, message):
    refused(world, call, error, message)


@pytest.mark.parametrize(("value", "error", "message"), rows(NO_INTEGERS))
def test_units(world, value, error, message):  # B069, B070, B072, B075
    named = "" if error is LookupError or "__index__" in message else "units"
    refused(world, lambda: bd.Affine(units=value), error, f"{named}.*{message}", value)


def test_a_layer_without_arrays_says_what_is_missing(world):
    refused(world, lambda: bd.Affine(units=3).forward(world.x), RuntimeError, "has no arrays: inside a Net")


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("W", None, TypeError, "W must be a float32 or float64 NumPy array, got NoneType"),
        ("W", np.ones((4, 6)), ValueError, r"b has shape \(5,\), expected \(6,\)"),
        ("W", np.ones((4, 5), np.float32), TypeError, "W is float32, but b is float64"),
        ("W", np.ones(5), ValueError, "W has 1 dimensions"),
        ("b", np.ones(4), ValueError, r"b has shape \(4,\), expected \(5,\)"),
        ("b", None, TypeError, r"\bb must be"),
        ("b", "abc", TypeError, r"\bb must be"),
    ],
)
def test_assigning_parameters_of_a_layer(world, name, value, error, message):  # B100
    refused(world, lambda: setattr(world.affine, name, value), error, message, value)


def test_parameters_of_a_layer_cannot_be_deleted(world):  # B100
    refused(world, lambda: delattr(world.affine, "W"), AttributeError, "W cannot be deleted")


BAD_REALS = [
    ("None", None, TypeError, "must be a number, got NoneType"),
    ("str", "0.1", TypeError, "must be a number, got str"),
    ("bool", True, TypeError, "must be a number, got bool"),
    ("np.bool_", np.True_, TypeError, "must be a number, got (numpy.)?bool"),
    ("complex", 1j, TypeError, "must be a number, got complex"),
    ("NumPy complex", np.complex64(1), TypeError, "must be a number, got numpy.complex64"),
    ("list", [0.1], TypeError, "must be a number, got list"),
    ("1-d array", np.array([0.1]), TypeError, "must be a number, got numpy.ndarray"),
    ("0-d object array", OBJECT_0D, TypeError, "must be a number"),
    ("NaN", np.nan, ValueError, "= nan is out of range: expected a finite number"),
    ("infinity", np.inf, ValueError, "= inf is out of range: expected a finite number"),
    ("-infinity", -np.inf, ValueError, "= -inf is out of range: expected a finite number"),
    ("-1", -1, ValueError, "= -1 is out of range"),
    ("10**400", 10**400, OverflowError, ""),
]


@pytest.mark.parametrize(
    ("kind", "name"), [(bd.SGD, "lr"), (bd.Adam, "lr"), (bd.Adam, "beta1"), (bd.Adam, "beta2"), (bd.Adam, "eps")]
)
@pytest.mark.parametrize(("value", "error", "message"), rows(BAD_REALS))
def test_options_of_optimisers(world, kind, name, value, error, message):  # B104, B105
    named = name if message else ""
    refused(world, lambda: kind(**{name: value}), error, f"{named} ?{message}", value)
    optimizer = kind()
    setattr(optimizer, name, value)
    params, grads = {"p": np.ones(3)}, {"p": np.ones(3)}
    refused(world, lambda: optimizer.update(params, grads), error, f"{named} ?{message}", value)
    np.testing.assert_array_equal(params["p"], np.ones(3))
    assert optimizer.iter == 0


@pytest.mark.parametrize(
    ("call", "message"),
    rows(
        [
            ("lr=0", lambda: bd.SGD(lr=0), "SGD: lr = 0 is out of range: expected a finite number above 0"),
            ("lr=1e31", lambda: bd.SGD(lr=1e31), "SGD: lr = 1e.31 is out of range"),
            ("Adam lr=0", lambda: bd.Adam(lr=0.0), "Adam: lr = 0.0 is out of range"),
            ("B105 beta1=1", lambda: bd.Adam(beta1=1.0), "beta1 = 1.0 is out of range: .*at least 0 and below 1"),
            ("B105 beta2=-0.1", lambda: bd.Adam(beta2=-0.1), "beta2 = -0.1 is out of range"),
            ("B105 beta2=1", lambda: bd.Adam(beta2=1), "beta2 = 1 is out of range"),
            ("B105 eps=0", lambda: bd.Adam(eps=0), "eps = 0 is out of range: expected a finite number above 0"),
        ]
    ),
)
def test_options_of_optimisers_at_their_limits(world, call, message):
    refused(world, call, ValueError, message)


def test_unknown_options_of_optimisers(world):
    refused(world, lambda: bd.SGD(momentum=0.9), TypeError, "unexpected keyword argument 'momentum'")
    refused(world, lambda: bd.Adam(0.1, 0.9, 0.999, 1e-7, 0), TypeError, "positional")


# ---- Optimisers by hand ----


UPDATE_ROWS = [
    ("params=None", None, {}, TypeError, ""),
    ("params=list", [W.copy()], [W], TypeError, ""),
    ("grads=None", {"a": W.copy()}, None, TypeError, ""),
    ("a gradient is missing", {"a": W.copy(), "b": B.copy()}, {"a": W}, KeyError, "b"),
    ("a gradient of another shape", {"a": W.copy(), "b": B.copy()}, {"a": W, "b": W}, ValueError, r"\(3,\).*\(4, 3\)"),
    (
        "a gradient that broadcasts",
        {"a": W.copy()},
        {"a": 1.0},
        ValueError,
        r"parameter has shape \(4, 3\), but its gradient has shape \(\)",
    ),
    (
        "a gradient is None",
        {"a": W.copy(), "b": B.copy()},
        {"a": W, "b": None},
        TypeError,
        "gradient must hold real numbers",
    ),
    ("a gradient is complex", {"a": W.copy()}, {"a": W + 0j}, TypeError, "gradient must hold real numbers"),
    ("a gradient is masked", {"a": W.copy()}, {"a": np.ma.masked_array(W, mask=W > 0)}, TypeError, "masked"),
    ("a gradient is an object", {"a": W.copy()}, {"a": W.astype(object)}, TypeError, "gradient must hold real numbers"),
    (
        "the second parameter is a list",
        {"a": W.copy(), "b": [1.0]},
        {"a": W, "b": [1.0]},
        TypeError,
        "parameter must be a float32 or float64",
    ),
    ("the second parameter is None", {"a": W.copy(), "b": None}, {"a": W, "b": 1.0}, TypeError, "parameter must be"),
    ("the second parameter is a bool", {"a": W.copy(), "b": True}, {"a": W, "b": 1.0}, TypeError, "parameter must be"),
    (
        "the second parameter is read-only",
        {"a": W.copy(), "b": read_only(B)},
        {"a": W, "b": B},
        ValueError,
        "read-only",
    ),
    ("a number with an array as gradient", {"a": W.copy(), "b": 1.0}, {"a": W, "b": B}, ValueError, "shape"),
]


@pytest.mark.parametrize("kind", [bd.SGD, bd.Adam])
@pytest.mark.parametrize(("params", "grads", "error", "message"), rows(UPDATE_ROWS))
def test_updates_are_all_or_nothing(world, kind, params, grads, error, message):
    optimizer = kind()
    values = list(params.values()) if isinstance(params, dict) else []
    before = digest(value for value in values if isinstance(value, np.ndarray))
    refused(world, lambda: optimizer.update(params, grads), error, message, *values)
    assert digest(value for value in values if isinstance(value, np.ndarray)) == before
    assert optimizer.iter == 0
    assert not any(optimizer.state.values())
    if values:
        assert list(params.values()) == values or all(a is b for a, b in zip(params.values(), values, strict=True))


def test_state_that_no_longer_fits_is_refused(world):  # B109
    adam = bd.Adam()
    params = {"W": W.copy()}
    adam.update(params, {"W": W})
    kept = adam.m["W"].copy()
    other = {"W": np.ones((2, 2))}
    refused(world, lambda: adam.update(other, other), ValueError, "another shape than its parameter")
    single = {"W": W.astype("f4")}
    refused(world, lambda: adam.update(single, {"W": W}), TypeError, "another dtype than its parameter")
    np.testing.assert_array_equal(adam.m["W"], kept)
    np.testing.assert_array_equal(other["W"], np.ones((2, 2)))
    assert adam.iter == 1


# ---- Numerical gradients and gradient checks ----


@pytest.mark.parametrize(
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
            ("B117 x read-only", np.sum, read_only(B), ValueError, "x is read-only"),
            ("x masked", np.sum, np.ma.masked_array(B, mask=B > 0), TypeError, "masked"),
            ("x broadcast", np.sum, np.broadcast_to(1.0, 3), ValueError, "x is read-only"),
            ("x misaligned", np.sum, misaligned(B), ValueError, "x is not aligned"),
        ]
    ),
)
def test_numerical_gradient(world, f, x, error, message):
    refused(world, lambda: bd.numerical_gradient(f, x), error, message, f, x)


@pytest.mark.parametrize("k", [0, 1, 2, 3, 5])
def test_x_is_restored_when_f_raises_at_any_call(k):  # B116
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


def test_f_may_not_move_the_memory_of_x():  # B125
    def resizes(x):
        x.resize(10**6, refcheck=False)
        return 0.0

    with pytest.raises(RuntimeError, match="f changed the memory of x"):
        bd.numerical_gradient(resizes, np.ones(3))


@pytest.mark.parametrize(
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
def test_gradcheck(world, call, error, message):
    refused(world, call, error, message)


def check(**options):
    return bd.gradcheck(np.sin, np.ones(3), vjp=lambda gy, x: gy * np.cos(x), **options)


def test_gradcheck_leaves_a_net_alone(world):
    before = world.state()
    assert bd.gradcheck(world.net, world.x, world.t).ok
    after = world.state()
    before.pop(("net", "grads"))
    after.pop(("net", "grads"))
    assert after == before


@pytest.mark.parametrize(
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
def test_data_sets(world, call, error):
    refused(world, call, error, "")


# ---- What looks odd, and is fine (B010, B012-B018, B020, B040, B041, B046, B071) ----


def swapped(x):
    return x.astype(x.dtype.newbyteorder())


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


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("make", rows(ACCEPTED))
def test_odd_arrays_are_taken_for_what_they_hold(world, make):
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


def test_a_row_with_a_negative_stride(world):  # B017
    x = (WHOLE / 3).astype("f4")
    np.testing.assert_array_equal(world.net.predict(negative_stride_of_length_one(x)), world.net.predict(x[:1].copy()))


@pytest.mark.parametrize("make", rows([row for row in ACCEPTED if row[0] != "4-d"]))
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_odd_arrays_for_functions_and_dout(world, make):
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


@pytest.mark.parametrize("make", rows(ACCEPTED_LABELS))
def test_labels_in_other_forms(world, make):
    t = make(world.t)
    assert world.net.loss(world.x, t) == world.net.loss(world.x, world.t)
    assert world.net.accuracy(world.x, t) == world.net.accuracy(world.x, world.t)
    found, expected = world.net.gradient(world.x, t), world.net.gradient(world.x, world.t)
    assert digest(found.values()) == digest(expected.values())
    world.net.train_step(world.x, world.t)
    other = World()
    other.net.train_step(other.x, t)
    assert digest(world.net.params.values()) == digest(other.net.params.values())


@pytest.mark.parametrize("count", [np.int64(3), np.uint8(3), np.array(3), with_index(lambda: 3)])
def test_integers_of_every_kind(world, count):  # B071
    assert bd.Affine(units=count)._hyper["units"].__index__() == 3
    a_net = net([bd.Affine(units=count)], seed=count)
    assert a_net.params["W1"].shape == (4, 3)
    assert digest(a_net.params.values()) == digest(net(seed=3).params.values())
    assert a_net.fit(world.x, world.t, epochs=count, batch_size=count, seed=count, progress=False).epoch == [1, 2, 3]


@pytest.mark.parametrize("value", [1, np.float32(1), np.float64(1), np.array(1.0), np.array(1), np.int8(1)])
def test_numbers_of_every_kind(value):
    params, expected = {"p": np.ones(3)}, {"p": np.ones(3)}
    bd.SGD(lr=value).update(params, {"p": np.ones(3)})
    bd.SGD(lr=1.0).update(expected, {"p": np.ones(3)})
    np.testing.assert_array_equal(params["p"], expected["p"])


def test_no_samples_are_fine_where_nothing_is_averaged(world):  # B031
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


def test_an_index_that_uses_the_net_meanwhile(world):  # B076
    def index():
        world.net.train_step(world.x, world.t)
        return 2

    history = world.net.fit(world.x, world.t, epochs=with_index(index), batch_size=with_index(index), progress=False)
    assert history.epoch == [1, 2]


def test_an_array_method_that_uses_the_net_meanwhile(world):  # B126
    class Greedy:
        def __array__(self, dtype=None, copy=None):
            return world.net.predict(world.x)

    before = world.state()
    with pytest.raises(RuntimeError, match="in use"):
        world.net.predict(Greedy())
    assert world.state() == before
    assert world.goes_on_undisturbed()


# ---- Anything at all ----

ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.lists(st.integers(-3, 5), max_size=5),
    st.sampled_from(
        [object(), print, int, np.float32, 2**63, -(2**63), 2**64, np.ndarray, {}, {1}, ..., NotImplemented]
    ),
)


@st.composite
def odd_arrays(draw):
    dtype = draw(
        st.sampled_from(
            [
                "f4",
                "f8",
                "f2",
                ">f4",
                ">f8",
                "g",
                "c8",
                "i8",
                "u1",
                ">i4",
                "u8",
                "?",
                "O",
                "U3",
                "S3",
                "M8[s]",
                "m8[s]",
                "V5",
            ]
        )
    )
    shape = draw(
        st.one_of(
            st.tuples(st.sampled_from([0, 1, 2, 5, 300]), st.sampled_from([0, 1, 3, 4, 5])),
            st.tuples(st.sampled_from([1, 2, 5]), st.just(2), st.just(2)),
            st.lists(st.integers(0, 3), max_size=10).map(tuple),
        )
    )
    array = np.zeros(shape, dtype=dtype)
    if array.dtype.kind in "fiu" and array.size:
        values = draw(st.lists(st.sampled_from([0, 1, 2, 3, 7, 100]), min_size=1, max_size=4))
        array[...] = np.resize(values, shape)
        if array.dtype.kind == "f" and draw(st.booleans()):
            array.flat[0] = draw(st.sampled_from([np.nan, np.inf, -np.inf, 1e30, -1.0]))
    view = draw(st.sampled_from(["as it is", "transposed", "backwards", "masked", "read-only", "list"]))
    if view == "transposed":
        return array.T
    if view == "backwards" and array.ndim:
        return array[::-1]
    if view == "masked":
        return np.ma.masked_array(array, mask=draw(st.booleans()))
    if view == "read-only":
        array.flags.writeable = False
    if view == "list" and array.size < 50:
        return array.tolist()
    return array


ARGUMENT = st.one_of(ANYTHING, odd_arrays(), odd_arrays())
GOOD = World()
X = st.one_of(ARGUMENT, st.just(GOOD.x), st.just(GOOD.x[:5]))
T = st.one_of(ARGUMENT, st.just(GOOD.t), st.just(GOOD.t[:5]), st.just(np.eye(3)[GOOD.t]))
SMALL = st.one_of(ANYTHING.filter(lambda v: not isinstance(v, int) or abs(v) > 2**40 or v < 4), st.integers(-2, 3))
ALLOWED = (
    TypeError,
    ValueError,
    OverflowError,
    MemoryError,
    RuntimeError,
    FloatingPointError,
    IndexError,
    KeyError,
)


def is_huge(value):
    return isinstance(value, int) and value > 1000


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
@pytest.mark.filterwarnings("ignore")
def test_no_mixture_of_arguments_does_harm(data):
    world = World()
    draw = data.draw
    method = draw(
        st.sampled_from(
            ["predict", "forward", "loss", "accuracy", "gradient", "numerical_gradient", "train_step", "fit"]
        )
    )
    arguments = [draw(X)] if method in ("predict", "forward") else [draw(X), draw(T)]
    options = {}
    if method == "fit":
        options = draw(
            st.fixed_dictionaries(
                {"epochs": SMALL.filter(lambda v: not is_huge(v)), "progress": st.just(False)},
                optional={
                    "batch_size": ANYTHING,
                    "seed": ANYTHING,
                    "shuffle": ANYTHING,
                    "optimizer": st.one_of(ANYTHING, st.just(world.adam), st.just(world.net.optimizer)),
                    "validation": st.one_of(ANYTHING, st.tuples(X, T)),
                    "callbacks": ANYTHING,
                },
            )
        )
    elif method == "loss":
        options = draw(st.fixed_dictionaries({}, optional={"train": ANYTHING}))
    elif method == "forward":
        options = draw(st.fixed_dictionaries({}, optional={"keep": ANYTHING}))
    elif method == "numerical_gradient":
        options = draw(st.fixed_dictionaries({}, optional={"h": ANYTHING}))
    elif method == "train_step":
        options = draw(st.fixed_dictionaries({}, optional={"optimizer": st.one_of(ANYTHING, st.just(world.adam))}))

    before = world.state()
    prints = [fingerprint(argument) for argument in arguments]
    try:
        getattr(world.net, method)(*arguments, **options)
    except FloatingPointError:
        assert method in ("fit", "train_step")
    except ALLOWED:
        assert world.state() == before
    assert [fingerprint(argument) for argument in arguments] == prints
    if np.isfinite([array.sum() for array in world.net.params.values()]).all():
        assert np.isfinite(world.net.predict(world.x)).all()
