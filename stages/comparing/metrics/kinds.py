"""Look up metrics by name."""

from __future__ import annotations

from stages.comparing.comparison import Comparison
from stages.comparing.metrics.custom import Custom
from stages.comparing.metrics.embedding import Embedding
from stages.comparing.metrics.hamming import Hamming
from stages.comparing.metrics.mse import Mse

Kind = Mse | Hamming | Embedding | Custom
KINDS: dict[str, type[Kind]] = {"mse": Mse, "hamming": Hamming, "embedding": Embedding}


def kind_of(comparison: Comparison) -> type[Kind]:
    """Return the metric that `pairs.metric` names."""
    return KINDS.get(comparison.metric, Custom)
