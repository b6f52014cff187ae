"""What a run looked like over time, in a bounded number of samples. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from prefect_governor.flows.report.progress import Progress

# More points than these no picture of a page's width shows.
MOST_SAMPLES = 240


@dataclass(frozen=True, slots=True)
class Sample:
    """A run from `begin` to `end`, in seconds since its start.

    `in_flight` is the mean over that time and `peak` the most; all else is as it stood at `end`.
    `calls` counts the requests sent until then, `rate` is the tightest limit on them: so many in so
    many seconds.
    """

    begin: float
    end: float
    in_flight: float
    peak: int
    cap: int | None
    queued: int
    calls: int
    rate: tuple[int, int] | None
    spent_usd: Decimal
    ceiling_usd: Decimal | None

    def joined(self, later: "Sample") -> "Sample":
        """This one and the one after it as one."""
        width, more = self.end - self.begin, later.end - later.begin
        whole = width + more
        mean = self.in_flight * width + later.in_flight * more
        return replace(
            later,
            begin=self.begin,
            in_flight=mean / whole if whole > 0 else later.in_flight,
            peak=max(self.peak, later.peak),
        )


class Samples:
    """Keeps at most `most` samples, however long a run is: the longer it gets, the more time one
    of them stands for. Nothing counted is lost: means stay means, peaks stay peaks, and the last
    sample ends with the last look."""

    def __init__(self, *, most: int = MOST_SAMPLES) -> None:
        if most < 2:
            raise ValueError(f"at least 2 samples are kept, not {most}")
        self._most = most
        self._kept: list[Sample] = []
        # A sample grows until it stands for so long, in seconds.
        self._step = 0.0

    @property
    def kept(self) -> Sequence[Sample]:
        """In order, each beginning where the one before it ends, the first at 0."""
        return tuple(self._kept)

    def add(self, seconds: float, now: Progress) -> None:
        """A look at the run, so many seconds after its start, none earlier than the last look."""
        begin = self._kept[-1].end if self._kept else 0.0
        sample = Sample(
            begin=begin,
            end=max(begin, seconds),
            in_flight=now.in_flight,
            peak=now.in_flight,
            cap=now.cap,
            queued=now.queued,
            calls=now.calls,
            rate=now.rate,
            spent_usd=now.spent_usd,
            ceiling_usd=now.ceiling_usd,
        )
        if self._kept and sample.end - self._kept[-1].begin <= self._step:
            self._kept[-1] = self._kept[-1].joined(sample)
        else:
            self._kept.append(sample)
        if len(self._kept) > self._most:
            self._thin()

    def _thin(self) -> None:
        kept = self._kept
        pairs = [first.joined(second) for first, second in zip(kept[::2], kept[1::2], strict=False)]
        self._kept = pairs if len(kept) % 2 == 0 else [*pairs, kept[-1]]
        self._step = 2 * self._kept[-1].end / self._most


def requests_within(samples: Sequence[Sample], seconds: float) -> list[float]:
    """At the end of each sample, how many requests were sent in the `seconds` before it."""
    ends = [0.0, *(each.end for each in samples)]
    counts = [0, *(each.calls for each in samples)]
    found = []
    at = 0
    for sample in samples:
        since = sample.end - seconds
        while at + 1 < len(ends) and ends[at + 1] <= since:
            at += 1
        before = float(counts[at]) if since > 0 else 0.0
        if since > ends[at] and at + 1 < len(ends):
            # Within a sample they are taken to have been sent evenly.
            share = (since - ends[at]) / (ends[at + 1] - ends[at])
            before += share * (counts[at + 1] - counts[at])
        found.append(sample.calls - before)
    return found
