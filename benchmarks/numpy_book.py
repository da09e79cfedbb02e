"""The networks of the book *Deep Learning from Scratch* (chapters 5 to 8) in plain NumPy, in our own words.

It is what a reader of the book has, and the reference that the work of every contestant is checked against.
The book computes in float64; the arrays that come in decide here, too. Labels are integers.
"""

import numpy as np


class Affine:
    """out = x W + b (book: section 5.6); an image is flattened first (section 7.4)."""

    def __init__(self, W, b):
        self.W = W
        self.b = b

    def forward(self, x):
        self.shape = x.shape
        self.x = x.reshape(len(x), -1)
        return np.dot(self.x, self.W) + self.b

    def backward(self, dout):
        dx = np.dot(dout, self.W.T)
        self.dW = np.dot(self.x.T, dout)
        self.db = np.sum(dout, axis=0)
        return dx.reshape(self.shape)


class Relu:
    """out = max(x, 0) (book: section 5.5.1)."""

    def forward(self, x):
        self.mask = x <= 0
        out = x.copy()
        out[self.mask] = 0
        return out

    def backward(self, dout):
        dout[self.mask] = 0
        return dout


class SoftmaxWithLoss:
    """The mean cross entropy of the softmax of x (book: section 5.6.3)."""

    def forward(self, x, t):
        x = x - np.max(x, axis=1, keepdims=True)
        e = np.exp(x)
        self.y = e / np.sum(e, axis=1, keepdims=True)
        self.t = t
        rows = np.arange(len(t))
        return -np.sum(np.log(self.y[rows, t] + 1e-7)) / len(t)

    def backward(self, dout=1):
        dx = self.y.copy()
        dx[np.arange(len(self.t)), self.t] -= 1
        return dx * dout / len(self.t)


def im2col(x, height, width, stride, pad):
    """The windows of the images x (n, c, h, w), each a row (n oh ow, c height width) (book: section 7.4.2)."""
    n, c, h, w = x.shape
    oh, ow = (h + 2 * pad - height) // stride + 1, (w + 2 * pad - width) // stride + 1
    image = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    columns = np.zeros((n, c, height, width, oh, ow), x.dtype)
    for i in range(height):
        for j in range(width):
            columns[:, :, i, j] = image[:, :, i : i + stride * oh : stride, j : j + stride * ow : stride]
    return columns.transpose(0, 4, 5, 1, 2, 3).reshape(n * oh * ow, -1), oh, ow


def col2im(columns, shape, height, width, stride, pad):
    """The images of that shape in which every window has been added where it came from."""
    n, c, h, w = shape
    oh, ow = (h + 2 * pad - height) // stride + 1, (w + 2 * pad - width) // stride + 1
    columns = columns.reshape(n, oh, ow, c, height, width).transpose(0, 3, 4, 5, 1, 2)
    image = np.zeros((n, c, h + 2 * pad, w + 2 * pad), columns.dtype)
    for i in range(height):
        for j in range(width):
            image[:, :, i : i + stride * oh : stride, j : j + stride * ow : stride] += columns[:, :, i, j]
    return image[:, :, pad : pad + h, pad : pad + w]


class Convolution:
    """W (filters, channels, height, width) over images (n, c, h, w) (book: section 7.4.3)."""

    def __init__(self, W, b, stride=1, pad=0):
        self.W = W
        self.b = b
        self.stride = stride
        self.pad = pad

    def forward(self, x):
        filters, _, height, width = self.W.shape
        self.shape = x.shape
        self.columns, oh, ow = im2col(x, height, width, self.stride, self.pad)
        out = np.dot(self.columns, self.W.reshape(filters, -1).T) + self.b
        return out.reshape(len(x), oh, ow, filters).transpose(0, 3, 1, 2)

    def backward(self, dout):
        filters, _, height, width = self.W.shape
        dout = dout.transpose(0, 2, 3, 1).reshape(-1, filters)
        self.db = np.sum(dout, axis=0)
        self.dW = np.dot(self.columns.T, dout).T.reshape(self.W.shape)
        columns = np.dot(dout, self.W.reshape(filters, -1))
        return col2im(columns, self.shape, height, width, self.stride, self.pad)


class Pooling:
    """The largest of each window, channel by channel (book: section 7.4.4)."""

    def __init__(self, pool_h, pool_w, stride=2, pad=0):
        self.pool_h = pool_h
        self.pool_w = pool_w
        self.stride = stride
        self.pad = pad

    def forward(self, x):
        n, c, _, _ = self.shape = x.shape
        columns, oh, ow = im2col(x, self.pool_h, self.pool_w, self.stride, self.pad)
        columns = columns.reshape(-1, self.pool_h * self.pool_w)
        self.largest = np.argmax(columns, axis=1)
        return np.max(columns, axis=1).reshape(n, oh, ow, c).transpose(0, 3, 1, 2)

    def backward(self, dout):
        dout = dout.transpose(0, 2, 3, 1)
        columns = np.zeros((dout.size, self.pool_h * self.pool_w), dout.dtype)
        columns[np.arange(dout.size), self.largest] = dout.ravel()
        return col2im(columns, self.shape, self.pool_h, self.pool_w, self.stride, self.pad)


class Dropout:
    """While training, each number is 0 with a probability (book: section 6.4.3); the others are scaled up for it.

    The book scales down in inference instead. All contestants scale while training, as most libraries do.
    """

    def __init__(self, dropout_ratio=0.5):
        self.ratio = dropout_ratio

    def forward(self, x, train_flg=True):
        if not train_flg:
            return x
        self.factor = (np.random.rand(*x.shape) > self.ratio) / x.dtype.type(1 - self.ratio)
        return x * self.factor

    def backward(self, dout):
        return dout * self.factor


class BatchNormalization:
    """Each feature with mean 0 and variance 1 over the batch, then scaled and moved (book: section 6.3)."""

    def __init__(self, gamma, beta, momentum=0.9):
        self.gamma = gamma
        self.beta = beta
        self.momentum = momentum
        self.running_mean = np.zeros_like(gamma)
        self.running_var = np.zeros_like(gamma)

    def forward(self, x):
        mean = x.mean(axis=0)
        self.xc = x - mean
        var = np.mean(self.xc**2, axis=0)
        self.std = np.sqrt(var + 1e-6)
        self.xn = self.xc / self.std
        self.running_mean = self.momentum * self.running_mean + (1 - self.momentum) * mean
        self.running_var = self.momentum * self.running_var + (1 - self.momentum) * var
        return self.gamma * self.xn + self.beta

    def backward(self, dout):
        self.dbeta = dout.sum(axis=0)
        self.dgamma = np.sum(self.xn * dout, axis=0)
        dxn = self.gamma * dout
        dxc = dxn / self.std
        dvar = 0.5 * -np.sum(dxn * self.xc / self.std**2, axis=0) / self.std
        dxc += 2 / len(dout) * self.xc * dvar
        return dxc - dxc.mean(axis=0)


class Network:
    """Layers in a row, then softmax with loss (book: sections 5.7 and 7.5).

    Parameters
    ----------
    layers : list
    last_layer : layer
    """

    def __init__(self, layers, last_layer):
        self.layers = layers
        self.last_layer = last_layer
        self.trained = [layer for layer in layers if hasattr(layer, "W")]
        self.params = {}
        for i, layer in enumerate(self.trained, start=1):
            self.params[f"W{i}"] = layer.W
            self.params[f"b{i}"] = layer.b

    def predict(self, x, train_flg=False):
        for layer in self.layers:
            x = layer.forward(x, train_flg) if type(layer).__name__ == "Dropout" else layer.forward(x)
        return x

    def loss(self, x, t):
        return self.last_layer.forward(self.predict(x, train_flg=True), t)

    def gradient(self, x, t):
        """(loss, gradient by name)."""
        loss = self.loss(x, t)
        dout = self.last_layer.backward()
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        grads = {}
        for i, layer in enumerate(self.trained, start=1):
            grads[f"W{i}"] = layer.dW
            grads[f"b{i}"] = layer.db
        return loss, grads


def numerical_gradient(f, x, flat_indices):
    """Central differences of f() by the elements of x with those flat indices (book: section 4.4.2)."""
    h = 1e-4
    grad = np.zeros(len(flat_indices))
    for i, at in enumerate(flat_indices):
        index = np.unravel_index(at, x.shape)
        value = x[index]
        x[index] = value + h
        above = f()
        x[index] = value - h
        below = f()
        grad[i] = (above - below) / (2 * h)
        x[index] = value
    return grad


class SGD:
    """p -= lr g (book: section 6.1.2)."""

    def __init__(self, lr):
        self.lr = lr

    def update(self, params, grads):
        for key in params:
            params[key] -= self.lr * grads[key]


class Adam:
    """The book's form (section 6.1.6): the corrections of both means are moved into the learning rate."""

    def __init__(self, lr, beta1, beta2, eps):
        self.lr = lr
        self.beta1 = beta1
        self.beta2 = beta2
        self.eps = eps
        self.iter = 0
        self.m = None

    def update(self, params, grads):
        if self.m is None:
            self.m = {key: np.zeros_like(p) for key, p in params.items()}
            self.v = {key: np.zeros_like(p) for key, p in params.items()}
        self.iter += 1
        lr = self.lr * float(np.sqrt(1 - self.beta2**self.iter)) / (1 - self.beta1**self.iter)
        for key in params:
            self.m[key] += (1 - self.beta1) * (grads[key] - self.m[key])
            self.v[key] += (1 - self.beta2) * (grads[key] ** 2 - self.v[key])
            params[key] -= lr * self.m[key] / (np.sqrt(self.v[key]) + self.eps)
