"""How things are timed: entries in turn, round after round, each round from another one on."""

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

WARM_UP = 0.25  # of the calls of a turn, before its clock starts: brings code and weights back into the caches
MOST_CALLS = 400  # in a turn
FAR = 4


@dataclass(frozen=True)
class Pace:
    """How long a race may take."""

    turn: float  # seconds that one entry runs in a round, if a call is shorter
    all_rounds: float  # seconds for all of them
    least_rounds: int
    most_rounds: int
    patience: float  # seconds; an entry is not raced if a call takes longer, and FAR longer than that of the fastest


FULL = Pace(turn=0.02, all_rounds=8, least_rounds=7, most_rounds=51, patience=4)
QUICK = Pace(turn=0.004, all_rounds=0.5, least_rounds=3, most_rounds=21, patience=0.5)


@dataclass(frozen=True)
class Entry:
    """One that takes part: ``run(n)`` does the work n times, and returns when it is done."""

    name: str
    run: Callable[[int], None]
    peer: bool = True  # badak is measured against it
    lingers: float = 0.0  # seconds for which its threads go on spinning after a turn
    share: float = 1  # of the work, that one call does; the time of all of it is inferred


@dataclass
class Times:
    """What a race gives."""

    rounds: dict = field(default_factory=dict)  # name -> microseconds for one piece of work, one for each round
    single: dict = field(default_factory=dict)  # name -> microseconds, of those too slow to be raced
    failed: dict = field(default_factory=dict)  # name -> why it does not take part
    cores: dict = field(default_factory=dict)  # name -> seconds of processor time in a second


def _clocked(entry, calls):
    """(elapsed, spent by this process) in seconds."""
    start, cpu_start = time.perf_counter(), time.process_time()
    entry.run(calls)
    return time.perf_counter() - start, time.process_time() - cpu_start


def _calls_for(seconds, pace):
    return max(1, min(MOST_CALLS, round(pace.turn / seconds)))


def race(entries, pace):
    """Time all entries.

    The first calls of each tell how many make a turn, and are thrown away. An entry that raises is left out.
    """
    times, seconds = Times(), {}
    for entry in entries:
        try:
            seconds[entry.name], _ = _clocked(entry, 1)
            if seconds[entry.name] < pace.turn:
                seconds[entry.name] = min(_clocked(entry, 1)[0] for _ in range(2))
        except Exception as error:
            times.failed[entry.name] = f"{type(error).__name__}: {error}"
    racing, calls, turn_seconds = [], {}, 0.0
    for entry in entries:
        name = entry.name
        if name in times.failed:
            continue
        if entry.peer and seconds[name] > max(pace.patience, FAR * min(seconds.values())):
            times.single[name] = seconds[name] / entry.share * 1e6
            continue
        racing.append(entry)
        calls[name] = _calls_for(seconds[name], pace)
        turn_seconds += seconds[name] * calls[name] * (1 + WARM_UP) + entry.lingers
    if not racing:
        return times
    rounds = round(min(pace.most_rounds, max(pace.least_rounds, pace.all_rounds / turn_seconds)))
    spent = {entry.name: [] for entry in racing}
    times.rounds = {entry.name: [] for entry in racing}
    gc.collect()
    gc.disable()
    try:
        for i in range(rounds):
            first = i % len(racing)
            for entry in [*racing[first:], *racing[:first]]:
                count = calls[entry.name]
                if count > 1:
                    entry.run(max(1, int(count * WARM_UP)))
                elapsed, cpu = _clocked(entry, count)
                times.rounds[entry.name].append(elapsed / count / entry.share * 1e6)
                spent[entry.name].append(cpu / elapsed)
                time.sleep(entry.lingers)
    finally:
        gc.enable()
    times.cores = {name: statistics.median(shares) for name, shares in spent.items()}
    return times


def summary(rounds, mine="badak"):
    """From the times of all rounds: medians, and the share that ``mine`` takes of each other's time, round by round."""
    rows = {}
    for name, its in rounds.items():
        row = rows[name] = {"median": statistics.median(its)}
        if mine in rounds:
            ratios = [a / b for a, b in zip(rounds[mine], its, strict=True)]
            row["low"], row["ratio"], row["high"] = statistics.quantiles(ratios, n=4)
    return rows
