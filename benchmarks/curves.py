"""Do badak's kernels train as PyTorch's do? The five networks, from the same weights, on the same batches, in float32.

    python benchmarks/curves.py [--steps N] [--out docs/curves.md]

Rounding grows from step to step whoever computes, so two curves part in the end. How far they may, PyTorch itself
shows: it trains as often again from inputs whose every number is moved by one unit in its last place. badak has to stay
as near to PyTorch as PyTorch does to itself, give or take half. Dropout is left out, because nobody draws the same, and
PyTorch's Adam is given in each step the eps that makes its formula the book's.
"""

import argparse
from pathlib import Path

import check
import nets
import numpy as np
from contestants import BETA2, EPS, Badak, PyTorch

BATCH, MOVES = 100, 4
TESTED = 5000  # images, of those that are not trained on
STEPS = {"SimpleConvNet": 300, "DeepConvNet": 150}
WINDOW = 10  # losses of so many steps are averaged


class WithBooksAdam(PyTorch):
    """PyTorch adds eps to the square root of the corrected second moment, the book to that of the plain one."""

    def build(self, net, optimizer=None):
        super().build(net, optimizer)
        self.steps = 0

    def step(self, x, t):
        self.steps += 1
        for group in self.optimizer.param_groups:
            if "betas" in group:
                group["eps"] = EPS / np.sqrt(1 - BETA2**self.steps)
        return super().step(x, t)


def moved(x, seed):
    """x, each number one unit in its last place up or down."""
    return np.nextafter(x, np.random.default_rng(seed).choice(np.float32([-np.inf, np.inf]), x.shape))


def trained(contestant, net, x, t, steps):
    """The mean loss of each few steps, and the accuracy at the end on images that were not trained on."""
    contestant.build(net, net.optimizer)
    batches = (len(x) - TESTED) // BATCH
    losses = []
    for i in range(steps):
        part = slice(i % batches * BATCH, (i % batches + 1) * BATCH)
        losses.append(contestant.number(contestant.step(*contestant.take(x[part], t[part]))))
    contestant.wait()
    with contestant.inference():
        scores = np.asarray(contestant.infer(contestant.take(x[-TESTED:])))
    return np.reshape(losses, (-1, WINDOW)).mean(axis=1), float(np.mean(scores.argmax(axis=1) == t[-TESTED:]))


def apart(curve, other):
    """How far two curves are from each other: the mean distance, relative to the mean loss."""
    return float(np.abs(curve - other).mean() / other.mean())


def row(net, steps):
    """What is known of a net, and whether badak is as near as it has to be."""
    net = net.without_dropout()
    x, t = check.digits(net, check.MOST_DIGITS)
    ours, accuracy = trained(Badak(), net, x, t, steps)
    plain, plain_accuracy = trained(WithBooksAdam(), net, x, t, steps)
    others = [trained(WithBooksAdam(), net, moved(x, seed), t, steps) for seed in range(MOVES)]
    spread = max(apart(curve, plain) for curve, _ in others)
    accuracies = [plain_accuracy, *(one for _, one in others)]
    found = {
        "steps": steps,
        "badak": ours[-1],
        "torch": plain[-1],
        "apart": apart(ours, plain),
        "spread": spread,
        "accuracy": accuracy,
        "accuracies": (min(accuracies), max(accuracies)),
    }
    found["agrees"] = found["apart"] <= 1.5 * spread
    return found


def table(rows):
    lines = [
        "| net | steps | last losses, badak | PyTorch | curves apart | PyTorch from itself | accuracy, badak "
        "| PyTorch's runs |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, f in rows.items():
        low, high = f["accuracies"]
        lines.append(
            f"| {name} | {f['steps']} | {f['badak']:.5f} | {f['torch']:.5f} | {f['apart']:.1e} | {f['spread']:.1e} "
            f"| {f['accuracy']:.4f} | {low:.4f} to {high:.4f} |"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, help="for every net (default: 600, fewer with images)")
    parser.add_argument("--out", type=Path, help="a file to write the table into")
    options = parser.parse_args()
    rows = {}
    for net in nets.NETS:
        print(net.name, "...", flush=True)
        rows[net.name] = row(net, options.steps or STEPS.get(net.name, 600))
    print(table(rows))
    if options.out:
        options.out.write_text(f"# Training curves beside PyTorch's\n\n{table(rows)}\n")
    return not all(found["agrees"] for found in rows.values())


if __name__ == "__main__":
    raise SystemExit(main())
