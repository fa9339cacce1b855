"""Sentences of documentation, and the library that each is about.

The text is real: the docstrings of Python, numpy, scipy, scikit-learn and Keras, which lie on this
computer with kedge. The name of a library in its own sentences is left out.
"""

import ast
import re
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np

LIBRARIES = ("python", "numpy", "scipy", "sklearn", "keras")
#: Sentences of each library, one in five of them held out.
SENTENCES, HELD_OUT = 1_600, 5
#: Folders that are not read: tests, and other packages in the folder of Python.
LEFT_OUT = {"test", "tests", "site-packages", "dist-packages"}
#: Words of a sentence, and numbers that a word may get; 0 stands for no word.
LENGTH, VOCABULARY = 24, 4_096
_CACHE = Path(__file__).with_name("data.npz")


def load():
    """Return the sentences; they are read once and kept in data.npz.

    Returns:
        x_train and x_test: int32, (n, 24), word numbers 0-4095. y_train and y_test: int64, (n,).
    """
    if not _CACHE.exists():
        np.savez_compressed(_CACHE, **_read())
    with np.load(_CACHE) as arrays:
        return dict(arrays)


def _read():
    x, y = [], []
    for label, library in enumerate(LIBRARIES):
        sentences = sorted(set(_sentences(library)), key=lambda text: zlib.crc32(text.encode()))
        x += [word_numbers(sentence) for sentence in sentences[:SENTENCES]]
        y += [label] * len(sentences[:SENTENCES])
    x, y = np.asarray(x, np.int32), np.asarray(y, np.int64)
    is_test = np.arange(len(y)) % HELD_OUT == 0
    return {
        "x_train": x[~is_test],
        "y_train": y[~is_test],
        "x_test": x[is_test],
        "y_test": y[is_test],
    }


def word_numbers(sentence):
    """Return the numbers of the first words, (24,), by a hash, so that no list is needed."""
    words = re.findall(r"[a-z]+", sentence.lower())[:LENGTH]
    numbers = [zlib.crc32(word.encode()) % (VOCABULARY - 1) + 1 for word in words]
    return numbers + [0] * (LENGTH - len(numbers))


def _sentences(library):
    is_python = library == "python"
    folder = Path(ast.__file__ if is_python else find_spec(library).origin).parent
    for path in sorted(folder.rglob("*.py")):
        if LEFT_OUT.intersection(path.relative_to(folder).parts):
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                text = (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ")
                text = re.sub(library, "", text, flags=re.I)
                if len(text.split()) >= 5 and ">>>" not in text:
                    yield text
