"""Ctrl-C: every long call stops soon, after a whole step, and the net goes on as if nothing had happened."""

import ctypes
import os
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import badak as bd

SOON = 0.5  # seconds; about 0.1 on a machine that is not loaded

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals to itself")


class Interrupt:
    """Ctrl-C after a while, and a note of how long the call under test went on after it."""

    def __init__(self, delay, number=signal.SIGINT, error=KeyboardInterrupt):
        self.delay, self.number, self.error = delay, number, error
        self.sent = self.took = None
        self.armed = True

    def _send(self):
        self.sent = time.perf_counter()
        os.kill(os.getpid(), self.number)

    def _handle(self, number, frame):
        if self.armed:
            raise self.error("enough")

    def __enter__(self):
        self.before = signal.signal(self.number, self._handle)
        self.timer = threading.Timer(self.delay, self._send)
        self.timer.start()
        return self

    def __exit__(self, kind, error, traceback):
        self.armed = False
        now = time.perf_counter()
        self.timer.cancel()
        self.timer.join()
        signal.signal(self.number, self.before)
        assert kind is not None, "the call ended by itself: it should have been a longer one"
        if kind is self.error:
            self.took = now - self.sent
            return True
        return False


def assert_stops_soon(call, delay=0.15):
    with Interrupt(delay) as interrupt:
        call()
    assert interrupt.took < SOON


def small_net(**options):
    layers = [bd.Affine(units=20), bd.Relu(), bd.Affine(units=3)]
    return bd.Net(layers, loss=bd.SoftmaxWithLoss(), **{"input_shape": 10, "seed": 1, **options})


def data(n, features=10, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, features), dtype=np.float32), rng.integers(0, 3, n)


@pytest.fixture(scope="module")
def large():
    """A net and samples whose forward pass takes seconds."""
    layers = [bd.Affine(units=2000), bd.Relu(), bd.Affine(units=2000), bd.Relu(), bd.Affine(units=3)]
    net = bd.Net(layers, loss=bd.SoftmaxWithLoss(), input_shape=100, seed=1)
    x, t = data(1000, 100)
    repeats = 100  # the same memory again and again
    while True:
        began = time.perf_counter()
        net.predict(x)
        if (time.perf_counter() - began) * repeats > 5:
            return net, np.tile(x, (repeats, 1)), np.tile(t, repeats)
        repeats *= 2


# ---- One long step ----


@pytest.mark.parametrize("method", ["gradient", "train_step"])
def test_a_long_step_ends_between_its_layers(large, method):  # F45
    """What it had computed is thrown away: parameters, optimiser and generator are as before."""
    net, x, t = large
    net.train_step(x[:10], t[:10], net.optimizer or bd.SGD(1e-3))
    many = len(x) // 4
    before = [array.copy() for array in net.params.values()], net._core.updates, net._core.rng
    with Interrupt(0.2):
        getattr(net, method)(x[:many], t[:many])
    assert all(np.array_equal(a, b) for a, b in zip(before[0], net.params.values(), strict=True))
    assert (net._core.updates, net._core.rng) == before[1:]
    assert net.predict(x[:5]).shape == (5, 3)


# ---- fit ----


@pytest.mark.parametrize("moment", range(10))
def test_fit_stops_soon_after_a_whole_step(moment):  # F44
    net, twin = small_net(), small_net()
    x, t = data(1000)
    with Interrupt(random.Random(moment).uniform(0.01, 0.3)) as interrupt:
        net.fit(x, t, epochs=10**6, batch_size=30, shuffle=False, progress=False)
    assert interrupt.took < SOON

    steps = net.optimizer.iter
    assert steps > 0
    epochs, rest = divmod(steps, 34)
    twin.fit(x, t, epochs=epochs, batch_size=30, shuffle=False, progress=False)
    for step in range(rest):
        twin.train_step(x[step * 30 : step * 30 + 30], t[step * 30 : step * 30 + 30], twin.optimizer or bd.Adam())
    for more in (False, True):
        if more:  # both go on
            for a_net in (net, twin):
                a_net.fit(x, t, epochs=2, batch_size=30, seed=3, progress=False)
        for name, array in net.params.items():
            assert np.isfinite(array).all()
            np.testing.assert_array_equal(array, twin.params[name])
            np.testing.assert_array_equal(net.optimizer.m[name], twin.optimizer.m[name])


def test_fit_with_large_batches_stops_soon(large):
    net, x, t = large
    assert_stops_soon(lambda: net.fit(x, t, epochs=9, batch_size=100, optimizer=bd.SGD(1e-3), progress=False), 0.5)
    assert all(np.isfinite(array).all() for array in net.params.values())
    assert net.optimizer.iter == net._core.updates
    net.train_step(x[:10], t[:10])


@pytest.mark.parametrize("moment", range(5))
def test_fit_stops_soon_wherever_it_is(moment, capsys):
    net = small_net()
    x, t = data(100)

    def callback(net, event):
        net.predict(x)

    with Interrupt(random.Random(moment).uniform(0.01, 0.2)) as interrupt:
        net.fit(x, t, epochs=10**6, batch_size=99, validation=(x, t), callbacks=[callback], progress=True)
    assert interrupt.took < SOON
    assert all(np.isfinite(array).all() for array in net.params.values())
    assert net.optimizer.iter == net._core.updates
    assert len(net.fit(x, t, epochs=3, progress=False).epoch) == 3


def test_ctrl_c_in_a_callback_passes():  # F46
    net = small_net()
    x, t = data(100)

    def sleep(net, event):
        time.sleep(60)

    assert_stops_soon(lambda: net.fit(x, t, epochs=2, callbacks=[sleep], progress=False))
    assert net.optimizer.iter == 1
    assert net.predict(x).shape == (100, 3)


def test_another_signal_raises_what_its_handler_raises():  # F47
    net = small_net()
    x, t = data(1000)
    with Interrupt(0.1, signal.SIGUSR1, TimeoutError) as interrupt:
        net.fit(x, t, epochs=10**6, progress=False)
    assert interrupt.took < SOON
    net.train_step(x, t)


def test_a_handler_that_raises_nothing_changes_nothing():
    net, twin = small_net(), small_net()
    x, t = data(1000)
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(net.predict(x[:1]).shape))
    timers = [threading.Timer(0.02 * i, os.kill, (os.getpid(), signal.SIGUSR1)) for i in range(1, 6)]
    try:
        for timer in timers:
            timer.start()
        while len(seen) < 5:
            net.fit(x, t, epochs=20, progress=False)
            twin.fit(x, t, epochs=20, progress=False)
    finally:
        for timer in timers:
            timer.join()
        signal.signal(signal.SIGUSR1, before)
    assert seen == [(1, 3)] * 5
    for name, array in net.params.items():
        np.testing.assert_array_equal(array, twin.params[name])


# ---- Other long calls ----


@pytest.mark.parametrize("moment", range(10))
def test_predict_stops_soon(large, moment):
    net, x, _ = large
    expected = net.predict(x[:300])
    assert_stops_soon(lambda: net.predict(x), random.Random(moment).uniform(0.01, 0.3))
    np.testing.assert_array_equal(net.predict(x[:300]), expected)


@pytest.mark.parametrize("method", ["loss", "accuracy", "forward"])
def test_evaluation_stops_soon(large, method):
    net, x, t = large
    arguments = (x,) if method == "forward" else (x, t)
    assert_stops_soon(lambda: getattr(net, method)(*arguments))
    assert net.predict(x[:3]).shape == (3, 3)


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(3))
def test_numerical_gradient_of_a_net_stops_soon(moment):
    net = small_net()
    x, t = data(100_000)
    before = {name: array.copy() for name, array in net.params.items()}
    assert_stops_soon(lambda: net.numerical_gradient(x, t), random.Random(moment).uniform(0.05, 0.2))
    for name, array in net.params.items():
        np.testing.assert_array_equal(array, before[name])
    assert net.numerical_gradient(x[:2], t[:2])["b1"].shape == (20,)


@pytest.mark.parametrize("moment", range(3))
def test_gradcheck_of_a_net_stops_soon(moment):
    net = small_net()
    x, t = data(5_000)
    before = {name: array.copy() for name, array in net.params.items()}
    assert_stops_soon(lambda: bd.gradcheck(net, x, t), random.Random(moment).uniform(0.05, 0.2))
    for name, array in net.params.items():
        np.testing.assert_array_equal(array, before[name])
    assert bd.gradcheck(net, x[:5], t[:5]).ok


def test_gradcheck_of_a_layer_stops_soon():
    layer = bd.Affine(np.ones((100, 100)), np.zeros(100))
    x = data(3000, 100)[0].astype(float)
    W, given = layer.W.copy(), x.copy()
    assert_stops_soon(lambda: bd.gradcheck(layer, x, points=100))
    np.testing.assert_array_equal(layer.W, W)
    np.testing.assert_array_equal(x, given)


def test_numerical_gradient_of_a_function_stops_soon_and_restores_x():
    x = np.random.default_rng(0).standard_normal((1000, 1000))
    before = x.copy()
    assert_stops_soon(lambda: bd.numerical_gradient(lambda x: float(x[0, 0]), x))
    np.testing.assert_array_equal(x, before)


# ---- A whole process, and other threads ----

TRAINING = """
import numpy as np, badak as bd
net = bd.Net([bd.Affine(units=20), bd.Relu(), bd.Affine(units=3)], loss=bd.SoftmaxWithLoss(), input_shape=10)
print("ready", flush=True)
net.fit(np.ones((1000, 10)), np.zeros(1000, int), epochs=10**9, progress=False)
"""


def environment():
    package = os.path.dirname(os.path.dirname(bd.__file__))
    return {**os.environ, "PYTHONPATH": os.pathsep.join([package, *filter(None, sys.path)])}


def test_a_script_ends_as_python_scripts_do():
    process = subprocess.Popen(
        [sys.executable, "-c", TRAINING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # where Ctrl-C is ignored, a child ignores it
    )  # fmt: skip
    try:
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.1)
        sent = time.perf_counter()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert time.perf_counter() - sent < 5
    assert process.returncode == -signal.SIGINT
    assert errors.rstrip().endswith(b"KeyboardInterrupt")


def test_an_exception_sent_into_a_training_thread():  # F49
    """What tools do to stop a thread: it is seen between two slices of steps."""
    net = small_net()
    x, t = data(1000)
    ended = []

    def train():
        try:
            net.fit(x, t, epochs=10**9, progress=False)
        except TimeoutError:
            ended.append(time.perf_counter())

    thread = threading.Thread(target=train)
    thread.start()
    time.sleep(0.2)
    began = time.perf_counter()
    set_error = ctypes.pythonapi.PyThreadState_SetAsyncExc
    assert set_error(ctypes.c_ulong(thread.ident), ctypes.py_object(TimeoutError)) == 1
    thread.join(20)
    assert ended[0] - began < SOON
    assert net.optimizer.iter == net._core.updates > 0
    net.train_step(x, t)


def test_a_second_ctrl_c_while_the_first_is_handled():  # F47
    net = small_net()
    x, t = data(1000)

    def fit(net, x, t):
        try:
            net.fit(x, t, epochs=10**9, progress=False)
        except KeyboardInterrupt:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            timer.start()
            fit(net, x, t)
    finally:
        timer.join()
        signal.signal(signal.SIGINT, handler)
    assert isinstance(caught.value.__context__, KeyboardInterrupt)
    assert net.optimizer.iter == net._core.updates > 0
    net.train_step(x, t)


def test_ctrl_c_reaches_the_main_thread_while_another_one_trains():  # F48
    net = small_net()
    x, t = data(1000)
    stop = threading.Event()

    def train():
        while not stop.is_set():
            net.fit(x, t, epochs=5, progress=False)

    thread = threading.Thread(target=train)
    thread.start()
    try:
        assert_stops_soon(lambda: time.sleep(60), 0.1)
        assert thread.is_alive()
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()
    assert all(np.isfinite(array).all() for array in net.params.values())
