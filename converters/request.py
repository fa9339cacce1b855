"""What a user asks of a conversion."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

#: How the 0-255 of an image file is brought to what the model was trained on: (factor, offset).
UNSCALED = "0..255"
IMAGE_RANGES: dict[str, tuple[float, float]] = {
    UNSCALED: (1.0, 0.0),
    "0..1": (1 / 255, 0.0),
    "-1..1": (1 / 127.5, -1.0),
}

_PATHS = ("model", "data", "out", "cache", "logs")


@dataclass(frozen=True)
class ConversionRequest:
    """One requested conversion."""

    model: Path
    """Keras file (.h5, .keras) or SavedModel folder."""
    data: Path
    """.npz, folder of images, or .tar(.gz) of such a folder."""
    recipe: str
    """Name of a built-in recipe, or the path of a TOML file."""
    out: Path
    """Folder for the model file, conversion.json and golden.npz; made if absent."""
    seed: int = 0
    """Decides every random choice; 0 or more."""
    image_range: str = "0..255"
    """How images of an image folder are scaled before the model sees them; a key of `IMAGE_RANGES`.
    Arrays of an .npz are fed as they are."""
    max_drop: float | None = None
    """Accuracy that the file may lose against the model, 0-1; None for any."""
    judge_all: bool = False
    """Whether the training and the validation samples are judged too, not the test samples alone:
    for a comparison of recipes."""
    judge_test: bool = True
    """Whether the test samples are judged. A search judges them at its end, by `judge_on_test`;
    until then it judges the others, so that False needs `judge_all`."""
    cache: Path | None = None
    """Folder where finished steps are kept, so that they need not be done again; None for nowhere.
    """
    measured_on: str = ""
    """Place where latency is measured, in words: steps that go by latency go by that place."""
    logs: Path | None = None
    """Folder for the figures of each epoch, for TensorBoard; None for none."""
    keep_keras: bool = False
    """Whether the trained Keras model is put beside the .tflite."""

    format: str = "tflite"
    """Format of the file: "tflite", "onnx", "both", or "tensorrt" (an .onnx for TensorRT)."""

    @property
    def picture_folders(self) -> tuple[Path, Path]:
        """Folders in which a model.toml may declare how pictures come to the model."""
        return self.out, self.model.parent

    def to_json(self) -> str:
        """Return the request as one line of JSON."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> ConversionRequest:
        """Return the request that `to_json` wrote."""
        fields = json.loads(text)
        fields |= {name: Path(fields[name]) for name in _PATHS if fields[name] is not None}
        return cls(**fields)

    def absolute(self) -> ConversionRequest:
        """Return the request with absolute paths: the child runs in another folder."""
        return replace(
            self,
            model=self.model.absolute(),
            data=self.data.absolute(),
            out=self.out.absolute(),
            cache=self.cache and self.cache.absolute(),
            logs=self.logs and self.logs.absolute(),
            recipe=str(Path(self.recipe).absolute()) if self.recipe_file else self.recipe,
        )

    @property
    def recipe_file(self) -> str:
        """Name of the user's recipe file without its suffix; "" for a built-in recipe."""
        path = Path(self.recipe)
        return path.stem if path.suffix == ".toml" or path.name != self.recipe else ""
