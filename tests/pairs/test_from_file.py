from pathlib import Path

import numpy as np
import pytest
import torch

from clusterkit.artifacts import hdf5
from clusterkit.artifacts.hdf5 import Blocks, Group, read_hdf5
from clusterkit.config import Form
from clusterkit.pairs import from_file
from clusterkit.pairs.dense import DensePairs
from clusterkit.pairs.factored import FactoredPairs
from clusterkit.pairs.from_file import from_group, to_group
from tests.conftest import LETTERS, Cli

EVERY = torch.arange(600)
IDS = EVERY + 100


def factors(scale: float = 1.0) -> FactoredPairs:
    torch.manual_seed(0)
    return FactoredPairs(torch.randn(600, 4), torch.randn(600, 4), scale * torch.randn(4), torch.tensor(0.5))


def as_read(group: Group) -> dict[str, np.ndarray]:
    return {name: whole(value) if isinstance(value, Blocks) else value for name, value in group.items()}


def whole(value: Blocks) -> np.ndarray:
    out = np.full(value.shape, np.nan, value.dtype)
    for place, block in value.blocks:
        assert np.isnan(out[place]).all(), "each place is written once"
        out[place] = block
    return out


@pytest.mark.parametrize("form", [Form.DENSE, Form.FACTORED])
def test_pairs_survive_their_arrays(form: Form) -> None:
    pairs = factors()
    group = as_read(to_group(pairs, IDS, form))
    assert group["id"].tolist() == IDS.tolist()
    back = from_group(group)
    assert len(back) == 600
    dense = form is Form.DENSE
    assert isinstance(back, DensePairs if dense else FactoredPairs)
    expected = pairs.logits(EVERY, EVERY)
    found = back.logits(EVERY, EVERY)
    torch.testing.assert_close(found, expected, rtol=2**-10 if dense else 0, atol=1e-5 if dense else 0)


def test_dense_logits_are_halves_written_tile_by_tile_and_symmetric() -> None:
    blocks = to_group(factors(), IDS, Form.DENSE)["logit"]
    assert isinstance(blocks, Blocks)
    assert (blocks.shape, blocks.dtype) == ((600, 600), "<f2")
    logit = whole(blocks)
    assert np.isfinite(logit).all()
    assert np.array_equal(logit, logit.T)


def test_large_pairs_come_back_mapped_from_their_file(letters: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    before = read_hdf5(letters / "pairs.h5", "pairs")[1]
    monkeypatch.setattr(hdf5, "MAPPED_BYTES", 1000)
    assert {type(group["logit"]) for group in read_hdf5(letters / "pairs.h5", "pairs")[1].values()} == {np.ndarray}
    assert cli(f"predict-pairs {LETTERS}").code == 0
    content = (letters / "pairs.h5").read_bytes()
    groups = read_hdf5(letters / "pairs.h5", "pairs")[1]
    assert len(groups) == 3
    for name, group in groups.items():
        assert isinstance(group["logit"], np.memmap)
        assert np.array_equal(group["logit"], before[name]["logit"])
    assert cli(f"predict-pairs {LETTERS}").code == 0
    assert (letters / "pairs.h5").read_bytes() == content
    monkeypatch.undo()
    assert np.array_equal(read_hdf5(letters / "pairs.h5", "pairs")[1][name]["logit"], before[name]["logit"])


def test_a_batch_asks_for_its_own_pairs_only() -> None:
    asked = []

    class Mapped:
        def __getitem__(self, place: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
            asked.append(logit[place])
            return asked[-1]

    logit = torch.randn(50, 50).half()
    rows, columns = torch.tensor([3, 40, 3]), torch.tensor([7, 0])
    found = DensePairs(Mapped()).logits(rows, columns)
    assert torch.equal(found, logit[rows][:, columns].float())
    assert sum(values.numel() for values in asked) == 6


def test_logits_too_large_for_halves_stay_finite() -> None:
    pairs = factors(1e6)
    logit = as_read(to_group(pairs, IDS, Form.DENSE))["logit"]
    assert np.isfinite(logit).all()
    assert np.array_equal(logit > 0, pairs.logits(EVERY, EVERY).numpy() > 0)


def test_the_form_follows_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "logit" in to_group(factors(), IDS, Form.AUTO)
    monkeypatch.setattr(from_file, "DENSE_LIMIT", 599)
    assert "logit" not in to_group(factors(), IDS, Form.AUTO)


def test_arrays_that_hold_no_pairs_are_refused() -> None:
    with pytest.raises(KeyError):
        from_group({"id": IDS.numpy()})
