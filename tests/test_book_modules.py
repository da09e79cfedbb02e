"""The book's modules: gradient, perceptron, networks, Trainer, weight files.

The oracle is a network written out in plain NumPy below, straight from the formulas.
"""

import contextlib
import copy
import inspect
import io
import os
import pickle
import pickletools
import struct
import time
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import badak as bd
from badak.book._modules import STARRED
from badak.errors import FormatError
from badak.gradient import gradient_descent, numerical_diff, numerical_gradient, numerical_gradient_2d
from badak.multi_layer_net import MultiLayerNet
from badak.multi_layer_net_extend import MultiLayerNetExtend
from badak.networks import DeepConvNet, SimpleConvNet, TwoLayerNet
from badak.perceptron import AND, NAND, OR, XOR, Neuron
from badak.trainer import Trainer
from badak.weights import load_pickle

SMALL_CONV = {"filter_num": 2, "filter_size": 3}
TINY_CONV = {"filter_num": 2}


def small_deep_net(input_dim=(1, 8, 8)):
    convs = {f"conv_param_{i}": TINY_CONV for i in range(1, 7)}
    return DeepConvNet(input_dim, **convs, hidden_size=4, output_size=3)


def digits(count=20, shape=(6,), classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, *shape)), rng.integers(0, classes, count)


NETWORKS = {
    "two": lambda: TwoLayerNet(6, 5, 3, weight_init_std=0.5),
    "two sigmoid": lambda: TwoLayerNet(6, 5, 3, weight_init_std=0.5, activation="sigmoid"),
    "multi": lambda: MultiLayerNet(6, [5, 4], 3),
    "multi decay": lambda: MultiLayerNet(6, [5, 4], 3, "sigmoid", "xavier", 0.1),
    "batchnorm": lambda: MultiLayerNetExtend(6, [5, 4], 3, use_batchnorm=True, weight_decay_lambda=0.1),
    "dropout": lambda: MultiLayerNetExtend(6, [5, 4], 3, use_dropout=True),
    "simple conv": lambda: SimpleConvNet((1, 6, 6), SMALL_CONV, hidden_size=4, output_size=3, weight_init_std=0.5),
    "deep conv": small_deep_net,
}


def made(name):
    """A network away from kinks (biases of 0 put silent ReLUs on theirs), and samples and labels that fit it."""
    np.random.seed(0)
    net = NETWORKS[name]()
    for key, array in net.params.items():
        if key.startswith("b"):
            array += 0.1 * np.random.randn(*array.shape)
    shape = {"simple conv": (1, 6, 6), "deep conv": (1, 8, 8)}.get(name, (6,))
    return net, *digits(8, shape)


# ---- the oracle ----


def oracle_dense(params, x, t, *, activation="relu", decay=0.0, batchnorm=False, masks=None, eps=1e-7):
    """Loss and gradients of Affine - [batch norm] - activation - [dropout] - ... - Affine - softmax loss."""
    count = sum(name.startswith("W") for name in params)
    rows = np.arange(len(t))
    saved = []
    for i in range(1, count + 1):
        entry = {"x": x}
        x = x @ params[f"W{i}"] + params[f"b{i}"]
        if i < count:
            if batchnorm:
                centred = x - x.mean(axis=0)
                entry["std"] = np.sqrt((centred**2).mean(axis=0) + 10e-7)
                entry["xn"] = centred / entry["std"]
                x = params[f"gamma{i}"] * entry["xn"] + params[f"beta{i}"]
            x = np.maximum(x, 0) if activation == "relu" else 1 / (1 + np.exp(-x))
            entry["slope"] = (x > 0) * 1.0 if activation == "relu" else x * (1 - x)
            if masks:
                entry["slope"] = entry["slope"] * masks[i - 1]
                x = x * masks[i - 1]
        saved.append(entry)
    y = np.exp(x - x.max(axis=1, keepdims=True))
    y /= y.sum(axis=1, keepdims=True)
    weights = [params[f"W{i}"] for i in range(1, count + 1)]
    loss = -np.log(y[rows, t] + eps).mean() + 0.5 * decay * sum((W**2).sum() for W in weights)
    d = y.copy()
    d[rows, t] -= 1
    d /= len(t)
    grads = {}
    for i in range(count, 0, -1):
        entry = saved[i - 1]
        if i < count:
            d = d * entry["slope"]
            if batchnorm:
                grads[f"gamma{i}"] = (d * entry["xn"]).sum(axis=0)
                grads[f"beta{i}"] = d.sum(axis=0)
                g = d * params[f"gamma{i}"]
                d = (g - g.mean(axis=0) - entry["xn"] * (g * entry["xn"]).mean(axis=0)) / entry["std"]
        grads[f"W{i}"] = entry["x"].T @ d + decay * params[f"W{i}"]
        grads[f"b{i}"] = d.sum(axis=0)
        d = d @ params[f"W{i}"].T
    return loss, grads


def close(a, b, tolerance=1e-12):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# ---- gradient ----


def test_numerical_diff_of_a_number_and_of_an_array():
    assert abs(numerical_diff(lambda x: 0.01 * x**2 + 0.1 * x, 5) - 0.2) < 1e-9
    close(numerical_diff(np.sin, np.array([0.0, 1.0])), np.cos([0.0, 1.0]), 1e-8)


def test_numerical_gradient_2d_takes_each_row_as_a_point():
    X = np.arange(6.0).reshape(3, 2)
    before = X.copy()
    close(numerical_gradient_2d(lambda x: (x**2).sum(), X), 2 * X, 1e-8)
    close(numerical_gradient_2d(lambda x: (x**2).sum(), X[0]), 2 * X[0], 1e-8)
    assert np.array_equal(X, before)
    with pytest.raises(ValueError, match="3 dimensions"):
        numerical_gradient_2d(np.sum, np.zeros((2, 2, 2)))


def test_gradient_descent_leaves_its_start_alone_and_keeps_the_way():
    start = np.array([-3.0, 4.0])
    x, history = gradient_descent(lambda x: x[0] ** 2 + x[1] ** 2, start, lr=0.1, step_num=20)
    assert start.tolist() == [-3.0, 4.0]
    close(x, start * 0.8**20, 1e-9)
    close(history, start * 0.8 ** np.arange(20)[:, None], 1e-9)


def test_gradient_descent_takes_a_list_of_integers():
    x, history = gradient_descent(lambda x: (x**2).sum(), [-3, 4], lr=0.1, step_num=2)
    close(x, [-1.92, 2.56], 1e-9)
    assert gradient_descent(np.sum, [1.0, 2.0], step_num=0)[1].shape == (0, 2)
    assert history.dtype == float


# ---- perceptron ----

INPUTS = [(0, 0), (1, 0), (0, 1), (1, 1)]
TABLES = {AND: [0, 0, 0, 1], NAND: [1, 1, 1, 0], OR: [0, 1, 1, 1], XOR: [0, 1, 1, 0]}


@pytest.mark.parametrize("gate", TABLES, ids=lambda gate: gate.__name__)
def test_truth_tables(gate):
    answers = [gate(x1, x2) for x1, x2 in INPUTS]
    assert answers == TABLES[gate]
    assert all(type(answer) is int for answer in answers)
    x1, x2 = np.array(INPUTS).T
    assert gate(x1, x2).tolist() == TABLES[gate]
    assert gate(x1.astype(bool), x2.astype(float)).tolist() == TABLES[gate]
    assert gate(x1, x2).dtype.kind == "i"


@pytest.mark.parametrize("gate", TABLES, ids=lambda gate: gate.__name__)
@pytest.mark.parametrize(
    ("inputs", "error"),
    [
        (("1", 0), TypeError),
        ((None, 0), TypeError),
        ((1j, 0), TypeError),
        ((float("nan"), 0), ValueError),
        ((float("inf"), 1), ValueError),
        (([0, 1], [0, 1, 1]), ValueError),
        (([[0, 1], [0]], 1), ValueError),
    ],
)
def test_gates_refuse_what_is_no_number(gate, inputs, error):
    with pytest.raises(error):
        gate(*inputs)


def test_neuron_by_bias_and_by_threshold_is_one_thing():
    by_bias, by_threshold = Neuron([0.5, 0.5], -0.7), Neuron([0.5, 0.5], threshold=0.7)
    assert by_bias.threshold == by_threshold.threshold == 0.7
    for x in INPUTS:
        assert by_bias(*x) == by_threshold(list(x)) == by_bias.predict(np.array(x)) == AND(*x)
    assert by_bias.predict(np.array(INPUTS)).tolist() == TABLES[AND]
    assert repr(by_bias) == repr(by_threshold) == "Neuron(weights=[0.5, 0.5], bias=-0.7)"


def test_neuron_is_all_or_none_and_rests_at_its_threshold():
    assert Neuron([1.0], threshold=2)(2) == 0
    assert Neuron([1.0], threshold=2)(np.nextafter(2.0, 3.0)) == 1
    assert repr(Neuron([1])) == "Neuron(weights=[1.0], bias=0.0)"


@pytest.mark.parametrize(
    ("build", "error"),
    [
        (lambda: Neuron([1, 1], 0.5, threshold=0.5), TypeError),
        (lambda: Neuron([]), ValueError),
        (lambda: Neuron([[1, 2]]), ValueError),
        (lambda: Neuron("ab"), TypeError),
        (lambda: Neuron([1, 1], [1, 2]), TypeError),
        (lambda: Neuron([1, float("nan")]), ValueError),
        (lambda: Neuron([1, 1])(1), TypeError),
        (lambda: Neuron([1, 1])([1, 2, 3]), ValueError),
        (lambda: Neuron([1, 1])("ab"), TypeError),
    ],
)
def test_neuron_refuses(build, error):
    with pytest.raises(error):
        build()


# ---- what the networks are made of ----


def test_draws_keys_and_shapes_of_multi_layer_net():
    np.random.seed(3)
    net = MultiLayerNet(6, [5, 4], 3)
    np.random.seed(3)
    for i, (inputs, units) in enumerate([(6, 5), (5, 4), (4, 3)], 1):
        assert np.array_equal(net.params[f"W{i}"], np.sqrt(2 / inputs) * np.random.randn(inputs, units))
        assert not net.params[f"b{i}"].any()
    assert list(net.params) == ["W1", "b1", "W2", "b2", "W3", "b3"]
    assert isinstance(net.layers, OrderedDict)
    assert list(net.layers) == ["Affine1", "Activation_function1", "Affine2", "Activation_function2", "Affine3"]
    assert (net.input_size, net.output_size, net.hidden_size_list, net.hidden_layer_num) == (6, 3, [5, 4], 2)
    assert net.layers["Affine2"].W is net.params["W2"]
    assert isinstance(net.last_layer, bd.SoftmaxWithLoss)
    assert {array.dtype for array in net.params.values()} == {np.dtype(float)}


@pytest.mark.parametrize(("std", "scale"), [("he", 2), ("ReLU", 2), ("Xavier", 1), ("sigmoid", 1), (0.01, None)])
def test_first_weights(std, scale):
    np.random.seed(1)
    net = MultiLayerNet(8, [5], 3, weight_init_std=std)
    np.random.seed(1)
    assert np.array_equal(net.params["W1"], (np.sqrt(scale / 8) if scale else std) * np.random.randn(8, 5))


def test_keys_of_the_extended_net():
    net = MultiLayerNetExtend(6, [5, 4], 3, use_dropout=True, use_batchnorm=True)
    hidden = ["Affine{}", "BatchNorm{}", "Activation_function{}", "Dropout{}"]
    assert list(net.layers) == [name.format(i) for i in (1, 2) for name in hidden] + ["Affine3"]
    assert list(net.params) == ["W1", "b1", "W2", "b2", "W3", "b3", "gamma1", "beta1", "gamma2", "beta2"]
    assert net.layers["BatchNorm2"].gamma is net.params["gamma2"]
    assert net.use_dropout is True
    assert net.use_batchnorm is True


def test_conv_nets_have_the_books_sizes_by_default():
    np.random.seed(5)
    net = SimpleConvNet()
    np.random.seed(5)
    assert np.array_equal(net.params["W1"], 0.01 * np.random.randn(30, 1, 5, 5))
    assert np.array_equal(net.params["W2"], 0.01 * np.random.randn(30 * 12 * 12, 100))
    assert np.array_equal(net.params["W3"], 0.01 * np.random.randn(100, 10))
    assert list(net.layers) == ["Conv1", "Relu1", "Pool1", "Affine1", "Relu2", "Affine2"]

    np.random.seed(5)
    net = DeepConvNet()
    np.random.seed(5)
    channels = [1, 16, 16, 32, 32, 64, 64]
    for i in range(1, 7):
        W = np.sqrt(2 / (channels[i - 1] * 9)) * np.random.randn(channels[i], channels[i - 1], 3, 3)
        assert np.array_equal(net.params[f"W{i}"], W)
    assert np.array_equal(net.params["W7"], np.sqrt(2 / 1024) * np.random.randn(1024, 50))
    assert np.array_equal(net.params["W8"], np.sqrt(2 / 50) * np.random.randn(50, 10))
    assert [net.layers[i].W is net.params[f"W{k}"] for k, i in enumerate((0, 2, 5, 7, 10, 12, 15, 18), 1)] == [True] * 8
    assert len(net.layers) == 20


@pytest.mark.parametrize("dim", [(1, 9, 9), (3, 10, 7), (2, 28, 28)])
def test_conv_nets_of_other_sizes(dim):
    x, t = digits(3, dim, 10)
    for net in (SimpleConvNet(dim, {"filter_num": 3, "filter_size": 3, "pad": 1, "stride": 2}), DeepConvNet(dim)):
        assert net.predict(x).shape == (3, 10)
        assert {k: g.shape for k, g in net.gradient(x, t).items()} == {k: p.shape for k, p in net.params.items()}


@pytest.mark.parametrize(
    "build",
    [
        lambda: MultiLayerNet(6, [5], 3, activation="swish"),
        lambda: MultiLayerNet(6, [5], 3, weight_init_std="large"),
        lambda: TwoLayerNet(6, 5, 3, activation="tanh"),
        lambda: SimpleConvNet((1, 4, 4)),
        lambda: SimpleConvNet((1, 5, 5)),
        lambda: SimpleConvNet(conv_param={"filters": 3}),
        lambda: DeepConvNet((1, 2, 2)),
    ],
)
def test_networks_refuse(build):
    with pytest.raises(ValueError):
        build()


@pytest.mark.parametrize("module", [name for name in STARRED if "." in name])
def test_a_star_gives_all_that_the_books_gives(module):
    mine = {}
    exec(f"from badak.{module.removeprefix('common.')} import *", mine)
    assert set(STARRED[module].split()) <= set(mine)


def test_names_at_the_top_level():
    for name in ("Trainer", "MultiLayerNet", "TwoLayerNet", "DeepConvNet", "AND", "Neuron", "load_pickle"):
        assert getattr(bd, name).__name__ == name
    for name in ("trainer", "networks", "perceptron", "multi_layer_net", "multi_layer_net_extend"):
        assert inspect.ismodule(getattr(bd, name))


# ---- numbers ----


def train_both(net, step, optimizer, x, t, oracle_update, steps=5):
    """The network and the oracle side by side; the first step to 1e-12."""
    params = {name: array.copy() for name, array in net.params.items()}
    for i in range(steps):
        random = np.random.get_state()
        grads = net.gradient(x, t)
        np.random.set_state(random)
        loss, expected = step(params)
        tolerance = 1e-12 if i == 0 else 1e-9
        assert set(grads) == set(expected) == set(params)
        close(net.last_layer.loss + net._decay(), loss, tolerance)
        for name in grads:
            close(grads[name], expected[name], tolerance)
        optimizer.update(net.params, grads)
        for name in params:
            oracle_update(params[name], expected[name])
            close(net.params[name], params[name], tolerance)


def sgd(p, g):
    p -= 0.1 * g


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("decay", [0, 0.1])
@pytest.mark.parametrize("batchnorm", [False, True])
def test_multi_layer_nets_against_numpy(activation, decay, batchnorm):
    np.random.seed(2)
    x, t = digits()
    if batchnorm:
        net = MultiLayerNetExtend(6, [5, 4], 3, activation, activation, decay, use_batchnorm=True)
    else:
        net = MultiLayerNet(6, [5, 4], 3, activation, activation, decay)
    kwargs = {"activation": activation, "decay": decay, "batchnorm": batchnorm}
    train_both(net, lambda params: oracle_dense(params, x, t, **kwargs), bd.SGD(0.1), x, t, sgd)


@pytest.mark.parametrize("batchnorm", [False, True])
def test_dropout_draws_as_the_book_and_agrees_with_numpy(batchnorm):
    np.random.seed(2)
    x, t = digits()
    net = MultiLayerNetExtend(6, [5, 4], 3, use_dropout=True, dropout_ration=0.3, use_batchnorm=batchnorm)

    def step(params):
        masks = [np.random.rand(len(x), units) > 0.3 for units in (5, 4)]
        return oracle_dense(params, x, t, batchnorm=batchnorm, masks=masks)

    train_both(net, step, bd.SGD(0.1), x, t, sgd)


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_two_layer_net_against_numpy(activation):
    np.random.seed(2)
    x, t = digits()
    net = TwoLayerNet(6, 5, 3, weight_init_std=0.3, activation=activation)
    np.random.seed(2)
    assert np.array_equal(net.params["W1"], 0.3 * np.random.randn(6, 5))
    assert np.array_equal(net.params["W2"], 0.3 * np.random.randn(5, 3))
    assert list(net.layers) == ["Affine1", f"{activation.capitalize()}1", "Affine2"]
    train_both(net, lambda params: oracle_dense(params, x, t, activation=activation), bd.SGD(0.1), x, t, sgd)
    sums = net.predict(x).sum(axis=1)
    assert np.allclose(sums, 1) == (activation == "sigmoid")
    assert net.lastLayer is net.last_layer
    net.lastLayer = bd.SoftmaxWithLoss()
    assert net.last_layer is net.lastLayer


@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_agrees_with_numerical_gradient(name):
    net, x, t = made(name)
    net.last_layer = bd.SoftmaxWithLoss()  # without the book's 1e-7, to which its gradient does not quite belong
    random = np.random.get_state()
    grads = net.gradient(x, t)
    np.random.set_state(random)
    running = {key: np.copy(getattr(net.layers[k], kind)) for key, (k, kind) in net._running().items()}
    numeric = net.numerical_gradient(x, t)
    assert list(grads) == list(numeric)
    for key in grads:
        close(grads[key], numeric[key], 1e-6)
    for key, (k, kind) in net._running().items():
        assert np.array_equal(getattr(net.layers[k], kind), running[key])


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ("dropout", "deep conv")])
def test_gradcheck_passes(name):
    net, x, t = made(name)
    net.last_layer = bd.SoftmaxWithLoss()
    report = bd.gradcheck(net, x, t, points=1)
    assert report.ok, str(report)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_loss_is_the_books(name):
    net, x, t = made(name)
    net.weight_decay_lambda = 0
    random = np.random.get_state()
    loss = net.loss(x, t)
    np.random.set_state(random)
    scores = net._forward(x, train_flg=isinstance(net, DeepConvNet))
    close(loss, -np.log(bd.softmax(scores)[np.arange(len(t)), t] + 1e-7).mean())
    close(net.last_layer.forward(np.array([[0.0, 1000.0, 0.0]]), np.array([0])), -np.log(1e-7))


def test_labels_as_numbers_columns_and_one_hot_are_the_same():
    net, x, t = made("multi")
    losses = {net.loss(x, form) for form in (t, t[:, None], np.eye(3)[t])}
    assert len(losses) == 1
    assert len({net.accuracy(x, form) for form in (t, t[:, None], np.eye(3)[t])}) == 1


@pytest.mark.parametrize("name", NETWORKS)
def test_accuracy_counts_every_sample(name):
    net, x, _ = made(name)
    t = net.predict(x).argmax(axis=1)
    assert net.accuracy(x, t) == 1.0
    assert net.accuracy(x, t, batch_size=3) == 1.0
    t[-1] = (t[-1] + 1) % 3
    assert net.accuracy(x, t, batch_size=3) == 7 / 8
    for bad in [(x[:0], t[:0]), (x, t[:-1])]:
        with pytest.raises(ValueError):
            net.accuracy(*bad)


def test_a_layer_of_the_readers_own_takes_part():
    net, x, t = made("multi")

    class Slow:
        def __init__(self, W, b):
            self.W, self.b = W, b

        def forward(self, x):
            self.x = x
            return x @ self.W + self.b

        def backward(self, dout):
            self.dW, self.db = self.x.T @ dout, dout.sum(axis=0)
            return dout @ self.W.T

    before = net.gradient(x, t)
    net.layers["Affine2"] = Slow(net.params["W2"], net.params["b2"])
    after = net.gradient(x, t)
    for name in before:
        close(after[name], before[name])


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_copy_is_whole_and_its_own(duplicate):
    net, x, t = made("batchnorm")
    other = duplicate(net)
    scores = net.predict(x)
    assert other.layers["Affine1"].W is other.params["W1"]
    bd.SGD(0.1).update(other.params, other.gradient(x, t))
    assert np.array_equal(net.predict(x), scores)
    assert not np.array_equal(other.predict(x), scores)


def test_predicting_does_not_draw():
    net, x, _ = made("dropout")
    np.random.seed(9)
    net.predict(x)
    assert np.random.rand() == np.random.RandomState(9).rand()


# ---- Trainer ----


def trained(**kwargs):
    np.random.seed(4)
    x, t = digits(50)
    runner = Trainer(MultiLayerNet(6, [5], 3), x[:40], t[:40], x[40:], t[40:], **kwargs)
    runner.train()
    return runner


@pytest.mark.parametrize("size", [10, 16, 100])
def test_trainer_keeps_the_books_account(size):
    runner = trained(epochs=4, mini_batch_size=size, optimizer="adam", optimizer_param={"lr": 0.01}, verbose=False)
    per_epoch = max(40 / size, 1)
    assert runner.iter_per_epoch == per_epoch
    assert runner.max_iter == runner.current_iter == len(runner.train_loss_list) == int(4 * per_epoch)
    whole = [i for i in range(runner.max_iter) if (i / per_epoch).is_integer()]
    assert runner.current_epoch == len(runner.train_acc_list) == len(runner.test_acc_list) == len(whole)
    assert (runner.train_size, runner.batch_size, runner.epochs) == (40, size, 4)
    assert isinstance(runner.optimizer, bd.Adam)


def test_trainer_draws_and_updates_as_the_book():
    runner = trained(epochs=2, mini_batch_size=10, verbose=False)
    np.random.seed(4)
    x, t = digits(50)
    net = MultiLayerNet(6, [5], 3)
    params = {name: array.copy() for name, array in net.params.items()}
    losses, accuracies = [], []
    for step in range(8):
        drawn = np.random.choice(40, 10)
        for name, g in oracle_dense(params, x[drawn], t[drawn])[1].items():
            params[name] -= 0.01 * g
        losses.append(oracle_dense(params, x[drawn], t[drawn])[0])
        if step % 4 == 0:
            hidden = np.maximum(x @ params["W1"] + params["b1"], 0)
            right = (hidden @ params["W2"] + params["b2"]).argmax(axis=1) == t
            accuracies.append((right[:40].mean(), right[40:].mean()))
    close(runner.train_loss_list, losses, 1e-10)
    close([*zip(runner.train_acc_list, runner.test_acc_list, strict=True)], accuracies)
    for name in params:
        close(runner.network.params[name], params[name], 1e-10)


def test_trainer_prints_the_books_lines(capsys):
    runner = trained(epochs=1, mini_batch_size=20, evaluate_sample_num_per_epoch=5)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"train loss:{runner.train_loss_list[0]}"
    train, test = runner.train_acc_list[0], runner.test_acc_list[0]
    assert lines[1] == f"=== epoch:1, train acc:{train}, test acc:{test} ==="
    assert lines[3] == "=============== Final Test Accuracy ==============="
    assert lines[4] == f"test acc:{runner.network.accuracy(runner.x_test, runner.t_test)}"
    assert len(lines) == 5
    assert (5 * train) % 1 == (5 * test) % 1 == 0


def test_trainer_takes_every_optimizer_by_name_and_one_as_an_object():
    for name in ("SGD", "momentum", "Nesterov", "AdaGrad", "rmsprop", "ADAM"):
        assert type(trained(epochs=1, optimizer=name, verbose=False).optimizer).__name__.lower() == name.lower()
    own = bd.Momentum(0.1)
    assert trained(epochs=1, optimizer=own, verbose=False).optimizer is own


@pytest.mark.parametrize(
    ("kwargs", "error"),
    [
        ({"optimizer": "adamw"}, ValueError),
        ({"optimizer": 3}, TypeError),
        ({"optimizer": bd.SGD(), "optimizer_param": {"lr": 1}}, TypeError),
    ],
)
def test_trainer_refuses(kwargs, error):
    with pytest.raises(error):
        trained(**kwargs)


def test_trainer_wants_as_many_labels_as_samples():
    x, t = digits()
    with pytest.raises(ValueError, match="x_train"):
        Trainer(None, x, t[:-1], x, t)
    with pytest.raises(ValueError, match="no samples"):
        Trainer(None, x, t, x[:0], t[:0])


@pytest.mark.slow
def test_a_multi_layer_net_learns_mnist():
    (x, t), (x_test, t_test) = bd.load_mnist()
    np.random.seed(0)
    net = MultiLayerNet(784, [100, 100], 10)
    Trainer(net, x, t, x_test, t_test, 1, optimizer="Adam", optimizer_param={"lr": 1e-3}, verbose=False).train()
    assert net.accuracy(x_test, t_test) > 0.94


# ---- weight files ----


def equal(a, b):
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype.newbyteorder("=") and np.array_equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


EXAMPLES = {
    "arrays": {"W": np.arange(6.0).reshape(2, 3), "F": np.asfortranarray(np.ones((3, 2), "f4")), "empty": np.zeros(0)},
    "dtypes": [np.ones(2, code) for code in ("?", "i1", "u2", "i4", "u8", "f2", "f4", "f8", "c16")],
    "strided": {"T": np.arange(24.0).reshape(2, 3, 4)[:, ::2, 1:], "zero": np.array(3.0), "thin": np.zeros((0, 5))},
    "big endian": np.arange(4, dtype=">f4"),
    "plain": {"a": [1, -5, 2**40, 3.5, True, None, "é", b"\x00\xff"], 3: (), "t": (1,), "u": (1, 2, 3, 4), "d": {}},
    "number": np.float32(1.5),
}


@pytest.fixture
def write(tmp_path):
    def write_file(content):
        path = tmp_path / "weights.pkl"
        path.write_bytes(content)
        return path

    return write_file


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", EXAMPLES)
def test_load_pickle_reads_every_protocol(name, protocol, write):
    found = load_pickle(write(pickle.dumps(EXAMPLES[name], protocol)))
    assert equal(found, EXAMPLES[name])
    if name == "arrays":
        assert found["F"].flags.f_contiguous
        assert all(array.flags.writeable and array.flags.aligned for array in found.values())


def test_load_pickle_reads_what_numpy_1_wrote(write):
    content = pickle.dumps(EXAMPLES["arrays"], 2).replace(b"numpy._core.", b"numpy.core.")
    assert equal(load_pickle(write(content)), EXAMPLES["arrays"])
    one = np.arange(3.0)
    again = load_pickle(write(pickle.dumps([one, one, OrderedDict(a=one)])))
    assert again[0] is again[1] is again[2]["a"]


class Evil:
    def __init__(self, function, *arguments):
        self.way = function, arguments

    def __reduce__(self):
        return self.way


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_function_is_run(protocol, write, tmp_path):
    trace = tmp_path / "trace"
    for function, argument in [(os.system, f"touch {trace}"), (eval, f"open({str(trace)!r}, 'w')")]:
        content = pickle.dumps({"W1": np.ones(3), "x": Evil(function, argument)}, protocol)
        with pytest.raises(FormatError, match=rf"asks for \w+\.{function.__name__},"):
            load_pickle(write(content))
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "os.system"),
        (b"(S'true'\nios\nsystem\n.", "os system"),
        (b"(cos\nsystem\nS'true'\no.", "os.system"),
        (b"cnumpy\nload\n(S'x'\ntR.", "numpy.load"),
        (b"cbuiltins\ngetattr\n.", "builtins.getattr"),
        (b"cnumpy\nndarray\n(I1000000000\ntR.", "numpy.ndarray"),
        (b"cnumpy\nndarray\n.", "a name"),
        (b"\x80\x04\x8c\x0anumpy.core\x8c\x14multiarray.__class__\x93.", "multiarray.__class__"),
        (b"P12\n.", "PERSID"),
        (b"\x82\x01.", "EXT1"),
        (b"\x80\x05\x97.", "NEXT_BUFFER"),
        (b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI63\ntb.", "O8"),
        (b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb.", "dtype"),
        (b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR.", "unfinished"),
        (b"}(](I1\nu.", "damaged|key"),
        (b"}(]I1\nu.", "key"),
        (b"].].", "follow"),
        (b"", "no complete"),
        (b"\xffhello", "no complete"),
        (b"\x85.", "nothing"),
        (b"0.", "POP"),
        (b"h\x05.", "not made"),
    ],
)
def test_what_weights_do_not_need_is_refused_by_name(content, says, write):
    with pytest.raises(FormatError, match=says):
        load_pickle(write(content))


def crafted_array(shape, data, code="f8"):
    """An array of a pickle whose parts do not have to fit."""
    out = io.BytesIO()
    out.write(b"\x80\x03cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01")
    out.write(pickle.dumps(shape, 2)[2:-1])
    out.write(b"cnumpy\ndtype\nX\x02\x00\x00\x00" + code.encode() + b"K\x00K\x01\x87R(K\x03X\x01\x00\x00\x00<NNN")
    out.write(b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89B" + struct.pack("<I", len(data)) + data + b"tb.")
    return out.getvalue()


def test_the_crafted_array_is_one(write):
    assert load_pickle(write(crafted_array((2,), bytes(16)))).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("shape", "data"),
    [
        ((3,), bytes(16)),
        ((1,), bytes(16)),
        ((-1,), bytes(16)),
        ((-2, -1), bytes(16)),
        ((1 << 62,), bytes(16)),
        ((1 << 40, 1 << 40), bytes(16)),
        ((True, 2), bytes(16)),
        ((2.0,), bytes(16)),
        ([2], bytes(16)),
        (None, bytes(16)),
        ((1,) * 100 + (2,), bytes(16)),
        ((0, 1 << 63), b""),
        ((2,), bytes(15)),
    ],
)
def test_arrays_that_do_not_fit_their_data_are_refused(shape, data, write):
    with pytest.raises(FormatError):
        load_pickle(write(crafted_array(shape, data)))


def test_a_file_cannot_grow_in_memory(write):
    # one block of data, and many arrays made of it
    data = b"\x01" * 80_000
    one = crafted_array((10_000,), data)[2:-1]
    array = one.replace(data, data + b"q\x01")
    block = b"B" + struct.pack("<I", len(data)) + data + b"q\x01"
    many = b"\x80\x03](" + array + array.replace(block, b"h\x01") * 50 + b"e."
    with pytest.raises(FormatError, match="larger than the file"):
        load_pickle(write(many))


def test_huge_lengths_and_memo_numbers_cost_nothing(write):
    for content in (
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"abc.",
        b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40) + b"abc.",
        b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"N.",
        b"\x80\x02\x8b" + struct.pack("<i", (1 << 31) - 1) + b"1.",
        b"I" + b"9" * 100_000 + b"\n.",
    ):
        with pytest.raises(FormatError):
            load_pickle(write(content))
    assert load_pickle(write(b"Nr" + struct.pack("<I", (1 << 32) - 1) + b".")) is None


def test_nesting_sharing_and_recursion_end(write):
    deep = b"(" * 100_000 + b"t" * 100_000 + b"."
    itself = b"]q\x00h\x00a."
    doubled = b"\x80\x02N" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(30)) + b"."
    as_key = b"}" + doubled[2:-1] + b"Ns."
    for content in (deep, itself, as_key):
        with pytest.raises(FormatError):
            load_pickle(write(content))
    began = time.perf_counter()
    load_pickle(write(doubled))  # 2**30 leaves to walk, 30 tuples to look at
    assert time.perf_counter() - began < 5


def test_every_truncation_is_refused(write):
    for protocol in (0, 2, 4):
        content = pickle.dumps({"W1": np.arange(3.0), "b1": np.zeros(2, "f4")}, protocol)
        for length in range(len(content)):
            with pytest.raises(FormatError):
                load_pickle(write(content[:length]))
        with pytest.raises(FormatError, match="follow"):
            load_pickle(write(content + b"\x00"))


def test_damage_anywhere_gives_a_value_or_a_format_error(write):
    rng = np.random.default_rng(0)
    content = [pickle.dumps(EXAMPLES["arrays"], protocol) for protocol in (0, 2, 4, 5)]
    for _ in range(1000):
        damaged = bytearray(content[rng.integers(len(content))])
        for _ in range(rng.integers(1, 4)):
            damaged[rng.integers(len(damaged))] = rng.integers(256)
        with contextlib.suppress(FormatError):
            load_pickle(write(bytes(damaged)))


OPCODES = [opcode.code.encode("latin1") for opcode in pickletools.opcodes]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*OPCODES, b"\x00", b"\x01", b"1\n", b"numpy\ndtype\n", b"X\x01\x00\x00\x00<"])))
def test_any_program_gives_a_value_or_a_format_error(tmp_path_factory, parts):
    path = tmp_path_factory.getbasetemp() / "program.pkl"
    path.write_bytes(b"".join(parts) + b".")
    with contextlib.suppress(FormatError):
        load_pickle(path)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_pickle(tmp_path / "none.pkl")


# ---- saving and loading networks ----


@pytest.mark.parametrize("name", NETWORKS)
def test_save_and_load(name, tmp_path):
    net, x, t = made(name)
    net.gradient(x, t)  # running statistics exist from here on
    path = tmp_path / "params.pkl"
    net.save_params(path)
    plain = pickle.loads(path.read_bytes())  # as the book reads it
    assert all(np.array_equal(plain[key], net.params[key]) for key in net.params)
    np.random.seed(99)
    other = NETWORKS[name]()
    other.load_params(path)
    assert np.array_equal(other.predict(x), net.predict(x))
    grads = other.gradient(x, t)
    before = {key: array.copy() for key, array in other.params.items()}
    bd.SGD(0.1).update(other.params, grads)
    assert not np.array_equal(other.predict(x), net.predict(x))  # the layers still see what is in params
    assert all(np.allclose(other.params[key], before[key] - 0.1 * grads[key]) for key in before)


def test_float32_and_mixed_parameters_load(write):
    net, x, t = made("multi")
    scores = net.predict(x)
    single = {key: np.asfortranarray(array.astype("f4")) for key, array in net.params.items()}
    net.load_params(write(pickle.dumps(single)))
    assert net.predict(x).dtype == np.float32
    close(net.predict(x), scores, 1e-5)
    single["b1"] = np.zeros(5, int)
    net.load_params(write(pickle.dumps(single)))
    assert net.predict(x).dtype == np.float64
    assert net.gradient(x, t)["W1"].dtype == np.float64


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p: p.pop("b2"), "no b2"),
        (lambda p: p.update(W9=np.ones(3)), "W9"),
        (lambda p: p.update(W2=np.ones((5, 9))), r"\(5, 9\)"),
        (lambda p: p.update(W2=[1, 2]), "W2"),
        (lambda p: p.update(W2=p["W2"] * 1j), "W2"),
    ],
)
def test_a_file_of_another_network_changes_nothing(change, says, write):
    net, x, _ = made("multi")
    before, scores = dict(net.params), net.predict(x)
    params = {key: array + 1 for key, array in net.params.items()}
    change(params)
    with pytest.raises(FormatError, match=says):
        net.load_params(write(pickle.dumps(params)))
    assert all(net.params[key] is before[key] for key in before)
    assert np.array_equal(net.predict(x), scores)
    with pytest.raises(FormatError, match="dict"):
        net.load_params(write(pickle.dumps([1])))


def test_numerical_gradient_hands_x_itself_to_f():
    x = np.arange(3.0)
    numerical_gradient(lambda given_x: 0.0 if given_x is x else pytest.fail("a copy"), x)
