"""The ordinary stages, chained for a study: each writes its ordinary artifact, and a finished one can be kept."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from clusterkit import console
from clusterkit.cli.chain import fits
from clusterkit.config import (
    ClusterConfig,
    Context,
    EstimateKConfig,
    EvaluateConfig,
    PredictPairsConfig,
    SelfTrainConfig,
    TrainGConfig,
)


def kept(path: Path, config: object, context: Context, **inputs: Path) -> bool:
    """Return whether `--resume` is given and an earlier run has made the artifact; say so."""
    found = context.resume and fits(path, config, context, **inputs)
    if found:
        console.log.info("%s: kept, an earlier run of this command made it", path)
    return found


def train_g(config: TrainGConfig, context: Context) -> Path:
    """Return `g.safetensors` of a work folder, trained unless it can be kept."""
    from clusterkit.stages import train_g as stage

    path = context.path(stage.OUTPUT)
    if not kept(path, config, context):
        asked = [f"--backbone {config.backbone}", f"--members {config.members}"]
        asked += [f"--size {config.size}"] if config.size else []
        asked += [f"--epochs {config.epochs}", f"--learning-rate {config.learning_rate:g}"]
        announce(f"train-g {config.dataset} {' '.join(asked)} --variation {config.variation}", context)
        stage.run(config, context)
    return path


def self_train(config: SelfTrainConfig, context: Context) -> Path:
    """Return `self-trained.safetensors` of a work folder, trained unless it can be kept."""
    from clusterkit.stages import self_train as stage

    path = context.path(stage.OUTPUT)
    if not kept(path, config, context, g=context.path(config.g)):
        announce(f"self-train {config.dataset}", context)
        stage.run(config, context)
    return path


def predict_pairs(config: PredictPairsConfig, context: Context) -> Path:
    """Return `pairs.h5` of a work folder, predicted unless it can be kept."""
    from clusterkit.stages import predict_pairs as stage

    path = context.path(stage.OUTPUT)
    if not kept(path, config, context, g=context.path(config.g)):
        announce(f"predict-pairs {config.dataset} --g {config.g}", context)
        stage.run(config, context)
    return path


def cluster(config: ClusterConfig, context: Context) -> Path:
    """Return `assignments.h5` of a work folder, clustered unless it can be kept."""
    from clusterkit.stages import cluster as stage

    path, inputs = context.path(stage.OUTPUT), {"pairs": Path(config.pairs)}
    if config.k == "auto":
        inputs["k"] = context.path(stage.ESTIMATES)
    if not kept(path, config, context, **inputs):
        asked = f"--k {config.k} --loss {config.loss} --pairs {config.pairs} --init {config.init}"
        announce(f"cluster {config.dataset} {asked}", context)
        stage.run(config, context)
    return path


def estimate_k(config: ClusterConfig, counted: Context, context: Context) -> dict[str, dict[str, int]]:
    """Return K by subset and estimator, counted in the clustering of the folder of `counted`, made where it is missing.

    Writes `k.json` of the folder of `context`, which `--k auto` reads there.
    """
    from clusterkit.stages import cluster as clustering
    from clusterkit.stages import estimate_k as stage

    assignments = counted.path(clustering.OUTPUT)
    if not fits(assignments, config, counted, pairs=Path(config.pairs)):
        cluster(config, counted)
    announce(f"estimate-k --assignments {assignments} --pairs {config.pairs}", context)
    return stage.run(EstimateKConfig(str(assignments), config.pairs), context).estimates


def scores(context: Context) -> dict[str, Any]:
    """Return the scores of a work folder's assignments, by subset and in the mean."""
    from clusterkit.stages import evaluate

    found = evaluate.run(EvaluateConfig(), context)
    return {"subsets": found.scores, "mean": found.mean}


def inside(context: Context, name: str, seed: int | None = None) -> Context:
    """Return the context of a run in a folder of its own below the work folder."""
    return replace(context, workdir=context.workdir / name, seed=context.seed if seed is None else seed)


def announce(command: str, context: Context) -> None:
    console.log.info("$ clusterkit %s --workdir %s --seed %d", command, context.workdir, context.seed)
