"""torch.compile under a limit of time, for rivals that are compiled."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Iterator
from typing import Any

from polyad.bench import harness


@contextlib.contextmanager
def compiling(limit_s: float) -> Iterator[None]:
    """Let inductor compile in the block: afresh, in this process, and for at most ``limit_s``.

    Raises:
        TimeoutError: The block took longer, whatever a compiler made of the interruption.
    """
    import torch
    import torch._inductor.config

    options = {"compile_threads": 1, "force_disable_caches": True}
    patch: Any = torch._inductor.config.patch
    start = time.perf_counter()
    try:
        with patch(options), warnings.catch_warnings(), harness.time_limit(limit_s):
            warnings.simplefilter("ignore")  # of torch about itself
            yield
    except Exception as error:
        torch._dynamo.reset()
        if time.perf_counter() - start < limit_s:
            raise
        raise TimeoutError(f"more than {limit_s:.0f} s") from error
