"""clusterkit assign"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clusterkit import console
from clusterkit.cli.common import Common, with_common
from clusterkit.cli.reading import reading_flags
from clusterkit.config import AssignConfig

if TYPE_CHECKING:
    from clusterkit.stages.assign import AssignResult, Row

EXAMPLE = "Example: clusterkit assign mnist_test --model adapted.safetensors"


def register(app: typer.Typer) -> None:
    app.command("assign", epilog=EXAMPLE)(with_common(assign, more=reading_flags()))


def assign(
    common: Common,
    dataset: Annotated[
        str,
        typer.Argument(
            help="The images to assign: a data set NAME[/SUBSET][@CLASSES], or one or more image files.",
            metavar="DATASET|FILE",
        ),
    ],
    # Typer would show the type of the argument as a list of Python's.
    files: Annotated[list[str] | None, typer.Argument(metavar="FILE", hidden=True)] = None,
    model: Annotated[
        str,
        typer.Option(
            help="A file of networks: ccn.safetensors (of cluster), adapted.safetensors (of adapt) or "
            "pretrained.safetensors (of pretrain)."
        ),
    ] = AssignConfig.model,
    subset: Annotated[
        str | None,
        typer.Option(
            help="Assign all images by the network of this subset.", show_default="the network of each image's subset"
        ),
    ] = None,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Put images that are unlike all clusters in none: their cluster is -1.")
    ] = False,
) -> None:
    """Assign other images to the clusters or classes of a trained network; write assigned.h5.

    For files, print the name of each, its cluster, the probability, and how unlike all clusters it is (above 1:
    unlike). To score a data set: clusterkit evaluate --assignments assigned.h5
    """
    from clusterkit.datasets.listed import read_words
    from clusterkit.stages import assign as stage

    name, paths = read_words([dataset, *(files or [])])
    done = stage.run(
        AssignConfig(dataset=name, files=paths, model=model, subset=subset, unknown=unknown), common.context
    )
    fields = {"artifact": str(done.artifact), "dataset": done.dataset, "rows": [as_object(row) for row in done.rows]}
    console.result([str(done.artifact), *(lines(done) if paths else [])], fields, common.as_json)


def as_object(row: "Row") -> dict[str, Any]:
    return {"class" if name == "class_name" else name: value for name, value in asdict(row).items()}


def lines(done: "AssignResult") -> list[str]:
    """Return one line per item: its name, cluster, probability and unlikeness."""
    return [
        "\t".join([row.name, row.class_name or str(row.cluster), f"{row.probability:.4f}", f"{row.unlike:.2f}"])
        for row in done.rows
    ]
