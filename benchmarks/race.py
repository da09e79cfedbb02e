"""Works and how they are timed: the contestants in turn, round after round, after a check that all do the same."""

import gc
import time
from dataclasses import dataclass

import numpy as np
from contestants import CONTESTANTS, NumpyBook, NumpyTorchAdam, UnavailableError

# How far a float32 contestant may be from the float64 reference: ten times what is seen.
CHECKED_STEPS = 5
LOSS = 1e-4  # of each step, relative (the 1e-7 in the book's logarithm alone is 5e-7)
WEIGHTS = 1e-4  # distance from the reference's weights after the last, relative to how far those have moved
SCORES = 1e-4  # relative to the largest
WARM_UP = 0.25  # of the calls


@dataclass(frozen=True)
class Net:
    name: str
    units: tuple
    optimizer: str

    def weights(self):
        """List of (W, b) in float64 that float32 holds exactly: He initialisation, the same on each call."""
        rng = np.random.default_rng(1)
        return [
            (
                (rng.standard_normal((n, m)) * np.sqrt(2 / n)).astype(np.float32).astype(float),
                np.zeros(m),
            )
            for n, m in zip(self.units, self.units[1:], strict=False)
        ]


@dataclass(frozen=True)
class Work:
    """Training steps, or inference, of a net with batches of a size."""

    kind: str  # "step" or "infer"
    net: Net
    batch: int
    calls: int  # timed together, in each round

    @property
    def name(self):
        return f"{self.kind}-{self.net.name}-batch{self.batch}"

    @property
    def title(self):
        if self.kind == "step":
            return f"Training step, {self.net.name}, {self.net.optimizer}, batch {self.batch}"
        return f"Inference, {self.net.name}, batch {self.batch}"


SMALL = Net("784-50-10", (784, 50, 10), "SGD")
DEEP = Net("784-100x5-10", (784, 100, 100, 100, 100, 100, 10), "Adam")
WORKS = (
    Work("step", SMALL, batch=100, calls=20),
    Work("step", DEEP, batch=100, calls=20),
    Work("infer", SMALL, batch=1, calls=400),
    Work("infer", DEEP, batch=1, calls=400),
)


class DifferentWorkError(Exception):
    """A contestant does not do what the reference does: its time would mean nothing."""


def batches(work):
    """List of (x, t): real digits, in order; for steps too many to be learnt by heart in a race."""
    from badak.dataset import load_mnist

    (x, t), _ = load_mnist(normalize=True, flatten=True)
    t = t.astype(np.int64)
    parts = 5 if work.kind == "step" else 1
    starts = range(0, parts * work.calls * work.batch, work.batch)
    return [(x[i : i + work.batch], t[i : i + work.batch]) for i in starts]


# -- the check ------------------------------------------------------------------------------------


def _flat(pairs):
    return np.concatenate([np.ravel(a).astype(float) for pair in pairs for a in pair])


def _softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _first_losses(contestant, data):
    losses = []
    for x, t in data[:CHECKED_STEPS]:
        losses.append(contestant.number(contestant.step(*contestant.take(x, t))))
    contestant.wait()
    return np.array(losses)


def _step_errors(work, data, contestant):
    """The first steps beside those of the NumPy reference: (error, limit) by name."""
    other_adam = contestant.torch_adam and work.net.optimizer == "Adam"
    reference = NumpyTorchAdam() if other_adam else NumpyBook()
    reference.build(work.net.weights(), work.net.optimizer)
    losses = _first_losses(reference, data)
    start, end = _flat(work.net.weights()), _flat(reference.weights())
    mine = _first_losses(contestant, data)
    distance = np.linalg.norm(_flat(contestant.weights()) - end) / np.linalg.norm(end - start)
    relative = np.abs(mine / losses - 1)
    return {
        "the first loss": (relative[0], LOSS),
        f"the first {CHECKED_STEPS} losses": (relative.max(), LOSS),
        f"the weights after {CHECKED_STEPS} steps": (distance, WEIGHTS),
    }


def _score_errors(work, data, contestant):
    reference = NumpyBook()
    reference.build(work.net.weights())
    worst = 0.0
    for x, _ in data:
        its = reference.infer(reference.take(x))
        if contestant.gives == "probabilities":
            its = _softmax(its)
        with contestant.inference():
            mine = np.asarray(contestant.infer(contestant.take(x)))
        worst = max(worst, np.abs(mine - its).max() / np.abs(its).max())
    return {"the scores": (worst, SCORES)}


def check(work, data, contestant):
    """Compare what a freshly built contestant does with the reference. It has made CHECKED_STEPS steps then.

    Returns
    -------
    dict
        What was compared to its error.

    Raises
    ------
    DifferentWorkError
    """
    errors_of = _step_errors if work.kind == "step" else _score_errors
    errors = errors_of(work, data, contestant)
    for what, (error, limit) in errors.items():
        if not error <= limit:  # a NaN fails
            raise DifferentWorkError(
                f"{work.title}: {contestant.name} differs from the reference in {what} by {error:.2g}, "
                f"allowed {limit:g}"
            )
    return {what: float(error) for what, (error, _) in errors.items()}


# -- the times ------------------------------------------------------------------------------------


@dataclass
class Result:
    times: dict  # name of the contestant to microseconds per call, one for each round
    errors: dict  # name to what the check found
    core_share: float  # of the time, how much this process had its core; less than 1: something else ran there


def _run_steps(contestant, data):
    for x, t in data:
        contestant.step(x, t)
    contestant.wait()


def _run_inference(contestant, data):
    with contestant.inference():
        for x, _ in data:
            contestant.infer(x)


def _time(work, contestant, data):
    """(elapsed, spent by this process) in nanoseconds."""
    run = _run_steps if work.kind == "step" else _run_inference
    run(contestant, data[: int(WARM_UP * len(data))])  # brings code and weights back into the caches
    start, cpu_start = time.perf_counter_ns(), time.process_time_ns()
    run(contestant, data)
    return time.perf_counter_ns() - start, time.process_time_ns() - cpu_start


def race(work, contestants, rounds):
    """Check and time all contestants for a work.

    Each round runs them all, each round from another one on: what disturbs the machine meets all alike.

    Raises
    ------
    DifferentWorkError
    """
    data = batches(work)
    errors, taken = {}, {}
    for one in contestants:
        one.build(work.net.weights(), work.net.optimizer if work.kind == "step" else None)
        errors[one.name] = check(work, data, one)
        taken[one.name] = [one.take(x, t) for x, t in data]
    times = {one.name: [] for one in contestants}
    all_elapsed = all_spent = 0
    gc.collect()
    gc.disable()
    try:
        for i in range(-1, rounds):  # round -1 is the warm-up
            first = i % len(contestants)
            at = i * work.calls % len(data)
            for one in [*contestants[first:], *contestants[:first]]:
                elapsed, spent = _time(work, one, taken[one.name][at : at + work.calls])
                if i >= 0:
                    times[one.name].append(elapsed / work.calls / 1000)
                    all_elapsed += elapsed
                    all_spent += spent
    finally:
        gc.enable()
    return Result(times, errors, all_spent / all_elapsed)


def present(wanted=None):
    """The contestants that can take part, and a dict of those that cannot, with the reason."""
    here, absent = [], {}
    for kind in CONTESTANTS:
        if wanted and kind is not CONTESTANTS[0] and not any(w in kind.name.lower() for w in wanted):
            continue
        try:
            here.append(kind())
        except ImportError as error:
            absent[kind.name] = f"it cannot be imported ({error})"
        except UnavailableError as error:
            absent[kind.name] = str(error)
    return here, absent
