"""Digests of all that decides the result of a step: with an equal one it is not done again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from converters.data.dataset import VALIDATION, Selection
from converters.digest import sha256_of
from converters.recipe.recipe import Recipe
from converters.recipe.step import SHAPE, Step
from converters.versions import installed_versions

#: Suffixes of the files of this package that decide a conversion.
_SOURCES = (".py", ".toml")


@dataclass(frozen=True)
class StepKeys:
    """Inputs that all steps of a conversion have in common."""

    model_sha256: str
    """Digest of the model that was given."""
    data_sha256: str
    """Digest of the data."""
    image_range: str
    """`image_range` of `converters.request.ConversionRequest`."""
    seed: int
    """Seed of every random choice."""
    measured_on: str
    """Place where latency is measured, in words."""
    rows: Mapping[str, str]
    """Use of samples to the digest of their rows."""
    task: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the recipe about the task, and the digests of the user's own code."""

    def of(self, recipe: Recipe) -> tuple[str, ...]:
        """Return a digest for the result of each step, in order; each includes those before it."""
        keys = [self._of_inputs()]
        for step in recipe.steps:
            keys.append(_digest([keys[-1], self._plain(step)]))
        return tuple(keys[1:])

    def of_file(self, recipe: Recipe) -> str:
        """Return the digest for the .tflite after all steps, also where there are none."""
        return _digest([self._of_inputs(), *self.of(recipe), "file"])

    def _of_inputs(self) -> str:
        return _digest(
            [
                self.model_sha256,
                self.data_sha256,
                self.image_range,
                self.seed,
                self.task,
                installed_versions(),
                package_digest(),
            ]
        )

    def _plain(self, step: Step) -> list[Any]:
        uses = sorted({*step.needs, VALIDATION} & set(self.rows))
        measured_on = self.measured_on if step.phase == SHAPE else ""
        teachers = [sha256_of(Path(path)) for path in getattr(step, "teachers", ())]
        rows = {use: self.rows[use] for use in uses}
        return [step.kind, asdict(step), rows, measured_on, teachers]


def row_digests(selections: Mapping[str, Selection]) -> dict[str, str]:
    """Return use of samples to the digest of their rows."""
    return {
        use: hashlib.sha256(selection.split.encode() + selection.rows.tobytes()).hexdigest()
        for use, selection in selections.items()
    }


@cache
def package_digest() -> str:
    """Return the digest of everything in this package that decides a conversion."""
    folder = Path(__file__).parents[1]
    sources = sorted(path for path in folder.rglob("*") if path.suffix in _SOURCES)
    return _digest([[path.relative_to(folder).as_posix(), sha256_of(path)] for path in sources])


def _digest(plain: Any) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
