"""Questions whose answers are spread over files: what the scripted lead plans and agents find.

A fact is one sentence in one file, "The manager of depot Alba is Ines Moor.". A question is a chain
of relations, or a comparison of two chains; each hop is a task of the plan, which needs the answer
of the hop before it.
"""

import random
from dataclasses import dataclass

_FIRST = ("Ines", "Otto", "Mila", "Jaro", "Edda", "Timo", "Nora", "Arvid", "Lena", "Karel")
_LAST = ("Moor", "Lindt", "Sarto", "Veld", "Brandt", "Okafor", "Haas", "Petrov", "Quist", "Rossi")
_TOWNS = ("Rheinfeld", "Oskar", "Talheim", "Brixen", "Marlow", "Senden", "Kolin", "Varde")
_RIVERS = ("Ard", "Lune", "Sava", "Neris", "Oder", "Tagus", "Wye", "Drava")
_FILLER = (
    "The yard is swept twice a week.",
    "Deliveries are taken at the north gate.",
    "The canteen closes at three.",
    "A new fence was put up last spring.",
)
DEPOTS = 12


@dataclass(frozen=True)
class Hop:
    """One task: the `relation` of a subject, or of the answer of the task `after`."""

    id: str
    relation: str
    subject: str | None = None
    after: str | None = None

    @property
    def objective(self) -> str:
        of = self.subject if self.after is None else f"the answer of task {self.after}"
        return f"What is the {self.relation} of {of}?"


@dataclass(frozen=True)
class Riddle:
    """A question with its plan and the answer that is true."""

    question: str
    hops: tuple[Hop, ...]
    answer: str


@dataclass(frozen=True)
class World:
    """`files` by name, `facts` by (relation, subject), and the questions about them."""

    files: dict[str, str]
    facts: dict[tuple[str, str], str]
    riddles: tuple[Riddle, ...]


def make_world(seed: int = 7) -> World:
    """The same world for the same seed: at least 30 questions of one to three hops."""
    rng = random.Random(seed)
    facts: dict[tuple[str, str], str] = {}
    people = [f"{first} {last}" for first in _FIRST for last in _LAST]
    rng.shuffle(people)
    depots = [f"depot {chr(65 + at)}{rng.choice('aeiou')}{rng.randrange(10, 99)}"
              for at in range(DEPOTS)]  # fmt: skip
    for depot, person in zip(depots, people, strict=False):
        facts["manager", depot] = person
        facts["stock", depot] = str(rng.randrange(1000, 9999))
        facts["home town", person] = rng.choice(_TOWNS)
    for town in _TOWNS:
        facts["river", town] = rng.choice(_RIVERS)
    return World(_files(facts, rng), facts, tuple(_riddles(facts, depots)))


def _files(facts: dict[tuple[str, str], str], rng: random.Random) -> dict[str, str]:
    """Three facts a file, with lines that say nothing between them."""
    sentences = [f"The {relation} of {subject} is {value}." for (relation, subject), value in
                 facts.items()]  # fmt: skip
    rng.shuffle(sentences)
    files: dict[str, str] = {}
    for at in range(0, len(sentences), 3):
        lines = [f"# Notes {at // 3 + 1}", ""]
        for sentence in sentences[at : at + 3]:
            lines += [rng.choice(_FILLER), "", sentence, ""]
        files[f"notes-{at // 3 + 1:02}.md"] = "\n".join(lines)
    return files


def _riddles(facts: dict[tuple[str, str], str], depots: list[str]) -> list[Riddle]:
    found: list[Riddle] = []
    for depot in depots:
        manager = facts["manager", depot]
        town = facts["home town", manager]
        found.append(
            Riddle(
                f"How many crates are in stock at {depot}?",
                (Hop("stock", "stock", depot),),
                facts["stock", depot],
            )
        )
        found.append(
            Riddle(
                f"In which town does the manager of {depot} live?",
                (Hop("manager", "manager", depot), Hop("town", "home town", after="manager")),
                town,
            )
        )
        found.append(
            Riddle(
                f"On which river lies the home town of the manager of {depot}?",
                (
                    Hop("manager", "manager", depot),
                    Hop("town", "home town", after="manager"),
                    Hop("river", "river", after="town"),
                ),
                facts["river", town],
            )
        )
    for one, other in zip(depots[::2], depots[1::2], strict=True):
        found.append(
            Riddle(
                f"Who manages {one}, and who manages {other}?",
                (Hop("one", "manager", one), Hop("other", "manager", other)),
                f"{facts['manager', one]}; {facts['manager', other]}",
            )
        )
    return found
