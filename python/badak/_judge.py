"""How ``gradcheck`` judges one gradient at one point: numerical slopes, agreement, kinks, directions, bisection."""

import numpy as np

from ._slope import FLOAT64_EPS

EXHAUSTIVE = 512  # arrays up to this size are checked element by element
DIRECTIONS = 3


def signed(rng, shape):
    """Numbers of both signs, none of them near 0: nothing can hide behind a small one."""
    return rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)


def rounding_floor(gradients):
    """What rounding can leave of an analytic gradient that is 0: some units of the largest one beside it."""
    largest = [np.abs(g).max(initial=0) for g in gradients if g is not None and np.asarray(g).dtype.kind == "f"]
    largest = max((float(size) for size in largest if np.isfinite(size)), default=0.0)
    return 64 * FLOAT64_EPS * largest


def _agrees(a, n, u, rtol, floor):
    return abs(a - n) <= rtol * max(abs(a), abs(n)) + 3 * u + floor


def _resolved(a, n, u, floor):
    """Is n known well enough to say something: to 3 digits, or to 1e-7 of the largest gradient beside it?"""
    return u <= max(1e-3 * max(abs(a), abs(n)), 1e-7 * floor / (64 * FLOAT64_EPS)) or a == n == 0


def _one_sided(slope, index, scale):
    """Slopes from the left and from the right with their errors: three-point formulas over a ladder of steps."""
    found = []
    for side in (-1.0, 1.0):
        h = side * 1e-2 * max(scale, 1.0) * 0.5 ** np.arange(20)
        values, noise = slope.values(index, np.concatenate([[0.0], h, 2 * h]))
        at, near, far = values[0], values[1:21], values[21:]
        slopes = (4 * near - far - 3 * at) / (2 * h)
        error = np.abs(np.diff(slopes)) + 8 * noise / np.abs(h[1:])  # the formula weighs three values by 3, 4 and 1
        error[~np.isfinite(error)] = np.inf
        best = int(np.argmin(error))
        found.append((float(slopes[best + 1]), float(error[best])))
    return found


def _is_kink(slope, index, scale, a, rtol):
    """(is it a kink with `a` between the one-sided slopes, (left, right) or None)."""
    (left, left_error), (right, right_error) = _one_sided(slope, index, scale)
    error = left_error + right_error
    if not np.isfinite(error) or abs(right - left) <= max(10 * error, 1e-5 * max(abs(left), abs(right))):
        return False, None
    slack = 3 * error + rtol * max(abs(left), abs(right))
    return min(left, right) - slack <= a <= max(left, right) + slack, (left, right)


def _choose(analytic, most, rng):
    """Indices to look at one by one: all, or the largest, the smallest and some others."""
    size = analytic.size
    if size <= max(most, EXHAUSTIVE):
        return np.arange(size)
    order = np.argsort(np.abs(analytic), kind="stable")
    some = rng.choice(size, most - 2 * (most // 3), replace=False)
    return np.unique(np.concatenate([order[: most // 3], order[-(most // 3) :], some]))


def judge(entry, slope, analytic, most, rtol, rng, floor):
    """Fill the entry for one gradient: elements, then directions."""
    flat = analytic.reshape(-1)
    indices = _choose(flat, most, rng)
    found = slope.elements(indices, rtol)
    entry.checked = len(indices)
    entry.pairs = np.column_stack([flat[indices], found[:, :2]])
    kinks, wrong, unresolved = [], [], []
    for index, (n, u, step, left, right, *_) in zip(indices, found, strict=True):
        a = flat[index]
        agrees = np.isfinite(u) and _agrees(a, n, u, rtol, floor)
        # symmetric differences across a kink agree with the mean of its slopes
        bent = abs(right - left) > 0.5 * max(abs(left), abs(right))
        if agrees and not bent:
            if not _resolved(a, n, u, floor):
                unresolved.append(index)
            continue
        kink, sides = _is_kink(slope, index, abs(float(slope.array.reshape(-1)[index])), a, rtol)
        if kink:
            kinks.append((index, sides))
        elif agrees:
            if not _resolved(a, n, u, floor):
                unresolved.append(index)
        elif not np.isfinite(u) and sides is None:
            unresolved.append(index)
        else:
            wrong.append((index, n, u, step, sides))
    if wrong:
        _describe_wrong(entry, flat, wrong)
    else:
        _describe_right(entry, flat, indices, found)
        if kinks:
            entry.status = "KINK"
            entry.one_sided = kinks[0][1]
            left, right = entry.one_sided
            entry.diagnosis = (
                f"{len(kinks)} of {len(indices)} elements sit exactly on a kink; at the first the slope is {left:.4g} "
                f"from the left and {right:.4g} from the right, and the analytic value is one of those between"
            )
        _judge_directions(entry, slope, flat, len(indices) < flat.size, bool(unresolved), bool(kinks), rtol, rng, floor)
    entry.evaluations = slope.evaluations


def _set_worst(entry, flat, index, n, u, step):
    a = float(flat[index])
    entry.worst_index = tuple(int(i) for i in np.unravel_index(index, entry.shape))
    entry.analytic, entry.numeric, entry.uncertainty, entry.step = a, float(n), float(u), float(step)
    entry.relative_error = abs(a - n) / max(abs(a), abs(n)) if a != n else 0.0


def _describe_right(entry, flat, indices, found):
    if not len(indices):
        return
    n, u = found[:, 0], found[:, 1]
    size = np.maximum(np.abs(n), np.abs(flat[indices]))
    finite = np.isfinite(u) & (size > 0)
    if finite.any():
        excess = np.where(finite, np.abs(flat[indices] - n) / np.where(size > 0, size, 1), -1)
        worst = int(np.argmax(np.where(u <= 1e-3 * size, excess, -1)))
        digits = -np.log10(np.maximum(u[finite], 1e-17 * size[finite]) / size[finite])
        entry.digits = float(np.median(digits))
    else:
        worst = 0
    _set_worst(entry, flat, indices[worst], *found[worst, :3])


def _describe_wrong(entry, flat, wrong):
    def excess(item):
        index, n, u, *_ = item
        return abs(flat[index] - n) / (max(abs(flat[index]), abs(n)) + u)

    index, n, u, step, sides = max(wrong, key=excess)
    entry.status = "FAIL"
    entry.one_sided = sides
    _set_worst(entry, flat, index, n, u, step)
    entry.diagnosis = _diagnosis(flat, wrong, entry.checked)


def _diagnosis(flat, wrong, checked):
    """What is likely wrong, in one sentence."""
    a = np.array([flat[index] for index, *_ in wrong])
    n = np.array([item[1] for item in wrong])
    share = f"{len(wrong)} of {checked} elements differ"
    big = np.abs(n) > 1e-8 * np.abs(n).max(initial=0)
    if not big.any():
        return f"{share}: the numerical gradient is 0 there, the analytic one is not"
    ratio = a[big] / n[big]
    if np.all(a[big] == 0):
        return f"{share}: the analytic gradient is 0 there, the numerical one is not (a term that is never added?)"
    if np.ptp(ratio) <= 1e-4 * abs(ratio[0]) and abs(ratio[0] - 1) > 1e-3:
        if abs(ratio[0] + 1) < 1e-4:
            return f"{share}, all by their sign: the analytic gradient is -1 times the numerical one"
        return f"{share}, all by the same factor: the analytic gradient is {ratio[0]:.5g} times the numerical one"
    return share


def _judge_directions(entry, slope, flat, not_all, unresolved, kinks, rtol, rng, floor):
    """Random directions through all elements: they see what was not looked at one by one, or was too small to."""
    if not (not_all or unresolved) or kinks:
        if unresolved and entry.status == "PASS":
            entry.status = "UNRESOLVED"
        return
    resolved = 0
    for _ in range(DIRECTIONS):
        u = signed(rng, flat.size) / np.sqrt(flat.size)
        error, bound, known = _direction_error(slope, flat, u, rtol, floor)
        if known and error > bound:
            _name_by_bisection(entry, slope, flat, u, rtol, floor)
            return
        resolved += known
    if not resolved:
        entry.status = "UNRESOLVED"


def _direction_error(slope, flat, u, rtol, floor):
    """(how far analytic and numeric slope along u are apart, how far they may be, whether that says anything)."""
    terms = flat * u
    a = float(terms.sum())
    n, uncertainty, *_ = slope.along(u, rtol)
    rounding = 4 * FLOAT64_EPS * float(np.abs(terms).sum()) + floor * float(np.abs(u).sum())
    bound = rtol * max(abs(a), abs(n)) + 3 * uncertainty + rounding
    size = float(np.sqrt(np.sum(terms**2)))
    return abs(a - n), bound, np.isfinite(uncertainty) and _resolved(size, 0.0, uncertainty, floor)


def _name_by_bisection(entry, slope, flat, u, rtol, floor):
    """A direction disagrees: halve the set of its elements, keeping a half that disagrees, down to one element."""
    among = np.arange(flat.size)
    while len(among) > 1:
        halves = np.array_split(among, 2)
        errors = []
        for half in halves:
            part = np.zeros_like(u)
            part[half] = u[half]
            error, bound, _ = _direction_error(slope, flat, part, rtol, floor)
            errors.append(error / bound if bound > 0 else 0.0)
        if max(errors) <= 1:
            break  # too small to be seen alone: name the first of what is left
        among = halves[int(np.argmax(errors))]
    entry.status = "FAIL"
    index = int(among[0])
    _set_worst(entry, flat, index, *slope.element(index, rtol)[:3])
    found = "found by bisecting" if len(among) == 1 else f"one of {len(among)} elements from there, found by bisecting"
    entry.diagnosis = f"single elements looked right, but a random direction did not; {found} it"
