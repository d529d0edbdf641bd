"""Two processes over gloo give what one process gives."""

import itertools
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clusterkit import distributed
from clusterkit.artifacts.assignments import read_assignments
from clusterkit.artifacts.checkpoint import read_checkpoint
from clusterkit.artifacts.hdf5 import read_hdf5
from clusterkit.datasets.catalogue import load_dataset
from clusterkit.errors import ClusterkitError, UsageError
from clusterkit.methods import METHODS
from clusterkit.methods.common.joint_options import SourceOptions
from tests import two_processes
from tests.forked import finish_forked, program

ROOT = Path(__file__).parent.parent


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}


def free_port() -> str:
    """A port below those that the system gives to connections, which could take it before it is used."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return str(port)


def start(words: list[str], folder: Path, **more: str) -> subprocess.Popen[str]:
    # A background job of a shell ignores SIGINT, and hands that on.
    return subprocess.Popen(
        [sys.executable, *words], cwd=folder, env=environment(**more), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


def of_two() -> list[dict[str, str]]:
    """What the environment of each of two processes says, as torchrun would."""
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "WORLD_SIZE": "2"}
    return [{"RANK": str(rank), **meeting} for rank in range(2)]


def start_two(words: list[str], folder: Path) -> list[subprocess.Popen[str]]:
    return [start(words, folder, **more) for more in of_two()]


def fork_two(folder: Path, function: Callable[..., object], *arguments: object) -> list[tuple[int | None, str, str]]:
    """Call a function in two processes; return the exit code, stdout and stderr of both."""
    return finish_forked(*((folder, more, function, arguments) for more in of_two()))


def finish(*processes: subprocess.Popen[str]) -> list[tuple[int, str, str]]:
    """Wait for processes; return exit code, stdout and stderr of each."""
    try:
        ends = [(*process.communicate(timeout=100), process.returncode) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(code, out, err) for out, err, code in ends]


JOINT = [name for name, method in METHODS.items() if method.joint]
WITH_SOURCE = [name for name in JOINT if issubclass(METHODS[name].options, SourceOptions)]
SOME = "@12-27,40-47"
TRAIN_G = "train-g glyphs_bg@0-11 --size 16 --backbone lenet --hidden 16 --epochs 2 --members 2 --variation strong"
LINES = [
    TRAIN_G,
    f"cluster glyphs_eval/Morwen{SOME} --k 25 --epochs 1 --loss ccl --backbone lenet --batch-size 25 --no-self-train",
    "adapt digits@0-4 digits@0-4 --steps 1 --size 8 --method ccn++ --backbone mlp --target-batch 9",
    "adapt digits@0-4 digits@0-4 --steps 1 --size 8 --method jan --backbone mlp --target-batch 9 --workdir jan",
    f"{TRAIN_G} --workdir kcl",
    f"predict-pairs glyphs_eval{SOME} --workdir kcl",
    f"cluster glyphs_eval{SOME} --k 25 --epochs 1 --loss kcl --init g --batch-size 25 --workdir kcl",
    "train-g digits@0-4 --size 8 --backbone mlp --hidden 32 --epochs 30 --learning-rate 0.01 --workdir digits",
    "self-train digits@0-4 --rounds 2 --workdir digits",
    "pretrain digits@0-4 --size 8 --backbone mlp --epochs 2 --batch-size 33 --optimizer sgd --workdir digits",
    "pretrain glyphs_bg@0-3 --size 16 --backbone vgg-fast --epochs 1 --batch-size 33 --precision fp32 --workdir fast",
    "cluster digits@5-9 --pairs labels --k 5 --epochs 1 --init pretrained.safetensors --rounds 2 --workdir digits",
    "pretrain digits@0-1 digits@5 --task rotation --size 8 --backbone mlp --epochs 1 --batch-size 33 --workdir turned",
    "pretrain digits@0-1 --init turned/pretrained.safetensors --fine-tune 1 --epochs 1 --batch-size 33 --workdir tuned",
    "cluster digits@5-9 --pairs labels --k 5 --epochs 2 --backbone mlp --constraints links.csv --workdir linked",
    "train-g synthetic:blobs --head metric --unlabelled --workdir metric",
    "cluster synthetic:blobs --k 3 --epochs 1 --workdir metric",
    "train-critic synthetic:blobs --few --workdir critic",
    *(
        f"cluster digits@5-9 --method {method} --k 5 --epochs 2 --batch-size 33 --init digits/pretrained.safetensors "
        f"{'--source digits@0-4' if method in WITH_SOURCE else ''} --workdir {method}"
        for method in JOINT
    ),
    "cluster digits@5-9 --method dec --k 5 --epochs 1 --batch-size 300 --autoencoder-epochs 1 --workdir autoencoder",
    "cluster digits@5-9 --method dtc --variant te --warm-up 1 --k 5 --epochs 3 --batch-size 33 "
    "--init digits/pretrained.safetensors --workdir ensemble",
]
"""Odd batches, convolutions, a start from G, several subsets, several tiles of pairs, pairs predicted on the way, a
metric, slow weights, rotations, and layers that are not trained; sets of which a sample is compared."""
TRAINED = (
    "digits/self-trained",
    "digits/pretrained",
    "digits/ccn",
    "linked/ccn",
    "fast/pretrained",
    "turned/pretrained",
    "tuned/pretrained",
    *(f"{method}/ccn" for method in JOINT),
    "autoencoder/ccn",
    "ensemble/ccn",
    "critic/critic",
)


def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    ids = load_dataset("digits@5-9", tmp_path).subsets[0].ids.tolist()
    for folder in (one, two):
        folder.mkdir()
        # Labels contradict some of these links, so a second training follows.
        (folder / "links.csv").write_text("".join(f"{a},{b},must\n" for a, b in itertools.pairwise(ids[:9])))
    work = two_processes.in_float64, ([free_port() for _ in LINES], LINES)
    alone, first, second = finish_forked((one, {}, *work), *((two, more, *work) for more in of_two()))
    assert (alone[0], first[0], second) == (0, 0, (0, "", "")), (alone, first, second)
    assert first[1] == alone[1]
    for name in (
        "clusterkit-out/g",
        "clusterkit-out/ccn",
        "clusterkit-out/adapted",
        "jan/adapted",
        "kcl/ccn",
        *TRAINED,
    ):
        compare_networks(one / f"{name}.safetensors", two / f"{name}.safetensors")
    assert "the consensus compared a random sample of 100 items" in first[2]
    names = "clusterkit-out/assignments", "clusterkit-out/adapted", "jan/adapted", "kcl/assignments"
    for name in (*names, "metric/assignments"):
        (_, a), (_, b) = read_assignments(one / f"{name}.h5"), read_assignments(two / f"{name}.h5")
        assert a.keys() == b.keys()
        for title in a:
            assert (a[title].cluster == b[title].cluster).all()
            assert abs(a[title].prob - b[title].prob).max() < 1e-5
    for name in ("clusterkit-out/pairs", "kcl/pairs"):
        (header, a), (_, b) = (read_hdf5(folder / f"{name}.h5", "pairs") for folder in (one, two))
        assert header.config["automatic"] == name.startswith("clusterkit-out")
        for title in a:
            np.testing.assert_allclose(a[title]["logit"], b[title]["logit"], rtol=2**-10, atol=1e-4)
    assert not list(two.rglob(".*"))


def compare_networks(first: Path, second: Path) -> None:
    (header_a, a), (header_b, b) = read_checkpoint(first, "any"), read_checkpoint(second, "any")
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    history_a, history_b = (epochs(header.extra["history"]) for header in (header_a, header_b))
    assert history_a
    assert [pytest.approx(epoch, abs=1e-5) for epoch in history_a] == history_b
    assert header_a.config == header_b.config


def epochs(history: Any) -> list[dict[str, float]]:
    """The mean losses of each epoch, of all trainings that a header tells of."""
    return history if isinstance(history, list) else [epoch for inner in history.values() for epoch in epochs(inner)]


def test_the_parts_of_a_step_are_those_of_one_process(tmp_path: Path) -> None:
    assert [code for code, _, _ in fork_two(tmp_path, two_processes.checks)] == [0, 0]


POINTS = "train-g synthetic:blobs --backbone mlp --hidden 16 --epochs 30"
PROGRAM = ["-m", "clusterkit", *POINTS.split()]


def test_torchrun(tmp_path: Path) -> None:
    launch = f"-m torch.distributed.run --nproc-per-node 2 --master-port {free_port()}".split()
    [(code, out, err)] = finish(start([*launch, *PROGRAM, "--epochs", "1"], tmp_path))
    assert (code, out) == (0, "clusterkit-out/g.safetensors\n"), err
    assert err.count("epoch 1/1") == 1


def wait_for(word: str, process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if word in line:
            return
    pytest.fail(f"ended without saying {word}")


def test_a_process_that_dies_ends_the_others_and_the_run_can_go_on(tmp_path: Path, cli: Callable[..., Any]) -> None:
    first, second = start_two(PROGRAM, tmp_path)
    wait_for("epoch 1/", first)
    second.kill()
    [(code, out, err), _] = finish(first, second)
    assert (code, out) == (1, ""), err
    assert err.splitlines()[-1].startswith("clusterkit: error: another process of this run has ended")
    assert "Traceback" not in err
    assert [path.name for path in (tmp_path / "clusterkit-out").iterdir()] == [".g.safetensors.state"]
    [(code, out, err), (other, _, _)] = fork_two(tmp_path, program, f"{POINTS} --resume")
    assert (code, other, out) == (0, 0, "clusterkit-out/g.safetensors\n")
    assert "resumed after epoch" in err
    assert cli(f"{POINTS} --workdir whole").code == 0
    headers = [read_checkpoint(tmp_path / name / "g.safetensors", "g")[0] for name in ("clusterkit-out", "whole")]
    histories = [[epoch["loss"] for epoch in header.extra["history"]] for header in headers]
    assert histories[0] == pytest.approx(histories[1], abs=1e-3)


def test_an_interrupted_process_ends_all_in_order(tmp_path: Path) -> None:
    first, second = start_two(PROGRAM, tmp_path)
    wait_for("epoch 1/", first)
    first.send_signal(signal.SIGINT)
    [(code, _, err), (other, _, other_err)] = finish(first, second)
    assert (code, other) == (130, 1), err + other_err
    assert "interrupted" in err.splitlines()[-1]
    assert "another process of this run has ended" in other_err.splitlines()[-1]
    assert "Traceback" not in err + other_err


def test_a_process_that_torchrun_ends_does_so_as_on_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}.items():
        monkeypatch.setenv(name, value)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(distributed.LostError, match="another process of this run has ended"), distributed.joined("cpu"):
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before
    assert distributed.size() == 1


def test_where_the_first_process_fails_the_others_say_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    first, second = fork_two(tmp_path, program, f"{POINTS} --workdir file")
    assert (first[0], second[0]) == (3, 1), second
    assert "cannot be written" in first[2]
    assert second[2].startswith("clusterkit [1]: error: another process of this run has ended")


def test_a_process_that_does_not_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(distributed, "MEETING", timedelta(seconds=1))
    with (
        pytest.raises(ClusterkitError, match="not all 2 processes of this run came together"),
        distributed.joined("cpu"),
    ):
        pass
    assert distributed.size() == 1


def test_what_one_process_does_the_others_leave_to_it(monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Any]) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        done = cli("datasets")
        assert (done.code, bool(done.out)) == (0, rank == "0")
        assert (
            cli("cluster synthetic:blobs --method kmeans --k 3 --workdir w").out
            == ("w/assignments.h5\n", "")[int(rank)]
        )


def test_each_process_has_a_device_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(distributed, "choose_device", lambda name: torch.device("cuda" if name == "auto" else name))
    assert [distributed.local_device(name) for name in ("auto", "cuda", "cpu")] == ["cuda:1", "cuda:1", "cpu"]
    for name in ("cuda:0", "mps"):
        with pytest.raises(UsageError, match="several processes cannot share one"):
            distributed.local_device(name)


def test_shares_are_all_of_a_batch_and_none_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed.dist, "get_world_size", lambda: 3)
    shares = []
    for rank in range(3):
        monkeypatch.setattr(distributed.dist, "get_rank", lambda rank=rank: rank)
        shares.append(distributed.share(10))
    assert [place for share in shares for place in range(10)[share.rows]] == list(range(10))
    assert sum(share.weight for share in shares) == pytest.approx(1)
    with pytest.raises(UsageError, match="a batch of 2 cannot be shared by 3 processes"):
        distributed.share(2)


def test_a_process_alone_shares_nothing() -> None:
    x = torch.randn(3, 2, requires_grad=True)
    assert distributed.size() == 1
    assert distributed.gather_rows(x) is x
    assert (distributed.share(5).rows, distributed.share(5).weight) == (slice(0, 5), 1.0)
    distributed.sum_gradients([x])
    distributed.wait_for_all()
    with distributed.first_alone():
        pass
