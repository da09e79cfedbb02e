"""All works with one number of threads, in a process of its own: a line of JSON after each. bench.py starts it."""

import argparse
import json
import sys
from pathlib import Path

import machine


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--scratch", type=Path, help="folder of what the processes of a run share")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", metavar="TEXT")
    parser.add_argument("--against", nargs="+", metavar="TEXT")
    return parser.parse_args()


def tell(**record):
    print(json.dumps(record), flush=True)


def main():
    args = arguments()
    bound = machine.use_threads(args.threads)

    # only now: these import what reads the number of threads
    import check
    import contestants
    import race
    import works

    check.scratch = args.scratch
    here, absent = contestants.present(args.against, args.quick)
    threads = machine.set_and_verify_threads(args.threads)
    peak = machine.Peak(args.threads)
    pace = race.QUICK if args.quick else race.FULL
    tell(
        about="run",
        threads=args.threads,
        verified=threads,
        bound=bound,
        absent=absent,
        packages=sorted({package for one in here for package in one.packages}),
        peak_how=peak.how,
    )
    for work in works.WORKS:
        if (args.quick and not work.quick) or (args.only and not any(text in work.name for text in args.only)):
            continue
        print(f"{args.threads} thread(s): {work.title} ...", file=sys.stderr, flush=True)
        entries, errors, failed = work.entries(here, args.threads, args.quick)
        if "badak" not in errors:
            tell(about="work", name=work.name, title=work.title, failed=failed)
            continue
        machine.set_and_verify_threads(args.threads)
        peak.ask()
        times = race.race(entries, pace)
        tell(
            about="work",
            name=work.name,
            title=work.title,
            flops=work.flops,
            peak=peak.rates[-1],
            rounds=times.rounds,
            single=times.single,
            cores=times.cores,
            peers=[entry.name for entry in entries if entry.peer],
            errors=errors,
            failed=failed | times.failed,
        )


if __name__ == "__main__":
    main()
