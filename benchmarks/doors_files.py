"""Public files of benchmarks/doors.py: of packages on PyPI, and of networks as torchvision has."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

#: Package and version to the files in its wheel.
_PACKAGES = {
    "rapidocr_onnxruntime==1.4.4": (
        "ch_ppocr_mobile_v2.0_cls_infer.onnx",
        "ch_PP-OCRv4_det_infer.onnx",
        "ch_PP-OCRv4_rec_infer.onnx",
    ),
    "mediapipe==0.10.14": ("iris_landmark.tflite", "hand_recrop.tflite"),
}
#: Sizes that files leave open.
_SHAPES = {
    "ch_ppocr_mobile_v2.0_cls_infer.onnx": (1, 3, 48, 192),
    "ch_PP-OCRv4_det_infer.onnx": (1, 3, 160, 160),
    "ch_PP-OCRv4_rec_infer.onnx": (1, 3, 48, 160),
}
#: Files of the table, in its order.
FILES = (
    "ch_ppocr_mobile_v2.0_cls_infer.onnx",
    "ch_PP-OCRv4_det_infer.onnx",
    "ch_PP-OCRv4_rec_infer.onnx",
    "iris_landmark.tflite",
    "hand_recrop.tflite",
    "mobilenet_v3_small.pt2",
    "resnet18.pt2",
    "resnet18.onnx",
    "efficientnet_b0.pt2",
    "transformer.pt2",
    "lstm.pt2",
    "gru.pt2",
)


def fetch_files(folder: Path) -> None:
    """Download and make the files that are not there yet; fix the sizes that they leave open."""
    folder.mkdir(parents=True, exist_ok=True)
    for package, names in _PACKAGES.items():
        if all((folder / name).is_file() for name in names):
            continue
        wheels = folder / "wheels"
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
        subprocess.run([*pip, str(wheels), package], check=True)
        name = package.partition("==")[0]
        with zipfile.ZipFile(next(wheels.glob(f"{name}-*.whl"))) as wheel:
            for member in wheel.namelist():
                if Path(member).name in names:
                    (folder / Path(member).name).write_bytes(wheel.read(member))
    for name, shape in _SHAPES.items():
        _fix_sizes(folder / name, shape)
    subprocess.run([sys.executable, "-m", "benchmarks.doors_networks", str(folder)], check=True)


def _fix_sizes(path: Path, shape: tuple[int, ...]) -> None:
    import onnx

    model = onnx.load(str(path))
    axes = model.graph.input[0].type.tensor_type.shape.dim
    if [axis.dim_value for axis in axes] == list(shape):
        return
    for axis, size in zip(axes, shape, strict=True):
        axis.Clear()
        axis.dim_value = size
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    for inner in list(model.graph.value_info):
        model.graph.value_info.remove(inner)
    onnx.save(onnx.shape_inference.infer_shapes(model), str(path))
