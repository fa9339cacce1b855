"""`kedge bench`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import output
from toolkit.cli.help_section import help_section
from toolkit.cli.options import (
    Duration,
    FiniteRange,
    Streams,
    as_json,
    file_path,
    force,
    profile,
    quality,
    quiet_wheelhouse,
    targets,
    threads,
)
from toolkit.cli.report_files import report_files, write_reports
from toolkit.cli.results import keep
from toolkit.cli.tracking import send_to_tracker, track, tracked_records
from toolkit.report import words
from toolkit.report.accuracy import describe_accuracy
from toolkit.report.exit_code import exit_code_of_measurement, gravest_exit_code
from toolkit.report.measurement import plain_measurement
from toolkit.report.measurement_text import describe_failure, describe_measurement

if TYPE_CHECKING:
    from toolkit.measure.bench_many import BoardFailure, Outcome
    from toolkit.results.record import ResultRecord

#: Half a day; an agent takes jobs of a day at most.
LONGEST_SOAK_S = 12 * 3600.0


@click.command("bench")
@click.argument("file", type=file_path())
@targets
@quality
@click.option(
    "--duration", "duration_s", type=Duration(), help="Time to measure each row, such as 3s."
)
@click.option(
    "--rate",
    "rate_hz",
    type=FiniteRange(0.1, 10_000),
    metavar="HZ",
    help="Send this many requests a second at fixed times, instead of back to back.",
)
@click.option(
    "--soak",
    "soak_s",
    type=Duration(LONGEST_SOAK_S),
    help="Run one process this long, such as 10m, to see whether it leaks or gets slower.",
)
@click.option(
    "--streams",
    type=Streams(),
    metavar="N[,M…]",
    help="Run so many processes at the same time, each number a row: inferences a second.",
)
@click.option(
    "--data",
    type=file_path(),
    help="Labelled .npz, image folder, .tar or module:function: also judge the board by it.",
)
@profile
@threads
@quiet_wheelhouse
@force
@track
@report_files
@as_json
def command(
    file: Path,
    selection: str | None,
    quality: str,
    duration_s: float | None,
    rate_hz: float | None,
    soak_s: float | None,
    streams: tuple[int, ...] | None,
    data: Path | None,
    profile: bool,
    threads: tuple[int, ...] | None,
    wheelhouse: Path | None,
    force: bool,
    tracker: str | None,
    reports: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Measure a .tflite or .onnx on a board, or on many, and compare its outputs with this host's.

    Each row consists of several fresh processes; their number sets the confidence of the interval.
    Every result is kept (`kedge results list`). The exit code is 9 if a figure cannot be trusted,
    and 8 if the outputs differ from the host's or the board is right less often.

    \b
    kedge bench out/model.tflite --on pi --threads sweep --duration 10s --json
    kedge bench out/model.tflite --on pi --rate 30 --track tensorboard
    kedge bench out/model.tflite --on pi --soak 10m --profile
    kedge bench out/model.tflite --on pi --streams 1,2,4,8
    kedge bench out/model.tflite --on room=lab --quality quick --data cifar10.tar.gz --report r.html
    """
    from toolkit.measure.bench import BenchSettings
    from toolkit.measure.bench_many import bench_many
    from toolkit.measure.quality import QUALITIES
    from toolkit.project import open_inventory
    from toolkit.results.store import open_results

    _refuse_misfits(soak_s, bool(rate_hz), bool(duration_s), bool(streams), threads == ())
    inventory = open_inventory()
    boards = inventory.select(selection)
    settings = BenchSettings(
        threads,
        duration_s or QUALITIES[quality].duration_s,
        wheelhouse,
        processes=QUALITIES[quality].processes,
        quality=quality,
        rate_hz=rate_hz or 0.0,
        soak_s=soak_s or 0.0,
        streams=streams or (),
        data=data,
        profile=profile,
        force=force,
    )
    project = inventory.path.parent
    with open_results(project):  # what is wrong with it is told before the work, not after
        pass
    with output.progress() as show:
        outcomes = bench_many(file, boards, settings, show)
    _show_and_keep(outcomes, project, reports, as_json)
    send_to_tracker(tracker, lambda: tracked_records(records_of_outcomes(outcomes)))
    return gravest_exit_code(exit_code_of_outcome(outcome) for outcome in outcomes)


def _show_and_keep(
    outcomes: list[Outcome], project: Path, reports: Sequence[Path], as_json: bool
) -> None:
    from toolkit.report.cases import cases_of_outcomes
    from toolkit.report.page.build import page_of_results

    try:
        _show(outcomes, as_json)
    finally:
        numbers = keep(project, records_of_outcomes(outcomes))
        write_reports(
            reports,
            "kedge bench",
            lambda: cases_of_outcomes(outcomes),
            lambda: page_of_results(project, numbers),
        )


def _refuse_misfits(
    soak_s: float | None, is_paced: bool, has_duration: bool, has_streams: bool, sweeps: bool
) -> None:
    """Refuse options that do not go together.

    Raises:
        UsageError: Two of them do not.
    """
    if soak_s and (is_paced or has_duration):
        raise click.UsageError("--soak goes with neither --rate nor --duration: it has its own")
    if has_streams and (soak_s or is_paced or sweeps):
        raise click.UsageError("--streams goes with none of --soak, --rate and --threads sweep")


def records_of_outcomes(outcomes: Sequence[Outcome]) -> list[ResultRecord]:
    """Return what is kept of the measurements, one record for each row."""
    from toolkit.report.record import records_of_measurement

    measurements = [outcome.measurement for outcome in outcomes if outcome.measurement]
    return [record for one in measurements for record in records_of_measurement(one)]


def _show(outcomes: list[Outcome], as_json: bool) -> None:
    for outcome in outcomes[1:] and outcomes:  # a single error is shown by who catches it
        trace = getattr(outcome.error, "traceback", "")
        if trace:
            output.note(f"{outcome.target}:\n{trace}")
    if as_json:
        entries = [plain_outcome(outcome) for outcome in outcomes]
        output.print_json({"schema": 1, "targets": entries})
    if len(outcomes) == 1 and outcomes[0].error is not None:
        raise outcomes[0].error  # also beside JSON: a program reads the entry, a person the message
    if not as_json:
        print_outcomes(outcomes)


def exit_code_of_outcome(outcome: Outcome) -> int:
    """Return the exit code of one board."""
    if outcome.measurement is not None:
        return exit_code_of_measurement(outcome.measurement)
    return outcome.error.exit_code if outcome.error is not None else 1


def plain_outcome(outcome: Outcome) -> dict[str, Any]:
    """Return the entry of one board in the JSON; one that failed has the verdict ERROR."""
    if outcome.measurement is not None:
        return plain_measurement(outcome.measurement)
    assert outcome.error is not None
    return {
        "name": outcome.target,
        "verdict": "ERROR",
        "reasons": [_first_line(outcome.error)],
        "exit_code": outcome.error.exit_code,
        "hint": outcome.error.hint,
        "help": help_section(outcome.error),
    }


def _first_line(error: BoardFailure) -> str:
    return str(error).splitlines()[0]


def print_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Print what came of each board: of a single one everything, of several a table."""
    if len(outcomes) == 1 and outcomes[0].measurement is not None:
        output.print_blocks(describe_measurement(outcomes[0].measurement))
        return
    rows = []
    for outcome in outcomes:
        if outcome.error is not None:
            rows.append([outcome.target, "ERROR", "", "", ""])
            continue
        assert outcome.measurement is not None
        best = outcome.measurement.best
        low, high = best.latency.interval_us
        rows.append(
            [
                outcome.target,
                best.verdict.kind,
                words.duration(best.latency.median_us),
                f"{words.duration(low)} to {words.duration(high)}",
                outcome.measurement.parity.verdict,
            ]
        )
    columns = ["target", "verdict", "median", "interval", "outputs"]
    output.table("", columns, rows, ("interval",))
    for outcome in outcomes:
        _say_reasons(outcome)
        if outcome.measurement is not None and outcome.measurement.accuracy is not None:
            output.say(f"{outcome.target}:")
            output.print_blocks(describe_accuracy(outcome.measurement.accuracy))


def _say_reasons(outcome: Outcome) -> None:
    """Print what the verdict of a board rests on: all of it, however wide the terminal is."""
    if outcome.measurement is not None:
        for reason in outcome.measurement.best.verdict.reasons:
            output.say(f"{outcome.target}: {reason}")
        failure = outcome.measurement.failure
        if failure is not None:
            output.say(f"{outcome.target}: {describe_failure(failure)}")
    if outcome.error is not None:
        output.say(f"{outcome.target}: {_first_line(outcome.error)}")
        if outcome.error.hint:
            output.note(f"{outcome.target}: {outcome.error.hint}")
