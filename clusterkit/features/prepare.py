"""From a picture to what a fixed backbone takes: 8-bit pixels on the processor, floats in the network."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How pictures become the input that a model was trained with.

    `size` is the side of the square input in pixels, `crop` the share of the resized picture that the crop keeps along
    a side, and `mode` timm's crop mode: `center` keeps the ratio of the sides, `squash` does not, and `border` pads.
    `mean` and `std` (3,) are those of pixels from 0 to 1.
    """

    size: int
    crop: float
    mode: str
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def prepare(self, picture: Image) -> Tensor:
        """Return an RGB picture as uint8 (3, size, size), resized and cropped as timm and torchvision test a model."""
        # Here, because torchvision takes longer to load than all else that a command needs.
        from torchvision.transforms import InterpolationMode, functional

        # The small number is for a crop that was computed from the two sides.
        side = math.floor(self.size / self.crop + 1e-6)
        how = InterpolationMode(self.interpolation)
        if self.mode == "squash":
            picture = functional.resize(picture, [side, side], how)
        elif self.mode == "border":
            ratio = max(picture.size) / side
            picture = functional.resize(picture, [max(1, round(length / ratio)) for length in picture.size[::-1]], how)
            left, top = (max(self.size - length, 0) for length in picture.size)
            colour = tuple(round(255 * value) for value in self.mean)
            picture = functional.pad(picture, [left // 2, top // 2, left - left // 2, top - top // 2], colour)
        else:
            picture = functional.resize(picture, [side], how)
        pixels: Tensor = functional.pil_to_tensor(functional.center_crop(picture, [self.size, self.size]))
        return pixels


class Standardised(nn.Module):
    """A network behind a layer that standardises 8-bit pictures (B, 3, S, S) by mean and std per channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", 255 * torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, pictures: Tensor) -> Any:
        return self.network((pictures.to(self.mean.dtype) - self.mean) / self.std)
