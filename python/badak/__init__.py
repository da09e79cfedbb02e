"""badak (바닥, "the floor"): neural networks from the ground up, on a C core.

The names are those of the book *Deep Learning from Scratch*: ``from badak.layers import *`` where it says
``from common.layers import *``. Beside them ``Net`` (a whole network in one C call) and ``gradcheck``
(numerical against analytic gradients, of anybody's code).
"""

import importlib as _importlib

from . import functions, gradient, layers, optimizer, util
from ._core import isa as _isa
from ._core import isa_names as _isa_names
from .errors import ChecksumError, FormatError, GradientError
from .fit import EarlyStopping
from .functions import (
    cross_entropy_error,
    identity_function,
    mean_squared_error,
    relu,
    relu_grad,
    sigmoid,
    sigmoid_grad,
    softmax,
    softmax_loss,
    step_function,
    sum_squared_error,
    tanh,
)
from .gradient import gradient_descent, numerical_diff, numerical_gradient, numerical_gradient_2d
from .history import History
from .language import get_language, set_language
from .layers import (
    AddLayer,
    Affine,
    BatchNormalization,
    Convolution,
    Dropout,
    Flatten,
    IdentityWithLoss,
    Layer,
    LeakyRelu,
    MulLayer,
    Pooling,
    Relu,
    Residual,
    Sigmoid,
    SigmoidWithLoss,
    Softmax,
    SoftmaxWithLoss,
    Tanh,
)
from .net import Net
from .optimizer import SGD, AdaGrad, Adam, Momentum, Nesterov, RMSprop
from .schedule import CosineDecay, StepDecay, WarmUp
from .threads import get_num_threads, set_num_threads

__version__ = "0.1.0"

# What costs time to import is loaded when it is first asked for.
_LATER = {
    "dataset": ".dataset",
    "load_mnist": ".dataset",
    "load_idx": ".dataset",
    "gradcheck": "._gradcheck",
    "compare": "._compare",
    "selftest": "._selftest",
    "mutant": "._selftest",
    "derivative": "._derivative",
    "GradientReport": ".report",
    "load": ".checkpoint",
    "load_pickle": ".weights",
    "plot": ".plot",
    "show": "._show",
    "pretrained": ".weights",
    "Trainer": ".trainer",
    "trainer": ".trainer",
    "MultiLayerNet": ".multi_layer_net",
    "multi_layer_net": ".multi_layer_net",
    "MultiLayerNetExtend": ".multi_layer_net_extend",
    "multi_layer_net_extend": ".multi_layer_net_extend",
    "TwoLayerNet": ".networks",
    "SimpleConvNet": ".networks",
    "DeepConvNet": ".networks",
    "networks": ".networks",
    "AND": ".perceptron",
    "NAND": ".perceptron",
    "OR": ".perceptron",
    "XOR": ".perceptron",
    "Neuron": ".perceptron",
    "perceptron": ".perceptron",
}


def __getattr__(name):
    if name not in _LATER:
        raise AttributeError(f"module 'badak' has no attribute {name!r}")
    module = _importlib.import_module(_LATER[name], __name__)
    value = globals()[name] = getattr(module, name, module)
    return value


def __dir__():
    return sorted(set(globals()) | set(_LATER))


def cpu_info():
    """Which kernels are in use.

    Returns
    -------
    dict
        ``isa``: the instruction set in use; ``available``: those that this processor can run, best last. The
        environment variable ``BADAK_ISA``, read at import, forces one. ``threads``: as `get_num_threads`.
    """
    return {"isa": _isa(), "available": _isa_names(), "threads": get_num_threads()}
