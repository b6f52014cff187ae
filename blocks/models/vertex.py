"""Google's Vertex AI through LiteLLM: whose project, which location, whose credentials, and which
of its models are reached as they should be.

The token is fetched by google-auth, beside the governed transport: it is no call of a model, and
costs nothing.
"""

import importlib.util
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prefect_governor.blocks.errors import ConfigurationError, NotGoverned, chain
from prefect_governor.blocks.models.library.module import litellm

PROVIDER = "vertex_ai"
# What its publishers' models are called that are reached by `generateContent` and `rawPredict`
# over our transport. LiteLLM reaches others by other paths, or by gRPC.
PROVEN = ("gemini-", "claude-")

# LiteLLM's own names and variables, the first first.
_PROJECT = ("vertex_project", "vertex_ai_project")
_LOCATION = ("vertex_location", "vertex_ai_location")
_CREDENTIALS = ("vertex_credentials", "vertex_ai_credentials")
_NO_PROJECT = "no project of Google's"
_NAME_PROJECT = "set VERTEXAI_PROJECT, or give vertex_project"


def check_vertex(model: str, arguments: Mapping[str, Any], *, untested: bool = False) -> None:
    """Says what is missing before anything is sent.

    Raises NotGoverned for a model of its that is not proven, unless the caller takes that upon
    them; ConfigurationError where google-auth is not installed, for credentials that are none, and
    where no location or no project is named.
    """
    name = model.removeprefix(f"{PROVIDER}/")
    if not name.startswith(PROVEN) and not untested:
        raise NotGoverned(
            f"of {PROVIDER}'s models only {' and '.join(f'{each}…' for each in PROVEN)} are proven "
            f"to send through the governor, and {model!r} is none of them. Accept it with "
            "allow_untested_provider=True"
        )
    if importlib.util.find_spec("google") is None or not importlib.util.find_spec("google.auth"):
        raise ConfigurationError(
            f"{model!r} is asked with a token of Google's, for which google-auth is missing: "
            "pip install 'prefect-governor[vertex]'"
        )
    given = _first(arguments, _CREDENTIALS, None, "VERTEXAI_CREDENTIALS")
    account = _read(given) if given else {}
    if not _first(arguments, _LOCATION, litellm().vertex_location, "VERTEXAI_LOCATION"):
        raise ConfigurationError(
            f"no location for {model!r}: set VERTEXAI_LOCATION, or give vertex_location ('global', "
            "or a region such as 'europe-west4', where some models cost more)"
        )
    named = _first(arguments, _PROJECT, litellm().vertex_project, "VERTEXAI_PROJECT")
    # google-auth's own default may name one; an account that is given must.
    if given and not (named or account.get("project_id") or account.get("quota_project_id")):
        raise ConfigurationError(f"{_NO_PROJECT} for {model!r}: {_NAME_PROJECT}")


@contextmanager
def by_default() -> Iterator[None]:
    """Raises ConfigurationError, with what to do, where google-auth's own default is asked for
    credentials and a project, and names none."""
    try:
        yield
    except Exception as error:
        said = " ".join(str(each) for each in chain(error))
        if "default credentials were not found" in said:
            raise ConfigurationError(
                "no credentials of Google's were found: set VERTEXAI_CREDENTIALS or "
                "GOOGLE_APPLICATION_CREDENTIALS to the file of a service account, or run "
                "`gcloud auth application-default login`"
            ) from None
        if "Could not resolve project_id" in said:
            raise ConfigurationError(f"{_NO_PROJECT}: {_NAME_PROJECT}") from None
        raise


def _first(
    arguments: Mapping[str, Any], names: tuple[str, ...], setting: Any, variable: str
) -> Any:
    found = next((arguments[name] for name in names if arguments.get(name)), None)
    return found or setting or os.environ.get(variable)


def _read(given: Any) -> Mapping[str, Any]:
    """The credentials, without a word of them in the error."""
    read = given
    if isinstance(given, str):
        try:
            if os.path.exists(given):
                with open(given, encoding="utf-8") as file:
                    read = json.load(file)
            else:
                read = json.loads(given)
        except (OSError, ValueError):
            read = None
    if not isinstance(read, Mapping):
        raise ConfigurationError(
            "the credentials of Vertex AI (vertex_credentials or VERTEXAI_CREDENTIALS) are neither "
            "a file that can be read nor the JSON of a service account"
        )
    return read
