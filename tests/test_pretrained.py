"""``bd.pretrained``: our own weights of the book's networks."""

import numpy as np
import pytest

import badak as bd
from badak import networks

ACCURACY = {"ch03": 0.97, "ch07": 0.985, "ch08": 0.9925}  # of all test images; docs/pretrained.md has the figures


def scores_of_chapter_3(network, x):
    """Chapter 3's own way from images to probabilities."""
    z1 = bd.sigmoid(np.dot(x, network["W1"]) + network["b1"])
    z2 = bd.sigmoid(np.dot(z1, network["W2"]) + network["b2"])
    return bd.softmax(np.dot(z2, network["W3"]) + network["b3"])


def arrays_of(chapter):
    network = bd.pretrained(chapter)
    return network if isinstance(network, dict) else network.params


def test_chapter_3_is_a_dict_like_the_books():
    _, (x, t) = bd.load_mnist()
    network = bd.pretrained("ch03")
    shapes = [array.shape for array in network.values()]
    assert list(network) == ["W1", "b1", "W2", "b2", "W3", "b3"]
    assert shapes == [(784, 50), (50,), (50, 100), (100,), (100, 10), (10,)]
    assert np.mean(scores_of_chapter_3(network, x).argmax(axis=1) == t) > ACCURACY["ch03"]


@pytest.mark.parametrize("chapter", [name for name in ACCURACY if name != "ch03"])
def test_chapters_7_and_8_are_the_books_networks(chapter, tmp_path):
    _, (x, t) = bd.load_mnist(flatten=False)
    network = bd.pretrained(chapter)
    kind = {"ch07": networks.SimpleConvNet, "ch08": networks.DeepConvNet}[chapter]
    assert type(network) is kind
    assert network.accuracy(x, t) > ACCURACY[chapter]
    network.save_params(tmp_path / "params.pkl")
    again = kind()
    again.load_params(tmp_path / "params.pkl")
    assert np.array_equal(again.predict(x[:5]), network.predict(x[:5]))


@pytest.mark.parametrize("chapter", ACCURACY)
def test_arrays_are_float32_and_new_in_each_call_and_nothing_is_drawn(chapter):
    np.random.seed(1)
    first = arrays_of(chapter)
    assert np.random.rand() == np.random.RandomState(1).rand()
    for name, array in arrays_of(chapter).items():
        assert array.dtype == np.float32 and array.flags.writeable
        assert np.array_equal(array, first[name]) and not np.shares_memory(array, first[name])


@pytest.mark.parametrize(("bad", "error"), [("ch04", ValueError), ("../ch03", ValueError), (3, TypeError)])
def test_other_chapters_are_refused(bad, error):
    with pytest.raises(error, match="ch03"):
        bd.pretrained(bad)
