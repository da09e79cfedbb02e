"""Learning-rate schedules for ``Net.fit``: what each update's learning rate is multiplied by.

A schedule is any callable ``schedule(step) -> factor``, where step counts the updates that the optimiser has made, from
0: so training that is resumed goes on where it was. The optimiser's own ``lr`` is not changed.
"""

import math

from ._arguments import check_call, checked_count, checked_real

__all__ = ["CosineDecay", "StepDecay", "WarmUp"]


class StepDecay:
    """factor ** (step // every): smaller by a factor every so many updates.

    Parameters
    ----------
    every : int
        Updates; an epoch has ``ceil(samples / batch_size)``.
    factor : float in [0, 1]
    """

    def __init__(self, every, factor=0.1):
        self.every = checked_count(every, "every", least=1)
        self.factor = _checked_share(factor, "factor")

    def __call__(self, step):
        """The factor of update number `step`."""
        return self.factor ** (step // self.every)

    def __repr__(self):
        return f"StepDecay(every={self.every}, factor={self.factor})"


class CosineDecay:
    """From 1 down to `final` along half a cosine in so many updates, then `final` (Loshchilov, Hutter 2017).

    Parameters
    ----------
    steps : int
        Updates.
    final : float in [0, 1]
    """

    def __init__(self, steps, final=0.0):
        self.steps = checked_count(steps, "steps", least=1)
        self.final = _checked_share(final, "final")

    def __call__(self, step):
        """The factor of update number `step`."""
        done = min(step / self.steps, 1.0)
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * done)) / 2

    def __repr__(self):
        return f"CosineDecay(steps={self.steps}, final={self.final})"


class WarmUp:
    """From 1 / steps up to 1 in so many updates, then another schedule, which counts from there.

    Parameters
    ----------
    steps : int
        Updates.
    then : schedule or None
        None: 1.
    """

    def __init__(self, steps, then=None):
        self.steps = checked_count(steps, "steps", least=1)
        self.then = checked_schedule(then, "then")

    def __call__(self, step):
        """The factor of update number `step`."""
        if step < self.steps:
            return (step + 1) / self.steps
        return 1.0 if self.then is None else self.then(step - self.steps)

    def __repr__(self):
        return f"WarmUp(steps={self.steps}, then={self.then!r})"


def checked_schedule(schedule, name):
    """The schedule, if it is one or None."""
    if schedule is not None and (isinstance(schedule, type) or not callable(schedule)):
        what = f"the class {schedule.__name__}" if isinstance(schedule, type) else type(schedule).__name__
        raise TypeError(f"{name} must be a callable step -> factor such as StepDecay(1000), got {what}")
    if schedule is not None:
        check_call(schedule, name, "schedule(step)", 1)
    return schedule


def _checked_share(value, name):
    value = checked_real(value, name, least=0)
    if value > 1:
        raise ValueError(f"{name} = {value}: expected at most 1")
    return value
