"""PairClustering is an estimator of scikit-learn's."""

import re
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import clusterkit
from clusterkit.methods import METHODS
from clusterkit.methods.common.declared import Reads

LABELS = np.repeat(np.arange(3), [20, 10, 10])
SAME = (LABELS[:, None] == LABELS).astype(float)
X = np.random.default_rng(0).normal(size=(40, 3)) + 2 * np.eye(3)[LABELS]
ARRAYS = {name: method for name, method in METHODS.items() if not method.joint and name != "c2m"}
"""The methods of arrays that need no file; tests/stages/test_train_critic.py has c2m, which reads a critic."""
WITHOUT_PAIRS = [name for name, method in ARRAYS.items() if method.pairs is Reads.NOTHING or method.instead]


@parametrize_with_checks([clusterkit.PairClustering(method=method) for method in WITHOUT_PAIRS])
def test_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


def test_the_methods_that_need_no_pairs() -> None:
    assert {"kmeans", "spectral", "lpnmf", "lsc"} <= set(WITHOUT_PAIRS)
    assert not {"ccn", "csp", "agglomerative"} & set(WITHOUT_PAIRS)


@pytest.mark.parametrize("method", [name for name in ARRAYS if name not in WITHOUT_PAIRS])
def test_methods_that_need_pairs(method: str) -> None:
    k = None if METHODS[method].finds_k else 4
    options = {"backbone": "mlp", "epochs": 1} if method == "ccn" else None
    estimator = clusterkit.PairClustering(k, method=method, random_state=3, options=options)
    with pytest.raises(ValueError, match=f"^pairs: method {method} reads pairs; give pairs"):
        estimator.fit(X)
    assert not hasattr(estimator, "labels_")
    labels = estimator.fit_predict(X, pairs=SAME)
    assert labels is estimator.labels_
    assert estimator.n_features_in_ == 3
    wanted = clusterkit.cluster(X, k=k, method=method, pairs=SAME, seed=3, **(options or {}))
    np.testing.assert_array_equal(labels, wanted.labels)
    np.testing.assert_array_equal(estimator.probabilities_, wanted.probabilities)
    np.testing.assert_array_equal(clone(estimator).fit(X, pairs=SAME).labels_, labels)


def test_links_reach_the_method() -> None:
    estimator = clusterkit.PairClustering(2, method="csp", random_state=0)
    line = np.linspace(0, 1, 12)[:, None]
    labels = estimator.fit(
        line, must_link=[(i, i + 2) for i in range(10)], cannot_link=[(i, i + 1) for i in range(11)]
    ).labels_
    assert labels.tolist() in ([0, 1] * 6, [1, 0] * 6)
    for links in ({"must_link": [(0, 40)]}, {"must_link": [(0, 1)], "cannot_link": [(0, 1)]}):
        with pytest.raises(ValueError, match=r"^(must|cannot)_link\[0\]: "):
            estimator.fit(X, **links)


def test_random_states() -> None:
    wide = clusterkit.PairClustering(9, method="kmeans")
    wide.fit(X)
    by_state = [wide.set_params(random_state=np.random.RandomState(1)).fit_predict(X).tolist() for _ in range(2)]
    assert by_state[0] == by_state[1]
    by_seed = wide.set_params(random_state=np.int64(5)).fit_predict(X).tolist()
    assert by_seed == clusterkit.cluster(X, k=9, method="kmeans", seed=5).labels.tolist()
    with pytest.raises(ValueError, match=r"^random_state -1: give a number from 0"):
        wide.set_params(random_state=-1).fit(X)


def test_in_a_pipeline() -> None:
    pipeline = make_pipeline(StandardScaler(), clusterkit.PairClustering(3, random_state=0))
    assert set(pipeline.fit_predict(X, pairclustering__pairs=SAME)) == {0, 1, 2}


def test_one_cluster_holds_everything() -> None:
    estimator = clusterkit.PairClustering(1).fit(X)
    assert set(estimator.labels_) == {0}
    assert estimator.probabilities_.tolist() == [[1.0]] * 40


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_clusters": 0}, "n_clusters 0: give a number from 2"),
        ({"n_clusters": 41}, "n_clusters 41: x has only 40 items in subset all"),
        ({"n_clusters": None}, "n_clusters: method spectral does not find the number of clusters; give a number"),
        ({"method": "skms"}, "n_clusters 8: method skms finds the number of clusters itself; give None"),
        ({"method": "nope"}, "method nope: choose one of ccn"),
        ({"n_clusters": 1, "method": "nope"}, "method nope: choose one of ccn"),
        ({"options": {"epochs": 3}}, "epochs: method spectral does not use it"),
        ({"device": "tpu"}, "device tpu: choose auto"),
    ],
)
def test_parameters_that_cannot_be_used(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        clusterkit.PairClustering(**parameters).fit(X)


def test_parameters_of_another_type() -> None:
    with pytest.raises(TypeError, match=r"^n_clusters must be a whole number or None, not 2\.5"):
        clusterkit.PairClustering(2.5).fit(X)
    with pytest.raises(TypeError, match=r"^unexpected argument 'wide'"):
        clusterkit.PairClustering(options={"wide": 3}).fit(X)
    with pytest.raises(ValueError, match=r"^pairs: shape \(30, 30\)"):
        clusterkit.PairClustering().fit(X, pairs=SAME[:30, :30])
