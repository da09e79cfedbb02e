"""badak beside its peers: every work with one and with two threads, what must be reached, tables and charts.

    python benchmarks/bench.py                          # all, half an hour; prints a table
    python benchmarks/bench.py --quick --out results    # the works with a target, two minutes; writes into it
    python benchmarks/bench.py --only step-Simple --against torch jax --threads 1

Writes bench.md, bench.json and charts as PNG files.
"""

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import machine
import report
import targets
import whole_process

HERE = Path(__file__).parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder to write into")
    parser.add_argument("--quick", action="store_true", help="fewer works and rounds, and no torch.compile")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads (default: 1 2)")
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="works whose name has one of these")
    parser.add_argument("--against", nargs="+", metavar="TEXT", help="contestants whose name has one of these")
    return parser.parse_args()


def timed_run(threads, scratch, args):
    """What one process has told: (the facts of the run, a list of works, how it ended if not well)."""
    command = [sys.executable, str(HERE / "timed_run.py"), "--threads", str(threads), "--scratch", scratch]
    command += ["--quick"] if args.quick else []
    for option in ("only", "against"):
        if getattr(args, option):
            command += [f"--{option}", *getattr(args, option)]
    about, works = {"threads": threads}, []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if not line.startswith("{"):
                continue  # a library has something to say
            record = json.loads(line)
            if record.pop("about") == "run":
                about = record
            else:
                works.append(record)
    ended = "" if process.returncode == 0 else f"the process with {threads} threads ended early ({process.returncode})"
    return about, works, ended


def whole_processes(args):
    """Import, memory and wheel: they do not depend on the number of threads."""
    if args.only and not any("process" in text for text in args.only):
        return {}
    print("imports, memory ...", file=sys.stderr, flush=True)
    imports, no_import = whole_process.import_times(4 if args.quick else 15)
    memory, no_memory = whole_process.peak_memory()
    code, data = whole_process.wheel_size()
    return {
        "import_ms": imports,
        "memory_bytes": memory,
        "wheel_bytes": {"code": code, "data": data},
        "missing": {f"import of {k}": v for k, v in no_import.items()}
        | {f"memory of {k}": v for k, v in no_memory.items()},
    }


def main():
    args = arguments()
    load = machine.load()
    processes = whole_processes(args)
    runs, troubles = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for threads in args.threads:
            about, works, ended = timed_run(threads, scratch, args)
            runs.append(about | {"works": works})
            troubles += [ended] if ended else []
    import badak

    packages = sorted({"badak", *(package for run in runs for package in run.get("packages", ()))})
    record = {
        "date": datetime.date.today().isoformat(),
        "quick": args.quick,
        "cpu": machine.cpu_name(),
        "isa": badak.cpu_info()["isa"],
        "versions": machine.versions(packages),
        "load": load,
        "troubles": troubles,
        "runs": runs,
        "processes": processes,
    }
    record["targets"] = targets.judged(record)
    text = report.markdown(record)
    print(text)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "bench.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        (args.out / "bench.md").write_text(text, encoding="utf-8")
        try:
            import charts
        except ImportError as error:
            print(f"no charts: {error}", file=sys.stderr)
        else:
            charts.draw(record, args.out)
    sys.exit(1 if troubles or not all(work.get("rounds") for run in runs for work in run["works"]) else 0)


if __name__ == "__main__":
    main()
