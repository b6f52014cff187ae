"""Tokens as the local tokenizer counts them, for the models whose tokenizer is known.

LiteLLM ships OpenAI's encodings; they are read from its folder, without importing it and without
ever downloading one.
"""

import hashlib
import importlib.util
import os
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tiktoken

# A text is counted in slices of at most this many characters: the time is then linear in its
# length whatever it holds. A cut can only add a token.
SLICE_CHARACTERS = 65_536

OFFLINE_ENCODING = "cl100k_base"
_SOURCE = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
_OPENAI = frozenset({"openai", "azure"})
_loading = threading.Lock()


@lru_cache(maxsize=1024)
def encoding_of(model: str, provider: str | None = None) -> str | None:
    """The name of a model's encoding, None where its tokenizer is not known.

    `model` may be bare or `provider/model`. Only OpenAI's models have a known tokenizer (and the
    offline one, which counts as they do); the same name at another provider is another model.
    """
    if provider == "offline":
        return OFFLINE_ENCODING
    vendor, slash, bare = model.rpartition("/")
    if slash and provider in (None, "openrouter"):
        # A gateway that names whose model it is.
        provider = vendor.split("/")[-1]
    if provider is not None and provider not in _OPENAI:
        return None
    from tiktoken.model import encoding_name_for_model

    try:
        # A fine-tuned model has its base's tokenizer; dated names are known by their prefix.
        name = encoding_name_for_model(bare)
    except KeyError:
        return None
    name = "o200k_base" if name == "o200k_harmony" else name
    return name if _encoding(name) is not None else None


def count_tokens(text: str, encoding: str) -> int:
    """Tokens of `text`. Names of special tokens count as the text that they are.

    Raises LookupError for an encoding that is not at hand.
    """
    codec = _encoding(encoding)
    if codec is None:
        raise LookupError(f"no tokenizer {encoding!r} is at hand")
    if len(text) <= SLICE_CHARACTERS:
        return len(codec.encode_ordinary(text))
    return sum(
        len(codec.encode_ordinary(text[start : start + SLICE_CHARACTERS]))
        for start in range(0, len(text), SLICE_CHARACTERS)
    )


@lru_cache(maxsize=8)
def _encoding(name: str) -> "tiktoken.Encoding | None":
    folder = _shipped()
    key = hashlib.sha1(_SOURCE.format(name).encode(), usedforsecurity=False).hexdigest()
    if folder is None or not (folder / key).is_file():
        return None
    import tiktoken

    # tiktoken finds a file by the environment alone. What the user set there comes back at once.
    with _loading:
        kept = os.environ.get("TIKTOKEN_CACHE_DIR")
        os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
        try:
            return tiktoken.get_encoding(name)
        finally:
            if kept is None:
                del os.environ["TIKTOKEN_CACHE_DIR"]
            else:
                os.environ["TIKTOKEN_CACHE_DIR"] = kept


def _shipped() -> Path | None:
    spec = importlib.util.find_spec("litellm")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "litellm_core_utils" / "tokenizers"
