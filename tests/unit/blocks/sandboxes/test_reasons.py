"""Which bound ended a program, in words; what a failed one says that it met."""

import asyncio
from typing import get_args

import pytest

from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.output import Output
from prefect_governor.blocks.sandboxes.reasons import files_reason, reason, said
from prefect_governor.blocks.sandboxes.results import Bound

WORDS = {
    "memory": "out of memory at 256 MiB",
    "processes": "more than 64 processes",
    "open files": "more than 256 open files",
    "workspace": "workspace full at 64 MiB",
    "output": "output above 256 KiB",
    "time": "still running after 60 s",
}


@pytest.mark.parametrize("bound", get_args(Bound))
def test_every_bound_is_named_with_its_number(bound: Bound) -> None:
    assert reason(bound, SandboxBounds()) == WORDS[bound]


def test_a_program_that_was_given_less_time_is_told_that_time() -> None:
    assert reason("time", SandboxBounds(), seconds=2.5) == "still running after 2.5 s"
    assert files_reason(SandboxBounds()) == "workspace full at 4,096 files"


@pytest.mark.parametrize(
    ("stderr", "bound"),
    [
        ("", None),
        ("Traceback …\nValueError: no\n", None),
        ("OSError: [Errno 28] No space left on device\n", "workspace"),
        ("OSError: [Errno 24] Too many open files: 'x'\n", "open files"),
        ("MemoryError\n", "memory"),
        ("sh: 1: Cannot fork: Resource temporarily unavailable\n", "processes"),
        ("No space left on device\nMemoryError\n", "memory"),
        ("No space left on device\n" + "x" * 5000, None),
    ],
)
def test_what_a_failed_program_says_last_is_the_bound_that_it_met(
    stderr: str, bound: Bound | None
) -> None:
    assert said(stderr) == bound


def test_output_is_kept_up_to_its_bound_and_read_to_its_end() -> None:
    async def read() -> tuple[Output, bytes]:
        output, stream = Output(10), asyncio.StreamReader()
        stream.feed_data(b"123456\xff78")
        stream.feed_data(b"9" * 100_000)
        stream.feed_eof()
        await output.read_out(stream)
        rest = asyncio.StreamReader()
        rest.feed_data(b"late")
        rest.feed_eof()
        await output.read_err(rest)
        return output, await stream.read()

    output, left = asyncio.run(read())
    assert output.over.is_set() and left == b""
    assert output.texts() == ("123456�789", "")
