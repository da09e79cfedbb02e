import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import badak as bd
from badak import _draw
from badak.report import Entry


@pytest.fixture
def pyplot():
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def new_axes(count=1):
    return Figure(figsize=(5 * count, 4)).subplots(1, count)


def some_history(epochs=4, steps=50, accuracy=True, validation=True):
    history = bd.History()
    for epoch in range(1, epochs + 1):
        history.epoch.append(epoch)
        history.step_loss += [2.0 * 0.99 ** (steps * (epoch - 1) + i) * (1 + 0.1 * (-1) ** i) for i in range(steps)]
        history.loss.append(1 / epoch)
        if accuracy:
            history.accuracy.append(1 - 0.1 / epoch)
        if validation:
            history.val_loss.append(1.1 / epoch)
            if accuracy:
                history.val_accuracy.append(1 - 0.2 / epoch)
    return history


def some_entry(name, analytic, numeric=None, uncertainty=1e-12, status="PASS", relative_error=1e-9):
    entry = Entry(name, np.shape(analytic), "float64")
    numeric = analytic if numeric is None else numeric
    entry.pairs = np.column_stack(np.broadcast_arrays(analytic, numeric, uncertainty))
    entry.status = status
    entry.checked = len(entry.pairs)
    entry.relative_error = relative_error
    return entry


def some_report(*entries):
    return bd.GradientReport("something", list(entries), [])


def labelled(axes):
    return dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))


def legend_texts(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def texts(axes):
    return [text.get_text() for text in axes.texts]


# -- learning curves --------------------------------------------------------------------------


def test_history_draws_loss_and_accuracy_on_the_axes_given():
    history = some_history()
    axes = new_axes(2)
    assert history.plot(axes) is axes
    loss, accuracy = axes
    assert (loss.get_ylabel(), accuracy.get_ylabel()) == ("loss", "accuracy")
    assert loss.get_xlabel() == accuracy.get_xlabel() == "epoch"

    lines = labelled(loss)
    assert set(lines) == {"training, each step", "training, smoothed", "validation"}
    np.testing.assert_array_equal(lines["training, each step"].get_ydata(), history.step_loss)
    x = lines["training, each step"].get_xdata()
    assert 0 < x[0] < x[-1] < 4 and np.allclose(np.diff(x), 1 / 50)
    np.testing.assert_array_equal(lines["validation"].get_xdata(), history.epoch)
    np.testing.assert_array_equal(lines["validation"].get_ydata(), history.val_loss)

    lines = labelled(accuracy)
    np.testing.assert_array_equal(lines["training 0.9750"].get_ydata(), history.accuracy)
    np.testing.assert_array_equal(lines["validation 0.9500"].get_ydata(), history.val_accuracy)


def test_history_of_a_regression_has_one_axes(pyplot):
    axes = some_history(accuracy=False).plot()
    assert axes.get_ylabel() == "loss"
    assert len(axes.figure.axes) == 1


def test_history_makes_its_own_figure(pyplot):
    axes = some_history().plot()
    assert [one.get_ylabel() for one in axes] == ["loss", "accuracy"]
    assert pyplot.get_fignums() == [axes[0].figure.number]  # a notebook shows it


def test_history_on_a_single_axes_draws_the_loss():
    axes = new_axes()
    assert some_history().plot(axes) is axes
    assert axes.get_ylabel() == "loss"


def test_history_without_validation():
    loss, accuracy = some_history(validation=False).plot(new_axes(2))
    assert set(labelled(loss)) == {"training, each step", "training, smoothed"}
    assert list(labelled(accuracy)) == ["training 0.9750"]


def test_history_of_nothing():
    axes = bd.History().plot(new_axes())
    assert axes.lines[:] == [] and axes.get_legend() is None


def test_history_of_one_step_an_epoch():
    axes = some_history(epochs=20, steps=1, accuracy=False).plot(new_axes())
    lines = labelled(axes)
    assert set(lines) == {"training, each step", "validation"}  # too few to be smoothed
    assert len(lines["training, each step"].get_xdata()) == 20


@pytest.mark.parametrize(("epochs", "marker"), [(30, "s"), (31, "None")])
def test_many_epochs_are_a_plain_line(epochs, marker):
    loss, accuracy = some_history(epochs=epochs, steps=2).plot(new_axes(2))
    assert labelled(loss)["validation"].get_marker() == accuracy.lines[1].get_marker() == marker


@pytest.mark.parametrize(
    ("values", "scale"), [((2.0, 0.02), "log"), ((2.0, 1.5), "linear"), ((1.0, 0.0), "linear"), ((1.0, 1.0), "linear")]
)
def test_loss_is_logarithmic_where_it_falls_far(values, scale):
    history = bd.History()
    history.epoch, history.step_loss = [1], list(values)
    axes = _draw.learning_loss(history, new_axes())
    assert axes.get_yscale() == scale
    low, high = axes.get_ylim()
    assert low < min(values) and high > max(values)
    axes.figure.canvas.draw()
    labels = [label.get_text() for label in axes.get_yticklabels(which="both")]
    if scale == "log":
        assert {"0.02", "0.05", "0.1", "1"} <= set(labels)
        assert "".join(labels).isascii()


def test_smoothed_is_a_mean_over_neighbours():
    values = np.array([5.0, 1, 2, 3, 4, 9])
    np.testing.assert_allclose(_draw.smoothed(values, 3), [5, 8 / 3, 2, 3, 16 / 3, 6.5])
    np.testing.assert_array_equal(_draw.smoothed(values, 1), values)
    np.testing.assert_allclose(_draw.smoothed(np.ones(7), 100), np.ones(7))
    falling = np.logspace(3, -30, 400)  # small means are not lost behind large ones
    np.testing.assert_allclose(_draw.smoothed(falling, 5)[100:-2], falling[100:-2], rtol=0.1)
    assert len(_draw.smoothed([], 3)) == 0


# -- gradients --------------------------------------------------------------------------------


def test_gradients_of_a_real_net_draws_every_comparison():
    net = bd.Net(
        [bd.Affine(units=5), bd.Relu(), bd.Affine(units=3)], loss=bd.SoftmaxWithLoss(), input_shape=(4,), seed=1
    )
    rng = np.random.default_rng(1)
    report = bd.gradcheck(net, rng.normal(size=(6, 4)), np.arange(6) % 3)
    axes = report.plot(new_axes())
    assert [text.split(",")[0] for text in legend_texts(axes)] == [f"{e.name}: {e.status}" for e in report.entries]
    assert len(axes.collections) == len(report.entries)
    for drawn, entry in zip(axes.collections, report.entries, strict=True):
        np.testing.assert_array_equal(drawn.get_offsets(), entry.pairs[:, :2])
    assert len({to_hex(drawn.get_facecolor()[0]) for drawn in axes.collections}) == 5
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("analytic gradient", "numerical gradient")


def test_gradients_both_axes_hold_all_points_and_the_identity():
    analytic = np.array([-3e-2, 1e-7, 0, 5.0])
    axes = some_report(some_entry("W", analytic)).plot(new_axes())
    assert axes.get_xscale() == axes.get_yscale() == "symlog"
    assert axes.get_xlim() == axes.get_ylim()
    low, high = axes.get_xlim()
    assert high > 5 and low == -high
    (identity,) = axes.lines
    np.testing.assert_array_equal(identity.get_xdata(), identity.get_ydata())
    ticks = axes.get_xticks()
    assert 0 in ticks and len(ticks) <= 9
    np.testing.assert_allclose(ticks, -ticks[::-1])
    assert all(label.get_text().isascii() for label in axes.get_xticklabels())


def test_gradients_says_how_far_they_are_apart():
    report = some_report(
        some_entry("W1", np.ones(1200), relative_error=3e-9), some_entry("b1", np.ones(2), relative_error=2.25e-7)
    )
    axes = report.plot(new_axes())
    assert legend_texts(axes) == ["W1: PASS, 3e-9", "b1: PASS, 2.2e-7"]
    assert texts(axes) == ["1,202 comparisons\nlargest relative difference\n2.2e-7, in b1"]


def test_gradients_crosses_what_disagrees():
    wrong = some_entry("W", np.array([1.0, 2, 3]), np.array([1.0, 4, 3 + 1e-13]), status="FAIL", relative_error=0.5)
    axes = some_report(some_entry("b", np.ones(2)), wrong).plot(new_axes())
    *points, crosses = axes.collections
    assert len(points) == 2
    np.testing.assert_array_equal(crosses.get_offsets(), [[2, 4]])
    assert to_hex(crosses.get_edgecolor()[0]).upper() == _draw.WRONG
    assert legend_texts(axes) == ["b: PASS, 1e-9", "W: FAIL, 0.5"]


def test_gradients_leaves_out_what_is_not_finite():
    entry = some_entry("W", np.array([1.0, np.nan, 2]), np.array([1.0, 2, np.inf]), status="NONFINITE")
    axes = some_report(entry).plot(new_axes())
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), [[1, 1]])


def test_gradients_of_an_entry_that_could_not_be_compared():
    entry = Entry("W", (2, 3), "float64")
    entry.status = "SHAPE"
    axes = some_report(entry).plot(new_axes())
    assert legend_texts(axes) == ["W: SHAPE"]
    assert texts(axes) == ["nothing could be compared"]


@pytest.mark.parametrize("values", [[0.0, 0.0], [1e300, -1e-300], [5e-324], [1.0], [-1e-9, 2e-9], []])
def test_gradients_of_any_size_can_be_drawn(values):
    axes = some_report(some_entry("W", np.array(values))).plot(new_axes())
    axes.figure.canvas.draw()
    low, high = axes.get_xlim()
    assert low == -high and 0 < high < np.inf


def test_gradients_of_many_names_the_bad_ones_first():
    entries = [some_entry(f"W{i}", np.ones(2)) for i in range(1, 31)]
    entries[24].status = "FAIL"
    axes = some_report(*entries).plot(new_axes())
    names = legend_texts(axes)
    assert len(names) == _draw.LEGEND_MOST
    assert "W25: FAIL, 1e-9" in names and "W1: PASS, 1e-9" in names
    assert axes.get_legend().get_title().get_text() == "20 more"


def test_gradients_of_no_entries_and_of_its_own_figure(pyplot):
    axes = some_report().plot()
    assert axes.get_legend() is None and len(axes.collections) == 0


# -- images -----------------------------------------------------------------------------------


def test_images_are_a_grid_on_one_scale():
    pictures = np.arange(7 * 4 * 3.0).reshape(7, 4, 3)
    axes = _draw.images(pictures, new_axes(), columns=3)
    assert len(axes.images) == 7
    for drawn, picture in zip(axes.images, pictures, strict=True):
        np.testing.assert_array_equal(drawn.get_array(), picture)
        assert drawn.get_clim() == (0, 83)
    corners = [drawn.get_extent()[::3] for drawn in axes.images]  # left, top
    assert len({x for x, _ in corners}) == 3 and len({y for _, y in corners}) == 3
    left, right, bottom, top = axes.images[0].get_extent()
    assert (right - left) / (bottom - top) == pytest.approx(3 / 4)
    assert corners[3][0] == corners[0][0] and corners[3][1] > corners[0][1]
    assert not axes.axison


def test_images_fit_into_the_axes():
    axes = _draw.images(np.zeros((5, 2, 2)), new_axes(), columns=2, captions=list("abcde"))
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    for drawn in axes.images:
        x0, x1, y1, y0 = drawn.get_extent()
        assert left <= x0 and x1 <= right and top <= y0 and y1 <= bottom
    assert texts(axes) == list("abcde")


def test_images_of_its_own_figure(pyplot):
    assert len(_draw.images(np.zeros((6, 8, 8))).images) == 6


def test_predictions_mark_the_wrong_ones():
    probabilities = np.array([[0.2, 0.8], [0.999, 0.001], [0.4, 0.6]])
    axes = _draw.predictions(np.zeros((3, 5, 5)), np.array([1, 0, 0]), probabilities, new_axes(), columns=3)
    assert texts(axes) == ["1  80%", "0  >99%", "1, not 0\n60%"]
    colors = [to_hex(text.get_color()).upper() for text in axes.texts]
    assert colors == [_draw.BLACK, _draw.BLACK, _draw.WRONG]
    (frame,) = axes.patches
    assert to_hex(frame.get_edgecolor()).upper() == _draw.WRONG
    left, right, bottom, top = axes.images[2].get_extent()
    assert frame.get_x() < left and frame.get_x() + frame.get_width() > right
    assert frame.get_y() < top and frame.get_y() + frame.get_height() > bottom


@pytest.mark.parametrize(("p", "text"), [(1.0, ">99%"), (0.991, ">99%"), (0.99, "99%"), (0.5, "50%"), (0.1049, "10%")])
def test_percent_is_never_certain(p, text):
    assert _draw.percent(p) == text


def test_filters_share_a_symmetric_scale():
    weights = np.random.default_rng(1).normal(size=(6, 3, 3)) + 1
    axes = _draw.filters(weights, new_axes(), columns=3)
    limits = {drawn.get_clim() for drawn in axes.images}
    ((low, high),) = limits
    assert low == -high and 0 < high <= np.abs(weights).max()
    white = axes.images[0].get_cmap()(0.5)
    assert min(white[:3]) > 0.95


def test_filters_of_zeros():
    axes = _draw.filters(np.zeros((2, 3, 3)), new_axes())
    assert axes.images[0].get_clim() == (-1, 1)


def test_scale_says_the_limits():
    axes, beside = new_axes(2)
    _draw.filters(np.full((1, 2, 2), 0.25), axes)
    _draw.scale(axes, beside)
    assert [label.get_text() for label in beside.get_yticklabels()] == ["-0.25", "0", "0.25"]


# -- the module -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.01, "0.01"), (1, "1"), (-0.001, "-0.001"), (1e-4, "1e-4"), (-2.54e-10, "-2.5e-10"), (1e5, "1e5")],
)
def test_short_numbers(value, text):
    assert _draw._short(value) == text


def test_drawing_on_given_axes_leaves_pyplot_alone():
    code = """if True:
        import sys
        import numpy as np
        import badak as bd
        assert "matplotlib" not in sys.modules
        from matplotlib.figure import Figure
        history = bd.History()
        history.epoch, history.step_loss = [1], [1.0, 0.5]
        history.plot(Figure().subplots())
        report = bd.gradcheck(np.sin, np.ones(3), vjp=lambda gy, x: gy * np.cos(x))
        report.plot(Figure().subplots()).figure.savefig(sys.stdout.buffer, format="png")
        assert "matplotlib.pyplot" not in sys.modules
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.startswith(b"\x89PNG")


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install badak\[plot\]"):
        some_history().plot()
    with pytest.raises(ImportError, match=r"pip install badak\[plot\]"):
        some_report().plot()


@pytest.mark.parametrize("axes", [3, "ax", [1, 2]])
def test_a_history_is_drawn_on_axes_only(axes):
    with pytest.raises(TypeError, match="axes must be Axes of matplotlib, one or two, got"):
        bd.History().plot(axes)
