"""Toy models of superposition, in which it is known what is stored where.

1. n features, each 0 with probability `sparsity` and else uniform in [0, 1].
2. The model stores them in m < n dimensions and reads them back: x' = relu(Wᵀ W x + b).
3. Adam on the mean squared error, many models side by side; the one with the least error is kept, as
   single ones end in worse arrangements.

Sparse features of equal importance are stored as regular polytopes: 5 in a plane as a pentagon, whose
neighbours have cosine .309 and the others -.809; 4 in a plane as two antipodal pairs. Dense features
are not: any two dimensions of them are as good as others.

Elhage et al., "Toy Models of Superposition" (2022).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

MODELS, STEPS, BATCH, RATE = 8, 1500, 256, 1e-2


def stored_features(
    features: int = 5,
    dimensions: int = 2,
    sparsity: float = 0.95,
    seed: int = 0,
    models: int = MODELS,
    steps: int = STEPS,
) -> Float[np.ndarray, "feature dimension"]:
    """Where the best of some toy models stores each feature; a feature that is not stored is near 0."""
    import torch

    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator)

    weight = torch.randn(models, dimensions, features, generator=generator) * 0.5
    bias = torch.zeros(models, 1, features)
    parameters = [weight.requires_grad_(), bias.requires_grad_()]
    optimizer = torch.optim.Adam(parameters, lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    error = torch.zeros(models)
    for step in range(steps):
        shape = (models, BATCH, features)
        x = drawn(*shape) * (drawn(*shape) > sparsity)
        read = torch.relu(x @ weight.mT @ weight + bias)
        losses = ((read - x) ** 2).mean(dim=(1, 2))
        optimizer.zero_grad()
        losses.sum().backward()
        optimizer.step()
        schedule.step()
        if step >= steps - steps // 10:  # the last tenth, since one batch says little
            error += losses.detach()
    return weight[int(error.argmin())].detach().numpy().T.copy()
