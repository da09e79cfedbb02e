"""Between a layer of the user's, written in Python, and the C core (csrc/bind/python_layer.c)."""

import copy
import inspect

import numpy as np

from . import _core

PAIRS = ("W", "b", "gamma", "beta")  # where there is no `params`: attributes with their gradients dW, db, ...
TOLD = ("train_flg", "training")  # an argument of forward that says whether the net trains


class Adapter:
    """One Python layer in one net: its parameters by name, in and out of the net's memory."""

    def __init__(self, layer):
        self.layer = layer
        params = getattr(layer, "params", None)
        self.in_dict = isinstance(params, dict)
        self.names = tuple(params) if self.in_dict else tuple(n for n in PAIRS if _is_array(getattr(layer, n, None)))
        self.told = next((name for name in TOLD if name in _arguments(layer.forward)), None)
        self.kind = type(layer).__name__
        for name in self.names:
            if not (isinstance(name, str) and name.isidentifier()):
                raise ValueError(f"{self.kind}.params: {name!r} is not a name for a parameter")
            self._array(name)
        self.own = ()  # the arrays of the last forward: what the core writes the updated values into
        self.values = self.grads = ()  # views of the net's memory
        self.keeps_own = True

    def core(self):
        """The layer for ``_core.Net``."""
        return _core.PythonLayer(self, self.kind, self.names)

    def attach(self, core, first, keeps_own):
        """Take the views of the net's memory, from its parameter number `first` on.

        `keeps_own`: the values are the layer's; otherwise (in the checker's twin) they are the net's.
        """
        self.net_names, self.values = self._views(core.arrays("params"), first)
        _, self.grads = self._views(core.arrays("grads"), first)
        self.keeps_own = keeps_own

    def _views(self, pairs, first):
        mine = pairs[first : first + len(self.names)]
        return [name for name, _ in mine], [view for _, view in mine]

    def own_arrays(self):
        """[(name in the net, function that gives the layer's array)]."""
        return [
            (in_net, lambda name=name: self._array(name))
            for in_net, name in zip(self.net_names, self.names, strict=True)
        ]

    def _array(self, name):
        array = self.layer.params[name] if self.in_dict else getattr(self.layer, name)
        if not _is_array(array):
            got = f"dtype {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"the parameter {name} of {self.kind} must be a float32 or float64 array, got {got}")
        if not array.flags.behaved:
            raise ValueError(f"the parameter {name} of {self.kind} is read-only or not aligned: the net must change it")
        return array

    # -- called by the core -------------------------------------------------------------------

    def shapes(self, input_shape):
        """(shape of one sample's output, shapes of the parameters), by trying it out on a copy."""
        try:
            layer = copy.deepcopy(self.layer)
        except Exception:  # what cannot be copied is tried itself
            layer = self.layer
        x = np.full((2, *input_shape), 0.5)
        x.flags.writeable = False
        with np.errstate(all="ignore"):
            out = np.shape(self.call(layer, x, False))
        if not out or out[0] != 2:
            raise ValueError(
                f"{self.kind}.forward made shape {out} of 2 samples {(2, *input_shape)}: expected (2, ...)"
            )
        return out[1:], [self._array(name).shape for name in self.names]

    def forward(self, x, training):
        """The layer's output."""
        self.own = tuple(self._array(name) for name in self.names)
        for name, array, view in zip(self.names, self.own, self.values, strict=True):
            if array.shape != view.shape:
                raise ValueError(f"the parameter {name} of {self.kind} has shape {array.shape}, had {view.shape}")
            if self.keeps_own:
                view[...] = array
            else:
                array[...] = view
        return self.call(self.layer, x, training)

    def call(self, layer, x, training):
        """``layer.forward``, told whether the net trains if it asks for that."""
        return layer.forward(x, **{self.told: training}) if self.told else layer.forward(x)

    def backward(self, dout):
        """The gradient of x; those of the parameters go to the net's memory."""
        dx = self.layer.backward(dout)
        for name, view in zip(self.names, self.grads, strict=True):
            found = self.layer.grads.get(name) if self.in_dict else getattr(self.layer, "d" + name, None)
            grad = np.asarray(found)
            if grad.dtype.kind not in "fiu" or np.ma.is_masked(found):
                got = type(found).__name__ if found is None else f"dtype {grad.dtype}"
                raise TypeError(f"{self.kind}.backward left no array of real numbers as gradient of {name}, but {got}")
            if grad.shape != view.shape:
                raise ValueError(f"the gradient of {name} in {self.kind} has shape {grad.shape}, expected {view.shape}")
            view[...] = grad
        return dx


def _is_array(value):
    return isinstance(value, np.ndarray) and value.dtype.type in (np.float32, np.float64)


def _arguments(function):
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # written in C
        return ()


def float64_copy(layer):
    """A deep copy of a Python layer with float64 parameters."""
    twin = copy.deepcopy(layer)
    adapter = Adapter(layer)
    for name in adapter.names:
        wide = np.array(adapter._array(name), dtype=np.float64, order="C")
        if adapter.in_dict:
            twin.params[name] = wide
        else:
            setattr(twin, name, wide)
    return twin
