"""A model of transformers whose large weights stay in the checkpoint: each is read when its module runs and let go behind it.

What a pass takes is the largest single weight in float32, the small ones, and the activations. Of a table that is only looked
up, the rows that are asked for are read. The modules and their arithmetic are transformers' own.
"""

from __future__ import annotations

import contextlib
import re

from ..cases import BadCase

SMALL = 1 << 20  # numbers; a matrix with fewer is kept, and every vector, which modules also use outside of their forward


class Streams:
    """`model(...)` makes a model of a checkpoint folder that takes no more than `memory` bytes for weights."""

    def __init__(self, torch, transformers, memory: int, small: int = SMALL):
        self.torch, self.transformers, self.memory, self.small = torch, transformers, memory, small

    def model(self, folder, cls, attention):
        import safetensors
        torch = self.torch
        files = [safetensors.safe_open(str(path), framework="pt") for path in sorted(folder.glob("*.safetensors")) if path.name != "expected.safetensors"]
        self._where = {_bare(name): (file, name) for file in files for name in file.keys()}
        config = self.transformers.AutoConfig.from_pretrained(folder)
        with self._no_numbers():
            model = cls._from_config(config, attn_implementation=attention, dtype=torch.float32).eval()
        for name, module in model.named_modules():
            self._fill(name, module)
        return model

    @contextlib.contextmanager
    def _no_numbers(self):
        """Parameters are made without numbers; buffers, which are worked out and not read, are made as always."""
        register, torch = self.torch.nn.Module.register_parameter, self.torch

        def empty(module, name, value):
            register(module, name, None if value is None else torch.nn.Parameter(value.to("meta"), requires_grad=False))

        torch.nn.Module.register_parameter = empty
        try:
            yield
        finally:
            torch.nn.Module.register_parameter = register

    def _fill(self, prefix, module):
        torch, large = self.torch, {}
        for name, buffer in module.named_buffers(recurse=False):
            if name not in module._non_persistent_buffers_set and (found := self._find(f"{prefix}.{name}")):
                buffer.copy_(self._read(found).reshape(buffer.shape))
        for name, parameter in module.named_parameters(recurse=False):
            found = self._find(f"{prefix}.{name}")
            if found is None:
                if _is_tower(prefix):
                    continue
                raise BadCase(f"the checkpoint has no {prefix}.{name}, which transformers asks for")
            shape = found[0].get_slice(found[1]).get_shape()
            if list(shape) != list(parameter.shape):
                raise BadCase(f"{found[1]} is {shape} in the checkpoint and {list(parameter.shape)} in transformers")
            if parameter.dim() < 2 or parameter.numel() < self.small:
                setattr(module, name, torch.nn.Parameter(self._read(found), requires_grad=False))
            else:
                large[name] = found, parameter
        if not large:
            return
        if isinstance(module, torch.nn.Embedding) and not (prefix.endswith("embed_tokens") and 4 * large["weight"][1].numel() <= self.memory // 2):
            self._by_rows(module, *large["weight"])
        elif isinstance(module, torch.nn.Embedding):
            module.weight = torch.nn.Parameter(self._read(large["weight"][0]), requires_grad=False)
        else:
            self._when_it_runs(module, large)

    def _when_it_runs(self, module, large):
        for _, parameter in large.values():
            if 4 * parameter.numel() > self.memory:
                raise BadCase(f"a weight of {list(parameter.shape)} takes {4 * parameter.numel() / 2**30:.1f} GiB in float32, more than --memory gives")

        def read(*_):
            for name, (found, _) in large.items():
                setattr(module, name, self.torch.nn.Parameter(self._read(found), requires_grad=False))

        def let_go(*_):
            for name, (_, parameter) in large.items():
                setattr(module, name, parameter)

        module.register_forward_pre_hook(read)
        module.register_forward_hook(let_go)

    def _by_rows(self, module, found, parameter):
        torch = self.torch
        rows = found[0].get_slice(found[1])

        def read(_, args):
            ids, places = torch.unique(args[0], return_inverse=True)
            table = torch.cat([rows[int(i):int(i) + 1] for i in ids]).float()
            module.weight = torch.nn.Parameter(table, requires_grad=False)
            return (places, *args[1:])

        module.register_forward_pre_hook(read)
        module.register_forward_hook(lambda *_: setattr(module, "weight", parameter))
        module.padding_idx = None  # of training

    def _find(self, name):
        bare = _bare(name)
        return self._where.get(bare) or (self._where.get("embed_tokens.weight") if bare == "lm_head.weight" else None)

    def _read(self, found):
        return found[0].get_tensor(found[1]).float()


def _bare(name: str) -> str:
    """A tensor's name without what families and releases put in front of it."""
    return re.sub(r"^(model\.|language_model\.)+", "", name)


def _is_tower(prefix: str) -> bool:
    return re.search(r"(^|\.)(vision|audio|embed_vision|embed_audio|multi_modal_projector)", prefix) is not None
