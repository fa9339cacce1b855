"""Takes a model through the steps of a recipe to a file; finished steps are not done again."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters import durable
from converters.cache import Cache, CacheEntry
from converters.data.dataset import TRAIN, VALIDATION
from converters.data.fields import from_keras_outputs, to_keras_inputs
from converters.draft.draft import Draft, Materials, Technique
from converters.draft.emit import emit
from converters.draft.stored import draft_of, draft_parts, keras_bytes
from converters.errors import ConversionError, LayerOutsideGraphError
from converters.evidence.conversion import StepRecord
from converters.judge.evaluate import ModelAnswers, answers_of_file, answers_of_source
from converters.judge.paired import Drop
from converters.model_file import ModelFile
from converters.progress import Progress, ignore
from converters.recipe.recipe import Recipe
from converters.recipe.step import NUMBERS, Step
from converters.sources.kinds import identify
from converters.tflite.reader import read_model
from converters.work.alternatives import hint_without_training, trial_materials
from converters.work.format_trial import try_onnx
from converters.work.step_keys import StepKeys

_FILE, _RECORDS, _KERAS = "model.tflite", "records.json", "model.keras"
_JUDGE_BATCH = 250
#: Kinds of steps that refuse nothing, and take long: they leave in floats what they cannot round.
_NEVER_TRIED = ("mixed_w8a8",)


@dataclass(frozen=True)
class RecipeResult:
    """The result of a recipe."""

    recipe: Recipe
    """The recipe."""
    content: bytes
    """Content of the .tflite."""
    records: tuple[StepRecord, ...]
    """One record for each step."""
    warnings: tuple[str, ...]
    """Warnings for the user; one sentence each."""
    keras: bytes | None
    """The trained model as the content of a .keras file, rounded nowhere inside; None where nothing
    was trained."""


class Maker:
    """One model and its data, ready to be taken through recipes."""

    def __init__(
        self,
        materials: Materials,
        keys: StepKeys,
        cache: Cache | None,
        path: Path,
        writes_onnx: bool = False,
    ) -> None:
        """Begin.

        Args:
            materials: Materials of every step; its `logs` is the folder of all steps.
            keys: Digests of all that decides each step.
            cache: Cache of finished steps, or None to keep none.
            path: Path of the .tflite, which is written again with each recipe.
            writes_onnx: Whether the .tflite is written as .onnx afterwards.
        """
        self._materials, self._keys, self._cache = materials, keys, cache
        self._path = path
        self._writes_onnx = writes_onnx
        self._unkept = ""

    def make(self, recipe: Recipe) -> RecipeResult:
        """Take the model through a recipe, and write the file.

        Args:
            recipe: The steps; those that are in the cache are not done again.

        Raises:
            HostDiskError: The disk is full or read-only.
            ConversionError: The model or the data does not fit.
        """
        keys = self._keys.of(recipe)
        file_key = self._keys.of_file(recipe)
        result = self._earlier_result(recipe, file_key)
        if result is None:
            result = self._do_steps(recipe, keys)
            self._keep(file_key, lambda: _file_parts(result))
        self.put(result)
        unkept = (self._unkept,) if self._unkept else ()
        return replace(result, warnings=result.warnings + unkept)

    def put(self, result: RecipeResult) -> None:
        """Write the file of an earlier result again.

        Raises:
            HostDiskError: The disk is full or read-only.
        """
        durable.write(self._path, result.content)

    def drop_of_file(self) -> Drop:
        """Return the accuracy that the latest file loses on the validation samples.

        Raises:
            ConversionError: The runtime cannot run the file.
        """
        samples = self._materials.samples[VALIDATION]
        answers = answers_of_file(read_model(self._path), samples, self._materials.report)
        return self._drop_to(answers)

    def model_file(self) -> ModelFile:
        """Return the latest file."""
        return read_model(self._path)

    def _earlier_result(self, recipe: Recipe, key: str) -> RecipeResult | None:
        if self._cache is None:
            return None
        result = self._cache.read(key, lambda parts: self._result_of(parts, recipe))
        for step in recipe.steps if result is not None else ():
            self._report_cached(step.kind)
        return result

    def _result_of(self, parts: Mapping[str, bytes], recipe: Recipe) -> RecipeResult:
        """Return the result that `_file_parts` took apart; its files are checked like a user's."""
        plain = json.loads(parts[_RECORDS])
        records = tuple(replace(_step_record(r), cached=True) for r in plain["records"])
        self._path.write_bytes(parts[_FILE])
        read_model(self._path)
        if _KERAS in parts:
            keras = self._path.with_name(_KERAS)
            keras.write_bytes(parts[_KERAS])
            identify(keras)
            keras.unlink()
        warnings = tuple(map(str, plain["warnings"]))
        return RecipeResult(recipe, parts[_FILE], records, warnings, parts.get(_KERAS))

    def _do_steps(self, recipe: Recipe, keys: tuple[str, ...]) -> RecipeResult:
        start, draft, records = self._latest(recipe, keys)
        if start == 0:
            self._try_numbers(recipe, draft)
            if self._writes_onnx and _trains(recipe):
                try_onnx(recipe, draft, self._materials)
        for number in range(start, len(recipe.steps)):
            step, key = recipe.steps[number], keys[number]
            draft, record = self._do_step(draft, step, number, key)
            records.append(record)
            if self._is_kept(step):
                self._keep_step(key, draft, record)
            elif self._cache:
                self._cache.remove(_epochs_key(key))
        draft = draft.for_file()
        emit(draft, self._path, self._materials.report)
        trained_model = draft.keras_model if _trains(recipe) else None
        return RecipeResult(
            recipe,
            self._path.read_bytes(),
            tuple(records),
            draft.warnings,
            None if trained_model is None else keras_bytes(trained_model),
        )

    def make_draft(self, step: Step) -> tuple[Draft, float | None]:
        """Take the original model through one step that trains, such as to make a teacher of it.

        Args:
            step: The step; what is in the cache is not done again.

        Returns:
            The draft, and the accuracy that it lost on the validation samples.

        Raises:
            ConversionError: The model or the data does not fit.
        """
        report = self._materials.report
        of_teacher = Maker(
            replace(
                self._materials,
                report=lambda progress: report(
                    replace(progress, stage=f"teacher: {progress.stage}")
                ),
                logs=None,
            ),
            self._keys,
            self._cache,
            self._path,
        )
        return of_teacher._draft_after(Recipe((step,), ""))

    def _draft_after(self, recipe: Recipe) -> tuple[Draft, float | None]:
        (step,), (key,) = recipe.steps, self._keys.of(recipe)
        number, draft, records = self._latest(recipe, (key,))
        if number == 0:
            draft, record = self._do_step(draft, step, 0, key)
            self._keep_step(key, draft, record)
            records = [record]
        return draft, records[0].validation_drop

    def _keep_step(self, key: str, draft: Draft, record: StepRecord) -> None:
        """Keep the result of a step, and forget its epochs."""
        self._keep(key, lambda: _step_parts(draft, record))
        if self._cache:
            self._cache.remove(_epochs_key(key))

    def _latest(self, recipe: Recipe, keys: tuple[str, ...]) -> tuple[int, Draft, list[StepRecord]]:
        """Return the step to go on with, the draft that it takes, and the records before it."""
        for number in reversed(range(len(recipe.steps))):
            if not (self._cache and self._is_kept(recipe.steps[number])):
                continue
            earlier = self._records_before(recipe, keys[: number + 1])
            draft = self._cache.read(keys[number], lambda p: draft_of(p, self._materials))
            if draft is None or earlier is None:
                continue
            for step in recipe.steps[: number + 1]:
                self._report_cached(step.kind)
            return number + 1, draft, earlier
        return 0, self._first_draft(recipe), []

    def _records_before(self, recipe: Recipe, keys: tuple[str, ...]) -> list[StepRecord] | None:
        records = []
        for step, key in zip(recipe.steps, keys, strict=False):
            is_kept = self._is_kept(step)
            record = self._cache.read(key, _record_of) if self._cache and is_kept else None
            if record is None:
                return None
            records.append(replace(record, cached=True))
        return records

    def _first_draft(self, recipe: Recipe) -> Draft:
        """Return the original model, as a graph if a step trains it or nothing else is there."""
        materials, source = self._materials, self._materials.source
        if not _trains(recipe):
            is_graph = source.content is None and source.function is None
            return Draft(source, source.graph if is_graph else None, content=source.content)
        from converters.training.trainable import trainable_graph

        materials.report(Progress("prepare for training", 0, 0))
        try:
            graph = source.graph
        except LayerOutsideGraphError as error:
            raise ConversionError(str(error), hint_without_training(materials)) from error
        return Draft(source, trainable_graph(graph, materials.samples[TRAIN], materials))

    def _try_numbers(self, recipe: Recipe, draft: Draft) -> None:
        """Refuse, before anything is trained, a model that the last step cannot quantize.

        Raises:
            ConversionError: The last step refuses the untrained model.
        """
        *before, last = recipe.steps or (None,)
        trains = any(step.trains for step in before if step is not None)
        if last is None or last.phase != NUMBERS or not trains or last.kind in _NEVER_TRIED:
            return
        report = self._materials.report
        report(Progress("try the conversion", 0, 0))
        materials = trial_materials(self._materials)
        if last.trial:
            technique_at(last.trial)(draft, last, materials)
            return
        with tempfile.TemporaryDirectory(prefix="kedge-trial-") as folder:
            emit(technique_of(last)(draft, last, materials), Path(folder) / _FILE, ignore)

    def _do_step(self, draft: Draft, step: Step, number: int, key: str) -> tuple[Draft, StepRecord]:
        checkpoint = CacheEntry(self._cache, _epochs_key(key)) if self._cache else None
        logs = self._materials.logs
        materials = replace(
            self._materials,
            checkpoint=checkpoint,
            logs=None if logs is None else logs / f"{number + 1}_{step.label}",
            make_draft=self.make_draft,
        )
        started = time.monotonic()
        if step.phase == NUMBERS and not step.trains:
            draft, materials = draft.for_file(), materials.for_file(draft.samples_shape)
        after = technique_of(step)(replace(draft, found={}), step, materials)
        seconds = round(time.monotonic() - started, 3)
        drop = None
        if self._is_kept(step) and VALIDATION in materials.samples:
            drop = self._drop_of_draft(after).fraction
        return after, StepRecord(step.kind, seconds, after.found, validation_drop=drop)

    def _drop_of_draft(self, draft: Draft) -> Drop:
        samples = self._materials.samples[VALIDATION]
        model = draft.keras_model
        assert model is not None
        answers = [
            from_keras_outputs(model.predict_on_batch(to_keras_inputs(batch)), samples.task.names)
            for batch, _ in samples.batches(_JUDGE_BATCH)
        ]
        return self._drop_to(np.concatenate(answers))

    def _drop_to(self, answers: npt.NDArray[Any]) -> Drop:
        return self._source_answers.drop_to(
            replace(self._source_answers, answers=answers), VALIDATION
        )

    @cached_property
    def _source_answers(self) -> ModelAnswers:
        source, samples = self._materials.source, self._materials.samples[VALIDATION]
        answers = answers_of_source(source, samples, self._materials.report)
        return ModelAnswers(samples, answers, source.probabilities)

    def _is_kept(self, step: Step) -> bool:
        """Say whether to keep its draft. All other steps take no time, or nothing follows them."""
        return step.trains and step.phase != NUMBERS

    def _keep(self, key: str, parts: Callable[[], dict[str, bytes]]) -> None:
        """Put parts into the cache. On a full disk the conversion goes on without it."""
        if self._cache is None or self._unkept:
            return
        try:
            self._cache.put(key, parts())
        except ConversionError as error:
            self._unkept = f"finished steps are not kept: {error}; {error.hint}"

    def _report_cached(self, kind: str) -> None:
        self._materials.report(Progress(f"{kind} is cached", 1, 1))


def technique_of(step: Step) -> Technique:
    """Import the function that does a step."""
    return technique_at(step.function)


def technique_at(place: str) -> Technique:
    """Import a technique that is given as "module:name"."""
    module, _, name = place.partition(":")
    technique: Technique = getattr(import_module(module), name)
    return technique


def _trains(recipe: Recipe) -> bool:
    return any(step.trains for step in recipe.steps)


def _epochs_key(key: str) -> str:
    """Return the key of the epochs of a step, beside the key of its result."""
    return key + "-epochs"


def _step_parts(draft: Draft, record: StepRecord) -> dict[str, bytes]:
    return {**draft_parts(draft), _RECORDS: json.dumps(asdict(record)).encode()}


def _record_of(parts: Mapping[str, bytes]) -> StepRecord:
    return _step_record(json.loads(parts[_RECORDS]))


def _step_record(plain: Mapping[str, Any]) -> StepRecord:
    record = StepRecord(**plain)
    drop = record.validation_drop
    return replace(
        record,
        kind=str(record.kind),
        seconds=float(record.seconds),
        found=dict(record.found),
        validation_drop=None if drop is None else float(drop),
    )


def _file_parts(result: RecipeResult) -> dict[str, bytes]:
    plain = {"records": [asdict(r) for r in result.records], "warnings": result.warnings}
    keras = {} if result.keras is None else {_KERAS: result.keras}
    return {_FILE: result.content, _RECORDS: json.dumps(plain).encode(), **keras}
