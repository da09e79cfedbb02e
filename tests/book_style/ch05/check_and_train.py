"""common.layers and dataset.mnist: a gradient check, then training in a plain loop."""
# ruff: noqa: B007

import os
import sys

sys.path.append(os.pardir)
import numpy as np
from dataset.mnist import load_mnist
from small_net import SmallNet

(x_train, t_train), (x_test, t_test) = load_mnist(normalize=True)
np.random.seed(1)

small = SmallNet(6, 4, 3)
x, t = np.random.randn(5, 6), np.array([0, 2, 1, 1, 0])
by_hand, by_backprop = small.numerical_gradient(x, t), small.gradient(x, t)
print("apart by", max(np.abs(by_hand[key] - by_backprop[key]).max() for key in by_hand))

network = SmallNet(784, 50, 10)
iters_num = 300
train_loss_list = []
for i in range(iters_num):
    mask = np.random.choice(len(x_train), 100)
    grads = network.gradient(x_train[mask], t_train[mask])
    for key in ("W1", "b1", "W2", "b2"):
        network.params[key] -= 0.5 * grads[key]
    train_loss_list.append(network.loss(x_train[mask], t_train[mask]))
print("steps", len(train_loss_list), "accuracy", network.accuracy(x_test, t_test))
