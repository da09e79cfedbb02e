"""``gradcheck``: numerical against analytic gradients, with a numerical side that knows its own error.

The numerical derivative is Ridders' ladder (csrc/core/gradcheck.c): steps from coarse to fine, extrapolated, with a
bound on what is left. For a ``Net`` it runs in C; for everybody else's functions and layers C calls back.

How a verdict comes about, for each input and parameter, at the given point and at random ones near it:

1. The code is watched: does it change its arguments, its state, its answers (_conduct.py)?
2. The analytic gradient is asked for, with a random upstream gradient of both signs.
3. Elements are differentiated one by one: all of them, or the largest and the smallest (_judge.py).
4. An element agrees if |a - n| <= rtol max(|a|, |n|) + 3 u, u being the bound on n. Where it does not, the slopes
   from the left and the right are looked at before it counts as wrong: it may be a kink, or a jump (_kinks.py).
5. Random directions through all elements cover the rest; if one disagrees, bisection names the wrong elements.
6. What disagrees is tried against known harmless causes (_causes.py), and if none explains it, put into words
   (_diagnosis.py).
"""

import sys
import time

import numpy as np

from . import _core
from ._core_layers import CoreLayerSubject, CoreNetworkSubject, is_core_layer, is_core_network
from ._net_subject import NetSubject
from ._own_arrays import input_names
from ._state import Chance, random_stream
from ._subjects_functions import FunctionSubject
from ._subjects_layers import LayerSubject, NetworkSubject
from .language import Text
from .net import Net
from .report import CONDUCT, STATUSES, GradientReport


def gradcheck(
    subject,
    *inputs,
    vjp=None,
    grad=None,
    jvp=None,
    rtol=1e-6,
    points=3,
    seed=0,
    names=None,
    wrt=None,
    forward_kwargs=None,
    reference=None,
    dtype=None,
    allow=(),
    raise_error=False,
):
    """Check analytic against numerical gradients.

    Parameters
    ----------
    subject : Net, layer, book-style network, function, PyTorch module or function, JAX function
        An object with ``params``, ``loss`` and ``gradient`` is a network: ``gradcheck(net, x, t)`` checks every
        parameter, and of a ``Net`` the input too. One with ``forward`` and ``backward`` is a layer:
        ``gradcheck(layer, x)`` checks its inputs and parameters (W/dW, b/db, gamma/dgamma, beta/dbeta, or
        ``params``/``grads``). A PyTorch module, a ``torch.autograd.Function`` or a function of tensors is checked by
        PyTorch's own autograd, a function of JAX arrays by ``jax.vjp``. Anything else callable is a function, and
        needs `vjp`, `grad` or `jvp`.
    *inputs : arrays
        Where to check. Float arrays are checked in float64; integers are passed on and not differentiated. The same
        array given twice is moved together.
    vjp : callable
        ``vjp(gy, *inputs)`` gives the gradient of each input (one array, or a tuple; None: not differentiable).
    grad : array, tuple of arrays or callable
        The gradient of a function that returns one number; a callable is called with the inputs.
    jvp : callable
        Forward mode: ``jvp(v, *inputs)`` gives the change of the output along v, an array like the input, or a tuple
        with one for each of several inputs (None for those that are not differentiated). With `vjp`, both are checked.
    rtol : float
        Relative difference that still agrees.
    points : int
        1: only at the inputs given. More: also at random points near them, with some signs flipped. With arrays for
        `grad` there is only one point.
    seed : int
        Of the random numbers; the same seed gives the same report.
    names : list of str
        For the inputs of a function or layer.
    wrt : name, or list of names or numbers of inputs
        What to differentiate by; None: everything that can be.
    forward_kwargs : dict
        Further arguments of the function, ``forward`` or ``loss``.
    reference : callable
        The same function in float64, for one that computes in float32 or bfloat16: numerical derivatives are taken
        of this one.
    dtype : None or "keep"
        "keep": inputs and parameters stay in their own dtype.
    allow : collection of str
        Kinds of conduct that are no failure here, such as ``{"MUTATED_GY"}``.
    raise_error : bool
        Raise GradientError unless all is well.

    Returns
    -------
    GradientReport
        True if every gradient is right as far as could be shown.

    Notes
    -----
    The caller's arrays and random generators are left as they are, also if the code raises. (A book-style network
    that cannot be copied is changed in place, and put back.)

    Examples
    --------
    >>> bd.gradcheck(np.sin, np.array([0.1, 2.0]), vjp=lambda gy, x: gy * np.cos(x))
    """
    _check_options(rtol, points, seed, allow, dtype)
    for name, function, called in (("vjp", vjp, "gy, *inputs"), ("jvp", jvp, "v, *inputs")):
        if function is not None and not callable(function):
            raise TypeError(f"{name} must be a function, called {name}({called}), got {type(function).__name__}")
    rtol, seed = float(rtol), int(seed)
    options = {
        "vjp": vjp,
        "grad": grad,
        "jvp": jvp,
        "names": names,
        "wrt": wrt,
        "kwargs": forward_kwargs or {},
        "reference": reference,
        "keep": dtype == "keep",
        "seed": seed,
    }
    began = time.perf_counter()
    with Chance() as chance, np.errstate(all="ignore"):  # what is not finite is judged, not warned about
        checked = _subject_for(subject, inputs, options | {"chance": chance})
        try:
            report = _run(checked, rtol, seed, 1 if grad is not None and not callable(grad) else points)
        finally:
            checked.close()
    report.allow = tuple(allow)
    report.seconds = time.perf_counter() - began
    report.reproducer = _reproducer(checked, inputs, rtol, points, seed)
    if raise_error:
        report.raise_if_failed()
    return report


def _run(checked, rtol, seed, points):
    entries = {}
    checked.start()
    for point in range(points):
        rng = random_stream(seed, point)
        if not checked.go_to(point, rng) and point > 0:
            continue  # a random point outside of the function's domain shows nothing
        began = time.perf_counter()
        for entry in checked.check(rtol, rng, point):
            now = time.perf_counter()
            entry.seconds, began = now - began, now
            entries[entry.name] = _merged(entries.get(entry.name), entry)
    for entry in entries.values():
        if entry.zero and entry.status == "PASS" and entry.size:
            entry.status = "VACUOUS"
            entry.diagnosis = _why_vacuous(entry)
    report = GradientReport(checked.title, list(entries.values()), checked.findings, seed=seed, rtol=rtol)
    report.unchecked = list(checked.unchecked)
    return report


def _why_vacuous(entry):
    facts = entry.context
    first = next(iter(facts.inputs.values()), None) if facts is not None else None
    alone = first is not None and first.ndim > 1 and first.shape[0] == 1
    return Text("batch of one" if alone else "unused", name=entry.name)


def _check_inputs(subject, inputs):
    """Refuse a mask, which would be lost in our copies, and what badak's own layers do not take."""
    for name, value in zip(input_names(None, len(inputs)), inputs, strict=True):
        long = isinstance(value, np.ndarray) and value.dtype.char == "g"
        if isinstance(value, np.ma.MaskedArray) or (long and is_core_layer(subject)):
            _core.real_array(value, name, 0)


def _subject_for(subject, inputs, options):
    _check_inputs(subject, inputs)
    if isinstance(subject, Net):
        return NetSubject(subject, inputs, options["seed"])
    own = {name: options[name] for name in ("names", "wrt", "kwargs", "seed", "chance", "keep")}
    torch = sys.modules.get("torch")
    analytic = [name for name in ("vjp", "grad", "jvp") if options[name] is not None]
    if torch is not None and hasattr(torch, "nn"):
        from . import _subjects_torch

        if _subjects_torch.is_for_torch(subject, inputs) and not analytic:
            return _subjects_torch.TorchSubject(subject, inputs, **own, reference=options["reference"])
    if all(hasattr(subject, name) for name in ("params", "loss", "gradient")):
        kind = CoreNetworkSubject if is_core_network(subject) and len(inputs) == 2 else NetworkSubject
        return kind(subject, inputs, **own)
    if hasattr(subject, "forward") and hasattr(subject, "backward"):
        kind = CoreLayerSubject if is_core_layer(subject) and options["reference"] is None else LayerSubject
        return kind(subject, inputs, **own, reference=options["reference"])
    if not callable(subject):
        raise TypeError(
            f"{type(subject).__name__} is not a network (params, loss, gradient), a layer (forward, backward) "
            "or a function"
        )
    if "jax" in sys.modules and not analytic:
        from . import _subjects_jax

        if _subjects_jax.is_for_jax(subject, inputs):
            return _subjects_jax.JaxSubject(subject, inputs, **own, reference=options["reference"])
    if options["vjp"] is not None and options["grad"] is not None:
        raise TypeError("a function needs its analytic gradient once: either vjp=g, called g(gy, *inputs), or grad=")
    if not analytic:
        raise TypeError(
            "a function needs its analytic gradient: either vjp=g, called g(gy, *inputs), or grad= for one that "
            "returns one number, or jvp=h, called h(v, *inputs)"
        )
    functions = {name: options[name] for name in ("vjp", "grad", "jvp")}
    return FunctionSubject(subject, inputs, **functions, **own, reference=options["reference"])


def _check_options(rtol, points, seed, allow, dtype):
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
    if dtype not in (None, "keep", "float64"):
        raise ValueError(f"dtype = {dtype!r}: expected None (float64) or 'keep'")


def _reproducer(checked, inputs, rtol, points, seed):
    """The call that gives the report again, as far as it can be written down."""
    shapes = [
        f"<{'x'.join(map(str, np.shape(v))) or type(v).__name__} {v.dtype}>" if hasattr(v, "dtype") else repr(v)[:20]
        for v in inputs
    ]
    name = checked.title.split("(")[0].split(" ")[0]
    return f"gradcheck({', '.join([name, *shapes])}, rtol={rtol:g}, points={int(points)}, seed={seed})"


def _merged(old, new):
    """One entry for several points: the worst of them, with everything counted.

    A random point that shows nothing (zero, or too uncertain) takes nothing away from what the others have shown.
    """
    if old is None:
        return new

    def rank(entry):
        if entry.zero and entry.status == "PASS":
            return len(STATUSES)
        if entry.status == "UNRESOLVED" and entry.point:
            return len(STATUSES) - 0.5
        return STATUSES.index(entry.status)

    worse = new if rank(new) < rank(old) else old
    worse.evaluations = old.evaluations + new.evaluations
    worse.seconds = old.seconds + new.seconds
    worse.pairs = np.concatenate([old.pairs, new.pairs])
    worse.zero = old.zero and new.zero
    return worse
