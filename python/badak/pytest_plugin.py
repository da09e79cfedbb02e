"""A fixture for pytest: ``gradcheck``, which asserts that all is well and shows the report where it is not."""

import pytest


@pytest.fixture
def gradcheck():
    """``badak.gradcheck`` that raises GradientError, an AssertionError with the report as its text, unless ok.

    Examples
    --------
    >>> def test_my_layer(gradcheck):
    ...     gradcheck(MyLayer(), np.ones((2, 3)))
    """
    from ._gradcheck import gradcheck

    def check(*args, **options):
        __tracebackhide__ = True
        report = gradcheck(*args, **{"raise_error": False} | options)
        report.raise_if_failed()
        return report

    return check
