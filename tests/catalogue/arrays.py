"""Arrays that are none, or of the wrong shape, for every entry that takes one (B001-B050, B110-B113)."""

import warnings

import numpy as np
import pytest

import badak as bd

from .world import MAX_NDIM, NUMPY_2, ONES, World, case, crossed, each, evil_array, fresh_net, refused, rows

REAL = r"real number"
BY_NUMPY = r""  # NumPy's own words, before we see an array

NO_ARRAYS = [
    ("B001 None", lambda: None, TypeError, REAL),
    ("B002 str", lambda: "abc", TypeError, REAL),
    ("B002 bytes", lambda: b"abc", TypeError, REAL),
    ("B003 ragged", lambda: [[1, 2], [3]], ValueError, "inhomogeneous|ragged"),
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
    "predict of images": lambda w, x: w.images.predict(x),
    "train_step of images": lambda w, x: w.images.train_step(x, w.yes),
    "fit of images": lambda w, x: w.images.fit(x, w.yes, epochs=1, seed=3),
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
    "SigmoidWithLoss": lambda w, x: w.sigmoid_loss.forward(x, w.x > 0),
    "BatchNormalization": lambda w, x: w.normalization.forward(x),
    "BatchNormalization, not training": lambda w, x: w.normalization.forward(x, train_flg=False),
    "Dropout": lambda w, x: w.dropout.forward(x),
    "Dropout, not training": lambda w, x: w.dropout.forward(x, train_flg=False),
    "LeakyRelu": lambda w, x: w.leaky.forward(x),
    "Softmax": lambda w, x: w.rows_softmax.forward(x),
}
X_OF_IMAGE_LAYER = {
    "Convolution": lambda w, x: w.convolution.forward(x),
    "Pooling": lambda w, x: w.pooling.forward(x),
    "Pooling of means": lambda w, x: w.mean_pooling.forward(x),
}
DOUT_OF_LAYER = {
    "Affine.backward": lambda w, dout: w.affine.backward(dout),
    "Relu.backward": lambda w, dout: w.relu.backward(dout),
    "Sigmoid.backward": lambda w, dout: w.sigmoid.backward(dout),
    "Tanh.backward": lambda w, dout: w.tanh.backward(dout),
    "Residual.backward": lambda w, dout: w.residual.backward(dout),
    "SoftmaxWithLoss.backward": lambda w, dout: w.softmax.backward(dout),
    "IdentityWithLoss.backward": lambda w, dout: w.identity.backward(dout),
    "BatchNormalization.backward": lambda w, dout: w.normalization.backward(dout),
    "Dropout.backward": lambda w, dout: w.dropout.backward(dout),
    "Convolution.backward": lambda w, dout: w.convolution.backward(dout),
    "Pooling.backward": lambda w, dout: w.pooling.backward(dout),
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
    "identity_function": lambda w, x: bd.identity_function(x),
    "im2col": lambda w, x: bd.util.im2col(x, 1, 1),
    "col2im": lambda w, col: bd.util.col2im(col, (12, 1, 2, 2), 1, 1),
    "smooth_curve": lambda w, x: bd.util.smooth_curve(x),
    "Neuron": lambda w, x: bd.Neuron([1, 1, 1, 1]).predict(x),
    "weights of a Neuron": lambda w, x: bd.Neuron(x),
    "AND": lambda w, x: bd.AND(x, 1),
    "gradient_descent": lambda w, x: bd.gradient_descent(np.sum, x),
    "TwoLayerNet.predict": lambda w, x: w.book_net.predict(x),
    "TwoLayerNet.loss": lambda w, x: w.book_net.loss(x, w.t),
    "TwoLayerNet.accuracy": lambda w, x: w.book_net.accuracy(x, w.t),
    "TwoLayerNet.gradient": lambda w, x: w.book_net.gradient(x, w.t),
    "SimpleConvNet.predict": lambda w, x: w.book_conv_net.predict(x),
    "SimpleConvNet.gradient": lambda w, x: w.book_conv_net.gradient(x, w.t),
    "gradcheck of a net": lambda w, x: bd.gradcheck(w.net, x, w.t),
    "gradcheck of a layer": lambda w, x: bd.gradcheck(bd.Affine(np.ones((4, 3)), np.ones(3)), x),
}


@each(
    ("call", "make", "error", "message"),
    crossed({**X_OF_NET, **X_OF_LAYER, **X_OF_IMAGE_LAYER, **DOUT_OF_LAYER, **ARRAY_OF_FUNCTION}, NO_ARRAYS),
)
def what_is_no_array_of_real_numbers(world, call, make, error, message):
    argument = make()
    refused(world, lambda: call(world, argument), error, message, argument)


@each("call", rows((name, call) for name, call in X_OF_NET.items()))
def messages_name_x(world, call):
    refused(world, lambda: call(world, ONES + 0j), TypeError, r"x must hold real numbers, got .*complex128")


@case
def an_array_method_that_gives_no_array(world):  # B044; NumPy chooses between the two errors
    class NoArray:
        def __array__(self, dtype=None, copy=None):
            return 7

    before = world.state()
    with pytest.raises((TypeError, ValueError)):
        world.net.predict(NoArray())
    assert world.state() == before


@case
def a_subclass_whose_finalize_raises(world):  # B042: a matter of who looks at it
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
WITH_T = {name: call for name, call in X_OF_NET.items() if "predict" not in name and "forward" not in name}


@each(("call", "make", "error", "message"), crossed(X_OF_NET, SHAPES_FOR_NET) + crossed(WITH_T, EMPTY + COUNTS))
def x_of_the_wrong_shape_for_a_net(world, call, make, error, message):
    x = make()
    refused(world, lambda: call(world, x), error, message, x)


NO_IMAGES = [
    ("B026 0-d", lambda: np.float32(1.0), ValueError, r"\bx has 0 dimensions"),
    ("B027 2-d", lambda: np.ones((2, 16)), ValueError, r"\bx has 2 dimensions, expected 4"),
    ("B028 5-d", lambda: np.ones((2, 1, 4, 4, 1)), ValueError, r"\bx has 5 dimensions, expected 4"),
    (
        "B029 many dimensions",
        lambda: np.ones((1,) * MAX_NDIM),
        ValueError,
        r"\bx has \d+ dimensions, expected at most 8",
    ),
    ("B034 no channels", lambda: np.ones((2, 0, 4, 4)), ValueError, "x has no features: every axis but the first"),
    ("B034 no rows", lambda: np.ones((2, 1, 0, 4)), ValueError, "x has no features: every axis but the first"),
    ("B034 no columns", lambda: np.ones((2, 1, 4, 0)), ValueError, "x has no features: every axis but the first"),
]


@each(
    ("call", "make", "error", "message"),
    crossed(X_OF_IMAGE_LAYER, NO_IMAGES),
)
def x_that_is_no_image(world, call, make, error, message):
    x = make()
    refused(world, lambda: call(world, x), error, message, x)


@each(
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
def x_of_the_wrong_shape_for_a_layer(world, call, make, error, message):
    x = make()
    refused(world, lambda: call(world, x), error, message, x)


@case
def a_backward_after_a_refused_forward_belongs_to_the_forward_before():
    world, control = World(), World()
    refused(world, lambda: world.residual.forward(np.ones((12, 1, 4))), ValueError, "Residual")
    dout = np.ones((12, 4))
    np.testing.assert_array_equal(world.residual.backward(dout), control.residual.backward(dout))


@each("name", ["affine", "relu", "sigmoid", "tanh", "residual", "normalization", "dropout", "convolution", "pooling"])
@each(
    "make",
    [
        lambda shape: np.ones((shape[0] - 1, *shape[1:])),  # B113
        lambda shape: np.ones((*shape[:-1], shape[-1] + 1)),
        lambda shape: np.ones(shape[1:]),
        lambda shape: np.ones((*shape, 1)),
        lambda shape: np.float64(1.0),
        lambda shape: np.ones((0, *shape[1:])),
        lambda shape: np.ones((1,) * MAX_NDIM),
        lambda shape: np.ones(shape[::-1]),
    ],
)
def dout_of_the_wrong_shape(world, name, make):  # B111
    layer = getattr(world, name)
    dout = make(layer.forward(world.input_of(layer)).shape)
    world = World()
    layer = getattr(world, name)
    refused(world, lambda: layer.backward(dout), ValueError, r"\bdout has (shape|\d+ dimensions).*expected", dout)


@each("name", ["softmax", "identity"])
def dout_of_a_loss_is_one_number(world, name):
    refused(world, lambda: getattr(world, name).backward(np.ones(2)), ValueError, r"dout has shape \(2,\)")


@each(
    "layer",
    [
        bd.Affine(np.ones((2, 2)), 0.0),
        bd.Relu(),
        bd.Sigmoid(),
        bd.Tanh(),
        bd.Residual([bd.Relu()]),
        bd.SoftmaxWithLoss(),
        bd.IdentityWithLoss(),
        bd.SigmoidWithLoss(),
        bd.BatchNormalization(np.ones(2), np.ones(2)),
        bd.Dropout(),
        bd.Convolution(np.ones((1, 1, 1, 1)), 0.0),
        bd.Pooling(1, 1),
        bd.Flatten(),
    ],
)
def backward_before_forward(layer):  # B110
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


@each("what", ["shape", "dtype", "size"])
def x_that_changed_its_form_between_forward_and_backward(what):  # B112, B125
    layer = bd.Affine(np.ones((2, 3)), np.ones(3))
    x = np.ones((4, 2))
    layer.forward(x)
    change_in_place(x, what)
    with pytest.raises(RuntimeError, match="x changed its shape or dtype between forward and backward"):
        layer.backward(np.ones((4, 3)))
    assert layer.dW is None


@each(
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
def shapes_for_functions(world, call, error, message):  # B032, B063, B064
    refused(world, call, error, message)
