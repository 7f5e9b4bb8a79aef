"""The learning curve as a picture."""

import sys

import pytest

from mathrl.errors import MissingExtraError
from mathrl.evals.curves import Curve, CurvePoint, learning_curve_png

CURVES = (
    Curve(
        label="held-out",
        points=(CurvePoint(step=0, rate=0.3, low=0.2, high=0.4), CurvePoint(step=5, rate=0.6)),
    ),
)


def test_the_curve_is_a_png_of_the_size_that_it_says() -> None:
    png = learning_curve_png(CURVES)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert [int.from_bytes(png[i : i + 4], "big") for i in (16, 20)] == [1600, 800]
    assert learning_curve_png(CURVES) == png


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mathrl\[eval\]'"):
        learning_curve_png(CURVES)
