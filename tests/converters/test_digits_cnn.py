from __future__ import annotations

from pathlib import Path

import numpy as np

from converters.evidence.conversion import Conversion


def test_the_demo_model_comes_with_real_held_out_images(digits: Path) -> None:
    assert {path.name for path in digits.iterdir()} == {"digits.keras", "digits.npz"}
    with np.load(digits / "digits.npz") as data:
        assert data["x_train"].shape == (1438, 8, 8, 1)
        assert data["x_test"].shape == (359, 8, 8, 1)
        assert (data["x_train"].min(), data["x_train"].max()) == (0, 16)
        train = {x.tobytes() for x in data["x_train"]}
        assert not train & {x.tobytes() for x in data["x_test"]}


def test_the_demo_model_is_a_good_one(digits_ptq: Conversion) -> None:
    assert digits_ptq.float_accuracy.fraction >= 0.97
