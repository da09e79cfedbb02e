"""The contestants: one small class each, all with the same methods, each library as fast as it goes.

Every one starts from the same weights and does the same work; ``check.py`` looks that it does. What is not part of the
work is kept out of the time: ``take`` brings data into a library's own arrays beforehand.
"""

import math
from contextlib import nullcontext

import numpy as np
import numpy_book

LR = {"SGD": 0.1, "Adam": 0.001}
BETA1, BETA2, EPS = 0.9, 0.999, 1e-7


class UnavailableError(Exception):
    """The contestant cannot take part here; the text says why."""


class Contestant:
    """Interface, with defaults."""

    name = None
    packages = ()  # whose versions are worth knowing
    peer = True  # badak is measured against it
    compared = False  # with badak's Net: races in its training step of 100 images only
    dtype = np.float32
    gives = "scores"  # what infer returns, or "probabilities"
    torch_adam = False  # its Adam adds eps where PyTorch does, not where the book does
    lingers = 0.0  # seconds for which its threads go on spinning after a call, when there are several

    def can(self, net):
        """Is it able to express this net, and is it another configuration there than one that takes part anyway?"""
        return True

    def build(self, net, optimizer=None):
        """Make the net, with the first weights that it has.

        Parameters
        ----------
        net : nets.Net
        optimizer : "SGD", "Adam" or None
            None: for inference only, so that the weights may be treated as constants.
        """
        raise NotImplementedError

    def take(self, x, t=None):
        """x, or (x, t), as the library likes to have them."""
        x = np.ascontiguousarray(x, dtype=self.dtype)
        return x if t is None else (x, t)

    def step(self, x, t):
        """One training step on a batch; returns the loss in the library's own form, for ``number``."""
        raise NotImplementedError

    def number(self, loss):
        return float(loss)

    def epoch(self, x, t, batch, shuffle):
        """Train once on all of x: in the library's own loop if it has one, else as its users write it."""
        order = np.random.permutation(len(x)) if shuffle else np.arange(len(x))
        for first in range(0, len(x), batch):
            rows = order[first : first + batch]
            self.step(x[rows], t[rows])
        self.wait()

    def wait(self):
        """Return when all steps are done."""

    def inference(self):
        """A context for ``infer``, entered once for many calls."""
        return nullcontext()

    def infer(self, x):
        """The scores (or what ``gives`` says) of a batch."""
        raise NotImplementedError

    def weights(self):
        """List of (W, b), NumPy arrays of the shapes that ``net.weights()`` has."""
        raise NotImplementedError


# -- badak ----------------------------------------------------------------------------------------


class Badak(Contestant):
    """``bd.Net``: a step, or an epoch, is one call."""

    name = "badak"
    packages = ("badak",)
    peer = False

    def __init__(self):
        import badak

        self.bd = badak

    def layer(self, kind, size, weights):
        bd = self.bd
        if kind == "affine":
            return bd.Affine(*next(weights))
        if kind == "conv":
            return bd.Convolution(*next(weights), pad=size[2])
        if kind == "dropout":
            return bd.Dropout(*size, inverted=True)
        return bd.Pooling(2, 2, stride=2) if kind == "pool" else bd.Relu()

    def build(self, net, optimizer=None):
        bd = self.bd
        weights = iter([(W.astype(self.dtype), b.astype(self.dtype)) for W, b in net.weights()])
        layers = [self.layer(kind, size, weights) for kind, *size in net.layers]
        self.net = bd.Net(layers, loss=bd.SoftmaxWithLoss(), input_shape=net.shape, dtype=self.dtype, seed=1)
        if optimizer == "SGD":
            self.optimizer = bd.SGD(lr=LR["SGD"])
        elif optimizer == "Adam":
            self.optimizer = bd.Adam(lr=LR["Adam"], beta1=BETA1, beta2=BETA2, eps=EPS)

    def step(self, x, t):
        return self.net.train_step(x, t, self.optimizer)

    def epoch(self, x, t, batch, shuffle):
        self.net.fit(
            x, t, epochs=1, batch_size=batch, optimizer=self.optimizer, shuffle=shuffle, seed=1, progress=False
        )

    def infer(self, x):
        return self.net.predict(x)

    def weights(self):
        arrays = list(self.net.params.values())
        return list(zip(arrays[::2], arrays[1::2], strict=True))


class BadakOneThread(Badak):
    """The same by one of several threads: in one race with all of them it tells what they gain."""

    name = "badak, one thread"
    compared = True

    def can(self, net):
        return not net.is_mlp and self.bd.get_num_threads() > 1

    def step(self, x, t):
        threads = self.bd.get_num_threads()
        self.bd.set_num_threads(1)
        try:
            return super().step(x, t)
        finally:
            self.bd.set_num_threads(threads)


# -- NumPy ----------------------------------------------------------------------------------------


class NumpyBook(Contestant):
    """The book's classes, layer after layer."""

    name = "NumPy, as in the book (float64)"
    packages = ("numpy",)
    dtype = np.float64
    lingers = 0.15  # OpenBLAS

    def __init__(self):
        self.library = numpy_book

    def layer(self, kind, size, weights):
        library = self.library
        if kind == "affine":
            return library.Affine(*next(weights))
        if kind == "conv":
            return library.Convolution(*next(weights), stride=1, pad=size[2])
        if kind == "dropout":
            return library.Dropout(*size)
        return library.Pooling(2, 2, stride=2) if kind == "pool" else library.Relu()

    def build(self, net, optimizer=None):
        weights = iter([(W.astype(self.dtype), b.astype(self.dtype)) for W, b in net.weights()])
        layers = [self.layer(kind, size, weights) for kind, *size in net.layers]
        self.net = numpy_book.Network(layers, self.library.SoftmaxWithLoss())
        if optimizer == "SGD":
            self.optimizer = self.library.SGD(LR["SGD"])
        elif optimizer == "Adam":
            self.optimizer = self.library.Adam(LR["Adam"], BETA1, BETA2, EPS)

    def step(self, x, t):
        loss, grads = self.net.gradient(x, t)
        self.optimizer.update(self.net.params, grads)
        return loss

    def infer(self, x):
        return self.net.predict(x)

    def weights(self):
        return [(layer.W, layer.b) for layer in self.net.trained]


class NumpyTorchAdam(NumpyBook):
    """With the eps that makes the book's formula of Adam that of PyTorch, a new one in each step."""

    def step(self, x, t):
        self.optimizer.eps = EPS * math.sqrt(1 - BETA2 ** (self.optimizer.iter + 1))
        return super().step(x, t)


class NumpyBookFloat32(NumpyBook):
    name = "NumPy, as in the book but float32"
    dtype = np.float32


class BadakLayers(NumpyBook):
    """The book's classes again, but badak's: what a reader gets who only changes the imports."""

    name = "badak, layer by layer"
    compared = True
    packages = ("badak",)
    peer = False
    dtype = np.float32
    lingers = 0.0

    def __init__(self):
        import badak

        self.library = badak

    def layer(self, kind, size, weights):
        if kind == "dropout":
            return self.library.Dropout(*size, inverted=True)
        return super().layer(kind, size, weights)


# -- scikit-learn ---------------------------------------------------------------------------------


class ScikitLearn(Contestant):
    """``partial_fit`` of one batch, and ``predict_proba``; checks are off where there is a switch for it.

    What is left of them is most of the time: many batches in one call take a third of it, each.
    """

    name = "scikit-learn"
    packages = ("scikit-learn",)
    gives = "probabilities"
    lingers = 0.15  # OpenBLAS

    def __init__(self):
        import sklearn
        from sklearn.neural_network import MLPClassifier

        sklearn.set_config(assume_finite=True, skip_parameter_validation=True)
        self.MLPClassifier = MLPClassifier

    def can(self, net):
        return net.is_mlp

    def build(self, net, optimizer=None):
        weights = net.weights()
        inputs, classes = weights[0][0].shape[0], weights[-1][1].size
        self.net = self.MLPClassifier(
            hidden_layer_sizes=[b.size for _, b in weights[:-1]],
            solver=(optimizer or "SGD").lower(),
            learning_rate_init=LR[optimizer or "SGD"],
            beta_1=BETA1,
            beta_2=BETA2,
            epsilon=EPS,
            momentum=0,
            nesterovs_momentum=False,
            alpha=0,  # no weight decay
            batch_size=classes,
            shuffle=False,
            tol=0,
            n_iter_no_change=10**9,
        )
        labels = np.arange(classes)
        self.net.partial_fit(np.zeros((classes, inputs), self.dtype), labels, classes=labels)
        self.net.coefs_ = [W.astype(self.dtype) for W, _ in weights]
        self.net.intercepts_ = [b.astype(self.dtype) for _, b in weights]
        del self.net._optimizer  # it is made anew, for these arrays

    def step(self, x, t):
        self.net.batch_size = len(x)
        return self.net.partial_fit(x, t).loss_

    def epoch(self, x, t, batch, shuffle):
        self.net.batch_size, self.net.shuffle = batch, shuffle
        self.net.partial_fit(x, t)

    def infer(self, x):
        return self.net.predict_proba(x)

    def weights(self):
        return list(zip(self.net.coefs_, self.net.intercepts_, strict=True))


# -- PyTorch --------------------------------------------------------------------------------------


class PyTorch(Contestant):
    """Eager. Functions rather than modules, and for Adam the fused update: each the fastest that we found."""

    name = "PyTorch"
    packages = ("torch",)
    torch_adam = True
    channels_last = False
    lingers = 0.01  # OpenMP

    def __init__(self):
        import torch

        self.torch = torch
        self.functions = torch.nn.functional

    def _ordered(self, tensor):
        images = self.channels_last and tensor.ndim == 4
        return tensor.contiguous(memory_format=self.torch.channels_last) if images else tensor

    def build(self, net, optimizer=None):
        torch = self.torch

        def parameter(a):
            a = np.ascontiguousarray(a, dtype=self.dtype).copy()
            return self._ordered(torch.from_numpy(a)).requires_grad_(optimizer is not None)

        self.layers = net.layers
        self.pairs = [(parameter(W.T if W.ndim == 2 else W), parameter(b)) for W, b in net.weights()]
        parameters = [p for pair in self.pairs for p in pair]
        if optimizer == "SGD":
            self.optimizer = torch.optim.SGD(parameters, lr=LR["SGD"])
        elif optimizer == "Adam":
            self.optimizer = torch.optim.Adam(parameters, lr=LR["Adam"], betas=(BETA1, BETA2), eps=EPS, fused=True)

    def take(self, x, t=None):
        x = self._ordered(self.torch.from_numpy(super().take(x)))
        return x if t is None else (x, self.torch.from_numpy(t))

    def scores(self, x, training=False):
        f, pairs = self.functions, iter(self.pairs)
        for kind, *size in self.layers:
            if kind == "affine":
                x = f.linear(x.flatten(1) if x.ndim == 4 else x, *next(pairs))
            elif kind == "conv":
                x = f.conv2d(x, *next(pairs), padding=size[2])
            elif kind == "relu":
                x = x.relu_()
            elif kind == "pool":
                x = f.max_pool2d(x, 2)
            elif training:
                x = f.dropout(x, *size)
        return x

    def loss(self, x, t):
        return self.functions.cross_entropy(self.scores(x, training=True), t)

    def step(self, x, t):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(x, t)
        loss.backward()
        self.optimizer.step()
        return loss

    def number(self, loss):
        return loss.item()

    def epoch(self, x, t, batch, shuffle):
        order = self.torch.randperm(len(x)) if shuffle else self.torch.arange(len(x))
        for rows in order.split(batch):
            self.step(x[rows], t[rows])

    def inference(self):
        return self.torch.inference_mode()

    def infer(self, x):
        return self.scores(x)

    def weights(self):
        pairs = [(W.detach().numpy(), b.detach().numpy()) for W, b in self.pairs]
        return [(W.T if W.ndim == 2 else W, b) for W, b in pairs]


class PyTorchChannelsLast(PyTorch):
    """The same with images and filters in the other order of memory."""

    name = "PyTorch, channels_last"
    channels_last = True

    def can(self, net):
        return not net.is_mlp


class PyTorchCompiled(PyTorch):
    """``torch.compile`` of scores and loss, forward and backward; it needs a C++ compiler."""

    name = "PyTorch, torch.compile"

    def __init__(self):
        super().__init__()
        try:
            self.torch.compile(lambda x: x + 1)(self.torch.ones(2))
        except Exception as error:
            raise UnavailableError(f"torch.compile fails here ({type(error).__name__})") from error

    def build(self, net, optimizer=None):
        super().build(net, optimizer)
        self.torch.compiler.reset()  # forget the net before
        if optimizer is None:
            self.scores = self.torch.compile(super().scores)
        else:
            self.loss = self.torch.compile(super().loss)


# -- JAX ------------------------------------------------------------------------------------------


class Jax(Contestant):
    """One jitted function is the whole step; it may reuse the memory of the parameters and of Adam's state.

    Images have their channels last, which is what XLA computes convolutions in.
    """

    name = "JAX, jit"
    packages = ("jax", "jaxlib")

    def __init__(self):
        import jax

        jax.config.update("jax_cpu_enable_async_dispatch", False)  # a third of the time for one image
        self.jax = jax

    def build(self, net, optimizer=None):
        jax = self.jax
        self.of = net
        pairs = self._own_order(net.weights())
        if optimizer is None:
            self.scores = jax.jit(lambda x: self._scores(pairs, x))  # the weights are constants
            return
        self.state = {"pairs": pairs, "key": jax.random.key(1, impl="unsafe_rbg")}
        if optimizer == "Adam":
            self.state["m"] = jax.tree.map(jax.numpy.zeros_like, pairs)
            self.state["v"] = jax.tree.map(jax.numpy.zeros_like, pairs)
            self.state["iter"] = jax.numpy.zeros((), dtype=self.dtype)
        update = {"SGD": self._sgd, "Adam": self._adam}[optimizer]
        self.run = jax.jit(update, donate_argnums=0)
        self.run_rows = jax.jit(lambda state, x, t, rows: update(state, x[rows], t[rows]), donate_argnums=0)

    def _own_order(self, pairs):
        """Filters (height, width, channels, filters), and the rows after an image as its numbers come then."""
        found = []
        for (W, b), shape in zip(pairs, self._trained_inputs(), strict=True):
            if W.ndim == 4:
                W = W.transpose(2, 3, 1, 0)
            elif len(shape) == 3:
                W = W.reshape(*shape, -1).transpose(1, 2, 0, 3).reshape(W.shape)
            found.append(tuple(self.jax.numpy.array(a, dtype=self.dtype) for a in (W, b)))
        return found

    def _trained_inputs(self):
        shapes = zip(self.of.shapes(), self.of.layers, strict=False)
        return [shape for shape, (kind, *_) in shapes if kind in ("conv", "affine")]

    def take(self, x, t=None):
        x = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
        x = self.jax.numpy.array(super().take(x))
        return x if t is None else (x, self.jax.numpy.array(t, dtype=np.int32))

    def _scores(self, pairs, x, key=None):
        jax, pairs = self.jax, iter(pairs)
        for kind, *size in self.of.layers:
            if kind == "affine":
                W, b = next(pairs)
                x = x.reshape(len(x), -1) @ W + b
            elif kind == "conv":
                W, b = next(pairs)
                pad = (size[2], size[2])
                x = b + jax.lax.conv_general_dilated(
                    x, W, (1, 1), (pad, pad), dimension_numbers=("NHWC", "HWIO", "NHWC")
                )
            elif kind == "relu":
                x = jax.nn.relu(x)  # whose slope at 0 is 0, unlike that of maximum
            elif kind == "pool":
                x = self._pool(x)
            elif key is not None:
                key, mine = jax.random.split(key)
                x = jax.numpy.where(jax.random.bernoulli(mine, 1 - size[0], x.shape), x / (1 - size[0]), 0)
        return x

    def _pool(self, x):
        """The first of the largest of each 2 by 2: the gradient of a maximum would be shared among equals."""
        n, h, w, c = x.shape
        x = x.reshape(n, h // 2, 2, w // 2, 2, c)
        first = self.jax.numpy.where(x[:, :, :, :, 0] >= x[:, :, :, :, 1], x[:, :, :, :, 0], x[:, :, :, :, 1])
        return self.jax.numpy.where(first[:, :, 0] >= first[:, :, 1], first[:, :, 0], first[:, :, 1])

    def _loss(self, pairs, x, t, key):
        log_y = self.jax.nn.log_softmax(self._scores(pairs, x, key))
        return -(log_y * self.jax.nn.one_hot(t, log_y.shape[1])).sum() / x.shape[0]

    def _gradient(self, state, x, t):
        """(loss, gradients, the key of the next step)."""
        key, next_key = state["key"], state["key"]
        if any(kind == "dropout" for kind, *_ in self.of.layers):
            key, next_key = self.jax.random.split(key)
        loss, grads = self.jax.value_and_grad(self._loss)(state["pairs"], x, t, key)
        return loss, grads, next_key

    def _sgd(self, state, x, t):
        loss, grads, key = self._gradient(state, x, t)
        pairs = self.jax.tree.map(lambda p, g: p - LR["SGD"] * g, state["pairs"], grads)
        return {"pairs": pairs, "key": key}, loss

    def _adam(self, state, x, t):
        jax, sqrt = self.jax, self.jax.numpy.sqrt
        loss, grads, key = self._gradient(state, x, t)
        i = state["iter"] + 1
        one_minus_power1 = -jax.numpy.expm1(i * math.log(BETA1))  # 1 - BETA1**i, exact in float32
        one_minus_power2 = -jax.numpy.expm1(i * math.log(BETA2))
        lr = LR["Adam"] * sqrt(one_minus_power2) / one_minus_power1
        m = jax.tree.map(lambda m, g: m + (1 - BETA1) * (g - m), state["m"], grads)
        v = jax.tree.map(lambda v, g: v + (1 - BETA2) * (g * g - v), state["v"], grads)
        pairs = jax.tree.map(lambda p, m, v: p - lr * m / (sqrt(v) + EPS), state["pairs"], m, v)
        return {"pairs": pairs, "m": m, "v": v, "iter": i, "key": key}, loss

    def step(self, x, t):
        self.state, loss = self.run(self.state, x, t)
        return loss

    def epoch(self, x, t, batch, shuffle):
        order = np.random.permutation(len(x)) if shuffle else np.arange(len(x))
        for first in range(0, len(x), batch):
            self.state, _ = self.run_rows(self.state, x, t, order[first : first + batch])
        self.wait()

    def infer(self, x):
        return self.scores(x).block_until_ready()

    def wait(self):
        self.jax.block_until_ready(self.state)

    def weights(self):
        found = []
        for (W, b), shape in zip(self.state["pairs"], self._trained_inputs(), strict=True):
            W, b = np.asarray(W), np.asarray(b)
            if W.ndim == 4:
                W = W.transpose(3, 2, 0, 1)
            elif len(shape) == 3:
                c, h, w = shape
                W = W.reshape(h, w, c, -1).transpose(2, 0, 1, 3).reshape(W.shape)
            found.append((W, b))
        return found


CONTESTANTS = (
    Badak,
    BadakLayers,
    PyTorch,
    PyTorchChannelsLast,
    PyTorchCompiled,
    Jax,
    ScikitLearn,
    NumpyBook,
    NumpyBookFloat32,
    BadakOneThread,
)


def present(wanted=None, quick=False):
    """The contestants that can take part, and a dict of those that cannot, with the reason.

    Parameters
    ----------
    wanted : list of str, optional
        Only those whose name has one of these texts; badak in any case.
    quick : bool
        Without torch.compile.
    """
    here, absent = [], {}
    for kind in CONTESTANTS:
        if wanted and kind is not Badak and not any(text.lower() in kind.name.lower() for text in wanted):
            continue
        if quick and kind is PyTorchCompiled:
            absent[kind.name] = "it compiles for longer than the quick run takes"
            continue
        try:
            here.append(kind())
        except ImportError as error:
            absent[kind.name] = f"it cannot be imported ({error})"
        except UnavailableError as error:
            absent[kind.name] = str(error)
    return here, absent
