"""Runs a model on a board over files: answers with their scores and times come back."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from converters import durable
from converters.errors import ConversionError
from converters.evidence.model_card import card_to_begin_with
from converters.evidence.model_toml import MODEL_TOML, card_beside, card_text
from converters.formats import read_model_file
from converters.model_file import ModelFile
from device_agent.contract.measurement import KernelClass
from device_agent.contract.model_card import ModelCard
from targets.device import Device
from targets.inventory import Target
from targets.place import place_of
from targets.progress import OnProgress, no_progress
from targets.sample_run import SampleAnswer, SampleRequest, SampleRun
from targets.staged_file import StagedFile
from toolkit.errors import ToolkitError
from toolkit.measure.ready import open_board, ready
from toolkit.measure.sample_files import (
    Sample,
    group_samples,
    is_picture,
    read_picture,
    read_samples,
)
from toolkit.measure.state import (
    MOST_STEPS,
    MOST_STREAM_BYTES,
    NO_STATE,
    long_stream_error,
    reset_before_samples,
    state_of,
)

#: Most that one process on the board gets: little, so that a board's memory and disk hold it.
_BATCH_BYTES = 32 << 20
_BATCH_SAMPLES = 256


@dataclass(frozen=True)
class SampleSettings:
    """Settings of a run of samples."""

    keep_outputs: bool = False
    """Whether the real values of all outputs come back too."""
    wheelhouse: Path | None = None
    """Folder of wheels, where there is no network."""


@dataclass(frozen=True)
class RunSample:
    """One sample and the answer of the board."""

    source: str
    notes: tuple[str, ...]
    answer: SampleAnswer


@dataclass(frozen=True)
class Run:
    """Answers of a board to samples."""

    target: str
    place: str
    model: Path
    model_sha256: str
    card: ModelCard
    kernel_class: KernelClass
    samples: tuple[RunSample, ...]
    peak_rss_bytes: int
    """Peak memory of the process that needed most."""
    outputs: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    """Real values by output name, `(samples, ...)`; empty unless they were to be kept."""
    state: str = NO_STATE
    """State of the model before each sample: `NO_STATE`, `FRESH` or `STREAM`."""


def run_files(
    model: Path,
    target: Target,
    files: Sequence[Path],
    settings: SampleSettings | None = None,
    on_progress: OnProgress = no_progress,
) -> Run:
    """Run a model on a board over files; each stage is done and timed there.

    Args:
        model: Model file; `model.toml` beside it says what goes in and what comes out.
        target: Board.
        files: Pictures, .npy or .npz; at least one.
        settings: Settings such as whether outputs are kept.
        on_progress: Called as the work goes on.

    Raises:
        SampleError: A file is damaged or does not fit; those of a first batch before a connection.
        ModelTomlError: `model.toml` is wrong.
        ToolkitError: A picture was given, and there is no `model.toml`.
        ConversionError: The file is no whole model file, or the board's runtime cannot load it.
        TargetError: The board cannot be reached, or has no place.
        AgentError: The board cannot load or run the model.
    """
    settings = settings or SampleSettings()
    contents = read_model_file(model)
    card = card_of(contents, files)
    batches = _batches(contents, card, files)
    reset = reset_before_samples(contents, card)
    empty = SampleRequest(card, (), settings.keep_outputs, reset)
    first = next(batches)
    with open_board(target, on_progress) as device:
        (staged,) = ready(device, (contents,), settings.wheelhouse, on_progress).staged
        sources: list[Sample] = []
        runs: list[SampleRun] = []
        for batch in chain([first], batches):
            request = replace(empty, samples=[sample.tensors for sample in batch])
            runs.append(_run_batch(device, staged, request, on_progress))
            sources += [Sample(sample.source, {}, sample.notes) for sample in batch]
    answers = [answer for one in runs for answer in one.answers]
    return Run(
        target=target.name,
        place=place_of(target),
        model=model,
        model_sha256=contents.sha256,
        card=card,
        kernel_class=runs[0].kernel_class,
        samples=tuple(
            RunSample(sample.source, sample.notes, answer)
            for sample, answer in zip(sources, answers, strict=True)
        ),
        peak_rss_bytes=max(one.peak_rss_bytes for one in runs),
        outputs={name: np.concatenate([r.outputs[name] for r in runs]) for name in runs[0].outputs},
        state=state_of(contents, card),
    )


def card_of(contents: ModelFile, files: Sequence[Path] = ()) -> ModelCard:
    """Read `model.toml` beside a model; without one, arrays go in and come out as they are.

    Raises:
        ModelTomlError: It is wrong.
        ToolkitError: There is none, and one of the files is a picture.
    """
    card = card_beside(contents)
    if card is not None:
        return card
    picture = next((file for file in files if is_picture(file)), None)
    if picture is None:
        return ModelCard()
    read_picture(picture)  # what is no picture at all needs another advice
    absent = contents.path.parent / MODEL_TOML
    raise ToolkitError(
        f"{picture} is a picture, and there is no {absent}, which says how the model takes one",
        "Write it; this is one to begin with, as far as the file itself tells:\n\n"
        + card_text(card_to_begin_with(contents)),
    )


def _batches(contents: ModelFile, card: ModelCard, files: Sequence[Path]) -> Iterator[list[Sample]]:
    samples = chain.from_iterable(read_samples(file, contents.inputs, card) for file in files)
    if card.streaming:
        return _whole_stream(contents, samples)
    return group_samples(samples, _BATCH_BYTES, _BATCH_SAMPLES)


def _whole_stream(contents: ModelFile, samples: Iterator[Sample]) -> Iterator[list[Sample]]:
    """Yield all samples at once, because one process keeps the state."""
    whole, *others = islice(group_samples(samples, MOST_STREAM_BYTES, MOST_STEPS), 2)
    if others:
        raise long_stream_error(contents)
    yield whole


def _run_batch(
    device: Device,
    staged: StagedFile,
    request: SampleRequest,
    on_progress: OnProgress,
) -> SampleRun:
    on_progress("run on the board", 0, len(request.samples))
    return device.jobs.run_samples(staged, request, on_progress)


def require_place(path: Path, inputs: Sequence[Path]) -> None:
    """Refuse a file that cannot be written, before a board works for it.

    Args:
        path: File that the outputs are to be written to.
        inputs: Files that are read, and must not be lost.

    Raises:
        ConversionError: It is a folder, or its folder is absent or may not be written to; or it is
            one of the inputs.
    """
    if any(path.exists() and one.exists() and path.samefile(one) for one in inputs):
        raise ConversionError(
            f"{path}: is read in this run; the outputs would take its place", "Name another file."
        )
    folder = path.parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ConversionError(
            f"{path}: cannot be written",
            "Name a file in a folder that is there and may be written to.",
        )


def save_outputs(path: Path, outputs: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Write the real values of outputs as an .npz, by output name.

    Args:
        path: File to write.
        outputs: Real values by output name, `(samples, ...)`.

    Raises:
        HostDiskError: The disk is full or read-only.
        ConversionError: The path cannot be written.
    """
    buffer = io.BytesIO()
    arrays: dict[str, Any] = dict(outputs)
    np.savez(buffer, **arrays)
    durable.write(path, buffer.getvalue())
