"""The suite's version is a date: two results may be compared where it is the same (CHANGELOG.md says what changed)."""

VERSION = "2026.12.1"
