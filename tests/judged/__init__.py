"""What a case for the gradient checker is, and how whole families of them are written down.

A case has something to check, and what must be said of it: the acceptable statuses of the report and the conduct that
must be found. ``family`` makes one case of a function with its right backward and one of each of its bugs.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

GREEN = frozenset({"PASS", "KINK", "EXPLAINED"})
PASS = frozenset({"PASS"})
KINK = frozenset({"KINK"})
FAIL = frozenset({"FAIL"})
NOISY = frozenset({"PASS", "UNRESOLVED"})  # right, but the function hides its own slope: not to know is honest
WRONG_BUT_NOISY = frozenset({"FAIL", "UNRESOLVED"})


@dataclass(frozen=True)
class Case:
    """``make()`` gives (what to check, inputs, keywords of gradcheck), anew each time."""

    family: str
    title: str
    make: Callable
    expect: frozenset = PASS
    conduct: frozenset = frozenset()  # at least one of these kinds must be found
    may: frozenset = frozenset()  # and of these, some may
    invisible: bool = False  # a bug that the given data cannot show

    @property
    def name(self):
        return f"{self.family}: {self.title}"

    @property
    def right(self):
        """Is all well with it?"""
        return self.expect <= GREEN and not self.conduct and not self.invisible

    @property
    def noisy(self):
        """Is it right, and nobody can show it?"""
        return self.expect == NOISY

    @property
    def values_right(self):
        """Are the gradients themselves right, whatever else the code does?"""
        return bool(self.expect & GREEN) and not self.invisible

    def complaint(self, report):
        """What is wrong with the report; None if nothing."""
        found = {finding.split(":")[0] for finding in report.conduct}
        if report.status not in self.expect:
            return f"status {report.status}, expected {' or '.join(sorted(self.expect))}"
        if self.conduct and not found & self.conduct:
            return f"conduct {sorted(found)}, expected {' or '.join(sorted(self.conduct))}"
        if found - self.conduct - self.may:
            return f"conduct {sorted(found - self.conduct - self.may)} is not there"
        return None


def fresh(value):
    """A copy of an array of the same layout, views of one array apart; other things as they are."""
    if not isinstance(value, np.ndarray):
        return value
    if value.ndim and 0 in value.strides and value.size > 1:  # a broadcast array stays one
        inner = value[tuple(slice(1) if s == 0 else slice(None) for s in value.strides)]
        return np.broadcast_to(inner.copy(), value.shape)
    return value.copy(order="K")


def random_of(name):
    """A generator of the case's own."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def family(name, f, inputs, right, bugs=None, *, expect=PASS, form="vjp", title="right", **kwargs):
    """Cases of ``f(*inputs)`` with the right gradient and with each bug.

    ``inputs``: from a generator to the tuple of inputs. ``right`` and the values of ``bugs``: what gradcheck takes as
    `form`; a bug may be ``(gradient, statuses)``. None for ``right``: bugs only.
    """

    def make(gradient):
        def build():
            return f, tuple(fresh(x) for x in inputs(random_of(name))), {form: gradient, **kwargs}

        return build

    cases = [Case(name, title, make(right), expect)] if right is not None else []
    for bug, gradient in (bugs or {}).items():
        gradient, statuses = gradient if isinstance(gradient, tuple) else (gradient, FAIL)
        cases.append(Case(name, bug, make(gradient), statuses))
    return cases


def build(family_name, title, make, expect=PASS, **kwargs):
    """One case of an object: ``make(rng)`` gives (what to check, inputs, keywords)."""
    return Case(family_name, title, lambda: make(random_of(family_name)), expect, **kwargs)
