"""Run as a program in a process of its own: takes models through techniques, a cell at a time.

Standard input: a JSON object, names of cases to kinds of steps. Output: a JSON line for each cell.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# The models are too small for threads to share.
os.environ |= dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")

import numpy as np
import tensorflow as tf
import tf_keras

from converters.data.dataset import CALIBRATION, TEST, TRAIN, VALIDATION, Samples
from converters.draft.draft import Materials
from converters.errors import ConversionError
from converters.graph import build
from converters.judge.evaluate import answers_of_file, samples_of_file
from converters.progress import ignore
from converters.recipe.recipe import Recipe, check_pairing
from converters.sources.kinds import identify
from converters.sources.load import load_model
from converters.sources.loaded_model import LoadedModel
from converters.work.maker import Maker, RecipeResult
from converters.work.step_keys import StepKeys
from tests.converters.coverage_cases import CASES
from tests.converters.coverage_trials import CRASHED, TRIALS, Outcome, judged, refused

assert build.LAYERS  # imported: its functions are registered for loading


class Case:
    """A model as a user would give it, and random samples of which it knows all."""

    def __init__(self, name: str, folder: Path) -> None:
        self._path = folder / "model.keras"
        CASES[name]().save(str(self._path))
        self._source = load_model(identify(self._path))
        self._samples = samples_of(self._source)

    def outcome(self, kind: str) -> Outcome:
        """Take the model through one technique to a file, and hold the file against the model."""
        try:
            return self._tried(kind)
        except ConversionError as error:
            return refused(str(error).replace(f"{self._path}: ", ""))
        except Exception as error:  # whatever it is: a user would have seen a traceback
            return crashed(error)

    def _tried(self, kind: str) -> Outcome:
        trial, source, test = TRIALS[kind], self._source, self._samples[TEST]
        recipe = Recipe((trial.step,), "")
        check_pairing(recipe, source.path, source.kind)
        keys = StepKeys("", "", "", 0, "", {})
        materials = Materials(source, self._samples, 0, ignore)
        maker = Maker(materials, keys, None, self._path.with_suffix(".tflite"))
        made = maker.make(recipe)
        answers = answers_of_file(maker.model_file(), test, ignore)
        given = source.predict(test.batch(slice(None)))
        inputs = samples_of_file(maker.model_file(), test).batch(slice(None))
        written = given if made.keras is None else trained_of(made)(inputs, training=False)
        return judged(trial, error_of(answers, written), error_of(written, given))


def samples_of(source: LoadedModel) -> dict[str, Samples]:
    """Random inputs; the right answers are the model's own."""
    inputs = np.random.default_rng(1).normal(0, 1, (64, *source.inputs[0].shape)).astype(np.float32)
    every = Samples(inputs, source.predict(inputs).argmax(axis=1).astype(np.int64))
    # Ranges are measured on all: what lies outside of them would be cut off, by right.
    parts = {TRAIN: slice(0, 32), CALIBRATION: slice(None), VALIDATION: slice(32, 48)}
    return {use: every.subset(rows) for use, rows in {**parts, TEST: slice(48, 64)}.items()}


def trained_of(made: RecipeResult) -> Any:
    """The tf-keras model that training left."""
    assert made.keras is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trained.keras"
        path.write_bytes(made.keras)
        return tf_keras.models.load_model(str(path), compile=False)


def error_of(answers: Any, wanted: Any) -> float:
    """Root mean square of the differences, as a share of the standard deviation."""
    apart = np.sqrt(np.square(np.asarray(answers) - np.asarray(wanted)).mean())
    return float(apart / max(float(np.std(wanted)), 1e-6))


def crashed(error: Exception) -> Outcome:
    """What nobody foresaw: a bug."""
    return Outcome(CRASHED, f"{type(error).__name__}: {str(error).strip()}".splitlines()[0])


def outcomes_of(name: str, kinds: list[str]) -> Iterator[tuple[str, Outcome]]:
    """Of each kind of step what becomes of a case."""
    with tempfile.TemporaryDirectory(prefix="kedge-coverage-") as folder:
        try:
            case = Case(name, Path(folder))
        except ConversionError as error:
            said = refused(str(error).replace(f"{folder}/model.keras: ", ""))
            yield from ((kind, said) for kind in kinds)
        except Exception as error:
            yield from ((kind, crashed(error)) for kind in kinds)
        else:
            yield from ((kind, case.outcome(kind)) for kind in kinds)


def main() -> None:
    """Answer on what was stdout; what libraries print goes where errors go."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # Two batches an epoch: to make a graph of a training takes longer than to do it op by op.
    tf.config.run_functions_eagerly(True)
    wanted: dict[str, list[str]] = json.load(sys.stdin)
    for name, kinds in wanted.items():
        for kind, outcome in outcomes_of(name, kinds):
            pipe.write(json.dumps({"case": name, "step": kind, **asdict(outcome)}) + "\n")
            pipe.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
