"""``Net.checkup``: sound nets are healthy, each ailment is named, nothing is touched."""

import string

import numpy as np
import pytest

import badak as bd
from badak._checkup_texts import TEXTS


def net(*layers, loss=None, **options):
    layers = layers or (bd.Affine(units=30), bd.Relu(), bd.Affine(units=3))
    return bd.Net(layers, loss=loss or bd.SoftmaxWithLoss(), input_shape=20, **{"seed": 1, **options})


def data(n=200):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 20)), rng.integers(0, 3, n)


def found(checkup, name):
    return [finding for finding in checkup.findings if finding.name == name]


def problems(checkup):
    return {finding.name for finding in checkup.findings if finding.level == "problem"}


def test_a_sound_net_is_healthy_before_and_after_training():
    a_net, (x, t) = net(), data()
    for _ in range(2):
        checkup = a_net.checkup(x, t)
        assert checkup.ok, checkup
        assert bool(checkup)
        assert str(checkup).startswith("HEALTHY")
        assert {"input", "labels", "gradient", "rate", "overfit"} <= {finding.name for finding in checkup.findings}
        a_net.fit(x, t, epochs=3, progress=False)
    assert found(checkup, "loss_now")


@pytest.mark.parametrize(
    ("loss", "units", "target"),
    [
        (bd.IdentityWithLoss, 2, lambda x, t: x[:, :2]),
        (bd.SigmoidWithLoss, 1, lambda x, t: t > 0),
        (bd.SigmoidWithLoss, 3, lambda x, t: x[:, :3] > 0),
        (bd.SoftmaxWithLoss, 3, lambda x, t: np.eye(3)[t]),
        (bd.SoftmaxWithLoss, 3, lambda x, t: bd.softmax(x[:, :3])),  # the loss of these cannot become 0
        (bd.SoftmaxWithLoss, 3, lambda x, t: np.eye(3)[t] * 2.0 + 1.0),
        (bd.SigmoidWithLoss, 1, lambda x, t: bd.sigmoid(x[:, :1])),
    ],
)
def test_every_loss_has_its_checkup(loss, units, target):
    x, t = data()
    a_net = net(bd.Affine(units=30), bd.Relu(), bd.Affine(units=units, init=0.1), loss=loss())
    assert a_net.checkup(x, target(x, t)).ok


def test_it_leaves_the_net_bit_identical():
    layers = [bd.Affine(units=8), bd.BatchNormalization(), bd.Dropout(0.5), bd.Relu(), bd.Affine(units=3)]
    a_net, (x, t) = net(*layers), data()
    for trained in (False, True):
        if trained:
            a_net.train_step(x, t, bd.Adam())
        arrays = [*a_net.params.values(), *a_net.buffers.values(), *a_net.grads.values()]
        if trained:
            arrays += [*a_net.optimizer.m.values(), *a_net.optimizer.v.values()]
        before = [array.copy() for array in arrays], a_net._core.rng, a_net._core.updates, a_net.optimizer
        given = x.copy(), t.copy()
        a_net.checkup(x, t)
        assert all(np.array_equal(a, b) for a, b in zip(arrays, before[0], strict=True))
        assert (a_net._core.rng, a_net._core.updates, a_net.optimizer) == before[1:]
        assert np.array_equal(x, given[0])
        assert np.array_equal(t, given[1])


def bytes_of_images(x, t):
    return (x * 40 + 128).clip(0, 255), t


def nan(x, t):
    x[3, 3] = np.nan
    return x, t


CASES = {
    "input_255": (net, bytes_of_images),
    "input_constant": (net, lambda x, t: (x * 0 + 1, t)),
    "input_large": (net, lambda x, t: (x * 1000, t)),
    "input_not_finite": (net, nan),
    "labels_single": (net, lambda x, t: (x, t * 0)),
    "targets_constant": (lambda: regression(), lambda x, t: (x, np.full((200, 2), 5.0))),
    "targets_large": (lambda: regression(), lambda x, t: (x, x[:, :2] * 1e5)),
    "targets_not_finite": (lambda: regression(), lambda x, t: (x, np.where(x[:, :2] > 2, np.nan, x[:, :2]))),
    "parameters_not_finite": (lambda: broken(), lambda x, t: (x, t)),
    "first_loss_high": (lambda: net(bd.Affine(units=3, init=10.0)), lambda x, t: (x, t)),
    "dead": (lambda: dead(), lambda x, t: (x, t)),
    "saturated": (lambda: net(bd.Affine(units=30, init=50.0), bd.Tanh(), bd.Affine(units=3)), lambda x, t: (x, t)),
    "constant": (lambda: constant(), lambda x, t: (x, t)),
    "gradient_vanishes": (
        lambda: net(*[layer for _ in range(9) for layer in (bd.Affine(units=10), bd.Sigmoid())], bd.Affine(units=3)),
        lambda x, t: (x, t),
    ),
    "gradient_zero": (lambda: constant(), lambda x, t: (x, t)),
    "rate_high": (lambda: bound(bd.SGD(100.0)), lambda x, t: (x, t)),
    "rate_not_finite": (lambda: bound(bd.SGD(1e30)), lambda x, t: (x * 1e9, t)),
    "overfit_not": (lambda: constant(), lambda x, t: (x, t)),
    "loss_worse": (lambda: bound(bd.SGD(10.0), steps=3), lambda x, t: (x, t)),
    "loss_not_finite": (lambda: broken(), lambda x, t: (x, t)),
}


def bound(optimizer, steps=0):
    a_net = net()
    a_net._bound(optimizer)
    for _ in range(steps):
        a_net.train_step(*data())
    return a_net


def regression():
    return net(bd.Affine(units=30), bd.Relu(), bd.Affine(units=2), loss=bd.IdentityWithLoss())


def dead():
    a_net = net()
    a_net.params["b1"][:25] = -1000
    return a_net


def constant():
    a_net = net()
    a_net.params["W1"] = np.zeros((20, 30))
    a_net.params["b1"] = -np.ones(30)
    return a_net


def broken():
    a_net = net()
    a_net.params["W2"][0, 0] = np.inf
    return a_net


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", CASES)
def test_each_ailment_is_named(name):
    make, change = CASES[name]
    checkup = make().checkup(*change(*data()))
    assert name in problems(checkup), checkup
    assert not checkup.ok
    assert str(checkup).startswith("LOOK AT THIS")
    assert f" ! {found(checkup, name)[0]}" in str(checkup)


def test_notes_are_no_problems():
    a_net, (x, t) = net(), data()
    x[:, 5] = 1
    checkup = a_net.checkup(x, t % 2)
    assert checkup.ok
    assert "1 of 20 numbers of a sample never change" in str(checkup)
    assert "1 of 3 classes do not occur" in str(checkup)


def test_a_slow_rate_is_a_note():
    a_net, (x, t) = net(), data()
    a_net._bound(bd.SGD(1e-9))
    assert found(a_net.checkup(x, t), "rate_low")[0].level == "note"


def test_html_escapes():
    html = net().checkup(*data())._repr_html_()
    assert html.startswith("<b>HEALTHY</b><table>")
    assert html.count("<tr>") == html.count("</tr>") > 5


def test_every_text_says_the_same_numbers_in_both_languages():
    def numbers(text):
        return {field for _, field, _, _ in string.Formatter().parse(text) if field}

    for name, (english, korean) in TEXTS.items():
        assert numbers(english) == numbers(korean), name


def test_korean():
    checkup = net().checkup(*data())
    bd.set_language("ko")
    try:
        assert str(checkup).startswith("건강합니다")
        assert "건강합니다" in checkup._repr_html_()
    finally:
        bd.set_language("en")
    assert str(checkup).startswith("HEALTHY")


def test_korean_names_places():
    inside = bd.Residual([bd.Affine(units=30, init=0.0), bd.Relu()])
    a_net = net(bd.Affine(units=30), inside, bd.Affine(units=3))
    checkup = a_net.checkup(*data())
    bd.set_language("ko")
    try:
        assert "2번째 계층 (Residual)의 1번째 계층 (Affine): 기울기가 0입니다" in str(checkup)
        assert "layer" not in str(checkup)
    finally:
        bd.set_language("en")
    assert "layer 1 (Affine) of layer 2 (Residual): its gradient is 0" in str(checkup)


def test_a_net_without_parameters_need_not_learn():
    x, _ = data()
    a_net = net(bd.Tanh(), loss=bd.IdentityWithLoss())
    assert a_net.checkup(x, np.tanh(x)).ok


def test_parameters_that_are_not_finite_are_named():
    assert "W2 holds NaN or infinity" in str(broken().checkup(*data()))


def test_bad_arguments():
    a_net, (x, t) = net(), data()
    with pytest.raises(ValueError, match="features"):
        a_net.checkup(x[:, :3], t)
    with pytest.raises(ValueError, match="samples"):
        a_net.checkup(x, t[:5])
    with pytest.raises(ValueError, match="no samples"):
        a_net.checkup(x[:0], t[:0])
    assert net().checkup(x[:1], t[:1]).findings
