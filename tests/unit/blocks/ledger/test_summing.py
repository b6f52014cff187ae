"""Sums of calls hold what their calls held, whatever is summed with what. Pure."""

from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.ledger.summing import QUARTER, quarter_of, sums_of
from prefect_governor.blocks.records.calls import Attribution, Usage
from prefect_governor.blocks.records.sums import CallSum, EndedCall

NAMES = st.sampled_from([None, "a", "b"])
AMOUNTS = st.integers(0, 10**12)
KEYS = st.sampled_from(["team", "run/1", "run/2", "alloc/x"])


@st.composite
def ended(draw: st.DrawFn) -> EndedCall:
    usage = Usage(draw(AMOUNTS), draw(AMOUNTS), draw(AMOUNTS), draw(AMOUNTS))
    spent = draw(st.booleans())
    who = Attribution(flow=draw(NAMES), model=draw(NAMES), run_id=draw(NAMES), item=draw(NAMES))
    drawn = tuple((key, "total") for key in draw(st.lists(KEYS, max_size=3, unique=True)))
    wall = draw(st.integers(0, 4 * QUARTER))
    return EndedCall(
        "c", "spent" if spent else "released", wall, drawn, usage if spent else None, who
    )


def totals(sums: list[CallSum]) -> dict[str, tuple[int, Usage]]:
    found: dict[str, tuple[int, Usage]] = {}
    for each in sums:
        calls, used = found.get(each.key, (0, Usage(0, 0, 0)))
        one = each.usage
        found[each.key] = (
            calls + each.calls,
            Usage(
                used.nano + one.nano,
                used.input_tokens + one.input_tokens,
                used.output_tokens + one.output_tokens,
                used.cached_input_tokens + one.cached_input_tokens,
            ),
        )
    return found


@given(st.lists(ended(), max_size=20), st.integers(0, 20))
def test_it_makes_no_difference_what_is_summed_together(calls: list[EndedCall], at: int) -> None:
    together = sums_of(calls)
    assert len({each.key for each in together}) == len(together)
    assert totals(together) == totals([*sums_of(calls[:at]), *sums_of(calls[at:])])
    counted = [each for each in calls if each.usage is not None and each.accounts]
    assert sum(each.calls for each in together) == len(counted)
    assert sum(each.usage.nano for each in together) == sum(
        each.usage.nano for each in counted if each.usage is not None
    )


@given(ended())
def test_a_sum_keeps_nothing_that_is_of_one_run_alone(call: EndedCall) -> None:
    for each in sums_of([call]):
        assert each.start_wall == quarter_of(call.created_wall) <= call.created_wall
        assert {key for key, _ in each.accounts} <= {"team"}
        assert each.who == Attribution(flow=call.who.flow, model=call.who.model)
