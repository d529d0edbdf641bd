"""The stages, called from Python: settings as text, results to load, nothing on stdout, errors of their own types."""

from pathlib import Path
from typing import Any

import pytest

import clusterkit
from clusterkit.config import (
    AdaptConfig,
    AssignConfig,
    Backbone,
    ClusterConfig,
    Context,
    EstimateKConfig,
    EvaluateConfig,
    PredictPairsConfig,
    PretrainConfig,
    SelfTrainConfig,
    TrainGConfig,
)
from clusterkit.errors import InputError, UsageError
from clusterkit.methods import CcnOptions
from clusterkit.settings import CountedBy, Features, File, Init, NoisyPairs, TruePairs
from clusterkit.stages import adapt, assign, cluster, estimate_k, evaluate, predict_pairs, pretrain, self_train, train_g

BLOBS = "synthetic:blobs"
BRIEF: dict[str, Any] = {"backbone": "mlp", "epochs": 1}
CALLS = [
    (pretrain, PretrainConfig(dataset=BLOBS, **BRIEF)),
    (train_g, TrainGConfig(dataset=BLOBS, hidden=32, backbone="mlp", epochs=10, learning_rate=1e-2)),
    (self_train, SelfTrainConfig(dataset=BLOBS, rounds=1)),
    (predict_pairs, PredictPairsConfig(dataset=BLOBS)),
    (cluster, ClusterConfig(k=5, options=CcnOptions(**BRIEF))),
    (assign, AssignConfig(dataset=BLOBS)),
    (estimate_k, EstimateKConfig()),
    (cluster, ClusterConfig(k="auto", method="spectral")),  # type: ignore[arg-type]
    (evaluate, EvaluateConfig()),
    (adapt, AdaptConfig(source=BLOBS, target=BLOBS, backbone="mlp", steps=1)),  # type: ignore[arg-type]
]


def test_every_stage_gives_an_artifact_to_load(capfd: pytest.CaptureFixture[str]) -> None:
    context = Context(workdir="work", device="cpu", seed=1)  # type: ignore[arg-type]
    for stage, config in CALLS:
        result = stage.run(config, context)
        artifact = clusterkit.load(result.artifact)
        assert artifact.header["stage"] == stage.__name__.rsplit(".", 1)[1].replace("_", "-")
        assert artifact.header["seed"] == 1
        network = getattr(result, "network", None)
        assert network is None or clusterkit.load(network).history
    assert capfd.readouterr().out == ""


def test_settings_take_what_the_command_line_takes() -> None:
    config = ClusterConfig(k="known", pairs="labels", features="pixels", constraints="c.csv")  # type: ignore[arg-type]
    assert (config.k, config.pairs, config.features) == (CountedBy.LABELS, TruePairs(), Features.PIXELS)
    assert config.constraints == Path("c.csv")
    assert ClusterConfig(pairs="p.h5", features=Path("f")).pairs == File("p.h5")  # type: ignore[arg-type]
    assert ClusterConfig(pairs="simulated:0.9,0.8").pairs == NoisyPairs(0.9, 0.8)  # type: ignore[arg-type]
    assert TrainGConfig(dataset=BLOBS, backbone="mlp").backbone is Backbone.MLP  # type: ignore[arg-type]
    assert CcnOptions(init="g").init is Init.G  # type: ignore[arg-type]
    assert PredictPairsConfig(g=Path("a") / "g.safetensors").g == "a/g.safetensors"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClusterConfig(k="1"), "--k 1: give a number from 2"),  # type: ignore[arg-type]
        (lambda: ClusterConfig(pairs="simulated:2"), "--pairs simulated:2: write"),  # type: ignore[arg-type]
        (lambda: TrainGConfig(dataset=BLOBS, backbone="big"), "--backbone big: choose one of"),  # type: ignore[arg-type]
        (lambda: CcnOptions(batch_size=1), "--batch-size 1: give a number from 2"),
        (lambda: TrainGConfig(dataset=BLOBS, learning_rate=float("inf")), "--learning-rate inf: give a finite number"),
        (
            lambda: cluster.run(ClusterConfig(dataset=BLOBS, k=5, method="nope"), Context()),
            "--method nope: choose one of",
        ),
    ],
)
def test_settings_that_cannot_be(make: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert str(caught.value).startswith(message)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "make",
    [
        lambda: TrainGConfig(dataset=BLOBS, epochs="3"),  # type: ignore[arg-type]
        lambda: TrainGConfig(dataset=BLOBS, epochs=True),
        lambda: TrainGConfig(dataset=None),  # type: ignore[arg-type]
        lambda: TrainGConfig(BLOBS),  # type: ignore[misc]
        lambda: ClusterConfig(k=2.5),  # type: ignore[arg-type]
        lambda: CcnOptions(loss=None),  # type: ignore[arg-type]
    ],
)
def test_settings_of_another_type(make: Any) -> None:
    with pytest.raises(TypeError):
        make()


def test_missing_files() -> None:
    with pytest.raises(FileNotFoundError, match=r"g\.safetensors: no such file; make it with: clusterkit train-g"):
        predict_pairs.run(PredictPairsConfig(dataset=BLOBS), Context())
    with pytest.raises(InputError, match="no such file"):
        evaluate.run(EvaluateConfig(), Context())
