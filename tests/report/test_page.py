"""The page of a report: escaped, readable by everybody, within its bounds; a browser, if there is one, agrees."""

import colorsys
import functools
import json
import re
import shutil
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from clusterkit.artifacts.assignments import Assignment
from clusterkit.artifacts.header import Header
from clusterkit.datasets.base import Subset
from clusterkit.report.beside import Beside
from clusterkit.report.duplicates import Group
from clusterkit.report.page import Page, render
from clusterkit.report.rows import certainty, rows_of
from clusterkit.report.section import (
    DOUBTFUL,
    DUPLICATES,
    IN_CLUSTERS,
    PER_CLUSTER,
    UNASSIGNED,
    Section,
    confusion_of,
    histogram_of,
    map_view,
    room,
    section_of,
)
from tests.tags import Tags

EVIL = "<img src=x onerror=alert(1)>\"'&{{ 7 * 7 }}"
MOST_BYTES = 20 * 10**6


def part(count: int, clusters: int, title: str = "all", *, side: int = 96, names: bool = True) -> Section:
    """A section of pictures of noise, with everything that a section can have."""
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (count, 3, side, side), dtype=np.uint8))
    subset = Subset(
        title, images, torch.arange(count), torch.arange(count) % 3,
        tuple(f"{EVIL} {i}.png" for i in range(count)) if names else None,
    )  # fmt: skip
    cluster = (np.arange(count) % (clusters + 1) - 1).astype(np.int32)
    prob = rng.dirichlet(np.full(clusters, 0.2), count).astype(np.float32)
    cluster[cluster >= 0] = prob.argmax(1)[cluster >= 0]
    assignment = Assignment(np.arange(count), cluster, prob)
    values = rng.normal(size=(count, 4)).astype(np.float32)
    sure = certainty(assignment, values)
    rows = rows_of(subset, assignment, sure, values, [EVIL] * clusters, [EVIL, "b", "c"])
    groups = [
        Group([0, 1, 2], True),
        Group([5, 9], False),
        *(Group([i, i + 1], False) for i in range(20, min(count, 120), 2)),
    ]
    limits = room([clusters])
    one = section_of(subset, assignment, rows, sure, groups, limits, seed=0)
    one.features = "pixels"
    one.fill(subset, is_images=True, inverted=False)
    chosen = np.arange(min(count, 3000))
    one.map = map_view((chosen, rng.integers(0, 1000, (len(chosen), 2))), cluster)
    one.histogram = histogram_of(rng.normal(size=1000).astype(np.float32))
    one.estimates = {"ndc": 4, "spread": 2}
    one.constraints = [("must-link", 3, 4)]
    one.scores, one.confusion = {"acc": 0.5, "ndc": 4.0}, confusion_of(rows)
    return one


def page_of(*sections: Section) -> Page:
    config = {"method": EVIL, "k": 7, "options": {"loss": "ccl", "epochs": None}}
    dataset = {"name": "folder:album", "fingerprint": "f" * 64, "size": 64, "channels": 3}
    header = Header("assignments", "cluster", config, 0, "cpu", dataset, {"pairs": "0" * 64}, {"classes": None})
    beside = Beside(header, weights="none", notes=[f"{EVIL} is not beside the assignments"])
    return Page("assignments.h5", header, f"folder:{EVIL}", "clusters.csv", beside, sections, {"acc": 0.5})


@functools.cache
def full() -> str:
    """The largest page: 10,000 pictures of noise, 1,000 of them shown, in 30 clusters."""
    return render(page_of(part(10_000, 30, side=64)))


@functools.cache
def small() -> str:
    return render(page_of(part(60, 4, "a", side=16), part(60, 2, EVIL, side=16, names=False)))


class Tree(Tags):
    """The tags of a page, its headings, and the ids that its links lead to."""

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.parametrize("text", [full, small])
def test_everything_is_escaped_and_read_out(text) -> None:
    page = Tree(text())
    assert "{{ 7 * 7 }}" in text()
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert not page.all("script")
    images = page.all("img")
    assert images
    assert all(image["alt"] and image["src"] and image["src"].startswith("data:image/") for image in images)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert {str(link["href"])[1:] for link in page.all("a")} <= set(ids)
    assert page.all("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    assert all("aria-label" in svg for svg in page.all("svg"))


def test_a_page_of_ten_thousand_pictures_shows_a_thousand_and_stays_small() -> None:
    text = full()
    shown = text.count("<img ")
    assert 900 < shown <= 1000
    assert len(text.encode()) < MOST_BYTES
    assert "more are only in clusters.csv" in text


def test_pictures_are_shared_among_clusters_and_subsets() -> None:
    assert IN_CLUSTERS + DOUBTFUL + UNASSIGNED + DUPLICATES == 1000
    assert room([3]).per_cluster == PER_CLUSTER
    for counts in ([30], [0], [700], [5000], [20] * 20, [1, 900], [50] * 300):
        limits = room(counts)
        assert sum(min(count, limits.clusters) for count in counts) * limits.per_cluster <= IN_CLUSTERS
        assert len(counts) * (limits.doubtful + limits.unassigned + limits.duplicates) <= 300


def test_a_large_cluster_shows_typical_random_and_doubtful_items_once() -> None:
    section = part(900, 2, side=8)
    for view in section.clusters:
        assert [strip.title for strip in view.strips] == ["The most typical", "Random", "The most doubtful"]
        typical, random, doubtful = ([section.rows[i].rank for i in strip.positions] for strip in view.strips)
        assert typical == list(range(1, 13))
        assert doubtful == list(range(view.size, view.size - 6, -1))
        assert len({*typical, *random, *doubtful}) == PER_CLUSTER


def test_a_file_that_is_gone_is_a_word(tmp_path: Path) -> None:
    section = part(60, 2, side=8)
    for position, item in section.items.items():
        section.items[position] = replace(item, picture=None, is_gone=True)
    text = render(page_of(section))
    assert "cannot be read" in text
    assert "<img " not in text


def luminance(colour: tuple[float, float, float]) -> float:
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_and_points_stand_out_in_light_and_in_dark(scheme: int) -> None:
    style = small().partition("<style>")[2].partition("</style>")[0]
    block = re.findall(r":root \{(.*?)\}", style)[scheme]
    values = dict(re.findall(r"--([a-z]+): ([^;]+);", block))
    colours = {
        name: tuple(int(value[i : i + 2], 16) / 255 for i in (1, 3, 5))
        for name, value in values.items()
        if value.startswith("#")
    }
    assert set(re.findall(r"color: var\(--([a-z]+)\)", style)) <= {"text", "quiet", "link", "line"}
    for ground in ("back", "card"):
        for text in ("text", "quiet", "link"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)  # type: ignore[arg-type]
    light = float(values["l"].rstrip("%")) / 100
    for hue in range(0, 360, 5):
        point = colorsys.hls_to_rgb(hue / 360, light, 0.65)
        assert contrast(point, colours["card"]) >= 3, hue  # type: ignore[arg-type]


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --enable-logging=stderr --v=0 --dump-dom"
)
PROBE = """<script>addEventListener("load", () => {
const images = [...document.images], canvas = document.createElement("canvas").getContext("2d");
images.forEach(image => canvas.drawImage(image, 0, 0));
const size = document.body.offsetHeight, ms = performance.now();
document.body.style.width = "390px";
const names = performance.getEntriesByType("resource").map(entry => entry.name);
document.title = JSON.stringify({
  ms, size, broken: images.filter(image => !image.naturalWidth).length,
  loads: names.filter(name => !name.startsWith("data:")), narrow: document.body.scrollWidth,
});
})</script>"""
"""Decodes every picture and lays the page out, then notes the time, and the width of the page on a phone."""


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_a_browser_draws_it_soon_without_errors_or_requests(tmp_path: Path) -> None:
    text = full()
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    # The page allows no script, so the copy that measures it does.
    probed = text.replace("default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';").replace(
        "</body>", f"{PROBE}</body>"
    )
    (tmp_path / "probed.html").write_text(probed, encoding="utf-8")
    errors, found = {}, {}
    for name in ("page", "probed"):
        done = subprocess.run(
            [str(CHROMIUM), *FLAGS.split(), f"--user-data-dir={tmp_path / name}", f"file://{tmp_path}/{name}.html"],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        errors[name] = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        found[name] = done.stdout
    assert errors == {"page": [], "probed": []}
    measured = json.loads(re.findall(r"<title>(.*?)</title>", found["probed"])[0])
    assert (measured["broken"], measured["loads"]) == (0, [])
    assert measured["narrow"] <= 390 < 5000 < measured["size"]
    assert measured["ms"] < 2000
