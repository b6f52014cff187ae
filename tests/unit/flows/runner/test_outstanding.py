"""What a task runner still waits for when its flow is left."""

import logging
import time
from concurrent.futures import CancelledError, Future
from typing import Any

from prefect_governor.blocks.machine.stops import Now
from prefect_governor.flows.runner.outstanding import ABORT_SECONDS, Outstanding


def test_a_ctrl_c_after_others_waits_for_nothing_that_is_in_flight() -> None:
    in_flight: Future[Any] = Future()
    in_flight.set_running_or_notify_cancel()
    began = time.monotonic()
    outstanding = Outstanding(
        cancel=lambda: in_flight.set_exception(CancelledError()), logger=logging.getLogger(__name__)
    )
    outstanding.add(in_flight)
    outstanding.end(Now())
    assert not len(outstanding)
    assert time.monotonic() - began < ABORT_SECONDS
