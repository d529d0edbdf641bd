"""clusterkit reproduce office31"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from clusterkit.cli.common import Common, Precise, Resume, with_common
from clusterkit.cli.reproduce import domains, runs
from clusterkit.cli.reproduce.domains import Task
from clusterkit.config import AdaptConfig, Backbone, Loss, Precision, PredictPairsConfig, TrainGConfig

EXAMPLE = "Example: clusterkit reproduce office31 --steps 200 --size 64"

DOMAINS = ("amazon", "dslr", "webcam")
DATASET = "office31"
G = TrainGConfig("", classes_per_batch=20, images_per_class=5)


def register(group: typer.Typer) -> None:
    group.command("office31", epilog=EXAMPLE)(with_common(office31))


def office31(
    common: Common,
    g: Annotated[Path | None, typer.Option(help="A G for all targets [default: one trained on each source].")] = None,
    g_epochs: Annotated[int, typer.Option(min=1, help="Epochs of G on a source domain.")] = G.epochs,
    backbone: Annotated[Backbone, typer.Option(help="Of classifiers and G.")] = Backbone.RESNET18,
    size: Annotated[int, typer.Option(min=1, help="Image size.")] = 224,
    method: domains.Methods = domains.METHODS,
    loss: domains.PairLoss = AdaptConfig.loss,
    steps: domains.Steps = AdaptConfig.steps,
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

    config = replace(AdaptConfig("", ""), backbone=backbone, size=size, loss=Loss.parse(loss), steps=steps)
    config = replace(config, precision=precision)
    context = runs.inside(common.context, "office31")
    how = replace(G, backbone=backbone, size=size, epochs=g_epochs, precision=precision)
    how = replace(how, pretrained=runs.weights_at_hand(backbone, context))
    results: dict[str, Any] = {"trained": domains.trained(config, seeds), "pairs": [], "tasks": {}}
    for source in DOMAINS:
        from_source = runs.inside(context, source)
        given = runs.g_for(g, replace(how, dataset=f"{DATASET}/{source}"), from_source)
        for target in DOMAINS:
            if target == source:
                continue
            task = Task(f"{DATASET}/{source}", f"{DATASET}/{target}")
            inner = runs.inside(context, f"{source}-{target}")
            pairs = runs.predict_pairs(PredictPairsConfig(task.target, g=str(given)), inner)
            scores = domains.g_pairs(given, task.target, inner)
            results["pairs"].append({"target": task.target, "g": "given" if g else task.source, **scores})
            found = domains.compare(task, method, config, pairs, seeds, oracle, inner)
            results["tasks"][f"{source[0].upper()} to {target[0].upper()}"] = found
    runs.write_tables("office31", report.office31(results), results, context, common.as_json)
