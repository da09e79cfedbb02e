"""The book's training loop (its ``common/trainer.py``, from chapter 6 on). ``Net.fit`` is the fast one."""

import os
import sys

import numpy as np

from .optimizer import SGD, AdaGrad, Adam, Momentum, Nesterov, RMSprop

# os and sys, because the book's module hands them on
__all__ = ["SGD", "AdaGrad", "Adam", "Momentum", "Nesterov", "RMSprop", "Trainer", "np", "os", "sys"]

_OPTIMIZERS = {kind.__name__.lower(): kind for kind in (SGD, Momentum, Nesterov, AdaGrad, RMSprop, Adam)}


class Trainer:
    """Trains a book-style network on mini-batches.

    Parameters
    ----------
    network : object
        With ``params``, ``loss(x, t)``, ``gradient(x, t)`` and ``accuracy(x, t)``.
    x_train, t_train, x_test, t_test : arrays
        Samples and labels along the first axis.
    epochs : int
    mini_batch_size : int
    optimizer : str or optimiser
        "SGD", "Momentum", "Nesterov", "AdaGrad", "RMSprop" or "Adam", in any case; or an object with ``update``.
    optimizer_param : dict
        Arguments of the optimiser that was named. ``{"lr": 0.01}`` if not given.
    evaluate_sample_num_per_epoch : int or None
        Measure the accuracy on that many first samples only.
    verbose : bool
        Print each loss and accuracy.

    Attributes
    ----------
    train_loss_list : list
        One loss for each step, of the step's own batch after the update.
    train_acc_list, test_acc_list : list
        One accuracy for each epoch.
    optimizer : object
    batch_size, train_size, max_iter, current_iter, current_epoch : int
    iter_per_epoch : float

    Notes
    -----
    It does what the book does, to the same numbers for the same ``np.random.seed``: batches are drawn with
    ``np.random.choice``, with replacement, so an epoch is a number of steps and not every sample once. The accuracies
    are taken after step 0, and after each step that is a whole multiple of ``train_size / mini_batch_size``; where
    that is no whole number (300 samples by 128: 2.34375) such steps are rare, or there are none but the first.
    """

    def __init__(
        self,
        network,
        x_train,
        t_train,
        x_test,
        t_test,
        epochs=20,
        mini_batch_size=100,
        optimizer="SGD",
        optimizer_param=None,
        evaluate_sample_num_per_epoch=None,
        verbose=True,
    ):
        self.network = network
        self.verbose = verbose
        self.x_train, self.t_train = _pair(x_train, t_train, "train")
        self.x_test, self.t_test = _pair(x_test, t_test, "test")
        self.epochs = epochs
        self.batch_size = mini_batch_size
        self.evaluate_sample_num_per_epoch = evaluate_sample_num_per_epoch
        self.optimizer = _optimizer(optimizer, optimizer_param)

        self.train_size = len(self.x_train)
        self.iter_per_epoch = max(self.train_size / mini_batch_size, 1)
        self.max_iter = int(epochs * self.iter_per_epoch)
        self.current_iter = 0
        self.current_epoch = 0

        self.train_loss_list = []
        self.train_acc_list = []
        self.test_acc_list = []

    def train_step(self):
        """Draw a batch, take one step on it, note the loss; at the start of an epoch the accuracies too."""
        drawn = np.random.choice(self.train_size, self.batch_size)
        x, t = self.x_train[drawn], self.t_train[drawn]

        self.optimizer.update(self.network.params, self.network.gradient(x, t))
        loss = self.network.loss(x, t)
        self.train_loss_list.append(loss)
        self._print(f"train loss:{loss}")

        if self.current_iter % self.iter_per_epoch == 0:
            self.current_epoch += 1
            first = slice(self.evaluate_sample_num_per_epoch)
            train_acc = self.network.accuracy(self.x_train[first], self.t_train[first])
            test_acc = self.network.accuracy(self.x_test[first], self.t_test[first])
            self.train_acc_list.append(train_acc)
            self.test_acc_list.append(test_acc)
            self._print(f"=== epoch:{self.current_epoch}, train acc:{train_acc}, test acc:{test_acc} ===")
        self.current_iter += 1

    def train(self):
        """``max_iter`` steps; at the end the accuracy on the whole test set, printed."""
        for _ in range(self.max_iter):
            self.train_step()
        test_acc = self.network.accuracy(self.x_test, self.t_test)
        self._print("=============== Final Test Accuracy ===============")
        self._print(f"test acc:{test_acc}")

    def _print(self, line):
        if self.verbose:
            print(line)


def _pair(x, t, name):
    x, t = np.asarray(x), np.asarray(t)
    if x.ndim == 0 or t.ndim == 0 or len(x) != len(t):
        raise ValueError(f"x_{name} has shape {x.shape}, but t_{name} {t.shape}: they need as many rows")
    if len(x) == 0:
        raise ValueError(f"x_{name} holds no samples")
    return x, t


def _optimizer(optimizer, arguments):
    if not isinstance(optimizer, str):
        if arguments is not None:
            raise TypeError("optimizer_param is for an optimizer given by name")
        if not callable(getattr(optimizer, "update", None)):
            raise TypeError(f"optimizer must be a name or have update(params, grads), got {optimizer!r:.80}")
        return optimizer
    if optimizer.lower() not in _OPTIMIZERS:
        names = ", ".join(kind.__name__ for kind in _OPTIMIZERS.values())
        raise ValueError(f"there is no optimizer {optimizer!r}; there are {names}")
    return _OPTIMIZERS[optimizer.lower()](**({"lr": 0.01} if arguments is None else arguments))
