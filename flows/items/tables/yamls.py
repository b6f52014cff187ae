"""A YAML list as records."""

from functools import cache
from typing import Any, TextIO

from prefect_governor.flows.items.tables.records import BadRecord, NotATable, Record, Records

# Its nodes take a hundred times as much in memory.
MOST_CHARACTERS = 16 * 2**20
# Levels that are composed at all; a row may have fewer.
_DEEPEST = 200
# What PyYAML raises, beside its own errors, for a text that is not what its tag says (`!!bool x`).
NOT_OF_ITS_TAG = (AttributeError, LookupError)


def yaml_records(stream: TextIO, name: str) -> Records:
    """The entries of a YAML list, their values as they are written: 00123 is no number, 12:30:45
    none to the base of 60, and `no` no truth value. Raises NotATable for anything else."""
    import yaml

    # Nodes first, values one by one: a node knows its line.
    text = stream.read(MOST_CHARACTERS + 1)
    if len(text) > MOST_CHARACTERS:
        raise NotATable(
            name,
            f"over {MOST_CHARACTERS:,} characters, and YAML is read whole: save its rows as .jsonl",
        )
    loader = _loader()(text)
    try:
        if _is_deep(text):
            raise NotATable(f"{name}:1", "nested too deeply")
        root = loader.get_single_node()
        if root is None:
            return
        if not isinstance(root, yaml.SequenceNode):
            raise NotATable(
                f"{name}:{root.start_mark.line + 1}", "not a list: write a row an entry (- key: …)"
            )
        for node in root.value:
            place = f"{name}:{node.start_mark.line + 1}"
            try:
                yield Record(place, loader.construct_object(node, deep=True))
            except NOT_OF_ITS_TAG:
                yield BadRecord(place, "a value is not what its tag (!!…) says")
            except RecursionError:
                yield BadRecord(place, "nested too deeply")
            except ValueError as error:
                yield BadRecord(place, str(error))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        raise NotATable(f"{name}:{line}", f"not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise NotATable(f"{name}:1", f"not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise NotATable(f"{name}:1", "nested too deeply") from None
    finally:
        loader.dispose()


def _is_deep(text: str) -> bool:
    """Whether it has more levels than a row may have: composing so many takes hours, or no end."""
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=_loader()):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                return True
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return False


@cache
def _loader() -> Any:
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        """Values as they are written, where Python would write them otherwise."""

    def written(construct: Any) -> Any:
        def constructed(loader: Any, node: Any) -> Any:
            value = construct(loader, node)
            finite = value == value and value not in (float("inf"), float("-inf"))
            plain = not node.style and finite
            return node.value if plain and _shown(value) != node.value else value

        return constructed

    for tag in ("int", "float", "bool", "timestamp"):
        name = f"tag:yaml.org,2002:{tag}"
        Loader.add_constructor(name, written(base.yaml_constructors[name]))
    return Loader


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
