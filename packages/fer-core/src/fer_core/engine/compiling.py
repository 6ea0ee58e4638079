"""What torch's compiler had to compile again, in words."""

from __future__ import annotations

import re

GRADIENTS = ("grad_mode", "inference_mode")


def recompilations(since: float) -> tuple[str, ...]:
    """Why functions were compiled again, once for each time.

    Args:
        since: Time as `time.time` gives it, from which on they count.
    """
    from torch._dynamo.utils import get_compilation_metrics

    found = [metrics for metrics in get_compilation_metrics() if (metrics.start_time_us or 0) >= since * 1e6]
    return tuple(in_words(each.co_name or "", each.recompile_reason) for each in found if each.recompile_reason)


def in_words(function: str, reason: str) -> str:
    """The function, and the first of torch's reasons, such as `0/0: tensor 'x' size mismatch at index 0...`."""
    first = re.sub(r"^\W*\d+/\d+:\s*", "", reason.strip().splitlines()[0])
    size = re.search(r"size mismatch at index (\d+)\. expected (\d+), actual (\d+)", first)
    if size:
        axis, expected, actual = size.groups()
        why = f"a tensor had {actual} rows instead of {expected}"
        if axis != "0":
            why = f"a tensor had {actual} instead of {expected} elements along dimension {axis}"
    elif any(mode in first for mode in GRADIENTS):
        why = "gradients were switched on or off"
    elif "training" in first:
        why = "the model was switched between training and evaluation"
    else:
        why = f"a value that its code depends on has changed: {first[:120]}"
    return f"{function}: {why}"
