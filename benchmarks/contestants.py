"""The contestants: one small class each, all with the same methods, each library as fast as it goes.

Every one starts from the same weights and does the same work; ``race.py`` checks that it does. What is
not part of the work is kept out of the time: ``take`` brings data into a library's own arrays beforehand.
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
    dtype = np.float32
    gives = "scores"  # what infer returns, or "probabilities"
    torch_adam = False  # its Adam adds eps where PyTorch does, not where the book does

    def build(self, weights, optimizer=None):
        """Make the net.

        Parameters
        ----------
        weights : list of (W, b)
            W is (in, out), as in the book. They must not be changed.
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

    def wait(self):
        """Return when all steps are done."""

    def inference(self):
        """A context for ``infer``, entered once for many calls."""
        return nullcontext()

    def infer(self, x):
        """The scores (or what ``gives`` says) of a batch."""
        raise NotImplementedError

    def weights(self):
        """List of (W, b), NumPy arrays."""
        raise NotImplementedError


class Badak(Contestant):
    name = "badak"
    packages = ("badak",)

    def __init__(self):
        import badak

        self.bd = badak

    def build(self, weights, optimizer=None):
        bd = self.bd
        layers = []
        for W, b in weights:
            layers += [bd.Affine(W.astype(self.dtype), b.astype(self.dtype)), bd.Relu()]
        self.net = bd.Net(
            layers[:-1],
            loss=bd.SoftmaxWithLoss(),
            input_shape=weights[0][0].shape[:1],
            dtype=self.dtype,
        )
        if optimizer == "SGD":
            self.optimizer = bd.SGD(lr=LR["SGD"])
        elif optimizer == "Adam":
            self.optimizer = bd.Adam(lr=LR["Adam"], beta1=BETA1, beta2=BETA2, eps=EPS)

    def step(self, x, t):
        return self.net.train_step(x, t, self.optimizer)

    def infer(self, x):
        return self.net.predict(x)

    def weights(self):
        arrays = list(self.net.params.values())
        return list(zip(arrays[::2], arrays[1::2], strict=True))


class NumpyBook(Contestant):
    name = "NumPy, as in the book (float64)"
    packages = ("numpy",)
    dtype = np.float64

    def build(self, weights, optimizer=None):
        params = {}
        for i, (W, b) in enumerate(weights, start=1):
            params[f"W{i}"] = W.astype(self.dtype)
            params[f"b{i}"] = b.astype(self.dtype)
        self.net = numpy_book.MultiLayerNet(params)
        if optimizer == "SGD":
            self.optimizer = numpy_book.SGD(LR["SGD"])
        elif optimizer == "Adam":
            self.optimizer = numpy_book.Adam(LR["Adam"], BETA1, BETA2, EPS)

    def step(self, x, t):
        loss, grads = self.net.gradient(x, t)
        self.optimizer.update(self.net.params, grads)
        return loss

    def infer(self, x):
        return self.net.predict(x)

    def weights(self):
        return [(layer.W, layer.b) for layer in self.net.affine]


class NumpyTorchAdam(NumpyBook):
    """With the eps that makes the book's formula of Adam that of PyTorch, a new one in each step."""

    def step(self, x, t):
        self.optimizer.eps = EPS * math.sqrt(1 - BETA2 ** (self.optimizer.iter + 1))
        return super().step(x, t)


class NumpyBookFloat32(NumpyBook):
    name = "NumPy, as in the book but float32"
    dtype = np.float32


class ScikitLearn(Contestant):
    """``partial_fit`` of one batch, and ``predict_proba``; checks are off where there is a switch for it.

    What is left of them is most of the time: many batches in one call take a third of it, each.
    """

    name = "scikit-learn"
    packages = ("scikit-learn",)
    gives = "probabilities"

    def __init__(self):
        import sklearn
        from sklearn.neural_network import MLPClassifier

        sklearn.set_config(assume_finite=True, skip_parameter_validation=True)
        self.MLPClassifier = MLPClassifier

    def build(self, weights, optimizer=None):
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
            batch_size="auto",  # all that it is given, up to 200
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
        return self.net.partial_fit(x, t).loss_

    def infer(self, x):
        return self.net.predict_proba(x)

    def weights(self):
        return list(zip(self.net.coefs_, self.net.intercepts_, strict=True))


class PyTorch(Contestant):
    """Eager. Functions rather than modules, and for Adam the fused update: each the fastest that we found."""

    name = "PyTorch"
    packages = ("torch",)
    torch_adam = True

    def __init__(self):
        import torch

        torch.set_num_threads(1)
        self.torch = torch
        self.linear = torch.nn.functional.linear
        self.cross_entropy = torch.nn.functional.cross_entropy

    def build(self, weights, optimizer=None):
        torch = self.torch

        def parameter(a):
            a = np.ascontiguousarray(a, dtype=self.dtype).copy()
            return torch.from_numpy(a).requires_grad_(optimizer is not None)

        self.hidden = [(parameter(W.T), parameter(b)) for W, b in weights]
        self.last = self.hidden.pop()
        parameters = [p for pair in [*self.hidden, self.last] for p in pair]
        if optimizer == "SGD":
            self.optimizer = torch.optim.SGD(parameters, lr=LR["SGD"])
        elif optimizer == "Adam":
            self.optimizer = torch.optim.Adam(parameters, lr=LR["Adam"], betas=(BETA1, BETA2), eps=EPS, fused=True)

    def take(self, x, t=None):
        x = self.torch.from_numpy(super().take(x))
        return x if t is None else (x, self.torch.from_numpy(t))

    def scores(self, x):
        for W, b in self.hidden:
            x = self.linear(x, W, b).relu_()
        return self.linear(x, *self.last)

    def loss(self, x, t):
        return self.cross_entropy(self.scores(x), t)

    def step(self, x, t):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(x, t)
        loss.backward()
        self.optimizer.step()
        return loss

    def number(self, loss):
        return loss.item()

    def inference(self):
        return self.torch.inference_mode()

    def infer(self, x):
        return self.scores(x)

    def weights(self):
        pairs = [*self.hidden, self.last]
        return [(W.detach().numpy().T, b.detach().numpy()) for W, b in pairs]


class PyTorchCompiled(PyTorch):
    """``torch.compile`` of scores and loss, forward and backward; it needs a C++ compiler."""

    name = "PyTorch, torch.compile"

    def __init__(self):
        super().__init__()
        try:
            self.torch.compile(lambda x: x + 1)(self.torch.ones(2))
        except Exception as error:
            raise UnavailableError(f"torch.compile fails here ({type(error).__name__})") from error

    def build(self, weights, optimizer=None):
        super().build(weights, optimizer)
        self.torch.compiler.reset()  # forget the net before
        if optimizer is None:
            self.scores = self.torch.compile(super().scores)
        else:
            self.loss = self.torch.compile(super().loss)


class Jax(Contestant):
    """One jitted function is the whole step; it may reuse the memory of the parameters and of Adam's state."""

    name = "JAX, jit"
    packages = ("jax", "jaxlib")

    def __init__(self):
        import jax

        jax.config.update("jax_cpu_enable_async_dispatch", False)  # a third of the time for one image
        self.jax = jax
        self.train = {
            "SGD": jax.jit(self._sgd, donate_argnums=0),
            "Adam": jax.jit(self._adam, donate_argnums=0),
        }

    def build(self, weights, optimizer=None):
        jax = self.jax
        pairs = [tuple(jax.numpy.array(a, dtype=self.dtype) for a in pair) for pair in weights]
        if optimizer is None:
            self.scores = jax.jit(lambda x: self._scores(pairs, x))  # the weights are constants
            return
        self.state = {"pairs": pairs}
        if optimizer == "Adam":
            self.state["m"] = jax.tree.map(jax.numpy.zeros_like, pairs)
            self.state["v"] = jax.tree.map(jax.numpy.zeros_like, pairs)
            self.state["iter"] = jax.numpy.zeros((), dtype=self.dtype)
        self.run = self.train[optimizer]

    def take(self, x, t=None):
        x = self.jax.numpy.array(super().take(x))
        return x if t is None else (x, self.jax.numpy.array(t, dtype=np.int32))

    def _scores(self, pairs, x):
        for W, b in pairs[:-1]:
            x = self.jax.numpy.maximum(x @ W + b, 0)
        W, b = pairs[-1]
        return x @ W + b

    def _loss(self, pairs, x, t):
        log_y = self.jax.nn.log_softmax(self._scores(pairs, x))
        return -(log_y * self.jax.nn.one_hot(t, log_y.shape[1])).sum() / x.shape[0]

    def _sgd(self, state, x, t):
        loss, grads = self.jax.value_and_grad(self._loss)(state["pairs"], x, t)
        pairs = self.jax.tree.map(lambda p, g: p - LR["SGD"] * g, state["pairs"], grads)
        return {"pairs": pairs}, loss

    def _adam(self, state, x, t):
        jax, sqrt = self.jax, self.jax.numpy.sqrt
        loss, grads = jax.value_and_grad(self._loss)(state["pairs"], x, t)
        i = state["iter"] + 1
        one_minus_power1 = -jax.numpy.expm1(i * math.log(BETA1))  # 1 - BETA1**i, exact in float32
        one_minus_power2 = -jax.numpy.expm1(i * math.log(BETA2))
        lr = LR["Adam"] * sqrt(one_minus_power2) / one_minus_power1
        m = jax.tree.map(lambda m, g: m + (1 - BETA1) * (g - m), state["m"], grads)
        v = jax.tree.map(lambda v, g: v + (1 - BETA2) * (g * g - v), state["v"], grads)
        pairs = jax.tree.map(lambda p, m, v: p - lr * m / (sqrt(v) + EPS), state["pairs"], m, v)
        return {"pairs": pairs, "m": m, "v": v, "iter": i}, loss

    def step(self, x, t):
        self.state, loss = self.run(self.state, x, t)
        return loss

    def infer(self, x):
        return self.scores(x).block_until_ready()

    def wait(self):
        self.jax.block_until_ready(self.state)

    def weights(self):
        return [(np.asarray(W), np.asarray(b)) for W, b in self.state["pairs"]]


CONTESTANTS = (Badak, PyTorch, PyTorchCompiled, Jax, ScikitLearn, NumpyBook, NumpyBookFloat32)
