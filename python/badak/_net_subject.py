"""A badak ``Net`` as a subject of ``gradcheck``: evaluated in C."""

import copy

import numpy as np

from ._causes import LogEps
from ._judge import EXHAUSTIVE, Context, judge
from ._own_gradient import OwnGradient
from ._slope import FLOAT64_EPS, NetSlope
from ._subjects import CHOSEN, Facts, has_form, near
from .report import Entry

CHOSEN_IN_C = 256  # elements looked at one by one in large arrays, where C runs for each evaluation
BUDGET = 4e9, 5e8  # multiply-adds for one array at the given point, and at one near it
ENOUGH = 4  # elements that show whether a gradient is that of another loss
EVALUATIONS = 8  # for one element
EXTENDED = 1e6  # multiply-adds of one forward pass that are affordable in long double
CALL = 1500  # what a call costs besides, in multiply-adds


def affordable(steps, n, which, size, point):
    """How many elements of parameter `which` (-1: the input) to look at one by one: all if that takes a second or two.

    `steps` are those of the C net, `n` the samples.
    """
    weights = [step for step in steps if step["param_count"]]
    after = [step for step in weights if step["first_param"] > which] if which >= 0 else weights
    # the layer after the one that moves adds only what changed (csrc/core/net_derivative.c)
    macs = sum(step["macs"] for step in after[1:]) + sum(step["macs"] / step["shape"][0] for step in after[:1])
    mixes = any(step["kind"] in ("BatchNormalization", "Python") for step in steps)
    macs = sum(step["macs"] for step in steps) if mixes or which < 0 else macs
    each = EVALUATIONS * n * (macs + CALL)
    budget = BUDGET[point > 0]
    return size if size * each <= budget else int(np.clip(budget / each, CHOSEN, CHOSEN_IN_C))


def certify(entry, slope, gradient, steps, n):
    """The digits of the largest elements in extended precision, where that is affordable."""
    macs = n * sum(step["macs"] for step in steps)
    if entry.status != "PASS" or macs > EXTENDED or not gradient.any():
        return
    flat = gradient.reshape(-1)
    indices = np.argsort(-np.abs(flat), kind="stable")[:CHOSEN]
    indices = indices[flat[indices] != 0]
    n, u = slope.extended_elements(indices)[:, :2].T
    known = np.isfinite(u) & (n != 0) & (np.abs(n - flat[indices]) <= 1e-6 * np.abs(n))
    if known.all():
        entry.digits = float(np.median(-np.log10(np.maximum(u, 1e-17 * np.abs(n)) / np.abs(n))))
        entry.evaluations = slope.evaluations


def judge_net(entry, slope, exact, gradient, context, eps):
    """Judge a gradient of a net's loss; the entry.

    The loss may have an eps inside its logarithm that the gradient leaves out, as in the book. Then it is the gradient
    of the same net without that eps, whose slope is `exact`. Few elements show that it is not that of the loss.
    """
    if exact is None:
        judge(entry, slope, gradient, context)
        return entry
    few = copy.copy(context)
    few.most = few.exhaustive = ENOUGH
    few.searches = False
    seen = _fresh(entry)
    judge(seen, slope, gradient, few)
    if seen.status != "FAIL":
        seen = entry
        judge(seen, slope, gradient, context)
    if seen.status not in ("FAIL", "UNRESOLVED") and not seen.kinked:
        return seen
    other = _fresh(entry)
    judge(other, exact, gradient, context)
    if other.status in ("PASS", "KINK"):
        cause = LogEps()
        cause.eps = eps
        seen.status, seen.diagnosis = "EXPLAINED", cause.text(seen)
        seen.digits, seen.checked, seen.invisible = other.digits, other.checked, other.invisible
        seen.kinked = other.kinked
        seen.evaluations += other.evaluations
    elif seen.status == "FAIL" and other.status == "UNRESOLVED":  # it is not known what the eps does not explain
        seen.status, seen.diagnosis = other.status, other.diagnosis
    elif seen is not entry:
        seen = entry
        judge(seen, slope, gradient, context)
    return seen


def _fresh(entry):
    other = Entry(entry.name, entry.shape, entry.dtype)
    other.point, other.context, other.values = entry.point, entry.context, entry.values
    return other


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
        self.steps = self.core.steps()
        self.eps = net._loss_layer._hyper.get("eps", 0.0)
        self.exact = _without_eps(net) if self.eps else None
        self.own = OwnGradient(net) if net.dtype != np.float64 else None

    def start(self):
        """Nothing to watch: the core changes nothing."""
        self.findings, self.unchecked = [], []

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
        if self.own:
            self.own.at(self.core, [self.x, *self.params.values()], self.x, self.t, replay)
        self.names, self.arguments, self.y = ["x", "t"], [self.x, self.t], np.asarray(loss)
        context = Context(rtol, rng, CHOSEN_IN_C, 8 * FLOAT64_EPS * (1 + abs(float(loss))))
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
                context.most = affordable(self.steps, len(self.x), -1 if last else which, array.size, point)
                context.exhaustive = EXHAUSTIVE if point == 0 else context.most
                # each element sums terms as large as the largest gradients, in an order of its own
                context.floor = 4 * FLOAT64_EPS * np.full(gradient.shape, context.largest)
                exact = self._slope_without_eps(-1 if last else which, replay)
                entry = judge_net(entry, slope, exact, gradient, context, self.eps)
                if point == 0:
                    certify(entry, slope, gradient, self.steps, len(self.x))
                if self.own and entry.ok:
                    self.own.judge(entry, gradient, context.largest, rng)
            yield entry

    def _slope_without_eps(self, which, replay):
        if self.exact is None:
            return None
        for (_, array), (_, plain) in zip(self.core.arrays("params"), self.exact.arrays("params"), strict=True):
            plain[...] = array
        array = self.x if which < 0 else self.exact.arrays("params")[which][1]
        return NetSlope(self.exact, which, array, self.x, self.t, replay)


def _without_eps(net):
    """The float64 twin of the same net whose loss is exact."""
    plain = object.__new__(type(net))
    vars(plain).update(vars(net))
    plain._loss_layer = type(net._loss_layer)(eps=0.0)
    return plain._float64_twin()
