"""``derivative``: the slope of a function of one number, with a bound on its own error."""

import math

import numpy as np

from . import _core
from ._conduct import OUTSIDE
from ._noise import noise_of_outputs, precision_of_dtype

KINDS = ("PASS", "KINK", "DISCONTINUOUS", "UNRESOLVED", "NONFINITE")  # in the order of the C core's


def derivative(f, x, *, rtol=1e-10):
    """The derivative of f at the number x, with a bound on its own error.

    Ridders' ladder of central differences, extrapolated; the bound covers rounding, noise in f that shows between two
    tiny steps, and kinks nearer than the steps (csrc/core/gradcheck.c).

    Parameters
    ----------
    f : callable
        From a float to a float. If it returns float32 numbers, or numbers that all fit float32, its rounding is taken
        to be float32's.
    x : float
    rtol : float
        Stop once the bound is this small, relatively.

    Returns
    -------
    Derivative

    Examples
    --------
    >>> bd.derivative(math.sin, 0.5)
    0.8775825618903725 ± 3e-12
    >>> bd.derivative(abs, 0.0).status
    'KINK'
    """
    x = float(x)
    calls = units = 0

    def at(point):
        nonlocal calls, units
        calls += 1
        y = f(point)
        if isinstance(y, (np.floating, np.ndarray)):
            units = max(units, precision_of_dtype(y.dtype))
        return float(y)

    def beside(point):
        try:
            return at(point)
        except OUTSIDE:  # of the domain; at x itself it is the caller's to see
            return math.nan

    middle = at(x)
    noise, unit = noise_of_outputs(lambda step: np.array(beside(x * (1 + step))), np.array(middle), units)
    unit = max(unit, units)

    def probe(h):
        value = beside(x + h) if h else middle
        return value, (x + h) - x, max(unit * abs(value), float(noise))

    found = list(_core.derivative(probe, abs(x), float(rtol)))
    scale = max(abs(x), 1.0)
    if found[0] == found[1] == 0 and any(
        beside(p) not in (middle, math.nan) for p in (x + scale, x - scale, 10 * scale)
    ):
        found[1], found[9] = 40 * 2.0**-52 * abs(middle) / scale, KINDS.index("UNRESOLVED")  # saturated, not constant
    found[3] = calls
    return Derivative(*found)


class Derivative:
    """A number with a bound: the truth is within ``uncertainty`` of ``value``.

    Attributes
    ----------
    value, uncertainty : float
        At a kink the middle between the slopes to either side, and half the gap: every slope between them is covered.
    step : float
        The step of the differences that were chosen.
    evaluations : int
        Calls of f.
    left, right : float
        At a kink the slopes to either side; elsewhere differences at that step.
    status : str
        PASS: known to three digits or more. KINK: two slopes. DISCONTINUOUS: f jumps at x. UNRESOLVED: noise, or too
        rough to tell. NONFINITE: f is not finite at x, or nowhere near it.
    """

    def __init__(self, value, uncertainty, step, evaluations, left, right, finite, one_sided, bend, kind, *_):
        self.value = value
        self.uncertainty = uncertainty
        self.step = step
        self.evaluations = evaluations
        self.left = left
        self.right = right
        self.one_sided = one_sided
        self.status = KINDS[kind]

    def __float__(self):
        return self.value

    def __repr__(self):
        known = f"{self.value!r} ± {self.uncertainty:.1g}"
        if self.status == "KINK":
            return f"{known} (KINK: {self.left:.6g} from the left, {self.right:.6g} from the right)"
        return known if self.status == "PASS" else f"{known} ({self.status})"

    @property
    def digits(self):
        """Certified decimal digits, -log10(uncertainty / |value|)."""
        if self.uncertainty == 0:
            return math.inf
        return -math.log10(self.uncertainty / abs(self.value)) if self.value and self.uncertainty < math.inf else 0.0
