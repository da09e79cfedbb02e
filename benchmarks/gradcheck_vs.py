"""badak's gradient checker beside others, on the cases of tests/gradcheck_cases.py.

    python benchmarks/gradcheck_vs.py                    all checkers that are installed; prints a Markdown table
    python benchmarks/gradcheck_vs.py --write            and writes it to docs/gradcheck_vs.md
    python benchmarks/gradcheck_vs.py --only badak torch-slow --cases "max-pool" --list
    python benchmarks/gradcheck_vs.py --anew badak       what has been run is kept, but for badak's

A checker says of each case "all is well" or not. What the case is decides whether that was right:

- *wrong gradients missed*: a bug in a value, and the checker was content;
- *right gradients flagged*: a right gradient (smooth, or at a kink by a subgradient), and it was not;
- *right behind noise*: the function's own rounding hides its slope; badak says UNRESOLVED where it does not know;
- *conduct missed*: right values, but the code changes its arguments, draws random numbers or remembers earlier calls,
  and it was content;
- *nothing shown*: both gradients are 0 everywhere, or the function jumps, and it was content.

Each checker is used as its own documentation says, in float64, with its defaults; where it leaves the tolerance to its
user, the one that is usual. Layers and networks are given to the others as functions of their inputs and parameters,
with np.random seeded before each call (badak gets the objects as they are).
"""

import argparse
import contextlib
import copy
import functools
import inspect
import io
import json
import pathlib
import signal
import sys
import time
import warnings

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from gradcheck_cases import CASES  # noqa: E402

TOO_LONG = 20  # CPU seconds for one case; then a checker is taken to have given up


class NotExpressible(Exception):
    """The checker has no way to say this."""


class GaveUp(Exception):
    """It took too long."""


# ================================================================ cases as plain functions


class Plain:
    """A case as ``f(*arrays)`` and ``vjp(gy, *arrays)`` -> a gradient for each, over float64 arrays only."""

    def __init__(self, case):
        subject, inputs, keywords = case.make()
        self.jvp = None
        if all(hasattr(subject, name) for name in ("params", "loss", "gradient")):
            self._network(subject, inputs)
        elif hasattr(subject, "forward"):
            self._layer(subject, inputs)
        else:
            self._function(subject, inputs, keywords)

    def _inputs(self, inputs):
        """Float inputs become arguments; the others stay where they are."""
        wide = [np.asarray(x) for x in inputs]
        self.places = [i for i, x in enumerate(wide) if x.dtype.kind == "f"]
        self.arrays = [np.array(wide[i], dtype=float) for i in self.places]

        def all_inputs(arrays):
            full = list(inputs)
            for i, array in zip(self.places, arrays, strict=False):
                full[i] = array
            return full

        return all_inputs

    def _function(self, f, inputs, keywords):
        full = self._inputs(inputs)
        vjp, grad, jvp = (keywords.get(name) for name in ("vjp", "grad", "jvp"))

        def forward(*arrays):
            np.random.seed(0)
            return f(*full(arrays))

        def backward(gy, *arrays):
            np.random.seed(0)
            found = vjp(gy, *full(arrays)) if vjp is not None else grad(*full(arrays)) if callable(grad) else grad
            found = found if isinstance(found, tuple) else (found,)
            found = [found[i] for i in self.places]
            return found if vjp is not None else [np.asarray(g) * gy for g in found]

        self.f = forward
        self.vjp = backward if vjp is not None or grad is not None else None
        if jvp is not None:
            self.jvp = lambda v, *arrays: jvp(v, *full(arrays))

    def _layer(self, layer, inputs):
        full = self._inputs(inputs)
        count = len(self.arrays)
        names = [(k, "d" + k) for k in ("W", "b", "gamma", "beta") if hasattr(layer, k)]
        held = getattr(layer, "params", None)
        keys = [] if held is None else list(held) if isinstance(held, dict) else range(len(held))
        own = [getattr(layer, k) for k, _ in names] + [held[k] for k in keys]
        self.arrays += [np.array(p, dtype=float) for p in own]

        def forward(*arrays):
            np.random.seed(0)
            for p, given in zip(own, arrays[count:], strict=True):
                p[...] = given
            return layer.forward(*full(arrays[:count]))

        def backward(gy, *arrays):
            forward(*arrays)
            found = layer.backward(gy)
            found = list(found) if isinstance(found, tuple) else [found]
            grads = [getattr(layer, d) for _, d in names] + [layer.grads[k] for k in keys]
            return [found[i] for i in self.places] + grads

        self.f, self.vjp = forward, backward

    def _network(self, network, inputs):
        own = network.params
        self.arrays = [np.array(p, dtype=float) for p in own.values()]
        flag = {"train_flg": True} if "train_flg" in inspect.signature(network.loss).parameters else {}

        def place(arrays):
            np.random.seed(0)
            for p, given in zip(own.values(), arrays, strict=True):
                p[...] = given

        def forward(*arrays):
            place(arrays)
            return network.loss(*inputs, **flag)

        def backward(gy, *arrays):
            place(arrays)
            found = network.gradient(*inputs)
            return [found[k] * gy for k in own]

        self.f, self.vjp = forward, backward


# ================================================================ the checkers: content or not


def badak(case):
    import badak as bd

    subject, inputs, keywords = case.make()
    return bd.gradcheck(subject, *inputs, **keywords).ok


def torch_gradcheck(case, fast):
    import torch

    plain = Plain(case)
    torch.manual_seed(0)

    def array(tensor):
        return tensor.detach().numpy()

    def tensor(value):
        return torch.from_numpy(np.array(value, dtype=float)) if value is not None else None

    def shaped(value):
        value = np.asarray(value)
        return torch.from_numpy(value.copy()) if value.dtype.kind in "fc" else torch.as_tensor(value)

    class Wrapped(torch.autograd.Function):
        @staticmethod
        def forward(*tensors):
            return tensor(plain.f(*map(array, tensors)))

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx, gy):
            gy = array(gy)
            found = plain.vjp(gy if gy.ndim else float(gy), *map(array, ctx.saved_tensors))
            return tuple(None if g is None else shaped(g) for g in found)

        @staticmethod
        def jvp(ctx, *tangents):
            return shaped(plain.jvp(*map(array, tangents), *map(array, ctx.saved_tensors)))

    tensors = [torch.from_numpy(a).requires_grad_() for a in plain.arrays]
    try:
        return torch.autograd.gradcheck(
            Wrapped.apply,
            tensors,
            fast_mode=fast,
            check_forward_ad=plain.jvp is not None,
            check_backward_ad=plain.vjp is not None,
        )
    except GaveUp:
        raise
    except Exception:
        return False


def jax_check_grads(case):
    import jax
    from jax.test_util import check_grads

    jax.config.update("jax_enable_x64", True)
    jax.clear_caches()  # it would keep the compiled functions of all cases
    plain = Plain(case)
    y = np.asarray(plain.f(*(a.copy() for a in plain.arrays)))
    out = jax.ShapeDtypeStruct(y.shape, np.float64)
    like = tuple(jax.ShapeDtypeStruct(a.shape, np.float64) for a in plain.arrays)

    def on_numpy(function, keep=False):
        def called(*arrays):
            found = function(*(np.array(a) for a in arrays))
            return [np.asarray(g) for g in found] if keep else np.asarray(found, dtype=float)

        return called

    def run(*arrays):
        return jax.pure_callback(on_numpy(plain.f), out, *arrays)

    def pull(arrays, gy):
        return tuple(jax.pure_callback(on_numpy(lambda *a: tuple(plain.vjp(*a)), keep=True), list(like), gy, *arrays))

    if plain.vjp is not None:
        f = jax.custom_vjp(run)
        f.defvjp(lambda *arrays: (run(*arrays), arrays), pull)
        mode = "rev"
    else:
        f = jax.custom_jvp(run)

        @f.defjvp
        def push(arrays, tangents):
            # a callback has no transpose, but forward mode does not need one
            slope = jax.pure_callback(on_numpy(plain.jvp), out, *tangents, *arrays)
            return run(*arrays), slope

        mode = "fwd"
    try:
        check_grads(f, tuple(plain.arrays), order=1, modes=[mode])
    except GaveUp:
        raise
    except Exception:
        return False
    return True


def one_hot_jacobian(plain, y):
    """The analytic Jacobian of each argument, a row for each number of the output."""
    rows = [[] for _ in plain.arrays]
    for i in range(y.size):
        gy = np.zeros(y.size)
        gy[i] = 1
        gy = gy.reshape(y.shape) if y.ndim else 1.0
        for row, g, array in zip(rows, plain.vjp(gy, *(a.copy() for a in plain.arrays)), plain.arrays, strict=True):
            if np.shape(g) != array.shape:
                raise ValueError("shape")
            row.append(np.ravel(g))
    return [np.array(row) for row in rows]


def numdifftools(case):
    """Its Jacobian and np.testing.assert_allclose with rtol 1e-6 and 1e-9 absolute."""
    import numdifftools as nd

    plain = Plain(case)
    y = np.asarray(plain.f(*(a.copy() for a in plain.arrays)), dtype=float)
    if plain.vjp is None:
        raise NotExpressible
    for k, (array, analytic) in enumerate(zip(plain.arrays, one_hot_jacobian(plain, y), strict=True)):

        def flat(v, k=k, array=array):
            arrays = [a.copy() for a in plain.arrays]
            arrays[k] = v.reshape(array.shape)
            return np.array(plain.f(*arrays), dtype=float).reshape(-1)

        numeric = nd.Jacobian(flat)(array.reshape(-1)).reshape(y.size, array.size)
        if not np.allclose(analytic, numeric, rtol=1e-6, atol=1e-9):
            return False
    return True


def differences(plain, h):
    """(analytic, numeric) for each argument: central differences of sum(gy f), in place, as in both courses."""
    rng = np.random.RandomState(231)
    arrays = [a.copy() for a in plain.arrays]
    y = np.array(plain.f(*arrays), dtype=float)
    gy = rng.standard_normal(y.shape) if y.ndim else 1.0
    for array, analytic in zip(arrays, plain.vjp(np.copy(gy) if y.ndim else 1.0, *arrays), strict=True):
        numeric = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] = kept + h
            above = np.sum(gy * np.asarray(plain.f(*arrays)))
            array[index] = kept - h
            below = np.sum(gy * np.asarray(plain.f(*arrays)))
            array[index] = kept
            numeric[index] = (above - below) / (2 * h)
        yield np.asarray(analytic), numeric


def cs231n(case):
    """Stanford's rule: h = 1e-5, |a - n| / max(1e-8, |a| + |n|) at most 1e-4 for each element."""
    plain = Plain(case)
    if plain.vjp is None:
        raise NotExpressible
    for analytic, numeric in differences(plain, 1e-5):
        if analytic.shape != numeric.shape:
            return False
        error = np.abs(analytic - numeric) / np.maximum(1e-8, np.abs(analytic) + np.abs(numeric))
        if not np.all(error <= 1e-4):
            return False
    return True


def book(case):
    """The book: h = 1e-4, the mean of |a - n| of each parameter, here at most 1e-6."""
    plain = Plain(case)
    if plain.vjp is None:
        raise NotExpressible
    return all(np.mean(np.abs(analytic - numeric)) <= 1e-6 for analytic, numeric in differences(plain, 1e-4))


CHECKERS = {
    "badak": badak,
    "torch-slow": functools.partial(torch_gradcheck, fast=False),
    "torch-fast": functools.partial(torch_gradcheck, fast=True),
    "jax": jax_check_grads,
    "numdifftools": numdifftools,
    "cs231n": cs231n,
    "book": book,
}
SHOWN = {
    "badak": "**badak** `bd.gradcheck`",
    "torch-slow": "PyTorch `gradcheck`",
    "torch-fast": "PyTorch `gradcheck(fast_mode=True)`",
    "jax": "JAX `check_grads`",
    "numdifftools": "numdifftools + `allclose`",
    "cs231n": "CS231n's rule, 1e-4",
    "book": "the book's mean difference, 1e-6",
}

# ================================================================ the comparison


KINDS = {"wrong": True, "right": False, "noisy": False, "conduct": True, "empty": True}  # and the answer that is bad


def kind_of(case):
    """A key of KINDS; None where several answers are acceptable."""
    if case.right or case.noisy:
        return "noisy" if case.noisy else None if case.may else "right"
    if case.expect <= {"VACUOUS", "DISCONTINUOUS"}:
        return "empty"
    if case.values_right:
        return "conduct" if case.conduct else None
    return None if case.invisible else "wrong"


@contextlib.contextmanager
def limit(seconds):
    def ring(*_):
        raise GaveUp

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def verdict(checker, case):
    """(True: content, False: not content, "": cannot be expressed, None: gave up; CPU seconds)."""
    began = time.process_time()
    try:
        with limit(TOO_LONG), warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            content = bool(checker(case))
    except NotExpressible:
        content = ""
    except GaveUp:
        content = None
    except Exception:  # the checked code, or the checker, broke down over it: that is noticed
        content = False
    return content, time.process_time() - began


def compare(names, anew, cases, kept):
    """Verdicts of each checker by case; those of earlier runs are in the file `kept`, but for the checkers `anew`."""
    results = json.loads(kept.read_text()) if kept and kept.exists() else {}
    for name in names:
        known = {} if name in anew else results.get(name, {})
        missing = [case for case in cases if case.name not in known]
        if missing:
            verdict(CHECKERS[name], CASES[0])  # imports and compilers are not timed
        for case in missing:
            known[case.name] = verdict(CHECKERS[name], case)
        results[name] = known
        print(f"{name}: {len(missing)} cases, {sum(known[c.name][1] for c in cases):.1f} s for all", file=sys.stderr)
        if kept:
            kept.parent.mkdir(exist_ok=True)
            kept.write_text(json.dumps(results))
    return {name: results[name] for name in CHECKERS if {c.name for c in cases} <= set(results.get(name, ()))}


def table(results, cases):
    kinds = {kind: [c.name for c in cases if kind_of(c) == kind] for kind in KINDS}
    head = [
        "checker",
        f"wrong gradients missed, of {len(kinds['wrong'])}",
        f"right gradients flagged, of {len(kinds['right'])}",
        f"right behind noise, not accepted, of {len(kinds['noisy'])}",
        f"conduct missed, of {len(kinds['conduct'])}",
        f"content where nothing was shown, of {len(kinds['empty'])}",
        "gave up or cannot say",
        "CPU seconds, all cases",
    ]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for name, verdicts in results.items():

        def count(kind, content, verdicts=verdicts):
            return sum(verdicts[case][0] is content for case in kinds[kind])

        verdicts = {case.name: verdicts[case.name] for case in cases}
        unsaid = sum(content is None or content == "" for content, _ in verdicts.values())
        seconds = [s for _, s in verdicts.values()]
        row = [SHOWN[name], count("wrong", True), count("right", False), count("noisy", False)]
        row += [
            count("conduct", True),
            count("empty", True),
            unsaid,
            f"{sum(seconds):.0f} s",
        ]
        lines.append("| " + " | ".join(map(str, row)) + " |")
    return "\n".join(lines)


def versions():
    found = [f"NumPy {np.__version__}"]
    for name in ("badak", "torch", "jax", "numdifftools"):
        with contextlib.suppress(ImportError):
            found.append(f"{name} {__import__(name).__version__}")
    return ", ".join(found)


def list_misses(results, cases):
    for name, verdicts in results.items():
        print(f"\n{name}")
        for case in cases:
            content, _ = verdicts[case.name]
            if kind_of(case) in KINDS and content is KINDS[kind_of(case)]:
                print(f"  {kind_of(case)}: {case.name}")
            elif content is None or content == "":
                print(f"  {'gave up' if content is None else 'cannot be expressed'}: {case.name}")


ABOUT = """# Gradient checkers side by side

Generated by `python benchmarks/gradcheck_vs.py --write`: the cases of `tests/gradcheck_cases.py` ({count} of them)
through badak's checker and others. One core, {versions}.

{table}

{missing}\
- *Wrong gradients missed*: the gradient has a bug and the checker was content. *Right gradients flagged*: smooth,
  or at a kink by a subgradient, and it was not. *Behind noise*: the function's own rounding hides its slope (badak says
  UNRESOLVED, not FAIL). *Conduct missed*: right values, but the code changes
  its arguments, draws random numbers or remembers earlier calls, and it was content. *Content where nothing was shown*:
  both gradients are 0 everywhere, or the function jumps there.
- Each is used as documented, in float64 with its defaults: PyTorch eps 1e-6, atol 1e-5, rtol 1e-3; JAX order 1 with its
  tolerances for float64; numdifftools' Jacobian with rtol 1e-6, atol 1e-9; CS231n's relative error with h = 1e-5, at
  most 1e-4; the book's mean absolute difference with h = 1e-4, at most 1e-6, over random upstream gradients. NumPy
  functions are wrapped as `torch.autograd.Function` and as `jax.custom_vjp` around `pure_callback`; an exception counts
  as not content. Layers and networks are given to the others as functions of their parameters, with `np.random` seeded
  before each call. PyTorch sums a gradient that has a batch axis too many and casts one of another dtype before it
  compares; we count both as bugs.
- *Gave up*: more than {limit} s of CPU for one case. *Cannot say*: forward mode in checkers that only know gradients.
- The cases were written for badak's tests, so that badak's own figure shows that it does what it promises and no more;
  the others' show what their rules leave open. Add a case, and every checker is asked.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=CHECKERS, default=list(CHECKERS), help="run these, show all")
    parser.add_argument("--anew", nargs="*", choices=CHECKERS, default=[], help="run all cases of these again")
    parser.add_argument("--cases", default="", help="only those whose name contains this")
    parser.add_argument("--list", action="store_true", help="name every case that went wrong")
    parser.add_argument("--write", action="store_true", help="write docs/gradcheck_vs.md")
    options = parser.parse_args()
    np.seterr(all="ignore")
    cases = [copy.copy(case) for case in CASES if options.cases in case.name]
    kept = None if options.cases else HERE / "results" / "gradcheck_vs.json"
    results = compare(options.only, options.anew, cases, kept)
    text = table(results, cases)
    print(text)
    if options.list:
        list_misses(results, cases)
    if options.write:
        missing = ", ".join(shown for name, shown in SHOWN.items() if name not in results)
        missing = f"Not run for this table: {missing}.\n\n" if missing else ""
        about = ABOUT.format(count=len(cases), versions=versions(), table=text, missing=missing, limit=TOO_LONG)
        (HERE.parent / "docs" / "gradcheck_vs.md").write_text(about)


if __name__ == "__main__":
    main()
