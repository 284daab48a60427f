"""Conformance suite for engines that run the Gemma models. See README.md, or `g4-conformance --help`."""

from .version import VERSION as __version__


class NotApplicable(Exception):
    """Raised by an engine for a case that it does not claim to run; the text says why."""


__all__ = ["NotApplicable", "__version__"]
