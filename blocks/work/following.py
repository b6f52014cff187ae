"""Keeps a governor at work as its documents say: what is newer is applied, what is wrong told."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from prefect.client.orchestration import get_client

from prefect_governor.blocks.bypass.install import install
from prefect_governor.blocks.context.enforcement import why_off
from prefect_governor.blocks.documents.documents import Definition, define, find, find_by_id
from prefect_governor.blocks.documents.identity import Place, claim
from prefect_governor.blocks.documents.notices import DOCUMENT_INVALID, ENFORCEMENT_OFF, alarm, send
from prefect_governor.blocks.documents.saved_models import (
    InvalidModel,
    invalid_models,
    prices_of,
    saved_models,
)
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.records.accepted import accepted
from prefect_governor.blocks.records.output import output_terms
from prefect_governor.blocks.terms.governor import GovernorTerms
from prefect_governor.blocks.terms.price import given_prices
from prefect_governor.blocks.work.runtime import Runtime

logger = logging.getLogger("prefect_governor.budget")

# A document that is replaced is gone for a moment: so many looks find nothing before calls stop.
LOOKS_BEFORE_STOP = 2
# Model blocks are looked at so many times less often than the governor's own documents.
LOOKS_BETWEEN_MODELS = 5


def configure(runtime: Runtime, definition: Definition) -> None:
    """Make a runtime what the documents say. The ledger is told by `runtime.apply()`."""
    governor = definition.governor
    runtime.accounts_, runtime.limits_ = definition.accounts, definition.limits
    runtime.queue_timeout_seconds = governor.queue_timeout_seconds
    set_policy(runtime, governor)
    runtime.changed()


def set_policy(runtime: Runtime, governor: GovernorTerms) -> None:
    """What a governor says beside its budget and its limits."""
    runtime.prices = given_prices(governor.prices)
    runtime.off = why_off(governor.mode, governor=runtime.name)
    runtime.observe = runtime.off is not None
    pause = governor.when_spent == "pause"
    runtime.pause_seconds = governor.pause_timeout_seconds if pause else 0.0
    runtime.accepted = accepted(governor.allow_fields, governor.unseen)
    runtime.output = output_terms(governor.max_output_tokens, governor.output_ceiling)
    falls_back = governor.when_spent == "fallback"
    runtime.fallback_share = governor.fallback_share if falls_back else None
    runtime.bypass = governor.bypass
    if governor.bypass != "allow":
        install()


@dataclass
class Follower:
    """Follows the documents of one governor. Used by its keeper's thread.

    A document that does not validate, whose parents are not there or whose ledger is another keeps
    what was last good, and is told as an event and in the log, once. A governor's block that was
    deleted and made again under its name is followed: it is another budget, and has spent nothing.
    One that stays deleted admits no more calls.

    Args:
        keep: called when the limits may have changed.
    """

    runtime: Runtime
    definition: Definition
    place: Place
    keep: Callable[[], None]
    _looks: int = 0
    _missing: int = 0
    _untold: str | None = None
    _told: set[str] = field(default_factory=set)
    _told_of_models: set[str] = field(default_factory=set)
    _enforced: bool = True

    def refresh(self) -> None:
        """Read the documents and apply what is newer. Raises what Prefect's client raises."""
        self._tell_mode()
        document = find_by_id(self.definition.document_id)
        if document is None:
            document = find(GovernorTerms, self.definition.name)
        if document is None:
            self._deleted()
            return
        self._missing = 0
        try:
            found = define(document)
            if found.roots != self.definition.roots:
                claim(found.roots, self.place)
        except ConfigurationError as error:
            self._invalid(str(error))
            return
        self._told.clear()
        if found.governor.ledger_url != self.definition.governor.ledger_url:
            self._warn_once(
                f"ledger_url of governor {found.name!r} was edited: this process stays with the"
                " ledger that it began with; start it anew to move"
            )
        self._apply(found)
        self._keep_prices()

    def _keep_prices(self) -> None:
        self._looks += 1
        if self._looks % LOOKS_BETWEEN_MODELS == 0:
            models = saved_models()
            self.runtime.saved_prices = prices_of(models)
            self.runtime.changed()
            self._tell_invalid(invalid_models(models))

    def _tell_invalid(self, models: list[InvalidModel]) -> None:
        """Once each, as long as it says the same; what is mended is told when it breaks anew."""
        reasons = {model.reason for model in models}
        new = [model for model in models if model.reason not in self._told_of_models]
        for model in new:
            logger.warning("%s", model.reason)
        if new:
            events = [
                alarm(
                    DOCUMENT_INVALID,
                    model.document_id,
                    model.name,
                    {"reason": model.reason, "model": model.name},
                    budget=(str(self.definition.document_id), self.definition.name),
                )
                for model in new
            ]
            with get_client(sync_client=True) as client:
                send(client, events)
        self._told_of_models = reasons

    def _apply(self, found: Definition) -> None:
        if is_same(found, self.definition) and self.runtime.closed is None:
            return
        anew = found.document_id != self.definition.document_id
        self.definition = found
        self.runtime.closed = None
        configure(self.runtime, found)
        self.runtime.apply()
        self.keep()
        if anew:
            logger.warning(
                "governor %r was deleted and saved again: its budget counts from nothing",
                found.name,
            )
        self._tell_mode()

    def _deleted(self) -> None:
        self._missing += 1
        if self._missing < LOOKS_BEFORE_STOP or self.runtime.closed is not None:
            return
        reason = (
            f"the Governor block {self.definition.name!r} was deleted, so no more calls are"
            " admitted under it; save it again under that name to go on"
        )
        self.runtime.closed = reason
        self.runtime.changed()
        self._invalid(reason)

    def _invalid(self, reason: str) -> None:
        """The last good ceiling holds. An event that cannot be sent is sent at the next look."""
        if reason in self._told:
            return
        held = "" if self.runtime.closed else "; what was last good stays in force"
        self._warn_once(f"{reason}{held}")
        definition = self.definition
        payload = {"reason": reason, "governor": definition.name}
        event = alarm(DOCUMENT_INVALID, str(definition.document_id), definition.name, payload)
        with get_client(sync_client=True) as client:
            send(client, [event])
        self._told.add(reason)

    def _warn_once(self, text: str) -> None:
        if text != self._untold:
            self._untold = text
            logger.warning("%s", text)

    def _tell_mode(self) -> None:
        """Once each time that enforcement goes off, in this process."""
        off = self.runtime.off
        if off is None:
            self._enforced = True
            return
        if not self._enforced:
            return
        logger.warning("%s", off)
        definition = self.definition
        payload = {"reason": off, "governor": definition.name}
        event = alarm(ENFORCEMENT_OFF, str(definition.document_id), definition.name, payload)
        with get_client(sync_client=True) as client:
            send(client, [event])
        self._enforced = False


def is_same(one: Definition, other: Definition) -> bool:
    """Whether nothing that a runtime has differs."""

    def parts(definition: Definition) -> tuple[object, ...]:
        governor = definition.governor
        return (
            definition.document_id,
            definition.accounts,
            definition.limits,
            governor.queue_timeout_seconds,
            governor.mode,
            governor.when_spent,
            governor.pause_timeout_seconds,
            governor.fallback_share,
            governor.prices,
            governor.max_output_tokens,
            governor.output_ceiling,
            governor.allow_fields,
            governor.unseen,
            governor.bypass,
        )

    return parts(one) == parts(other)
