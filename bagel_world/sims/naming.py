"""What footage calls its simulator."""

from __future__ import annotations


def public_name(simulator: type) -> str:
    """The name that manifests ("simulator") and episodes ("source") tell: where a user imports this simulator from."""
    return f"bagel_world.sims.{simulator.__name__}"
