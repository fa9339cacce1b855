"""Which runtime that loads on a board is used: the user's, the best, or the board's own. Pure."""

from __future__ import annotations

from device_agent.contract.facts import BoardRuntime, Facts
from device_agent.contract.runtimes import BOARD_PREFIX, RUNTIME_FORMATS, TENSORRT, distribution_of
from targets.runtimes.all import FORMAT_TITLES
from targets.runtimes.fit import choice_of, judge_runtimes
from targets.runtimes.no_runtime import NoRuntimeError, why_none
from targets.runtimes.numpy_wheels import brings_numpy, needs_numpy_1, numpy_wheel
from targets.runtimes.onnxruntime import fatal_flaw
from targets.runtimes.release import RuntimeChoice, Wheel

#: TensorRT is never brought to a board; it needs another file than ONNX Runtime, so that it is used
#: where the user names it.
_OWN_TENSORRT = BOARD_PREFIX + TENSORRT


def usable_runtimes(facts: Facts, model_format: str) -> list[RuntimeChoice]:
    """Return every runtime for a format that a board can use, the preferred one first.

    The newest release of each distribution that loads; then the runtimes that the board's own
    Python has, for a vendor may have built one better. Whether one of those loads is known when it
    is tried.

    Args:
        facts: Facts about the board, as its agent reports them.
        model_format: Name of the format of the model files to run.
    """
    newest: dict[str, RuntimeChoice] = {}
    for verdict in judge_runtimes(facts, model_format):
        release = verdict.runtime
        if verdict.refusal is None and release.distribution not in newest:
            newest[release.distribution] = choice_of(release, facts)
    return [*newest.values(), *_own_runtimes(facts, model_format)]


def choose_runtime(facts: Facts, model_format: str, runtime: str | None = None) -> RuntimeChoice:
    """Choose the runtime for a board and a format of model files.

    Args:
        facts: Facts about the board, as its agent reports them.
        model_format: Name of the format of the model files to run.
        runtime: Runtime that the user names: `NAME`, `NAME VERSION` or `board:NAME`. One of another
            format says nothing about this format.

    Raises:
        NoRuntimeError: No runtime loads there, or not the one that the user names; the message
            says why, the hint what to do.
    """
    if runtime is None or _format_of(runtime) != model_format:
        return _best(facts, model_format)
    if runtime.startswith(BOARD_PREFIX):
        return _own_runtime(runtime, facts, model_format)
    name, _, version = runtime.partition(" ")
    verdicts = [
        verdict
        for verdict in judge_runtimes(facts, model_format)
        if verdict.runtime.distribution == name and version in ("", verdict.runtime.version)
    ]
    for verdict in verdicts:
        if verdict.refusal is None:
            return choice_of(verdict.runtime, facts)
    reasons = "".join(f"\n  {name} {each.runtime.version}: {each.refusal}" for each in verdicts)
    raise NoRuntimeError(
        f"the runtime {runtime!r} that kedge.toml names does not load on this board"
        + (reasons or ": kedge knows no such release"),
        f"Choose another, or leave out `runtime`. {_usable(facts, model_format)}",
    )


def _format_of(runtime: str) -> str | None:
    return RUNTIME_FORMATS.get(distribution_of(runtime.partition(" ")[0]))


def _best(facts: Facts, model_format: str) -> RuntimeChoice:
    """The first release that loads; without one, the first of the board's own that may load."""
    verdicts = judge_runtimes(facts, model_format)
    for verdict in verdicts:
        if verdict.refusal is None:
            return choice_of(verdict.runtime, facts)
    for choice in _own_runtimes(facts, model_format):
        if _numpy_fits(choice, facts) and choice.distribution != _OWN_TENSORRT:
            return choice
    cause, fix = why_none(facts, model_format)
    raise NoRuntimeError(
        f"no {FORMAT_TITLES.get(model_format, model_format)} runtime loads on this board: {cause}"
        + "".join(
            f"\n  {verdict.runtime.distribution} {verdict.runtime.version}: {verdict.refusal}"
            for verdict in verdicts
        ),
        fix,
    )


def _own_runtimes(facts: Facts, model_format: str) -> list[RuntimeChoice]:
    return [
        RuntimeChoice(model_format, BOARD_PREFIX + own.name, own.version, _wheels(own, facts))
        for own in facts.board_runtimes
        if RUNTIME_FORMATS.get(own.name) == model_format and not _flaw(own, facts)
    ]


def _wheels(own: BoardRuntime, facts: Facts) -> tuple[Wheel, ...]:
    """What the board's own runtime needs from here: TensorRT a numpy, where the board has none."""
    if own.name != TENSORRT or facts.installed.get("numpy") or not brings_numpy(facts):
        return ()
    return (numpy_wheel(facts),)


def _flaw(own: BoardRuntime, facts: Facts) -> str | None:
    return fatal_flaw(own.version, facts) if own.name == "onnxruntime" else None


def _own_runtime(runtime: str, facts: Facts, model_format: str) -> RuntimeChoice:
    for choice in _own_runtimes(facts, model_format):
        if choice.distribution != runtime:
            continue
        if runtime == _OWN_TENSORRT:
            _require_numpy(facts)
            return choice
        if not _numpy_fits(choice, facts):
            numpy = facts.installed.get("numpy")
            raise NoRuntimeError(
                f"the board's own {distribution_of(runtime)} needs numpy 1, its Python has "
                + (f"numpy {numpy}" if numpy else "no numpy"),
                f"On the board: {facts.python_executable or 'python3'} -m pip install 'numpy<2'",
            )
        return choice
    for own in facts.board_runtimes:
        flaw = _flaw(own, facts)
        if BOARD_PREFIX + own.name == runtime and flaw:
            raise NoRuntimeError(
                f"the board's own {own.name} {flaw}",
                f"Leave out `runtime` in kedge.toml. {_usable(facts, model_format)}",
            )
    if runtime == _OWN_TENSORRT:
        raise NoRuntimeError(
            "the board has no trtexec, which TensorRT's packages bring",
            "On the board: sudo apt-get install tensorrt (JetPack has it). Or put the folder of "
            f"trtexec on the PATH of the login. {_usable(facts, model_format)}",
        )
    raise NoRuntimeError(
        f"the Python of this board ({facts.python_executable}) has no "
        f"{distribution_of(runtime)} of its own",
        "Name the Python that has it as `python` of this target in kedge.toml, such as that of a "
        f"virtual environment. {_usable(facts, model_format)}",
    )


def _require_numpy(facts: Facts) -> None:
    """Refuse a board that has no numpy, and for which there is no wheel of it.

    Raises:
        NoRuntimeError: The user installs numpy on the board.
    """
    if not facts.installed.get("numpy") and not brings_numpy(facts):
        raise NoRuntimeError(
            f"kedge needs numpy beside TensorRT, and Python {facts.python} has none",
            "On the board: sudo apt-get install python3-numpy",
        )


def _numpy_fits(choice: RuntimeChoice, facts: Facts) -> bool:
    numpy = facts.installed.get("numpy", "")
    if needs_numpy_1(distribution_of(choice.distribution)):
        return numpy.startswith(("1.", "unknown"))
    return bool(numpy)


def _usable(facts: Facts, model_format: str) -> str:
    names = ", ".join(
        f"{choice.distribution} {choice.version}" for choice in usable_runtimes(facts, model_format)
    )
    return f"This board can use: {names or 'none'}."
