"""Small files of weights for the tests of fixed backbones."""

from functools import cache
from pathlib import Path

import safetensors.torch
import torch
from PIL import Image
from torch import Tensor

from clusterkit.features.card import quiet


@cache
def state_of(name: str) -> dict[str, Tensor]:
    """The state dict of a whole model of timm with random weights, its classifier included."""
    import timm

    with quiet(), torch.random.fork_rng():
        torch.manual_seed(0)
        return {key: value.contiguous() for key, value in timm.create_model(name).state_dict().items()}


def weights_of(name: str, file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(state_of(name), file)
    return file


def photo(width: int = 300, height: int = 211) -> Image.Image:
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (height // 4, width // 4, 3), generator=random, dtype=torch.uint8)
    return Image.fromarray(pixels.numpy()).resize((width, height), Image.Resampling.BICUBIC)
