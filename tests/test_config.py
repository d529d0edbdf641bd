from collections.abc import Mapping
from enum import StrEnum

import pytest

from clusterkit.adaptation.training import TERMS
from clusterkit.config import AdaptMethod, Backbone, Context, Loss, Method
from clusterkit.errors import UsageError
from clusterkit.losses import LOSSES
from clusterkit.methods import METHODS
from clusterkit.networks.backbones import BACKBONES

TABLES = [(LOSSES, Loss), (METHODS, Method), (BACKBONES, Backbone), (TERMS, AdaptMethod)]


@pytest.mark.parametrize(("table", "names"), TABLES)
def test_every_name_has_its_entry(table: Mapping[StrEnum, object], names: type[StrEnum]) -> None:
    assert list(table) == list(names)


def test_ccl_has_two_names() -> None:
    assert [Loss.parse(name) for name in ("kcl", "ccl", "mcl")] == [Loss.KCL, Loss.CCL, Loss.CCL]
    with pytest.raises(UsageError, match="--loss nll: choose kcl or ccl"):
        Loss.parse("nll")


def test_the_data_root_follows_the_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert Context().data.as_posix() == "/somewhere/clusterkit"
