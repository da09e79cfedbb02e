"""Kinks and jumps: one-sided slopes at h -> 0, and whether an analytic value is a possible one there.

From either side a ladder of steps, each a quarter of the one before, gives secants; two of them make a three-point
slope whose change from rung to rung is its error. What counts is the slope of the *smallest* steps that rounding
allows: a kink a little beside the point is no kink at the point.
"""

import numpy as np

from ._slope import FLOAT64_EPS
from .language import Text
from .report import number

SMOOTH, KINK, JUMP, ROUGH = "smooth", "kink", "jump", "rough"
RATIO = 4.0
PERSISTENT = 3  # steps to either side that show a kink
OUTPUTS = 6  # single outputs whose gradient is asked for at kinks
STAIR = 1e-7  # of changes that may be rounding of larger numbers inside
ELEMENTS = 12  # elements whose effect on single outputs is looked at


class Seen:
    """What both sides showed. ``left`` and ``right`` are slopes (jumps: heights); ``n`` and ``u`` hold if smooth."""

    def __init__(self, kind, left, right, error, n=np.nan, u=np.inf, step=np.nan):
        self.kind, self.left, self.right, self.error = kind, float(left), float(right), float(error)
        self.n, self.u, self.step = float(n), float(u), float(step)


def ladder(scale):
    """Steps from coarse to fine for a number of this size."""
    coarse = 1e-2 * max(scale, 1.0)
    fine = max(min(1e-14, 1e-4 * scale or 1.0), 1e4 * FLOAT64_EPS * scale)
    return coarse * RATIO ** -np.arange(int(np.log(coarse / fine) / np.log(RATIO)) + 1.0)


def examine(h, right_values, left_values, noise, scale):
    """What the changes of a function at +h and -h say (arrays over the ladder); `noise` bounds their rounding."""
    noise = max(float(noise), 1e-300)
    usable = np.isfinite(right_values) & np.isfinite(left_values)
    if not usable.any():
        return Seen(ROUGH, np.nan, np.nan, np.inf)
    first = int(np.argmax(usable))
    while first < len(h) and not usable[first:].all():
        first += 1
    h, right_values, left_values = h[first:], right_values[first:], left_values[first:]
    if len(h) < 4:
        return Seen(ROUGH, np.nan, np.nan, np.inf)
    grid = FLOAT64_EPS * scale / h  # steps are themselves rounded
    jump = _jump(right_values, left_values, noise)
    # what one side changes by must not be nothing beside the other's smallest change: then it is a kink very near
    if jump is not None and np.abs(jump).max() > 1e-2 * max(abs(right_values[-1]), abs(left_values[-1])):
        return Seen(JUMP, jump[0], jump[1], 0.0)
    steepest = max(np.abs(right_values / h)[1:].max(), np.abs(left_values / h)[1:].max())
    right = _plateau(right_values / h, 2 * noise / h, grid, 4.0, steepest)
    left = _plateau(-left_values / h, 2 * noise / h, grid, 4.0, steepest)
    error = right.error + left.error
    gap = abs(right.slope - left.slope)
    apart = gap > max(10 * error, 1e-5 * max(abs(left.slope), abs(right.slope)))
    # of a kink both slopes stay as they are for step after step; noise may look like one for a few
    if np.isfinite(error) and apart and min(right.seen(gap), left.seen(gap)) >= PERSISTENT:
        return Seen(KINK, left.slope, right.slope, error)
    both = _plateau((right_values - left_values) / (2 * h), noise / h, grid, 16.0, steepest)
    if not np.isfinite(both.error) or apart:
        return Seen(ROUGH, left.slope, right.slope, error)
    return Seen(SMOOTH, left.slope, right.slope, error, both.slope, both.error, h[both.at])


class Plateau:
    """Slopes of neighbouring steps that say the same: ``slope`` within ``error``, at step number ``at``."""

    def __init__(self, slope=np.nan, error=np.inf, at=0, errors=()):
        self.slope, self.error, self.at, self.errors = float(slope), float(error), at, np.array(errors)

    def seen(self, gap):
        """How many steps show a gap of this size."""
        return int((self.errors < gap / 4).sum())


def _plateau(secants, noise, grid, factor, steepest):
    """Secants extrapolated once, read where the smallest steps that rounding allows still agree."""
    slopes = (factor * secants[1:] - secants[:-1]) / (factor - 1)
    slopes = np.concatenate([[np.nan], slopes])
    error = np.full(len(slopes), np.inf)
    error[2:] = np.abs(np.diff(slopes[1:]))
    error = error + 2 * noise + (2 * grid + 16 * FLOAT64_EPS) * np.abs(secants)
    error[~np.isfinite(error)] = np.inf
    if not np.isfinite(error).any():
        return Plateau()
    last = int(np.flatnonzero(error <= max(1e-2 * steepest, 4 * error.min()))[-1])  # a slope of 0 is one as well
    low, high, chosen = -np.inf, np.inf, last
    first = last
    for j in range(last, 1, -1):  # the same plateau, towards larger steps
        low, high = max(low, slopes[j] - error[j]), min(high, slopes[j] + error[j])
        if not low <= high:
            break
        first = j
        if error[j] < error[chosen]:
            chosen = j
    return Plateau(slopes[chosen], error[chosen], chosen, error[first : last + 1])


def _jump(right, left, noise):
    """(change to the left, to the right) where these do not shrink with the step; None where they do."""
    found = []
    for values in (left, right):
        tail = values[-7:]
        still = np.abs(np.diff(tail)).max(initial=0) <= 0.05 * np.abs(tail).max(initial=0) + noise
        found.append(float(tail[-1]) if still and np.abs(tail).min(initial=np.inf) > 100 * noise else 0.0)
    return tuple(found) if any(found) else None


def examine_element(slope, index, scale):
    """Look at one element from both sides."""
    h = ladder(scale)
    values, noise = slope.values(index, np.concatenate([[0.0], h, -h]))
    values = values - values[0]
    return examine(h, values[1 : 1 + len(h)], values[1 + len(h) :], noise, scale)


def examine_along(slope, direction, scale):
    """Look along a direction from both sides."""
    h = ladder(scale)
    values, noise = slope.values_along(direction, np.concatenate([[0.0], h, -h]))
    values = values - values[0]
    return examine(h, values[1 : 1 + len(h)], values[1 + len(h) :], noise, scale)


def examine_finer(change, claimed, step, scale):
    """Look where the slope that is claimed would show, if over `step` it changes f by more than f changes at all.

    Then f oscillates within the step, or the claim is wrong: None, unless f moves there as the claim says. It is ROUGH
    if that is no smooth change. ``change(steps)``: the values of f. Its noise is measured anew, as what oscillates
    looks like noise from afar.
    """
    if not np.isfinite(step) or step <= 0 or claimed == 0:
        return None
    values = change(step * np.array([0.0, 1.0, -1.0, 0.6, -0.6]))
    reach = float(np.abs(values - values[0]).max())
    if not 0 < 1.5 * reach < abs(claimed) * step:
        return None
    coarsest = reach / abs(claimed) / 4
    h = coarsest * RATIO ** -np.arange(10.0)
    around = coarsest * np.array([-1.0, -0.83, -0.71, -0.62, 0.59, 0.77, 0.9, 0.95])
    values = change(np.concatenate([[0.0], h, -h, 1e-3 * coarsest * np.arange(-5.0, 6.0), around]))
    values = values - values[0]
    noise = max(float(np.median(np.abs(np.diff(values[21:32], 3)))), 4 * FLOAT64_EPS * reach)
    seen = examine(h, values[1:11], values[11:21], noise, scale)
    if seen.kind == SMOOTH and np.isfinite(seen.u) and abs(claimed) / 4 <= abs(seen.n) <= 4 * abs(claimed):
        return seen
    # a slope that keeps within reach over the step moves f by two thirds of the claim at most
    moves = np.sort(np.abs(values[32:] / (claimed * around)))[-3] > 0.7
    return Seen(ROUGH, np.nan, np.nan, np.inf) if moves else None


def holds_from_afar(change, claimed, found, step, scale):
    """Is the slope that is claimed that of larger steps, to both sides, and what smaller ones find hid in rounding?

    Inside, numbers may have been rounded to stairs: below the height of a stair f goes on as if they did not move.
    ``change(steps)``: the values of f.
    """
    off = abs(claimed - found)
    if not off * step <= STAIR * max(scale, 1.0) or off < 1e-2 * abs(claimed):
        return False
    h = 1e-2 * max(scale, 1.0) * RATIO ** -np.arange(6.0)
    values = change(np.concatenate([[0.0], h, -h, 1.37e-3 * h[0] * np.arange(-10.0, 11.0)]))
    values = values - values[0]
    stairs = np.median(np.abs(np.diff(values[13:], 3)))  # all around, not here alone
    if not stairs >= 0.1 * off * step:
        return False
    seen = examine(h, values[1:7], values[7:13], 16 * FLOAT64_EPS * np.abs(values).max(), scale)
    return seen.kind == SMOOTH and abs(seen.n - claimed) <= 1e-4 * abs(claimed)


def _examine_outputs(sampling, moves, scale):
    """{output: Seen} for the outputs that move along [(array, direction), ...]."""
    h = ladder(scale)
    changes = sampling.changes_along(moves, np.concatenate([h, -h]))
    moved = np.flatnonzero((changes != 0).any(axis=0))[:256]
    own = np.ravel(np.where(sampling.gy != 0, sampling.noise / np.where(sampling.gy != 0, np.abs(sampling.gy), 1), 0.0))
    return {int(i): examine(h, changes[: len(h), i], changes[len(h) :, i], own[i], scale) for i in moved}


def inside_by_outputs(sampling, array, direction, a, scale, rtol):
    """Is `a` a sum of possible slopes of the single outputs? None: none of them has a kink."""
    seen = _examine_outputs(sampling, [(array, direction)], scale)
    if not any(s.kind == KINK for s in seen.values()):
        return None
    gy = np.ravel(sampling.gy)
    low = high = slack = 0.0
    for i, s in seen.items():
        if s.kind == KINK:
            ends = sorted((gy[i] * s.left, gy[i] * s.right))
            slack += 3 * abs(gy[i]) * s.error
        elif s.kind == SMOOTH:
            ends = (gy[i] * s.n, gy[i] * s.n)
            slack += 3 * abs(gy[i]) * s.u
        else:
            return None
        low, high = low + ends[0], high + ends[1]
    slack += rtol * max(abs(low), abs(high))
    return bool(low - slack <= a <= high + slack)


# -- several elements at once -----------------------------------------------------------------


def judge_joint(entries, analytic, context):
    """Elements that sit on kinks, moved together: their values must be possible together, not only one by one.

    For one output at a time (in a random mixture of outputs kinks of both signs would cancel): along any direction the
    slope that the gradient claims has to lie between the one-sided slopes, or among those of gradients very near.
    """
    sampling = context.sampling
    if sampling is None:
        return
    kinked, arrays = {}, {}
    for entry in entries:
        if entry.kinked and entry.ok:
            array = context.variables[entry.name]
            kinked[entry.name], arrays[entry.name] = np.array(entry.kinked), array
    if not kinked:
        return
    scale = max(float(np.abs(a).max(initial=0)) for a in arrays.values())
    outputs = _kinked_outputs(kinked, arrays, sampling, scale) if context.one_hot is not None else [None]
    for output in outputs:
        if output is None:
            gradients, gy = analytic, context.gy
        else:
            gradients = context.one_hot(output)
            gy = np.zeros(sampling.y.shape)
            gy.reshape(-1)[output] = 1.0
        for signs in _joint_signs(kinked, arrays, context.rng):
            wrong = _joint_is_wrong(signs, gradients, gy, output, arrays, context, scale)
            if wrong:
                low, high, a, count, certain = wrong
                text = Text("ties", count=count, left=number(low), right=number(high), analytic=number(a))
                for entry in entries:
                    if entry.name in signs and np.any(signs[entry.name]):
                        entry.status, entry.diagnosis = "FAIL" if certain else "UNRESOLVED", text
                        if not certain:
                            entry.diagnosis = Text("kink unclear", count=count)
                return


def _kinked_outputs(kinked, arrays, sampling, scale):
    """The outputs that kink for some of these elements."""
    if sampling.y.size * 60 > 4e6:
        return []
    found = []
    for name, indices in kinked.items():
        for index in indices[: max(2, ELEMENTS // len(kinked))]:
            direction = np.zeros(arrays[name].size)
            direction[index] = 1.0
            for output, seen in _examine_outputs(sampling, [(arrays[name], direction)], scale).items():
                if seen.kind == KINK and output not in found:
                    found.append(output)
    return found[:OUTPUTS]


def _joint_signs(kinked, arrays, rng):
    """Directions over kinked elements, {name: flat direction}: all together, tied ones together, against each other."""
    unique, seen = {}, set()
    for name, array in arrays.items():  # one name for each array
        if id(array) not in seen:
            seen.add(id(array))
            unique[name] = kinked[name]

    def direction(choose):
        signs = {}
        for name, indices in unique.items():
            full = np.zeros(arrays[name].size)
            full[indices] = choose(name, np.ravel(arrays[name])[indices])
            signs[name] = full
        return signs

    yield direction(lambda name, x: np.ones(len(x)))
    names = list(unique)
    if len(names) > 1:
        yield direction(lambda name, x: np.full(len(x), 1.0 if name == names[0] else -1.0))
        for one in names:
            yield direction(lambda name, x, one=one: np.full(len(x), float(name == one)))
    values = np.unique(np.concatenate([np.ravel(arrays[name])[indices] for name, indices in unique.items()]))
    if 1 < len(values) <= OUTPUTS:
        for value in values:
            yield direction(lambda name, x, value=value: (x == value).astype(float))
    for _ in range(3):
        yield direction(lambda name, x: rng.choice([-1.0, 1.0], len(x)))


def _joint_is_wrong(signs, gradients, gy, output, arrays, context, scale):
    """(low, high, claimed, how many) if the claimed slope along this direction is not a possible one."""
    moves = [(arrays[name], direction) for name, direction in signs.items() if direction.any()]
    if not moves:
        return None
    count = int(sum((direction != 0).sum() for _, direction in moves))

    def claimed(found):
        total = 0.0
        for name, direction in signs.items():
            g = found.get(name)
            if g is None or np.size(g) != direction.size:
                return None
            total += float(np.asarray(g, dtype=float).reshape(-1) @ direction)
        return total

    a = claimed(gradients)
    if a is None or not np.isfinite(a):
        return None
    sampling = context.sampling
    h = ladder(scale)
    changes = sampling.changes_along(moves, np.concatenate([h, -h]))
    weights = np.ravel(gy)
    values = changes[:, output] if output is not None else changes @ weights
    own = np.ravel(np.where(sampling.gy != 0, sampling.noise / np.where(sampling.gy != 0, np.abs(sampling.gy), 1), 0.0))
    noise = own[output] if output is not None else float((own * np.abs(weights)).sum())
    seen = examine(h, values[: len(h)], values[len(h) :], noise, scale)
    if seen.kind not in (SMOOTH, KINK):
        return None
    low, high = sorted((seen.left, seen.right))
    slack = 3 * seen.error + 1e-5 * max(abs(low), abs(high), abs(a))
    if low - slack <= a <= high + slack:
        return None
    near = [claimed(found) for found in context.neighbours(gy)] if context.neighbours is not None else []
    near = [value for value in near if value is not None] + [low, high]
    slack = max(slack, 1e-4 * max(map(abs, near)))
    if min(near) - slack <= a <= max(near) + slack:
        return None
    width = max(near) - min(near)
    several = output is None and len({round(v / (slack + 1e-300)) for v in near}) > 3
    certain = not (several and min(near) - context.widths * width <= a <= max(near) + context.widths * width)
    return low, high, a, count, certain
