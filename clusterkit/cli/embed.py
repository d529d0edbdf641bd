"""clusterkit embed"""

from typing import Annotated

import typer

from clusterkit import console
from clusterkit.cli.chain import check_names
from clusterkit.cli.common import FIXED, NETWORK, Common, Size, Weights, with_common
from clusterkit.cli.reading import reading_flags
from clusterkit.config import PHOTOS, EmbedConfig, parse_fixed_backbone

EXAMPLE = "Example: clusterkit embed folder:photos"


def register(app: typer.Typer) -> None:
    app.command("embed", epilog=EXAMPLE)(with_common(embed, shared=lambda values: True, more=reading_flags()))


def embed(
    common: Common,
    dataset: Annotated[str, typer.Argument(help="The set of pictures: NAME[/SUBSET][@CLASSES].")],
    backbone: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=FIXED,
            rich_help_panel=NETWORK,
        ),
    ] = str(PHOTOS),
    weights: Weights = None,
    size: Size = None,
) -> None:
    """Turn pictures into features by a fixed backbone; write features.h5 for cluster --features.

    The features of each picture are also kept in the cache folder, so no picture is embedded twice. After an
    interruption, repeat the command: it goes on where it ended, without --resume.
    """
    from clusterkit.stages import embed as stage

    fixed = parse_fixed_backbone(backbone)
    check_names(dataset)
    config = EmbedConfig(dataset=dataset, backbone=fixed, weights=tuple(weights or ()), size=size)
    done = stage.run(config, common.context)
    fields = {**vars(done), "artifact": str(done.artifact)}
    console.result([str(done.artifact)], fields, common.as_json)
