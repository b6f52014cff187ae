"""Tokens are counted by the model's own tokenizer, in linear time, with nothing downloaded."""

import os
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.prices.tokens import SLICE_CHARACTERS, count_tokens, encoding_of


@pytest.mark.parametrize(
    ("model", "provider", "encoding"),
    [
        ("gpt-4o-mini", None, "o200k_base"),
        ("gpt-4o-mini-2024-07-18", "openai", "o200k_base"),
        ("gpt-5.4", "openai", "o200k_base"),
        ("openai/gpt-4.1", None, "o200k_base"),
        ("openai/gpt-4o", "openrouter", "o200k_base"),
        ("gpt-3.5-turbo", "openai", "cl100k_base"),
        ("ft:gpt-4o-mini-2024-07-18:org::id", "openai", "o200k_base"),
        ("extract", "offline", "cl100k_base"),
        ("llama-3.1-8b-instant", "groq", None),
        ("gpt-4o-mini", "hosted_vllm", None),
        ("anthropic/claude-sonnet-4", "openrouter", None),
        ("openai/gpt-oss-120b", "groq", None),
        ("nobody-knows-it", None, None),
    ],
)
def test_tokenizer_is_only_known_where_the_model_is(
    model: str, provider: str | None, encoding: str | None
) -> None:
    assert encoding_of(model, provider) == encoding


def test_count_is_the_tokenizers() -> None:
    assert count_tokens("hello world", "o200k_base") == 2
    assert count_tokens("", "o200k_base") == 0


def test_names_of_special_tokens_are_text_and_no_error() -> None:
    assert count_tokens("<|endoftext|>", "cl100k_base") > 1


def test_encoding_that_is_not_shipped_is_never_downloaded() -> None:
    with pytest.raises(LookupError):
        count_tokens("x", "r50k_base")


@given(st.text(max_size=400))
def test_tokens_are_never_more_than_bytes(text: str) -> None:
    assert count_tokens(text, "o200k_base") <= len(text.encode("utf-8", "surrogatepass"))


def test_cutting_a_long_text_loses_no_token() -> None:
    text = "the quick brown fox " * (3 * SLICE_CHARACTERS // 20)
    import tiktoken

    count_tokens("", "o200k_base")
    whole = len(tiktoken.get_encoding("o200k_base").encode_ordinary(text))
    assert whole <= count_tokens(text, "o200k_base") <= whole + 8


@pytest.mark.parametrize(
    "text",
    ["word " * 20_000, "a" * 100_000, " " * 100_000, "=" * 100_000, "\n" * 100_000],
    ids=["words", "one letter", "spaces", "punctuation", "newlines"],
)
def test_hostile_text_is_counted_in_time_linear_in_its_length(text: str) -> None:
    count_tokens("warm", "o200k_base")

    def fastest(sample: str) -> float:
        taken = []
        for _ in range(3):
            started = time.process_time()
            count_tokens(sample, "o200k_base")
            taken.append(time.process_time() - started)
        return min(taken)

    once, four_times = fastest(text), fastest(text * 4)
    assert four_times < 10 * once + 0.02


def test_environment_is_left_as_it_was_and_a_users_cache_is_not_written(tmp_path: object) -> None:
    code = (
        "import os; from prefect_governor.blocks.prices.tokens import count_tokens;"
        "count_tokens('hello', 'cl100k_base');"
        f"assert os.environ['TIKTOKEN_CACHE_DIR'] == {str(tmp_path)!r};"
        f"assert os.listdir({str(tmp_path)!r}) == []"
    )
    environment = {**os.environ, "TIKTOKEN_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], check=False, env=environment)
    assert done.returncode == 0
