"""clusterkit reproduce office31"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from clusterkit.adaptation import PairOptions
from clusterkit.cli.common import Common, Precise, Resume, with_common
from clusterkit.cli.reproduce import domains, runs
from clusterkit.cli.reproduce.domains import Task
from clusterkit.config import AdaptConfig, Backbone, Context, Precision, PredictPairsConfig, TrainGConfig
from clusterkit.losses import parse_loss

EXAMPLE = "Example: clusterkit reproduce office31 --steps 200 --size 64"

DOMAINS = ("amazon", "dslr", "webcam")
EVERY = list(DOMAINS)
DATASET = "office31"
G = TrainGConfig(dataset="", classes_per_batch=20, images_per_class=5)


def register(group: typer.Typer) -> None:
    group.command("office31", epilog=EXAMPLE)(with_common(office31))


def office31(
    common: Common,
    g: Annotated[
        Path | None, typer.Option(help="A G for all targets.", show_default="one trained on each source")
    ] = None,
    g_steps: Annotated[int, typer.Option(min=1, help="Batches of G on a source domain, in whole epochs.")] = 1000,
    source: Annotated[
        list[str], typer.Option(metavar=f"[{'|'.join(DOMAINS)}]", help="Domains to carry over; may be repeated.")
    ] = EVERY,
    backbone: Annotated[Backbone, typer.Option(help="Of classifiers and G.")] = Backbone.RESNET18,
    size: Annotated[int, typer.Option(min=1, help="Image size.")] = 224,
    method: domains.Methods = domains.METHODS,
    loss: domains.PairLoss = PairOptions.loss,
    steps: domains.Steps = AdaptConfig.steps,
    source_batch: domains.SourceBatch = AdaptConfig.source_batch,
    target_batch: domains.TargetBatch = AdaptConfig.target_batch,
    seeds: domains.Seeds = 1,
    precision: Precise = Precision.FP32,
    oracle: domains.Oracle = False,
    resume: Resume = False,
) -> None:
    """A classifier of office things carried between three domains by every method (L2C, tables 2, 10 and 11).

    ResNets start from ImageNet's weights where they are there or can be downloaded, and from random ones where not: the
    tables say which. G is trained on the source domain, so its pairs are no news of other categories as those of the
    paper are, whose G learned from ImageNet; --g takes another. Writes office31.md and office31.json. All artifacts are
    in the folder office31 of --workdir, one folder a direction and run.
    """
    from clusterkit.report import adaptation as report

    runs.unknown("method", method, domains.METHODS)
    runs.unknown("source", source, EVERY)
    config = replace(AdaptConfig(source="", target=""), backbone=backbone, size=size, steps=steps)
    options = PairOptions(loss=parse_loss(loss))
    config = replace(config, options=options, source_batch=source_batch, target_batch=target_batch, precision=precision)
    context = runs.inside(common.context, "office31")
    how = replace(G, backbone=backbone, size=size, precision=precision)
    how = replace(how, pretrained=runs.weights_at_hand(backbone, context))
    results: dict[str, Any] = {"trained": domains.trained(config, seeds), "pairs": [], "tasks": {}}
    for known in (name for name in DOMAINS if name in source):
        epochs = 1 if g else epochs_of(f"{DATASET}/{known}", g_steps, context)
        of_source = replace(how, dataset=f"{DATASET}/{known}", epochs=epochs)
        given = runs.g_for(g, of_source, runs.inside(context, known))
        for unknown in (name for name in DOMAINS if name != known):
            task = Task(f"{DATASET}/{known}", f"{DATASET}/{unknown}")
            inner = runs.inside(context, f"{known}-{unknown}")
            pairs = runs.predict_pairs(PredictPairsConfig(dataset=task.target, g=str(given)), inner)
            scores = domains.g_pairs(given, task.target, inner)
            results["pairs"].append({"target": task.target, "g": "given" if g else task.source, **scores})
            found = domains.compare(task, method, config, pairs, seeds, oracle, inner)
            results["tasks"][f"{known[0].upper()} to {unknown[0].upper()}"] = found
    runs.write_tables("office31", report.office31(results), results, context, common.as_json)


def epochs_of(source: str, steps: int, context: Context) -> int:
    """Return how many epochs of G make so many batches: the domains differ in size by a factor of six."""
    from clusterkit.datasets.catalogue import load_dataset

    count = len(load_dataset(source, context.data, offline=context.offline, size=8))
    return max(1, round(steps * G.classes_per_batch * G.images_per_class / count))
