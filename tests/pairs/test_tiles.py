import itertools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clusterkit.pairs import tiles as module
from clusterkit.pairs.factored import FactoredPairs
from clusterkit.pairs.tile_log import Half, TileLog, half_tiles
from clusterkit.pairs.tiles import Place, every_logit, places, tiles


def factors(count: int, hidden: int = 6) -> FactoredPairs:
    generator = torch.Generator().manual_seed(count)
    u, v = (torch.randn(count, hidden, generator=generator) for _ in range(2))
    return FactoredPairs(u, v, torch.randn(hidden, generator=generator), torch.tensor(0.3))


def assembled(pairs: FactoredPairs) -> torch.Tensor:
    out = torch.full((len(pairs), len(pairs)), torch.nan)
    for (rows, columns), logits in tiles(pairs, list(places(len(pairs)))):
        assert out[rows, columns].isnan().all()
        out[columns, rows] = logits.T
        out[rows, columns] = logits
    return out


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SIZE", 4)


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 23])
@pytest.mark.usefixtures("small_tiles")
def test_tiles_hold_every_pair_once(count: int) -> None:
    pairs, every = factors(count), torch.arange(count)
    found = assembled(pairs)
    torch.testing.assert_close(found, pairs.logits(every, every))
    assert torch.equal(found, assembled(pairs))
    assert torch.equal(found, every_logit(pairs))
    some = every.flip(0)[: count // 2 + 1]
    torch.testing.assert_close(every_logit(pairs.of(some)), pairs.logits(some, some))


@pytest.mark.usefixtures("small_tiles")
@given(count=st.integers(1, 40), every=st.integers(1, 3), first=st.integers(0, 2), wide=st.integers(1, 5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_strips_are_neighbours_of_a_row(count: int, every: int, first: int, wide: int) -> None:
    selection = list(places(count))[first::every]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WIDE", wide)
        found = list(module.strips(selection))
    assert [place for strip in found for place in strip] == selection
    for strip in found:
        assert 1 <= len(strip) <= wide
        assert all(place[0] == strip[0][0] for place in strip)
        assert all(one[1].stop == other[1].start for one, other in itertools.pairwise(strip))
    for one, other in itertools.pairwise(found):
        follows = one[-1][0] == other[0][0] and one[-1][1].stop == other[0][1].start
        assert not follows or len(one) == wide


@pytest.mark.usefixtures("small_tiles")
def test_threads_are_given_back_also_to_a_caller_that_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    for _ in tiles(factors(23), list(places(23))):
        break
    assert torch.get_num_threads() == before


def test_the_compiled_kernel_agrees_with_the_eager_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SIZE", 16)
    pairs = factors(40, 32)
    expected = assembled(pairs)
    monkeypatch.setattr(module, "COMPILE_FROM", 0)
    torch.testing.assert_close(assembled(pairs), expected)


def test_a_torch_without_the_option_compiles_without_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, asked = torch.compile, []

    def older(function: Callable[..., Any], options: object = None, **more: Any) -> Callable[..., Any]:
        asked.append(options)
        if options is not None:
            raise RuntimeError("Unexpected optimization option")
        return real(function, **more)

    monkeypatch.setattr(module, "SIZE", 16)
    pairs = factors(20)
    expected = assembled(pairs)
    monkeypatch.setattr(module, "COMPILE_FROM", 0)
    monkeypatch.setattr(torch, "compile", older)
    with caplog.at_level(logging.INFO, "clusterkit"):
        torch.testing.assert_close(assembled(pairs), expected)
    assert asked == [module.CONTRACTED, None]
    assert not caplog.text


@pytest.mark.usefixtures("small_tiles")
def test_without_a_compiler_it_goes_on_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        def fail(*arguments: Any) -> None:
            raise RuntimeError("no C++ compiler\nand more")

        return fail

    pairs = factors(9)
    expected = assembled(pairs)
    monkeypatch.setattr(module, "COMPILE_FROM", 0)
    monkeypatch.setattr(torch, "compile", broken)
    with caplog.at_level(logging.INFO, "clusterkit"):
        assert torch.equal(assembled(pairs), expected)
    assert "compiling its inner loop failed (no C++ compiler), so it runs uncompiled" in caplog.text


def same(found: list[tuple[Place, Half]], expected: list[tuple[Place, Half]]) -> bool:
    return [place for place, _ in found] == [place for place, _ in expected] and all(
        one.tobytes() == other.tobytes() for (_, one), (_, other) in zip(found, expected, strict=True)
    )


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("taken", [0, 1, 7, 21])
@pytest.mark.parametrize("lost", [0, 1, 40])
def test_a_log_goes_on_where_it_was_left(taken: int, lost: int, tmp_path: Path) -> None:
    pairs, log = factors(23), TileLog(tmp_path / "tiles")
    expected = list(half_tiles(pairs))
    assert len(expected) == 21
    started = log.tiles(pairs)
    assert same(list(itertools.islice(started, taken)), expected[:taken])
    started.close()
    if taken:
        log.path.write_bytes(log.path.read_bytes()[: -lost or None])
    assert same(list(log.tiles(pairs)), expected)
    assert same(list(log.tiles(pairs)), expected)


@pytest.mark.usefixtures("small_tiles")
def test_a_damaged_log_is_made_again_from_the_damage_on(tmp_path: Path) -> None:
    pairs, log = factors(23), TileLog(tmp_path / "tiles")
    expected = list(log.tiles(pairs))
    data = bytearray(log.path.read_bytes())
    data[100] ^= 1
    log.path.write_bytes(bytes(data))
    assert same(list(log.tiles(pairs)), expected)
    assert log.path.stat().st_size == len(data)
