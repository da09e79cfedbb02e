"""Any number of threads: the same bits, and nothing that a single thread does not do."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import numpy as np
import pytest
from test_threads import bits, exit_code_of_child, in_threads, needs_fork, run

import badak as bd

linux = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads in /proc")

needs_two_processors = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two processors"
)


@pytest.fixture(autouse=True)
def restored():
    before = bd.get_num_threads()
    yield
    bd.set_num_threads(before)


@pytest.fixture(scope="module")
def digits():
    return bd.load_mnist(flatten=False)


# ---- The same bits ----


def affines(*units):
    return [layer for width in units for layer in (bd.Affine(units=width), bd.Relu())] + [bd.Affine(units=10)]


def convolutions(*filters, last_pad=1):
    (first, second) = filters
    return [
        bd.Convolution(filters=first, size=3, pad=1),
        bd.Relu(),
        bd.Convolution(filters=second, size=3, pad=last_pad),
        bd.Relu(),
        bd.Pooling(2, 2, stride=2),
    ]


# of the book, and one with what the book does not use
NETWORKS = {
    "784-50-10": lambda: affines(50),
    "784-100x5-10": lambda: affines(*[100] * 5),
    "batch norm and dropout": lambda: [
        *(bd.Affine(units=100), bd.BatchNormalization(), bd.Relu(), bd.Dropout(0.3)),
        *(bd.Affine(units=100), bd.BatchNormalization(), bd.Sigmoid(), bd.Dropout(0.5)),
        bd.Affine(units=10),
    ],
    "SimpleConvNet": lambda: [
        *(bd.Convolution(filters=30, size=5), bd.Relu(), bd.Pooling(2, 2, stride=2)),
        *(bd.Affine(units=100), bd.Relu(), bd.Affine(units=10)),
    ],
    "DeepConvNet": lambda: [
        *convolutions(16, 16),
        *convolutions(32, 32, last_pad=2),
        *convolutions(64, 64),
        *(bd.Affine(units=50), bd.Relu(), bd.Dropout(0.5), bd.Affine(units=10), bd.Dropout(0.5)),
    ],
    "Residual": lambda: [
        bd.Convolution(filters=8, size=5, stride=2, pad=2),
        bd.Residual([bd.BatchNormalization(), bd.Tanh(), bd.Convolution(filters=8, size=3, pad=1)]),
        bd.LeakyRelu(),
        bd.Pooling(3, 3, stride=2),
        *(bd.Flatten(), bd.Affine(units=50), bd.Softmax(), bd.Affine(units=10)),
    ],
}
SAMPLES = {"DeepConvNet": 60, "SimpleConvNet": 110}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETWORKS)
def test_an_epoch_gives_the_same_bits_with_any_number_of_threads(name, dtype, digits):
    (x, t), (x_test, t_test) = digits
    n = SAMPLES.get(name, 330)
    x, t, x_test, t_test = x[:n].astype(dtype), t[:n], x_test[:40].astype(dtype), t_test[:40]

    def train(threads):
        bd.set_num_threads(threads)
        net = bd.Net(NETWORKS[name](), loss=bd.SoftmaxWithLoss(), input_shape=(1, 28, 28), dtype=dtype, seed=1)
        gradient = bits(net.gradient(x[:50], t[:50]).values())
        history = net.fit(
            x, t, epochs=1, batch_size=50, optimizer=bd.Adam(), validation=(x_test, t_test), progress=False
        )
        net.train_step(x[:33], t[:33])
        arrays = [*net.params.values(), *net.buffers.values(), net.predict(x_test)]
        arrays += [net.predict(x_test[:few]) for few in (1, 2)]
        return gradient, history.step_loss, history.val_loss, net.loss(x_test, t_test), bits(arrays)

    alone = train(1)
    assert train(2) == alone
    assert train(3) == alone


def test_layers_give_the_same_bits_with_any_number_of_threads():
    rng = np.random.default_rng(0)
    rows, images = rng.standard_normal((700, 300)), rng.standard_normal((40, 6, 20, 20))
    labels = rng.integers(0, 300, 700)
    W, b = rng.standard_normal((300, 170)), rng.standard_normal(170)
    filters = rng.standard_normal((11, 6, 3, 3))

    def results(threads):
        bd.set_num_threads(threads)
        found = []
        for layer, x in [
            (bd.Affine(W, b), rows),
            (bd.Relu(), rows),
            (bd.Tanh(), rows),
            (bd.Softmax(), rows),
            (bd.Residual([bd.Sigmoid()]), rows),
            (bd.BatchNormalization(np.ones(300), np.zeros(300)), rows),
            (bd.Convolution(filters, np.ones(11), pad=1), images),
            (bd.Convolution(filters, np.ones(11), stride=2), images),
            (bd.Pooling(2, 2, stride=2), images),
        ]:
            out = layer.forward(x)
            found += [out, layer.backward(np.cos(out)), *getattr(layer, "grads", {}).values()]
        loss = bd.SoftmaxWithLoss()
        return bits([*found, np.array(loss.forward(rows, labels)), loss.backward()])

    alone = results(1)
    assert results(2) == alone
    assert results(3) == alone


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_threads_that_share_the_rows_of_few_images_change_no_bit(n, dtype):
    """Of odd and of even numbers; by Winograd's method, and where a number too large forbids it."""
    found = [
        ({"c": 16, "filters": 16, "size": 3, "side": 62}, {"pad": 1}),
        ({"c": 17, "filters": 20, "size": 3, "side": 47}, {}),
        ({"c": 24, "filters": 30, "size": 3, "side": 45}, {"stride": 2, "pad": 3}),
        ({"c": 20, "filters": 25, "size": 3, "side": 41}, {"dilation": 2, "pad": 1}),
        ({"c": 1, "filters": 40, "size": 7, "side": 90}, {}),
        ({"c": 64, "filters": 300, "size": 5, "side": 5}, {"pad": 1}),
    ]

    def results(threads):
        bd.set_num_threads(threads)
        rng = np.random.default_rng(1)
        outs = []
        for sizes, options in found:
            W = rng.standard_normal((sizes["filters"], sizes["c"], sizes["size"], sizes["size"])).astype(dtype)
            x = rng.standard_normal((n, sizes["c"], sizes["side"], sizes["side"])).astype(dtype)
            layer = bd.Convolution(W, np.ones(len(W), dtype), **options)
            outs.append(layer.forward(x))
            x[-1, 0, 3, 3] = 1e30
            outs.append(layer.forward(x))
        return bits(outs)

    alone = results(1)
    for threads in (2, 3, 5):
        assert results(threads) == alone


@pytest.mark.parametrize("name", ["SGD", "Momentum", "Nesterov", "AdaGrad", "RMSprop", "Adam"])
@pytest.mark.parametrize("overlap", [False, True], ids=["apart", "in the same memory"])
def test_an_optimiser_gives_the_same_bits_with_any_number_of_threads(name, overlap):
    """Also where one parameter is a part of another, so that the order of their updates counts."""
    start, slopes = np.random.default_rng(3).standard_normal((2, 800_000)).astype(np.float32)

    def results(threads):
        bd.set_num_threads(threads)
        memory, slope = start.copy(), slopes.copy()
        params = {"a": memory[:400_000].reshape(800, 500), "b": memory[399_984 if overlap else 400_000 :]}
        grads = {"a": slope[:400_000].reshape(800, 500), "b": slope[: params["b"].size]}
        optimizer = getattr(bd, name)()
        for _ in range(3):
            optimizer.update(params, grads)
        return bits([memory, slope])

    alone = results(1)
    for threads in (2, 3, 5):
        assert results(threads) == alone


def test_nets_in_two_python_threads_are_those_alone(digits):
    (x, t), _ = digits
    x, t = x[:500], t[:500]

    def train(name):
        net = bd.Net(NETWORKS[name](), loss=bd.SoftmaxWithLoss(), input_shape=(1, 28, 28), seed=1)
        net.fit(x, t, epochs=1, optimizer=bd.Adam(), progress=False)
        return bits([*net.params.values(), net.predict(x)])

    names = ["784-100x5-10", "SimpleConvNet", "784-50-10", "784-100x5-10"]
    bd.set_num_threads(1)
    alone = [train(name) for name in names]
    bd.set_num_threads(3)
    assert in_threads(*[lambda name=name: train(name) for name in names]) == alone


@pytest.mark.parametrize("n", [1, 2])
def test_the_gradient_of_few_images_has_the_same_bits(n, digits):
    (x, t), _ = digits

    def results(threads):
        bd.set_num_threads(threads)
        net = bd.Net(NETWORKS["DeepConvNet"](), loss=bd.SoftmaxWithLoss(), input_shape=(1, 28, 28), seed=1)
        return bits([*net.gradient(x[:n], t[:n]).values(), *net.gradient(x[1 : n + 1], t[1 : n + 1]).values()])

    alone = results(1)
    for threads in (2, 3):
        assert results(threads) == alone


def test_threads_stay_together_while_somebody_writes_into_their_dout():
    """What each of them sees of it decides what they do next: were it not agreed upon, one would wait for ever."""
    result = run("""
        import threading, time
        import numpy as np
        import badak as bd
        bd.set_num_threads(2)
        layer = bd.Convolution(np.ones((32, 16, 3, 3), np.float32), np.ones(32, np.float32), pad=1)
        out = layer.forward(np.ones((8, 16, 14, 14), np.float32))
        dout, stop = np.ones_like(out), threading.Event()

        def write():
            while not stop.is_set():
                for value in (0, 1):
                    dout[...] = value

        writer = threading.Thread(target=write)
        writer.start()
        end = time.perf_counter() + 3
        while time.perf_counter() < end:
            layer.backward(dout)
        stop.set()
        writer.join()
        dout[...] = 1
        bd.set_num_threads(1)
        alone = layer.backward(dout), layer.dW
        bd.set_num_threads(2)
        assert (layer.backward(dout) == alone[0]).all() and (layer.dW == alone[1]).all()
    """)
    assert result.returncode == 0, result.stderr


# ---- How many ----


def test_set_num_threads_is_what_get_num_threads_says():
    for n in [1, 3, np.int64(2), 256]:
        bd.set_num_threads(n)
        assert bd.get_num_threads() == bd.cpu_info()["threads"] == n
    bd.set_num_threads(2**40)
    assert bd.get_num_threads() == 256


@pytest.mark.parametrize(
    "n, error",
    [
        *[(n, TypeError) for n in (2.0, True, "2", None, np.float64(2), np.array([2]))],
        *[(n, ValueError) for n in (0, -1, -(2**63))],
        *[(n, OverflowError) for n in (2**63, 2**70, -(2**70))],
    ],
)
def test_what_is_no_number_of_threads(n, error):
    before = bd.get_num_threads()
    with pytest.raises(error):
        bd.set_num_threads(n)
    assert bd.get_num_threads() == before


SAY = "import badak as bd; print(bd.get_num_threads())"


def said(code, **variables):
    environment = {**os.environ, "BADAK_NUM_THREADS": "", "OMP_NUM_THREADS": "", **variables}
    package = os.path.dirname(os.path.dirname(bd.__file__))
    environment["PYTHONPATH"] = os.pathsep.join([package, *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, env=environment
    )


def test_the_environment_says_how_many():
    assert said(SAY, BADAK_NUM_THREADS="3").stdout == "3\n"
    assert said(SAY, BADAK_NUM_THREADS="3", OMP_NUM_THREADS="1").stdout == "3\n"
    assert said(SAY, OMP_NUM_THREADS="1").stdout == "1\n"
    assert said(SAY, OMP_NUM_THREADS="1,2").stdout == "1\n"
    assert 1 <= int(said(SAY, OMP_NUM_THREADS="100000").stdout) <= os.cpu_count()
    assert int(said(SAY).stdout) <= len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else True


@pytest.mark.parametrize("value", ["0", "-2", "two", "2.5", "2 "])
def test_a_wrong_environment_is_an_error_at_import(value):
    result = said(SAY, BADAK_NUM_THREADS=value)
    assert f"ImportError: BADAK_NUM_THREADS={value}: it must be a number of threads, at least 1" in result.stderr


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not bind processes to processors")
def test_a_process_bound_to_one_processor_uses_one_thread():
    assert said("import os; os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])\n" + SAY).stdout == "1\n"


# ---- Threads come when they are worth it, and wait without work ----

COUNT = """
    import os, time
    import numpy as np, badak as bd
    threads = lambda: len(os.listdir("/proc/self/task"))
    before = threads()
    small = bd.Net([bd.Affine(units=3)], loss=bd.SoftmaxWithLoss(), input_shape=10)
    large = bd.Net([bd.Affine(units=500), bd.Affine(units=500)], loss=bd.SoftmaxWithLoss(), input_shape=500)
    x, t = np.ones((100, 10)), np.zeros(100, int)
"""


@linux
def test_no_thread_starts_before_there_is_work_for_it():
    result = said(
        COUNT
        + """
    small.fit(x, t, epochs=3, optimizer=bd.Adam(), progress=False)
    small.predict(x)
    bd.Affine(np.ones((10, 10)), np.ones(10)).forward(x)
    print(threads() - before)
    large.predict(np.ones((100, 500)))
    print(threads() - before)
    """,
        BADAK_NUM_THREADS="3",
    )
    assert result.stdout.split() == ["0", "2"], result.stderr


@linux
def test_threads_that_wait_use_no_time():
    result = said(
        COUNT
        + """
    large.predict(np.ones((100, 500)))
    time.sleep(0.05)
    began = time.process_time()
    time.sleep(0.5)
    print(time.process_time() - began)
    """,
        BADAK_NUM_THREADS="3",
    )
    assert float(result.stdout) < 0.02


@needs_two_processors
def test_another_busy_process_makes_threads_slower_than_one_by_little(digits):
    """Without a rest of the pool a step takes a hundred times as long: each meeting waits for a time slice."""
    (x, t), _ = digits
    x, t = x[:100], t[:100]
    net = bd.Net(affines(50), loss=bd.SoftmaxWithLoss(), input_shape=(1, 28, 28), seed=1)
    adam = bd.Adam()
    seconds = {1: 0.0, 2: 0.0}
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        for turn in range(10):
            for threads in (1, 2):
                bd.set_num_threads(threads)
                began = time.perf_counter()
                for _ in range(100):
                    net.train_step(x, t, adam)
                seconds[threads] += (time.perf_counter() - began) * (turn > 0)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert seconds[2] < 5 * seconds[1], seconds


@linux
def test_a_process_that_may_start_no_thread_works_alone():
    result = said(
        COUNT
        + """
    import resource
    expected = large.predict(np.ones((100, 500)))
    child = os.fork()
    if child == 0:
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**25, used + 2**25))  # room for some stacks
        same = (large.predict(np.ones((100, 500))) == expected).all()
        os._exit(0 if same else 1)
    print(os.waitpid(child, 0)[1])
    """,
        BADAK_NUM_THREADS="200",
    )
    assert result.stdout == "0\n", result.stderr


# ---- Processes, signals, the end ----


def trained(steps, x, t, name="784-100x5-10"):
    net = bd.Net(NETWORKS[name](), loss=bd.SoftmaxWithLoss(), input_shape=(1, 28, 28), seed=1)
    for _ in range(steps):
        net.train_step(x, t, net.optimizer or bd.Adam())
    return bits(net.params.values())


@needs_fork
def test_a_child_of_a_process_that_used_threads_trains_with_its_own(digits):
    (x, t), _ = digits
    x, t = x[:100], t[:100]
    bd.set_num_threads(3)
    expected = trained(100, x, t)
    assert exit_code_of_child(lambda: trained(100, x, t) == expected) == 0


@needs_fork
def test_a_child_forked_while_threads_train(digits):
    (x, t), _ = digits
    x, t = x[:100], t[:100]
    bd.set_num_threads(3)
    expected = trained(20, x, t)
    stop = threading.Event()

    def keep_training():
        net = bd.Net(NETWORKS["784-50-10"](), loss=bd.SoftmaxWithLoss(), input_shape=(1, 28, 28))
        while not stop.is_set():
            net.fit(x, t, epochs=5, progress=False)

    thread = threading.Thread(target=keep_training)
    thread.start()
    try:
        assert [exit_code_of_child(lambda: trained(20, x, t) == expected) for _ in range(10)] == [0] * 10
    finally:
        stop.set()
        thread.join()


@needs_fork
def test_a_python_layer_may_fork_and_the_child_goes_on(digits):
    (x, t), _ = digits
    x, t = x[:100], t[:100]
    bd.set_num_threads(3)
    armed, children = [], []

    class Forks:
        def forward(self, x):
            if armed and not children:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)
                    children.append(os.fork())
            return x

        def backward(self, dout):
            return dout

    net = bd.Net(
        [bd.Affine(units=200), Forks(), bd.Affine(units=200), bd.Affine(units=10)],
        loss=bd.SoftmaxWithLoss(),
        input_shape=784,
        seed=1,
    )
    read, write = os.pipe()
    armed.append(True)
    scores = net.predict(x)
    if children == [0]:
        os.write(write, scores.tobytes()[:8])
        os._exit(0)
    assert os.waitpid(children[0], 0)[1] == 0
    assert os.read(read, 8) == scores.tobytes()[:8]


def test_python_layers_run_in_the_calling_thread_alone(digits):
    (x, t), _ = digits
    x, t = x[:200], t[:200]
    threads = set()

    class Looks:
        def forward(self, x):
            threads.add(threading.get_ident())
            time.sleep(0.001)  # longer than workers spin
            return x * 1

        def backward(self, dout):
            threads.add(threading.get_ident())
            inner.predict(x)  # another net, while this one has the pool
            return dout

    def train(n):
        bd.set_num_threads(n)
        layers = [bd.Affine(units=200), Looks(), bd.Relu(), bd.Affine(units=10)]
        net = bd.Net(layers, loss=bd.SoftmaxWithLoss(), input_shape=784, seed=1)
        net.fit(x, t, epochs=2, optimizer=bd.Adam(), progress=False)
        return bits(net.params.values())

    inner = bd.Net(NETWORKS["784-50-10"](), loss=bd.SoftmaxWithLoss(), input_shape=784)
    assert train(3) == train(1)
    assert threads == {threading.get_ident()}


def test_an_exception_in_a_python_layer_leaves_the_pool_free(digits):
    (x, t), _ = digits
    bd.set_num_threads(3)

    class Fails:
        def forward(self, x):
            return x

        def backward(self, dout):
            raise KeyError("by intention")

    net = bd.Net(
        [bd.Affine(units=200), Fails(), bd.Affine(units=10)], loss=bd.SoftmaxWithLoss(), input_shape=784, seed=1
    )
    for _ in range(3):
        with pytest.raises(KeyError, match="by intention"):
            net.train_step(x[:100], t[:100], bd.SGD())
    expected = trained(3, x[:100], t[:100])
    bd.set_num_threads(1)
    assert trained(3, x[:100], t[:100]) == expected


def test_ctrl_c_stops_a_fit_in_threads_at_once(digits):
    (x, t), _ = digits
    x, t = x[:2000], t[:2000]
    bd.set_num_threads(3)
    for name in ["784-100x5-10", "SimpleConvNet"]:
        net = bd.Net(NETWORKS[name](), loss=bd.SoftmaxWithLoss(), input_shape=(1, 28, 28), seed=1)
        sent = []

        def interrupt(sent=sent):
            sent.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)

        timer = threading.Timer(0.5, interrupt)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            net.fit(x, t, epochs=10**6, optimizer=bd.Adam(), progress=False)
        late = time.perf_counter() - sent[0]
        assert all(np.isfinite(array).all() for array in net.params.values())
        assert late < 0.1 + (1 if os.getloadavg()[0] > os.cpu_count() else 0)


@pytest.mark.slow
def test_a_daemon_thread_that_trains_in_threads_does_not_hold_up_the_end():
    for _ in range(20):
        result = run("""
            import threading, time
            import numpy as np, badak as bd
            bd.set_num_threads(3)
            layers = [bd.Affine(units=300), bd.Relu(), bd.Affine(units=10)]
            net = bd.Net(layers, loss=bd.SoftmaxWithLoss(), input_shape=784)
            x, t = np.ones((100, 784), np.float32), np.zeros(100, int)
            train = lambda: net.fit(x, t, epochs=10**9, optimizer=bd.Adam(), progress=False)
            threading.Thread(target=train, daemon=True).start()
            time.sleep(0.1)
        """)
        assert (result.returncode, result.stderr) == (0, "")


# ---- threadpoolctl ----


def test_threadpoolctl_sees_and_limits_the_threads():
    pytest.importorskip("threadpoolctl")
    result = said("""
        import badak as bd, threadpoolctl
        bd.threads.register_with_threadpoolctl()
        bd.set_num_threads(3)
        (found,) = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "badak"]
        print(found["num_threads"], found["version"] == bd.__version__)
        with threadpoolctl.threadpool_limits(1):
            print(bd.get_num_threads())
        with threadpoolctl.threadpool_limits(2, user_api="badak"):
            print(bd.get_num_threads())
        print(bd.get_num_threads())
    """)
    assert result.stdout.split() == ["3", "True", "1", "2", "3"], result.stderr


def test_threadpoolctl_imported_first_knows_badak():
    pytest.importorskip("threadpoolctl")
    result = said("""
        import threadpoolctl
        import badak
        print([pool["user_api"] for pool in threadpoolctl.threadpool_info()].count("badak"))
    """)
    assert result.stdout == "1\n", result.stderr
