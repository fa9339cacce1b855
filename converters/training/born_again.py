"""The original model as a better teacher: trained further, with itself as its teacher.

Born-again networks (Furlanello et al., 2018): a network that learns from an equal one often becomes
better than it. The result depends on the model, the data, the seed and few fields of the step.
Steps that agree in these share one teacher, which is trained once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from converters.draft.draft import Materials
from converters.recipe.training_steps import Distill, TeacherStep
from converters.sources.loaded_model import LoadedModel
from converters.sources.model_function import predictor_of
from converters.training.trainable import folded_graph

#: Settings of the training: the model is trained already, so the steps are small.
_SETTINGS = Distill(learning_rate=1e-3, alpha=0.5, temperature=4.0, weight_average=0.999)


def train_teacher(step: TeacherStep, materials: Materials) -> tuple[LoadedModel, dict[str, Any]]:
    """Train the original model further, with its own answers.

    Args:
        step: Number of epochs (`born_again`), `augment` and `batch_size`.
        materials: The original model, and samples with the split "train".

    Returns:
        The better one of the two on the validation samples, and facts for conversion.json.

    Raises:
        ConversionError: The training diverges.
    """
    assert materials.make_draft is not None
    source = materials.source
    own_step = replace(
        _SETTINGS, epochs=step.born_again, augment=step.augment, batch_size=step.batch_size
    )
    draft, drop = materials.make_draft(own_step)
    is_better = drop is None or drop <= 0
    facts = {
        "epochs": step.born_again,
        "validation_drop": drop,
        "teaches": "born again" if is_better else "original",
    }
    if not is_better:
        return source, facts
    model = draft.keras_model
    assert model is not None

    def answer(inputs: Any) -> Any:
        return model(inputs, training=False)

    predict = predictor_of(source.path, answer, source.inputs, source.outputs, True)
    graph = folded_graph(draft)
    return replace(source, keras_model=model, predict=predict, graph_reader=lambda: graph), facts
