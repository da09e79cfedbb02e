"""A million small steps: does the memory stay flat? python soak.py [STEPS]; exit code 1 if not."""

import gc
import sys
import time

import numpy as np

import badak as bd

MOST = 1 << 20  # bytes of growth between a tenth of the steps and their end


class Twice(bd.Layer):
    """A Python layer, for the callbacks."""

    def __init__(self):
        self.params["factor"] = np.full(1, 2.0)

    def forward(self, x):
        self.x = x
        return x * self.params["factor"]

    def backward(self, dout):
        self.grads["factor"] = np.array([(dout * self.x).sum()])
        return dout * self.params["factor"]


def resident():
    with open("/proc/self/status") as status:
        return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def grows(name, net, shape, steps):
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(8, *shape)).astype(np.float32), rng.integers(0, 3, 8)
    optimizer, seen, began = bd.Adam(), [], time.perf_counter()
    for step in range(steps + 1):
        net.train_step(x, t, optimizer)
        if step % (steps // 100) == 0:
            gc.collect()
            seen.append(resident())
    growth = seen[-1] - seen[10]
    rate = steps / (time.perf_counter() - began)
    print(f"{name}: {steps} steps at {rate:.0f}/s, {growth / 1024:.0f} KiB more after step {steps // 10}", flush=True)
    return growth > MOST


def main(steps):
    loss = bd.SoftmaxWithLoss()
    dense = bd.Net([bd.Affine(units=50), bd.Relu(), bd.Affine(units=3)], loss=loss, input_shape=2, seed=1)
    python = bd.Net([bd.Affine(units=5), Twice(), bd.Affine(units=3)], loss=loss, input_shape=2, seed=1)
    images = bd.Net(
        [bd.Convolution(filters=4, size=3), bd.BatchNormalization(), bd.Relu(), bd.Pooling(2, 2), bd.Dropout(0.3),
         bd.Affine(units=3)],
        loss=loss, input_shape=(1, 8, 8), seed=1,
    )  # fmt: skip
    found = [
        grows("MLP 2-50-3", dense, (2,), steps),
        grows("CNN", images, (1, 8, 8), steps // 10),
        grows("with a Python layer", python, (2,), steps // 10),
    ]
    return int(any(found))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
