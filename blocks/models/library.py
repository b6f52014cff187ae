"""LiteLLM, imported in one place: late (it takes seconds), once, and without phoning home."""

import importlib
import os
import threading
from typing import Any

from prefect_governor.blocks.machine.garbage import uncollected

_importing = threading.Lock()
_library: Any = None


def litellm() -> Any:
    """The `litellm` module. The first call imports it, from whatever thread; others wait for it.

    Its price map is the one that it ships, its hints for debugging and its telemetry are off.
    Nothing else of it is set: `litellm.drop_params` and the like are the user's.
    """
    global _library
    if _library is None:
        with _importing:
            if _library is None:
                os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
                # What an import makes stays, and looking through all of it again and again is a
                # fifth of the time of importing LiteLLM after Prefect.
                with uncollected():
                    module: Any = importlib.import_module("litellm")
                module.suppress_debug_info = True
                module.telemetry = False
                _library = module
    return _library
