"""Stand-alone layers in the book's style: forward, then backward, of one layer with arrays of its own."""

from dataclasses import dataclass

import numpy as np
import numpy_book

LIMIT = {np.float32: 1e-4, np.float64: 1e-11}  # relative to the largest number of the result


@dataclass(frozen=True)
class LayerCall:
    name: str
    x: tuple
    params: tuple  # shapes
    hyper: tuple = ()
    dtype: type = np.float64

    @property
    def small(self):
        """Hardly any arithmetic: it shows what a call costs."""
        return self.x[0] == 1

    @property
    def size(self):
        return " ".join("x".join(map(str, shape)) for shape in (self.x, *self.params[:1]))

    def arrays(self):
        """(x, parameters, dout or labels), the same on each call."""
        rng = np.random.default_rng(1)
        x = rng.standard_normal(self.x).astype(self.dtype)
        params = [
            (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(self.dtype) for shape in self.params
        ]
        if self.name == "SoftmaxWithLoss":
            return x, params, rng.integers(0, self.x[1], self.x[0])
        out = getattr(numpy_book, self.name)(*params, *self.hyper).forward(x)
        return x, params, rng.standard_normal(out.shape).astype(self.dtype)


def _calls():
    """Each layer as the book's networks have it, in the book's type and in float32."""
    sizes = (
        ("Affine", (100, 784), ((784, 50), (50,)), ()),
        ("Relu", (100, 30, 24, 24), (), ()),
        ("Convolution", (100, 1, 28, 28), ((30, 1, 5, 5), (30,)), ()),
        ("Convolution", (100, 16, 28, 28), ((16, 16, 3, 3), (16,)), (1, 1)),
        ("Pooling", (100, 30, 24, 24), (), (2, 2, 2)),
        ("BatchNormalization", (100, 100), ((100,), (100,)), ()),
        ("SoftmaxWithLoss", (100, 10), (), ()),
        ("Affine", (1, 2), ((2, 3), (3,)), ()),
        ("Relu", (1, 3), (), ()),
    )
    for dtype in (np.float64, np.float32):
        for name, x, params, hyper in sizes:
            yield LayerCall(name, x, params, hyper, dtype)


CALLS = tuple(_calls())


def _book_style(layer, call, changes_dout=False):
    """(run, results) of a layer with the book's methods; the book's own Relu writes into what it is given."""
    x, _, dout = call.arrays()
    is_loss = call.name == "SoftmaxWithLoss"

    def once():
        if is_loss:
            return layer.forward(x, dout), layer.backward()
        out = layer.forward(x)
        return out, layer.backward(dout.copy() if changes_dout else dout)

    def run(count):
        for _ in range(count):
            once()

    out, dx = once()
    return run, {"out": out, "dx": dx} | {
        name: getattr(layer, name) for name in ("dW", "db", "dgamma", "dbeta") if hasattr(layer, name)
    }


def badak(call):
    import badak as bd

    _, params, _ = call.arrays()
    return _book_style(getattr(bd, call.name)(*params, *call.hyper), call)


def numpy(call):
    _, params, _ = call.arrays()
    return _book_style(getattr(numpy_book, call.name)(*params, *call.hyper), call, changes_dout=call.name == "Relu")


def torch(call):
    import torch
    from torch.nn import functional

    x, params, dout = call.arrays()
    x, dout = torch.from_numpy(x).requires_grad_(), torch.from_numpy(dout)
    params = [torch.from_numpy(a.copy()) for a in params]
    if call.name == "Affine":
        params[0] = params[0].T.contiguous()
    for tensor in params:
        tensor.requires_grad_()
    forward = {
        "Affine": lambda: functional.linear(x, *params),
        "Relu": lambda: functional.relu(x),
        "Convolution": lambda: functional.conv2d(x, *params, padding=call.hyper[1] if call.hyper else 0),
        "Pooling": lambda: functional.max_pool2d(x, call.hyper[0]),
        "BatchNormalization": lambda: functional.batch_norm(
            x, *running, *params, training=True, momentum=0.1, eps=1e-6
        ),
        "SoftmaxWithLoss": lambda: functional.cross_entropy(x, dout),
    }[call.name]
    running = [torch.zeros(call.x[1:2], dtype=x.dtype) for _ in range(2)]

    def once():
        out = forward()
        return out, torch.autograd.grad(out, [x, *params], None if call.name == "SoftmaxWithLoss" else dout)

    def run(count):
        for _ in range(count):
            once()

    out, grads = once()
    names = ("dx", "dgamma", "dbeta") if call.name == "BatchNormalization" else ("dx", "dW", "db")
    results = {"out": out.detach().numpy()} | {name: g.numpy() for name, g in zip(names, grads, strict=False)}
    if call.name == "Affine":
        results["dW"] = results["dW"].T
    return run, results


LIBRARIES = {"badak": badak, "PyTorch": torch, "NumPy": numpy}


def errors(call, results):
    """(error, limit) of each result, beside the book's code in float64."""
    x, params, dout = call.arrays()
    layer = getattr(numpy_book, call.name)(*(a.astype(float) for a in params), *call.hyper)
    x = x.astype(float)
    if call.name == "SoftmaxWithLoss":
        expected = {"out": layer.forward(x, dout), "dx": layer.backward()}
    else:
        expected = {"out": layer.forward(x), "dx": layer.backward(dout.astype(float))}
    expected |= {name: getattr(layer, name) for name in results if name not in expected}
    limit = dict.fromkeys(expected, LIMIT[call.dtype])
    if call.name == "SoftmaxWithLoss":
        limit["out"] = max(1e-5, limit["out"])  # the 1e-7 in the book's logarithm
    return {
        name: (np.abs(results[name] - value).max() / np.abs(value).max(), limit[name])
        for name, value in expected.items()
    }
