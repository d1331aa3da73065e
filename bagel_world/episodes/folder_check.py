"""What is wrong in a folder of samples or of episodes."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

MOST_FINDINGS = 20
"""Findings that are kept; the rest is only counted."""


@dataclass(slots=True, kw_only=True)
class FolderCheck:
    """The findings of a walk through a folder; what there is besides, each kind of folder counts for itself.

    Attributes:
        damaged: entries that cannot be read.
        twice: entries whose name another one had before.
        findings: what is wrong, the first few.
    """

    damaged: int = 0
    twice: int = 0
    findings: list[str] = field(default_factory=list)
    _names: set[Hashable] = field(default_factory=set)

    @property
    def fine(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.damaged or self.twice or self.findings)

    def find(self, finding: str) -> None:
        """Keep what is wrong."""
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(finding)

    def name(self, name: Hashable, finding: str) -> None:
        """Note the name of an entry; one that came before is found."""
        if name in self._names:
            self.twice += 1
            self.find(finding)
        self._names.add(name)
