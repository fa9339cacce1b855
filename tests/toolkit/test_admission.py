"""Which models go to a board that drives an Edge TPU, and which do not."""

import ctypes.util
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from targets.inventory import Inventory
from tests.device_agent.agents import sha256_of
from tests.device_agent.delegates import build_delegate
from tests.edgetpu_model import edgetpu_model
from tests.kedge import Ran, assert_refused, kedge
from tests.tiny_model import custom_op_model, relu_model, too_new_model
from toolkit.admission import ModelRefusedError
from toolkit.measure.bench import BenchSettings
from toolkit.measure.bench import bench as bench_model
from toolkit.report.measurement import plain_measurement
from toolkit.report.measurement_text import describe_measurement
from toolkit.report.tables import Note

QUICK = ["--quality", "quick", "--duration", "60ms", "--json"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The board's folder: one for all, for the runtime is brought there once."""
    return tmp_path_factory.mktemp("board") / "root"


@pytest.fixture
def project(tmp_path: Path, root: Path) -> Path:
    (tmp_path / "root").symlink_to(root)
    (tmp_path / "cpu.tflite").write_bytes(relu_model())
    (tmp_path / "tpu.tflite").write_bytes(edgetpu_model())
    return tmp_path


def write_target(project: Path, *lines: str) -> None:
    entry = [
        "[targets.coral]",
        'address = "local"',
        f'root = "{(project / "root").readlink()}"',
        *lines,
    ]
    (project / "kedge.toml").write_text("\n".join(entry) + "\n")


def bench(project: Path, model: str, **env: str) -> Ran:
    return kedge("bench", model, "--on", "coral", *QUICK, cwd=project, env=env)


def test_a_compiled_model_does_not_go_where_no_edge_tpu_is_driven(project: Path) -> None:
    write_target(project)
    ran = bench(project, "tpu.tflite")

    assert_refused(ran, 4, "compiled for the Edge TPU", 'delegate = "edgetpu"')
    assert not (project / "root" / "store" / "scratch" / sha256_of(edgetpu_model())).exists()


def test_a_model_that_is_not_compiled_does_not_go_to_an_edge_tpu(project: Path) -> None:
    write_target(project, 'delegate = "edgetpu"')
    ran = bench(project, "cpu.tflite")

    assert_refused(ran, 4, "is not compiled for the Edge TPU", "allow_cpu = true")


@pytest.mark.skipif(
    ctypes.util.find_library("edgetpu") is not None, reason="libedgetpu is installed here"
)
def test_where_the_cpu_is_allowed_a_board_needs_no_libedgetpu(project: Path) -> None:
    write_target(project, 'delegate = "edgetpu"', "allow_cpu = true")
    ran = bench(project, "cpu.tflite")

    assert ran.code in {0, 9}, ran.err
    (entry,) = ran.json["targets"]
    assert "edgetpu" not in entry["runtime"]
    np.save(project / "x.npy", np.ones((1, 4), np.float32))
    answered = kedge("run", "cpu.tflite", "--on", "coral", "--input", "x.npy", cwd=project)
    assert answered.code == 0, answered.err
    assert_refused(bench(project, "tpu.tflite"), 7, "there is no such library on the board")


def test_a_conversion_of_hours_does_not_begin_for_a_board_that_refuses_its_model(
    project: Path,
) -> None:
    write_target(project, 'delegate = "edgetpu"')
    ran = kedge(
        *["convert-and-push", "none.h5", "--data", "none.npz", "--to", "coral", "--out", "out"],
        cwd=project,
    )

    assert_refused(ran, 4, "takes models of edgetpu_compiler only")


def test_a_compiled_model_is_measured_though_this_host_cannot_compute_it(
    project: Path, tmp_path: Path
) -> None:
    """The board's libedgetpu is one that claims every operator and computes nothing."""
    (tmp_path / "lib").mkdir()
    shutil.copy(build_delegate("CLAIMS_ALL"), tmp_path / "lib" / "libedgetpu.so.1")
    write_target(project, 'delegate = "edgetpu"')
    ran = bench(project, "tpu.tflite", LD_LIBRARY_PATH=str(tmp_path / "lib"))

    assert ran.code in (0, 9), ran.err
    (entry,) = ran.json["targets"]
    assert entry["invoke_median_us"] > 0
    assert entry["placement"]["ops"] == {"edgetpu": {"edgetpu-custom-op": 1}}
    parity = entry["parity"]
    assert (parity["verdict"], parity["samples"]) == ("INCONCLUSIVE", 0)
    assert parity["reason"] == "this host cannot compute edgetpu-custom-op"


def test_a_delegate_may_take_operators_that_no_runtime_has(project: Path) -> None:
    (project / "npu.tflite").write_bytes(custom_op_model())
    write_target(project, f'delegate = "{build_delegate("CLAIMS_NOTHING")}"')
    ran = bench(project, "npu.tflite")

    assert_refused(ran, 7, "has no operator their-own", "`delegate`")


def test_a_missing_libedgetpu_is_told_before_anything_is_measured(project: Path) -> None:
    write_target(project, 'delegate = "edgetpu"')
    ran = bench(project, "tpu.tflite")

    assert_refused(ran, 7, "libedgetpu.so.1", "apt-get install libedgetpu1-std")


def test_a_delegate_that_computes_nothing_makes_the_figure_invalid(project: Path) -> None:
    write_target(project, f'delegate = "{build_delegate("CLAIMS_NOTHING")}"')
    ran = bench(project, "cpu.tflite")

    (entry,) = ran.json["targets"]
    assert ran.code == 9, ran.err
    assert entry["verdict"] == "INVALID"
    assert entry["reasons"][0].startswith("silent CPU fallback: libclaims_nothing")
    assert entry["placement"]["ops"] == {"builtin": {"RELU": 1}}


def test_what_a_delegate_computes_is_told_under_its_name(project: Path) -> None:
    library = build_delegate("CLAIMS_ALL")
    write_target(project, f'delegate = "{library}"')
    (entry,) = bench(project, "cpu.tflite").json["targets"]

    name = Path(library).name
    assert entry["placement"]["ops"] == {name: {"RELU": 1}}
    assert f"with {name}" in entry["runtime"]
    assert not any("fallback" in reason for reason in entry["reasons"])


def test_a_delegate_that_aborts_is_a_diagnosis(project: Path) -> None:
    write_target(project, f'delegate = "{build_delegate("ABORTS")}"')

    assert_refused(
        bench(project, "cpu.tflite"), 7, "died in the phase `load the delegate", "aborted"
    )


def test_a_refusal_of_the_runtime_is_overridden_by_force_and_said(
    project: Path,
) -> None:
    (project / "new.tflite").write_bytes(too_new_model())
    write_target(project, 'runtime = "tflite-runtime 2.14.0"')
    assert_refused(kedge("push", "new.tflite", cwd=project), 4, "FULLY_CONNECTED version 12")
    for selection in ("coral", "coral,"):
        ran = kedge("push", "new.tflite", "--to", selection, "--force", "--json", cwd=project)
        assert ran.code == 0, ran.err
        assert "--force overrides: coral cannot load new.tflite" in ran.err.replace(
            f"{project}/", ""
        )
        entry = ran.json if selection == "coral" else ran.json["targets"][0]
        assert "needs a TFLite runtime of 2.17" in entry["overridden"][0]
    staged = kedge("push", "cpu.tflite", "--to", "coral", "--force", "--json", cwd=project)
    assert staged.json["overridden"] == []


def test_a_forced_measurement_carries_what_was_overridden(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file is refused by a release and runs on it, so the refusal is made up."""
    write_target(project)
    refusal = ModelRefusedError("coral cannot load it: made up", "hint", by_runtime=True)
    monkeypatch.setattr("toolkit.admission.admit_to_runtime", raise_error(refusal))
    (target,) = Inventory(project / "kedge.toml").select("coral")
    with pytest.raises(ModelRefusedError):
        bench_model(project / "cpu.tflite", target, BenchSettings(duration_s=0.06, processes=2))
    settings = BenchSettings(duration_s=0.06, processes=2, force=True)
    measurement = bench_model(project / "cpu.tflite", target, settings)
    assert plain_measurement(measurement)["overridden"] == [str(refusal)]
    assert Note(f"--force overrides: {refusal}") in describe_measurement(measurement)


def raise_error(error: Exception) -> Callable[..., None]:
    def refuse(*_: object) -> None:
        raise error

    return refuse
