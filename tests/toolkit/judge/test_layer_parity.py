"""How the values of a layer on a board differ from those of the host."""

import numpy as np
import pytest

from converters.tensor_spec import TensorSpec
from toolkit.judge.layer_parity import SUSPECT_DB, DifferenceSums

FLOATS = TensorSpec(name="mask", dtype="float32", shape=(1, 4), scale=None, zero_point=None)


@pytest.mark.parametrize("odd", [-np.inf, np.inf, np.nan])
def test_an_infinity_or_nan_on_both_sides_is_no_difference(odd: float) -> None:
    host = np.array([[1.0, odd, 3.0, -2.0]], np.float32)
    equal, apart, missing = (DifferenceSums(FLOATS) for _ in range(3))
    equal.add(host.copy(), host)
    assert equal.sqnr_db > SUSPECT_DB
    apart.add(host + np.float32([0, 0, 3, 0]), host)
    assert apart.sqnr_db < SUSPECT_DB
    missing.add(np.array([[1.0, 0.0, 3.0, -2.0]], np.float32), host)
    assert missing.sqnr_db < SUSPECT_DB
