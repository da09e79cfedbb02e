"""Layers written in Python inside a Net: the core's numbers, the user's own arrays, the user's own errors."""

import copy
import gc
import os
import signal
import threading
import time
import weakref

import numpy as np
import pytest

import badak as bd


class Swish(bd.Layer):
    """The example of the documentation."""

    def __init__(self, beta=1.0):
        self.params["beta"] = np.array([beta])

    def forward(self, x):
        self.x, self.y = x, bd.sigmoid(self.params["beta"] * x)
        return x * self.y

    def backward(self, dout):
        slope = self.x * self.y * (1 - self.y)
        self.grads["beta"] = np.array([(dout * slope * self.x).sum()])
        return dout * (self.y + self.params["beta"] * slope)


class BookAffine:
    """The book's, word for word (section 5.6.2): no base class, no dicts."""

    def __init__(self, W, b):
        self.W = W
        self.b = b
        self.x = None
        self.dW = None
        self.db = None

    def forward(self, x):
        self.x = x
        return np.dot(x, self.W) + self.b

    def backward(self, dout):
        dx = np.dot(dout, self.W.T)
        self.dW = np.dot(self.x.T, dout)
        self.db = np.sum(dout, axis=0)
        return dx


class Identity(bd.Layer):
    """Does nothing, and calls something first."""

    def __init__(self, before=None):
        self.before = before
        self.params["scale"] = np.ones(1)

    def forward(self, x):
        if self.before:
            self.before("forward")
        self.x = x
        return x * self.params["scale"]

    def backward(self, dout):
        if self.before:
            self.before("backward")
        self.grads["scale"] = np.array([(dout * self.x).sum()])
        return dout * self.params["scale"]


def net(*middle, dtype="float64", seed=1, **options):
    layers = [bd.Affine(units=8), bd.BatchNormalization(), bd.Dropout(0.2), *middle, bd.Affine(units=3)]
    return bd.Net(layers, loss=bd.SoftmaxWithLoss(), input_shape=4, dtype=dtype, seed=seed, **options)


def with_params(params):
    layer = Identity()
    layer.params = params
    return layer


def data(n=20):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 4)), rng.integers(0, 3, n)


def state(a_net):
    arrays = [*a_net.params.values(), *a_net.buffers.values()]
    if a_net.optimizer is not None:
        arrays += [array for part in a_net.optimizer.state.values() for array in part.values()]
    return [array.tobytes() for array in arrays], a_net._core.updates, a_net._core.rng


# ---- It works everywhere ----


def chain(*middle):
    layers = [bd.Affine(units=8), *middle, bd.Affine(units=3)]
    return bd.Net(layers, loss=bd.SoftmaxWithLoss(), input_shape=4, seed=1)


def test_the_example_passes_the_gradient_check_alone_and_in_a_net():
    x, t = data()
    assert bd.gradcheck(Swish(0.7), x).ok
    report = bd.gradcheck(chain(Swish(0.7)), x, t)
    assert report.ok, report
    assert "beta1" in [entry.name for entry in report.entries]
    nested = bd.gradcheck(chain(bd.Residual([Swish(), bd.Dropout(0.2), bd.Residual([Swish(0.5)])])), x, t)
    assert nested.ok, nested


def test_a_wrong_backward_in_a_net_is_found():
    class Wrong(Swish):
        def backward(self, dout):
            return super().backward(dout) * 1.01

    assert bd.gradcheck(chain(Wrong()), *data()).status == "FAIL"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", [bd.SGD, bd.Momentum, bd.Adam, bd.AdaGrad])
def test_the_books_affine_in_a_net_trains_as_the_cores(dtype, make):
    rng = np.random.default_rng(1)
    W, b = rng.normal(size=(8, 8)).astype(dtype), rng.normal(size=8).astype(dtype)
    x, t = data()
    python, core = (
        bd.Net([bd.Affine(units=8), bd.Tanh(), middle, bd.Affine(units=3)], loss=bd.SoftmaxWithLoss(), input_shape=4,
               dtype=dtype, seed=1)
        for middle in (BookAffine(W.copy(), b.copy()), bd.Affine(W, b))
    )  # fmt: skip
    for name in core.params:
        python.params[name] = core.params[name]
    python._core.rng = core._core.rng
    assert list(python.params) == list(core.params)
    tolerance = 1e-4 if dtype == "float32" else 1e-10
    histories = [n.fit(x, t, epochs=5, batch_size=6, optimizer=make(0.01), weight_decay=0.1, progress=False)
                 for n in (python, core)]  # fmt: skip
    np.testing.assert_allclose(histories[0].step_loss, histories[1].step_loss, rtol=tolerance)
    for name, array in core.params.items():
        np.testing.assert_allclose(python.params[name], array, rtol=100 * tolerance, atol=tolerance)
    np.testing.assert_allclose(python.predict(x), core.predict(x), rtol=100 * tolerance, atol=10 * tolerance)
    for kept_python, kept_core in zip(python.forward(x, keep=True), core.forward(x, keep=True), strict=True):
        np.testing.assert_allclose(kept_python, kept_core, rtol=100 * tolerance, atol=10 * tolerance)


def test_every_method_of_a_net_with_a_python_layer():
    layer = Swish()
    a_net, (x, t) = net(layer), data()
    assert a_net.forward(x, keep=True)[3].shape == (20, 8)
    assert "Swish" in repr(a_net)
    assert "Swish" in a_net._repr_html_()
    gradient, numerical = a_net.gradient(x, t), a_net.numerical_gradient(x, t)
    for name in a_net.params:
        np.testing.assert_allclose(gradient[name], numerical[name], rtol=1e-3, atol=1e-6)
    assert a_net.loss(x, t) > 0
    assert a_net.predict_proba(x[:0]).shape == (0, 3)
    assert a_net.predict(np.tile(x, (30, 1))).shape == (600, 3)
    before = state(a_net)
    a_net.checkup(x, t)
    assert state(a_net) == before


def test_its_parameters_stay_its_own():
    layer = Swish(0.5)
    own = layer.params["beta"]
    a_net, (x, t) = net(layer, dtype="float32"), data()
    name = next(name for name in a_net.params if name.startswith("beta") and a_net.params[name] is own)
    assert list(a_net.params)[4:5] == [name]
    a_net.train_step(x, t, bd.Adam(0.01))
    assert layer.params["beta"] is own is a_net.params[name]
    assert own.dtype == np.float64
    assert own[0] != 0.5
    assert a_net.optimizer.m[name].dtype == np.float32
    a_net.params[name] = [0.25]
    assert own[0] == 0.25
    own[0] = 2.0  # the next call sees it
    twin = net(Swish(2.0), dtype="float32")
    for other in a_net.params:
        twin.params[other] = a_net.params[other]
    for other in a_net.buffers:
        twin.buffers[other] = a_net.buffers[other]
    assert a_net.loss(x, t) == twin.loss(x, t)
    layer.params["beta"] = np.array([0.125])  # another array in its place
    assert a_net.params[name][0] == 0.125
    a_net.train_step(x, t)
    assert layer.params["beta"][0] != 0.125


@pytest.mark.parametrize("order", ["C", "F", "strided"])
def test_its_parameters_may_lie_as_they_like(order):
    rng = np.random.default_rng(1)
    W = rng.normal(size=(8, 8))
    layer = BookAffine(np.asfortranarray(W), np.zeros(16)[::2]) if order != "C" else BookAffine(W.copy(), np.zeros(8))
    if order == "strided":
        layer.W = np.repeat(np.repeat(W, 2, axis=0), 3, axis=1)[::2, ::3]
    twin = BookAffine(W.copy(), np.zeros(8))
    x, t = data()
    for a_layer in (layer, twin):
        net(a_layer).fit(x, t, epochs=2, batch_size=7, progress=False)
    np.testing.assert_allclose(layer.W, twin.W, rtol=1e-12)
    np.testing.assert_allclose(layer.b, twin.b, rtol=1e-12)
    assert not np.array_equal(layer.W, W)


def test_names_never_clash():
    class Odd(bd.Layer):
        def __init__(self, *names):
            for name in names:
                self.params[name] = np.ones(1)

        def forward(self, x):
            return x

        def backward(self, dout):
            self.grads = {name: np.zeros(1) for name in self.params}
            return dout

    layers = [bd.Affine(units=8), Odd("b", "W"), Odd("W1"), Odd("b"), bd.Affine(units=3)]
    a_net = bd.Net(layers, loss=bd.SoftmaxWithLoss(), input_shape=4)
    assert list(a_net.params) == ["W1", "b1", "b2", "W2", "W1_1", "b3", "W4", "b4"]


@pytest.mark.parametrize("name", ["train_flg", "training"])
def test_forward_is_told_whether_the_net_trains(name):
    seen = []
    namespace = {}
    exec(f"def forward(self, x, {name}=True):\n    seen.append({name})\n    return x", {"seen": seen}, namespace)
    layer = type("Told", (bd.Layer,), {"forward": namespace["forward"], "backward": lambda self, dout: dout})()
    a_net, (x, t) = net(layer), data()
    seen.clear()
    a_net.predict(x)
    a_net.loss(x, t, train=True)
    a_net.train_step(x, t, bd.SGD())
    assert seen == [False, True, True]


def test_images_through_a_python_layer():  # B123
    class Flip(bd.Layer):
        def forward(self, x):
            return x[:, :, ::-1, 1:]

        def backward(self, dout):
            return np.pad(dout[:, :, ::-1], [(0, 0), (0, 0), (0, 0), (1, 0)])

    layers = [bd.Convolution(filters=2, size=3, pad=1), Flip(), bd.Relu(), bd.Pooling(2, 2), bd.Affine(units=3)]
    a_net = bd.Net(layers, loss=bd.SoftmaxWithLoss(), input_shape=(1, 4, 5), seed=1)
    x, t = np.random.default_rng(0).normal(size=(6, 1, 4, 5)), np.arange(6) % 3
    assert bd.gradcheck(a_net, x, t).ok
    assert a_net.fit(x, t, epochs=2, progress=False).loss


# ---- What it is given ----


def test_it_is_given_read_only_copies():  # B123
    seen = []

    class Keeps(bd.Layer):
        def forward(self, x):
            seen.append((x, x.copy()))
            with pytest.raises(ValueError, match="read-only"):
                x[...] = 0
            return x

        def backward(self, dout):
            seen.append((dout, dout.copy()))
            with pytest.raises(ValueError, match="read-only"):
                dout[...] = 0
            return dout

    a_net, (x, t) = net(Keeps(), dtype="float32"), data()
    for _ in range(3):
        a_net.train_step(x, t, a_net.optimizer or bd.SGD(0.1))
    assert len({array.ctypes.data for array, _ in seen}) == len(seen)
    for array, before in seen[1:]:
        assert array.dtype in (np.float32, np.float64)  # the first was the probe
        np.testing.assert_array_equal(array, before)


def test_it_may_do_to_its_copy_what_it_likes():  # B125
    def spoil(x):
        x.flags.writeable = True
        x.resize(1, refcheck=False)

    class Spoils(bd.Layer):
        def forward(self, x):
            out = x * 2
            if x.flags.owndata and not x.flags.writeable:
                spoil(x)
            return out

        def backward(self, dout):
            return dout * 2

    a_net, (x, t) = net(Spoils()), data()
    twin = net(type("Fine", (bd.Layer,), {"forward": lambda s, x: x * 2, "backward": lambda s, d: d * 2})())
    for a in (a_net, twin):
        a.fit(x, t, epochs=2, progress=False)
    assert state(a_net) == state(twin)


def test_what_it_returns_may_change_afterwards():  # B124
    class Reuses(bd.Layer):
        def forward(self, x):
            if not hasattr(self, "out") or self.out.shape != x.shape:
                self.out = np.empty(x.shape)
            self.out[...] = x
            return self.out

        def backward(self, dout):
            self.out[...] = np.nan
            return dout

    a_net, (x, t) = net(Reuses()), data()
    first = a_net.predict(x)
    kept = first.copy()
    a_net.gradient(x, t)
    np.testing.assert_array_equal(first, kept)


def test_making_a_net_does_not_touch_the_layer():
    class Counts(bd.Layer):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return x

        def backward(self, dout):
            return dout

    layer = Counts()
    net(layer)
    assert layer.calls == 0


# ---- What it does wrong ----


@pytest.mark.parametrize(
    "error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError, StopIteration, ZeroDivisionError]
)
@pytest.mark.parametrize("method", ["forward", "backward"])
def test_what_it_raises_passes_and_the_net_is_after_the_last_whole_step(error, method):  # B121
    raised, calls = error("mine"), []

    def before(where):
        calls.append(where)
        if armed and calls.count(method) == 4 and where == method:
            raise raised

    armed = False
    x, t = data()
    a_net, twin = net(Identity(before)), net(Identity())
    armed = True
    calls.clear()
    with pytest.raises(error) as caught:
        a_net.fit(x, t, epochs=5, batch_size=5, shuffle=False, progress=False)
    assert caught.value is raised
    for step in range(3):
        twin.train_step(x[step * 5 :][:5], t[step * 5 :][:5], twin.optimizer or bd.Adam())
    assert state(a_net) == state(twin)
    armed = False
    for each in (a_net, twin):
        each.fit(x, t, epochs=2, progress=False)
    assert state(a_net) == state(twin)


@pytest.mark.parametrize(
    "call", ["predict", "loss", "gradient", "train_step", "numerical_gradient", "gradcheck", "forward"]
)
def test_what_it_raises_passes_through_every_call(call):
    a_net, (x, t) = net(Identity()), data()
    calls = {
        "predict": lambda: a_net.predict(x),
        "loss": lambda: a_net.loss(x, t, train=True),
        "gradient": lambda: a_net.gradient(x, t),
        "train_step": lambda: a_net.train_step(x, t, bd.SGD()),
        "numerical_gradient": lambda: a_net.numerical_gradient(x, t),
        "gradcheck": lambda: bd.gradcheck(a_net, x, t),
        "forward": lambda: a_net.forward(x, keep=True),
    }
    first = state(a_net)[0]
    # before the first call, and (where there are that many) before the tenth
    for wait in (0, 9) if call in ("numerical_gradient", "gradcheck") else (0,):
        a_net.layers[3].before = None
        twin = copy.deepcopy(a_net)
        a_net.layers[3].before = Raises(wait)
        with pytest.raises(LookupError, match="mine"):
            calls[call]()
        a_net.layers[3].before = None
        assert state(a_net)[0] == first == state(twin)[0]
        np.testing.assert_array_equal(a_net.predict(x), twin.predict(x))


class Raises:
    """Raises at its n-th call; a deep copy counts with it."""

    def __init__(self, wait):
        self.wait = [wait]

    def __deepcopy__(self, memo):
        return self

    def __call__(self, where):
        self.wait[0] -= 1
        if self.wait[0] < 0:
            raise LookupError("mine")


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (lambda x: None, TypeError, "what Bad.forward returned"),
        (lambda x: "out", TypeError, "what Bad.forward returned"),
        (lambda x: x[:, :3], ValueError, r"what Bad.forward returned has shape \(5, 3\), expected \(5, 8\)"),
        (lambda x: x[:1], ValueError, "has shape"),
        (lambda x: x[:, :0], ValueError, "has shape"),
        (lambda x: x.astype(object), TypeError, "what Bad.forward returned"),
        (lambda x: x * 1j, TypeError, "what Bad.forward returned"),
        (lambda x: np.ma.array(x, mask=x > 0), TypeError, "what Bad.forward returned"),
    ],
)
@pytest.mark.parametrize("method", ["forward", "backward"])
def test_what_it_must_not_return(returned, error, message, method):  # B122
    class Bad(bd.Layer):
        good = True

        def forward(self, x):
            return x if self.good or method == "backward" else returned(x)

        def backward(self, dout):
            return dout if self.good or method == "forward" else returned(dout)

    layer = Bad()
    a_net, (x, t) = net(layer), data(5)
    a_net.train_step(x, t, bd.Adam())
    before = state(a_net)
    layer.good = False
    with pytest.raises(error, match=message.replace("forward", method)):
        a_net.train_step(x, t)
    assert state(a_net) == before
    layer.good = True
    a_net.train_step(x, t)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda layer: layer.params.update(scale=np.ones(2)), ValueError, r"has shape \(2,\), had \(1,\)"),
        (
            lambda layer: layer.params.update(scale=1.0),
            TypeError,
            "scale of Identity must be a float32 or float64 array",
        ),
        (lambda layer: layer.params.update(scale=np.ones(1, int)), TypeError, "got dtype int64"),
        (lambda layer: layer.params.clear(), KeyError, "scale"),
        (lambda layer: layer.params["scale"].setflags(write=False), ValueError, "read-only"),
    ],
)
def test_parameters_that_change_their_form(change, error, message):
    layer = Identity()
    a_net, (x, t) = net(layer), data()
    a_net.train_step(x, t, bd.Adam())
    change(layer)
    before = (
        [array.copy() for name, array in a_net.params.items() if name != "scale1"] if False else a_net._core.updates
    )
    with pytest.raises(error, match=message):
        a_net.train_step(x, t)
    assert a_net._core.updates == before


def test_a_parameter_that_is_resized_during_the_step():  # B125
    def before(where):
        if where == "backward" and armed:
            layer.params["scale"].resize(7, refcheck=False)

    armed = False
    layer = Identity(before)
    a_net, (x, t) = net(layer), data()
    a_net.train_step(x, t, bd.Adam())
    kept = {name: array.copy() for name, array in a_net.params.items()}
    buffers = [array.copy() for array in a_net.buffers.values()]
    armed = True
    with pytest.raises((RuntimeError, ValueError)):
        a_net.train_step(x, t)
    armed = False
    layer.params["scale"] = kept["scale1"]
    for name, array in a_net.params.items():
        np.testing.assert_array_equal(array, kept[name])
    for array, old in zip(a_net.buffers.values(), buffers, strict=True):
        np.testing.assert_array_equal(array, old)
    a_net.train_step(x, t)


@pytest.mark.parametrize(
    ("grads", "error"),
    [
        (None, TypeError),
        ("x", TypeError),
        (np.ones(2), ValueError),
        (np.float64(1), ValueError),
        (np.ones(1, complex), TypeError),
        (np.array([None]), TypeError),
    ],
)
def test_gradients_that_are_none(grads, error):
    class Bad(Identity):
        def backward(self, dout):
            super().backward(dout)
            self.grads = {"scale": grads} if grads is not None else {}
            return dout

    a_net, (x, t) = net(Bad()), data()
    with pytest.raises(error, match="scale"):
        a_net.train_step(x, t, bd.Adam())


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: net(bd.Layer), TypeError, "layer 4 is the class Layer"),
        (lambda: net(Swish), TypeError, r"write Swish\(...\)"),
        (lambda: net(object()), TypeError, "layer 4 must be a badak layer, got object"),
        (lambda: net(type("Half", (), {"forward": lambda self, x: x})()), TypeError, "must be a badak layer, got Half"),
        (lambda: net(type("Empty", (bd.Layer,), {})()), NotImplementedError, r"Empty has no forward\(x\)"),
        (lambda: net(type("Sums", (bd.Layer,), {"forward": lambda self, x: x.sum()})()), ValueError, "expected"),
        (lambda: net(BookAffine(np.ones((5, 3)), np.ones(3))), ValueError, "not aligned|mismatch"),
        (lambda: net(BookAffine(np.ones((8, 3)), np.broadcast_to(1.0, 3))), ValueError, "read-only"),
        (lambda: net(with_params({"a b": np.ones(1)})), ValueError, "'a b' is not a name"),
        (lambda: net(with_params({"a": 3})), TypeError, "must be a float"),
        (lambda: net(with_params({"a" * 30: np.ones(1)})), ValueError, "a name of 1 to 24 letters"),
        (lambda: net(with_params({f"p{i}_": np.ones(1) for i in range(9)})), ValueError, "9 parameters, expected"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_layer(make, error, message):  # B097
    with pytest.raises(error, match=message):
        make()


def test_infinite_recursion_is_a_recursion_error():  # B130
    def deeper(where):
        deeper(where)

    layer = Identity()
    a_net, (x, t) = net(layer), data()
    a_net.train_step(x, t, bd.Adam())
    before = state(a_net)
    layer.before = deeper
    with pytest.raises(RecursionError):
        a_net.train_step(x, t)
    assert state(a_net) == before


# ---- The net that is running ----


@pytest.mark.parametrize(
    "use",
    [
        lambda n, x, t: n.predict(x),
        lambda n, x, t: n.loss(x, t),
        lambda n, x, t: n.train_step(x, t),
        lambda n, x, t: n.fit(x, t, epochs=1, progress=False),
        lambda n, x, t: n.save("never"),
        lambda n, x, t: copy.deepcopy(n),
    ],
)
def test_it_cannot_use_the_net_that_runs_it(use):  # B126
    found = []

    def before(where):
        try:
            use(a_net, x, t)
        except RuntimeError as error:
            found.append(str(error))
            raise

    layer = Identity()
    a_net, (x, t) = net(layer), data()
    a_net.train_step(x, t, bd.Adam())
    layer.before = before
    with pytest.raises(RuntimeError, match="in use"):
        a_net.predict(x)
    assert len(found) == 1
    layer.before = None
    a_net.predict(x)


def test_a_destructor_may_ask_the_net():  # B131
    """While it runs, as any other caller; afterwards it gets its answer."""
    found = []

    class Dies:
        def __del__(self):
            try:
                found.append(a_net.predict(x).shape)
            except RuntimeError as error:
                found.append("in use" in str(error))

    layer = Identity()
    a_net, (x, t) = net(layer), data(5)
    twin = net(Identity())
    layer.before = lambda where: Dies() and None
    a_net.train_step(x, t, bd.SGD())
    layer.before = None
    twin.train_step(x, t, bd.SGD())
    assert found == [True, True]
    a_net.fit(x, t, epochs=1, progress=False, callbacks=[lambda n, e: Dies() and None])
    assert found[2:] == [(5, 3)]
    twin.fit(x, t, epochs=1, progress=False)
    assert state(a_net) == state(twin)


def test_the_layers_of_a_net_are_those_given_at_the_start():  # B127
    layers = [bd.Affine(units=8), bd.Residual([Identity()]), bd.Affine(units=3)]
    a_net = bd.Net(layers, loss=bd.SoftmaxWithLoss(), input_shape=4, seed=1)
    x, t = data()

    def change(n, event):
        layers.append(bd.Relu())
        layers[0] = None
        with pytest.raises(AttributeError):
            n.layers.append(bd.Relu())
        with pytest.raises(AttributeError):
            n.layers = layers

    assert len(a_net.fit(x, t, epochs=3, callbacks=[change], progress=False).loss) == 3
    assert len(a_net.layers) == 3
    assert a_net.predict(x).shape == (len(x), 3)


def test_a_thread_that_it_starts_cannot_either():  # B129
    found = []

    def before(where):
        def use():
            with pytest.raises(RuntimeError, match="in use"):
                a_net.predict(x)
            found.append(where)

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()

    layer = Identity()
    a_net, (x, t) = net(layer), data()
    layer.before = before
    a_net.train_step(x, t, bd.SGD())
    assert found == ["forward", "backward"]


def test_nets_with_python_layers_train_in_threads():
    x, t = data()
    nets = [net(Swish()) for _ in range(4)]
    alone = net(Swish())
    alone.fit(x, t, epochs=20, batch_size=5, progress=False)
    threads = [threading.Thread(target=n.fit, args=(x, t), kwargs={"epochs": 20, "batch_size": 5, "progress": False})
               for n in nets]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n in nets:
        assert state(n) == state(alone)


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals to itself")
@pytest.mark.parametrize("where", ["forward", "backward"])
def test_ctrl_c_in_its_call(where):  # F46
    def before(place):
        if place == where:
            time.sleep(30)

    layer = Identity()
    a_net, (x, t) = net(layer), data()
    a_net.train_step(x, t, bd.Adam())
    before_it = state(a_net)
    layer.before = before
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    began = time.perf_counter()
    try:
        with pytest.raises(KeyboardInterrupt):
            timer.start()  # on a machine that has much to do, it may be over before this returns
            a_net.fit(x, t, epochs=1, shuffle=False, progress=False)
        assert time.perf_counter() - began < 5
    finally:
        timer.join()
        signal.signal(signal.SIGINT, handler)
    assert state(a_net) == before_it


def test_a_layer_and_its_net_are_freed():
    layer = Identity()
    a_net = net(bd.Residual([layer]))
    layer.net = a_net  # a cycle through the core
    layer.core = a_net._core
    gone = [weakref.ref(layer), weakref.ref(a_net)]
    a_net.predict(data()[0])
    del layer, a_net
    gc.collect()
    assert [reference() for reference in gone] == [None, None]
