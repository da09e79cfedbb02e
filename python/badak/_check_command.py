"""``badak check FILES:OBJECT``: one row for each student's file, each file in a process of its own.

Whatever a file does (hang, crash, exit, print, fail to import) is a row of the table, not the end of it.
"""

import csv
import glob
import json
import os
import secrets
import subprocess
import sys
import tempfile

COLUMNS = ("file", "object", "verdict", "status", "conduct", "says")


def run(patterns, like, timeout, as_csv, out):
    """Check every file and write a table. Returns the exit code: 0 if all are right, 1 if not, 2 if there are none."""
    targets = [target for pattern in patterns for target in _targets(pattern)]
    if not targets:
        print(f"badak check: no file fits {' '.join(patterns)}", file=sys.stderr)
        return 2
    rows = []
    writer = csv.writer(out, lineterminator="\n") if as_csv else None
    if as_csv:
        writer.writerow(COLUMNS)
    for path, name in targets:
        row = check_one(path, name, like, timeout)
        rows.append(row)
        if as_csv:
            writer.writerow(row)
            out.flush()
    if not as_csv:
        _write_table(rows, out)
    return 0 if all(row[2] == "ok" for row in rows) else 1


def _targets(pattern):
    """(file, object) pairs for FILES:OBJECT, where FILES may hold wildcards."""
    files, colon, name = pattern.rpartition(":")
    if not colon or not name.isidentifier():
        raise ValueError(f"{pattern!r}: expected FILES:OBJECT, such as 'students/*.py:Affine'")
    return [(path, name) for path in sorted(glob.glob(files)) or ([files] if os.path.exists(files) else [])]


def check_one(path, name, like, timeout):
    """The row of one file."""
    with tempfile.TemporaryDirectory() as folder:
        answer = os.path.join(folder, "answer.json")
        command = [sys.executable, "-m", "badak._check_one", path, name, like or ""]
        secret = secrets.token_hex(16)  # what the file itself might write down is no answer
        told = f"{answer}\n{secret}\n".encode()
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=timeout, input=told, env=_environment(), check=False
            )
        except subprocess.TimeoutExpired:
            return (path, name, "timeout", "", "", f"took longer than {timeout:g} s")
        try:
            with open(answer, encoding="utf-8") as file:
                found = json.load(file)
            if found["secret"] != secret:
                raise ValueError
            return (path, name, *(str(found[key]) for key in COLUMNS[2:]))
        except (OSError, ValueError, KeyError, TypeError):
            return (path, name, "crashed", "", "", _last_line(done))


def _environment():
    """With a path by which the new process finds the package, wherever it lies."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH", "")]))
    return os.environ | {"PYTHONPATH": path, "BADAK_NUM_THREADS": "1", "MPLBACKEND": "Agg"}


def _last_line(done):
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    if done.returncode < 0:
        return f"killed by signal {-done.returncode}"
    return f"exit code {done.returncode}" + (f": {lines[-1][:200]}" if lines else "")


def _write_table(rows, out):
    shown = [[os.path.basename(path), *rest] for path, *rest in rows]
    table = [list(COLUMNS), *shown]
    widths = [max(len(row[i]) for row in table) for i in range(len(COLUMNS) - 1)]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)]
        print("  ".join([*cells, row[-1][:200]]).rstrip(), file=out)
    right = sum(row[2] == "ok" for row in rows)
    print(f"{right} of {len(rows)} ok", file=out)
