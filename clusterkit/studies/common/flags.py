"""Flags of several studies."""

from pathlib import Path
from typing import Annotated

from clusterkit.config import Precision
from clusterkit.losses import Loss, parse_loss
from clusterkit.settings import Flag

GFile = Annotated[Path | None, Flag(help="Use this G instead of training one.")]
Losses = Annotated[
    tuple[Loss, ...], Flag(help="Pair loss; may be repeated.", read=parse_loss, metavar=f"[{'|'.join(Loss)}]")
]
PAIR_LOSSES = (Loss.KCL, Loss.CCL)
Clusterings = Annotated[int, Flag(help="Number of runs of each clustering, with consecutive seeds.", min=1)]
Precise = Annotated[
    Precision, Flag(help="Number format of the training: fp32, or the faster tf32 (CUDA only) or bf16.")
]
