"""The one table of layer cases, and the hands to turn them with.

To test a layer, add rows to CASES. Each drives, in float32 and float64: forward and backward against the NumPy twin,
the gradient check, memory layouts, dtypes, by-reference parameters, mutation, pickling (test_layers.py), the agreement
of descriptor, class and twin (test_agreement.py), and the comparison of instruction sets (test_isa.py).

A tolerance is a number of eps (of the dtype) times the terms: what the rounding is relative to, element by element.
"""

import dataclasses
import inspect
from collections.abc import Callable

import numpy as np

import badak as bd
from badak import _core
from badak._reference import LAYERS

DTYPES = (np.float32, np.float64)


@dataclasses.dataclass(frozen=True)
class Case:
    """One layer at one input.

    ``layer(rng, dtype)`` makes it, ``x(rng)`` and ``t(rng)`` its input and target in float64 (t: None without).
    ``eps``: how many eps times the terms forward and backward may be off.
    ``verdict``: what the gradient check has to say. KINK: some x are where the slope jumps. VACUOUS: all gradients
    are 0. EXPLAINED: the book's eps, which the loss has and its gradient has not (FAIL: with soft
    labels, where it is not recognised yet). UNRESOLVED: too flat to be seen.
    """

    name: str
    layer: Callable
    x: Callable
    t: Callable | None = None
    eps: float = 4
    verdict: str = "PASS"

    @property
    def kind(self):
        return self.layer(np.random.default_rng(0), np.float64).kind

    def make(self, dtype, seed=1):
        """(layer, its twin, the arguments of forward, dout), the same each time."""
        rng = np.random.default_rng(seed)
        layer = self.layer(rng, dtype)
        x = self.x(rng).astype(dtype)
        arguments = (x,) if self.t is None else (x, self.t(rng))
        twin = twin_of(layer)
        with np.errstate(all="ignore"):
            out = twin.forward(*arguments)
        dout = rng.choice([-1.0, 1.0], np.shape(out)) * rng.uniform(0.5, 1.5, np.shape(out))
        return layer, twin, arguments, dout.astype(dtype)

    def __repr__(self):
        return self.name


def twin_of(layer):
    """The NumPy twin of a layer that has its arrays, with the same parameters and options."""
    twin = LAYERS[layer.kind]
    if hasattr(layer, "layers"):
        return twin([twin_of(child) for child in layer.layers])
    kind = _core.layer_kinds()[layer.kind]
    options = {name: value for (name, _), value in zip(kind["hyper"], layer.core.hyper, strict=True)}
    known = inspect.signature(twin).parameters
    return twin(**layer.params, **{name: value for name, value in options.items() if name in known})


def gradients_of(layer):
    """{parameter: gradient} of a layer or twin with all it holds inside, in order."""
    found = {}
    for i, child in enumerate(getattr(layer, "layers", ())):
        found |= {f"{name} of layer {i}": g for name, g in gradients_of(child).items()}
    names = _core.layer_kinds()[getattr(layer, "kind", type(layer).__name__)]["params"]
    return found | {name: getattr(layer, "d" + name) for name in names}


def layouts(array):
    """{name: the same values in the same dtype, lying otherwise in memory}."""
    wide = np.zeros((2 * array.shape[0], *array.shape[1:]), array.dtype)
    wide[::2] = array
    framed = np.pad(array, [(1, 2)] * array.ndim)
    misaligned = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    misaligned[...] = array
    read_only = array.copy()
    read_only.flags.writeable = False
    return {
        "Fortran order": np.asfortranarray(array),
        "transposed": np.ascontiguousarray(array.T).T,
        "reversed": np.ascontiguousarray(array[::-1])[::-1],
        "reversed along the last axis": np.ascontiguousarray(array[..., ::-1])[..., ::-1],
        "every second": wide[::2],
        "inside a larger array": framed[(slice(1, -2),) * array.ndim],
        "byte-swapped": array.astype(array.dtype.newbyteorder()),
        "misaligned by one byte": misaligned,
        "read-only": read_only,
    }


def same_bits(a, b):
    """Are both arrays (or numbers) of the same dtype, shape and bits?"""
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


# ---------------------------------------------------------------- what rounding is relative to


def terms(case, dtype):
    """(of forward, {name: of that gradient}): sizes of the terms that each result is summed from."""
    layer, twin, arguments, dout = case.make(dtype)
    return TERMS.get(layer.kind, _largest_terms)(twin, *arguments, np.asarray(dout, dtype=float))


def _affine_terms(twin, x, dout):
    positive = LAYERS["Affine"](np.abs(twin.W), np.abs(twin.b))
    out = positive.forward(np.abs(x))
    dx = positive.backward(np.abs(dout))
    return out, {"x": dx, "W": positive.dW, "b": positive.db}


def _elementwise_terms(twin, x, dout):
    return np.abs(twin.forward(x)), {"x": np.abs(dout).reshape(x.shape)}


def _largest_terms(twin, *arguments):
    """For layers that mix their terms in many ways: of each result the largest number."""
    *arguments, dout = arguments
    results = {"out": twin.forward(*arguments), "x": twin.backward(dout)}
    sizes = {name: np.abs(result).max() for name, result in (results | gradients_of(twin)).items()}
    return sizes.pop("out"), sizes


def _softmax_loss_terms(twin, x, t, dout):
    loss = twin.forward(x, t)
    total = twin.t.sum(axis=1, keepdims=True)
    return np.abs(loss) + 1, {"x": np.abs(dout) * (twin.y * total + twin.t) / len(x)}


def _identity_loss_terms(twin, x, t, dout):
    return np.abs(twin.forward(x, t)), {"x": np.abs(dout) * (np.abs(x) + np.abs(t)) / len(x)}


def _sigmoid_loss_terms(twin, x, t, dout):
    loss = twin.forward(x, t)
    return loss + np.abs(x * twin.t).sum() / len(x), {"x": np.abs(dout) * (twin.y + twin.t) / len(x)}


def _softmax_terms(twin, x, dout):
    out = twin.forward(x)
    return out, {"x": out * (np.abs(dout) + (np.abs(dout) * out).sum(axis=-1, keepdims=True))}


def _convolution_terms(twin, x, dout):
    positive = LAYERS["Convolution"](np.abs(twin.W), np.abs(twin.b), twin.stride, twin.pad, twin.dilation)
    out = positive.forward(np.abs(x))
    dx = positive.backward(np.abs(dout))
    return out, {"x": dx, "W": positive.dW, "b": positive.db}


def _pooling_terms(twin, x, dout):
    out = np.abs(twin.forward(x))
    dx = twin.backward(np.abs(dout))
    return twin.forward(np.abs(x)) if twin.mean else out, {"x": dx}


def _batch_normalization_terms(twin, x, dout):
    """x - mean is as exact as x and mean are; the two sums in dx are taken off, whatever is left."""
    twin.forward(x)
    xhat, std, _ = twin._saved
    rows, dout = twin._rows(np.asarray(x, dtype=float)), np.abs(twin._rows(dout))
    size = (np.abs(rows) + np.abs(rows.mean(axis=0))) / std + np.abs(xhat)
    out = np.abs(twin.gamma) * size + np.abs(twin.beta)
    dbeta, dgamma = dout.sum(axis=0), (size * dout).sum(axis=0)
    dx = np.abs(twin.gamma) / std * (dout + (dbeta + size * dgamma) / len(rows))
    return twin._unrows(out, x.shape), {"x": twin._unrows(dx, x.shape), "gamma": dgamma, "beta": dbeta}


TERMS = {
    "Affine": _affine_terms,
    "BatchNormalization": _batch_normalization_terms,
    "Convolution": _convolution_terms,
    "Dropout": _elementwise_terms,
    "Flatten": _elementwise_terms,
    "LeakyRelu": _elementwise_terms,
    "Pooling": _pooling_terms,
    "SigmoidWithLoss": _sigmoid_loss_terms,
    "Softmax": _softmax_terms,
    "Relu": _elementwise_terms,
    "Sigmoid": _elementwise_terms,
    "Tanh": _elementwise_terms,
    "SoftmaxWithLoss": _softmax_loss_terms,
    "IdentityWithLoss": _identity_loss_terms,
}


# ---------------------------------------------------------------- the rows


def normal(*shape, scale=1.0):
    return lambda rng: scale * rng.standard_normal(shape)


def values(*numbers):
    return lambda rng: np.array(numbers)


def affine(inputs, units, *, b=None):
    def make(rng, dtype):
        W = (rng.standard_normal((inputs, units)) / np.sqrt(inputs)).astype(dtype)
        return bd.Affine(W, rng.standard_normal(units).astype(dtype) if b is None else b)

    return make


def affine_case(shape, units, *, note="", **more):
    name = f"Affine {shape} to {units}" + (f", {note}" if note else "")
    inputs = int(np.prod(shape[1:]))
    # a product of k terms may be off by k roundings, its terms' sum by one more
    longest = max(inputs, units, shape[0])
    return Case(name, affine(inputs, units, **more), normal(*shape), eps=longest + 4)


def plain(layer_class):
    return lambda rng, dtype: layer_class()


def elementwise_cases(layer_class, eps, large="PASS"):
    name = layer_class.__name__
    shapes = [(1,), (7,), (1, 1), (3, 5), (1, 16), (17, 1), (2, 9, 3), (2, 3, 4, 5), (31, 33)]
    for shape in shapes:
        yield Case(f"{name} {shape}", plain(layer_class), normal(*shape, scale=3), eps=eps)
    far = values([-3e38, -1e30, -710.0, -104.0, -88.5, -20.0], [3e38, 1e30, 710.0, 104.0, 88.5, 20.0])
    yield Case(f"{name} of large numbers", plain(layer_class), far, eps=eps, verdict=large)
    near = values([-1e-3, -1e-20, -1e-37, 1e-3, 1e-20, 1e-37])
    yield Case(f"{name} of small numbers", plain(layer_class), near, eps=eps)


def convolution(shape, filters, size, **options):
    def make(rng, dtype):
        taps = shape[1] * size[0] * size[1]
        W = (rng.standard_normal((filters, shape[1], *size)) / np.sqrt(taps)).astype(dtype)
        return bd.Convolution(W, rng.standard_normal(filters).astype(dtype), **options)

    return make


def convolution_eps(x, W, out):
    """How many eps a convolution of these shapes may be off: its longest sum, as for Affine."""
    n, c, fh, fw = x[0], *W[1:]
    return max(c * fh * fw, n * out[2] * out[3], W[0] * fh * fw) + 4


def convolution_case(shape, filters, size, **options):
    note = "".join(f", {name} {value}" for name, value in options.items())
    make = convolution(shape, filters, size, **options)
    W = (filters, shape[1], *size)
    out = np.shape(twin_of(make(np.random.default_rng(0), float)).forward(np.zeros(shape)))
    return Case(f"Convolution {shape} by {W}{note}", make, normal(*shape), eps=convolution_eps(shape, W, out))


def pooling_case(shape, size, *, stride=2, pad=0, mean=False, x=None, note="", verdict="PASS"):
    name = f"Pooling {shape} by {size}, stride {stride}, pad {pad}" + (", mean" if mean else "") + note

    def make(rng, dtype):
        return bd.Pooling(*size, stride, pad, mean=mean)

    # a mean sums the window, dx the windows that a pixel is in: no more than there are pixels in a window
    return Case(name, make, x or normal(*shape), eps=size[0] * size[1] + 2, verdict=verdict)


def normalization_case(shape, axis="feature", *, centre=0.0, note="", verdict="PASS", **options):
    d = shape[1] if axis == "channel" else int(np.prod(shape[1:]))

    def make(rng, dtype):
        gamma, beta = rng.uniform(0.5, 1.5, d).astype(dtype), rng.standard_normal(d).astype(dtype)
        return bd.BatchNormalization(gamma, beta, axis=axis, **options)

    return Case(
        f"BatchNormalization {shape} per {axis}{note}",
        make,
        lambda rng: centre + rng.standard_normal(shape),
        eps=8,
        verdict=verdict,
    )


def yes_or_no(n, c):
    return lambda rng: rng.integers(0, 2, (n, c)).astype(float)


def probabilities(n, c):
    return lambda rng: rng.uniform(0, 1, (n, c))


def labels(n, classes):
    return lambda rng: rng.integers(0, classes, n)


def one_hot(n, classes):
    return lambda rng: np.eye(classes)[rng.integers(0, classes, n)]


def soft(n, classes):
    def make(rng):
        weights = rng.uniform(0, 1, (n, classes)) * rng.choice([0, 1], (n, classes))
        return weights / max(classes, 1)

    return make


def softmax_case(n, classes, t, note, *, scale=1.0, centre=0.0, eps=0.0):
    """The scores differ by up to 8 `scale`, and so many roundings enter the exponent."""
    return Case(
        f"SoftmaxWithLoss ({n}, {classes}), {note}",
        lambda rng, dtype: bd.SoftmaxWithLoss(eps=eps),
        lambda rng: centre + scale * rng.standard_normal((n, classes)),
        t(n, classes),
        eps=8 + 8 * scale,
        verdict="VACUOUS" if classes == 1 else "PASS" if not eps else "FAIL" if "soft" in note else "EXPLAINED",
    )


def residual(*makers):
    return lambda rng, dtype: bd.Residual([make(rng, dtype) for make in makers])


CASES = [
    *(affine_case((n, i), u) for n, i, u in [(1, 1, 1), (1, 3, 2), (1, 50, 33), (3, 7, 8), (7, 8, 9), (9, 15, 16)]),
    *(affine_case((n, i), u) for n, i, u in [(16, 17, 31), (31, 33, 15), (33, 50, 17), (8, 1, 3), (17, 9, 1)]),
    affine_case((30, 260), 33, note="deeper than a panel"),
    affine_case((140, 31), 20, note="a batch deeper than a panel"),
    affine_case((5, 9), 150, note="more units than a panel is deep"),
    affine_case((3, 2, 4), 5),
    affine_case((2, 3, 4, 5), 7),
    affine_case((4, 3), 2, note="b a number", b=0.5),
    *elementwise_cases(bd.Relu, eps=0),
    Case("Relu on the kink", plain(bd.Relu), values([-1.0, 0.0, 2.0], [-0.0, 3.0, 0.0]), eps=0, verdict="KINK"),
    *elementwise_cases(bd.Sigmoid, eps=4),
    *elementwise_cases(bd.Tanh, eps=4, large="VACUOUS"),
    *elementwise_cases(bd.LeakyRelu, eps=2),
    Case("LeakyRelu (3, 5), slope 0.25", lambda rng, dtype: bd.LeakyRelu(0.25), normal(3, 5), eps=2),
    Case("LeakyRelu on the kink", plain(bd.LeakyRelu), values([-1.0, 0.0], [-0.0, 3.0]), eps=2, verdict="KINK"),
    *(
        Case(f"Softmax {shape}, scale {scale}", plain(bd.Softmax), normal(*shape, scale=scale), eps=8 + 8 * scale)
        for shape, scale in [((1, 2), 1), ((3, 5), 1), ((7, 17), 1), ((2, 3, 4), 1), ((5, 1, 33), 1), ((4, 10), 5)]
    ),
    Case("Softmax of one class", plain(bd.Softmax), normal(3, 1), verdict="VACUOUS"),
    *(Case(f"Flatten {shape}", plain(bd.Flatten), normal(*shape), eps=0) for shape in [(3,), (3, 5), (2, 3, 4, 5)]),
    *(
        Case(f"Dropout of nothing {shape}", lambda rng, dtype: bd.Dropout(0), normal(*shape), eps=0)
        for shape in [(7,), (3, 5), (2, 3, 4, 5)]
    ),
    Case("Dropout of nothing, inverted", lambda rng, dtype: bd.Dropout(0, inverted=True), normal(3, 5), eps=0),
    normalization_case((2, 3), note=", two samples"),
    normalization_case((3, 1)),
    normalization_case((7, 5)),
    normalization_case((33, 17)),
    normalization_case((6, 4), centre=100.0, note=", far from 0"),
    normalization_case((6, 4), eps=0.1, momentum=0.5, note=", eps 0.1"),
    normalization_case((5, 2, 3, 2)),
    normalization_case((5, 4), "channel"),
    normalization_case((1, 3, 4, 5), "channel"),
    normalization_case((3, 2, 3), "channel"),
    normalization_case((4, 3, 2, 5), "channel"),
    convolution_case((2, 16, 2, 4), 17, (3, 3), pad=1),  # float32: by Winograd's method
    convolution_case((1, 1, 1, 1), 1, (1, 1)),
    convolution_case((2, 3, 4, 5), 4, (1, 1)),
    convolution_case((1, 1, 5, 5), 1, (3, 3)),
    convolution_case((3, 2, 6, 5), 4, (3, 2)),
    convolution_case((2, 3, 5, 7), 2, (2, 3), stride=2),
    convolution_case((2, 2, 4, 4), 3, (3, 3), pad=1),
    convolution_case((2, 1, 7, 6), 2, (3, 3), stride=3, pad=2),
    convolution_case((1, 2, 2, 3), 2, (4, 1), pad=3),
    convolution_case((2, 2, 7, 6), 2, (3, 2), dilation=2),
    convolution_case((1, 2, 8, 7), 3, (2, 3), stride=2, pad=2, dilation=3),
    convolution_case((3, 16, 5, 4), 9, (3, 3), pad=1),
    convolution_case((1, 30, 4, 4), 2, (3, 3)),
    convolution_case((2, 5, 3, 4), 17, (3, 2), pad=4),
    Case(
        "Convolution, b a number",
        lambda rng, dtype: bd.Convolution(rng.standard_normal((2, 1, 2, 2)).astype(dtype), 0.5),
        normal(2, 1, 3, 3),
        eps=16,
    ),
    pooling_case((1, 1, 1, 1), (1, 1)),
    pooling_case((2, 3, 4, 6), (2, 2)),
    pooling_case((2, 2, 5, 5), (3, 2)),
    pooling_case((1, 2, 5, 4), (3, 3), stride=1, pad=1),
    pooling_case((2, 1, 7, 6), (2, 3), stride=3, pad=1),
    pooling_case((2, 3, 4, 6), (2, 2), mean=True),
    pooling_case((1, 2, 5, 4), (3, 3), stride=1, pad=2, mean=True),
    pooling_case((3, 1, 5, 7), (2, 4), stride=3, pad=1, mean=True),
    pooling_case((2, 17, 4, 6), (2, 2)),
    pooling_case((1, 18, 3, 3), (2, 2), stride=1, pad=1, mean=True),
    pooling_case(
        (1, 1, 2, 4), (2, 2), x=lambda rng: np.tile([1.0, 1, 3, 2], (1, 1, 2, 1)), note=", a tie", verdict="KINK"
    ),
    *(
        Case(f"SigmoidWithLoss ({n}, {c}), {note}", plain(bd.SigmoidWithLoss), normal(n, c, scale=3), t(n, c), eps=6)
        for t, note in ((yes_or_no, "yes or no"), (probabilities, "probabilities"))
        for n, c in [(1, 1), (1, 7), (5, 1), (9, 17)]
    ),
    Case(
        "SigmoidWithLoss of large scores",
        plain(bd.SigmoidWithLoss),
        values([-710.0, 104.0, 20.0], [88.5, -20.0, -1.0]),
        yes_or_no(2, 3),
        eps=6,
    ),
    softmax_case(1, 1, labels, "labels"),
    softmax_case(1, 10, labels, "labels"),
    softmax_case(7, 3, labels, "labels"),
    softmax_case(16, 17, labels, "labels"),
    softmax_case(33, 50, labels, "labels"),
    softmax_case(9, 8, one_hot, "one-hot"),
    softmax_case(5, 31, soft, "soft labels"),
    softmax_case(6, 10, labels, "scores far from each other", scale=100.0),
    softmax_case(6, 10, labels, "scores far from 0", centre=10000.0),
    softmax_case(4, 3, labels, "the book's eps", eps=1e-7),
    softmax_case(4, 3, soft, "soft labels, the book's eps", eps=1e-7),
    *(
        Case(f"IdentityWithLoss {shape}", plain(bd.IdentityWithLoss), normal(*shape), normal(*shape), eps=4)
        for shape in [(1, 1), (1, 7), (9, 1), (3, 5), (2, 3, 4), (33, 17)]
    ),
    Case("Residual of Relu", residual(plain(bd.Relu)), normal(3, 5)),
    Case("Residual of Affine", residual(affine(7, 7)), normal(4, 7), eps=16),
    Case(
        "Residual of Affine, Tanh, Affine",
        residual(affine(9, 17), plain(bd.Tanh), affine(17, 9)),
        normal(5, 9),
        eps=64,
    ),
    Case(
        "Residual of BatchNormalization, LeakyRelu, Convolution",
        residual(
            normalization_case((3, 2, 4, 5), "channel").layer,
            plain(bd.LeakyRelu),
            convolution((3, 2, 4, 5), 2, (3, 3), pad=1),
        ),
        normal(3, 2, 4, 5),
        eps=128,
    ),
    Case(
        "Residual in a Residual",
        residual(plain(bd.Sigmoid), residual(affine(3, 3), plain(bd.Tanh))),
        normal(2, 3),
        eps=64,
    ),
]

CASE_OF = {case.name: case for case in CASES}
