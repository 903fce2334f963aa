"""What feeds a unit: the shares of the embedding, heads, MLPs and neurons in its activation.

Not here: what a unit feeds. `ablate`, `steer` and `patch` measure that.
"""

from __future__ import annotations

from .instrument import upstream
from .result import Contribution, Upstream

__all__ = ["Contribution", "Upstream", "upstream"]
