"""The book's optimisers (section 6.1): ``update(params, grads)`` changes the arrays of ``params`` in place.

The arithmetic is in C (csrc/core/optimizer.c) and the same that ``Net`` uses.
"""

import operator

import numpy as np

from . import _core

__all__ = ["SGD", "AdaGrad", "Adam", "Momentum", "Nesterov", "RMSprop", "np"]  # the book's module hands np on

_KINDS = _core.optimizer_kinds()


class Optimizer:
    """What all optimisers share: hyper-parameters as attributes, one array of state per name and parameter."""

    kind = None

    def __init__(self, **hyper):
        for name, value in hyper.items():
            setattr(self, name, value)
        _core.check_optimizer(self.kind, self.hyper)
        for name in _KINDS[self.kind]["state"]:
            setattr(self, name, None)
        self._core = None  # of the net whose memory holds the state
        self._iter = 0

    def __init_subclass__(cls):
        super().__init_subclass__()
        if cls.kind in _KINDS:
            names = [name for name, _ in _KINDS[cls.kind]["hyper"]]
            get = operator.attrgetter(*names)
            cls._hyper_of = staticmethod(get if len(names) > 1 else lambda optimizer: (get(optimizer),))

    @property
    def iter(self):
        """int: updates made. In a net that is the net's own count, so that no interruption can part the two."""
        return self._iter if self._core is None else self._core.updates

    @iter.setter
    def iter(self, updates):
        if self._core is None:
            self._iter = updates
        else:
            self._core.updates = updates

    def _bind(self, core):
        """Keep the state in a net's memory from now on."""
        for i, name in enumerate(self.state):
            setattr(self, name, dict(core.arrays(f"state{i}")))
        self._core = core

    def _leave(self):
        """Keep copies of what is in the net's memory."""
        for name, arrays in self.state.items():
            setattr(self, name, {key: array.copy() for key, array in arrays.items()})
        self._core, self._iter = None, self.iter

    def __getstate__(self):
        return {**vars(self), "_core": None, "_iter": self.iter}

    @property
    def hyper(self):
        """tuple: the hyper-parameters, in the order of the C core."""
        return self._hyper_of(self)

    @property
    def state(self):
        """dict: the arrays that it keeps, by name (m, v) and parameter; None before the first update."""
        return {name: getattr(self, name) for name in _KINDS[self.kind]["state"]}

    def update(self, params, grads):
        """One step: changes every array of `params` in place; a Python number is replaced by its new value.

        Parameters
        ----------
        params : dict of float32 or float64 arrays, or numbers
        grads : dict of arrays, the same names and shapes

        Raises
        ------
        KeyError, TypeError, ValueError
            With nothing changed.
        """
        for name, given in (("params", params), ("grads", grads)):
            if not hasattr(given, "keys"):
                raise TypeError(f"{name} must be a dict of arrays by name, got {type(given).__name__}")
        keys = list(params)
        arrays = [self._as_array(params[key]) for key in keys]
        state = self._state_for(keys, arrays)
        states = list(zip(*([one[key] for key in keys] for one in state.values()), strict=True)) or [()] * len(keys)
        _core.update(self.kind, self.hyper, arrays, [grads[key] for key in keys], states, self.iter + 1)
        for key, array in zip(keys, arrays, strict=True):
            if array is not params[key]:
                params[key] = array.item()
        for name, arrays_of in state.items():
            setattr(self, name, arrays_of)
        self.iter += 1

    @staticmethod
    def _as_array(value):
        if type(value) is np.ndarray:
            return value
        is_number = isinstance(value, (int, float, np.floating, np.integer)) and not isinstance(value, bool)
        return np.array(value, dtype=float) if is_number else value

    def _state_for(self, keys, arrays):
        """The state with zeros for what is new; nothing is stored yet."""
        state = {}
        for name, known in self.state.items():
            known = dict(known or {})
            for key, array in zip(keys, arrays, strict=True):
                if key not in known:
                    known[key] = np.zeros_like(array, order="C")
            state[name] = known
        return state

    def __repr__(self):
        names = [name for name, _ in _KINDS[self.kind]["hyper"]]
        return f"{type(self).__name__}({', '.join(f'{n}={getattr(self, n)!r}' for n in names)})"


class SGD(Optimizer):
    """p -= lr * g (book: section 6.1.2).

    Parameters
    ----------
    lr : float above 0
        Learning rate.
    """

    kind = "SGD"

    def __init__(self, lr=0.01):
        super().__init__(lr=lr)


class Momentum(Optimizer):
    """v = momentum * v - lr * g, p += v (book: section 6.1.4).

    Parameters
    ----------
    lr : float above 0
    momentum : float in [0, 1)

    Attributes
    ----------
    v : dict of arrays or None
    """

    kind = "Momentum"

    def __init__(self, lr=0.01, momentum=0.9):
        super().__init__(lr=lr, momentum=momentum)


class Nesterov(Optimizer):
    """p += momentum**2 * v - (1 + momentum) * lr * g, v = momentum * v - lr * g (arXiv 1212.0901).

    Parameters
    ----------
    lr : float above 0
    momentum : float in [0, 1)

    Attributes
    ----------
    v : dict of arrays or None
    """

    kind = "Nesterov"

    def __init__(self, lr=0.01, momentum=0.9):
        super().__init__(lr=lr, momentum=momentum)


class AdaGrad(Optimizer):
    """h += g**2, p -= lr * g / (sqrt(h) + eps) (book: section 6.1.5).

    Parameters
    ----------
    lr : float above 0
    eps : float above 0

    Attributes
    ----------
    h : dict of arrays or None
    """

    kind = "AdaGrad"

    def __init__(self, lr=0.01, eps=1e-7):
        super().__init__(lr=lr, eps=eps)


class RMSprop(Optimizer):
    """h = decay_rate * h + (1 - decay_rate) * g**2, p -= lr * g / (sqrt(h) + eps) (Tieleman and Hinton 2012).

    Parameters
    ----------
    lr : float above 0
    decay_rate : float in [0, 1)
    eps : float above 0

    Attributes
    ----------
    h : dict of arrays or None
    """

    kind = "RMSprop"

    def __init__(self, lr=0.01, decay_rate=0.99, eps=1e-7):
        super().__init__(lr=lr, decay_rate=decay_rate, eps=eps)


class Adam(Optimizer):
    """Adam, in the book's form (section 6.1.6; Kingma and Ba 2015, the efficient form at the end of section 2).

    ``m += (1 - beta1) (g - m)``, ``v += (1 - beta2) (g**2 - v)``,
    ``p -= lr * sqrt(1 - beta2**t) / (1 - beta1**t) * m / (sqrt(v) + eps)``.
    PyTorch divides by sqrt(v / (1 - beta2**t)) + eps instead, so its eps counts differently.

    Parameters
    ----------
    lr : float above 0
    beta1, beta2 : float in [0, 1)
        How slowly the means of the gradient and of its square forget.
    eps : float above 0

    Attributes
    ----------
    m, v : dict of arrays or None
        The two means; inside a Net, views of its memory.
    iter : int
        Updates made.
    """

    kind = "Adam"

    def __init__(self, lr=0.001, beta1=0.9, beta2=0.999, eps=1e-7):
        super().__init__(lr=lr, beta1=beta1, beta2=beta2, eps=eps)
