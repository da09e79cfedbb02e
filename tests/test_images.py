"""Layers of images: a sample of all sizes against the twins, and nets of all of them together."""

import functools

import numpy as np
import pytest
from cases import DTYPES, same_bits, twin_of
from image_grid import KINDS, check, check_refusal, layer_maker, normal, some_sizes

import badak as bd
from badak import _reference, util

SAMPLES, ILLEGAL = 400, 100


# ---------------------------------------------------------------- the grid of image_grid.py, a sample


@pytest.mark.parametrize("kind", KINDS)
def test_all_sizes_agree_with_the_twin(kind):
    rng = np.random.default_rng(1)
    for s in some_sizes(SAMPLES, kind, legal=True):
        check(s, kind, rng)


def test_the_first_of_the_largest_wins_everywhere():
    """Of few different numbers: ties in nearly every window."""
    rng = np.random.default_rng(3)
    for s in some_sizes(100, "largest", legal=True):
        check(s, "largest", rng, draw=lambda rng, shape: rng.integers(-1, 2, shape).astype(np.float32))


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_that_do_not_fit_are_refused(kind):
    rng = np.random.default_rng(4)
    for s in some_sizes(ILLEGAL, kind, legal=False):
        check_refusal(s, kind, rng)


@pytest.mark.parametrize(
    ("h", "w", "window", "pad"), [(1, 1, 3, 1), (1, 70, 3, 2), (70, 1, 3, 2), (33, 65, 5, 0), (2, 3, 2, 40)]
)
def test_convolutions_of_odd_maps_agree_with_the_twin(h, w, window, pad):
    s = {"n": 2, "c": 5, "h": h, "w": w, "filters": 33, "fh": window, "fw": window, "stride": 1, "pad": pad}
    check(s | {"dilation": 1}, "convolution", np.random.default_rng(9))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_dout_that_is_mostly_0_gives_the_same_bits(dtype):
    """It is read from a list of what is not 0, unless the images looked at have too much; each order of terms is the
    same. The second image is a 0 that makes the call dense."""
    rng = np.random.default_rng(10)
    found = [s for s in some_sizes(SAMPLES, "convolution", legal=True) if s["stride"] == s["dilation"] == 1]
    found += [{"h": 8, "w": 8, "c": c, "filters": 9, "fh": f, "fw": f, "pad": 1} for c in (32, 64, 100) for f in (3, 5)]
    for s in found:
        layer = layer_maker(s | {"stride": 1, "dilation": 1}, "convolution", rng)(dtype)
        x = normal(rng, (2, s["c"], s["h"], s["w"])).astype(dtype)
        x[1] = 0
        dout = rng.standard_normal(layer.forward(x).shape).astype(dtype)
        dout[0] *= rng.random(dout[0].shape) < rng.choice([0, 0.01, 0.3])
        dx, dW = layer.backward(dout)[:1], layer.dW
        layer.forward(x[:1])
        assert same_bits(layer.backward(dout[:1]) + 0, dx + 0) and same_bits(layer.dW + 0, dW + 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [7, 8, 17, 100])
def test_dx_of_an_image_does_not_depend_on_those_beside_it(n, dtype):
    """A few images tell whether lists are made for all: here some are 0 almost everywhere, and some are not."""
    rng = np.random.default_rng(12)
    s = {"c": 5, "filters": 6, "fh": 4, "fw": 4, "stride": 1, "pad": 1, "dilation": 1}
    layer = layer_maker(s, "convolution", rng)(dtype)
    x = normal(rng, (n, 5, 7, 6)).astype(dtype)
    dout = normal(rng, layer.forward(x).shape).astype(dtype)
    for every in (1, 2, 3, n):
        sparse = dout * (rng.random(dout.shape) < 0.05)
        sparse[::every] = dout[::every]
        for here in (sparse.astype(dtype), sparse[::-1].astype(dtype)):
            layer.forward(x)
            dx = layer.backward(here)
            for i in range(0, n, 3):
                layer.forward(x[i : i + 1])
                assert same_bits(layer.backward(here[i : i + 1]) + 0, dx[i : i + 1] + 0)


# Winograd's method, where float32 windows of 3 by 3 have it: at least 16 channels and filters, even maps of 16
# numbers or more.
SQUARES = [(16, 16, 28, 28), (16, 32, 14, 14), (32, 32, 16, 16), (64, 64, 8, 8), (17, 30, 6, 10), (100, 16, 4, 4)]


@pytest.mark.parametrize(("c", "filters", "h", "w"), SQUARES)
def test_winograds_method_errs_by_5e_7_of_the_largest(c, filters, h, w):
    """A plain sum, as a map that is not even has it, errs by up to 7e-7."""
    rng = np.random.default_rng(11)
    x = normal(rng, (2, c, h, w))
    s = {"c": c, "filters": filters, "fh": 3, "fw": 3, "stride": 1, "pad": 1, "dilation": 1}
    maker = layer_maker(s, "convolution", rng)
    exact, found = maker(np.float64).forward(x.astype(np.float64)), maker(np.float32).forward(x)
    assert np.abs(found - exact).max() <= 5e-7 * np.abs(exact).max()
    odd = maker(np.float32).forward(np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 1))))[:, :, :h, :w]
    assert not np.array_equal(odd, found) and np.abs(odd - exact).max() <= 1e-6 * np.abs(exact).max()


@pytest.mark.parametrize(("c", "filters", "h", "w"), SQUARES)
def test_winograds_method_backward_errs_by_1e_6_of_the_largest(c, filters, h, w):
    """A plain sum errs by as much, of the gradient of x; of that of W by up to twice as much."""
    rng = np.random.default_rng(13)
    x, dout = normal(rng, (3, c, h, w)), normal(rng, (3, filters, h, w))
    s = {"c": c, "filters": filters, "fh": 3, "fw": 3, "stride": 1, "pad": 1, "dilation": 1}
    maker = layer_maker(s, "convolution", rng)
    exact, found = maker(np.float64), maker(np.float32)
    exact.forward(x.astype(np.float64))
    found.forward(x)
    right, dx = exact.backward(dout.astype(np.float64)), found.backward(dout)
    assert np.abs(dx - right).max() <= 1e-6 * np.abs(right).max()
    assert np.abs(found.dW - exact.dW).max() <= 1e-6 * np.abs(exact.dW).max()
    assert np.abs(found.db - exact.db).max() <= 1e-6 * np.abs(exact.db).max()


def test_an_image_in_winograds_method_is_by_itself():
    """The bits of one do not depend on the others, even if one of those holds what the method would spread too far."""
    rng = np.random.default_rng(12)
    layer = layer_maker({"c": 16, "filters": 16, "fh": 3, "fw": 3, "stride": 1, "pad": 1, "dilation": 1}, KINDS[0], rng)
    layer, x = layer(np.float32), normal(rng, (3, 16, 10, 10))
    alone = layer.forward(x[2:])
    for value in (np.nan, np.inf, 1e20):
        x[1, 3, 4, 4] = value
        out = layer.forward(x)
        assert same_bits(out[2:], alone)
        large = ~(np.abs(out[1, 0]) < 100)
        assert np.array_equal(large, np.pad(np.ones((3, 3), bool), ((3, 4), (3, 4))))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_spreads_over_its_windows_and_no_further(value):
    """In dW as well, though all of dout is 0: 0 times infinity is not a number."""
    x, W = np.ones((1, 16, 9, 9)), np.ones((2, 16, 3, 3))
    x[0, 3, 4, 4] = value
    layer = bd.Convolution(W, np.zeros(2), pad=1)
    assert np.array_equal(np.isfinite(layer.forward(x)[0, 1]), np.pad(np.zeros((3, 3)), 3, constant_values=1))
    layer.backward(np.zeros((1, 2, 9, 9)))
    assert np.all(np.isnan(layer.dW[:, 3])) and np.all(layer.dW[:, :3] == 0)
    layer = bd.Convolution(np.where(np.arange(2)[:, None, None, None], value, W), np.zeros(2), pad=1)
    layer.forward(np.ones((1, 16, 9, 9)))
    assert np.all(np.isnan(layer.backward(np.zeros((1, 2, 9, 9)))))


def test_the_grid_sees_a_wrong_number(monkeypatch):
    """One that is off by a hundredth, in the gradient of a weight."""
    (s,) = some_sizes(1, "convolution", legal=True)
    right = bd.Convolution.backward

    def backward(layer, dout):
        dx = right(layer, dout)
        layer.grads["W"][0, 0, 0, 0] *= 1.01
        return dx

    check(s, "convolution", np.random.default_rng(1))
    monkeypatch.setattr(bd.Convolution, "backward", backward)
    with pytest.raises(AssertionError, match=r"in float32: .* eps from twin_of"):
        check(s, "convolution", np.random.default_rng(1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 0}, "stride = 0"),
        ({"stride": -1}, "stride = -1"),
        ({"pad": -1}, "pad = -1"),
        ({"dilation": 0}, "dilation = 0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        bd.Convolution(np.ones((1, 1, 2, 2)), np.zeros(1), **options)
    if "dilation" not in options:
        with pytest.raises(ValueError, match=message):
            bd.Pooling(2, 2, **options)


@pytest.mark.parametrize("layer", [bd.Convolution(np.ones((1, 3, 2, 2)), np.zeros(1)), bd.Pooling(2, 2)], ids=repr)
@pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 4, 4), (1, 1, 3, 4, 4)])
def test_what_is_no_image_is_refused(layer, shape):
    with pytest.raises(ValueError, match=rf"x has {len(shape)} dimensions?, expected (4|at least 2)"):
        layer.forward(np.ones(shape))


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_channels_that_the_filters_have_not_are_refused_naming_both(channels):
    layer = bd.Convolution(np.ones((2, 3, 2, 2)), np.zeros(2))
    with pytest.raises(ValueError, match=rf"\(1, {channels}, 4, 4\).*\(2, 3, 2, 2\)"):
        layer.forward(np.ones((1, channels, 4, 4)))


@pytest.mark.parametrize("size", [{"pool_h": 0, "pool_w": 2}, {"pool_h": 2, "pool_w": -1}])
def test_a_window_of_nothing_is_refused(size):
    with pytest.raises(ValueError, match=r"pool_[hw] = (0|-1)"):
        bd.Pooling(**size)


def test_a_nan_wins_and_padding_never_does():
    x = np.full((1, 1, 3, 3), -5.0)
    assert np.array_equal(bd.Pooling(2, 2, 1, 1).forward(x), np.full((1, 1, 4, 4), -5.0))
    x[0, 0, 1, 1] = np.nan
    assert np.array_equal(np.isnan(bd.Pooling(2, 2, 1).forward(x)), np.full((1, 1, 2, 2), True))


# ---------------------------------------------------------------- im2col and col2im


def col_by_loops(x, fh, fw, stride, pad):
    n, _, h, w = x.shape
    padded = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    oh, ow = (h + 2 * pad - fh) // stride + 1, (w + 2 * pad - fw) // stride + 1
    corners = [(i, y * stride, z * stride) for i in range(n) for y in range(oh) for z in range(ow)]
    return np.array([padded[i, :, top : top + fh, left : left + fw].reshape(-1) for i, top, left in corners])


def test_im2col_are_the_windows_and_col2im_is_its_adjoint():
    """Sums of whole numbers are exact: <im2col(x), c> == <x, col2im(c)>."""
    rng = np.random.default_rng(5)
    for i, s in enumerate(s for s in some_sizes(SAMPLES, "convolution", legal=True) if s["n"] and s["dilation"] == 1):
        window = s["fh"], s["fw"], s["stride"], s["pad"]
        x = rng.integers(-9, 10, (s["n"], s["c"], s["h"], s["w"])).astype(DTYPES[i % 2])
        col = util.im2col(x, *window)
        assert same_bits(col, col_by_loops(x, *window))
        c = rng.integers(-9, 10, col.shape).astype(x.dtype)
        back = util.col2im(c, x.shape, *window)
        assert back.shape == x.shape and back.dtype == x.dtype
        assert np.vdot(col.astype(float), c) == np.vdot(x.astype(float), back)


# ---------------------------------------------------------------- layers that differ in training


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("shape", [(7,), (5, 9), (2, 3, 4, 5)])
def test_dropout_draws_what_numpy_draws(shape, inverted):
    layer, twin = bd.Dropout(0.3, inverted=inverted), _reference.Dropout(0.3, inverted=inverted)
    rng = np.random.default_rng(1)
    x, dout = rng.standard_normal(shape), rng.standard_normal(shape)
    assert layer.mask is None
    for seed in range(5):
        np.random.seed(seed)
        mask = np.random.rand(*shape) > 0.3
        results = []
        for each in (layer, twin):
            np.random.seed(seed)
            results.append((each.forward(x), each.backward(dout)))
            assert np.array_equal(each.mask, mask)
        np.testing.assert_allclose(results[0], results[1], rtol=1e-15, atol=0)
        assert np.array_equal(results[0][0] != 0, mask)


@pytest.mark.parametrize("inverted", [False, True])
def test_dropout_that_does_not_train_draws_nothing(inverted):
    layer, x = bd.Dropout(0.25, inverted=inverted), np.arange(-3.0, 5.0)
    np.random.seed(1)
    before = np.random.get_state()[1:3]
    factor = 1 if inverted else 0.75
    assert np.array_equal(layer.forward(x, train_flg=False), factor * x)
    assert np.array_equal(layer.backward(x), factor * x)
    assert layer.mask is None
    after = np.random.get_state()[1:3]
    assert np.array_equal(before[0], after[0]) and before[1] == after[1]


@pytest.mark.parametrize(("axis", "shape"), [("feature", (6, 5)), ("feature", (4, 2, 3, 2)), ("channel", (4, 3, 2, 5))])
def test_running_statistics_follow_the_batches(axis, shape):
    rng = np.random.default_rng(6)
    d = shape[1] if axis == "channel" else int(np.prod(shape[1:]))
    for dtype in DTYPES:
        gamma, beta = rng.uniform(0.5, 1.5, d).astype(dtype), rng.standard_normal(d).astype(dtype)
        layer = bd.BatchNormalization(gamma, beta, momentum=0.8, axis=axis)
        twin = twin_of(layer)
        close = {"rtol": 100 * np.finfo(dtype).eps, "atol": 100 * np.finfo(dtype).eps}
        assert layer.running_mean is None
        for _ in range(5):
            x, dout = ((3 + 2 * rng.standard_normal(shape)).astype(dtype) for _ in range(2))
            for training in (True, False):
                np.testing.assert_allclose(layer.forward(x, training), twin.forward(x, training), **close)
                np.testing.assert_allclose(layer.backward(dout), twin.backward(dout), **close)
                for name in ("running_mean", "running_var"):
                    assert getattr(layer, name).dtype == dtype and getattr(layer, name).shape == (d,)
                    np.testing.assert_allclose(getattr(layer, name), getattr(twin, name), **close)
                for name in ("dgamma", "dbeta"):
                    np.testing.assert_allclose(
                        getattr(layer, name), getattr(twin, name), rtol=close["rtol"], atol=20 * close["atol"]
                    )


def test_a_refused_batch_moves_no_statistics():
    layer = bd.BatchNormalization(1.0, 0.0)
    for bad in (np.ones(3), np.ma.array(np.ones((2, 3)), mask=True), 1.5, None):
        with pytest.raises((TypeError, ValueError)):
            layer.forward(bad)
        assert layer.running_mean is None and layer.running_var is None and layer.gamma == 1.0
    layer.forward(np.ones((2, 3)))
    before = layer.running_mean.copy()
    with pytest.raises(ValueError, match="BatchNormalization"):
        layer.forward(np.ones((2, 4)))
    assert same_bits(layer.running_mean, before)


# ---------------------------------------------------------------- all of it in a net


def a_net(dtype="float64", rectifier=bd.Relu, dropout=0.25):
    branch = [bd.Convolution(filters=4, size=3, pad=1), bd.BatchNormalization(axis="channel"), bd.Tanh()]
    layers = [
        *(bd.Convolution(filters=4, size=(3, 2), pad=1), bd.BatchNormalization(axis="channel"), rectifier()),
        *(bd.Convolution(filters=4, size=2), rectifier(), bd.Pooling(2, 2), bd.Residual(branch)),
        *(bd.Pooling(2, 2, 1, mean=True), bd.Affine(units=8), rectifier(), bd.Dropout(dropout), bd.Affine(units=3)),
    ]
    return bd.Net(layers, loss=bd.SoftmaxWithLoss(), input_shape=(2, 7, 6), dtype=dtype, seed=1)


def image_nets(dtype, shape):
    """Nets whose images change their order of elements, or may not, in every way that layers can stand."""
    conv = functools.partial(bd.Convolution, size=3, pad=1)
    pool = functools.partial(bd.Pooling, 2, 2)
    inside = [conv(filters=17), bd.LeakyRelu(), conv(filters=5)]
    stacks = [
        [conv(filters=17), bd.Relu(), conv(filters=16), bd.Relu(), pool(), conv(filters=5), bd.Relu(), pool()],
        [pool(), bd.Relu(), conv(filters=18), bd.Pooling(3, 2, 1, 1), bd.Relu(), bd.Sigmoid(), conv(filters=3)],
        [conv(filters=5), bd.Residual(inside), bd.Relu(), bd.Residual([bd.Residual([bd.Tanh(), bd.Relu()])]), pool()],
        [conv(filters=5), bd.Residual([bd.Dropout(0.2), conv(filters=5)])],
        [conv(filters=16), bd.Dropout(0.3), bd.Relu(), conv(filters=2), bd.BatchNormalization(axis="channel"), pool()],
        [conv(filters=16), bd.BatchNormalization(), bd.Relu(), conv(filters=9), bd.Relu(), bd.Flatten(), bd.Relu()],
        [conv(filters=3), bd.Tanh(), pool(mean=True), conv(filters=7), bd.Softmax(), conv(filters=4), bd.Relu()],
        [conv(filters=6), pool(), bd.Relu(), conv(filters=4), bd.Relu(), pool(), bd.Relu(), bd.Flatten()],
        [conv(filters=17), pool(), bd.Relu()],
        [conv(filters=3), pool(), conv(filters=3), bd.BatchNormalization(axis="channel"), bd.Relu(), pool()],
    ]
    for layers in stacks:
        yield bd.Net([*layers, bd.Affine(units=3)], loss=bd.SoftmaxWithLoss(), input_shape=shape, dtype=dtype, seed=1)


def fused_and_plain(net, x, t):
    """Of either plan: the loss, dx and all gradients."""
    found = []
    for fuse in (True, False):
        net._core.rng = (5, 0)
        loss, _, dx = net._core.gradient(x, t, True, fuse)
        found.append([np.asarray(loss), dx, *(array.copy() for array in net.grads.values())])
    return found


@pytest.mark.parametrize("shape", [(2, 7, 6), (5, 8, 12)])  # pools fill the second: a convolution before them pools
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_order_of_elements_inside_a_net_changes_no_bit(dtype, shape):
    """The plain plan keeps every image as n c h w and every ReLU and pool by itself."""
    x, t = a_batch(shape)
    for net in image_nets(dtype, shape):
        for fused, plain in zip(*fused_and_plain(net, x, t), strict=True):
            assert same_bits(fused + 0, plain + 0), net  # but for the sign of 0
        if not any(isinstance(layer, bd.Dropout) for layer in net.layers):
            assert same_bits(net.forward(x, keep=True)[-1], net.predict(x))


def drawn_stack(rng):
    """A few layers of images, one after the other as chance will have it; they leave the size to pools alone."""
    makers = [
        lambda: bd.Convolution(filters=int(rng.integers(1, 8)), size=3, pad=1),
        lambda: bd.Pooling(2, 2),
        lambda: bd.Pooling(3, 3, stride=1, pad=1, mean=bool(rng.integers(2))),
        bd.Relu,
        bd.Relu,
        bd.LeakyRelu,
        lambda: bd.BatchNormalization(axis="channel"),
        lambda: bd.Dropout(0.2),
    ]
    stack = []
    for kind in rng.integers(len(makers) + 1, size=rng.integers(1, 8)):
        if kind < len(makers):
            stack.append(makers[kind]())
        else:  # what keeps the shape, so that the sum is one
            stack.append(bd.Residual([bd.Relu(), bd.Sigmoid()][: rng.integers(1, 3)]))
    return stack


@pytest.mark.parametrize("seed", range(40))
def test_whatever_a_net_fuses_it_computes_what_its_layers_do(seed):
    rng = np.random.default_rng(seed)
    layers = [bd.Convolution(filters=6, size=3, pad=1), *drawn_stack(rng), bd.Affine(units=3)]
    net = bd.Net(layers, loss=bd.SoftmaxWithLoss(), input_shape=(2, 16, 16), dtype="float64", seed=1)
    x, t = a_batch((2, 16, 16))
    for fused, plain in zip(*fused_and_plain(net, x, t), strict=True):
        np.testing.assert_allclose(fused, plain, rtol=1e-10, atol=1e-12, err_msg=repr(net))
    np.testing.assert_allclose(net.predict(x), net.forward(x, keep=True)[-1], rtol=1e-12, err_msg=repr(net))


def a_batch(shape=(2, 7, 6)):
    rng = np.random.default_rng(8)
    return rng.standard_normal((5, *shape)), rng.integers(0, 3, 5)


def test_the_gradients_of_a_net_of_images_are_right():
    report = bd.gradcheck(a_net(), *a_batch())
    assert report.ok, report


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_all_outputs_of_a_net_of_images_end_in_its_prediction(dtype):
    net, (x, t) = a_net(dtype), a_batch()
    for _ in range(3):
        net.train_step(x, t, bd.SGD(lr=0.1) if net.optimizer is None else None)
    outputs = net.forward(x, keep=True)
    assert [len(out) for out in outputs] == [5] * len(net.layers)
    assert same_bits(outputs[-1], net.predict(x)) and same_bits(net.forward(x), net.predict(x))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_fused_relu_gives_what_one_by_itself_gives(dtype):
    """LeakyRelu(0) is the same function and is never computed inside the layer before."""
    x, t = a_batch()
    fused, plain = a_net(dtype), a_net(dtype, rectifier=lambda: bd.LeakyRelu(0.0))
    assert np.array_equal(fused.predict(x), plain.predict(x))
    one, other = fused.gradient(x, t), plain.gradient(x, t)
    assert list(one) == list(other)
    for name in one:
        assert np.array_equal(one[name], other[name]), name
