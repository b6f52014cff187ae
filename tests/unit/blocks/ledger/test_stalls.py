"""Whatever waits for whatever: every program ends, and leaves nothing held."""

import faulthandler
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from prefect_governor.blocks.governor import Governor
from prefect_governor.blocks.ledger import stalls
from tests.unit.blocks.ledger.programs import LIMITS, MAX_USD, PROGRAMS, Runner

# Far more than any program takes; one that waits for itself never ends.
WATCHDOG_SECONDS = 20


@pytest.fixture
def governor(home: Path, monkeypatch: pytest.MonkeyPatch) -> Governor:
    monkeypatch.setattr(stalls, "LOOK_SECONDS", 0.02)
    return Governor.local("programs", max_usd=MAX_USD, limits=LIMITS)


def check(governor: Governor, examples: int) -> "Counter[str]":
    ended: Counter[str] = Counter()

    @settings(
        max_examples=examples, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(PROGRAMS)
    def every(program: Any) -> None:
        runner = Runner(governor)
        thread = threading.Thread(target=runner.run, args=(program,), daemon=True)
        thread.start()
        thread.join(WATCHDOG_SECONDS)
        if thread.is_alive():
            faulthandler.dump_traceback(2)
        assert not thread.is_alive(), "it waits for itself for ever"
        ended.update(runner.ended)
        ended["programs"] += 1
        desk = governor.runtime.desk
        desk.write(lambda _: None).result(20)
        assert desk.store.read_calls(("reserved",)) == []
        for limit in governor.runtime.limits_:
            gate = desk.store.read_gate(limit.key)
            assert gate is None or gate.in_flight == 0

    every()
    return ended


def test_every_small_program_of_waits_ends(governor: Governor) -> None:
    ended = check(governor, 150)
    print(f"\n{dict(ended)}")
    assert ended["refused"] and ended["done"]


# On the loop: 0.6 is held by what the loop runs, and it is blocked for 0.3, which there is, behind
# a thread that asked for the same money before, and for more than there is.
BEHIND = (
    [
        [("gather", [[("gather", [[
            ("hold", (("slot", "one"), False), [("sleep",), ("sleep",)]),
            ("thread", [("sleep",)]),
        ]])]])],
        [("hold", (("key", "k"), True), [
            ("thread", [("sleep",), ("sleep",)]),
            ("hold", (("usd", "0.3"), True), [("sleep",), ("sleep",)]),
        ])],
        [
            ("hold", (("usd", "0.6"), True), [
                ("gather", [[("sleep",)], [("sleep",), ("sleep",)], [("sleep",)]]),
            ]),
            ("hold", (("slot", "two"), True), [("sleep",), ("sleep",)]),
        ],
    ],
    [[
        ("thread", [("hold", (("usd", "0.3"), True), [("sleep",)])]),
        ("thread", [("hold", (("usd", "0.6"), False), [("sleep",)])]),
    ]],
)  # fmt: skip


def test_who_stands_behind_one_that_waits_for_him_is_refused(governor: Governor) -> None:
    for _ in range(20):
        runner = Runner(governor)
        thread = threading.Thread(target=runner.run, args=(BEHIND,), daemon=True)
        thread.start()
        thread.join(WATCHDOG_SECONDS)
        assert not thread.is_alive(), "it waits for itself for ever"


@pytest.mark.chaos
@pytest.mark.slow
def test_five_thousand_of_them(governor: Governor) -> None:
    ended = check(governor, 5000)
    print(f"\n{dict(ended)}")
    assert ended["programs"] >= 5000
