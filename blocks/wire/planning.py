"""From a request to a call that may be asked for: what it may cost, whose money, which limits."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx

from prefect_governor.blocks.context.governing import Governing
from prefect_governor.blocks.context.purses import purse_run
from prefect_governor.blocks.context.scope import Scope, attribution, current_scope
from prefect_governor.blocks.errors import (
    ConfigurationError,
    NotBounded,
    NotGoverned,
    NotPriced,
)
from prefect_governor.blocks.machine.text import storable
from prefect_governor.blocks.prices.deployments import PROVIDER as AZURE
from prefect_governor.blocks.prices.deployments import bare, is_pattern
from prefect_governor.blocks.prices.given import Given, price_by
from prefect_governor.blocks.prices.places import billed_at, provider_at
from prefect_governor.blocks.prices.prices import upstream_price, why_unpriced
from prefect_governor.blocks.prices.tariffs import RERANK, Price
from prefect_governor.blocks.prices.tokens import encoding_of
from prefect_governor.blocks.records.accepted import Accepted
from prefect_governor.blocks.records.budgets import NOMINAL
from prefect_governor.blocks.records.calls import Bound, Demand
from prefect_governor.blocks.records.output import AS_ASKED, OutputTerms
from prefect_governor.blocks.secrets.exits import scrubbed
from prefect_governor.blocks.wire.dialects import dialect_of
from prefect_governor.blocks.wire.dialects.bedrock.requests import check_headers
from prefect_governor.blocks.wire.messages import REQUEST_ID_HEADER, request_hash
from prefect_governor.blocks.wire.ports import Terms
from prefect_governor.blocks.wire.requests.bodies import deployment_of
from prefect_governor.blocks.wire.requests.fitting import fitted_bound, least_output
from prefect_governor.blocks.wire.requests.lanes import in_its_lane
from prefect_governor.blocks.wire.requests.output_limits import limited
from prefect_governor.blocks.wire.requests.plans import CallPlan, CallRequest, Dialect
from prefect_governor.blocks.wire.requests.routing import PROVIDER as ROUTER
from prefect_governor.blocks.wire.requests.routing import routed
from prefect_governor.blocks.wire.requests.unmeasured import Unknown, as_it_came, named_in, what
from prefect_governor.blocks.wire.requests.unseen import widened_by
from prefect_governor.blocks.wire.reservation import Call
from prefect_governor.blocks.wire.signing import credentials_of, is_signed, sealed

OUTSIDE = (
    "the call was made outside any governor, so it was not sent. Make it inside `with governor:` "
    "or a task under @governed or GovernedTaskRunner, or use the governor's own methods and clients"
)
if TYPE_CHECKING:
    from prefect_governor.blocks.telemetry.call import CallWatch

# Whose models Azure's are, for limits on models.
OPENAI = "openai"
FREE = Given(free=True)
NOTHING = Bound(0, 0, 0)
ROUTED = (
    "Or name the most that it may cost in the request, which OpenRouter holds: provider="
    '{"max_price": {"prompt": …, "completion": …}}'
)


def governing_of(terms: Terms) -> Governing | None:
    """The governor of a transport's calls: its own, else that of the context."""
    here = current_scope.get()
    return terms.governing or (here.governor if here is not None else None)


def dialect_for(terms: Terms, request: httpx.Request) -> Dialect:
    """The dialect of a request. Raises NotGoverned where none knows its path, and its calls are not
    only observed."""
    try:
        return dialect_of(request.method, request.url.path)
    except NotGoverned as error:
        governing = governing_of(terms)
        if governing is None or not governing.observe:
            raise
        return Unknown(str(error))


def planned(
    terms: Terms,
    dialect: Dialect,
    request: httpx.Request,
    body: bytes,
    *,
    headers: Mapping[str, str] | None = None,
    credential: str = "",
) -> Call:
    """A request as a call that may be asked for: its bound, its accounts and limits, its place.

    `headers` are the request's by lower-case names; `credential` tells its API key apart from
    others, without being it. One that is only observed is
    sent as it came where it has no bound, and costs nothing where it has no price, which the ledger
    is told with the reason.

    Raises NotGoverned, NotBounded, NotPriced.
    """
    here = current_scope.get()
    governing = governing_of(terms)
    if governing is None:
        raise NotGoverned(OUTSIDE)
    headers = dict(request.headers.items()) if headers is None else headers
    asked, unread = _opened(governing, dialect, request, body, headers)
    host = request.url.host
    served_by = provider_at(host)
    place = billed_at(host, request.url.path)
    provider = whose(terms.provider, request.url) or dialect.provider
    model = storable(asked.model if provider is None else f"{provider}/{asked.model}")
    who = attribution(model=model, tags=terms.tags)
    accounts = governing.accounts(who, nominal=terms.nominal)
    # What is set aside of a team's money is its money too.
    if here is not None and here.allocation is not None and NOMINAL.key not in accounts:
        accounts = (here.allocation, *accounts)
    why = unread
    try:
        asked, price = _priced(governing, dialect, asked, model, terms.base_model, host=place)
    except NotPriced as error:
        if not governing.counts_tokens_alone(accounts):
            if not governing.observe:
                raise
            why = why or str(error)
        price = price_by(FREE, model)
    accepted = terms.accepted.also(governing.accepted)
    if here is not None:
        accepted = accepted.also(here.accepted)
    also = _also(model, price) if provider == AZURE else ()
    unseen = governing.accepts_unseen(tags=who.tags, model=model, also=also)
    asked = replace(asked, provider=provider, accepted=accepted.also(Accepted(unseen=unseen)))
    # What is only observed is sent as it was asked for.
    output = AS_ASKED if governing.observe else terms.output.within(governing.output)
    plan = None
    if unread is None:
        try:
            asked, price, plan = _bounded(
                dialect, asked, price, request, body, model, output, headers
            )
        except (NotBounded, NotPriced, ConfigurationError) as error:
            if not governing.observe:
                raise
            why = why or str(error)
    sent = plan or as_it_came(body)
    fits = _fits(governing, here, sent)
    learned = governing.learned(model) if fits else None
    floor = governing.output_floor_tokens
    demand = Demand(
        call_id="",
        accounts=accounts,
        limits=governing.limits(
            tags=who.tags, model=model, host=host, credential=credential, also=also
        ),
        bound=sent.bound(price) if why is None else NOTHING,
        attribution=who,
        fitted=fitted_bound(sent, price, learned, floor_tokens=floor) if fits else None,
        observe=governing.observe,
        request_id=headers.get(REQUEST_ID_HEADER),
        priority=0 if here is None else here.priority,
        yields=fits and sent.own_limit,
        purse_run=purse_run(who.run_id or who.flow_run_id) if governing.by_run else None,
        unmeasured=None
        if why is None
        else scrubbed(what(request.method, request.url.raw_path, why)),
    )
    key = None
    if plan is not None and here is not None and here.item is not None:
        # What a route may cost at most is no part of what is asked, and changes with the prices.
        asks = body if asked.routed else plan.body
        key = here.next_reply_key(request_hash(request, asks))
    return Call(
        desk=governing.desk,
        dialect=dialect,
        plan=sent,
        price=price,
        demand=demand,
        throttle_keys=governing.throttle_keys(demand.limits, model=model),
        queue_timeout_seconds=governing.queue_timeout_seconds,
        pause_seconds=governing.pause_seconds,
        scope=here,
        key=key,
        served_by=served_by,
        least_output_tokens=least_output(sent, learned, floor_tokens=floor),
        provider=provider,
        credentials=credentials_of(request),
    )


def told_to(watch: "CallWatch", call: Call, terms: Terms) -> Call:
    """The same call, with `watch` told what becomes of it from now on."""
    from prefect_governor.blocks.telemetry.call import Asked

    governing = governing_of(terms)
    model = call.demand.attribution.model or ""
    watch.planned(
        Asked(
            governor="" if governing is None else governing.name,
            provider=call.provider,
            model=model.removeprefix(f"{call.provider}/"),
            max_tokens=call.plan.output_tokens,
            bound_nano=call.demand.bound.nano,
            streamed=call.plan.streamed,
        )
    )
    return replace(call, watch=watch)


def _opened(
    governing: Governing,
    dialect: Dialect,
    request: httpx.Request,
    body: bytes,
    headers: Mapping[str, str],
) -> tuple[CallRequest, str | None]:
    """A request, read; why it cannot be, where it is only observed. Raises NotBounded."""
    try:
        if "content-encoding" in headers:
            raise NotBounded(
                "a compressed request cannot be read, so it has no bound; send it plain"
            )
        check_headers(headers)
        return dialect.open(body, path=request.url.path), None
    except NotBounded as error:
        if not governing.observe:
            raise
        return named_in(body), str(error)


def _bounded(
    dialect: Dialect,
    asked: CallRequest,
    price: Price,
    request: httpx.Request,
    body: bytes,
    model: str,
    output: OutputTerms,
    headers: Mapping[str, str],
) -> tuple[CallRequest, Price, CallPlan]:
    """What a request may cost at most, at which price. Raises NotBounded, NotPriced, and what
    `Dialect.plan` does."""
    several = asked.routed and asked.fields.get("models") is not None
    if price.base_model is not None:
        several = is_pattern(price.base_model)
        asked = replace(asked, model=bare(price.base_model))
    if asked.provider == AZURE:
        asked = replace(asked, api_version=_dated(request.url.params.get("api-version")))
    price = widened_by(headers, price)
    asked, most, given = limited(dialect, asked, price, output)
    plan = dialect.plan(
        asked, price=most, encoding=None if several else encoding_of(asked.model, asked.provider)
    )
    if given:
        plan = replace(plan, own_limit=False)
    plan = in_its_lane(plan, headers, price, model)
    if plan.output_tokens and price.mode == "embedding":
        raise NotPriced(
            f"the price of {model!r} names none of its output, so it was not called."
            " Give output_usd_per_million_tokens too"
        )
    if price.mode == RERANK and not dialect.ranks:
        raise NotPriced(
            f"the price of {model!r} is that of a ranking (POST …/rerank), so it was not called."
            f" {how_to_price(model)}"
        )
    if is_signed(request) and credentials_of(request) is None:
        plan = sealed(plan, body)
    return asked, price, plan


def whose(told: str | None, url: httpx.URL) -> str | None:
    """Whose models are asked for: what the transport was told, or whose host it is, or Azure, whose
    paths a gateway before it keeps. At Azure's own hosts OpenAI's models are Azure's."""
    served_by = provider_at(billed_at(url.host, url.path))
    if served_by == AZURE and told in (None, OPENAI):
        return AZURE
    dated = "/openai/" in url.path and "api-version" in url.params
    by_path = AZURE if dated or deployment_of(url.path) is not None else None
    return told or served_by or by_path


def given_by(told: str | None, url: httpx.URL) -> str | None:
    """Who might give away what is asked for: whose host it is, whatever the transport was told, as
    what one gives away another bills; where nobody knows the host, as `whose`."""
    return provider_at(billed_at(url.host, url.path)) or whose(told, url)


def _dated(api_version: str | None) -> str | None:
    """The date of an API of Azure's; None for the one without dates, and for what is none."""
    return api_version if api_version is not None and api_version[:4].isdigit() else None


def _also(model: str, price: Price) -> tuple[str, ...]:
    """What a deployment of Azure's is called beside its name: a limit on OpenAI's models, or on
    the model behind it, holds it too."""
    base = price.base_model
    if base is None or is_pattern(base):
        return (f"{OPENAI}/{bare(model)}",)
    return (f"{AZURE}/{bare(base)}", f"{OPENAI}/{bare(base)}")


def _priced(
    governing: Governing,
    dialect: Dialect,
    asked: CallRequest,
    model: str,
    base_model: str | None,
    *,
    host: str,
) -> tuple[CallRequest, Price]:
    """What a request costs, and the request as it may be sent for that. Raises NotPriced."""
    routes = dialect.routes and model.startswith(f"{ROUTER}/")
    if routes:

        def price_of(slug: str) -> Price | None:
            name = f"{ROUTER}/{slug}"
            return governing.price_of(name, host=host) or upstream_price(name)

        found = routed(asked.model, asked.fields, price_of)
        if found is not None:
            fields, price = found
            return replace(asked, fields=fields, routed=True), price
    else:
        listed = governing.price_of(model, host=host, base_model=base_model)
        if listed is not None:
            return asked, listed
    why = f"{why_unpriced(model)}; so it was not called."
    if model.startswith(f"{AZURE}/"):
        raise NotPriced(f"{why} {how_to_name_the_model(model)} {how_to_price(model)}")
    raise NotPriced(f"{why} {how_to_price(model)}{f' {ROUTED}' if routes else ''}")


def how_to_name_the_model(model: str) -> str:
    """How people say which model is behind a deployment's name, to be followed word for word."""
    return (
        "At Azure a request names a deployment; name the model behind it as LiteLLM's list does,"
        f' in place of …: prices={{{model!r}: {{"base_model": "azure/…"}}}} to the Governor,'
        " to Governor.local or to http_client; or the same in the price of a Model block with that"
        ' name; or base_model="azure/…" to completion. One that is named as its model is needs'
        " none. Or:"
    )


def how_to_price(model: str) -> str:
    """How people give a model its price, to be followed word for word."""
    return (
        f"Give its price in USD per million tokens: prices={{{model!r}: "
        '{"input_usd_per_million_tokens": …, "output_usd_per_million_tokens": …}} to the Governor,'
        " to Governor.local or to http_client; or save a Model block with that name and a price."
        f' What costs nothing: prices={{{model!r}: "free"}}'
    )


def _fits(governing: Governing, here: Scope | None, plan: CallPlan) -> bool:
    """Whether the output may be fitted to what money there is."""
    # What is only observed is sent as it was asked for.
    if governing.observe or not governing.fit or (here is not None and not here.fit):
        return False
    return plan.least_output_tokens is not None
