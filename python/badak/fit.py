"""``Net.fit``: the loop over epochs, batches and callbacks. The steps themselves are single C calls."""

import math

import numpy as np

from . import _core
from ._arguments import checked_callbacks, checked_count, checked_flag, checked_real, checked_seed
from .history import History
from .optimizer import Adam
from .progress import Progress
from .schedule import checked_schedule

SLICE_SECONDS = 0.05  # how long C trains before Python looks for Ctrl-C and at the clock
BLOCK_BYTES = 1 << 23  # of samples at a time, where they are read from a file and converted


class Event:
    """What a callback of ``fit`` is told after each epoch.

    Attributes
    ----------
    epoch, epochs : int
        The one that ended, from 1, and how many there are to be.
    history : History
        So far.
    stop : bool
        Set it to end the training here.
    """

    def __init__(self, epoch, epochs, history):
        self.epoch = epoch
        self.epochs = epochs
        self.history = history
        self.stop = False

    def __repr__(self):
        return f"Event(epoch={self.epoch}, epochs={self.epochs}, {self.history!r})"


class EarlyStopping:
    """A callback of ``fit`` that ends the training when the validation loss has stopped falling.

    Without validation data it goes by the training loss. Among callbacks that may end the training it comes last: it
    restores when it sees that ``event.stop`` was set.

    Parameters
    ----------
    patience : int
        Epochs without a new lowest loss after which the training ends.
    restore : bool
        At the end, go back to the parameters and buffers of the best epoch. The optimiser's state stays as it is.
    min_delta : float
        A loss counts as lower when it is lower by more than this.

    Attributes
    ----------
    best, best_epoch : float, int
        The lowest loss and when it was.
    """

    def __init__(self, patience, restore=True, min_delta=0.0):
        self.patience = checked_count(patience, "patience", least=1)
        self.restore = checked_flag(restore, "restore")
        self.min_delta = checked_real(min_delta, "min_delta", least=0)
        self.best = math.inf
        self.best_epoch = 0
        self._arrays = None

    def __call__(self, net, event):
        """Look at the epoch that ended."""
        loss = (event.history.val_loss or event.history.loss)[-1]
        loss = math.inf if math.isnan(loss) else loss
        if event.epoch == 1:
            self.best, self.best_epoch = math.inf, 0
        if loss < self.best - self.min_delta or not self.best_epoch:
            self.best, self.best_epoch = loss, event.epoch
            if self.restore:
                self._arrays = [array.copy() for array in _trained(net)]
        elif event.epoch - self.best_epoch >= self.patience:
            event.stop = True
        if self.restore and (event.stop or event.epoch == event.epochs):
            for array, best in zip(_trained(net), self._arrays, strict=True):
                array[...] = best
            self._arrays = None

    def __repr__(self):
        return f"EarlyStopping(patience={self.patience}, restore={self.restore}, min_delta={self.min_delta})"


def _trained(net):
    return [*net.params.values(), *net.buffers.values()]


class Samples:
    """x as the core reads it: as it is, converted once, or read from its file and converted block by block."""

    def __init__(self, core, dtype, x):
        self.core = core
        self.in_blocks = _is_in_a_file(x) and not _is_ready(x, dtype)
        if not self.in_blocks:
            self.x = core.prepare_x(x, True, 0)
            return
        core.prepare_x(x[:1], False, 0)
        self.x = x
        self.rows_at_once = max(1, BLOCK_BYTES // (x[:1].size * max(x.itemsize, dtype.itemsize)))
        for first in range(0, len(x), self.rows_at_once):
            core.prepare_x(x[first : first + self.rows_at_once], True, first)

    def __len__(self):
        return len(self.x)

    def blocks(self, t, order, batch_size):
        """(x, t, rows, how many came before): the samples in `order`, a part of them at a time."""
        if not self.in_blocks:
            yield self.x, t, order, 0
            return
        count = max(1, self.rows_at_once // batch_size) * batch_size
        for first in range(0, len(order), count):
            rows = order[first : first + count]
            yield self.core.prepare_x(self.x[rows], False, 0), t[rows], np.arange(len(rows), dtype=np.int64), first

    def evaluate(self, t):
        """(mean loss, hits) over all samples."""
        loss, hits, total = 0.0, 0, len(self.x)
        for x, part, rows, _ in self.blocks(t, np.arange(total, dtype=np.int64), 1):
            found = self.core.evaluate(x, part, False)
            loss, hits = loss + found[0] * (len(rows) / total), hits + found[1]
        return loss, hits


def _described(value):
    kind = type(value).__name__
    return f"{kind} of {len(value)}" if isinstance(value, (tuple, list)) else kind


def _is_in_a_file(x):
    while isinstance(x, np.ndarray):
        if isinstance(x, np.memmap):
            return x.ndim > 0
        x = x.base
    return False


def _is_ready(x, dtype):
    return x.dtype == dtype and x.dtype.isnative and x.flags.c_contiguous and x.flags.aligned


class Fit:
    """One call of ``Net.fit``: its arguments checked, its loop, its history."""

    def __init__(self, net, x, t, *, epochs, batch_size, optimizer, validation, shuffle, seed, **options):
        self.net, self.core = net, net._core
        self.epochs = checked_count(epochs, "epochs", least=0)
        self.batch_size = checked_count(batch_size, "batch_size", least=1)
        self.callbacks = checked_callbacks(options["callbacks"])
        self.shuffle = checked_flag(shuffle, "shuffle")
        self.weight_decay = checked_real(options["weight_decay"], "weight_decay", least=0)
        self.schedule = checked_schedule(options["schedule"], "schedule")
        progress = checked_flag(options["progress"], "progress")
        self.samples, self.t = self._pair(x, t)
        self.validation = None if validation is None else self._checked_validation(validation)
        if seed is not None:
            seed = checked_seed(seed)
        self.optimizer = net._bound(optimizer, default=Adam)
        _core.check_optimizer(self.optimizer.kind, self.optimizer.hyper)
        if seed is not None:
            self.core.rng = (seed, 0)
        self.history = History()
        self.show = Progress(self.epochs, len(self.samples), net._classifies) if progress else None

    def _pair(self, x, t):
        samples = Samples(self.core, self.net.dtype, x)
        return samples, self.core.prepare_t(t, len(samples), True)

    def _checked_validation(self, validation):
        if not isinstance(validation, (tuple, list)) or len(validation) != 2:
            raise TypeError(f"validation must be a pair (x, t), got {_described(validation)}")
        try:
            return self._pair(*validation)
        except (TypeError, ValueError) as error:
            raise type(error)(f"validation: {error}") from None

    def run(self):
        """All epochs, unless a callback ends it before."""
        try:
            for epoch in range(1, self.epochs + 1):
                self._run_epoch(epoch)
                if self.validation is not None:
                    self._validate()
                if self.show:
                    self.show.epoch_done(self.history)
                event = Event(epoch, self.epochs, self.history)
                for callback in self.callbacks:
                    callback(self.net, event)
                if event.stop:
                    break
        finally:
            if self.show:
                self.show.close()
        return self.history

    def _run_epoch(self, epoch):
        total, batch_size, optimizer = len(self.samples), self.batch_size, self.optimizer
        steps = -(-total // batch_size)
        began = self.core.updates
        factors = self._factors(began, steps)  # before an order is drawn: what it raises changes nothing
        order = self.core.shuffled(total) if self.shuffle else np.arange(total, dtype=np.int64)
        losses = np.empty(steps)
        hits = done = 0
        try:
            for x, t, rows, first in self.samples.blocks(self.t, order, batch_size):
                at, step = 0, first // batch_size
                while at < len(rows):
                    at, hit = self.core.fit_slice(
                        x, t, rows, at, batch_size, optimizer.kind, optimizer.hyper,
                        self.weight_decay, factors[step:], SLICE_SECONDS, losses[step:],
                    )  # fmt: skip
                    hits, done = hits + hit, first + at
                    if self.show:
                        seen = -(-done // batch_size)
                        self.show.update(epoch, done, losses[:seen].mean(), hits / done)
        except FloatingPointError as error:
            step = self.core.updates - began
            reason = self._reason(x, t, optimizer.lr * factors[step])
            raise FloatingPointError(f"epoch {epoch}, batch {step + 1} of the epoch: {error}{reason}") from None
        sizes = np.full(steps, batch_size)
        sizes[-1] = total - batch_size * (steps - 1)
        history = self.history
        history.epoch.append(epoch)
        history.loss.append(float(losses @ sizes / total))
        history.step_loss.extend(losses.tolist())
        history.lr.append(float(optimizer.lr * factors[-1]))
        if self.net._classifies:
            history.accuracy.append(hits / total)

    def _reason(self, x, t, rate):
        """Why a step was not finite, and what is left: words that follow those of the core."""
        for name, array in (("x", x), ("t", t)):
            if not np.isfinite(array).all():
                return f". {name} is no longer finite: it was changed while fit ran"
        spoilt = [name for name, array in self.net.params.items() if not np.isfinite(array).all()]
        if spoilt:
            verb = "holds" if len(spoilt) == 1 else "hold"
            return f". {', '.join(spoilt)} {verb} NaN or infinity already: no step of fit wrote that"
        also, smaller = "", "a smaller learning rate"
        if self.weight_decay:
            also, smaller = f" and a weight decay of {self.weight_decay:g}", "smaller ones"
        return (
            f", with a learning rate of {rate:g}{also} ({self.optimizer!r}): {smaller} usually help"
            f"{'' if also else 's'}. The parameters are finite: those after {self.core.updates} updates"
        )

    def _factors(self, began, steps):
        """What each step of the epoch multiplies the learning rate by."""
        if self.schedule is None:
            return np.ones(steps)
        factors = np.array([self._factor(step) for step in range(began, began + steps)])
        highest = factors.max() * self.optimizer.lr
        if highest > 0:
            _core.check_optimizer(self.optimizer.kind, (highest, *self.optimizer.hyper[1:]))
        return factors

    def _factor(self, step):
        return checked_real(self.schedule(step), f"what schedule({step}) returned", least=0)

    def _validate(self):
        samples, t = self.validation
        loss, hits = samples.evaluate(t)
        self.history.val_loss.append(loss + (self.core.penalty(self.weight_decay) if self.weight_decay else 0.0))
        if self.net._classifies:
            self.history.val_accuracy.append(hits / len(samples))
