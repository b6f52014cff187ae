"""What planned calls cost: at the median, and what 19 of 20 such runs stay under. Pure.

Three figures bound every run: `least` (the shortest answers, input as it is counted here), `most`
(every answer at its limit, input at 1.5 times that) and, between them, what is expected.

With past runs of the same question, the mean of their answers is expected, and p95 adds what it may
be off by: a tenth for drift and retries, the spread between runs, and that of single answers.

Without, p50 is the middle one of three: what is expected, half of `most` and twice `least`; and p95
the smaller of `most` and twice p50. Where `most` is at most four times `least`, no answers can then
break either figure: whatever comes, the bill is at most p95, and within a factor of two of p50.
Elsewhere nothing but a past run can promise that: the forecast is a wide guess, and says so.
"""

import math
from dataclasses import dataclass
from decimal import Decimal

from prefect_governor.blocks.ledger.decision.learned import Learned
from prefect_governor.blocks.prices.tariffs import Price, Rates, bound_cost
from prefect_governor.flows.estimate.answers import AnswerLengths
from prefect_governor.flows.estimate.history import History, counting_ratio
from prefect_governor.flows.estimate.planned import Calls, PlannedCall

# A provider may count half as much again as is counted here (promise P1).
HIGHEST_RATIO = 1.5
# An estimate whose p95 is further from its p50 says nothing.
WIDEST = 2
# Of the mean answer: how far a run like the last one may be off all the same.
DRIFT = 0.1
_Z95 = 1.645


@dataclass(frozen=True, slots=True)
class Expected:
    """A level of what may come: `ratio` input tokens billed for each that is counted, tokens of an
    answer on average, and what of the input is cached."""

    ratio: float
    output_tokens: float
    cached_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Tokens:
    """Of all calls together."""

    input: int
    output: int


@dataclass(frozen=True, slots=True)
class Spread:
    """What a run costs in USD, and its tokens at both levels. `usual`: what is expected of answers,
    before p50 is placed where it covers most. `wide`: nothing rules out a bill that is over p95 or
    far from p50."""

    p50_usd: Decimal
    p95_usd: Decimal
    p50: Expected
    p95: Expected
    usual: Expected
    wide: bool


def spread(
    calls: Calls,
    price: Price,
    lengths: AnswerLengths,
    *,
    history: History | None = None,
    learned: Learned | None = None,
    known_tokenizer: bool = True,
) -> Spread:
    """The cost of planned calls. 0 <= p50 <= p95 <= 2 * p50, and more calls never cost less."""
    ratio, high_ratio = _ratios(calls, history, learned, known_tokenizer)
    most = Expected(max(HIGHEST_RATIO, high_ratio), lengths.most)
    highest = cost_of(calls, price, most)
    if history is not None and history.same:
        return _from_the_same(calls, price, lengths, history, (ratio, high_ratio), highest)
    least = cost_of(calls, price, Expected(min(1.0, ratio), lengths.least))
    usual: float = lengths.usual
    if history is not None and not lengths.shaped:
        # Of other questions: a schema says more of these answers than they do.
        usual = min(history.output_mean, lengths.most)
    middle = Expected(ratio, max(1.0, usual))
    p50 = sorted((cost_of(calls, price, middle), highest / 2, least * 2))[1]
    p95 = min(highest, p50 * WIDEST)
    return Spread(
        p50,
        p95,
        _at(calls, price, middle, p50, lengths),
        most if p95 == highest else _at(calls, price, Expected(high_ratio, usual), p95, lengths),
        middle,
        wide=highest > 4 * least,
    )


def _from_the_same(
    calls: Calls,
    price: Price,
    lengths: AnswerLengths,
    history: History,
    ratios: tuple[float, float],
    highest: Decimal,
) -> Spread:
    mean = max(1.0, min(history.output_mean, lengths.most))
    expected = Expected(ratios[0], mean, history.cached_share)
    p50 = min(highest, cost_of(calls, price, expected))
    unsure = math.hypot(
        history.output_deviation / math.sqrt(max(1, history.calls)), history.output_between
    )
    high = Expected(ratios[1], min(lengths.most, mean * (1 + DRIFT) + _Z95 * unsure))
    # Answers of one run differ by themselves; that evens out over many.
    alone = (
        _Z95
        * history.output_deviation
        * math.sqrt(
            sum(
                count * float(_rates(price, call, expected).output) ** 2
                for call, count in calls.items()
            )
        )
    )
    p95 = cost_of(calls, price, high) * _decimal(1 + DRIFT) + _decimal(alone)
    p95 = max(p50, min(p95, highest, p50 * WIDEST))
    return Spread(p50, p95, expected, high, expected, wide=False)


def cost_of(calls: Calls, price: Price, level: Expected) -> Decimal:
    """What calls cost in USD at a level; of no whole number of tokens, for it is an average."""
    total = Decimal(0)
    for call, count in calls.items():
        rates = _rates(price, call, level)
        tokens = _decimal(_input(call, level))
        cached = tokens * _decimal(level.cached_share)
        total += count * ((tokens - cached) * rates.input + cached * rates.cached)
        total += count * (_decimal(level.output_tokens) * rates.output + price.request_fee)
    return total


def tokens_of(calls: Calls, level: Expected) -> Tokens:
    """Tokens of all calls at a level."""
    return Tokens(
        round(sum(count * _input(call, level) for call, count in calls.items())),
        round(calls.total() * level.output_tokens),
    )


def bound_of(calls: Calls, price: Price, *, output_tokens: int) -> int:
    """The most that the calls can cost, in nano-dollars: what they reserve together."""
    return sum(
        count * bound_cost(price, call.bound_tokens, output_tokens) for call, count in calls.items()
    )


def _at(
    calls: Calls,
    price: Price,
    middle: Expected,
    p50: Decimal,
    lengths: AnswerLengths,
) -> Expected:
    """The level whose cost p50 is: its answers are longer or shorter than in `middle`."""
    at = cost_of(calls, price, middle)
    rate = sum(
        (count * _rates(price, call, middle).output for call, count in calls.items()), Decimal(0)
    )
    if p50 == at or not rate:
        return middle
    shifted = middle.output_tokens + float((p50 - at) / rate)
    return Expected(middle.ratio, max(float(lengths.least), min(shifted, float(lengths.most))))


def _ratios(
    calls: Calls,
    history: History | None,
    learned: Learned | None,
    known_tokenizer: bool,
) -> tuple[float, float]:
    """Input tokens billed for each that is counted here: as expected, and at the most."""
    if history is not None and (history.same or not known_tokenizer):
        # Of the bounds of those calls so much was billed: of the bounds of these as much will be.
        counted = sum(count * call.input_tokens for call, count in calls.items())
        bounds = sum(count * call.bound_tokens for call, count in calls.items())
        ratio = history.input_share * bounds / counted if counted else 1.0
    elif known_tokenizer and learned is not None and learned.calls:
        ratio = counting_ratio(learned)
    else:
        return 1.0, HIGHEST_RATIO
    return ratio, ratio * (1 + DRIFT)


def _input(call: PlannedCall, level: Expected) -> float:
    return call.input_tokens * level.ratio + call.answers * level.output_tokens


def _rates(price: Price, call: PlannedCall, level: Expected) -> Rates:
    """The tier that the call's own input falls into."""
    return price.standard.at(math.ceil(_input(call, level)))


def _decimal(value: float) -> Decimal:
    return Decimal(repr(float(value)))
