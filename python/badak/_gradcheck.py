"""``gradcheck``: numerical against analytic gradients, with a numerical side that knows its own error.

The numerical derivative is Ridders' ladder (csrc/core/gradcheck.c): steps from coarse to fine, extrapolated, with a
bound on what is left. For a ``Net`` it runs in C; for everybody else's functions and layers C calls back.

How a verdict comes about, for each input and parameter, at the given point and at random ones near it:

1. The analytic gradient is asked for, with a random upstream gradient of both signs.
2. Elements are differentiated one by one: all of them, or the largest, the smallest and some others.
3. Random directions through all elements cover the rest; if one disagrees, bisection names an element.
4. An element agrees if |a - n| <= rtol max(|a|, |n|) + 3 u, u being the bound on n. Where it does not, the slopes
   from the left and the right are looked at before it counts as wrong: it may be a kink.
"""

import time

import numpy as np

from ._net_subject import NetSubject
from ._subjects import FunctionSubject, LayerSubject, NetworkSubject, random_stream
from .net import Net
from .report import CONDUCT, STATUSES, GradientReport


def gradcheck(
    subject,
    *inputs,
    vjp=None,
    grad=None,
    rtol=1e-6,
    points=3,
    seed=0,
    names=None,
    forward_kwargs=None,
    allow=(),
    raise_error=False,
):
    """Check analytic against numerical gradients.

    Parameters
    ----------
    subject : Net, layer, book-style network or function
        An object with ``params``, ``loss`` and ``gradient`` is a network: ``gradcheck(net, x, t)`` checks every
        parameter, and of a ``Net`` the input too. One with ``forward`` and ``backward`` is a layer:
        ``gradcheck(layer, x)`` checks its inputs and parameters (W/dW, b/db, gamma/dgamma, beta/dbeta, or
        ``params``/``grads``). Anything else callable is a function, and needs `vjp` or `grad`.
    *inputs : arrays
        Where to check. Float arrays are checked in float64; integers are passed on and not differentiated.
    vjp : callable
        ``vjp(gy, *inputs)`` gives the gradient of each input (one array, or a tuple; None: not differentiable).
    grad : array, tuple of arrays or callable
        The gradient of a function that returns one number; a callable is called with the inputs.
    rtol : float
        Relative difference that still agrees.
    points : int
        1: only at the inputs given. More: also at random points near them, with some signs flipped. With arrays for
        `grad` there is only one point.
    seed : int
        Of the random numbers; the same seed gives the same report.
    names : list of str
        For the inputs of a function or layer.
    forward_kwargs : dict
        Further arguments of ``forward``.
    allow : collection of str
        Kinds of conduct that are no failure here, such as ``{"MUTATED_GY"}``.
    raise_error : bool
        Raise GradientError unless all is well.

    Returns
    -------
    GradientReport
        True if every gradient is right as far as could be shown.

    Examples
    --------
    >>> bd.gradcheck(np.sin, np.array([0.1, 2.0]), vjp=lambda gy, x: gy * np.cos(x))
    """
    _check_options(rtol, points, seed, allow)
    rtol, seed = float(rtol), int(seed)
    began = time.perf_counter()
    checked = _subject_for(subject, inputs, vjp, grad, names, forward_kwargs or {}, seed)
    entries = {}
    conduct = checked.conduct()
    for point in range(1 if grad is not None and not callable(grad) else points):
        rng = random_stream(seed, point)
        if not checked.go_to(point, rng) and point > 0:
            continue  # a random point outside of the function's domain shows nothing
        for entry in checked.check(rtol, rng, point):
            entries[entry.name] = _merged(entries.get(entry.name), entry)
    for entry in entries.values():
        if entry.status == "PASS" and entry.checked and not entry.pairs[:, :2].any():
            entry.status = "VACUOUS"
    report = GradientReport(
        checked.title,
        list(entries.values()),
        conduct,
        allow=allow,
        seed=seed,
        rtol=rtol,
        seconds=time.perf_counter() - began,
    )
    if raise_error:
        report.raise_if_failed()
    return report


def _subject_for(subject, inputs, vjp, grad, names, kwargs, seed):
    if isinstance(subject, Net):
        return NetSubject(subject, inputs, seed)
    if all(hasattr(subject, name) for name in ("params", "loss", "gradient")):
        return NetworkSubject(subject, inputs)
    if hasattr(subject, "forward") and hasattr(subject, "backward"):
        return LayerSubject(subject, inputs, names, kwargs, seed)
    if not callable(subject):
        raise TypeError(
            f"{type(subject).__name__} is not a network (params, loss, gradient), a layer (forward, backward) "
            "or a function"
        )
    if (vjp is None) == (grad is None):
        raise TypeError("a function needs its analytic gradient: either vjp=g, called g(gy, *inputs), or grad=")
    return FunctionSubject(subject, inputs, vjp, grad, names, seed)


def _check_options(rtol, points, seed, allow):
    if isinstance(allow, str):
        raise TypeError(f"allow must be a collection of names, such as {{{allow!r}}}")
    for kind in allow:
        if kind not in CONDUCT:
            raise ValueError(f"allow: there is no conduct {kind!r}: expected some of {', '.join(CONDUCT)}")
    if isinstance(rtol, bool) or not isinstance(rtol, (int, float, np.floating)):
        raise TypeError(f"rtol must be a number, got {type(rtol).__name__}")
    if not 0 < rtol < 1:
        raise ValueError(f"rtol = {rtol}: expected above 0 and below 1")
    for name, value, least in (("points", points, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"{name} must be an integer, got {type(value).__name__}")
        if value < least:
            raise ValueError(f"{name} = {value}: expected at least {least}")


def _merged(old, new):
    """One entry for several points: the worst of them, with everything counted."""
    if old is None:
        return new
    worse = new if STATUSES.index(new.status) < STATUSES.index(old.status) else old
    worse.evaluations = old.evaluations + new.evaluations
    worse.pairs = np.concatenate([old.pairs, new.pairs])
    return worse
