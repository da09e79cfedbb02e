"""The MLP of the book *Deep Learning from Scratch* (chapters 5 and 6) in plain NumPy, in our own words.

It is what a reader of the book has, and the reference that the work of every contestant is checked against.
The book computes in float64; the arrays that come in decide here, too. Labels are integers.
"""

import numpy as np


class Affine:
    """out = x W + b (book: section 5.6)."""

    def __init__(self, W, b):
        self.W = W
        self.b = b

    def forward(self, x):
        self.x = x
        return np.dot(x, self.W) + self.b

    def backward(self, dout):
        dx = np.dot(dout, self.W.T)
        self.dW = np.dot(self.x.T, dout)
        self.db = np.sum(dout, axis=0)
        return dx


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


class MultiLayerNet:
    """Affine and Relu in turn, then softmax with loss; ``params`` is W1, b1, W2, ... (book: section 5.7)."""

    def __init__(self, params):
        self.params = params
        self.affine = [Affine(params[f"W{i}"], params[f"b{i}"]) for i in range(1, len(params) // 2 + 1)]
        self.layers = []
        for layer in self.affine:
            self.layers += [layer, Relu()]
        self.layers.pop()  # the last Affine gives the scores
        self.last_layer = SoftmaxWithLoss()

    def predict(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def loss(self, x, t):
        return self.last_layer.forward(self.predict(x), t)

    def gradient(self, x, t):
        """(loss, gradient by name)."""
        loss = self.loss(x, t)
        dout = self.last_layer.backward()
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        grads = {}
        for i, layer in enumerate(self.affine, start=1):
            grads[f"W{i}"] = layer.dW
            grads[f"b{i}"] = layer.db
        return loss, grads


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
