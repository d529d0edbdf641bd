from pathlib import Path

import pytest
import torch

from clusterkit.__main__ import main


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_every_training_stage_runs_on_cuda(tmp_path: Path) -> None:
    for line in (
        "train-g glyphs_bg@0-19 --epochs 1",
        "predict-pairs glyphs_eval/Morwen",
        "cluster --k 30 --epochs 2",
        "estimate-k",
        "evaluate",
        "assign glyphs_eval/Nastric",
        "adapt digits digits --method source-only --steps 1",
    ):
        assert main([*line.split(), "--device", "cuda", "--workdir", str(tmp_path)]) == 0
