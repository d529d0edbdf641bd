import numpy as np
import torch

from clusterkit.datasets.base import Subset
from clusterkit.networks.predict import mean_and_std


def statistics(x: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    mean, std = mean_and_std(Subset("all", x, torch.arange(len(x)), None))
    return np.array(mean), np.array(std)


def test_each_channel_and_each_feature_has_its_own() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (2500, 3, 4, 5), generator=generator, dtype=torch.uint8)
    images[:, 1] //= 9
    scales, shifts = torch.tensor([1, 1e4, 1e-20, 1]), torch.tensor([0, 1, 0, 1e4])
    vectors = torch.randn(2500, 4, generator=generator) * scales + shifts
    for x, axes, scale in ((images, (0, 2, 3), 255), (vectors, 0, 1)):
        exact = x.numpy().astype(np.float64) / scale
        mean, std = statistics(x)
        np.testing.assert_allclose(mean, exact.mean(axes), rtol=1e-6, atol=1e-30)
        np.testing.assert_allclose(std, exact.std(axes), rtol=1e-6)


def test_what_does_not_vary_is_left_as_large_as_it_is() -> None:
    x = torch.tensor([0.1, 1e8, 0.0, -3.7e-9]).repeat(1777, 1)
    mean, std = statistics(x)
    np.testing.assert_allclose(mean, x[0].numpy(), rtol=1e-6)
    assert std.tolist() == [1, 1, 1, 1]
