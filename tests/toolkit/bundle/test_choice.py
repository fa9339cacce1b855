"""The variant for a board, and the reason against each other one, in words that name what lacks."""

from dataclasses import replace

import pytest

from device_agent.contract.facts import Accelerator, Facts
from device_agent.contract.manifest import Manifest, Needs, Variant
from targets.execution import Execution
from targets.runtimes.release import RuntimeChoice
from tests.toolkit.bundle.small_bundle import DIGESTS, small_manifest
from toolkit.bundle.choice import BoardAbility, choose_variant

LITERT = RuntimeChoice("tflite", "ai-edge-litert", "2.3.0", ())
OLD = RuntimeChoice("tflite", "tflite-runtime", "2.14.0", ())
FACTS = Facts(machine="aarch64", memory_bytes=1 << 30)
STICK = Accelerator("edgetpu-usb", "/dev/bus/usb/1/2", True, "ready")
UNUSABLE = replace(STICK, usable=False, state="no driver")
CPU = BoardAbility(FACTS, Execution(), {"tflite": LITERT})
TPU = BoardAbility(
    replace(FACTS, accelerators=(STICK,)), Execution(delegate="edgetpu"), {"tflite": OLD}
)


def manifest_of(**needs: Needs) -> Manifest:
    variants = [
        Variant(name, "tflite", "model.tflite", dict(DIGESTS), need) for name, need in needs.items()
    ]
    return replace(small_manifest(), variants=variants)


BOTH = manifest_of(edgetpu_int8=Needs(accelerator="edgetpu"), cpu_int8=Needs())


def test_the_first_that_fits_is_chosen() -> None:
    chosen = choose_variant(manifest_of(cpu_int8=Needs(), cpu_float=Needs()), CPU)
    assert chosen.variant is not None
    assert chosen.variant.name == "cpu_int8"
    assert chosen.refusals == {}


def test_an_edge_tpu_gets_what_is_compiled_for_it_and_a_cpu_the_other() -> None:
    on_cpu, on_tpu = choose_variant(BOTH, CPU), choose_variant(BOTH, TPU)
    assert on_cpu.variant is not None
    assert on_tpu.variant is not None
    assert (on_cpu.variant.name, on_tpu.variant.name) == ("cpu_int8", "edgetpu_int8")
    assert "the board has none" in on_cpu.reason
    assert "allow_cpu" in on_tpu.reason


@pytest.mark.parametrize(
    ("needs", "board", "words"),
    [
        (Needs(architectures=["armv7l"]), CPU, "for armv7l, the board is aarch64"),
        (Needs(accelerator="npu"), CPU, "'npu'"),
        (
            Needs(accelerator="edgetpu"),
            replace(CPU, facts=TPU.facts),
            'does not say delegate = "edgetpu"',
        ),
        (Needs(accelerator="edgetpu"), replace(TPU, facts=FACTS), "reports none"),
        (
            Needs(accelerator="edgetpu"),
            replace(
                TPU,
                facts=replace(
                    FACTS, accelerators=(replace(STICK, usable=False, state="no driver"),)
                ),
            ),
            "not usable: no driver",
        ),
        (
            Needs(ops={"FULLY_CONNECTED": 12}, runtimes={"tflite-runtime": "2.17"}),
            replace(CPU, runtimes={"tflite": OLD}),
            "FULLY_CONNECTED version 12 needs a TFLite runtime of 2.17, tflite-runtime is 2.14.0",
        ),
        (
            Needs(runtimes={"tflite-runtime": "2.17"}),
            replace(CPU, runtimes={"tflite": OLD}),
            "needs tflite-runtime 2.17 or newer, the board has 2.14.0",
        ),
        (
            Needs(runtimes={"onnxruntime": "1.2"}),
            CPU,
            "needs onnxruntime 1.2, the board has ai-edge-litert 2.3.0",
        ),
        (
            Needs(),
            replace(CPU, runtimes={"tflite": "no TFLite runtime loads"}),
            "no TFLite runtime",
        ),
        (Needs(), replace(CPU, runtimes={}), "no format 'tflite'"),
        (Needs(memory_bytes=2 << 30), CPU, "needs 2048.0 MiB of memory, the board has 1024.0 MiB"),
        (
            Needs(memory_bytes=900 << 20),
            replace(CPU, facts=replace(FACTS, memory_limit_bytes=512 << 20)),
            "the board has 512.0 MiB",
        ),
    ],
)
def test_a_variant_that_does_not_fit_says_why(
    needs: Needs, board: BoardAbility, words: str
) -> None:
    choice = choose_variant(manifest_of(only=needs), board)
    assert choice.variant is None
    assert words in choice.refusals["only"][0]


def test_force_overrides_the_release_of_a_runtime_and_nothing_else() -> None:
    new = Needs(ops={"FULLY_CONNECTED": 12})
    board = replace(CPU, runtimes={"tflite": OLD})
    manifest = manifest_of(tpu=Needs(accelerator="edgetpu", ops=new.ops), cpu_int8=new)
    choice = choose_variant(manifest, board, force=True)
    assert choice.variant is not None
    assert choice.variant.name == "cpu_int8"
    assert "needs a TFLite runtime of 2.17" in choice.overridden[0]

    fitting = choose_variant(manifest_of(newer=new, older=Needs()), board, force=True)
    assert fitting.variant is not None
    assert (fitting.variant.name, fitting.overridden) == ("older", ())
    for other in (
        replace(new, architectures=["armv7l"]),
        replace(new, memory_bytes=2 << 30),
        replace(new, accelerator="edgetpu"),
    ):
        assert choose_variant(manifest_of(only=other), board, force=True).variant is None
    without = replace(CPU, runtimes={"tflite": "no TFLite runtime loads"})
    assert choose_variant(manifest_of(only=new), without, force=True).variant is None


@pytest.mark.parametrize(
    "runtime",
    [
        replace(OLD, version="unknown"),
        RuntimeChoice("tflite", "board:tflite-runtime", "2.19.0", ()),
        RuntimeChoice("tflite", "board:tflite-runtime", "2.17-odd-vendor", ()),
    ],
)
def test_what_only_a_trial_can_show_is_no_refusal(runtime: RuntimeChoice) -> None:
    needs = Needs(ops={"FULLY_CONNECTED": 12}, runtimes={"tflite-runtime": "2.17"})
    board = replace(CPU, runtimes={"tflite": runtime})
    assert choose_variant(manifest_of(only=needs), board).variant is not None


def test_of_two_formats_a_board_gets_the_first_for_which_it_has_a_runtime() -> None:
    manifest = manifest_of(cpu_int8=Needs(), cpu_int8_onnx=Needs(ops={"Conv": 13, "ONNX IR": 8}))
    variants = [manifest.variants[0], replace(manifest.variants[1], format="onnx")]
    manifest = replace(manifest, variants=variants)
    onnx = RuntimeChoice("onnx", "onnxruntime", "1.32.0", ())
    both = replace(CPU, runtimes={"tflite": LITERT, "onnx": onnx})
    only_onnx = replace(CPU, runtimes={"tflite": "no runtime loads", "onnx": onnx})
    neither = replace(CPU, runtimes={"tflite": "no TFLite runtime", "onnx": "no ONNX runtime"})

    names = [choose_variant(manifest, board).variant for board in (both, only_onnx, neither)]

    assert [variant and variant.name for variant in names] == ["cpu_int8", "cpu_int8_onnx", None]
    assert "no ONNX runtime" in choose_variant(manifest, neither).reason


def test_an_onnx_of_newer_operators_than_the_release_knows_is_left_out() -> None:
    manifest = manifest_of(cpu_float_onnx=Needs(ops={"Gelu": 20, "ONNX IR": 10}))
    manifest = replace(manifest, variants=[replace(manifest.variants[0], format="onnx")])
    old = RuntimeChoice("onnx", "onnxruntime", "1.16.3", ())
    chosen = choose_variant(manifest, replace(CPU, runtimes={"onnx": old}))

    assert chosen.variant is None
    assert "onnxruntime is 1.16.3" in chosen.reason
