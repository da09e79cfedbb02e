"""Do all contestants do the same? Losses, weights and scores beside those of the book's NumPy code in float64."""

import functools

import numpy as np
from contestants import NumpyBook, NumpyTorchAdam

# How far a float32 contestant may be from the float64 reference: ten times what is seen.
LOSS = 1e-4  # of each step, relative (the 1e-7 in the book's logarithm alone is 5e-7)
# distance from the reference's weights after the last, relative to how far those have moved. Adam divides a gradient by
# its own size, so one that is all rounding moves as far as any: 25 of a million with the other sign are 0.01. What was
# forgotten, or done otherwise, shows in its own array.
WEIGHTS = {"SGD": 1e-4, "Adam": 2e-2}
ARRAY = 0.3  # the same of the array that is farthest off
SCORES = 1e-4  # relative to the largest
MLP_STEPS, CONV_STEPS, MANY = 5, 2, 500  # steps that are compared; of batches of so many images one will do
SCORED = 100  # rows of scores that are compared


class DifferentWorkError(Exception):
    """A contestant does not do what the reference does: its time would mean nothing."""


MOST_DIGITS = 10_000


@functools.lru_cache(maxsize=1)
def _all_digits():
    from badak.dataset import load_mnist

    (x, t), _ = load_mnist(normalize=False, flatten=True)
    return (x[:MOST_DIGITS] / 255).astype(np.float32), t[:MOST_DIGITS].astype(np.int64)


def digits(net, count):
    """(x, t) of the first training images, at most MOST_DIGITS, in float32 and as the net wants them."""
    x, t = _all_digits()
    return x[:count].reshape(-1, *net.shape), t[:count]


def noisy_digits(net, count):
    """The same with noise, for the checks.

    Where images are all white the numbers of a pooling window are equal but for rounding, and which of them is the
    largest would be a matter of chance.
    """
    x, t = digits(net, count)
    noise = np.random.default_rng(1).random(x.shape, dtype=np.float32)
    return np.float32(0.75) * x + np.float32(0.25) * noise, t


def checked_steps(net, batch):
    if batch >= MANY:
        return 1
    return MLP_STEPS if net.is_mlp else CONV_STEPS


def _flat(pairs):
    return np.concatenate([np.ravel(a).astype(float) for pair in pairs for a in pair])


def _softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


scratch = None  # a folder, if other processes of this run want the same references


@functools.lru_cache(maxsize=2)
def _reference(net, batch, torch_adam):
    """What the book's code comes to: (losses, weights)."""
    kept = scratch and scratch / f"{net.name}-{batch}-{torch_adam}.npz"
    if kept and kept.exists():
        with np.load(kept) as arrays:
            return arrays["losses"], arrays["weights"]
    reference = NumpyTorchAdam() if torch_adam else NumpyBook()
    reference.build(net, net.optimizer)
    x, t = noisy_digits(net, checked_steps(net, batch) * batch)
    losses, weights = _losses(reference, x, t, batch), _flat(reference.weights())
    if kept:
        np.savez(kept, losses=losses, weights=weights)
    return losses, weights


def _losses(contestant, x, t, batch):
    losses = []
    for first in range(0, len(x), batch):
        part = slice(first, first + batch)
        losses.append(contestant.number(contestant.step(*contestant.take(x[part], t[part]))))
    contestant.wait()
    return np.array(losses)


def _weights_errors(net, batch, contestant, when):
    """How far the contestant's weights are from the reference's, relative to how far those have moved."""
    _, end = _reference(net, batch, contestant.torch_adam and net.optimizer == "Adam")
    start, off = _flat(net.weights()), _flat(contestant.weights()) - end
    ends = np.cumsum([np.size(array) for pair in net.weights() for array in pair])[:-1]
    farthest = max(
        np.linalg.norm(error) / np.linalg.norm(moved)
        for error, moved in zip(np.split(off, ends), np.split(end - start, ends), strict=True)
    )
    return {
        f"the weights {when}": (np.linalg.norm(off) / np.linalg.norm(end - start), WEIGHTS[net.optimizer]),
        f"an array of weights {when}": (farthest, ARRAY),
    }


def step_errors(net, batch, contestant):
    """The first steps of a contestant, which is built for it: (error, limit) by name."""
    net = net.without_dropout()
    contestant.build(net, net.optimizer)
    expected, _ = _reference(net, batch, contestant.torch_adam and net.optimizer == "Adam")
    losses = _losses(contestant, *noisy_digits(net, checked_steps(net, batch) * batch), batch)
    relative = np.abs(losses / expected - 1)
    return {
        "the first loss": (relative[0], LOSS),
        f"the first {len(losses)} losses": (relative.max(), LOSS),
    } | _weights_errors(net, batch, contestant, f"after {len(losses)} steps")


def epoch_errors(net, batch, contestant):
    """The same steps as a whole epoch without shuffling: only the weights can be compared."""
    net = net.without_dropout()
    contestant.build(net, net.optimizer)
    count = checked_steps(net, batch)
    contestant.epoch(*contestant.take(*noisy_digits(net, count * batch)), batch, shuffle=False)
    contestant.wait()
    return _weights_errors(net, batch, contestant, f"after an epoch of {count} steps")


@functools.lru_cache(maxsize=2)
def _reference_scores(net, batch):
    reference = NumpyBook()
    reference.build(net)
    return reference.infer(reference.take(noisy_digits(net, batch)[0]))


def score_errors(net, batch, contestant):
    """The first scores of one batch. The net is complete here: in inference dropout changes nothing."""
    contestant.build(net)
    expected = _reference_scores(net, min(batch, SCORED))
    if contestant.gives == "probabilities":
        expected = _softmax(expected)
    with contestant.inference():
        scores = np.asarray(contestant.infer(contestant.take(noisy_digits(net, batch)[0])))[: len(expected)]
    return {"the scores": (np.abs(scores - expected).max() / np.abs(expected).max(), SCORES)}


def within(title, name, errors):
    """``errors`` without the limits.

    Raises
    ------
    DifferentWorkError
        One is beyond its limit.
    """
    for what, (error, limit) in errors.items():
        if not error <= limit:  # a NaN fails
            raise DifferentWorkError(
                f"{title}: {name} differs from the reference in {what} by {error:.2g}, allowed {limit:g}"
            )
    return {what: float(error) for what, (error, _) in errors.items()}
