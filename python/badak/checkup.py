"""``Net.checkup``: is this net healthy, on this data? In plain words."""

import copy
import math
import time

import numpy as np

from ._checkup_texts import TEXTS, in_korean
from .language import get_language
from .layers import LeakyRelu, Relu, Sigmoid, Tanh
from .optimizer import Adam

SAMPLES = 1000  # looked at, spread over what was given
BATCH = 32  # samples to learn by heart
SECONDS, STEPS = 2.0, 500  # for that, at most

OK, NOTE, PROBLEM = "ok", "note", "problem"


class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    name : str
    level : "ok", "note" or "problem"
    numbers : dict
        What it was judged by.
    """

    def __init__(self, name, level, **numbers):
        self.name, self.level, self.numbers = name, level, numbers

    def __str__(self):
        korean = get_language() == "ko"
        places = {
            name: in_korean(value) for name, value in self.numbers.items() if korean and name in ("place", "last")
        }
        return _text(self.name).format(**self.numbers | places)

    def __repr__(self):
        return f"Finding({self.name!r}, {self.level!r})"


class Checkup:
    """What ``Net.checkup`` found.

    Attributes
    ----------
    findings : list of Finding
    ok : bool
        No finding is a problem.
    """

    def __init__(self, findings):
        self.findings = findings

    @property
    def ok(self):
        return all(finding.level != PROBLEM for finding in self.findings)

    def __bool__(self):
        return self.ok

    def _verdict(self):
        return _text("healthy" if self.ok else "look")

    def __str__(self):
        signs = {OK: "   ", NOTE: " - ", PROBLEM: " ! "}
        return "\n".join([self._verdict(), *(signs[f.level] + str(f) for f in self.findings)])

    __repr__ = __str__

    def _repr_html_(self):
        from html import escape

        signs = {OK: "&#10003;", NOTE: "&ndash;", PROBLEM: "<b>!</b>"}
        rows = "".join(f"<tr><td>{signs[f.level]}</td><td>{escape(str(f))}</td></tr>" for f in self.findings)
        return f"<b>{escape(self._verdict())}</b><table><tbody>{rows}</tbody></table>"


def _text(name):
    return TEXTS[name][get_language() == "ko"]


def checkup(net, x, t):
    """See ``Net.checkup``."""
    x = net._core.prepare_x(x, False, 0)
    t = net._core.prepare_t(t, len(x), False)
    chosen = np.linspace(0, len(x) - 1, min(len(x), SAMPLES)).astype(int)
    x, t = x[chosen], t[chosen]
    net = copy.deepcopy(net)  # all that follows happens to the copy
    findings = list(_of_input(x))
    spoilt = [name for name, array in net.params.items() if not np.isfinite(array).all()]
    if spoilt:
        findings.append(Finding("parameters_not_finite", PROBLEM, names=", ".join(spoilt)))
    if np.isfinite(x).all():
        findings += _of_labels(net, t) if net._classifies else _of_targets(t)
        loss = _loss_finding(net, x, t)
        findings.append(loss)
        findings += _of_layers(net, x)
        if loss.name != "loss_not_finite":
            findings += _of_gradients(net, x, t)
            if net.params:
                findings.append(_of_rate(copy.deepcopy(net), x, t))
                findings.append(_of_learning(net, x, t))
    return Checkup(findings)


def _of_input(x):
    if not np.isfinite(x).all():
        yield Finding("input_not_finite", PROBLEM)
        return
    rows = x.reshape(len(x), -1)
    low, high, std = float(x.min()), float(x.max()), float(x.std(dtype=float))
    if len(x) > 1 and (rows == rows[0]).all():
        yield Finding("input_constant", PROBLEM)
    elif low >= 0 and 100 < high <= 255:
        yield Finding("input_255", PROBLEM, high=high)
    elif not 0.01 < std < 20:
        yield Finding("input_large", PROBLEM, std=std)
    else:
        yield Finding("input", OK, low=low, high=high)
    fixed = int((rows == rows[0]).all(axis=0).sum())
    if len(x) > 1 and 0 < fixed < rows.shape[1]:
        yield Finding("input_fixed", NOTE, count=fixed, total=rows.shape[1])


def _of_labels(net, t):
    if not net._one_class_each or not _are_labels(t):
        return
    classes = math.prod(net._core.steps()[-1]["shape"])
    labels = t if t.ndim == 1 else t.argmax(axis=1)
    counts = np.bincount(labels, minlength=classes)
    if counts.max() == len(t) > 1:
        yield Finding("labels_single", PROBLEM)
    elif (counts == 0).any():
        yield Finding("labels_missing", NOTE, missing=int((counts == 0).sum()), classes=classes)
    else:
        yield Finding("labels", OK, classes=classes, fewest=int(counts.min()), most=int(counts.max()))


def _are_labels(t):
    """Whether every sample has one class, no soft label."""
    return t.ndim == 1 or bool(((t == 0) | (t == 1)).all())


def _of_targets(t):
    rows = t.reshape(len(t), -1)
    if not np.isfinite(rows).all():
        yield Finding("targets_not_finite", PROBLEM)
    elif len(rows) > 1 and (rows == rows[0]).all():
        yield Finding("targets_constant", PROBLEM)
    elif rows.std(dtype=float) > 100:
        yield Finding("targets_large", PROBLEM, std=float(rows.std(dtype=float)))


def _least(net, t):
    """The lowest loss that there can be: that of soft labels is their own entropy."""
    if not net._classifies or _are_labels(t):
        return 0.0
    if net._one_class_each:
        weights, shares = t, t / t.sum(axis=1, keepdims=True, dtype=float)
    else:
        weights = shares = np.stack([t, 1 - t])
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(weights > 0, -weights * np.log(shares, dtype=float), 0)
    return float(terms.sum() / len(t))


def _guess(net, t):
    """The loss of one who does not look at x."""
    width = math.prod(net._core.steps()[-1]["shape"])
    if net._one_class_each:
        return math.log(width) * (1.0 if t.ndim == 1 else float(t.sum(dtype=float)) / len(t))
    if net._classifies:
        return width * math.log(2)
    rows = t.reshape(len(t), -1)
    return float(rows.var(axis=0, dtype=float).sum() / 2)


def _loss_finding(net, x, t):
    loss, guess = net.loss(x, t), _guess(net, t)
    updates = net._core.updates
    if not math.isfinite(loss):
        return Finding("loss_not_finite", PROBLEM, loss=loss)
    if updates:
        worse = loss > 1.5 * guess
        return Finding("loss_worse" if worse else "loss_now", PROBLEM if worse else OK,
                       loss=loss, guess=guess, updates=updates)  # fmt: skip
    limit = 2 * guess + 0.5 if net._classifies else 10 * guess + 1  # the mean of t may be far from 0
    high = loss > limit
    return Finding("first_loss_high" if high else "first_loss", PROBLEM if high else OK, loss=loss, guess=guess)


def _of_layers(net, x):
    for i, (layer, out) in enumerate(zip(net.layers, net.forward(x, keep=True), strict=True), 1):
        place = f"layer {i} ({type(layer).__name__})"
        rows = out.reshape(len(out), -1)
        if len(rows) > 1 and (rows == rows[0]).all():
            yield Finding("constant", PROBLEM, place=place)
        elif isinstance(layer, (Relu, LeakyRelu)):
            units = out.max(axis=(0, *range(2, out.ndim)))  # of an image: a channel is a unit
            share = float((units <= 0).mean())
            dead = share > 0.4 and isinstance(layer, Relu)
            if isinstance(layer, Relu):
                yield Finding("dead" if dead else "alive", PROBLEM if dead else OK, place=place, share=share)
        elif isinstance(layer, (Sigmoid, Tanh)):
            ends = (out < 0.01) | (out > 0.99) if isinstance(layer, Sigmoid) else np.abs(out) > 0.99
            if ends.mean() > 0.5:
                yield Finding("saturated", PROBLEM, place=place, share=float(ends.mean()))


def _weights(net):
    """[(place, name)] of every parameter with two axes or more: those that hold what is learned."""
    names = list(net.params)
    for step in net._core.steps():
        first = step["first_param"]
        for name in names[first : first + step["param_count"]]:
            if net.params[name].ndim > 1:
                yield step["place"], name


def _size(array):
    return float(np.sqrt(np.mean(np.square(array, dtype=float))))


def _of_gradients(net, x, t):
    gradient = net.gradient(x, t)
    sizes = []
    for place, name in _weights(net):
        size = _size(gradient[name])
        if not math.isfinite(size):
            yield Finding("gradient_not_finite", PROBLEM, place=place)
        elif size == 0:
            yield Finding("gradient_zero", PROBLEM, place=place)
        else:
            sizes.append((size / max(_size(net.params[name]), 1e-30), size, place))
    if len(sizes) > 1 and sizes[0][1] < 1e-4 * sizes[-1][1]:
        ratio = sizes[0][1] / sizes[-1][1]
        yield Finding("gradient_vanishes", PROBLEM, place=sizes[0][2], last=sizes[-1][2], ratio=ratio)
    elif sizes:
        yield Finding("gradient", OK, low=min(sizes)[0], high=max(sizes)[0])


def _of_rate(net, x, t):
    optimizer = net.optimizer or Adam()
    before = {name: array.copy() for name, array in net.params.items()}
    try:
        net.train_step(x[:BATCH], t[:BATCH], optimizer)
    except FloatingPointError:
        return Finding("rate_not_finite", PROBLEM, optimizer=optimizer)
    changes = [
        (_size(net.params[name] - before[name]) / max(_size(before[name]), 1e-30), place)
        for place, name in _weights(net)
    ] or [(0.001, "")]
    change, place = max(changes)
    if change > 0.2:
        return Finding("rate_high", PROBLEM, optimizer=optimizer, change=change, place=place)
    if change < 1e-6:
        return Finding("rate_low", NOTE, optimizer=optimizer, change=change)
    return Finding("rate", OK, optimizer=optimizer, change=change)


def _of_learning(net, x, t):
    x, t = x[:BATCH], t[:BATCH]
    before, least = net.loss(x, t, train=True), _least(net, t)
    best, steps, began = before, 0, time.perf_counter()
    optimizer = Adam(lr=3e-3)
    try:
        enough = least + 0.05 * (before - least)
        while steps < STEPS and best > enough and time.perf_counter() - began < SECONDS:
            loss = net.train_step(x, t, optimizer)
            best, steps = min(best, loss), steps + 1
    except FloatingPointError:
        best = before
    learned = best - least < 0.5 * (before - least) or before - least < 0.05 * _guess(net, t)
    return Finding("overfit" if learned else "overfit_not", OK if learned else PROBLEM,
                   count=len(x), before=before, after=best, steps=steps)  # fmt: skip
