"""Detection of networks that learned labels of the images they are applied to."""

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clusterkit.artifacts.lineage import BETWEEN, IN_TRAINING
from clusterkit.datasets.catalogue import Name, chosen_classes, parse
from clusterkit.distributed import is_first
from clusterkit.errors import UsageError

log = logging.getLogger("clusterkit")

FORM = ("size", "channels", "inverted", "bright_ink", "features")
"""The parts of a header's data set in which its pictures may differ from one reading to another."""

Fields = Mapping[str, Any]
"""A data set as headers record it, with at least its name and fingerprint."""


def warn_of_training(learned: Mapping[str, Sequence[Fields]], *forms: Fields) -> str:
    """Warn of networks that learned labels of target images; return the header's `uses_target_labels`, or "no".

    `learned` holds, by name of network, the sets whose labels it learned. `forms` is the target in every form in which
    it was read: the user's own images have another fingerprint in another size.
    """
    shared_by = {
        name: [fields["name"] for fields in sets if any(overlap(fields, form) for form in forms)]
        for name, sets in learned.items()
    }
    names = " and ".join(name for name, shared in shared_by.items() if shared)
    if not names:
        return "no"
    if is_first():
        shared = ", ".join(dict.fromkeys(title for titles in shared_by.values() for title in titles))
        target = forms[0]["name"]
        log.warning(
            "%s: trained with labels of %s%s, so scores do not hold for new categories; train on other images",
            names, target, "" if shared == target else f" (read from {shared})",
        )  # fmt: skip
    return IN_TRAINING + names.replace(BETWEEN, ", ")


def overlap(first: Fields, second: Fields) -> bool:
    """Return whether two data sets share images: same content or named source, unless subsets or classes differ.

    A fingerprint covers the whole source, whichever classes are selected from it.
    """
    same = bool(first["fingerprint"] == second["fingerprint"])
    try:
        a, b = parse(first["name"]), parse(second["name"])
        if a.entry.classes and b.entry.classes:
            return not class_names(a).isdisjoint(class_names(b))
        if a.is_named and (a.source, a.argument) == (b.source, b.argument):
            same = True
        if None not in (a.subset, b.subset) and a.subset != b.subset:
            return False
        if a.classes is None or b.classes is None:
            return same
        chosen = (set(chosen_classes(name.classes or "", sys.maxsize, name.full)) for name in (a, b))
        return same and not set.isdisjoint(*chosen)
    except UsageError:
        # Another version wrote the header, with a name that is unknown here.
        return same


def class_names(name: Name) -> set[str]:
    """Return the classes of a data set whose source lists them without reading images."""
    assert name.entry.classes is not None
    order, names = sorted(name.entry.classes(None)), set(name.entry.classes(name.subset))
    if name.classes is None:
        return names
    return names & {order[number] for number in chosen_classes(name.classes, len(order), name.full)}


def covers(pairs_set: str, dataset: str) -> bool:
    """Return whether pairs of `pairs_set` are also pairs of `dataset`, which is the same set or a subset of it."""
    known, name = parse(pairs_set), parse(dataset)
    return name == known or (known.subset is None and replace(name, subset=None) == known)


def includes(made: Fields, now: Fields) -> bool:
    """Return whether a set that a header records is or includes another, as far as both can be compared.

    They cannot if the same pictures were read in another form, or if only one subset is read now.
    """
    if made["fingerprint"] == now["fingerprint"]:
        return parse(made["name"]).classes == parse(now["name"]).classes
    in_other_form = made["name"] != now["name"] or any(made.get(name) != now.get(name) for name in FORM)
    return covers(made["name"], now["name"]) and in_other_form
