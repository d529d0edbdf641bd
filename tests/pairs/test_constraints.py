from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clusterkit.errors import InputError
from clusterkit.pairs.constraints import constrain, read_constraints
from clusterkit.pairs.dense import DensePairs
from clusterkit.pairs.source import CERTAIN

N = 7
IDS = torch.tensor([10, 11, 12, 20, 21, 22, 30])
PAIR = st.tuples(st.integers(0, N - 1), st.integers(0, N - 1)).filter(lambda pair: pair[0] < pair[1])


@given(
    st.dictionaries(PAIR, st.sampled_from([CERTAIN, -CERTAIN]), min_size=1),
    st.lists(st.integers(0, N - 1), min_size=1, max_size=2 * N),
    st.lists(st.integers(0, N - 1), min_size=1, max_size=2 * N),
)
def test_constraints_hold_in_both_orders_and_nothing_else_changes(
    chosen: dict[tuple[int, int], float], rows: list[int], columns: list[int]
) -> None:
    logit = torch.arange(N * N).reshape(N, N).float()
    base = DensePairs(logit + logit.T)
    pairs = constrain(base, IDS, [(int(IDS[a]), int(IDS[b]), value) for (a, b), value in chosen.items()])
    found = pairs.logits(torch.tensor(rows), torch.tensor(columns))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            pair = (min(row, column), max(row, column))
            assert found[i, j] == chosen.get(pair, base.logit[row, column])
    assert len(pairs) == N


def test_constraints_of_other_subsets_are_left_out() -> None:
    base = DensePairs(torch.zeros(N, N))
    assert constrain(base, IDS, [(1, 2, CERTAIN), (10, 99, CERTAIN)]) is base
    assert constrain(base, IDS, []) is base
    one = constrain(base, IDS, [(10, 99, CERTAIN), (12, 10, -CERTAIN)])
    assert one.logits(torch.arange(N), torch.arange(N)).nonzero().tolist() == [[0, 2], [2, 0]]


@pytest.mark.parametrize("start", ["", "id_a,id_b,constraint\n", "\ufeffid_a,id_b,constraint\r\n"])
def test_a_file_is_read_with_or_without_a_header(tmp_path: Path, start: str) -> None:
    path = tmp_path / "constraints.csv"
    path.write_text(start + "5,3,must\n\n 3 , 4 , cannot\n3,5,must\n", encoding="utf-8", newline="")
    assert read_constraints(path) == [(3, 5, CERTAIN), (3, 4, -CERTAIN)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2\n", "line 1: '1,2' is not id_a,id_b,must|cannot; write two ids and must or cannot, as in 0,17,must"),
        ("1,2,must,3\n", "line 1"),
        ("1,2,must\n1,3,maybe\n", "line 2: '1,3,maybe' is not"),
        ("a,2,must\n", "line 1"),
        ("1,-2,must\n", "line 1"),
        ("1,2.0,must\n", "line 1"),
        ("1,2,must\nid_a,id_b,constraint\n", "line 2"),
        ("1,2,must\n2,1,cannot\n", "line 2: the pair 1,2 is both must and cannot"),
        ("4,4,cannot\n", "line 1: pairs item 4 with itself"),
        ("", "no constraints in it"),
        ("id_a,id_b,constraint\n", "no constraints in it"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "constraints.csv"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_constraints(path)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_constraints(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="not a readable CSV"):
        read_constraints(tmp_path)
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="not a readable CSV"):
        read_constraints(tmp_path / "binary.csv")
