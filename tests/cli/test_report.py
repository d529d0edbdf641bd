"""The command report: a page and a table of any assignments."""

import csv
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clusterkit.artifacts.assignments import read_assignments, write_assignments
from clusterkit.console import printable
from tests.conftest import LETTERS, Cli
from tests.tags import Tags

OUT = Path("clusterkit-out")
PAGE, TABLE = OUT / "report.html", OUT / "clusters.csv"
LATIN = os.fsdecode(b"caf\xe9.png")
NAMES = ["<script>alert(1)</script>.png", "=cmd.png", '"onerror="x.png', LATIN, "日本.png", "-a\nb.png", "@x.png"]


def table() -> list[dict[str, str]]:
    with TABLE.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def missing() -> str:
    """The part of the page that says what it lacks."""
    return PAGE.read_text().partition('id="missing"')[2]


@pytest.fixture
def album() -> Path:
    """A flat folder of two groups of pictures with odd names, dark and light."""
    folder = Path("album")
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number, name in enumerate([*NAMES, *(f"{i}.jpg" for i in range(23))]):
        pixels = rng.integers(0, 60, (40, 50, 3)) + 180 * (number % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name.replace("/", "_"))
    return folder


def clustered(cli: Cli) -> None:
    assert cli("cluster folder:album --method kmeans --k 2").code == 0


def test_the_table_names_every_picture_and_its_cluster(cli: Cli, album: Path) -> None:
    clustered(cli)
    done = cli("report")
    assert (done.code, done.out) == (0, f"{PAGE}\n")
    rows = table()
    _, assignments = read_assignments(OUT / "assignments.h5")
    assert [int(row["cluster"]) for row in rows] == assignments["all"].cluster.tolist()
    paths = [row["path"].removeprefix("'") for row in rows]
    assert set(paths) == {printable(name) for name in content(album)} > {"caf\\xe9.png"}
    assert all(row["path"][0] not in "=+-@" for row in rows)
    for number in ("0", "1"):
        members = [row for row in rows if row["cluster"] == number]
        assert sorted(int(row["rank"]) for row in members) == list(range(1, len(members) + 1))
        assert {row["neighbour_cluster"] for row in members} == {"1" if number == "0" else "0"}
    assert {row["probability"] for row in rows} == {""}


def test_no_name_becomes_a_tag_or_an_attribute(cli: Cli, album: Path) -> None:
    clustered(cli)
    assert cli("report").code == 0
    page = Tags(PAGE.read_text(encoding="utf-8"))
    names = {tag for tag, _ in page.tags}
    assert "script" not in names
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    shown = {attributes["alt"].partition(", cluster")[0] for tag, attributes in page.tags if tag == "img"}  # type: ignore[union-attr]
    assert shown == {row["path"].removeprefix("'") for row in table()}


def test_the_page_reads_nothing_and_names_no_folder(cli: Cli, album: Path) -> None:
    clustered(cli)
    assert cli("report").code == 0
    text = PAGE.read_text(encoding="utf-8")
    for _, attributes in Tags(text).tags:
        for name in ("src", "href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#"))
    assert str(Path.cwd()) not in text
    assert "default-src 'none'" in text


def test_the_page_and_the_table_repeat_byte_for_byte(cli: Cli, points: Path) -> None:
    for line in ("report", "report --truth"):
        assert cli(line).code == 0
        first = PAGE.read_bytes(), TABLE.read_bytes()
        assert cli(line).code == 0
        assert (PAGE.read_bytes(), TABLE.read_bytes()) == first


def test_json_has_the_rows(cli: Cli, album: Path) -> None:
    clustered(cli)
    shutil.copy(album / "1.jpg", album / "copy.jpg")
    done = cli("report --json")
    assert done.code == 3  # the folder has changed
    clustered(cli)
    fields = json.loads(cli("report --json").out)
    assert (fields["artifact"], fields["table"]) == (str(PAGE), str(TABLE))
    assert len(fields["rows"]) == len(table()) == len(NAMES) + 24
    by_id = {row["id"]: row for row in fields["rows"]}
    assert {by_id[i]["path"] for i in fields["duplicates"]["all"][0]} == {"1.jpg", "copy.jpg"}
    assert all(row["probability"] is None and "truth" not in row for row in fields["rows"])
    assert "=cmd.png" in {row["path"] for row in fields["rows"]}


def test_a_network_gives_probabilities_pairs_and_estimates(cli: Cli, points: Path) -> None:
    assert cli("report --truth").code == 0
    text = PAGE.read_text()
    assert "the hidden layer of ccn.safetensors" in text
    for part in ("Probabilities of pairs", "Number of categories", "True classes", '<th scope="row">nmi</th>'):
        assert part in text
    assert 'id="missing"' not in text
    _, assignments = read_assignments(points / "assignments.h5")
    one = assignments["all"]
    rows = table()
    for row, cluster, prob in zip(rows, one.cluster, one.prob, strict=True):
        second = np.sort(prob)[-2]
        assert float(row["probability"]) == pytest.approx(prob[cluster], abs=1e-5)
        assert float(row["margin"]) == pytest.approx(prob[cluster] - second, abs=1e-5)
        assert row["path"] == ""
        assert row["truth"] != ""
    scores = json.loads(cli("evaluate --json").out)["mean"]
    assert f'<th scope="row">acc</th><td class="number">{scores["acc"]:.4f}</td>' in text


def test_what_does_not_belong_to_the_assignments_is_left_out_with_the_reason(cli: Cli, points: Path) -> None:
    line = "cluster --k 10 --epochs 1 --backbone mlp --seed 3 --workdir other --pairs clusterkit-out/pairs.h5"
    assert cli(line).code == 0
    shutil.copy("other/ccn.safetensors", points)
    (points / "pairs.h5").unlink()
    (points / "k.json").write_bytes((points / "k.json").read_bytes()[:-20])
    done = cli("report")
    assert done.code == 0
    for part in ("ccn.safetensors has changed", "pairs.h5 is not beside", "k.json cannot be used"):
        assert part in missing()
        assert part in done.err
    for part in ("hidden layer", "Probabilities of pairs", "Number of categories"):
        assert part not in PAGE.read_text().partition('id="missing"')[0]


def test_adapted_and_assigned_clusters_have_the_names_of_classes(cli: Cli, points: Path) -> None:
    assert cli("report --assignments adapted.h5 --truth").code == 0
    rows = table()
    header, _ = read_assignments(points / "adapted.h5")
    assert [row["name"] for row in rows] == [header.extra["classes"][int(row["cluster"])] for row in rows]
    assert "the hidden layer of adapted.safetensors" in PAGE.read_text()
    assert cli("assign synthetic:blobs").code == 0
    assert cli("report --assignments assigned.h5").code == 0
    assert "the hidden layer of ccn.safetensors" in PAGE.read_text()
    assert "started from random ones" in PAGE.read_text()
    (points / "g.safetensors").unlink()
    assert cli("report --assignments assigned.h5").code == 0
    assert "Unknown: the G behind these clusters" in PAGE.read_text()
    assert {row["name"] for row in table()} == {""}


def test_every_subset_has_its_part(cli: Cli, letters: Path) -> None:
    assert cli("report --truth").code == 0
    _, assignments = read_assignments(letters / "assignments.h5")
    text = PAGE.read_text()
    assert re.findall(r"<h2>(\w+)</h2>", text) == list(assignments)
    assert "Mean scores of all subsets" in text
    assert [row["subset"] for row in table()] == [name for name, each in assignments.items() for _ in each.id]
    assert len(re.findall("<img ", text)) <= 1000
    assert LETTERS in text


def test_unassigned_items_are_listed(cli: Cli, album: Path) -> None:
    clustered(cli)
    header, assignments = read_assignments(OUT / "assignments.h5")
    one = assignments["all"]
    one.cluster[:3], one.prob[:3] = -1, 0
    write_assignments(OUT / "assignments.h5", header, assignments)
    assert cli("report").code == 0
    assert "Items in no cluster" in PAGE.read_text()
    assert [(row["cluster"], row["rank"], row["margin"]) for row in table()[:3]] == [("-1", "", "")] * 3
    one.cluster[:], one.prob[:] = -1, 0
    write_assignments(OUT / "assignments.h5", header, assignments)
    assert cli("report").code == 0
    assert {row["neighbour"] for row in table()} == {""}


@pytest.mark.parametrize("broken", ["missing", "damaged", "foreign", "changed", "other"])
def test_what_cannot_be_reported_leaves_the_old_files(cli: Cli, album: Path, broken: str) -> None:
    clustered(cli)
    assert cli("report").code == 0
    before = PAGE.read_bytes(), TABLE.read_bytes()
    file = OUT / "assignments.h5"
    match broken:
        case "missing":
            file.unlink()
        case "damaged":
            file.write_bytes(file.read_bytes()[:-9])
        case "foreign":
            file.write_text("{}")
        case "changed":
            (album / "1.jpg").unlink()
        case "other":
            header, assignments = read_assignments(file)
            assignments["all"].id[:2] = assignments["all"].id[1::-1]
            write_assignments(file, header, assignments)
    done = cli("report")
    assert (done.code, done.out) == (3, "")
    assert done.err.splitlines()[-1].startswith("clusterkit: error: ")
    assert (PAGE.read_bytes(), TABLE.read_bytes()) == before


def test_a_page_that_cannot_be_written_leaves_the_old_table(cli: Cli, album: Path) -> None:
    clustered(cli)
    assert cli("report").code == 0
    before = TABLE.read_bytes()
    PAGE.unlink()
    PAGE.mkdir()
    assert cli("report --truth").code == 2
    done = cli("report --seed 7")
    assert done.code == 3
    assert "report.html" in done.err
    pictures = content(album)
    assert cli("report --folders found --by move").code == 3
    assert (TABLE.read_bytes(), content(album)) == (before, pictures)
    assert not Path("found").exists()


def test_flags_that_cannot_be_used(cli: Cli, album: Path) -> None:
    clustered(cli)
    for line, words in (
        ("report --truth", "--truth: data set folder:album has no labels"),
        ("report --by link", "--by works only with --folders"),
        ("report --folders album/found", "--folders album/found"),
        ("report --folders album", "--folders album"),
    ):
        done = cli(line)
        assert (done.code, done.out) == (2, ""), line
        assert words in done.err
        assert not PAGE.exists()
        assert not Path("album/found").exists()


def test_folders_get_every_picture(cli: Cli, album: Path) -> None:
    clustered(cli)
    before = content(album)
    done = cli("report --folders found --by move --json")
    fields = json.loads(done.out)
    assert (fields["folders"], fields["undo"]) == ("found", "found/undo.sh")
    _, assignments = read_assignments(OUT / "assignments.h5")
    for row, cluster in zip(fields["rows"], assignments["all"].cluster, strict=True):
        assert row["path"] in {printable(path.name) for path in (Path("found") / f"{cluster:03d}").iterdir()}
    assert list(album.iterdir()) == []
    assert os.system("sh found/undo.sh") == 0
    assert content(album) == before
    assert cli("report --folders again --by move --quiet").out == f"{PAGE}\nsh again/undo.sh\n"


def test_vectors_have_no_folders(cli: Cli, points: Path) -> None:
    done = cli("report --folders found")
    assert (done.code, done.out) == (2, "")
    assert "no item of this set is an image file" in done.err
