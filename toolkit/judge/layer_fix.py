"""The lines of a recipe that make the worst layers of a quantized file better. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from converters.layer_error import LayerError

#: Ratio below which a layer is worth a change: its noise is a tenth of its signal.
LOW_DB = 20.0
#: Loss against the layers that are read, above which a layer makes noise of its own: half a bit.
_OWN_LOSS_DB = 3.0
#: Share of values cut off, above which the range is too narrow.
_MUCH_CUT = 0.001
#: Error in steps above which more than the rounding to the scale is wrong: twice 1/sqrt(12).
_COARSE_RMSE = 0.6
#: Number of layers that lines name.
_MOST_NAMED = 5
_STEP = "ptq_w8a8"


@dataclass(frozen=True)
class LayerFix:
    """A change of a recipe."""

    reason: str
    """Reason in one sentence."""
    lines: tuple[str, ...]
    """Lines of TOML that stand in the step."""


def suggest_fixes(errors: Sequence[LayerError], step: Mapping[str, Any]) -> tuple[LayerFix, ...]:
    """Suggest changes of a recipe, the most direct one first; none where no layer is bad.

    Args:
        errors: Errors of the layers, the worst first.
        step: Quantizing step of the recipe that made the file, with its fields; empty where it is
            not known.
    """
    low = [error for error in errors if error.sqnr_db < LOW_DB]
    own = [e for e in low if e.source_sqnr_db is None or e.added_db >= _OWN_LOSS_DB] or low[:1]
    if not low:
        return ()
    names = ", ".join(f'"{_quoted(error.output.layer)}"' for error in own[:_MOST_NAMED])
    kind = str(step.get("kind", _STEP))
    is_ptq = kind in (_STEP, "mixed_w8a8")
    kept_in = kind if is_ptq else _STEP
    fixes = [
        LayerFix(
            "floats for the layers that add the noise",
            (f'kind = "{kept_in}"', f"keep_float = [{names}]"),
        ),
        LayerFix(
            "16-bit activations for these layers: smaller and faster than floats, where the "
            "runtime has such kernels",
            (f'kind = "{kept_in}"', f"keep_int16 = [{names}]"),
        ),
    ]
    if is_ptq:
        fixes += _calibration_fixes(own, step)
    if len(low) > _MOST_NAMED and kind != "qat_w8a8":
        reason = f"{len(low)} layers are below {LOW_DB:.0f} dB: training with the rounding"
        fixes.append(LayerFix(reason, ('kind = "qat_w8a8"',)))
    return tuple(fixes)


def _calibration_fixes(own: Sequence[LayerError], step: Mapping[str, Any]) -> list[LayerFix]:
    kind = f'kind = "{step.get("kind", _STEP)}"'
    method = step.get("calibration", "minmax")
    if any((error.saturation or 0.0) > _MUCH_CUT for error in own):
        if method != "minmax":
            reason = "values are cut off: ranges that hold all calibration samples"
            return [LayerFix(reason, (kind, 'calibration = "minmax"'))]
        count = min(100_000, 4 * int(step.get("calibration_samples", 500)))
        reason = "values are cut off: ranges of more calibration samples"
        return [LayerFix(reason, (kind, f"calibration_samples = {count}"))]
    rounding = [error.rmse_per_scale for error in own if error.rmse_per_scale is not None]
    if rounding and min(rounding) <= _COARSE_RMSE and method == "minmax":
        reason = "the range is wide for the values: outliers are cut off"
        return [LayerFix(reason, (kind, 'calibration = "mse"'))]
    if rounding and max(rounding) > _COARSE_RMSE and step.get("equalize") != "if_better":
        reason = "the weights of the channels differ much: bring them to one size"
        lines = (kind, 'equalize = "if_better"', 'bias_correction = "if_better"')
        return [LayerFix(reason, lines)]
    return []


def _quoted(name: str) -> str:
    """Return the inside of a basic string of TOML."""
    plain = name.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in plain)
