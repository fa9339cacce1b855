"""Reads the fields of a conversion.json that are tables of their own. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from converters.evidence.other_file import OtherFile
from converters.judge.budget import Attempt, Budget
from converters.judge.metric import MetricFigures, MetricScore
from converters.judge.paired import Drop
from converters.judge.score import Accuracy
from converters.model_file import Cost
from converters.tensor_spec import TensorSpec


def read_spec(plain: dict[str, Any]) -> TensorSpec:
    """Read a tensor of the file."""
    return TensorSpec(**{**plain, "shape": tuple(plain["shape"])})


def read_accuracy(plain: dict[str, Any] | None) -> Accuracy | None:
    """Read an accuracy; `None` where there is none."""
    return None if plain is None else Accuracy(**plain)


def read_other_file(plain: dict[str, Any]) -> OtherFile:
    """Read what is known about the file of another format."""
    fields = {
        "name": Path(plain["name"]).name,
        "accuracy": read_accuracy(plain["accuracy"]),
        "metric": read_metric(plain["metric"]),
        "drops": tuple(read_interval_of(Drop, drop) for drop in plain["drops"]),
    }
    return OtherFile(**{**plain, **fields})


def read_metric(plain: dict[str, Any] | None) -> MetricFigures | None:
    """Read the figures of a task that is no classification; `None` where there are none."""
    return None if plain is None else read_figures(plain)


def read_figures(plain: dict[str, Any]) -> MetricFigures:
    """Read the figures of one output."""
    scores = tuple(read_interval_of(MetricScore, score) for score in plain["scores"])
    return MetricFigures(**{**plain, "scores": scores})


def read_interval_of(kind: Any, plain: dict[str, Any]) -> Any:
    """Read a class whose field `interval` is a pair."""
    return kind(**{**plain, "interval": tuple(plain["interval"])})


def read_cost(plain: dict[str, Any] | None) -> Cost | None:
    """Read the cost of a file; `None` where it was not counted."""
    return None if plain is None else Cost(**{**plain, "uncounted": tuple(plain["uncounted"])})


def read_budget(plain: dict[str, Any] | None) -> Budget | None:
    """Read a budget; `None` where none was set."""
    return None if plain is None else Budget(**{**plain, "reasons": tuple(plain["reasons"])})


def read_attempt(plain: dict[str, Any]) -> Attempt:
    """Read an attempt to keep a budget."""
    drop = plain["drop"] and read_interval_of(Drop, plain["drop"])
    lists = {name: tuple(plain[name]) for name in ("steps", "drops")}
    return Attempt(**{**plain, **lists, "drop": drop})
