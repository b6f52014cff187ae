"""Reasons: one line, actionable, without a key in it."""

import asyncio
import concurrent.futures

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from prefect_governor.blocks.errors import ItemFailed, OverBudget, RunStopped
from prefect_governor.flows.report.model import ItemReport
from prefect_governor.flows.report.reasons import (
    first_cause,
    group_notes,
    group_reasons,
    one_line,
    reason_of,
    redact,
)

# None that another test shows to a provider: what is known is taken out before it comes here.
KEY = "sk-proj-ijklMNOP0987654321ijklMNOP0987654321"


def openai_error(status: int, body: object, message: str = "Error code") -> openai.APIStatusError:
    request = httpx.Request("POST", "http://127.0.0.1/v1/chat/completions")
    response = httpx.Response(status, request=request)
    kinds: dict[int, type[openai.APIStatusError]] = {
        401: openai.AuthenticationError,
        429: openai.RateLimitError,
    }
    return kinds.get(status, openai.APIStatusError)(message, response=response, body=body)


class LiteLLMLike(Exception):
    def __init__(self, message: str, status_code: int) -> None:
        super().__init__(message)
        self.message = message
        self.status_code = status_code


def wrapped(cause: BaseException) -> BaseException:
    try:
        raise RuntimeError("Connection error.") from cause
    except RuntimeError as error:
        return error


class Answer(BaseModel):
    score: int
    title: str


def validation_error() -> Exception:
    try:
        Answer.model_validate({"score": "high", "secret": KEY})
    except ValueError as error:
        return error
    raise AssertionError


TABLE = [
    (OverBudget("needs $0.04, $0.01 of $2.00 is left"), "needs $0.04, $0.01 of $2.00 is left"),
    (wrapped(RunStopped("the run was stopped")), "the run was stopped"),
    (ItemFailed("a.md is not text"), "a.md is not text"),
    (ValueError("boom\n  twice"), "ValueError: boom twice"),
    (ValueError(), "ValueError"),
    (TimeoutError(), "timed out"),
    (httpx.ReadTimeout("no bytes for 5 s"), "timed out: no bytes for 5 s"),
    (asyncio.CancelledError(), "cancelled before it finished"),
    (concurrent.futures.CancelledError(), "cancelled before it finished"),
    (
        openai_error(429, {"message": "Rate limit reached", "type": "requests"}),
        "RateLimitError (HTTP 429): Rate limit reached",
    ),
    (
        openai_error(429, {"error": {"message": "You exceeded it"}, "code": "insufficient_quota"}),
        "RateLimitError (HTTP 429): You exceeded it; the provider's quota is spent:"
        " add credit there",
    ),
    (
        openai_error(401, {"message": f"Incorrect API key provided: {KEY}"}),
        "AuthenticationError (HTTP 401): Incorrect API key provided: [redacted];"
        " check the provider's API key",
    ),
    (
        LiteLLMLike("litellm.BadRequestError: OpenAIException - too long", 400),
        "LiteLLMLike (HTTP 400): too long",
    ),
    (
        LiteLLMLike("Error code: 500 - {'error': {'message': 'try later', 'type': 'x'}}", 500),
        "LiteLLMLike (HTTP 500): try later",
    ),
    (
        validation_error(),
        "does not validate: score: Input should be a valid integer, unable to parse string as an"
        " integer; title: Field required",
    ),
]


@pytest.mark.parametrize(("error", "expected"), TABLE, ids=lambda v: str(v)[:30])
def test_reason_of(error: BaseException, expected: str) -> None:
    assert reason_of(error) == expected


def test_the_first_of_a_group_is_the_reason() -> None:
    class Group(Exception):
        def __init__(self, *inner: BaseException) -> None:
            super().__init__("unhandled errors in a TaskGroup (2 sub-exceptions)")
            self.exceptions = inner

    assert reason_of(Group(Group(OverBudget("no money")), ValueError())) == "no money"


def test_a_hint_survives_a_long_message() -> None:
    reason = reason_of(openai_error(401, {"message": "word " * 500}))
    assert len(reason) <= 300
    assert reason.endswith("…; check the provider's API key")


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        (f"key {KEY} rejected", KEY),
        ("Authorization: Bearer abc.def-ghi", "abc.def-ghi"),
        ('{"api_key": "hunter22"}', "hunter22"),
        ("api-key=hunter22&x=1", "hunter22"),
        ("https://user:pa55word@host/path", "pa55word"),
        ("GET /v1?key=AbCdEf123&alt=json", "AbCdEf123"),
        ("AIzaSyA1234567890abcdefghij", "AIzaSyA1234567890abcdefghij"),
        ("token ghp_abcdefghij0123456789", "ghp_abcdefghij0123456789"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.abc-def", "eyJzdWIiOiIx"),
        ("secret thing aB3" + "xY7" * 12, "xY7" * 12),
    ],
)
def test_no_key_is_left(text: str, gone: str) -> None:
    assert gone not in redact(text)
    assert "[redacted]" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "docs/How-To/2024-01-15-meeting-notes-about-Something_long.md is not text",
        "Upstream task run '0199f2b4-7c1e-7e2f-9b1d-0123456789ab' did not reach it",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "risk-free and task-based, ask-me",
        "needs 1200 tokens: max_tokens=300",
    ],
)
def test_what_is_no_key_is_left_alone(text: str) -> None:
    assert redact(text) == text


def test_a_key_that_the_cut_would_halve_is_gone_too() -> None:
    assert KEY[:12] not in reason_of(ValueError("x" * 270 + " " + KEY))


@given(st.text())
def test_a_reason_is_one_short_printable_line(text: str) -> None:
    line = one_line(text)
    assert len(line) <= 300
    assert line.isprintable()
    reason = reason_of(ValueError(text))
    assert reason and len(reason) <= 300 and reason.isprintable()


def items(*reasons: tuple[str, str, str]) -> list[ItemReport]:
    return [
        ItemReport.model_validate({"key": key, "state": state, "reason": reason})
        for key, state, reason in reasons
    ]


def test_forty_items_with_one_cause_are_one_line() -> None:
    many = items(
        *[
            (f"f{n}.md", "failed", f"HTTP 429 for f{n}.md, request req_{n}a9f: wait {n}.5 s")
            for n in range(40)
        ],
        ("z.md", "failed", "not text"),
        ("ok.md", "succeeded", ""),
    )
    groups = group_reasons(many)
    assert [(group.count, group.keys) for group in groups] == [
        (40, ("f0.md", "f1.md", "f2.md")),
        (1, ("z.md",)),
    ]
    assert groups[0].reason == many[0].reason


def test_groups_keep_states_apart_and_ties_in_input_order() -> None:
    groups = group_reasons(
        items(("b", "failed", "no"), ("a", "skipped", "no"), ("c", "failed", ""))
    )
    assert [(g.state, g.keys, g.reason) for g in groups] == [
        ("failed", ("b",), "no"),
        ("skipped", ("a",), "no"),
        ("failed", ("c",), "no reason was given"),
    ]


@pytest.mark.parametrize(
    "keys",
    [
        ("a", "b", "it"),
        ("1", "2", "3"),
        ("q1", "q2", "manager"),
        ("a long name.pdf", "another (2).pdf", "x"),
        ("docs/a.md", "docs/b.md", "c.md"),
    ],
)
@pytest.mark.parametrize(
    "reason",
    [
        "the answer was a problem, it is in item {key}: see line {at}",
        "it depends on '{other}', which failed",
        "cut: the answer stopped at the cap of {at},024 output tokens (length): raise it",
        "{key} is not a text: it has {at} zeros.",
        "nothing of {key}.",
    ],
)
def test_reasons_that_differ_by_keys_and_numbers_are_one(
    keys: tuple[str, ...], reason: str
) -> None:
    many = items(
        *[
            (key, "failed", reason.format(key=key, other=keys[at - 1], at=at))
            for at, key in enumerate(keys)
        ]
    )
    assert [group.count for group in group_reasons(many)] == [len(keys)]


def test_reasons_that_say_otherwise_stay_apart() -> None:
    many = items(
        ("a", "failed", "cut: at the cap"),
        ("b", "failed", "filtered: held back"),
        ("c", "succeeded", "cut: at the cap of 24; taken as it is"),
        ("d", "succeeded", "cut: at the cap of 25; taken as it is"),
        ("e", "succeeded", ""),
    )
    assert [group.keys for group in group_reasons(many)] == [("a",), ("b",)]
    assert [(group.count, group.keys) for group in group_notes(many)] == [(2, ("c", "d"))]


def test_what_a_failure_kept_from_running_is_not_told_as_the_cause() -> None:
    kept = [
        ItemReport(key=f"s{at}", state="skipped", reason="needs a, which failed") for at in range(5)
    ]
    failed = ItemReport(key="a", state="failed", reason="the port is closed")
    cause = first_cause([*kept, failed])
    assert cause is not None and cause.reason == "the port is closed"
    alone = first_cause(kept)
    assert alone is not None and alone.count == 5
    assert first_cause([ItemReport(key="a", state="succeeded")]) is None
