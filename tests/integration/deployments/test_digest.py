"""A digest pays for what changed, tells each thing once, and outlives whoever cannot be told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock, MattermostWebhook
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort
from pydantic import SecretStr

from prefect_governor import ConfigurationError, Report, RunFailed
from prefect_governor.flows import digest_flow
from prefect_governor.flows.digest_flow import digest
from tests.integration.conftest import Corpus
from tests.integration.deployments.hooks import Hook, hook
from tests.postgres import free_port
from tests.provider.process import ProviderProcess

MODEL = "openai/gpt-4o-mini"
TOKEN = "a1b2c3d4e5f6a7b8c9d0"

pytestmark = pytest.mark.usefixtures("server", "put_out_of_work")


@pytest.fixture
def told() -> Iterator[Hook]:
    with hook() as found:
        yield found


@pytest.fixture
def team(told: Hook, name: str) -> str:
    """A saved block that tells `told`."""
    CustomWebhookNotificationBlock(
        name="team",
        url=f"{told.url}/{TOKEN}",
        json_data={"subject": "{{subject}}", "body": "{{body}}"},
        headers=None,
        cookies=None,
    ).save(name)
    return f"custom-webhook/{name}"


def artifact(client: SyncPrefectClient, key: str) -> Any:
    """The latest of that key."""
    return client.read_artifacts(
        artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])),
        sort=ArtifactSort.CREATED_DESC,
    )[0]


def run(folder: Path, name: str, **more: Any) -> Report:
    given = {"ask": "What is this?", "sources": ["*.txt"], "folder": str(folder), "name": name}
    found: Report = digest(**{**given, "model": MODEL, "max_output_tokens": 60, **more})
    return found


def test_the_second_digest_pays_for_what_changed_alone_and_names_what_is_gone(
    client: SyncPrefectClient,
    upstream: ProviderProcess,
    corpus: Corpus,
    told: Hook,
    team: str,
    name: str,
) -> None:
    paths = corpus(6)
    folder = paths[0].parent
    report = run(folder, name, notify=[team], out="digest.md")
    assert report.outcome == "complete"
    assert upstream.settled_stats()["requests"] == 6
    assert told.told[0]["subject"] == f"{name}: 6 new, 0 changed, 0 as before, 0 removed"

    paths[0].write_text("it says something else now")
    paths[1].unlink()
    (folder / "new.txt").write_text("it was not there")
    upstream.renew()
    second = run(folder, name, notify=[team], out="digest.md")
    stats = upstream.settled_stats()
    assert stats["requests"] == 2
    assert {each.key for each in second.items if each.calls} == {"item-0000.txt", "new.txt"}
    # The ceilings of a digest are its own: what others spent is none of its money.
    paid = sum(int(each.usd * 10**9) for each in second.items)
    assert paid == int(second.budget.spent_usd * 10**9) == stats["billed_nano"]
    headline = "1 new, 1 changed, 4 as before, 1 removed"
    assert told.told[1]["subject"] == f"{name}: {headline}"
    assert "removed:\n- item-0001.txt" in told.told[1]["body"]
    made = artifact(client, f"digest-{name}")
    assert made.description == headline
    assert "### new.txt" in made.data and "item-0001.txt" in made.data
    assert "item-0003" not in made.data
    assert (folder / "digest.md").read_text() == made.data

    upstream.renew()
    third = run(folder, name, notify=[team])
    assert third.outcome == "complete" and upstream.settled_stats()["requests"] == 0
    # Nothing to tell is told to nobody.
    assert len(told.told) == 2

    upstream.renew()
    run(folder, name, ask="And what is it good for?")
    assert upstream.settled_stats()["requests"] == 6


def test_whoever_cannot_be_told_fails_no_digest_and_no_secret_is_shown(
    client: SyncPrefectClient,
    upstream: ProviderProcess,
    corpus: Corpus,
    told: Hook,
    team: str,
    name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = corpus(1)[0].parent
    told.status = 500
    nobody = MattermostWebhook(hostname="127.0.0.1", port=free_port(), token=SecretStr(TOKEN))
    for which in ("nobody", "either"):
        nobody.model_copy().save(f"{name}-{which}")
    out = folder / "a-file" / "digest.md"
    out.parent.write_text("in the way")
    names = [team, f"mattermost-webhook/{name}-nobody", f"mattermost-webhook/{name}-either"]
    report = run(folder, name, notify=names, out=str(out))
    assert report.outcome == "complete" and len(told.told) == 1
    text = artifact(client, f"digest-{name}").data
    for what in (*names, "a-file"):
        assert what in text.replace("\\", ""), what
    assert text.count("was not told") == 3
    assert TOKEN not in text + caplog.text
    # It was told by the artifact: it is no news the next time.
    assert run(folder, name).items[0].calls == 0


def test_a_block_that_is_not_there_is_refused_before_anything_is_paid(
    upstream: ProviderProcess, corpus: Corpus, team: str, name: str
) -> None:
    folder = corpus(1)[0].parent
    with pytest.raises(ConfigurationError, match="there is no block 'slack-webhook/there-is-none'"):
        run(folder, name, notify=[team, "slack-webhook/there-is-none"])
    assert upstream.settled_stats()["requests"] == 0


def test_what_was_told_nowhere_is_told_the_next_time(
    client: SyncPrefectClient,
    upstream: ProviderProcess,
    corpus: Corpus,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def away(*_: Any, **__: Any) -> str:
        return "the artifact was not made: the server is away"

    folder = corpus(1)[0].parent
    with monkeypatch.context() as patched:
        patched.setattr(digest_flow, "publish", away)
        assert run(folder, name).items[0].calls == 1
    assert run(folder, name).items[0].calls == 0
    assert "1 new, 0 changed" in artifact(client, f"digest-{name}").data


def test_a_digest_in_which_all_fails_is_told_and_fails(
    upstream: ProviderProcess, corpus: Corpus, told: Hook, team: str, name: str
) -> None:
    folder = corpus(2)[0].parent
    with pytest.raises(RunFailed) as failed:
        run(folder, name, notify=[team], max_output_tokens=10)
    # `fan-out --resume` would not find what the digest keeps, and pay for it.
    assert failed.value.report is not None and not failed.value.report.resumable
    assert told.told[0]["subject"].endswith("0 as before, 2 without an answer, 0 removed")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"notify": ["slack"]}, "by type and name"),
        ({"sources": []}, "digest is of sources"),
        ({"sources": ["not-mounted"]}, "not-mounted"),
    ],
)
def test_what_no_digest_can_be_of_is_refused_before_anything_is_spent(
    upstream: ProviderProcess, corpus: Corpus, wrong: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigurationError, match=why):
        run(corpus(1)[0].parent, "wrong", **wrong)
    assert upstream.settled_stats()["requests"] == 0
