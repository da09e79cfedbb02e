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


class LeakyRelu:
    """Any shape -> the same: x where it is above 0, else slope * x."""

    def __init__(self, slope=0.01):
        self.slope = slope

    def forward(self, x):
        """X and out: any one shape."""
        self.x = np.asarray(x, dtype=float)
        return np.where(self.x > 0, self.x, self.slope * self.x)

    def backward(self, dout):
        """Dout and dx: the shape of x."""
        dout = np.asarray(dout, dtype=float)
        return np.where(self.x > 0, dout, self.slope * dout)


class Softmax:
    """(..., C) -> (..., C): the softmax over the last axis."""

    def forward(self, x):
        """X and out: (..., C)."""
        self.out = softmax(x)
        return self.out

    def backward(self, dout):
        """Dout and dx: the shape of x. One score more is all other probabilities less."""
        dout = np.asarray(dout, dtype=float)
        return self.out * (dout - (dout * self.out).sum(axis=-1, keepdims=True))


class Flatten:
    """(N, ...) -> (N, features): each sample as one row."""

    def forward(self, x):
        """X (N, ...), out (N, features)."""
        self.x = np.asarray(x, dtype=float)
        return self.x.reshape(len(self.x), -1)

    def backward(self, dout):
        """Dout (N, features), dx like x."""
        return np.asarray(dout, dtype=float).reshape(self.x.shape)


class Dropout:
    """Any shape -> the same: each number is kept, or made 0 with the chance dropout_ratio."""

    def __init__(self, dropout_ratio=0.5, inverted=False):
        self.dropout_ratio = dropout_ratio
        self.inverted = inverted
        self.mask = None

    def forward(self, x, train_flg=True):
        """X and out: any one shape. What makes up for the missing numbers: training if inverted, else what follows."""
        kept = 1 - self.dropout_ratio
        factor = 1.0 if self.inverted else kept
        if train_flg:
            self.mask = np.random.rand(*np.shape(x)) > self.dropout_ratio
            factor = self.mask / kept if self.inverted else self.mask
        self._saved = factor
        return np.asarray(x, dtype=float) * factor

    def backward(self, dout):
        """Dout and dx: the shape of x."""
        return np.asarray(dout, dtype=float) * self._saved


class BatchNormalization:
    """(N, ...) -> the same: each of d features, or channels of (N, d, H, W), with mean beta and std gamma."""

    def __init__(self, gamma, beta, momentum=0.9, eps=1e-6, per_channel=0):
        self.gamma = np.asarray(gamma, dtype=float)
        self.beta = np.asarray(beta, dtype=float)
        self.momentum = momentum
        self.eps = eps
        self.per_channel = per_channel
        self.running_mean = self.running_var = 0.0

    def forward(self, x, train_flg=True):
        """X and out (N, ...). In training by the batch's own mean and variance, which the running ones follow."""
        rows = self._rows(np.asarray(x, dtype=float))
        if train_flg:
            mean = rows.mean(axis=0)
            var = ((rows - mean) ** 2).mean(axis=0)
            self.running_mean = self.momentum * self.running_mean + (1 - self.momentum) * mean
            self.running_var = self.momentum * self.running_var + (1 - self.momentum) * var
        else:
            mean, var = self.running_mean, self.running_var
        std = np.sqrt(var + self.eps)
        xhat = (rows - mean) / std
        self._saved = xhat, std, train_flg
        return self._unrows(self.gamma * xhat + self.beta, np.shape(x))

    def backward(self, dout):
        """Dout and dx (N, ...), dgamma and dbeta (d,). In training mean and variance depend on x too."""
        dout = np.asarray(dout, dtype=float)
        xhat, std, training = self._saved
        rows = self._rows(dout)
        self.dbeta = rows.sum(axis=0)
        self.dgamma = (xhat * rows).sum(axis=0)
        if training:
            rows = rows - (self.dbeta + xhat * self.dgamma) / len(rows)
        return self._unrows(self.gamma / std * rows, dout.shape)

    def _rows(self, x):
        """X (N, ...) -> rows of d numbers that are normalised over the rows."""
        if self.per_channel:
            x = np.moveaxis(x, 1, -1)
            return x.reshape(-1, x.shape[-1])
        return x.reshape(len(x), -1)

    def _unrows(self, rows, shape):
        if self.per_channel:
            return np.moveaxis(rows.reshape(shape[0], *shape[2:], shape[1]), -1, 1)
        return rows.reshape(shape)


def windows(x, height, width, stride, pad, dilation=1, fill=0.0):
    """The windows of images: x (N, C, H, W), with `fill` around it -> (N, C, OH, OW, height, width)."""
    edge = (pad, pad)
    x = np.pad(np.asarray(x, dtype=float), [(0, 0), (0, 0), edge, edge], constant_values=fill)
    span = dilation * (height - 1) + 1, dilation * (width - 1) + 1
    found = np.lib.stride_tricks.sliding_window_view(x, span, axis=(2, 3))
    return found[:, :, ::stride, ::stride, ::dilation, ::dilation]


def add_windows(parts, shape, stride, pad, dilation=1):
    """The way back: parts (N, C, OH, OW, height, width) -> images of that shape, the sum of all at each pixel."""
    n, c, h, w = shape
    oh, ow, height, width = parts.shape[2:]
    x = np.zeros((n, c, h + 2 * pad, w + 2 * pad))
    below, right = stride * (oh - 1) + 1, stride * (ow - 1) + 1
    for i in range(height):
        for j in range(width):
            top, left = i * dilation, j * dilation
            x[:, :, top : top + below : stride, left : left + right : stride] += parts[..., i, j]
    return x[:, :, pad : pad + h, pad : pad + w]


class Convolution:
    """(N, C, H, W) -> (N, filters, OH, OW): windows times W (filters, C, height, width), plus b (filters,)."""

    def __init__(self, W, b, stride=1, pad=0, dilation=1):
        self.W = np.asarray(W, dtype=float)
        self.b = np.asarray(b, dtype=float)
        self.stride = stride
        self.pad = pad
        self.dilation = dilation

    def forward(self, x):
        """X (N, C, H, W), out (N, filters, OH, OW)."""
        self.x = np.asarray(x, dtype=float)
        out = np.tensordot(self._windows(), self.W, axes=[(1, 4, 5), (1, 2, 3)])
        return np.moveaxis(out + self.b, -1, 1)

    def backward(self, dout):
        """Dout (N, filters, OH, OW); dx like x, dW like W, db (filters,)."""
        dout = np.asarray(dout, dtype=float)
        self.dW = np.tensordot(dout, self._windows(), axes=[(0, 2, 3), (0, 2, 3)])
        self.db = dout.sum(axis=(0, 2, 3))
        parts = np.tensordot(dout, self.W, axes=(1, 0))  # (N, OH, OW, C, height, width)
        return add_windows(np.moveaxis(parts, 3, 1), self.x.shape, self.stride, self.pad, self.dilation)

    def _windows(self):
        return windows(self.x, *self.W.shape[2:], self.stride, self.pad, self.dilation)


class Pooling:
    """(N, C, H, W) -> (N, C, OH, OW): the largest number of each window, or the mean of those inside the image."""

    def __init__(self, pool_h, pool_w, stride=2, pad=0, mean=False):
        self.pool_h = pool_h
        self.pool_w = pool_w
        self.stride = stride
        self.pad = pad
        self.mean = mean

    def forward(self, x):
        """X (N, C, H, W), out (N, C, OH, OW). Where several are the largest, the first in its window is it."""
        flat = windows(x, self.pool_h, self.pool_w, self.stride, self.pad, fill=-np.inf)
        flat = flat.reshape(*flat.shape[:4], self.pool_h * self.pool_w)
        if self.mean:
            share = flat > -np.inf
            share = share / share.sum(axis=-1, keepdims=True)
        else:
            share = np.arange(flat.shape[-1]) == flat.argmax(axis=-1)[..., None]
        self._saved = share.reshape(*flat.shape[:4], self.pool_h, self.pool_w), np.shape(x)
        return weighted(share, flat).sum(axis=-1)

    def backward(self, dout):
        """Dout (N, C, OH, OW), dx like x: each window hands its gradient to the numbers it came from."""
        share, shape = self._saved
        parts = np.asarray(dout, dtype=float)[..., None, None] * share
        return add_windows(parts, shape, self.stride, self.pad)


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


class SigmoidWithLoss:
    """(N, C) and yes or no for each number -> a number: cross-entropy of the sigmoids, summed over C, mean over N."""

    def forward(self, x, t):
        """X (N, C), t as many 0, 1 or probabilities; the loss is a number."""
        x = np.asarray(x, dtype=float)
        self.y = sigmoid(x)
        self.t = np.asarray(t, dtype=float).reshape(x.shape)
        losses = np.maximum(x, 0) - x * self.t + np.log1p(np.exp(-np.abs(x)))  # -t log y - (1 - t) log(1 - y)
        self.loss = losses.sum() / len(x)
        return self.loss

    def backward(self, dout=1):
        """Dout a number; dx (N, C)."""
        return dout * (self.y - self.t) / len(self.y)


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


class Momentum:
    """A ball with friction: v = momentum v - lr g, p += v."""

    def __init__(self, lr=0.01, momentum=0.9):
        self.lr = lr
        self.momentum = momentum
        self.v = {}

    def update(self, params, grads):
        """Params and grads: the same names and shapes. The arrays of params change in place."""
        for key in params:
            v = self.v.setdefault(key, np.zeros(np.shape(params[key])))
            v *= self.momentum
            v -= self.lr * grads[key]
            params[key] += v


class Nesterov(Momentum):
    """Momentum that looks ahead: the step already holds the push that the old v will give next."""

    def update(self, params, grads):
        """Params and grads: the same names and shapes. The arrays of params change in place."""
        for key in params:
            v = self.v.setdefault(key, np.zeros(np.shape(params[key])))
            params[key] += self.momentum**2 * v - (1 + self.momentum) * self.lr * grads[key]
            v *= self.momentum
            v -= self.lr * grads[key]


class AdaGrad:
    """Smaller steps for numbers that have moved much: p -= lr g / (sqrt(h) + eps), h the sum of g squared."""

    def __init__(self, lr=0.01, eps=1e-7):
        self.lr = lr
        self.eps = eps
        self.h = {}

    def update(self, params, grads):
        """Params and grads: the same names and shapes. The arrays of params change in place."""
        for key in params:
            h = self.h.setdefault(key, np.zeros(np.shape(params[key])))
            h += grads[key] ** 2
            params[key] -= self.lr * grads[key] / (np.sqrt(h) + self.eps)


class RMSprop:
    """AdaGrad that forgets: h is a running mean."""

    def __init__(self, lr=0.01, decay_rate=0.99, eps=1e-7):
        self.lr = lr
        self.decay_rate = decay_rate
        self.eps = eps
        self.h = {}

    def update(self, params, grads):
        """Params and grads: the same names and shapes. The arrays of params change in place."""
        for key in params:
            h = self.h.setdefault(key, np.zeros(np.shape(params[key])))
            h += (1 - self.decay_rate) * (grads[key] ** 2 - h)
            params[key] -= self.lr * grads[key] / (np.sqrt(h) + self.eps)


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

LAYERS = {
    twin.__name__: twin
    for twin in (
        Affine,
        Relu,
        Sigmoid,
        Tanh,
        LeakyRelu,
        Softmax,
        Flatten,
        Dropout,
        BatchNormalization,
        Convolution,
        Pooling,
        Residual,
        SoftmaxWithLoss,
        SigmoidWithLoss,
        IdentityWithLoss,
    )
}
OPTIMIZERS = {twin.__name__: twin for twin in (SGD, Momentum, Nesterov, AdaGrad, RMSprop, Adam)}
