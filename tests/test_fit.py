"""What ``Net.fit`` does beyond taking steps: weight decay, schedules, stopping, data in files, what goes wrong."""

import gc
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import badak as bd
from badak.schedule import CosineDecay, StepDecay, WarmUp


def net(*layers, loss=None, input_shape=4, **options):
    layers = layers or (bd.Affine(units=8), bd.Relu(), bd.Affine(units=3))
    return bd.Net(
        layers, loss=loss or bd.SoftmaxWithLoss(), input_shape=input_shape, **{"seed": 1, "dtype": "float64", **options}
    )


def data(n=30, features=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, features)), rng.integers(0, 3, n)


def state(a_net):
    """All that training changes, as bytes."""
    arrays = [*a_net.params.values(), *a_net.buffers.values()]
    if a_net.optimizer is not None:
        arrays += [array for part in a_net.optimizer.state.values() for array in part.values()]
    return [array.tobytes() for array in arrays], a_net._core.updates, a_net._core.rng


# ---- Weight decay ----


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weight_decay_is_the_books(dtype):
    """loss + lambda / 2 sum W^2, and dW + lambda W (book: section 6.4.2), as in MultiLayerNet."""
    rate, decay = 0.1, 0.3
    x, t = data()
    mine = net(dtype=dtype)
    book = bd.MultiLayerNet(4, [8], 3, weight_decay_lambda=decay)
    for name in mine.params:
        book.params[name][...] = mine.params[name]
    expected = book.loss(x, t)
    gradient = book.gradient(x, t)
    history = mine.fit(x, t, epochs=1, batch_size=30, optimizer=bd.SGD(rate), weight_decay=decay, progress=False)
    tolerance = 1e-5 if dtype == "float32" else 1e-6  # the book adds 1e-7 in the logarithm
    assert history.loss[0] == pytest.approx(expected, rel=tolerance)
    for name, array in mine.params.items():
        np.testing.assert_allclose(array, book.params[name] - rate * gradient[name], rtol=tolerance, atol=tolerance)


def test_weight_decay_leaves_biases_and_scales_alone():
    a_net = net(bd.Affine(units=8), bd.BatchNormalization(), bd.Affine(units=3))
    x, t = data()
    plain, decayed = net(*a_net.layers), net(*a_net.layers)
    plain.fit(x, t, epochs=1, batch_size=30, optimizer=bd.SGD(0.1), progress=False)
    decayed.fit(x, t, epochs=1, batch_size=30, optimizer=bd.SGD(0.1), weight_decay=0.5, progress=False)
    for name, array in plain.params.items():
        same = np.array_equal(array, decayed.params[name])
        assert same == (name[0] != "W"), name


def test_losses_in_the_history_include_the_penalty_and_loss_does_not():
    a_net, (x, t) = net(), data()
    history = a_net.fit(x, t, epochs=1, weight_decay=0.2, validation=(x, t), progress=False)
    squares = sum((a_net.params[name] ** 2).sum() for name in ("W1", "W2"))
    assert history.val_loss[0] == pytest.approx(a_net.loss(x, t) + 0.1 * squares, rel=1e-12)


def test_no_weight_decay_is_the_same_to_the_bit():
    (x, t), nets = data(), [net(), net()]
    nets[0].fit(x, t, epochs=2, batch_size=7, progress=False)
    nets[1].fit(x, t, epochs=2, batch_size=7, weight_decay=0.0, schedule=lambda step: 1, progress=False)
    assert state(nets[0]) == state(nets[1])


@pytest.mark.parametrize(
    ("value", "error"),
    [(-1, ValueError), (np.nan, ValueError), (np.inf, ValueError), ("1", TypeError), (True, TypeError)],
)
def test_bad_weight_decay(value, error):
    a_net, (x, t) = net(), data()
    before = state(a_net)
    with pytest.raises(error, match="weight_decay"):
        a_net.fit(x, t, epochs=1, weight_decay=value, progress=False)
    assert state(a_net) == before


# ---- Schedules ----


def test_schedules_are_their_formulas():
    assert [StepDecay(10, 0.5)(step) for step in (0, 9, 10, 25)] == [1, 1, 0.5, 0.25]
    cosine = CosineDecay(100, final=0.1)
    assert cosine(0) == 1
    assert cosine(50) == pytest.approx(0.55)
    assert cosine(100) == cosine(1000) == pytest.approx(0.1)
    warm = WarmUp(4, then=StepDecay(10))
    assert [warm(step) for step in (0, 3, 4, 13, 14)] == pytest.approx([0.25, 1, 1, 1, 0.1])
    assert repr(warm) == "WarmUp(steps=4, then=StepDecay(every=10, factor=0.1))"


def test_a_schedule_scales_every_step_and_leaves_the_rate_of_the_optimizer():
    (x, t), mine, twin = data(), net(), net()
    optimizer = bd.SGD(0.5)
    seen = []

    def schedule(step):
        seen.append(step)
        return 1 / (step + 1)

    history = mine.fit(
        x, t, epochs=2, batch_size=10, optimizer=optimizer, schedule=schedule, shuffle=False, progress=False
    )
    assert seen == list(range(6))
    assert optimizer.lr == 0.5
    assert history.lr == [0.5 / 3, 0.5 / 6]
    other = bd.SGD(0.5)
    for step in range(6):
        other.lr = 0.5 / (step + 1)
        twin.train_step(x[step % 3 * 10 :][:10], t[step % 3 * 10 :][:10], other)
    for name, array in mine.params.items():
        np.testing.assert_array_equal(array, twin.params[name])


def test_a_schedule_goes_on_where_it_was():
    (x, t), once, twice = data(), net(), net()
    once.fit(x, t, epochs=4, batch_size=7, optimizer=bd.Adam(), schedule=CosineDecay(20), progress=False)
    for _ in range(2):
        twice.fit(x, t, epochs=2, batch_size=7, schedule=CosineDecay(20), progress=False)
    assert state(once) == state(twice)


@pytest.mark.parametrize("factor", [-0.1, np.nan, np.inf, "1", None, 1e40, np.ones(1), True])
def test_a_schedule_must_return_a_factor(factor):
    """At any step of the epoch: nothing has happened in it, no order was drawn."""
    (x, t), a_net = data(), net()
    a_net.train_step(x, t, bd.SGD(0.1))
    before = state(a_net)
    for bad in (1, 3):
        with pytest.raises((TypeError, ValueError), match=rf"what schedule\({bad}\) returned|lr ="):
            a_net.fit(x, t, epochs=1, batch_size=10, progress=False,
                      schedule=lambda step, bad=bad: factor if step == bad else 1)  # fmt: skip
        assert state(a_net) == before


@pytest.mark.parametrize("factor", [np.float32(0.5), np.array(0.5), np.array(1), np.int64(1)])
def test_a_factor_may_be_any_number_of_numpys(factor):
    assert net().fit(*data(), epochs=1, schedule=lambda step: factor, progress=False).lr == [float(factor) * 0.001]


def test_a_schedule_that_raises_leaves_the_net_after_the_epoch_before():
    (x, t), mine, twin = data(), net(), net()

    def schedule(step):
        if step == 7:
            raise LookupError("mine")
        return 1.0

    with pytest.raises(LookupError, match="mine"):
        mine.fit(x, t, epochs=3, batch_size=10, schedule=schedule, progress=False)
    twin.fit(x, t, epochs=2, batch_size=10, progress=False)
    assert state(mine) == state(twin)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule": lambda: 1}, r"schedule is called as schedule\(step\), but <lambda> takes \(\)"),
        ({"schedule": lambda a, b: 1}, r"schedule is called as schedule\(step\), but <lambda> takes \(a, b\)"),
        ({"schedule": lambda *, step: 1}, r"schedule is called as schedule\(step\)"),
        ({"callbacks": [lambda event: None]}, r"a callback is called as callback\(net, event\), but <lambda> takes"),
        ({"callbacks": [print, lambda a, b, c: None]}, r"a callback is called as callback\(net, event\)"),
        ({"callbacks": [bd.EarlyStopping]}, r"a callback is the class EarlyStopping: write EarlyStopping\(...\)"),
    ],
)
def test_what_is_called_another_way_is_refused_before_the_first_step(options, message):
    a_net, (x, t) = net(), data()
    before = state(a_net)
    with pytest.raises(TypeError, match=message):
        a_net.fit(x, t, epochs=1, progress=False, **options)
    assert state(a_net) == before


def test_what_does_not_tell_its_signature_is_called():
    class Silent:
        __signature__ = "none"

        def __call__(self, *arguments):
            calls.append(arguments)
            return 1.0

    calls = []
    net().fit(*data(), epochs=1, schedule=Silent(), callbacks=[Silent(), max_of_none], progress=False)
    assert len(calls) == 2


def max_of_none(*anything, **more):
    """Takes what comes."""


@pytest.mark.parametrize("schedule", [0.5, "cosine", StepDecay])
def test_what_is_no_schedule_is_refused(schedule):
    with pytest.raises(TypeError, match="schedule must be a callable step -> factor"):
        net().fit(*data(), epochs=1, schedule=schedule, progress=False)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: StepDecay(0), ValueError),
        (lambda: StepDecay(1.5), TypeError),
        (lambda: StepDecay(5, factor=2), ValueError),
        (lambda: CosineDecay(-3), ValueError),
        (lambda: CosineDecay(10, final=np.nan), ValueError),
        (lambda: WarmUp(3, then="cosine"), TypeError),
        (lambda: bd.EarlyStopping(0), ValueError),
        (lambda: bd.EarlyStopping(2, restore=1), TypeError),
        (lambda: bd.EarlyStopping(2, min_delta=-1), ValueError),
    ],
)
def test_bad_options_of_schedules_and_callbacks(make, error):
    with pytest.raises(error):
        make()


# ---- Stopping early ----


@pytest.mark.parametrize("restore", [True, False])
def test_early_stopping(restore):
    """The rate is so large from epoch 4 on that nothing improves any more."""
    (x, t), a_net = data(), net()
    best = []
    keep = lambda a_net, event: best.append([array.copy() for array in a_net.params.values()])  # noqa: E731
    stopping = bd.EarlyStopping(patience=2, restore=restore)
    history = a_net.fit(
        x, t, epochs=50, batch_size=30, optimizer=bd.SGD(0.1), validation=(x, t), progress=False,
        schedule=lambda step: 1 if step < 3 else 500, callbacks=[keep, stopping],
    )  # fmt: skip
    assert history.epoch[-1] == 5
    assert stopping.best_epoch == 3
    assert stopping.best == history.val_loss[2]
    expected = best[2] if restore else best[4]
    assert all(np.array_equal(a, b) for a, b in zip(a_net.params.values(), expected, strict=True))


def test_early_stopping_restores_the_best_when_the_epochs_run_out():
    (x, t), a_net = data(), net()
    stopping = bd.EarlyStopping(patience=10)
    a_net.fit(x, t, epochs=5, batch_size=30, optimizer=bd.SGD(0.1), validation=(x, t), progress=False,
              schedule=lambda step: 1 if step < 3 else 500, callbacks=[stopping])  # fmt: skip
    assert stopping.best_epoch == 3
    assert a_net.loss(x, t) == pytest.approx(stopping.best, rel=1e-12)
    a_net.fit(x, t, epochs=1, progress=False, callbacks=[stopping])  # may serve again
    assert stopping.best_epoch == 1


def test_early_stopping_knows_a_first_loss_that_is_no_number():
    """NaN is not lower than anything, nor is anything lower than NaN: it counts as the highest."""
    stopping, event = bd.EarlyStopping(patience=2), bd.fit.Event(1, 9, bd.History())
    for event.epoch, loss in enumerate([np.nan, np.inf, 3.0, np.nan, 2.0], 1):
        event.history.val_loss.append(loss)
        stopping(net(), event)
        assert not event.stop
    assert (stopping.best, stopping.best_epoch) == (2.0, 5)


def test_any_callback_may_stop_the_training():
    def stop(a_net, event):
        event.stop = event.epoch == 2

    assert net().fit(*data(), epochs=9, callbacks=[stop], progress=False).epoch == [1, 2]


def nan_rate(a_net, x, t):
    a_net.optimizer.lr = np.nan


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda a_net, x, t: t.fill(99), ValueError, "label 99 of sample 0 is not a class: expected 0 to 2"),
        (lambda a_net, x, t: t.fill(-(2**63)), ValueError, "label -9223372036854775808 of sample 0 is not a class"),
        (lambda a_net, x, t: x.resize((1, 1), refcheck=False), ValueError, r"x has shape \(1, 1\).*expected 4"),
        (lambda a_net, x, t: x.resize((5, 4), refcheck=False), ValueError, "x has 5 samples, but t has 30|row"),
        (lambda a_net, x, t: t.resize(3, refcheck=False), ValueError, "x has 30 samples, but t has 3|row"),
        (lambda a_net, x, t: x.fill(np.inf), FloatingPointError, "x is no longer finite: it was changed"),
        (lambda a_net, x, t: a_net.params.__setitem__("W1", x), ValueError, r"W1 has shape \(4, 8\), got .*\(30, 4\)"),
        (nan_rate, ValueError, "lr = nan is out of range"),
        (lambda a_net, x, t: a_net.fit(x, t[:-1], epochs=1), ValueError, "x has 30 samples, but t has 29"),
        (lambda a_net, x, t: a_net.save(os.curdir), IsADirectoryError, "over a directory"),
        (lambda a_net, x, t: nan_rate(a_net, x, t) or a_net.save("never"), ValueError, "Adam: lr = nan is"),
        (lambda a_net, x, t: endless(a_net, x, t), RecursionError, "depth"),
    ],
)  # fmt: skip
def test_what_a_callback_does_wrong_is_said_and_leaves_a_whole_step(change, error, message):
    """Data that were checked when fit began are used by later epochs: they are looked at again there."""
    x, t = data()
    mine, twin = net(), net()
    twin.fit(x, t, epochs=1, batch_size=10, progress=False)
    x, t = np.array(x), np.array(t)  # memory of their own
    with pytest.raises(error, match=message):
        mine.fit(x, t, epochs=2, batch_size=10, progress=False, callbacks=[lambda n, e: change(n, x, t)])
    for name, array in mine.params.items():
        np.testing.assert_array_equal(array, twin.params[name])
    mine.optimizer.lr = 0.001
    mine.train_step(*data())


def endless(a_net, x, t):
    a_net.fit(x, t, epochs=0, progress=False)
    endless(a_net, x, t)


def test_a_callback_may_fit_the_net_that_is_trained():
    (x, t), mine, twin = data(), net(), net()
    once = []

    def more(a_net, event):
        if not once:
            once.append(a_net.fit(x, t, epochs=2, batch_size=10, progress=False))

    mine.fit(x, t, epochs=2, batch_size=10, callbacks=[more], progress=False)
    twin.fit(x, t, epochs=4, batch_size=10, progress=False)
    assert state(mine) == state(twin)


# ---- Data ----


def in_a_file(tmp_path, array, dtype, order):
    found = np.memmap(tmp_path / "x", dtype=dtype, mode="w+", shape=array.shape, order=order)
    found[...] = array
    found.flush()
    return np.memmap(tmp_path / "x", dtype=dtype, mode="r", shape=array.shape, order=order)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float32", "float64", ">f4", "uint8"])
def test_data_in_a_file_train_as_data_in_memory(tmp_path, monkeypatch, dtype, order):
    monkeypatch.setattr("badak.fit.BLOCK_BYTES", 100)  # some rows at a time
    x, t = data(50)
    x = (x * 30 + 100).astype("uint8").astype("float64") / (1 if dtype == "uint8" else 64)
    memmap = in_a_file(tmp_path, x, dtype, order)
    mine, twin = net(dtype="float32"), net(dtype="float32")
    histories = [
        n.fit(data, t, epochs=2, batch_size=7, validation=(data, t), weight_decay=0.1, progress=False)
        for n, data in ((mine, memmap), (twin, x))
    ]
    assert state(mine) == state(twin)
    assert histories[0].step_loss == histories[1].step_loss
    assert histories[0].val_loss == pytest.approx(histories[1].val_loss, rel=1e-6)
    assert histories[0].val_accuracy == histories[1].val_accuracy


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("dtype", "order"), [("float32", "C"), ("uint8", "C"), ("float64", "C")])
def test_data_in_a_file_are_never_in_memory_as_a_whole(tmp_path, dtype, order):
    code = f"""
import numpy as np, badak as bd
def private():
    return sum(int(line.split()[1]) for line in open("/proc/self/smaps_rollup") if line.startswith("Private_Dirty"))
x = np.memmap({str(tmp_path / "x")!r}, dtype={dtype!r}, mode="w+", shape=(200_000, 250), order={order!r})
x[::100] = 1
x.flush()
x = np.memmap({str(tmp_path / "x")!r}, dtype={dtype!r}, mode="r", shape=(200_000, 250), order={order!r})
net = bd.Net([bd.Affine(units=2)], loss=bd.SoftmaxWithLoss(), input_shape=250)
small = np.zeros((100, 250), {dtype!r})
net.fit(small, np.zeros(100, int), epochs=1, progress=False)
before, most = private(), 0
def watch(net, event):
    global most
    most = max(most, private())
import threading, time
done = False
def look():
    while not done:
        watch(None, None); time.sleep(0.01)
thread = threading.Thread(target=look); thread.start()
net.fit(x, np.zeros(len(x), int), epochs=1, batch_size=1000, progress=False)
done = True; thread.join()
print(most - before)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert found.returncode == 0, found.stderr
    assert int(found.stdout) < 100_000  # KB; the whole would be 200 MB as float32


def environment():
    package = os.path.dirname(os.path.dirname(bd.__file__))
    return {**os.environ, "PYTHONPATH": os.pathsep.join([package, *filter(None, sys.path)])}


@pytest.mark.parametrize("where", ["memory", "file"])
def test_the_first_number_that_is_not_finite_is_named(tmp_path, monkeypatch, where):
    monkeypatch.setattr("badak.fit.BLOCK_BYTES", 100)
    (x, t), a_net = data(), net()
    x[17, 2] = x[20, 0] = np.nan
    given = in_a_file(tmp_path, x, "float64", "F") if where == "file" else x
    with pytest.raises(ValueError, match=r"x holds NaN or infinity \(first in row 17\), at its element 2"):
        a_net.fit(given, t, epochs=1, progress=False)


def test_a_bad_label_is_refused_before_the_first_step():
    (x, t), a_net = data(), net()
    before = state(a_net)
    t[-1] = 3
    with pytest.raises(ValueError, match="label 3 of sample 29 is not a class"):
        a_net.fit(x, t, epochs=1, batch_size=5, progress=False)
    assert state(a_net) == before


# ---- When numbers explode ----


def test_the_message_names_step_layer_and_learning_rate():
    (x, t), a_net = data(), net(dtype="float32")
    with pytest.raises(FloatingPointError) as caught:
        a_net.fit(x, t, epochs=9, batch_size=10, optimizer=bd.SGD(1e18), schedule=lambda step: 0.5, progress=False)
    message = str(caught.value)
    assert "epoch 1, batch " in message
    assert "of the epoch: the " in message
    assert "first in layer" in message
    assert "a learning rate of 5e+17 (SGD(lr=1e+18))" in message
    assert f"those after {a_net._core.updates} updates" in message
    assert all(np.isfinite(array).all() for array in a_net.params.values())


def test_the_message_names_weight_decay():
    (x, t), a_net = data(), net(dtype="float32")
    with pytest.raises(FloatingPointError, match=r"rate of 0.001 and a weight decay of 1e\+38 .*smaller ones"):
        a_net.fit(x, t, epochs=1, weight_decay=1e38, progress=False)


def test_the_message_does_not_blame_the_rate_for_what_a_callback_did():
    def spoil_x(a_net, event):
        x[3, 1] = np.nan

    def spoil_parameters(a_net, event):
        a_net.params["b1"][0] = np.inf

    (x, t), a_net = data(), net(dtype="float64")
    with pytest.raises(FloatingPointError, match=r"epoch 2, batch .*x is no longer finite: it was changed") as caught:
        a_net.fit(x, t, epochs=3, batch_size=10, callbacks=[spoil_x], progress=False)
    assert "rate" not in str(caught.value)
    (x, t), a_net = data(), net()
    with pytest.raises(FloatingPointError, match=r"epoch 2, batch 1 .*b1 holds NaN or infinity already") as caught:
        a_net.fit(x, t, epochs=3, batch_size=10, callbacks=[spoil_parameters], progress=False)
    assert "rate" not in str(caught.value)


def test_the_first_layer_that_is_not_finite_is_named():
    residual = bd.Residual([bd.Affine(units=8), bd.Relu()])
    a_net = net(bd.Affine(units=8), residual, bd.Affine(units=8), bd.Affine(units=3))
    x, t = data()
    places = {"W1": "layer 1 (Affine)", "W2": "layer 1 (Affine) of layer 2 (Residual)", "W3": "layer 3 (Affine)"}
    for name, place in places.items():
        kept = a_net.params[name].copy()
        a_net.params[name][0, 0] = np.nan
        before = state(a_net)
        with pytest.raises(FloatingPointError, match=re.escape(f"the loss became nan, first in {place}") + "$"):
            a_net.train_step(x, t, bd.SGD(0.1) if a_net.optimizer is None else None)
        assert state(a_net)[0] == before[0]
        a_net.params[name] = kept
    a_net.train_step(x, t)


def test_creation_names_layers_inside_others():
    with pytest.raises(ValueError, match=r"^layer 1 \(Convolution\) of layer 2 \(Residual\): "):
        net(bd.Relu(), bd.Residual([bd.Convolution(filters=1, size=3)]))
    with pytest.raises(ValueError, match=r"^layer 3 \(Convolution\): "):
        net(bd.Relu(), bd.Residual([bd.Relu(), bd.Relu()]), bd.Convolution(filters=1, size=3))


@pytest.mark.parametrize("optimizer", [bd.SGD(1e30), bd.Momentum(1e30), bd.Nesterov(1e30), bd.AdaGrad(1e30),
                                       bd.RMSprop(1e30), bd.Adam(1e30)], ids=repr)  # fmt: skip
def test_a_step_whose_update_would_overflow_changes_nothing(optimizer):
    x, _ = data()
    layers = [bd.Affine(units=8), bd.BatchNormalization(), bd.Dropout(0.3), bd.Affine(units=3)]
    a_net = net(*layers, dtype="float32", loss=bd.IdentityWithLoss())
    rows = np.ones((30, 3)) * 1e10
    a_net._bound(optimizer)
    before = state(a_net)
    for _ in range(3):
        try:
            a_net.train_step(x, rows)
        except FloatingPointError as error:
            assert "first in layer" in str(error)
            assert state(a_net) == before
            break
        before = state(a_net)
        assert all(np.isfinite(array).all() for array in a_net.params.values())
    else:
        pytest.fail("no step overflowed: this is not the test it was")
    for name, array in net(*layers).params.items():  # and all is well again
        a_net.params[name] = array
    a_net.train_step(x, rows * 1e-10, bd.SGD(1e-9))


# ---- Regression, yes or no, one of many ----


def test_regression():
    a_net = net(bd.Affine(units=2), loss=bd.IdentityWithLoss())
    x, _ = data()
    rows = x[:, :2] * 3
    history = a_net.fit(x, rows, epochs=200, optimizer=bd.Adam(0.1), validation=(x, rows), progress=False)
    assert history.val_loss[-1] < 1e-3
    assert history.accuracy == history.val_accuracy == []
    for method in ("accuracy", "predict_proba", "classify"):
        with pytest.raises(TypeError, match=f"{method} needs classes, but the loss is IdentityWithLoss"):
            getattr(a_net, method)(x, rows) if method == "accuracy" else getattr(a_net, method)(x)
    with pytest.raises((TypeError, ValueError), match=r"targets|rows|\(N, 2\)"):
        a_net.fit(x, np.zeros(30, int), epochs=1, progress=False)


@pytest.mark.parametrize("columns", [1, 3])
def test_yes_or_no(columns):
    a_net = net(bd.Affine(units=columns), loss=bd.SigmoidWithLoss())
    x, _ = data()
    yes = (x[:, :columns] > 0).astype(int)
    given = yes[:, 0] if columns == 1 else yes
    history = a_net.fit(x, given, epochs=200, optimizer=bd.Adam(0.1), validation=(x, given), progress=False)
    assert history.val_accuracy[-1] == a_net.accuracy(x, given) > 0.9
    assert np.mean((a_net.classify(x) == given).reshape(30, -1).all(axis=1)) == a_net.accuracy(x, given)
    assert a_net.classify(x).shape == given.shape
    np.testing.assert_allclose(a_net.predict_proba(x), 1 / (1 + np.exp(-a_net.predict(x))), rtol=1e-12)
    with pytest.raises(ValueError, match="expected 0, 1 or a probability"):
        a_net.fit(x, given * 2.0, epochs=1, progress=False)


def test_one_of_many():
    a_net, (x, t) = net(), data()
    a_net.fit(x, t, epochs=300, optimizer=bd.Adam(0.05), progress=False)
    probabilities = a_net.predict_proba(x)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(a_net.classify(x), probabilities.argmax(axis=1))
    assert a_net.classify(x).dtype == np.int64
    assert np.mean(a_net.classify(x) == t) == a_net.accuracy(x, t) > 0.9
    assert a_net.predict_proba(x[:0]).shape == (0, 3)
    assert a_net.classify(x[:0]).shape == (0,)
    assert net(dtype="float32").predict_proba(x).dtype == np.float32


# ---- Progress in a notebook ----


def test_the_bar_in_a_notebook_needs_no_widgets(monkeypatch):
    shown = []

    class Handle:
        def update(self, what):
            shown.append(what)

    def display(what, display_id):
        assert display_id
        shown.append(what)
        return Handle()

    shell = type("Shell", (), {"kernel": object()})()
    ipython = type(sys)("IPython")
    ipython.get_ipython = lambda: shell
    ipython.display = type("D", (), {"display": staticmethod(display), "HTML": str})
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "ipykernel", type(sys)("ipykernel"))
    net().fit(*data(), epochs=3)
    assert len(shown) >= 3
    assert all(line.startswith("<progress ") for line in shown)
    assert 'value="1.0000"' in shown[-1]


# ---- Interruption ----


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals to itself")
@pytest.mark.parametrize("moment", range(10 * int(os.environ.get("BADAK_SOAK", "1"))))
def test_an_interrupted_fit_goes_on_bit_for_bit(moment):  # F44
    """With all that keeps a state: Adam, a schedule, dropout, batch normalization, a Python layer, shuffling."""
    x, t = data(200)
    python = moment % 2

    class Scale(bd.Layer):
        def __init__(self):
            self.params["scale"] = np.ones(8)

        def forward(self, x):
            self.x = x
            return x * self.params["scale"]

        def backward(self, dout):
            self.grads["scale"] = (dout * self.x).sum(axis=0)
            return dout * self.params["scale"]

    def make():
        middle = [Scale()] if python else []
        layers = [bd.Affine(units=8), bd.BatchNormalization(), bd.Dropout(0.2), *middle, bd.Relu(), bd.Affine(units=3)]
        return net(*layers, dtype="float32")

    def steps(a_net, count):
        """So many steps of the training that was interrupted, one by one."""
        order = None
        optimizer = a_net.optimizer
        for step in range(count):
            if step % 20 == 0:
                order = a_net._core.shuffled(200)
            rows = order[step % 20 * 10 :][:10]
            optimizer.lr = 0.001 * CosineDecay(1000, final=0.1)(step)
            a_net.train_step(x[rows], t[rows], optimizer)
        optimizer.lr = 0.001

    mine, twin = make(), make()
    sent = []

    def interrupt():
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    gc.collect()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    timer = threading.Timer(random.Random(moment).uniform(0.05, 0.25), interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            timer.start()
            mine.fit(x, t, epochs=10**6, batch_size=10, schedule=CosineDecay(1000, final=0.1), progress=False)
        took = time.perf_counter() - sent[0]
    finally:
        timer.cancel()
        timer.join()
        signal.signal(signal.SIGINT, before)
    assert took < 0.5  # 0.1 on a machine that is not loaded
    count = mine.optimizer.iter
    twin._bound(bd.Adam())
    steps(twin, count)
    if count % 20 == 0:  # whether the next order was drawn already is a matter of the moment
        twin._core.rng = mine._core.rng
    assert state(mine) == state(twin)
    for a_net in (mine, twin):
        a_net.fit(x, t, epochs=1, batch_size=10, schedule=CosineDecay(1000, final=0.1), progress=False)
    assert state(mine) == state(twin)
    if sent:
        print(f"interrupt {moment}: {1000 * took:.1f} ms after, {count} steps")
