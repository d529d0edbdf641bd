"""The number of clusters of a subset."""

import logging

import pytest
import torch

from clusterkit.config import ClusterConfig
from clusterkit.datasets.base import Subset
from clusterkit.methods.common.number import number_of_clusters
from clusterkit.metrics import doubts
from clusterkit.settings import CountedBy


def test_an_estimate_of_one_gives_way_to_the_labels_of_examples(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "clusterkit")
    subset = Subset("all", torch.zeros(9, 2), torch.arange(9), None)
    config = ClusterConfig(k=CountedBy.ESTIMATE)
    assert number_of_clusters(config, subset, "set", {"all": 1}, fewest=0) == 2
    assert not caplog.messages
    assert number_of_clusters(config, subset, "set", {"all": 1}, fewest=3) == 3
    assert "K is 3, the number of labels of the examples; k.json estimates 1" in caplog.text
    [text] = doubts.of_one({"all": 3})
    assert "only one cluster, so K is 3" in text
