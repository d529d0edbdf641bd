"""Must-link and cannot-link pairs of a user, which override other pairs."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from clusterkit.datasets.base import Dataset
from clusterkit.errors import InputError
from clusterkit.pairs.source import CERTAIN, PairSource

WORDS = {"must": CERTAIN, "cannot": -CERTAIN}


@dataclass(frozen=True)
class ConstrainedPairs:
    """`base` with the logits of the pairs (a, b), positions (P,) both, replaced by `value` (P,) in both orders."""

    base: PairSource
    a: Tensor
    b: Tensor
    value: Tensor

    def __len__(self) -> int:
        return len(self.base)

    def logits(self, rows: Tensor, columns: Tensor) -> Tensor:
        rows, columns = rows.cpu(), columns.cpu()
        # `_place` needs distinct positions, but callers may repeat one.
        rows, row_of = rows.unique(return_inverse=True)
        columns, column_of = columns.unique(return_inverse=True)
        out = self.base.logits(rows, columns)
        for first, second in ((self.a, self.b), (self.b, self.a)):
            row, column = self._place(rows, first), self._place(columns, second)
            inside = (row >= 0) & (column >= 0)
            out[row[inside], column[inside]] = self.value[inside].to(out)
        return out[row_of][:, column_of]

    def to(self, device: torch.device) -> "ConstrainedPairs":
        """Return this object: constraints are looked up on the CPU for any device."""
        return self

    def _place(self, positions: Tensor, items: Tensor) -> Tensor:
        """Return the index in `positions` of each of `items`, -1 for an item that is not in `positions`."""
        place = torch.full((len(self),), -1)
        place[positions] = torch.arange(len(positions))
        return place[items]


def in_place_of(pairs: PairSource, base: PairSource) -> PairSource:
    """Return `base` under the constraints of `pairs`, if it has any."""
    return replace(pairs, base=base) if isinstance(pairs, ConstrainedPairs) else base


def read_constraints(path: Path) -> list[tuple[int, int, float]]:
    """Read lines `id_a,id_b,must|cannot` after an optional header; return (id_a, id_b, logit) of each pair.

    Raises InputError that names the line, if a line is malformed, names one item twice or contradicts an earlier line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.reader(file))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; --constraints takes a CSV of id_a,id_b,must|cannot") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a readable CSV ({error}); write lines of id_a,id_b,must|cannot") from error
    values: dict[tuple[int, int], float] = {}
    for number, line in enumerate(lines, 1):
        cells = [cell.strip() for cell in line]
        if not any(cells) or (number == 1 and cells[0] == "id_a"):
            continue
        if len(cells) != 3 or cells[2] not in WORDS or not (cells[0].isdecimal() and cells[1].isdecimal()):
            raise InputError(
                f"{path}, line {number}: '{','.join(line)}' is not id_a,id_b,must|cannot; write two ids and must or "
                "cannot, as in 0,17,must"
            )
        pair = (min(int(cells[0]), int(cells[1])), max(int(cells[0]), int(cells[1])))
        if pair[0] == pair[1]:
            raise InputError(f"{path}, line {number}: pairs item {pair[0]} with itself; name two items")
        value = WORDS[cells[2]]
        if values.setdefault(pair, value) != value:
            raise InputError(
                f"{path}, line {number}: the pair {pair[0]},{pair[1]} is both must and cannot; keep one line"
            )
    if not values:
        raise InputError(f"{path}: no constraints in it; write lines of id_a,id_b,must|cannot")
    return [(a, b, value) for (a, b), value in values.items()]


def constrain(base: PairSource, ids: Tensor, constraints: Sequence[tuple[int, int, float]]) -> PairSource:
    """Lay constraints over `base`, leaving out those with an id that is not among `ids` (N,)."""
    position = {int(item): place for place, item in enumerate(ids)}
    inside = [(position[a], position[b], v) for a, b, v in constraints if a in position and b in position]
    if not inside:
        return base
    a, b, value = zip(*inside, strict=True)
    return ConstrainedPairs(base, torch.tensor(a), torch.tensor(b), torch.tensor(value))


def check_constraints(constraints: Sequence[tuple[int, int, float]], data: Dataset, path: Path) -> None:
    """Raise InputError that names the file, for a constraint on unknown ids or on ids of different subsets."""
    subset_of = {int(item): subset.name for subset in data.subsets for item in subset.ids}
    for a, b, _ in constraints:
        if a not in subset_of or b not in subset_of:
            raise InputError(f"{path}: no item {a if a not in subset_of else b} in {data.name}; remove its constraints")
        if subset_of[a] != subset_of[b]:
            raise InputError(
                f"{path}: items {a} and {b} are in different subsets, each clustered alone; remove the constraint"
            )
