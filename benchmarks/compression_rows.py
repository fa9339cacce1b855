"""The rows of the compression benchmark, each one recipe. Pure."""

from __future__ import annotations

from dataclasses import dataclass

PTQ = "ptq_w8a8"

#: MACs that are left: 1/2 and 1/1.33.
HALF, THREE_QUARTERS = 0.5, 0.75

_HEAD = """schema = 1
"""
_PTQ = """[[step]]
kind = "ptq_w8a8"
"""
_TRAINING = """[[step]]
kind = "{kind}"
epochs = {epochs}
learning_rate = {rate}
batch_size = {batch}
"""
_BLOCKS = """[[step]]
kind = "blocks"
macs_ratio = {macs_ratio}
"""
_CHANNELS = """[[step]]
kind = "channels"
macs_ratio = {macs_ratio}
scope = "sensitivity"
multiple = {multiple}
"""
#: Blocks first, as no kernel dislikes a layer that is gone; what is left to go, in channels. Of
#: each share that is left, the blocks' part and the channels'.
_PARTS = {HALF: (0.65, 0.78), THREE_QUARTERS: (0.82, 0.92)}
_PLAIN_CHANNELS = """[[step]]
kind = "channels"
macs_ratio = {macs_ratio}
importance = "l1"
scope = "uniform"
multiple = 1
"""
_SCRATCH = """[[step]]
kind = "scratch"
"""
_TEACHER = """alpha = 0.9
temperature = 4.0
"""


@dataclass(frozen=True)
class Plan:
    """How long the rows train."""

    pruned_epochs: int
    """Of distillation where half of the MACs go."""
    gently_pruned_epochs: int
    """The same where a quarter goes."""
    qat_epochs: int
    has_blocks: bool
    """Whether the model has blocks that it can do without."""
    qat_seeds: tuple[int, ...]
    by_latency: bool
    """Whether measured latency decides which channels go; else their MACs do."""
    rounds: int
    """Fresh processes of each file in the comparison of latencies."""
    ptq_rounds: int
    """Number of times that a whole post-training quantization is timed."""


@dataclass(frozen=True)
class RowRecipe:
    """One conversion of the benchmark."""

    name: str
    recipe: str
    """TOML."""
    seed: int = 0
    epochs: int = 0
    """Of all its training steps."""
    macs_ratio: float | None = None
    """Where channels go: of the MACs that are to be left."""
    ours: bool = True
    """Whether it is kedge's way; else a baseline to beat."""
    after_ours: bool = False
    """Whether its shape is that of kedge's row, which must be there before."""


def rows(plan: Plan) -> tuple[RowRecipe, ...]:
    """All rows, in the order of the table and, but for those after others, of their making."""
    quantized = [
        RowRecipe("float32", _HEAD),
        RowRecipe(PTQ, _HEAD + _PTQ),
        *(_qat_row(plan, seed) for seed in plan.qat_seeds),
    ]
    half = _pruned(plan, HALF, plan.pruned_epochs, "flip_shift")
    quarter = _pruned(plan, THREE_QUARTERS, plan.gently_pruned_epochs, "flip")
    return (*quantized[:2], *half, *quarter, *quantized[2:])


def _qat_row(plan: Plan, seed: int) -> RowRecipe:
    recipe = _HEAD + _qat(plan.qat_epochs, "none")
    return RowRecipe(f"qat_w8a8 seed {seed}", recipe, seed, plan.qat_epochs)


def _pruned(plan: Plan, macs_ratio: float, epochs: int, augment: str) -> list[RowRecipe]:
    qat_epochs = plan.qat_epochs
    ours = _CHANNELS.format(macs_ratio=macs_ratio, multiple=8)
    if plan.has_blocks:
        blocks, channels = _PARTS[macs_ratio]
        ours = _BLOCKS.format(macs_ratio=blocks)
        ours += _CHANNELS.format(macs_ratio=channels, multiple=16)
    plain = _PLAIN_CHANNELS.format(macs_ratio=macs_ratio)
    taught, alone = _qat(qat_epochs, "original"), _qat(qat_epochs, "none")
    distill = _mending("distill", epochs, augment) + _TEACHER
    tune = _mending("tune", epochs, augment)
    name = f"{1 / macs_ratio:.3g}x fewer MACs"
    recipes = {
        f"{name}, kedge": (ours + distill + taught, True),
        f"{name}, same shape from scratch": (ours + _SCRATCH + tune + alone, False),
        f"{name}, plain one-shot L1": (plain + tune + alone, False),
    }
    return [
        RowRecipe(
            name, _HEAD + recipe, 0, epochs + qat_epochs, macs_ratio, is_ours, _SCRATCH in recipe
        )
        for name, (recipe, is_ours) in recipes.items()
    ]


def _qat(epochs: int, teacher: str) -> str:
    step = _TRAINING.format(kind="qat_w8a8", epochs=epochs, rate="3e-5", batch=64)
    return f'{step}teacher = "{teacher}"\n'


def _mending(kind: str, epochs: int, augment: str) -> str:
    """The training behind what was taken out."""
    step = _TRAINING.format(kind=kind, epochs=epochs, rate="5e-3", batch=128)
    return f'{step}augment = "{augment}"\n'
