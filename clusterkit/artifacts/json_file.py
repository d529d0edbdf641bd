"""JSON files with the common header: `k.json` and `evaluation.json`."""

import hashlib
import json
from pathlib import Path
from typing import Any

from clusterkit.artifacts.checkpoint import read_bytes
from clusterkit.artifacts.files import write_text
from clusterkit.artifacts.form import content_fits
from clusterkit.artifacts.header import KEY, Header, canonical, check_digest, damaged, foreign, parse_header, remedy
from clusterkit.errors import InputError


def write_json(path: Path, header: Header, content: dict[str, Any]) -> None:
    """Write a result with a header, atomically. Raises InputError if the file cannot be written."""
    write_text(path, canonical({KEY: header.fields(_digests(content), path.parent), **content}) + "\n")


def read_json(path: Path, format: str) -> tuple[Header, dict[str, Any]]:
    """Read a result of one format. Raises InputError for a file that is missing, foreign or damaged."""
    content = read_bytes(path, format)
    try:
        fields = json.loads(content)
        header_text = canonical(fields.pop(KEY))
        digests = _digests(fields)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise (damaged if KEY.encode() in content else foreign)(path, format) from error
    header = parse_header(header_text, format, path)
    check_digest(header, digests, path)
    if not content_fits(header.format, fields):
        raise InputError(
            f"{path}: it has other members than clusterkit writes; {remedy('make it again with', path, header.format)}"
        )
    return header.found_in(path.parent), fields


def _digests(content: dict[str, Any]) -> dict[str, str]:
    return {"content": hashlib.sha256(canonical(content).encode()).hexdigest()}
