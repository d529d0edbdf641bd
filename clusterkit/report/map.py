"""A map of items in the plane, on which like items lie together."""

import warnings

import numpy as np
import torch
from numpy.typing import NDArray

from clusterkit.report.features import Values

MOST = 3000
"""Items of all maps of a page; of more, a random sample is drawn."""
FEWEST = 10
WIDTH = 50
"""Main components to which features are reduced first."""
PERPLEXITY = 30
STEPS = 1000
SIDE = 1000
"""Width and height of the map."""


def draw(values: Values, most: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Return positions (M,) of at most `most` items, and their places (M, 2) by t-SNE (van der Maaten and Hinton 2008).

    Returns None for fewer than FEWEST different items.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    generator = torch.Generator().manual_seed(seed)
    chosen = np.sort(torch.randperm(len(values), generator=generator)[:most].numpy())
    points = values[chosen]
    if len(np.unique(points, axis=0)) < FEWEST:
        return None
    state = seed % 2**32
    width = min(WIDTH, *points.shape)
    if points.shape[1] > width:
        points = PCA(width, svd_solver="randomized", random_state=state).fit_transform(points)
    if points.shape[1] < 2:
        points = np.pad(points, ((0, 0), (0, 1)))
    perplexity = min(PERPLEXITY, (len(points) - 1) / 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        places = TSNE(perplexity=perplexity, max_iter=STEPS, init="pca", random_state=state).fit_transform(points)
    low, high = places.min(0), places.max(0)
    scaled = (places - low) / np.where(high > low, high - low, 1)
    return chosen, np.rint(scaled * (SIDE - 40) + 20).astype(np.int64)
