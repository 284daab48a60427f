"""One measurement of a PyTorch tower, for `compare`: the modules of transformers and timm with random weights.

  peer.py TOWER float32|bfloat16 THREADS REPEAT wall|cpu     prints one line of JSON
"""

import json
import resource
import sys
import time

import torch
import transformers

torch.manual_seed(0)
torch.set_grad_enabled(False)


def siglip(dtype):
    from transformers import SiglipVisionConfig, SiglipVisionModel

    config = SiglipVisionConfig(hidden_size=1152, intermediate_size=4304, num_hidden_layers=27, num_attention_heads=16,
                                image_size=896, patch_size=14, vision_use_head=False)
    model = SiglipVisionModel(config).eval().to(dtype)
    pixels = torch.randn(1, 3, 896, 896).to(dtype)
    return lambda: model(pixels)


def gemma4_picture(dtype, **shape):
    from transformers.models.gemma4.configuration_gemma4 import Gemma4VisionConfig
    from transformers.models.gemma4.modeling_gemma4 import Gemma4VisionModel

    model = Gemma4VisionModel(Gemma4VisionConfig(**shape)).eval().to(dtype)
    rows, columns = torch.meshgrid(torch.arange(42), torch.arange(60), indexing="ij")
    places = torch.stack([columns.flatten(), rows.flatten()], -1)[None]
    patches = torch.rand(1, 42 * 60, 768).to(dtype)
    return lambda: model(patches, places)


def vit_small(dtype):
    return gemma4_picture(dtype, use_clipped_linears=True)  # all else is the configuration's default


def vit_large(dtype):
    return gemma4_picture(dtype, hidden_size=1152, intermediate_size=4304, num_hidden_layers=27, num_attention_heads=16,
                          num_key_value_heads=16, head_dim=72, standardize=True)


def conformer(dtype):
    from transformers.models.gemma4.configuration_gemma4 import Gemma4AudioConfig
    from transformers.models.gemma4.modeling_gemma4 import Gemma4AudioModel

    model = Gemma4AudioModel(Gemma4AudioConfig()).eval().to(dtype)
    frames = 999  # of ten seconds
    features, there = torch.randn(1, frames, 128).to(dtype), torch.ones(1, frames, dtype=torch.bool)
    return lambda: model(features, there)


def mobilenet(dtype):
    import timm

    model = timm.create_model("mobilenetv5_300m_enc", pretrained=False).eval().to(dtype)
    pixels = torch.rand(1, 3, 768, 768).to(dtype)
    return lambda: model.forward_features(pixels)


def conformer_3n(dtype):
    from transformers.models.gemma3n.configuration_gemma3n import Gemma3nAudioConfig
    from transformers.models.gemma3n.modeling_gemma3n import Gemma3nAudioEncoder

    model = Gemma3nAudioEncoder(Gemma3nAudioConfig()).eval().to(dtype)
    frames = 997  # of ten seconds
    features, padding = torch.randn(1, frames, 128).to(dtype), torch.zeros(1, frames, dtype=torch.bool)
    return lambda: model(features, padding)


def main():
    tower, dtype, threads, repeat, clock = sys.argv[1:]
    torch.set_num_threads(int(threads))
    now = time.process_time if clock == "cpu" else time.perf_counter
    towers = {"siglip": siglip, "vit_small": vit_small, "vit_large": vit_large, "conformer": conformer, "mobilenet": mobilenet,
              "conformer_3n": conformer_3n}
    run = towers[tower](getattr(torch, dtype))
    run()
    seconds = []
    for _ in range(int(repeat)):
        begun = now()
        run()
        seconds.append(now() - begun)
    print(json.dumps({"least_s": min(seconds), "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
                      "package": f"torch {torch.__version__}, transformers {transformers.__version__}"}))


main()
