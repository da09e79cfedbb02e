"""The figures as a Markdown text."""

import race
import targets

DISTURBED = 0.9  # of its threads' cores: with less, something else was running


def microseconds(value):
    if value >= 1e6:
        return f"{value / 1e6:.3g} s"
    if value >= 10_000:
        return f"{value / 1e3:.3g} ms"
    return f"{value:.3g} µs" if value < 100 else f"{value:.0f} µs"


def _number(row, value):
    return f"{value:.3g}{' ' + row['unit'] if row['unit'] else ''}"


def target_table(rows):
    lines = [
        "| what | threads | must be | aim beyond | measured | quartiles | against | |",
        "|---|--:|--:|--:|--:|--:|---|---|",
    ]
    for row in rows:
        sign = "≥" if row["at_least"] else "≤"
        aim = "" if row["aim"] is None else f"{sign} {_number(row, row['aim'])}"
        spread = "" if row["spread"] is None else "{:.3g} to {:.3g}".format(*row["spread"])
        reached = row["aim"] is not None and row["measured"] <= row["aim"]
        verdict = "**missed**" if not row["met"] else "met, and the aim" if reached else "met"
        lines.append(
            f"| {row['what']} | {row['threads'] or ''} | {sign} {_number(row, row['must'])} | {aim} "
            f"| **{_number(row, row['measured'])}** | {spread} | {row['against']} | {verdict} |"
        )
    return lines


def _share_of_peak(work, median):
    return f"{work['flops'] / median / 1e3 / work['peak']:.0%}" if work.get("flops") else ""


def overview(run):
    """One line for each work: badak and the fastest peer."""
    lines = [
        "| | badak | of the peak | fastest peer | its time | badak / it | quartiles |",
        "|---|--:|--:|---|--:|--:|--:|",
    ]
    for work in run["works"]:
        found = targets.fastest_peer(work)
        if not found:
            continue
        peer, row = found
        rows = race.summary(work["rounds"])
        mine = rows["badak"]["median"]
        lines.append(
            f"| {work['title']} | {microseconds(mine)} | {_share_of_peak(work, mine)} | {peer} "
            f"| {microseconds(row['median'])} | **{row['ratio']:.2g}** | {row['low']:.2g} to {row['high']:.2g} |"
        )
    return lines


def work_table(work):
    """All that took part in a work."""
    lines = ["| | median | badak / it | quartiles | of the peak | cores |", "|---|--:|--:|--:|--:|--:|"]
    rows = race.summary(work["rounds"])
    for name, row in sorted(rows.items(), key=lambda item: item[1]["median"]):
        share = " | |" if name == "badak" else f"{row['ratio']:.2g} | {row['low']:.2g} to {row['high']:.2g} |"
        peak = _share_of_peak(work, row["median"])
        lines.append(f"| {name} | {microseconds(row['median'])} | {share} {peak} | {work['cores'][name]:.2f} |")
    for name, value in work["single"].items():
        lines.append(f"| {name} (one call only) | {microseconds(value)} | | | {_share_of_peak(work, value)} | |")
    return lines


def _notes(record):
    lines = [f"- **{trouble}**" for trouble in record["troubles"]]
    for run in record["runs"]:
        threads = run["threads"]
        lines += [f"- Left out with {threads} thread(s): {k}: {v}" for k, v in run.get("absent", {}).items()]
        for work in run["works"]:
            for name, reason in work.get("failed", {}).items():
                lines.append(f"- **{name} failed** with {threads} thread(s): {work['title']}: {reason}")
        disturbed = [w["title"] for w in run["works"] if w.get("cores") and w["cores"]["badak"] < DISTURBED]
        if disturbed:
            lines.append(
                f"- **Disturbed** with {threads} thread(s), something else took part of the processor: "
                f"{'; '.join(disturbed)}. Run again when nothing else runs."
            )
    lines += [f"- Missing: {name}: {reason}" for name, reason in record["processes"].get("missing", {}).items()]
    return lines


def _processes(processes):
    lines = []
    if processes.get("import_ms"):
        lines += ["", "| import | milliseconds |", "|---|--:|"]
        lines += [f"| {name} | {value:.3g} |" for name, value in processes["import_ms"].items()]
    if processes.get("memory_bytes"):
        lines += ["", "| peak memory of a process that trains DeepConvNet, batch 100 | MB |", "|---|--:|"]
        lines += [f"| {name} | {size / 1e6:.0f} |" for name, size in processes["memory_bytes"].items()]
    if processes.get("wheel_bytes"):
        lines += ["", "| wheel | MB |", "|---|--:|"]
        lines += [f"| {name} | {size / 1e6:.2f} |" for name, size in processes["wheel_bytes"].items()]
    return lines


def markdown(record):
    load = "unknown" if record["load"] is None else f"{record['load']:.2f}"
    peaks = [
        f"{max(work['peak'] for work in run['works'] if work.get('peak')):.1f} GFLOP/s with {run['threads']} thread(s)"
        for run in record["runs"]
        if any(work.get("peak") for work in run["works"])
    ]
    lines = [
        f"# badak beside its peers{', quick run' if record['quick'] else ''}",
        "",
        f"- {record['date']}, {record['cpu']}; badak's kernels: {record['isa']}",
        f"- {', '.join(f'{name} {version}' for name, version in record['versions'].items())}",
        f"- Peak, measured in this run by {record['runs'][0].get('peak_how', '?')}: {'; '.join(peaks)}",
        "- Alternating rounds. A time is the median of the rounds; a ratio is of the two times in each round: "
        f"median and quartiles. Load before: {load}",
        "- Before it was timed, each contestant's work was found equal to that of the book's NumPy code in float64.",
        *_notes(record),
        "",
        "## What we must reach",
        "",
        *target_table(record["targets"]),
    ]
    for run in record["runs"]:
        lines += ["", f"## {run['threads']} thread(s)", "", *overview(run)]
    if record["processes"]:
        lines += ["", "## Processes", *_processes(record["processes"])]
    for run in record["runs"]:
        for work in run["works"]:
            if work.get("rounds"):
                lines += ["", f"## {work['title']}, {run['threads']} thread(s)", "", *work_table(work)]
    return "\n".join(lines) + "\n"
