"""Threads, forks and the end of the interpreter: the same bits as alone, or a clear error; never a crash."""

import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import numpy as np
import pytest

import badak as bd

THREADS = 4


def mlp(seed=1, units=20, **options):
    layers = [bd.Affine(units=units), bd.Relu(), bd.Affine(units=3)]
    return bd.Net(layers, loss=bd.SoftmaxWithLoss(), **{"input_shape": 10, "seed": seed, **options})


def data(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, 10), dtype=np.float32), rng.integers(0, 3, n)


def in_threads(*functions):
    """Run the functions at once; return what they return, or raise what one of them raised."""
    results, errors = [None] * len(functions), []
    start = threading.Barrier(len(functions))

    def run(i, function):
        start.wait()
        try:
            results[i] = function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]
    return results


def bits(arrays):
    return [array.tobytes() for array in arrays]


# ---- One net each ----


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nets_trained_in_threads_are_those_trained_alone(dtype):
    x, t = data(300)

    def train(seed):
        net = mlp(seed, dtype=dtype)
        net.fit(x, t, epochs=10, batch_size=7, optimizer=bd.Adam(0.01), validation=(x, t), progress=False)
        for _ in range(100):
            net.train_step(x[:50], t[:50])
        return bits([net.predict(x), *net.params.values(), *net.gradient(x, t).values()])

    alone = [train(seed) for seed in range(THREADS)]
    together = in_threads(*[lambda seed=seed: train(seed) for seed in range(THREADS)])
    assert together == alone


def test_large_nets_in_threads():
    x = np.random.default_rng(0).standard_normal((500, 10), dtype=np.float32)

    def run(seed):
        net = mlp(seed, units=500)
        return bits([net.predict(x) for _ in range(5)] + list(net.gradient(x, np.zeros(500, int)).values()))

    alone = [run(seed) for seed in range(THREADS)]
    assert in_threads(*[lambda seed=seed: run(seed) for seed in range(THREADS)]) == alone


def test_two_optimisers_and_a_gradient_check_at_once():
    x, t = data(20)

    def sgd():
        net = mlp()
        return [net.train_step(x, t, net.optimizer or bd.SGD(0.1)) for _ in range(300)]

    def adam():
        net = mlp()
        return [net.train_step(x, t, net.optimizer or bd.Adam(0.1)) for _ in range(300)]

    def check():
        return [entry.numeric for entry in bd.gradcheck(mlp(), x, t).entries]

    assert in_threads(sgd, adam, check) == [sgd(), adam(), check()]


# ---- Layers and functions ----


@pytest.mark.parametrize("n", [3, 2000])  # below and above what is worth releasing the GIL
def test_layers_in_threads_are_those_alone(n):
    rng = np.random.default_rng(0)
    x, dout = rng.standard_normal((n, 60)), rng.standard_normal((n, 60))
    W, b, t = rng.standard_normal((60, 60)), rng.standard_normal(60), rng.integers(0, 60, n)

    def run():
        results = []
        for _ in range(5):
            residual = bd.Residual([bd.Affine(W, b), bd.Relu()])
            for layer in (bd.Affine(W, b), bd.Relu(), bd.Sigmoid(), bd.Tanh(), residual):
                results += [layer.forward(x), layer.backward(dout), *layer.grads.values()]
            loss = bd.SoftmaxWithLoss()
            results += [np.array(loss.forward(x, t)), loss.backward()]
            results += [bd.sigmoid(x), bd.tanh(x), bd.softmax(x)]
        return bits(results)

    alone = run()
    assert all(together == alone for together in in_threads(*[run] * THREADS))


def test_one_layer_object_serves_many_threads_forward():
    rng = np.random.default_rng(0)
    layer = bd.Affine(rng.standard_normal((60, 60)), rng.standard_normal(60))
    inputs = [rng.standard_normal((500, 60)) for _ in range(THREADS)]
    expected = [layer.forward(x).tobytes() for x in inputs]

    def run(x):
        return {layer.forward(x).tobytes() for _ in range(30)}

    assert in_threads(*[lambda x=x: run(x) for x in inputs]) == [{one} for one in expected]


# ---- One net for all ----


@pytest.mark.parametrize("method", ["predict", "train_step", "gradient", "loss", "fit", "numerical_gradient"])
def test_threads_that_share_a_net_get_an_answer_or_a_clear_error(method):
    net = mlp(units=300)
    x, t = data(400)
    net.train_step(x, t, bd.SGD(1e-9))
    x_few, t_few = x[:5], t[:5]
    calls = {
        "predict": lambda: net.predict(x),
        "train_step": lambda: net.train_step(x, t),
        "gradient": lambda: net.gradient(x, t),
        "loss": lambda: net.loss(x, t),
        "fit": lambda: net.fit(x, t, epochs=1, progress=False).step_loss[-1],
        "numerical_gradient": lambda: net.numerical_gradient(x_few, t_few),
    }
    refused = []

    def run():
        answers = 0
        deadline = time.perf_counter() + 0.3
        while time.perf_counter() < deadline:
            try:
                answer = calls[method]()
            except RuntimeError as error:
                assert "in use" in str(error)
                refused.append(error)
            else:
                answers += 1
                values = answer.values() if isinstance(answer, dict) else [answer]
                assert all(np.isfinite(value).all() for value in values)
        return answers

    updates = net.optimizer.iter
    answers = sum(in_threads(*[run] * THREADS))
    assert answers > 0
    if method == "train_step":
        assert net._core.updates == updates + answers
    assert net.predict(x).shape == (400, 3)
    assert all(np.isfinite(array).all() for array in net.params.values())


def test_a_net_in_use_says_so():
    layers = [bd.Affine(units=2000), bd.Relu(), bd.Affine(units=2000), bd.Affine(units=3)]
    net = bd.Net(layers, loss=bd.SoftmaxWithLoss(), input_shape=10)
    x, _ = data(256)
    x = np.tile(x, (20, 1))
    t = np.zeros(len(x), int)
    thread = threading.Thread(target=net.predict, args=(x,))
    thread.start()
    errors = {}
    others = {
        "predict": lambda: net.predict(x[:1]),
        "loss": lambda: net.loss(x[:1], t[:1]),
        "gradient": lambda: net.gradient(x[:1], t[:1]),
        "fit": lambda: net.fit(x[:1], t[:1], epochs=1, optimizer=bd.SGD(), progress=False),
    }
    while thread.is_alive() and len(errors) < len(others):
        for name, call in others.items():
            try:
                call()
            except RuntimeError as error:
                errors[name] = str(error)
    thread.join()
    assert set(errors.values()) == {"this net is in use: by another thread, or by the call that called back"}
    assert list(errors) == list(others)


# ---- Callbacks ----


def test_a_callback_may_use_the_net_that_is_trained():
    """Between two slices of a fit the net is free, and a callback runs between two slices: all methods work."""
    net, twin = mlp(), mlp()
    x, t = data(100)
    seen = []

    def look(a_net, event):
        seen.append((a_net.predict(x).tobytes(), a_net.loss(x, t), a_net.accuracy(x, t)))
        a_net.forward(x, keep=True)
        a_net.gradient(x, t)
        a_net.numerical_gradient(x[:2], t[:2])
        assert in_threads(lambda: a_net.predict(x).tobytes()) == [seen[-1][0]]

    net.fit(x, t, epochs=3, callbacks=[look], progress=False)
    twin.fit(x, t, epochs=3, progress=False)
    assert bits(net.params.values()) == bits(twin.params.values())
    assert len(set(seen)) == 3


def test_a_callback_may_train_the_net_itself():
    net = mlp()
    x, t = data(100)

    def train_more(a_net, event):
        a_net.train_step(x, t)
        a_net.fit(x, t, epochs=2, progress=False)

    history = net.fit(x, t, epochs=2, batch_size=50, callbacks=[train_more], progress=False)
    assert history.epoch == [1, 2]
    assert net.optimizer.iter == net._core.updates == 2 * (2 + 1 + 2)


def test_a_callback_that_changes_the_optimiser_gets_a_clear_error():
    net = mlp()
    x, t = data(100)
    with pytest.raises(RuntimeError, match="Adam is not the optimiser that this net is bound to"):
        net.fit(
            x,
            t,
            epochs=2,
            optimizer=bd.Adam(),
            callbacks=[lambda net, event: net.train_step(x, t, bd.SGD())],
            progress=False,
        )
    net.train_step(x, t)


def test_a_callback_may_let_go_of_the_net():  # B128
    holder = [mlp()]
    x, t = data(100)
    history = holder[0].fit(x, t, epochs=3, callbacks=[lambda net, event: holder.clear()], progress=False)
    assert history.epoch == [1, 2, 3]


# ---- Processes ----

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def exit_code_of_child(function):
    """Fork; the child exits with 0 if the function returns True. A child that hangs is killed."""
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks where threads run: that is the test
        child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if function() else 2
        finally:
            os._exit(code)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return "hangs"


@pytest.mark.slow
@pytest.mark.parametrize("way", multiprocessing.get_all_start_methods())
def test_a_pool_of_processes_trains_copies(way):  # F54
    """Nets travel by pickle; what comes back is what would have been computed here, to the bit."""
    net = mlp()
    x, t = data(500)
    net.fit(x, t, epochs=1, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks where threads run
        with multiprocessing.get_context(way).Pool(2) as pool:
            results = [pool.apply_async(net.fit, (x, t), {"epochs": 2, "progress": False}) for _ in range(4)]
            predicted = pool.map(net.predict, np.split(x, 4))
            losses = [result.get(60).step_loss for result in results]
    np.testing.assert_array_equal(np.concatenate(predicted), net.predict(x))
    expected = net.fit(x, t, epochs=2, progress=False).step_loss
    assert losses == [expected] * 4


@needs_fork
def test_a_child_goes_on_with_the_nets_of_its_parent():  # F52
    net, twin = mlp(), mlp()
    x, t = data(500)
    for one in (net, twin):
        one.fit(x, t, epochs=3, progress=False)
    twin.fit(x, t, epochs=2, progress=False)
    expected = bits(twin.params.values())

    def train():
        net.fit(x, t, epochs=2, progress=False)
        return bits(net.params.values()) == expected and net.predict(x).shape == (500, 3)

    assert exit_code_of_child(train) == 0
    assert train()  # and the parent's net is its own


@needs_fork
def test_a_child_of_a_process_that_trains_in_threads_can_train():  # F53
    x, t = data(500)
    stop = threading.Event()

    def keep_training():
        net = mlp(units=100)
        while not stop.is_set():
            net.fit(x, t, epochs=1, progress=False)

    expected = mlp()
    expected.fit(x, t, epochs=3, progress=False)
    expected = bits(expected.params.values())

    def train():
        net = mlp()
        net.fit(x, t, epochs=3, progress=False)
        return bits(net.params.values()) == expected

    threads = [threading.Thread(target=keep_training) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        assert [exit_code_of_child(train) for _ in range(5)] == [0] * 5
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def run(code, *options, timeout=30):
    package = os.path.dirname(os.path.dirname(bd.__file__))
    return subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([package, *filter(None, sys.path)])},
    )


@pytest.mark.skipif(sys.version_info < (3, 12), reason="modules can refuse subinterpreters since Python 3.12")
def test_subinterpreters_are_refused():  # F55
    result = run("""
        import os, sys, textwrap
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        read, write = os.pipe()
        code = textwrap.dedent(f'''
            import os, sys
            sys.path[:] = {sys.path!r}
            try:
                import badak
                found = "imported"
            except ImportError as error:
                found = "ImportError: " + str(error)
            os.write({write}, found.encode())
        ''')
        interpreters.run_string(interpreters.create(), code)
        print(os.read(read, 10000).decode())
    """)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("ImportError: ")
    assert "interpreter" in result.stdout


@pytest.mark.parametrize(
    "work",
    [
        "net.fit(x, t, epochs=10**9, progress=False)",
        "net.predict(np.tile(x, (1000, 1)))",
        "net.gradient(x, t)",
        "bd.gradcheck(net, x, t)",
        "layer.forward(x)",
    ],
)
def test_a_daemon_thread_at_work_does_not_hold_up_the_end(work):  # F50
    began = time.monotonic()
    result = run(f"""
        import threading, time
        import numpy as np, badak as bd
        net = bd.Net([bd.Affine(units=300), bd.Relu(), bd.Affine(units=3)], loss=bd.SoftmaxWithLoss(), input_shape=10)
        layer = bd.Affine(np.ones((10, 300)), np.ones(300))
        x, t = np.ones((1000, 10)), np.zeros(1000, int)
        started = threading.Event()

        def work():
            started.set()
            while True:
                {work}

        threading.Thread(target=work, daemon=True).start()
        started.wait()
        time.sleep(0.2)
    """)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert time.monotonic() - began < 5 + 5  # the start of Python and its imports, on a loaded machine


def test_nets_at_the_end_of_the_interpreter():  # B131 F51
    result = run(
        """
        import atexit
        import numpy as np, badak as bd
        net = bd.Net([bd.Affine(units=3)], loss=bd.SoftmaxWithLoss(), input_shape=10)
        net.train_step(np.ones((5, 10)), [0, 1, 2, 0, 1], bd.Adam())
        view = net.params["W1"]
        layer = bd.Affine(np.ones((10, 3)), 0.0)
        layer.forward(np.ones((5, 10)))
        net.cycle = [net, layer]
        atexit.register(lambda: net.predict(np.ones((5, 10))))

        class Late:
            def __del__(self):
                assert net.predict(np.ones((5, 10))).shape == (5, 3)

        late = Late()
        """,
        "-X",
        "dev",
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""


def test_the_module_can_be_imported_again():  # F56
    result = run("""
        import sys, gc
        import numpy as np
        import badak as first
        net = first.Net([first.Affine(units=3)], loss=first.SoftmaxWithLoss(), input_shape=4, seed=1)
        for name in [name for name in sys.modules if name.startswith("badak")]:
            del sys.modules[name]
        import badak as second
        assert second is not first
        other = second.Net([second.Affine(units=3)], loss=second.SoftmaxWithLoss(), input_shape=4, seed=1)
        x = np.ones((2, 4))
        assert (net.predict(x) == other.predict(x)).all()
        try:
            second.Net([first.Affine(units=3)], loss=second.SoftmaxWithLoss(), input_shape=4)
        except TypeError:
            pass
        else:
            raise SystemExit("a layer of another import was taken")
        del first, net
        gc.collect()
        assert other.predict(x).shape == (2, 3)
    """)
    assert result.returncode == 0, result.stderr
