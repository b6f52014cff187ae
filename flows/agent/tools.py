"""Tools of an agent: a plain function with type hints becomes one."""

import asyncio
import functools
import inspect
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic_core import to_jsonable_python

from prefect_governor.blocks.errors import ConfigurationError, GovernorError
from prefect_governor.blocks.secrets.exits import scrubbed
from prefect_governor.flows.agent.corpus import Corpus
from prefect_governor.flows.agent.showing import Excerpts, Showing, Told, told

# What one tool's answer may hold, in characters; the rest is cut and said.
MOST_CHARACTERS = 24_000
_OBJECT = TypeAdapter(dict[str, Any])


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that an agent may call. Made by `tool_of`.

    `arguments` is a model, or a JSON schema where somebody else checks them. `limit` names the
    limit of the governor that a call of it counts under, if any.
    """

    name: str
    description: str
    arguments: type[BaseModel] | Mapping[str, Any]
    function: Callable[..., Any]
    limit: str | None = None

    @property
    def schema(self) -> dict[str, Any]:
        """The tool as a chat completion's `tools` has it."""
        if isinstance(self.arguments, Mapping):
            parameters = dict(self.arguments)
        else:
            parameters = self.arguments.model_json_schema()
            parameters.pop("title", None)
            for each in parameters.get("properties", {}).values():
                each.pop("title", None)
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": parameters,
            },
        }

    async def call(self, arguments: str) -> Told:
        """Its answer to a model's arguments (JSON text), as the model is given it.

        What goes wrong is an answer too, for the model to mend: bad arguments, an exception of the
        function. Only an error of ours (a refused call, a stopped run) ends the agent.
        """
        try:
            values = self._values(arguments or "{}")
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(str(part) for part in each['loc']) or 'arguments'}: {each['msg']}"
                for each in error.errors(include_input=False, include_url=False)
            )
            return Told(f"error: {problems}")
        try:
            result = await _called(self.function, **values)
        except GovernorError:
            raise
        except Exception as error:
            text = f"error: {type(error).__name__}: {error}"
            return told(scrubbed(text), most=MOST_CHARACTERS)
        if isinstance(result, Showing):
            said = result.within(MOST_CHARACTERS)
            return replace(said, text=scrubbed(said.text))
        text = result if isinstance(result, str) else _as_json(result)
        # Before it is cut: of half a key nobody knows that it is one.
        return told(scrubbed(text), most=MOST_CHARACTERS)

    def _values(self, arguments: str) -> dict[str, Any]:
        if isinstance(self.arguments, Mapping):
            return _OBJECT.validate_json(arguments)
        given = self.arguments.model_validate_json(arguments)
        return {name: getattr(given, name) for name in type(given).model_fields}

    def under(self, slot: Callable[[str], AbstractAsyncContextManager[Any]]) -> "Tool":
        """The tool with each of its calls inside `slot(limit)`, where it names one: its function is
        then a coroutine function, with the name, docstring and arguments that it had."""
        limit, function = self.limit, self.function
        if limit is None:
            return self

        @functools.wraps(function)
        async def call(*args: Any, **values: Any) -> Any:
            async with slot(limit):
                return await _called(function, *args, **values)

        return replace(self, function=call)


async def _called(function: Callable[..., Any], /, *args: Any, **values: Any) -> Any:
    """What a function gives; one that is not async works in a thread of its own, which nobody waits
    for once it is left: it may hang for ever."""
    if inspect.iscoroutinefunction(function):
        return await function(*args, **values)
    done: Future[Any] = Future()
    done.set_running_or_notify_cancel()
    context = copy_context()

    def work() -> None:
        try:
            result = context.run(function, *args, **values)
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(result)

    threading.Thread(target=work, name="tool", daemon=True).start()
    return await asyncio.shield(asyncio.wrap_future(done))


def tool_of(function: Callable[..., Any], *, limit: str | None = None) -> Tool:
    """A tool from a function, sync or async: its name, its docstring, its arguments by type hints.

    A call of it counts under the governor's limit called `limit`, beside whatever else does: a
    search that bears four at once, a database.

    Raises ConfigurationError for a function without a docstring or hints, or with `*args`.
    """
    name = getattr(function, "__name__", type(function).__name__)
    description = inspect.getdoc(function)
    if not description:
        raise ConfigurationError(
            f"the tool {name!r} has no docstring: it is what the model is told of it"
        )
    try:
        hints = get_type_hints(function)
    except (NameError, TypeError) as error:
        raise ConfigurationError(
            f"the hints of the tool {name!r} cannot be read: {error}"
        ) from None
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise ConfigurationError(
                f"the tool {name!r} takes *{parameter.name}: name its arguments"
            )
        if parameter.name not in hints:
            raise ConfigurationError(
                f"argument {parameter.name!r} of the tool {name!r} has no type hint"
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], Field(default))
    arguments = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
    return Tool(name, description, arguments, function, limit)


def tools_of(given: Sequence[Callable[..., Any] | Tool]) -> dict[str, Tool]:
    """By name. Raises ConfigurationError where two have one name."""
    found: dict[str, Tool] = {}
    for each in given:
        tool = each if isinstance(each, Tool) else tool_of(each)
        if tool.name in found:
            raise ConfigurationError(f"two tools are named {tool.name!r}")
        found[tool.name] = tool
    return found


def corpus_tools(corpus: Corpus, *, within: Sequence[str] = ()) -> list[Tool]:
    """`search_corpus` and `read`."""

    def search_corpus(query: str, sources: list[str] | None = None, most: int = 6) -> Excerpts:
        """Search the corpus by keywords. Gives the best passages with their source and line
        numbers, to cite as [source:first-last]. `sources` limits it to names or patterns."""
        found = corpus.search(query, within=sources or within, most=max(1, min(most, 20)))
        if not found and not sources and within:
            found = corpus.search(query, most=max(1, min(most, 20)))
        return Excerpts(found, instead="nothing in the corpus says that")

    def read(
        source: str, first: int = 1, last: int | None = None, page: int | None = None
    ) -> Excerpts:
        """Read lines `first` to `last` of a source, or a page of it, with line numbers."""
        return Excerpts([corpus.read(source, first=first, last=last, page=page)])

    return [tool_of(search_corpus), tool_of(read)]


def noting(tool: Tool, note: Callable[[Told], None]) -> Callable[..., Any]:
    """A tool's function for whoever calls it as it is: it gives text, of which `note` is told where
    it shows lines. Of a coroutine function it is one."""
    function = tool.function

    def noted(result: Any) -> Any:
        if not isinstance(result, Showing):
            return result
        said = result.within()
        note(said)
        return said.text

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call(*args: Any, **values: Any) -> Any:
            return noted(await function(*args, **values))
    else:

        @functools.wraps(function)
        def call(*args: Any, **values: Any) -> Any:
            return noted(function(*args, **values))

    # What the text is made of is nobody else's matter.
    signature = inspect.signature(function).replace(return_annotation=str)
    vars(call).update(__signature__=signature)
    call.__annotations__ = {**function.__annotations__, "return": str}
    return call


def _as_json(value: Any) -> str:
    return json.dumps(to_jsonable_python(value, fallback=str), ensure_ascii=False)
