"""The task of a model: the loss it is trained with and the metric it is judged by. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from converters.data.user_function import UserFunction, user_function
from converters.errors import ConversionError

CLASSIFICATION = "classification"
REGRESSION = "regression"
#: Kind of an autoencoder: the model gives its input back.
RECONSTRUCTION = "reconstruction"
#: Kind of a model that gives a class for each pixel.
SEGMENTATION = "segmentation"
KINDS = (CLASSIFICATION, REGRESSION, RECONSTRUCTION, SEGMENTATION)
#: Kind of a model of several outputs, each with a task of its own.
SEVERAL = "several"

CROSS_ENTROPY = "cross_entropy"
#: Cross entropy of a segmentation whose scores are logits, not probabilities.
LOGITS_CROSS_ENTROPY = "cross_entropy_of_logits"
MSE, MAE, HUBER = "mse", "mae", "huber"
R2, AUC, ACCURACY = "r2", "auc", "accuracy"
PIXEL_ACCURACY, MEAN_IOU = "pixel_accuracy", "mean_iou"
BALANCED = "balanced"

_LOSSES = {
    CLASSIFICATION: (CROSS_ENTROPY,),
    REGRESSION: (MSE, MAE, HUBER),
    RECONSTRUCTION: (MSE, MAE, HUBER),
    SEGMENTATION: (CROSS_ENTROPY, LOGITS_CROSS_ENTROPY),
}
#: Kind of task to its metrics, each with whether higher is better; the first is the default.
_METRICS: dict[str, dict[str, bool]] = {
    CLASSIFICATION: {ACCURACY: True},
    REGRESSION: {MAE: False, MSE: False, R2: True},
    RECONSTRUCTION: {MSE: False, MAE: False, R2: True, AUC: True},
    SEGMENTATION: {PIXEL_ACCURACY: True, MEAN_IOU: True},
}


class TaskError(ConversionError):
    """The `[task]` of a recipe is wrong: nothing was started."""

    exit_code = 3


@dataclass(frozen=True)
class TaskWish:
    """Statements of a recipe about the task; kedge chooses where a field is "" or None."""

    kind: str = ""
    """One of `KINDS`."""
    loss: str = ""
    """Loss that training minimizes: a name, or `module:function`."""
    metric: str = ""
    """Metric that the model is judged by: a name, or `module:function`."""
    higher_is_better: bool | None = None
    """Whether a higher value of the metric is better."""
    class_weights: str | Mapping[str, float] = ""
    """`BALANCED`, or number or name of a class to its weight in the loss."""
    custom_objects: str = ""
    """`module:function` that returns the model's own layers by their names."""
    folder: Path = Path()
    """Folder of the recipe's file, in which modules are searched."""
    outputs: Mapping[str, TaskWish] = field(default_factory=dict)
    """Name of each of several outputs to the statements about it."""

    def for_output(self, name: str) -> TaskWish:
        """Statements about one of several outputs; an empty wish where there are none."""
        return self.outputs.get(name, TaskWish(folder=self.folder))

    def check_outputs(self, names: Collection[str]) -> None:
        """Refuse statements that do not fit the outputs of the model.

        Args:
            names: Names of several outputs; empty for a single one.

        Raises:
            TaskError: An output does not exist, or a field of one output stands in `[task]`
                although the model has several.
        """
        unknown = [name for name in self.outputs if name not in names]
        if unknown:
            outputs = ", ".join(map(repr, names)) or "one, which is described in [task] itself"
            raise TaskError(
                f"[task.outputs.{unknown[0]}] is about no output of the model; it has {outputs}",
                "Name an output of the model.",
            )
        fields = [name for name in self.plain() if name not in ("custom_objects", "outputs")]
        if names and fields:
            raise TaskError(
                f"[task] says {fields[0]}, but the model has several outputs: "
                f"{', '.join(map(repr, names))}",
                f"Say it of one of them: [task.outputs.{next(iter(names))}]",
            )

    def task(self, kind: str) -> Task:
        """Task of this kind, with the defaults of the kind where the recipe is silent.

        Raises:
            TaskError: The loss, the metric or the class weights are not for this kind.
        """
        loss = self.loss or _LOSSES[kind][0]
        metric = self.metric or next(iter(_METRICS[kind]))
        _check_fits(loss, _LOSSES[kind], "loss", kind)
        if kind == CLASSIFICATION and ":" in metric:
            raise TaskError(
                f"metric is {metric!r}: a classification is judged by its accuracy",
                'Leave out metric, or write kind = "regression"',
            )
        _check_fits(metric, tuple(_METRICS[kind]), "metric", kind)
        if self.class_weights and kind != CLASSIFICATION:
            raise TaskError(
                f"class_weights are given, but the task is {kind}, which has no classes",
                "Leave out class_weights.",
            )
        higher = _METRICS[kind].get(metric, False)
        if self.higher_is_better is not None:
            higher = self.higher_is_better
        return Task(kind, loss, metric, higher, self.folder)

    def plain(self) -> dict[str, Any]:
        """Fields that the recipe states, as plain data; empty where it states none."""
        plain = {name: getattr(self, name) for name in _FIELDS}
        plain["outputs"] = {name: wish.plain() for name, wish in self.outputs.items()}
        return {name: value for name, value in plain.items() if value not in ("", None, {})}

    def functions(self) -> tuple[UserFunction, ...]:
        """The user's functions that the recipe names."""
        texts = (self.loss, self.metric, self.custom_objects)
        functions = (user_function(text, self.folder) for text in texts)
        own = tuple(function for function in functions if function is not None)
        return own + tuple(f for wish in self.outputs.values() for f in wish.functions())


@dataclass(frozen=True)
class Task:
    """Loss and metric of a model."""

    kind: str = CLASSIFICATION
    """One of `KINDS`."""
    loss: str = CROSS_ENTROPY
    """Loss that training minimizes: a name, or `module:function`."""
    metric: str = ACCURACY
    """Metric that the model is judged by: a name, or `module:function`."""
    higher_is_better: bool = True
    """Whether a higher value of the metric is better."""
    folder: Path = Path()
    """Folder in which modules are searched."""
    class_weights: tuple[float, ...] = ()
    """Weight of each class in the loss, in the order of their numbers; empty for 1 each."""
    weight: float = 1.0
    """Factor of the loss, so that the losses of several outputs can be added."""
    parts: Mapping[str, Task] = field(default_factory=dict)
    """Name of each of several outputs to its task, in the model's order; empty for one output."""
    soft_labels: bool = False
    """Whether the labels of the training samples are shares of each class (`Samples.shares`)."""
    own_answers: bool = False
    """Whether the model's own answers count as the right ones of the training samples."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of several outputs, in the model's order; empty for one output."""
        return tuple(self.parts)

    @property
    def is_classification(self) -> bool:
        """Whether the task is a classification: an answer is right or wrong."""
        return self.kind == CLASSIFICATION


CLASSIFIER = Task()
#: Fields of `TaskWish` that are plain values of `[task]`: all but `folder` and `outputs`.
_FIELDS = ("kind", "loss", "metric", "higher_is_better", "class_weights", "custom_objects")


def parse_task(table: Any, origin: str, folder: Path) -> TaskWish:
    """Check the `[task]` of a recipe.

    Args:
        table: Value of `task` in the TOML file.
        origin: Name of the recipe, for messages.
        folder: Folder in which the user's modules are searched.

    Raises:
        TaskError: A field is unknown or has the wrong form.
    """
    if not isinstance(table, dict):
        raise TaskError(f"{origin}: task is {table!r}, expected a table", "Write `[task]`")
    table = dict(table)
    outputs = _parse_outputs(table.pop("outputs", {}), origin, folder)
    unknown = [name for name in table if name not in _FIELDS]
    if unknown:
        raise TaskError(
            f"{origin}: task: field {unknown[0]!r} is unknown",
            f"The fields are {', '.join(_FIELDS)}, and tables [task.outputs.NAME]",
        )
    for name, value in table.items():
        expected = "true or false" if name == "higher_is_better" else "text"
        is_valid = isinstance(value, bool if name == "higher_is_better" else str)
        if name == "class_weights":
            expected, is_valid = f'"{BALANCED}" or a table of class = weight', _are_weights(value)
        if not is_valid:
            raise TaskError(
                f"{origin}: task: {name} is {value!r}, expected {expected}", "Correct it."
            )
    return _check_wish(TaskWish(**table, folder=folder, outputs=outputs), origin)


def _parse_outputs(tables: Any, origin: str, folder: Path) -> dict[str, TaskWish]:
    if not isinstance(tables, dict):
        raise TaskError(f"{origin}: task: outputs is {tables!r}", "Write `[task.outputs.NAME]`")
    wishes = {
        name: parse_task(table, f"{origin}: {name}", folder) for name, table in tables.items()
    }
    for name, wish in wishes.items():
        if wish.custom_objects or wish.outputs or wish.kind == RECONSTRUCTION:
            raise TaskError(
                f"{origin}: [task.outputs.{name}] has custom_objects, outputs or the kind "
                f"{RECONSTRUCTION}, which one of several outputs cannot have",
                "Say custom_objects in [task]; one of several outputs is a classification or a "
                "regression.",
            )
    return wishes


def _check_wish(wish: TaskWish, origin: str) -> TaskWish:
    folder = wish.folder
    if wish.kind and wish.kind not in KINDS:
        raise TaskError(f"{origin}: task: kind is {wish.kind!r}", f"Use one of {', '.join(KINDS)}")
    if wish.custom_objects and user_function(wish.custom_objects, folder) is None:
        raise TaskError(
            f"{origin}: task: custom_objects is {wish.custom_objects!r}",
            "Write module:function; the function returns a dict of names to layers.",
        )
    for name, value, names in (
        ("loss", wish.loss, sorted({x for of_kind in _LOSSES.values() for x in of_kind})),
        ("metric", wish.metric, sorted({x for of_kind in _METRICS.values() for x in of_kind})),
    ):
        if value and value not in names and user_function(value, folder) is None:
            raise TaskError(
                f"{origin}: task: {name} is {value!r}",
                f"Use one of {', '.join(names)}, or module:function.",
            )
    if wish.kind:
        wish.task(wish.kind)
    return wish


def _are_weights(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(value) and all(
            isinstance(v, (int, float)) and not isinstance(v, bool) and v >= 0
            for v in value.values()
        )
    return bool(value == BALANCED)


def _check_fits(value: str, names: tuple[str, ...], field: str, kind: str) -> None:
    if value not in names and ":" not in value:
        raise TaskError(
            f"{field} is {value!r}, which is not for the task {kind}",
            f"Use one of {', '.join(names)}, or module:function.",
        )
