"""estimate-k --probe: the estimate of K by labelled classes that are clustered together with the target."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from clusterkit.__main__ import main
from clusterkit.artifacts.hdf5 import read_hdf5
from clusterkit.artifacts.json_file import read_json
from clusterkit.config import Context
from clusterkit.methods.common import probe, sample
from clusterkit.methods.common.probe import read_probe
from clusterkit.metrics.probe_k import ProbeEstimate, probe_estimate
from tests.cli.test_bad_input import fails, state_of
from tests.conftest import Cli, once

LINE = "estimate-k --probe glyphs_bg@12-23"
PROBE = "arrays:probe.npz"


def write(name: str | Path, classes: int, first: int = 0, each: int = 15, y: bool = True) -> None:
    """Write items around corners of a cube, from the corner number `first`."""
    labels = np.arange(classes * each) % classes
    noise = 0.01 * np.random.default_rng(first).normal(size=(len(labels), 40))
    arrays = {"x": (np.eye(40)[first + labels] + noise).astype(np.float32)}
    np.savez(f"{name}.npz", **arrays, **({"y": labels} if y else {}))


def make(folder: Path) -> None:
    """Write pairs, by a metric, of a target of seven classes, and probe classes that G has not learned."""
    folder.mkdir()
    write(folder / "source", 12)
    write(folder / "target", 7, 12, y=False)
    write(folder / "probe", 10, 20)
    for line in (f"train-g arrays:{folder}/source.npz --head metric", f"predict-pairs arrays:{folder}/target.npz"):
        assert main([*line.split(), "--workdir", str(folder / "clusterkit-out"), "--quiet"]) == 0


@pytest.fixture
def corners(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder of `make`, in the current folder."""
    shutil.copytree(once(tmp_path_factory, "corners", make), tmp_path, dirs_exist_ok=True)
    return tmp_path / "clusterkit-out"


def test_the_estimate_stands_beside_the_others(letters: Path, cli: Cli) -> None:
    assert cli("estimate-k").code == 0
    before = read_json(letters / "k.json", "k")[1]
    done = cli(f"{LINE} --json")
    assert done.code == 0, done.err
    header, content = read_json(letters / "k.json", "k")
    assert set(header.inputs) == {"pairs", "assignments", "g"}
    assert header.extra["probe"]["name"] == "glyphs_bg@12-23"
    assert content["recommended"] == before["recommended"]
    assert json.loads(done.out)["estimates"] == content["estimates"]
    for title, values in content["estimates"].items():
        assert 1 <= values["probe"] <= 160
        assert list(values)[-2:] == ["probe", "spread"]
        others = [value for name, value in values.items() if name != "spread"]
        assert values["spread"] == max(others) - min(others)
        del values["probe"], values["spread"], before["estimates"][title]["spread"]
        assert values == before["estimates"][title]
        assert f"estimate-k {title}: probe " in done.err
    assert "of up to 25 new clusters" in done.err
    assert "learned the labels" not in done.err
    first = (letters / "k.json").read_bytes()
    assert cli(LINE).code == 0
    assert (letters / "k.json").read_bytes() == first
    assert cli("inspect clusterkit-out/k.json").code == 0


def test_features_by_a_metric(corners: Path, cli: Cli) -> None:
    done = cli(f"estimate-k --probe {PROBE}")
    assert done.code == 0, done.err
    assert read_json(corners / "k.json", "k")[1]["estimates"]["all"]["probe"] == 7
    assert "of up to 100 new clusters" in done.err


def test_target_and_probe_are_represented_as_in_the_pairs(
    corners: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(probe, "probe_estimate", lambda *arrays: calls.append(arrays) or ProbeEstimate(1, 1, 1))
    assert cli(f"estimate-k --probe {PROBE}").code == 0
    [(target, features, labels, most, _)] = calls
    z = read_hdf5(corners / "pairs.h5", "pairs")[1]["all"]["z"]
    assert target[np.lexsort(target.T)] == pytest.approx(z[np.lexsort(z.T)], abs=1e-6)
    assert features.shape == (150, z.shape[1])
    assert np.bincount(labels).tolist() == [15] * 10
    assert most == 100


def test_large_sets_are_sampled(corners: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def counted(target: np.ndarray, *rest: np.ndarray) -> ProbeEstimate:
        sizes.append((len(target), np.bincount(rest[1]).tolist()))
        return probe_estimate(target, *rest)

    monkeypatch.setattr(sample, "LARGEST", 70)
    monkeypatch.setattr(probe, "probe_estimate", counted)
    assert cli(f"estimate-k --probe {PROBE}").code == 0
    assert sizes == [(70, [7] * 10)]


def test_classes_that_g_has_learned_are_warned_of(letters: Path, cli: Cli) -> None:
    done = cli("estimate-k --probe glyphs_bg@4-15 --json")
    assert done.code == 0
    [warning] = [line for line in json.loads(done.out)["warnings"] if line.startswith("--probe")]
    assert "--probe glyphs_bg@4-15: G learned the labels of these classes (glyphs_bg@0-11)" in warning
    assert warning in done.err


def test_bad_probes(letters: Path, cli: Cli) -> None:
    assert cli(LINE).code == 0
    before = state_of(letters)
    write("vectors", 5)
    np.savez("single.npz", x=np.random.default_rng(0).random((9, 8, 8)), y=np.r_[np.arange(7), 0, 1])
    np.savez("unlabelled.npz", x=np.random.default_rng(0).random((9, 8, 8)))
    fails(cli("estimate-k --probe nothing"), 2, "unknown data set 'nothing'")
    fails(cli("estimate-k --probe glyphs_bg@200-240"), 2, "classes 200-240 do not exist; it has classes 0 to 239")
    fails(cli("estimate-k --probe glyphs_eval@10-12"), 3, "--probe glyphs_eval@10-12: has images of glyphs_eval@12")
    fails(cli("estimate-k --probe glyphs_bg@12,13"), 3, "has 2 classes of two items or more; name at least 3")
    fails(cli("estimate-k --probe glyphs_bg@12"), 3, "has 1 class of two items or more; name at least 3, which are")
    fails(cli("estimate-k --probe arrays:single.npz"), 3, "single.npz: has 2 classes of two items or more")
    fails(cli("estimate-k --probe arrays:unlabelled.npz"), 3, "unlabelled.npz has no labels")
    fails(cli("estimate-k --probe arrays:vectors.npz"), 3, "items of shape (40,), but the network reads (1, 8, 8)")
    fails(cli("estimate-k --probe arrays:missing.npz"), 3, "missing.npz")
    assert state_of(letters) == before
    (letters / "g.safetensors").rename("elsewhere")
    fails(cli(LINE), 3, "the g.safetensors that predicted it is not beside it; put it there, or leave out --probe")
    assert cli("estimate-k").code == 0


def test_single_items_of_a_class_are_left_out(corners: Path, cli: Cli) -> None:
    with np.load("probe.npz") as arrays:
        x, y = arrays["x"], arrays["y"]
    kept = (y > 1) | (np.arange(len(y)) < 10)
    np.savez("probe.npz", x=x[kept], y=y[kept])
    done = cli(f"estimate-k --probe {PROBE}")
    assert done.code == 0
    assert "probe.npz: 2 classes of one item are left out" in done.err


def test_changed_targets_are_refused(corners: Path, cli: Cli) -> None:
    shutil.copy("probe.npz", "target.npz")
    fails(cli(f"estimate-k --probe {PROBE}"), 3, "pairs.h5: the content of arrays:target.npz has changed")
    assert not (corners / "k.json").exists()


def test_unlabelled_items_of_the_probe_do_not_count(corners: Path) -> None:
    with np.load("probe.npz") as arrays:
        x, y = arrays["x"], np.where(arrays["y"] < 4, -1, arrays["y"])
    np.savez("probe.npz", x=x, y=y)
    path = corners / "pairs.h5"
    header, groups = read_hdf5(path, "pairs")
    chosen = read_probe(PROBE, header, path, groups, Context()).data
    assert len(chosen) == 90
    assert chosen.labels is not None
    assert int(chosen.labels.min()) >= 0


@pytest.mark.slow
def test_on_characters(cli: Cli, real_data: Path) -> None:
    """Eight characters of one alphabet, by twelve of another that G has not learned either."""
    data = f"--data {real_data}"
    assert cli(f"predict-pairs omniglot_eval/Angelic@0-7 --g characters {data}").code == 0
    assert cli(f"cluster --k 24 --method kmeans {data}").code == 0
    done = cli(f"estimate-k --probe omniglot_eval/Tengwar@566-577 {data}")
    assert done.code == 0, done.err
    assert "learned the labels" not in done.err
    assert 5 <= read_json(Path("clusterkit-out/k.json"), "k")[1]["estimates"]["Angelic"]["probe"] <= 12
