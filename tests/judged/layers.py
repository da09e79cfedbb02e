"""Objects: layers with forward and backward, networks with params, loss and gradient."""

import numpy as np

from . import FAIL, KINK, PASS, Case, random_of
from .functions import convolution, convolution_vjp, softmax

CASES = []


def add(family, title, make, expect=PASS, conduct=(), may=()):
    CASES.append(
        Case(family, title, lambda: make(random_of(family)), frozenset(expect), frozenset(conduct), frozenset(may))
    )


# ---------------------------------------------------------------- W/dW


class Affine:
    """As in the book; what is wrong is said by the keywords."""

    def __init__(self, W, b, dW=lambda x, dout: x.T @ dout, db=lambda dout: dout.sum(axis=0), keep=None):
        self.W, self.b, self._dW, self._db = W, b, dW, db
        self.dW = self.db = None

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW, self.db = self._dW(self.x, dout), self._db(dout)
        return dout @ self.W.T


def affine(kind=Affine, **how):
    return lambda r: (kind(r.normal(size=(4, 4)), r.normal(size=4), **how), (r.normal(size=(3, 4)),), {})


class Forgetful(Affine):
    """Never sets db."""

    def backward(self, dout):
        self.dW = self.x.T @ dout
        return dout @ self.W.T


class Accumulating(Affine):
    """Adds to dW, and nobody ever clears it."""

    def backward(self, dout):
        self.dW = self.x.T @ dout + (0 if self.dW is None else self.dW)
        self.db = dout.sum(axis=0) + (0 if self.db is None else self.db)
        return dout @ self.W.T


class Cleared(Accumulating):
    """Adds to dW, cleared by each forward."""

    def forward(self, x):
        self.dW = self.db = None
        return super().forward(x)


class PopsItsCache(Affine):
    """Keeps what backward needs on a stack: each backward needs its own forward."""

    def __init__(self, W, b):
        super().__init__(W, b)
        self.stack = []

    def forward(self, x):
        self.stack.append(x)
        return x @ self.W + self.b

    def backward(self, dout):
        x = self.stack.pop()
        self.dW, self.db = x.T @ dout, dout.sum(axis=0)
        return dout @ self.W.T


class UsesItsOutputBuffer(Affine):
    """backward reads self.out, which the caller also got."""

    def forward(self, x):
        self.x, self.out = x, np.tanh(x @ self.W + self.b)
        return self.out

    def backward(self, dout):
        dz = dout * (1 - self.out**2)
        self.dW, self.db = self.x.T @ dz, dz.sum(axis=0)
        return dz @ self.W.T


class Learns(Affine):
    """forward shrinks the weights: state that is no buffer."""

    def forward(self, x):
        self.W *= 0.99
        return super().forward(x)


class LearnsBackward(Affine):
    """backward takes a step."""

    def backward(self, dout):
        dx = super().backward(dout)
        self.W -= 0.1 * self.dW
        return dx


class Warming(Affine):
    """Scales its output by the number of calls."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x) * min(1.0, 0.1 * self.calls)


class FlattensWrongly(Affine):
    """Takes images, and gives dx back flat."""

    def forward(self, x):
        return super().forward(x.reshape(len(x), -1))


class Flattens(FlattensWrongly):
    def forward(self, x):
        self.shape = x.shape
        return super().forward(x)

    def backward(self, dout):
        return super().backward(dout).reshape(self.shape)


def images(kind):
    return lambda r: (kind(r.normal(size=(4, 2)), r.normal(size=2)), (r.normal(size=(3, 1, 2, 2)),), {})


def of_float32(**how):
    return lambda r: (
        Affine(r.normal(size=(4, 2)).astype(np.float32), r.normal(size=2).astype(np.float32), **how),
        (r.normal(size=(3, 4)).astype(np.float32),),
        {},
    )


add("layer Affine", "right", affine())
add("layer Affine", "right, of float32", of_float32())
add("layer Affine", "1 % too much, of float32", of_float32(dW=lambda x, dout: 1.01 * x.T @ dout), FAIL)
add("layer Affine", "dW transposed", affine(dW=lambda x, dout: dout.T @ x), FAIL)
add("layer Affine", "db a mean", affine(db=lambda dout: dout.mean(axis=0)), FAIL)
add("layer Affine", "db never set", affine(Forgetful), {"SHAPE"})
add(
    "layer Affine",
    "dW accumulates",
    affine(Accumulating),
    {"PASS", "FAIL"},
    ["NOT_REENTRANT", "STATE_CHANGED", "NOT_LINEAR_IN_GY"],
    ["NOT_LINEAR_IN_GY", "STATE_CHANGED"],
)
add("layer Affine", "dW accumulates from each forward on", affine(Cleared), may=["NOT_REENTRANT"])
add("layer Affine", "a stack of caches", affine(PopsItsCache), may=["NOT_REENTRANT", "STATE_CHANGED"])
add("layer Affine", "output kept for backward", affine(UsesItsOutputBuffer))
add(
    "layer Affine",
    "weights shrink in forward",
    affine(Learns),
    {"PASS", "FAIL", "UNRESOLVED", "KINK"},
    ["STATE_CHANGED", "NONDETERMINISTIC"],
    ["NOT_REENTRANT", "NOT_LINEAR_IN_GY"],
)
add(
    "layer Affine",
    "weights learn in backward",
    affine(LearnsBackward),
    {"PASS", "FAIL", "UNRESOLVED", "KINK"},
    ["STATE_CHANGED", "NONDETERMINISTIC", "NOT_REENTRANT"],
    ["NOT_LINEAR_IN_GY"],
)
add(
    "layer Affine",
    "output grows with the calls",
    affine(Warming),
    {"PASS", "FAIL", "UNRESOLVED", "KINK"},
    ["STATE_CHANGED", "NONDETERMINISTIC"],
    ["NOT_REENTRANT", "NOT_LINEAR_IN_GY"],
)
add("layer Affine", "of images", images(Flattens))
add("layer Affine", "of images, dx flat", images(FlattensWrongly), {"SHAPE"})


class Relu:
    """As in the book: dout is changed in place."""

    def __init__(self, at=lambda x: x <= 0, copy=True):
        self.at, self.copy = at, copy

    def forward(self, x):
        self.mask = self.at(x)
        out = x.copy()
        out[x <= 0] = 0
        return out

    def backward(self, dout):
        if self.copy:
            dout = dout.copy()
        dout[self.mask] = 0
        return dout


def at_0(layer):
    return lambda r: (layer(), (np.array([[-1.0, 0.0, 2.0], [0.0, 0.5, -0.25]]),), {})


def beside_0(layer):
    return lambda r: (layer(), (r.normal(size=(3, 4)),), {})


add("layer ReLU", "right", beside_0(Relu))
add("layer ReLU", "at 0", at_0(Relu), KINK)
add("layer ReLU", "dout changed in place", beside_0(lambda: Relu(copy=False)), conduct=["MUTATED_GY"])
add("layer ReLU", "mask the wrong way round", beside_0(lambda: Relu(at=lambda x: x > 0)), FAIL)
add("layer ReLU", "all passed on", beside_0(lambda: Relu(at=lambda x: np.zeros(x.shape, bool))), FAIL)


class Sigmoid:
    def __init__(self, slope=lambda y: y * (1 - y)):
        self.slope = slope

    def forward(self, x):
        self.out = 1 / (1 + np.exp(-x))
        return self.out

    def backward(self, dout):
        return dout * self.slope(self.out)


class SigmoidOverItsInput(Sigmoid):
    def forward(self, x):
        np.negative(x, out=x)
        np.exp(x, out=x)
        x += 1
        np.divide(1, x, out=x)
        self.out = x
        return x


class SpoilsItsCache(Sigmoid):
    """backward computes in what forward kept: right once."""

    def backward(self, dout):
        self.out *= 1 - self.out
        return dout * self.out


class SpoilsItsInput(Sigmoid):
    """Keeps the caller's array and computes in it, backward."""

    def forward(self, x):
        self.x = x
        return x * x

    def backward(self, dout):
        self.x *= 2 * dout
        return self.x.copy()


class Counts(Sigmoid):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


add(
    "layer sigmoid",
    "spoils its cache, backward",
    beside_0(SpoilsItsCache),
    {"PASS", "FAIL"},
    ["NOT_REENTRANT", "NOT_LINEAR_IN_GY"],
    ["NOT_LINEAR_IN_GY", "STATE_CHANGED"],
)
add(
    "layer sigmoid",
    "spoils its input, backward",
    beside_0(SpoilsItsInput),
    {"PASS", "FAIL"},
    ["MUTATED_INPUT"],
    ["NOT_REENTRANT", "NOT_LINEAR_IN_GY", "STATE_CHANGED"],
)
add("layer sigmoid", "counts its calls", beside_0(Counts), may=["STATE_CHANGED"])
add("layer sigmoid", "right", beside_0(Sigmoid))
add("layer sigmoid", "y missing", beside_0(lambda: Sigmoid(lambda y: 1 - y)), FAIL)
add("layer sigmoid", "in place", beside_0(SigmoidOverItsInput), conduct=["MUTATED_INPUT"])


class Dropout:
    """Inverted dropout; the mask is drawn from `draw`."""

    def __init__(self, ratio=0.5, draw=np.random.rand, scale=True, again=False):
        self.ratio, self.draw, self.scale, self.again = ratio, draw, scale, again

    def forward(self, x, train_flg=True):
        self.mask = (self.draw(*x.shape) > self.ratio) / (1 - self.ratio)
        return x * self.mask

    def backward(self, dout):
        mask = (self.draw(*dout.shape) > self.ratio) / (1 - self.ratio) if self.again else self.mask
        return dout * (mask if self.scale else mask > 0)


class OwnDropout(Dropout):
    def __init__(self, **how):
        self.rng = np.random.default_rng(5)
        super().__init__(draw=None, **how)

    def forward(self, x, train_flg=True):
        self.mask = (self.rng.random(x.shape) > self.ratio) / (1 - self.ratio)
        return x * self.mask


CHANCE = ["NONDETERMINISTIC", "NOT_REENTRANT"]
add("layer dropout", "right, from np.random", beside_0(Dropout))
add("layer dropout", "right, from a generator of its own", beside_0(OwnDropout))
add("layer dropout", "1/(1-p) forgotten", beside_0(lambda: Dropout(scale=False)), FAIL)
add(
    "layer dropout",
    "another mask backward",
    beside_0(lambda: Dropout(again=True)),
    {"FAIL", "PASS"},
    CHANCE,
    ["NOT_LINEAR_IN_GY"],
)
CASES[-1] = Case(
    "layer dropout", "another mask backward", CASES[-1].make, FAIL, may=frozenset([*CHANCE, "NOT_LINEAR_IN_GY"])
)


# ---------------------------------------------------------------- params/grads


class Dense:
    """Parameters and gradients in dictionaries; backward fills the dictionary or the arrays in it."""

    def __init__(self, r, fill=False, factor=1.0):
        self.params = {"kernel": r.normal(size=(3, 2)), "offset": r.normal(size=2)}
        self.grads = {k: np.zeros_like(v) for k, v in self.params.items()}
        self.fill, self.factor = fill, factor

    def forward(self, x):
        self.x = x
        return np.tanh(x @ self.params["kernel"] + self.params["offset"])

    def backward(self, dout):
        dz = dout * (1 - self.forward(self.x) ** 2)
        found = {"kernel": self.factor * self.x.T @ dz, "offset": dz.sum(axis=0)}
        if self.fill:
            for k, g in found.items():
                self.grads[k][...] = g
        else:
            self.grads.update(found)
        return dz @ self.params["kernel"].T


class DenseLists:
    """Parameters and gradients in lists, as in the second volume of the book."""

    def __init__(self, r, factor=1.0):
        self.params = [r.normal(size=(3, 2)), r.normal(size=2)]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.factor = factor

    def forward(self, x):
        self.x = x
        return x @ self.params[0] + self.params[1]

    def backward(self, dout):
        self.grads[0][...] = self.factor * self.x.T @ dout
        self.grads[1][...] = dout.sum(axis=0)
        return dout @ self.params[0].T


class NewGrads(Dense):
    """A new dictionary each time."""

    def backward(self, dout):
        self.grads = dict(self.grads)
        return super().backward(dout)


def dense(kind=Dense, **how):
    return lambda r: (kind(r, **how), (r.normal(size=(4, 3)),), {})


add("layer with dictionaries", "right", dense())
add("layer with dictionaries", "right, arrays filled", dense(fill=True))
add("layer with dictionaries", "right, a new dictionary", dense(NewGrads))
add("layer with dictionaries", "kernel doubled", dense(factor=2.0), FAIL)
add("layer with dictionaries", "kernel doubled, arrays filled", dense(fill=True, factor=2.0), FAIL)
add("layer with lists", "right", dense(DenseLists))
add("layer with lists", "weights doubled", dense(DenseLists, factor=2.0), FAIL)


class BatchNorm:
    """As in the book, running statistics and all; momentum 0.9."""

    def __init__(self, gamma, beta, correct=True):
        self.gamma, self.beta, self.correct = gamma, beta, correct
        self.running_mean = self.running_var = None
        self.dgamma = self.dbeta = None

    def forward(self, x, train_flg=True):
        if self.running_mean is None:
            self.running_mean, self.running_var = np.zeros(x.shape[1]), np.zeros(x.shape[1])
        if train_flg:
            mu = x.mean(axis=0)
            self.xc = x - mu
            self.std = np.sqrt((self.xc**2).mean(axis=0) + 1e-6)
            self.running_mean = 0.9 * self.running_mean + 0.1 * mu
            self.running_var = 0.9 * self.running_var + 0.1 * self.std**2
            self.xn = self.xc / self.std
        else:
            self.xn = (x - self.running_mean) / np.sqrt(self.running_var + 1e-6)
        return self.gamma * self.xn + self.beta

    def backward(self, dout):
        n = len(dout)
        self.dbeta, self.dgamma = dout.sum(axis=0), (self.xn * dout).sum(axis=0)
        dxn = self.gamma * dout
        dxc = dxn / self.std
        if self.correct:
            dstd = -((dxn * self.xc) / self.std**2).sum(axis=0)
            dxc += self.xc * dstd / self.std / n
        return dxc - dxc.mean(axis=0)


class RunningNorm(BatchNorm):
    """Normalises by statistics that the same call has moved, and differentiates as if they were constant."""

    def forward(self, x, train_flg=True):
        super().forward(x)
        self.xn = (x - self.running_mean) / np.sqrt(self.running_var + 1e-6)
        return self.gamma * self.xn + self.beta


def batch_norm(n, kind=BatchNorm, **how):
    return lambda r: (kind(1 + r.random(3), r.normal(size=3), **how), (r.normal(size=(n, 3)),), {})


add("layer batch norm", "right, running statistics", batch_norm(5))
add("layer batch norm", "variance term missing", batch_norm(5, correct=False), FAIL)
add("layer batch norm", "a batch of one", batch_norm(1), {"VACUOUS"})
add(
    "layer batch norm",
    "normalised by running statistics",
    batch_norm(5, RunningNorm),
    FAIL,
    may=["STATE_CHANGED", "NONDETERMINISTIC"],
)


class Convolution:
    """W, b; stride 2, pad 1."""

    def __init__(self, W, b, **how):
        self.W, self.b, self.how = W, b, how
        self.dW = self.db = None

    def forward(self, x):
        self.x = x
        return convolution(x, self.W, self.b)

    def backward(self, dout):
        dx, self.dW, self.db = convolution_vjp(dout, self.x, self.W, self.b, **self.how)
        return dx


def conv(**how):
    return lambda r: (
        Convolution(r.normal(size=(2, 1, 3, 3)), r.normal(size=2), **how),
        (r.normal(size=(1, 1, 5, 5)),),
        {},
    )


add("layer convolution", "right", conv())
add("layer convolution", "col2im cropped at 0", conv(crop=False), FAIL)
add("layer convolution", "= for +=", conv(add=False), FAIL)
add("layer convolution", "dW flipped", conv(flip=True), FAIL)


class WrongCache(Sigmoid):
    """Keeps the first forward's output for ever."""

    def forward(self, x):
        y = 1 / (1 + np.exp(-x))
        if not hasattr(self, "out"):
            self.out = y
        return y


class Late(Sigmoid):
    """backward uses the forward before the last."""

    def forward(self, x):
        y = super().forward(x)
        self.before = getattr(self, "latest", np.zeros_like(x))
        self.latest = y
        return y

    def backward(self, dout):
        return dout * self.slope(self.before)


add("layer with a stale cache", "of the first forward", beside_0(WrongCache), FAIL, may=["STATE_CHANGED"])
add(
    "layer with a stale cache",
    "of the forward before",
    beside_0(Late),
    {"PASS", "FAIL"},
    ["NOT_REENTRANT", "STATE_CHANGED", "NOT_LINEAR_IN_GY"],
)
CASES[-1] = Case(
    "layer with a stale cache",
    "of the forward before",
    CASES[-1].make,
    frozenset({"FAIL", "PASS"}),
    frozenset({"STATE_CHANGED", "NOT_REENTRANT", "NONDETERMINISTIC", "NOT_LINEAR_IN_GY"}),
)


class SoftmaxWithLoss:
    """The book's: 1e-7 inside the log, dout ignored."""

    eps = 1e-7

    def __init__(self, mean=True, obey=False):
        self.mean, self.obey = mean, obey

    def forward(self, x, t):
        self.t, self.y = t, softmax(x)
        return -np.log(self.y[np.arange(len(t)), t] + self.eps).sum() / len(t)

    def backward(self, dout=1):
        dx = self.y.copy()
        dx[np.arange(len(self.t)), self.t] -= 1
        return dx / (len(self.t) if self.mean else 1) * (dout if self.obey else 1)


class ExactLoss(SoftmaxWithLoss):
    eps = 0.0


def loss(kind=SoftmaxWithLoss, **how):
    return lambda r: (kind(**how), (2 * r.normal(size=(3, 4)), np.array([1, 0, 3])), {})


add("layer softmax with loss", "dout obeyed", loss(ExactLoss, obey=True))
add("layer softmax with loss", "the book's", loss(), {"EXPLAINED", "PASS"}, ["NOT_LINEAR_IN_GY"])
add("layer softmax with loss", "the book's, dout obeyed", loss(obey=True), {"EXPLAINED", "PASS"})
add("layer softmax with loss", "1/N missing", loss(mean=False), FAIL, ["NOT_LINEAR_IN_GY"])
add("layer softmax with loss", "1/N missing, dout obeyed", loss(ExactLoss, mean=False, obey=True), FAIL)


class Multiply:
    """Two inputs, as in the book's apple shop."""

    def __init__(self, swap=False):
        self.swap = swap

    def forward(self, x, y):
        self.x, self.y = x, y
        return x * y

    def backward(self, dout):
        return (dout * self.x, dout * self.y) if self.swap else (dout * self.y, dout * self.x)


add("layer of two inputs", "right", lambda r: (Multiply(), (r.normal(size=3), r.normal(size=3)), {}))
add("layer of two inputs", "numbers", lambda r: (Multiply(), (100.0, 2.5), {}))
add("layer of two inputs", "swapped", lambda r: (Multiply(swap=True), (r.normal(size=3), r.normal(size=3)), {}), FAIL)


class Embedding:
    """Integer input, nothing to return."""

    def __init__(self, W, accumulate=True):
        self.W, self.dW, self.accumulate = W, None, accumulate

    def forward(self, idx):
        self.idx = idx
        return self.W[idx]

    def backward(self, dout):
        self.dW = np.zeros_like(self.W)
        if self.accumulate:
            np.add.at(self.dW, self.idx, dout)
        else:
            self.dW[self.idx] = dout


def embedding(**how):
    return lambda r: (Embedding(r.normal(size=(5, 3)), **how), (np.array([1, 4, 1, 0]),), {})


add("layer embedding", "right", embedding())
add("layer embedding", "= for +=", embedding(accumulate=False), FAIL)

# ---------------------------------------------------------------- networks


class TwoLayerNet:
    """After the book's chapter 5: params, loss, gradient."""

    def __init__(self, r, decay=0.0, forget_decay=False, bug=None):
        self.params = {
            "W1": r.normal(size=(4, 5)),
            "b1": 0.1 * r.normal(size=5),
            "W2": r.normal(size=(5, 3)),
            "b2": np.zeros(3),
        }
        self.decay, self.forget_decay, self.bug = decay, forget_decay, bug

    def predict(self, x):
        self.h = np.tanh(x @ self.params["W1"] + self.params["b1"])
        return self.h @ self.params["W2"] + self.params["b2"]

    def loss(self, x, t):
        y = softmax(self.predict(x))
        squares = sum((self.params[k] ** 2).sum() for k in ("W1", "W2"))
        return -np.log(y[np.arange(len(t)), t]).mean() + 0.5 * self.decay * squares

    def gradient(self, x, t):
        y = softmax(self.predict(x))
        y[np.arange(len(t)), t] -= 1
        y /= len(t)
        dh = y @ self.params["W2"].T * (1 - self.h**2)
        grads = {"W1": x.T @ dh, "b1": dh.sum(axis=0), "W2": self.h.T @ y, "b2": y.sum(axis=0)}
        if not self.forget_decay:
            for k in ("W1", "W2"):
                grads[k] = grads[k] + self.decay * self.params[k]
        if self.bug:
            self.bug(grads)
        return grads


def delete(key):
    return lambda grads: grads.pop(key)


def scale(key, by):
    return lambda grads: grads.update({key: grads[key] * by})


def network(kind=TwoLayerNet, **how):
    return lambda r: (kind(r, **how), (r.normal(size=(6, 4)), np.array([0, 1, 2, 2, 0, 1])), {})


class Noisy(TwoLayerNet):
    """Dropout by np.random in training."""

    def _draw(self, train_flg, h):
        self.mask = np.random.rand(*h.shape) > 0.4 if train_flg else 0.6
        return h * self.mask

    def predict(self, x, train_flg=False):
        self.h = np.tanh(x @ self.params["W1"] + self.params["b1"])
        return self._draw(train_flg, self.h) @ self.params["W2"] + self.params["b2"]

    def loss(self, x, t, train_flg=False):
        y = softmax(self.predict(x, train_flg))
        return -np.log(y[np.arange(len(t)), t]).mean()

    def gradient(self, x, t):
        y = softmax(self.predict(x, True))
        y[np.arange(len(t)), t] -= 1
        y /= len(t)
        dh = y @ self.params["W2"].T * self.mask * (1 - self.h**2)
        if self.bug:
            dh = dh * 1.5
        return {"W1": x.T @ dh, "b1": dh.sum(axis=0), "W2": (self.h * self.mask).T @ y, "b2": y.sum(axis=0)}


class Stuck(TwoLayerNet):
    """Cannot be copied."""

    def __deepcopy__(self, memo):
        raise TypeError("cannot be copied")


class Normed(TwoLayerNet):
    """A batch norm without parameters in training, running statistics otherwise: b1 has no effect."""

    def __init__(self, r, **how):
        super().__init__(r, **how)
        self.mean, self.var = np.zeros(5), np.ones(5)

    def predict(self, x, train_flg=False):
        z = x @ self.params["W1"] + self.params["b1"]
        mean, var = (z.mean(axis=0), z.var(axis=0)) if train_flg else (self.mean, self.var)
        self.std = np.sqrt(var + 1e-7)
        self.h = (z - mean) / self.std
        return self.h @ self.params["W2"] + self.params["b2"]

    def loss(self, x, t, train_flg=False):
        y = softmax(self.predict(x, train_flg))
        return -np.log(y[np.arange(len(t)), t]).mean()

    def gradient(self, x, t):
        y = softmax(self.predict(x, True))
        y[np.arange(len(t)), t] -= 1
        y /= len(t)
        dh = y @ self.params["W2"].T
        dz = (dh - dh.mean(axis=0) - self.h * (dh * self.h).mean(axis=0) * (not self.bug)) / self.std
        return {"W1": x.T @ dz, "b1": dz.sum(axis=0), "W2": self.h.T @ y, "b2": y.sum(axis=0)}


class Steps(TwoLayerNet):
    """gradient() takes a step as well."""

    def gradient(self, x, t):
        grads = super().gradient(x, t)
        for k in grads:
            self.params[k] -= 0.1 * grads[k]
        return grads


add(
    "network",
    "gradient() takes a step",
    network(Steps),
    {"PASS", "FAIL"},
    ["STATE_CHANGED", "NOT_REENTRANT"],
    ["NONDETERMINISTIC"],
)
add("network", "right", network())
add("network", "right, weight decay", network(decay=0.1))
add("network", "weight decay forgotten", network(decay=0.1, forget_decay=True), FAIL)
add("network", "W1 doubled", network(bug=scale("W1", 2.0)), FAIL)
add("network", "b2 by the batch size too big", network(bug=scale("b2", 6.0)), FAIL)
add("network", "b1 has no gradient", network(bug=delete("b1")), {"SHAPE"})
add("network", "W2 0", network(bug=scale("W2", 0.0)), FAIL)
add("network", "cannot be copied", network(Stuck))
add("network", "cannot be copied, W1 doubled", network(Stuck, bug=scale("W1", 2.0)), FAIL)
add("network", "dropout in training", network(Noisy))
add("network", "dropout in training, half too much", network(Noisy, bug=True), FAIL)
add("network", "batch norm in training", network(Normed), {"PASS", "VACUOUS", "UNRESOLVED"})
add("network", "batch norm in training, variance term missing", network(Normed, bug=True), FAIL)
