"""The book's network of fully connected layers (its ``common/multi_layer_net.py``, used in chapter 6)."""

import os
import sys
from collections import OrderedDict
from itertools import pairwise

import numpy as np

from . import layers as _layers
from .gradient import numerical_gradient
from .layers import *  # noqa: F403  (as the book's module hands them on)
from .networks import BookNetwork

__all__ = ["MultiLayerNet", "OrderedDict", "numerical_gradient", "os", "sys", *_layers.__all__]


class MultiLayerNet(BookNetwork):
    """Affine and activation as often as there are hidden sizes, then Affine.

    Parameters
    ----------
    input_size : int
    hidden_size_list : list of int
        Units of each hidden layer.
    output_size : int
    activation : "relu" or "sigmoid"
    weight_init_std : number, "relu" or "he", "sigmoid" or "xavier"
        Standard deviation of the first weights: this number, sqrt(2 / inputs), or sqrt(1 / inputs).
    weight_decay_lambda : number
        The loss grows by half of this times the sum of squares of all weights.

    Notes
    -----
    The layers are called Affine1, Activation_function1, Affine2, ...
    """

    def __init__(
        self,
        input_size,
        hidden_size_list,
        output_size,
        activation="relu",
        weight_init_std="relu",
        weight_decay_lambda=0,
    ):
        super().__init__()
        self.input_size = input_size
        self.output_size = output_size
        self.hidden_size_list = hidden_size_list
        self.hidden_layer_num = len(hidden_size_list)
        self.weight_decay_lambda = weight_decay_lambda

        sizes = [input_size, *hidden_size_list, output_size]
        for index, (inputs, units) in enumerate(pairwise(sizes), 1):
            self.params[f"W{index}"] = _deviation(weight_init_std, inputs) * np.random.randn(inputs, units)
            self.params[f"b{index}"] = np.zeros(units)

        make_activation = _activation(activation)
        for index in range(1, len(sizes)):
            W, b = f"W{index}", f"b{index}"
            self._add(f"Affine{index}", _layers.Affine(self.params[W], self.params[b]), W=W, b=b)
            if index <= self.hidden_layer_num:
                self._add_hidden(index, make_activation())

    def _add_hidden(self, index, activation):
        """What follows the Affine of a hidden layer."""
        self._add(f"Activation_function{index}", activation)


def _deviation(weight_init_std, inputs):
    """Standard deviation of the weights of a layer with that many inputs."""
    name = str(weight_init_std).lower()
    if name in ("relu", "he"):
        return np.sqrt(2.0 / inputs)
    if name in ("sigmoid", "xavier"):
        return np.sqrt(1.0 / inputs)
    if isinstance(weight_init_std, str):
        raise ValueError(f'weight_init_std must be a number, "he" or "xavier", got {weight_init_std!r}')
    return weight_init_std


def _activation(name):
    kinds = {"sigmoid": _layers.Sigmoid, "relu": _layers.Relu}
    if name not in kinds:
        raise ValueError(f'activation must be "relu" or "sigmoid", got {name!r}')
    return kinds[name]
