"""Gradients, integrated gradients and occlusion against captum. Needs the extra `oracles`."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hubel.tools.attribution.gradients import gradient_x_input
from hubel.tools.attribution.integrated import integrated_gradients
from hubel.tools.attribution.occlusion import occlusion

from .conftest import case_of, double_subject


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model_type", ["llama", "gpt2", "gemma3_text"])
def test_captum_gives_the_same(model_type: str) -> None:
    attr: Any = pytest.importorskip(
        "captum.attr", reason="captum is not installed; pip install hubel[oracles]"
    )
    case = case_of(double_subject(model_type))
    x, baseline = case.embedding[None], case.baseline[None]

    def scalar(embeddings: Tensor) -> Tensor:
        return case.forward(embeddings)

    slope = (
        attr.Saliency(scalar).attribute(x.clone().requires_grad_(), abs=False) * (x - baseline)
    ).sum(-1)[0]
    np.testing.assert_allclose(
        gradient_x_input(case).scores, slope.detach().numpy(), rtol=1e-5, atol=1e-6
    )

    rule = {"n_steps": 256, "method": "gausslegendre", "internal_batch_size": 64}
    path = (
        attr.IntegratedGradients(scalar)
        .attribute(x.clone(), baseline, **rule)
        .sum(-1)[0]
        .detach()
        .numpy()
    )
    own = integrated_gradients(case, tolerance=1e-3, max_evaluations=2000).scores
    np.testing.assert_allclose(own, path, atol=2e-3 * np.abs(path).max())

    tokens = torch.arange(x.shape[1])[None, :, None].expand_as(x)
    removed = attr.FeatureAblation(scalar).attribute(x, baselines=baseline, feature_mask=tokens)[
        0, :, 0
    ]
    np.testing.assert_allclose(occlusion(case).scores, removed.numpy(), atol=1e-6)
