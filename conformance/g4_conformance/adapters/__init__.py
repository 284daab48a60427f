"""Engines that others wrote, behind the door of `run --engine`. Each imports what it needs when it is made."""
