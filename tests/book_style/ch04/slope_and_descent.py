"""common.functions and common.gradient: a linear classifier, downhill by numerical gradients alone."""
# ruff: noqa: F403, F405

import os
import sys

sys.path.append(os.pardir)
import numpy as np
from common.functions import *
from common.gradient import numerical_gradient, numerical_gradient_2d

rng = np.random.RandomState(3)
x = rng.randn(12, 2)
t = (x.sum(axis=1) > 0).astype(int)
W = 0.1 * rng.randn(2, 2)


def loss(_):
    return cross_entropy_error(softmax(np.dot(x, W)), t)


losses = []
for _ in range(40):
    W -= 0.5 * numerical_gradient(loss, W)
    losses.append(loss(W))

field = numerical_gradient_2d(lambda p: np.sum(p**2), np.array([[1.0, 2.0], [-3.0, 0.5]]))
print("loss", losses[0], "->", losses[-1])
print("field", field.tolist())
print(
    "errors",
    mean_squared_error(np.array([1.0, 3.0]), np.array([0.0, 1.0])),
    sum_squared_error(np.array([2.0]), np.array([0.0])),
)
print("steps", step_function(np.array([-1.0, 2.0])), relu_grad(np.array([-1.0, 2.0])), sigmoid_grad(0.0))
