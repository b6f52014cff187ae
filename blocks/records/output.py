"""How much an answer may hold by the word of who runs the governor or its client."""

from dataclasses import dataclass

from prefect_governor.blocks.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class OutputTerms:
    """Tokens of output of one answer. `default` is the limit of a request that names none; None:
    the model's own. `ceiling` is what the limit of no request is above; None: there is none."""

    default: int | None = None
    ceiling: int | None = None

    def within(self, outer: "OutputTerms") -> "OutputTerms":
        """What holds where `outer` holds too: the nearer default, the lower ceiling."""
        ceilings = [each for each in (self.ceiling, outer.ceiling) if each is not None]
        default = self.default if self.default is not None else outer.default
        return OutputTerms(default, min(ceilings, default=None))


# Whatever the request says, and the model writes.
AS_ASKED = OutputTerms()


def output_terms(max_output_tokens: int | None, output_ceiling: bool) -> OutputTerms:
    """What is said with these two settings. Raises ConfigurationError for what says nothing."""
    if max_output_tokens is None:
        if output_ceiling:
            raise ConfigurationError("output_ceiling=True needs max_output_tokens, which it holds")
        return AS_ASKED
    whole = isinstance(max_output_tokens, int) and not isinstance(max_output_tokens, bool)
    if not whole or max_output_tokens < 1:
        raise ConfigurationError(
            f"max_output_tokens={max_output_tokens!r}: it is a whole number of at least 1"
        )
    return OutputTerms(max_output_tokens, max_output_tokens if output_ceiling else None)
