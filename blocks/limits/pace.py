"""Whether a provider's answers take longer than they did. Pure.

Judged by windows of calls, each as long as what is in flight when it ends, so that a process which
stalls, and whose calls all end late and at once, is a part of a window and never one by itself. Of
a window counts the geometric mean: of calls whose lengths differ by powers of ten one in a hundred
does not decide.
"""

from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Literal

Verdict = Literal["steady", "slower", "slow"]

# The fewest calls that make a window. The first windows are of the short calls of a start, as the
# long ones are not back yet.
LEAST_CALLS = 48
FIRST_WINDOWS = 3
# Answers are slow where they take so many times as long as they did, by so many standard errors,
# so many seconds longer, and longer for what is in them too: what writes more takes more time.
SLOW_TIMES = 2.0
SLOW_ERRORS = 5.0
SLOW_ABOVE_SECONDS = 1.0
# From here on no more of them are tried.
SLOWER_TIMES = 1.3
SLOWER_ERRORS = 2.0
# How fast what is usual follows a window: quickly where answers are faster, else slowly, and very
# slowly while fewer calls are let through than were asked for.
FALLS, RISES, RISES_HELD = 1 / 4, 1 / 64, 1 / 256
# No call takes less, in seconds; a clock that stood has no logarithm.
LEAST_SECONDS = 1e-3


@dataclass
class Pace:
    """How long answers take, and took.

    Attributes:
        calls: of the window under way; `total`, `squares` and `total_each` are sums over them: of
            the logarithms of their seconds, of the squares of those, and of the logarithms of
            their seconds for each token.
        windows: how many have ended.
        usual: mean logarithm of the seconds that an answer takes, None until it is known;
            `usual_each`: of its seconds for each token.
        last: mean logarithm of the last window, `last_each` likewise; `error`: by how much it may
            be off; `verdict`: what it was.
    """

    calls: int = 0
    total: float = 0.0
    squares: float = 0.0
    total_each: float = 0.0
    windows: int = 0
    usual: float | None = None
    usual_each: float = 0.0
    last: float = 0.0
    last_each: float = 0.0
    error: float = 0.0
    verdict: Verdict = "steady"

    def begin(self) -> None:
        """A window begins: what was in flight before says nothing of what is now."""
        self.calls, self.total, self.squares, self.total_each = 0, 0.0, 0.0, 0.0

    def add(self, seconds: float, output_tokens: int, in_flight: int) -> bool:
        """A call took so long for so many tokens. True where a window has ended with it: it is to
        be judged."""
        took = log(max(LEAST_SECONDS, seconds))
        self.calls += 1
        self.total += took
        self.squares += took * took
        self.total_each += took - log(max(1, output_tokens))
        if self.calls < max(LEAST_CALLS, in_flight):
            return False
        mean = self.total / self.calls
        spread = sqrt(max(0.0, self.squares / self.calls - mean * mean))
        self.last, self.last_each = mean, self.total_each / self.calls
        self.error = spread / sqrt(self.calls)
        self.windows += 1
        self.begin()
        return True

    def follow(self, *, held: bool) -> None:
        """Learn of the last window what is usual; `held`: calls are held back meanwhile."""
        if self.usual is None or self.windows <= FIRST_WINDOWS:
            self.accept()
            return
        change = self.last - self.usual
        share = FALLS if change < 0 else RISES_HELD if held else RISES
        self.usual += share * change
        self.usual_each += share * (self.last_each - self.usual_each)

    def accept(self) -> None:
        """The last window is what is usual."""
        self.usual, self.usual_each = self.last, self.last_each
        self.verdict = "steady"

    def judge(self) -> None:
        """Say what the last window was."""
        self.verdict = "steady"
        if self.usual is None or self.windows <= FIRST_WINDOWS:
            return
        rise = min(self.last - self.usual, self.last_each - self.usual_each)
        if (
            rise > max(log(SLOW_TIMES), SLOW_ERRORS * self.error)
            and exp(self.last) - exp(self.usual) > SLOW_ABOVE_SECONDS
        ):
            self.verdict = "slow"
        elif rise > max(log(SLOWER_TIMES), SLOWER_ERRORS * self.error):
            self.verdict = "slower"

    @property
    def times(self) -> float:
        """How many times as long as usual the last window's answers took."""
        return 1.0 if self.usual is None else exp(self.last - self.usual)
