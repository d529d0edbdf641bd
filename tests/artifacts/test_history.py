from pathlib import Path

import pytest
from samples import SAMPLES, header

from clusterkit.artifacts.history import KEPT_BY, NETWORKS, history_rows, to_csv
from clusterkit.artifacts.summary import read_any
from clusterkit.errors import InputError

ONE = [{"loss": 0.1 + 0.2}, {"loss": 1e-05}]


def test_of_one_training() -> None:
    rows = history_rows(header("g", "train-g", history=ONE), Path("g"))
    assert rows == [
        {"subset": None, "training": None, "epoch": 1, "loss": 0.30000000000000004},
        {"subset": None, "training": None, "epoch": 2, "loss": 1e-05},
    ]
    assert to_csv(rows) == ["subset,training,epoch,loss", ",,1,0.30000000000000004", ",,2,1e-05"]


def test_of_several_trainings_with_losses_of_their_own() -> None:
    history = {"Old, new": {"round 1": ONE}, "b": {"restart 1": [{"pairs": 2.0}], "round 1": [{"loss": 3.0}]}}
    rows = history_rows(header("ccn", "cluster", history=history), Path("ccn"))
    assert to_csv(rows) == [
        "subset,training,epoch,loss,pairs",
        '"Old, new",round 1,1,0.30000000000000004,',
        '"Old, new",round 1,2,1e-05,',
        "b,restart 1,1,,2.0",
        "b,round 1,1,3.0,",
    ]


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "g.safetensors"])
def test_files_that_keep_none(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    SAMPLES[name].write(path)
    header = read_any(path)[0]
    network = header.format in NETWORKS
    words = f"was made before such files kept a history; repeat: clusterkit {header.stage}"
    if not network:
        words = f"holds no history of a training; {KEPT_BY}"
    with pytest.raises(InputError, match=f"{name}: {words}"):
        history_rows(read_any(path)[0], path)
