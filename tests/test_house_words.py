"""The rules of words find what breaks them, and leave right English alone."""

import pytest

from tests.house_words import findings

WRONG = [
    'class A:\n    size: int\n    """Of the file, in bytes."""',
    'def read(path):\n    """Read it.\n\n    Args:\n        path: Where it lies.\n    """',
    'def read(path):\n    """Read it.\n\n    Returns:\n        What was read.\n    """',
    "#: That are tried.\nTRIALS = 3",
    'def read(seed):\n    """Read it.\n\n    Args:\n        seed: As there.\n    """',
    'def read(seed):\n    """Read it.\n\n    Args:\n        seed: The same.\n    """',
    'def mend():\n    """Mends the layers that are left."""',
    'def found():\n    """Return the problems."""',
    'def given_by():\n    """Return the names."""',
    'def read(found):\n    """Read it."""',
    'class Made:\n    """A file and its evidence."""',
    'class A:\n    """A.\n\n    Attributes:\n        b: Number of them.\n    """',
    'def mean(x: np.ndarray) -> float:\n    """Return the mean."""',
    'A = npt.NDArray[int]\ndef mean(x: A) -> float:\n    """Return the mean."""',
    'def f():\n    """Do it."""\n    try:\n        g()\n    except OSError:\n        raise E("no")',
]
RIGHT = [
    'class A:\n    size: int\n    """Size of the file, as it was written. What it weighs."""',
    'def f(a):\n    """Do it.\n\n    Args:\n        a: Path;\n            where it is.\n    """',
    'def hold():\n    """What is above the limit stays the same. That is as it should be."""',
    "#: Trials of each step,\n#: that is all.\nTRIALS = 3",
    'def read(cached: bool, seed, y_pred):\n    """Read it."""',
    'def is_made() -> bool:\n    """Whether it is made; one spreadsheet, two shops."""',
    'def known_hosts_line():\n    """Return a line."""',
    'def mean(x: np.ndarray) -> float:\n    """Return the mean of `x`, (n, height, width, 3)."""',
    'def read():\n    """Read it."""\n    try:\n        f()\n    except OSError:\n        raise',
    'def _found(told):\n    """Return them."""\n    raise E("no")',
]


@pytest.mark.parametrize("source", WRONG)
def test_what_breaks_a_rule_is_found(source: str) -> None:
    assert findings(source)


@pytest.mark.parametrize("source", RIGHT)
def test_right_english_is_left_alone(source: str) -> None:
    assert findings(source) == []
