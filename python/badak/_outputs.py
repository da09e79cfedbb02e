"""What the layers of a network give, one after the other: for pictures."""

import inspect

import numpy as np

from .net import Net


def forward(layer, x):
    """The layer's output, as when it is not in training."""
    try:
        takes_mode = "train_flg" in inspect.signature(layer.forward).parameters
    except (TypeError, ValueError):
        takes_mode = False
    return layer.forward(x, train_flg=False) if takes_mode else layer.forward(x)


def outputs(what, x):
    """A list of (layer, its output for x) of a Net, a network in the book's style, a layer or a list of layers.

    Raises
    ------
    TypeError
        What has no layers.
    """
    if isinstance(what, Net):
        return list(zip(what.layers, what.forward(x, keep=True), strict=True))
    layers = what if isinstance(what, (list, tuple)) else getattr(what, "layers", None)
    if isinstance(layers, dict):
        layers = layers.values()
    if layers is None or isinstance(what, type):
        if isinstance(what, type) or not hasattr(what, "forward"):
            raise TypeError(f"expected a network or a list of layers, got {type(what).__name__}")
        layers = [what]
    found = []
    for layer in layers:
        if isinstance(layer, type) or not hasattr(layer, "forward"):
            raise TypeError(f"expected layers, got {layer!r:.60}")
        x = np.asarray(forward(layer, x))
        found.append((layer, x))
    if not found:
        raise ValueError("there are no layers")
    return found
