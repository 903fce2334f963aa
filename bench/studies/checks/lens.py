"""Lenses: after the last layer both are the model's output exactly; noise reads nothing."""

from __future__ import annotations

import numpy as np

from ....studies import StudyResult
from ....studies.representation.lens import LENSES, conclude, measure_readings
from ....studies.study_context import StudyContext
from ..registry import known_answer, null

LAYERS, DOCUMENTS, POSITIONS = 6, 20, 5


@known_answer(
    "lens",
    "after the last layer both lenses give the model's own output, and a derivative of a nearly "
    "linear model reads it from before",
)
def last_layer(seed: int) -> bool:
    import torch

    from ....tools.representation.jacobian_lens import mean_jacobian
    from ...tiny_subject import miniature

    subject = miniature(seed)
    ids = torch.from_numpy(np.random.default_rng(seed).integers(1, subject.n_vocabulary, (12, 8)))
    jacobian = mean_jacobian(subject, ids[:4])
    fitted = {"jacobian": jacobian, "ids": ids[4:].numpy()}
    readings = measure_readings(StudyContext([subject]), fitted, seed)["readings"]
    logits = subject.capture(ids[4:], [], logits=True).logits
    assert logits is not None  # they were asked for
    own = logits[:, 1:].log_softmax(dim=-1).max(dim=-1).values.cpu().numpy()
    exact = np.array_equal(jacobian[-1], np.eye(subject.d_model))
    both = [np.abs(readings[lens, -1] - own).max() < 1e-4 for lens in (0, 1)]
    return bool(exact and all(both) and _nearly_linear(seed))


def _nearly_linear(seed: int) -> bool:
    """With small MLPs the Jacobian lens reads the next token from every layer, above its floor."""
    import torch

    from ....tools.representation.jacobian_lens import mean_jacobian
    from ...tiny_subject import miniature

    subject = miniature(seed)
    with torch.no_grad():
        for layer in subject.parts.layers:
            layer.mlp_down.weight.mul_(0.05)  # pyright: ignore[reportCallIssue, reportArgumentType]
            layer.attention_out.weight.mul_(0.05)  # pyright: ignore[reportCallIssue, reportArgumentType]
    ids = torch.from_numpy(np.random.default_rng(seed).integers(1, subject.n_vocabulary, (24, 8)))
    fitted = {"jacobian": mean_jacobian(subject, ids[:4]), "ids": ids[4:].numpy()}
    readings = measure_readings(StudyContext([subject]), fitted, seed)["readings"]
    return conclude(readings, seed).claims[0].verdict == "supported"


@null("lens", "readings that do not depend on the lens, nor on the document")
def equal_readings(seed: int) -> StudyResult:
    shape = (len(LENSES), LAYERS, DOCUMENTS, POSITIONS)
    rng = np.random.default_rng(seed)
    return conclude(-rng.exponential(3.0, shape) - rng.exponential(2.0, shape[2:]), seed)
