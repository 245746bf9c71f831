"""The kinds of metric by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stages.comparing.metrics.custom import Custom
from stages.comparing.metrics.embedding import Embedding
from stages.comparing.metrics.hamming import Hamming
from stages.comparing.metrics.mse import Mse

if TYPE_CHECKING:
    from stages.pairs import Params

Kind = Mse | Hamming | Embedding | Custom
KINDS: dict[str, type[Kind]] = {"mse": Mse, "hamming": Hamming, "embedding": Embedding}


def kind_of(params: Params) -> type[Kind]:
    """What `pairs.metric` names."""
    return KINDS.get(params.metric, Custom)
