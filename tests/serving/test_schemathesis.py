"""The description that is served is true: what it allows and what it forbids, sent by the hundred, is answered as it says."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from .conftest import run_server, tiny_engine

# Not positive_data_acceptance: a prompt of spaces, or a side that is no multiple of the grid, is text and number to any schema.
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance, response_schema_conformance,
    negative_data_rejection, unsupported_method,
]  # fmt: skip


@pytest.fixture(scope="module")
def small() -> Iterator[Any]:
    # A random request may be granted: it must not take a minute.
    running = run_server(tiny_engine(few_step=True), max_n=2, max_steps=2, max_size_px=64)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def described(small: Any) -> Any:
    return schemathesis.openapi.from_url(f"{small.url}/openapi.json")


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_as_described(described: Any, mode: GenerationMode) -> None:
    operations = [found.ok() for found in described.get_all_operations()]
    if mode is GenerationMode.NEGATIVE:
        # Nothing that is sent to the others can be wrong.
        operations = [operation for operation in operations if operation.method == "post"]
    assert len(operations) == (2 if mode is GenerationMode.NEGATIVE else 9)
    for operation in operations:

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=20, deadline=None, derandomize=True, database=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck))
        def ask(case: Any) -> None:
            case.call_and_validate(checks=CHECKS, timeout=60)

        ask()
