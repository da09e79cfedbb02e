"""The book's networks, layer by layer as the book builds them: chapters 4, 5, 7 and 8.

``params`` holds the arrays and the layers hold the same arrays, so that what an optimiser changes in place the layers
see. The same ``np.random.seed`` gives the same numbers as the book's code. ``badak.Net`` does the same work in one
call for each step, and faster.
"""

import pickle
from collections import OrderedDict

import numpy as np

from . import _core
from .errors import FormatError
from .functions import softmax
from .gradient import numerical_gradient
from .layers import Affine, BatchNormalization, Convolution, Dropout, Pooling, Relu, Sigmoid, SoftmaxWithLoss

__all__ = ["DeepConvNet", "SimpleConvNet", "TwoLayerNet"]

BOOK_EPS = 1e-7  # what the book adds inside the logarithm of its loss


class BookNetwork:
    """What the book's networks share. A subclass fills ``params`` and ``layers`` and sets ``last_layer``.

    Attributes
    ----------
    params : dict
        The parameters: W1, b1, ...
    layers : OrderedDict or list
        The layers in order, without the loss.
    last_layer : layer
        The loss.
    """

    weight_decay_lambda = 0

    def __init__(self):
        self.params = {}
        self.layers = OrderedDict()
        self.last_layer = SoftmaxWithLoss(eps=BOOK_EPS)
        self._holders = {}  # parameter -> (key of the layer that holds it, its name there)

    # -- building -----------------------------------------------------------------------------

    def _keys(self):
        return self.layers if isinstance(self.layers, dict) else range(len(self.layers))

    def _add(self, key, layer, **names):
        """Append a layer; ``names`` says under which names in ``params`` its arrays are: W="W1"."""
        if isinstance(self.layers, dict):
            self.layers[key] = layer
        else:
            key = len(self.layers)
            self.layers.append(layer)
        for name, parameter in names.items():
            self._holders[parameter] = (key, name)

    # -- forward ------------------------------------------------------------------------------

    def _forward(self, x, train_flg=False):
        for key in self._keys():
            layer = self.layers[key]
            x = layer.forward(x, train_flg) if _has_modes(key, layer) else layer.forward(x)
        return x

    def predict(self, x):
        """The scores, (N, classes)."""
        return self._forward(x)

    def loss(self, x, t):
        """The mean loss over the samples x with labels t (N,), or one-hot (N, classes)."""
        return self._loss(x, t, train_flg=False)

    def _loss(self, x, t, train_flg):
        return self.last_layer.forward(self._forward(x, train_flg), t) + self._decay()

    def _decay(self):
        """What the size of the weights adds to the loss."""
        if not self.weight_decay_lambda:
            return 0
        weights = [array for name, array in self.params.items() if name.startswith("W")]
        return sum(0.5 * self.weight_decay_lambda * np.sum(W**2) for W in weights)

    def _training_loss(self, x, t):
        """The loss that ``gradient`` is the gradient of."""
        return self.loss(x, t)

    def accuracy(self, x, t, batch_size=100):
        """The share of samples whose largest score is at their label; every sample counts.

        Parameters
        ----------
        x : array
        t : labels (N,), or one-hot (N, classes)
        batch_size : int
            So many samples go through the network at once. The last batch may be smaller.
        """
        x, t = _core.real_array(x, "x", 1), _core.real_array(t, "t", 1)
        if len(x) != len(t):
            raise ValueError(f"x has {len(x)} samples, but t has {len(t)}")
        if len(x) == 0:
            raise ValueError("there are no samples to measure an accuracy on")
        if batch_size < 1:
            raise ValueError(f"batch_size = {batch_size}: expected at least 1")
        t = t.reshape(len(t), -1)
        labels = t[:, 0] if t.shape[1] == 1 else t.argmax(axis=1)
        right = 0
        for start in range(0, len(x), batch_size):
            part = slice(start, start + batch_size)
            right += np.count_nonzero(np.argmax(self.predict(x[part]), axis=1) == labels[part])
        return right / len(x)

    # -- gradients ----------------------------------------------------------------------------

    def gradient(self, x, t):
        """The gradient of the loss by backpropagation, in training mode.

        Returns
        -------
        dict
            An array for each name in ``params``.
        """
        self._training_loss(x, t)
        dout = self.last_layer.backward(1)
        for key in reversed(self._keys()):
            dout = self.layers[key].backward(dout)
        grads = {}
        for parameter, (key, name) in self._holders.items():
            grads[parameter] = getattr(self.layers[key], f"d{name}")
            if self.weight_decay_lambda and name == "W":
                grads[parameter] = grads[parameter] + self.weight_decay_lambda * self.params[parameter]
        return grads

    def numerical_gradient(self, x, t):
        """The same by central differences: two losses for each number in ``params``, so for small networks.

        Every loss sees the same dropout masks, those that ``gradient`` would draw now; running means and variances
        are as before afterwards. (In the book each loss draws its own masks.)
        """
        draws = any(_has_modes(key, self.layers[key]) for key in self._keys())
        random = np.random.get_state()
        running = {name: getattr(self.layers[key], kind) for name, (key, kind) in self._running().items()}

        def loss(_):
            if draws:
                np.random.set_state(random)
            return self._training_loss(x, t)

        try:
            return {name: numerical_gradient(loss, self.params[name]) for name in self._holders}
        finally:
            for name, (key, kind) in self._running().items():
                setattr(self.layers[key], kind, running[name])

    def _running(self):
        """The running statistics: name in a file -> (key of the layer, attribute)."""
        return {
            f"{kind}{parameter.removeprefix('gamma')}": (key, kind)
            for parameter, (key, name) in self._holders.items()
            if name == "gamma"
            for kind in ("running_mean", "running_var")
        }

    # -- files --------------------------------------------------------------------------------

    def save_params(self, file_name="params.pkl"):
        """Write ``params`` as a pickle file, as the book does, so that its own code can read it.

        Running means and variances of batch normalisation are added, without which it could not predict.
        """
        found = dict(self.params)
        for name, (key, kind) in self._running().items():
            if getattr(self.layers[key], kind) is not None:
                found[name] = getattr(self.layers[key], kind)
        content = pickle.dumps(found)
        with open(file_name, "wb") as file:
            file.write(content)

    def load_params(self, file_name="params.pkl"):
        """Take the parameters of a pickle file: the book's, or one of ``save_params``.

        Raises
        ------
        FormatError
            It holds anything but arrays of numbers; a parameter is missing, or has another shape. Nothing has
            changed then, and nothing in the file has been run.
        """
        from .weights import load_pickle  # here, because training does not need it

        self._take(load_pickle(file_name), repr(str(file_name)))

    def _take(self, found, source):
        """Hold copies of these parameters and running statistics, or raise FormatError and change nothing."""
        running = self._running()
        _check_params(found, self.params, running, source)
        dtype = np.float32 if all(found[name].dtype == np.float32 for name in self._holders) else np.float64
        for name, (key, attribute) in self._holders.items():
            self.params[name] = np.array(found[name], dtype, order="K")
            setattr(self.layers[key], attribute, self.params[name])
        for name, (key, kind) in running.items():
            setattr(self.layers[key], kind, found.get(name))


class TwoLayerNet(BookNetwork):
    """Affine - ReLU - Affine (book: section 5.7.2), or with a sigmoid in the middle (section 4.5.1).

    Parameters
    ----------
    input_size, hidden_size, output_size : int
    weight_init_std : float
        Standard deviation of the first weights.
    activation : "relu" or "sigmoid"
        "relu" is chapter 5's network, whose ``predict`` returns scores; "sigmoid" is chapter 4's, whose ``predict``
        returns probabilities.

    Notes
    -----
    The layers are called Affine1, Relu1 (or Sigmoid1) and Affine2. ``lastLayer`` is the book's name of ``last_layer``.
    """

    def __init__(self, input_size, hidden_size, output_size, weight_init_std=0.01, activation="relu"):
        super().__init__()
        activations = {"relu": Relu, "sigmoid": Sigmoid}
        if activation not in activations:
            raise ValueError(f'activation must be "relu" or "sigmoid", got {activation!r}')
        p = self.params
        p["W1"] = weight_init_std * np.random.randn(input_size, hidden_size)
        p["b1"] = np.zeros(hidden_size)
        p["W2"] = weight_init_std * np.random.randn(hidden_size, output_size)
        p["b2"] = np.zeros(output_size)

        self._gives_probabilities = activation == "sigmoid"
        self._add("Affine1", Affine(p["W1"], p["b1"]), W="W1", b="b1")
        self._add(f"{activation.capitalize()}1", activations[activation]())
        self._add("Affine2", Affine(p["W2"], p["b2"]), W="W2", b="b2")

    @property
    def lastLayer(self):  # noqa: N802
        """The loss: ``last_layer``."""
        return self.last_layer

    @lastLayer.setter
    def lastLayer(self, layer):  # noqa: N802
        self.last_layer = layer

    def predict(self, x):
        """The scores; with a sigmoid the probabilities."""
        scores = self._forward(x)
        return softmax(scores) if self._gives_probabilities else scores


class SimpleConvNet(BookNetwork):
    """Convolution - ReLU - pooling - Affine - ReLU - Affine (book: section 7.5).

    Parameters
    ----------
    input_dim : (channels, height, width)
    conv_param : dict
        filter_num, filter_size, pad and stride; 30, 5, 0 and 1 where not given.
    hidden_size, output_size : int
    weight_init_std : float
        Standard deviation of the first weights.

    Notes
    -----
    The layers are called Conv1, Relu1, Pool1, Affine1, Relu2 and Affine2.
    """

    def __init__(self, input_dim=(1, 28, 28), conv_param=None, hidden_size=100, output_size=10, weight_init_std=0.01):
        super().__init__()
        conv = _conv_param(conv_param, filter_num=30, filter_size=5, pad=0)
        filters, size = conv["filter_num"], conv["filter_size"]
        channels, height, width = input_dim
        flat = filters * _pooled(_convolved(height, conv)) * _pooled(_convolved(width, conv))

        p = self.params
        p["W1"] = weight_init_std * np.random.randn(filters, channels, size, size)
        p["b1"] = np.zeros(filters)
        p["W2"] = weight_init_std * np.random.randn(flat, hidden_size)
        p["b2"] = np.zeros(hidden_size)
        p["W3"] = weight_init_std * np.random.randn(hidden_size, output_size)
        p["b3"] = np.zeros(output_size)

        self._add("Conv1", Convolution(p["W1"], p["b1"], conv["stride"], conv["pad"]), W="W1", b="b1")
        self._add("Relu1", Relu())
        self._add("Pool1", Pooling(pool_h=2, pool_w=2, stride=2))
        self._add("Affine1", Affine(p["W2"], p["b2"]), W="W2", b="b2")
        self._add("Relu2", Relu())
        self._add("Affine2", Affine(p["W3"], p["b3"]), W="W3", b="b3")


class DeepConvNet(BookNetwork):
    """Six convolutions in pairs, pooling after each pair, and two Affine layers with dropout (book: section 8.1).

    Parameters
    ----------
    input_dim : (channels, height, width)
    conv_param_1, ..., conv_param_6 : dict
        filter_num, filter_size, pad and stride. Where not given: 16, 16, 32, 32, 64 and 64 filters of size 3, pad 1
        (the fourth 2), stride 1.
    hidden_size, output_size : int

    Notes
    -----
    ``layers`` is a list: the parameters W1 to W8 are in layers 0, 2, 5, 7, 10, 12, 15 and 18. As in the book the
    scores too go through dropout, so the loss of a trained network stays near 1.
    """

    def __init__(
        self,
        input_dim=(1, 28, 28),
        conv_param_1=None,
        conv_param_2=None,
        conv_param_3=None,
        conv_param_4=None,
        conv_param_5=None,
        conv_param_6=None,
        hidden_size=50,
        output_size=10,
    ):
        super().__init__()
        self.layers = []
        given = (conv_param_1, conv_param_2, conv_param_3, conv_param_4, conv_param_5, conv_param_6)
        filters = (16, 16, 32, 32, 64, 64)
        pads = (1, 1, 1, 2, 1, 1)
        convs = [
            _conv_param(param, filter_num=count, filter_size=3, pad=pad)
            for param, count, pad in zip(given, filters, pads, strict=True)
        ]
        channels, height, width = input_dim
        for index, conv in enumerate(convs, 1):
            size = conv["filter_size"]
            self._he(index, (conv["filter_num"], channels, size, size), channels * size * size, conv["filter_num"])
            channels, height, width = conv["filter_num"], _convolved(height, conv), _convolved(width, conv)
            if index % 2 == 0:
                height, width = _pooled(height), _pooled(width)
        flat = channels * height * width
        self._he(7, (flat, hidden_size), flat, hidden_size)
        self._he(8, (hidden_size, output_size), hidden_size, output_size)

        for index, conv in enumerate(convs, 1):
            self._add_with_params(index, Convolution, conv["stride"], conv["pad"])
            self._add(None, Relu())
            if index % 2 == 0:
                self._add(None, Pooling(pool_h=2, pool_w=2, stride=2))
        self._add_with_params(7, Affine)
        self._add(None, Relu())
        self._add(None, Dropout(0.5))
        self._add_with_params(8, Affine)
        self._add(None, Dropout(0.5))

    def _he(self, index, shape, inputs, units):
        """W and b of one layer: normal numbers of standard deviation sqrt(2 / inputs), and zeros."""
        self.params[f"W{index}"] = np.sqrt(2.0 / inputs) * np.random.randn(*shape)
        self.params[f"b{index}"] = np.zeros(units)

    def _add_with_params(self, index, kind, *hyper):
        W, b = f"W{index}", f"b{index}"
        self._add(None, kind(self.params[W], self.params[b], *hyper), W=W, b=b)

    def predict(self, x, train_flg=False):
        """The scores; with ``train_flg`` dropout draws its masks."""
        return self._forward(x, train_flg)

    def loss(self, x, t):
        """The mean loss in training mode: as in the book, dropout draws its masks."""
        return self._loss(x, t, train_flg=True)


def _has_modes(key, layer):
    """Whether the layer's ``forward`` takes ``train_flg``: by its class or, for a reader's own class, by its name."""
    named = isinstance(key, str) and key.startswith(("Dropout", "BatchNorm"))
    return named or isinstance(layer, (Dropout, BatchNormalization))


def _conv_param(given, **defaults):
    defaults["stride"] = 1
    unknown = set(given or ()) - set(defaults)
    if unknown:
        raise ValueError(f"a conv_param has {', '.join(defaults)}; got {', '.join(map(repr, sorted(unknown)))}")
    return defaults | (given or {})


def _convolved(length, conv):
    room = length + 2 * conv["pad"] - conv["filter_size"]
    if room < 0:
        raise ValueError(f"a filter of size {conv['filter_size']} with pad {conv['pad']} does not fit into {length}")
    return room // conv["stride"] + 1


def _pooled(length):
    if length < 2:
        raise ValueError(f"the images are too small: a pooling window of 2 does not fit into {length}")
    return (length - 2) // 2 + 1


def _check_params(found, params, running, source):
    """Raise FormatError unless `found` is a dict of arrays of the names and shapes in params."""
    if not isinstance(found, dict):
        raise FormatError(f"{source} holds a {type(found).__name__}, expected a dict of parameters")
    if missing := [name for name in params if name not in found]:
        raise FormatError(f"{source} has no {', '.join(missing)}: it belongs to another network")
    if unknown := [name for name in found if name not in params and name not in running]:
        raise FormatError(f"{source} has {', '.join(map(str, unknown))}: it belongs to another network")
    for name, value in found.items():
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf":
            raise FormatError(f"{source}: {name} is no array of real numbers")
        expected = params[name].shape if name in params else None
        if expected is not None and value.shape != expected:
            raise FormatError(f"{source}: {name} has shape {value.shape}, this network's has {expected}")
