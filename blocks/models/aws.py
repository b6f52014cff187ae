"""What a call of Amazon Bedrock's through LiteLLM needs before it is made: boto3, a region, and
credentials or an API key."""

import asyncio
import os
from importlib.util import find_spec
from typing import Any

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.models.calls import Prepared
from prefect_governor.blocks.models.library.module import litellm
from prefect_governor.blocks.prices.bedrock import PROVIDER, region_and_id
from prefect_governor.blocks.wire.replies.event_stream import BOTOCORE, INSTALL

# A key of Bedrock's own, which needs no signature
# (docs.aws.amazon.com/bedrock/latest/userguide/api-keys-use.html).
BEARER = "AWS_BEARER_TOKEN_BEDROCK"
# LiteLLM's order (docs.litellm.ai/docs/providers/bedrock); the last is botocore's own.
REGIONS = ("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION")
ENDPOINT = "AWS_BEDROCK_RUNTIME_ENDPOINT"
# What LiteLLM resolves credentials from, of its arguments of a call.
CREDENTIALS = (
    "aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_session_name",
    "aws_profile_name", "aws_role_name", "aws_web_identity_token", "aws_sts_endpoint",
    "aws_external_id",
)  # fmt: skip


def credentials_of(call: Prepared) -> Any:
    """botocore's credentials that a call is signed with: those that LiteLLM takes for it. None for
    a call that is not signed: of another provider, or with a Bedrock API key.

    Raises ConfigurationError where boto3, a region or credentials are missing. It may read files
    and ask AWS for a session, as LiteLLM does.
    """
    if call.wanted.provider != PROVIDER:
        return None
    _check_installed(call.model)
    given = call.arguments
    bearer = given.get("api_key") or os.environ.get(BEARER)
    address = given.get("api_base") or given.get("aws_bedrock_runtime_endpoint")
    region = given.get("aws_region_name") or _region(str(given.get("model_id") or call.model))
    _check_region(call.model, region, bearer=bool(bearer), address=address)
    if bearer:
        return None
    litellm()
    from litellm.llms.bedrock.base_aws_llm import BaseAWSLLM

    named = {name: given[name] for name in CREDENTIALS if given.get(name)}
    found = BaseAWSLLM().get_credentials(**named, aws_region_name=region)
    if found is None or not found.access_key:
        raise _no_credentials(call.model)
    return found


async def credentials_off_loop(call: Prepared) -> Any:
    """The same, without holding the event loop."""
    if call.wanted.provider != PROVIDER:
        return None
    return await asyncio.to_thread(credentials_of, call)


def check_there(model: str, *, bearer: bool, address: str | None) -> None:
    """What `credentials_of` would miss, told before a run begins: from what the environment and
    AWS's own files say, and `bearer`, that a key is given. Raises ConfigurationError."""
    _check_installed(model)
    from botocore.session import Session

    bearer = bearer or bool(os.environ.get(BEARER))
    if not bearer and Session().get_credentials() is None:
        raise _no_credentials(model)
    _check_region(model, _region(model), bearer=bearer, address=address)


def _check_installed(model: str) -> None:
    if find_spec(BOTOCORE) is None or find_spec("boto3") is None:
        raise ConfigurationError(f"{model} needs boto3: {INSTALL}")


def _check_region(model: str, region: Any, *, bearer: bool, address: Any) -> None:
    """A key of Bedrock's at an address that is given needs none: nothing is signed."""
    if not region and not (bearer and (address or os.environ.get(ENDPOINT))):
        raise ConfigurationError(f"no AWS region for {model}: set AWS_REGION, or aws_region_name")


def _no_credentials(model: str) -> ConfigurationError:
    return ConfigurationError(
        f"no key for {model}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
        f"AWS_PROFILE, or a Bedrock API key in {BEARER}"
    )


def _region(model: str) -> str | None:
    """The region that the model's name gives, else the environment, else AWS's own files."""
    named, bare = region_and_id(model)
    # arn:PARTITION:bedrock:REGION:ACCOUNT:…
    parts = bare.split(":")
    if named is None and bare.startswith("arn:") and len(parts) > 3:
        named = parts[3] or None
    found = named or next((os.environ[each] for each in REGIONS if os.environ.get(each)), None)
    if found is None:
        from botocore.session import Session

        found = Session().get_config_variable("region")
    return found
