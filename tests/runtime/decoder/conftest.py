"""Tests of the search run on the compiled one and on that in numpy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgespeech.runtime.decoder.native.library import VARIABLE, search_kind


@pytest.fixture(scope="module", params=["native", "numpy"])
def search(request: pytest.FixtureRequest) -> Iterator[str]:
    """The search that decoders use during a module's tests."""
    if request.param == "native" and (reason := search_kind().reason):
        pytest.skip(reason)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, request.param)
        yield request.param


@pytest.fixture
def native_search() -> None:
    """Skip a test where the search was not compiled."""
    if reason := search_kind().reason:
        pytest.skip(reason)
