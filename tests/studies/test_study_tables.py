"""Tables of rows, what is written of them, and the flags of studies."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest

from clusterkit.config import Context
from clusterkit.metrics.rows import Row
from clusterkit.studies import STUDIES
from clusterkit.studies.common.driver import Outcome, write
from clusterkit.studies.common.tables import Heading, Table, first, latex, markdown, mean, pivot, seeds, where

ROWS = [
    Row(
        set="letters",
        subset="mean",
        method="ccn",
        loss=loss,
        k=k,
        seed=seed,
        metric="acc",
        value=value,
        published=known,
    )
    for loss, k, seed, value, known in (
        ("kcl", "100", 0, 0.7, 0.781),
        ("kcl", "100", 1, 0.8, 0.781),
        ("ccl", "100", 0, 0.9, None),
        ("ccl", "known", 0, 0.5, None),
    )
]
SPECIAL = r"50 % of A&B_1 #2 {x} ~ ^ $ \ ±"


def test_a_line_holds_the_rows_of_equal_labels():
    table = pivot(
        ROWS,
        {"loss": lambda row: row.loss.upper(), "K": "k"},
        [("ACC", mean("acc")), ("of 1", first("acc", seed=1)), ("in percent", mean(scale=100, digits=0)), ("n", seeds)],
    )
    assert table.head == ["loss", "K", "ACC", "of 1", "in percent", "n"]
    assert table.lines == [
        ["KCL", "100", "0.750 ± 0.071 (0.781)", "0.800", "75 ± 7 (78)", "2"],
        ["CCL", "100", "0.900", "", "90", "1"],
        ["CCL", "known", "0.500", "", "50", "1"],
    ]
    assert [row.value for row in where(ROWS, loss="ccl", k=["known", "auto"])] == [0.5]
    assert mean("acc", brackets=False)(ROWS[:1]) == "0.700"
    assert first("acc", field="published")(ROWS[:1]) == "0.781"
    assert mean("nmi")(ROWS) == first("acc", field="published")(ROWS[2:]) == ""


def test_markdown_and_latex_have_the_same_cells():
    parts = [
        Heading("Study", 1),
        "Words & signs.",
        "",
        Heading("A_b & c"),
        Table(["x", "y"], [["1", SPECIAL], ["2", ""]]),
    ]
    assert markdown(parts) == (
        f"# Study\n\nWords & signs.\n\n## A_b & c\n\n| x | y |\n| --- | --- |\n| 1 | {SPECIAL} |\n| 2 |  |\n"
    )
    text = latex(parts)
    assert "Words" not in text
    assert r"\caption{A\_b \& c}" in text
    assert r"1 & 50 \% of A\&B\_1 \#2 \{x\} \textasciitilde{} \textasciicircum{} \$ \textbackslash{} $\pm$ \\" in text
    check_latex(text, columns=2, lines=3)


def check_latex(text: str, columns: int, lines: int) -> None:
    """Check that braces and environments are balanced and that every line of the table has the same columns."""
    plain = re.sub(r"\\[&%$#_{}]", "", text)
    depth = 0
    for sign in plain:
        depth += {"{": 1, "}": -1}.get(sign, 0)
        assert depth >= 0
    assert depth == 0
    assert not set("%#^~") & set(plain)
    assert re.findall(r"\\begin\{(\w+)\}", plain) == re.findall(r"\\end\{(\w+)\}", plain)[::-1] == ["table", "tabular"]
    assert f"\\begin{{tabular}}{{{'l' * columns}}}" in plain
    body = [line for line in plain.splitlines() if line.endswith(r"\\")]
    assert [line.count("&") for line in body] == [columns - 1] * lines


def test_what_does_not_apply_is_empty_in_the_csv(tmp_path: Path) -> None:
    write("study", Outcome(ROWS[2:3]), {}, [], Context(workdir=tmp_path), with_latex=False)
    with (tmp_path / "results.csv").open(newline="") as file:
        head, line = csv.reader(file)
    columns = "set,subset,method,loss,k,seed,metric,value,published,seconds,bytes"
    assert (",".join(head), ",".join(line)) == (columns, "letters,mean,ccn,ccl,100,0,acc,0.9,,,")
    assert not (tmp_path / "study.tex").exists()


@pytest.mark.parametrize("name", STUDIES)
def test_help_of_a_study(name, cli):
    done = cli(["reproduce", name, "--help"])
    assert (done.code, done.err) == (0, "")
    assert f"Example: clusterkit reproduce {name}" in " ".join(done.out.split())
    for flag in ("--latex", "--resume", "--seed", "--workdir"):
        assert flag in done.out


def test_help_of_a_study_loads_nothing_heavy():
    code = (
        "import sys; from clusterkit.__main__ import main; main(['reproduce', 'digits', '--help']); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "clusterkit.studies.digits" in loaded
    assert not {"torch", "torchvision", "h5py", "sklearn", "matplotlib", "scipy", "numpy"} & loaded
