"""Data sets that a process of tests draws, or reads, once: that takes longer than most of what is tested on them."""

import os
from dataclasses import replace
from functools import cache
from pathlib import Path

from torch import Tensor

from clusterkit.datasets.base import Raw, Request, Source
from clusterkit.datasets.catalogue import SOURCES

EMBEDDED = ("glyphs_bg", "glyphs_eval", "digits")
REAL = ("omniglot_bg", "omniglot_eval")


@cache
def keep() -> None:
    """Let the embedded sets, and the real ones of CLUSTERKIT_DATA, be loaded once for each form they are asked in."""
    for name in EMBEDDED + REAL:
        SOURCES[name] = kept(SOURCES[name], name in EMBEDDED)


def kept(source: Source, embedded: bool) -> Source:
    once = cache(source.load)

    def load(request: Request) -> Raw:
        if embedded:
            # Drawn from nothing, whatever the root.
            request = replace(request, root=Path())
        elif str(request.root) != os.environ.get("CLUSTERKIT_DATA"):
            return source.load(request)
        raw = once(request)
        return replace(raw, images=raw.images.clone()) if isinstance(raw.images, Tensor) else raw

    return replace(source, load=load)
