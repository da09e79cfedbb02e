"""Smooth functions of the textbooks with their right backward and the bugs that people write into it."""

import math

import numpy as np

from . import FAIL, family
from .kinks import unsorted

CASES = []


def add(*args, **kwargs):
    CASES.extend(family(*args, **kwargs))


def one_element(vjp, index, factor, which=0):
    """The same gradient with one element of one of the results multiplied by `factor`."""

    def wrong(gy, *inputs):
        found = vjp(gy, *inputs)
        several = isinstance(found, tuple)
        parts = [np.array(g) if g is not None else None for g in (found if several else (found,))]
        parts[which][index] *= factor
        return tuple(parts) if several else parts[0]

    return wrong


# ---------------------------------------------------------------- affine, softmax, losses


def affine(x, W, b):
    return x @ W + b


def affine_vjp(gy, x, W, b):
    return gy @ W.T, x.T @ gy, gy.sum(axis=0)


add(
    "affine 4x4",
    affine,
    lambda r: (r.normal(size=(3, 4)), r.normal(size=(4, 4)), r.normal(size=4)),
    affine_vjp,
    {
        "dW transposed": lambda gy, x, W, b: (gy @ W.T, gy.T @ x, gy.sum(axis=0)),
        "dx through W instead of W.T": lambda gy, x, W, b: (gy @ W, x.T @ gy, gy.sum(axis=0)),
        "db is a mean": lambda gy, x, W, b: (gy @ W.T, x.T @ gy, gy.mean(axis=0)),
        "dW is a mean over the batch": lambda gy, x, W, b: (gy @ W.T, x.T @ gy / len(x), gy.sum(axis=0)),
        "dW of the first sample only": lambda gy, x, W, b: (gy @ W.T, np.outer(x[0], gy[0]), gy.sum(axis=0)),
        "sign of dx": lambda gy, x, W, b: (-gy @ W.T, x.T @ gy, gy.sum(axis=0)),
        "db has the batch axis": (lambda gy, x, W, b: (gy @ W.T, x.T @ gy, gy), {"SHAPE"}),
        "db of the last column 0": lambda gy, x, W, b: (gy @ W.T, x.T @ gy, gy.sum(axis=0) * (np.arange(4) < 3)),
        "one element of dW off by 1 %": one_element(affine_vjp, (2, 3), 1.01, which=1),
        "one element of dW off by 1e-5": one_element(affine_vjp, (1, 1), 1 + 1e-5, which=1),
    },
)
add(
    "affine with a symmetric W",
    affine,
    lambda r: (r.normal(size=(3, 4)), np.eye(4) + 0.5, np.zeros(4)),
    affine_vjp,
    {"dx through W instead of W.T": lambda gy, x, W, b: (gy @ W, x.T @ gy, gy.sum(axis=0))},
)
add(
    "affine of seed 0 like everybody's",  # the upstream gradient must not equal x
    affine,
    lambda r: (np.random.RandomState(0).rand(4, 4), np.random.RandomState(0).rand(4, 4), np.zeros(4)),
    affine_vjp,
    {"dW transposed": lambda gy, x, W, b: (gy @ W.T, gy.T @ x, gy.sum(axis=0))},
)


def log_softmax(x):
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def softmax(x):
    return np.exp(log_softmax(x))


def softmax_vjp(gy, x):
    y = softmax(x)
    return y * (gy - (gy * y).sum(axis=-1, keepdims=True))


def cross_entropy(x, t):
    return -log_softmax(x)[np.arange(len(t)), t].mean()


def cross_entropy_vjp(gy, x, t):
    dx = softmax(x)
    dx[np.arange(len(t)), t] -= 1
    return gy * dx / len(t), None


add(
    "softmax cross-entropy",
    cross_entropy,
    lambda r: (r.normal(size=(3, 5)), np.array([0, 3, 1])),
    cross_entropy_vjp,
    {
        "1/N missing": lambda gy, x, t: (cross_entropy_vjp(gy, x, t)[0] * len(t), None),
        "label not subtracted": lambda gy, x, t: (gy * softmax(x) / len(t), None),
        "label of the neighbour": lambda gy, x, t: (cross_entropy_vjp(gy, x, np.roll(t, 1))[0], None),
        "divided by the classes": lambda gy, x, t: (cross_entropy_vjp(gy, x, t)[0] * len(t) / 5, None),
        "sign": lambda gy, x, t: (-cross_entropy_vjp(gy, x, t)[0], None),
    },
)
add(
    "softmax alone",
    softmax,
    lambda r: (r.normal(size=(2, 5)),),
    softmax_vjp,
    {
        "twice too big": lambda gy, x: 2 * softmax_vjp(gy, x),
        "diagonal only": lambda gy, x: gy * softmax(x) * (1 - softmax(x)),
        "all zero, right for a gy of ones": lambda gy, x: np.zeros_like(x),
        "sum over the wrong axis": lambda gy, x: softmax(x) * (gy - (gy * softmax(x)).sum(axis=0)),
    },
)
add(
    "log-softmax",
    log_softmax,
    lambda r: (r.normal(size=(2, 4)),),
    lambda gy, x: gy - softmax(x) * gy.sum(axis=-1, keepdims=True),
    {"mean for a sum": lambda gy, x: gy - softmax(x) * gy.mean(axis=-1, keepdims=True)},
)


def logsumexp(x):
    top = x.max()
    return top + np.log(np.exp(x - top).sum())


add(
    "log-sum-exp",
    logsumexp,
    lambda r: (r.normal(size=7),),
    softmax,
    {"not normalised": lambda x: np.exp(x - x.max()), "one-hot of the largest": lambda x: (x == x.max()) * 1.0},
    form="grad",
)


def binary_cross_entropy(z, t):
    return np.mean(np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z))))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


add(
    "binary cross-entropy on logits",
    binary_cross_entropy,
    lambda r: (r.normal(size=(4, 2)), r.integers(0, 2, size=(4, 2))),
    lambda gy, z, t: (gy * (sigmoid(z) - t) / z.size, None),
    {
        "divided by the batch only": lambda gy, z, t: (gy * (sigmoid(z) - t) / len(z), None),
        "times the slope of the sigmoid": lambda gy, z, t: (
            gy * (sigmoid(z) - t) * sigmoid(z) * (1 - sigmoid(z)) / z.size,
            None,
        ),
    },
)
add(
    "mean squared error, two inputs",
    lambda y, t: np.mean((y - t) ** 2),
    lambda r: (r.normal(size=(3, 2)), r.normal(size=(3, 2))),
    lambda gy, y, t: (gy * 2 * (y - t) / y.size, gy * 2 * (t - y) / y.size),
    {
        "2 missing": lambda gy, y, t: (gy * (y - t) / y.size, gy * (t - y) / y.size),
        "same sign for both": lambda gy, y, t: (gy * 2 * (y - t) / y.size, gy * 2 * (y - t) / y.size),
        "target forgotten": (lambda gy, y, t: (gy * 2 * (y - t) / y.size, np.zeros_like(t)), FAIL),
    },
)

# ---------------------------------------------------------------- activations


erf = np.vectorize(math.erf, otypes=[float])


def elementwise(name, f, slope, bugs=None, scale=1.5, **kwargs):
    """f applied to each element; `slope` and the bugs are slopes."""

    def vjp(g):
        return lambda gy, x: gy * g(x)

    bugs = {k: (vjp(b[0]), b[1]) if isinstance(b, tuple) else vjp(b) for k, b in (bugs or {}).items()}
    add(name, f, lambda r: (scale * r.normal(size=(2, 4)),), vjp(slope), bugs, **kwargs)


elementwise(
    "sigmoid",
    sigmoid,
    lambda x: sigmoid(x) * (1 - sigmoid(x)),
    {"y (1 + y)": lambda x: sigmoid(x) * (1 + sigmoid(x)), "x for y": lambda x: x * (1 - x)},
)
elementwise("tanh", np.tanh, lambda x: 1 - np.tanh(x) ** 2, {"square missing": lambda x: 1 - np.tanh(x)})
elementwise(
    "swish",
    lambda x: x * sigmoid(x),
    lambda x: sigmoid(x) * (1 + x * (1 - sigmoid(x))),
    {"product rule forgotten": sigmoid},
)


def gelu(x):
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def gelu_slope(x):
    return 0.5 * (1 + erf(x / math.sqrt(2))) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def gelu_tanh_slope(x):
    c = math.sqrt(2 / math.pi)
    t = np.tanh(c * (x + 0.044715 * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x)


elementwise("gelu", gelu, gelu_slope, {"slope of its approximation by tanh": gelu_tanh_slope})
elementwise("softplus", lambda x: np.logaddexp(0, x), sigmoid, {"tanh for sigmoid": np.tanh})
elementwise(
    "elu",  # once differentiable at 0
    lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    lambda x: np.where(x > 0, 1.0, np.exp(np.minimum(x, 0))),
    {"0 below 0": lambda x: (x > 0) * 1.0, "y for y + 1 below 0": lambda x: np.where(x > 0, 1.0, np.expm1(x))},
)
elementwise(
    "softsign",
    lambda x: x / (1 + np.abs(x)),
    lambda x: 1 / (1 + np.abs(x)) ** 2,
    {"square missing": lambda x: 1 / (1 + np.abs(x))},
)
elementwise(
    "sine with a constant of few digits",
    lambda x: np.sin(np.pi * x),
    lambda x: np.pi * np.cos(np.pi * x),
    {"3.1416 for pi": lambda x: 3.1416 * np.cos(np.pi * x), "degrees": lambda x: np.cos(np.pi * x)},
)
elementwise(
    "x squared at 0 and beside it",
    lambda x: np.where(np.abs(x) < 1, 0, x) ** 2,
    lambda x: 2 * np.where(np.abs(x) < 1, 0, x),
    scale=1e-3,
    expect=frozenset({"VACUOUS"}),
    title="never away from the flat part",
)

# ---------------------------------------------------------------- normalisation


EPS = 1e-5


def batch_norm(x, gamma, beta):
    return gamma * (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + EPS) + beta


def batch_norm_vjp(gy, x, gamma, beta, variance=1.0, mean=1.0, eps=EPS, biased=0):
    n = len(x)
    std = np.sqrt(x.var(axis=0) + eps)
    xhat = (x - x.mean(axis=0)) / std
    g = gy * gamma
    dx = (g - mean * g.mean(axis=0) - variance * xhat * (g * xhat).sum(axis=0) / (n - biased)) / std
    return dx, (gy * xhat).sum(axis=0), gy.sum(axis=0)


def bn_bug(**how):
    return lambda gy, x, gamma, beta: batch_norm_vjp(gy, x, gamma, beta, **how)


add(
    "batch norm",
    batch_norm,
    lambda r: (r.normal(size=(6, 3)), r.normal(size=3), r.normal(size=3)),
    batch_norm_vjp,
    {
        "variance term missing": bn_bug(variance=0),
        "mean term missing": bn_bug(mean=0),
        "another eps backward (1e-3)": bn_bug(eps=1e-3),
        "variance term over n - 1": bn_bug(biased=1),
        "dgamma through x": lambda gy, x, gamma, beta: (
            batch_norm_vjp(gy, x, gamma, beta)[0],
            (gy * x).sum(axis=0),
            gy.sum(axis=0),
        ),
        "gamma forgotten in dx": lambda gy, x, gamma, beta: (
            batch_norm_vjp(gy, x, np.ones_like(gamma), beta)[0],
            *batch_norm_vjp(gy, x, gamma, beta)[1:],
        ),
        "statistics held constant": lambda gy, x, gamma, beta: (
            gy * gamma / np.sqrt(x.var(axis=0) + EPS),
            *batch_norm_vjp(gy, x, gamma, beta)[1:],
        ),
    },
)
add(
    "batch norm of large numbers",
    batch_norm,
    lambda r: (1e4 + r.normal(size=(6, 3)), r.normal(size=3), r.normal(size=3)),
    batch_norm_vjp,
    {"variance term missing": bn_bug(variance=0)},
)
CASES += family(
    "batch norm, a batch of one",
    batch_norm,
    lambda r: (r.normal(size=(1, 3)), r.normal(size=3), r.normal(size=3)),
    batch_norm_vjp,
    {"variance term missing": (bn_bug(variance=0), frozenset({"VACUOUS"})), "mean term missing": bn_bug(mean=0)},
    expect=frozenset({"VACUOUS"}),
)


def layer_norm(x, gamma, beta):
    centred = x - x.mean(axis=-1, keepdims=True)
    return gamma * centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPS) + beta


def layer_norm_vjp(gy, x, gamma, beta):
    std = np.sqrt(x.var(axis=-1, keepdims=True) + EPS)
    xhat = (x - x.mean(axis=-1, keepdims=True)) / std
    g = gy * gamma
    dx = (g - g.mean(axis=-1, keepdims=True) - xhat * (g * xhat).mean(axis=-1, keepdims=True)) / std
    return dx, (gy * xhat).sum(axis=0), gy.sum(axis=0)


add(
    "layer norm",
    layer_norm,
    lambda r: (r.normal(size=(2, 5)), r.normal(size=5), r.normal(size=5)),
    layer_norm_vjp,
    {
        "gamma after the means": lambda gy, x, gamma, beta: (
            gamma * layer_norm_vjp(gy, x, np.ones_like(gamma), beta)[0],
            *layer_norm_vjp(gy, x, gamma, beta)[1:],
        ),
        "means over the batch": lambda gy, x, gamma, beta: (
            batch_norm_vjp(gy, x, gamma, beta)[0],
            *layer_norm_vjp(gy, x, gamma, beta)[1:],
        ),
    },
)
add(
    "unit length",
    lambda x: x / np.sqrt((x * x).sum(axis=1, keepdims=True)),
    lambda r: (r.normal(size=(2, 4)),),
    lambda gy, x: (
        (gy - x * (gy * x).sum(axis=1, keepdims=True) / (x * x).sum(axis=1, keepdims=True))
        / np.sqrt((x * x).sum(axis=1, keepdims=True))
    ),
    {"length held constant": lambda gy, x: gy / np.sqrt((x * x).sum(axis=1, keepdims=True))},
)
add(
    "standard deviation",
    lambda x: np.std(x, axis=0),
    lambda r: (r.normal(size=(5, 3)),),
    lambda gy, x: gy * (x - x.mean(axis=0)) / (len(x) * x.std(axis=0)),
    {"n - 1": lambda gy, x: gy * (x - x.mean(axis=0)) / ((len(x) - 1) * x.std(axis=0))},
)

# ---------------------------------------------------------------- convolution


def patches(x, k, stride, pad):
    """The (N, C, OH, OW, k, k) windows of padded images."""
    n, c, h, w = x.shape
    padded = np.zeros((n, c, h + 2 * pad, w + 2 * pad))
    padded[:, :, pad : pad + h, pad : pad + w] = x
    return np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(2, 3))[:, :, ::stride, ::stride]


def convolution(x, K, b, stride=2, pad=1):
    windows = patches(x, K.shape[2], stride, pad)
    rows = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, K[0].size)
    y = (rows @ K.reshape(len(K), -1).T + b).reshape(len(x), *windows.shape[2:4], len(K))
    return y.transpose(0, 3, 1, 2)


def convolution_vjp(gy, x, K, b, stride=2, pad=1, add=True, crop=True, flip=False):
    n, c, h, w = x.shape
    k = K.shape[2]
    dK = np.einsum("nchwij,nfhw->fcij", patches(x, k, stride, pad), gy)
    dx = np.zeros((n, c, h + 2 * pad, w + 2 * pad))
    cols = np.einsum("nfhw,fcij->nchwij", gy, K)
    for i in range(gy.shape[2]):
        for j in range(gy.shape[3]):
            window = np.s_[:, :, i * stride : i * stride + k, j * stride : j * stride + k]
            dx[window] = cols[:, :, i, j] + (dx[window] if add else 0)
    start = pad if crop else 0
    dx = dx[:, :, start : start + h, start : start + w]
    return dx, dK[:, :, ::-1, ::-1] if flip else dK, gy.sum(axis=(0, 2, 3))


def conv_bug(**how):
    return lambda gy, x, K, b: convolution_vjp(gy, x, K, b, **how)


add(
    "convolution 5x5, k3, stride 2, pad 1",
    convolution,
    lambda r: (r.normal(size=(1, 1, 5, 5)), r.normal(size=(2, 1, 3, 3)), r.normal(size=2)),
    convolution_vjp,
    {
        "col2im cropped at 0": conv_bug(crop=False),
        "= for +=": conv_bug(add=False),
        "dK flipped": conv_bug(flip=True),
        "dx without a window": lambda gy, x, K, b: (
            convolution_vjp(gy * (np.arange(3) < 2), x, K, b)[0],
            *convolution_vjp(gy, x, K, b)[1:],
        ),
        "db over the batch only": (
            lambda gy, x, K, b: (*convolution_vjp(gy, x, K, b)[:2], gy.mean(axis=(2, 3)).sum(axis=0)),
            FAIL,
        ),
    },
)
add(
    "average pooling 2x2, windows that overlap",
    lambda x: patches(x, 2, 1, 0).mean(axis=(4, 5)),
    lambda r: (r.normal(size=(1, 2, 3, 4)),),
    lambda gy, x: convolution_vjp(gy[0][:, None], x[0][:, None], np.full((1, 1, 2, 2), 0.25), np.zeros(1), 1, 0)[0][
        None, :, 0
    ],
    {
        "not divided by 4": lambda gy, x: (
            4
            * convolution_vjp(gy[0][:, None], x[0][:, None], np.full((1, 1, 2, 2), 0.25), np.zeros(1), 1, 0)[0][
                None, :, 0
            ]
        ),
        "= for +=": lambda gy, x: convolution_vjp(
            gy[0][:, None], x[0][:, None], np.full((1, 1, 2, 2), 0.25), np.zeros(1), 1, 0, add=False
        )[0][None, :, 0],
    },
)

# ---------------------------------------------------------------- sequences and attention


def attention(q, k, v):
    return softmax(q @ k.T / math.sqrt(q.shape[1])) @ v


def attention_vjp(gy, q, k, v, scale=True, rest=True):
    root = math.sqrt(q.shape[1])
    p = softmax(q @ k.T / root)
    dp = gy @ v.T
    ds = p * (dp - (dp * p).sum(axis=1, keepdims=True) * rest) / (root if scale else 1)
    return ds @ k, ds.T @ q, p.T @ gy


add(
    "attention",
    attention,
    lambda r: (r.normal(size=(3, 2)), r.normal(size=(4, 2)), r.normal(size=(4, 2))),
    attention_vjp,
    {
        "1/sqrt(d) forgotten": lambda *a: attention_vjp(*a, scale=False),
        "diagonal of the softmax only": lambda *a: attention_vjp(*a, rest=False),
        "dv through the scores": lambda gy, q, k, v: (*attention_vjp(gy, q, k, v)[:2], (q @ k.T / math.sqrt(2)).T @ gy),
    },
)


def rnn(xs, h, Wx, Wh):
    for x in xs:
        h = np.tanh(x @ Wx + h @ Wh)
    return h


def rnn_vjp(gy, xs, h, Wx, Wh, steps=None, share=True):
    hs = [h]
    for x in xs:
        hs.append(np.tanh(x @ Wx + hs[-1] @ Wh))
    dxs, dWx, dWh = np.zeros_like(xs), np.zeros_like(Wx), np.zeros_like(Wh)
    dh = gy
    for i in reversed(range(len(xs))):
        if steps is not None and i < len(xs) - steps:
            dh = np.zeros_like(dh)  # truncated
        dz = dh * (1 - hs[i + 1] ** 2)
        dxs[i] = dz @ Wx.T
        dWx = np.outer(xs[i], dz) + (dWx if share else 0)
        dWh = np.outer(hs[i], dz) + (dWh if share else 0)
        dh = dz @ Wh.T
    return dxs, dh, dWx, dWh


add(
    "recurrent net, 4 steps",
    rnn,
    lambda r: (r.normal(size=(4, 2)), r.normal(size=3), r.normal(size=(2, 3)), 0.5 * r.normal(size=(3, 3))),
    rnn_vjp,
    {
        "truncated after 2 steps": lambda *a: rnn_vjp(*a, steps=2),
        "= for += over the steps": lambda *a: rnn_vjp(*a, share=False),
    },
)


def lstm(x, h, c, W):
    f, g, i, o = np.split(np.concatenate([x, h]) @ W, 4)
    return sigmoid(o) * np.tanh(sigmoid(f) * c + np.tanh(g) * sigmoid(i))


def lstm_vjp(gy, x, h, c, W, cell=True, swap=False):
    xh = np.concatenate([x, h])
    f, g, i, o = np.split(xh @ W, 4)
    f, g, i, o = sigmoid(f), np.tanh(g), sigmoid(i), sigmoid(o)
    t = np.tanh(f * c + g * i)
    dc = gy * o * ((1 - t * t) if cell else 1)
    dz = [dc * c * f * (1 - f), dc * i * (1 - g * g), dc * g * i * (1 - i), gy * t * o * (1 - o)]
    if swap:
        dz[0], dz[2] = dz[2], dz[0]
    dz = np.concatenate(dz)
    dxh = W @ dz
    return dxh[: len(x)], dxh[len(x) :], dc * f, np.outer(xh, dz)


add(
    "LSTM cell",
    lstm,
    lambda r: (r.normal(size=2), r.normal(size=3), r.normal(size=3), r.normal(size=(5, 12))),
    lstm_vjp,
    {
        "tanh of the cell forgotten": lambda *a: lstm_vjp(*a, cell=False),
        "gates swapped": lambda *a: lstm_vjp(*a, swap=True),
    },
)

# ---------------------------------------------------------------- gathering and reordering


IDX = np.array([0, 2, 2, 1, 2])


def embedding_vjp(gy, W, idx):
    dW = np.zeros_like(W)
    np.add.at(dW, idx, gy)
    return dW, None


def embedding_overwritten(gy, W, idx):
    dW = np.zeros_like(W)
    dW[idx] = gy
    return dW, None


add(
    "embedding, a word three times",
    lambda W, idx: W[idx],
    lambda r: (r.normal(size=(4, 3)), IDX),
    embedding_vjp,
    {
        "= for += at the duplicates": embedding_overwritten,
        "dW[idx] += gy": lambda gy, W, idx: (embedding_overwritten(gy, W, idx)[0] * 1.0, None),
        "averaged over the duplicates": lambda gy, W, idx: (
            embedding_vjp(gy, W, idx)[0] / np.maximum(np.bincount(idx, minlength=4), 1)[:, None],
            None,
        ),
    },
)
add(
    "cumulative sum",
    lambda x: np.cumsum(x),
    lambda r: (r.normal(size=6),),
    lambda gy, x: gy[::-1].cumsum()[::-1],
    {"not reversed": lambda gy, x: gy.cumsum(), "shifted by one": lambda gy, x: np.roll(gy[::-1].cumsum()[::-1], 1)},
)


def product_of_others(x):
    return np.array([np.prod(np.delete(x, i)) for i in range(x.size)])


add(
    "product with a zero",
    np.prod,
    lambda r: (np.array([1.5, 0.0, -2.0, 0.7]),),
    lambda gy, x: gy * product_of_others(x),
    {
        "divided by x, guarded": lambda gy, x: gy * np.prod(x) / np.where(x == 0, 1, x),
        "divided by x": (lambda gy, x: gy * (np.prod(x) / np.where(x == 0, np.nan, x)), frozenset({"NONFINITE"})),
    },
)


add(
    "sort",
    np.sort,
    lambda r: (r.permutation(6) + 0.1 * r.normal(size=6),),
    lambda gy, x: unsorted(gy, np.argsort(x)),
    {"permuted the wrong way": lambda gy, x: gy[np.argsort(x)], "not permuted": lambda gy, x: gy.copy()},
)
add(
    "transpose, reshape and pad",
    lambda x: np.pad(x.T.reshape(3, 4), 1),
    lambda r: (r.normal(size=(6, 2)),),
    lambda gy, x: gy[1:-1, 1:-1].reshape(2, 6).T.copy(),
    {"reshaped without transposing": lambda gy, x: gy[1:-1, 1:-1].reshape(6, 2).copy()},
)
add(
    "concatenation",
    lambda a, b: np.concatenate([a, b], axis=1),
    lambda r: (r.normal(size=(2, 3)), r.normal(size=(2, 3))),
    lambda gy, a, b: (gy[:, :3], gy[:, 3:]),
    {"halves swapped": lambda gy, a, b: (gy[:, 3:], gy[:, :3]), "off by one": lambda gy, a, b: (gy[:, 1:4], gy[:, 3:])},
)
add(
    "broadcast product",
    lambda a, b: a * b,
    lambda r: (r.normal(size=(3, 1)), r.normal(size=(1, 4))),
    lambda gy, a, b: ((gy * b).sum(axis=1, keepdims=True), (gy * a).sum(axis=0, keepdims=True)),
    {
        "not summed": (lambda gy, a, b: (gy * b, gy * a), frozenset({"SHAPE"})),
        "mean for sum": lambda gy, a, b: ((gy * b).mean(axis=1, keepdims=True), (gy * a).sum(axis=0, keepdims=True)),
    },
)
add(
    "einsum bij,bjk->ik",
    lambda a, b: np.einsum("bij,bjk->ik", a, b),
    lambda r: (r.normal(size=(2, 2, 3)), r.normal(size=(2, 3, 2))),
    lambda gy, a, b: (np.einsum("ik,bjk->bij", gy, b), np.einsum("ik,bij->bjk", gy, a)),
    {"batch averaged": lambda gy, a, b: (np.einsum("ik,bjk->bij", gy, b), np.einsum("ik,bij->bjk", gy, a) / 2)},
)
add(
    "gather along an axis",
    lambda x, i: np.take_along_axis(x, i, axis=1),
    lambda r: (r.normal(size=(2, 4)), np.array([[3, 0], [1, 1]])),
    lambda gy, x, i: (
        np.stack([np.bincount(i[r], gy[r], minlength=4) for r in range(2)]),
        None,
    ),
    {"last wins": lambda gy, x, i: ((lambda d: (np.put_along_axis(d, i, gy, 1), d)[1])(np.zeros_like(x)), None)},
)

# ---------------------------------------------------------------- linear algebra


add(
    "inverse of a matrix",
    np.linalg.inv,
    lambda r: (r.normal(size=(3, 3)) + 3 * np.eye(3),),
    lambda gy, a: -np.linalg.inv(a).T @ gy @ np.linalg.inv(a).T,
    {
        "not transposed": lambda gy, a: -np.linalg.inv(a) @ gy @ np.linalg.inv(a),
        "sign": lambda gy, a: np.linalg.inv(a).T @ gy @ np.linalg.inv(a).T,
    },
)
add(
    "log-determinant",
    lambda a: np.linalg.slogdet(a)[1],
    lambda r: (r.normal(size=(3, 3)) + 3 * np.eye(3),),
    lambda a: np.linalg.inv(a).T.copy(),
    {"not transposed": lambda a: np.linalg.inv(a)},
    form="grad",
)
add(
    "solution of a linear system",
    np.linalg.solve,
    lambda r: (r.normal(size=(3, 3)) + 3 * np.eye(3), r.normal(size=3)),
    lambda gy, a, b: (-np.outer(np.linalg.solve(a.T, gy), np.linalg.solve(a, b)), np.linalg.solve(a.T, gy)),
    {
        "outer product turned": lambda gy, a, b: (
            -np.outer(np.linalg.solve(a, b), np.linalg.solve(a.T, gy)),
            np.linalg.solve(a.T, gy),
        )
    },
)
add(
    "quadratic form",
    lambda x, A: x @ A @ x,
    lambda r: (r.normal(size=4), r.normal(size=(4, 4))),
    lambda gy, x, A: (gy * (A + A.T) @ x, gy * np.outer(x, x)),
    {
        "2 A x": lambda gy, x, A: (gy * 2 * A @ x, gy * np.outer(x, x)),
        "A x": lambda gy, x, A: (gy * A @ x, gy * np.outer(x, x)),
    },
)
add(
    "real part of a Fourier transform",
    lambda x: np.fft.fft(x).real,
    lambda r: (r.normal(size=5),),
    lambda gy, x: np.fft.fft(gy).real,
    {"inverse transform": lambda gy, x: np.fft.ifft(gy).real},
)

# ---------------------------------------------------------------- the whole loss


def ridge(w, X, y, strength=0.1):
    return np.mean((X @ w - y) ** 2) + strength * w @ w


def ridge_grad(w, X, y, strength=0.1, data=1.0):
    return data * 2 * X.T @ (X @ w - y) / len(y) + 2 * strength * w, None, None


add(
    "ridge regression",
    lambda w, X, y: ridge(w, X.astype(float), y.astype(float)),
    lambda r: (r.normal(size=4), r.integers(-3, 4, size=(6, 4)), r.integers(-3, 4, size=6)),
    ridge_grad,
    {
        "regulariser missing": lambda w, X, y: ridge_grad(w, X, y, strength=0),
        "half the regulariser": lambda w, X, y: ridge_grad(w, X, y, strength=0.05),
    },
    form="grad",
)
add(
    "a regulariser that hides the data",
    lambda w, X, y: ridge(w, X.astype(float), y.astype(float), 1e3),
    lambda r: (r.normal(size=4), r.integers(-3, 4, size=(6, 4)), r.integers(-3, 4, size=6)),
    lambda w, X, y: ridge_grad(w, X, y, 1e3),
    {
        "data term doubled": lambda w, X, y: ridge_grad(w, X, y, 1e3, data=2.0),
        "data term forgotten": lambda w, X, y: ridge_grad(w, X, y, 1e3, data=0.0),
        "data term with the wrong sign": lambda w, X, y: ridge_grad(w, X, y, 1e3, data=-1.0),
    },
    form="grad",
)


def mlp(x, W1, b1, W2):
    return np.tanh(x @ W1 + b1) @ W2


def mlp_vjp(gy, x, W1, b1, W2, slope=lambda h: 1 - h * h):
    h = np.tanh(x @ W1 + b1)
    dz = gy @ W2.T * slope(h)
    return dz @ W1.T, x.T @ dz, dz.sum(axis=0), h.T @ gy


add(
    "two-layer perceptron",
    mlp,
    lambda r: (r.normal(size=(3, 4)), r.normal(size=(4, 5)), r.normal(size=5), r.normal(size=(5, 2))),
    mlp_vjp,
    {
        "slope of tanh forgotten": lambda *a: mlp_vjp(*a, slope=lambda h: 1.0),
        "one of its 10 output weights off by 10 %": one_element(mlp_vjp, (3, 1), 1.1, which=3),
    },
)
add(
    "KL divergence of two Gaussians",
    lambda m, s: 0.5 * np.sum(np.exp(s) + m * m - 1 - s),
    lambda r: (r.normal(size=3), r.normal(size=3)),
    lambda m, s: (m, 0.5 * (np.exp(s) - 1)),
    {"2 missing": lambda m, s: (m, np.exp(s) - 1), "-1 missing": lambda m, s: (m, 0.5 * np.exp(s))},
    form="grad",
)
add(
    "cosine similarity",
    lambda a, b: a @ b / np.sqrt((a @ a) * (b @ b)),
    lambda r: (r.normal(size=4), r.normal(size=4)),
    lambda gy, a, b: (
        gy * (b - a * (a @ b) / (a @ a)) / np.sqrt((a @ a) * (b @ b)),
        gy * (a - b * (a @ b) / (b @ b)) / np.sqrt((a @ a) * (b @ b)),
    ),
    {
        "lengths held constant": lambda gy, a, b: (
            gy * b / np.sqrt((a @ a) * (b @ b)),
            gy * a / np.sqrt((a @ a) * (b @ b)),
        )
    },
)
