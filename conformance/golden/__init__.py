"""The parts of generate.py: weights, the reference run, what a mistake would change, drafters, the real model."""
