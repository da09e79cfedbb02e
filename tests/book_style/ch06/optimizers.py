"""common.optimizer, whose star hands on np: Python numbers as parameters, then every optimiser on a network."""
# ruff: noqa: B007, F403, F405

import os
import sys

sys.path.append(os.pardir)
import matplotlib.pyplot as plt
from common.multi_layer_net import MultiLayerNet
from common.optimizer import *
from common.util import shuffle_dataset, smooth_curve

params = {"x": -7.0, "y": 2.0}
descent = SGD(lr=0.5)
for i in range(20):
    descent.update(params, {"x": params["x"] / 10, "y": 2 * params["y"]})
print("bowl", params["x"], params["y"])

np.random.seed(2)
x, t = shuffle_dataset(np.random.randn(60, 8), np.arange(60) % 3)
kinds = {"SGD": SGD(), "Momentum": Momentum(), "Nesterov": Nesterov(), "AdaGrad": AdaGrad()}
kinds |= {"RMSprop": RMSprop(lr=0.001), "Adam": Adam()}
steps = 60
train_loss = {}
for key, optimizer in kinds.items():
    network = MultiLayerNet(8, [10, 10], 3, weight_decay_lambda=0.001)
    train_loss[key] = []
    for i in range(steps):
        optimizer.update(network.params, network.gradient(x, t))
        train_loss[key].append(network.loss(x, t))
    plt.plot(np.arange(steps), smooth_curve(train_loss[key]), label=key)
    print(key, train_loss[key][0] > train_loss[key][-1], len(train_loss[key]))
plt.legend()
plt.show()
