"""The benchmarks' own checks that all contestants do the same, on badak and NumPy, so that they cannot rot unseen."""

import pathlib
import sys
import time

import numpy as np
import pytest

BENCHMARKS = pathlib.Path(__file__).parents[1] / "benchmarks"
if not BENCHMARKS.exists():
    pytest.skip("the benchmarks are in a checkout only", allow_module_level=True)
sys.path.insert(0, str(BENCHMARKS))

import check  # noqa: E402
import contestants  # noqa: E402
import layer_calls  # noqa: E402
import machine  # noqa: E402
import nets  # noqa: E402
import race  # noqa: E402
import report  # noqa: E402
import targets  # noqa: E402
import whole_process  # noqa: E402
import works  # noqa: E402

import badak  # noqa: E402

BATCH = 3
OURS = [(net, contestants.Badak) for net in nets.NETS]
OURS += [(nets.SIMPLE_CONV, kind) for kind in (contestants.BadakLayers, contestants.NumpyBookFloat32)]


@pytest.mark.parametrize("net, kind", OURS, ids=lambda value: value.name)
def test_all_do_the_same(net, kind):
    contestant = kind()
    for errors in (check.step_errors, check.epoch_errors, check.score_errors):
        found = check.within(net.name, contestant.name, errors(net, BATCH, contestant))
        assert found


class Wrong(contestants.NumpyBookFloat32):
    """Forgets to train its last bias, and shows the scores of a moved image."""

    name = "wrong"

    def step(self, x, t):
        loss, grads = self.net.gradient(x, t)
        grads[list(grads)[-1]][:] = 0
        self.optimizer.update(self.net.params, grads)
        return loss

    def infer(self, x):
        return super().infer(np.roll(x, 1, axis=-1))


@pytest.mark.parametrize("errors", [check.step_errors, check.epoch_errors, check.score_errors])
def test_who_does_other_work_is_found_out(errors):
    net = nets.SIMPLE_CONV
    with pytest.raises(check.DifferentWorkError, match="wrong differs from the reference"):
        check.within(net.name, "wrong", errors(net, BATCH, Wrong()))


@pytest.mark.parametrize("call", layer_calls.CALLS, ids=lambda call: f"{call.name}-{call.size}-{np.dtype(call.dtype)}")
def test_layers_give_the_same(call):
    call = layer_calls.LayerCall(call.name, (min(call.x[0], 3), *call.x[1:]), call.params, call.hyper, call.dtype)
    for name in ("badak", "NumPy"):
        run, results = layer_calls.LIBRARIES[name](call)
        assert check.within(call.name, name, layer_calls.errors(call, results)).keys() >= {"out", "dx"}
        run(1)


def test_networks_have_the_sizes_that_were_worked_out_by_hand():
    assert [net.parameters for net in nets.NETS] == [39_760, 119_910, 1_796_010, 433_890, 123_552]
    millions = {net.name: round(net.flops(training=True) * 100 / 1e6, 1) for net in nets.NETS}
    assert millions["784-50-10"] == 16.0 and millions["784-100x5-10"] == 56.0
    assert millions["SimpleConvNet"] == 432.6 and millions["DeepConvNet"] == 5240.8


def test_a_small_race_gives_a_report_with_targets():
    here = [contestants.Badak(), contestants.BadakLayers(), contestants.NumpyBook()]
    pace = race.Pace(turn=0.001, all_rounds=0.01, least_rounds=2, most_rounds=2, patience=10)
    told = []
    for work in (
        works.NetWork("step", nets.TWO_LAYERS, 100),
        works.NetWork("epoch", nets.TWO_LAYERS, 100, images=200),
        works.NetWork("infer", nets.TWO_LAYERS, 1),
    ):
        entries, errors, failed = work.entries(here, threads=1)
        assert not failed and errors.keys() >= {"badak", here[2].name}
        times = race.race(entries, pace)
        told.append({"name": work.name, "title": work.title, "flops": work.flops, "peak": 50.0} | vars(times))
        told[-1] |= {"peers": [entry.name for entry in entries if entry.peer], "errors": errors}
    runs = [{"threads": threads, "works": told, "peak_how": "a guess"} for threads in (1, 2)]
    record = {
        "date": "today",
        "quick": True,
        "cpu": machine.cpu_name(),
        "isa": "any",
        "versions": machine.versions(["badak"]),
        "load": None,
        "troubles": [],
        "runs": runs,
        "processes": {"wheel_bytes": {"code": 10**9, "data": 0}},
    }
    record["targets"] = targets.judged(record)
    rows = {(row["what"], row["threads"]): row for row in record["targets"]}
    assert rows.keys() >= {("784-50-10 step", 1), ("784-50-10 inference, batch 1", 2), ("784-50-10, layer by layer", 1)}
    assert rows["784-50-10 step", 1]["against"] == here[2].name
    assert not rows["wheel without data", None]["met"]
    text = report.markdown(record)
    assert "| wheel without data |  | ≤ 1 MB |  | **1e+03 MB** |  |  | **missed** |" in text
    assert text.count("## Epoch of 200 images") == 2


def test_what_threads_gain_is_told_by_one_race():
    one = contestants.BadakOneThread()
    assert not one.can(nets.TWO_LAYERS)
    before = badak.get_num_threads()
    badak.set_num_threads(2)
    try:
        work = works.NetWork("step", nets.SIMPLE_CONV, 100)
        entries, errors, failed = work.entries([contestants.Badak(), one], threads=2)
        assert not failed and errors.keys() == {"badak", one.name}
        pace = race.Pace(turn=0.001, all_rounds=0.01, least_rounds=2, most_rounds=2, patience=10)
        assert race.race(entries, pace).rounds.keys() == {"badak", one.name}
        assert badak.get_num_threads() == 2
    finally:
        badak.set_num_threads(before)
    rounds = {"badak": [10.0, 20.0, 10.0], "badak, one thread": [18.0, 37.0, 19.0]}
    runs = [
        {
            "threads": threads,
            "works": [{"name": work.name, "title": work.title, "rounds": rounds, "peak": 100 * threads}],
        }
        for threads in (1, 2)
    ]
    (row,) = [row for row in targets.judged({"runs": runs, "processes": {}}) if "gain" in row["what"]]
    assert row["measured"] == pytest.approx(1.85 / 2) and row["met"] and row["threads"] == 2


def test_an_entry_that_fails_or_is_slow_is_told_and_the_others_race():
    def failing(count):
        raise OSError("no")

    calls = []
    entries = [
        race.Entry("badak", calls.append, peer=False),
        race.Entry("bad", failing),
        race.Entry("part", lambda count: time.sleep(0.002 * count), share=0.5),
    ]
    times = race.race(entries, race.Pace(turn=0.001, all_rounds=0.01, least_rounds=3, most_rounds=3, patience=10))
    assert times.failed == {"bad": "OSError: no"}
    assert times.rounds.keys() == {"badak", "part"} and len(times.rounds["part"]) == 3
    assert min(times.rounds["part"]) > 4000
    assert sum(calls) > 3
    slow = race.race(entries, race.Pace(turn=0.001, all_rounds=0.01, least_rounds=3, most_rounds=3, patience=0.001))
    assert slow.rounds.keys() == {"badak"} and slow.single.keys() == {"part"}


def test_the_numerical_gradient_is_the_same():
    entries, errors, failed = works.NumericalGradient().entries([contestants.NumpyBook()], threads=1)
    assert not failed and errors.keys() == {"badak", "NumPy, as in the book (float64)"}
    assert [entry.name for entry in entries] == list(errors)


def test_the_package_without_its_data_has_a_size():
    code, data = whole_process.wheel_size()
    assert 10_000 < code < 10_000_000 and data > 1_000_000
