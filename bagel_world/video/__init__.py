"""From films to samples: sources, cuts, filters, frames, texts, and a report on everything that was dropped.

A leaf of the package: numpy, Pillow and PyAV, no torch. A model that writes texts comes in as a function.
"""

from __future__ import annotations

from bagel_world.video.captions import Captioner, CaptionError, Change, FunctionCaptioner, SidecarCaptioner, TemplateCaptioner
from bagel_world.video.config import ClipConfig, DuplicateConfig, FootageConfig, FrameConfig
from bagel_world.video.conversion import Conversion
from bagel_world.video.report import Report, write_report
from bagel_world.video.sheet import save_sheet
from bagel_world.video.sources import Found, Source, find_sources

__all__ = [
    "CaptionError",
    "Captioner",
    "Change",
    "ClipConfig",
    "Conversion",
    "DuplicateConfig",
    "FootageConfig",
    "Found",
    "FrameConfig",
    "FunctionCaptioner",
    "Report",
    "SidecarCaptioner",
    "Source",
    "TemplateCaptioner",
    "find_sources",
    "save_sheet",
    "write_report",
]
