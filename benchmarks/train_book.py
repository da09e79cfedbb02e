"""Train the networks of ``bd.pretrained``: those of the book's chapters 3, 7 and 8, on MNIST, from a seed.

    python benchmarks/train_book.py ch03                 # 784-50-100-10 with sigmoids
    python benchmarks/train_book.py ch07                 # SimpleConvNet
    python benchmarks/train_book.py ch08                 # DeepConvNet
    python benchmarks/train_book.py ch08 --all --seed 2  # on all 60,000 images, the last epoch

Trained on the first 55,000 training images; which epoch to keep the other 5,000 decide. With ``--all`` there is nothing
to choose: all 60,000 are trained on and the last epoch is kept. The test images are looked at for the record only.

After each epoch a line is printed and a checkpoint written; the same command goes on from it, and ends with the numbers
that an unbroken run ends with. The curve is a CSV file, drawn with those of the chapter's other seeds into one picture.
``--package`` puts the weights where ``bd.pretrained`` finds them.
"""

import argparse
import csv
import sys
import time
from pathlib import Path

import numpy as np

import badak as bd

HELD_OUT = 5_000
PACKAGE = Path(bd.__file__).parent / "weight_files"
EPOCHS = {"ch03": 40, "ch07": 20, "ch08": 20}
COLUMNS = ["epoch", "seconds", "loss", "accuracy", "held_out", "test"]


def build(chapter, seed):
    """The chapter's network as a Net in float32. Convolutional ones begin as the book's classes do."""
    if chapter == "ch03":
        layers = []
        for units in (50, 100, 10):
            layers += [bd.Affine(units=units, init="xavier"), bd.Sigmoid()]
        layers.pop()  # the scores
        shape = (784,)
    else:
        np.random.seed(seed)
        book = bd.SimpleConvNet() if chapter == "ch07" else bd.DeepConvNet()
        layers = list(book.layers.values()) if chapter == "ch07" else book.layers
        shape = (1, 28, 28)
    return bd.Net(layers, loss=bd.SoftmaxWithLoss(), input_shape=shape, seed=seed)


class Run:
    """One training: what it has reached, and the files that tell of it."""

    def __init__(self, chapter, seed, everything, out):
        self.chapter = chapter
        self.seed = seed
        out.mkdir(parents=True, exist_ok=True)
        stem = out / f"{chapter}-seed{seed}{'-all' if everything else ''}"
        self.checkpoint = stem.with_suffix(".checkpoint.npz")
        self.weights = stem.with_suffix(".npz")
        self.curve = stem.with_suffix(".csv")
        self.rows = []
        self.best = None  # parameters of the epoch to keep

    def resume(self, net, optimizer):
        """Take up a checkpoint, if there is one."""
        if not self.checkpoint.exists():
            return
        with np.load(self.checkpoint, allow_pickle=False) as saved:
            for name in net.params:
                net.params[name] = saved[f"params {name}"]
                for state, arrays in optimizer.state.items():
                    arrays[name][...] = saved[f"{state} {name}"]
            self.best = {name: saved[f"best {name}"] for name in net.params}
            self.rows = [dict(zip(COLUMNS, row, strict=True)) for row in saved["rows"].tolist()]
            optimizer.iter = int(saved["updates"])

    def note(self, row, net, optimizer, keep):
        """A finished epoch: into the checkpoint and the curve."""
        self.rows.append(row)
        if keep:
            self.best = {name: array.copy() for name, array in net.params.items()}
        arrays = {f"params {name}": array for name, array in net.params.items()}
        arrays |= {f"best {name}": array for name, array in self.best.items()}
        for state, of_params in optimizer.state.items():
            arrays |= {f"{state} {name}": array for name, array in of_params.items()}
        table = np.array([[row[column] for column in COLUMNS] for row in self.rows])
        fresh = self.checkpoint.with_suffix(".new.npz")
        np.savez(fresh, rows=table, updates=optimizer.iter, **arrays)
        fresh.replace(self.checkpoint)
        with self.curve.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for row in self.rows:
                writer.writerow([int(row["epoch"]), *(f"{row[column]:.6g}" for column in COLUMNS[1:])])


def train(chapter, seed, epochs, everything, out):
    """Run the training to its end. Returns the Run and the row of the epoch that was kept."""
    (x, t), (x_test, t_test) = bd.load_mnist(flatten=chapter == "ch03")
    x, x_test = x.astype(np.float32), x_test.astype(np.float32)
    held_out = (x[-HELD_OUT:], t[-HELD_OUT:])
    if not everything:
        x, t = x[:-HELD_OUT], t[:-HELD_OUT]
    net, optimizer = build(chapter, seed), bd.Adam(lr=1e-3)
    net.fit(x[:1], t[:1], epochs=0, optimizer=optimizer, progress=False)  # binds the optimiser
    run = Run(chapter, seed, everything, out)
    run.resume(net, optimizer)
    print(f"{chapter}, seed {seed}: {len(x)} images, {epochs} epochs, {len(run.rows)} done, {bd.cpu_info()['isa']}")
    for epoch in range(len(run.rows) + 1, epochs + 1):
        began = time.perf_counter()
        history = net.fit(x, t, epochs=1, batch_size=100, seed=1000 * seed + epoch, progress=False)
        row = {
            "epoch": epoch,
            "seconds": time.perf_counter() - began,
            "loss": history.loss[0],
            "accuracy": history.accuracy[0],
            "held_out": float("nan") if everything else net.accuracy(*held_out),
            "test": net.accuracy(x_test, t_test),
        }
        better = not run.rows or row["held_out"] > max(before["held_out"] for before in run.rows)
        run.note(row, net, optimizer, keep=everything or better)
        print(" ".join(f"{name} {row[name]:.5g}" for name in COLUMNS), flush=True)
    kept = run.rows[-1] if everything else max(run.rows, key=lambda row: row["held_out"])
    np.savez_compressed(run.weights, **run.best)
    return run, kept


def draw(chapter, out):
    """All curves of a chapter in one picture."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), constrained_layout=True)
    for path in sorted(out.glob(f"{chapter}-*.csv")):
        with path.open() as file:
            rows = list(csv.DictReader(file))
        epoch = [int(row["epoch"]) for row in rows]
        name = path.stem.removeprefix(f"{chapter}-")
        left.plot(epoch, [float(row["loss"]) for row in rows], label=name)
        right.plot(epoch, [float(row["test"]) for row in rows], label=name)
    left.set(title=f"{chapter}: training loss", xlabel="epoch")
    right.set(title="test accuracy", xlabel="epoch", ylim=(0.99, 0.996) if chapter == "ch08" else None)
    right.legend(fontsize="small")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(out / f"{chapter}.png", dpi=100)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapter", choices=EPOCHS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--all", action="store_true", help="train on all 60,000 images and keep the last epoch")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "pretrained")
    parser.add_argument("--package", action="store_true", help="put the weights where bd.pretrained finds them")
    options = parser.parse_args()
    epochs = options.epochs or EPOCHS[options.chapter]
    run, kept = train(options.chapter, options.seed, epochs, options.all, options.out)
    seconds = sum(row["seconds"] for row in run.rows)
    print(f"kept: epoch {kept['epoch']:.0f}, test accuracy {kept['test']:.4f}; trained for {seconds:.0f} s")
    draw(options.chapter, options.out)
    if options.package:
        (PACKAGE / f"{options.chapter}.npz").write_bytes(run.weights.read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
