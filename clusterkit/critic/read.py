"""Critics as they are stored in files of train-critic."""

import math
from pathlib import Path

from clusterkit.artifacts.checkpoint import read_checkpoint
from clusterkit.artifacts.files import sha256
from clusterkit.artifacts.header import Header, damaged
from clusterkit.artifacts.lineage import Learned, again, learned_from
from clusterkit.config import Recipe
from clusterkit.critic.network import FORM, Critic, CriticArchitecture
from clusterkit.errors import InputError, is_out_of_memory
from clusterkit.networks.read import load


def read_critic(path: Path) -> tuple[Header, Critic]:
    """Read a critic. Raises InputError for any other file, and for a critic of a version with other features."""
    header, state = read_checkpoint(path, "critic")
    try:
        architecture = CriticArchitecture.from_header(header.extra["critic"])
        if architecture.form != FORM:
            raise InputError(
                f"{path}: another version of clusterkit made this critic, which sees other features; run: "
                f"{again(header, path)}"
            )
        critic = Critic(architecture)
        load(critic, state, path)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise damaged(path, "critic") from error
    return header, critic.eval()


def recipe_of(header: Header) -> Recipe:
    """Return the recipe of a critic, which is also that of its search."""
    return Recipe(header.config.get("recipe") or Recipe.BEST)


def check_finite(score: float, title: str) -> None:
    """Raise InputError for a score of a subset that is not finite."""
    if not math.isfinite(score):
        raise InputError(
            f"--critic: its score of {title} is not finite, because its weights are huge; train it again: "
            "clusterkit train-critic DATASET"
        )


def origin(header: Header, path: Path) -> tuple[dict[str, str], Learned]:
    """Return the hash of a critic as an input of a run, and the sets whose labels it learned."""
    return {"critic": sha256(path)}, {"the critic": learned_from(header, path)}
