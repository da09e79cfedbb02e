"""Layers of the C core standing alone, as subjects of ``gradcheck``: forward runs in C, as that of a ``Net`` does.

A layer becomes a net of one layer whose loss is half the square of what its output is away from targets. These are
put where the gradient of that loss with respect to the output is the upstream gradient.
"""

import copy

import numpy as np

from . import _core
from ._judge import judge
from ._net_subject import affordable, certify
from ._slope import FLOAT64_EPS, NetSlope
from ._subjects_layers import LayerSubject
from .layers import CoreLayer, Flatten, IdentityWithLoss, LossLayer
from .net import specs_of


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
        except (TypeError, ValueError, RuntimeError):  # shapes that a net does not take, or a layer without arrays
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
        known = copy.copy(context)
        known.sampling = known.neighbours = known.slopes_beside = None  # C knows the branches
        known.most = affordable(twin["core"].steps(), len(twin["x"]), which, array.size, entry.point)
        judge(entry, slope, gradient, known)
        if not entry.ok:  # what is wrong is said by the code itself
            entry = super()._judged(self._entry(entry.name, entry.point), causes, sampling, gradient, context)
        elif entry.point == 0:
            certify(entry, slope, gradient, twin["core"].steps(), len(twin["x"]))
        return entry
