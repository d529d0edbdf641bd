import numpy as np
import torch

from clusterkit.datasets.base import Subset
from clusterkit.report.confusions import COLUMNS, GAP, confusions, most_confused


def test_the_pairs_that_share_clusters_most_come_first():
    labels = np.repeat([3, 5, 7, 9], 6)
    clusters = np.array([0] * 6 + [0] * 4 + [1] * 2 + [1] * 3 + [2] * 3 + [4] * 6)
    assert most_confused(clusters, labels) == [(3, 5), (5, 7)]
    assert most_confused(labels, labels) == []


def test_two_rows_of_images_a_pair():
    images = torch.arange(8, dtype=torch.uint8).repeat_interleave(16 * 16).view(8, 1, 16, 16)
    subset = Subset("all", images, torch.arange(8), torch.tensor([0, 0, 0, 1, 1, 1, 2, 2]))
    drawn = confusions(subset, np.array([0, 0, 0, 0, 0, 0, 1, 1]))
    assert drawn.shape == (32 + 6 * GAP, COLUMNS * (16 + GAP))
    assert [drawn[0, 0], drawn[0, 16 + GAP], drawn[16, 0], drawn[16, 2 * (16 + GAP)]] == [0, 1, 3, 5]
    assert confusions(subset, subset.labels.numpy()).max() == 0


def test_unlabelled_items_are_no_class():
    images = torch.arange(6, dtype=torch.uint8).repeat_interleave(16 * 16).view(6, 1, 16, 16)
    subset = Subset("all", images, torch.arange(6), torch.tensor([-1, -1, -1, 0, 0, 1]))
    assert confusions(subset, np.array([0, 0, 0, 0, 0, 1])).max() == 0
