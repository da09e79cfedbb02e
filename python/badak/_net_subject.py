"""A badak ``Net`` as a subject of ``gradcheck``: evaluated in C."""

import numpy as np

from ._causes import LogEps
from ._judge import Context, judge
from ._slope import FLOAT64_EPS, NetSlope
from ._subjects import CHOSEN, Facts, has_form, near
from .report import Entry

CHOSEN_IN_C = 256  # elements looked at one by one in large arrays, where C runs for each evaluation


class NetSubject:
    """A badak Net: a float64 net of the same architecture and parameters, evaluated in C."""

    def __init__(self, net, inputs, seed):
        if len(inputs) != 2:
            raise TypeError("a Net is checked with gradcheck(net, x, t)")
        self.net = net
        self.seed = seed
        self.core = net._float64_twin()
        self.params = dict(self.core.arrays("params"))
        self.x, self.t = self.core.prepare(*inputs, True)
        self.x = np.array(self.x, dtype=np.float64)
        self.title = f"Net of {len(net.layers)} layers ({net.size:,} parameters, {net.dtype}, checked in float64)"
        self.eps = net._loss_layer._hyper.get("eps", 0.0)
        self.exact = _without_eps(net) if self.eps else None
        macs = sum(step["macs"] for step in self.core.steps()) * len(self.x)
        # about a second for the whole check: some 30 evaluations an element, 4e9 multiply-adds a second
        self.most = int(np.clip(4e9 / (30 * (macs + 1) * (len(self.params) + 1)), CHOSEN, CHOSEN_IN_C))

    def start(self):
        """Nothing to watch: the core changes nothing."""
        self.findings = []

    def close(self):
        """Nothing to put back: the twin is ours."""

    def numbers(self):
        """Nothing that a factor could come from."""
        return {}

    def go_to(self, point, rng):
        arrays = [self.x, *self.params.values()]
        if point == 0:
            self.start_values = [array.copy() for array in arrays]
        else:
            for array, start in zip(arrays, self.start_values, strict=True):
                array[...] = near(start, point, rng)
        return bool(np.isfinite(self.core.evaluate(self.x, self.t, True)[0]))

    def check(self, rtol, rng, point):
        replay = self.core.rng  # every evaluation draws what the analytic gradient drew
        loss, *_, dx = self.core.gradient(self.x, self.t, True, True)
        analytic = {name: array.copy() for name, array in self.core.arrays("grads")}
        self.names, self.arguments, self.y = ["x", "t"], [self.x, self.t], np.asarray(loss)
        context = Context(rtol, rng, self.most, 8 * FLOAT64_EPS * (1 + abs(float(loss))))
        context.size, context.widths = abs(float(loss)), 4.0
        context.largest = max(float(np.abs(g).max(initial=0)) for g in [dx, *analytic.values()])
        for which, (name, array) in enumerate([*self.params.items(), ("x", self.x)]):
            last = which == len(self.params)
            gradient = dx if last else analytic[name]
            entry = Entry(name, array.shape, self.net.dtype)
            entry.point, entry.context = point, Facts(self)
            entry.values = array.copy() if array.size <= 4096 else None
            if has_form(entry, gradient, array) and array.size:
                slope = NetSlope(self.core, -1 if last else which, array, self.x, self.t, replay)
                context.name = name
                # each element sums terms as large as the largest gradients, in an order of its own
                context.floor = 4 * FLOAT64_EPS * np.maximum(np.abs(gradient), np.abs(gradient).max(initial=0))
                judge(entry, slope, gradient, context)
                if self.exact is not None and entry.status in ("FAIL", "UNRESOLVED"):
                    entry = self._explained(entry, gradient, context, -1 if last else which, replay)
            yield entry

    def _explained(self, entry, gradient, context, which, replay):
        """Does the gradient belong to the same net without the eps inside the logarithm of its loss?"""
        for (_, array), (_, plain) in zip(self.core.arrays("params"), self.exact.arrays("params"), strict=True):
            plain[...] = array
        other = Entry(entry.name, entry.shape, entry.dtype)
        other.point, other.context = entry.point, entry.context
        array = self.x if which < 0 else self.exact.arrays("params")[which][1]
        judge(other, NetSlope(self.exact, which, array, self.x, self.t, replay), gradient, context)
        if other.status in ("PASS", "KINK"):
            cause = LogEps()
            cause.eps = self.eps
            entry.status, entry.diagnosis, entry.digits = "EXPLAINED", cause.text(entry), other.digits
            entry.evaluations += other.evaluations
        return entry


def _without_eps(net):
    """The float64 twin of the same net whose loss is exact."""
    plain = object.__new__(type(net))
    vars(plain).update(vars(net))
    plain._loss_layer = type(net._loss_layer)(eps=0.0)
    return plain._float64_twin()
