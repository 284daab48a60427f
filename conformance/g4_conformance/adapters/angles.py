"""The angles of a model of transformers, from float64: frequencies, angles, cosines and sines, each of those rounded to float32 once.

transformers works them out in float32. An angle is a position times a frequency, so what float32 rounds off it grows with the
position, and every order of summation has the same angles: two runs of the reference cannot show it. A third can, with these.
"""

from __future__ import annotations

import contextlib

from ..cases import BadCase

_FREQUENCIES = ("inv_freq", "inv_timescales")  # how buffers end that a position is multiplied by
_NEAR = 1e-5  # of a frequency: float32 is nearer, and another rule for frequencies is not


def from_float64(torch, model):
    """Changes `model`, and returns it. Every module that keeps frequencies, of the text and of the towers, answers from a twin in
    float64, made by its own class from its own configuration; so every kind of rotary embedding that a model can have is one."""
    wide = _wide(torch)
    for name, module in list(model.named_modules()):
        kept = {n: b for n, b in module.named_buffers(recurse=False) if n.endswith(_FREQUENCIES)}
        if not kept:
            continue
        with wide():
            twin = type(module)(getattr(module, "config", None) or model.config.audio_config)
        for buffer, rounded in kept.items():
            exact = getattr(twin, buffer)
            if exact.dtype != torch.float64 or exact.shape != rounded.shape or not torch.allclose(exact, rounded.double(), rtol=_NEAR, atol=0):
                raise BadCase(f"{name}.{buffer} of transformers is not understood in float64")
        # The relative positions of Gemma 3n's sound tower are one step of a module that does more.
        step = "_get_timing_signal_1d_pos" if hasattr(module, "_get_timing_signal_1d_pos") else "forward"
        setattr(module, step, _rounded_once(torch, wide, getattr(twin, step)))
    return model


def _rounded_once(torch, wide, function):
    def answer(*args, **kwargs):
        with wide():
            out = function(*args, **kwargs)
        return tuple(part.to(torch.float32) for part in out) if isinstance(out, tuple) else out.to(torch.float32)

    return answer


def _wide(torch):
    """What makes a context in which all that is asked for in float32 is made in float64."""

    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            widened = lambda value: torch.float64 if value is torch.float32 else value
            function = torch.Tensor.double if function is torch.Tensor.float else function
            return function(*map(widened, args), **{name: widened(value) for name, value in (kwargs or {}).items()})

    @contextlib.contextmanager
    def wide():
        usual = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            with Mode():
                yield
        finally:
            torch.set_default_dtype(usual)

    return wide
