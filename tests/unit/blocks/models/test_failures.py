"""What is worth trying again, what another model, and what ends the run."""

from typing import Any

import httpx
import pytest
from prefect.states import Failed

from prefect_governor.blocks.errors import (
    FINAL,
    CallRefused,
    GovernorError,
    ItemFailed,
    LedgerFull,
    LedgerUnavailable,
    NotPriced,
    OverBudget,
    QueueTimeout,
    RunStopped,
)
from prefect_governor.blocks.models.failures import (
    ends_the_run,
    failure_of,
    is_final,
    retry_condition_fn,
    spent_quota,
    worth_a_retry,
    worth_another_model,
)

OURS: list[BaseException] = [
    OverBudget("x"),
    NotPriced("x"),
    RunStopped("x"),
    QueueTimeout("x"),
    LedgerUnavailable("x"),
    ItemFailed("x"),
]


class Answered(Exception):
    """As clients raise what a provider answered."""

    def __init__(self, status: int, text: str = "no", body: object = None) -> None:
        super().__init__(text)
        self.status_code = status
        self.body = body


def wrapped(inner: BaseException, *, depth: int = 3) -> BaseException:
    """`inner`, as libraries wrap it."""
    for _ in range(depth):
        outer: Any = RuntimeError("a client's own error")
        outer.__cause__ = inner
        inner = outer
    return inner


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_what_can_succeed_is_tried_again(status: int) -> None:
    assert worth_a_retry(Answered(status))
    assert worth_a_retry(wrapped(Answered(status)))


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
def test_what_would_fail_the_same_way_is_not(status: int) -> None:
    assert not worth_a_retry(Answered(status))
    assert not worth_a_retry(wrapped(Answered(status)))


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadTimeout("slow"),
        httpx.ConnectError("refused"),
        httpx.RemoteProtocolError("gone"),
        TimeoutError("slow"),
    ],
)
def test_broken_connections_are_tried_again(error: BaseException) -> None:
    assert worth_a_retry(error)
    assert worth_a_retry(wrapped(error))


@pytest.mark.parametrize("error", OURS)
def test_our_own_refusals_are_neither_retried_nor_tried_elsewhere(error: BaseException) -> None:
    # A client library may wrap a refusal as a broken connection.
    as_connection = httpx.ConnectError("wrapped")
    as_connection.__cause__ = error
    for each in (error, wrapped(error), as_connection):
        assert not worth_a_retry(each)
        assert not worth_another_model(each)
        assert ends_the_run(each) is None


def test_programming_errors_are_not_retried() -> None:
    assert not worth_a_retry(ValueError("what?"))
    assert not worth_a_retry(KeyError("choices"))


@pytest.mark.parametrize(
    "answered",
    [
        Answered(429, body={"error": {"code": "insufficient_quota", "type": "requests"}}),
        Answered(429, body={"type": "insufficient_quota", "code": None}),
        Answered(400, body={"code": "billing_hard_limit_reached"}),
        Answered(429, """Error code: 429 - {'error': {'code': 'insufficient_quota'}}"""),
        Answered(402, "insufficient_balance"),
    ],
)
def test_spent_quota_ends_the_run_instead_of_being_retried_like_throttling(
    answered: Exception,
) -> None:
    error = wrapped(answered)
    assert spent_quota(error)
    assert not worth_a_retry(error)
    reason = ends_the_run(error)
    assert reason is not None
    assert "quota" in reason


@pytest.mark.parametrize(
    "answered",
    [
        # As Gemini says it of a minute's quota.
        Answered(
            429,
            "You exceeded your current quota, please check your plan and billing details.",
            {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}},
        ),
        Answered(429, "You exceeded your current quota", {"code": "rate_limit_exceeded"}),
        # Its code tells more than what its text quotes.
        Answered(429, "after insufficient_quota: slow down", {"code": "rate_limit_exceeded"}),
        Answered(500, "the document says insufficient_quota"),
        Answered(429, "my_insufficient_quota_field"),
    ],
)
def test_quota_that_comes_back_is_waited_for_and_ends_nothing(answered: Exception) -> None:
    error = wrapped(answered)
    assert not spent_quota(error)
    assert worth_a_retry(error)
    assert ends_the_run(error) is None


DEAD_KEY, BUSY, TOO_LONG = Answered(401), Answered(503), Answered(400, "context_length_exceeded")
SPENT = Answered(429, body={"code": "insufficient_quota"})


@pytest.mark.parametrize(
    ("failures", "counts", "ends"),
    [
        ([BUSY, DEAD_KEY], BUSY, False),
        ([TOO_LONG, DEAD_KEY], TOO_LONG, False),
        ([TOO_LONG, BUSY], BUSY, False),
        ([DEAD_KEY, BUSY], BUSY, False),
        ([DEAD_KEY, TOO_LONG], TOO_LONG, False),
        ([DEAD_KEY, SPENT], DEAD_KEY, True),
        ([SPENT], SPENT, True),
        ([TOO_LONG, Answered(404)], TOO_LONG, False),
    ],
)
def test_dead_key_of_a_fallback_ends_no_run_that_its_model_can_go_on_with(
    failures: list[Exception], counts: Exception, ends: bool
) -> None:
    found = failure_of(failures)
    assert found is counts
    assert (ends_the_run(found) is not None) is ends


def test_a_ledger_without_room_ends_the_run_and_one_that_is_away_does_not() -> None:
    reason = ends_the_run(wrapped(LedgerFull("make room in /home/a")))
    assert reason is not None and reason.startswith("make room in /home/a, then go on")
    assert ends_the_run(LedgerUnavailable("it is away")) is None


def test_dead_key_ends_the_run() -> None:
    reason = ends_the_run(wrapped(Answered(401, "invalid sk-very-secret")))
    assert reason is not None
    assert "401" in reason
    assert "sk-very-secret" not in reason


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500])
def test_failure_of_one_item_does_not_end_the_run(status: int) -> None:
    assert ends_the_run(Answered(status)) is None


def test_another_model_may_do_what_this_one_did_not() -> None:
    assert worth_another_model(wrapped(Answered(400, "context_length_exceeded")))
    assert worth_another_model(httpx.ConnectError("refused"))


def test_errors_that_were_raised_from_each_other_end() -> None:
    first, second = CallRefused("a"), RuntimeError("b")
    first.__context__, second.__context__ = second, first
    assert not worth_a_retry(second)


@pytest.mark.parametrize("refusal", FINAL)
def test_what_no_repetition_can_change_is_not_tried_again(refusal: type[GovernorError]) -> None:
    error = wrapped(refusal("no"))
    assert is_final(error)
    assert not retry_condition_fn(None, None, Failed(data=error))


@pytest.mark.parametrize("error", [QueueTimeout("60 s"), LedgerUnavailable("away")])
def test_refusal_that_may_be_over_the_next_time_is_tried_again(error: CallRefused) -> None:
    assert not is_final(error)
    assert retry_condition_fn(None, None, Failed(data=error))


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ValueError("the task's own"), True),
        (TimeoutError(), True),
        (httpx.ConnectError("refused"), True),
        (Answered(400), False),
        (Answered(401), False),
        (Answered(429), True),
        (Answered(503), True),
    ],
)
def test_providers_no_is_final_and_all_else_is_prefects_matter(
    error: Exception, again: bool
) -> None:
    assert retry_condition_fn(None, None, Failed(data=error)) is again
