"""What the doctor finds of models: their keys, their prices, and whether they can be reached."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.model import choose
from prefect_governor.blocks.models.choice import AUTO_MODELS, BLOCK, NoKey
from prefect_governor.blocks.prices.prices import OFFLINE
from prefect_governor.flows.cli.doctor.documents import Documents, Saved
from prefect_governor.flows.cli.doctor.finding import Finding
from prefect_governor.flows.cli.doctor.reaching import Reached, reach

# Models that are asked for at once.
_AT_ONCE = 8


def auto() -> Iterator[Finding]:
    """The model that `auto` means."""
    about = "model auto"
    try:
        chosen = choose("auto")
    except ConfigurationError as error:
        yield Finding("fail", about, str(error))
        return
    text = f"{chosen.name} ({chosen.why})"
    if chosen.name == OFFLINE:
        todo = "for answers of a language model give --model, or set a key"
        yield Finding("ok", about, text, todo, f"export {AUTO_MODELS[0][0]}=…")
        return
    yield _finding(about, text, reach(chosen))


def models(documents: Documents) -> Iterator[Finding]:
    """Each saved Model block."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for found in pool.map(_model, documents.models.values()):
            yield from found


def _model(saved: Saved) -> Sequence[Finding]:
    if saved.terms is None:
        return [saved.invalid]
    try:
        choice = choose(f"{BLOCK}{saved.name}")
    except NoKey as error:
        todo = f"where it runs, or the key in the block: {saved.url}"
        return [
            Finding(
                "warn",
                saved.about,
                f"{error.model} has no key on this machine",
                todo,
                f"export {error.variable}=…",
            )
        ]
    except ConfigurationError as error:
        return [Finding("fail", saved.about, str(error), f"edit it: {saved.url}")]
    return [_finding(saved.about, choice.name, reach(choice))]


def _finding(about: str, text: str, reached: Reached) -> Finding:
    return Finding(reached.mark, about, f"{text}: {reached.text}", reached.todo, reached.command)
