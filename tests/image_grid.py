"""Convolution and Pooling of all sizes against their NumPy twins and, where it is installed, PyTorch.

    python tests/image_grid.py              (make grid; some minutes)

Forward and backward, in float32 and float64, of every combination of

    n {1, 3}   channels {1, 3, 16}   h, w 1..9   window 1..4 by 1..4   stride 1..3   pad 0..3

and a ValueError for each that is not legal. test_images.py does the same for sizes drawn at random, dilated ones among
them. Inputs are float32 numbers for both types, so that one run of an oracle serves both.
"""

import argparse
import itertools
import sys
import time
from collections import Counter

import numpy as np
from cases import DTYPES, TERMS, convolution_eps, gradients_of, twin_of

import badak as bd
from badak import _core

KINDS = ("convolution", "largest", "mean")  # the last two are Pooling
NAMES = ("n", "c", "h", "w", "fh", "fw", "stride", "pad")
RANGES = ((1, 3), (1, 3, 16), range(1, 10), range(1, 10), range(1, 5), range(1, 5), range(1, 4), range(4))
CHANNELS = (1, 2, 3, 5, 16, 17, 30)  # full vectors, and what is left of them


# ---- sizes ----


def every_size():
    """All of the grid: {name: size}."""
    for number, chosen in enumerate(itertools.product(*RANGES)):
        yield dict(zip(NAMES, chosen, strict=True)) | {"filters": 1 + number % 5, "dilation": 1}


def some_sizes(count, kind, *, legal):
    """So many drawn at random, from more: other channels and pads, no sample, dilation 2 too in a Convolution."""
    ranges = dict(zip(NAMES, RANGES, strict=True))
    ranges |= {"n": (0, 1, 1, 3, 3), "c": CHANNELS, "filters": CHANNELS, "stride": (1, 1, 2, 3), "pad": range(6)}
    ranges["dilation"] = (1, 1, 2) if kind == KINDS[0] else (1,)
    rng = np.random.default_rng(7)
    found = []
    while len(found) < count:
        s = {name: int(rng.choice(values)) for name, values in ranges.items()}
        if (complaint_about(s, kind) is None) == legal:
            found.append(s)
    return found


def complaint_about(s, kind):
    """What the message says of sizes that do not fit, or None."""
    for length, f in ((s["h"], s["fh"]), (s["w"], s["fw"])):
        if s["dilation"] * (f - 1) + 1 > length + 2 * s["pad"]:
            return "the window spans"
    return "must be smaller than the pool" if kind != KINDS[0] and s["pad"] >= min(s["fh"], s["fw"]) else None


# ---- what is compared ----


def normal(rng, shape):
    return rng.standard_normal(shape, np.float32)


def layer_maker(s, kind, rng):
    """dtype -> the layer, with the same parameters each time."""
    if kind != KINDS[0]:
        return lambda dtype: bd.Pooling(s["fh"], s["fw"], s["stride"], s["pad"], mean=kind == "mean")
    W, b = normal(rng, (s["filters"], s["c"], s["fh"], s["fw"])), normal(rng, s["filters"])
    options = {"dilation": s["dilation"]}
    return lambda dtype: bd.Convolution(W.astype(dtype), b.astype(dtype), s["stride"], s["pad"], **options)


def results(layer, x, dout):
    """Forward, and the gradients of x and the parameters."""
    return {"out": layer.forward(x), "x": layer.backward(dout), **gradients_of(layer)}


def check(s, kind, rng, oracles=(twin_of,), draw=normal):
    """Compare a layer of these sizes with each oracle.

    Returns {(oracle, dtype): worst error}, in units of eps times the terms that are summed, and of what is allowed.
    """
    make = layer_maker(s, kind, rng)
    layers = [make(dtype) for dtype in DTYPES]
    x = draw(rng, (s["n"], s["c"], s["h"], s["w"]))
    outs = [layer.forward(x.astype(dtype)) for layer, dtype in zip(layers, DTYPES, strict=True)]
    dout = normal(rng, outs[0].shape)
    terms_out, terms = TERMS[layers[0].kind](twin_of(layers[0]), x, dout.astype(float))
    terms = {"out": terms_out, **terms}
    allowed = 18 if kind != KINDS[0] else convolution_eps(x.shape, layers[0].W.shape, dout.shape)
    expected = {oracle.__name__: results(oracle(layers[0]), x, dout) for oracle in oracles}
    worst = {}
    for layer, out, dtype in zip(layers, outs, DTYPES, strict=True):
        found = {"out": out, "x": layer.backward(dout.astype(dtype)), **gradients_of(layer)}
        for oracle, right in expected.items():
            error = 0.0
            for name, size in terms.items():
                assert found[name].dtype == dtype and found[name].shape == right[name].shape, (kind, s, name)
                error = max(error, in_eps(found[name], right[name], size, dtype))
                if kind == "largest" and name == "out":
                    assert np.array_equal(found[name], right[name]), (kind, s)  # nothing is computed
            assert error <= allowed, f"{kind} {s} in {dtype.__name__}: {error:.3g} eps from {oracle}, allowed {allowed}"
            worst[oracle, dtype.__name__] = error, error / allowed
    return worst


def in_eps(found, expected, terms, dtype):
    """The largest error, in units of eps times the terms; a result without terms must be exact."""
    error = np.abs(found - expected)
    unit = np.finfo(dtype).eps * terms
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.max(np.where(error == 0, 0.0, error / unit), initial=0.0))


def check_refusal(s, kind, rng):
    """The sizes do not fit: a ValueError that says why, and nothing is remembered."""
    layer = layer_maker(s, kind, rng)(np.float64)
    try:
        layer.forward(np.ones((s["n"], s["c"], s["h"], s["w"])))
    except ValueError as error:
        assert complaint_about(s, kind) in str(error), (kind, s, str(error))
    else:
        raise AssertionError(f"{kind} {s} was not refused")
    assert layer.x is None


# ---- PyTorch, in float64 ----


def pytorch(layer):
    """The same layer there, looking like a twin."""
    return TorchConvolution(layer) if layer.kind == "Convolution" else TorchPooling(layer)


def options_of(layer):
    names = (name for name, _ in _core.layer_kinds()[layer.kind]["hyper"])
    return dict(zip(names, layer.core.hyper, strict=True))


class TorchLayer:
    def forward(self, x):
        import torch

        self.inputs = [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in (x, *self.params)]
        self.out = self.run(torch.nn.functional, *self.inputs)
        return self.out.detach().numpy()

    def backward(self, dout):
        import torch

        dx, *grads = torch.autograd.grad(self.out, self.inputs, torch.tensor(dout, dtype=torch.float64))
        self.dW, self.db = (g.numpy() for g in grads) if grads else (None, None)
        return dx.numpy()


class TorchConvolution(TorchLayer):
    kind = "Convolution"

    def __init__(self, layer):
        self.params = layer.W, layer.b
        self.options = {"stride": layer.stride, "padding": layer.pad, "dilation": options_of(layer)["dilation"]}

    def run(self, functional, x, W, b):
        return functional.conv2d(x, W, b, **self.options)


class TorchPooling(TorchLayer):
    """PyTorch refuses pad above half the window, so the image is padded before."""

    kind = "Pooling"
    params = ()

    def __init__(self, layer):
        self.options = options_of(layer)

    def run(self, functional, x):
        edge = (self.options["pad"],) * 4
        window = (self.options["pool_h"], self.options["pool_w"]), self.options["stride"]
        if not self.options["mean"]:
            return functional.max_pool2d(functional.pad(x, edge, value=-np.inf), *window)
        inside = functional.pad(x.detach() * 0 + 1, edge)
        return functional.avg_pool2d(functional.pad(x, edge), *window) / functional.avg_pool2d(inside, *window)


# ---- the whole grid ----


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th of the grid")
    options = parser.parse_args()
    oracles = [twin_of]
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed: the NumPy twins only")
    else:
        torch.set_num_threads(1)
        oracles.append(pytorch)
    for kind in KINDS:
        rng, began = np.random.default_rng(0), time.perf_counter()
        counts, worst = Counter(), {}
        for s in itertools.islice(every_size(), None, None, options.every):
            if complaint_about(s, kind) is None:
                counts["agree"] += 1
                for key, errors in check(s, kind, rng, oracles).items():
                    worst[key] = tuple(map(max, zip(errors, worst.get(key, errors), strict=True)))
            else:
                counts["refused"] += 1
                check_refusal(s, kind, rng)
        print(f"{kind}: {counts['agree']} agree, {counts['refused']} refused, {time.perf_counter() - began:.0f} s")
        for (oracle, dtype), (eps, share) in worst.items():
            name = oracle.removesuffix("_of")
            print(f"    {dtype} against {name:8} {eps:6.2f} eps of the terms, {share:.2f} of the allowed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
