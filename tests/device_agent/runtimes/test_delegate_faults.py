"""From what a board shows to why its Edge TPU does not come, and what to do."""

from pathlib import Path
from typing import Any

import pytest

from device_agent.contract.codes import DELEGATE, RefusalError
from device_agent.runtimes import delegate
from device_agent.runtimes.delegate import load_delegate
from device_agent.runtimes.delegate_faults import DelegateFailure, explain
from device_agent.runtimes.model_faults import explain_model
from tests.device_agent.board_trees import make_tree

STICK = "sys/bus/usb/devices/1-1/"


def stick(vendor: str, product: str) -> dict[str, str]:
    fields = {
        "idVendor": vendor,
        "idProduct": product,
        "busnum": "1",
        "devnum": "4",
        "speed": "480",
    }
    return {STICK + name: value + "\n" for name, value in fields.items()}


NEW_STICK, READY_STICK = stick("1a6e", "089a"), stick("18d1", "9302")
CARD = {"sys/bus/pci/devices/0000:01:00.0/" + k: v for k, v in
        {"vendor": "0x1ac1\n", "device": "0x089a\n"}.items()}  # fmt: skip
NODE = {"dev/bus/usb/001/004": ""}


def load_on(root: str, fault: Exception, tries: list[str]) -> RefusalError:
    def load(library: str) -> Any:
        tries.append(library)
        raise fault

    with pytest.raises(RefusalError) as refused:
        load_delegate(load, "edgetpu", "tflite-runtime 2.14.0", root)
    assert refused.value.code == DELEGATE
    return refused.value


#: What a runtime raises when a delegate finds no device.
EMPTY = ValueError("Failed to load delegate from libedgetpu.so.1\n")


@pytest.mark.parametrize(
    ("tree", "what", "hint"),
    [
        ({}, "no Edge TPU is there", "Plug it in"),
        (CARD, "has no /dev/apex_0 (no driver)", "modprobe apex"),
        ({**READY_STICK, **NODE}, "it refuses with tflite-runtime 2.14.0", "must fit"),
        ({**NEW_STICK, **NODE}, "did not take its firmware", "18d1:9302"),
        ({"dev/apex_0": ""}, "it refuses with tflite-runtime 2.14.0", "must fit"),
    ],
    ids=["none", "no-driver", "stick-ready", "stick-new", "card-ready"],
)
def test_what_the_board_shows_is_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tree: dict[str, str], what: str, hint: str
) -> None:
    monkeypatch.setattr(delegate, "_FIRMWARE_WITHIN_S", 0.2)
    refused = load_on(make_tree(tmp_path, tree), EMPTY, [])

    assert what in str(refused)
    assert hint in refused.hint


def test_a_stick_that_takes_its_firmware_is_tried_once_more(tmp_path: Path) -> None:
    root = make_tree(tmp_path, {**NEW_STICK, **NODE})
    tries: list[str] = []

    def load(library: str) -> str:
        tries.append(library)
        if len(tries) == 1:  # the first use loads the firmware, and the stick comes back with it
            make_tree(tmp_path, READY_STICK)
            raise EMPTY
        return "loaded"

    assert load_delegate(load, "edgetpu", "tflite-runtime 2.14.0", root) == "loaded"
    assert tries == ["libedgetpu.so.1"] * 2


def test_a_stick_that_is_ready_is_not_tried_again(tmp_path: Path) -> None:
    tries: list[str] = []
    load_on(make_tree(tmp_path, {**READY_STICK, **NODE}), EMPTY, tries)

    assert len(tries) == 1


def test_a_process_that_has_the_device_is_named(tmp_path: Path) -> None:
    root = make_tree(tmp_path, {**READY_STICK, **NODE, "proc/77/comm": "frigate\n"})
    (tmp_path / "proc/77/fd").mkdir()
    (tmp_path / "proc/77/fd/9").symlink_to(tmp_path / "dev/bus/usb/001/004")
    refused = load_on(root, EMPTY, [])

    assert "in use by frigate (process 77)" in str(refused)


def test_who_may_not_open_the_device_is_told_the_group() -> None:
    locked = {"kind": "edgetpu-pcie", "path": "/dev/apex_0", "usable": False, "state": "ready"}
    message, hint = explain(
        DelegateFailure(
            "edgetpu", "libedgetpu.so.1", "ValueError", "", "x", [locked], "pi", ["pi"], "apex"
        )
    )

    assert "pi may not open the Edge TPU at /dev/apex_0: not in the group apex" in message
    assert "usermod -aG apex pi" in hint


@pytest.mark.parametrize(
    ("said", "what", "hint"),
    [
        ("libedgetpu.so.1: cannot open shared object file: No such file or directory",
         "no such library", "libedgetpu1-std"),
        ("libusb-1.0.so.0: cannot open shared object file: No such file or directory",
         "it needs libusb-1.0.so.0", "libusb-1.0.so.0"),
        ("libedgetpu.so.1: wrong ELF class: ELFCLASS32", "another architecture", "architecture"),
        ("libedgetpu.so.1: invalid ELF header", "not a shared library", "kedge.toml"),
        ("/lib/libc.so.6: version `GLIBC_2.34' not found (required by libedgetpu.so.1)",
         "it needs GLIBC_2.34", "operating system"),
        ("libedgetpu.so.1: undefined symbol: _ZN6tflite11Interpreter", "_ZN6tflite11", "must fit"),
    ],
)  # fmt: skip
def test_what_the_loader_says_is_told_before_any_device(said: str, what: str, hint: str) -> None:
    message, way_out = explain(DelegateFailure("edgetpu", "libedgetpu.so.1", "OSError", said, "x"))

    assert what in message
    assert hint in way_out


def test_a_model_for_a_newer_edge_tpu_runtime_is_told_with_both_versions() -> None:
    what, hint = explain_model(
        "Internal: Package requires runtime version (14), which is newer than this runtime "
        "version (13)."
    )

    assert what == "the model was compiled for Edge TPU runtime 14, the board has runtime 13"
    assert "--min_runtime_version 13" in hint


def test_an_operator_that_nothing_has_is_named() -> None:
    what, hint = explain_model(
        "Encountered unresolved custom op: ethos-u.\nSee instructions: ...Node number 0"
    )

    assert what == "the runtime has no operator ethos-u, and no delegate takes it"
    assert "`delegate`" in hint


def test_other_complaints_about_a_model_speak_for_themselves() -> None:
    assert explain_model("tensor 3 has no shape") == ("", "")
