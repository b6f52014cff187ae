"""All that the doctor looks at: at the same time, for so long, told in one order."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context
from dataclasses import dataclass, field

from prefect_governor.flows.cli.doctor.documents import Documents
from prefect_governor.flows.cli.doctor.finding import Finding
from prefect_governor.flows.cli.doctor.governors import budgets, governors
from prefect_governor.flows.cli.doctor.ledgers import ledger
from prefect_governor.flows.cli.doctor.machine import enforcement, home, schedules_run, versions
from prefect_governor.flows.cli.doctor.models import auto, models
from prefect_governor.flows.cli.doctor.sandbox import sandbox
from prefect_governor.flows.cli.doctor.schedules import schedules
from prefect_governor.flows.cli.doctor.servers import Servers
from prefect_governor.flows.cli.doctor.unseen import unseen

# How long all of it may take, in seconds. A request waits for 5 s, a part makes a few.
SECONDS = 30.0


def examine(*, seconds: float = SECONDS) -> Iterator[Finding]:
    """Everything that a run would need. Raises nothing.

    What has not ended after `seconds` is told as such, and nobody waits for it.
    """
    until = time.monotonic() + seconds
    parts = [
        _Part("state", state_of_machine),
        _Part("server", (servers := Servers()).findings),
        _Part("model auto", auto),
        _Part("sandbox", sandbox),
    ]
    for each in parts:
        each.begin()
    state, server, model, box = parts
    yield from versions()
    yield from schedules_run()
    yield from unseen()
    yield from enforcement()
    yield from (kept := list(state.until(until)))
    yield from server.until(until)
    if servers.answer is not None and servers.answer.answers:
        documents = Documents(
            servers.answer.ui_url, ledger=all(each.mark != "fail" for each in kept)
        )
        saved = [
            _Part("budgets", lambda: budgets(documents)),
            _Part("governors", lambda: governors(documents)),
            _Part("models", lambda: models(documents)),
            _Part("schedules", lambda: schedules(documents)),
        ]
        for each in saved:
            each.begin()
        for each in saved:
            yield from each.until(until)
    yield from model.until(until)
    yield from box.until(until)


def state_of_machine() -> Iterator[Finding]:
    """The folder of our state, and the ledger in it."""
    found = list(home())
    yield from found
    if all(each.mark != "fail" for each in found):
        yield from ledger()


@dataclass
class _Part:
    """One part of it, in a thread of its own, which may never end."""

    about: str
    look: Callable[[], Iterable[Finding]]
    found: list[Finding] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> None:
        context = copy_context()
        threading.Thread(
            target=lambda: context.run(self._work), name=f"doctor-{self.about}", daemon=True
        ).start()

    def until(self, instant: float) -> Iterator[Finding]:
        """What was found, once it ended or at an instant of the monotonic clock."""
        ended = self.ended.wait(max(0.0, instant - time.monotonic()))
        yield from list(self.found)
        if not ended:
            yield Finding(
                "fail",
                self.about,
                "not all of it could be looked at: something does not answer",
                "try again; what is missing here is slow or hangs",
                "prefect-governor doctor",
            )

    def _work(self) -> None:
        try:
            for each in self.look():
                self.found.append(each)
        except Exception as error:
            said = " ".join(str(error).split()) or type(error).__name__
            self.found.append(Finding("fail", self.about, f"cannot be looked at: {said}"))
        finally:
            self.ended.set()
