"""Every command, link and path that the documentation shows exists, and the README's pipeline runs."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from clusterkit import __version__
from clusterkit.__main__ import main
from clusterkit.adaptation import ADAPTATIONS
from clusterkit.cli import app
from clusterkit.config import Backbone
from clusterkit.datasets.catalogue import PREFIXES, SOURCES
from clusterkit.losses import Loss
from clusterkit.methods import METHODS

ROOT = Path(__file__).parent.parent
USER_PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [*USER_PAGES, *sorted((ROOT / "docs" / "lab").glob("*.md"))]
SMALL = {"omniglot_bg": "glyphs_bg@0-11", "--k 100": "--k 30"}
MOST_WORDS = 15_000
"""Words of the pages for users: what one person can read in an hour or two."""


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def shell_blocks(page: Path) -> list[list[str]]:
    return [block.splitlines() for block in re.findall(r"^```shell\n(.*?)^```", page.read_text(), re.M | re.S)]


def commands(lines: list[str]) -> list[str]:
    """The clusterkit commands of a block, without comments, pipes and prompts."""
    found = []
    for line in lines:
        for part in re.split(r"&&|\||;", line.split("  #")[0]):
            words = part.split()
            if words and words[0].rsplit("/", 1)[-1] == "clusterkit":
                found.append(" ".join(["clusterkit", *words[1:]]))
    return found


def prose(page: Path) -> str:
    """The text of a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_documented_commands_are_accepted(page: Path) -> None:
    group = typer.main.get_command(app)
    for block in shell_blocks(page):
        for command in commands(block):
            words = shlex.split(command.replace("\\", ""))[1:]
            if not words or words[0].startswith("-"):
                continue
            with group.make_context("clusterkit", words, resilient_parsing=False) as context:
                name, sub, rest = group.resolve_command(context, words)
                assert sub is not None, command
                if "--help" not in rest:
                    sub.make_context(name, rest, parent=context).close()


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=page_name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_can_be_reached_from_the_readme() -> None:
    linked = {ROOT / "README.md"}
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        targets = {(page.parent / link).resolve() for link in re.findall(r"\]\(([^)#\s]+\.md)", prose(page))}
        waiting += targets - linked
        linked |= targets
    assert {page.resolve() for page in PAGES} <= {page.resolve() for page in linked}


def test_paths_of_pages_that_the_code_names_exist() -> None:
    for folder in ("clusterkit", "tests"):
        for source in (ROOT / folder).rglob("*.py"):
            for path in re.findall(r"docs/[\w/.\-]+\.\w+", source.read_text()):
                assert (ROOT / path).is_file(), f"{source.relative_to(ROOT)} names {path}"


def test_the_pages_for_users_stay_short() -> None:
    assert sum(len(page.read_text().split()) for page in USER_PAGES) <= MOST_WORDS


def test_the_readme_pipeline_runs_on_a_small_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Self-train is left out, because a G of one epoch is sure of no groups; test_recipes.py runs it on small drawings.

    More epochs and the default size would take too long.
    """
    [pipeline] = [block for block in shell_blocks(ROOT / "README.md") if "train-g omniglot" in block[0]]
    for command in commands(pipeline):
        for long, short in SMALL.items():
            command = command.replace(long, short)
        words = shlex.split(command)[1:]
        brief = {"train-g": ["--epochs", "1", "--size", "32"], "cluster": ["--epochs", "2", "--no-self-train"]}.get(
            words[0], []
        )
        assert main([*words, *brief, "--workdir", str(tmp_path), "--seed", "1"]) == 0
        assert capsys.readouterr().out


def test_the_script_for_ci_runs(tmp_path: Path) -> None:
    [script] = [block for block in shell_blocks(ROOT / "docs" / "stages.md") if block[0] == "set -euo pipefail"]
    lines = [f'clusterkit() {{ "{sys.executable}" -m clusterkit "$@"; }}', *script]
    subprocess.run(["bash", "-c", "\n".join(lines)], cwd=tmp_path, check=True)
    assert json.loads((tmp_path / "points" / "evaluation.json").read_text())["mean"]["acc"] > 0.8


ROWS = {
    "methods.md": [*METHODS],
    "stages.md": [*ADAPTATIONS, *Backbone, *SOURCES, *(f"{prefix}:" for prefix in PREFIXES)],
    "lab/mathematics.md": [loss.upper() for loss in Loss],
}
"""What users choose among, by the page that tells of each."""


@pytest.mark.parametrize("page", ROWS)
def test_the_pages_tell_of_everything_that_can_be_chosen(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    words = {word.strip("`.,;:()|") for word in text.split()} | set(re.findall(r"\b[a-z]+:", text))
    assert [name for name in ROWS[page] if name not in words] == []


def test_help_of_every_command_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for name in typer.main.get_command(app).commands:  # type: ignore[attr-defined]
        assert main([name, "--help"]) == 0
        assert f"Example: clusterkit {name}" in " ".join(capsys.readouterr().out.split())


def test_the_citation_and_the_changelog_name_this_version() -> None:
    cited = (ROOT / "docs" / "CITATION.cff").read_text()
    [(version, date), *_] = re.findall(r"^## \[([\d.]+)\] - ([\d-]+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert version == __version__
    assert f"version: {version}\n" in cited
    assert f'date-released: "{date}"\n' in cited
