"""Automations that hold deployments back, ask a person and notify, each on the real event."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from click.testing import Result
from prefect import flow
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments import run_deployment
from prefect.flow_runs import resume_flow_run

from prefect_governor import Budget, Governor, OverBudget, RunFailed, fan_out
from prefect_governor.blocks.governor import load_governor
from prefect_governor.flows.automations.holding import hold_deployments
from prefect_governor.flows.server.background import ServerInfo
from tests import ROOT
from tests.integration.acting import server
from tests.integration.cli.commands import run
from tests.integration.governing import NANO, ask, document_of, edit, loaded_as, spend_reserved
from tests.integration.workers import worker_of
from tests.provider.process import ProviderProcess
from tests.waiting import A_LOOK_AT_THE_SERVER, until

__all__ = ["server"]

PATIENCE_SECONDS = 90
YAML = ROOT / "deployments" / "automations" / "notifications.yaml"
# A day apart whatever the time is: what moves from the first to the second opens a new window.
YESTERDAY, TOMORROW = "Etc/GMT+12", "Pacific/Kiritimati"

pytestmark = pytest.mark.usefixtures("server", "put_out_of_work")


@flow(name="nightly")
def nightly() -> None:
    """What is held back."""


@pytest.fixture(scope="module")
def pool(server: ServerInfo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A work pool, and a process worker that serves it."""
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="governed", type="process"))
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "governed"]
    with worker_of(command, tmp_path_factory.mktemp("worker")):
        yield "governed"


def automate(*arguments: str) -> Result:
    return run("automate", *arguments)


def runs_of(client: SyncPrefectClient, deployment: UUID) -> list[FlowRun]:
    """Those that are no scheduled ones of the future."""
    found = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment]))
    )
    return [each for each in found if not each.auto_scheduled]


def test_a_deployment_is_held_at_a_share_and_runs_again_after_a_raise_and_in_the_next_window(
    name: str, client: SyncPrefectClient, pool: str
) -> None:
    budget = f"{name}-team"
    Budget(max_usd=1, window="day", time_zone=YESTERDAY).save(budget)
    Governor(budget=Budget(parent=budget)).save(name)
    flow_id = client.create_flow(nightly)
    both = {
        each: client.create_deployment(flow_id=flow_id, name=f"{name}-{each}", work_pool_name=pool)
        for each in ("ours", "stopped")
    }
    # What a person paused is a person's.
    client.pause_deployment(both["stopped"])
    for again in ("", ", updated"):
        made = automate("hold", budget, *(f"nightly/{name}-{each}" for each in both))
        assert made.exit_code == 0, made.stderr
        assert f"automation 'hold what draws on {budget}'{again}\n" in made.stdout
    holder = client.read_deployment_by_name(f"hold-deployments/{budget}")
    (planned,) = holder.schedules
    schedule = cast(CronSchedule, planned.schedule)
    assert (schedule.cron, schedule.timezone) == ("1 0 * * *", YESTERDAY)

    def paused(which: str = "ours") -> bool:
        return client.read_deployment(both[which]).paused

    governor = load_governor(name)
    spend_reserved(governor, "0.6")
    spend_reserved(governor, "0.25")
    until(paused, seconds=PATIENCE_SECONDS, every=A_LOOK_AT_THE_SERVER)
    until(
        lambda: client.read_deployment(both["ours"]).tags == [f"held-by-budget:{budget}"],
        seconds=PATIENCE_SECONDS,
    )
    # A raise lets it run again.
    document = document_of(loaded_as(Budget, budget))
    edit(document, max_usd=2)
    until(lambda: not paused(), seconds=PATIENCE_SECONDS, every=A_LOOK_AT_THE_SERVER)
    until(lambda: client.read_deployment(both["ours"]).tags == [], seconds=PATIENCE_SECONDS)
    for each in client.read_automations():
        client.delete_automation(each.id)
    names = [f"nightly/{name}-{each}" for each in both]
    spend_reserved(governor, "0.8")
    hold_deployments(budget, names)
    assert paused()
    # In the next window, whose opening the schedule waits for.
    edit(document, time_zone=TOMORROW)
    state = hold_deployments(budget, names, return_state=True)
    assert f"{budget} is spent to 0%" in str(state.message)
    assert not paused()
    assert paused("stopped")
    assert client.read_deployment(both["stopped"]).tags == []
    # What was deleted is left out by the command that made this.
    state = hold_deployments(budget, [*names, f"nightly/{name}-gone"], at=80, return_state=True)
    assert state.is_failed()
    command = f"`prefect-governor automate hold {budget} {' '.join(names)} --at 80`"
    assert f"no deployment is named nightly/{name}-gone: {command}" in str(state.message)


def test_a_person_is_asked_once_and_the_answer_raises_what_a_call_waits_for(
    name: str, client: SyncPrefectClient, pool: str
) -> None:
    Governor(budget=Budget(max_usd=1), when_spent="pause").save(name)
    made = automate("ask", name, "--at-most", "3")
    assert made.exit_code == 0, made.stderr
    deployment = client.read_deployment_by_name(f"ask-to-raise/{name}").id
    governor = loaded_as(Governor, name)
    call_id, paused = ask(governor.runtime, 1.5)

    def asking() -> "FlowRun | None":
        return next(
            (each for each in runs_of(client, deployment) if each.state and each.state.is_paused()),
            None,
        )

    until(lambda: asking() is not None, seconds=PATIENCE_SECONDS, every=A_LOOK_AT_THE_SERVER)
    question = cast(FlowRun, asking())
    assert question.name.startswith(name)
    # Whoever asks again is told of it.
    again = cast(FlowRun, run_deployment(f"ask-to-raise/{name}", timeout=PATIENCE_SECONDS))
    assert again.state is not None
    assert (again.state.name, again.state.message) == (
        "AskedAlready",
        f"{question.name}: waits for an answer on its page",
    )
    resume_flow_run(question.id, run_input={"ceiling_usd": "2", "reason": "the review"})
    paused.result(PATIENCE_SECONDS)
    until(lambda: governor.runtime.accounts_[0].ceiling_nano == 2 * NANO)
    governor.runtime.desk.void(call_id, "the test is over").result(30)
    until(
        lambda: client.read_flow_run(question.id).state.name == "Raised",  # type: ignore[union-attr]
        seconds=PATIENCE_SECONDS,
    )
    state = client.read_flow_run(question.id).state
    assert state is not None
    assert state.message == f"{name} from $1.00 to $2.00"


class Webhook:
    """Somebody who is told, over HTTP."""

    def __init__(self) -> None:
        told: list[dict[str, str]] = []
        self.told = told

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                told.append(json.loads(body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> "Webhook":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_a_notification_block_is_told_of_every_kind_of_event(
    name: str, client: SyncPrefectClient, upstream: ProviderProcess
) -> None:
    with Webhook() as webhook:
        told = {"subject": "{{subject}}", "body": "{{body}}"}
        CustomWebhookNotificationBlock.model_validate(
            {"name": "test", "url": webhook.url, "json_data": told}
        ).save(name)
        made = automate("notify", f"custom-webhook/{name}")
        assert made.exit_code == 0, made.stderr
        assert made.stdout.count("automation 'tell ") == 5
        Governor(budget=Budget(max_usd=1)).save(name)
        governor = loaded_as(Governor, name)
        with governor.reserve(max_usd="0.1"):
            # Left unsettled.
            pass
        upstream.renew(keys=["another"])
        with pytest.raises(RunFailed):
            fan_out(
                [{"key": "a", "text": "Which?"}],
                ask="Which word?", model="openai/gpt-4o-mini", governor=name,
            )  # fmt: skip
        spend_reserved(governor, "0.8")
        with pytest.raises(OverBudget):
            spend_reserved(governor, "0.6")
        edit(document_of(governor), budget={"max_usd": "lots"})
        expected = {
            f"1 calls of {name} are unconfirmed",
            f"{name} is spent to 80%",
            f"{name} refuses calls",
            f"The block {name} is not valid",
        }

        def subjects() -> set[str]:
            return {each["subject"] for each in webhook.told}

        until(
            lambda: (
                expected <= subjects()
                and any(each.endswith("stopped itself") for each in subjects())
            ),
            seconds=PATIENCE_SECONDS,
        )
        for each in client.read_automations():
            client.delete_automation(each.id)


def test_what_is_not_there_is_said_with_what_to_do(
    name: str, client: SyncPrefectClient, pool: str
) -> None:
    Budget(max_usd=1).save(name)
    for arguments, said in (
        (("hold", "nobody's", "a/b"), 'no Governor or Budget block named "nobody\'s"'),
        (("hold", name, "a/b"), "there is no deployment 'a/b': `prefect deployment ls`"),
        (("hold", name, "a/b", "--at", "70"), "--at 70: what is told of a budget are 50, 80"),
        (("ask", name, "--pool", "nowhere"), "no work pool 'nowhere': `prefect work-pool create"),
        (("ask", name, "--at-most", "lots"), "--at-most must be an amount in USD"),
        (("ask", name, "--at-most", "0.50"), "the ceiling of"),
        (("notify", "slack-webhook/nobody", "--at", "70"), "--at 70: what is told of a budget"),
        (("notify", "slack-webhook/nobody"), "no block 'slack-webhook/nobody': `prefect block"),
    ):
        made = automate(*arguments)
        assert (made.exit_code, said in made.stderr) == (2, True), made.stderr
        assert "Traceback" not in made.stderr


def test_the_yaml_is_refused_until_a_block_is_named_in_it(
    name: str, client: SyncPrefectClient, tmp_path: Path
) -> None:
    def create(path: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "prefect", "automation", "create", "--from-file"]
        return subprocess.run([*command, str(path)], capture_output=True, text=True)

    refused = create(YAML)
    assert refused.returncode == 1, refused.stdout
    assert client.read_automations_by_name("tell-over-budget") == []
    block = CustomWebhookNotificationBlock.model_validate(
        {"name": "test", "url": "http://127.0.0.1:9/"}
    ).save(name)
    filled = tmp_path / YAML.name
    filled.write_text(YAML.read_text().replace("YOUR-BLOCK-ID", str(block)))
    made = create(filled)
    assert made.returncode == 0, made.stdout + made.stderr
    for each in client.read_automations():
        client.delete_automation(each.id)


def test_a_person_who_let_it_run_is_not_overruled(name: str, client: SyncPrefectClient) -> None:
    Budget(max_usd=1).save(name)
    Governor(budget=Budget(parent=name)).save(f"{name}-governor")
    spend_reserved(load_governor(f"{name}-governor"), "0.9")
    deployment = client.create_deployment(flow_id=client.create_flow(nightly), name=name)
    full = f"nightly/{name}"
    hold_deployments(name, [full])
    assert client.read_deployment(deployment).paused
    client.update_deployment(deployment, DeploymentUpdate(paused=False))
    hold_deployments(name, [full])
    assert not client.read_deployment(deployment).paused


def test_what_is_held_no_longer_runs_again(name: str, client: SyncPrefectClient, pool: str) -> None:
    """A deployment that the command names no more would stay paused for ever."""
    Budget(max_usd=0).save(name)
    flow_id = client.create_flow(nightly)
    made = [
        client.create_deployment(flow_id=flow_id, name=f"{name}-{each}", work_pool_name=pool)
        for each in ("a", "b")
    ]
    names = [f"nightly/{name}-a", f"nightly/{name}-b"]
    assert automate("hold", name, *names).exit_code == 0
    # Of a ceiling of 0 nothing is left.
    hold_deployments(name, names)
    assert [client.read_deployment(each).paused for each in made] == [True, True]
    again = automate("hold", name, names[1])
    assert f"{names[0]} is held by {name} no longer" in again.stdout
    first, second = map(client.read_deployment, made)
    assert (first.paused, first.tags, second.paused) == (False, [], True)
