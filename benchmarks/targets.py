"""What we must reach, and whether a run does."""

import race

STEPS = {  # at batch 100: must, and the aim beyond
    "784-50-10": (0.45, 0.38),
    "784-100x5-10": (0.65, 0.50),
    "SimpleConvNet": (0.40, 0.30),
    "DeepConvNet": (0.50, 0.33),
}
INFERENCE = {1: (0.35, 0.15), 1000: (0.6, 0.4)}  # by batch, for every net
NUMERICAL = (0.01, 0.002)
BY_LAYER = 2.0  # times a step of the Net
SMALL_CALL = 2.0  # microseconds for forward, and as much for backward
IMPORT_MS = (10, 3)  # over that of numpy
WHEEL = 1_000_000  # bytes, without data
MEMORY = 0.5  # of PyTorch's
SCALING = 0.85  # of how the peak itself scales, for the nets with images
NETS = ("784-50-10", "784-100x5-10", "784-1000x2-10", "SimpleConvNet", "DeepConvNet")


def fastest_peer(work):
    """(name, badak's time relative to its: summary of race.py), or None if no peer was raced."""
    rows = race.summary(work.get("rounds") or {})
    peers = [name for name in work.get("peers", ()) if name in rows]
    if not peers or "badak" not in rows:
        return None
    name = min(peers, key=lambda name: rows[name]["median"])
    return name, rows[name]


def _row(what, threads, must, measured, aim=None, unit="", against="", spread=None, at_least=False):
    met = measured >= must if at_least else measured <= must
    return {
        "what": what,
        "threads": threads,
        "must": must,
        "aim": aim,
        "measured": measured,
        "spread": spread,
        "unit": unit,
        "against": against,
        "at_least": at_least,
        "met": bool(met),
    }


def _against_peer(works, name, what, threads, must, aim):
    found = fastest_peer(works.get(name, {}))
    if not found:
        return []
    peer, row = found
    return [_row(what, threads, must, row["ratio"], aim, against=peer, spread=(row["low"], row["high"]))]


def _of_threads(run):
    works = {work["name"]: work for work in run["works"] if work.get("rounds")}
    threads, rows = run["threads"], []
    for net, (must, aim) in STEPS.items():
        rows += _against_peer(works, f"step-{net}-batch100", f"{net} step", threads, must, aim)
    for batch, (must, aim) in INFERENCE.items():
        for net in NETS:
            what = f"{net} inference, batch {batch}"
            rows += _against_peer(works, f"infer-{net}-batch{batch}", what, threads, must, aim)
    what = "numerical gradient of 784-50-10"
    rows += _against_peer(works, "numerical-784-50-10-batch3", what, threads, *NUMERICAL)
    for net in NETS:
        work = works.get(f"step-{net}-batch100", {"rounds": {}})
        by_layer = race.summary(work["rounds"], "badak, layer by layer")
        if "ratio" in by_layer.get("badak", {}):
            row = by_layer["badak"]
            spread = (row["low"], row["high"])
            rows.append(_row(f"{net}, layer by layer", threads, BY_LAYER, row["ratio"], against="Net", spread=spread))
    for name, work in works.items():
        if name.startswith("call-") and name.endswith("float64"):
            half = race.summary(work["rounds"])["badak"]["median"] / 2
            what = f"{work['title'].split(',')[0]} of one tiny sample, forward or backward"
            rows.append(_row(what, threads, SMALL_CALL, half, unit="µs"))
    return rows


def _scaling(runs):
    """How the steps of the nets with images become faster, relative to the peak."""
    by_threads = {run["threads"]: {work["name"]: work for work in run["works"] if work.get("rounds")} for run in runs}
    if not {1, 2} <= by_threads.keys():
        return []
    rows = []
    for net in ("SimpleConvNet", "DeepConvNet"):
        rounds = by_threads[2].get(f"step-{net}-batch100", {"rounds": {}})["rounds"]
        gain = race.summary(rounds, "badak, one thread").get("badak", {})
        if "ratio" in gain:
            peaks = [max(work["peak"] for work in by_threads[threads].values()) for threads in (1, 2)]
            low, share, high = (gain[name] * peaks[0] / peaks[1] for name in ("low", "ratio", "high"))
            what = f"{net} step, gain by two threads over the peak's"
            rows.append(_row(what, 2, SCALING, share, spread=(low, high), at_least=True))
    return rows


def _of_processes(processes):
    rows = []
    if "badak, after numpy" in processes.get("import_ms", {}):
        must, aim = IMPORT_MS
        rows.append(_row("import, over numpy's", None, must, processes["import_ms"]["badak, after numpy"], aim, "ms"))
    if "wheel_bytes" in processes:
        rows.append(_row("wheel without data", None, WHEEL / 1e6, processes["wheel_bytes"]["code"] / 1e6, unit="MB"))
    memory = processes.get("memory_bytes", {})
    peers = {name: size for name, size in memory.items() if name != "badak"}
    if "badak" in memory and peers:
        least = min(peers, key=peers.get)
        rows.append(_row("memory of training DeepConvNet", None, MEMORY, memory["badak"] / peers[least], against=least))
    return rows


def judged(record):
    """A row for each target that the run has measured."""
    rows = [row for run in record["runs"] for row in _of_threads(run)]
    return rows + _scaling(record["runs"]) + _of_processes(record["processes"])
