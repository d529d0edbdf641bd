"""Every command that the documentation shows exists, and those of the README run."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from clusterkit.__main__ import main
from clusterkit.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SMALL = {"omniglot_bg": "glyphs_bg@0-11", "--k 100": "--k 30"}


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
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


def test_the_readme_pipeline_runs_on_a_small_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [pipeline] = [block for block in shell_blocks(ROOT / "README.md") if any("train-g" in line for line in block)]
    for command in commands(pipeline):
        for long, short in SMALL.items():
            command = command.replace(long, short)
        words = shlex.split(command)[1:]
        brief = {"train-g": ["--epochs", "1"], "cluster": ["--epochs", "2"]}.get(words[0], [])
        assert main([*words, *brief, "--workdir", str(tmp_path), "--seed", "1"]) == 0
        assert capsys.readouterr().out


def test_help_of_every_command_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for name in typer.main.get_command(app).commands:  # type: ignore[attr-defined]
        assert main([name, "--help"]) == 0
        assert f"Example: clusterkit {name}" in " ".join(capsys.readouterr().out.split())
