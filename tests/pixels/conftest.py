"""One pool of real, sandboxed workers for the tests of what they answer."""

from collections.abc import Iterator

import pytest

from leadglass.pixels.limits import DecoderLimits
from leadglass.pixels.pool import DecoderPool


@pytest.fixture(scope="session")
def decoders() -> Iterator[DecoderPool]:
    # A machine that is busy with other tests takes its time.
    pool = DecoderPool(DecoderLimits(workers=2, job_seconds=60, start_seconds=120))
    yield pool
    pool.close()
