"""badak's own layers under ``gradcheck``, alone: their forward runs in C, every element, certified to 13 digits."""

import numpy as np
import pytest

import badak as bd

RNG = np.random.default_rng(0)
IMAGE, ROWS = RNG.normal(size=(2, 2, 6, 6)), RNG.normal(size=(4, 5))
LAYERS = {
    "Affine": (lambda: bd.Affine(RNG.normal(size=(5, 3)), RNG.normal(size=3)), (ROWS,)),
    "Relu": (bd.Relu, (ROWS,)),
    "LeakyRelu": (bd.LeakyRelu, (ROWS,)),
    "Sigmoid": (bd.Sigmoid, (ROWS,)),
    "Tanh": (bd.Tanh, (ROWS,)),
    "Softmax": (bd.Softmax, (ROWS,)),
    "Flatten": (bd.Flatten, (IMAGE,)),
    "BatchNormalization": (lambda: bd.BatchNormalization(1 + RNG.random(5), RNG.normal(size=5)), (ROWS,)),
    "Convolution": (lambda: bd.Convolution(RNG.normal(size=(3, 2, 3, 3)), RNG.normal(size=3), pad=1), (IMAGE,)),
    "Pooling": (lambda: bd.Pooling(2, 2, stride=2), (IMAGE,)),
    "Pooling, mean": (lambda: bd.Pooling(2, 2, stride=2, mean=True), (IMAGE,)),
    "Residual": (lambda: bd.Residual([bd.Affine(RNG.normal(size=(5, 5)), RNG.normal(size=5))]), (ROWS,)),
    "SoftmaxWithLoss": (bd.SoftmaxWithLoss, (ROWS, np.array([0, 4, 2, 2]))),
    "SigmoidWithLoss": (bd.SigmoidWithLoss, (ROWS, (ROWS > 0) * 1.0)),
    "IdentityWithLoss": (bd.IdentityWithLoss, (ROWS, RNG.normal(size=(4, 5)))),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_gradient_is_certified_to_13_digits(name):
    make, inputs = LAYERS[name]
    report = bd.gradcheck(make(), *inputs)
    assert report.status == "PASS" and not report.conduct, report
    assert all(entry.digits >= 13 for entry in report.entries), [(e.name, e.digits) for e in report.entries]
    assert all(entry.checked == entry.size for entry in report.entries)


def test_every_weight_of_a_large_layer_is_looked_at():
    layer = bd.Affine(RNG.normal(size=(784, 50)), RNG.normal(size=50))
    report = bd.gradcheck(layer, RNG.random((3, 784)), points=1)
    assert report.ok and report["W"].checked == 39200, report


@pytest.mark.parametrize("factor", [1.01, 1 + 1e-5])
def test_a_wrong_backward_of_a_layer_is_caught(monkeypatch, factor):
    backward = bd.Affine.backward

    def wrong(self, dout):
        dx = backward(self, dout)
        self.grads["W"][2, 1] *= factor
        return dx

    monkeypatch.setattr(bd.Affine, "backward", wrong)
    report = bd.gradcheck(bd.Affine(RNG.normal(size=(5, 3)), RNG.normal(size=3)), ROWS)
    assert report["W"].status == "FAIL" and report["W"].wrong == [(2, 1)], report
    assert report["x"].status == report["b"].status == "PASS"


class Doubled(bd.Affine):
    """Another forward than its parent's."""

    def forward(self, x):
        return 2 * super().forward(x)


def test_a_forward_of_ones_own_is_what_is_differentiated():
    report = bd.gradcheck(Doubled(RNG.normal(size=(5, 3)), RNG.normal(size=3)), ROWS)
    assert {entry.status for entry in report.entries} == {"FAIL"}, report


def test_relu_on_its_kink():
    x = np.where(ROWS > 0, ROWS, 0)
    assert bd.gradcheck(bd.Relu(), x).status == "KINK"
    assert bd.gradcheck(bd.Pooling(2, 2), np.zeros((1, 1, 4, 4))).status == "KINK"


SMALL = {"filter_num": 2}
NETWORKS = {
    "TwoLayerNet": lambda: bd.TwoLayerNet(20, 12, 4, weight_init_std=0.3),
    "TwoLayerNet, sigmoid": lambda: bd.TwoLayerNet(20, 12, 4, weight_init_std=0.3, activation="sigmoid"),
    "SimpleConvNet": lambda: bd.SimpleConvNet((1, 8, 8), {"filter_num": 3, "filter_size": 3}, 10, 4, 0.3),
    "DeepConvNet": lambda: bd.DeepConvNet(
        (1, 8, 8), **{f"conv_param_{i}": SMALL for i in range(1, 7)}, hidden_size=8, output_size=4
    ),
    "MultiLayerNet": lambda: bd.MultiLayerNet(20, [12, 10], 4),
    "MultiLayerNetExtend": lambda: bd.MultiLayerNetExtend(
        20, [12, 10], 4, weight_decay_lambda=0, use_dropout=True, dropout_ration=0.3, use_batchnorm=True
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_loss_of_the_books_networks_is_evaluated_in_c(name, monkeypatch):
    np.random.seed(1)
    network, counted = NETWORKS[name](), [0]
    loss = bd.SoftmaxWithLoss.forward

    def count(*args):
        counted[0] += 1
        return loss(*args)

    monkeypatch.setattr(bd.SoftmaxWithLoss, "forward", count)
    x = RNG.normal(size=(3, 1, 8, 8) if "Conv" in name else (3, 20))
    report = bd.gradcheck(network, x, np.array([0, 3, 1]))
    assert report.ok and not report.conduct, report
    assert counted[0] < 1000 < report.evaluations, (counted, report)
    assert all(entry.checked == entry.size for entry in report.entries if entry.size < 200)


@pytest.mark.parametrize("name", ["TwoLayerNet", "DeepConvNet", "MultiLayerNetExtend"])
def test_a_wrong_backward_within_a_network_is_caught(name, monkeypatch):
    np.random.seed(1)
    network, backward = NETWORKS[name](), bd.Affine.backward

    def wrong(self, dout):
        dx = backward(self, dout)
        self.grads["b"][2] += 1e-3
        return dx

    monkeypatch.setattr(bd.Affine, "backward", wrong)
    x = RNG.normal(size=(3, 1, 8, 8) if "Conv" in name else (3, 20))
    report = bd.gradcheck(network, x, np.array([0, 3, 1]))
    wrong = [entry.name for entry in report.entries if entry.status == "FAIL"]
    assert wrong == {"TwoLayerNet": ["b1", "b2"], "DeepConvNet": ["b7", "b8"]}.get(name, ["b1", "b2", "b3"]), report


@pytest.mark.parametrize(("seed", "silent"), [(0, 2), (9, 1), (8, 1)])
def test_many_units_on_their_kinks_at_once_that_follow_forward_are_right(seed, silent):
    """A sample that no unit of the first layer answers to leaves those of the second on their kinks, for b = 0."""
    np.random.seed(1)
    network = bd.MultiLayerNet(12, [8, 7], 4)
    network.params["b1"][...] = -0.05
    x = np.random.default_rng(seed).normal(size=(4, 12))
    x[:silent] *= 1e-3
    report = bd.gradcheck(network, x, np.array([0, 3, 1, 2]), points=1)
    assert report.ok and report["b2"].status in ("KINK", "EXPLAINED"), report


def two_layers(std=0.4):
    np.random.seed(1)
    return bd.TwoLayerNet(20, 9, 4, weight_init_std=std)


LABELS = np.array([0, 3, 1, 1])
SAMPLES = np.random.default_rng(4).normal(size=(4, 20))


def test_an_array_of_two_names_has_the_gradient_of_both():
    np.random.seed(1)
    network = bd.MultiLayerNet(6, [6, 6], 6)
    network.params["W2"] = network.params["W1"]
    network.layers["Affine2"].W = network.params["W1"]
    x = SAMPLES[:, :6]
    report = bd.gradcheck(network, x, LABELS)
    assert report.ok and [entry.name for entry in report.entries] == ["W1", "b1", "b2", "W3", "b3"], report
    assert bd.gradcheck(network, x, LABELS, wrt="W2")["W1"].ok
    network.gradient = lambda x, t: bd.MultiLayerNet.gradient(network, x, t) | {"W2": np.zeros((6, 6))}
    assert bd.gradcheck(network, x, LABELS)["W1"].status == "FAIL"


def test_an_array_that_the_layers_do_not_hold_is_said():
    network = two_layers()
    network.params["W2"] = network.params["W2"] - 0.1
    report = bd.gradcheck(network, SAMPLES, LABELS)
    assert report["W2"].status == "FAIL" and "params['W2'] replaced" in report["W2"].diagnosis, report
    assert all(report[name].ok for name in ("W1", "b1", "b2")), report


@pytest.mark.parametrize(("seed", "std"), [(0, 4e-8), (1, 4e-7), (3, 4e-7)])
def test_kinks_nearer_than_any_step_are_not_crossed(seed, std):
    np.random.seed(seed)
    network = bd.TwoLayerNet(12, 9, 4, weight_init_std=std)
    report = bd.gradcheck(network, np.random.default_rng(seed).normal(size=(4, 12)), LABELS)
    assert report.ok, report


def test_scores_so_large_that_the_bias_drowns_are_unresolved():
    network = two_layers(4e3)
    report = bd.gradcheck(network, SAMPLES, LABELS)
    assert {entry.status for entry in report.entries} <= {"EXPLAINED", "UNRESOLVED"}, report


def test_wrt_that_chooses_nothing_is_refused():
    with pytest.raises(ValueError, match="wrt chooses nothing: expected some of W1"):
        bd.gradcheck(two_layers(), SAMPLES, LABELS, wrt=[])
