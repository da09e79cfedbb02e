"""badak.layers: every layer against its twin, and what holds for all of them. B001 ...: rows of the catalogue."""

import copy
import gc
import pickle
import sys
import warnings
import weakref

import numpy as np
import pytest
from cases import CASE_OF, CASES, DTYPES, gradients_of, layouts, same_bits, terms

import badak as bd
from badak import _core

every_case = pytest.mark.parametrize("case", CASES, ids=repr)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])

# One case for each kind and each thing that is special about its input, where every row would only cost time.
TYPICAL = [
    CASE_OF[name]
    for name in (
        "Affine (7, 8) to 9",
        "Affine (2, 3, 4, 5) to 7",
        "Relu (3, 5)",
        "Sigmoid (2, 9, 3)",
        "Tanh (3, 5)",
        "SoftmaxWithLoss (7, 3), labels",
        "SoftmaxWithLoss (5, 31), soft labels",
        "IdentityWithLoss (3, 5)",
        "Residual of Affine, Tanh, Affine",
        "LeakyRelu (3, 5)",
        "Softmax (2, 3, 4), scale 1",
        "Flatten (2, 3, 4, 5)",
        "Dropout of nothing (3, 5)",
        "BatchNormalization (7, 5) per feature",
        "BatchNormalization (4, 3, 2, 5) per channel",
        "Convolution (3, 2, 6, 5) by (4, 2, 3, 2)",
        "Pooling (2, 3, 4, 6) by (2, 2), stride 2, pad 0",
        "Pooling (2, 2, 5, 5) by (3, 2), stride 2, pad 0",
        "Pooling (1, 2, 5, 4) by (3, 3), stride 1, pad 2, mean",
        "SigmoidWithLoss (9, 17), probabilities",
        "Residual of BatchNormalization, LeakyRelu, Convolution",
    )
]
POOL_OF_SQUARES = CASE_OF["Pooling (2, 3, 4, 6) by (2, 2), stride 2, pad 0"]
typical_case = pytest.mark.parametrize("case", TYPICAL, ids=repr)


def run(layer, arguments, dout):
    """Everything that forward and backward give, by name; copies, so that later changes to them do not show."""
    out = layer.forward(*arguments)
    dx = layer.backward(dout)
    return {"out": np.array(out), "dx": dx.copy(), **{name: g.copy() for name, g in gradients_of(layer).items()}}


def assert_same_bits(found, expected, note=""):
    assert list(found) == list(expected)
    for name in expected:
        assert same_bits(found[name], expected[name]), f"{name} {note}"


def an_affine(dtype=np.float64, inputs=3, units=2):
    rng = np.random.default_rng(5)
    return bd.Affine(rng.standard_normal((inputs, units)).astype(dtype), rng.standard_normal(units).astype(dtype))


# ---------------------------------------------------------------- right


def assert_within(found, expected, allowed_eps, sizes, dtype, name):
    info = np.finfo(dtype)
    error = np.abs(np.asarray(found, dtype=np.float64) - expected)
    bound = allowed_eps * info.eps * np.maximum(sizes, info.smallest_normal)
    worst = np.unravel_index(np.argmax(error - bound), np.shape(error))
    assert np.all(error <= bound), (
        f"{name}{list(worst)}: off by {np.asarray(error / (info.eps * sizes))[worst]:.3g} eps"
    )


@every_dtype
@every_case
def test_forward_and_backward_agree_with_the_twin(case, dtype):
    layer, twin, arguments, dout = case.make(dtype)
    out_terms, gradient_terms = terms(case, dtype)

    assert_within(layer.forward(*arguments), twin.forward(*arguments), case.eps, out_terms, dtype, "out")
    assert_within(layer.backward(dout), twin.backward(dout), case.eps, gradient_terms["x"], dtype, "dx")
    gradients, expected = gradients_of(layer), gradients_of(twin)
    assert list(gradients) == list(expected)
    for name in expected:
        assert_within(gradients[name], expected[name], case.eps, gradient_terms[name], dtype, "d" + name)


@every_dtype
@every_case
def test_results_have_the_shape_and_dtype_of_what_they_belong_to(case, dtype):
    layer, twin, arguments, dout = case.make(dtype)
    out = layer.forward(*arguments)
    dx = layer.backward(dout)

    assert out.dtype == dtype and np.shape(out) == np.shape(twin.forward(*arguments))
    assert dx.dtype == dtype and dx.shape == arguments[0].shape
    assert type(dx) is np.ndarray and dx.flags.c_contiguous and dx.flags.writeable and dx.flags.owndata
    for name, array in layer.params.items():
        if np.ndim(array):
            gradient = layer.grads[name]
            assert gradient.dtype == dtype and gradient.shape == array.shape and gradient.flags.owndata


@every_dtype
@every_case
def test_gradient_check(case, dtype):
    layer, _, arguments, _ = case.make(dtype)
    report = bd.gradcheck(layer, *arguments)
    assert report.status == case.verdict, report
    assert report.conduct == [], report
    assert report.ok == (case.verdict in ("PASS", "KINK", "EXPLAINED"))


def test_the_gradient_check_looks_at_every_parameter_of_a_residual():
    layer, _, (x,), _ = CASE_OF["Residual of Affine, Tanh, Affine"].make(np.float64)
    checked = [entry.shape for entry in bd.gradcheck(layer, x).entries]
    assert sorted(checked) == sorted([x.shape, (9, 17), (17,), (17, 9), (9,)])


@pytest.mark.parametrize("kind", [bd.Relu, bd.Sigmoid, bd.Tanh])
def test_each_number_is_computed_by_itself_whatever_the_length(kind):
    """Lengths around every vector length: the last, shorter vector must give the bits of the others."""
    for dtype in DTYPES:
        x = np.random.default_rng(3).standard_normal(67).astype(dtype)
        whole = kind().forward(x)
        for length in range(1, 67):
            layer = kind()
            assert same_bits(layer.forward(x[:length]), whole[:length]), length
            assert np.array_equal(layer.backward(np.ones(length, dtype)), kind_slope(kind, x)[:length]), length


def kind_slope(kind, x):
    layer = kind()
    layer.forward(x)
    return layer.backward(np.ones_like(x))


@every_dtype
def test_a_row_of_an_affine_does_not_depend_on_the_batch_it_is_in(dtype):
    layer = an_affine(dtype, 50, 33)
    x = np.random.default_rng(3).standard_normal((40, 50)).astype(dtype)
    whole = layer.forward(x)
    for rows in (1, 2, 5, 7, 12, 13, 24, 25, 39):
        assert same_bits(layer.forward(x[:rows]), whole[:rows]), rows


@every_dtype
def test_an_x_that_is_mostly_0_gives_the_same_bits(dtype):
    """Its zeros are skipped, unless the rows that are looked at have too few: here those that are added."""
    rng = np.random.default_rng(6)
    for n, units in ((64, 50), (300, 33)):
        layer = bd.Affine(rng.standard_normal((130, units)).astype(dtype), rng.standard_normal(units).astype(dtype))
        x = (rng.standard_normal((n, 130)) * (rng.random((n, 130)) < 0.2)).astype(dtype)
        dout = rng.standard_normal((n, units)).astype(dtype)
        out, dx, dW = layer.forward(x), layer.backward(dout), layer.dW
        assert same_bits(layer.forward(np.concatenate([x, np.ones_like(x)]))[:n], out)
        assert same_bits(layer.backward(np.concatenate([dout, np.zeros_like(dout)]))[:n], dx)
        assert same_bits(layer.dW, dW)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_dout_that_is_half_0_gives_the_same_dx(dtype):
    """Its zeros are skipped; not those of few rows."""
    rng = np.random.default_rng(7)
    for n, inputs, units in ((64, 50, 40), (300, 700, 33), (40, 150, 300)):
        layer = bd.Affine(rng.standard_normal((inputs, units)).astype(dtype), np.zeros(units, dtype))
        dout = (rng.standard_normal((n, units)) * (rng.random((n, units)) < 0.5)).astype(dtype)
        layer.forward(np.ones((n, inputs), dtype))
        dx = layer.backward(dout)
        layer.forward(np.ones((20, inputs), dtype))
        assert same_bits(layer.backward(dout[:20]), dx[:20])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_zeros_of_x_do_not_hide_what_is_not_finite(value):
    x, W = np.zeros((64, 100)), np.ones((100, 40))
    W[7, 3] = value
    layer = bd.Affine(W, np.zeros(40))
    assert np.array_equal(np.isnan(layer.forward(x)).any(axis=0), np.arange(40) == 3)
    dout = np.ones((64, 40))
    dout[5, 2] = value
    layer.backward(dout)
    assert np.array_equal(np.isnan(layer.dW).all(axis=0), np.arange(40) == 2)
    assert np.array_equal(np.isnan(layer.backward(np.zeros((64, 40)))).any(axis=0), np.arange(100) == 7)


def test_the_books_apples_and_oranges():
    """Book: section 5.4: two apples of 100, three oranges of 150, 10 % tax."""
    apples, oranges, fruit, taxed = bd.MulLayer(), bd.MulLayer(), bd.AddLayer(), bd.MulLayer()
    price = taxed.forward(fruit.forward(apples.forward(100, 2), oranges.forward(150, 3)), 1.1)
    dfruit, dtax = taxed.backward(1)
    dapples, doranges = fruit.backward(dfruit)

    assert price == pytest.approx(715)
    assert dtax == 650
    assert apples.backward(dapples) == pytest.approx((2.2, 110))
    assert oranges.backward(doranges) == pytest.approx((3.3, 165))


def test_mul_and_add_of_arrays():
    x, y, dout = np.array([1.0, 2.0]), np.array([3.0, -4.0]), np.array([5.0, 6.0])
    mul, add = bd.MulLayer(), bd.AddLayer()
    assert np.array_equal(mul.forward(x, y), [3, -8]) and np.array_equal(add.forward(x, y), [4, -2])
    assert np.array_equal(mul.backward(dout), [[15, -24], [5, 12]])
    left, right = add.backward(dout)
    assert np.array_equal(left, dout) and not np.shares_memory(left, right) and not np.shares_memory(left, dout)


# ---------------------------------------------------------------- exact values


def test_relu_has_slope_0_at_0_and_remembers_its_mask():
    layer = bd.Relu()
    assert layer.mask is None
    assert np.array_equal(layer.forward(np.array([-1.0, 0.0, -0.0, 2.0])), [0, 0, 0, 2])
    assert np.array_equal(layer.mask, [True, True, True, False])
    assert np.array_equal(layer.backward(np.full(4, 7.0)), [0, 0, 0, 7])


def test_relu_never_gives_minus_zero():
    assert not np.signbit(bd.Relu().forward(np.array([-1.0, -0.0, -np.inf]))).any()


def test_softmax_with_loss_of_the_book():
    """Book: section 5.6.3: of two answers that are equally far off, the loss and its gradient."""
    layer = bd.SoftmaxWithLoss()
    loss = layer.forward(np.array([[0.3, 2.9, 4.0]]), np.array([2]))
    assert loss == pytest.approx(-np.log(0.73659691), abs=1e-8)
    assert layer.loss == loss
    assert layer.y == pytest.approx(np.array([[0.01821127, 0.24519181, 0.73659691]]), abs=5e-9)
    assert layer.backward() == pytest.approx(np.array([[0.01821127, 0.24519181, -0.26340309]]), abs=5e-9)


@pytest.mark.parametrize("far", [0.0, 1e4, -1e4, 1e20, 1e300, -1e300])
def test_equal_scores_cost_log_of_the_number_of_classes_however_far_from_0_they_are(far):
    assert bd.SoftmaxWithLoss().forward(np.full((3, 10), far), [0, 4, 9]) == pytest.approx(np.log(10), rel=1e-14, abs=0)


def test_labels_of_every_form_give_the_same_bits():
    x = np.random.default_rng(1).standard_normal((4, 3))
    t = np.array([2, 0, 1, 1])
    forms = [t, t.tolist(), t.reshape(-1, 1), t.astype(np.uint8), t.astype(">i4"), t.astype(np.uint64), np.eye(3)[t]]
    forms += [np.eye(3, dtype=bool)[t], np.eye(3, dtype=int)[t], np.eye(3, dtype=np.float32)[t], np.eye(3)[t].tolist()]
    expected = run(bd.SoftmaxWithLoss(), (x, t), 1.0)
    for form in forms:
        assert_same_bits(run(bd.SoftmaxWithLoss(), (x, form), 1.0), expected)


def test_soft_labels_are_weights_in_forward_and_backward():
    x = np.random.default_rng(1).standard_normal((4, 3))
    t = np.eye(3)[[2, 0, 1, 1]]
    whole, half = bd.SoftmaxWithLoss(), bd.SoftmaxWithLoss()
    assert half.forward(x, t / 2) == pytest.approx(whole.forward(x, t) / 2, rel=1e-14, abs=0)
    assert half.backward() == pytest.approx(whole.backward() / 2, rel=1e-13, abs=0)


def test_a_class_without_weight_may_be_impossible():
    loss = bd.SoftmaxWithLoss().forward(np.array([[0.0, -np.inf, 0.0]]), np.array([[0.5, 0.0, 0.5]]))
    assert loss == pytest.approx(np.log(2))


def test_the_books_eps_counts_for_the_loss_only():
    x, t = np.array([[20.0, 0.0, 0.0]]), np.array([1])
    exact, book = bd.SoftmaxWithLoss(), bd.SoftmaxWithLoss(eps=1e-7)
    assert exact.forward(x, t) == pytest.approx(20, abs=1e-8)
    assert book.forward(x, t) == pytest.approx(-np.log(np.exp(-20) + 1e-7), rel=1e-8, abs=0)
    assert same_bits(exact.backward(), book.backward())


@pytest.mark.parametrize("loss", [bd.SoftmaxWithLoss, bd.SigmoidWithLoss, bd.IdentityWithLoss])
def test_a_loss_honours_dout(loss):
    layer = loss()
    layer.forward(np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[0.0, 1.0], [1.0, 0.0]]))
    for dout in (3, 3.0, np.float32(3), np.array(3.0), np.array([3.0])):
        assert layer.backward(dout) == pytest.approx(3 * layer.backward(), rel=1e-15, abs=0)


def test_identity_with_loss_is_half_the_sum_of_squares_over_the_batch():
    layer = bd.IdentityWithLoss()
    assert layer.forward(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0.0, 2.0], [3.0, 1.0]])) == 0.25 * (1 + 9)
    assert np.array_equal(layer.backward(), [[0.5, 0], [0, 1.5]])


def test_identity_with_loss_takes_rows_of_one_number():
    layer = bd.IdentityWithLoss()
    assert layer.forward(np.array([1.0, 4.0]), np.array([0.0, 1.0])) == 0.25 * (1 + 9)
    assert np.array_equal(layer.backward(), [0.5, 1.5])


def test_a_call_is_forward():
    x = np.array([[1.0, -2.0]])
    assert same_bits(bd.Relu()(x), bd.Relu().forward(x))
    assert bd.SoftmaxWithLoss()(x, [0]) == bd.SoftmaxWithLoss().forward(x, [0])


# ---------------------------------------------------------------- layouts and dtypes of inputs


@every_dtype
@every_case
def test_any_layout_of_x_and_dout_gives_the_bits_of_the_contiguous_one(case, dtype):
    layer, _, (x, *t), dout = case.make(dtype)
    expected = run(layer, (x, *t), dout)
    for name, other in layouts(x).items():
        assert_same_bits(run(layer, (other, *t), dout), expected, name)
    if dout.ndim:
        for name, other in layouts(dout).items():
            assert_same_bits(run(layer, (x, *t), other), expected, name)
    for rows in t:
        for name, other in layouts(np.asarray(rows)).items():
            assert_same_bits(run(layer, (x, other), dout), expected, name)


@every_dtype
@typical_case
def test_a_broadcast_input_gives_the_bits_of_its_copy(case, dtype):
    layer, _, (x, *t), dout = case.make(dtype)
    stretched = np.broadcast_to(x[:1], x.shape)
    assert 0 in stretched.strides
    assert_same_bits(run(layer, (stretched, *t), dout), run(layer, (stretched.copy(), *t), dout))
    if dout.ndim:
        stretched = np.broadcast_to(dout.dtype.type(0.5), dout.shape)
        assert_same_bits(run(layer, (x, *t), stretched), run(layer, (x, *t), stretched.copy()))


def test_overlapping_windows_are_an_input_like_others():
    series = np.random.default_rng(2).standard_normal(20)
    windows = np.lib.stride_tricks.sliding_window_view(series, 3)
    layer = an_affine()
    assert same_bits(layer.forward(windows), layer.forward(windows.copy()))


def test_an_axis_of_one_with_a_negative_stride():
    """B017: NumPy calls it contiguous; its stride must not be used."""
    x = np.random.default_rng(2).standard_normal((1, 10, 3))[::-1]
    assert x.flags.c_contiguous and x.strides[0] < 0
    assert same_bits(bd.Tanh().forward(x), bd.Tanh().forward(x.copy()))


@every_dtype
@typical_case
def test_other_numbers_are_converted_to_what_the_layer_computes_in(case, dtype):
    """B010 B012 B013: to the parameters' type, or without parameters to float64."""
    layer, _, (x, *t), dout = case.make(dtype)
    whole = np.round(np.clip(x, -3, 3)).astype(int)
    computes_in = dtype if gradients_of_kind(layer) else np.float64
    for other in (np.int8, np.int64, np.uint8, np.float16, np.bool_, ">i2", ">f2"):
        given = np.abs(whole).astype(other)
        found = run(layer, (given, *t), dout)
        assert_same_bits(found, run(layer, (given.astype(computes_in), *t), dout))
        assert all(array.dtype == computes_in for array in found.values())


def gradients_of_kind(layer):
    return layer.params or any(gradients_of_kind(child) for child in getattr(layer, "layers", ()))


@typical_case
def test_lists_and_what_numpy_can_read_are_inputs(case):
    layer, _, (x, *t), dout = case.make(np.float64)
    expected = run(layer, (x, *t), dout)

    class Wrapper:
        def __array__(self, dtype=None, copy=None):
            return x

    forms = [x.tolist(), memoryview(x), np.ma.array(x), np.ma.array(x, mask=np.zeros(x.shape, bool)), Wrapper()]
    forms.append(tuple(map(tuple, x.tolist())) if x.ndim == 2 else x.tolist())
    for form in forms:
        assert_same_bits(run(layer, (form, *t), dout), expected)


def test_a_matrix_is_an_input_and_arrays_come_back():
    """B041"""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        x = np.matrix([[1.0, 2.0, 3.0]])
        layer = an_affine()
        out = layer.forward(x)
        assert type(out) is np.ndarray and type(layer.backward(np.asmatrix(out))) is np.ndarray
        assert same_bits(out, layer.forward(np.array(x)))


@pytest.mark.parametrize("kind", [bd.Relu, bd.Sigmoid, bd.Tanh])
def test_a_layer_without_parameters_keeps_float32_and_float64(kind):
    assert kind().forward(np.ones(3, np.float32)).dtype == np.float32
    assert kind().forward(np.ones(3, ">f4")).dtype == np.float32
    assert kind().forward(np.ones(3, np.float64)).dtype == np.float64
    layer = kind()
    layer.forward(np.ones(3, np.float32))
    assert layer.backward(np.ones(3, np.float64)).dtype == np.float32


def test_parameters_decide_the_dtype():
    for dtype in DTYPES:
        for other in DTYPES:
            layer = an_affine(dtype)
            assert layer.forward(np.ones((2, 3), other)).dtype == dtype
            assert layer.backward(np.ones((2, 2), other)).dtype == dtype
            assert layer.dW.dtype == dtype and layer.db.dtype == dtype


def test_numbers_too_large_for_float32_become_infinite_without_a_warning():
    layer = bd.Affine(np.ones((2, 2), np.float32), np.zeros(2, np.float32))
    assert np.array_equal(layer.forward(np.array([[1e300, 0.0]])), [[np.inf, np.inf]])


@pytest.mark.parametrize("layer", [bd.Relu(), bd.Residual([bd.Relu()])], ids=repr)
def test_sums_too_large_become_infinite_without_a_warning(layer):
    x = np.array([1.5e308, -1.5e308])
    assert layer.forward(x)[0] > 1e308
    assert layer.backward(x)[0] > 1e308


# ---------------------------------------------------------------- parameters are held by reference


PARAMETERS = np.random.default_rng(8).standard_normal((6, 8))


def parameter_layouts(dtype):
    """{name: (a base that owns the memory, W (3, 4) of any strides in it)}"""
    base = PARAMETERS.astype(dtype)
    return {
        "contiguous": base[:3, :4].copy(),
        "Fortran order": np.asfortranarray(base[:3, :4]),
        "a slice": base[2:5, 1:5],
        "every second row and column": base[::2, ::2],
        "reversed": base[2::-1, 3::-1],
        "transposed": base.T[:3, :4],
    }


@every_dtype
@pytest.mark.parametrize("name", parameter_layouts(float))
def test_parameters_of_any_strides_are_held_by_reference(name, dtype):
    W = parameter_layouts(dtype)[name]
    b = np.zeros(8, dtype)[::-2]
    layer, control = bd.Affine(W, b), bd.Affine(W.copy(), b.copy())
    x, dout = np.ones((2, 3), dtype), np.ones((2, 4), dtype)

    assert layer.W is W and layer.b is b and layer.params["W"] is W
    assert_same_bits(run(layer, (x,), dout), run(control, (x,), dout))
    W[1, 2] += 5
    b[3] -= 7
    control.W[...], control.b[...] = W, b
    assert_same_bits(run(layer, (x,), dout), run(control, (x,), dout))


def test_a_change_between_forward_and_backward_is_seen_by_backward():
    layer = an_affine()
    layer.forward(np.ones((1, 3)))
    layer.W[...] = 1
    assert np.array_equal(layer.backward(np.ones((1, 2))), [[2, 2, 2]])


def test_assigning_a_parameter_takes_the_new_array():
    layer = an_affine()
    W, b = np.ones((3, 2)), np.zeros(2)
    layer.W, layer.b = W, b
    assert layer.W is W and layer.b is b
    assert np.array_equal(layer.forward(np.ones((1, 3))), [[3, 3]])


def test_parameters_are_assigned_one_by_one_in_another_dtype():
    """As the book's own ``load_params`` does: layer.W and then layer.b."""
    layer = an_affine()
    x, dout = np.ones((1, 3)), np.ones((1, 2))
    before = layer.forward(x)
    W, b = layer.W.astype(np.float32), layer.b.astype(np.float32)
    layer.W = W
    with pytest.raises(TypeError, match=r"b is float64, but this layer computes in float32: assign b\.astype\("):
        layer.forward(x)
    with pytest.raises(TypeError, match=r"W is float32, but this layer computes in float64"):
        layer.backward(dout)  # of the forward before
    layer.b = b
    assert layer.W is W and layer.b is b
    assert layer.forward(x).dtype == np.float32
    np.testing.assert_allclose(layer.forward(x), before, rtol=1e-6)
    assert layer.backward(dout).dtype == layer.dW.dtype == layer.db.dtype == np.float32


def test_dtypes_that_differ_are_refused_from_the_start():
    with pytest.raises(TypeError, match="W is float64, but b is float32: give both in one type"):
        bd.Affine(np.ones((3, 2)), np.zeros(2, np.float32))
    with pytest.raises(TypeError, match="gamma is float32, but beta is float64"):
        bd.BatchNormalization(np.ones(2, np.float32), np.zeros(2))


@pytest.mark.parametrize("name", ["W", "b"])
@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda a: a.tolist(), TypeError),
        (lambda a: a.astype(int), TypeError),
        (lambda a: a.astype(np.float16), TypeError),
        (lambda a: a.astype(complex), TypeError),
        (lambda a: a.astype(object), TypeError),
        (lambda a: a.astype(">f8"), ValueError),
        (lambda a: np.broadcast_to(a[:1], a.shape), ValueError),
        (lambda a: a[..., None], ValueError),
        (lambda a: np.concatenate([a, a], axis=-1), ValueError),
        (lambda a: layouts(a)["misaligned by one byte"], ValueError),
        (lambda a: np.ma.array(a, mask=True), TypeError),
        (lambda a: None, TypeError),
        (lambda a: "text", TypeError),
        (lambda a: True, TypeError),
        (lambda a: 1j, TypeError),
        (lambda a: np.complex128(1), TypeError),
        (lambda a: np.array("text"), TypeError),
    ],
)
def test_an_array_that_cannot_be_a_parameter_is_refused_and_nothing_changes(name, change, error):
    layer = an_affine()
    before = dict(layer.params)
    bad = change(before[name])
    with pytest.raises(error, match=rf"\b{name}\b"):
        setattr(layer, name, bad)
    assert all(layer.params[key] is before[key] for key in before)
    with pytest.raises(error, match=rf"\b{name}\b"):
        bd.Affine(**(before | {name: bad}))


@pytest.mark.parametrize("change", ["read-only", "misaligned by one byte", "byte-swapped"])
def test_the_remedy_in_the_message_works(change):
    bad = layouts(np.ones((3, 2)))[change]
    with pytest.raises(ValueError, match=r"W = .*makes one that can be") as caught:
        bd.Affine(bad, np.zeros(2))
    remedy = str(caught.value).split("(W = ")[1].split(" makes")[0]
    bd.Affine(eval(remedy, {"W": bad}), np.zeros(2))


def test_parameters_cannot_be_deleted():
    layer = an_affine()
    with pytest.raises(AttributeError, match="W cannot be deleted"):
        del layer.W


@every_dtype
@pytest.mark.parametrize("number", [2, 0.5, np.float32(0.5), np.float64(-3), np.array(0.25), np.int64(4)])
def test_a_number_as_b_stands_for_every_unit(number, dtype):
    W = PARAMETERS[:3, :4].astype(dtype)
    layer, control = bd.Affine(W, number), bd.Affine(W, np.full(4, number, dtype))
    x, dout = np.ones((2, 3), dtype), np.ones((2, 4), dtype)
    assert_same_bits(run(layer, (x,), dout), run(control, (x,), dout))
    assert layer.b is number


def test_sizes_that_a_resized_parameter_no_longer_has():
    layer = an_affine()
    layer.W.resize((5, 5), refcheck=False)
    with pytest.raises(ValueError, match="W has shape"):
        layer.forward(np.ones((1, 3)))


# ---------------------------------------------------------------- what is whose


@typical_case
@every_dtype
def test_arguments_are_never_changed(case, dtype):
    layer, _, arguments, dout = case.make(dtype)
    parameters = [a for a in layer.params.values() if isinstance(a, np.ndarray)]
    given = [*map(np.asarray, arguments), dout, *parameters]
    before = [(a.tobytes(), a.shape, a.strides, a.dtype, a.flags.writeable) for a in given]
    layer.forward(*arguments)
    layer.backward(dout)
    assert [(a.tobytes(), a.shape, a.strides, a.dtype, a.flags.writeable) for a in given] == before


@typical_case
@every_dtype
def test_results_belong_to_the_caller(case, dtype):
    """None is a view of an argument, a parameter or another result, and changing one changes nothing else."""
    layer, _, arguments, dout = case.make(dtype)
    control = run(copy.deepcopy(layer), arguments, dout)

    def results():
        out = layer.forward(*arguments)
        out_array = [out] if np.ndim(out) else []
        return [*out_array, layer.backward(dout), layer.backward(dout), *gradients_of(layer).values()]

    first, second = results(), results()
    held = [a for a in (*arguments, dout, *layer.params.values()) if isinstance(a, np.ndarray)]
    everything = [*first, *second, *held]
    for i, a in enumerate(first + second):
        assert not any(np.shares_memory(a, b) for j, b in enumerate(everything) if j != i)
    out = layer.forward(*arguments)
    for array in [*first, *second, *([out] if np.ndim(out) else [])]:
        array[...] = np.nan
    found = {"out": np.array(layer.forward(*arguments)), "dx": layer.backward(dout), **gradients_of(layer)}
    assert_same_bits(found, control)


@typical_case
def test_changing_the_output_does_not_change_backward(case):
    layer, _, arguments, dout = case.make(np.float64)
    expected = run(layer, arguments, dout)["dx"]
    out = layer.forward(*arguments)
    if np.ndim(out):
        out[...] = -1
    assert same_bits(layer.backward(dout), expected)


def test_what_a_layer_remembers_cannot_be_changed_through_its_attributes():
    layer = bd.SoftmaxWithLoss()
    layer.forward(np.array([[1.0, 2.0]]), [0])
    expected = layer.backward()
    layer.y[...] = 0
    assert same_bits(layer.backward(), expected)
    sigmoid = bd.Sigmoid()
    sigmoid.forward(np.array([1.0, 2.0]))
    expected = sigmoid.backward(np.ones(2))
    sigmoid.out[...] = 0
    assert same_bits(sigmoid.backward(np.ones(2)), expected)


def test_gradients_are_none_before_the_first_backward():
    layer = an_affine()
    assert layer.dW is None and layer.db is None and layer.x is None and layer.grads == {}
    x = np.ones((1, 3))
    layer.forward(x)
    assert layer.dW is None and np.array_equal(layer.x, x)


@typical_case
def test_a_layer_holds_on_to_x_only_if_backward_reads_it(case):
    layer, _, (x, *rest), dout = case.make(np.float64)
    expected = run(layer, (x, *rest), dout)
    x = np.array(x)
    alive = weakref.ref(x)
    layer.forward(x, *rest)
    del x
    reads = isinstance(layer, (bd.Affine, bd.Convolution, bd.Pooling, bd.LeakyRelu, bd.IdentityWithLoss))
    reads = reads and case is not POOL_OF_SQUARES  # which keeps where they won
    assert layer.x is (alive() if reads else None)
    if not isinstance(layer, bd.Residual):  # whose branch may read it
        assert (alive() is not None) == reads
    assert same_bits(layer.backward(dout), expected["dx"])


def test_a_pool_of_squares_that_did_not_train_keeps_x():
    layer, x = _core.Layer("Pooling", (2, 2, 2, 0, 0)), np.random.default_rng(0).random((2, 3, 4, 6))
    dout = np.arange(36.0).reshape(2, 3, 2, 3)
    saved = [layer.forward((x,), (), None, training, (), None)[1] for training in (True, False)]
    assert [one.x is x for one in saved] == [False, True]
    dx = [layer.backward(one, dout, ())[0][0] for one in saved]
    assert same_bits(*dx) and np.count_nonzero(dx[0]) == 35


@pytest.mark.parametrize("order", ["C", "F", "channels last"])
def test_the_mask_of_relu_tells_where_x_is_not_above_0(order):
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    x[0, 0, 0] = 0, -0.0, np.nan, np.inf, -np.inf
    x = x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2) if order == "channels last" else np.array(x, order=order)
    relu = bd.Relu()
    assert relu.mask is None
    relu.forward(x)
    assert relu.mask.dtype == bool and np.array_equal(relu.mask, x <= 0)
    relu.mask[...] = True
    assert np.array_equal(relu.backward(np.ones(x.shape)), np.where(x <= 0, 0.0, 1.0))


def test_two_layers_do_not_share_what_they_remember():
    one, other = bd.Relu(), bd.Relu()
    one.forward(np.array([1.0, -1.0]))
    other.forward(np.array([-1.0, 1.0]))
    assert np.array_equal(one.backward(np.ones(2)), [1, 0])
    assert np.array_equal(other.backward(np.ones(2)), [0, 1])


# ---------------------------------------------------------------- NaN, infinity, nothing


@every_dtype
@pytest.mark.parametrize("kind", [bd.Relu, bd.Sigmoid, bd.Tanh])
def test_a_nan_passes_and_spoils_nothing_else(kind, dtype):
    x = np.random.default_rng(1).standard_normal(19).astype(dtype)
    clean = kind().forward(x)
    x[7] = np.nan
    layer = kind()
    out = layer.forward(x)
    dx = layer.backward(np.ones(19, dtype))
    assert np.array_equal(np.isnan(out), np.arange(19) == 7) and np.array_equal(np.delete(out, 7), np.delete(clean, 7))
    layer.forward(np.abs(np.nan_to_num(x)) + 1)
    dout = np.ones(19, dtype)
    dout[3] = np.nan
    assert np.array_equal(np.isnan(layer.backward(dout)), np.arange(19) == 3)
    assert np.isfinite(np.delete(dx, 7)).all()


@every_dtype
def test_a_nan_stays_in_its_row_of_an_affine(dtype):
    layer = an_affine(dtype)
    x = np.ones((3, 3), dtype)
    x[1, 2] = np.nan
    assert np.array_equal(np.isnan(layer.forward(x)), [[False] * 2, [True] * 2, [False] * 2])
    layer.backward(np.ones((3, 2), dtype))
    assert np.array_equal(np.isnan(layer.dW), [[False] * 2, [False] * 2, [True] * 2])


@every_dtype
def test_infinities_have_their_limits(dtype):
    x = np.array([-np.inf, np.inf], dtype)
    assert np.array_equal(bd.Relu().forward(x), [0, np.inf])
    assert np.array_equal(bd.Sigmoid().forward(x), [0, 1])
    assert np.array_equal(bd.Tanh().forward(x), [-1, 1])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_losses_of_nan_and_infinity(bad):
    x = np.array([[1.0, 2.0], [bad, 0.0]])
    assert np.isnan(bd.SoftmaxWithLoss().forward(x, [0, 1]))
    assert np.isnan(bd.IdentityWithLoss().forward(x, np.zeros((2, 2)))) == np.isnan(bad)


@every_dtype
@pytest.mark.parametrize("layer", [an_affine(), bd.Relu(), bd.Tanh(), bd.Residual([bd.Sigmoid()])], ids=repr)
def test_a_batch_of_no_samples_passes(layer, dtype):
    """B031"""
    out = layer.forward(np.zeros((0, 3), dtype))
    assert out.shape == (0, 2 if layer.params else 3)
    assert layer.backward(out).shape == (0, 3)
    if layer.params:
        assert np.array_equal(layer.dW, np.zeros((3, 2))) and np.array_equal(layer.db, np.zeros(2))


@pytest.mark.parametrize("loss", [bd.SoftmaxWithLoss, bd.SigmoidWithLoss, bd.IdentityWithLoss])
def test_no_samples_have_no_mean_loss(loss):
    """B032"""
    with pytest.raises(ValueError, match="no samples"):
        loss().forward(np.zeros((0, 3)), np.zeros((0, 3)))


# ---------------------------------------------------------------- bad input


class Raising:
    def __array__(self, dtype=None, copy=None):
        raise KeyError("my own error")


BAD_INPUTS = {
    "B001": (None, TypeError),
    "B002": ("abc", TypeError),
    "B002b": (b"abc", TypeError),
    "B003": ([[1, 2], [3]], ValueError),
    "B004": (np.ones((1, 3)).astype(object), TypeError),
    "B005": ([[1.0, None, 2.0]], TypeError),
    "B006": (np.array([["1", "2", "3"]]), TypeError),
    "B007": (np.ones((1, 3), complex), TypeError),
    "B008": (np.zeros((1, 3), [("a", float)]), TypeError),
    "B009": (np.zeros((1, 3), "M8[s]"), TypeError),
    "B009b": (np.zeros((1, 3), "m8[s]"), TypeError),
    "B011": (np.ones((1, 3), np.longdouble), TypeError),
    "B026": (1.5, ValueError),
    "B026b": (np.array(1.5), ValueError),
    "B028": (np.ones((1,) * 9), ValueError),
    "B029": (np.ones((1,) * 32), ValueError),  # as many as NumPy 1 has
    "B033": (np.ones((3, 0)), ValueError),
    "B039": (np.ma.array([[1.0, 2.0, 3.0]], mask=[[0, 1, 0]]), TypeError),
    "B043": (Raising(), KeyError),
    "B050": ({1, 2}, TypeError),
    "B050b": ({1: 2}, TypeError),
}


@pytest.mark.parametrize(
    "layer",
    [
        an_affine(),
        bd.Relu(),
        bd.Residual([bd.Tanh()]),
        bd.LeakyRelu(),
        bd.Softmax(),
        bd.Dropout(0),
        bd.BatchNormalization(1.0, 0.0),
    ],
    ids=repr,
)
@pytest.mark.parametrize("row", BAD_INPUTS)
def test_a_bad_input_is_refused_and_changes_nothing(row, layer):
    bad, error = BAD_INPUTS[row]
    good = np.ones((2, 3))
    dout = np.ones_like(layer.forward(good))
    control = run(layer, (good,), dout)
    with pytest.raises(error):
        layer.forward(bad)
    assert same_bits(layer.backward(dout), control["dx"])  # of the good forward before
    with pytest.raises(error):
        layer.backward(bad)
    assert_same_bits(run(layer, (good,), dout), control)


def test_what_does_not_fit_the_weights_is_refused_naming_both():
    """B027 B030"""
    layer = an_affine()
    with pytest.raises(ValueError, match=r"(?s)\(2, 4\).*\(3, 2\)"):
        layer.forward(np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"x\[None\]"):
        layer.forward(np.ones(3))
    layer.forward(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"dout has shape \(2, 3\), expected \(2, 2\)"):
        layer.backward(np.ones((2, 3)))


LABELS_OF_3 = {
    "B047": (np.zeros(3, int), ValueError, "2 samples"),
    "B051": (np.array([0, 3]), ValueError, "label 3 of sample 1"),
    "B052": (np.array([0, -1]), ValueError, "label -1 of sample 1"),
    "B053": (np.array([-(2**63), 0]), ValueError, "label -9223372036854775808"),
    "B054": (np.array([2**63 + 5, 0], np.uint64), ValueError, "label"),
    "B055": (np.array([0.0, 1.0]), TypeError, "integer labels"),
    "B056": (np.array([0.5, np.nan]), TypeError, "integer labels"),
    "B057": (np.zeros((2, 2), int), ValueError, r"\(2, 2\)"),
    "B058": (np.array([[0.5, 0.5, 0], [-0.5, 1, 0.5]]), ValueError, "row 1 .*-0.5"),
    "B058b": (np.array([[0.5, 0.5, 0], [np.nan, 1, 0.5]]), ValueError, "row 1"),
    "B058c": (np.array([[0.5, 0.5, 0], [np.inf, 1, 0.5]]), ValueError, "row 1"),
    "none": (None, TypeError, "t has|t must"),
    "text": (np.array(["a", "b"]), TypeError, "t has|t must"),
    "complex": (np.zeros(2, complex), TypeError, "t has|t must"),
    "a number": (1, ValueError, "t has"),
    "masked": (np.ma.array([0, 1], mask=[0, 1]), TypeError, "masked"),
}


@pytest.mark.parametrize("row", LABELS_OF_3)
def test_bad_labels_are_refused(row):
    t, error, message = LABELS_OF_3[row]
    layer = bd.SoftmaxWithLoss()
    with pytest.raises(error, match=message):
        layer.forward(np.zeros((2, 3)), t)
    assert layer.loss is None and layer.t is None


@pytest.mark.parametrize(
    ("x", "t"),
    [((4, 1), (4,)), ((4,), (4, 1)), ((4, 3), (4, 2)), ((4, 3), (3, 3)), ((2, 3, 2), (2, 2, 3)), ((4, 1), ())],
)
def test_targets_of_another_shape_are_refused(x, t):
    """B064: broadcasting (N, 1) against (N,) to (N, N) is the classic silent error."""
    with pytest.raises(ValueError, match=r"t has|samples"):
        bd.IdentityWithLoss().forward(np.zeros(x), np.zeros(t))


@pytest.mark.parametrize("scores", [np.zeros(3), np.zeros((2, 3, 1))], ids=["1-D", "3-D"])
def test_scores_must_be_rows(scores):
    with pytest.raises(ValueError, match="dimensions, expected 2"):
        bd.SoftmaxWithLoss().forward(scores, np.zeros(len(scores), int))


@pytest.mark.parametrize("layer", [an_affine(), bd.Relu(), bd.SoftmaxWithLoss(), bd.Residual([bd.Relu()])], ids=repr)
def test_backward_needs_a_forward_before_it(layer):
    with pytest.raises(RuntimeError, match="needs a forward"):
        copy.deepcopy(layer).backward(1.0)


def test_an_input_reshaped_between_forward_and_backward_is_an_error():
    layer, x = an_affine(), np.ones((2, 3))
    for change in (lambda: setattr(x, "shape", (3, 2)), lambda: x.resize((100, 100), refcheck=False)):
        layer.forward(np.ones((2, 3)))
        x.resize((2, 3), refcheck=False)
        layer.forward(x)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # newer NumPy deprecates setting a shape
            change()
        with pytest.raises(RuntimeError, match="changed its shape"):
            layer.backward(np.ones((2, 2)))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: bd.Affine(784, 50), TypeError, "units=50"),
        (lambda: bd.Affine(50), TypeError, "units=50"),
        (lambda: bd.Affine(), TypeError, "either arrays"),
        (lambda: bd.Affine(np.ones((2, 2))), TypeError, "either arrays"),
        (lambda: bd.Affine(np.ones((2, 2)), np.ones(2), units=2), TypeError, "either arrays"),
        (lambda: bd.Affine(np.ones(2), np.ones(2)), ValueError, "W has 1 dimension"),
        (lambda: bd.Affine(np.ones((0, 2)), np.ones(2)), ValueError, "at least 1"),
        (lambda: bd.Affine(np.ones((2, 0)), np.ones(0)), ValueError, "at least 1"),
        (lambda: bd.Affine(np.ones((2, 3)), np.ones((1, 3))), ValueError, r"expected \(3,\)"),
        (lambda: bd.Affine(units=0), ValueError, "units"),
        (lambda: bd.Affine(units=-1), ValueError, "units"),
        (lambda: bd.Affine(units=3.0), TypeError, "units"),
        (lambda: bd.Affine(units="3"), TypeError, "units"),
        (lambda: bd.Affine(units=True), TypeError, "units"),
        (lambda: bd.Affine(units=2**70), OverflowError, "units"),
        (lambda: bd.Affine(units=3, init="he-normal"), ValueError, "init"),
        (lambda: bd.Affine(units=3, init=-1.0), ValueError, "init"),
        (lambda: bd.Affine(units=3, init=float("nan")), ValueError, "init"),
        (lambda: bd.Affine(units=3, init=None), TypeError, "init"),
        (lambda: bd.SoftmaxWithLoss(eps=-1e-7), ValueError, "eps"),
        (lambda: bd.SoftmaxWithLoss(eps=2), ValueError, "eps"),
        (lambda: bd.SoftmaxWithLoss(eps=float("nan")), ValueError, "eps"),
        (lambda: bd.SoftmaxWithLoss(eps="1e-7"), TypeError, "eps"),
        (lambda: bd.SoftmaxWithLoss(eps=True), TypeError, "eps"),
        (lambda: bd.SoftmaxWithLoss(eps=None), TypeError, "eps"),
        (lambda: bd.Residual([]), ValueError, "at least one layer"),
        (lambda: bd.Residual([np.tanh]), TypeError, "badak layers"),
        (lambda: bd.Residual([bd.Relu]), TypeError, "badak layers"),
        (lambda: bd.Residual([bd.SoftmaxWithLoss()]), ValueError, "loss"),
    ],
)
def test_bad_options_are_refused_by_name(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_integers_of_numpy_are_integers():
    """B071"""
    assert bd.Affine(units=np.int32(3)).core.hyper == (3, "he")
    assert bd.Affine(units=np.array(3), init=0.01).core.hyper == (3, 0.01)


def test_a_layer_without_arrays_says_what_it_needs():
    layer = bd.Affine(units=3)
    assert layer.W is None and layer.b is None
    with pytest.raises(RuntimeError, match="inside a Net"):
        layer.forward(np.ones((1, 2)))


def test_a_branch_must_keep_the_shape():
    with pytest.raises(ValueError, match=r"branch .*2 features.* expected 3"):
        bd.Residual([an_affine()]).forward(np.ones((1, 3)))


# ---------------------------------------------------------------- pickle, copy, repr, references


@every_case
def test_pickle_and_deepcopy_give_an_equal_layer_of_its_own(case):
    layer, _, arguments, dout = case.make(np.float64)
    expected = run(layer, arguments, dout)
    for other in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
        assert type(other) is type(layer) and repr(other) == repr(layer)
        with pytest.raises(RuntimeError, match="needs a forward"):
            other.backward(dout)
        assert_same_bits(run(other, arguments, dout), expected)
        for name, array in layer.params.items():
            if isinstance(array, np.ndarray):
                assert not np.shares_memory(other.params[name], array)


def test_deepcopy_keeps_what_is_shared_shared():
    params = {"W1": np.ones((2, 2)), "b1": np.zeros(2)}
    layer = bd.Affine(params["W1"], params["b1"])
    twin_params, twin_layer = copy.deepcopy((params, layer))
    assert twin_layer.W is twin_params["W1"] and twin_layer.W is not layer.W


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (bd.Relu(), "Relu()"),
        (bd.Affine(np.ones((3, 2)), np.zeros(2)), "Affine(W(3, 2), b(2,))"),
        (bd.Affine(units=5), "Affine(units=5)"),
        (bd.Affine(units=5, init="xavier"), "Affine(units=5, init='xavier')"),
        (bd.SoftmaxWithLoss(), "SoftmaxWithLoss()"),
        (bd.SoftmaxWithLoss(eps=1e-7), "SoftmaxWithLoss(eps=1e-07)"),
        (bd.Residual([bd.Relu(), bd.Tanh()]), "Residual([Relu(), Tanh()])"),
    ],
)
def test_repr(layer, text):
    assert repr(layer) == text


def test_no_reference_is_lost_or_kept():
    W, b, x, dout = np.ones((3, 2)), np.zeros(2), np.ones((4, 3)), np.ones((4, 2))
    layer = bd.Affine(W, b)
    refused = [np.ones((4, 5)), "text", [[1, 2], [3]], Raising(), np.ma.array(x, mask=True)]
    objects = [W, b, x, dout, layer.core, *refused, np.dtype(np.float64), np.dtype(np.float32)]

    def use():
        layer.forward(x)
        layer.backward(dout)
        for bad in refused:
            for call in (layer.forward, layer.backward):
                try:
                    call(bad)
                except (ValueError, TypeError, KeyError):
                    continue
                pytest.fail(f"took {bad!r}")

    use()
    gc.collect()
    before = [sys.getrefcount(thing) for thing in objects]
    for _ in range(50):
        use()
    gc.collect()
    assert [sys.getrefcount(thing) for thing in objects] == before


def test_the_core_refuses_what_the_face_would_not_pass():
    layer = _core.Layer("Affine", (2, "he"))
    with pytest.raises(ValueError, match="no layer kind"):
        _core.Layer("Convolution3D", ())
    with pytest.raises(TypeError, match="hyper-parameters"):
        _core.Layer("Affine", ())
    with pytest.raises(TypeError, match="must be tuple"):
        _core.Layer("Residual", (), children=[layer])
    with pytest.raises(ValueError, match="takes no children"):
        _core.Layer("Relu", (), (layer,))
    with pytest.raises(TypeError, match="tuple of 2 parameters"):
        layer.forward((np.ones((1, 3)),), (), None, True, (), None)
    with pytest.raises(TypeError, match="tuple of 1 inputs"):
        layer.forward((), (np.ones((3, 2)), 0.0), None, True, (), None)
    _, saved = _core.Layer("Relu", ()).forward((np.ones((1, 3)),), (), None, True, (), None)
    with pytest.raises(RuntimeError, match="Relu had saved"):
        layer.backward(saved, np.ones((1, 2)), (np.ones((3, 2)), 0.0))
    _, saved = _core.Layer("Pooling", (2, 2, 2, 0, 0)).forward((np.ones((1, 1, 2, 2)),), (), None, True, (), None)
    with pytest.raises(RuntimeError, match="what a Pooling of other hyper-parameters had saved"):
        _core.Layer("Pooling", (2, 2, 2, 0, 1)).backward(saved, np.ones((1, 1, 1, 1)), ())
    with pytest.raises(TypeError, match="cannot create"):
        type(saved)()
