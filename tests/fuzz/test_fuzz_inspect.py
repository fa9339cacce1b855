"""Damaged .tflite files against `kedge inspect` in one process: refused, never crashed or slow.

KEDGE_FUZZ_CASES=10000 runs more of them than a check does.
"""

import os
import random
import struct
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from converters.errors import ConversionError
from converters.inspection import quantization_coverage
from converters.tflite.contract import foreign_ops, minimum_runtime, refusals
from converters.tflite.edgetpu.placement import predict_placement
from converters.tflite.inspection import tflite_figures
from converters.tflite.reader import read_model
from tests.dense_model import dense_model
from tests.stateful_model import counter_model
from tests.tiny_model import custom_op_model, relu_model
from toolkit.report.inspection import describe_placement, describe_totals, plain_operator

CASES = int(os.environ.get("KEDGE_FUZZ_CASES", "300"))
MODELS = Path(__file__).parents[3] / "shared" / "models"
#: Sizes, offsets and counts that a reader may stumble over.
NUMBERS = (0, 1, 2, 4, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFC)
SLOWEST_S = 10.0


@cache
def seeds() -> tuple[bytes, ...]:
    small = ("mlperf_tiny_ic_int8.tflite", "keras_lstm_mnist_ptq.tflite")
    real = [MODELS / name for name in (*small, "model_invoking_error.tflite")]
    made = (relu_model(), counter_model(), custom_op_model(), dense_model())
    return (*made, *(path.read_bytes() for path in real if path.is_file()))


def damage(random_: random.Random, originals: Sequence[bytes] = ()) -> Iterator[bytes]:
    """Yield files with bytes, offsets and lengths changed, pieces copied, or the end cut off."""
    while True:
        content = bytearray(random_.choice(originals or seeds()))
        for _ in range(random_.choice((1, 1, 2, 3, 8, 40))):
            place = random_.randrange(8, len(content) - 4)
            way = random_.randrange(6)
            if way == 0:
                content[place] ^= 1 << random_.randrange(8)
            elif way == 1:
                content[place] = random_.randrange(256)
            elif way == 2:
                struct.pack_into("<I", content, place & ~3, random_.choice(NUMBERS))
            elif way == 3:  # points back or forth, perhaps at itself
                struct.pack_into("<i", content, place & ~3, random_.randrange(-place, len(content)))
            elif way == 4:
                source, size = random_.randrange(len(content)), random_.randrange(1, 64)
                content[place : place + size] = content[source : source + size]
                content += bytes(8)
            else:
                del content[max(64, len(content) - random_.randrange(1, 200)) :]
        yield bytes(content)


def inspect(path: Path) -> bool:
    """Do all that the command does with a file; return whether it was accepted."""
    try:
        model = read_model(path)
        figures = tflite_figures(path)
        minimum_runtime(model), foreign_ops(model)
        refusals(model.operators, "tflite-runtime", "2.14")
        describe_totals(figures, quantization_coverage(figures))
        assert all(plain_operator(operator)["op"] is not None for operator in figures.operators)
        describe_placement(predict_placement(path))
    except ConversionError as error:
        assert str(path) in str(error)
        assert error.exit_code == 4
        return False
    return True


def test_a_damaged_file_is_refused_or_shown(tmp_path: Path) -> None:
    path = tmp_path / "damaged.tflite"
    files = damage(random.Random(12))
    accepted = 0
    for _ in range(CASES):
        content = next(files)
        path.write_bytes(content)
        begin = time.monotonic()
        accepted += inspect(path)
        assert time.monotonic() - begin < SLOWEST_S
    assert 0 < accepted < CASES


def test_memory_stays_within_ten_times_the_file(tmp_path: Path) -> None:
    path = tmp_path / "damaged.tflite"
    files = damage(random.Random(34))
    inspect_seed = tmp_path / "seed.tflite"
    inspect_seed.write_bytes(seeds()[0])
    inspect(inspect_seed)
    for _ in range(CASES // 10):
        content = next(files)
        path.write_bytes(content)
        tracemalloc.start()
        inspect(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 100e6 + 10 * len(content)
