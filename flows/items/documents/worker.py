"""The program of `workers.py`'s processes: documents on stdin, what they say on stdout, until there
are no more. It imports what extraction needs and no more."""

import os
import resource
import sys
from typing import BinaryIO

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.flows.items.documents.extraction import document_of
from prefect_governor.flows.items.documents.frames import (
    Answer,
    read_request,
    write_answer,
)


def answer_of(key: str, suffix: str, encoding: str | None, data: bytes) -> Answer:
    """What is said of a document: its text, or why there is none."""
    try:
        return document_of(key, data, suffix=suffix, encoding=encoding)
    except ItemFailed as error:
        return str(error)


def serve(source: BinaryIO, target: BinaryIO, *, seconds: int) -> None:
    """Answer each request within so many seconds of CPU."""
    while (request := read_request(source)) is not None:
        # The limit is of the process, for all that it has done. It holds also where whoever waits
        # is killed before it can end this.
        used = resource.getrusage(resource.RUSAGE_SELF)
        spent = int(used.ru_utime + used.ru_stime) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (spent + seconds, resource.RLIM_INFINITY))
        write_answer(target, answer_of(*request))


def main() -> None:
    seconds, memory = int(sys.argv[1]), int(sys.argv[2]) * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    # What a library prints is no answer.
    target = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin.buffer, target, seconds=seconds)


if __name__ == "__main__":
    main()
