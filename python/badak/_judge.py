"""How ``gradcheck`` judges one gradient at one point: single elements, random directions, bisection."""

import heapq

import numpy as np

from ._diagnosis import diagnose
from ._kinks import (
    JUMP,
    KINK,
    SMOOTH,
    examine_along,
    examine_element,
    examine_finer,
    holds_from_afar,
    inside_by_outputs,
)
from ._noise import signed
from ._slope import FLOAT64_EPS
from .language import Text
from .report import number

EXHAUSTIVE = 512  # arrays up to this size are checked element by element
DIRECTIONS = 3
SMALL = 1e-7  # of the largest gradient: looked at by a direction of their own
HIDDEN = 1e-6  # of the largest gradient: where they cannot be resolved, this much must still be seen
RESCUED = 8  # elements too small or uncertain to judge that are looked at from both sides
ASKED = 3  # smooth and wrong elements of which single outputs are looked at, too
EXAMINED = 48  # elements looked at from both sides
NAMED = 10  # wrong elements named by bisection
COARSEST = 5e-2  # of the ladder of steps


class Context:
    """What judging needs beside the gradient itself.

    Attributes
    ----------
    most, exhaustive : int
        Elements looked at one by one in large arrays; the size of arrays in which all are.
    searches : bool
        Are wrong elements to be named by bisection?
    floor : array or float
        What rounding in the analytic gradient may do to each element.
    largest : float
        The largest gradient of all beside this one.
    total_noise : float
        Rounding of the whole function.
    sampling : Sampling or None
        Gives changes of single outputs; None where only one number comes out.
    """

    def __init__(self, rtol, rng, most, total_noise=0.0):
        self.rtol, self.rng, self.most, self.total_noise = rtol, rng, most, total_noise
        self.exhaustive = EXHAUSTIVE
        self.searches = True
        self.floor = 0.0
        self.largest = 0.0
        self.size = 0.0  # of the function
        self.reach = 0.0  # of what it is a function of: the largest number
        self.unit = FLOAT64_EPS
        self.name = ""
        self.sampling = self.gradients = self.neighbours = self.slopes_beside = self.one_hot = self.gy = None
        self.variables = {}
        self.widths = 0.2  # how far beyond the range of gradients beside a kink values are not ruled out


def _choose(analytic, context):
    """Indices to look at one by one: all, or the largest and the smallest."""
    size, half = analytic.size, context.most // 2
    if size <= max(context.most, context.exhaustive):
        return np.arange(size)
    order = np.argpartition(np.abs(analytic), (half, size - half))
    return np.unique(np.concatenate([order[:half], order[-half:]]))


def judge(entry, slope, analytic, context):
    """Fill the entry for one gradient: elements, then directions."""
    flat = analytic.reshape(-1)
    floor = np.broadcast_to(np.ravel(context.floor), flat.shape)
    indices = _choose(flat, context)
    found = np.asarray(slope.elements(indices, context.rtol))
    table = Table(flat, floor, indices, found, slope, context)
    table.look_closer()
    entry.checked = len(indices)
    entry.pairs = entry.here = np.column_stack([table.a, table.n, table.u])
    entry.indices = indices
    entry.kinked = [int(i) for i in indices[table.kink & ~table.followed]]
    entry.unresolved = int(table.unresolved.sum())
    if table.wrong.any():
        _describe_wrong(entry, table, context)
    elif table.jump.any():
        _describe_jump(entry, table)
    elif table.unstable.any():
        _describe_right(entry, table)
        entry.status, entry.diagnosis = "UNRESOLVED", Text("unstable", count=int(table.unstable.sum()))
    else:
        _describe_right(entry, table)
        if table.kink.any():
            _describe_kink(entry, table)
        nothing = table.is_zero() or table.is_rounding()
        if len(indices) < flat.size or (table.unresolved.any() and not nothing) or table.unclear.any():
            _judge_directions(entry, table, slope, context)
        entry.zero = entry.ok and table.is_zero() and (context.largest == 0 or not flat.any() or table.nothing_beside())
        if entry.ok and nothing and not entry.zero and entry.status == "PASS":
            entry.diagnosis = Text("zero by rounding", largest=number(context.largest))
    entry.evaluations = slope.evaluations
    if entry.point == 0 or not entry.ok:
        _record_curve(entry, slope)


def _record_curve(entry, slope):
    """What the pictures show of the worst element: changes of the function at +h and -h."""
    index = getattr(entry, "kink_index", None) if entry.status == "KINK" else None
    if index is None:
        if entry.worst_index is None:
            return
        index = int(np.ravel_multi_index(entry.worst_index, entry.shape)) if entry.shape else 0
    scale = max(1.0, abs(float(np.ravel(slope.array)[index])))
    h = scale * 10.0 ** np.linspace(-12, -1, 34 if slope.array.size <= EXHAUSTIVE else 12)
    values, _ = slope.values(index, np.concatenate([[0.0], h, -h]))
    values = values - values[0]
    entry.curve = h, values[1 : 1 + len(h)], values[1 + len(h) :]


class Table:
    """Every element looked at: what it is, what it should be, and what is known about it."""

    def __init__(self, flat, floor, indices, found, slope, context):
        self.flat, self.indices, self.slope, self.context = flat, indices, slope, context
        self.a = flat[indices]
        self.floor = floor[indices]
        self.n, self.u, self.step, self.left, self.right = (found[:, i].copy() for i in range(5))
        self.scale = np.abs(np.nan_to_num(np.ravel(slope.array)[indices].astype(float)))
        # what the rounding of outputs that do not move at all may hide: much where floats are short
        hidden = 2 * context.total_noise / (COARSEST * np.maximum(self.scale, 1))
        # inside, the inputs themselves may have cancelled, and a slope with them
        hidden += np.where(self.a != 0, 2 * FLOAT64_EPS * context.reach / (COARSEST * np.maximum(self.scale, 1)), 0.0)
        silent = (self.n == 0) | (context.unit > 1e-9)
        self.u[silent] = np.maximum(self.u[silent], hidden[silent])
        self.hidden = hidden
        kind = found[:, 6].astype(int) if found.shape[1] > 6 else None
        self.exact = kind is not None and context.sampling is None  # the branches are known
        bent = np.abs(self.right - self.left) > 0.5 * np.maximum(np.abs(self.left), np.abs(self.right))
        self.suspect = bent if kind is None else (kind == 1) | (kind == 2)
        self.kind = np.zeros(len(indices), int) if kind is None else kind
        self.asked = self.asked_beside = 0
        self.confirmed = True
        none = np.zeros(len(indices), bool)
        self.wrong, self.kink, self.jump, self.unresolved, self.unclear = (none.copy() for _ in range(5))
        self.tied, self.unstable, self.outside = none.copy(), none.copy(), none.copy()
        self.followed = none.copy()  # the branches that forward took, all of them: these values are possible together

    def agrees(self, i=slice(None)):
        """Is |a - n| within the tolerance?"""
        a, n, u = self.a[i], self.n[i], self.u[i]
        with np.errstate(all="ignore"):
            tolerance = self.context.rtol * np.maximum(np.abs(a), np.abs(n)) + 3 * u + self.floor[i]
            return np.isfinite(u) & np.isfinite(n) & (np.abs(a - n) <= tolerance)

    def resolves(self, i=slice(None)):
        """Is n known well enough to say something?"""
        a, n, u = self.a[i], self.n[i], self.u[i]
        with np.errstate(all="ignore"):
            return (u <= 1e-3 * np.maximum(np.abs(a), np.abs(n))) | ((a == 0) & (n == 0))

    def look_closer(self):
        """Decide about each element, looking from both sides at those that disagree or that may be bent."""
        self._freeze()
        agrees, resolves = self.agrees(), self.resolves()
        fine = (agrees & resolves & ~self.suspect) | self.kink
        small = agrees & ~resolves & ~self.suspect
        with np.errstate(all="ignore"):
            excess = np.abs(self.a - self.n) / (np.maximum(np.abs(self.a), np.abs(self.n)) + self.u)
        excess[~np.isfinite(excess)] = 0
        order = np.argsort(-np.where(agrees, excess, 1 + excess), kind="stable")
        if self.exact:  # looking closer shows no more of what is too small
            self.unresolved |= small
            fine |= small
        order = [int(i) for i in order if not fine[i]]
        rescued = 0
        examined = settled = 0
        for i in order:
            if small[i]:
                if rescued < RESCUED and self.context.sampling is not None:
                    rescued += 1
                    self._examine(i, small=True)
                self.unresolved[i] = self.agrees(i) and not self.resolves(i)
                self.wrong[i] = not self.agrees(i)
                self._look_again(i)
            elif examined < EXAMINED:
                examined += 1
                self._examine(i)
                self._look_again(i)
                settled += bool(self.wrong[i])
            elif settled == examined and np.isfinite(self.u[i]):  # all were plainly wrong: so are these
                self.wrong[i] = not agrees[i]
            else:
                self._judge_by_ladder(i, agrees[i])
        if self.wrong.any():
            self._look_for_ties()

    def _look_for_ties(self):
        """Wrong elements that are one of several possible choices: not at kinks of their own, but tied to others.

        Of three equal numbers in the middle the median follows none alone, and backward names one. There the gradients
        at the nearest floats differ, the analytic one is among them, and a little apart the ladder confirms them.
        """
        wrong = np.flatnonzero(self.wrong)
        if self.context.slopes_beside is None:
            return
        nearest = self._beside(wrong, nearest=True)
        if nearest is None:
            return
        low, high = nearest.min(axis=0), nearest.max(axis=0)
        size = np.maximum(np.abs(low), np.abs(high))
        inside = (low - 1e-6 * size <= self.a[wrong]) & (self.a[wrong] <= high + 1e-6 * size)
        many = np.array([len(np.unique(column)) > len(column) // 2 for column in nearest.T])
        unstable = many & (high - low > 0.1 * size) & ~self.outside[wrong]
        self.wrong[wrong[unstable]] = False
        self.unresolved[wrong[unstable]] = self.unstable[wrong[unstable]] = True
        tied = inside & ~many & (high - low > 1e-3 * size)
        if not tied.any() or not self._is_mixture(wrong[tied], nearest[:, tied]):
            return
        if not self._confirmed_beside(wrong[tied][:ASKED]):
            return
        self.wrong[wrong[tied]] = False
        self.kink[wrong[tied]] = self.tied[wrong[tied]] = True

    def _is_confirmed(self, i):
        """The same for the first few kinks that ask: the formula is one for all."""
        if self.confirmed and self.asked_beside < ASKED:
            self.asked_beside += 1
            self.confirmed = self._confirmed_beside(np.array([i]))
        return self.confirmed

    def _confirmed_beside(self, members):
        """Are the analytic gradients at points near those that the ladder finds there?"""
        if self.context.slopes_beside is None:
            return True
        near = self._beside(members)
        for at in range(2):
            n, u = self.context.slopes_beside(self.context.name, self.indices[members], at)[:, :2].T
            with np.errstate(all="ignore"):
                off = np.abs(n - near[at]) > 3 * u + 1e-4 * np.abs(near).max()
            if np.any(off & np.isfinite(n) & np.isfinite(u)):
                return False
        return True

    def _is_mixture(self, members, nearest):
        """Could the analytic values be a mixture of those gradients? Seen along random directions."""
        for _ in range(8):
            direction = signed(self.context.rng, len(members))
            claimed, possible = self.a[members] @ direction, nearest @ direction
            slack = 1e-6 * np.abs(possible).max()
            if not possible.min() - slack <= claimed <= possible.max() + slack:
                return False
        return True

    def _freeze(self):
        """At known kinks: does the analytic value follow the branches that were taken? Then it is one of the slopes."""
        self._freeze_beside()
        tied = np.flatnonzero((self.kind == 1) & self.exact)
        if len(tied):
            rows = self.slope.frozen_elements(self.indices[tied], self.context.rtol)
            self.frozen = dict(zip(tied.tolist(), rows, strict=True))
            n, u = self.n[tied], self.u[tied]
            self.n[tied], self.u[tied] = rows[:, 0], rows[:, 1]
            self.kink[tied] = self.followed[tied] = self.agrees(tied)
            self.n[tied[~self.kink[tied]]], self.u[tied[~self.kink[tied]]] = n[~self.kink[tied]], u[~self.kink[tied]]

    def _freeze_beside(self):
        """Where every step took other branches, but the point itself lies on no kink: the slope on its own branches."""
        crossed = np.flatnonzero(self.exact & ~np.isfinite(self.u) & (self.kind != 1) & (self.kind != 2))
        if len(crossed):
            rows = self.slope.frozen_elements(self.indices[crossed], self.context.rtol)
            known = rows[:, 1] <= 1e-3 * np.maximum(np.abs(rows[:, 0]), np.abs(self.a[crossed]))
            crossed, rows = crossed[known], rows[known]
            self.n[crossed], self.u[crossed], self.step[crossed], self.left[crossed], self.right[crossed] = rows.T[:5]
            self.suspect[crossed], self.kind[crossed] = False, 0

    def _judge_by_ladder(self, i, agrees):
        left, right = self.left[i], self.right[i]
        slack = 1e-3 * max(abs(left), abs(right))
        if self.suspect[i] and min(left, right) - slack <= self.a[i] <= max(left, right) + slack:
            self.kink[i] = True
        elif agrees:
            self.unresolved[i] = not self.resolves(i)
        else:
            self._examine(i)

    def _examine(self, i, small=False):
        if self.kind[i] == 2:
            self.jump[i] = True
            return
        if self.kind[i] == 0 and not small and not self.suspect[i] and np.isfinite(self.u[i]) and not self.agrees(i):
            inside = self._inside_by_outputs(i) if self.asked < ASKED else None
            self.asked += 1
            self.kink[i] = inside is True
            if not self.kink[i]:
                self._judge_where_it_moves(i)
            return
        if self.kind[i] == 1 and self.exact:
            frozen, error, *_ = self.frozen[i]
            a, slack = self.a[i], self.context.rtol * max(abs(self.a[i]), abs(frozen)) + self.floor[i]
            if abs(a - frozen) <= slack + 3 * error:  # the branch that was taken, of those that meet here
                self.kink[i], self.n[i], self.u[i] = True, frozen, error
                return
            self._judge_kink(i, self.left[i], self.right[i], 1e-6 * max(abs(self.left[i]), abs(self.right[i])))
            return
        seen = examine_element(self.slope, int(self.indices[i]), float(self.scale[i]))
        if seen.kind == SMOOTH and seen.u < np.inf:
            apart = abs(seen.n - self.n[i]) > 3 * (seen.u + self.u[i])  # then the smaller steps know better
            if not np.isfinite(self.u[i]) or seen.u < self.u[i] or self.suspect[i] or apart:
                self.n[i], self.step[i] = seen.n, seen.step
                self.u[i] = seen.u if seen.n else max(seen.u, self.hidden[i])
            self.left[i], self.right[i] = seen.left, seen.right
        elif seen.kind == JUMP:
            self.jump[i] = True
            self.left[i], self.right[i] = seen.left, seen.right
            return
        elif seen.kind == KINK:
            self.left[i], self.right[i] = seen.left, seen.right
            self._judge_kink(i, seen.left, seen.right, seen.error)
            return
        if small:
            return
        if self.agrees(i):
            self.unresolved[i] = not self.resolves(i)
        elif not np.isfinite(self.u[i]) or not np.isfinite(self.n[i]):
            self.unresolved[i] = True
        else:
            self.kink[i] = self._inside_by_outputs(i) is True
            if not self.kink[i]:
                self._judge_where_it_moves(i)

    def _look_again(self, i):
        """Wrong still, at steps large enough for rounding, and small enough for the slope that is claimed?"""
        if not self.wrong[i] or self.exact or self.outside[i]:
            return
        index, scale = int(self.indices[i]), float(self.scale[i])

        def change(steps):
            return self.slope.values(index, steps)[0]

        if holds_from_afar(change, self.a[i], self.n[i], self.step[i], scale):
            self.wrong[i], self.unresolved[i], self.u[i] = False, True, np.inf
            return
        seen = examine_finer(change, self.a[i], self.step[i], scale)
        if seen is None:
            return
        off = abs(self.a[i] - self.n[i])
        if seen.kind == SMOOTH and abs(seen.n - self.n[i]) <= 3 * (seen.u + self.u[i]) <= off / 2:
            return  # it says the same, and less exactly
        self.n[i], self.u[i], self.step[i] = seen.n, seen.u, seen.step
        self.left[i], self.right[i] = seen.left, seen.right
        self.wrong[i] = seen.kind == SMOOTH and not self.agrees(i)
        self.unresolved[i] = not self.wrong[i] and not self.resolves(i)

    def _judge_where_it_moves(self, i):
        """Wrong, unless it agrees in the outputs that move and the others have so small a slope that rounding hides it.

        A probability of 1 to the last place does not move, though it has a slope.
        """
        self.wrong[i] = True
        sampling, gradients = self.context.sampling, self.context.gradients
        if sampling is None or gradients is None or sampling.y.size <= 1:
            return
        direction = np.zeros(self.flat.size)
        direction[self.indices[i]] = 1.0
        coarsest = COARSEST * max(self.scale[i], 1.0)
        step = self.step[i] if np.isfinite(self.step[i]) and self.step[i] > 0 else coarsest
        steps = np.array([1.0, -1.0])[:, None] * np.minimum(step * np.array([1.0, 4, 16, 64]), coarsest)
        moved = (sampling.changes_along([(self.slope.array, direction)], steps.ravel()) != 0).any(axis=0)
        if moved.all():
            return
        moved = moved.reshape(sampling.y.shape)
        found = gradients(np.where(moved, sampling.gy, 0.0)).get(self.context.name)
        if found is None or np.size(found) != self.flat.size:
            return
        a, whole = float(np.ravel(found)[self.indices[i]]), self.a[i]
        if abs(whole - a) <= 2 * float(sampling.noise[~moved].sum()) / coarsest:
            self.a[i] = a
            self.wrong[i] = not self.agrees(i)
            self.unresolved[i] = not self.wrong[i]
            self.a[i] = whole

    def _judge_kink(self, i, left, right, error):
        """On a kink: is the analytic value a possible one?"""
        a = self.a[i]
        slack = 3 * error + self.context.rtol * max(abs(left), abs(right)) + self.floor[i]
        self.n[i] = min(max(a, min(left, right)), max(left, right))
        self.u[i] = error
        if min(left, right) - slack <= a <= max(left, right) + slack:
            self.kink[i] = True
            return
        if self._inside_by_outputs(i) is True:
            self.kink[i] = True
            return
        values = self._beside(i)
        if values is not None and self._is_confirmed(i):
            values = np.append(values, [left, right])
            low, high = values.min(), values.max()
            width = high - low
            tiny = 1e-4 * max(abs(low), abs(high))
            if low - tiny <= a <= high + tiny:
                self.kink[i] = True
                return
            several = len(np.unique(np.round(values / (tiny + 1e-300), 0))) > 3
            if several and low - self.context.widths * width <= a <= high + self.context.widths * width:
                self.kink[i] = self.unclear[i] = True
                return
        self.wrong[i] = self.outside[i] = True  # of what the kink allows

    def _inside_by_outputs(self, i):
        if self.context.sampling is None or self.context.sampling.y.size <= 1:
            return None
        direction = np.zeros(self.flat.size)
        direction[self.indices[i]] = 1.0
        return inside_by_outputs(
            self.context.sampling, self.slope.array, direction, self.a[i], float(self.scale[i]), self.context.rtol
        )

    def _beside(self, i, nearest=False):
        """The same element, or elements, of gradients very near."""
        if self.context.neighbours is None:
            return None
        near = [g.get(self.context.name) for g in self.context.neighbours(self.context.gy, nearest)]
        near = [g.reshape(-1)[self.indices[i]] for g in near if g is not None and g.size == self.flat.size]
        return np.array(near) if near else None

    def is_kink(self, i):
        """Is this element on a kink, whatever the analytic value?"""
        return examine_element(self.slope, int(self.indices[i]), float(self.scale[i])).kind == KINK

    def is_zero(self):
        """Are analytic and numerical gradient nothing but rounding?"""
        flat_floor = np.broadcast_to(np.ravel(self.context.floor), self.flat.shape)
        analytic = (self.flat == 0) | (np.abs(self.flat) <= 16 * flat_floor)
        enough = max(1e-6, 100 * self.context.unit)
        known = np.isfinite(self.n) & (
            self.u <= enough * np.maximum(1, self.context.size / np.maximum(self.scale, 1e-6))
        )
        return bool(analytic.all() and known.all() and (np.abs(self.n) <= 3 * self.u + 16 * self.floor).all())

    def is_rounding(self):
        """Is all of it too small to be judged, and nothing but rounding of the gradients beside it?"""
        largest = self.context.largest
        return bool(
            np.all(np.abs(self.flat) <= 64 * FLOAT64_EPS * largest)
            and np.all(self.u <= 1e-7 * largest)
            and np.all(np.abs(self.n) <= 3 * self.u)
        )

    def nothing_beside(self):
        """Is there no larger gradient that would make this zero a finding?"""
        return self.context.largest <= 1e3 * np.abs(self.flat).max(initial=0)


def _set_worst(entry, flat, index, n, u, step):
    a = float(flat[index])
    entry.worst_index = tuple(int(i) for i in np.unravel_index(index, entry.shape))
    entry.analytic, entry.numeric, entry.uncertainty, entry.step = a, float(n), float(u), float(step)
    entry.relative_error = abs(a - n) / (max(abs(a), abs(n)) or np.nan) if a != n else 0.0


def _describe_right(entry, table):
    """Worst element, certified digits, and how small a wrong element could hide."""
    n, u, a = table.n, table.u, table.a
    if not len(n):
        return
    size = np.maximum(np.abs(n), np.abs(a))
    known = np.isfinite(u) & (size > 0) & ~table.kink
    worst = 0
    if known.any():
        with np.errstate(all="ignore"):
            excess = np.where(known, np.abs(a - n) / size, -1)
        worst = int(np.argmax(np.where(u <= 1e-3 * size, excess, -1)))
        entry.digits = _certain_digits(table)
        sure = known & ~table.unresolved  # of the others directions tell
        entry.invisible = float((table.context.rtol * size + 3 * u + table.floor)[sure].max(initial=0)) or np.nan
    elif table.kink.any():
        worst = int(np.argmax(table.kink))
    elif np.isfinite(u).any():
        entry.invisible = float(3 * u[np.isfinite(u)].max())
    _set_worst(entry, table.flat, table.indices[worst], n[worst], u[worst], table.step[worst])
    entry.one_sided = (float(table.left[worst]), float(table.right[worst]))


def _describe_kink(entry, table):
    entry.status = "KINK"
    clear = table.kink & ~table.unclear
    first = int(np.argmax(clear if clear.any() else table.kink))
    left, right = float(table.left[first]), float(table.right[first])
    entry.one_sided = (left, right)
    entry.kink_index = int(table.indices[first])
    entry.diagnosis = Text(
        "kink tied" if table.tied[first] else "kink",
        count=int(table.kink.sum()),
        checked=len(table.indices),
        index=_place(entry, table.indices[first]),
        left=number(left),
        right=number(right),
        analytic=number(float(table.a[first])),
    )
    if table.unclear.any():
        entry.status = "UNRESOLVED"
        entry.diagnosis = Text("kink unclear", count=int(table.unclear.sum()))


def _place(entry, index):
    where = tuple(int(i) for i in np.unravel_index(int(index), entry.shape))
    return entry.name + ("[" + ", ".join(map(str, where)) + "]" if where else "")


def _describe_jump(entry, table):
    first = int(np.argmax(table.jump))
    _describe_right(entry, table)
    entry.status = "DISCONTINUOUS"
    index = int(table.indices[first])
    _set_worst(entry, table.flat, index, np.nan, np.inf, np.nan)
    entry.one_sided = (float(table.left[first]), float(table.right[first]))
    entry.diagnosis = Text(
        "jump", index=_place(entry, index), jump=number(abs(table.left[first]) + abs(table.right[first]))
    )


def _certain_digits(table):
    """Digits of the numerical gradient that are certain, in the median."""
    size = np.maximum(np.abs(table.n), np.abs(table.a))
    known = np.isfinite(table.u) & (size > 0) & ~table.kink
    if not known.any():
        return float("nan")
    return max(0.0, float(np.median(-np.log10(np.maximum(table.u[known], 1e-17 * size[known]) / size[known]))))


def _describe_wrong(entry, table, context):
    entry.digits = _certain_digits(table)
    wrong = np.flatnonzero(table.wrong)
    with np.errstate(all="ignore"):
        a, n = np.abs(table.a[wrong]), np.abs(table.n[wrong])
        excess = np.abs(table.a - table.n)[wrong] / (np.maximum(a, n) + table.u[wrong])
        weight = np.maximum(a, n) / max(np.maximum(a, n).max(initial=0), 1e-300)
    # of those that are off by about as much, the largest: the one that is seen most easily
    near = np.flatnonzero(excess >= 0.9 * excess.max())
    worst = wrong[near[int(np.argmax(weight[near]))]]
    entry.status = "FAIL"
    entry.wrong = [tuple(int(k) for k in np.unravel_index(int(table.indices[i]), entry.shape)) for i in wrong[:NAMED]]
    entry.one_sided = (float(table.left[worst]), float(table.right[worst]))
    _set_worst(entry, table.flat, table.indices[worst], table.n[worst], table.u[worst], table.step[worst])
    left, right = entry.one_sided
    alone = table.wrong.sum() <= table.kink.sum() + 1 or table.wrong.sum() < len(table.a)
    if alone and abs(right - left) > 0.05 * max(abs(left), abs(right)) > 0 and table.is_kink(worst):
        entry.diagnosis = Text(
            "kink outside",
            index=_place(entry, table.indices[worst]),
            left=number(left),
            right=number(right),
            analytic=number(entry.analytic),
        )
        return
    entry.diagnosis = diagnose(entry, table)


# -- directions -------------------------------------------------------------------------------


def _judge_directions(entry, table, slope, context):
    """Random directions through all elements: they see what was not looked at one by one, or was too small to."""
    flat = table.flat
    floor = np.broadcast_to(np.ravel(context.floor), flat.shape)
    largest = np.abs(flat).max(initial=0)
    groups, small = [np.ones(flat.size, bool)], None
    stable = _away_from_kinks(flat, context) if table.kink.any() else None
    if stable is not None and stable.any() and not stable.all():
        groups.append(stable)
    if len(table.indices) < flat.size:
        small = np.abs(flat) < SMALL * largest
        if small.any() and not small.all():
            groups.append(small)
    for group in groups:
        resolved = 0
        for _ in range(DIRECTIONS if group is groups[0] else 1):
            u = np.where(group, signed(context.rng, flat.size), 0.0) / np.sqrt(group.sum())
            seen = _look_along(slope, flat, u, floor, context, table)
            if seen.state == "wrong" and not context.searches:
                entry.status = "FAIL"
                return
            if seen.state == "wrong":
                _name_by_bisection(entry, slope, flat, floor, u, seen, context, table)
                return
            hidden = seen.bound * 2 * np.sqrt(group.sum())  # what one element could be off by, unseen
            # numbers that are small beside the others may drown in the rounding of f: then the report says how small
            if seen.state == "right" or (group is small and hidden <= HIDDEN * largest):
                resolved += 1
                entry.invisible = float(np.nanmax([entry.invisible, hidden]))
        if not resolved:
            entry.status = "UNRESOLVED"
            entry.diagnosis = entry.diagnosis or Text("noisy", uncertainty=number(float(seen.u)))
            return
    if table.unclear.any():
        return
    if entry.unresolved and not entry.diagnosis:
        entry.diagnosis = Text("unresolved some", count=entry.unresolved, checked=len(table.indices))


def _away_from_kinks(flat, context):
    """Elements whose gradient is the same at points very near."""
    if context.neighbours is None:
        return None
    near = [g.get(context.name) for g in context.neighbours(context.gy)]
    near = [g.reshape(-1) for g in near if g is not None and g.size == flat.size]
    if not near:
        return None
    return np.all([np.abs(g - flat) <= 1e-3 * np.maximum(np.abs(g), np.abs(flat)) for g in near], axis=0)


class Look:
    """What a direction showed: ``state`` is right, wrong or unresolved."""

    def __init__(self, state, a, n, u, bound, step):
        self.state, self.a, self.n, self.u, self.bound, self.step = state, a, n, u, bound, step


def _look_along(slope, flat, direction, floor, context, table):
    terms = flat * direction
    a = float(terms.sum())
    row = slope.along(direction, context.rtol)
    n, u, step, left, right = (float(v) for v in row[:5])
    if n == 0 and a != 0:  # the inputs themselves may have cancelled
        u = max(u, 2 * FLOAT64_EPS * context.reach / COARSEST)
    rounding = 4 * FLOAT64_EPS * float(np.abs(terms).sum()) + float((floor * np.abs(direction)).sum())
    rounding += 4 * context.total_noise / COARSEST  # of outputs that do not move
    if slope.array.dtype.itemsize < 8:
        rounding += 2.0**-23 * float(np.abs(flat * np.ravel(slope.array)).sum()) / max(step, 1e-3)
    bound = context.rtol * max(abs(a), abs(n)) + 3 * u + rounding
    size = max(float(np.sqrt(np.sum(terms**2))), abs(n), abs(a))
    kind = int(row[6]) if len(row) > 6 else None
    bent = kind == 1 if kind is not None else abs(right - left) > 0.5 * max(abs(left), abs(right))
    if np.isfinite(u) and abs(a - n) <= bound and not (bent and kind is None and table.kink.any()):
        silent = not terms.any() and n == 0
        return Look("right" if silent or u <= 1e-3 * size else "unresolved", a, n, u, bound, step)
    scale = float(np.abs(np.ravel(slope.array)).max(initial=0))
    seen = examine_along(slope, direction, scale)
    if seen.kind == SMOOTH and np.isfinite(seen.u) and not (seen.u > u and not bent):
        n, u, step = seen.n, seen.u, seen.step
        bound = context.rtol * max(abs(a), abs(n)) + 3 * u + rounding
        if abs(a - n) <= bound:
            return Look("right" if u <= 1e-3 * size else "unresolved", a, n, u, bound, step)
    if seen.kind == KINK or bent:
        low, high = min(seen.left, seen.right), max(seen.left, seen.right)
        bound = 3 * seen.error + context.rtol * max(abs(low), abs(high)) + rounding
        if low - bound <= a <= high + bound:
            return Look("right", a, n, seen.error, bound, step)
        sampling = context.sampling
        if sampling is not None and 1 < sampling.y.size * 44 <= 4e6:
            inside = inside_by_outputs(sampling, slope.array, direction, a, scale, context.rtol)
            if inside is True:
                return Look("right", a, n, seen.error, bound, step)
        if context.neighbours is not None:
            near = [g.get(context.name) for g in context.neighbours(context.gy)]
            values = [float(g.reshape(-1) @ direction) for g in near if g is not None and g.size == flat.size]
            values += [low, high]
            width = max(values) - min(values)
            if min(values) - 4 * width <= a <= max(values) + 4 * width:
                return Look("unresolved" if table.unclear.any() else "right", a, n, seen.error, width, step)
    if seen.kind == JUMP or not np.isfinite(u):
        return Look("unresolved", a, n, u, bound, step)

    def change(steps):
        return slope.values_along(direction, steps)[0]

    if not table.exact and holds_from_afar(change, a, n, step, scale):
        return Look("unresolved", a, n, np.inf, bound, step)
    near = None if table.exact else examine_finer(change, a, step, scale)
    if near is not None and near.kind != SMOOTH:
        return Look("unresolved", a, n, np.inf, bound, step)
    if near is not None:
        n, u, step = near.n, near.u, near.step
        bound = context.rtol * max(abs(a), abs(n)) + 3 * u + rounding
        if abs(a - n) <= bound:
            return Look("right" if u <= 1e-3 * size else "unresolved", a, n, u, bound, step)
    return Look("wrong", a, n, u, bound, step)


def _name_by_bisection(entry, slope, flat, floor, direction, seen, context, table):
    """Halve the set of elements, following what disagrees, down to single elements; name those that are wrong."""
    before = slope.evaluations
    h = seen.step if np.isfinite(seen.step) and seen.step > 0 else 1e-4
    members = np.flatnonzero(direction)

    def residual(low, high):
        """(analytic less numerical slope along this part of the direction, what of it may be error)."""
        part = np.zeros_like(direction)
        part[members[low:high]] = direction[members[low:high]]
        values, noise = slope.values_along(part, [h, -h, h / 2, -h / 2])
        coarse, fine = (values[0] - values[1]) / (2 * h), (values[2] - values[3]) / h
        n = (4 * fine - coarse) / 3
        terms = flat[members[low:high]] * direction[members[low:high]]
        error = 0.05 * abs(fine - coarse) + 4 * noise / h + 4 * FLOAT64_EPS * float(np.abs(terms).sum())
        return float(terms.sum()) - n, error

    heap = [(-abs(seen.a - seen.n), 0, len(members), seen.a - seen.n, seen.u)]
    wrong, looked = [], 0
    while heap and len(wrong) < NAMED and looked < 10 * NAMED:
        _, low, high, r, error = heapq.heappop(heap)
        if high - low == 1:
            looked += 1
            index = int(members[low])
            row = slope.element(index, context.rtol)
            n, u, step = (float(v) for v in row[:3])
            a = float(flat[index])
            off = abs(a - n) > context.rtol * max(abs(a), abs(n)) + 3 * u + floor[index]
            bent = abs(row[4] - row[3]) > 0.5 * max(abs(row[3]), abs(row[4]))
            if off and bent:
                beyond = examine_element(slope, index, abs(float(np.ravel(slope.array)[index])))
                if beyond.kind == KINK:
                    low_, high_ = sorted((beyond.left, beyond.right))
                    off = not low_ - 3 * beyond.error <= a <= high_ + 3 * beyond.error
            if np.isfinite(u) and off:
                wrong.append((index, n, u, step, float(row[3]), float(row[4])))
            continue
        middle = (low + high) // 2
        r_left, error_left = residual(low, middle)
        r_right, error_right = r - r_left, error + error_left
        for part, part_error, ends in ((r_left, error_left, (low, middle)), (r_right, error_right, (middle, high))):
            if abs(part) > 3 * part_error:
                heapq.heappush(heap, (-abs(part), *ends, part, part_error))
    entry.status = "FAIL"
    spent = slope.evaluations - before
    if not wrong:
        if table.kink.any():
            entry.status, entry.diagnosis = "UNRESOLVED", Text("kink unclear", count=int(table.kink.sum()))
            return
        entry.relative_error = abs(seen.a - seen.n) / max(abs(seen.a), abs(seen.n))
        entry.worst_index = None
        entry.diagnosis = Text("bisected nothing", analytic=number(seen.a), numeric=number(seen.n))
        return
    worst = max(wrong, key=lambda item: abs(flat[item[0]] - item[1]) / max(abs(flat[item[0]]), abs(item[1])))
    _set_worst(entry, flat, *worst[:4])
    entry.one_sided = worst[4:]
    entry.wrong = [tuple(int(i) for i in np.unravel_index(item[0], entry.shape)) for item in wrong]
    entry.bisection = spent
    pairs = [[flat[i], n, u] for i, n, u, *_ in wrong]
    entry.pairs = np.concatenate([entry.pairs, np.array(pairs)])
    entry.wrong_flat = wrong
    entry.diagnosis = diagnose(entry, table, wrong)
