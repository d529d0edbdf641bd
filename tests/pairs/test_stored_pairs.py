import numpy as np
import pytest
import torch

from clusterkit.artifacts.hdf5 import Group, Rows
from clusterkit.config import Form
from clusterkit.pairs import stored
from clusterkit.pairs.dense import DensePairs
from clusterkit.pairs.factored import FactoredPairs
from clusterkit.pairs.stored import from_group, to_group

EVERY = torch.arange(600)
IDS = EVERY + 100


def factors(scale: float = 1.0) -> FactoredPairs:
    torch.manual_seed(0)
    return FactoredPairs(torch.randn(600, 4), torch.randn(600, 4), scale * torch.randn(4), torch.tensor(0.5))


def as_read(group: Group) -> dict[str, np.ndarray]:
    return {n: np.concatenate(list(v.blocks)) if isinstance(v, Rows) else v for n, v in group.items()}


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
    assert torch.equal(found, expected.half().float() if dense else expected)


def test_dense_logits_are_halves_written_row_by_row_and_symmetric() -> None:
    rows = to_group(factors(), IDS, Form.DENSE)["logit"]
    assert isinstance(rows, Rows)
    assert (rows.shape, rows.dtype) == ((600, 600), "<f2")
    blocks = list(rows.blocks)
    assert len(blocks) > 1
    whole = np.concatenate(blocks)
    assert np.abs(whole - whole.T).max() <= 2**-8


def test_logits_too_large_for_halves_stay_finite() -> None:
    pairs = factors(1e6)
    logit = as_read(to_group(pairs, IDS, Form.DENSE))["logit"]
    assert np.isfinite(logit).all()
    assert np.array_equal(logit > 0, pairs.logits(EVERY, EVERY).numpy() > 0)


def test_the_form_follows_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "logit" in to_group(factors(), IDS, Form.AUTO)
    monkeypatch.setattr(stored, "DENSE_LIMIT", 599)
    assert "logit" not in to_group(factors(), IDS, Form.AUTO)


def test_arrays_that_hold_no_pairs_are_refused() -> None:
    with pytest.raises(KeyError):
        from_group({"id": IDS.numpy()})
