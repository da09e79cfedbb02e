"""``MultiLayerNet`` with dropout and batch normalisation (the book's ``common/multi_layer_net_extend.py``)."""

import os
import sys
from collections import OrderedDict

import numpy as np

from . import layers as _layers
from .gradient import numerical_gradient
from .layers import *  # noqa: F403  (as the book's module hands them on)
from .multi_layer_net import MultiLayerNet

__all__ = ["MultiLayerNetExtend", "OrderedDict", "numerical_gradient", "os", "sys", *_layers.__all__]


class MultiLayerNetExtend(MultiLayerNet):
    """Affine, batch normalisation, activation and dropout as often as there are hidden sizes, then Affine.

    Parameters
    ----------
    input_size, hidden_size_list, output_size, activation, weight_init_std, weight_decay_lambda
        As in ``MultiLayerNet``.
    use_dropout : bool
    dropout_ration : float in [0, 1)
        The chance of a number to be made 0. (The book spells it so.)
    use_batchnorm : bool

    Notes
    -----
    The layers are called Affine1, BatchNorm1, Activation_function1, Dropout1, Affine2, ...; the parameters of batch
    normalisation gamma1 and beta1. ``predict`` and ``loss`` are in training mode if ``train_flg`` says so, gradients
    always.
    """

    def __init__(
        self,
        input_size,
        hidden_size_list,
        output_size,
        activation="relu",
        weight_init_std="relu",
        weight_decay_lambda=0,
        use_dropout=False,
        dropout_ration=0.5,
        use_batchnorm=False,
    ):
        self.use_dropout = use_dropout
        self.use_batchnorm = use_batchnorm
        self._dropout_ratio = dropout_ration
        super().__init__(input_size, hidden_size_list, output_size, activation, weight_init_std, weight_decay_lambda)

    def _add_hidden(self, index, activation):
        if self.use_batchnorm:
            units = self.hidden_size_list[index - 1]
            gamma, beta = f"gamma{index}", f"beta{index}"
            self.params[gamma] = np.ones(units)
            self.params[beta] = np.zeros(units)
            layer = _layers.BatchNormalization(self.params[gamma], self.params[beta])
            self._add(f"BatchNorm{index}", layer, gamma=gamma, beta=beta)
        super()._add_hidden(index, activation)
        if self.use_dropout:
            self._add(f"Dropout{index}", _layers.Dropout(self._dropout_ratio))

    def predict(self, x, train_flg=False):
        """The scores, (N, classes)."""
        return self._forward(x, train_flg)

    def loss(self, x, t, train_flg=False):
        """The mean loss over the samples, and the weight decay."""
        return self._loss(x, t, train_flg)

    def _training_loss(self, x, t):
        return self.loss(x, t, train_flg=True)
