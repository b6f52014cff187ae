"""What leaves the process: with the secrets of this moment, in errors and log lines too."""

import io
import logging
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator

import httpx
import pytest
from pydantic import SecretStr

from prefect_governor import Budget, Governor, Model
from prefect_governor.blocks.secrets import exits, known
from prefect_governor.blocks.secrets.exits import (
    learn,
    learn_named,
    scrubbed,
    scrubbed_error,
    scrubbed_value,
)
from prefect_governor.blocks.secrets.known import MOST_LEARNED

KEY = "Qx7-98f3a1c5d2"
SAID = "[redacted]"


@pytest.fixture(autouse=True)
def nothing_learned(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What other tests taught is no matter here, and what these do is none elsewhere."""
    with monkeypatch.context() as patched:
        patched.setattr(known, "_learned", {})
        patched.setattr(known, "_of_environment", frozenset())
        patched.setattr(known, "_seen", {})
        yield
    known._read()


def test_key_that_comes_into_the_environment_is_known_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert scrubbed(f"a {KEY}") == f"a {KEY}"
    monkeypatch.setenv("ACME_API_KEY", KEY)
    assert scrubbed(f"a {KEY}") == f"a {SAID}"
    assert scrubbed_value({"a": [KEY]}) == {"a": [SAID]}
    # A program that takes it out still has it.
    monkeypatch.delenv("ACME_API_KEY")
    assert scrubbed(f"a {KEY}") == f"a {SAID}"


def test_key_that_was_given_is_known_and_the_oldest_of_very_many_is_forgotten() -> None:
    learn_named({"api_key": KEY, "model": "openai/gpt-4o-mini", "max_tokens": 100})
    assert scrubbed(KEY) == SAID
    assert scrubbed("openai/gpt-4o-mini") == "openai/gpt-4o-mini"
    learn(*(f"token-{at:04}-abc" for at in range(MOST_LEARNED)))
    assert scrubbed("token-0000-abc token-0063-abc") == f"{SAID} {SAID}"
    assert scrubbed(KEY) == KEY


def test_secrets_of_blocks_are_known_once_they_are_loaded() -> None:
    Model(name="openai/gpt-4o-mini", api_key=SecretStr(KEY))
    assert scrubbed(KEY) == SAID
    url = "postgresql://me:Hq5-p4ssw0rd@db.example/ledger"
    Governor(budget=Budget(max_usd=1), ledger_url=SecretStr(url))
    assert scrubbed(f"cannot reach {url}") == (
        f"cannot reach postgresql://me:{SAID}@db.example/ledger"
    )


class ApiError(Exception):
    """As SDKs raise it: with what was sent and what came."""

    def __init__(self, message: str, response: httpx.Response) -> None:
        super().__init__(message)
        self.message = message
        self.response = response
        self.request = response.request
        self.body = {"error": {"message": message}}


def test_error_and_what_it_came_of_hold_no_key_anywhere() -> None:
    learn(KEY)
    request = httpx.Request(
        "POST", f"https://x.example/v1?key={KEY}", headers={"authorization": f"Bearer {KEY}"}
    )
    response = httpx.Response(401, content=f"bad {KEY}".encode(), request=request)
    error: Exception
    try:
        try:
            raise ApiError(f"no {KEY}", response)
        except ApiError as inner:
            vars(inner)["__notes__"] = [f"beside {KEY}"]
            raise ValueError(f"wrapped {KEY}", KEY.encode(), 3) from inner
    except ValueError as raised:
        error = scrubbed_error(raised)
    cause = error.__cause__
    assert isinstance(cause, ApiError)
    assert error.args == (f"wrapped {SAID}", SAID.encode(), 3)
    assert str(cause) == cause.message == f"no {SAID}"
    assert cause.body == {"error": {"message": f"no {SAID}"}}
    assert vars(cause)["__notes__"] == [f"beside {SAID}"]
    assert cause.request.headers["authorization"] == f"Bearer {SAID}"
    assert KEY not in str(cause.request.url)
    assert cause.response.text == f"bad {SAID}"
    for each in (error, vars(cause)):
        assert KEY.encode() not in pickle.dumps(each)


def _syntax_error() -> SyntaxError:
    return SyntaxError(f"bad {KEY}", (f"{KEY}.py", 1, 2, f"x = {KEY}"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: FileNotFoundError(2, "No such file", f"/run/{KEY}", None, f"/to/{KEY}"),
        lambda: OSError(5, f"quota of {KEY}"),
        lambda: ImportError(f"no {KEY}", name=KEY, path=KEY),
        lambda: SystemExit(f"bad {KEY}"),
        lambda: StopIteration(KEY),
        lambda: AttributeError("none", name="a", obj={"api_key": KEY}),
        lambda: UnicodeDecodeError("utf-8", f"key={KEY}".encode() + b"\xff", 18, 19, "invalid"),
        _syntax_error,
    ],
    ids=["file", "system", "import", "exit", "iteration", "attribute", "decoding", "syntax"],
)
def test_pythons_own_errors_hold_no_key_where_only_they_have_it(
    make: Callable[[], BaseException],
) -> None:
    """Their text is made of what is not in their arguments."""
    learn(KEY)
    error = scrubbed_error(make())
    told = [*traceback.format_exception(error), repr(error)]
    assert KEY not in "".join(told)
    assert KEY.encode() not in pickle.dumps(error)
    assert SAID in "".join([*told, repr(getattr(error, "obj", None))])


def test_errors_of_a_large_group_and_far_causes_hold_no_key() -> None:
    learn(KEY)
    many = [ValueError(f"{at} {KEY}") for at in range(200)]
    far = ValueError("first")
    for at in range(60):
        following = ValueError(f"{at} {KEY}")
        following.__cause__ = following.__context__ = far
        far = following
    # As ExceptionGroup has them, which Python 3.10 has not.
    group = ValueError("several")
    vars(group)["exceptions"] = tuple(many)
    group.__cause__ = far
    assert KEY not in "".join(traceback.format_exception(scrubbed_error(group)))
    assert not [each for each in many if KEY in str(each)]


def test_error_without_a_key_is_as_it_was() -> None:
    learn(KEY)
    error = KeyError("a", 1, (2, "b"))
    args = error.args
    assert scrubbed_error(error) is error
    assert error.args is args


def test_error_that_holds_itself_or_what_is_nested_without_an_end_still_leaves() -> None:
    learn(KEY)
    around: list[object] = ["own"]
    around.append(around)
    deep: object = KEY
    for _ in range(5_000):
        deep = [deep]
    error = ValueError("kept", around, deep)
    vars(error)["state"] = around
    assert scrubbed_error(error).args == ("kept", SAID, SAID)
    assert vars(error)["state"] == SAID


def test_log_line_holds_no_key_in_its_text_its_arguments_or_its_error() -> None:
    learn(KEY)
    told = io.StringIO()
    handler = logging.StreamHandler(told)
    logger = logging.getLogger("acme.of-somebody-else")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        logger.warning("plain %s", "words")
        logger.warning("with %s and %r", KEY, {"api_key": KEY})
        logger.warning(f"100% {KEY}")
        logger.warning(ValueError(KEY))
        try:
            try:
                raise ValueError(f"inner {KEY}")
            except ValueError as inner:
                raise RuntimeError("outer") from inner
        except RuntimeError:
            logger.exception("it failed", stack_info=True)
    finally:
        logger.removeHandler(handler)
    text = told.getvalue()
    assert KEY not in text
    assert "plain words" in text and f"100% {SAID}" in text
    assert "RuntimeError: outer" in text and f"ValueError: inner {SAID}" in text
    assert text.count(SAID) == 5


def test_process_that_knows_no_secret_makes_its_log_records_as_ever() -> None:
    program = (
        "import logging, os; os.environ.clear();"
        "from prefect_governor.blocks.secrets.exits import learn, scrubbed;"
        "value = 'a text'; assert scrubbed(value) is value;"
        "print(logging.getLogRecordFactory() is logging.LogRecord);"
        f"learn({KEY!r});"
        "print(logging.getLogRecordFactory() is logging.LogRecord)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "False"]


def test_child_that_was_forked_knows_what_its_parent_knew() -> None:
    learn(KEY)
    child = os.fork()
    if child == 0:
        os._exit(0 if exits.scrubbed(KEY) == SAID else 1)
    assert os.waitpid(child, 0)[1] == 0
