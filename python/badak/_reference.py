"""The same mathematics once more, in plain NumPy: a twin of every layer, function and optimiser.

To be read beside the book and beside the C, and the oracle of the tests. A twin computes in float64 and checks nothing;
it does not overflow on the way to a result that is finite. N is the number of samples, C that of classes.
"""

import numpy as np

# ---------------------------------------------------------------- functions (book: chapters 3 and 4)


def identity_function(x):
    """X itself: any shape -> the same."""
    return np.array(x, dtype=float)


def step_function(x):
    """1 where x > 0, else 0: any shape -> integers of the same shape."""
    return np.where(np.asarray(x) > 0, 1, 0)


def sigmoid(x):
    """1 / (1 + exp(-x)): any shape -> the same. Written twice, so that exp never sees a large number."""
    x = np.asarray(x, dtype=float)
    small = np.exp(-np.abs(x))
    return np.where(x < 0, small / (1 + small), 1 / (1 + small))


def sigmoid_grad(x):
    """Slope of the sigmoid: any shape -> the same."""
    return sigmoid(x) * (1 - sigmoid(x))


def relu(x):
    """The positive part, x where it is above 0, else 0: any shape -> the same. A NaN passes."""
    x = np.asarray(x, dtype=float)
    return np.where(x <= 0, 0.0, x)


def relu_grad(x):
    """1 where x >= 0, else 0: any shape -> the same."""
    return np.where(np.asarray(x, dtype=float) >= 0, 1.0, 0.0)


def tanh(x):
    """Hyperbolic tangent: any shape -> the same."""
    return np.tanh(np.asarray(x, dtype=float))


def softmax(x):
    """exp(x) / sum(exp(x)) over the last axis: (..., C) -> (..., C). The largest is taken off first."""
    powers = np.exp(below_largest(x))
    return powers / powers.sum(axis=-1, keepdims=True)


def log_softmax(x):
    """Logarithm of the softmax: (..., C) -> (..., C), exact where the softmax itself vanishes."""
    x = below_largest(x)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def below_largest(x):
    """How far each number is from the largest of its row: (..., C) -> (..., C), none above 0."""
    x = np.asarray(x, dtype=float)
    with np.errstate(over="ignore"):  # further than the largest float is as good as infinitely far
        return x - x.max(axis=-1, keepdims=True)


def sum_squared_error(y, t):
    """Half the sum of squared differences: two arrays of one shape -> a number."""
    return 0.5 * np.sum((np.asarray(y, dtype=float) - t) ** 2)


def mean_squared_error(y, t):
    """The mean of squared differences: two arrays of one shape -> a number."""
    return np.mean((np.asarray(y, dtype=float) - t) ** 2)


def cross_entropy_error(y, t, eps=1e-7):
    """Mean over the rows of -sum(t log(y + eps)): y (N, C) or (C,), t labels or weights -> a number."""
    y = np.atleast_2d(np.asarray(y, dtype=float))
    return -weighted(class_weights(t, y.shape), np.log(y + eps)).sum() / len(y)


def softmax_loss(X, t):
    """The cross-entropy of softmax(X): X (N, C), t labels or weights -> a number."""
    return cross_entropy_error(softmax(X), t)


def class_weights(t, shape):
    """Whole labels (N,) or (N, 1), or weights (N, C) -> weights (N, C): a label becomes a row with a single 1."""
    t = np.asarray(t)
    if t.dtype.kind in "iu" and t.size == shape[0]:
        return np.eye(shape[1])[t.reshape(-1)]
    return t.reshape(shape).astype(float)


def weighted(weights, values):
    """The product of both, where a weight of 0 takes out even an infinite value: one shape -> the same."""
    return np.multiply(weights, values, out=np.zeros(values.shape), where=weights != 0)


# ---------------------------------------------------------------- layers (book: chapter 5)


class Relu:
    """Any shape -> the same: x where it is above 0, else 0."""

    def forward(self, x):
        """X and out: any one shape."""
        self.mask = np.asarray(x) <= 0
        return relu(x)

    def backward(self, dout):
        """Dout and dx: the shape of x. Nothing passes where x was not above 0."""
        return np.where(self.mask, 0.0, np.asarray(dout, dtype=float))


class Sigmoid:
    """Any shape -> the same: 1 / (1 + exp(-x))."""

    def forward(self, x):
        """X and out: any one shape."""
        self.out = sigmoid(x)
        return self.out

    def backward(self, dout):
        """Dout and dx: the shape of x."""
        return np.asarray(dout, dtype=float) * self.out * (1 - self.out)


class Tanh:
    """Any shape -> the same: tanh(x)."""

    def forward(self, x):
        """X and out: any one shape."""
        self.out = tanh(x)
        return self.out

    def backward(self, dout):
        """Dout and dx: the shape of x."""
        return np.asarray(dout, dtype=float) * (1 - self.out**2)


class Affine:
    """(N, ...) -> (N, units): rows times W (in, units), plus b (units,) or a number."""

    def __init__(self, W, b):
        self.W = np.asarray(W, dtype=float)
        self.b = np.asarray(b, dtype=float)

    def forward(self, x):
        """X (N, ...), read as rows of `in` numbers; out (N, units)."""
        self.x = np.asarray(x, dtype=float)
        return self._rows() @ self.W + self.b

    def backward(self, dout):
        """Dout (N, units); dx like x, dW like W, db (units,)."""
        dout = np.asarray(dout, dtype=float)
        self.dW = self._rows().T @ dout
        self.db = dout.sum(axis=0)
        return (dout @ self.W.T).reshape(self.x.shape)

    def _rows(self):
        return self.x.reshape(len(self.x), len(self.W))


class Residual:
    """Any shape -> the same: x plus what the layers of the branch make of it."""

    def __init__(self, layers):
        self.layers = layers

    def forward(self, x):
        """X and out: any one shape, which the branch must keep."""
        branch = np.asarray(x, dtype=float)
        for layer in self.layers:
            branch = layer.forward(branch)
        return x + branch

    def backward(self, dout):
        """Dout and dx: the shape of x. The gradient comes back on both ways."""
        branch = np.asarray(dout, dtype=float)
        for layer in reversed(self.layers):
            branch = layer.backward(branch)
        return dout + branch


class SoftmaxWithLoss:
    """(N, C) and labels -> a number: the mean cross-entropy of the softmax of each row."""

    def __init__(self, eps=0.0):
        self.eps = eps

    def forward(self, x, t):
        """X (N, C), t labels (N,) or (N, 1) or weights (N, C); the loss is a number."""
        self.y = softmax(x)
        self.t = class_weights(t, self.y.shape)
        log_y = np.log(self.y + self.eps) if self.eps else log_softmax(x)
        self.loss = -weighted(self.t, log_y).sum() / len(self.y)
        return self.loss

    def backward(self, dout=1):
        """Dout a number; dx (N, C). As in the book, eps counts for the loss only."""
        return dout * (self.y * self.t.sum(axis=1, keepdims=True) - self.t) / len(self.y)


class IdentityWithLoss:
    """(N, ...) and targets of that shape -> a number: half the sum of squares over N."""

    def forward(self, x, t):
        """X and t: one shape (N, ...); the loss is a number."""
        self.y = np.asarray(x, dtype=float)
        self.t = np.asarray(t, dtype=float)
        self.loss = 0.5 * np.sum((self.y - self.t) ** 2) / len(self.y)
        return self.loss

    def backward(self, dout=1):
        """Dout a number; dx like x."""
        return dout * (self.y - self.t) / len(self.y)


# ---------------------------------------------------------------- optimisers (book: section 6.1)


class SGD:
    """Straight down the slope: p -= lr g, for arrays of any shape."""

    def __init__(self, lr=0.01):
        self.lr = lr

    def update(self, params, grads):
        """Params and grads: the same names and shapes. The arrays of params change in place."""
        for key in params:
            params[key] -= self.lr * grads[key]


class Adam:
    """A step for each number by the running means of its gradient (m) and of the gradient's square (v)."""

    def __init__(self, lr=0.001, beta1=0.9, beta2=0.999, eps=1e-7):
        self.lr = lr
        self.beta1 = beta1
        self.beta2 = beta2
        self.eps = eps
        self.iter = 0
        self.m = {}
        self.v = {}

    def update(self, params, grads):
        """Params and grads: the same names and shapes. The arrays of params change in place."""
        self.iter += 1
        # both means begin at 0 and are too small at first: this makes up for it
        lr = self.lr * np.sqrt(1 - self.beta2**self.iter) / (1 - self.beta1**self.iter)
        for key in params:
            m = self.m.setdefault(key, np.zeros(np.shape(params[key])))
            v = self.v.setdefault(key, np.zeros(np.shape(params[key])))
            m += (1 - self.beta1) * (grads[key] - m)
            v += (1 - self.beta2) * (grads[key] ** 2 - v)
            params[key] -= lr * m / (np.sqrt(v) + self.eps)


# ---------------------------------------------------------------- by the names that the C core has for them

LAYERS = {twin.__name__: twin for twin in (Affine, Relu, Sigmoid, Tanh, Residual, SoftmaxWithLoss, IdentityWithLoss)}
OPTIMIZERS = {twin.__name__: twin for twin in (SGD, Adam)}
