"""What stands around gradcheck: conduct, causes, bisection, languages, compare, selftest, badak check, the fixture."""

import importlib.metadata
import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import badak as bd

pytest_plugins = ["pytester"]


def rng(seed=0):
    return np.random.default_rng(seed)


def kinds(report):
    return {finding.split(":")[0] for finding in report.conduct}


class BookRelu:
    def forward(self, x):
        self.mask = x <= 0
        out = x.copy()
        out[self.mask] = 0
        return out

    def backward(self, dout):
        dout[self.mask] = 0
        return dout


class BookSoftmaxWithLoss:
    """Ignores dout, and has 1e-7 inside the logarithm."""

    def forward(self, x, t):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        self.y, self.t = e / e.sum(axis=-1, keepdims=True), t
        return -np.log(self.y[np.arange(len(t)), t] + 1e-7).sum() / len(t)

    def backward(self, dout=1):
        dx = self.y.copy()
        dx[np.arange(len(self.t)), self.t] -= 1
        return dx / len(self.t)


class Dropout:
    def __init__(self, draw=None):
        self.rng = draw or np.random

    def forward(self, x):
        self.mask = self.rng.random(x.shape) > 0.5
        return x * self.mask

    def backward(self, dout):
        return dout * self.mask


# ================================================================ conduct


class Adds:
    """Its dW grows with every backward."""

    def __init__(self):
        self.W, self.dW = rng(1).standard_normal((3, 2)), np.zeros((3, 2))

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dout):
        self.dW += self.x.T @ dout
        return dout @ self.W.T


class Counts(Adds):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x) * self.calls

    def backward(self, dout):
        self.dW = self.calls * (self.x.T @ dout)
        return self.calls * (dout @ self.W.T)


def test_accumulation_is_found_and_the_values_are_right():
    report = bd.gradcheck(Adds(), rng().standard_normal((4, 3)))
    assert report.status == "PASS" and kinds(report) == {"NOT_REENTRANT"} and not report.ok, report
    assert "+=" in str(report)


def test_a_state_that_changes_the_output_is_found():
    report = bd.gradcheck(Counts(), rng().standard_normal((4, 3)))
    assert report.status == "PASS" and kinds(report) == {"STATE_CHANGED"}, report


@pytest.mark.parametrize("draw", [None, np.random.default_rng(3), np.random.RandomState(3)])
def test_dropout_replays_its_mask_and_leaves_the_generators_alone(draw):
    before = np.random.get_state()[1].tobytes(), np.random.get_state()[2]
    state = None if draw is None else json.dumps(draw.__getstate__(), default=str)
    assert bd.gradcheck(Dropout(draw), rng().standard_normal((3, 4))).ok
    assert (np.random.get_state()[1].tobytes(), np.random.get_state()[2]) == before
    assert draw is None or json.dumps(draw.__getstate__(), default=str) == state


def test_random_numbers_are_put_back_when_the_code_raises():
    def f(x):
        np.random.rand(5)
        raise KeyboardInterrupt

    before = np.random.get_state()[2]
    with pytest.raises(KeyboardInterrupt):
        bd.gradcheck(f, np.ones(2), vjp=lambda gy, x: gy)
    assert np.random.get_state()[2] == before


def test_upstream_gradient_that_is_offset():
    report = bd.gradcheck(np.square, rng().standard_normal(3), vjp=lambda gy, x: 2 * gy * x + 1e-6)
    assert "NOT_LINEAR_IN_GY" in kinds(report), report


def adds_to_list(x, kept):
    kept.append(x.sum())
    return x * kept[0]


def adds_to_dict(x, kept):
    y = x * kept["w"]
    kept["w"] += 1
    return y


def grows_cache(x, kept):
    kept["y"] = np.exp(x)
    return kept["y"].copy()


HELD = {
    "list of floats": (adds_to_list, [2.0], lambda gy, x, kept: (gy * kept[0], None)),
    "list": (adds_to_list, [2, "two"], lambda gy, x, kept: (gy * kept[0], None)),
    "array in a dict": (adds_to_dict, {"w": np.ones(3)}, lambda gy, x, kept: (gy * kept["w"], None)),
    "cache": (grows_cache, {}, lambda gy, x, kept: (gy * kept["y"], None)),
}


@pytest.mark.parametrize("name", HELD)
def test_a_list_or_dict_that_is_changed_is_found_and_the_callers_is_not(name):
    f, held, vjp = HELD[name]
    before = repr(held)
    report = bd.gradcheck(f, rng().standard_normal(3), held, vjp=vjp)
    assert report.status == "PASS" and kinds(report) == {"MUTATED_INPUT"}, report
    assert repr(held) == before


def test_a_list_that_backward_changes_is_found():
    def vjp(gy, x, kept):
        kept[0] = 7
        return 2 * gy * x, None

    report = bd.gradcheck(lambda x, kept: x * x, rng().standard_normal(3), held := [1, 2], vjp=vjp)
    assert report.status == "PASS" and kinds(report) == {"MUTATED_INPUT"} and held == [1, 2], report
    assert "[0] it was 1 and is 7" in str(report)


class Scales:
    """A layer and a network that change the list they are given."""

    def __init__(self):
        self.params = {"W": np.ones(3)}

    def forward(self, x, t):
        self.t = t.pop()
        return x * self.t

    def backward(self, dout):
        return dout * self.t, None

    def loss(self, x, t):
        return float((x * self.params["W"]).sum()) * t.pop()

    def gradient(self, x, t):
        return {"W": x * t.pop()}


@pytest.mark.parametrize("network", [False, True])
def test_a_list_given_to_a_layer_or_network_is_protected(network):
    subject, t = Scales(), [1, 2]
    if not network:
        del subject.params
    report = bd.gradcheck(subject, rng().standard_normal(3), t)
    assert report.status == "PASS" and kinds(report) == {"MUTATED_INPUT"} and t == [1, 2], report


# ================================================================ kinds of numbers


@pytest.mark.parametrize("x", [[0.5, 1.2], [[0.5, 1.0], [2, 3]], (0.5, 1.2), np.longdouble([0.5, 1.2])])
def test_lists_of_floats_and_long_doubles_are_arrays(x):
    for factor, status in ((1, "PASS"), (1.01, "FAIL")):
        report = bd.gradcheck(np.sin, x, vjp=lambda gy, x, c=factor: c * gy * np.cos(x))
        assert report.status == status and report["x"].shape == np.shape(x), report
    assert bd.gradcheck(np.sin, x, vjp=lambda gy, x: gy * np.cos(x), dtype="keep").status == "PASS"
    if isinstance(x, np.ndarray):  # badak's own layers take no long doubles, checked or not
        with pytest.raises(TypeError, match="real numbers"):
            bd.gradcheck(bd.Tanh(), x)
    else:
        assert bd.gradcheck(bd.Tanh(), x).status == "PASS"


def test_a_mask_is_refused_not_lost():
    x = np.ma.masked_array([0.5, 1.2], mask=[True, False])
    with pytest.raises(TypeError, match="masked"):
        bd.gradcheck(np.sin, x, vjp=lambda gy, x: gy * np.cos(x))


def test_rows_of_several_lengths_are_said_to_be_such():
    with pytest.raises(TypeError, match="got list whose rows differ in length"):
        bd.gradcheck(np.sin, [[1.0, 2.0], [3.0]], vjp=lambda gy, x: gy)


def test_code_for_lists_is_given_lists():
    def f(x):
        assert isinstance(x, list)
        return sum(v * v for v in x)

    assert bd.gradcheck(f, [1.0, 2, -3.0], grad=lambda x: [2 * v for v in x]).ok
    assert bd.gradcheck(f, [1.0, 2, -3.0], vjp=lambda gy, x: [2 * v * gy for v in x]).ok
    assert bd.gradcheck(f, [1.0, 2, -3.0], grad=lambda x: [2 * v for v in reversed(x)]).status == "FAIL"


def test_a_list_of_settings_needs_no_gradient():
    def f(x, weights):
        return weights[0] * x + weights[1]

    assert bd.gradcheck(f, rng().standard_normal(3), [0.5, 2.0], vjp=lambda gy, x, weights: gy * weights[0]).ok


@pytest.mark.parametrize("x", [[1, 2], [np.ones(2)], {"w": np.ones(2)}, 3])
def test_what_cannot_be_differentiated_is_said(x):
    with pytest.raises(TypeError, match=f"float array.*nothing to differentiate; got {type(x).__name__}"):
        bd.gradcheck(np.sin, x, vjp=lambda gy, x: gy)


class Buffered:
    """Writes its input's gradient into memory that is float32, made first or when it is needed."""

    def __init__(self, factor, early):
        self.W = rng(1).standard_normal((4, 3)).astype(np.float32)
        self.factor, self.dx = factor, np.zeros((5, 4), np.float32) if early else None

    def forward(self, x):
        self.x = x
        if self.dx is None:
            self.dx = np.zeros(x.shape, np.float32)
        return x @ self.W

    def backward(self, dout):
        self.dW = self.x.T @ dout
        self.dx[...] = self.factor * (dout @ self.W.T)
        return self.dx


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_float32_buffer_is_judged_by_what_float32_can_hold(early, dtype):
    x = rng().standard_normal((5, 4)).astype(dtype)
    for factor, status in ((1, "PASS"), (1 + 1e-4, "FAIL")):
        report = bd.gradcheck(Buffered(factor, early), x)
        assert report["x"].status == status and report["W"].status == "PASS" and not report.conduct, report


class Float32Output:
    """Gives its output in memory that is float32, so that upstream gradients are float32 too."""

    def __init__(self, factor=1.0):
        self.b, self.out, self.factor = rng(2).standard_normal(3), np.zeros((5, 3), np.float32), factor

    def forward(self, x):
        self.out[...] = x + self.b
        return self.out

    def backward(self, dout):
        self.db = np.float32(self.factor) * dout.sum(axis=0)
        return dout.astype(float)


def test_gradients_may_be_as_narrow_as_the_output():
    for factor, good in ((1.0, {"PASS", "UNRESOLVED"}), (1.1, {"FAIL"})):
        report = bd.gradcheck(Float32Output(factor), rng().standard_normal((5, 3)))
        assert report["b"].status in good and not report.conduct, report


def test_long_double_parameters_that_are_kept():
    layer = Adds()
    layer.W = layer.W.astype(np.longdouble)
    report = bd.gradcheck(layer, rng().standard_normal((4, 3)), dtype="keep", allow={"NOT_REENTRANT"})
    assert report.ok, report


# ================================================================ causes, kinks, places


def test_the_books_loss_is_explained():
    x, t = 5 * rng(2).standard_normal((4, 6)), np.array([0, 1, 2, 3])
    report = bd.gradcheck(BookSoftmaxWithLoss(), x, t, allow={"NOT_LINEAR_IN_GY"})
    assert report.ok and report.status == "EXPLAINED" and "1e-7" in str(report), report
    assert kinds(report) == {"NOT_LINEAR_IN_GY"}


def test_a_logarithm_of_ones_own_is_explained_and_a_factor_is_not():
    x = np.array([1e-3, 0.3, 1e-4, 0.9])
    found = bd.gradcheck(lambda y: -np.log(y + 1e-7).sum(), x, grad=lambda y: -1 / y)
    assert found.status == "EXPLAINED", found
    wrong = bd.gradcheck(lambda y: -np.log(y + 1e-7).sum(), x, grad=lambda y: -1.0001 / y)
    assert wrong.status == "FAIL", wrong


def test_nets_and_networks_with_the_books_loss_are_explained():
    x, t = 5 * rng(2).standard_normal((4, 6)), np.array([0, 1, 2, 3])
    net = bd.Net([bd.Affine(units=4)], loss=bd.SoftmaxWithLoss(eps=1e-3), input_shape=(6,), seed=1)
    assert bd.gradcheck(net, x, t).status == "EXPLAINED"
    np.random.seed(0)
    report = bd.gradcheck(bd.TwoLayerNet(6, 5, 4, weight_init_std=1.0), x, t)
    assert report.status == "EXPLAINED", report
    assert str(report).count("inside its logarithm") == 1, report  # said once, for all


class NumpyNetwork:
    """The book's network in NumPy, with the loss that the book has."""

    def __init__(self, sizes, std, rng):
        inputs, hidden, classes = sizes
        self.params = {
            "W1": std * rng.standard_normal((inputs, hidden)),
            "b1": np.zeros(hidden),
            "W2": std * rng.standard_normal((hidden, classes)),
            "b2": np.zeros(classes),
        }

    def predict(self, x):
        p = self.params
        self.x, self.a = x, x @ p["W1"] + p["b1"]
        scores = np.maximum(self.a, 0) @ p["W2"] + p["b2"]
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def loss(self, x, t):
        self.y = self.predict(x)
        return -np.mean(np.log(self.y[np.arange(len(t)), t] + 1e-7))

    def gradient(self, x, t):
        self.loss(x, t)
        dout = self.y.copy()
        dout[np.arange(len(t)), t] -= 1
        dout /= len(t)
        da = dout @ self.params["W2"].T * (self.a > 0)
        return {"W2": np.maximum(self.a, 0).T @ dout, "b2": dout.sum(0), "W1": x.T @ da, "b1": da.sum(0)}


def test_a_difference_that_only_directions_show_is_explained_too():
    """1e-7 of a probability near 0.1 is as much as rtol allows an element: some directions see more."""
    stream = rng(52)
    network = NumpyNetwork((193, 38, 5), 0.06293017623363087, stream)
    x, t = stream.random((3, 193)), stream.integers(0, 5, 3)
    for seed in range(52, 58):
        report = bd.gradcheck(network, x, t, seed=seed)
        assert report.ok, report


def test_tied_maxima():
    def first(gy, x):
        found = np.zeros_like(x)
        found[np.arange(len(x)), x.argmax(axis=1)] = gy
        return found

    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 0.0]])
    tied = x == x.max(axis=1, keepdims=True)

    def at_ties(share):
        return lambda gy, x: gy[:, None] * share(x == x.max(axis=1, keepdims=True))

    assert tied.sum() == 4
    rows = {"vjp": first}, {"vjp": at_ties(lambda m: m / m.sum(axis=1, keepdims=True))}
    for row in rows:
        assert bd.gradcheck(lambda x: x.max(axis=1), x, **row).status == "KINK"
    wrong = bd.gradcheck(lambda x: x.max(axis=1), x, vjp=at_ties(lambda m: m.astype(float)))
    assert wrong.status == "FAIL" and "maxima" in str(wrong), wrong


@pytest.mark.parametrize("distance", [1e-3, 1e-5, 1e-7, 1e-9])
def test_kinks_beside_the_point(distance):
    x = np.array([distance, -distance])
    for slope, status in ((1.0, "PASS"), (0.5, "FAIL")):
        report = bd.gradcheck(
            lambda x: np.maximum(x, 0), x, vjp=lambda gy, x, slope=slope: gy * slope * (x > 0), points=1
        )
        assert report.status == status, report


def test_a_jump():
    report = bd.gradcheck(np.round, np.array([0.5, 1.2, 2.5]), vjp=lambda gy, x: 0 * gy, points=1)
    assert report.status == "DISCONTINUOUS" and not report.ok, report


def test_one_element_of_100000_is_named_in_few_evaluations():
    def vjp(gy, x):
        found = gy * 3 * x**2
        found[77_777] *= 1.1
        return found

    x = rng().standard_normal(100_000)
    entry = bd.gradcheck(lambda x: float((x**3).sum()), x, vjp=vjp, points=1)["x"]
    assert entry.wrong == [(77_777,)] and entry.status == "FAIL", entry.diagnosis
    assert 0 < entry.bisection <= 150 and str(entry.bisection) in entry.diagnosis


def test_batch_norm_of_one_says_why():
    layer = bd.BatchNormalization(np.ones(3), np.zeros(3))
    report = bd.gradcheck(layer, rng().standard_normal((1, 3)))
    assert report["x"].status == "VACUOUS" and "one sample" in report["x"].diagnosis, report


def test_the_same_array_given_twice():
    x = rng().standard_normal(4)
    assert bd.gradcheck(lambda a, b: a * b, x, x, vjp=lambda gy, a, b: (gy * b, gy * a)).ok
    wrong = bd.gradcheck(lambda a, b: a * b, x, x, vjp=lambda gy, a, b: (gy * b, 0 * gy))
    assert wrong.status == "FAIL" and "given 2 times" in str(wrong), wrong


def test_forward_mode():
    def f(x):
        return np.sin(x).sum(keepdims=True)

    def jvp(v, x):
        return (np.cos(x) * v).sum(keepdims=True)

    x = rng().standard_normal(3)
    assert bd.gradcheck(f, x, jvp=jvp).ok
    both = bd.gradcheck(f, x, jvp=lambda v, x: 2 * jvp(v, x), vjp=lambda gy, x: gy * np.cos(x))
    assert [(e.name, e.status) for e in both.entries] == [("x", "PASS"), ("x (jvp)", "FAIL")], both


def test_wrt_and_reference():
    a, b = rng().standard_normal(3), rng(1).standard_normal(3)
    wrong_b = {"vjp": lambda gy, a, b: (gy * b, gy)}
    assert bd.gradcheck(np.multiply, a, b, wrt="x0", **wrong_b).ok
    assert not bd.gradcheck(np.multiply, a, b, wrt=[1], **wrong_b).ok
    with pytest.raises(ValueError, match="wrt"):
        bd.gradcheck(np.multiply, a, b, wrt="c", **wrong_b)

    def single(x):
        return np.sin(x.astype(np.float32))

    report = bd.gradcheck(single, a, vjp=lambda gy, x: gy * np.cos(x), reference=np.sin)
    assert report.ok and report["x"].digits > 7, report


# ================================================================ words and pictures


def test_reports_in_korean():
    report = bd.gradcheck(np.sin, np.ones(3), vjp=lambda gy, x: 2 * gy * np.cos(x))
    try:
        bd.set_language("ko")
        assert "2배" in str(report)
    finally:
        bd.set_language("en")
    assert "2 times" in str(report)
    with pytest.raises(ValueError, match="language"):
        bd.set_language("fr")


def test_every_text_has_the_same_values_in_both_languages():
    import string

    from badak.language import TEXTS

    for key, (english, korean) in TEXTS.items():
        fields = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (english, korean)]
        assert fields[0] == fields[1], key


@pytest.mark.parametrize("kind", ["scatter", "error", "map", "digits", "slice", "all"])
def test_pictures(kind):
    from matplotlib.figure import Figure

    report = bd.gradcheck(np.abs, np.array([0.0, 1.0, -2.0]), vjp=lambda gy, x: gy * np.sign(x))
    figure = Figure()
    axes = figure.subplots(2, 3) if kind == "all" else figure.subplots()
    report.plot(axes, kind=kind)
    figure.canvas.draw()
    with pytest.raises(ValueError, match="kind"):
        report.plot(figure.subplots(), kind="pie")


# ================================================================ compare, selftest, mutant


def test_compare():
    x = rng().standard_normal((3, 4))
    assert bd.compare(BookRelu(), bd.Relu(), x).ok
    found = bd.compare(bd.LeakyRelu(0.1), bd.Relu(), x)
    assert not found.ok and "DIFFERS" in str(found) and "<table>" in found._repr_html_()


def test_selftest_and_mutants():
    found = bd.selftest(bd.Affine(rng().standard_normal((2, 2)), np.ones(2)), rng(1).standard_normal((3, 2)))
    assert found.ok and found.score == 1 and len(found.killed) >= 25, found
    one = bd.mutant(bd.Tanh(), seed=4)
    assert one.secret and not bd.gradcheck(one, rng(1).standard_normal((3, 3)))


# ================================================================ the command and the fixture

GOOD = """
    import numpy as np
    print("hello")
    class Affine:
        def __init__(self, W, b): self.W, self.b = W, b
        def forward(self, x): self.x = x; return x @ self.W + self.b
        def backward(self, d):
            self.dW = self.x.T @ d; self.db = d.sum(0); return d @ self.W.T
"""
STUDENTS = {
    "good": (GOOD, "ok"),
    "transposed": (GOOD.replace("self.x.T @ d", "d.T @ self.x"), "WRONG"),
    "exits": ("raise SystemExit(3)", "error"),
    "hangs": ("while True: pass", "timeout"),
    "dies": ("import os; os._exit(7)", "crashed"),
    "syntax": ("def", "error"),
    "empty": ("", "error"),
}


@pytest.mark.slow
def test_a_teachers_table(tmp_path):
    for name, (source, _) in STUDENTS.items():
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
    command = [sys.executable, "-m", "badak", "check", f"{tmp_path}/*.py:Affine", "--timeout", "20", "--csv"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    head, *rows = done.stdout.splitlines()
    assert head.startswith("file,object,verdict")
    found = {row.split(",")[0].rsplit("/", 1)[1].removesuffix(".py"): row.split(",")[2] for row in rows}
    assert found == {name: verdict for name, (_, verdict) in STUDENTS.items()}


def test_the_fixture(pytester):
    pytester.makepyfile(
        """
        import numpy as np
        def test_good(gradcheck): gradcheck(np.sin, np.ones(2), vjp=lambda gy, x: gy * np.cos(x))
        def test_bad(gradcheck): gradcheck(np.sin, np.ones(2), vjp=lambda gy, x: gy * np.sin(x))
        """
    )
    installed = any(e.value == "badak.pytest_plugin" for e in importlib.metadata.entry_points(group="pytest11"))
    by_name = () if installed else ("-p", "badak.pytest_plugin")  # a source tree has no entry points
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", *by_name)
    result.assert_outcomes(passed=1, failed=1)


def test_a_bias_before_batch_norm_is_zero_by_rounding():
    """Its gradient is 0 whatever it is; that is a finding, beside others that are not, and no lack of evidence."""
    np.random.seed(0)
    net = bd.MultiLayerNetExtend(6, [5, 4], 3, use_batchnorm=True)
    report = bd.gradcheck(net, rng().standard_normal((8, 6)), np.array([0, 1, 2, 0, 1, 2, 0, 1]))
    assert report.ok and "rounding" in report["b1"].diagnosis, report


@pytest.mark.parametrize("name", ["vjp", "jvp"])
def test_a_gradient_that_is_no_function_is_refused(name):
    with pytest.raises(TypeError, match=f"{name} must be a function, called .*, got int"):
        bd.gradcheck(np.sin, np.ones(2), **{name: 3})


def test_a_generator_given_as_an_argument_is_left_as_it_is():
    draw = np.random.default_rng(3)
    before = repr(draw.bit_generator.state)
    report = bd.gradcheck(
        lambda x, draw: x * draw.random(), np.ones(3), draw, vjp=lambda gy, x, draw: (gy * draw.random(), None)
    )
    assert "NONDETERMINISTIC" in kinds(report) and repr(draw.bit_generator.state) == before, report


@pytest.mark.parametrize("found", [None, {"a": 1.0}, "text"])
def test_what_is_no_number_is_said(found):
    with pytest.raises(TypeError, match=f"must return real numbers or arrays of them, got {type(found).__name__}"):
        bd.gradcheck(lambda x: found, np.ones(3), vjp=lambda gy, x: gy)


def test_arguments_by_name_are_left_as_they_are():
    def f(x, kept):
        kept.append(1)
        return 2 * x

    kept = []
    assert bd.gradcheck(f, np.ones(3), vjp=lambda gy, x: 2 * gy, forward_kwargs={"kept": kept}).ok and kept == []
