"""Memory that is not there: every operation with its n-th allocation failing, for every n until it succeeds.

Runs in a zygote that c/faults.c was loaded into, with PYTHONMALLOC=malloc, so that every allocation of the core, of
NumPy and of Python passes through it.
"""

import copy
import ctypes
import gc
import itertools
import math
import pickle
import sys
import tempfile
import warnings

import numpy as np
from catalogue.world import World, digest

import badak as bd
from badak import _core

X = np.random.default_rng(0).standard_normal((12, 4)).astype(np.float32)
STRIDED = np.asfortranarray(X.astype(float))
T = np.arange(12) % 3
IMAGES = np.ones((2, 1, 4, 4))
W = np.random.default_rng(1).standard_normal((4, 3))
B = np.zeros(3)
# All arrays are made here: what NumPy does when its own expressions run out of memory is not ours.
X3, X_1, X_2, X2x2 = X[:, :3], X[:2, :1], X[:2, :2], np.ones((2, 2))
SOFT, T_SMALL, T_BAD = np.eye(3)[T] * 0.5, T.astype("u1"), T + 1
COMPLEX, MASKED = X + 0j, np.ma.masked_array(X, mask=X > 0)
FILTERS, TWO, COLUMNS, ONES_4x3 = np.ones((2, 1, 2, 2)), np.zeros(2), np.ones((18, 4)), np.ones((4, 3))
PROBABILITIES, W_STRIDED, GRADS = bd.softmax(W), np.asfortranarray(W), {"a": W, "b": B + 1, "s": 1.0}
SPOILT = bd.Affine(ONES_4x3, B)
SPOILT._hold(SPOILT.params | {"b": TWO})  # its size does not fit, which the core has to find
PARAMS = {"a": np.asfortranarray(W.copy()), "b": B.copy(), "s": 0.5}
LAYERS = {
    "Affine": bd.Affine(W, B),
    "Affine, strided": bd.Affine(W_STRIDED, 0.5),
    "Relu": bd.Relu(),
    "Residual": bd.Residual([bd.Affine(np.eye(4), np.zeros(4)), bd.Tanh()]),
    "BatchNormalization": bd.BatchNormalization(1.0, 0.0),
    "Dropout": bd.Dropout(),
    "Softmax": bd.Softmax(),
}


def new_net(**options):
    layers = [bd.Affine(units=5), bd.Relu(), bd.Residual([bd.Affine(units=5)]), bd.Affine(units=3)]
    return bd.Net(layers, **{"loss": bd.SoftmaxWithLoss(), "input_shape": 4, "seed": 1, **options})


def new_image_net():
    layers = [
        bd.Convolution(filters=2, size=2),
        bd.BatchNormalization(axis="channel"),
        bd.Relu(),
        bd.Pooling(2, 2),
        bd.Dropout(),
        bd.Affine(units=3),
    ]
    return bd.Net(layers, loss=bd.SoftmaxWithLoss(), input_shape=(1, 4, 4), seed=1)


class Twice(bd.Layer):
    """A Python layer with a parameter."""

    def __init__(self):
        self.params["factor"] = np.full(1, 2.0)

    def forward(self, x):
        self.x = x
        return x * self.params["factor"]

    def backward(self, dout):
        self.grads["factor"] = np.array([(dout * self.x).sum()])
        return dout * self.params["factor"]


def new_python_net():
    layers = [bd.Affine(units=5), bd.BatchNormalization(), Twice(), bd.Dropout(), bd.Affine(units=3)]
    return bd.Net(layers, loss=bd.SoftmaxWithLoss(), input_shape=4, seed=1)


FOLDER = tempfile.TemporaryDirectory()
PATH, SAVED, SAVED_PYTHON = (f"{FOLDER.name}/{name}" for name in ("net", "saved", "python"))
SCHEDULE = bd.CosineDecay(10**6)
SAVED_NET = new_image_net()
SAVED_NET.train_step(IMAGES, [0, 1], bd.Adam())
SAVED_NET.save(SAVED)
new_python_net().save(SAVED_PYTHON)


def both_ways(layer, x=X, **options):
    layer.backward(layer.forward(x, **options))


def loss_both_ways(loss, x, t):
    loss.forward(x, t)
    loss.backward()


def refused(call):
    """A call that must fail: memory may run out while its message is made."""
    try:
        call()
    except (TypeError, ValueError, RuntimeError):
        return
    raise AssertionError("it was accepted")


def update(kind):
    """A first step by hand, into strided and plain arrays and a number."""
    kind().update(PARAMS, GRADS)


# What is run; `w` is the world, whose values must be as before, or as after the whole of it.
OPERATIONS = {
    "make layers": lambda w: (
        bd.Affine(W, B),
        bd.Affine(units=5, init="xavier"),
        bd.Convolution(filters=3, size=(2, 2)),
        bd.Residual([bd.Relu()]),
        bd.SoftmaxWithLoss(),
    ),
    **{f"{name} both ways": lambda w, layer=layer: both_ways(layer) for name, layer in LAYERS.items()},
    "Convolution both ways": lambda w: both_ways(bd.Convolution(FILTERS, TWO), IMAGES),
    "Pooling both ways": lambda w: both_ways(bd.Pooling(2, 2), IMAGES),
    "SoftmaxWithLoss": lambda w: loss_both_ways(bd.SoftmaxWithLoss(), STRIDED, T),
    "SoftmaxWithLoss of rows": lambda w: loss_both_ways(bd.SoftmaxWithLoss(), X3, SOFT),
    "IdentityWithLoss": lambda w: loss_both_ways(bd.IdentityWithLoss(), X, STRIDED),
    "assign parameters": lambda w: (setattr(w.affine, "W", w.affine.W), w.affine.params, repr(w.affine)),
    "make a net": lambda w: new_net(),
    "make a net of images": lambda w: new_image_net(),
    "make a net of arrays": lambda w: bd.Net([bd.Affine(W, B)], loss=bd.SoftmaxWithLoss(), input_shape=4, seed=1),
    "a new net predicts": lambda w: new_net().predict(STRIDED),
    "a new net of images trains": lambda w: new_image_net().train_step(IMAGES, [0, 1], bd.Adam()),
    "a new net fits": lambda w: new_net().fit(X, T, epochs=2, batch_size=5, progress=False, validation=(X, T)),
    "predict": lambda w: w.net.predict(w.x),
    "predict strided": lambda w: w.net.predict(STRIDED),
    "forward keep": lambda w: w.net.forward(w.x, keep=True),
    "loss": lambda w: w.net.loss(w.x, w.t),
    "loss of rows": lambda w: w.net.loss(STRIDED, SOFT),
    "accuracy": lambda w: w.net.accuracy(w.x, w.t),
    "gradient": lambda w: w.net.gradient(w.x, w.t),
    "gradient of images": lambda w: w.images.gradient(w.x, w.yes),
    "numerical_gradient": lambda w: w.regression.numerical_gradient(w.two_x, w.two_rows),
    "train_step": lambda w: w.net.train_step(w.x, w.t),
    "train_step strided": lambda w: w.net.train_step(STRIDED, T_SMALL),
    "train_step of images": lambda w: w.images.train_step(w.x, w.yes),
    "fit": lambda w: w.net.fit(w.x, w.t, epochs=1, shuffle=False, progress=False, validation=(w.x, w.t)),
    "params[...] =": lambda w: w.net.params.__setitem__("b1", [0, 0, 0, 0, 0]),
    "update by hand": lambda w: w.adam.update(w.params, w.grads),
    "first update, SGD": lambda w: update(bd.SGD),
    "first update, Adam": lambda w: update(bd.Adam),
    "functions": lambda w: (bd.sigmoid(STRIDED), bd.relu(X), bd.tanh(0.5), bd.softmax(X), bd.step_function(X)),
    "losses": lambda w: (
        bd.cross_entropy_error(PROBABILITIES, [0, 1, 2, 0]),
        bd.mean_squared_error(W, PROBABILITIES),
        bd.sum_squared_error(X, STRIDED),
    ),
    "im2col": lambda w: bd.util.im2col(IMAGES, 2, 2, 1, 1),
    "col2im": lambda w: bd.util.col2im(COLUMNS, (2, 1, 4, 4), 2, 2),
    "numerical_gradient of a function": lambda w: bd.numerical_gradient(lambda x: x.item(0), W_STRIDED),
    "derivative": lambda w: bd.derivative(math.sin, 1.0),
    "pickle a layer": lambda w: pickle.loads(pickle.dumps(w.affine)),
    "copy a layer": lambda w: copy.deepcopy(w.residual),
    "save": lambda w: w.net.save(PATH),
    "save images": lambda w: w.images.save(PATH),
    "load": lambda w: bd.load(SAVED),
    "load with a Python layer": lambda w: bd.load(SAVED_PYTHON, custom={"Twice": Twice}),
    "pickle a net": lambda w: pickle.loads(pickle.dumps(w.net)),
    "copy a net": lambda w: copy.deepcopy(w.images),
    "summary": lambda w: (repr(w.net), w.net._repr_html_()),
    "fit with everything": lambda w: w.images.fit(
        w.x,
        w.yes,
        epochs=1,
        batch_size=12,
        shuffle=False,
        weight_decay=0.01,
        schedule=SCHEDULE,
        progress=False,
        validation=(w.x, w.yes),
        callbacks=[bd.EarlyStopping(5)],
    ),
    "a Python layer trains": lambda w: w.python.train_step(w.x, w.t),
    "a Python layer predicts": lambda w: w.python.predict(STRIDED),
    "a net with a Python layer is made": lambda w: new_python_net(),
    "facts": lambda w: (_core.layer_kinds(), _core.optimizer_kinds(), bd.cpu_info()),
    "steps": lambda w: w.net._core.steps(),
    "refused: x": lambda w: refused(lambda: w.net.predict(X3)),
    "refused: t": lambda w: refused(lambda: w.net.loss(X, T_BAD)),
    "refused: dtype": lambda w: refused(lambda: w.net.train_step(COMPLEX, T)),
    "refused: a masked array": lambda w: refused(lambda: w.net.predict(MASKED)),
    "refused: parameters": lambda w: refused(lambda: bd.Affine(ONES_4x3, TWO)),
    "refused: forward": lambda w: refused(lambda: w.affine.forward(X3)),
    "refused: dout": lambda w: refused(lambda: w.affine.backward(X)),
    "refused: b of another shape": lambda w: refused(lambda: SPOILT.forward(X)),
    "refused: options": lambda w: refused(lambda: bd.Dropout(2)),
    "refused: a net": lambda w: refused(lambda: new_net(input_shape=(2**32, 2**32))),
}


# ---- The sweep ----


class Faults:
    """The knobs of c/faults.c."""

    def __init__(self):
        library = ctypes.CDLL(None)
        for name in ("armed", "persist"):
            setattr(self, name, ctypes.c_int.in_dll(library, f"faults_{name}"))
        for name in ("nth", "count", "live", "live_core"):
            setattr(self, name, ctypes.c_long.in_dll(library, f"faults_{name}"))
        with open("/proc/self/maps") as maps:
            code = [line.split()[0] for line in maps if line.rstrip().endswith(_core.__file__) and "r-xp" in line]
        begin, end = (int(part, 16) for part in code[0].split("-"))
        library.faults_begin(ctypes.c_size_t(begin), ctypes.c_size_t(end), library._PyEval_EvalFrameDefault)

    def run(self, call, world, nth):
        """Run the call with its n-th allocation failing: (reached, the type of what it raised or None, its text)."""
        self.nth.value, self.count.value = nth, 0
        armed, kind, text = self.armed, None, ""
        try:
            armed.value = 1
            call(world)
            armed.value = 0
        except BaseException as error:
            armed.value = 0
            kind, text = type(error), str(error)
        return self.count.value >= nth, kind, text


def values_of(world):
    values = world.values()
    del values["np.random"]  # of the process, not of one world
    net = world.python
    values["python"] = digest([*net.params.values(), *net.buffers.values(), *net.optimizer.m.values()])
    values["python's core"] = net._core.rng, net._core.updates
    return values


def get_ready():
    return None


def run(_, name):
    """Every n of one operation, once and persistently. Returns the number of injection points."""
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda unraisable: None  # a destructor out of memory
    call, faults = OPERATIONS[name], Faults()
    world, control = World(), World()
    for w in (world, control):
        w.two_x, w.two_rows = w.x[:2], w.rows[:2]
        w.python = new_python_net()
        w.python.train_step(w.x, w.t, bd.Adam())
        for _ in range(3):
            call(w)
    gc.collect()
    gc.disable()
    points = sweep(name, call, faults, world, control)
    assert_no_reference_is_lost(name, call, faults, world)
    return points


def sweep(name, call, faults, world, control):
    """Look at everything after each fault."""
    points, expected, live = 0, values_of(control), faults.live_core.value
    for persist in (0, 1):
        faults.persist.value = persist
        for nth in itertools.count(1):
            reached, kind, text = faults.run(call, world, nth)
            where = f"{name}: allocation {nth}, {'and all after it' if persist else 'once'}: {kind} {text}"
            assert kind is None or (reached and issubclass(kind, MemoryError)), where
            found = values_of(world)
            if found != expected:
                call(control)
                expected = values_of(control)
                changed = [key for key in found if found[key] != expected[key]]
                assert not changed, f"{where}: neither as before nor as after the whole of it: {changed}"
            if faults.live_core.value != live:
                gc.collect()
            assert faults.live_core.value == live, f"{where}: the core keeps memory"
            if not reached:
                break
            points += 1
    return points


def assert_no_reference_is_lost(name, call, faults, world):
    """Over one more sweep. Every array holds its dtype, so that a lost array shows there too.

    (Not for float64: np.empty itself loses references to it.)
    """
    faults.persist.value = 0
    watched = [
        np.dtype("f4"),
        np.dtype("i8"),
        X,
        STRIDED,
        T,
        W,
        B,
        world.x,
        world.t,
        *LAYERS.values(),
    ]
    watched += [world.net, world.net.optimizer, *world.all_layers, world.params["W"], world.params["b"]]
    counts = [sys.getrefcount(one) for one in watched]
    for nth in itertools.count(1):
        if not faults.run(call, world, nth)[0]:
            break
    gc.collect()
    after = [sys.getrefcount(one) for one in watched]
    changed = [f"{one!r:.40}: {b - a}" for one, a, b in zip(watched, counts, after, strict=True) if a != b]
    assert not changed, f"{name}: references are lost: {changed}"
