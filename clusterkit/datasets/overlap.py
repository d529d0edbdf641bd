"""Whether a network learned from labels of the very images that it is to say something of."""

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from clusterkit.artifacts.lineage import BETWEEN, IN_TRAINING
from clusterkit.datasets.catalogue import Name, chosen_classes, parse
from clusterkit.distributed import is_first
from clusterkit.errors import UsageError

log = logging.getLogger("clusterkit")

Fields = Mapping[str, Any]
"""What a header says of a data set: its name and fingerprint among it."""


def warn_of_training(learned: Mapping[str, Sequence[Fields]], *forms: Fields) -> str:
    """Warn of networks that learned from labels of images of the target; return in a header's words which, or "no".

    `learned` holds by the name of each network the sets whose labels it learned from. `forms` is the target, in every
    form in which it was read: a user's own images of another size have another fingerprint.
    """
    found = {
        name: [each["name"] for each in sets if any(overlap(each, form) for form in forms)]
        for name, sets in learned.items()
    }
    names = " and ".join(name for name, shared in found.items() if shared)
    if not names:
        return "no"
    if is_first():
        shared = ", ".join(dict.fromkeys(each for sets in found.values() for each in sets))
        log.warning(
            "%s learned from labels of images of %s (%s), so scores there say nothing of unseen categories; "
            "train on other ones",
            names, forms[0]["name"], shared,
        )  # fmt: skip
    return IN_TRAINING + names.replace(BETWEEN, ", ")


def overlap(one: Fields, other: Fields) -> bool:
    """Return whether two data sets share images: of the same content or named source, unless subsets or classes differ.

    A fingerprint is that of a whole source, whichever classes are chosen from it.
    """
    same = bool(one["fingerprint"] == other["fingerprint"])
    try:
        a, b = parse(one["name"]), parse(other["name"])
        if a.entry.classes and b.entry.classes:
            return not class_names(a).isdisjoint(class_names(b))
        if a.is_named and (a.source, a.argument) == (b.source, b.argument):
            same = True
        if None not in (a.subset, b.subset) and a.subset != b.subset:
            return False
        if a.classes is None or b.classes is None:
            return same
        chosen = (set(chosen_classes(each.classes or "", sys.maxsize, each.full)) for each in (a, b))
        return same and not set.isdisjoint(*chosen)
    except UsageError:
        # A name that only another version knows says nothing.
        return same


def class_names(name: Name) -> set[str]:
    """Return the classes of a data set whose source says which they are before it is read."""
    assert name.entry.classes is not None
    every, own = sorted(name.entry.classes(None)), set(name.entry.classes(name.subset))
    if name.classes is None:
        return own
    return own & {every[number] for number in chosen_classes(name.classes, len(every), name.full)}
