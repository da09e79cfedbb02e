"""Nothing leaks: references, Python's memory blocks and C's bytes stay what they were over thousands of calls."""

import ctypes
import gc
import os
import sys
import weakref

import numpy as np
import pytest

import badak as bd

CALLS = 2000
BYTES = 16 << 10  # that C's allocator may keep in caches; a leak of the smallest chunk would be CALLS * 32


class MallInfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ["arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks"]
    ]
    _fields_ += [("fordblks", ctypes.c_size_t), ("keepcost", ctypes.c_size_t)]


try:
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = MallInfo
except AttributeError:
    mallinfo2 = None


def bytes_in_use():
    """What C code has allocated and not freed; the resident memory where the C library does not tell."""
    if mallinfo2:
        info = mallinfo2()
        return info.uordblks + info.hblkhd
    return resident_bytes()


def resident_bytes():
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("needs /proc")
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files():
    return len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0


# ---- Every call, with good and with bad arguments, again and again ----


class World:
    """Nets, layers, optimisers, and arguments made beforehand: the calls themselves make no array."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal((20, 4)).astype(np.float32)
        self.x64 = self.x.astype(float)
        self.x_strided = np.asfortranarray(self.x64)
        self.x_large = rng.standard_normal((600, 4)).astype(np.float32)
        self.t_large = rng.integers(0, 3, 600)
        self.t = rng.integers(0, 3, 20)
        self.t_small = self.t.astype(np.uint8)
        self.one_hot = np.eye(3)[self.t]
        self.soft = self.one_hot * 0.5 + 0.1
        self.dout4, self.dout3 = np.ones((20, 4)), np.ones((20, 3))
        self.bad_x = {
            "complex": self.x64 + 0j,
            "object": self.x.astype(object),
            "text": self.x.astype(str),
            "longdouble": self.x.astype(np.longdouble),
            "masked": np.ma.masked_array(self.x, mask=self.x > 0),
            "narrow": self.x[:, :3],
            "long": self.x[:, :, None, None, None, None, None, None, None],
            "scalar": np.float32(1),
            "none": None,
            "nan": self.x * np.nan,
            "raises": Raises(),
        }
        self.bad_t = {
            "too large": self.t + 1,
            "negative": self.t - 1,
            "floats": self.t.astype(float),
            "short": self.t[1:],
            "wide": np.eye(4)[self.t],
            "negative rows": -self.one_hot - 1,
            "text": self.t.astype(str),
            "none": None,
            "masked": np.ma.masked_array(self.t, mask=self.t == 0),
        }
        layers = [bd.Affine(units=5), bd.Relu(), bd.Residual([bd.Affine(units=5), bd.Tanh()]), bd.Affine(units=3)]
        self.net = bd.Net(layers, loss=bd.SoftmaxWithLoss(), input_shape=4, seed=1)
        self.regression = bd.Net([bd.Affine(units=3)], loss=bd.IdentityWithLoss(), input_shape=4, dtype="float64")
        self.adam = bd.Adam()
        self.net.train_step(self.x, self.t, self.adam)
        self.regression.train_step(self.x, self.one_hot, bd.SGD())

        self.W, self.b = rng.standard_normal((4, 3)), rng.standard_normal(3)
        self.W_strided = np.asfortranarray(self.W)
        self.affine, self.strided = bd.Affine(self.W, self.b), bd.Affine(self.W_strided, 0.5)
        self.affine32 = bd.Affine(self.W.astype(np.float32), self.b.astype(np.float32))
        self.relu, self.sigmoid, self.tanh = bd.Relu(), bd.Sigmoid(), bd.Tanh()
        self.residual = bd.Residual([bd.Affine(rng.standard_normal((4, 4)), rng.standard_normal(4)), bd.Relu()])
        self.softmax, self.identity = bd.SoftmaxWithLoss(), bd.IdentityWithLoss()
        for layer in (self.affine, self.relu, self.residual):
            layer.forward(self.x)
        self.softmax.forward(self.x, self.t)

        self.params, self.grads = {"W": self.W.copy(), "s": 0.5}, {"W": self.W.copy(), "s": 1.0}
        self.strided_params = {"W": self.W_strided.copy(order="K")}
        self.free_sgd, self.free_adam = bd.SGD(), bd.Adam()
        self.small = np.array([0.1, 0.2])

    def watched(self):
        """What a leak would hold on to."""
        arrays = [value for value in vars(self).values() if isinstance(value, np.ndarray)]
        arrays += [*self.bad_x.values(), *self.bad_t.values(), *self.net.params.values(), *self.net.grads.values()]
        objects = [self.net, self.net._core, self.net._loss_layer, self.adam, self.regression, *self.net.layers]
        objects += [self.affine, self.relu, self.residual, self.softmax, self.affine._core, self.affine._saved]
        dtypes = [np.dtype(code) for code in ("f4", "i8", "u1", "c16", "O", "g")]
        constants = (type(None), float)
        return [one for one in (*arrays, *objects, *dtypes) if not isinstance(one, constants)]


class Raises:
    def __array__(self, dtype=None, copy=None):
        raise LookupError("mine")


def both_ways(layer, x, dout):
    layer.forward(x)
    layer.backward(dout)


GOOD_CALLS = {
    "predict": lambda w: w.net.predict(w.x),
    "predict float64": lambda w: w.net.predict(w.x64),
    "predict strided": lambda w: w.net.predict(w.x_strided),
    "predict in chunks": lambda w: w.net.predict(w.x_large),
    "predict a list": lambda w: w.net.predict([[1, 2, 3, 4]]),
    "loss": lambda w: w.net.loss(w.x, w.t),
    "loss train": lambda w: w.net.loss(w.x_large, w.t_large, train=True),
    "loss of uint8 labels": lambda w: w.net.loss(w.x, w.t_small),
    "loss of one-hot rows": lambda w: w.net.loss(w.x, w.one_hot),
    "loss of soft rows": lambda w: w.net.loss(w.x, w.soft),
    "accuracy": lambda w: w.net.accuracy(w.x, w.t),
    "gradient": lambda w: w.net.gradient(w.x, w.t),
    "gradient of a regression": lambda w: w.regression.gradient(w.x, w.one_hot),
    "train_step": lambda w: w.net.train_step(w.x, w.t),
    "train_step of float64": lambda w: w.net.train_step(w.x64, w.one_hot),
    "train_step of a regression": lambda w: w.regression.train_step(w.x, w.one_hot),
    "forward": lambda w: w.net.forward(w.x, keep=True),
    "repr": lambda w: repr(w.net),
    "html": lambda w: w.net._repr_html_(),
    "params": lambda w: w.net.params.__setitem__("b1", [0, 0, 0, 0, 0]),
    "Affine": lambda w: both_ways(w.affine, w.x, w.dout3),
    "Affine strided": lambda w: both_ways(w.strided, w.x_strided, w.dout3),
    "Affine float32": lambda w: both_ways(w.affine32, w.x64, w.dout3),
    "Relu": lambda w: both_ways(w.relu, w.x, w.dout4),
    "Sigmoid": lambda w: both_ways(w.sigmoid, w.x64, w.dout4),
    "Tanh": lambda w: both_ways(w.tanh, w.x_strided, w.dout4),
    "Residual": lambda w: both_ways(w.residual, w.x, w.dout4),
    "SoftmaxWithLoss": lambda w: (w.softmax.forward(w.x, w.t), w.softmax.backward(), w.softmax.y, w.softmax.t),
    "SoftmaxWithLoss of rows": lambda w: (w.softmax.forward(w.x[:, :3], w.soft), w.softmax.backward()),
    "IdentityWithLoss": lambda w: (w.identity.forward(w.x, w.x64), w.identity.backward()),
    "layer.out, x, W": lambda w: (w.tanh.out, w.tanh.x, setattr(w.affine, "W", w.W), w.affine.dW, repr(w.affine)),
    "sigmoid": lambda w: bd.sigmoid(w.x),
    "relu": lambda w: bd.relu(w.x_strided),
    "tanh": lambda w: bd.tanh(0.5),
    "softmax": lambda w: bd.softmax(w.x64),
    "cross_entropy_error": lambda w: bd.cross_entropy_error(w.soft, w.t),
    "sum_squared_error": lambda w: bd.sum_squared_error(w.x, w.x64),
    "SGD.update": lambda w: w.free_sgd.update(w.params, w.grads),
    "Adam.update": lambda w: w.free_adam.update(w.params, w.grads),
    "SGD.update strided": lambda w: w.free_sgd.update(w.strided_params, w.grads),
    "numerical_gradient": lambda w: bd.numerical_gradient(np.sum, w.small),
    "making layers": lambda w: (bd.Affine(w.W, w.b), bd.Residual([bd.Relu()]), bd.SoftmaxWithLoss(eps=1e-7)),
    "making optimisers": lambda w: (bd.SGD(0.1), bd.Adam(eps=1e-8)),
    "cpu_info": lambda w: bd.cpu_info(),
}

NO_NUMBERS = ["complex", "object", "text", "longdouble", "masked", "none", "raises"]
BAD_X = [*NO_NUMBERS, "narrow", "long", "scalar"]
BAD_T = ["too large", "negative", "floats", "short", "wide", "negative rows", "text", "none", "masked"]


def each(names, title, call):
    return {f"{title} {name}": lambda w, name=name: call(w, name) for name in names}


BAD_CALLS = {
    **each(BAD_X, "predict", lambda w, name: w.net.predict(w.bad_x[name])),
    **each(BAD_X, "forward keep", lambda w, name: w.net.forward(w.bad_x[name], keep=True)),
    **each([*BAD_X, "nan"], "train_step", lambda w, name: w.net.train_step(w.bad_x[name], w.t)),
    **each([*BAD_X, "nan"], "fit", lambda w, name: w.net.fit(w.bad_x[name], w.t, epochs=1)),
    **each(BAD_X, "Affine", lambda w, name: w.affine.forward(w.bad_x[name])),
    **each(NO_NUMBERS, "SoftmaxWithLoss", lambda w, name: w.softmax.forward(w.bad_x[name], w.t)),
    **each([*NO_NUMBERS, "scalar"], "backward", lambda w, name: w.affine.backward(w.bad_x[name])),
    **each(NO_NUMBERS, "sigmoid", lambda w, name: bd.sigmoid(w.bad_x[name])),
    **each(NO_NUMBERS, "update", lambda w, name: w.free_adam.update({"W": w.W}, {"W": w.bad_x[name]})),
    **each(BAD_X, "a parameter", lambda w, name: bd.Affine(w.bad_x[name], w.b)),
    **each(BAD_T, "loss t", lambda w, name: w.net.loss(w.x, w.bad_t[name])),
    **each(BAD_T, "gradient t", lambda w, name: w.net.gradient(w.x, w.bad_t[name])),
    **each(BAD_T, "fit t", lambda w, name: w.net.fit(w.x, w.bad_t[name], epochs=1)),
    **each(BAD_T, "SoftmaxWithLoss t", lambda w, name: w.softmax.forward(w.x[:, :3], w.bad_t[name])),
    "fit options": lambda w: w.net.fit(w.x, w.t, epochs=1, batch_size=0),
    "validation": lambda w: w.net.fit(w.x, w.t, epochs=1, validation=(w.x, None)),
    "optimizer": lambda w: w.regression.train_step(w.x, w.one_hot, w.adam),
    "params": lambda w: w.net.params.__setitem__("b1", w.x),
    "too large": lambda w: bd.Net([bd.Affine(units=2**32), bd.Affine(units=2**32)], loss=w.identity, input_shape=4),
    "no memory": lambda w: bd.Net([bd.Affine(units=2**31), bd.Affine(units=2**13)], loss=w.identity, input_shape=4),
    "not a loss": lambda w: bd.Net([bd.SoftmaxWithLoss()], loss=w.identity, input_shape=4),
    "too deep": lambda w: bd.Net([w.deep], loss=w.identity, input_shape=4),
    "arrays that do not fit": lambda w: bd.Net([bd.Affine(w.W, w.b)], loss=w.identity, input_shape=5),
    "options of layers": lambda w: bd.Affine(units=0),
    "init": lambda w: bd.Affine(units=3, init="h"),
    "options of optimisers": lambda w: bd.Adam(beta1=2),
    "backward before forward": lambda w: bd.Relu().backward(w.x),
    "cross_entropy_error": lambda w: bd.cross_entropy_error(w.one_hot, w.bad_t["too large"]),
    "sum_squared_error": lambda w: bd.sum_squared_error(w.x, w.t),
    "update without gradient": lambda w: w.free_sgd.update(w.params, {}),
    "numerical_gradient raises": lambda w: bd.numerical_gradient(w.bad_x["raises"].__array__, w.small),
    "numerical_gradient of text": lambda w: bd.numerical_gradient(str, w.small),
    "numerical_gradient of arrays": lambda w: bd.numerical_gradient(np.sin, w.small),
}


@pytest.fixture
def world():
    world = World()
    world.deep = bd.Relu()
    for _ in range(70):
        world.deep = bd.Residual([world.deep])
    return world


def refuses(call, w):
    try:
        call(w)
    except Exception:
        return
    pytest.fail("it was accepted")


def forget_names():
    """Empty the interpreter's cache of attributes: it keeps thousands of names that C code made for one call each."""
    clear = getattr(sys, "_clear_internal_caches", None) or sys._clear_type_cache  # since 3.13; before
    clear()


def growth(call, world, times):
    """What `times` calls leave behind: references by object, Python's blocks, C's bytes, files."""
    gc.collect()
    forget_names()
    gc.disable()  # else it may free, meanwhile, what others left
    watched = world.watched()
    references = [sys.getrefcount(one) for one in watched]
    files, blocks, in_use = open_files(), sys.getallocatedblocks(), bytes_in_use()
    for _ in range(times):
        call(world)
    references_after = [sys.getrefcount(one) for one in watched]
    in_use = bytes_in_use() - in_use
    gc.collect()  # empties Python's free lists too
    gc.enable()
    forget_names()
    blocks = sys.getallocatedblocks() - blocks
    held = {
        f"{type(one).__name__} {getattr(one, 'dtype', '')}": after - before
        for one, before, after in zip(watched, references, references_after, strict=True)
        if abs(after - before) > times // 10
    }
    return held, blocks, in_use, open_files() - files


def assert_flat(call, world, times=CALLS):
    """Assert that calls leave references, blocks, bytes and files as they are.

    Caches may still be growing in one round or another; a leak grows in all of them.
    """
    for _ in range(20):
        call(world)
    for _ in range(5):
        held, blocks, in_use, files = growth(call, world, times)
        if not held and blocks < times // 4 and in_use < BYTES and files == 0:
            return
    pytest.fail(f"{times} calls left {held} references, {blocks} blocks, {in_use} bytes of C, {files} files")


@pytest.fixture(scope="module", autouse=True)
def no_old_garbage():
    """Collections look at the objects of this module only: much faster."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("call", [pytest.param(call, id=name) for name, call in GOOD_CALLS.items()])
def test_good_calls_leave_nothing_behind(world, call):
    assert_flat(call, world)


@pytest.mark.parametrize("call", [pytest.param(call, id=name) for name, call in BAD_CALLS.items()])
def test_refused_calls_leave_nothing_behind(world, call):
    assert_flat(lambda w: refuses(call, w), world)


@pytest.mark.parametrize(
    ("call", "times"),
    [
        pytest.param(lambda w: w.net.fit(w.x, w.t, epochs=2, batch_size=7, progress=False), 300, id="fit"),
        pytest.param(
            lambda w: w.net.fit(
                w.x, w.one_hot, epochs=1, validation=(w.x64, w.t), callbacks=[lambda net, event: None], progress=False
            ),
            300,
            id="fit with everything",
        ),
        pytest.param(lambda w: w.net.numerical_gradient(w.x, w.t), 100, id="numerical_gradient"),
        pytest.param(lambda w: bd.gradcheck(w.regression, w.x64, w.one_hot), 100, id="gradcheck of a net"),
        pytest.param(lambda w: bd.gradcheck(w.relu, w.small), 100, id="gradcheck of a layer"),
        pytest.param(lambda w: w.net.train_step(w.x, w.t, bd.Adam()), 1000, id="a new optimiser each time"),
    ],
)
def test_slower_calls_leave_nothing_behind(world, call, times):
    assert_flat(call, world, times)


def test_a_gradcheck_that_fails_leaves_nothing_behind(world):
    def fails(x):
        raise LookupError("mine")

    assert_flat(lambda w: refuses(lambda w: bd.gradcheck(fails, w.small, vjp=fails), w), world, 300)


# ---- Objects that come and go ----


def mlp(units=5, **options):
    layers = [bd.Affine(units=units), bd.Relu(), bd.Affine(units=3)]
    return bd.Net(layers, loss=bd.SoftmaxWithLoss(), **{"input_shape": 4, **options})


def test_nets_come_and_go(world):
    def use_one(w):
        net = mlp(units=50)
        net.train_step(w.x, w.t, bd.Adam())
        return net.predict(w.x_large)

    assert_flat(use_one, world)


def test_nets_of_which_only_a_view_was_kept_come_and_go(world):
    def keep_a_view(w):
        net = mlp(units=50)
        net.train_step(w.x, w.t, bd.Adam())
        w.view = net.params["W1"][1:3]

    assert_flat(keep_a_view, world)
    assert world.view.shape == (2, 50)


def test_a_view_keeps_the_memory_of_its_net_and_nothing_else():
    net = bd.Net([bd.Affine(units=1000)], loss=bd.SoftmaxWithLoss(), input_shape=1000, seed=1)
    x = np.zeros((5000, 1000), np.float32)
    net.gradient(x, np.zeros(5000, int))  # makes room for 5000 samples
    view = net.params["b1"]
    with_net = bytes_in_use()
    activations = net._core.activation_bytes
    assert activations > 5000 * 1000 * 4
    del net
    without_net = bytes_in_use()
    assert with_net - without_net > 0.9 * activations
    del view
    assert without_net - bytes_in_use() > 4 * 1000 * 1000  # the parameters, at last


def test_a_net_dies_with_its_last_reference():
    net = mlp()
    optimizer = bd.Adam()
    net.train_step(np.ones((2, 4)), [0, 1], optimizer)
    dead = weakref.ref(net), weakref.ref(net.layers[0])
    history = net.fit(np.ones((2, 4)), [0, 1], epochs=1, callbacks=[lambda net, event: None], progress=False)
    gc.disable()
    del net
    gc.enable()
    assert [ref() for ref in dead] == [None, None]
    assert history.epoch == [1]
    assert optimizer.m["W1"].shape == (4, 5)  # its state is its own business


def test_a_net_in_a_cycle_is_collected():
    net = mlp()
    net.myself = [net]

    class Callback:
        def __call__(self, net, event):
            self.seen = net, event
            net.callback = self

    net.fit(np.ones((2, 4)), [0, 1], epochs=1, callbacks=[Callback()], progress=False)
    net.optimizer.net = net
    dead, views = weakref.ref(net), weakref.ref(net.params)
    del net
    gc.collect()
    assert dead() is None
    assert views() is None


def test_a_net_that_an_exception_left_is_collected():
    def train(net):
        net.fit(np.ones((2, 4)), [0, 1], epochs=1, callbacks=[lambda net, event: 1 / 0], progress=False)

    net = mlp()
    dead = weakref.ref(net)
    with pytest.raises(ZeroDivisionError):
        train(net)
    del net
    gc.collect()
    assert dead() is None


def test_layers_in_a_cycle_are_collected():
    class Mine(bd.Relu):
        pass

    layer = Mine()
    layer.net = bd.Net([layer], loss=bd.IdentityWithLoss(), input_shape=4)
    layer.forward(np.ones((2, 4)))
    dead = weakref.ref(layer)
    del layer
    gc.collect()
    assert dead() is None


class Watched(np.ndarray):
    """An array that can be watched dying."""


@pytest.mark.parametrize("name", ["predict", "gradient", "train_step", "fit", "refused"])
def test_a_net_keeps_no_argument(name):
    net = mlp()
    x, t = np.ones((20, 4), np.float32).view(Watched), np.zeros(20, np.int64).view(Watched)
    if name == "predict":
        net.predict(x)
    elif name == "gradient":
        net.gradient(x, t)
    elif name == "train_step":
        net.train_step(x, t, bd.Adam())
    elif name == "fit":
        net.fit(x, t, epochs=2, validation=(x, t), progress=False)
    else:
        with pytest.raises(ValueError, match="label 1000"):
            net.fit(x, t + 1000, epochs=2, progress=False)
    dead = weakref.ref(x), weakref.ref(t)
    del x, t
    gc.collect()
    assert [ref() for ref in dead] == [None, None]


def test_a_layer_keeps_x_until_the_next_forward():
    layer = bd.Affine(np.ones((4, 3)), np.ones(3))
    base = np.ones((20, 4))
    x = base.view()
    layer.forward(x)
    count = sys.getrefcount(base)
    del x
    assert sys.getrefcount(base) == count  # the layer holds the view
    layer.forward(np.ones((2, 4)))
    assert sys.getrefcount(base) == count - 1


# ---- Long trainings ----


@pytest.mark.slow
def test_ten_thousand_steps_need_no_more_memory(world):
    assert_flat(lambda w: w.net.train_step(w.x, w.t), world, 10_000)


@pytest.mark.slow
def test_a_fit_of_ten_thousand_steps_needs_no_more_memory(world):
    net = mlp(units=50)
    net.fit(world.x_large, world.t_large, epochs=2, batch_size=6, progress=False)
    gc.collect()
    seen = []

    def look(net, event):
        event.history.step_loss.clear()  # grows on purpose
        seen.append(bytes_in_use())

    net.fit(world.x_large, world.t_large, epochs=100, batch_size=6, callbacks=[look], progress=False)
    assert max(seen[10:]) - seen[10] < BYTES


def test_room_is_made_once_for_the_largest_batch():
    net = mlp()
    x = np.zeros((3000, 4), np.float32)
    sizes = []
    for n in (1, 10, 100, 256 * bd.get_num_threads(), 1000, 3000):
        net.predict(x[:n])
        sizes.append(net._core.activation_bytes)
    assert sizes[-3:] == [sizes[3]] * 3  # predict goes in chunks, as large as there are threads
    assert sizes == sorted(sizes)
    net.fit(x, np.zeros(3000, int), epochs=2, batch_size=100, progress=False)
    assert net._core.activation_bytes == sizes[3]
    net.gradient(x, np.zeros(3000, int))
    largest = net._core.activation_bytes
    assert largest > sizes[3]
    net.gradient(x[:5], np.zeros(5, int))
    assert net._core.activation_bytes == largest


def test_predict_of_many_samples_needs_the_scores_and_a_chunk():
    net = mlp(units=200)
    x = np.zeros((200_000, 4), np.float32)
    net.predict(x[: 256 * bd.get_num_threads()])  # predict goes in chunks, as large as there are threads
    before = resident_bytes()
    scores = net.predict(x)
    assert resident_bytes() - before < scores.nbytes + (1 << 20)
