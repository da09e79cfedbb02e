"""badak.Net: the same numbers as its layers one by one, memory that never moves, training that can be followed."""

import copy
import gc
import math
import re

import numpy as np
import pytest

import badak as bd

EPS32 = float(np.finfo(np.float32).eps)


# ---- Nets to try ----


def softmax_net(*layers, **options):
    return bd.Net(list(layers), loss=bd.SoftmaxWithLoss(), **{"input_shape": 4, "seed": 1, **options})


def regression_net(*layers, **options):
    return bd.Net(list(layers), loss=bd.IdentityWithLoss(), **{"input_shape": 4, "seed": 1, **options})


def mlp(**options):
    return softmax_net(bd.Affine(units=5), bd.Relu(), bd.Affine(units=3), **options)


# name -> (net, by its options); all take 4 features and give 3 classes, or 4 numbers for a regression
NETS = {
    "one layer": lambda **o: softmax_net(bd.Affine(units=3), **o),
    "two layers": mlp,
    "every activation": lambda **o: softmax_net(
        bd.Affine(units=7, init="xavier"),
        bd.Sigmoid(),
        bd.Affine(units=6, init="xavier"),
        bd.Tanh(),
        bd.Affine(units=5),
        bd.Relu(),
        bd.Affine(units=3, init=0.1),
        **o,
    ),
    "activation first and last": lambda **o: softmax_net(bd.Relu(), bd.Affine(units=3), bd.Sigmoid(), **o),
    "two activations in a row": lambda **o: softmax_net(bd.Affine(units=3), bd.Relu(), bd.Tanh(), bd.Relu(), **o),
    "regression": lambda **o: regression_net(bd.Affine(units=6), bd.Tanh(), bd.Affine(units=4), **o),
    "no parameters": lambda **o: regression_net(bd.Relu(), bd.Tanh(), **o),
    "residual": lambda **o: softmax_net(
        bd.Affine(units=6),
        bd.Residual([bd.Affine(units=5), bd.Relu(), bd.Affine(units=6)]),
        bd.Relu(),
        bd.Affine(units=3),
        **o,
    ),
    "residual first and last": lambda **o: regression_net(
        bd.Residual([bd.Relu(), bd.Affine(units=4)]), bd.Residual([bd.Affine(units=4), bd.Relu()]), **o
    ),
    "residual in residual": lambda **o: regression_net(
        bd.Residual([bd.Affine(units=4), bd.Residual([bd.Relu(), bd.Affine(units=4), bd.Tanh()]), bd.Relu()]), **o
    ),
    "residual of no parameters": lambda **o: softmax_net(
        bd.Relu(), bd.Residual([bd.Relu()]), bd.Affine(units=3), bd.Residual([bd.Sigmoid(), bd.Relu()]), **o
    ),
}


def data_for(net, n, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, *net.input_shape))
    if isinstance(net.loss_layer, bd.SoftmaxWithLoss):
        return x, rng.integers(0, 3, n)
    return x, rng.standard_normal((n, 4))


@pytest.fixture(params=list(NETS))
def make(request):
    return NETS[request.param]


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


# ---- Two oracles: the layers of badak one by one, and NumPy ----


class StandAlone:
    """The layers of a net with the arrays of its parameters, run by hand."""

    def __init__(self, net):
        self.names = iter(net.params)
        self.net = net
        self.affine = {}  # name of W -> layer
        self.layers = [self._twin(layer) for layer in net.layers]
        self.loss_layer = type(net.loss_layer)()

    def _twin(self, layer):
        if isinstance(layer, bd.Residual):
            return bd.Residual([self._twin(child) for child in layer.layers])
        if not isinstance(layer, bd.Affine):
            return type(layer)()
        W, b = next(self.names), next(self.names)
        self.affine[W] = self.affine[b] = bd.Affine(self.net.params[W].copy(), self.net.params[b].copy())
        return self.affine[W]

    def outputs(self, x):
        outputs = []
        for layer in self.layers:
            x = layer.forward(x)
            outputs.append(x)
        return outputs

    def loss(self, x, t):
        return self.loss_layer.forward(self.outputs(x)[-1], t)

    def gradient(self, x, t):
        self.loss(x, t)
        dout = self.loss_layer.backward()
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        return {name: layer.dW if name.startswith("W") else layer.db for name, layer in self.affine.items()}


class InNumPy:
    """The same in a few lines of NumPy, float64."""

    def __init__(self, net):
        self.layers = net.layers
        self.classifies = isinstance(net.loss_layer, bd.SoftmaxWithLoss)
        self.params = {name: array.astype(float) for name, array in net.params.items()}

    def loss_and_gradient(self, x, t):
        self.names = iter(self.params)
        self.grads = {}
        scores, back = self._chain(self.layers, np.asarray(x, dtype=float))
        n = len(scores)
        if self.classifies:
            y = np.exp(scores - scores.max(axis=1, keepdims=True))
            y /= y.sum(axis=1, keepdims=True)
            rows = np.eye(y.shape[1])[t]
            loss = -(rows * np.log(y)).sum() / n
            back((y - rows) / n)
        else:
            loss = ((scores - t) ** 2).sum() / (2 * n)
            back((scores - t) / n)
        return loss, {name: self.grads[name] for name in self.params}

    def _chain(self, layers, x):
        """The output of the layers, and a function from its gradient to that of x."""
        backs = []
        for layer in layers:
            x, back = self._step(layer, x)
            backs.append(back)

        def chain_back(dout):
            for back in reversed(backs):
                dout = back(dout)
            return dout

        return x, chain_back

    def _step(self, layer, x):
        match type(layer).__name__:
            case "Affine":
                names = next(self.names), next(self.names)
                W, b = (self.params[name] for name in names)
                rows = x.reshape(len(x), -1)

                def back(dout):
                    self.grads[names[0]], self.grads[names[1]] = rows.T @ dout, dout.sum(axis=0)
                    return (dout @ W.T).reshape(x.shape)

                return rows @ W + b, back
            case "Relu":
                return np.maximum(x, 0), lambda dout: dout * (x > 0)
            case "Sigmoid":
                out = 1 / (1 + np.exp(-x))
                return out, lambda dout: dout * out * (1 - out)
            case "Tanh":
                out = np.tanh(x)
                return out, lambda dout: dout * (1 - out**2)
            case "Residual":
                branch, branch_back = self._chain(layer.layers, x)
                return x + branch, lambda dout: dout + branch_back(dout)


def assert_same_arrays(found, expected):
    assert list(found) == list(expected)
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def assert_close_arrays(found, expected, rtol, atol=0.0):
    assert list(found) == list(expected)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=rtol, atol=atol, err_msg=name)


def copies(arrays):
    return {name: array.copy() for name, array in arrays.items()}


# ---- The same numbers ----


@pytest.mark.parametrize("n", [1, 2, 17, 100])
def test_equals_its_layers_one_by_one_to_the_bit(make, dtype, n):
    net = make(dtype=dtype)
    x, t = data_for(net, n)
    alone = StandAlone(net)

    np.testing.assert_array_equal(net.predict(x), alone.outputs(x.astype(dtype))[-1])
    assert net.loss(x, t) == pytest.approx(alone.loss(x.astype(dtype), t), rel=4e-16)
    assert_same_arrays(net.gradient(x, t), alone.gradient(x.astype(dtype), t))


def test_equals_numpy(make, dtype):
    net = make(dtype=dtype)
    x, t = data_for(net, 30)
    x = x.astype(np.float32)
    loss, gradient = InNumPy(net).loss_and_gradient(x, t)

    eps = float(np.finfo(dtype).eps)
    assert net.loss(x, t) == pytest.approx(loss, rel=20 * eps)
    assert_close_arrays(net.gradient(x, t), gradient, rtol=200 * eps, atol=20 * eps)


def test_numerical_gradient_agrees_with_gradient(make):
    net = make(dtype="float64")
    x, t = data_for(net, 7)
    assert_close_arrays(net.gradient(x, t), net.numerical_gradient(x, t), rtol=1e-6, atol=1e-8)


def test_numerical_gradient_of_a_float32_net_is_computed_in_float64():  # B118
    net = mlp()
    x, t = data_for(net, 7)
    found = net.numerical_gradient(x, t)
    assert {array.dtype for array in found.values()} == {np.dtype("float64")}
    _, expected = InNumPy(net).loss_and_gradient(x, t)
    assert_close_arrays(found, expected, rtol=1e-5, atol=1e-8)


def test_numerical_gradient_leaves_the_net_as_it_was():
    net = mlp()
    x, t = data_for(net, 7)
    net.gradient(x, t)
    before, grads = copies(net.params), copies(net.grads)
    net.numerical_gradient(x, t)
    assert_same_arrays(net.params, before)
    assert_same_arrays(net.grads, grads)


@pytest.mark.parametrize("h", [1e-3, 1e-5])
def test_numerical_gradient_uses_the_step_that_it_is_given(h):
    net = regression_net(bd.Affine(units=1), bd.Sigmoid(), input_shape=1, dtype="float64")
    net.params["W1"] = [[0.7]]
    x, t = np.array([[1.3]]), np.array([[0.25]])

    def loss(w):
        return (1 / (1 + math.exp(-w * 1.3)) - 0.25) ** 2 / 2

    expected = (loss(0.7 + h) - loss(0.7 - h)) / (2 * h)
    assert net.numerical_gradient(x, t, h=h)["W1"].item() == pytest.approx(expected, rel=1e-9 * (1e-3 / h))


def test_forward_keeps_what_every_layer_gives(make, dtype):
    net = make(dtype=dtype)
    x, _ = data_for(net, 9)
    outputs = net.forward(x, keep=True)
    expected = StandAlone(net).outputs(x.astype(dtype))

    assert len(outputs) == len(net.layers)
    for found, wanted in zip(outputs, expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(outputs[-1], net.predict(x))
    np.testing.assert_array_equal(net.forward(x), net.predict(x))


def test_what_forward_keeps_belongs_to_the_caller():
    net = mlp()
    x = data_for(net, 3)[0].astype(np.float32)
    given = x.copy()
    for output in net.forward(x, keep=True):
        output[...] = 99
    np.testing.assert_array_equal(x, given)


@pytest.mark.parametrize("n", [0, 1, 2, 255, 256, 257, 511, 1000])
def test_predict_does_not_depend_on_the_batch_size(dtype, n):
    net = NETS["residual"](dtype=dtype)
    x, _ = data_for(net, n)
    scores = net.predict(x)
    assert scores.shape == (n, 3)
    assert scores.dtype == dtype
    rows = [net.predict(x[i : i + 1]) for i in range(n)]
    np.testing.assert_array_equal(scores, np.concatenate(rows) if rows else scores)


@pytest.mark.parametrize("n", [1, 255, 256, 257, 1000])
def test_loss_is_the_mean_over_every_sample(n):
    net = mlp(dtype="float64")
    x, t = data_for(net, n)
    each = [net.loss(x[i : i + 1], t[i : i + 1]) for i in range(n)]
    assert net.loss(x, t) == pytest.approx(math.fsum(each) / n, rel=1e-13)


@pytest.mark.parametrize("n", [1, 99, 256, 257, 1003])
def test_accuracy_counts_every_sample(n):
    net = mlp()
    x, t = data_for(net, n)
    right = np.count_nonzero(net.predict(x).argmax(axis=1) == t)
    assert net.accuracy(x, t) == right / n
    assert net.accuracy(x, np.eye(3)[t]) == right / n
    assert net.accuracy(x, t[:, None]) == right / n


def test_accuracy_takes_whatever_the_net_takes():
    class HasArray:
        def __array__(self, dtype=None, copy=None):
            return x

    net = mlp()
    x, t = data_for(net, 10)
    assert net.accuracy(x.tolist(), t.tolist()) == net.accuracy(x, t)
    assert net.accuracy(HasArray(), t) == net.accuracy(x, t)


def test_accuracy_needs_classes():
    net = NETS["regression"]()
    with pytest.raises(TypeError, match=r"accuracy needs classes.*IdentityWithLoss.*loss\(x, t\)"):
        net.accuracy(*data_for(net, 3))


def test_one_hot_rows_are_labels_and_soft_rows_weigh():
    net = mlp(dtype="float64")
    x, t = data_for(net, 20)
    one_hot = np.eye(3)[t]
    assert net.loss(x, one_hot) == net.loss(x, t)
    assert_same_arrays(net.gradient(x, one_hot), net.gradient(x, t))

    soft = 0.25 * one_hot + 0.75 * np.eye(3)[(t + 1) % 3]
    expected = 0.25 * net.loss(x, t) + 0.75 * net.loss(x, (t + 1) % 3)
    assert net.loss(x, soft) == pytest.approx(expected, rel=1e-14)


def test_nan_propagates_through_predict_loss_and_gradient():
    net = mlp()
    x, t = data_for(net, 3)
    x[1, 2] = np.nan
    scores = net.predict(x)
    assert np.isnan(scores[1]).all()
    assert np.isfinite(scores[[0, 2]]).all()
    assert math.isnan(net.loss(x, t))
    assert np.isnan(net.gradient(x, t)["W1"]).any()


# ---- Arrays that come out ----


def test_what_is_returned_is_new_each_time(dtype):
    net = mlp(dtype=dtype)
    x, t = data_for(net, 5)
    other_x, other_t = data_for(net, 5, seed=1)

    scores, gradient = net.predict(x), net.gradient(x, t)
    kept_scores, kept_gradient = scores.copy(), copies(gradient)
    net.predict(other_x)
    net.gradient(other_x, other_t)
    net.train_step(other_x, other_t, bd.SGD())

    np.testing.assert_array_equal(scores, kept_scores)
    assert_same_arrays(gradient, kept_gradient)
    assert all(array.flags.owndata and array.flags.writeable for array in gradient.values())
    assert not any(np.shares_memory(gradient[name], net.grads[name]) for name in gradient)
    assert type(net.loss(x, t)) is float
    assert type(net.accuracy(x, t)) is float


def test_grads_hold_what_the_last_gradient_or_step_computed():
    net = mlp()
    x, t = data_for(net, 5)
    other_x, other_t = data_for(net, 6, seed=1)
    assert not any(array.any() for array in net.grads.values())

    gradient = net.gradient(x, t)
    assert_same_arrays(net.grads, gradient)
    net.predict(other_x)
    net.loss(other_x, other_t)
    assert_same_arrays(net.grads, gradient)

    second = net.gradient(other_x, other_t)
    net.gradient(x, t)
    net.train_step(other_x, other_t, bd.SGD())
    assert_same_arrays(net.grads, second)


def test_arguments_are_not_changed():
    net = mlp()
    x, t = (np.ascontiguousarray(a) for a in data_for(net, 20))
    for x_given in (x, x.astype(np.float32)):
        before = x_given.tobytes(), t.tobytes()
        x_given.flags.writeable = t.flags.writeable = False
        net.predict(x_given)
        net.loss(x_given, t)
        net.gradient(x_given, t)
        net.numerical_gradient(x_given, t)
        net.forward(x_given, keep=True)
        net.train_step(x_given, t, bd.SGD())
        net.fit(x_given, t, epochs=1, progress=False)
        assert (x_given.tobytes(), t.tobytes()) == before


# ---- Parameters: names, views ----


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("one layer", "W1 b1"),
        ("two layers", "W1 b1 W2 b2"),
        ("no parameters", ""),
        ("residual", "W1 b1 W2 b2 W3 b3 W4 b4"),
        ("residual in residual", "W1 b1 W2 b2"),
    ],
)
def test_names_of_parameters(name, names):
    net = NETS[name]()
    assert list(net.params) == list(net.grads) == names.split()
    assert len(net.params) == len(names.split())
    assert list(net.buffers) == []


def test_parameters_inside_a_residual_are_named_depth_first():
    net = softmax_net(
        bd.Affine(units=6),
        bd.Residual([bd.Affine(units=2), bd.Residual([bd.Affine(units=2)]), bd.Affine(units=6)]),
        bd.Affine(units=3),
    )
    shapes = {name: array.shape for name, array in net.params.items() if name.startswith("W")}
    assert shapes == {"W1": (4, 6), "W2": (6, 2), "W3": (2, 2), "W4": (2, 6), "W5": (6, 3)}


def test_parameters_are_contiguous_views_in_the_users_layout(dtype):
    net = mlp(dtype=dtype)
    assert {name: array.shape for name, array in net.params.items()} == {
        "W1": (4, 5),
        "b1": (5,),
        "W2": (5, 3),
        "b2": (3,),
    }
    for array in [*net.params.values(), *net.grads.values()]:
        assert array.dtype == dtype
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.flags.aligned
        assert not array.flags.owndata
    assert net.size == 4 * 5 + 5 + 5 * 3 + 3


def test_writing_into_parameters_changes_the_net():
    net = mlp(dtype="float64")
    x, _ = data_for(net, 5)
    net.params["W2"][...] = 0
    net.params["b2"][...] = [1, 2, 3]
    np.testing.assert_array_equal(net.predict(x), np.tile([1.0, 2.0, 3.0], (5, 1)))
    net.params["b2"] -= np.array([1.0, 1.0, 1.0])
    np.testing.assert_array_equal(net.predict(x), np.tile([0.0, 1.0, 2.0], (5, 1)))


def test_assigning_to_a_parameter_copies_into_its_view():
    net = mlp()
    view = net.params["W1"]
    given = np.arange(20.0).reshape(4, 5)
    net.params["W1"] = given
    assert net.params["W1"] is view
    np.testing.assert_array_equal(view, given)
    given[...] = -1
    assert view[0, 1] == 1

    net.params["W1"] = given.T.copy().T  # any layout
    net.params["W1"] = given.astype(">f8")  # any byte order
    np.testing.assert_array_equal(view, given)
    net.params["b1"] = [1, 2, 3, 4, 5]
    net.params["b1"] = net.params["b1"][::-1]  # even itself, backwards
    np.testing.assert_array_equal(net.params["b1"], [5, 4, 3, 2, 1])


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (np.zeros((5, 4)), ValueError, r"W1 has shape \(4, 5\), got an array of shape \(5, 4\)"),
        (np.zeros((1, 5)), ValueError, r"W1 has shape \(4, 5\)"),
        (3.0, ValueError, r"W1 has shape \(4, 5\)"),
        (np.zeros((4, 5)) + 0j, TypeError, "W1 takes real numbers, got dtype complex128"),
        (np.zeros((4, 5)).astype(str), TypeError, "W1 takes real numbers, got dtype <U32"),
        (np.zeros((4, 5), dtype=object), TypeError, "W1 takes real numbers, got dtype object"),
        (np.zeros((4, 5), dtype="M8[s]"), TypeError, "W1 takes real numbers"),
        (np.zeros((4, 5), dtype=np.longdouble), TypeError, "W1 takes real numbers"),
        (np.ma.masked_array(np.zeros((4, 5)), mask=np.eye(4, 5)), TypeError, "W1.*mask"),
        (None, TypeError, "W1 takes real numbers"),
        ([[1, 2], [3]], ValueError, "inhomogeneous"),
    ],
)
def test_assigning_what_does_not_fit_is_refused(value, error, message):
    net = mlp()
    before = copies(net.params)
    with pytest.raises(error, match=message):
        net.params["W1"] = value
    assert_same_arrays(net.params, before)


def test_an_unknown_name_is_a_key_error_that_lists_the_names():
    net = mlp()
    with pytest.raises(KeyError, match=r"W9.*W1, b1, W2, b2"):
        net.params["W9"] = np.zeros(3)
    with pytest.raises(KeyError, match=r"W9.*W1, b1, W2, b2"):
        net.params["W9"]
    with pytest.raises((TypeError, AttributeError)):
        del net.params["W1"]
    assert "W9" not in net.params
    assert "W1" in net.params
    assert repr(net.params) == "{'W1': float32(4, 5), 'b1': float32(5,), 'W2': float32(5, 3), 'b2': float32(3,)}"


@pytest.mark.parametrize("n", [3, 5000])
def test_parameters_never_move(n):
    net = mlp()
    views = [*net.params.values(), *net.grads.values()]
    addresses = [view.ctypes.data for view in views]
    x, t = data_for(net, n)
    net.predict(x)
    net.train_step(x, t, bd.SGD())
    net.train_step(x, t, bd.Adam())
    net.fit(x, t, epochs=1, batch_size=n, progress=False)
    assert [view.ctypes.data for view in [*net.params.values(), *net.grads.values()]] == addresses
    assert all(a is b for a, b in zip(views, [*net.params.values(), *net.grads.values()], strict=True))


def test_views_outlive_their_net():
    net = bd.Net([bd.Affine(units=500)], loss=bd.SoftmaxWithLoss(), input_shape=500, seed=1)
    adam = bd.Adam()
    net.train_step(np.ones((2, 500)), [1, 2], adam)
    W, mapping, part = net.params["W1"], net.params, net.params["W1"][3:5, ::2]
    kept, kept_m = W.copy(), adam.m["W1"].copy()
    del net
    gc.collect()
    np.ones((500, 500), dtype=np.float32)  # would come to lie where the net was
    np.testing.assert_array_equal(W, kept)
    np.testing.assert_array_equal(part, kept[3:5, ::2])
    np.testing.assert_array_equal(adam.m["W1"], kept_m)
    W += 1
    del W
    gc.collect()
    np.testing.assert_array_equal(mapping["W1"], kept + 1)


def test_the_books_update_loop_trains_a_net():
    net, twin = mlp(), mlp()
    x, t = data_for(net, 10)
    for _ in range(5):
        grads = net.gradient(x, t)
        for key in net.params:
            net.params[key] -= np.float32(0.1) * grads[key]
        twin.train_step(x, t, bd.SGD(lr=0.1))
    assert_close_arrays(net.params, copies(twin.params), rtol=1e-6, atol=1e-7)


def test_an_optimiser_of_its_own_trains_a_net():
    net, twin = mlp(), mlp()
    x, t = data_for(net, 10)
    adam = bd.Adam()
    for _ in range(5):
        adam.update(net.params, net.gradient(x, t))
        twin.train_step(x, t, twin.optimizer or bd.Adam())
    assert net.optimizer is None
    assert_same_arrays(net.params, copies(twin.params))


# ---- Layers that bring their arrays ----


def test_arrays_of_layers_are_copied_in_and_left_alone(dtype):
    rng = np.random.default_rng(0)
    W1, b1 = np.asfortranarray(rng.standard_normal((4, 5))), rng.standard_normal(5)
    W2, b2 = rng.standard_normal((3, 5)).astype(np.float32).T, np.float32(0.5)
    arrays = [W1, b1, W2]
    given = [array.copy() for array in arrays]
    first, last = bd.Affine(W1, b1), bd.Affine(W2, b2)
    net = softmax_net(first, bd.Relu(), last, dtype=dtype)

    expected = {"W1": W1, "b1": b1, "W2": W2, "b2": np.full(3, 0.5)}
    assert_same_arrays(net.params, {name: array.astype(dtype) for name, array in expected.items()})
    x, t = data_for(net, 10)
    net.fit(x, t, epochs=2, batch_size=3, progress=False)
    for array, was in zip(arrays, given, strict=True):
        np.testing.assert_array_equal(array, was)
    assert first.W is W1
    assert not np.array_equal(net.params["W1"], W1.astype(dtype))


def test_layers_with_and_without_arrays_mix_in_any_depth():
    rng = np.random.default_rng(0)
    W, b = rng.standard_normal((6, 6)), rng.standard_normal(6)
    net = softmax_net(
        bd.Affine(units=6), bd.Residual([bd.Relu(), bd.Affine(W, b), bd.Affine(units=6)]), bd.Affine(units=3)
    )
    np.testing.assert_array_equal(net.params["W2"], W.astype(np.float32))
    np.testing.assert_array_equal(net.params["b2"], b.astype(np.float32))
    assert net.params["W3"].std() > 0.1
    assert not net.params["b3"].any()


def test_arrays_that_do_not_fit_the_layer_before_are_refused():
    with pytest.raises(ValueError, match=r"W1 has shape \(4, 3\), got an array of shape \(5, 3\)"):
        softmax_net(bd.Affine(np.zeros((5, 3)), np.zeros(3)))


def test_one_layer_object_may_serve_two_nets():
    layer = bd.Affine(units=3)
    first, second = softmax_net(layer, seed=1), softmax_net(layer, seed=2)
    x, t = data_for(first, 5)
    before = copies(second.params)
    first.train_step(x, t, bd.SGD())
    assert_same_arrays(second.params, before)
    assert first.layers[0] is second.layers[0] is layer


@pytest.mark.parametrize(
    "layers",
    [
        lambda a: [a, bd.Relu(), a],
        lambda a: [a, bd.Residual([a])],
        lambda a: [bd.Residual([a, a])],
        lambda a: [bd.Residual([a]), bd.Residual([bd.Relu(), bd.Residual([a])])],
    ],
)
def test_the_same_layer_object_twice_is_refused_at_any_depth(layers):
    with pytest.raises(ValueError, match="same"):
        regression_net(*layers(bd.Affine(units=4)))


# ---- First parameters ----


@pytest.mark.parametrize(("init", "std"), [("he", (2 / 400) ** 0.5), ("xavier", (1 / 400) ** 0.5), (0.3, 0.3)])
def test_first_weights_are_normal_and_biases_zero(init, std):
    net = softmax_net(bd.Affine(units=300, init=init), input_shape=400)
    W = net.params["W1"].astype(float)
    assert W.std() == pytest.approx(std, rel=0.02)
    assert abs(W.mean()) < 0.02 * std
    assert np.mean(np.abs(W) < std) == pytest.approx(0.6827, abs=0.01)
    assert not net.params["b1"].any()


def test_the_seed_decides_the_first_parameters():
    assert_same_arrays(mlp(seed=7).params, copies(mlp(seed=7).params))
    assert_same_arrays(mlp(seed=np.uint64(7)).params, copies(mlp(seed=7).params))
    assert not np.array_equal(mlp(seed=7).params["W1"], mlp(seed=8).params["W1"])
    assert not np.array_equal(mlp(seed=0).params["W1"], mlp(seed=2**64 - 1).params["W1"])


def test_without_a_seed_the_system_gives_one_that_can_be_used_again():
    first, second = mlp(seed=None), mlp(seed=None)
    assert first.seed != second.seed
    assert not np.array_equal(first.params["W1"], second.params["W1"])
    assert_same_arrays(mlp(seed=first.seed).params, copies(first.params))


def test_float32_begins_as_float64_does_rounded():
    expected = {name: array.astype(np.float32) for name, array in mlp(dtype="float64").params.items()}
    assert_same_arrays(mlp(dtype="float32").params, expected)


# ---- dtype and input_shape ----


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("float32", np.float32),
        ("float64", np.float64),
        (np.float32, np.float32),
        (np.dtype("float64"), np.float64),
        (float, np.float64),
        ("f4", np.float32),
    ],
)
def test_dtype(given, expected):
    net = mlp(dtype=given)
    assert net.dtype == expected
    assert net.params["W1"].dtype == expected
    x, t = data_for(net, 3)
    assert net.predict(x).dtype == expected
    assert net.predict(x.astype(np.float32)).dtype == expected
    assert net.predict([[1, 2, 3, 4]]).dtype == expected
    assert net.gradient(x, t)["W1"].dtype == expected


def test_float32_is_the_default():
    net = bd.Net([bd.Affine(units=3)], loss=bd.SoftmaxWithLoss(), input_shape=4)
    assert net.dtype == np.float32


@pytest.mark.parametrize("shape", [4, (4,), [4], np.int64(4), (np.int32(4),)])
def test_input_shape_of_one_axis(shape):
    net = mlp(input_shape=shape)
    assert net.input_shape == (4,)
    x, _ = data_for(mlp(), 3)
    np.testing.assert_array_equal(net.predict(x), mlp().predict(x))


def test_images_may_be_fed_flat_or_as_images():
    def net_of(shape):
        return softmax_net(bd.Relu(), bd.Affine(units=6), bd.Tanh(), bd.Affine(units=3), input_shape=shape)

    images, flat = net_of((1, 28, 28)), net_of(784)
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((10, 1, 28, 28)), rng.integers(0, 3, 10)
    rows = x.reshape(10, 784)

    assert images.input_shape == (1, 28, 28)
    for given in (x, rows, rows.reshape(10, 28, 28), rows.reshape(10, 7, 112)):
        np.testing.assert_array_equal(images.predict(given), flat.predict(rows))
        assert images.loss(given, t) == flat.loss(rows, t)
        assert_same_arrays(images.gradient(given, t), flat.gradient(rows, t))
    for given in (x, rows):
        outputs = images.forward(given, keep=True)
        assert [output.shape for output in outputs] == [(10, 1, 28, 28), (10, 6), (10, 6), (10, 3)]
        np.testing.assert_array_equal(outputs[-1], flat.predict(rows))


def test_a_single_feature_takes_one_dimensional_x():
    net = regression_net(bd.Affine(units=3), bd.Tanh(), bd.Affine(units=1), input_shape=(1,), dtype="float64")
    x = np.linspace(-1, 1, 9)
    t = (x**2)[:, None]
    np.testing.assert_array_equal(net.predict(x), net.predict(x[:, None]))
    np.testing.assert_array_equal(net.predict(x.tolist()), net.predict(x[:, None]))
    assert net.loss(x, t) == net.loss(x[:, None], t)
    np.testing.assert_array_equal(net.forward(x, keep=True)[0], net.forward(x[:, None], keep=True)[0])
    history = net.fit(x, t, epochs=2, batch_size=4, progress=False)
    assert len(history.step_loss) == 6


def test_integers_bool_and_half_precision_are_converted():
    net = mlp(dtype="float64")
    whole = np.arange(12).reshape(3, 4) % 2
    for given in (whole.astype(d) for d in (bool, "i1", "u1", "i4", "u8", "f2", "f4", ">f4", ">i2")):
        np.testing.assert_array_equal(net.predict(given), net.predict(whole.astype(float)))


def test_values_beyond_float32_become_infinite_without_a_warning():
    net = softmax_net(bd.Relu(), bd.Affine(np.ones((4, 2)), 0.0))
    x = np.full((1, 4), 1e300)
    np.testing.assert_array_equal(net.predict(x), [[np.inf, np.inf]])
    with pytest.raises(ValueError, match="x holds NaN or infinity"):
        net.fit(x, [0], epochs=1, progress=False)


# ---- One step ----


class NumpySGD:
    def __init__(self, lr):
        self.lr = lr

    def update(self, params, grads):
        for key in params:
            params[key] -= self.lr * grads[key]


class NumpyAdam:
    def __init__(self, lr, beta1=0.9, beta2=0.999, eps=1e-7):
        self.lr, self.beta1, self.beta2, self.eps = lr, beta1, beta2, eps
        self.m = self.v = None
        self.t = 0

    def update(self, params, grads):
        if self.m is None:
            self.m, self.v = ({key: np.zeros_like(p) for key, p in params.items()} for _ in range(2))
        self.t += 1
        lr = self.lr * np.sqrt(1 - self.beta2**self.t) / (1 - self.beta1**self.t)
        for key, g in grads.items():
            self.m[key] += (1 - self.beta1) * (g - self.m[key])
            self.v[key] += (1 - self.beta2) * (g**2 - self.v[key])
            params[key] -= lr * self.m[key] / (np.sqrt(self.v[key]) + self.eps)


@pytest.mark.parametrize(
    ("optimizer", "twin"),
    [
        (bd.SGD(lr=0.3), NumpySGD(0.3)),
        (bd.Adam(lr=0.05), NumpyAdam(0.05)),
        (bd.Adam(0.01, 0.5, 0.9, 1e-3), NumpyAdam(0.01, 0.5, 0.9, 1e-3)),
        (bd.Adam(lr=0.1, beta1=0.0, beta2=0.0, eps=0.1), NumpyAdam(0.1, 0.0, 0.0, 0.1)),
    ],
    ids=["SGD", "Adam", "Adam with other options", "Adam without memory"],
)
@pytest.mark.parametrize("name", ["two layers", "residual", "regression"])
def test_ten_steps_equal_numpy(name, optimizer, twin):
    optimizer, twin = copy.deepcopy(optimizer), copy.deepcopy(twin)
    net = NETS[name](dtype="float64")
    in_numpy = InNumPy(net)
    for step in range(10):
        x, t = data_for(net, 5 + step, seed=step)
        loss, gradient = in_numpy.loss_and_gradient(x, t)
        assert net.train_step(x, t, optimizer) == pytest.approx(loss, rel=1e-12)
        twin.update(in_numpy.params, gradient)
        assert_close_arrays(net.params, in_numpy.params, rtol=1e-12, atol=1e-12)
    assert optimizer.iter == 10


@pytest.mark.parametrize("make_optimizer", [lambda: bd.SGD(0.1), lambda: bd.Adam(0.1)])
def test_a_step_equals_gradient_and_update_to_the_bit(make, dtype, make_optimizer):
    net, by_hand = make(dtype=dtype), make(dtype=dtype)
    x, t = data_for(net, 10)
    bound, free = make_optimizer(), make_optimizer()
    params = copies(by_hand.params)
    for _ in range(3):
        loss = by_hand.loss(x, t)
        free.update(params, by_hand.gradient(x, t))
        for name, array in params.items():
            by_hand.params[name] = array
        assert net.train_step(x, t, bound) == pytest.approx(loss, rel=4e-16)
        assert_same_arrays(net.params, params)
    assert bound.iter == free.iter == 3
    for name, arrays in free.state.items():
        assert_same_arrays(getattr(bound, name), arrays)


def test_hyper_parameters_are_read_at_every_step():
    net, twin = mlp(dtype="float64"), mlp(dtype="float64")
    x, t = data_for(net, 5)
    sgd = bd.SGD(lr=0.1)
    net.train_step(x, t, sgd)
    sgd.lr = 0.01
    net.train_step(x, t)
    twin.train_step(x, t, bd.SGD(lr=0.1))
    twin.train_step(x, t, bd.SGD(lr=0.01))
    assert_same_arrays(net.params, copies(twin.params))
    sgd.lr = -1
    before = copies(net.params)
    with pytest.raises(ValueError, match="lr = -1"):
        net.train_step(x, t)
    assert_same_arrays(net.params, before)


def test_a_step_that_is_not_finite_changes_no_parameter():
    net = mlp()
    x, t = data_for(net, 5)
    net.train_step(x, t, bd.Adam())
    x[2, 1] = np.inf
    before, state = copies(net.params), copies(net.optimizer.m)
    with pytest.raises(FloatingPointError, match=r"the (loss|gradient) became (nan|inf|infinite or NaN)"):
        net.train_step(x, t)
    assert_same_arrays(net.params, before)
    assert_same_arrays(net.optimizer.m, state)
    assert net.optimizer.iter == 1


# ---- Which optimiser ----


def test_the_first_step_binds_the_optimiser():
    net = mlp()
    x, t = data_for(net, 5)
    assert net.optimizer is None
    with pytest.raises(TypeError, match="None, and none is bound yet"):
        net.train_step(x, t)
    adam = bd.Adam()
    net.train_step(x, t, adam)
    assert net.optimizer is adam
    assert list(adam.m) == list(adam.v) == list(net.params)
    assert adam.m["W1"].any()
    net.train_step(x, t)
    net.train_step(x, t, adam)  # the same again goes on
    assert adam.iter == 3


def test_fit_without_an_optimiser_takes_adam_or_the_bound_one():
    net, twin = mlp(), mlp()
    x, t = data_for(net, 20)
    net.fit(x, t, epochs=2, progress=False)
    assert isinstance(net.optimizer, bd.Adam)
    bound = net.optimizer
    net.fit(x, t, epochs=1, progress=False)
    assert net.optimizer is bound
    assert bound.iter == 3
    twin.fit(x, t, epochs=2, optimizer=bd.Adam(), progress=False)
    twin.fit(x, t, epochs=1, optimizer=twin.optimizer, progress=False)
    assert_same_arrays(net.params, copies(twin.params))


def test_a_stateful_optimiser_of_other_parameters_is_refused():
    net, other = mlp(), mlp()
    x, t = data_for(net, 5)
    adam = bd.Adam()
    other.train_step(x, t, adam)
    before = copies(net.params)
    for call in (lambda: net.train_step(x, t, adam), lambda: net.fit(x, t, epochs=1, optimizer=adam, progress=False)):
        with pytest.raises(ValueError, match=r"Adam\(.*holds the state of other parameters: make a new one"):
            call()
    assert net.optimizer is None
    assert other.optimizer is adam
    assert_same_arrays(net.params, before)

    used = bd.Adam()
    used.update({"W": np.ones(3)}, {"W": np.ones(3)})
    with pytest.raises(ValueError, match="holds the state of other parameters"):
        net.train_step(x, t, used)


def test_sgd_keeps_nothing_and_may_serve_two_nets():
    first, second = mlp(), mlp()
    x, t = data_for(first, 5)
    sgd = bd.SGD()
    for net in (first, second, first):
        net.train_step(x, t, sgd)
    second.train_step(x, t, sgd)
    assert_same_arrays(first.params, copies(second.params))


def test_another_optimiser_begins_anew_and_the_one_before_keeps_copies():
    net, twin = mlp(), mlp()
    x, t = data_for(net, 5)
    first = bd.Adam()
    for _ in range(3):
        net.train_step(x, t, first)
        twin.train_step(x, t, twin.optimizer or bd.Adam())
    kept = {name: copies(arrays) for name, arrays in first.state.items()}

    second = bd.Adam(lr=0.5)
    net.train_step(x, t, second)
    assert net.optimizer is second
    assert (first.iter, second.iter) == (3, 1)
    for name, arrays in kept.items():
        assert_same_arrays(getattr(first, name), arrays)
        assert not any(np.shares_memory(a, b) for a in getattr(first, name).values() for b in second.m.values())

    params = copies(twin.params)
    gradient = twin.gradient(x, t)
    bd.Adam(lr=0.5).update(params, gradient)
    assert_same_arrays(net.params, params)
    first.update(copies(params), gradient)  # still of use by itself
    assert first.iter == 4
    with pytest.raises(ValueError, match="holds the state of other parameters"):
        net.train_step(x, t, first)


def test_updates_by_hand_with_the_bound_optimiser_count():
    net, twin = mlp(dtype="float64"), mlp(dtype="float64")
    x, t = data_for(net, 5)
    adam = bd.Adam(lr=0.1)
    net.train_step(x, t, adam)
    adam.update(net.params, net.gradient(x, t))
    net.train_step(x, t)
    for _ in range(3):
        twin.train_step(x, t, twin.optimizer or bd.Adam(lr=0.1))
    assert adam.iter == 3
    assert_close_arrays(net.params, copies(twin.params), rtol=1e-14)


# ---- fit ----


@pytest.mark.parametrize("batch_size", [1, 7, 10, 20, 23, 24, 1000, 2**62])
def test_fit_without_shuffling_is_a_loop_over_steps_to_the_bit(dtype, batch_size):
    net, by_hand = mlp(dtype=dtype), mlp(dtype=dtype)
    x, t = data_for(net, 23)
    history = net.fit(x, t, epochs=3, batch_size=batch_size, optimizer=bd.Adam(0.01), shuffle=False, progress=False)
    losses, adam = [], bd.Adam(0.01)
    for _ in range(3):
        for at in range(0, 23, batch_size):  # the last, smaller batch too
            losses.append(by_hand.train_step(x[at : at + batch_size], t[at : at + batch_size], adam))
    assert_same_arrays(net.params, copies(by_hand.params))
    assert_same_arrays(net.optimizer.v, by_hand.optimizer.v)
    assert history.step_loss == losses
    assert net.optimizer.iter == len(losses)


def test_fit_of_a_regression_is_a_loop_over_steps_to_the_bit(dtype):
    net, by_hand = NETS["regression"](dtype=dtype), NETS["regression"](dtype=dtype)
    x, t = data_for(net, 23)
    net.fit(x, t, epochs=2, batch_size=10, optimizer=bd.SGD(0.1), shuffle=False, progress=False)
    for _ in range(2):
        for at in range(0, 23, 10):
            by_hand.train_step(x[at : at + 10], t[at : at + 10], by_hand.optimizer or bd.SGD(0.1))
    assert_same_arrays(net.params, copies(by_hand.params))


def test_two_fits_are_one_longer_fit():
    once, twice = mlp(), mlp()
    x, t = data_for(once, 50)
    once.fit(x, t, epochs=4, batch_size=8, progress=False)
    twice.fit(x, t, epochs=1, batch_size=8, progress=False)
    twice.fit(x, t, epochs=3, batch_size=8, progress=False)
    assert_same_arrays(once.params, copies(twice.params))


def test_shuffling_gives_every_sample_once_in_a_new_order_each_epoch():
    net = mlp(dtype="float64")
    net.params["b1"] = np.full(5, 0.1)
    net.params["b2"] = np.full(3, 0.1)
    x, t = data_for(net, 40)
    each = [net.loss(x[i : i + 1], t[i : i + 1]) for i in range(40)]
    before = copies(net.params)
    history = net.fit(x, t, epochs=3, batch_size=1, optimizer=bd.SGD(lr=1e-300), progress=False)
    assert_same_arrays(net.params, before)  # such a step is too small to change anything

    epochs = np.reshape(history.step_loss, (3, 40))
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.sort(each))
    orders = [each, *epochs]
    assert not any(np.array_equal(orders[i], orders[j]) for i in range(4) for j in range(i))


def test_fit_with_the_same_seed_is_the_same_fit():
    x, t = data_for(mlp(), 50)

    def losses(net, **options):
        return net.fit(x, t, epochs=2, batch_size=8, progress=False, **options).step_loss

    assert losses(mlp()) == losses(mlp())
    assert losses(mlp(), seed=5) == losses(mlp(), seed=5)
    assert losses(mlp(), seed=5) != losses(mlp(), seed=6)
    assert losses(mlp(), seed=5) != losses(mlp())
    assert losses(mlp(), shuffle=False, seed=5) == losses(mlp(), shuffle=False, seed=6)

    used = mlp()
    initial = copies(used.params)
    losses(used)
    for name, array in initial.items():
        used.params[name] = array
    assert losses(used, seed=5, optimizer=bd.Adam()) == losses(mlp(), seed=5)


def test_no_epochs_change_nothing():
    net = mlp()
    x, t = data_for(net, 10)
    before = copies(net.params)
    history = net.fit(x, t, epochs=0, validation=(x, t))
    assert_same_arrays(net.params, before)
    for name in ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "step_loss"):
        assert getattr(history, name) == []
    assert repr(history) == "History(no epoch finished)"


def test_history_of_a_classifier():
    net = mlp(dtype="float64")
    x, t = data_for(net, 23)
    val_x, val_t = data_for(net, 31, seed=1)
    validated = []

    def validate(net, event):
        validated.append((net.loss(val_x, val_t), net.accuracy(val_x, val_t)))

    history = net.fit(x, t, epochs=3, batch_size=10, validation=(val_x, val_t), callbacks=[validate], progress=False)
    assert history.epoch == [1, 2, 3]
    steps = np.reshape(history.step_loss, (3, 3))
    np.testing.assert_allclose(history.loss, steps @ [10, 10, 3] / 23, rtol=1e-14)
    assert list(zip(history.val_loss, history.val_accuracy, strict=True)) == validated
    for value in (*history.loss, *history.accuracy, *history.val_loss, *history.val_accuracy, *history.step_loss):
        assert type(value) is float
    assert all(0 <= value <= 1 and round(value * 23, 9).is_integer() for value in history.accuracy)
    assert re.fullmatch(
        r"History\(3 epochs: loss [\d.]+, accuracy [\d.]+, val_loss [\d.]+, val_accuracy [\d.]+\)", repr(history)
    )


def test_history_of_a_regression_has_no_accuracy():
    net = NETS["regression"]()
    x, t = data_for(net, 23)
    history = net.fit(x, t, epochs=2, validation=(x, t), progress=False)
    assert history.accuracy == history.val_accuracy == []
    assert len(history.loss) == len(history.val_loss) == 2


def test_accuracy_in_history_is_as_trained_on():
    net = mlp(dtype="float64")
    x, t = data_for(net, 30)
    before = net.accuracy(x, t)
    history = net.fit(x, t, epochs=1, batch_size=30, optimizer=bd.SGD(5.0), progress=False)
    assert history.accuracy == [before]


def test_validation_does_not_change_the_training():
    first, second = mlp(), mlp()
    x, t = data_for(first, 50)
    first.fit(x, t, epochs=3, batch_size=8, progress=False)
    second.fit(x, t, epochs=3, batch_size=8, validation=data_for(first, 700, seed=1), progress=False)
    assert_same_arrays(first.params, copies(second.params))


def test_labels_may_come_as_any_integers_or_one_hot():
    x, t = data_for(mlp(), 30)
    expected = mlp().fit(x, t, epochs=2, batch_size=7, progress=False).step_loss
    for labels in (t.tolist(), t.astype("u1"), t.astype(">i2"), t[:, None], np.eye(3)[t], np.eye(3, dtype=int)[t]):
        assert mlp().fit(x, labels, epochs=2, batch_size=7, progress=False).step_loss == expected


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["x", "validation"])
def test_fit_refuses_samples_that_are_not_finite(where, bad):
    net = mlp()
    x, t = data_for(net, 30)
    broken = x.copy()
    broken[17, 2] = bad
    with pytest.raises(ValueError, match=rf"{where}.*NaN or infinity \(first in row 17\)"):
        if where == "x":
            net.fit(broken, t, epochs=1, progress=False)
        else:
            net.fit(x, t, epochs=1, validation=(broken, t), progress=False)
    assert net.optimizer is None


def test_fit_refuses_targets_that_are_not_finite():
    net = NETS["regression"]()
    x, t = data_for(net, 30)
    t[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"t holds NaN or infinity \(first in row 3\)"):
        net.fit(x, t, epochs=1, progress=False)


# ---- Progress ----


def test_progress_in_a_log_is_a_line_now_and_then(capsys):
    net = mlp()
    x, t = data_for(net, 30)
    net.fit(x, t, epochs=30, validation=(x, t))
    lines = capsys.readouterr().out.splitlines()
    assert 1 <= len(lines) <= 11
    assert re.match(r"epoch 3/30 100%  loss [\d.]+  accuracy [\d.]+ .*samples/s.*validation accuracy", lines[0])
    assert lines[-1].startswith("epoch 30/30")


def test_no_progress_prints_nothing(capsys):
    net = mlp()
    x, t = data_for(net, 30)
    net.fit(x, t, epochs=3, progress=False)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


# ---- Callbacks ----


def test_callbacks_are_called_in_order_after_each_epoch():
    net = mlp()
    x, t = data_for(net, 30)
    calls = []

    def first(a_net, event):
        assert a_net is net
        assert event.epochs == 3
        assert event.history.epoch == list(range(1, event.epoch + 1))
        assert len(event.history.loss) == event.epoch
        calls.append(("first", event.epoch, event.history))

    history = net.fit(
        x, t, epochs=3, callbacks=[first, lambda _, event: calls.append(("second", event.epoch))], progress=False
    )
    assert [call[:2] for call in calls] == [(name, epoch) for epoch in (1, 2, 3) for name in ("first", "second")]
    assert calls[0][2] is history


def test_an_event_tells_what_it_is():
    events = []
    x, t = data_for(mlp(), 30)
    mlp().fit(x, t, epochs=2, callbacks=(lambda net, event: events.append(repr(event)),), progress=False)
    assert events[0].startswith("Event(epoch=1, epochs=2, History(1 epochs: loss ")


@pytest.mark.parametrize("error", [ValueError, StopIteration, KeyboardInterrupt, SystemExit, MemoryError])
def test_what_a_callback_raises_passes_and_the_net_goes_on(error):
    net, twin = mlp(), mlp()
    x, t = data_for(net, 30)
    raised = error("enough")

    def stop(net, event):
        if event.epoch == 2:
            raise raised

    with pytest.raises(error) as caught:
        net.fit(x, t, epochs=5, batch_size=8, callbacks=[stop], progress=False)
    assert caught.value is raised
    twin.fit(x, t, epochs=2, batch_size=8, progress=False)
    assert_same_arrays(net.params, copies(twin.params))
    assert net.optimizer.iter == 8
    net.fit(x, t, epochs=1, batch_size=8, progress=False)
    twin.fit(x, t, epochs=1, batch_size=8, progress=False)
    assert_same_arrays(net.params, copies(twin.params))


def test_a_callback_may_look_at_the_net_and_change_it():
    net = mlp()
    x, t = data_for(net, 30)

    def halve_the_rate(net, event):
        net.optimizer.lr /= 2
        net.params["b1"][...] = 0
        assert net.predict(x).shape == (30, 3)

    net.fit(x, t, epochs=3, optimizer=bd.SGD(0.8), callbacks=[halve_the_rate], progress=False)
    assert net.optimizer.lr == 0.1
    assert not net.params["b1"].any()


def test_callbacks_are_those_given_at_the_start():  # B132
    net = mlp()
    x, t = data_for(net, 30)
    calls = []
    callbacks = []

    def call(net, event):
        calls.append(event.epoch)
        callbacks.append(call)

    callbacks.append(call)
    net.fit(x, t, epochs=3, callbacks=callbacks, progress=False)
    assert calls == [1, 2, 3]


# ---- When training goes wrong ----


@pytest.mark.parametrize("optimizer", [bd.SGD(lr=1e20), bd.Adam(lr=1e25)], ids=repr)
def test_a_huge_learning_rate_stops_with_its_reason_and_finite_parameters(optimizer):
    net = mlp()
    x, t = data_for(net, 60)
    with pytest.raises(FloatingPointError) as caught:
        net.fit(x, t, epochs=50, batch_size=10, optimizer=optimizer, progress=False)
    message = str(caught.value)
    assert re.search(r"epoch \d+, batch \d+ of the epoch: the (loss|gradient) became (nan|inf)", message)
    assert repr(optimizer) in message
    assert "smaller learning rate" in message
    assert all(np.isfinite(array).all() for array in net.params.values())
    assert np.isfinite(net.params["W1"].sum(dtype=float))

    again = mlp()  # the net can be used as if it were new
    for name, array in again.params.items():
        net.params[name] = array
    net.fit(x, t, epochs=2, optimizer=bd.Adam(), seed=3, progress=False)
    again.fit(x, t, epochs=2, optimizer=bd.Adam(), seed=3, progress=False)
    assert_same_arrays(net.params, copies(again.params))


@pytest.mark.parametrize("scale", [1, 1e10, 1e20])
@pytest.mark.parametrize("make_optimizer", [lambda: bd.SGD(1e20), lambda: bd.Adam(1e25)])
def test_what_is_left_is_the_state_after_some_whole_steps(make_optimizer, scale):
    net, twin = mlp(), mlp()
    x, t = data_for(net, 60)
    x *= scale
    with pytest.raises(FloatingPointError) as caught:
        net.fit(x, t, epochs=50, batch_size=10, optimizer=make_optimizer(), shuffle=False, progress=False)
    steps = int(re.search(r"those after (\d+) updates", str(caught.value)).group(1))
    assert steps == net.optimizer.iter
    for step in range(steps):
        at = step * 10 % 60
        twin.train_step(x[at : at + 10], t[at : at + 10], twin.optimizer or make_optimizer())
    assert_same_arrays(net.params, copies(twin.params))
    if steps:
        for name, arrays in net.optimizer.state.items():
            assert_same_arrays(arrays, getattr(twin.optimizer, name))


@pytest.mark.parametrize("scale", [1e10, 1e20])
@pytest.mark.parametrize(("batch_size", "epochs"), [(10, 50), (60, 2), (60, 1), (10, 1)])
def test_parameters_stay_finite_when_they_overflow_before_the_loss(scale, batch_size, epochs):
    """Also when it happens in the last batch of an epoch, or of the fit."""
    net = mlp()
    x, t = data_for(net, 60)
    try:
        net.fit(x * scale, t, epochs=epochs, batch_size=batch_size, optimizer=bd.SGD(lr=1e30), progress=False)
    except FloatingPointError as error:
        assert f"those after {net.optimizer.iter} updates" in str(error)
    assert all(np.isfinite(array).all() for array in net.params.values())


# ---- It learns ----


def test_learns_xor():
    net = softmax_net(bd.Affine(units=8), bd.Tanh(), bd.Affine(units=2), input_shape=2)
    x, t = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    history = net.fit(x, t, epochs=300, optimizer=bd.Adam(lr=0.05), progress=False)
    assert net.accuracy(x, t) == 1
    assert history.loss[-1] < 0.01 < 0.4 < history.loss[0]


def test_learns_a_curve():
    net = regression_net(bd.Affine(units=20), bd.Tanh(), bd.Affine(units=1), input_shape=1)
    x = np.linspace(-1, 1, 100)
    t = np.sin(3 * x)[:, None]
    net.fit(x, t, epochs=300, batch_size=20, optimizer=bd.Adam(lr=0.01), progress=False)
    assert np.abs(net.predict(x) - t).max() < 0.1


def test_learns_through_residuals():
    layers = [bd.Residual([bd.Affine(units=8), bd.Relu(), bd.Affine(units=8)]) for _ in range(5)]
    net = softmax_net(bd.Affine(units=8), *layers, bd.Affine(units=3))
    x, _ = data_for(net, 300)
    t = np.abs(x[:, :3]).argmax(axis=1)
    net.fit(x, t, epochs=60, batch_size=30, optimizer=bd.Adam(lr=5e-3), progress=False)
    assert net.accuracy(x, t) > 0.95


# ---- Looking at it ----


def test_repr_is_a_table_of_the_layers():
    net = NETS["residual"]()
    text = repr(net)
    lines = text.splitlines()
    assert lines[0] == "Net of 4 layers"
    assert lines[1].split() == ["layer", "output", "parameters", "numbers", "multiply-adds", "memory"]
    assert set(lines[2]) == {"-"}
    assert lines[3].split() == ["input", "(4,)"]
    assert lines[4].split("  ")[0] == "Affine"
    assert "W1(4, 6) b1(6,)" in lines[4]
    assert lines[4].split()[-4:] == ["30", "24", str((30 + 6) * 4), "B"]
    kinds = [line.split()[0] for line in lines[4:-2]]
    assert sorted(kinds) == sorted(["Affine", "Affine", "Relu", "Affine", "Residual", "Relu", "Affine"])
    inside = [line for line in lines if line.startswith("  ")]
    assert [line.split()[0] for line in inside] == ["Affine", "Relu", "Affine"]
    assert f"{net.size:,} parameters" in lines[-2]
    assert "SoftmaxWithLoss()" in lines[-2]
    assert "optimizer None" in lines[-2]
    assert lines[-1].startswith(f"memory: {net.size * 4} B parameters, as much gradients, 0 B optimizer")
    net.train_step(*data_for(net, 3), bd.SGD(0.5))
    assert "optimizer SGD(lr=0.5)" in repr(net)


def test_summary_prints_the_same_table(capsys):
    net = mlp()
    assert net.summary() is None
    assert capsys.readouterr().out.strip() in repr(net)


def test_sizes_in_the_table_are_right():
    net = softmax_net(bd.Affine(units=50), bd.Relu(), bd.Affine(units=10), input_shape=(1, 28, 28))
    text = repr(net)
    assert "(1, 28, 28)" in text
    assert f"{784 * 50 + 50 + 500 + 10:,} parameters (float32)" in text
    assert "159 KB parameters" in text
    assert f"{784 * 50 + 500:,} multiply-adds per sample" in text


def test_html_is_the_same_table():
    net = NETS["residual"]()
    html = net._repr_html_()
    assert html.startswith("<table>")
    assert html.count("<tr>") == 8
    for cell in ("<td>Affine</td>", "<td>W1(4, 6) b1(6,)</td>", "<td>30</td>", "<th>multiply-adds</th>"):
        assert cell in html
    assert f"{net.size:,} parameters" in html
    assert "<td>&emsp;Relu</td>" in html  # its depth, which spaces would not show


def test_a_net_tells_what_it_was_made_from():
    layers = [bd.Affine(units=3)]
    loss = bd.SoftmaxWithLoss()
    net = bd.Net(layers, loss=loss, input_shape=4, seed=5)
    layers.append(bd.Relu())
    assert len(net.layers) == 1
    assert net.loss_layer is loss
    assert net.seed == 5
    for name in ("layers", "loss_layer", "size"):
        with pytest.raises(AttributeError):
            setattr(net, name, None)
