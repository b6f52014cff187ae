"""The program of `reader.py`'s process: a page on stdin, one JSON object on stdout; its arguments
are the suffix, seconds of CPU and MiB of memory. It imports what extraction needs and no more, as
each page waits for it."""

import json
import resource
import sys
from collections.abc import Mapping

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.flows.items.documents.extraction import document_of

# Of one page's text: a small PDF may hold gigabytes of it, which whoever waits would have to hold.
MOST_CHARACTERS = 2_000_000


def told(data: bytes, suffix: str) -> Mapping[str, object]:
    """What is said of a page: its text, or why there is none."""
    try:
        document = document_of("page", data, suffix=suffix)
    except ItemFailed as error:
        return {"error": str(error)}
    # One more than is kept: whoever shows it says that it was cut.
    text = document.text[: MOST_CHARACTERS + 1]
    return {"text": text, "kind": document.kind, "pages": document.pages}


def main() -> None:
    suffix, seconds, memory = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    # Also where whoever waits is killed before it can end this.
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    json.dump(told(sys.stdin.buffer.read(), suffix), sys.stdout)


if __name__ == "__main__":
    main()
