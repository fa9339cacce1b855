"""Whether a place can run a model file: its runtime, its Edge TPU, and about how long it takes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from converters.formats import FORMATS
from converters.inspection import FLOAT, ModelFigures
from converters.model_file import ModelFile
from device_agent.contract.runtimes import TENSORRT, distribution_of
from targets.board_profile import BoardProfile, Roofline, board_profiles, recognise
from targets.inventory import Target
from targets.progress import OnProgress
from toolkit.admission import FOR_TENSORRT, ModelRefusedError, admit_to_runtime, fix_of
from toolkit.errors import ToolkitError

_RUNTIME = re.compile(r"([a-z][a-z0-9-]{1,40})(?:==| )(\d[0-9A-Za-z.]{0,30})\Z")


class UnknownPlaceError(ToolkitError):
    """No board or runtime has this name: the user names another one."""

    exit_code = 2


@dataclass(frozen=True)
class RunPlace:
    """A place that is to run a model: a target, a kind of board, or a release of a runtime."""

    name: str
    """Name for a person."""
    runtime: str
    """Distribution of its runtime; empty where it is not known."""
    version: str
    """Version of its runtime; empty where it is not known."""
    machine: str = "aarch64"
    """Architecture of its CPU."""
    has_edgetpu: bool = False
    """Whether it runs models on an Edge TPU."""
    roofline: Roofline | None = None
    """Speed of its CPU; None where no source gives it."""
    target: Target | None = None
    """Entry in kedge.toml; None for a kind of board or a release."""


@dataclass(frozen=True)
class RuntimeContract:
    """Whether the runtime of a place loads a model."""

    place: RunPlace
    reasons: tuple[str, ...]
    """Reasons why it does not, one sentence each; empty where it does."""
    fix: str
    """Next step for the user; empty where there is none."""


@dataclass(frozen=True)
class TimeEstimate:
    """Time of one inference by the roofline of a board. Never a measurement."""

    threads: int
    seconds: float
    share_bound_by_memory: float
    """Share of this time that is spent in operators whose bytes take longer than their work, 0-1.
    """


def runtime_place(text: str) -> RunPlace:
    """Return the place that is a release of a runtime.

    Args:
        text: Such as "tflite-runtime==2.14".

    Raises:
        UnknownPlaceError: The text has another form.
    """
    match = _RUNTIME.match(text)
    if match is None:
        raise UnknownPlaceError(
            f"{text!r} is no release of a runtime",
            "Write NAME==VERSION, such as tflite-runtime==2.14, ai-edge-litert==2.3.0 or "
            "onnxruntime==1.23.2.",
        )
    return RunPlace(text, match[1], match[2])


def board_place(name: str, model_format: str) -> RunPlace:
    """Return the place that is a kind of board.

    Args:
        name: Name of a profile in `targets/boards`.
        model_format: Format of the model file, a key of `converters.formats.FORMATS`.

    Raises:
        UnknownPlaceError: There is no such profile.
    """
    profiles = board_profiles()
    if name not in profiles:
        similar = [each for each in profiles if name and each.startswith(name)]
        raise UnknownPlaceError(
            f"no board is known as {name!r}",
            f"Did you mean {' or '.join(similar)}?" if similar else
            f"Known boards: {', '.join(profiles)}.",
        )  # fmt: skip
    profile = profiles[name]
    match = _RUNTIME.match(profile.facts["runtime"].value) if model_format == "tflite" else None
    return RunPlace(
        name,
        match[1] if match else "",
        match[2] if match else "",
        profile.facts["architecture"].value,
        profile.has_edgetpu,
        profile.roofline,
    )


def target_place(target: Target, model_format: str, on_progress: OnProgress) -> RunPlace:
    """Read a board, and return it as a place; nothing is written there, and no agent is placed.

    Args:
        target: Entry in kedge.toml.
        model_format: Format of the model file.
        on_progress: Called before each step that may take a while.

    Raises:
        TargetError: The board cannot be reached, has no Python for kedge, or loads no runtime for
            this format.
    """
    from targets.agent_archive import agent_archive
    from targets.probe import probe_board
    from targets.provision import connect
    from targets.runtimes.choice import choose_runtime

    on_progress(f"read {target.name}", 0, 0)
    with connect(target) as transport:
        digest = agent_archive().sha256
        probe = probe_board(transport, target.root, digest, target.execution.python)
    facts = probe.facts_with(probe.python)
    choice = choose_runtime(facts, model_format, target.execution.runtime)
    named = board_profiles().get(target.board or "")
    profile: BoardProfile | None = named or recognise(facts)
    return RunPlace(
        target.name,
        choice.distribution,
        choice.version,
        facts.machine,
        target.execution.drives_edgetpu,
        None if profile is None else profile.roofline,
        target,
    )


def check_contract(model: ModelFile, place: RunPlace) -> RuntimeContract:
    """Check a model file against the runtime of a place, as push and bench do.

    Args:
        model: Model file.
        place: RunPlace whose runtime is known.

    Raises:
        ConversionError: The runtime is unknown.
    """
    if place.target is not None:
        try:
            admit_to_runtime(model, place.target, place.runtime, place.version, place.machine)
        except ModelRefusedError as error:
            return RuntimeContract(place, (str(error),), error.hint)
        return RuntimeContract(place, (), "")
    model_format = FORMATS[model.format]
    runtime = distribution_of(place.runtime)
    reasons = model_format.refusals(model.operators, runtime, place.version)
    if runtime == TENSORRT:
        reasons += model_format.form_refusals(model, runtime)
        return RuntimeContract(place, reasons, FOR_TENSORRT if reasons else "")
    reasons += model_format.faults(model, place.machine, place.version)
    return RuntimeContract(place, reasons, fix_of(model) if reasons else "")


def estimate_time(figures: ModelFigures, roofline: Roofline) -> tuple[TimeEstimate, ...]:
    """Estimate the time of one inference: of each operator the longer of work and bytes.

    Args:
        figures: Figures of a file; its first subgraph counts.
        roofline: Speed of a board.

    Returns:
        Estimates for one thread, and for one on each core.
    """
    return tuple(_estimate(figures, roofline, threads) for threads in sorted({1, roofline.cores}))


def _estimate(figures: ModelFigures, roofline: Roofline, threads: int) -> TimeEstimate:
    seconds = by_memory = 0.0
    for operator in figures.main_operators:
        is_float = operator.arithmetic == FLOAT
        rate = roofline.float_macs_per_s if is_float else roofline.integer_macs_per_s
        work = operator.macs / (rate * threads)
        memory = (operator.bytes_read + operator.bytes_written) / roofline.bytes_per_s
        seconds += max(work, memory)
        by_memory += memory if memory > work else 0.0
    return TimeEstimate(threads, seconds, by_memory / seconds if seconds else 0.0)
