"""The book's figures on badak: cheap experiments of benchmarks/book_figures.py, and those of a minute as slow ones."""

import importlib.util
import pathlib

import numpy as np
import pytest

SCRIPT = pathlib.Path(__file__).parents[1] / "benchmarks" / "book_figures.py"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="the benchmarks are in a checkout only")


def rows(experiment):
    spec = importlib.util.spec_from_file_location("book_figures", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    np.random.seed(0)
    return {figure: (np.array(book), np.array(measured)) for figure, book, measured in getattr(script, experiment)()}


def test_buying_apples_and_oranges():
    for figure, (book, measured) in rows("buy_apple").items():
        np.testing.assert_allclose(measured, book, rtol=1e-14, err_msg=figure)


@pytest.mark.slow
def test_gradient_check():
    """Of the weights before a ReLU the book's own figure is mostly a kink, which this seed has not."""
    for figure, (book, measured) in rows("gradient_check").items():
        assert measured < 2 * book, figure
    assert figure.startswith("gradient check, b2") and measured > book / 2


@pytest.mark.long
def test_weight_decay():
    ((book, measured),) = rows("weight_decay").values()
    np.testing.assert_allclose(measured, book, atol=0.04)


@pytest.mark.long
@pytest.mark.parametrize("experiment", ["optimizers", "initial_values"])
def test_losses_of_chapter_6(experiment):
    for figure, (book, measured) in rows(experiment).items():
        within = 0.005 if book > 2 else max(0.25 * book, 0.03)  # the last 5 of noisy losses
        assert abs(measured - book) < within, (figure, measured)


@pytest.mark.long
def test_two_layer_nets():
    for figure, (book, measured) in rows("two_layers").items():
        np.testing.assert_allclose(measured, book, atol=0.006, err_msg=figure)
