"""No wait that can never end: it is found within a second, refused, and told what to write."""

import os
import time
from collections.abc import Iterator

import pytest

from prefect_governor.flows.server.background import ServerInfo
from tests.integration.runner.stalls import PROGRAMS, WATCHDOG_SECONDS
from tests.provider.process import ProviderProcess
from tests.talk import Talk
from tests.warm import WarmParent

# What a program that would wait for ever is told, of each.
TOLD = {
    "child_waited_for_on_the_loop": "`await future`",
    "task_slots_and_a_child": "`await future`",
    "blocking_call_in_async_code": "await acompletion(...)",
    "blocking_call_and_little_money": "await acompletion(...)",
    "call_while_a_stream_is_read": "Read a stream to its end",
    "call_while_a_stream_is_read_in_a_thread": "Read a stream to its end",
    "sync_flow_in_an_async_one": "`await asyncio.to_thread(...)`",
}


def test_every_program_is_known() -> None:
    assert set(TOLD) == set(PROGRAMS)


@pytest.fixture(scope="module")
def programs(
    server: ServerInfo, provider_process: ProviderProcess, warm: WarmParent
) -> Iterator[Talk]:
    base = provider_process.api_base
    environment = {**os.environ, "OPENAI_API_BASE": base, "OPENAI_API_KEY": "sk-test-stalls"}
    command = warm.command("-m", "tests.integration.runner.stalls")
    with Talk(command, env=environment) as talk:
        assert talk.hear(90) == "ready"
        yield talk


@pytest.mark.parametrize("program", TOLD)
def test_program_that_would_wait_for_itself_is_refused_and_told_what_to_write(
    program: str, programs: Talk, provider_process: ProviderProcess
) -> None:
    # A stream that is there at once is at its end with its first piece.
    provider_process.settled_stats()
    provider_process.renew(latency_seconds=1.0, output_tokens=5, stream_seconds=2.0)
    began = time.monotonic()
    programs.say(program)
    told = programs.hear(2 * WATCHDOG_SECONDS)
    print(f"\n{program}: {time.monotonic() - began:.1f} s: {told[:300]}")
    assert TOLD[program] in told
