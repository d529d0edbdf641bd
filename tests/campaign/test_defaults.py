"""Give each command the values that its help calls defaults: the files are the same to the byte."""

from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from tests.campaign.harness import call, copied
from tests.campaign.stories import STORIES, Story, as_kept, inside, start_of, whole
from tests.campaign.test_flags import COMMANDS, LEFT

pytestmark = pytest.mark.campaign


def defaults_of(story: Story) -> dict[str, str]:
    """Return the flags that a story leaves out and whose default is a value, by the flag."""
    [name, *words] = story.line.split()
    found = {}
    for parameter in COMMANDS[name].params:
        is_value = parameter.param_type_name == "option" and not parameter.is_flag and parameter.show_default is True
        if is_value and parameter.name not in LEFT and parameter.opts[0] not in words:
            found[parameter.opts[0]] = text_of(parameter.default)
    return {flag: text for flag, text in found.items() if text}


def text_of(value: Any) -> str:
    if value is None or isinstance(value, list | tuple):
        return ""
    return str(value.value if isinstance(value, Enum) else value)


@pytest.mark.parametrize(
    ("story", "flag", "value"),
    [(story, flag, value) for story in STORIES for flag, value in defaults_of(story).items()],
    ids=lambda of: getattr(of, "name", of),
)
def test_a_default_is_one(story: Story, flag: str, value: str, made: Path, tmp_path: Path) -> None:
    files, _, _ = whole(story, made)
    place = copied(start_of(story, made), tmp_path / "run")
    inside(place)
    done = call([*story.line.split(), flag, value]).check(0, 2)
    if done.code == 2:
        assert flag in done.last, "a flag of other methods or settings is named"
        return
    assert as_kept(place) == files
