"""Layers of a file: their errors against the float file, and what a board makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.formats import read_model_file
from converters.model_file import ModelFile
from converters.recipe.step_kinds import STEP_KINDS
from targets.progress import OnProgress
from toolkit.judge.layer_fix import suggest_fixes
from toolkit.judge.layer_parity import first_wrong
from toolkit.measure.labelled_data import conversion_beside
from toolkit.measure.layer_differences import compare_with_board
from toolkit.measure.layer_errors import compare_with_float
from toolkit.project import find_target
from toolkit.report.layer_errors import (
    describe_board_layers,
    describe_layer_comparison,
    plain_board_layers,
    plain_layer_comparison,
)
from toolkit.report.tables import Block, Note


@dataclass(frozen=True)
class LayerAnswer:
    """Answer about the layers of a file."""

    is_right: bool
    """Whether the board computes every layer as this host does; True where none was named."""
    plain: dict[str, Any]
    """The answer for a program."""
    blocks: list[Block]
    """The answer for a person."""


def inspect_layers(
    model: ModelFile,
    reference: Path | None,
    name: str | None,
    data: Path | None,
    on_progress: OnProgress,
) -> LayerAnswer:
    """Compare the layers of a file with the float file, with a board, or with both.

    Args:
        model: File.
        reference: Float file of the same network, or None.
        name: Name of a target in kedge.toml, or None.
        data: Data set, of which test samples are taken; None for the golden inputs beside `model`.
        on_progress: Called as the work goes on.

    Raises:
        ToolkitError: There is no such target.
        ConversionError: A file or the data does not fit, or this host cannot run a file.
        TargetError: The board cannot be reached, or loads no runtime.
        AgentError: The board cannot load or run the file.
    """
    plain: dict[str, Any] = {}
    blocks: list[Block] = []
    is_right = True
    target = None if name is None else find_target(name)
    if reference is not None:
        comparison = compare_with_float(model, read_model_file(reference), data, on_progress)
        fixes = suggest_fixes(comparison.errors, _quantizing_step(model))
        plain["layer_errors"] = plain_layer_comparison(comparison, fixes)
        blocks += describe_layer_comparison(comparison, fixes)
        trained = _training_step(model)
        if trained:
            plain["layer_errors"]["trained_by"] = trained
            blocks.append(
                Note(
                    f"the file was trained ({trained}): the errors contain what training changed; "
                    "give the float file of the trained model (--format tflite,keras writes it as "
                    "model.keras)"
                )
            )
    if target is not None:
        layers = compare_with_board(model, target, data, on_progress)
        plain["board_layers"] = plain_board_layers(layers)
        blocks += describe_board_layers(layers)
        is_right = first_wrong(layers.differences) is None
    return LayerAnswer(is_right, plain, blocks)


def _steps(model: ModelFile) -> tuple[Mapping[str, Any], ...]:
    """Return the steps of the recipe that made a file; none where they are not known."""
    conversion = conversion_beside(model)
    return () if conversion is None else conversion.recipe_steps


def _quantizing_step(model: ModelFile) -> Mapping[str, Any]:
    steps = _steps(model)
    return steps[-1] if steps else {}


def _training_step(model: ModelFile) -> str:
    """Return the kind of the first step that trains, such as "qat_w8a8"; "" where none does."""
    kinds = [str(step.get("kind")) for step in _steps(model)]
    return next((kind for kind in kinds if kind in STEP_KINDS and STEP_KINDS[kind].trains), "")
