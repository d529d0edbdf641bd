"""Tables of figures in Markdown, and the same figures as JSON."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread(values: Sequence[float], published: float | None = None, digits: int = 3) -> str:
    """Return mean ± standard deviation over seeds, and what was published."""
    text = f"{np.mean(values):.{digits}f}"
    text += f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return text if published is None else f"{text} ({published:.{digits}f})"


def to_json(results: dict[str, Any]) -> str:
    return json.dumps(results, sort_keys=True, indent=1, allow_nan=False) + "\n"
