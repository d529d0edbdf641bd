"""What only a CUDA device can show."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from clusterkit import replay
from clusterkit.__main__ import main
from clusterkit.artifacts.features import read_features
from clusterkit.augment import augment, quarter_turns
from clusterkit.config import Backbone, Kind
from clusterkit.datasets.base import Subset
from clusterkit.losses import Loss, pair_loss
from clusterkit.networks import pair_logits as pair_logits_module
from clusterkit.networks.build import Architecture, ClusterNet, SimilarityNet
from clusterkit.networks.pair_logits import kernels_for, pair_logits
from clusterkit.pairs import tiles as tiles_module
from clusterkit.pairs.dense import DensePairs
from clusterkit.pairs.factored import FactoredPairs
from clusterkit.pairs.tiles import SIZE, places, tiles
from clusterkit.replay import Gpu, Steps, recorder_for
from clusterkit.sampling import ClassBalanced
from clusterkit.training import batches_of
from tests.features.weights_of import weights_of

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")]

CUDA = torch.device("cuda")


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_every_training_stage_runs_on_cuda(precision: str, tmp_path: Path) -> None:
    for line in (
        f"pretrain digits --epochs 1 --optimizer sgd --precision {precision}",
        f"train-g glyphs_bg@0-19 --epochs 1 --precision {precision}",
        "predict-pairs glyphs_eval/Morwen",
        f"cluster --k 30 --epochs 2 --precision {precision}",
        "estimate-k",
        "evaluate",
        "assign glyphs_eval/Nastric",
        "cluster --k 30 --method kmeans --features ccn",
        "cluster --k 30 --method itml --features g",
        "predict-pairs digits",
        f"adapt digits digits --method ccn++ --steps 1 --precision {precision}",
        f"adapt digits digits --method jan --steps 1 --precision {precision}",
    ):
        assert main([*line.split(), "--device", "cuda", "--workdir", str(tmp_path)]) == 0


def test_features_on_cuda_are_those_of_the_cpu(tmp_path: Path) -> None:
    weights = weights_of("test_vit", tmp_path / "w.safetensors")
    rows = []
    for device in ("cpu", "cuda"):
        line = f"embed digits@0-1 --backbone timm:test_vit --weights {weights} --device {device}"
        assert main([*line.split(), "--workdir", str(tmp_path / device)]) == 0
        rows.append(torch.from_numpy(read_features(tmp_path / device / "features.h5")[1]["all"].x))
    torch.testing.assert_close(*rows, rtol=1e-3, atol=1e-3)


def never_waiting(step: Callable[[], Tensor], network: torch.nn.Module) -> None:
    """Take three whole steps, of which the last two must not make the CPU wait for the GPU."""
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    for number in range(3):
        torch.cuda.set_sync_debug_mode("error" if number else "default")
        try:
            loss = step()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert loss.isfinite()


def test_a_step_of_g_never_waits() -> None:
    labels = torch.arange(10).repeat_interleave(5)
    images = torch.randint(256, (50, 1, 32, 32), dtype=torch.uint8)
    items, known = Subset("all", images, torch.arange(50), labels).to(CUDA), labels.to(CUDA)
    sampler = ClassBalanced(labels, [], 10, 2, 3)
    generator = torch.Generator().manual_seed(0)
    batches = batches_of(items, sampler, generator, CUDA)
    network = SimilarityNet(Architecture(Backbone.CONV4, (1, 32, 32), (0.5,), (0.3,), 64)).to(CUDA)

    def step() -> Tensor:
        index, x = next(batches)
        x = augment(quarter_turns(x, sampler.classes, generator), Kind.CHARACTERS, generator)
        similar = known[index][:, None] == known[index][None]
        return F.binary_cross_entropy_with_logits(network(x), similar.to(x))

    never_waiting(step, network)


def test_replayed_steps_are_those_one_operation_after_another() -> None:
    losses = []
    for recorder in (None, Gpu(CUDA)):
        torch.manual_seed(0)
        network = SimilarityNet(Architecture(Backbone.CONV4, (1, 32, 32), (0.5,), (0.3,), 64)).to(CUDA).train()
        parameters = list(network.parameters())
        optimizer = torch.optim.Adam(parameters, lr=1e-4, fused=True)
        similar = (torch.arange(20, device=CUDA)[:, None] // 5 == torch.arange(20, device=CUDA) // 5).float()

        def step(x: Tensor, network: SimilarityNet = network, similar: Tensor = similar) -> dict[str, Tensor]:
            return {"loss": F.binary_cross_entropy_with_logits(network(x), similar)}

        steps = Steps("steps", step, network, parameters, recorder)
        generator = torch.Generator().manual_seed(0)
        for _ in range(8):
            losses.append(float(steps(torch.rand(20, 1, 32, 32, generator=generator).to(CUDA))["loss"]))
            optimizer.step()
        assert steps.recorder is recorder
        assert all(recording.is_checked for recording in steps.recordings.values())
    assert losses[8:] == pytest.approx(losses[:8], rel=1e-3)


def test_a_step_that_waits_is_not_recorded_and_leaves_the_stream_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gpu, "failed", [])
    network = torch.nn.Linear(3, 1).to(CUDA)
    before = torch.cuda.current_stream()

    def waiting(x: Tensor) -> dict[str, Tensor]:
        return {"loss": network(x).square().mean() * float(x[0, 0])}

    for strict in (True, False):
        recorder = Gpu(CUDA)
        if not strict:
            recorder.strict = nullcontext  # type: ignore[method-assign]
        steps = Steps("steps", waiting, network, list(network.parameters()), recorder)
        for number in range(4):
            x = torch.full((2, 3), float(number), device=CUDA)
            torch.testing.assert_close(steps(x)["loss"], waiting(x)["loss"].detach())
        assert steps.recorder is None
        assert torch.cuda.current_stream() == before
        assert torch.rand(3, device=CUDA).isfinite().all()
    assert recorder_for(CUDA, 10**6) is None


def test_every_training_is_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(replay, "FEWEST", 2)
    joint = "cluster digits@5-9 --k 5 --init pretrained.safetensors --epochs 2 --method"
    for line in (
        "train-g glyphs_bg@0-19 --epochs 1",
        "train-g glyphs_bg@0-19 --epochs 1 --precision bf16",
        "train-g glyphs_bg@0-19 --epochs 1 --members 2",
        "cluster glyphs_eval/Morwen --k 30 --epochs 2 --no-self-train",
        "cluster glyphs_eval/Morwen --k 30 --epochs 2 --no-self-train --init random",
        "self-train glyphs_eval/Morwen --rounds 1 --g clusterkit:characters",
        "adapt digits@0-4 digits@0-4 --method ccn++ --steps 5",
        "adapt digits@0-4 digits@0-4 --method jan --steps 5",
        "pretrain digits@0-4 --epochs 2",
        f"{joint} supreme --source digits@0-4",
        f"{joint} autonovel --source digits@0-4",
        f"{joint} dtc",
        f"{joint} dec",
    ):
        assert main([*line.split(), "--device", "cuda", "--workdir", str(tmp_path)]) == 0
        assert "cannot replay" not in capsys.readouterr().err, line


@pytest.mark.parametrize("name", Loss)
def test_a_step_of_ccn_never_waits(name: Loss) -> None:
    pairs = DensePairs(torch.randn(40, 40).half()).to(CUDA)
    network = ClusterNet(Architecture(Backbone.CONV4, (1, 32, 32), (0.5,), (0.3,), 64, 7)).to(CUDA)
    x, index = torch.rand(20, 1, 32, 32, device=CUDA), torch.arange(20, device=CUDA)
    never_waiting(lambda: pair_loss(name)(network(x), (pairs.logits(index, index) > 0).to(x), 2.0), network)


@pytest.mark.parametrize("hidden", [1, 64, 500])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (10, 10), (100, 100), (3, 700), (2000, 1500)])
def test_pair_logits_of_a_gpu_are_those_of_the_cpu(rows: int, columns: int, hidden: int) -> None:
    torch.manual_seed(0)
    inputs = [torch.randn(shape) for shape in [(rows, hidden), (columns, hidden), (hidden,), ()]]
    outer = torch.randn(rows, columns)
    results = []
    for device in (torch.device("cpu"), CUDA, CUDA):
        own = [x.detach().to(device).requires_grad_() for x in inputs]
        logits = pair_logits(own[0], own[1], own[2], own[3])
        (logits * outer.to(device)).sum().backward()
        results.append([logits.detach().cpu(), *(x.grad.cpu() for x in own if x.grad is not None)])
    assert kernels_for(inputs[0].to(CUDA)) is not None
    for expected, found, again in zip(*results, strict=True):
        assert torch.equal(found, again)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_a_number_that_is_none_is_not_hidden_by_a_gpu() -> None:
    u = torch.randn(20, 30, device=CUDA)
    u[3, 7] = torch.nan
    logits = pair_logits(
        u, torch.randn(20, 30, device=CUDA), torch.randn(30, device=CUDA), torch.zeros((), device=CUDA)
    )
    assert logits[3].isnan().all()
    assert logits.isnan().sum() == 20


def test_a_gpu_without_kernels_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    u, v = torch.randn(2, 1100, 64)
    pairs, every = FactoredPairs(u, v, torch.randn(64), torch.tensor(0.3)), torch.arange(1100)
    expected = pairs.logits(every, every)
    for module in (pair_logits_module, tiles_module):
        monkeypatch.setattr(module, "kernels_for", lambda *factors: None)
    for (rows, columns), logits in tiles(pairs.to(CUDA), list(places(1100))):
        torch.testing.assert_close(logits, expected[rows, columns], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("count", [3, 1100, 17_000])
def test_tiles_of_a_gpu_are_those_of_the_cpu(count: int) -> None:
    u, v = torch.randn(2, count, 64)
    pairs, every = FactoredPairs(u, v, torch.randn(64), torch.tensor(0.3)), torch.arange(count)
    there, wanted = pairs.to(CUDA), list(places(count))
    found = dict(zip(map(str, wanted), tiles(there, wanted), strict=True))
    for number in range(0, len(wanted), 100):
        [(place, alone)] = tiles(there, [wanted[number]])
        assert torch.equal(alone, found[str(place)][1])
        torch.testing.assert_close(alone, pairs.logits(every[place[0]], every[place[1]]), rtol=1e-4, atol=1e-4)


def test_tiles_of_a_gpu_hold_no_hidden_units() -> None:
    hidden = 512
    u, v = torch.randn(2, 5000, hidden, device=CUDA)
    pairs = FactoredPairs(u, v, torch.randn(hidden, device=CUDA), torch.zeros((), device=CUDA))
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    for _ in tiles(pairs, list(places(5000))):
        pass
    assert torch.cuda.max_memory_allocated() - before < 4 * SIZE**2 * hidden
