"""A photographer with a folder of everything: a table of all files, a page, folders of clusters, new pictures."""

import csv
import itertools
import json
import os
import random
import re
import subprocess
from pathlib import Path

from PIL import Image

from clusterkit.console import printable
from tests import photographer
from tests.conftest import Cli

OUT = Path("clusterkit-out")
SET = ["folder:photos", "--flat", "--skip-bad"]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def things(place: Path) -> list[Path]:
    """Every file and every link below a folder; the files of a system folder count as that folder."""
    found = []
    for folder, subfolders, names in os.walk(place):
        here = Path(folder)
        system = {"@eaDir", ".thumbnails", "__MACOSX"} & set(subfolders)
        links = {name for name in subfolders if (here / name).is_symlink()}
        found += [here / name for name in [*names, *system, *links]]
        subfolders[:] = sorted(set(subfolders) - system - links)
    return found


def test_every_file_is_in_the_table_or_named_with_a_reason(cli: Cli) -> None:
    kinds = photographer.build(Path("photos"))
    refused = cli(["cluster", "folder:photos", "--method", "kmeans", "--k", "3"])
    assert refused.code == 3
    assert not OUT.exists()

    done = cli(["cluster", *SET, "--method", "kmeans", "--k", "3"])
    assert done.code == 0, done.err
    for name in photographer.TROUBLE:
        assert f"photos/{name}: " in done.err
    [line] = [line for line in done.err.splitlines() if "left out:" in line]
    read, left_out = line.partition("; left out: ")[::2]
    counts = [int(number) for number in re.findall(r"(?:^|, )(\d+) ", left_out)]
    assert int(re.findall(r"(\d+) images$", read)[0]) == len(kinds)
    assert len(kinds) + sum(counts) == len(things(Path("photos")))

    done = cli(["report", "--json"])
    assert done.code == 0, done.err
    rows = table(OUT / "clusters.csv")
    assert sorted(row["path"] for row in rows) == sorted(printable(name) for name in kinds)
    assert sum(row["cluster"] != "-1" for row in rows) == len(kinds)
    assert len(json.loads(done.out)["rows"]) == len(kinds)
    pairs = [{rows_of_id["path"] for rows_of_id in json.loads(done.out)["rows"] if rows_of_id["id"] in group}
             for group in json.loads(done.out)["duplicates"]["all"]]  # fmt: skip
    assert any({"zurück/exact.JPG", "zurück/near.jpg"} < group for group in pairs)
    page = (OUT / "report.html").read_text(encoding="utf-8")
    assert "Лето 2019" in page
    assert r"caf\xe9" in page

    done = cli(["report", "--folders", "found", "--by", "copy"])
    assert done.code == 0, done.err
    placed = [path for path in Path("found").rglob("*") if path.is_file()]
    assert len(placed) == len(kinds)
    before = set(Path("photos").rglob("*"))
    done = cli(["report", "--folders", "moved", "--by", "move"])
    assert done.code == 0, done.err
    assert len(things(Path("photos"))) == sum(counts)
    subprocess.run(["sh", "moved/undo.sh"], check=True)
    assert set(Path("photos").rglob("*")) == before


def test_a_portrait_is_seen_upright(cli: Cli) -> None:
    """The same picture, stored upright and stored turned with an EXIF orientation, is the same item."""
    Path("phone").mkdir()
    image = Image.effect_mandelbrot((64, 96), (-2, -1, 1, 1), 100).convert("RGB")
    image.save("phone/a.png")
    for orientation, back in photographer.TURNS.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        image.transpose(back).save(f"phone/{orientation}.png", exif=exif)
    for number in range(4):
        Image.new("RGB", (64, 64), (250, 40 * number, 0)).save(f"phone/other{number}.png")
    assert cli("cluster folder:phone --method kmeans --k 2").code == 0
    rows = json.loads(cli("report --json").out)["rows"]
    clusters = {row["path"]: row["cluster"] for row in rows}
    assert len({clusters[name] for name in ("a.png", "3.png", "6.png", "8.png")}) == 1


def test_new_pictures_join_the_clusters_of_the_old_ones(cli: Cli) -> None:
    """Known pairs by path teach a network, which then sorts new files, bad ones among them."""
    kinds = photographer.build(Path("photos"))
    by_kind = {kind: [name for name in kinds if kinds[name] == kind] for kind in photographer.KINDS}
    lines = [f'"{a}","{b}",must' for names in by_kind.values() for a, b in itertools.pairwise(names[:12])]
    lines += [f'"{by_kind[a][0]}","{by_kind[b][0]}",cannot' for a, b in itertools.combinations(by_kind, 2)]
    Path("known.csv").write_text("".join(f"{printable(line)}\n" for line in lines), encoding="utf-8")
    done = cli(
        ["cluster", *SET, "--k", "3", "--constraints", "known.csv", "--backbone", "lenet", "--epochs", "20", "--json"]
    )
    assert done.code == 0, done.err
    held = json.loads(done.out)["constraints"]["all"]
    assert held == {"must": {"held": 33, "of": 33}, "cannot": {"held": 3, "of": 3}}
    rows = json.loads(cli("report --json").out)["rows"]
    cluster_of = {row["path"]: row["cluster"] for row in rows}

    Path("new").mkdir()
    chance = random.Random(5)
    for kind in photographer.KINDS:
        photographer.drawn(kind, chance).save(f"new/{kind}.webp")
    Path("new/empty.jpg").touch()
    files = [*(f"new/{kind}.webp" for kind in photographer.KINDS), "new/empty.jpg"]
    done = cli(["assign", *files])
    assert done.code == 3
    assert "new/empty.jpg" in done.err
    done = cli(["assign", *files, "--skip-bad", "--json"])
    assert done.code == 0, done.err
    assert "new/empty.jpg" in done.err
    assigned = {row["name"]: row["cluster"] for row in json.loads(done.out)["rows"]}
    assert assigned == {f"new/{kind}.webp": cluster_of[printable(by_kind[kind][0])] for kind in photographer.KINDS}
    assert cli("report --assignments assigned.h5").code == 0
    assert {row["path"] for row in table(OUT / "clusters.csv")} == set(assigned)
