"""What is trained, and how."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import UsageError
from ...subject.address import Site, VectorKind

TRAINABLE: tuple[VectorKind, ...] = ("stream", "mid", "mlp_in", "mlp_out")
"""The hooks whose vectors an autoencoder can be trained on."""


@dataclass(frozen=True)
class TrainSettings:
    """A training.

    Attributes:
        reads, writes: the place of the vectors; a transcoder writes elsewhere than it reads.
        latents: how many; 4 to 32 for each dimension are usual.
        k: latents that may be active on a token.
        tokens: to train on, counted as often as they are read.
        seed: of the first weights and of the order of the vectors.
        batch: vectors a step. Fewer make more steps of the same text, and noisier ones.
        rate: Adam's; None for 1e-3 at 4,096 latents, less by the square root for more (Gao et al., who
            take less for a thousand times the tokens). Too low a rate ends before it has learned.
        auxiliary: weight of the loss that revives dead latents; 0 leaves them dead.
        dead_after: tokens without activation after which a latent counts as dead; None for a
            twentieth of all, 16 batches at least.
    """

    reads: Site
    writes: Site
    latents: int
    k: int
    tokens: int
    seed: int = 0
    batch: int = 512
    rate: float | None = None
    auxiliary: float = 1 / 32
    dead_after: int | None = None

    @property
    def is_transcoder(self) -> bool:
        """Whether the target is another vector than the input."""
        return self.reads != self.writes

    @property
    def steps(self) -> int:
        """Number of steps."""
        return max(self.tokens // self.batch, 1)

    @property
    def base_rate(self) -> float:
        """Adam's rate before it falls."""
        return self.rate if self.rate is not None else 1e-3 * (4096 / self.latents) ** 0.5

    @property
    def silence(self) -> int:
        """Tokens without activation after which a latent counts as dead."""
        if self.dead_after is not None:
            return self.dead_after
        return max(self.tokens // 20, 16 * self.batch)

    def check(self, n_layers: int) -> None:
        """Raise UsageError where it cannot be trained on a subject of so many layers."""
        for place in (self.reads, self.writes):
            if not 0 <= place.layer < n_layers:
                raise UsageError(f"layer {place.layer} given; the subject has 0 to {n_layers - 1}")
        if self.is_transcoder and (self.reads.kind, self.writes.kind) != ("mlp_in", "mlp_out"):
            raise UsageError(
                f"a transcoder from {self.reads} to {self.writes} given; "
                "expected from mlp_in to mlp_out"
            )
        if self.reads.kind not in TRAINABLE:
            raise UsageError(f"hook {self.reads.kind!r} given; expected {', '.join(TRAINABLE)}")
        if not 1 <= self.k <= self.latents:
            raise UsageError(f"k {self.k} given; expected 1 to the {self.latents} latents")
        if self.tokens < 1 or self.batch < 1:
            raise UsageError(
                f"{self.tokens} tokens in batches of {self.batch} given; expected at least 1"
            )
        if self.rate is not None and not 0 < self.rate < 1:
            raise UsageError(f"rate {self.rate} given; expected between 0 and 1, such as 4e-4")
