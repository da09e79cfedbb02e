"""What ``common.*`` and ``dataset.*`` hold when badak serves them: the book's names, on badak's code."""

import importlib

import numpy as np

from .. import layers, util

__all__ = ["PACKAGES", "STARRED", "contents"]

PACKAGES = ("common", "dataset")


class SoftmaxWithLoss(layers.SoftmaxWithLoss):
    """``badak.layers.SoftmaxWithLoss`` as the book has it: with 1e-7 inside the logarithm."""

    def __init__(self, eps=1e-7):
        super().__init__(eps)


# What ``from MODULE import *`` gives: the names that the book's own modules hand on, np and os among them. All else
# that badak has is there for the asking, but does not overwrite what a script may have made itself.
_FUNCTIONS = """np identity_function step_function sigmoid sigmoid_grad relu relu_grad softmax softmax_loss
    sum_squared_error mean_squared_error cross_entropy_error"""
_LAYERS = f"""{_FUNCTIONS} im2col col2im
    Relu Sigmoid Affine SoftmaxWithLoss Dropout BatchNormalization Convolution Pooling"""
_OPTIMIZERS = "np SGD Momentum Nesterov AdaGrad RMSprop Adam"
_NETWORK = f"sys os OrderedDict numerical_gradient {_LAYERS}"
STARRED = {
    "common": "",
    "common.functions": _FUNCTIONS,
    "common.gradient": "np numerical_gradient numerical_gradient_2d",
    "common.layers": _LAYERS,
    "common.optimizer": _OPTIMIZERS,
    "common.trainer": f"sys os Trainer {_OPTIMIZERS}",
    "common.util": "np smooth_curve shuffle_dataset conv_output_size im2col col2im",
    "common.multi_layer_net": f"MultiLayerNet {_NETWORK}",
    "common.multi_layer_net_extend": f"MultiLayerNetExtend {_NETWORK}",
    "dataset": "",
    "dataset.mnist": "np os pickle load_mnist init_mnist download_mnist train_num test_num img_dim img_size",
}


def contents(cap=None):
    """How to fill each module that is served.

    Parameters
    ----------
    cap : Cap or None
        What cuts training loops short.

    Returns
    -------
    dict of callables
        By module name; each returns the names of that module. badak's modules are imported by the call, not before.
    """

    def functions():
        names = _public("functions")
        # Both editions: half the sum of squares. The Korean one calls it the mean.
        return names | {"mean_squared_error": names["sum_squared_error"]}

    def book_layers():
        return _public("layers") | functions() | {"SoftmaxWithLoss": SoftmaxWithLoss}

    def tools():
        return _public("util") | ({} if cap is None else {"smooth_curve": _smooth_if_long})

    def trainer():
        names = _public("optimizer") | _public("trainer")
        return names | ({} if cap is None else {"Trainer": cap.trainer(names["Trainer"])})

    def network(name):
        return lambda: _public(name) | book_layers()

    fill = {
        "common": dict,
        "common.functions": functions,
        "common.gradient": lambda: _public("gradient"),
        "common.layers": book_layers,
        "common.optimizer": lambda: _public("optimizer"),
        "common.trainer": trainer,
        "common.util": tools,
        "common.multi_layer_net": network("multi_layer_net"),
        "common.multi_layer_net_extend": network("multi_layer_net_extend"),
        "dataset": dict,
        "dataset.mnist": lambda: _public("dataset.mnist"),
    }
    return {name: _with_all(fill[name], starred.split()) for name, starred in STARRED.items()}


def _with_all(fill, starred):
    """A callable giving what `fill` gives, with the module's ``__all__``."""
    return lambda: fill() | {"__all__": starred}


def _public(name):
    """The public names of a module of badak."""
    module = importlib.import_module(f"badak.{name}")
    return {key: getattr(module, key) for key in module.__all__}


def _smooth_if_long(x):
    """``smooth_curve(x)``, or x itself where the cap left too few points to smooth."""
    return util.smooth_curve(x) if len(x) > 10 else np.asarray(x, dtype=float)
