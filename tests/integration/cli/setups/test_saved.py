"""The doctor on broken setups of what is saved: the right line, the right mend, and then it is ok.

All are broken at once, looked at, mended, and looked at again.
"""

import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from prefect_governor.blocks.work.registry import stop_all
from prefect_governor.flows.cli.doctor import Finding, examine
from tests.integration.cli.setups import saved
from tests.integration.cli.setups.setup import Setup, about, wrong
from tests.provider.process import ProviderProcess
from tests.warm import WarmParent

SETUPS = [each for each in vars(saved).values() if isinstance(each, Setup)]


@dataclass
class Seen:
    """What the doctor said before and after, and what each setup's line is about."""

    before: list[Finding] = field(default_factory=list)
    after: list[Finding] = field(default_factory=list)
    about: dict[str, str] = field(default_factory=dict)
    ran: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def seen(
    server: object,
    provider_process: ProviderProcess,
    warm: WarmParent,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Seen]:
    provider_process.renew()
    provider_process.configure(keys=[saved.KEY])
    offered = {"provider": provider_process, "folder": tmp_path_factory.mktemp("sources")}
    found, open_ = Seen(), {}
    for at, each in enumerate(SETUPS):
        wanted = each.breaks.__code__.co_varnames[: each.breaks.__code__.co_argcount]
        given = {name: offered[name] for name in wanted if name in offered}
        open_[each.id] = each.breaks(f"setup-{at}", **given)
        found.about[each.id] = next(open_[each.id])
    found.before = list(examine())
    running = []
    for each in SETUPS:
        next(open_[each.id], None)
        for finding in wrong(about(found.before, found.about[each.id])):
            if finding.command is not None and _is_ours(finding.command):
                found.ran[each.id] = finding.command
                running.append(subprocess.Popen(_warm(finding.command, warm)))
    assert [process.wait(120) for process in running] == [0] * len(running)
    found.after = list(examine())
    yield found
    provider_process.renew()
    stop_all()


def _is_ours(command: str) -> bool:
    return command.split()[0] in ("prefect", "prefect-governor")


def _warm(command: str, warm: WarmParent) -> list[str]:
    program, *words = shlex.split(command)
    module = {"prefect": "prefect", "prefect-governor": "prefect_governor.flows.cli"}[program]
    return warm.command("-m", module, *words)


@pytest.mark.parametrize("broken", SETUPS, ids=lambda each: each.id)
def test_what_is_broken_is_said_once_with_what_mends_it_and_is_well_then(
    broken: Setup, seen: Seen
) -> None:
    what = seen.about[broken.id]
    (finding,) = wrong(about(seen.before, what))
    assert finding.mark == broken.mark, finding
    assert broken.text in finding.text, finding
    said = finding.command if broken.by_command else finding.todo
    assert broken.mend in (said or ""), finding
    if broken.by_command and _is_ours(str(finding.command)):
        assert seen.ran[broken.id] == finding.command
    assert wrong(about(seen.after, what)) == []
    assert about(seen.after, what)


def test_nothing_keeps_the_doctor_from_the_rest(seen: Seen) -> None:
    said = (*seen.before, *seen.after)
    assert [each for each in said if "be looked at" in each.text] == []


def test_a_doctor_that_fails_says_so_by_its_outcome(seen: Seen) -> None:
    assert any(each.mark == "fail" for each in seen.before)
    assert len(SETUPS) >= 20


def test_no_key_is_shown(seen: Seen) -> None:
    said = "\n".join(map(str, (*seen.before, *seen.after)))
    assert saved.KEY not in said and "sk-wrong-key-0" not in said
