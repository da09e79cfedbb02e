"""``Net``: a network that is compiled once and then runs, forward, backward and update, in single C calls."""

import itertools
import math
import os
import weakref
from collections.abc import Mapping

import numpy as np

from . import _core
from ._arguments import checked_flag, checked_seed, checked_shape, checked_step
from ._python_layer import Adapter, float64_copy
from .fit import Fit
from .functions import sigmoid, softmax
from .layers import _KINDS, CoreLayer, Layer, LossLayer, check_layer
from .optimizer import Optimizer
from .summary import html, text


class Arrays(Mapping):
    """Named arrays of a net, in order: views of its own memory.

    ``net.params["W1"]`` is the view, so writing into it changes the net; ``net.params["W1"] = a`` copies a into it.
    The parameters of a Python layer are the layer's own arrays.
    """

    def __init__(self, views, own=None):
        self._views = views
        self._own = own or {}  # name -> function that gives a Python layer's array

    def __getitem__(self, name):
        if name not in self._views:
            raise KeyError(f"{name!r}: this net has {', '.join(self._views) or 'none'}")
        return self._own[name]() if name in self._own else self._views[name]

    def __setitem__(self, name, value):
        view = self[name]
        if value is view:  # params[name] -= step ends here
            return
        if np.any(getattr(value, "mask", False)):
            raise TypeError(f"{name} takes real numbers, got a masked array with masked values")
        value = np.asarray(value)
        if value.dtype.kind not in "fiub" or value.dtype.itemsize > 8:
            raise TypeError(f"{name} takes real numbers, got dtype {value.dtype}")
        if value.shape != view.shape:
            raise ValueError(f"{name} has shape {view.shape}, got an array of shape {value.shape}")
        view[...] = value

    def __contains__(self, name):  # Mapping's own would make a view
        return name in self._views

    def __iter__(self):
        return iter(self._views)

    def __len__(self):
        return len(self._views)

    def __repr__(self):
        return "{" + ", ".join(f"{n!r}: {a.dtype}{a.shape}" for n, a in self.items()) + "}"


class _ParamViews(Mapping):
    """Views of a net's parameters, made when they are asked for.

    While there is one the net must expect that its numbers change between two calls; a net that nobody looks into
    remembers that all are finite, which lets a single image pass over most of W.
    """

    def __init__(self, core):
        self._core = core
        self._place = {name: i for i, name in enumerate(core.names("params"))}
        self._alive = weakref.WeakValueDictionary()

    def __getitem__(self, name):
        view = self._alive.get(name)
        if view is None:
            view = self._alive[name] = self._core.array("params", self._place[name])
        return view

    def __contains__(self, name):
        return name in self._place

    def __iter__(self):
        return iter(self._place)

    def __len__(self):
        return len(self._place)


class Net:
    """A network of layers, compiled: shapes are inferred, memory is laid out once, each step is one C call.

    Parameters
    ----------
    layers : list of layers
        Layers without arrays (``Affine(units=50)``) get theirs from the shapes that flow through; the arrays of others
        are copied in. Any object with ``forward(x)`` and ``backward(dout)`` may be one (see ``Layer``): it keeps its
        own arrays, which the net trains where they lie.
    loss : loss layer
        ``SoftmaxWithLoss()`` for one class of many, ``SigmoidWithLoss()`` for yes or no, ``IdentityWithLoss()`` for
        regression.
    input_shape : tuple of int
        Of one sample: ``(784,)``, ``(1, 28, 28)``.
    dtype : "float32" or "float64"
    seed : int or None
        Of the net's own generator, which draws first parameters and shuffles; None takes one from the system.

    Attributes
    ----------
    params, grads, buffers : Arrays
        Views of the net's memory, which never moves: W1, b1, W2, ... ``grads`` holds what the last ``gradient`` or
        ``train_step`` computed.
    optimizer : Optimizer or None
        The one whose state the net holds: bound by the first ``train_step`` or ``fit``.

    Examples
    --------
    >>> net = bd.Net([bd.Affine(units=50), bd.Relu(), bd.Affine(units=10)],
    ...              loss=bd.SoftmaxWithLoss(), input_shape=(784,), seed=1)
    """

    def __init__(self, layers, *, loss, input_shape, dtype="float32", seed=None):
        self._layers = _checked_layers(layers)
        self._loss_layer = _checked_loss(loss)
        self.input_shape = checked_shape(input_shape)
        self.seed = int.from_bytes(os.urandom(8), "little") if seed is None else checked_seed(seed)
        self._core, adapters = self._compile(self._layers, dtype)
        self.dtype = np.dtype(dtype)
        self.params = Arrays(_ParamViews(self._core), {n: own for a in adapters for n, own in a.own_arrays()})
        self.grads = Arrays(dict(self._core.arrays("grads")))
        self.buffers = Arrays(dict(self._core.arrays("buffers")))
        self.optimizer = None
        self._given_arrays_in()

    def _compile(self, layers, dtype, own=True):
        """(the net in C, the adapters of its Python layers). `own`: these keep their own parameters."""
        specs, adapters = specs_of(layers)
        core = _core.Net(specs, self._loss_layer.core, self.input_shape, dtype, self.seed)
        steps = core.steps() if adapters else ()
        for adapter, at in adapters:
            adapter.attach(core, steps[at]["first_param"], own)
        return core, [adapter for adapter, _ in adapters]

    def _given_arrays_in(self):
        names = iter(self.params)
        for layer in with_children(self._layers):
            if not isinstance(layer, CoreLayer):
                for _ in Adapter(layer).names:
                    next(names)
                continue
            for array in layer.params.values():
                name = next(names)
                if array is not None:
                    self.params[name] = (
                        np.broadcast_to(array, self.params[name].shape) if np.ndim(array) == 0 else array
                    )

    # -- using it -----------------------------------------------------------------------------

    def predict(self, x):
        """Scores of the last layer, (N, ...), a new array, for x of any batch size N: computed in chunks."""
        return self._core.predict(x)

    def predict_proba(self, x):
        """Probabilities of the classes, shaped like the scores: their softmax or sigmoid, as the loss has it.

        Raises
        ------
        TypeError
            For a net that does not classify.
        """
        self._need_classes("predict_proba", "predict(x)")
        return softmax(self.predict(x)) if self._one_class_each else sigmoid(self.predict(x))

    def classify(self, x):
        """The label (N,) with the largest score; with ``SigmoidWithLoss`` 0 or 1 a column, (N, C), or (N,) of one.

        Raises
        ------
        TypeError
            For a net that does not classify.
        """
        self._need_classes("classify", "predict(x)")
        scores = self.predict(x)
        if self._one_class_each:
            return scores.reshape(len(scores), math.prod(scores.shape[1:])).argmax(axis=1)
        return ((scores[:, 0] if scores.shape[1:] == (1,) else scores) > 0).astype(np.int64)

    def loss(self, x, t, train=False):
        """The mean loss over the samples.

        Parameters
        ----------
        x : (N, ...) array
        t : labels or rows, as the loss layer takes them
        train : bool
            Run as in training, for layers that then differ.
        """
        return self._core.evaluate(x, t, checked_flag(train, "train"))[0]

    def accuracy(self, x, t):
        """The share of samples whose largest score is their label's; every sample counts.

        Raises
        ------
        TypeError
            For a net that does not classify.
        """
        self._need_classes("accuracy", "loss(x, t)")
        x = np.asanyarray(x)
        return self._core.evaluate(x, t, False)[1] / len(x)

    def forward(self, x, keep=False):
        """The scores, or with ``keep`` the output of every layer, as a list of new arrays.

        A ``Residual`` counts as one layer.
        """
        if not checked_flag(keep, "keep"):
            return self.predict(x)
        x = np.asanyarray(x)
        self._core.predict(x)  # refuses what cannot be x
        x = np.asarray(x, dtype=self.dtype).reshape(len(x), *self.input_shape)
        arrays, buffers = iter(self.params.values()), iter(self.buffers.values())
        outputs = []
        for layer in self._layers:
            x = self._forward_one(layer, x, arrays, buffers)
            outputs.append(x)
        return outputs

    def _forward_one(self, layer, x, arrays, buffers):
        if not isinstance(layer, CoreLayer):
            adapter = Adapter(layer)
            for _ in adapter.names:
                next(arrays)
            x = x.copy()
            x.flags.writeable = False
            return np.array(adapter.call(layer, x, False), dtype=self.dtype, order="C")
        inputs = (x,)
        if layer._layers:
            branch = x
            for child in layer._layers:
                branch = self._forward_one(child, branch, arrays, buffers)
            inputs = (x, branch)
        kind = _KINDS[layer.kind]
        mine = tuple(next(arrays) for _ in kind["params"])
        statistics = tuple(next(buffers) for _ in kind["buffers"])
        return layer.core.forward(inputs, mine, None, False, statistics, None)[0]

    def gradient(self, x, t):
        """The gradient of the mean loss, in training mode: a dict of new arrays, named like ``params``."""
        self._core.gradient(x, t, False, True)
        return {name: array.copy() for name, array in self.grads.items()}

    def numerical_gradient(self, x, t, h=1e-4):
        """The same by central differences with step h, for every parameter, computed in float64.

        Dropout draws what it drew in the last training run, so that after ``gradient`` both speak of one function.

        Much slower than ``gradient``: two forward passes for each number. ``badak.gradcheck`` compares the two and
        knows how far the difference may be trusted.
        """
        h = checked_step(h)
        twin = self._float64_twin()
        gradient = {}
        for i, (name, array) in enumerate(self.params.items()):
            every = np.arange(array.size)
            twin.rng = self._core.last_draws
            gradient[name] = twin.derivatives(i, every, x, t, 0.0, h)[:, 0].reshape(array.shape)
        return gradient

    def _float64_twin(self):
        """A C net like this one, with the same parameters, in float64; its Python layers are float64 copies."""
        twin, _ = self._compile(_in_float64(self._layers), "float64", own=False)
        for (_, its), mine in zip(twin.arrays("params"), self.params.values(), strict=True):
            its[...] = mine
        for (_, mine), (_, its) in zip(self._core.arrays("buffers"), twin.arrays("buffers"), strict=True):
            its[...] = mine
        return twin

    # -- training it --------------------------------------------------------------------------

    def train_step(self, x, t, optimizer=None):
        """One step on one batch: forward, backward, update, in one C call.

        Parameters
        ----------
        optimizer : Optimizer or None
            None: the bound one. Its hyper-parameters are read anew each time.

        Returns
        -------
        float
            The mean loss before the update.

        Raises
        ------
        FloatingPointError
            The loss, the gradient or the updated parameters would not be finite; the net is as it was.
        """
        if optimizer is not self.optimizer and isinstance(optimizer, Optimizer):
            x, t = self._core.prepare(x, t, False)  # nothing is bound for a batch that cannot be used
        optimizer = self._bound(optimizer)
        return self._core.train(x, t, optimizer.kind, optimizer.hyper)[0]

    def fit(
        self,
        x,
        t,
        *,
        epochs,
        batch_size=100,
        optimizer=None,
        validation=None,
        shuffle=True,
        seed=None,
        weight_decay=0,
        schedule=None,
        progress=True,
        callbacks=(),
    ):
        """Train for a number of epochs; the last, smaller batch is used too. Ctrl-C stops after a whole step.

        Parameters
        ----------
        x, t : arrays
            Samples and targets. NaN and infinity are refused. A C-contiguous x of the net's dtype is used where it
            lies, a ``np.memmap`` too; of another form, a memmap is read and converted block by block, all else once.
        epochs : int
            How often every sample is seen.
        batch_size : int
        optimizer : Optimizer or None
            None: the bound one, which goes on where it was, or ``Adam()``.
        validation : (x, t) or None
            Measured after each epoch.
        shuffle : bool
            A new order for each epoch, from the net's generator.
        seed : int or None
            Set that generator first.
        weight_decay : float
            lambda: adds lambda / 2 * sum(W**2) to the loss and lambda * W to the gradient of each weight, not of biases
            (book: section 6.4.2). The losses in the history include it; ``loss(x, t)`` does not.
        schedule : callable or None
            ``schedule(step) -> factor`` of the learning rate at update number `step`: ``StepDecay``, ``CosineDecay``,
            ``WarmUp`` or your own. The optimiser's ``lr`` stays as it is.
        progress : bool
            Show a line (in a terminal or notebook) while it runs.
        callbacks : iterable of callables
            ``callback(net, event)`` after each epoch, such as ``EarlyStopping(patience=3)``; ``event.stop = True`` ends
            the training; what they raise passes.

        Returns
        -------
        History

        Raises
        ------
        FloatingPointError
            A loss, gradient or update was not finite. The net is as before that step.
        """
        return Fit(
            self,
            x,
            t,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            validation=validation,
            shuffle=shuffle,
            seed=seed,
            weight_decay=weight_decay,
            schedule=schedule,
            progress=progress,
            callbacks=callbacks,
        ).run()

    def _bound(self, optimizer, default=None):
        """The optimiser to use, its state in this net's memory."""
        if optimizer is None:
            optimizer = self.optimizer
        if optimizer is None and default:
            optimizer = default()
        if not isinstance(optimizer, Optimizer):
            what = "None, and none is bound yet" if optimizer is None else type(optimizer).__name__
            raise TypeError(f"optimizer must be one of badak's, such as Adam(lr=1e-3), got {what}")
        if optimizer is self.optimizer:
            return optimizer
        _core.check_optimizer(optimizer.kind, optimizer.hyper)
        if any(optimizer.state.values()):
            raise ValueError(f"this {optimizer!r} holds the state of other parameters: make a new one for this net")
        if self.optimizer is not None:
            self.optimizer._leave()
        self._core.bind(optimizer.kind)
        optimizer._bind(self._core)
        self.optimizer = optimizer
        return optimizer

    # -- keeping it ---------------------------------------------------------------------------

    def save(self, path):
        """Write the net to a file: parameters, buffers, optimiser and generator, to be trained on as if never stopped.

        The format is safetensors, which other programs read too. The file appears whole or not at all: an old one is
        replaced only by a complete new one.

        Parameters
        ----------
        path : str, bytes or path-like

        Raises
        ------
        OSError
            It cannot be written: the old file is untouched. (If only its folder could not be synchronised, the new
            one is there, whole.)
        """
        from .checkpoint import save

        save(self, path)

    def __getstate__(self):
        """For pickle and deepcopy: all that ``save`` keeps, and the layers themselves."""
        optimizer, bare = self.optimizer, None
        self._core.hold()  # not between two halves of a step
        try:
            if optimizer is not None:
                bare = optimizer.__getstate__() | dict.fromkeys(optimizer.state)
            return {
                "arguments": (self._layers, self._loss_layer, self.input_shape, str(self.dtype), self.seed),
                "params": {name: array.copy() for name, array in self.params.items()},
                "buffers": {name: array.copy() for name, array in self.buffers.items()},
                "optimizer": None if bare is None else (type(optimizer), bare),
                "state": [
                    {name: array.copy() for name, array in arrays.items()}
                    for arrays in (optimizer.state.values() if bare else ())
                ],
                "rng": self._core.rng,
            }
        finally:
            self._core.let_go()

    def __setstate__(self, state):
        keys = {"arguments", "params", "buffers", "optimizer", "state", "rng"}
        if not isinstance(state, dict) or set(state) != keys or len(state["arguments"]) != 5:
            raise TypeError("this is not the state of a Net")
        layers, loss, input_shape, dtype, seed = state["arguments"]
        self.__init__(layers, loss=loss, input_shape=input_shape, dtype=dtype, seed=seed)
        for mine, given in ((self.params, state["params"]), (self.buffers, state["buffers"])):
            _fill(mine, given)
        if state["optimizer"] is not None:
            kind, attributes = state["optimizer"]
            optimizer = kind.__new__(kind)
            vars(optimizer).update(attributes)
            self._resume(optimizer, attributes["_iter"])
            for arrays, given in zip(optimizer.state.values(), state["state"], strict=True):
                _fill(Arrays(arrays), given)
        self._core.rng = tuple(state["rng"])

    def _resume(self, optimizer, updates):
        """Bind an optimiser that has made so many updates; its state is to be filled in."""
        optimizer._iter = 0
        self._bound(optimizer).iter = updates

    # -- looking at it ------------------------------------------------------------------------

    @property
    def layers(self):
        """tuple: the layers it was made from. Their own arrays, if any, are not the net's."""
        return self._layers

    @property
    def loss_layer(self):
        """The loss layer."""
        return self._loss_layer

    @property
    def _classifies(self):
        return _KINDS[self._loss_layer.kind]["classifies"]

    @property
    def _one_class_each(self):
        return self._classifies and self._loss_layer.kind != "SigmoidWithLoss"

    def _need_classes(self, what, instead):
        if not self._classifies:
            raise TypeError(f"{what} needs classes, but the loss is {self._loss_layer!r}: use {instead}")

    @property
    def size(self):
        """int: how many numbers all parameters hold."""
        return sum(array.size for array in self.params.values())

    def summary(self):
        """Print a table of the layers: output shape, parameters, multiply-adds and memory; then of the whole."""
        print(text(self))

    def __repr__(self):
        return f"Net of {len(self._layers)} layers\n{text(self)}"

    def _repr_html_(self):
        return html(self)

    def checkup(self, x, t):
        """Is it healthy? Looks at data, first loss, layers, gradients, learning rate; tries to learn one batch.

        Works on a copy: the net is left as it is.

        Parameters
        ----------
        x, t : arrays
            As for ``fit``; some thousand samples are enough.

        Returns
        -------
        Checkup
            ``.ok``, ``.findings``; prints as plain words.
        """
        from .checkup import checkup

        return checkup(self, x, t)


# -- layers -----------------------------------------------------------------------------------


def _checked_layers(layers):
    if isinstance(layers, (str, bytes)) or not hasattr(layers, "__iter__"):
        raise TypeError(f"layers must be a list of layers, got {type(layers).__name__}")
    layers = tuple(layers)
    if not layers:
        raise ValueError("layers is empty: a net needs at least one")
    for i, layer in enumerate(layers, 1):
        if isinstance(layer, type) and issubclass(layer, Layer):
            raise TypeError(f"layer {i} is the class {layer.__name__}: write {layer.__name__}(...)")
        check_layer(layer, f"layer {i} must be a badak layer")
    seen = {}
    for i, layer in enumerate(layers, 1):
        for part in with_children([layer]):
            if id(part) in seen:
                what = "is" if part is layer else "holds"
                raise ValueError(f"layer {i} {what} the same object as layer {seen[id(part)]}: make a new one")
            seen[id(part)] = i
    return layers


def _checked_loss(loss):
    if isinstance(loss, type) and issubclass(loss, Layer):
        raise TypeError(f"loss is the class {loss.__name__}: write {loss.__name__}()")
    if not isinstance(loss, LossLayer):
        raise TypeError(f"loss must be a loss layer such as SoftmaxWithLoss(), got {type(loss).__name__}")
    return loss


def with_children(layers):
    """All layers, depth first, children before the layer whose branch they are: the order of the net's names."""
    for layer in layers:
        if isinstance(layer, CoreLayer):
            yield from with_children(layer._layers)
        yield layer


def specs_of(layers):
    """(layers of the C core, [(adapter, its place in the plan)] of the Python layers among them)."""
    adapters, places = [], itertools.count()
    return tuple(_spec(layer, adapters, places) for layer in layers), adapters


def _spec(layer, adapters, places):
    """The layer of the C core; its children come before it in the plan."""
    if isinstance(layer, CoreLayer):
        children = tuple(_spec(child, adapters, places) for child in layer._layers)
        next(places)
        return _core.Layer(layer.kind, layer.core.hyper, children) if children else layer.core
    adapter = Adapter(layer)
    adapters.append((adapter, next(places)))
    return adapter.core()


def _in_float64(layers):
    """The layers, where they are Python's as copies that compute in float64."""
    return [
        float64_copy(layer)
        if not isinstance(layer, CoreLayer)
        else layer._with_layers(_in_float64(layer._layers))
        if layer._layers
        else layer
        for layer in layers
    ]


def _fill(arrays, given):
    if list(given) != list(arrays):
        raise ValueError(f"expected arrays named {', '.join(arrays) or 'nothing'}, got {', '.join(given) or 'none'}")
    for name, array in given.items():
        arrays[name] = array
