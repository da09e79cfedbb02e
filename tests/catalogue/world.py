"""What the rows of the catalogue share: a world to be left alone, and `refused`, which looks whether it was.

A row is a function of the world, run in a process of its own. A refused call must raise the right exception with a
message that helps, and must change nothing: parameters, gradients, optimiser, generator, what layers remember, and the
arguments themselves with their reference counts. The next good calls must give, bit for bit, what they give in a world
that never saw the bad one.
"""

import gc
import hashlib
import inspect
import itertools
import os
import re
import sys

import numpy as np

import badak as bd

INT64_MIN = -(2**63)
NUMPY_2 = int(np.__version__.split(".")[0]) >= 2
MAX_NDIM = 64 if NUMPY_2 else 32  # of NumPy
ONES = np.ones((12, 4))


# ---- Rows ----


class Case:
    """A function of the world and the values of a row, with its tables: each combination of their rows is a test."""

    def __init__(self, function):
        self.function = function
        self.tables = []

    def rows(self):
        """(id, function of the world) of every combination."""
        title = self.function.__name__
        for combination in itertools.product(*[rows for _, rows in reversed(self.tables)]):
            values = {}
            for (names, _), (_, row) in zip(reversed(self.tables), combination, strict=True):
                values.update(zip(names, row, strict=True))
            yield "-".join([title, *[name for name, _ in combination]]), self._with(values)

    def _with(self, values):
        wants_world = "world" in inspect.signature(self.function).parameters
        return lambda world: self.function(world, **values) if wants_world else self.function(**values)


def case(function):
    """A row of its own."""
    return Case(function)


def each(names, table):
    """Every row of a table: of `rows` or `crossed`, or a plain list of values."""
    names = (names,) if isinstance(names, str) else names

    def decorate(function):
        one = function if isinstance(function, Case) else Case(function)
        named = [row if isinstance(row, Row) else _named(i, row, names) for i, row in enumerate(table)]
        one.tables.append((names, [(row.name, row.values) for row in named]))
        return one

    return decorate


class Row:
    def __init__(self, name, values):
        self.name = name
        self.values = values


def _named(i, row, names):
    values = row if len(names) > 1 else (row,)
    return Row("-".join(v if isinstance(v, str) else str(i) for v in values[:1]) if values else str(i), values)


def rows(table):
    return [Row(row[0], row[1:]) for row in table]


def crossed(entries, table):
    """Every bad argument at every entry."""
    return [Row(f"{name}-{row[0]}", (entry, *row[1:])) for name, entry in entries.items() for row in table]


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
        np.random.seed(0)  # what the book's networks and Dropout draw from
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
        self.images = bd.Net(
            [
                bd.Convolution(filters=2, size=2, pad=1),
                bd.BatchNormalization(axis="channel"),
                bd.Relu(),
                bd.Pooling(2, 2),
                bd.Dropout(0.3),
                bd.Affine(units=1),
            ],
            loss=bd.SigmoidWithLoss(),
            input_shape=(1, 2, 2),
            dtype="float64",
            seed=3,
        )
        self.yes = np.arange(12) % 2.0
        for _ in range(2):
            self.net.train_step(self.x, self.t, self.net.optimizer or bd.Adam(lr=0.01))
            self.regression.train_step(self.x, self.rows, self.regression.optimizer or bd.Adam(lr=0.01))
            self.images.train_step(self.x, self.yes, self.images.optimizer or bd.Nesterov(lr=0.01))
        self.net.fit(self.x, self.t, epochs=1, batch_size=5, progress=False)
        self.net.gradient(self.x, self.t)

        self.affine = bd.Affine(rng.standard_normal((4, 5)), rng.standard_normal(5))
        self.relu, self.sigmoid, self.tanh = bd.Relu(), bd.Sigmoid(), bd.Tanh()
        inner = bd.Affine(rng.standard_normal((4, 4)), rng.standard_normal(4))
        self.residual = bd.Residual([inner, bd.Tanh()])
        self.layers = [self.affine, self.relu, self.sigmoid, self.tanh, self.residual]
        self.book_net = bd.TwoLayerNet(4, 5, 3)
        self.book_conv_net = bd.SimpleConvNet((1, 4, 4), {"filter_num": 2, "filter_size": 3}, 4, 3)
        self.normalization = bd.BatchNormalization(rng.random(4), rng.random(4))
        self.dropout, self.leaky, self.rows_softmax = bd.Dropout(0.3), bd.LeakyRelu(), bd.Softmax()
        self.layers += [self.normalization, self.dropout, self.leaky, self.rows_softmax, bd.Flatten()]
        self.convolution = bd.Convolution(rng.standard_normal((2, 1, 2, 2)), rng.standard_normal(2), pad=1)
        self.pooling, self.mean_pooling = bd.Pooling(2, 2), bd.Pooling(2, 2, mean=True)
        self.image_layers = [self.convolution, self.pooling, self.mean_pooling]
        for layer in (*self.layers, *self.image_layers):
            layer.backward(layer.forward(self.input_of(layer)))
        self.softmax, self.identity, self.sigmoid_loss = losses = (
            bd.SoftmaxWithLoss(),
            bd.IdentityWithLoss(),
            bd.SigmoidWithLoss(),
        )
        for loss, t in zip(losses, (self.t % 4, self.x.astype(float), self.x > 0), strict=True):
            loss.forward(self.x, t)
            loss.backward()
        self.all_layers = [*self.layers, *self.image_layers, inner, self.residual.layers[1], *losses]

        self.params = {"W": rng.standard_normal((3, 2)), "b": rng.standard_normal(2), "s": 0.5}
        self.grads = {"W": np.ones((3, 2)), "b": np.ones(2), "s": 1.0}
        self.adam = bd.Adam()
        self.sgd = bd.SGD()
        self.adam.update(self.params, self.grads)
        self.went_on = 0

    def input_of(self, layer):
        return self.x.reshape(12, 1, 2, 2) if layer in self.image_layers else self.x

    def state(self):
        """Everything that a refused call must leave as it was: values, and which objects hold them."""
        state = self.values()
        for name in ("net", "regression", "images"):
            state[name, "optimizer is"] = id(getattr(self, name).optimizer)
        for i, layer in enumerate(self.all_layers):
            state[i, "objects"] = id(layer._saved), id(layer._core), [id(array) for array in layer.params.values()]
        state["params are"] = [id(value) for value in self.params.values()]
        return state

    def values(self):
        state = {"np.random": digest([np.random.get_state()[1], np.random.get_state()[2]])}
        for name, net in (("net", self.net), ("regression", self.regression), ("images", self.images)):
            for part in ("params", "grads", "buffers"):
                state[name, part] = digest(getattr(net, part).values())
            for part, arrays in net.optimizer.state.items():
                state[name, part] = digest(arrays.values())
            state[name, "optimizer"] = net.optimizer.hyper, net.optimizer.iter
            state[name, "core"] = net._core.rng, net._core.updates
        for i, layer in enumerate(self.all_layers):
            state[i, "params"] = digest(layer.params.values())
            state[i, "grads"] = digest(layer.grads.values())
            kept = getattr(layer, "_saved", None)
            state[i, "kept"] = digest(getattr(kept, name, None) for name in ("x", "out", "sign", "keep"))
            state[i, "own"] = digest(value for value in vars(layer).values() if isinstance(value, np.ndarray))
        for name in ("book_net", "book_conv_net"):
            state[name] = digest(getattr(self, name).params.values())
        state["params"] = digest(self.params.values())
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
        results += [self.images.train_step(x, self.yes), *self.images.gradient(x, self.yes).values()]
        results += [self.images.predict(x), *self.images.buffers.values()]
        np.random.seed(1)
        for layer in (*self.layers, *self.image_layers):
            dout = np.ones_like(layer.forward(self.input_of(layer)))
            results += [layer.backward(dout), *layer.grads.values()]
        results += [self.softmax.backward(), self.identity.backward(), self.sigmoid_loss.backward()]
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
        total.update(f"{array.shape}{array.dtype.str}".encode() + array.tobytes())
    return total.hexdigest()


CONTROL = World()
UNDISTURBED = []  # what the control's calls give, one after the other


def get_ready():
    """Make what every row needs, once, in the process that they are forked from; returns their world."""
    World().goes_on_undisturbed()
    return World()


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
    after = world.state()
    assert after == before, f"changed: {[key for key in before if after[key] != before[key]]}"
    assert [fingerprint(argument) for argument in arguments] == prints, "an argument changed"

    gc.disable()  # it would free what other tests left
    counts = [sys.getrefcount(one) for one in watched]
    for _ in range(3):
        failure_of(call)
    counts_after = [sys.getrefcount(one) for one in watched]
    gc.enable()
    assert counts_after == counts, "references leak"
    assert world.goes_on_undisturbed()


def fresh_net():
    return bd.Net([bd.Affine(units=3)], loss=bd.SoftmaxWithLoss(), input_shape=4, seed=1)


# ---- Odd arguments ----


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def misaligned(array):
    raw = np.empty(array.nbytes + 1, np.uint8)
    moved = raw[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


def swapped(x):
    return x.astype(x.dtype.newbyteorder())


def resident_bytes():
    """Memory in use (Linux)."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


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
