"""Steps that store numbers in fewer bits after the training: post-training quantization."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar

from converters.data.dataset import CALIBRATION, VALIDATION
from converters.recipe.step import NUMBERS, Step, choice, kept_twice, names, number

#: An improvement is made never, or where the validation samples show that it is one.
NEVER, IF_BETTER = "never", "if_better"


@dataclass(frozen=True)
class PtqW8A8(Step):
    """Post-training quantization to 8 bits: ranges are measured, weights are rounded."""

    kind: ClassVar[str] = "ptq_w8a8"
    phase: ClassVar[str] = NUMBERS
    function: ClassVar[str] = "converters.quantize.ptq:quantize_w8a8"
    uses: ClassVar[tuple[str, ...]] = (CALIBRATION,)
    calibration_samples: int = number(500, 10, 100_000)
    """Samples to measure the ranges on."""
    io: str = choice("int8", "uint8")
    """Type of the file's input and output."""
    calibration: str = choice("minmax", "percentile", "mse")
    """Treatment of outliers: they set the range, or are cut off by their number or where that
    makes the least error."""
    percentile: float = number(99.99, 50.0, 100.0)
    """Percent of the numbers that lie below a range's end, for the calibration "percentile"."""
    equalize: str = choice(NEVER, IF_BETTER)
    """Whether channels of neighbouring layers are brought to one size."""
    bias_correction: str = choice(NEVER, IF_BETTER)
    """Whether the average error of a channel by rounding is subtracted from its bias."""
    keep_float: tuple[str, ...] = names()
    """Layers that compute in floats; * and ? in a name stand for any characters."""
    keep_int16: tuple[str, ...] = names()
    """Layers that get 16-bit activations, where there is such a kernel."""

    def milder(self) -> Step | None:
        """Return a step that keeps 16 bits or floats in the layers that lose most."""
        return MixedW8A8(**asdict(self))

    @property
    def needs(self) -> tuple[str, ...]:
        """Calibration samples; validation samples too if an improvement has to prove itself."""
        improved = IF_BETTER in (self.equalize, self.bias_correction)
        return (*self.uses, VALIDATION) if improved else self.uses

    def misfit(self) -> tuple[str, str]:
        """Return what is wrong if a percentile is set but another calibration is chosen."""
        if self.calibration != "percentile" and self.percentile != 99.99:
            return f"percentile is given, but calibration is {self.calibration!r}", (
                'Write `calibration = "percentile"`.'
            )
        return kept_twice(self.keep_float, self.keep_int16)


@dataclass(frozen=True)
class MixedW8A8(PtqW8A8):
    """Post-training quantization to 8 bits, with 16 bits or floats where 8 lose too much."""

    kind: ClassVar[str] = "mixed_w8a8"
    function: ClassVar[str] = "converters.quantize.mixed:quantize_mixed"
    uses: ClassVar[tuple[str, ...]] = (CALIBRATION, VALIDATION)
    max_drop: float = number(0.01, 0.0, 1.0)
    """Accuracy that may be lost on the validation samples, 0-1."""

    def milder(self) -> Step | None:
        """Return None: no step lies between some layers in floats and all layers in floats."""
        return None

    @property
    def needs(self) -> tuple[str, ...]:
        """Calibration and validation samples."""
        return self.uses


@dataclass(frozen=True)
class PtqW8A16(Step):
    """Post-training quantization to 8-bit weights and 16-bit activations, inputs and outputs."""

    kind: ClassVar[str] = "ptq_w8a16"
    phase: ClassVar[str] = NUMBERS
    function: ClassVar[str] = "converters.quantize.ptq:quantize_w8a16"
    uses: ClassVar[tuple[str, ...]] = (CALIBRATION,)
    calibration_samples: int = number(500, 10, 100_000)
    """Samples to measure the ranges on."""


@dataclass(frozen=True)
class PtqF16(Step):
    """Weights stored as 16-bit floats; the file computes in 32 bits."""

    kind: ClassVar[str] = "ptq_f16"
    phase: ClassVar[str] = NUMBERS
    function: ClassVar[str] = "converters.quantize.ptq:store_f16"


@dataclass(frozen=True)
class PtqDynamic(Step):
    """Weights stored in 8 bits; activations are rounded while the model runs."""

    kind: ClassVar[str] = "ptq_dynamic"
    phase: ClassVar[str] = NUMBERS
    function: ClassVar[str] = "converters.quantize.ptq:quantize_dynamic"


@dataclass(frozen=True)
class PtqWeightOnly(Step):
    """Weights stored in 8 bits, which become floats again when the file is loaded."""

    kind: ClassVar[str] = "ptq_weight_only"
    phase: ClassVar[str] = NUMBERS
    function: ClassVar[str] = "converters.quantize.ptq:store_int8"
