"""Retries that are not the governor's are found and said, once, and are calls of their own."""

import logging
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.wire import retries
from prefect_governor.blocks.wire.retries import RetryWatch, retry_notes
from prefect_governor.blocks.wire.transport import GovernedTransport
from tests.unit.fakes import FakeGoverning, FakeProvider, chat_reply
from tests.unit.prices import PRICE


@pytest.fixture(autouse=True)
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[RetryWatch]:
    new = RetryWatch()
    monkeypatch.setattr(retries, "_watch", new)
    yield new


def headers(**given: str) -> httpx.Headers:
    return httpx.Headers({name.replace("_", "-"): value for name, value in given.items()})


@pytest.mark.parametrize(
    ("count", "who"),
    [("0", None), ("1", "OpenAI"), ("12", "OpenAI"), ("", None), ("x", None), ("-1", None),
     ("\u0662".encode().decode("latin-1"), None)],
)  # fmt: skip
def test_sdk_that_counts_its_retries_is_found(
    watch: RetryWatch, count: str, who: str | None
) -> None:
    given = httpx.Headers(
        {"x-stainless-retry-count": count, "user-agent": "OpenAI/Python 2.1"}, encoding="latin-1"
    )
    assert watch.retried_by(given) == who
    assert watch.retried_by(headers()) is None


def test_same_idempotency_key_again_is_a_retry(watch: RetryWatch) -> None:
    first = headers(idempotency_key="k-1", user_agent="Anthropic/Python 1.0")
    assert watch.retried_by(first) is None
    assert watch.retried_by(headers(idempotency_key="k-2")) is None
    assert watch.retried_by(first) == "Anthropic"
    assert watch.retried_by(headers(Idempotency_Key="k-2")) == "an SDK"


def test_no_more_keys_are_remembered_than_a_process_can_bear(watch: RetryWatch) -> None:
    for at in range(retries.KEYS_REMEMBERED + 1):
        watch.retried_by(headers(idempotency_key=str(at)))
    assert watch.retried_by(headers(idempotency_key="0")) is None
    assert watch.retried_by(headers(idempotency_key=str(retries.KEYS_REMEMBERED))) is not None


def test_runs_are_told_of_their_own_retries_only(watch: RetryWatch) -> None:
    assert watch.note("OpenAI", ["one"])
    assert not watch.note("OpenAI", ["one", "two"])
    assert watch.note("Anthropic", [])
    (line,) = watch.notes("one")
    assert "max_retries=0" in line and "2 retries" in line
    assert "1 retries" in watch.notes("two")[0]
    assert watch.notes("three") == watch.notes(None) == ()
    for at in range(retries.RUNS_REMEMBERED):
        watch.note("OpenAI", [f"run {at}"])
    assert watch.notes("one") == ()


def test_retries_of_an_sdk_are_said_once_and_each_is_admitted_and_settled_by_itself(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.0)
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.0)
    governing = FakeGoverning(price=PRICE)
    answers: list[Any] = []
    for _ in range(2):
        answers += [
            httpx.Response(500),
            httpx.Response(500),
            httpx.Response(200, json=chat_reply()),
        ]
    http_client = httpx.Client(transport=GovernedTransport(FakeProvider(answers)))
    with (
        openai.OpenAI(api_key="sk-test", http_client=http_client, max_retries=2) as client,
        scope(Scope(governing, run_id="run", item="i")),
        caplog.at_level(logging.WARNING, logger=retries.__name__),
    ):
        for _ in range(2):
            client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "hi"}], max_tokens=20
            )
    assert governing.desk.outcomes == ["unconfirm", "unconfirm", "settle"] * 2
    assert len([each for each in caplog.records if "max_retries=0" in each.message]) == 1
    (line,) = retry_notes("run")
    assert line.startswith("OpenAI sends calls again by itself") and "4 retries" in line


def test_client_that_leaves_retries_to_the_governor_is_not_spoken_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    governing = FakeGoverning(price=PRICE)
    provider = FakeProvider([lambda: httpx.Response(200, json=chat_reply())])
    http_client = httpx.Client(transport=GovernedTransport(provider))
    with (
        openai.OpenAI(api_key="sk-test", http_client=http_client, max_retries=0) as client,
        scope(Scope(governing, run_id="run", item="i")),
    ):
        for _ in range(3):
            client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "hi"}], max_tokens=20
            )
    assert not [each for each in caplog.records if each.name == retries.__name__]
    assert retry_notes("run") == ()
