"""The book's scripts and notebooks, each in NumPy and on badak: do they agree, and how long does each take?

    python tests/book_scripts.py REPO [--only PART ...] [--max-steps N] [--timeout SECONDS] [--seed N]

REPO is a checkout of one of the book's public repositories. It is not changed: every script runs in a copy of its own,
in a process of its own, once with the repository's ``common`` and once with badak's. MNIST comes from badak in both.
What is compared: all that a script prints, and the numbers among its global variables at the end (losses, accuracies,
the parameters of networks), of a ``Trainer`` too. The exit code is 1 if a script that runs in NumPy fails on badak, or
the two disagree.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np

# How far two numbers may be apart: atol + rtol * the larger of this number and the largest of its array.
TOLERANCE = (1e-6, 1e-9)
TOLERANCES = {
    # prints differences of gradients, which are nothing but rounding
    "gradient_check": (0.0, 1e-6),
}
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|\bnan\b|-?\binf\b")
LARGEST = 500_000  # elements of an array that is recorded


# ---- one run, in a process of its own ----


def child(side, script, out, seed, max_steps):
    from badak import book
    from badak.book._cap import Cap
    from badak.book._modules import contents

    cap = Cap(max_steps) if max_steps else None
    os.environ["BADAK_BOOK_MAX_STEPS"] = str(max_steps or "")
    if side == "numpy":
        served = {name: fill for name, fill in contents().items() if name.startswith("dataset")}
        sys.meta_path.insert(0, book.BookFinder(served))
        if cap:
            cap_trainer(cap, script.parents[1])

    if b"matplotlib" in script.read_bytes():
        import matplotlib.pyplot  # noqa: F401  its import is not what is timed

    names, error = {}, None
    np.random.seed(seed)
    start = time.perf_counter()
    try:
        if script.suffix == ".ipynb":
            names = run_notebook(side, script, cap)
        elif side == "badak":
            names = book.run(script, max_steps=max_steps)
        else:
            names = book.execute(script, cap=cap)
    except SystemExit:
        pass
    except BaseException as caught:
        traceback.print_exc()
        where = traceback.extract_tb(caught.__traceback__)[-1]
        error = f"{type(caught).__name__}: {caught} ({Path(where.filename).name}:{where.lineno})"
    seconds = time.perf_counter() - start
    sys.stdout.flush()
    np.savez(out / "numbers.npz", **dict(record(names)))
    (out / "run.json").write_text(json.dumps({"seconds": seconds, "error": error}))


def cap_trainer(cap, repo):
    """Cut the repository's own Trainer short."""
    sys.path.insert(0, str(repo))
    try:
        from common import trainer
    except ImportError:
        return
    finally:
        sys.path.pop(0)
    trainer.Trainer = cap.trainer(trainer.Trainer)


def run_notebook(side, notebook, cap):
    from IPython.core.interactiveshell import InteractiveShell

    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    os.chdir(notebook.parent)
    sys.path.insert(0, "")
    shell = InteractiveShell.instance()
    if side == "badak":
        shell.extension_manager.load_extension("badak.book")
    elif cap:
        shell.ast_transformers.append(cap)
        shell.push({cap.name: cap}, interactive=False)
    for cell in cells:
        if cell["cell_type"] == "code":
            shell.run_cell("".join(cell["source"])).raise_error()
    return {name: value for name, value in shell.user_ns.items() if name not in shell.user_ns_hidden}


def record(names):
    """The numbers among variables: pairs of a name and an array."""
    for name, value in names.items():
        if not name.startswith("_") and name not in ("In", "Out"):
            yield from numbers_in(name, value, depth=0)


def numbers_in(name, value, depth):
    if depth > 3 or isinstance(value, (str, bytes, type)):
        return
    if isinstance(value, dict):
        for key, part in value.items():
            yield from numbers_in(f"{name}.{key}", part, depth + 1)
    elif isinstance(value, (int, float, list, tuple, np.ndarray, np.generic)):
        try:
            array = np.asarray(value)
        except ValueError:  # rows of several lengths
            array = np.empty(0, object)
        if array.dtype.kind in "fiu" and array.size <= LARGEST:
            yield name.replace("/", "|"), array
        elif isinstance(value, (list, tuple)) and len(value) < 100:
            for i, part in enumerate(value):
                yield from numbers_in(f"{name}.{i}", part, depth + 1)
    elif isinstance(getattr(value, "params", None), dict) and hasattr(value, "predict"):  # a network
        yield from numbers_in(f"{name}.params", value.params, depth + 1)
    elif hasattr(value, "train_loss_list"):  # a Trainer
        for part in ("train_loss_list", "train_acc_list", "test_acc_list"):
            yield from numbers_in(f"{name}.{part}", getattr(value, part), depth + 1)


# ---- both runs of a script, compared ----


def run(side, repo, script, options):
    """Run a script of the repository in a copy of it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "book")
        shutil.copytree(repo, copy, ignore=shutil.ignore_patterns(".git", "__pycache__"))
        command = [sys.executable, os.path.abspath(__file__), str(copy / script), "--child", side, "--out", folder]
        command += ["--seed", str(options.seed)]
        if options.max_steps:
            command += ["--max-steps", str(options.max_steps)]
        env = os.environ | {
            "MPLBACKEND": "Agg",
            "IPYTHONDIR": folder,
            "PYTHONIOENCODING": "utf-8",
            "PYTHONWARNINGS": "ignore",
        }
        try:
            done = subprocess.run(command, capture_output=True, env=env, timeout=options.timeout, encoding="utf-8")
        except subprocess.TimeoutExpired:
            return {"error": f"longer than {options.timeout:g} s", "seconds": options.timeout}
        if not Path(folder, "run.json").exists():
            return {"error": f"exit code {done.returncode}: {done.stderr[-300:]}", "seconds": 0.0, "crash": True}
        result = json.loads(Path(folder, "run.json").read_text())
        with np.load(Path(folder, "numbers.npz")) as file:
            result["numbers"] = dict(file)
        result["printed"] = done.stdout.replace(str(copy), "")
        if options.verbose:
            print(f"--- {side}\n{done.stdout}{done.stderr}")
        return result


def compare(script, mine, theirs):
    """The worst difference, in units of what is allowed, and what disagrees."""
    rtol, atol = next((tol for part, tol in TOLERANCES.items() if part in str(script)), TOLERANCE)
    complaints, worst = [], 0.0

    def close(name, a, b):
        nonlocal worst
        if a.shape != b.shape:
            complaints.append(f"{name}: shape {a.shape}, in NumPy {b.shape}")
            return
        a, b = a.astype(float), b.astype(float)
        finite = np.isfinite(b)
        if not np.array_equal(np.where(finite, 0, a), np.where(finite, 0, b), equal_nan=True):
            complaints.append(f"{name}: not finite at other places")
            return
        a, b = a[finite], b[finite]
        if a.size == 0:
            return
        allowed = atol + rtol * np.abs(b).max()
        ratio = (np.abs(a - b) / allowed).max()
        worst = max(worst, ratio)
        if ratio > 1:
            complaints.append(f"{name}: apart by {np.abs(a - b).max():.2g}, of {np.abs(b).max():.3g}")

    for name in sorted(set(theirs["numbers"]) ^ set(mine["numbers"])):
        complaints.append(f"{name}: only {'in NumPy' if name in theirs['numbers'] else 'on badak'}")
    for name in sorted(set(theirs["numbers"]) & set(mine["numbers"])):
        close(name, mine["numbers"][name], theirs["numbers"][name])

    texts = [" ".join(re.sub(r"at 0x[0-9A-Fa-f]+", "", side["printed"]).split()) for side in (mine, theirs)]
    words = [re.sub(r"\s+", "", NUMBER.sub("#", text)) for text in texts]
    if words[0] != words[1]:
        complaints.append("the printed words differ")
    else:
        for a, b in zip(*(NUMBER.findall(text) for text in texts), strict=True):
            close("printed", np.array([float(a)]), np.array([float(b)]))
    return worst, list(dict.fromkeys(complaints))


def judge(repo, script, options):
    """One line of the table, and whether it is bad news."""
    theirs = run("numpy", repo, script, options)
    mine = run("badak", repo, script, options)
    detail, bad = "", False
    if mine["error"]:
        verdict, detail = ("BOTH FAIL" if theirs["error"] else "FAILS"), mine["error"]
        bad = not theirs["error"] or "crash" in mine
    elif theirs["error"]:
        verdict, detail = "ONLY HERE", "in NumPy: " + theirs["error"]
    else:
        worst, complaints = compare(script, mine, theirs)
        verdict, bad = ("DIFFERS" if complaints else "agrees"), bool(complaints)
        detail = "; ".join(complaints[:4]) or f"{worst:.1e} of the tolerance, {len(mine['numbers'])} variables"
    times = f"{theirs['seconds']:8.2f} {mine['seconds']:8.2f}"
    return f"{script!s:44} {verdict:10} {times}  {' '.join(detail.split())[:300]}", bad


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repo", type=Path)
    parser.add_argument("--only", nargs="+", default=[""], metavar="PART", help="scripts with this in their path")
    parser.add_argument("--max-steps", type=int, metavar="N", help="cut training loops short after N steps")
    parser.add_argument("--timeout", type=float, default=600, metavar="SECONDS", help="for each run (default: 600)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="show what the scripts print")
    parser.add_argument("--child", choices=["numpy", "badak"], help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        sys.path.pop(0)  # this file's folder: the script finds its own
        child(options.child, options.repo, options.out, options.seed, options.max_steps)
        return 0

    repo = options.repo.resolve()
    scripts = sorted(
        path.relative_to(repo)
        for path in repo.rglob("*")
        if path.suffix in (".py", ".ipynb") and path.relative_to(repo).parts[0] not in ("common", "dataset", ".git")
    )
    scripts = [script for script in scripts if any(part in script.as_posix() for part in options.only)]
    print(f"{'script':44} {'verdict':10} {'NumPy s':>8} {'badak s':>8}")
    failures = 0
    for script in scripts:
        line, bad = judge(repo, script, options)
        print(line, flush=True)
        failures += bad
    print(f"{len(scripts)} scripts, {failures} that fail or differ")
    return 1 if failures or not scripts else 0


if __name__ == "__main__":
    sys.exit(main())
