"""A secret that is known leaves in no form that it may be written in; nothing else is changed."""

import base64
import json
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.secrets.forms import forms_of
from prefect_governor.blocks.secrets.names import is_secret
from prefect_governor.blocks.secrets.scrubber import REDACTED, Scrubber

KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60)
ANY = st.text(min_size=8, max_size=40).filter(lambda each: each.strip() == each)
TEXTS = st.text(max_size=40)

WRITTEN: dict[str, Callable[[str], str]] = {
    "as it stands": str,
    "in JSON": json.dumps,
    "in JSON as it stands": lambda key: json.dumps(key, ensure_ascii=False),
    "in JSON within JSON": lambda key: json.dumps(json.dumps({"error": key})),
    "in JSON with escaped slashes": lambda key: json.dumps(key).replace("/", r"\/"),
    "in a URL": quote_plus,
    "in a URL's path": lambda key: quote(key, safe=""),
    "in a URL with small letters": lambda key: (
        quote(key, safe="").lower() if key == key.lower() else quote(key, safe="")
    ),
    "in Python": repr,
    "in hex": lambda key: key.encode().hex(),
    "in capital hex": lambda key: key.encode().hex().upper(),
}


@pytest.mark.parametrize("how", WRITTEN)
@given(key=ANY, before=TEXTS, after=TEXTS)
def test_no_secret_is_left_however_it_is_written(
    how: str, key: str, before: str, after: str
) -> None:
    written = WRITTEN[how](key)
    left = Scrubber([key]).out_of(f"{before}{written}{after}")
    assert REDACTED in left
    assert written.strip("\"'") not in left
    data = f"{before}{written}{after}".encode()
    assert Scrubber([key]).out_of_bytes(data) == left.encode()


@given(key=KEYS, before=st.binary(max_size=9), after=st.binary(max_size=9), safe=st.booleans())
def test_no_secret_is_left_within_base64_wherever_it_begins_there(
    key: str, before: bytes, after: bytes, safe: bool
) -> None:
    encode = base64.urlsafe_b64encode if safe else base64.b64encode
    written = encode(before + key.encode() + after).decode()
    left = Scrubber([key]).out_of(f"data:,{written}")
    assert REDACTED in left
    # Of the secret's own bytes less than one letter's worth is left on either side.
    kept = left.removeprefix("data:,").split(REDACTED)
    assert sum(map(len, kept)) * 6 <= (len(before) + len(after)) * 8 + 6 * 6


@given(secrets=st.lists(KEYS, max_size=4), texts=st.lists(st.one_of(KEYS, TEXTS), max_size=6))
def test_what_holds_no_secret_is_the_same_object(secrets: list[str], texts: list[str]) -> None:
    scrubber = Scrubber(secrets)
    forms = {form for each in secrets for form in forms_of(each)}
    for text in texts:
        left = scrubber.out_of(text)
        if any(form in text for form in forms):
            assert not any(form in left for form in forms if form not in REDACTED)
        else:
            assert left is text


def test_secrets_that_overlap_go_as_one() -> None:
    scrubber = Scrubber(["abcdef-12345", "12345-ghijkl", "f-1234567"])
    assert scrubber.out_of("<abcdef-12345-ghijkl>") == f"<{REDACTED}>"
    assert scrubber.out_of("<abcdef-12345><12345-ghijkl>") == f"<{REDACTED}><{REDACTED}>"


def test_one_that_holds_another_goes_whole() -> None:
    scrubber = Scrubber(["sk-live-1234", "sk-live-1234-5678"])
    assert scrubber.out_of("a sk-live-1234-5678 b sk-live-1234 c") == (
        f"a {REDACTED} b {REDACTED} c"
    )


def test_lines_of_a_key_in_several_lines_go_also_by_themselves() -> None:
    body = ["MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", "BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"]
    pem = "\n".join(["-----BEGIN PRIVATE KEY-----", *body, "-----END PRIVATE KEY-----"])
    scrubber = Scrubber([pem])
    assert scrubber.out_of(f"x{pem}y") == f"x{REDACTED}y"
    assert scrubber.out_of(f" 12  {body[0]}\n 13  {body[1]}") == f" 12  {REDACTED}\n 13  {REDACTED}"
    assert scrubber.out_of(json.dumps({"private_key": pem})) == f'{{"private_key": "{REDACTED}"}}'


def test_values_are_cleaned_in_all_their_texts_and_keep_their_shape() -> None:
    key = "sk-0123456789"
    scrubber = Scrubber([key])
    fine = {"a": [1, (2.5, None)], "b": {"c": "text"}}
    assert scrubber.out_of_value(fine) is fine
    told = {"a": [key, (f"x{key}", b"y" + key.encode())], key: 1, "n": 3}
    assert scrubber.out_of_value(told) == {
        "a": [REDACTED, (f"x{REDACTED}", b"y" + REDACTED.encode())], REDACTED: 1, "n": 3
    }  # fmt: skip
    assert told["a"][0] == key  # type: ignore[index]


@pytest.mark.parametrize(
    "value", ["", "short", "ollama", "lm-studio", "not-needed", "your-api-key-here", "sk-1234"]
)
def test_placeholder_is_no_secret(value: str) -> None:
    assert not is_secret(value)


def test_what_it_costs(capsys: pytest.CaptureFixture[str]) -> None:
    """Of 100 KB, in the time that a call takes nothing of it."""
    text = ("the governor queues what it cannot send, and says so. " * 2000)[:100_000]
    keys = [f"sk-proj-{at:02}Xy7Zq{at * 7919:06}kLmNoPqRsTuVwXyZ0123456789" for at in range(5)]
    scrubber, nothing = Scrubber(keys), Scrubber([])
    assert scrubber.out_of(text) is text

    def best(clean: Scrubber) -> float:
        took = []
        for _ in range(20):
            began = time.perf_counter()
            clean.out_of(text)
            took.append(time.perf_counter() - began)
        return min(took) * 1000

    known, none = best(scrubber), best(nothing)
    with capsys.disabled():
        print(f"\n100 KB: {known:.3f} ms with 5 secrets known, {none * 1000:.2f} µs with none")
    assert known < 20
    assert none < 0.05
