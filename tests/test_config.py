import ast
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import clusterkit
from clusterkit.adaptation import ADAPTATIONS
from clusterkit.cli.options import options_in
from clusterkit.config import AdaptConfig, Backbone, Context, TrainGConfig
from clusterkit.errors import UsageError
from clusterkit.losses import ALIASES, WITH_MARGIN, Loss, pair_loss, parse_loss
from clusterkit.methods import METHODS, function_of
from clusterkit.networks.backbones import BACKBONES
from clusterkit.settings import (
    SIMULATED,
    CountedBy,
    Features,
    File,
    Init,
    TruePairs,
    parse_features,
    parse_init,
    parse_k,
    parse_pairs,
)
from clusterkit.studies import STUDIES


def test_every_backbone_has_its_entry() -> None:
    assert list(BACKBONES) == list(Backbone)


def files_in(package: str) -> set[str]:
    module = importlib.import_module(package)
    return {path.stem for path in Path(str(module.__file__)).parent.glob("*.py")} - {"__init__"}


def test_the_folder_of_the_methods_holds_them_and_nothing_else() -> None:
    assert files_in("clusterkit.methods") == set(METHODS)
    for name in METHODS:
        assert function_of(name).__name__ == name


def test_every_term_of_an_adaptation_has_its_file() -> None:
    terms = {term for method in ADAPTATIONS.values() for term in method.terms}
    assert files_in("clusterkit.adaptation") == terms | {"joint", "network", "training"}


def test_every_loss_has_its_file() -> None:
    for loss in Loss:
        assert callable(pair_loss(loss))
    assert set(ALIASES.values()) | WITH_MARGIN <= set(Loss)


@pytest.mark.parametrize("declared", [METHODS, ADAPTATIONS])
def test_an_option_is_the_same_for_every_method_that_has_it(declared: Mapping[str, Any]) -> None:
    options = [each for method in declared.values() for each in options_in(method.options)]
    for name in {each[0] for each in options}:
        flags = [(kind, flag, default) for other, kind, flag, default in options if other == name]
        assert len({repr((kind, flag)) for kind, flag, _ in flags}) == 1
        # The help can tell of other defaults only in its own words.
        assert flags[0][1].default or len({repr(default) for *_, default in flags}) == 1


def test_ccl_has_two_names() -> None:
    assert [parse_loss(name) for name in ("kcl", "ccl", "mcl")] == [Loss.KCL, Loss.CCL, Loss.CCL]
    with pytest.raises(UsageError, match="--loss nll: choose kcl or ccl"):
        parse_loss("nll")


def test_settings_with_several_meanings_are_read_once_and_shown_as_they_were_typed() -> None:
    assert [parse_k(text) for text in ("100", "auto", "known")] == [100, CountedBy.ESTIMATE, CountedBy.LABELS]
    assert [parse_pairs(text) for text in ("labels", "./labels")] == [TruePairs(), File("./labels")]
    assert [parse_init(text) for text in ("random", "g", "g.safetensors")] == [*Init, File("g.safetensors")]
    assert [parse_features(text) for text in ("pixels", "g", "ccn", "x")] == [*Features, File("x")]
    for parse, text in ((parse_k, "auto"), (parse_k, "7"), (parse_pairs, "simulated:0.5,1,0.25"), (parse_init, "a/b")):
        assert str(parse(text)) == text  # type: ignore[operator]
    for text in ("1", "0", "-3", "ten", "2.5", ""):
        with pytest.raises(UsageError, match=f"--k {text}: give a number from 2, auto, or known"):
            parse_k(text)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TrainGConfig(dataset="digits", epochs=0), "--epochs 0: give a number from 1"),
        (lambda: TrainGConfig(dataset="digits", learning_rate=-1.0), "--learning-rate -1.0: give a number from 0"),
        (lambda: AdaptConfig(source="a", target="b", source_batch=1), "--source-batch 1: give a number from 2"),
        (lambda: Context(seed=-1), "--seed -1: give a number from 0"),
        (lambda: STUDIES["digits"].options(method=("foo",)), "--method foo: choose one of source-only"),
        (lambda: STUDIES["baselines"].options(images=20_000), "--images 20000: give a number up to 10000"),
    ],
)
def test_settings_keep_their_bounds_in_python_too(make: Callable[[], object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make()


RAW = {SIMULATED, *CountedBy, *Features, *Init} - {"g", "ccn"}
"""Texts that settings have meanings for; g and ccn are names of files' formats too."""


def texts_in(path: Path) -> set[str]:
    """The strings that a file compares, hands on or looks up; names of members of enums are none."""
    tree = ast.parse(path.read_text())
    inside = {id(each) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for each in ast.walk(node)}
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in inside)
    return {node.value for node in nodes if isinstance(node.value, str)}


@pytest.mark.parametrize("floor", ["stages", "methods", "adaptation", "pairs", "networks", "artifacts", "datasets"])
def test_below_the_door_nothing_asks_what_a_setting_says(floor: str) -> None:
    for path in (Path(clusterkit.__file__).parent / floor).rglob("*.py"):
        assert not texts_in(path) & RAW, path


def test_the_data_root_follows_the_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert Context().data.as_posix() == "/somewhere/clusterkit"
