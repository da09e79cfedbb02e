"""Time badak beside its peers and write a table: ``python benchmarks/steps.py --out results/steps.md``."""

import argparse
import datetime
import json
import statistics
import sys
from pathlib import Path

import machine

LEAST_ROUNDS = 7
QUIET = 0.97  # share of its core below which a run counts as disturbed


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, help="Markdown file to write; a JSON file goes beside it")
    parser.add_argument("--rounds", type=int, default=51, help="how often each one is timed (default 51)")
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="works whose name has one of these")
    parser.add_argument("--against", nargs="+", metavar="TEXT", help="contestants whose name has one of these")
    args = parser.parse_args()
    if args.rounds < LEAST_ROUNDS:
        parser.error(f"--rounds must be at least {LEAST_ROUNDS}")
    return args


def summary(times):
    """From the times of all rounds: medians, and badak's share of each other's time, round by round."""
    mine = times["badak"]
    rows = {}
    for name, its in times.items():
        ratios = [a / b for a, b in zip(mine, its, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        rows[name] = {"median": statistics.median(its), "ratio": middle, "low": low, "high": high}
    return rows


def fastest_peer(rows):
    return min((name for name in rows if name != "badak"), key=lambda name: rows[name]["median"])


def microseconds(value):
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def overview(results):
    lines = [
        "| | badak | fastest other | its time | badak / it | quartiles |",
        "|---|--:|---|--:|--:|--:|",
    ]
    for title, rows in results.items():
        if len(rows) > 1:
            peer = fastest_peer(rows)
            its = rows[peer]
            lines.append(
                f"| {title} | {microseconds(rows['badak']['median'])} µs | {peer} | {microseconds(its['median'])} µs "
                f"| **{its['ratio']:.2f}** | {its['low']:.2f} to {its['high']:.2f} |"
            )
    return lines


def table(title, rows):
    lines = [f"## {title}", "", "| | median | badak / it | quartiles |", "|---|--:|--:|--:|"]
    for name, row in sorted(rows.items(), key=lambda item: item[1]["median"]):
        share = "| | |"
        if name != "badak":
            share = f"| {row['ratio']:.2f} | {row['low']:.2f} to {row['high']:.2f} |"
        lines.append(f"| {name} | {microseconds(row['median'])} µs {share}")
    return lines


def disturbances(core_share):
    """What must be said when the core was shared: short turns are then seldom interrupted, and look faster."""
    return [
        f"- **Disturbed**: {title}: something else had {1 - share:.0%} of the core. Run again when nothing else runs."
        for title, share in core_share.items()
        if share < QUIET
    ]


def markdown(facts, results):
    load = "unknown" if facts["load"] is None else f"{facts['load']:.2f}"
    lines = [
        "# badak beside its peers, one thread",
        "",
        f"- {facts['date']}, {facts['cpu']}; badak's kernels: {facts['isa']}",
        f"- {', '.join(f'{name} {version}' for name, version in facts['versions'].items())}",
        f"- {facts['rounds']} alternating rounds; one thread each, {facts['bound']}; load before: {load}",
        "- Time of one call: median of the rounds. Ratio: of the two times in each round; median and quartiles.",
        "- Before it was timed, each contestant's work was found equal to that of the NumPy reference.",
        *(f"- Left out: {name}: {reason}" for name, reason in facts["absent"].items()),
        *disturbances(facts["core_share"]),
        "",
        *overview(results),
    ]
    for title, rows in results.items():
        lines += ["", *table(title, rows)]
    return "\n".join(lines) + "\n"


def main():
    args = arguments()
    load = machine.load()
    bound = machine.use_one_thread()

    # only now: these import what reads the number of threads
    import race

    import badak

    works = [w for w in race.WORKS if not args.only or any(text in w.name for text in args.only)]
    if not works:
        sys.exit(f"no such work; there are {', '.join(w.name for w in race.WORKS)}")
    contestants, absent = race.present(args.against)
    pools = machine.thread_pools()
    if any(threads != 1 for _, threads in pools):
        sys.exit(f"no figures: more than one thread in {pools}")
    results = {}
    for work in works:
        print(f"{work.title} ...", file=sys.stderr, flush=True)
        try:
            results[work.title] = race.race(work, contestants, args.rounds)
        except race.DifferentWorkError as error:
            sys.exit(f"no figures: {error}")
    facts = {
        "date": datetime.date.today().isoformat(),
        "cpu": machine.cpu_name(),
        "isa": badak.cpu_info()["isa"],
        "versions": machine.versions([p for one in contestants for p in one.packages]),
        "rounds": args.rounds,
        "bound": "bound to one core" if bound else "not bound to a core",
        "load": load,
        "absent": absent,
        "core_share": {title: result.core_share for title, result in results.items()},
    }
    text = markdown(facts, {title: summary(result.times) for title, result in results.items()})
    print(text)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text, encoding="utf-8")
        record = {
            **facts,
            "microseconds": {title: result.times for title, result in results.items()},
            "errors": {title: result.errors for title, result in results.items()},
        }
        args.out.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
