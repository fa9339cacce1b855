"""Decides what becomes of a model's state before each sample, on the board and on this host."""

from __future__ import annotations

from converters.errors import ConversionError
from converters.evidence.model_toml import ModelTomlError, card_beside
from converters.model_file import ModelFile
from device_agent.contract.model_card import ModelCard
from device_agent.contract.state import KEEP

#: States of a model: it has none, each sample begins with a fresh one, or it is kept in a stream.
NO_STATE, FRESH, STREAM = "none", "fresh", "stream"

#: Longest stream: one process on a board runs all of it, and one request names every step.
MOST_STEPS = 4_000
MOST_STREAM_BYTES = 32 << 20


def reset_before_samples(model: ModelFile, card: ModelCard) -> str:
    """Return the way of `device_agent.contract.state.WAYS` to handle the state before a sample."""
    return KEEP if card.streaming else model.reset


def state_of(model: ModelFile, card: ModelCard) -> str:
    """Return what becomes of a model's state: `NO_STATE`, `FRESH` or `STREAM`."""
    if model.reset == KEEP:
        return NO_STATE
    return STREAM if card.streaming else FRESH


def card_of_comparison(model: ModelFile) -> ModelCard:
    """Return the card beside a file, for a comparison of outputs.

    A `model.toml` that is wrong, or about another file, does not matter: then samples are
    independent on both sides.
    """
    try:
        return card_beside(model) or ModelCard()
    except ModelTomlError:
        return ModelCard()


def long_stream_error(model: ModelFile) -> ConversionError:
    """Return the error about a stream that one process on a board cannot run."""
    return ConversionError(
        f"{model.path}: is a streaming model (model.toml), and its samples are more than "
        f"{MOST_STEPS} steps or {MOST_STREAM_BYTES >> 20} MiB: kedge runs one stream in one go",
        "Give fewer samples. If they are independent, remove `streaming = true` from model.toml.",
    )
