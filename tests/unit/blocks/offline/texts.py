"""Texts to be asked about: two real ones, one of excerpts, and whatever else may be in a file."""

from pathlib import Path

from hypothesis import strategies as st

from prefect_governor.blocks.offline.answering import answer

FILES = Path(__file__).parent / "files"
PYTHON = (FILES / "retry.py.txt").read_text(encoding="utf-8")
MARKDOWN = (FILES / "guide.md").read_text(encoding="utf-8")
EXCERPTED = """# Fees

A call is charged. One that was cut off is charged
at its bound.

Say until when:

```
reconcile --complete-until NOW
```

| a | b |
|---|---|
| one | two |
| three | four |"""
OVERVIEW = "What does this do, and what should a reader know first?"
MARKUP = st.lists(
    st.sampled_from(
        [
            *("# Title", "## Part two", "- an item. It goes on", "1. first thing!", "Plain text."),
            *("> quoted words here. More words", "| a | b |", "|---|---|", "| one | two |", ""),
            *("def f(x):", '    """Doc of f. Raises ValueError."""', "    return x", "class A:"),
            *(
                "    x: int = 1",
                "```",
                "key = value",
                "日本語の文。次の文。",
                "\tTabbed e.g. this",
                "===",
            ),
            *(
                "try:",
                "    pass",
                "except ValueError as e:",
                "    raise",
                "# a comment",
                "'''",
                "\x0c",
            ),
            *("import os", 'say "quoted" words', "@overload", "\\d raw", "---", "Ends here\r"),
        ]
    )
    | st.text(max_size=60),
    max_size=40,
).map("\n".join)
NAMES = st.sampled_from(["a.md", "a.py", "a.txt", "a.toml", "a", "notes (part 2 of 3)"])


def ask(question: str, text: str, name: str = "a.md") -> list[dict[str, str]]:
    document = f'<document key="{name}">\n{text}\n</document>'
    return [
        {"role": "system", "content": "Use only what the document says."},
        {"role": "user", "content": f"{question}\n\n{document}"},
    ]


def said(question: str, text: str, name: str = "a.md", max_tokens: int = 600) -> str:
    return answer(ask(question, text, name), max_tokens=max_tokens).text


def flat(text: str) -> str:
    return " ".join(text.split())
