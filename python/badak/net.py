"""``Net``: a network that is compiled once and then runs, forward, backward and update, in single C calls."""

import operator
import os
import time
from collections.abc import Mapping

import numpy as np

from . import _core
from .layers import _KINDS, Layer, LossLayer
from .optimizer import Adam, Optimizer
from .progress import Progress

SLICE_SECONDS = 0.05  # how long C trains before Python looks for Ctrl-C and at the clock


class Arrays(Mapping):
    """Named arrays of a net, in order: views of its own memory.

    ``net.params["W1"]`` is the view, so writing into it changes the net; ``net.params["W1"] = a`` copies a into it.
    """

    def __init__(self, pairs):
        self._views = dict(pairs)

    def __getitem__(self, name):
        return self._views[name]

    def __setitem__(self, name, value):
        if name not in self._views:
            raise KeyError(f"{name!r}: this net has {', '.join(self._views) or 'none'}")
        view = self._views[name]
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

    def __iter__(self):
        return iter(self._views)

    def __len__(self):
        return len(self._views)

    def __repr__(self):
        return "{" + ", ".join(f"{n!r}: {a.dtype}{a.shape}" for n, a in self._views.items()) + "}"


class History:
    """What a ``fit`` saw, an entry per epoch.

    Attributes
    ----------
    epoch : list of int
        Counted from 1.
    loss, accuracy : list of float
        Means over the epoch's samples, each as it was when it was trained on. Accuracy stays empty without classes.
    val_loss, val_accuracy : list of float
        On the validation data after the epoch; empty without.
    step_loss : list of float
        The loss of every batch.
    """

    def __init__(self):
        self.epoch = []
        self.loss = []
        self.accuracy = []
        self.val_loss = []
        self.val_accuracy = []
        self.step_loss = []

    def plot(self, axes=None):
        """Draw loss and accuracy over the epochs. Needs matplotlib.

        Returns
        -------
        matplotlib Axes
            One, or two where there is accuracy.
        """
        from ._draw import history

        return history(self, axes)

    def __repr__(self):
        if not self.epoch:
            return "History(no epoch finished)"
        last = [
            f"{name} {values[-1]:.4f}"
            for name in ("loss", "accuracy", "val_loss", "val_accuracy")
            if (values := getattr(self, name))
        ]
        return f"History({self.epoch[-1]} epochs: {', '.join(last)})"


class SafeState:
    """A copy of all that training changes, from when it was finite; what ``fit`` goes back to if it explodes."""

    SHARE = 0.01  # of the time may go into copying

    def __init__(self, core):
        self._core = core
        self._copies = None
        self._next = 0.0

    def _arrays(self):
        return [array for part in ("params", "state0", "state1", "buffers") for _, array in self._core.arrays(part)]

    def keep(self):
        """Copy the state, unless the last copy is recent for what it cost."""
        began = time.perf_counter()
        if began >= self._next:
            self._updates, self._copies = self._core.updates, [array.copy() for array in self._arrays()]
            ended = time.perf_counter()
            self._next = ended + (ended - began) / self.SHARE

    def restore(self):
        """Go back to the copy, unless the parameters are finite: then they are those before the failing step."""
        if not self._core.finite:
            for array, before in zip(self._arrays(), self._copies, strict=True):
                array[...] = before
            self._core.updates = self._updates


class Event:
    """What a callback of ``fit`` is told after each epoch: ``epoch``, ``epochs`` and the ``history`` so far."""

    def __init__(self, epoch, epochs, history):
        self.epoch = epoch
        self.epochs = epochs
        self.history = history

    def __repr__(self):
        return f"Event(epoch={self.epoch}, epochs={self.epochs}, {self.history!r})"


class Net:
    """A network of layers, compiled: shapes are inferred, memory is laid out once, each step is one C call.

    Parameters
    ----------
    layers : list of layers
        Layers without arrays (``Affine(units=50)``) get theirs from the shapes that flow through; the arrays of others
        are copied in.
    loss : loss layer
        ``SoftmaxWithLoss()`` or ``IdentityWithLoss()``.
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
        self.input_shape = _checked_shape(input_shape)
        self.seed = int.from_bytes(os.urandom(8), "little") if seed is None else _checked_seed(seed)
        self._core = self._compile(dtype)
        self.dtype = np.dtype(dtype)
        self.params = Arrays(self._core.arrays("params"))
        self.grads = Arrays(self._core.arrays("grads"))
        self.buffers = Arrays(self._core.arrays("buffers"))
        self.optimizer = None
        self._given_arrays_in()

    def _compile(self, dtype):
        specs = tuple(layer.core for layer in self._layers)
        return _core.Net(specs, self._loss_layer.core, self.input_shape, dtype, self.seed)

    def _given_arrays_in(self):
        names = iter(self.params)
        for layer in _with_children(self._layers):
            for array in layer.params.values():
                name = next(names)
                if array is not None:
                    self.params[name] = (
                        np.broadcast_to(array, self.params[name].shape) if np.ndim(array) == 0 else array
                    )

    # -- using it -----------------------------------------------------------------------------

    def predict(self, x):
        """Scores of the last layer, (N, ...), a new array, for x of any batch size N."""
        return self._core.predict(x)

    def loss(self, x, t, train=False):
        """The mean loss over the samples.

        Parameters
        ----------
        x : (N, ...) array
        t : labels or rows, as the loss layer takes them
        train : bool
            Run as in training, for layers that then differ.
        """
        return self._core.evaluate(x, t, _checked_flag(train, "train"))[0]

    def accuracy(self, x, t):
        """The share of samples whose largest score is their label's; every sample counts.

        Raises
        ------
        TypeError
            For a net that does not classify.
        """
        if not self._classifies:
            raise TypeError(f"accuracy needs classes, but the loss is {self._loss_layer!r}: use loss(x, t)")
        x = np.asanyarray(x)
        return self._core.evaluate(x, t, False)[1] / len(x)

    def forward(self, x, keep=False):
        """The scores, or with ``keep`` the output of every layer, as a list of new arrays.

        A ``Residual`` counts as one layer.
        """
        if not _checked_flag(keep, "keep"):
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
        inputs = (x,)
        if layer.core.children:
            branch = x
            for child in layer.layers:
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
        h = _checked_step(h)
        twin = self._float64_twin()
        gradient = {}
        for i, (name, array) in enumerate(self.params.items()):
            every = np.arange(array.size)
            twin.rng = self._core.last_draws
            gradient[name] = twin.derivatives(i, every, x, t, 0.0, h)[:, 0].reshape(array.shape)
        return gradient

    def _float64_twin(self):
        """A C net like this one, with the same parameters, in float64."""
        twin = self._compile("float64")
        for (_, mine), (_, its) in zip(self._core.arrays("params"), twin.arrays("params"), strict=True):
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
            The loss is not finite; the parameters are as they were.
        """
        if optimizer is not self.optimizer and isinstance(optimizer, Optimizer):
            x, t = self._core.prepare(x, t, False)  # nothing is bound for a batch that cannot be used
        optimizer = self._bound(optimizer)
        try:
            return self._core.train(x, t, optimizer.kind, optimizer.hyper)[0]
        finally:  # also if memory ran out after the step
            optimizer.iter = self._core.updates

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
        progress=True,
        callbacks=(),
    ):
        """Train for a number of epochs; the last, smaller batch is used too. Ctrl-C stops after a whole step.

        Parameters
        ----------
        x, t : arrays
            Samples and targets. NaN and infinity are refused.
        epochs : int
            How often every sample is seen.
        batch_size : int
        optimizer : Optimizer or None
            None: the bound one, or ``Adam()``.
        validation : (x, t) or None
            Measured after each epoch.
        shuffle : bool
            A new order for each epoch, from the net's generator.
        seed : int or None
            Set that generator first.
        progress : bool
            Show a line (in a terminal or notebook) while it runs.
        callbacks : iterable of callables
            ``callback(net, event)`` after each epoch; what they raise ends the training and passes.

        Returns
        -------
        History
        """
        epochs = _checked_count(epochs, "epochs", least=0)
        batch_size = _checked_count(batch_size, "batch_size", least=1)
        callbacks = _checked_callbacks(callbacks)
        shuffle = _checked_flag(shuffle, "shuffle")
        progress = _checked_flag(progress, "progress")
        x, t = self._core.prepare(x, t, True)
        if validation is not None:
            validation = self._checked_validation(validation)
        if seed is not None:
            seed = _checked_seed(seed)
        optimizer = self._bound(optimizer, default=Adam)
        _core.check_optimizer(optimizer.kind, optimizer.hyper)
        if seed is not None:
            self._core.rng = (seed, 0)

        history, safe = History(), SafeState(self._core)
        show = Progress(epochs, len(x), self._classifies) if progress else None
        try:
            for epoch in range(1, epochs + 1):
                order = self._core.shuffled(len(x)) if shuffle else np.arange(len(x), dtype=np.int64)
                self._run_epoch(x, t, order, batch_size, optimizer, history, epoch, show, safe)
                if validation is not None:
                    self._validate(*validation, history)
                if show:
                    show.epoch_done(history)
                for callback in callbacks:
                    callback(self, Event(epoch, epochs, history))
        finally:
            if show:
                show.close()
        return history

    def _run_epoch(self, x, t, order, batch_size, optimizer, history, epoch, show, safe):
        total = len(order)
        losses = np.empty(-(-total // batch_size))
        at = hits = 0
        while at < total:
            safe.keep()
            try:
                at, hit = self._core.fit_slice(
                    x, t, order, at, batch_size, optimizer.kind, optimizer.hyper, SLICE_SECONDS, losses
                )
                if not self._core.finite:
                    raise FloatingPointError(
                        f"batch {-(-at // batch_size)} of the epoch: the parameters became infinite"
                    )
            except FloatingPointError as error:
                safe.restore()
                raise FloatingPointError(
                    f"epoch {epoch}, {error} with {optimizer!r}: a smaller learning rate usually helps. "
                    f"The parameters are finite again: those after {self._core.updates} updates"
                ) from None
            finally:
                optimizer.iter = self._core.updates
            hits += hit
            if show:
                steps = -(-at // batch_size)
                show.update(epoch, at, losses[:steps].mean(), hits / at)
        sizes = np.full(len(losses), batch_size)
        sizes[-1] = total - batch_size * (len(losses) - 1)
        history.epoch.append(epoch)
        history.loss.append(float(losses @ sizes / total))
        history.step_loss.extend(losses.tolist())
        if self._classifies:
            history.accuracy.append(hits / total)

    def _validate(self, x, t, history):
        loss, hits = self._core.evaluate(x, t, False)
        history.val_loss.append(loss)
        if self._classifies:
            history.val_accuracy.append(hits / len(x))

    def _checked_validation(self, validation):
        if not isinstance(validation, (tuple, list)) or len(validation) != 2:
            raise TypeError("validation must be a pair (x, t)")
        try:
            return self._core.prepare(*validation, True)
        except (TypeError, ValueError) as error:
            raise type(error)(f"validation: {error}") from None

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
            if optimizer.iter != self._core.updates:  # it was stepped by hand
                self._core.updates = optimizer.iter
            return optimizer
        _core.check_optimizer(optimizer.kind, optimizer.hyper)
        if any(optimizer.state.values()):
            raise ValueError(f"this {optimizer!r} holds the state of other parameters: make a new one for this net")
        if self.optimizer is not None:  # the one before keeps copies of what it had
            for name, arrays in self.optimizer.state.items():
                setattr(self.optimizer, name, {key: array.copy() for key, array in arrays.items()})
        self._core.bind(optimizer.kind)
        for i, name in enumerate(optimizer.state):
            setattr(optimizer, name, dict(self._core.arrays(f"state{i}")))
        optimizer.iter = 0
        self.optimizer = optimizer
        return optimizer

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
    def size(self):
        """int: how many numbers all parameters hold."""
        return sum(array.size for array in self.params.values())

    def summary(self):
        """Print a table of the layers: output shape, parameters, multiply-adds per sample, memory."""
        print(self._text())

    def _rows(self):
        names = list(self.params)
        for step in self._core.steps():
            first, count = step["first_param"], step["param_count"]
            yield (
                "  " * step["depth"] + step["kind"],
                str(step["shape"]),
                " ".join(f"{n}{self.params[n].shape}" for n in names[first : first + count]),
                f"{step['size']:,}",
                f"{step['macs']:,}",
            )

    def _totals(self):
        macs = sum(step["macs"] for step in self._core.steps())
        memory = self.size * self.dtype.itemsize
        return (
            f"{self.size:,} parameters ({_bytes(memory)} {self.dtype}), {macs:,} multiply-adds per sample, "
            f"loss {self._loss_layer!r}, optimizer {self.optimizer!r}"
        )

    _HEAD = ("layer", "output", "parameters", "numbers", "multiply-adds")

    def _text(self):
        rows = [self._HEAD, ("input", str(self.input_shape), "", "", ""), *self._rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        lines = [
            "  ".join(
                cell.ljust(width) if i < 3 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        lines.insert(1, "-" * len(max(lines, key=len)))
        return "\n".join([*lines, self._totals()])

    def __repr__(self):
        return f"Net of {len(self._layers)} layers\n{self._text()}"

    def _repr_html_(self):
        from html import escape

        def row(cells, tag):
            return "<tr>" + "".join(f"<{tag}>{escape(c)}</{tag}>" for c in cells) + "</tr>"

        body = "".join(row(cells, "td") for cells in self._rows())
        return (
            f"<table><thead>{row(self._HEAD, 'th')}</thead><tbody>{body}</tbody></table><p>{escape(self._totals())}</p>"
        )


# -- arguments --------------------------------------------------------------------------------


def _checked_layers(layers):
    if isinstance(layers, (str, bytes)) or not hasattr(layers, "__iter__"):
        raise TypeError(f"layers must be a list of layers, got {type(layers).__name__}")
    layers = tuple(layers)
    if not layers:
        raise ValueError("layers is empty: a net needs at least one")
    for i, layer in enumerate(layers, 1):
        if isinstance(layer, type) and issubclass(layer, Layer):
            raise TypeError(f"layer {i} is the class {layer.__name__}: write {layer.__name__}(...)")
        if not isinstance(layer, Layer):
            raise TypeError(f"layer {i} must be a badak layer, got {type(layer).__name__}")
    seen = {}
    for i, layer in enumerate(layers, 1):
        for part in _with_children([layer]):
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


def _with_children(layers):
    """All layers, depth first, children before the layer whose branch they are: the order of the net's names."""
    for layer in layers:
        yield from _with_children(layer.layers if layer.core.children else ())
        yield layer


def _checked_shape(shape):
    if isinstance(shape, (int, np.integer)) and not isinstance(shape, bool):
        shape = (shape,)
    if not isinstance(shape, (tuple, list)):
        raise TypeError(f"input_shape must be a tuple such as (784,), got {type(shape).__name__}")
    return tuple(shape)


def _checked_count(value, name, *, least):
    value = _checked_int(value, name)
    if not -(2**63) <= value < 2**63:
        raise OverflowError(f"{name} does not fit 64 bits")
    if value < least:
        raise ValueError(f"{name} = {value}: expected at least {least}")
    return value


def _checked_seed(seed):
    seed = _checked_int(seed, "seed")
    if not -(2**63) <= seed < 2**64:
        raise OverflowError(f"seed = {seed} does not fit 64 bits")
    if seed < 0:
        raise ValueError(f"seed = {seed}: expected 0 or more")
    return seed


def _checked_int(value, name):
    is_array = isinstance(value, np.ndarray) and (value.ndim > 0 or value.dtype.kind not in "iu")
    if isinstance(value, (bool, np.bool_)) or is_array or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}")
    return operator.index(value)


def _checked_step(h):
    if isinstance(h, (bool, np.bool_)) or not isinstance(h, (int, float, np.floating, np.integer)):
        raise TypeError(f"h must be a number, got {type(h).__name__}")
    if not 0 < h <= 1:
        raise ValueError(f"h = {h}: expected above 0 and at most 1")
    return float(h)


def _checked_flag(value, name):
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {type(value).__name__}")
    return bool(value)


def _checked_callbacks(callbacks):
    if not hasattr(callbacks, "__iter__"):
        raise TypeError(f"callbacks must be a list of callables, got {type(callbacks).__name__}")
    callbacks = tuple(callbacks)
    for callback in callbacks:
        if not callable(callback):
            raise TypeError(f"a callback must be callable as callback(net, event), got {type(callback).__name__}")
    return callbacks


def _bytes(count):
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
