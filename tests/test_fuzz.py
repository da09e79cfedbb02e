"""Any mixture of arguments, at any entry: only the exceptions that are allowed, and nothing changed by a refused call.

A few thousand examples here; ``make fuzz`` runs 10^5 with the extension built for ASan and UBSan. BADAK_FUZZ_EXAMPLES
says how many, BADAK_FUZZ_SEED which.
"""

import os
import warnings

import numpy as np
import pytest
from catalogue.world import World, fingerprint, misaligned, with_index
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

import badak as bd

EXAMPLES = int(os.environ.get("BADAK_FUZZ_EXAMPLES", "2000"))
SEED = int(os.environ.get("BADAK_FUZZ_SEED", "0"))


class Raises:
    def __array__(self, dtype=None, copy=None):
        raise LookupError("mine")


class Subclass(np.ndarray):
    pass


SCALARS = [None, True, False, 0, 1, -1, 2, 3, 7, 2**31, 2**63, -(2**63), 2**64, 2**70, 0.0, 0.5, 1.0, -1.0, 1e-5, 1e300]
SCALARS += [
    float("nan"),
    float("inf"),
    1j,
    "",
    "he",
    "abc",
    "\ud800",
    b"ab",
    (),
    [],
    {},
    {1},
    ...,
    object(),
    print,
    int,
]
SCALARS += [
    np.float32(1),
    np.int8(2),
    np.bool_(True),
    np.complex64(1),
    np.datetime64(0, "s"),
    np.array(3),
    np.array(None),
]
SCALARS += [np.ndarray, bd.Relu, bd.Relu(), bd.Adam, NotImplemented, range(3), Raises(), with_index(lambda: 2)]
ANYTHING = st.sampled_from(SCALARS)
DTYPES = ["f4", "f4", "f8", "f8", "f8", "f2", ">f4", ">f8", "g", "c8", "i8", "i8", "i4", "u1", ">i4", "u8", "?"]
DTYPES += ["O", "U3", "S3", "M8[s]", "m8[s]", "V5"]
SHAPES = [(12, 4), (12, 3), (12,), (12, 1), (5, 4), (5,), (0, 4), (1, 4), (12, 1, 2, 2), (2, 1, 4, 4), (4, 3), (3,), ()]
SHAPES += [(0,), (12, 0), (1,) * 9, (300, 4), (3, 2, 2, 2), (12, 4, 1)]
VIEWS = ["as it is", "transposed", "backwards", "second", "Fortran", "misaligned", "masked", "unmasked", "read-only"]
VIEWS += ["list", "memoryview", "subclass", "matrix", "broadcast"]


@st.composite
def arrays(draw):
    shape, view = draw(st.sampled_from(SHAPES)), draw(st.sampled_from(VIEWS))
    array = np.zeros(shape, dtype=draw(st.sampled_from(DTYPES)))
    if array.dtype.kind in "fiu" and array.size:
        array.flat[:] = np.resize(
            draw(st.sampled_from([[0], [1], [0, 1, 2], [0.5, -1, 2], [100], [-1, 0]])), array.size
        )
        if array.dtype.kind == "f":
            array.flat[-1] = draw(st.sampled_from([0.5, 0.5, np.nan, np.inf, -np.inf, 1e30, 5e-324]))
    return {
        "as it is": lambda: array,
        "transposed": lambda: array.T,
        "backwards": lambda: array[::-1] if array.ndim else array,
        "second": lambda: np.repeat(array, 2, axis=-1)[..., ::2] if array.ndim else array,
        "Fortran": lambda: np.asfortranarray(array),
        "misaligned": lambda: misaligned(array) if not array.dtype.hasobject else array,
        "masked": lambda: np.ma.masked_array(array, mask=True) if array.dtype.kind != "V" else array,
        "unmasked": lambda: np.ma.masked_array(array),
        "read-only": lambda: (array.setflags(write=False), array)[1],
        "list": lambda: array.tolist() if array.size < 50 else array,
        "memoryview": lambda: memoryview(array) if array.dtype.kind in "fiu" and array.dtype.isnative else array,
        "subclass": lambda: array.view(Subclass),
        "matrix": lambda: array.view(np.matrix) if array.ndim == 2 else array,
        "broadcast": lambda: np.broadcast_to(array.flat[0], shape) if array.size else array,
    }[view]()


GOOD = World()
ARRAY = st.one_of(arrays(), arrays(), arrays(), ANYTHING)
X = st.one_of(ARRAY, st.sampled_from([GOOD.x, GOOD.x[:5], GOOD.x.reshape(12, 1, 2, 2)]))
T = st.one_of(ARRAY, st.sampled_from([GOOD.t, GOOD.t[:5], np.eye(3)[GOOD.t], GOOD.rows, GOOD.yes]))
SMALL = st.one_of(st.integers(-2, 4), ANYTHING)


def few(value):
    """A count of repetitions that ends."""
    return not (isinstance(value, int) and value > 1000)


FEW = SMALL.filter(few)


def made(kind, *arguments, **options):
    """Make it and, if that can be, run it."""
    layer = kind(*arguments, **options)
    out = layer.forward(GOOD.x.reshape(12, 1, 2, 2) if kind in (bd.Convolution, bd.Pooling) else GOOD.x)
    layer.backward(out)


def a_net(w, *layers, **options):
    return bd.Net(list(layers), **{"loss": bd.SoftmaxWithLoss(), "input_shape": 4, "seed": 1, **options}).predict(w.x)


# entry -> (function of the world and its arguments, strategies of those); None where an argument may be left out
ENTRIES = {
    "predict": (lambda w, x: w.net.predict(x), X),
    "predict_proba": (lambda w, x: w.net.predict_proba(x), X),
    "classify": (lambda w, x: w.net.classify(x), X),
    "forward": (lambda w, x, keep: w.net.forward(x, keep=keep), X, SMALL),
    "loss": (lambda w, x, t, train: w.net.loss(x, t, train=train), X, T, st.one_of(st.booleans(), ANYTHING)),
    "accuracy": (lambda w, x, t: w.net.accuracy(x, t), X, T),
    "gradient": (lambda w, x, t: w.net.gradient(x, t), X, T),
    "gradient of a regression": (lambda w, x, t: w.regression.gradient(x, t), X, T),
    "numerical_gradient": (lambda w, x, t, h: fresh().numerical_gradient(x, t, h=h), X, T, SMALL),
    "train_step": (lambda w, x, t: w.net.train_step(x, t), X, T),
    "train_step with": (lambda w, x, t, o: w.net.train_step(x, t, o), X, T, SMALL),
    "train_step of images": (lambda w, x, t: w.images.train_step(x, t), X, T),
    "fit": (
        lambda w, x, t, n, b, s: w.net.fit(x, t, epochs=n, batch_size=b, seed=s, progress=False),
        X,
        T,
        FEW,
        SMALL,
        SMALL,
    ),
    "fit with": (
        lambda w, s, v, c, d: w.net.fit(
            w.x, w.t, epochs=1, shuffle=s, validation=v, callbacks=c, weight_decay=d, progress=False
        ),
        st.one_of(st.booleans(), ANYTHING),
        st.one_of(ANYTHING, st.tuples(X, T)),
        SMALL,
        SMALL,
    ),
    "params[...] =": (lambda w, a: w.net.params.__setitem__("W1", a), ARRAY),
    "forward of a layer": (lambda w, i, x: w.layers[i].forward(x), st.integers(0, 9), X),
    "backward of a layer": (lambda w, i, d: w.layers[i].backward(d), st.integers(0, 9), X),
    "forward of images": (lambda w, i, x: w.image_layers[i].forward(x), st.integers(0, 2), X),
    "backward of images": (lambda w, i, d: w.image_layers[i].backward(d), st.integers(0, 2), X),
    "loss layer": (lambda w, i, x, t: w.all_layers[-1 - i].forward(x, t), st.integers(0, 2), X, T),
    "assign W": (lambda w, a: setattr(w.affine, "W", a), ARRAY),
    "make Affine": (lambda w, a, b: made(bd.Affine, a, b), ARRAY, ARRAY),
    "make Convolution": (lambda w, a, b, s, p: made(bd.Convolution, a, b, s, p), ARRAY, ARRAY, SMALL, SMALL),
    "make BatchNormalization": (lambda w, g, b, m: made(bd.BatchNormalization, g, b, m), ARRAY, ARRAY, SMALL),
    "make Pooling": (lambda w, h, v, s, p: made(bd.Pooling, h, v, s, p), SMALL, SMALL, SMALL, SMALL),
    "make Dropout": (lambda w, r: made(bd.Dropout, r), SMALL),
    "make Residual": (lambda w, a: made(bd.Residual, [a]), SMALL),
    "a net": (lambda w, n, s, d: a_net(w, bd.Affine(units=n), seed=s, dtype=d), SMALL, SMALL, ANYTHING),
    "a net of images": (
        lambda w, f, s, p: a_net(w, bd.Convolution(filters=f, size=s, pad=p), input_shape=(1, 2, 2)),
        SMALL,
        st.one_of(SMALL, st.tuples(SMALL, SMALL)),
        SMALL,
    ),
    "input_shape": (
        lambda w, s: a_net(w, bd.Affine(units=3), input_shape=s),
        st.one_of(SMALL, st.tuples(SMALL, SMALL)),
    ),
    "functions": (
        lambda w, f, x: f(x),
        st.sampled_from([bd.sigmoid, bd.relu, bd.tanh, bd.softmax, bd.step_function, bd.relu_grad, bd.sigmoid_grad]),
        ARRAY,
    ),
    "losses": (
        lambda w, f, y, t: f(y, t),
        st.sampled_from([bd.cross_entropy_error, bd.mean_squared_error, bd.sum_squared_error, bd.softmax_loss]),
        X,
        T,
    ),
    "im2col": (lambda w, x, h, v, s, p: bd.util.im2col(x, h, v, s, p), ARRAY, SMALL, SMALL, SMALL, SMALL),
    "col2im": (
        lambda w, c, n, h, v: bd.util.col2im(c, (n, 1, 4, 4), h, v),
        ARRAY,
        SMALL,
        SMALL,
        SMALL,
    ),
    "an optimiser": (lambda w, k, lr, m: k(lr, m), st.sampled_from([bd.Momentum, bd.Adam, bd.RMSprop]), SMALL, SMALL),
    "update": (lambda w, p, g: bd.Adam().update({"p": p}, {"p": g}), ARRAY, ARRAY),
    "numerical_gradient of a function": (
        lambda w, x, h: bd.numerical_gradient(lambda x: float(np.sum(x)), x, h),
        ARRAY,
        st.one_of(st.just(1e-4), SMALL),
    ),
    "derivative": (lambda w, x: bd.derivative(np.sin, x), SMALL),
    "gates": (lambda w, a, b: bd.AND(a, b), SMALL, ARRAY),
    "smooth_curve": (lambda w, x: bd.util.smooth_curve(x), ARRAY),
}
ALLOWED = (TypeError, ValueError, OverflowError, MemoryError, RuntimeError, FloatingPointError, IndexError, KeyError)
CHANGES_ITS_ARGUMENT = {"update", "make Affine"}


def fresh():
    return bd.Net([bd.Affine(units=2)], loss=bd.SoftmaxWithLoss(), input_shape=4, seed=1)


@seed(SEED)
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=SEED == 0, database=None, suppress_health_check=list(HealthCheck)
)
@given(data=st.data())
@pytest.mark.filterwarnings("ignore")
def test_no_mixture_of_arguments_does_harm(data):
    name = data.draw(st.sampled_from(sorted(ENTRIES)))
    call, *strategies = ENTRIES[name]
    arguments = [data.draw(one) for one in strategies]
    world = WORLD[0]
    before, prints = world.state(), [fingerprint(one) for one in arguments]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call(world, *arguments)
    except LookupError as error:
        assert isinstance(error, (IndexError, KeyError)) or str(error) == "mine"
        changed = world.state() != before
    except FloatingPointError:
        WORLD[0] = World()
        return
    except ALLOWED:
        changed = world.state() != before
    else:
        changed = None
    if changed:
        after = world.state()
        WORLD[0] = World()
        raise AssertionError(f"{name} changed {[key for key in before if after[key] != before[key]]}")
    if name not in CHANGES_ITS_ARGUMENT:
        assert [fingerprint(one) for one in arguments] == prints, name
    if changed is None and world.state() != before:
        WORLD[0] = World()


WORLD = [GOOD]
