"""A target with an open connection: one physical unit, its agent started and its facts known.

with open_device(target) as device:
    device.prepare_runtime("tflite", wheelhouse=None, on_progress=show)
    staged = device.push(Path("model.tflite"))
    device.jobs.benchmark(staged, settings, on_progress=show)
"""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from device_agent.contract.codes import RUNTIME_IMPORT
from device_agent.contract.facts import Facts, facts_from_json
from device_agent.contract.measurement import KernelClass
from device_agent.contract.records import read_value
from targets.agent_client import ANSWER_TIMEOUT_S, AgentClient, answers_of, progress_of
from targets.board_disk import BoardDiskError
from targets.errors import TargetError
from targets.inventory import Target
from targets.jobs import Jobs
from targets.progress import OnProgress, no_progress
from targets.releases import Releases
from targets.runtimes.choice import choose_runtime
from targets.runtimes.release import RuntimeChoice
from targets.runtimes.wheels import find_wheels, tree_digest
from targets.staged_file import StagedFile

#: Longest wait for another host's benchmark.
RESERVE_TIMEOUT_S = 600.0

#: Unzipping and syncing 100 MB on a slow SD card.
UNPACK_TIMEOUT_S = 600.0


class Device:
    """One board, connected, with its facts."""

    def __init__(
        self, target: Target, root: str, mount_options: Sequence[str], client: AgentClient
    ) -> None:
        """Take the open connection to an agent.

        Args:
            target: Target.
            root: Absolute path of the folder on the board that belongs to kedge.
            mount_options: Mount options of the file system of `root`.
            client: Conversation with the agent.
        """
        self.target = target
        self.root = root
        self._mount_options = mount_options
        self._client = client
        self.jobs = Jobs(client, target.execution)
        """Jobs of the board, on the runtime that `prepare_runtime` or `use` names."""
        self.releases = Releases(client)
        """Releases of the board: what it runs, and what it is to run."""
        self._trees: dict[RuntimeChoice, str] = {}
        """Digest of the folder on the board by runtime; without an entry for the board's own."""
        self._choices: dict[str, RuntimeChoice] = {}
        """Runtime by format of model files."""

    @cached_property
    def facts(self) -> Facts:
        """Facts about the board, as its agent reports them when they are first needed."""
        return _facts_of(self._client)

    def agent_sha256(self) -> str:
        """Ask the agent for the digest of its archive.

        Raises:
            AgentError: Others than the user may change the root folder on the board.
        """
        answer = self._client.call("hello", {"facts": False})
        with answers_of(self._client.name):
            return str(read_value(str, answer.get("agent_sha256"), "agent_sha256"))

    def runtime_for(self, model_format: str) -> RuntimeChoice:
        """Return the runtime that this board will use for a format of model files.

        It is the one that kedge.toml names, else the best that loads.

        Raises:
            NoRuntimeError: No runtime loads there, or not the one that kedge.toml names; the hint
                says what helps.
        """
        if model_format not in self._choices:
            name = self.target.execution.runtime
            self._choices[model_format] = choose_runtime(self.facts, model_format, name)
        return self._choices[model_format]

    def use(self, choice: RuntimeChoice) -> None:
        """Let this board use another runtime from now on; `prepare_runtime` brings it there."""
        self._choices[choice.format] = choice
        self.jobs.use(choice.distribution, self._trees.get(choice, ""))

    def prepare_runtime(
        self,
        model_format: str,
        wheelhouse: Path | None = None,
        on_progress: OnProgress = no_progress,
        with_delegate: bool = True,
    ) -> KernelClass:
        """Reserve the board, bring the runtime there unless it has it, and load it once.

        Another host that uses the board now is waited for: two benchmarks would measure each other.
        All jobs from now on use this runtime.

        Args:
            model_format: Name of the format of the model files to run.
            wheelhouse: Folder of wheels; with one, nothing is downloaded.
            on_progress: Called as the work goes on.
            with_delegate: Whether the delegate that kedge.toml names is loaded, too.

        Returns:
            Kernels that will compute there.

        Raises:
            NoRuntimeError: No runtime for the format loads on this board.
            WheelError: A wheel cannot be had, or is not the published one.
            BoardDiskError: No runtime can be loaded from the root folder, or it does not fit.
            AgentError: The runtime is there, but does not load, or the delegate does not.
        """
        self.jobs.show_waits(on_progress)
        self._reserve(on_progress)
        choice = self.runtime_for(model_format)
        if choice.wheels:
            self._trees[choice] = self._bring_runtime(choice, wheelhouse, on_progress)
        self.use(choice)
        on_progress("load the runtime", 0, 0)
        return self.jobs.load_runtime(with_delegate)

    def _bring_runtime(
        self, choice: RuntimeChoice, wheelhouse: Path | None, on_progress: OnProgress
    ) -> str:
        """Send the wheels of the runtime unless they are there; return the digest of its folder."""
        if "noexec" in self._mount_options:
            raise BoardDiskError(
                f"{self.target.name}: {self.root} is mounted noexec, so no runtime can be "
                "loaded from there",
                "Name a folder on another file system as `root` of this target in kedge.toml.",
                RUNTIME_IMPORT,
            )
        files = find_wheels(
            choice.wheels,
            wheelhouse,
            lambda name: on_progress(f"download {name}", 0, 0),
            self.target.execution.wheels,
        )
        tree = tree_digest(files)
        on_progress("check the runtime on the board", 0, 0)
        state = self._client.call("has_tree", {"tree": tree}, UNPACK_TIMEOUT_S)
        if state.get("damaged") is True:
            on_progress("the runtime on the board was damaged and is sent anew", 0, 0)
        with answers_of(self._client.name):
            present = read_value(bool, state.get("present"), "present")
        if not present:
            for file in files:
                self.push(file.path, on_progress)
            on_progress("unpack the runtime", 0, 0)
            digests = [file.sha256 for file in files]
            unpack = {"tree": tree, "wheels": digests, "keep": list(self._trees.values())}
            self._client.call("unpack", unpack, UNPACK_TIMEOUT_S)
        return tree

    def _reserve(self, on_progress: OnProgress) -> None:
        self._client.call(
            "reserve",
            {"who": own_name(), "timeout_s": RESERVE_TIMEOUT_S},
            RESERVE_TIMEOUT_S + ANSWER_TIMEOUT_S,
            lambda event: on_progress(progress_of(event)[0], 0, 0),
        )

    def push(self, path: Path, on_progress: OnProgress = no_progress) -> StagedFile:
        """Send a file into the scratch area; what is there already is not sent again.

        Raises:
            TargetError: The file cannot be read, or does not fit on the board.
            IntegrityError: What arrived is not what was sent.
        """
        bytes_before = self._client.sent_bytes
        try:
            with path.open("rb") as file:
                sha256 = _digest_of(file)
                size = file.tell()
                board_path = self._client.put(
                    file,
                    sha256,
                    size,
                    lambda count, total: on_progress(f"send {path.name}", count, total),
                )
        except OSError as error:
            raise TargetError(f"cannot read {path}: {error.strerror or error}") from error
        sent_bytes = self._client.sent_bytes - bytes_before
        return StagedFile(sha256, size, board_path, sent_bytes, sha256 in self._client.damaged)


def _facts_of(client: AgentClient) -> Facts:
    answer = client.call("hello", {})
    with answers_of(client.name):
        for name in ("agent_sha256", "machine", "python"):
            read_value(str, answer.get(name), name)
    return facts_from_json(answer)


def own_name() -> str:
    """Return USER@HOST of this process, for others who wait for the board."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in some containers
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def _digest_of(file: BinaryIO) -> str:
    """Read a file to its end; return its SHA-256."""
    digest = hashlib.sha256()
    for chunk in iter(lambda: file.read(1 << 20), b""):
        digest.update(chunk)
    return digest.hexdigest()
