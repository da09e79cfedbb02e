"""A module beside a script: two layers, put together by hand from common.layers."""
# ruff: noqa: F403, F405

from collections import OrderedDict

import numpy as np
from common.gradient import numerical_gradient
from common.layers import *


class SmallNet:
    def __init__(self, inputs, hidden, classes):
        self.params = {
            "W1": 0.1 * np.random.randn(inputs, hidden),
            "b1": np.zeros(hidden),
            "W2": 0.1 * np.random.randn(hidden, classes),
            "b2": np.zeros(classes),
        }
        self.layers = OrderedDict()
        self.layers["Affine1"] = Affine(self.params["W1"], self.params["b1"])
        self.layers["Sigmoid1"] = Sigmoid()
        self.layers["Affine2"] = Affine(self.params["W2"], self.params["b2"])
        self.last = SoftmaxWithLoss()

    def predict(self, x):
        for layer in self.layers.values():
            x = layer.forward(x)
        return x

    def loss(self, x, t):
        return self.last.forward(self.predict(x), t)

    def accuracy(self, x, t):
        return np.mean(self.predict(x).argmax(axis=1) == t)

    def numerical_gradient(self, x, t):
        return {key: numerical_gradient(lambda _: self.loss(x, t), array) for key, array in self.params.items()}

    def gradient(self, x, t):
        self.loss(x, t)
        dout = self.last.backward(1)
        for layer in reversed(self.layers.values()):
            dout = layer.backward(dout)
        one, two = self.layers["Affine1"], self.layers["Affine2"]
        return {"W1": one.dW, "b1": one.db, "W2": two.dW, "b2": two.db}
