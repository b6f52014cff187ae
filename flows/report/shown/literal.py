"""Text of others in a cell of a table, of which one of Prefect's UIs makes Markdown and the other
does not. Pure."""

import re

# Nobody sees it, and Markdown takes it for a letter.
_UNSEEN = "\u200b"
# As thin as a space is. What stands before one opens no emphasis.
_HAIR = "\u200a"

_BREAKS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Between "!" and "[", between "]" and "(" or "[", after a "<" that opens a tag, after an "&"
    # that opens an entity, after a backslash that would be eaten.
    (
        re.compile(
            r"(?<=!)(?=\[)|(?<=\])(?=[(\[])|(?<=<)(?=[A-Za-z/!?])|(?<=&)(?=[#A-Za-z])"
            r"|(?<=\\)(?=[!-/:-@\[-`{-~])"
        ),
        _UNSEEN,
    ),
    # Underscores may open emphasis, and none of them ends it: "__init__" stays to be found.
    (re.compile(r"(?<=_)(?![^\W_]|_)"), _UNSEEN),
    (re.compile(r"(?<=\*)(?![\s*]|$)|(?<=~)(?![\s~]|$)"), _HAIR),
    # A heading, a list, a quotation, a rule, a fence, the definition of a link.
    (re.compile(r"^(?=[#>+=*|~\[-]|```|\d+[.)]|_[_ ]*$)"), _UNSEEN),
)


def literal(text: str) -> str:
    """`text` on one line, with what nobody sees wherever a cell that is shown as Markdown or HTML
    would make anything else of it. What stands between backticks is shown as code there."""
    for found, unseen in _BREAKS:
        text = found.sub(unseen, text)
    return text
