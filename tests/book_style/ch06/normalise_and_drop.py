"""common.multi_layer_net_extend and common.trainer: batch normalisation and dropout together."""

import os
import sys

sys.path.append(os.pardir)
import numpy as np
from common.multi_layer_net_extend import MultiLayerNetExtend
from common.trainer import Trainer
from dataset.mnist import load_mnist

(x_train, t_train), (x_test, t_test) = load_mnist()
x_train, t_train, x_test, t_test = x_train[:300], t_train[:300], x_test[:500], t_test[:500]
np.random.seed(4)
network = MultiLayerNetExtend(784, [40, 40], 10, use_dropout=True, dropout_ration=0.2, use_batchnorm=True)
trainer = Trainer(network, x_train, t_train, x_test, t_test, epochs=15, optimizer="Adam", optimizer_param={"lr": 0.01})
trainer.train()
print("steps", len(trainer.train_loss_list))
