"""A data scientist with embeddings in a table: constraints by name, labels in pandas and through jq."""

import itertools
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

import clusterkit
from tests.conftest import Cli

pandas = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

EACH = 20


@pytest.fixture
def truth() -> "pandas.Series":
    """The classes of 200 digits by name; their values are in `vectors.parquet`, in another order than by class."""
    data = load_digits()
    rows = np.concatenate([np.flatnonzero(data.target == digit)[:EACH] for digit in range(10)])
    rows = np.random.default_rng(0).permutation(rows)
    names = [f"scan {row:04d}, page 1.png" for row in rows]
    table = pandas.DataFrame(data.data[rows], columns=[f"v{i}" for i in range(64)])
    table.insert(3, "name", names)
    table.to_parquet("vectors.parquet")
    return pandas.Series(data.target[rows], index=names, name="class")


def test_labels_come_back_by_name(cli: Cli, truth: "pandas.Series") -> None:
    truth.rename_axis("name").reset_index().to_csv("truth.csv", index=False)
    members = [truth.index[truth == digit] for digit in range(10)]
    links = [(a, b, "must") for names in members for a, b in itertools.pairwise(names[:6])]
    links += [(members[i][0], members[j][0], "cannot-link") for i in range(10) for j in range(i)]
    pandas.DataFrame(links).to_csv("pairs.csv", index=False, header=False)

    line = "cluster features:vectors.parquet --k 10 --method mpckmeans --json"
    done = cli(f"{line} --constraints pairs.csv")
    assert done.code == 0, done.err
    assert json.loads(done.out)["constraints"] == {
        "all": {"must": {"held": 50, "of": 50}, "cannot": {"held": 45, "of": 45}}
    }

    done = cli("evaluate --labels truth.csv --json")
    assert done.code == 0, done.err
    acc = json.loads(done.out)["mean"]["acc"]
    assert acc > 0.85

    assert cli("report").code == 0
    table = pandas.read_csv("clusterkit-out/clusters.csv")
    found = table.set_index("path")["cluster"].reindex(truth.index)
    shares = pandas.crosstab(found, truth).max(axis=1).sum() / len(truth)
    assert shares >= acc

    frame = clusterkit.load("clusterkit-out/assignments.h5").to_pandas()
    assert frame["cluster"].tolist() == table.sort_values("id")["cluster"].tolist()


def test_labels_pass_through_jq(cli: Cli, truth: "pandas.Series") -> None:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    assert cli("cluster features:vectors.parquet --k 10 --method kmeans").code == 0
    script = f'"{sys.executable}" -m clusterkit report --json --quiet | jq -r ".rows[] | [.path, .cluster] | @tsv"'
    done = subprocess.run(["bash", "-o", "pipefail", "-c", script], capture_output=True, text=True, check=True)
    lines = dict(line.split("\t") for line in done.stdout.splitlines())
    assert set(lines) == set(truth.index)
    assert len(set(lines.values())) == 10
