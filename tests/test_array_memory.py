"""How arrays lie in memory: images with their channels last between layers; large arrays in memory used before."""

import copy
import os
import threading
import warnings

import numpy as np
import pytest
from cases import CASES, DTYPES, gradients_of, same_bits

import badak as bd

try:
    from numpy._core.multiarray import get_handler_name
except ImportError:  # NumPy 1
    from numpy.core.multiarray import get_handler_name

LARGE = 1 << 20  # bytes


def channels_last(image):
    """The same numbers; in memory n, h, w, c."""
    return image.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)


def lies_so(array):
    return array.transpose(0, 2, 3, 1).flags.c_contiguous and not array.flags.c_contiguous


# ---------------------------------------------------------------- channels last


def test_layers_pass_images_on_with_their_channels_last():
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8))
    layers = [bd.Convolution(np.ones((4, 3, 3, 3)), np.zeros(4)), bd.Relu(), bd.Pooling(2, 2, 2), bd.Sigmoid()]
    outs = [x]
    for layer in layers:
        outs.append(layer.forward(outs[-1]))
        assert lies_so(outs[-1]) and outs[-1].flags.owndata and outs[-1].flags.writeable
    dx = np.ones(outs[-1].shape)
    for layer, given in zip(reversed(layers), reversed(outs[:-1]), strict=True):
        dx = layer.backward(dx)
        assert lies_so(dx) == lies_so(given)


IMAGES = [case for case in CASES if case.x(np.random.default_rng(0)).ndim == 4]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", IMAGES, ids=lambda case: case.name)
def test_the_order_in_memory_changes_no_bit(case, dtype):
    layer, _, (x, *rest), dout = case.make(dtype)
    expected = [layer.forward(x, *rest), layer.backward(dout), *gradients_of(layer).values()]
    orders = [np.ascontiguousarray, channels_last, np.asfortranarray]
    for order in orders:
        for order_of_dout in orders if np.ndim(dout) == 4 else [np.asarray]:
            other = case.make(dtype)[0]
            given, given_dout = order(x), order_of_dout(dout)
            found = [other.forward(given, *rest), other.backward(given_dout), *gradients_of(other).values()]
            assert all(same_bits(a, b) for a, b in zip(found, expected, strict=True))
            assert same_bits(given, x) and same_bits(given_dout, dout)


def test_an_image_of_other_numbers_is_converted():
    x = np.random.default_rng(0).integers(0, 9, (2, 3, 4, 4))
    expected = bd.Relu().forward(x.astype(float))
    for dtype in (np.int64, np.uint8, np.float16, ">f8", "<f4"):
        assert np.array_equal(bd.Relu().forward(channels_last(x).astype(dtype)), expected)
        assert np.array_equal(bd.Relu().forward(np.array(channels_last(x), dtype, order="K")), expected)


def test_a_strange_order_is_read_right():
    x = np.random.default_rng(0).standard_normal((4, 3, 5, 6))
    for view in (x[::-1], x[:, ::-1], x.transpose(0, 1, 3, 2), channels_last(x)[:, :, ::2], channels_last(x)[1:3, :2]):
        assert same_bits(bd.Relu().forward(view), bd.Relu().forward(view.copy()))
        assert same_bits(bd.Pooling(2, 2, 1).forward(view), bd.Pooling(2, 2, 1).forward(view.copy()))


def test_an_image_that_changed_its_type_between_the_passes_is_refused():
    x = channels_last(np.ones((2, 3, 4, 4)))
    layer = bd.LeakyRelu()
    layer.forward(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of NumPy 2.5
        x.dtype = np.int64
    with pytest.raises(RuntimeError, match="changed its shape or dtype"):
        layer.backward(np.ones((2, 3, 4, 4)))


def test_a_relu_remembers_what_it_gave_not_what_became_of_it():
    x = channels_last(np.random.default_rng(0).standard_normal((2, 3, 4, 4)))
    layer = bd.Relu()
    out, positive = layer.forward(x), x > 0
    out[...] = x[...] = -1
    assert np.array_equal(layer.backward(np.ones(x.shape)), positive)


# ---------------------------------------------------------------- blank rows of images


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_blank_row_meets_a_weight_that_is_not_finite(value, dtype):
    """Where all weights are finite it is passed over; 0 times these is not a number."""
    x, W = np.zeros((1, 1, 9, 9), dtype), np.ones((2, 1, 3, 3), dtype)
    x[0, 0, 4, 4] = 1
    out = bd.Convolution(W, np.zeros(2, dtype)).forward(x)
    assert np.array_equal(out[0, 0], np.pad(np.ones((3, 3)), 2))
    W[1, 0, 0, 0] = value
    out = bd.Convolution(W, np.zeros(2, dtype)).forward(x)
    assert np.array_equal(out[0, 0], np.pad(np.ones((3, 3)), 2))
    assert not np.any(np.isfinite(out[0, 1]))


# ---------------------------------------------------------------- memory used again


def large(count=LARGE, value=1.0):
    return np.full((1, count), value)


def test_the_next_large_array_lies_where_an_earlier_one_lay():
    relu, x = bd.Relu(), large()
    places = set()
    for _ in range(20):
        out = relu.forward(x)
        places.add(out.ctypes.data)
        assert get_handler_name(out) == "badak" and out.flags.owndata and out.ctypes.data % 64 == 0
        del out
    assert len(places) <= 4
    assert get_handler_name(bd.Relu().forward(np.ones((1, 100)))) != "badak"


def test_a_large_array_can_grow_shrink_be_copied_and_pickled():
    out = bd.Relu().forward(np.arange(float(LARGE))[None])
    assert get_handler_name(copy.deepcopy(out)) != "badak"
    out.resize((3, LARGE), refcheck=False)
    assert np.array_equal(out[0], np.arange(LARGE)) and not out[1:].any()
    out.resize((1, 10), refcheck=False)
    assert np.array_equal(out[0], np.arange(10))


def test_other_arrays_keep_numpys_memory():
    relu = bd.Relu()
    out = relu.forward(large())
    assert get_handler_name(out + 1) == get_handler_name(np.ones(3)) != "badak"
    with pytest.raises((MemoryError, ValueError)):
        relu.forward(np.lib.stride_tricks.as_strided(np.ones(1), (1 << 20, 1 << 20), (0, 0)))
    assert get_handler_name(np.ones(LARGE)) != "badak"


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
def test_what_waits_is_little():
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    x = large()
    kept = [bd.Relu().forward(x) for _ in range(4)]
    del kept
    before = resident()
    kept = [bd.Relu().forward(large(LARGE + 1000 * i)) for i in range(40)]
    assert resident() - before > 200 << 20
    del kept
    assert resident() - before < 100 << 20


def test_threads_never_share_a_large_array():
    wrong = []

    def work(number):
        relu = bd.Relu()
        for i in range(30):
            out = relu.forward(large(LARGE // 4 + 5000 * (i % 3), number))
            if not (np.all(out == number) and np.all(relu.backward(out) == number)):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
