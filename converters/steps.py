"""The steps that a recipe may have: what each can be told, and which function does it.

A step is a frozen dataclass whose fields carry what they may be. A new technique adds its class and
its line in `STEP_KINDS`; nothing else needs to know of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from converters.dataset import CALIBRATION, TRAIN

#: What a step changes; `converters.recipe` knows which may follow which.
SHAPE = "shape"
TRAINING = "training"
WEIGHTS = "weights"
NUMBERS = "numbers"

#: Patterns in which weights become zero; blocks are rows x columns of a kernel seen as a matrix.
SINGLE = "single"
TWO_OF_FOUR = "2:4"
BLOCKS = ("1x4", "4x1", "4x4", "1x16", "16x1")


def number(default: Any, low: float, high: float) -> Any:
    """A field that takes a number of the default's type, from `low` to `high`."""
    return field(default=default, metadata={"low": low, "high": high})


def choice(default: str, *others: str) -> Any:
    """A field that takes one of these words."""
    return field(default=default, metadata={"choices": (default, *others)})


@dataclass(frozen=True)
class Step:
    """One step of a recipe.

    Class attributes:
        kind: What it is called in a recipe.
        phase: What it changes: `SHAPE`, `TRAINING`, `WEIGHTS` or `NUMBERS`.
        function: `module:name` of a `converters.draft.Technique`; imported when the step is done,
            as TensorFlow's add-ons take seconds.
        uses: The samples it draws on: `TRAIN`, `CALIBRATION`.
        trains: Whether it trains, which only a model of tf-keras layers can be.
    """

    kind: ClassVar[str]
    phase: ClassVar[str]
    function: ClassVar[str]
    uses: ClassVar[tuple[str, ...]] = ()
    trains: ClassVar[bool] = False

    @property
    def label(self) -> str:
        """Its part of the recipe's name."""
        return self.kind

    def misfit(self) -> tuple[str, str]:
        """Two values that do not go together and what to write instead; empty if all do."""
        return "", ""


@dataclass(frozen=True)
class PtqW8A8(Step):
    """Post-training quantization to 8 bits: ranges are measured, weights are rounded.

    Attributes:
        calibration_samples: Samples to measure the ranges on.
        io: Type of the file's input and output.
    """

    kind: ClassVar[str] = "ptq_w8a8"
    phase: ClassVar[str] = NUMBERS
    function: ClassVar[str] = "converters.quantize.ptq:quantize_w8a8"
    uses: ClassVar[tuple[str, ...]] = (CALIBRATION,)
    calibration_samples: int = number(500, 10, 100_000)
    io: str = choice("int8", "uint8")


@dataclass(frozen=True)
class PtqW8A16(Step):
    """The same with activations of 16 bits; inputs and outputs are int16.

    Attributes:
        calibration_samples: Samples to measure the ranges on.
    """

    kind: ClassVar[str] = "ptq_w8a16"
    phase: ClassVar[str] = NUMBERS
    function: ClassVar[str] = "converters.quantize.ptq:quantize_w8a16"
    uses: ClassVar[tuple[str, ...]] = (CALIBRATION,)
    calibration_samples: int = number(500, 10, 100_000)


@dataclass(frozen=True)
class PtqF16(Step):
    """Weights are stored as 16-bit floats; the file computes in 32 bits where nothing else is."""

    kind: ClassVar[str] = "ptq_f16"
    phase: ClassVar[str] = NUMBERS
    function: ClassVar[str] = "converters.quantize.ptq:store_f16"


@dataclass(frozen=True)
class PtqDynamic(Step):
    """Weights are stored in 8 bits, activations are rounded while the model runs."""

    kind: ClassVar[str] = "ptq_dynamic"
    phase: ClassVar[str] = NUMBERS
    function: ClassVar[str] = "converters.quantize.ptq:quantize_dynamic"


@dataclass(frozen=True)
class PruneChannels(Step):
    """Channel pruning: whole channels are taken out, in one go; training has to follow.

    One of the three ratios is given; where somebody measures latency, it decides between choices
    that are alike otherwise.

    Attributes:
        macs_ratio: Share of the multiply-accumulates that is to be left, 0-1; 0 if not given.
        parameters_ratio: The same of the parameters.
        latency_ratio: The same of the latency.
        importance: Channels go by how much the loss would change without them (Taylor), or by the
            norm of their weights.
        scope: Channels go where they matter least, or alike in all layers.
        multiple: The channels left in a layer are a multiple of this, as kernels compute so many at
            a time.
    """

    kind: ClassVar[str] = "channels"
    phase: ClassVar[str] = SHAPE
    function: ClassVar[str] = "converters.prune_channels.technique:prune"
    uses: ClassVar[tuple[str, ...]] = (TRAIN,)
    trains: ClassVar[bool] = True
    macs_ratio: float = number(0.0, 0.01, 0.99)
    parameters_ratio: float = number(0.0, 0.01, 0.99)
    latency_ratio: float = number(0.0, 0.01, 0.99)
    importance: str = choice("taylor", "l1", "l2")
    scope: str = choice("global", "uniform")
    multiple: int = number(8, 1, 256)

    @property
    def ratios(self) -> dict[str, float]:
        """What is given, by what it is a share of."""
        every = {
            "macs": self.macs_ratio,
            "parameters": self.parameters_ratio,
            "latency": self.latency_ratio,
        }
        return {of: ratio for of, ratio in every.items() if ratio}

    @property
    def of(self) -> str:
        """Of what a share is to be left: "macs", "parameters" or "latency"."""
        return next(iter(self.ratios))

    @property
    def ratio(self) -> float:
        """The share that is to be left, 0-1."""
        return self.ratios[self.of]

    @property
    def label(self) -> str:
        """Such as channels50: half of the MACs are gone; channels50latency: half of the latency."""
        return f"channels{100 - 100 * self.ratio:.3g}" + ("" if self.of == "macs" else self.of)

    def misfit(self) -> tuple[str, str]:
        """One ratio decides; two could contradict each other."""
        if len(self.ratios) == 1:
            return "", ""
        given = " and ".join(f"{of}_ratio" for of in self.ratios) or "no ratio"
        return f"{given} given, expected one of macs_ratio, parameters_ratio, latency_ratio", (
            "write one of them, such as `macs_ratio = 0.5`"
        )


@dataclass(frozen=True)
class StartOver(Step):
    """The model forgets what it learned: the small model trained from scratch, to compare with."""

    kind: ClassVar[str] = "scratch"
    phase: ClassVar[str] = TRAINING
    function: ClassVar[str] = "converters.start_over:forget"
    uses: ClassVar[tuple[str, ...]] = (TRAIN,)
    trains: ClassVar[bool] = True


@dataclass(frozen=True)
class FineTune(Step):
    """Training by the data alone; the weights of the best epoch are kept.

    Attributes:
        epochs: Passes over the training samples, at most.
        learning_rate: Adam's at the beginning; it falls to 0 along a cosine.
        batch_size: Samples a step.
        augment: Whether images are mirrored and moved at random.
        patience: Epochs without a better accuracy on the validation samples before it ends; 0 is
            never.
    """

    kind: ClassVar[str] = "tune"
    phase: ClassVar[str] = TRAINING
    function: ClassVar[str] = "converters.distill:tune"
    uses: ClassVar[tuple[str, ...]] = (TRAIN,)
    trains: ClassVar[bool] = True
    epochs: int = number(10, 1, 1_000)
    learning_rate: float = number(1e-3, 1e-8, 1.0)
    batch_size: int = number(64, 1, 65_536)
    augment: str = choice("none", "flip", "shift", "flip_shift")
    patience: int = number(0, 0, 1_000)


@dataclass(frozen=True)
class Distill(FineTune):
    """Training by the answers of the model as it was given, besides the labels.

    Attributes:
        temperature: Above 1 the teacher shows how the wrong classes compare.
        alpha: Share of the teacher in the loss, 0-1; with 1 no label is looked at.
    """

    kind: ClassVar[str] = "distill"
    function: ClassVar[str] = "converters.distill:distill"
    temperature: float = number(4.0, 1.0, 100.0)
    alpha: float = number(0.8, 0.0, 1.0)


@dataclass(frozen=True)
class QatW8A8(Step):
    """Quantization-aware training: the weights learn to live with being rounded.

    Attributes:
        epochs: Passes over the training samples.
        learning_rate: Adam's; small, as the model is already trained.
        batch_size: Samples a step.
        teacher: Whether the model as it was given helps to train, by its answers.
        temperature: As in `Distill`.
        alpha: As in `Distill`.
    """

    kind: ClassVar[str] = "qat_w8a8"
    phase: ClassVar[str] = NUMBERS
    function: ClassVar[str] = "converters.quantize.qat:train"
    uses: ClassVar[tuple[str, ...]] = (TRAIN,)
    trains: ClassVar[bool] = True
    epochs: int = number(2, 1, 1_000)
    learning_rate: float = number(1e-4, 1e-8, 1.0)
    batch_size: int = number(64, 1, 65_536)
    teacher: str = choice("none", "original")
    temperature: float = number(4.0, 1.0, 100.0)
    alpha: float = number(0.8, 0.0, 1.0)


@dataclass(frozen=True)
class SparseWeights(Step):
    """Magnitude pruning of weights: the smallest become zero, the others learn to do without.

    Attributes:
        sparsity: Share of zeros in each kernel at the end, 0-1.
        pattern: Which weights are zeroed together: each alone, two of every four, or, in Dense
            layers only, blocks.
        schedule: Zeros grow along a cubic curve, or are there at once.
        scope: The share of zeros is that of each layer, or of all together, so that layers with
            small weights lose more.
        epochs: Passes over the training samples.
        learning_rate: Adam's.
        batch_size: Samples a step.
    """

    kind: ClassVar[str] = "sparse"
    phase: ClassVar[str] = WEIGHTS
    function: ClassVar[str] = "converters.prune_weights:prune_weights"
    uses: ClassVar[tuple[str, ...]] = (TRAIN,)
    trains: ClassVar[bool] = True
    sparsity: float = number(0.8, 0.01, 0.99)
    pattern: str = choice(SINGLE, TWO_OF_FOUR, *BLOCKS)
    schedule: str = choice("polynomial", "constant")
    scope: str = choice("layer", "global")
    epochs: int = number(8, 1, 1_000)
    learning_rate: float = number(1e-3, 1e-8, 1.0)
    batch_size: int = number(64, 1, 65_536)

    @property
    def label(self) -> str:
        """Such as sparse80, sparse80b1x4 or sparse2of4."""
        if self.pattern == TWO_OF_FOUR:
            return "sparse2of4"
        return f"sparse{100 * self.sparsity:g}" + (
            "" if self.pattern == SINGLE else f"b{self.pattern}"
        )

    def misfit(self) -> tuple[str, str]:
        """Two of every four are half of all, in every layer and from the start."""
        if self.pattern != TWO_OF_FOUR:
            return "", ""
        if self.sparsity != 0.5:
            return f"pattern 2:4 makes half of the weights zero, not {self.sparsity:g}", (
                "write `sparsity = 0.5`"
            )
        if self.schedule != "constant" or self.scope != "layer":
            return "pattern 2:4 cannot grow, nor differ between layers", (
                'write `schedule = "constant"` and `scope = "layer"`'
            )
        return "", ""


@dataclass(frozen=True)
class ClusterWeights(Step):
    """Weight sharing: each kernel keeps a few distinct values only.

    Attributes:
        clusters: Distinct values of a kernel.
        epochs: Passes over the training samples.
        learning_rate: Adam's.
        batch_size: Samples a step.
    """

    kind: ClassVar[str] = "cluster"
    phase: ClassVar[str] = WEIGHTS
    function: ClassVar[str] = "converters.cluster:share_weights"
    uses: ClassVar[tuple[str, ...]] = (TRAIN,)
    trains: ClassVar[bool] = True
    clusters: int = number(16, 2, 256)
    epochs: int = number(2, 1, 1_000)
    learning_rate: float = number(1e-4, 1e-8, 1.0)
    batch_size: int = number(64, 1, 65_536)

    @property
    def label(self) -> str:
        """Such as cluster16."""
        return f"cluster{self.clusters}"


#: What `kind` may be in a recipe. A new technique adds its line here.
STEP_KINDS: dict[str, type[Step]] = {
    "ptq_w8a8": PtqW8A8,
    "ptq_w8a16": PtqW8A16,
    "ptq_f16": PtqF16,
    "ptq_dynamic": PtqDynamic,
    "channels": PruneChannels,
    "scratch": StartOver,
    "tune": FineTune,
    "distill": Distill,
    "qat_w8a8": QatW8A8,
    "sparse": SparseWeights,
    "cluster": ClusterWeights,
}
