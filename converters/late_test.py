"""Judges finished conversions on the test samples, which nothing was chosen by."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from converters.child import Child, Order
from converters.data.dataset import TEST
from converters.evidence.conversion import Conversion, read_conversion, write_conversion
from converters.judge.paired import Drop
from converters.judge.score import FILE, ORIGINAL, Accuracy, Score
from converters.process import sandbox_of
from converters.progress import Report, ignore
from converters.recipe.recipe import load_recipe
from converters.request import ConversionRequest
from converters.work.reuse import digest_inputs, request_digest


def judge_on_test(requests: Sequence[ConversionRequest], on_progress: Report = ignore) -> None:
    """Judge finished conversions of one classifier on the test samples, each once.

    The figures are added to conversion.json. A conversion that has them is left as it is.

    Args:
        requests: Requests of the conversions, with absolute paths; of one model and one data set.
        on_progress: Called with each report of the child, in this thread.

    Raises:
        HostDiskError: This computer's disk is full or read-only.
        ConversionError: The model, the data or a file does not fit any more.
        IntegrityError: A file is not that of its conversion.json.
        ConversionBugError: A bug in kedge.
    """
    conversions = [(request, read_conversion(request.out)) for request in requests]
    pending = [(request, each) for request, each in conversions if not is_judged_on_test(each)]
    if not pending:
        return
    first = pending[0][0]
    folders = tuple(str(request.out) for request, _ in pending)
    with tempfile.TemporaryDirectory(prefix="kedge-") as name:
        work = Path(name)
        sandbox = sandbox_of(replace(first, cache=None, logs=None), load_recipe(first.recipe), work)
        with contextlib.closing(Child(work, sandbox)) as child:
            answer = child.do(Order("judge", first, work, folders=folders), on_progress, None)
    inputs = digest_inputs(first)
    for (request, conversion), plain in zip(pending, answer["judgements"], strict=True):
        digest = request_digest(request, load_recipe(request.recipe), inputs)
        write_conversion(_add_judgement(conversion, plain), digest)


def is_judged_on_test(conversion: Conversion) -> bool:
    """Whether the test samples have judged a classifier."""
    return any(score.split == TEST for score in conversion.scores)


def _add_judgement(conversion: Conversion, plain: Mapping[str, Any]) -> Conversion:
    scores = [Score(**{**each, "interval": tuple(each["interval"])}) for each in plain["scores"]]
    drops = [Drop(**{**each, "interval": tuple(each["interval"])}) for each in plain["drops"]]
    accuracies = {score.subject: Accuracy(score.correct, score.samples) for score in scores}
    return replace(
        conversion,
        scores=(*conversion.scores, *scores),
        drops=(*conversion.drops, *drops),
        float_accuracy=accuracies.get(ORIGINAL),
        accuracy=accuracies.get(FILE),
    )
