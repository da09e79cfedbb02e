"""``badak.plot``: every function for every kind of input, on axes of its own and on given ones."""

import copy
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")

import badak as bd  # noqa: E402
from badak import _svg, plot  # noqa: E402


@pytest.fixture(autouse=True)
def nothing_global_changes():
    from matplotlib import pyplot

    own = pyplot.figure()
    settings = dict(matplotlib.rcParams)
    yield
    assert dict(matplotlib.rcParams) == settings
    assert own.number in pyplot.get_fignums()  # nothing of the user's is closed
    for number in pyplot.get_fignums():
        pyplot.figure(number).canvas.draw()  # what cannot be drawn fails here, and so does a warning
    pyplot.close("all")


def given(count=1):
    from matplotlib.figure import Figure

    return Figure(figsize=(4 * count, 4)).subplots(1, count)


def texts(axes):
    return [text.get_text() for text in axes.texts]


def digits_net(**kwargs):
    layers = [bd.Convolution(filters=4, size=3), bd.Relu(), bd.Pooling(2, 2), bd.Affine(units=5)]
    return bd.Net(layers, loss=bd.SoftmaxWithLoss(), input_shape=(1, 8, 8), seed=1, **kwargs)


def dense_net(inputs=2, classes=3, loss=None):
    layers = [bd.Affine(units=8), bd.Tanh(), bd.Affine(units=classes)]
    return bd.Net(layers, loss=loss or bd.SoftmaxWithLoss(), input_shape=inputs, seed=1)


RNG = np.random.default_rng(0)
X, T = RNG.random((6, 1, 8, 8)), np.array([0, 1, 2, 3, 4, 0])


# -- the module -------------------------------------------------------------------------------


def test_its_names():
    names = "images filters feature_maps activations confusion misclassified decision_boundary gradient_field"
    assert sorted((names + " descent_path compare graph").split()) == plot.__all__ == dir(bd.plot)
    for name in plot.__all__:
        assert "Returns\n-------" in getattr(plot, name).__doc__.replace("\n    ", "\n"), name


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


def test_matplotlib_is_imported_when_something_is_drawn():
    code = "import sys, badak as bd; bd.plot.graph(lambda x: x * 2, 3); assert 'matplotlib' not in sys.modules"
    done = run(code)
    assert done.returncode == 0, done.stderr


def test_without_matplotlib_it_says_what_to_install():
    code = "import sys, numpy; sys.modules['matplotlib'] = None; import badak as bd; bd.plot.images(numpy.eye(4))"
    done = run(code)
    assert "ImportError: drawing needs matplotlib: pip install badak[plot]" in done.stderr


@pytest.mark.parametrize("axes", ["an axes", 3, [None]])
def test_axes_must_be_axes(axes):
    with pytest.raises(TypeError, match="axes must be one of matplotlib's Axes"):
        plot.images(X, axes=axes)


# -- images -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape, count",
    [
        ((28, 28), 1),
        ((784,), 1),
        ((5, 784), 5),
        ((5, 28, 28), 5),
        ((5, 1, 28, 28), 5),
        ((1, 28, 28), 1),
        ((20, 30), 1),
        ((4, 3, 6, 7), 4),
        ((6, 7, 3), 1),
        ((16, 16), 1),
    ],
)
def test_images_of_every_shape(shape, count):
    axes = plot.images(RNG.random(shape))
    assert len(axes.images) == count


def test_images_are_what_was_given():
    axes = given()
    assert plot.images(X, T, axes=axes, columns=3) is axes
    np.testing.assert_array_equal(axes.images[4].get_array(), X[4, 0])
    assert texts(axes) == ["0", "1", "2", "3", "4", "0"]


def test_images_in_colour():
    x = RNG.random((2, 3, 4, 5))
    np.testing.assert_array_equal(plot.images(x).images[1].get_array()[..., 2], x[1, 2])
    bright = (255 * x).astype(np.uint8)
    np.testing.assert_allclose(plot.images(bright).images[0].get_array()[..., 0], bright[0, 0] / 255)
    wide = plot.images(10 * x - 5).images[0].get_array()
    assert wide.min() >= 0 and wide.max() <= 1


def test_images_more_than_can_be_seen():
    axes = plot.images(np.zeros((5000, 16)), np.arange(5000), count=12)
    assert len(axes.images) == 12 == len(texts(axes))


def test_images_of_rows_that_are_not_square():
    assert plot.images(np.zeros((3, 6)), size=(2, 3)).images[0].get_array().shape == (2, 3)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ((np.zeros((2, 3, 4, 5, 6)),), ValueError, "x has shape"),
        ((np.zeros((2, 2, 4, 5)),), ValueError, "x has shape"),
        ((np.zeros((0, 28, 28)),), ValueError, "holds no image"),
        ((["a"],), TypeError, "x must be an array of real numbers"),
        (([[1, 2], [3]],), ValueError, "ragged"),
        ((X, [1, 2]), ValueError, "6 images, but 2 labels"),
    ],
)
def test_images_that_are_none(arguments, error, message):
    with pytest.raises(error, match=message):
        plot.images(*arguments)


def test_what_is_written_has_the_colour_of_the_style():
    from matplotlib import pyplot

    with pyplot.style.context("dark_background"):
        drawn = [plot.images(X, T), plot.feature_maps(digits_net(), X[0])]
        drawn += [plot.misclassified(FixedNet(np.eye(2)[[1] * 6]), X, [0] * 6)]
        for axes in drawn:
            assert {text.get_color() for text in axes.texts} == {"white"}
        dark = plot.compare({"a": [3, 2, 1]})
        assert dark.xaxis.label.get_color() == "white" and dark.get_facecolor()[:3] == (0, 0, 0)


# -- filters and feature maps -----------------------------------------------------------------


def test_filters_of_arrays_layers_and_networks():
    W = RNG.normal(size=(6, 1, 3, 3))
    for what in (W, bd.Convolution(W, np.zeros(6))):
        axes = plot.filters(what)
        assert len(axes.images) == 6
        np.testing.assert_array_equal(axes.images[5].get_array(), W[5, 0])
    net = digits_net()
    np.testing.assert_array_equal(plot.filters(net).images[3].get_array(), net.params["W1"][3, 0])
    assert len(plot.filters(bd.TwoLayerNet(16, 7, 3)).images) == 7
    assert len(plot.filters(net, name="W2", size=(6, 6)).images) == 5
    axes = given()
    assert plot.filters(net, axes=axes) is axes


def test_filters_have_a_white_zero():
    low, high = plot.filters(RNG.normal(size=(4, 1, 3, 3))).images[0].get_clim()
    assert low == -high


def test_filters_with_several_channels_are_a_column_each():
    W = RNG.normal(size=(20, 3, 5, 5))
    axes = plot.filters(W)
    assert len(axes.images) == 16 * 3
    np.testing.assert_array_equal(axes.images[16 + 2].get_array(), W[2, 1])


@pytest.mark.parametrize(
    "what, kwargs, error, message",
    [
        (np.zeros((5, 3)), {}, ValueError, "columns of 5 weights are no images"),
        (np.zeros(3), {}, ValueError, "weights of shape"),
        (bd.Relu(), {}, TypeError, "has no weights W"),
        (bd.Affine(units=3), {}, TypeError, "has no arrays yet"),
        (bd.TwoLayerNet(16, 7, 3), {"name": "W9"}, KeyError, "no weights 'W9'"),
        (np.zeros((4, 3)), {"name": "W1"}, TypeError, "name chooses"),
    ],
)
def test_filters_that_are_none(what, kwargs, error, message):
    with pytest.raises(error, match=message):
        plot.filters(what, **kwargs)


def test_feature_maps_are_the_outputs():
    net = digits_net(dtype="float64")
    outputs = net.forward(X[:1], keep=True)
    for x in (X[0], X[:1], X[0, 0], X[0].ravel()):
        axes = plot.feature_maps(net, x)
        assert len(axes.images) == 1 + 3 * 4  # the image, three layers of four channels
        np.testing.assert_array_equal(axes.images[-1].get_array(), outputs[2][0, 3])
        assert texts(axes) == ["x", "Convolution", "Relu", "Pooling"]


def test_feature_maps_of_layers_and_book_networks():
    W = RNG.normal(size=(20, 1, 3, 3))
    axes = plot.feature_maps([bd.Convolution(W, np.zeros(20)), bd.Dropout(0.5)], X[0], channels=7)
    assert len(axes.images) == 1 + 2 * 7
    np.testing.assert_array_equal(
        axes.images[-1].get_array(), 0.5 * axes.images[7].get_array()
    )  # as when not in training
    network = bd.SimpleConvNet((1, 12, 12), {"filter_num": 3, "filter_size": 3, "pad": 0, "stride": 1}, 5, 4)
    axes = given()
    assert plot.feature_maps(network, RNG.random((1, 12, 12)), axes=axes) is axes
    assert len(plot.feature_maps(bd.Relu(), X[0]).images) == 2


def test_feature_maps_that_are_none():
    with pytest.raises(ValueError, match="takes one image"):
        plot.feature_maps(digits_net(), X)
    with pytest.raises(ValueError, match="there are no feature maps"):
        plot.feature_maps([bd.Flatten()], X[0])
    with pytest.raises(TypeError, match="expected a network or a list of layers"):
        plot.feature_maps("net", X[0])


# -- what a network does ----------------------------------------------------------------------


def test_activations_count_every_number():
    net = dense_net()
    x = RNG.normal(size=(50, 2))
    (panel,) = plot.activations(net, x)
    assert "2 Tanh" in panel.get_title()
    assert sum(bar.get_height() for bar in panel.patches) == 50 * 8
    panels = plot.activations(net, x, every=True)
    assert [panel.get_title().split("\n")[0] for panel in panels] == ["1 Affine", "2 Tanh", "3 Affine"]


def test_activations_of_a_dict_and_of_a_book_network():
    axes = given(2)
    drawn = plot.activations({"one": np.zeros(5), "two": [1.0, np.nan]}, axes=axes)
    assert list(drawn) == list(axes)
    assert "mean 1" in axes[1].get_title()
    assert len(plot.activations(bd.MultiLayerNet(4, [5, 6], 3), RNG.normal(size=(9, 4)))) == 2


def test_the_labels_of_small_activations_have_room():
    values = {name: np.linspace(0, 1.7e-4, 100) for name in "abcde"}
    for panel in plot.activations(values):
        low, high = panel.get_xlim()
        assert sum(low <= tick <= high for tick in panel.get_xticks()) <= 4


def test_activations_ask_for_what_is_missing():
    with pytest.raises(TypeError, match="needs x"):
        plot.activations(dense_net())
    with pytest.raises(ValueError, match="2 Axes are needed, got 1"):
        plot.activations({"a": [1.0], "b": [2.0]}, axes=given())
    with pytest.raises(ValueError, match="the dict is empty"):
        plot.activations({})


class FixedNet:
    """Gives the scores that it was made with."""

    def __init__(self, scores):
        self.scores = np.asarray(scores, dtype=float)

    def predict(self, x):
        return self.scores[: len(x)]


def test_confusion_counts():
    said, truth = np.array([0, 1, 1, 2, 2, 2]), np.array([0, 1, 2, 2, 2, 0])
    scores = np.eye(4)[said]
    forms = [(said, truth), (scores, truth), (said, np.eye(4)[truth]), (FixedNet(scores), np.zeros((6, 1)), truth)]
    forms += [(lambda x: said, np.zeros((6, 1)), truth[:, None])]
    for arguments in forms:
        axes = given()
        assert plot.confusion(*arguments, axes=axes) is axes
        counts = {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in axes.texts}
        assert counts == {(0, 0): "1", (0, 2): "1", (1, 1): "1", (2, 1): "1", (2, 2): "2"}
        assert "4 of 6 right" in axes.get_title()


def test_confusion_of_a_net_with_names():
    axes = plot.confusion(digits_net(), X, T, labels=list("abcde"))
    assert [text.get_text() for text in axes.get_xticklabels()] == list("abcde")


def test_confusion_asks_for_the_truth():
    with pytest.raises(TypeError, match="needs the truth t"):
        plot.confusion(digits_net(), X)
    with pytest.raises(ValueError, match="6 samples, but 2 labels"):
        plot.confusion(digits_net(), X, T[:2])
    with pytest.raises(ValueError, match="whole numbers from 0"):
        plot.confusion([0.5, 1.0], [0, 1])


def test_misclassified_are_the_most_certain_mistakes():
    scores = np.log([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4]])
    axes = plot.misclassified(FixedNet(scores), X[:4], [0, 0, 0, 1])
    assert texts(axes) == ["1, not 0\n80%", "1, not 0\n70%", "0, not 1\n60%"]
    np.testing.assert_array_equal(axes.images[0].get_array(), X[1, 0])
    probabilities = FixedNet(np.exp(scores))
    assert texts(plot.misclassified(probabilities, X[:4], [0, 0, 0, 1], count=1)) == ["1, not 0\n80%"]


def test_misclassified_when_there_is_nothing():
    axes = given()
    assert plot.misclassified(FixedNet([[1.0, 0.0]]), X[:1], [0], axes=axes) is axes
    assert texts(axes) == ["all 1 are right"]


# -- functions of two numbers -----------------------------------------------------------------


def region(axes):
    return axes.collections[0].get_array()


@pytest.mark.parametrize("gate", [bd.AND, bd.OR, bd.NAND, bd.XOR, bd.Neuron([1, 1], -1.5)])
def test_regions_of_perceptrons(gate):
    axes = plot.decision_boundary(gate, resolution=21)
    cells = region(axes).reshape(21, 21)
    corners = cells[[5, 5, 15, 15], [5, 15, 5, 15]]  # of -0.5 ... 1.5: the points 0 and 1
    x1, x2 = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    np.testing.assert_array_equal(corners, gate(x1, x2))


def test_regions_of_networks_and_functions():
    x, t = RNG.normal(size=(30, 2)), RNG.integers(0, 3, 30)
    net = dense_net()
    axes = given()
    assert plot.decision_boundary(net, x, t, resolution=9, axes=axes) is axes
    low, high = axes.get_xlim(), axes.get_ylim()
    points = np.array([(a, b) for b in np.linspace(*high, 9) for a in np.linspace(*low, 9)])
    np.testing.assert_array_equal(region(axes).ravel(), net.predict(points).argmax(axis=1))

    plot.decision_boundary(lambda points: points[:, 0], x, resolution=9)
    plot.decision_boundary(lambda a, b: a > b, xlim=(0, 1), ylim=(0, 2), resolution=9)
    plot.decision_boundary(bd.TwoLayerNet(2, 5, 3), x, np.eye(3)[t], resolution=9)


def test_the_threshold_of_one_score():
    net = dense_net(classes=1, loss=bd.SigmoidWithLoss())
    x = RNG.normal(size=(20, 2))
    axes = plot.decision_boundary(net, x, resolution=5)
    points = np.array([(a, b) for b in np.linspace(*axes.get_ylim(), 5) for a in np.linspace(*axes.get_xlim(), 5)])
    np.testing.assert_array_equal(region(axes).ravel(), net.predict(points)[:, 0] > 0)
    fixed = plot.decision_boundary(lambda points: 0.7 + 0 * points[:, 0], xlim=(0, 1), threshold=0.8, resolution=5)
    assert not region(fixed).any()


@pytest.mark.parametrize(
    "arguments, kwargs, error, message",
    [
        ((bd.AND, np.zeros((3, 4))), {}, ValueError, r"expected \(N, 2\)"),
        ((bd.AND,), {"t": [1]}, TypeError, "labels t without samples"),
        ((3,), {}, TypeError, "f must be a network or a function"),
        ((bd.AND,), {"xlim": (2, 1)}, ValueError, r"xlim must be \(low, high\)"),
        ((lambda p: p[:3, 0],), {}, ValueError, "f gave an array of shape"),
        ((bd.AND,), {"resolution": 0}, ValueError, "at least 1"),
        ((lambda p: np.arange(len(p)),), {}, ValueError, "different answers"),
    ],
)
def test_regions_that_are_none(arguments, kwargs, error, message):
    with pytest.raises(error, match=message):
        plot.decision_boundary(*arguments, **kwargs)


def bowl(x):
    return x[0] ** 2 / 20 + x[1] ** 2


def bowl_of_two(x, y):
    return x**2 / 20 + y**2


@pytest.mark.parametrize("f", [bowl, bowl_of_two, lambda x: np.sum(x * x * [1 / 20, 1])])
def test_gradient_field_is_the_gradient(f):
    arrows = plot.gradient_field(f, points=3).collections[-1]
    np.testing.assert_allclose(arrows.U, [-0.2, 0, 0.2] * 3, atol=1e-9)
    np.testing.assert_allclose(arrows.V, np.repeat([-4, 0, 4], 3), atol=1e-8)


def test_gradient_field_downhill():
    axes = given()
    assert plot.gradient_field(bowl, points=3, downhill=True, axes=axes) is axes
    np.testing.assert_allclose(axes.collections[-1].V, np.repeat([4, 0, -4], 3), atol=1e-8)
    assert "downhill" in axes.get_title()


def test_descent_paths_are_those_of_the_optimizers():
    sgd = bd.SGD(lr=0.5)
    before = copy.deepcopy(vars(sgd))
    axes = given()
    assert plot.descent_path(bowl, sgd, start=(-7, 2), steps=3, axes=axes) is axes
    assert vars(sgd) == before
    path = axes.lines[0].get_xydata()
    expected = [(-7 * 0.95**i, 2 * 0.0**i) for i in range(4)]  # x -= 0.5 * x / 10, y -= 0.5 * 2 y
    np.testing.assert_allclose(path, expected, atol=1e-8)


def test_descent_paths_side_by_side_and_together():
    four = [bd.SGD(0.9), bd.Momentum(0.1), bd.AdaGrad(1.5), bd.Adam(0.3)]
    panels = plot.descent_path(bowl_of_two, four, start=(-7, 2))
    assert [panel.get_title() for panel in panels] == ["SGD", "Momentum", "AdaGrad", "Adam"]
    assert len(plot.descent_path(bowl, four[:3], start=(-7, 2))) == 3
    axes = given()
    plot.descent_path(bowl, {"by hand": [(0, 0), (1, 1)], "SGD": four[0]}, start=(-7, 2), axes=axes)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["by hand", "SGD"]


def test_a_path_that_explodes_is_drawn_as_far_as_it_is_finite():
    axes = given()
    plot.descent_path(bowl, bd.SGD(lr=1e3), start=(-7, 2), steps=200, xlim=(-9, 9), ylim=(-9, 9), axes=axes)
    assert np.isfinite(axes.lines[0].get_xydata()).all()


@pytest.mark.parametrize(
    "paths, kwargs, error, message",
    [
        (bd.SGD(), {}, TypeError, "needs start"),
        ([[1, 2, 3]], {}, ValueError, "expected \\(n, 2\\)"),
        ({}, {}, ValueError, "no paths"),
        ([bd.SGD(), bd.SGD(), bd.SGD()], {"start": (1, 1)}, ValueError, "two of the optimisers are the same"),
    ],
)
def test_descent_paths_that_are_none(paths, kwargs, error, message):
    with pytest.raises(error, match=message):
        plot.descent_path(bowl, paths, **kwargs)


def test_a_function_must_give_one_number():
    with pytest.raises(ValueError, match="expected one number"):
        plot.gradient_field(lambda x: x)
    with pytest.raises(TypeError, match="f must be a function"):
        plot.gradient_field(3)


# -- side by side -----------------------------------------------------------------------------


def history(epochs, validation=True):
    found = bd.History()
    for epoch in range(1, epochs + 1):
        found.epoch.append(epoch)
        found.loss.append(1 / epoch)
        found.accuracy.append(1 - 1 / epoch)
        if validation:
            found.val_loss.append(2 / epoch)
            found.val_accuracy.append(0.9 - 1 / epoch)
    return found


def test_compare_histories():
    loss, accuracy = plot.compare({"a": history(3), "b": history(5)})
    assert (loss.get_ylabel(), accuracy.get_ylabel()) == ("validation loss", "validation accuracy")
    np.testing.assert_allclose(loss.lines[1].get_ydata(), 2 / np.arange(1, 6))
    axes = given()
    assert plot.compare({"a": history(3, False), "b": history(4)}, what="loss", axes=axes) is axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 1 / np.arange(1, 4))
    loss, _ = plot.compare({"a": history(3, False), "b": history(4)})
    assert loss.get_ylabel() == "loss"


def test_compare_lists_trainers_and_reports():
    axes = plot.compare({"a": [3, 2, 1], "b": np.ones(5)})
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [3, 2, 1])

    class Trained:
        train_acc_list, test_acc_list = [0.5, 0.75], [0.5, 0.625]

    assert plot.compare({"a": Trained()}).get_ylabel() == "validation accuracy"
    report = bd.gradcheck(bd.Tanh(), RNG.normal(size=(3, 2)))
    panels = plot.compare({"one": report, "two": report})
    assert [panel.get_title() for panel in panels] == ["one", "two"]


@pytest.mark.parametrize(
    "results, what, error, message",
    [
        ([history(2)], None, TypeError, "takes a dict"),
        ({}, None, TypeError, "takes a dict"),
        ({"a": history(2)}, "speed", ValueError, "what must be one of"),
        ({"a": history(2, False)}, "val_loss", ValueError, "none of the histories"),
        ({"a": history(2), "b": [1, 2]}, None, TypeError, "b is list"),
        ({"a": [[1, 2]]}, None, ValueError, "expected a list of numbers"),
        ({"a": [1, 2]}, "loss", TypeError, "lists of numbers are drawn as they are"),
    ],
)
def test_compare_what_cannot_be_compared(results, what, error, message):
    with pytest.raises(error, match=message):
        plot.compare(results, what=what)


# -- graphs -----------------------------------------------------------------------------------


def parts(picture):
    """The texts of a picture by their colour. What is no XML fails here."""
    root = ElementTree.fromstring(picture._repr_svg_())
    found = {_svg.INK: [], _svg.VALUE: [], _svg.GRADIENT: []}
    for element in root.iter("{http://www.w3.org/2000/svg}text"):
        found[element.get("fill")].append(element.text or "")
        assert 0 <= float(element.get("x")) <= picture.width
        assert 0 < float(element.get("y")) < picture.height
    return found


def test_graph_of_a_formula():
    found = parts(plot.graph(lambda a, n, tax: a * n * tax, a=100, n=2, tax=1.1, output="price"))
    assert sorted(found[_svg.VALUE]) == sorted(["100", "2", "1.1", "200", "220"])
    assert sorted(found[_svg.GRADIENT]) == sorted(["2.2", "110", "200", "1.1", "1"])
    assert set(found[_svg.INK]) == {"a", "n", "tax", "price"}


def test_graph_of_the_layers_of_a_reader():
    mul_apple, mul_orange, mul_tax, add = bd.MulLayer(), bd.MulLayer(), bd.MulLayer(), bd.AddLayer()

    def shop(apple, apples, orange, oranges, tax):
        fruit = add.forward(mul_apple.forward(apple, apples), mul_orange.forward(orange, oranges))
        return mul_tax.forward(fruit, tax)

    found = parts(plot.graph(shop, 100, 2, 150, 3, 1.1))
    assert {"2.2", "110", "3.3", "165", "650"} <= set(found[_svg.GRADIENT])
    assert "715" in found[_svg.VALUE]
    assert {"apple", "apples", "orange", "oranges", "tax"} <= set(found[_svg.INK])


FORMULAS = [
    lambda x, y: x + y,
    lambda x, y: 3 - x - y,
    lambda x, y: x * y * x,
    lambda x, y: x / y + 2 / x,
    lambda x, y: x**2 + y**-1.5 + x**y,
    lambda x, y: 2**x * (+y),
    lambda x, y: -np.exp(x) + np.log(y),
    lambda x, y: np.sqrt(x) * np.sin(y) + np.cos(x),
    lambda x, y: np.tanh(x) * abs(y - 3) + np.square(x),
    lambda x, y: np.maximum(x, y) * np.minimum(x, 1) + np.maximum(0, x),
    lambda x, y: x if x > 5 else x * (1 / (1 + np.exp(-x))) + y,
    lambda x, y: np.float64(2) * x + np.float32(0.5) * y,
]


@pytest.mark.parametrize("number", range(len(FORMULAS)))
def test_gradients_of_a_graph_are_right(number):
    from badak import _graph

    f, point = FORMULAS[number], np.array([0.7, 1.9])
    nodes, _ = _graph._inputs(f, tuple(point), {})
    end = f(*nodes)
    end.gradient = 1.0
    for node in reversed(_graph._in_order(end)):
        for one, slope in zip(node.inputs, node.slopes, strict=True):
            one.gradient += slope * node.gradient
    assert end.value == pytest.approx(float(f(*point)))
    expected = bd.numerical_gradient(lambda v: float(f(*v)), point.copy())
    np.testing.assert_allclose([node.gradient for node in nodes], expected, rtol=1e-6)
    parts(plot.graph(f, *point))


def test_graph_without_the_way_back():
    found = parts(plot.graph(lambda x: x * x + x, 3, backward=False))
    assert found[_svg.GRADIENT] == []
    assert "12" in found[_svg.VALUE]


def test_graph_of_a_net():
    found = parts(plot.graph(dense_net(), backward=True))
    assert found[_svg.VALUE] == ["(N, 2)", "(N, 8)", "(N, 8)", "(N, 3)", "one number"]
    assert found[_svg.GRADIENT] == ["(N, 2)", "(N, 8)", "(N, 8)", "(N, 3)", "1"]
    names = [text for text in found[_svg.INK] if text]
    assert names == ["x", "Affine", "W1 b1", "Tanh", "Affine", "W2 b2", "SoftmaxWithLoss", "loss"]


def test_graph_of_a_residual_is_a_branch():
    layers = [bd.Residual([bd.Convolution(filters=4, size=3, pad=1), bd.Residual([bd.Relu()])]), bd.Affine(units=2)]
    net = bd.Net([bd.Convolution(filters=4, size=1), *layers], loss=bd.SoftmaxWithLoss(), input_shape=(1, 5, 5))
    picture = plot.graph(net)
    found = parts(picture)
    assert picture._repr_svg_().count(_svg.SIGNS["+"]) == 2  # where the branches meet again
    assert picture._repr_svg_().count("<circle") == 2  # where they part
    assert [text for text in found[_svg.INK] if text[:1] == "W"] == ["W1 b1", "W2 b2", "W3 b3"]
    assert "(N, 4, 5, 5)" in found[_svg.VALUE]


class Half:
    """A reader's own layer, which cannot be hashed."""

    __hash__ = None

    def __init__(self):
        self.params = {"scale": np.array([0.5])}
        self.grads = {}

    def __eq__(self, other):
        return self is other

    def forward(self, x):
        self.x = x
        return self.params["scale"] * x

    def backward(self, dout):
        self.grads["scale"] = np.array([np.sum(self.x * dout)])
        return self.params["scale"] * dout


def test_a_net_with_a_layer_of_the_reader():
    layers = [bd.Affine(units=4), bd.Residual([Half(), bd.Affine(units=4)]), bd.Relu(), bd.Affine(units=2)]
    net = bd.Net(layers, loss=bd.SoftmaxWithLoss(), input_shape=3, seed=1)
    found = parts(plot.graph(net))
    assert "Half" in found[_svg.INK]
    assert found[_svg.VALUE] == ["(N, 3)", "(N, 4)", "(N, 4)", "(N, 4)", "(N, 4)", "(N, 4)", "(N, 2)", "one number"]
    (panel,) = plot.activations(net, RNG.normal(size=(5, 3)))
    assert panel.get_title().startswith("3 Relu")


def test_graph_of_layers_with_and_without_x():
    layers = [bd.Affine(np.zeros((3, 2)), np.zeros(2)), bd.Residual([bd.Sigmoid()])]
    assert parts(plot.graph(layers))[_svg.VALUE] == []
    found = parts(plot.graph(layers, np.zeros((4, 3)), backward=True))
    assert found[_svg.VALUE][0] == "(4, 3)" and found[_svg.VALUE][-1] == "(4, 2)"
    assert "(4, 2)" in found[_svg.GRADIENT]
    assert "Relu" in parts(plot.graph(bd.Relu()))[_svg.INK]
    book = parts(plot.graph(bd.TwoLayerNet(4, 3, 2), np.zeros((5, 4))))
    assert book[_svg.VALUE] == ["(5, 4)", "(5, 3)", "(5, 3)", "(5, 2)", "one number"]


def test_a_long_net_takes_several_lines():
    net = bd.Net([bd.Affine(units=5) for _ in range(20)], loss=bd.IdentityWithLoss(), input_shape=5)
    picture = plot.graph(net)
    assert picture.width < 1000 and picture.height > 200
    assert len(parts(picture)[_svg.VALUE]) == 22


def test_a_deep_book_network_is_drawn():
    parts(plot.graph(bd.DeepConvNet()))


def test_graph_is_saved(tmp_path):
    picture = plot.graph(lambda x: x * 2, 3)
    path = tmp_path / "graph.svg"
    picture.save(path)
    assert path.read_text(encoding="utf-8") == picture._repr_svg_() == str(picture)
    with pytest.raises(ValueError, match=r"must end in \.svg"):
        picture.save(tmp_path / "graph.png")
    assert "pixels" in repr(picture)


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return np.dot(linear, [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("background", ["#ffffff", "#111111"])
@pytest.mark.parametrize("colour", [_svg.INK, _svg.VALUE, _svg.GRADIENT])
def test_graphs_are_legible_on_light_and_dark(colour, background):
    low, high = sorted([luminance(colour), luminance(background)])
    assert (high + 0.05) / (low + 0.05) > 4


def test_graph_is_ascii():
    assert str(plot.graph(dense_net())).isascii()


@pytest.mark.parametrize(
    "arguments, named, error, message",
    [
        ((lambda x: x,), {"x": 1}, TypeError, "nothing to draw"),
        ((lambda x: 5,), {"x": 1}, TypeError, "must return one number"),
        ((lambda x: (x + 1, x),), {"x": 1}, TypeError, "several results"),
        ((lambda x: x + 1,), {}, TypeError, "needs its inputs"),
        ((lambda x: x + 1, np.zeros(3)), {}, TypeError, "x must be a finite number"),
        ((lambda x: x + np.zeros(2),), {"x": 1}, TypeError, "single numbers"),
        ((lambda x: np.arctan(x),), {"x": 1}, TypeError, "does not know np.arctan"),
        ((lambda x: __import__("math").exp(x),), {"x": 1}, TypeError, "not math.exp"),
        ((lambda x: 1 / x,), {"x": 0}, ValueError, "is inf"),
        ((lambda x: x + 1, 1), {"backward": 2}, TypeError, "backward must be True or False"),
        (([],), {}, ValueError, "the list of layers is empty"),
        (([bd.Relu],), {}, TypeError, "the class Relu"),
        ((bd.Relu,), {}, TypeError, "the class Relu"),
        ((3,), {}, TypeError, "got int"),
        (([bd.Relu()], 1, 2), {}, TypeError, "takes one x"),
        (([bd.Relu()],), {"apple": 2}, TypeError, "takes x, not apple"),
        ((dense_net(), 1), {}, TypeError, "knows its shapes"),
    ],
)
def test_graphs_that_are_none(arguments, named, error, message):
    with pytest.raises(error, match=message):
        plot.graph(*arguments, **named)
