"""The book's layers: ``forward(x)`` computes, ``backward(dout)`` hands the gradient back.

The arithmetic is in C (csrc/core/layers, one file a layer); here a layer holds its parameters, by reference, and
what forward has to remember for backward. NumPy twins of all of them are in ``badak/_reference.py``.
"""

import math

import numpy as np

from . import _core
from . import functions as _functions
from .functions import *  # noqa: F403  (the book's module hands on those, np among them, and im2col and col2im)
from .util import col2im, im2col

__all__ = [
    "AddLayer",
    "Affine",
    "BatchNormalization",
    "Convolution",
    "Dropout",
    "Flatten",
    "IdentityWithLoss",
    "Layer",
    "LeakyRelu",
    "MulLayer",
    "Pooling",
    "Relu",
    "Residual",
    "Sigmoid",
    "SigmoidWithLoss",
    "Softmax",
    "SoftmaxWithLoss",
    "Tanh",
    "col2im",
    "im2col",
    *_functions.__all__,
]

_KINDS = _core.layer_kinds()


class Parameter:
    """An array that a layer holds by reference: ``layer.W is W``. Assigning another one is checked.

    The dtypes of a layer's parameters have to be one only when it runs, so that all can be assigned, one by one.
    """

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, layer, owner=None):
        return self if layer is None else layer._params[self.name]

    def __set__(self, layer, value):
        layer._set_params(layer._params | {self.name: value})

    def __delete__(self, layer):
        raise AttributeError(f"{self.name} cannot be deleted: a layer needs its parameters")


class Gradient:
    """What the last ``backward`` computed for a parameter; None before it."""

    def __set_name__(self, owner, name):
        self.at = _KINDS[owner.kind]["params"].index(name[1:])

    def __get__(self, layer, owner=None):
        if layer is None:
            return self
        return layer._grads[self.at] if layer._grads else None


class Layer:
    """What all layers share, and the base of your own: write ``forward(x)`` and ``backward(dout)``.

    ``backward`` returns the gradient with respect to x and puts those of the parameters into ``grads``. An instance
    works alone, under ``gradcheck`` and inside a ``Net``, which trains its parameters. There x and dout are read-only;
    a ``forward(x, train_flg)`` is told whether the net trains.

    Attributes
    ----------
    params, grads : dict
        Arrays by name: float32 or float64 parameters, and the gradients that ``backward`` computed. The arrays of
        ``params`` stay the layer's own: a Net changes them in place. Weight decay counts those of two or more axes.

    Examples
    --------
    >>> class Swish(bd.Layer):                                # x * sigmoid(beta * x), with a beta to be learned
    ...     def __init__(self, beta=1.0):
    ...         self.params["beta"] = np.array([beta])
    ...     def forward(self, x):
    ...         self.x, self.y = x, bd.sigmoid(self.params["beta"] * x)
    ...         return x * self.y
    ...     def backward(self, dout):
    ...         slope = self.x * self.y * (1 - self.y)
    ...         self.grads["beta"] = np.array([(dout * slope * self.x).sum()])
    ...         return dout * (self.y + self.params["beta"] * slope)
    """

    def __new__(cls, *args, **kwargs):
        if cls is Layer:
            raise TypeError("Layer is what all layers share: use one of them, such as Affine or Relu, or derive yours")
        layer = super().__new__(cls)
        layer.params, layer.grads = {}, {}  # here, so that a layer of yours need not call __init__
        return layer

    def forward(self, x):
        """The output for x."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(x)")

    def backward(self, dout):
        """The gradient with respect to x, for the gradient `dout` of the output."""
        raise NotImplementedError(f"{type(self).__name__} has no backward(dout)")

    def config(self):
        """dict: what to call the class with to make such a layer anew, in JSON's types; ``Net.save`` notes it."""
        return {}

    def __call__(self, x):
        """The same as ``forward``."""
        return self.forward(x)

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{n}{np.shape(a)}' for n, a in self.params.items())})"


class CoreLayer(Layer):
    """A layer of the C core. Its descriptor there says what it takes; ``kind`` is its name.

    Attributes
    ----------
    x : array or None
        What the last ``forward`` was given, as converted, where ``backward`` reads it: in Affine, Convolution,
        LeakyRelu, IdentityWithLoss, and a Pooling of other windows than squares of 2 by 2 that fill the image. The
        others do not keep it.
    out : array or None
        A copy of what it returned, for the layers that remember it.
    """

    kind = None
    _spelled = {}  # noqa: RUF012  # options of the descriptor that go by another name here

    def __new__(cls, *args, **kwargs):
        return object.__new__(cls)

    def __init__(self, params=None, layers=(), **hyper):
        self._hyper = hyper
        self._layers = tuple(layers)
        self._saved = None
        self._params = {}
        self._grads = ()  # in the order of the parameters
        self._set_params(params or {})
        arrays = {name: array for name, array in self._params.items() if isinstance(array, np.ndarray) and array.ndim}
        if len({array.dtype for array in arrays.values()}) > 1:
            types = ", but ".join(f"{name} is {array.dtype}" for name, array in arrays.items())
            raise TypeError(f"{types}: give both in one type")

    # -- parameters ---------------------------------------------------------------------------

    def _set_params(self, params):
        """Take these arrays, or none of them; nothing changes if one does not fit."""
        hyper = self._hyper
        if any(array is not None for array in params.values()):
            hyper = hyper | self._sizes(**params)
        order = _KINDS[self.kind]["hyper"]
        ready = all(default is not None or hyper.get(name) is not None for name, default in order)
        core = _core.Layer(self.kind, tuple(hyper[name] for name, _ in order)) if ready else None
        self._hold(params)
        self._core = core

    def _hold(self, params):
        self._params = params
        self._values = None if any(array is None for array in params.values()) else tuple(params.values())

    def _sizes(self, **params):
        """The hyper-parameters that the shapes of given arrays decide. Raises if they cannot be parameters."""
        return {}

    @property
    def params(self):
        """dict: parameters by name, held by reference."""
        return dict(self._params)

    @property
    def grads(self):
        """dict: their gradients, from the last ``backward``."""
        return dict(zip(self._params, self._grads, strict=True)) if self._grads else {}

    @property
    def core(self):
        """The layer of the C core that does the work, without those inside it."""
        if self._core is None:
            raise RuntimeError(f"{self!r} is not complete: {self._missing}")
        return self._core

    _missing = "a hyper-parameter has no value"

    @classmethod
    def _from_hyper(cls, hyper):
        """A layer without arrays from the options of the descriptor, as a file has them."""
        return cls(**hyper)

    def _arrays(self):
        if self._values is None:
            raise RuntimeError(
                f"{self!r} has no arrays: inside a Net it gets them there; to stand alone it needs "
                + ", ".join(self._params)
            )
        return self._values

    # -- the two passes -----------------------------------------------------------------------

    def forward(self, x):
        """The output for x, a new array; x is not changed."""
        return self._forward((x,))

    def _forward(self, inputs, target=None, training=True, buffers=(), draws=None):
        out, self._saved = self.core.forward(inputs, self._arrays(), target, training, buffers, draws)
        return out

    def backward(self, dout):
        """The gradient with respect to x, a new array, for the gradient `dout` of the output.

        It may be called again after the same ``forward``, with another `dout`.

        Raises
        ------
        RuntimeError
            Before the first ``forward``.
        """
        (dx,), self._grads = self.core.backward(self._saved, dout, self._arrays())
        return dx

    @property
    def x(self):
        return None if self._saved is None else self._saved.x

    @property
    def out(self):
        return None if self._saved is None else self._saved.out

    # -- looking at it, copying it ------------------------------------------------------------

    def __repr__(self):
        shapes = [f"{n}={a!r}" if _is_number(a) else f"{n}{a.shape}" for n, a in self._params.items() if a is not None]
        hyper = [
            f"{name}={self._hyper[name]!r}"
            for name, default in _KINDS[self.kind]["hyper"]
            if self._hyper.get(name) not in (None, default)
        ]
        return f"{type(self).__name__}({', '.join(shapes + hyper)})"

    def __getstate__(self):
        """For pickle and deepcopy: everything but what forward remembered."""
        return {name: value for name, value in vars(self).items() if name not in ("_core", "_saved", "_values")}

    def __setstate__(self, state):
        vars(self).update(state, _saved=None)
        self._set_params(self._params)


class MulLayer:
    """out = x * y (book: section 5.4.1). Numbers or arrays."""

    def __init__(self):
        self.x = None
        self.y = None

    def forward(self, x, y):
        """The product of x and y."""
        self.x = x
        self.y = y
        return x * y

    def backward(self, dout):
        """(dx, dy): each input's gradient is dout times the other input."""
        return dout * self.y, dout * self.x


class AddLayer:
    """out = x + y (book: section 5.4.2). Numbers or arrays."""

    def forward(self, x, y):
        """The sum of x and y."""
        return x + y

    def backward(self, dout):
        """(dx, dy): both inputs get dout."""
        return dout * 1, dout * 1


class Relu(CoreLayer):
    """out = x where x > 0, else 0 (book: section 5.5.1).

    The slope at exactly 0 is 0 here, as in the book. A NaN passes.

    Attributes
    ----------
    mask : bool array or None
        Where x was not above 0 in the last ``forward``.
    """

    kind = "Relu"

    def __init__(self):
        super().__init__()

    @property
    def mask(self):
        return None if self._saved is None else self._saved.sign == 0


class Sigmoid(CoreLayer):
    """out = 1 / (1 + exp(-x)) (book: section 5.5.2), without overflow for any x."""

    kind = "Sigmoid"

    def __init__(self):
        super().__init__()


class Tanh(CoreLayer):
    """out = tanh(x) (book: section 6.2.2 uses it)."""

    kind = "Tanh"

    def __init__(self):
        super().__init__()


class Affine(CoreLayer):
    """out = x @ W + b (book: section 5.6).

    Parameters
    ----------
    W : (in, units) float32 or float64 array
        Held by reference, in any layout: changing it in place changes the layer.
    b : (units,) array of the same dtype, or a number
        Held by reference where it is an array; a number stands for every unit.
    units : int
        Instead of W and b, inside a ``Net``: the arrays are made there.
    init : "he", "xavier" or float
        How W begins, with `units`: normal numbers of standard deviation sqrt(2 / in), sqrt(1 / in) or this number.

    Attributes
    ----------
    dW, db : arrays like W and b, or None
        New ones after each ``backward``.

    Notes
    -----
    x may have any number of axes: all but the first are read as one row (c, h, w order after a convolution), and
    dx has the shape of x. ``dx = dout @ W.T``, ``dW = x.T @ dout``, ``db = dout.sum(axis=0)``.
    """

    kind = "Affine"
    W = Parameter()
    b = Parameter()
    dW = Gradient()
    db = Gradient()
    _missing = "pass arrays (W, b), or units=... inside a Net"

    def __init__(self, W=None, b=None, *, units=None, init="he"):
        if _is_number(W):
            raise TypeError(
                f"Affine takes arrays (W, b), or units={b if _is_number(b) else W} inside a Net "
                "(the number of inputs follows from the layer before)"
            )
        if (W is None) != (b is None) or (W is None) == (units is None):
            raise TypeError("Affine takes either arrays (W, b) or units=..., not both and not half")
        super().__init__({"W": W, "b": b}, units=units, init=init)

    def _sizes(self, W, b):
        _check_weight_and_bias(W, b, "(in, units)", units_axis=1)
        return {"units": W.shape[1]}


class Convolution(CoreLayer):
    """Filters slid over images (book: section 7.4).

    Parameters
    ----------
    W : (filters, c, height, width) float32 or float64 array
        Held by reference, in any layout.
    b : (filters,) array of the same dtype, or a number
    stride, pad : int
        Step of the window, and zeros around the image.
    filters, size : int, int or pair
        Instead of W and b, inside a ``Net``: how many filters, of which height and width.
    dilation : int
        Distance between the taps of a filter.
    init : "he", "xavier" or float
        How W begins, as in ``Affine``; its inputs are c * height * width.

    Attributes
    ----------
    dW, db : arrays like W and b, or None

    Notes
    -----
    x is (N, c, h, w), the output (N, filters, oh, ow) with ``oh = (h + 2 pad - span) // stride + 1``,
    ``span = dilation (height - 1) + 1``.
    """

    kind = "Convolution"
    W = Parameter()
    b = Parameter()
    dW = Gradient()
    db = Gradient()
    _missing = "pass arrays (W, b), or filters=... and size=... inside a Net"
    _spelled = {"height": "size", "width": "size"}  # noqa: RUF012

    def __init__(self, W=None, b=None, stride=1, pad=0, *, filters=None, size=None, dilation=1, init="he"):
        if _is_number(W):
            raise TypeError("Convolution takes arrays (W, b), or filters=... and size=... inside a Net")
        given = W is not None
        if given != (b is not None) or given == (filters is not None) or given == (size is not None):
            raise TypeError(
                "Convolution takes either arrays (W, b), or filters=... and size=..., not both and not half"
            )
        height, width = (None, None) if size is None else _pair(size, "size")
        super().__init__(
            {"W": W, "b": b},
            filters=filters,
            height=height,
            width=width,
            stride=stride,
            pad=pad,
            dilation=dilation,
            init=init,
        )

    @property
    def stride(self):
        return self._hyper["stride"]

    @property
    def pad(self):
        return self._hyper["pad"]

    @classmethod
    def _from_hyper(cls, hyper):
        hyper = dict(hyper)
        return cls(size=(hyper.pop("height"), hyper.pop("width")), **hyper)

    def _sizes(self, W, b):
        _check_weight_and_bias(W, b, "(filters, channels, height, width)", units_axis=0)
        return {"filters": W.shape[0], "height": W.shape[2], "width": W.shape[3]}


class Pooling(CoreLayer):
    """The largest number, or the mean, of each window (book: section 7.3).

    Parameters
    ----------
    pool_h, pool_w : int
        The window.
    stride : int
        2 by default, as the book since its later printings.
    pad : int
        Smaller than the window. Padding never wins, and does not count in a mean.
    mean : bool
        The mean instead of the largest.

    Notes
    -----
    Where several are the largest the first wins, forward and backward. A NaN wins.
    """

    kind = "Pooling"

    def __init__(self, pool_h, pool_w, stride=2, pad=0, *, mean=False):
        super().__init__(pool_h=pool_h, pool_w=pool_w, stride=stride, pad=pad, mean=int(_checked_bool(mean, "mean")))

    @classmethod
    def _from_hyper(cls, hyper):
        return cls(**hyper | {"mean": bool(hyper["mean"])})


class BatchNormalization(CoreLayer):
    """out = gamma * (x - mean) / sqrt(var + eps) + beta, over the batch (book: section 6.3).

    Parameters
    ----------
    gamma, beta : (d,) arrays, or numbers
        Held by reference; a number stands for every feature. None inside a ``Net``: they begin as 1 and 0.
    momentum : float in [0, 1)
        How slowly the running statistics follow the batches.
    running_mean, running_var : (d,) arrays or None
        Used when not in training; they begin as 0, as in the book.
    eps : float above 0
        1e-6, the 10e-7 of the book's code.
    axis : "feature" or "channel"
        "feature": each number of a sample by itself, as the book; an image counts as c * h * w features. "channel": one
        mean for each channel of an image.

    Attributes
    ----------
    dgamma, dbeta : arrays or None
    """

    kind = "BatchNormalization"
    gamma = Parameter()
    beta = Parameter()
    dgamma = Gradient()
    dbeta = Gradient()
    _spelled = {"per_channel": "axis"}  # noqa: RUF012

    def __init__(
        self,
        gamma=None,
        beta=None,
        momentum=0.9,
        running_mean=None,
        running_var=None,
        *,
        eps=1e-6,
        axis="feature",
    ):
        if (gamma is None) != (beta is None):
            raise TypeError("BatchNormalization takes gamma and beta, or neither inside a Net")
        if axis not in ("feature", "channel"):
            raise ValueError(f'axis must be "feature" or "channel", got {axis!r}')
        self.running_mean = running_mean
        self.running_var = running_var
        super().__init__({"gamma": gamma, "beta": beta}, momentum=momentum, eps=eps, per_channel=int(axis == "channel"))

    @classmethod
    def _from_hyper(cls, hyper):
        hyper = dict(hyper)
        return cls(axis="channel" if hyper.pop("per_channel") else "feature", **hyper)

    def _sizes(self, gamma, beta):
        for name, array in (("gamma", gamma), ("beta", beta)):
            if _is_number(array):
                _check_real(array, name)
            else:
                _core.check_parameter(array, name)
        return {}

    def forward(self, x, train_flg=True):
        """The normalised x; in training by the batch's own statistics, which the running ones then follow."""
        x = _core.real_array(x)
        d = math.prod(x.shape[1:2] if self._hyper["per_channel"] else x.shape[1:])
        params, numbers = self._params, _is_number(self._arrays()[0])
        if numbers:  # they become arrays, once there is an x to tell how many
            params = {name: np.full(d, float(value)) for name, value in params.items()}
        dtype = params["gamma"].dtype
        mean, var = (
            np.zeros(d, dtype) if value is None else np.array(_core.real_array(value, name), dtype)
            for name, value in (("running_mean", self.running_mean), ("running_var", self.running_var))
        )
        out, saved = self.core.forward((x,), tuple(params.values()), None, bool(train_flg), (mean, var), None)
        self._saved, self.running_mean, self.running_var = saved, mean, var
        self._hold(params)
        return out


class Dropout(CoreLayer):
    """Each number is kept, or made 0 by chance (book: section 6.4.3).

    Parameters
    ----------
    dropout_ratio : float in [0, 1)
        The chance of becoming 0.
    inverted : bool
        False, as the book: what is kept stays as it is, and when not in training all is multiplied by 1 - ratio.
        True, as is usual today: what is kept is divided by 1 - ratio, and nothing happens when not in training.

    Notes
    -----
    Standing alone it draws ``np.random.rand(*x.shape)``, as the book: the same seed gives the same mask. Inside a
    ``Net`` it draws from the net's generator.
    """

    kind = "Dropout"

    def __init__(self, dropout_ratio=0.5, *, inverted=False):
        super().__init__(dropout_ratio=dropout_ratio, inverted=int(_checked_bool(inverted, "inverted")))
        self.mask = None

    @classmethod
    def _from_hyper(cls, hyper):
        return cls(**hyper | {"inverted": bool(hyper["inverted"])})

    @property
    def dropout_ratio(self):
        return self._hyper["dropout_ratio"]

    def forward(self, x, train_flg=True):
        """The thinned x in training; else x times 1 - ratio (the book's way) or x itself (inverted)."""
        x = _core.real_array(x, "x", 1)  # nothing is drawn for what cannot be used
        draws = np.random.rand(*x.shape) if train_flg else None
        out = self._forward((x,), training=bool(train_flg), draws=draws)
        if train_flg:
            self.mask = draws > self.dropout_ratio
        return out


class LeakyRelu(CoreLayer):
    """out = x where x > 0, else slope * x.

    Parameters
    ----------
    slope : float in [0, 1]
    """

    kind = "LeakyRelu"

    def __init__(self, slope=0.01):
        super().__init__(slope=slope)


class Softmax(CoreLayer):
    """exp(x) / sum(exp(x)) over the last axis (book: section 3.5). Before a loss, use ``SoftmaxWithLoss``."""

    kind = "Softmax"

    def __init__(self):
        super().__init__()


class Flatten(CoreLayer):
    """Each sample as one row, in c, h, w order. ``Affine`` does so by itself."""

    kind = "Flatten"

    def __init__(self):
        super().__init__()


class Residual(CoreLayer):
    """out = x + branch(x), the branch being the given layers one after the other (book: section 8.2.4).

    Parameters
    ----------
    layers : list of layers
        Their output must have the shape of x.
    """

    kind = "Residual"

    def __init__(self, layers):
        layers = list(layers)
        if not layers:
            raise ValueError("Residual needs at least one layer in its branch")
        for layer in layers:
            check_layer(layer, "Residual takes badak layers")
            if isinstance(layer, LossLayer):
                raise ValueError(f"{type(layer).__name__} is a loss layer: it cannot be inside a branch")
        if len({id(layer) for layer in layers}) < len(layers):
            raise ValueError("Residual got the same object twice: make a new layer for each place")
        super().__init__(layers=layers)

    @property
    def layers(self):
        """tuple: the layers of the branch."""
        return self._layers

    def _with_layers(self, layers):
        return Residual(layers)

    def forward(self, x):
        before = [(layer, layer._saved) for layer in self._inside() if isinstance(layer, CoreLayer)]
        try:
            return self._forward_through_branch(x)
        except BaseException:  # what the branch remembers must belong to the same forward as before
            for layer, saved in before:
                layer._saved = saved
            raise

    def _inside(self):
        for layer in self._layers:
            yield layer
            if isinstance(layer, Residual):
                yield from layer._inside()

    def _forward_through_branch(self, x):
        branch = x
        for layer in self._layers:
            branch = layer.forward(branch)
        return self._forward((x, branch))

    def backward(self, dout):
        (dx, dbranch), _ = self.core.backward(self._saved, dout, ())
        for layer in reversed(self._layers):
            dbranch = layer.backward(dbranch)
        return self.core.forward((dx, dbranch), (), None, False, (), None)[0]  # the same addition

    def __repr__(self):
        return f"Residual({list(self._layers)})"


class LossLayer(CoreLayer):
    """The last layer: ``forward(x, t)`` gives one number, ``backward()`` begins the way back.

    Attributes
    ----------
    loss : float or None
        What the last ``forward`` returned.
    t : array or None
        The labels (N,) or rows (N, C) as they were understood.
    """

    loss = None

    def forward(self, x, t):
        """The mean loss over the N rows of x.

        Parameters
        ----------
        x : (N, C) array
            Scores.
        t : integer labels (N,) or (N, 1), or rows (N, C)
            One-hot rows are labels; other rows are weights of the classes.
        """
        self.loss = self._forward((x,), t)
        return self.loss

    def backward(self, dout=1):
        """The gradient with respect to x, (N, C), for the gradient `dout` (a number) of the loss."""
        return super().backward(dout)

    def __call__(self, x, t):
        return self.forward(x, t)

    @property
    def t(self):
        return None if self._saved is None else self._saved.target


class SoftmaxWithLoss(LossLayer):
    """softmax, then the mean of -sum(t log y) over the rows (book: section 5.6.3).

    Parameters
    ----------
    eps : float
        0: the logarithm is exact, by log-sum-exp. The book's code adds 1e-7 inside the logarithm, and differentiates
        as if it had not; ``eps=1e-7`` gives that.

    Attributes
    ----------
    y : (N, C) array or None
        The probabilities of the last ``forward``.

    Notes
    -----
    ``dx = dout * (y * t.sum(axis=1) - t) / N``, which for labels is (y - t) / N.
    """

    kind = "SoftmaxWithLoss"

    def __init__(self, eps=0.0):
        super().__init__(eps=eps)

    @property
    def y(self):
        if self._saved is None:
            return None
        shape = self._saved.x_shape
        return self._saved.keep[: math.prod(shape)].reshape(shape)


class SigmoidWithLoss(LossLayer):
    """sigmoid, then the mean over the rows of -sum(t log y + (1 - t) log(1 - y)): yes or no, for each column.

    t holds 0, 1 or probabilities, in rows like x; for one column (N,) will do. ``dx = dout * (y - t) / N``.

    Attributes
    ----------
    y : (N, C) array or None
        The probabilities of the last ``forward``.
    """

    kind = "SigmoidWithLoss"

    def __init__(self):
        super().__init__()

    @property
    def y(self):
        return None if self._saved is None else self._saved.keep.reshape(self._saved.x_shape)


class IdentityWithLoss(LossLayer):
    """y = x, and half the sum of squares over the batch size, for regression (book: section 5.6.3, at its end).

    ``loss = ((x - t)**2).sum() / (2 * N)``, ``dx = dout * (x - t) / N``. t has the shape of x.
    """

    kind = "IdentityWithLoss"

    def __init__(self):
        super().__init__()

    @property
    def y(self):
        """(N, ...) array or None: the scores themselves."""
        return self.x


def check_layer(layer, what):
    """Raise TypeError unless it is an object with ``forward`` and ``backward``; ``what`` begins the message."""
    if isinstance(layer, type) or not all(callable(getattr(layer, name, None)) for name in ("forward", "backward")):
        got = f"the class {layer.__name__}" if isinstance(layer, type) else type(layer).__name__
        raise TypeError(f"{what}, got {got} (a layer of yours has forward(x) and backward(dout))")


def _check_real(number, name):
    kind = number.dtype.kind if hasattr(number, "dtype") else "b" if isinstance(number, bool) else "f"
    if kind not in "fiu":
        raise TypeError(f"{name} must be an array or a real number, got {number!r}")
    float(number)  # OverflowError for an int beyond all floats


def _is_number(value):
    return isinstance(value, (int, float)) or (hasattr(value, "dtype") and getattr(value, "ndim", 1) == 0)


def _check_weight_and_bias(W, b, form, units_axis):
    """W of the given form, and b: one number for each unit, or one for all."""
    _core.check_parameter(W, "W")
    ndim = form.count(",") + 1
    if W.ndim != ndim:
        raise ValueError(f"W has {W.ndim} dimensions, expected {ndim}: {form}")
    if 0 in W.shape:
        raise ValueError(f"W has shape {W.shape}: every size must be at least 1")
    if _is_number(b):
        _check_real(b, "b")
        return
    _core.check_parameter(b, "b")
    units = (W.shape[units_axis],)
    if b.shape != units:
        raise ValueError(f"b has shape {b.shape}, expected {units} for W of shape {W.shape}")


def _pair(value, name):
    if not isinstance(value, (tuple, list)):
        return value, value
    if len(value) != 2:
        raise ValueError(f"{name} must be one size or (height, width), got {value!r}")
    return tuple(value)


def _checked_bool(value, name):
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {type(value).__name__}")
    return value
