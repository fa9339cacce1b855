"""The sandbox around the process of a conversion, by a real bubblewrap."""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converters import process, sandbox
from converters.child import end_process, start_process
from converters.evidence.conversion import Conversion
from converters.recipe.recipe import load_recipe
from converters.request import ConversionRequest
from converters.sandbox import Sandbox, sandbox_around

#: Prints the error of each thing that it does, or null.
PROGRAM = """
import json, os, socket, sys

def result(act):
    try:
        act()
    except OSError as error:
        return error.strerror
    return None

def connect(family, address):
    with socket.socket(family) as s:
        s.connect(address)

home, own, path, port, parent = sys.argv[1:]
print(json.dumps({
    "internet": result(lambda: connect(socket.AF_INET, ("127.0.0.1", int(port)))),
    "other program": result(lambda: connect(socket.AF_UNIX, path)),
    "write home": result(lambda: open(home + "/.bashrc", "a")),
    "replace home": result(lambda: os.rename(own, home + "/own")),
    "system": result(lambda: open("/proc/sys/kernel/core_pattern", "r+")),
    "signal": result(lambda: os.kill(int(parent), 0)),
    "read home": result(lambda: open(home + "/.bashrc")),
    "write own": result(lambda: open(own + "/file", "w")),
}))
"""


@pytest.fixture
def limits(tmp_path: Path) -> Sandbox:
    (tmp_path / "own").mkdir()
    found = sandbox_around([tmp_path / "own"])
    if not found.command:
        pytest.skip(found.words)
    return found


@pytest.fixture
def unix_socket(tmp_path: Path) -> Any:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        server.listen()
        yield tmp_path / "socket"


@pytest.mark.usefixtures("limits")
def test_a_process_in_it_reads_everything_and_writes_into_its_own_folder_only(
    tmp_path: Path, unix_socket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "_OLD_S", -1.0)
    (tmp_path / ".bashrc").write_text("old")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        command = sandbox_around([tmp_path / "own"]).command
        arguments = [tmp_path, tmp_path / "own", unix_socket, port, os.getpid()]
        done = subprocess.run(
            [*command, sys.executable, "-c", PROGRAM, *map(str, arguments)],
            stdout=subprocess.PIPE,
            check=True,
        )
    results = json.loads(done.stdout)
    allowed = {name for name, error in results.items() if error is None}
    assert allowed == {"read home", "write own"}, results
    assert (tmp_path / "own" / "file").exists()
    assert (tmp_path / ".bashrc").read_text() == "old"


def test_without_bubblewrap_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert sandbox_around([]) == Sandbox("none: bubblewrap (bwrap) is not installed")


def test_where_the_system_forbids_it_the_reason_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\necho 'bwrap: No permissions to create namespaces' >&2\nexit 1")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    words = "none: bubblewrap does not work here: bwrap: No permissions to create namespaces"
    assert sandbox_around([]) == Sandbox(words)


def test_functions_of_the_user_keep_network_and_folder(
    digits_request: ConversionRequest, tmp_path: Path
) -> None:
    request = replace(digits_request, data=tmp_path / "module:function")
    limits = process.sandbox_of(request, load_recipe("ptq_w8a8"), tmp_path)
    assert limits == Sandbox("none: the conversion runs functions that the user named")
    recipe = tmp_path / "own.toml"
    recipe.write_text(
        'schema = 1\n[task]\nkind = "regression"\nloss = "mine:loss"\n[[step]]\nkind = "ptq_w8a8"\n'
    )
    assert not process.sandbox_of(digits_request, load_recipe(str(recipe)), tmp_path).command


@pytest.mark.usefixtures("limits")
def test_a_process_that_starts_says_what_limits_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with (tmp_path / "log").open("w+b") as log:
        end_process(start_process(tmp_path, log, Sandbox("none: bwrap is not installed"), False))

    assert "sandbox of the conversion: none: bwrap is not installed" in caplog.text


def test_a_conversion_says_what_limited_it(digits_ptq: Conversion) -> None:
    assert digits_ptq.sandbox == "bubblewrap: no network, writes into its own folders only"
