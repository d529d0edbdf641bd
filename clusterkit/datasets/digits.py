"""scikit-learn's handwritten digits (Alpaydin and Kaynak, 1998): 1,797 images, installed with scikit-learn."""

import torch
import torch.nn.functional as F

from clusterkit.config import Kind
from clusterkit.datasets.base import Raw, Request, Source


def load(request: Request) -> Raw:
    """Read the 8 x 8 images, bright ink on dark, and scale them to the requested size."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = torch.from_numpy(pixels).reshape(-1, 1, 8, 8) * (255 / 16)
    form = (request.size, request.size)
    images = F.interpolate(images, form, mode="bilinear", align_corners=False, antialias=True)
    images = images.round().clamp(0, 255).to(torch.uint8).repeat(1, request.channels or 1, 1, 1)
    return Raw(images, torch.from_numpy(labels).to(torch.int64), tuple(str(digit) for digit in range(10)))


SOURCES = {
    "digits": Source(load, Kind.CHARACTERS, "1,797 handwritten digits of scikit-learn; embedded"),
}
