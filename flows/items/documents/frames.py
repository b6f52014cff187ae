"""What is said between `workers.py` and its processes: a line of JSON, and a document's bytes."""

import json
from typing import Any, BinaryIO

from prefect_governor.flows.items.documents.formats.document import Document

# A document, or why there is none.
Answer = Document | str
Request = tuple[str, str, str | None, bytes]


def write_request(
    target: BinaryIO, key: str, suffix: str, encoding: str | None, data: bytes
) -> None:
    """Ask for the text of a document: its name, suffix (".pdf"), encoding where it is known."""
    _write(target, {"key": key, "suffix": suffix, "encoding": encoding, "size": len(data)})
    target.write(data)
    target.flush()


def read_request(source: BinaryIO) -> Request | None:
    """The next one; None where there are no more."""
    given = _read(source)
    if given is None:
        return None
    data = source.read(given["size"])
    if len(data) < given["size"]:
        return None
    return given["key"], given["suffix"], given["encoding"], data


def write_answer(target: BinaryIO, answer: Answer) -> None:
    if isinstance(answer, str):
        _write(target, {"error": answer})
    else:
        _write(
            target,
            {
                "key": answer.key,
                "text": answer.text,
                "kind": answer.kind,
                "pages": answer.pages,
                "notes": answer.notes,
            },
        )
    target.flush()


def answer_in(line: bytes) -> Answer | None:
    """What a line answers; None where it is no whole one."""
    try:
        given = json.loads(line)
    except ValueError:
        return None
    if "error" in given:
        return str(given["error"])
    return Document(
        given["key"], given["text"], given["kind"], tuple(given["pages"]), tuple(given["notes"])
    )


def _write(target: BinaryIO, given: dict[str, Any]) -> None:
    target.write(json.dumps(given).encode() + b"\n")


def _read(source: BinaryIO) -> dict[str, Any] | None:
    line = source.readline()
    found: dict[str, Any] | None = json.loads(line) if line.endswith(b"\n") else None
    return found
