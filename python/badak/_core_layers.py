"""Layers of the C core standing alone, and networks of them, as subjects of ``gradcheck``: forward runs in C.

A layer becomes a net of one layer whose loss is half the square of what its output is away from targets. These are
put where the gradient of that loss with respect to the output is the upstream gradient. A network of the book becomes
the net of its layers.
"""

import copy

import numpy as np

from . import _core
from ._judge import EXHAUSTIVE, judge
from ._net_subject import affordable, certify, judge_net
from ._slope import FLOAT64_EPS, NetSlope
from ._subjects_layers import LayerSubject, NetworkSubject
from .layers import CoreLayer, Dropout, Flatten, IdentityWithLoss, LossLayer
from .net import specs_of
from .networks import BookNetwork

NOT_A_NET = TypeError, ValueError, RuntimeError  # shapes that a net does not take, or a layer without arrays


class CoreSlope(NetSlope):
    """Numerical derivatives of a net's loss, divided by `per`."""

    def __init__(self, core, which, array, x, t, per):
        super().__init__(core, which, array, x, t, core.rng)
        self.per = per

    def _derivatives(self, directions, *options):
        found = super()._derivatives(directions, *options)
        found[:, [0, 4, 5]] /= self.per
        found[:, [1, 8, 10, 11]] /= abs(self.per)
        return found

    def _values(self, directions, steps):
        losses, noise = super()._values(directions, steps)
        return losses / self.per, noise / abs(self.per)


def is_core_layer(layer):
    """Is it one of badak's own layers, its forward as we wrote it? Its backward may be anybody's."""
    own = isinstance(layer, CoreLayer) and type(layer).__module__ == CoreLayer.__module__
    return own and not {"forward", "_forward"} & set(vars(layer))


class CoreLayerSubject(LayerSubject):
    """A ``LayerSubject`` whose evaluations run in C wherever a net of the layer gives the same output."""

    twin = None

    def upstream(self, y, rng):
        gy = super().upstream(y, rng)
        self.twin = self._twin(np.asarray(y), gy) if not (self.kwargs or self.keep or self.aliases) else None
        return gy if self.twin is None else self.twin["gy"]

    def _twin(self, y, gy):
        """The net and all that its slopes need; None where it would not be the same function."""
        layer, (x, *labels) = self.checked_object, self.arguments
        if not isinstance(x, np.ndarray) or x.dtype != np.float64 or x.ndim < 2 or not x.size:
            return None
        is_loss = isinstance(layer, LossLayer)
        if is_loss != bool(labels) or len(labels) > 1:
            return None
        try:
            layers, adapters = specs_of([Flatten() if is_loss else layer])
            if adapters:  # Python inside
                return None
            core = _core.Net(layers, layer.core if is_loss else IdentityWithLoss().core, x.shape[1:], "float64", 0)
            params = [array for _, array in core.arrays("params")]
            own = [place.array(layer) for place in self.places]
            if [a.shape for a in params] != [a.shape for a in own]:
                return None
            for array, value in zip(params, own, strict=True):
                array[...] = value
            n = len(x)
            t = labels[0] if is_loss else y - n * gy
            x, t = core.prepare(x, t, True)
            loss = core.evaluate(x, t, True)[0]
        except NOT_A_NET:
            return None
        if is_loss:
            per, same = 1 / float(gy), abs(loss - float(y)) <= 64 * FLOAT64_EPS * (1 + abs(loss))
        else:
            away = y.astype(np.longdouble) - t.reshape(y.shape)
            per, same = 1.0, abs(loss - float((away**2).sum() / (2 * n))) <= 1e-12 * abs(loss)
            gy = np.asarray(away / n, dtype=float)  # what it is to the last digit
        return {"core": core, "x": x, "t": t, "gy": gy, "per": per} if same else None

    def _judged(self, entry, causes, sampling, gradient, context):
        if self.twin is None:
            return super()._judged(entry, causes, sampling, gradient, context)
        twin, array = self.twin, self.variables[entry.name]
        which = -1 if entry.name == self.names[0] else [place.name for place in self.places].index(entry.name)
        slope = CoreSlope(twin["core"], which, array, twin["x"], twin["t"], twin["per"])
        known = _in_core(context, twin, which, array, entry.point)
        judge(entry, slope, gradient, known)
        if not entry.ok:  # what is wrong is said by the code itself
            entry = super()._judged(self._entry(entry.name, entry.point), causes, sampling, gradient, context)
        elif entry.point == 0:
            certify(entry, slope, gradient, twin["core"].steps(), len(twin["x"]))
        return entry


def _in_core(context, twin, which, array, point):
    """The context for a slope that is taken in C, which knows the branches."""
    known = copy.copy(context)
    known.sampling = known.neighbours = known.slopes_beside = None
    known.most = affordable(twin["core"].steps(), len(twin["x"]), which, array.size, point)
    known.exhaustive = EXHAUSTIVE if point == 0 else known.most
    return known


def is_core_network(network):
    """Is it one of badak's networks, its loss as we wrote it? What its gradient does is what is to be seen."""
    if not isinstance(network, BookNetwork) or not type(network).__module__.startswith(f"{__package__}."):
        return False
    if {"loss", "predict", "_loss", "_forward", "_decay"} & set(vars(network)):
        return False
    layers = network.layers.values() if isinstance(network.layers, dict) else network.layers
    return all(map(is_core_layer, (*layers, network.last_layer)))


class CoreNetworkSubject(NetworkSubject):
    """A ``NetworkSubject`` whose evaluations run in C wherever the net of its layers gives the same loss."""

    twin = None

    def upstream(self, y, rng):
        self.twin = None if self.keep else self._twin(float(np.ravel(y)[0]))
        return super().upstream(y, rng)

    def _twin(self, y):
        """The net, the same without the eps of its loss, and what slopes need; None if the loss is not the same."""
        network = self.checked_object
        layers = [*network.layers.values()] if isinstance(network.layers, dict) else network.layers
        x, t = self.arguments
        eps = getattr(network.last_layer, "_hyper", {}).get("eps", 0.0)
        names = {id(array): name for name, array in network.params.items()}
        own = [array for layer in layers for array in layer.params.values()]
        if not isinstance(x, np.ndarray) or not all(id(array) in names for array in own):
            return None
        if len({id(array) for array in own}) < len(own):  # in the net each would move alone
            return None
        self.output()  # for the masks that it draws
        drawn = [layer.mask for layer in layers if isinstance(layer, Dropout)]
        draws = None if any(mask is None for mask in drawn) else [np.ravel(mask).astype(float) for mask in drawn]
        try:
            specs, _ = specs_of(layers)
            losses = [network.last_layer, *([type(network.last_layer)(eps=0.0)] if eps else [])]
            cores = [_core.Net(specs, loss.core, x.shape[1:], "float64", 0) for loss in losses]
            for core in cores:
                core.give_draws(np.concatenate([*draws, []]) if draws else None)
                for (_, array), value in zip(core.arrays("params"), own, strict=True):
                    array[...] = value
            x, t = cores[0].prepare(x, t, True)
            loss = cores[0].evaluate(x, t, True)[0]
        except NOT_A_NET:
            return None
        if not abs(loss - y) <= 64 * FLOAT64_EPS * (1 + abs(y)):
            return None
        which = {names[id(array)]: i for i, array in enumerate(own)}
        return {"core": cores[0], "exact": cores[-1], "eps": eps, "x": x, "t": t, "which": which}

    def _judged(self, entry, causes, sampling, gradient, context):
        if self.twin is None or entry.name not in self.twin["which"]:
            return super()._judged(entry, causes, sampling, gradient, context)
        twin, array = self.twin, self.variables[entry.name]
        which = twin["which"][entry.name]
        known = _in_core(context, twin, which, array, entry.point)
        slope, exact = (
            NetSlope(core, which, array, twin["x"], twin["t"], core.rng) for core in (twin["core"], twin["exact"])
        )
        entry = judge_net(entry, slope, exact if twin["eps"] else None, gradient, known, twin["eps"])
        if entry.point == 0:
            certify(entry, slope, gradient, twin["core"].steps(), len(twin["x"]))
        return entry
