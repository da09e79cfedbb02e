"""The process that checks one student's file for ``badak check``: arguments FILE OBJECT LIKE.

Standard input says where the answer goes, and a secret that makes it ours.
"""

import contextlib
import importlib.util
import inspect
import io
import json
import os
import sys

import numpy as np

import badak as bd

# What a class like one of badak's is made from, and what it is fed.
LIKE = {
    "Affine": (lambda r: (r.standard_normal((4, 4)), r.standard_normal(4)), lambda r: (r.standard_normal((3, 4)),)),
    "Relu": (lambda r: (), lambda r: (r.standard_normal((3, 5)),)),
    "Sigmoid": (lambda r: (), lambda r: (r.standard_normal((3, 5)),)),
    "Tanh": (lambda r: (), lambda r: (r.standard_normal((3, 5)),)),
    "Dropout": (lambda r: (0.5,), lambda r: (r.standard_normal((4, 5)),)),
    "BatchNormalization": (
        lambda r: (r.uniform(0.5, 1.5, 4), r.standard_normal(4)),
        lambda r: (r.standard_normal((6, 4)),),
    ),
    "Convolution": (
        lambda r: (r.standard_normal((3, 2, 3, 3)), r.standard_normal(3), 2, 1),
        lambda r: (r.standard_normal((2, 2, 5, 5)),),
    ),
    "Pooling": (lambda r: (2, 2, 2), lambda r: (r.standard_normal((2, 2, 4, 4)),)),
    "SoftmaxWithLoss": (lambda r: (), lambda r: (r.standard_normal((4, 3)), np.array([0, 2, 1, 1]))),
    "MulLayer": (lambda r: (), lambda r: (r.standard_normal((2, 3)), r.standard_normal((2, 3)))),
    "AddLayer": (lambda r: (), lambda r: (r.standard_normal((2, 3)), r.standard_normal((2, 3)))),
}


def main(path, name, like):
    """Check one file and write what was found as JSON."""
    answer, secret = sys.stdin.read().splitlines()
    sys.argv = [path]
    found = {"verdict": "error", "status": "", "conduct": "", "says": ""}
    try:
        with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")):
            found |= _check(path, name, like or name)
    except SystemExit as error:
        found["says"] = f"the file calls exit ({error})"
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a student's file raises is a row of the table
        found["says"] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    with open(answer, "w", encoding="utf-8") as file:
        json.dump(found | {"secret": secret}, file)


def _check(path, name, like):
    if like not in LIKE:
        raise ValueError(f"--like {like}: expected one of {', '.join(LIKE)}")
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    spec = importlib.util.spec_from_file_location("student", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["student"] = module
    spec.loader.exec_module(module)
    thing = getattr(module, name, None)
    if thing is None:
        raise AttributeError(f"there is no {name} in this file")
    arguments, inputs = LIKE[like]
    rng = np.random.default_rng(8)
    made = arguments(rng)
    layer = thing(*made) if inspect.isclass(thing) else thing
    given = inputs(rng)
    report = bd.gradcheck(layer, *given, allow={"MUTATED_GY"} if like == "Relu" else ())
    says = next((f"{e.name}: {e.diagnosis}" for e in report.entries if not e.ok and e.diagnosis), "")
    verdict = "ok" if report.ok else "WRONG"
    if report.ok and like not in ("Dropout",) and hasattr(bd, like):
        side = bd.compare(layer, getattr(bd, like)(*made), *given)
        if not side.rows[0].ok:
            verdict = "WRONG"
            says = f"forward differs from {like}'s: {side.rows[0].mine:.6g} at {list(side.rows[0].where or ())}, "
            says += f"expected {side.rows[0].reference:.6g}"
    conduct = ", ".join(sorted({finding.split(":")[0] for finding in report.conduct}))
    return {"verdict": verdict, "status": report.status, "conduct": conduct, "says": str(says)}


if __name__ == "__main__":
    main(*sys.argv[1:])
