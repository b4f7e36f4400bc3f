"""The execution provider of each node of a graph, read from a profile written by onnxruntime."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec

CPU = "CPUExecutionProvider"


class _Facts(msgspec.Struct, frozen=True):
    op_name: str = "?"
    provider: str = ""


class _Event(msgspec.Struct, frozen=True):
    cat: str = ""
    name: str = ""
    args: _Facts = _Facts()


def read_profile(path: Path) -> tuple[int | None, dict[str, int] | None]:
    """Count the nodes in the profile of one step that onnxruntime wrote.

    Returns:
        Number of nodes, and of those on the CPU by operator, the most frequent first; (None, None) if the profile
        cannot be read or contains no node.
    """
    try:
        events = msgspec.json.decode(path.read_bytes(), type=list[_Event])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None, None
    nodes = {event.name: event.args for event in events if event.cat == "Node" and event.args.provider}
    if not nodes:
        return None, None
    on_cpu = Counter(node.op_name for node in nodes.values() if node.provider == CPU)
    return len(nodes), dict(on_cpu.most_common())


def describe_fallback(nodes: int | None, nodes_on_cpu: dict[str, int] | None) -> str:
    """Describe the results of `read_profile`, as in ``9 of 90 nodes fell back to the CPU: 6 Identity, 3 Slice``.

    The text is empty if no node did.
    """
    if not nodes_on_cpu:
        return ""
    operators = ", ".join(f"{count} {operator}" for operator, count in nodes_on_cpu.items())
    return f"{sum(nodes_on_cpu.values())} of {nodes} nodes fell back to the CPU: {operators}"
