"""Why an op in the graph of a SavedModel is refused, and what to do instead."""

from __future__ import annotations

import re

from converters.sources.text_inputs import numbers_hint

#: Ops that fill a lookup table from any file, which a SavedModel keeps in its `assets`.
_FILE_TABLES = "InitializeTableFromTextFile"
#: Ops of lookup tables, and on text, that TensorFlow and its text library bring.
_TEXT = re.compile(
    r"LookupTable|HashTable|Unicode|UTF8|String|Regex|WordPiece|Wordpiece|Sentence[Pp]iece|Tokeniz|Ngram|NGram|BertNorm"
    r"|CaseFold|Normalize[UW]|SplitMerge|SentenceFragment"
)
#: Ops that run a program which was compiled before.
_PROGRAMS = frozenset({"XlaCallModule", "XlaLaunch", "XlaLaunchV2", "TPUExecute", "JaxCall"})

#: Hint for an op that a model does not need for its answers.
WITHOUT = (
    "Save the model without it: leave it out of the function that you export, or do it before."
)
_KERAS_FILE = (
    "A Keras model that another backend exported is converted from the file of "
    "`model.save('model.keras')`, which kedge loads with TensorFlow. A model of JAX or PyTorch is "
    "converted as an .onnx or a .pt2."
)


def is_text_or_lookup(op: str) -> bool:
    """Whether an op of TensorFlow works on text or a lookup table."""
    return _TEXT.search(op) is not None


def explain_refusal(op: str, node: str, lookup_node: str) -> tuple[str, str]:
    """Say why an op is refused, and what to do.

    Args:
        op: Name of the op.
        node: Name of the node that has it; "" where it is not known.
        lookup_node: Name of a node that looks up in a table; "" where there is none.

    Returns:
        The words behind "its graph ", and the hint.
    """
    place = f" (node {node[:120]!r})" if node else ""
    if op.startswith(_FILE_TABLES):
        table = f" (node {lookup_node[:120]!r})" if lookup_node else ""
        return (
            f"has a lookup table{table} that reads its vocabulary from a file in `assets` "
            f"(op {op}); kedge lets no model read files",
            numbers_hint(),
        )
    if is_text_or_lookup(op):
        return (
            f"has the op {op}{place}, which works on text or a lookup table; runtimes on boards "
            "compute with numbers",
            numbers_hint(),
        )
    if op in _PROGRAMS:
        return (
            f"has the op {op}{place}, a program that was compiled for XLA; kedge cannot look into "
            "it, and the runtimes on boards have no such op",
            _KERAS_FILE,
        )
    return (
        f"has the op {op}{place}; kedge allows ops that compute, control flow and variables only, "
        "and lets no model read, write or start anything",
        WITHOUT,
    )
