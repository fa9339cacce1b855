"""A conversion: a model file and the evidence about it, in memory and as conversion.json."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from converters import durable
from converters.digest import sha256_of
from converters.errors import ConversionError
from converters.evidence.field_types import check_field_types
from converters.evidence.other_file import ONNX_NAME, FormatParity, OtherFile
from converters.evidence.plain_fields import (
    read_accuracy,
    read_attempt,
    read_budget,
    read_cost,
    read_figures,
    read_interval_of,
    read_metric,
    read_other_file,
    read_spec,
)
from converters.judge.budget import Attempt, Budget
from converters.judge.metric import MetricFigures
from converters.judge.paired import Drop
from converters.judge.score import Accuracy, Score
from converters.model_file import Cost
from converters.out_folder import read_together
from converters.tensor_spec import TensorSpec
from device_agent.contract.codes import IntegrityError

SCHEMA = 1
#: Most bytes of conversion.json; one of 12 steps with every epoch has 0.1 MB.
_MOST_BYTES = 64 * 2**20
MODEL_NAME = "model.tflite"
GOLDEN_NAME = "golden.npz"
CONVERSION_NAME = "conversion.json"
#: Name of the trained Keras model, where the user requested it.
KERAS_NAME = "model.keras"


@dataclass(frozen=True)
class Split:
    """Samples with one use."""

    name: str
    """"train", "validation", "calibration" or "test"."""
    samples: int
    """Number of samples."""
    origin: str
    """Origin of the samples, in words."""
    use: str = ""
    """Use of the samples, in words."""


@dataclass(frozen=True)
class StepRecord:
    """Record of one step that was done."""

    kind: str
    """Kind of the step, as the recipe writes it."""
    seconds: float
    """Time of the step, seconds."""
    found: Mapping[str, Any]
    """Findings of the step, such as the share of zeros that it left."""
    cached: bool = False
    """Whether it was done by an earlier conversion; its seconds are of then."""
    validation_drop: float | None = None
    """Accuracy lost up to here on the validation samples, 0-1; None where only the file can tell,
    or nothing trains."""


@dataclass(frozen=True)
class Conversion:
    """A model file that was written, and everything that is known about it."""

    model: Path
    """The model file; beside it conversion.json."""
    model_sha256: str
    """Digest of the model file."""
    model_bytes: int
    """Its size."""
    recipe: str
    """Name that decodes to the steps, such as "qat_w8a8"."""
    recipe_steps: tuple[Mapping[str, Any], ...]
    """The steps with every value used, in order."""
    seed: int
    """Seed of every random choice."""
    source: str
    """Path of the original model, absolute."""
    source_sha256: str
    """Digest of the original model."""
    source_bytes: int
    """Size of the original model."""
    data: str
    """Path of the data, absolute."""
    data_sha256: str
    """Digest of the data; for a folder, of its sorted relative names and contents."""
    splits: tuple[Split, ...]
    """Samples by their use; none is in two of them."""
    versions: Mapping[str, str]
    """Package to version, for all packages that a conversion uses."""
    float_accuracy: Accuracy | None
    """Accuracy of the original model on the test samples; None if the task is no classification."""
    accuracy: Accuracy | None
    """Accuracy of the file on the test samples; None if the task is no classification."""
    inputs: tuple[TensorSpec, ...]
    """The file's inputs."""
    outputs: tuple[TensorSpec, ...]
    """The file's outputs."""
    warnings: tuple[str, ...] = ()
    """Warnings for the user; one sentence each."""
    golden: Path | None = None
    """Real held-out inputs for a comparison on the board, or None."""
    image_range: str = ""
    """Range of the pictures: `image_range` of `converters.request.ConversionRequest`."""
    step_records: tuple[StepRecord, ...] = ()
    """Records of the steps, in order."""
    scores: tuple[Score, ...] = ()
    """Scores of the model and of the file, on each split that was judged."""
    drops: tuple[Drop, ...] = ()
    """Drops of accuracy from the model to the file, on each of these splits."""
    cost: Cost | None = None
    """Cost of the file, counted from it; None in old files."""
    budget: Budget | None = None
    """The accuracy that it may lose, if one was set."""
    attempts: tuple[Attempt, ...] = ()
    """Attempts to keep the budget, the requested recipe first; empty without a budget."""
    task: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the recipe about the task; empty without any."""
    metric: MetricFigures | None = None
    """The figures of a task that is no classification; None for one, and where there are several
    outputs."""
    output_figures: tuple[MetricFigures, ...] = ()
    """Figures of each of several outputs; empty for a single one. With several outputs the
    accuracies are None, and there are drops for each output."""
    sandbox: str = ""
    """Limits of the process that converted, or reason for having none; "" in old files."""
    source_weight_bytes: int | None = None
    """Size of the original model's weights as they are computed with; None where that is not
    known. The file may also hold what training needs."""
    recipe_file: str = ""
    """Name of the user's recipe file without its suffix; "" for a built-in recipe."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Name of each other file beside the .tflite to its digest; without model.toml, which users
    edit."""
    evidence_sha256: str = ""
    """Digest of the request and of all other fields of conversion.json: an equal request whose
    evidence has this digest is not converted again. "" where code of the user's own decides."""
    input_rounding: Drop | None = None
    """Loss of the original model on test samples that are rounded as the inputs of the file round
    them; None where the rounding changes none of these samples."""
    data_axes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Name of each input, "" for a single one, to the axes of the user's arrays without the batch
    axis, in the order of the file's input; inputs of one order are missing."""
    other_files: tuple[OtherFile, ...] = ()
    """The .onnx beside a .tflite, where both formats were requested."""
    format_parity: FormatParity | None = None
    """Differences between the answers of the .onnx and of the .tflite; None where no .onnx was
    written."""
    schema: int = field(default=SCHEMA)
    """Version of conversion.json."""

    @property
    def model_files(self) -> tuple[Path, ...]:
        """The files of all formats, the one that the evidence is about first."""
        return (self.model, *(self.model.with_name(other.name) for other in self.other_files))

    @property
    def recipe_label(self) -> str:
        """Name of the recipe for a person, with its steps where it is from the user's file."""
        return f"{self.recipe_file} ({self.recipe})" if self.recipe_file else self.recipe


def write_conversion(conversion: Conversion, request_sha256: str = "") -> Path:
    """Write conversion.json beside the model, with paths relative to that folder.

    Args:
        conversion: The conversion.
        request_sha256: Digest of all that decided it; "" where it is not to be found again.

    Raises:
        HostDiskError: The disk is full or read-only.
    """
    plain = plain_evidence(conversion)
    plain["evidence_sha256"] = _evidence_digest(plain, request_sha256)
    path = conversion.model.parent / CONVERSION_NAME
    durable.write(path, (json.dumps(plain, indent=2) + "\n").encode())
    return path


def plain_evidence(conversion: Conversion) -> dict[str, Any]:
    """Return the content of conversion.json, which names its files without their folder."""
    plain = asdict(conversion)
    plain["model"] = conversion.model.name
    plain["golden"] = None if conversion.golden is None else conversion.golden.name
    return plain


def models_in(folder: Path) -> list[Path]:
    """Return the model files of the folder of a conversion; that of the .tflite where none is."""
    paths = [folder / name for name in (MODEL_NAME, ONNX_NAME)]
    return [path for path in paths if path.is_file()] or paths[:1]


def recipe_of_file(model: Path, sha256: str) -> str:
    """Return the recipe by which a file was converted, for a person.

    Args:
        model: File that may have a conversion.json beside it.
        sha256: Digest of the file.

    Returns:
        Name of the recipe; "" where no conversion.json beside it is about this file.
    """
    try:
        plain = _read_object(model.parent / CONVERSION_NAME)
    except ConversionError:
        return ""
    digests = [plain.get("model_sha256")]
    others = plain.get("other_files")
    digests += (
        [each.get("sha256") for each in others if isinstance(each, dict)]
        if isinstance(others, list)
        else []
    )
    if sha256 not in digests or not isinstance(plain.get("recipe"), str):
        return ""
    own, steps = plain.get("recipe_file"), str(plain["recipe"])
    return f"{own} ({steps})" if own else steps


def is_unchanged(folder: Path, request_sha256: str) -> bool:
    """Whether conversion.json is of this very request, and nothing beside it was changed.

    Args:
        folder: Folder of a conversion that `read_conversion` reads.
        request_sha256: Digest of all that decides a conversion.
    """
    plain = _read_object(folder / CONVERSION_NAME)
    digest, files = plain.get("evidence_sha256"), plain.get("files")
    if not digest or digest != _evidence_digest(plain, request_sha256):
        return False
    assert isinstance(files, dict)
    paths = {folder / Path(name).name: sha256 for name, sha256 in files.items()}
    return all(path.is_file() and sha256_of(path) == sha256 for path, sha256 in paths.items())


def _evidence_digest(plain: Mapping[str, Any], request_sha256: str) -> str:
    if not request_sha256:
        return ""
    others = {name: value for name, value in plain.items() if name != "evidence_sha256"}
    content = json.dumps([request_sha256, others], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def read_conversion(folder: Path) -> Conversion:
    """Read conversion.json and check that it is about the model beside it.

    Args:
        folder: Folder of `kedge convert --out`.

    Raises:
        ConversionError: There is no conversion, it is damaged, or a newer kedge wrote it.
        IntegrityError: The model is not the one that the evidence is about, or a conversion died
            while it replaced the files.
    """
    with read_together(folder):
        return _read_conversion(folder)


def _read_conversion(folder: Path) -> Conversion:
    path = folder / CONVERSION_NAME
    conversion = parse_evidence(_read_object(path), folder, str(path))
    _check_digest(conversion)
    return conversion


def parse_evidence(plain: dict[str, Any], folder: Path, place: str) -> Conversion:
    """Read the content of a conversion.json; the model file itself is not looked at.

    Args:
        plain: Object of conversion.json.
        folder: Folder of the files that it names.
        place: Place of the evidence, for messages.

    Raises:
        ConversionError: The evidence is damaged, or a newer kedge wrote it.
    """
    schema = plain.get("schema")
    if not isinstance(schema, int) or schema > SCHEMA:
        raise ConversionError(
            f"{place}: has schema {schema!r}, this kedge reads up to {SCHEMA}",
            "Update kedge, or convert the model again.",
        )
    try:
        conversion = _from_plain(plain, folder)
        check_field_types(conversion)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConversionError(
            f"{place}: a field is missing or has the wrong form: {error}",
            "Convert the model again.",
        ) from error
    return conversion


def _read_object(path: Path) -> dict[str, Any]:
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for without end
            raise ValueError("it is no regular file")
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES} bytes")
        plain = json.loads(text)
    except FileNotFoundError as error:
        raise ConversionError(
            f"{path}: not found", "Convert a model into this folder with `kedge convert`"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ConversionError(f"{path}: cannot be read: {error}", "Convert again.") from error
    if not isinstance(plain, dict):
        raise ConversionError(f"{path}: does not hold a JSON object", "Convert the model again.")
    return plain


def _from_plain(plain: dict[str, Any], folder: Path) -> Conversion:
    golden = plain["golden"]
    field_names = Conversion.__dataclass_fields__
    fields = {name: value for name, value in plain.items() if name in field_names}
    fields |= {
        "model": folder / Path(plain["model"]).name,
        "golden": None if golden is None else folder / Path(golden).name,
        "recipe_steps": tuple(plain["recipe_steps"]),
        "splits": tuple(Split(**split) for split in plain["splits"]),
        "float_accuracy": read_accuracy(plain["float_accuracy"]),
        "accuracy": read_accuracy(plain["accuracy"]),
        "inputs": tuple(read_spec(spec) for spec in plain["inputs"]),
        "outputs": tuple(read_spec(spec) for spec in plain["outputs"]),
        "warnings": tuple(plain["warnings"]),
        # What older files do not have yet.
        "step_records": tuple(StepRecord(**r) for r in plain.get("step_records", ())),
        "scores": tuple(read_interval_of(Score, s) for s in plain.get("scores", ())),
        "drops": tuple(read_interval_of(Drop, d) for d in plain.get("drops", ())),
        "input_rounding": plain.get("input_rounding")
        and read_interval_of(Drop, plain["input_rounding"]),
        "cost": read_cost(plain.get("cost")),
        "budget": read_budget(plain.get("budget")),
        "attempts": tuple(read_attempt(a) for a in plain.get("attempts", ())),
        "metric": read_metric(plain.get("metric")),
        "output_figures": tuple(read_figures(one) for one in plain.get("output_figures", ())),
        "other_files": tuple(map(read_other_file, plain.get("other_files", ()))),
        "format_parity": plain.get("format_parity") and FormatParity(**plain["format_parity"]),
        "data_axes": {name: tuple(axes) for name, axes in plain.get("data_axes", {}).items()},
    }
    return Conversion(**fields)


def _check_digest(conversion: Conversion) -> None:
    if not conversion.model.is_file():
        raise IntegrityError(
            f"{conversion.model}: not found, though {CONVERSION_NAME} beside it is about it",
            "Convert the model again.",
        )
    digest = sha256_of(conversion.model)
    if digest != conversion.model_sha256:
        raise IntegrityError(
            f"{conversion.model}: has digest {digest[:12]}, its {CONVERSION_NAME} is about "
            f"{conversion.model_sha256[:12]}",
            "Convert the model again, or restore the file that was converted.",
        )
