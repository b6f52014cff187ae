"""What is told of a call: one span with its waits and settles, and no word that was said."""

import sys
from types import FrameType

import httpx
import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

from prefect_governor.blocks.context.scope import NotKept, Scope, kept_only, scope
from prefect_governor.blocks.errors import NotPriced, OverBudget
from prefect_governor.blocks.telemetry import names, switch
from prefect_governor.blocks.telemetry.call import MOST_MODELS, OTHER, _say_once
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport
from tests.unit.blocks.telemetry.conftest import Told, throttled
from tests.unit.blocks.wire.transports import SECRET, URL, MakeWire, Wire, ok
from tests.unit.fakes import FakeDesk, FakeGoverning, chat_events, chat_request, event_stream

CALL = "chat gpt-4o-mini"


async def test_call_is_one_span_with_its_wait_and_its_settle_inside(
    told: Told, wire: MakeWire
) -> None:
    made = wire(ok(prompt=1000, completion=7))
    with scope(Scope(made.governing)):
        await made.post()
    call = told.span(CALL)
    assert call.kind is SpanKind.CLIENT and call.status.status_code is StatusCode.UNSET
    about = dict(call.attributes or {})
    assert (
        about.items()
        >= {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.response.model": "gpt-4o-mini",
            "gen_ai.usage.input_tokens": 1000,
            "gen_ai.usage.output_tokens": 7,
            "server.address": "api.openai.com",
            "server.port": 443,
            "http.response.status_code": 200,
            "prefect_governor.governor": "a-team",
            "prefect_governor.outcome": "spent",
            # 1,000 tokens at $0.15 a million and 7 at $0.60.
            "prefect_governor.cost_usd": 0.0001542,
        }.items()
    )
    assert call.context is not None
    for name in (names.WAIT_SPAN, names.SETTLE_SPAN):
        inner = told.span(name)
        assert inner.parent is not None and inner.parent.span_id == call.context.span_id
        assert inner.end_time is not None and call.end_time is not None
        assert inner.end_time <= call.end_time
    convention = {names.OPERATION: "chat", names.PROVIDER: "openai"}
    ((duration, _),) = told.points("gen_ai.client.operation.duration")
    assert duration.items() >= convention.items()
    tokens = told.points("gen_ai.client.token.usage")
    assert {by[names.TOKEN_TYPE]: value for by, value in tokens} == {"input": 1000, "output": 7}
    by = {names.GOVERNOR: "a-team", names.REQUEST_MODEL: "gpt-4o-mini"}
    assert told.points("prefect_governor.call.cost") == [(by, 0.0001542)]


async def test_call_is_a_child_of_the_span_that_it_is_made_in(told: Told, wire: MakeWire) -> None:
    made = wire(ok())
    tracer = told.tracers.get_tracer("prefect")
    with tracer.start_as_current_span("a task run") as task, scope(Scope(made.governing)):
        await made.post()
    parent = told.span(CALL).parent
    assert parent is not None and parent.span_id == task.get_span_context().span_id


async def test_spans_of_who_sends_are_inside_of_the_call_and_nothing_is_after_it(
    told: Told, wire: MakeWire
) -> None:
    made = wire(ok())
    tracer = told.tracers.get_tracer("an instrumented client")

    def answer() -> httpx.Response:
        tracer.start_span("POST").end()
        return ok()

    made.provider.replies = [answer]
    with scope(Scope(made.governing)):
        await made.post()
    tracer.start_span("later").end()
    sent, call = told.span("POST"), told.span(CALL)
    assert sent.parent is not None and call.context is not None
    assert sent.parent.span_id == call.context.span_id
    assert told.span("later").parent is None


async def test_429_is_seen_in_the_call_that_goes_again(told: Told, wire: MakeWire) -> None:
    made = wire(throttled(), throttled(), ok())
    with scope(Scope(made.governing)):
        await made.post()
    call = told.span(CALL)
    assert [each.name for each in call.events] == [names.THROTTLED_EVENT] * 2
    assert (call.attributes or {})[names.THROTTLED] == 2
    assert [each.name for each in told.spans].count(names.WAIT_SPAN) == 3
    ((_, count),) = told.points("prefect_governor.call.throttled")
    assert count == 2


async def test_refused_call_is_a_span_with_an_error_that_says_what_it_lacks(
    told: Told, wire: MakeWire
) -> None:
    made = wire(ok(), governing=FakeGoverning(desk=FakeDesk(ceiling_nano=1)))
    with scope(Scope(made.governing)), pytest.raises(OverBudget):
        await made.post()
    call = told.span(CALL)
    assert call.status.status_code is StatusCode.ERROR
    assert (call.status.description or "").startswith("OverBudget: ")
    about = dict(call.attributes or {})
    assert about[names.ERROR] == "OverBudget" and about[names.OUTCOME] == "refused"
    ((by, count),) = told.points("prefect_governor.call.refused")
    assert (by[names.ERROR], count) == ("OverBudget", 1)
    assert not made.provider.requests


async def test_call_that_is_refused_before_it_is_planned_is_a_span_too(
    told: Told, wire: MakeWire
) -> None:
    made = wire(ok())
    with scope(Scope(made.governing)), pytest.raises(NotPriced):
        await made.post(chat_request(model="nobody-knows-it"))
    assert told.span("chat").status.description == "NotPriced"


@pytest.mark.parametrize(
    ("reply", "outcome", "error"),
    [
        (httpx.Response(500, json={"error": {}}), "unconfirmed", "500"),
        (httpx.Response(401, json={"error": {}}), "released", "401"),
        (httpx.ConnectError("no route for sk-very-secret"), "released", "ConnectError"),
    ],
    ids=["500", "401", "no connection"],
)
async def test_failed_call_is_an_error_without_the_words_of_who_failed(
    told: Told, wire: MakeWire, reply: httpx.Response | Exception, outcome: str, error: str
) -> None:
    made = wire(reply)
    with scope(Scope(made.governing)):
        if isinstance(reply, Exception):
            with pytest.raises(httpx.ConnectError):
                await made.post()
        else:
            await made.post()
    call = told.span(CALL)
    about = dict(call.attributes or {})
    assert (about[names.OUTCOME], about[names.ERROR]) == (outcome, error)
    assert call.status.status_code is StatusCode.ERROR
    assert not call.events
    assert SECRET not in call.to_json()


async def test_stream_ends_when_it_is_settled_and_not_when_it_is_handed_out(told: Told) -> None:
    made = Wire("async", event_stream(chat_events(1001, 7)))
    transport = GovernedAsyncTransport(made.provider, made.governing)
    async with (
        httpx.AsyncClient(transport=transport) as client,
        client.stream("POST", URL, json=chat_request(stream=True)) as reply,
    ):
        assert not [each for each in told.spans if each.name == CALL]
        await reply.aread()
    about = dict(told.span(CALL).attributes or {})
    assert about[names.OUTPUT_TOKENS] == 7 and about[names.OUTCOME] == "spent"
    assert about[names.STREAMED] is True


async def test_stream_that_is_left_before_its_end_is_told_as_unconfirmed(told: Told) -> None:
    made = Wire("async", event_stream(chat_events(1001, 7)))
    transport = GovernedAsyncTransport(made.provider, made.governing)
    async with (
        httpx.AsyncClient(transport=transport) as client,
        client.stream("POST", URL, json=chat_request(stream=True)) as reply,
    ):
        async for _ in reply.aiter_bytes():
            break
    assert (told.span(CALL).attributes or {})[names.OUTCOME] == "unconfirmed"


async def test_nothing_that_is_asked_or_answered_is_told(told: Told, wire: MakeWire) -> None:
    made = wire(ok(text="the-answer"), httpx.Response(400, json={"error": {"m": "the-answer"}}))
    asked = chat_request(messages=[{"role": "user", "content": "the-question"}])
    with scope(Scope(made.governing)):
        await made.post(asked)
        await made.post(asked)
    said = "".join(each.to_json() for each in told.spans) + str(
        [told.points(each.name) for each in names.METRICS]
    )
    assert "gpt-4o-mini" in said
    assert not {word for word in ("the-question", "the-answer", SECRET) if word in said}


async def test_call_that_is_only_looked_for_among_kept_replies_is_told_nowhere(
    told: Told, wire: MakeWire
) -> None:
    made = wire(ok())
    with scope(Scope(made.governing, run_id="r", item="i")), kept_only(), pytest.raises(NotKept):
        await made.post()
    assert not told.spans


async def test_models_without_end_are_kept_by_a_bounded_number_of_names(
    told: Told, wire: MakeWire
) -> None:
    made = wire(ok)
    prices = FakeGoverning().price_of("gpt-4o-mini", host="api.openai.com")
    made.governing.price = prices
    with scope(Scope(made.governing)):
        for number in range(MOST_MODELS + 20):
            await made.post(chat_request(model=f"ft:{number}"))
    models = {by[names.REQUEST_MODEL] for by, _ in told.points("prefect_governor.call.cost")}
    assert OTHER in models and len(models) <= MOST_MODELS + 1


async def test_call_touches_nothing_of_opentelemetrys_where_nobody_has_configured_it(
    wire: MakeWire,
) -> None:
    """By the interpreter's own word, which says every function that is entered."""
    made = wire(ok)
    entered: list[str] = []
    tests = __file__

    def profile(frame: FrameType, event: str, _: object) -> None:
        path = frame.f_code.co_filename
        if (
            event == "call"
            and path != tests
            and ("/opentelemetry/" in path or "blocks/telemetry/" in path)
        ):
            entered.append(frame.f_code.co_name)

    with scope(Scope(made.governing)):
        before = sys.getprofile()
        sys.setprofile(profile)
        try:
            await made.post()
        finally:
            sys.setprofile(before)
    assert entered == ["recorder"]


class Broken(SpanProcessor):
    """Somebody's own, which raises at each begin and end."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        raise RuntimeError(f"of {SECRET}")

    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError(f"of {SECRET}")


@pytest.mark.parametrize("at", ["on_start", "on_end"])
async def test_a_processor_that_raises_costs_no_answer_that_was_paid_for(
    told: Told, wire: MakeWire, at: str, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    other = {"on_start": "on_end", "on_end": "on_start"}[at]
    monkeypatch.setattr(Broken, other, lambda *_, **__: None)
    told.tracers.add_span_processor(Broken())
    made = wire(throttled(), ok(), ok())
    _say_once.cache_clear()
    with scope(Scope(made.governing)):
        for _ in range(2):
            assert (await made.post()).status_code == 200
    kinds = [kind for kind, _ in made.governing.desk.resolved.values()]
    assert (len(kinds), kinds.count("void")) == (3, 1)
    recorder = switch.recorder()
    assert recorder is not None and not recorder._instruments.still_waiting()
    assert caplog.text.count("its RuntimeError was raised") == 1
    assert SECRET not in caplog.text
