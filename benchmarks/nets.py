"""The five networks: what they are made of, their first weights, and how many multiplications they need."""

import functools
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Net:
    """Rows of ``layers``: ("conv", filters, size, pad), ("affine", units), ("dropout", ratio), ("relu",), ("pool",).

    A pool is the maximum of 2 by 2; what comes in is ``shape``, without the batch.
    """

    name: str
    shape: tuple
    layers: tuple
    optimizer: str

    @property
    def is_mlp(self):
        return len(self.shape) == 1

    def without_dropout(self):
        kept = tuple(layer for layer in self.layers if layer[0] != "dropout")
        return Net(self.name, self.shape, kept, self.optimizer)

    def shapes(self):
        """The shape that goes into each layer, and at last the scores'."""
        found = [self.shape]
        for kind, *size in self.layers:
            shape = found[-1]
            if kind == "conv":
                filters, side, pad = size
                shape = (filters, shape[1] + 2 * pad - side + 1, shape[2] + 2 * pad - side + 1)
            elif kind == "pool":
                shape = (shape[0], shape[1] // 2, shape[2] // 2)
            elif kind == "affine":
                shape = (size[0],)
            found.append(shape)
        return found

    def weight_shapes(self):
        """The shape of W of each convolution (filters, channels, size, size) and affine layer (inputs, units)."""
        found = []
        for shape, (kind, *size) in zip(self.shapes(), self.layers, strict=False):
            if kind == "conv":
                found.append((size[0], shape[0], size[1], size[1]))
            elif kind == "affine":
                found.append((int(np.prod(shape)), size[0]))
        return found

    @functools.cached_property
    def _weights(self):
        rng = np.random.default_rng(1)
        pairs = []
        for shape in self.weight_shapes():
            inputs, units = (shape[0], shape[1]) if len(shape) == 2 else (int(np.prod(shape[1:])), shape[0])
            W = (rng.standard_normal(shape) * np.sqrt(2 / inputs)).astype(np.float32).astype(float)
            W.flags.writeable = False
            pairs.append((W, np.zeros(units)))
        return pairs

    def weights(self):
        """List of (W, b) in float64 that float32 holds exactly: He initialisation, the same on each call."""
        return self._weights

    @functools.cached_property
    def parameters(self):
        return sum(W.size + b.size for W, b in self.weights())

    def flops(self, training):
        """Floating-point operations for one image, two per multiplication of the plain algorithm.

        Training takes them three times, for scores, gradients of the weights and gradients of the inputs, but for the
        inputs of the first layer, which nobody wants.
        """
        forward = []
        outputs = self.shapes()[1:]
        shapes = iter(self.weight_shapes())
        for out, (kind, *_) in zip(outputs, self.layers, strict=True):
            if kind in ("conv", "affine"):
                places = out[1] * out[2] if kind == "conv" else 1
                forward.append(2 * places * int(np.prod(next(shapes))))
        return 3 * sum(forward) - forward[0] if training else sum(forward)


def mlp(name, units, optimizer):
    layers = []
    for count in units[1:]:
        layers += [("affine", count), ("relu",)]
    return Net(name, units[:1], tuple(layers[:-1]), optimizer)


def _deep_layers():
    """The book's section 8.1: the fourth convolution has a padding of 2, and the scores go through dropout too."""
    layers = []
    for i, (filters, pad) in enumerate([(16, 1), (16, 1), (32, 1), (32, 2), (64, 1), (64, 1)]):
        layers += [("conv", filters, 3, pad), ("relu",)]
        if i % 2:
            layers.append(("pool",))
    return (*layers, ("affine", 50), ("relu",), ("dropout", 0.5), ("affine", 10), ("dropout", 0.5))


TWO_LAYERS = mlp("784-50-10", (784, 50, 10), "SGD")
SIX_LAYERS = mlp("784-100x5-10", (784, 100, 100, 100, 100, 100, 10), "Adam")
WIDE = mlp("784-1000x2-10", (784, 1000, 1000, 10), "Adam")
SIMPLE_CONV = Net(
    "SimpleConvNet",
    (1, 28, 28),
    (("conv", 30, 5, 0), ("relu",), ("pool",), ("affine", 100), ("relu",), ("affine", 10)),
    "Adam",
)
DEEP_CONV = Net("DeepConvNet", (1, 28, 28), _deep_layers(), "Adam")
NETS = (TWO_LAYERS, SIX_LAYERS, WIDE, SIMPLE_CONV, DEEP_CONV)
