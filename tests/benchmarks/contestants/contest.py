"""What a contestant is told, and what it says. The standard library only: it runs anywhere."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

MODEL = "gpt-4o-mini"
MESSAGES = [{"role": "user", "content": "What is a governor? Answer in a few words."}]
KEY = "sk-benchmark"


@dataclass
class Work:
    """`calls` calls, all wanted at once.

    scenario: "cap" (at most `cap` in flight), "rate" (at most `per_second` a second) or "budget"
        (`ceiling_usd`, or `ceiling_tokens` where tokens are all that can be limited).
    """

    scenario: str
    api_base: str
    calls: int
    cap: int
    per_second: int
    ceiling_usd: float
    ceiling_tokens: int
    max_tokens: int
    began: float = field(default=0.0)
    warmed: int = field(default=0)

    def warm(self) -> None:
        """One call was made before the work, which loaded what is loaded once."""
        self.warmed += 1

    def start(self) -> None:
        """The preparations are over, the work begins."""
        self.began = time.perf_counter()


def compete(**scenarios: Callable[[Work], int]) -> None:
    """Do the scenario that the arguments tell, and print how many calls were answered, in how many
    seconds. Each function returns that number."""
    work = Work(**json.loads(sys.argv[1]))
    answered = scenarios[work.scenario](work)
    seconds = time.perf_counter() - work.began
    print(json.dumps({"answered": answered, "seconds": seconds, "warmed": work.warmed}))


def answered(outcomes: list[object]) -> int:
    """How many are no exceptions."""
    return sum(not isinstance(each, BaseException) for each in outcomes)
