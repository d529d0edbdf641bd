"""Results in JSON under the common header: `k.json`, `evaluation.json`."""

import hashlib
import json
from pathlib import Path
from typing import Any

from clusterkit.artifacts.checkpoint import read_bytes
from clusterkit.artifacts.files import write_text
from clusterkit.artifacts.header import KEY, Header, canonical, check_digest, damaged, parse_header
from clusterkit.errors import InputError


def write_json(path: Path, header: Header, content: dict[str, Any]) -> None:
    """Write a result under a header, atomically."""
    write_text(path, canonical({KEY: header.fields(_digests(content)), **content}) + "\n")


def read_json(path: Path, format: str) -> tuple[Header, dict[str, Any]]:
    """Read a result of one format. Raises InputError for a file that is missing, foreign or damaged."""
    try:
        fields = json.loads(read_bytes(path, format))
    except (ValueError, RecursionError) as error:
        raise damaged(path, format) from error
    if not isinstance(fields, dict) or KEY not in fields:
        raise InputError(f"{path}: not a clusterkit file")
    header = parse_header(json.dumps(fields.pop(KEY)), format, path)
    check_digest(header, _digests(fields), path)
    return header, fields


def _digests(content: dict[str, Any]) -> dict[str, str]:
    return {"content": hashlib.sha256(canonical(content).encode()).hexdigest()}
