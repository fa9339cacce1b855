"""Judges finished files on the test samples; runs in the child process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from converters.data.dataset import TEST, Selection
from converters.evidence.conversion import MODEL_NAME
from converters.formats import FORMATS
from converters.judge.evaluate import answers_of_source, judge_file
from converters.judge.own_answers import with_own_answers
from converters.progress import Report
from converters.recipe.recipe import load_recipe
from converters.request import ConversionRequest
from converters.work.pipeline import open_data, open_model


def judge_folders(
    request: ConversionRequest, folders: Sequence[str], report: Report
) -> list[dict[str, Any]]:
    """Judge the .tflite of each folder on all test samples.

    Args:
        request: Model, data and recipe of one of the conversions, with absolute paths.
        folders: Folders of the conversions.
        report: Called now and then.

    Returns:
        Scores and drops of each folder as plain data.

    Raises:
        ConversionError: The model or the data does not fit any more.
    """
    recipe = load_recipe(request.recipe)
    source = open_model(request, recipe.wish, report)
    dataset = open_data(request, recipe, source, report)
    every = Selection(TEST, np.arange(len(dataset.labels[TEST])))
    read = dataset.read({TEST: every}, report)
    samples = with_own_answers(source, source.form(recipe.wish), dataset, read, report)
    original = {TEST: answers_of_source(source, samples[TEST], report)}
    judgements = []
    for folder in folders:
        model = FORMATS["tflite"].read(Path(folder) / MODEL_NAME)
        judgement = judge_file(source, model, samples, report, original)
        judgements.append(
            {
                "scores": [asdict(score) for score in judgement.scores],
                "drops": [asdict(drop) for drop in judgement.drops],
            }
        )
    return judgements
