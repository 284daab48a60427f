"""instructions.py LIBRARY: what ptxas has made of the kernels, where there is a disassembler (cuobjdump of CUDA's toolkit, or of
the package nvidia-cuda-cuobjdump; G4_CUOBJDUMP names one): the instructions that kernels are written for, and nothing kept in
a thread's memory."""

import os
import re
import shutil
import subprocess
import sys

# Of which kernels, and what each must have: products of warps and of warpgroups, copies that land later, dependent launch.
WANTED = {
    "sm_80": {"product_panels": ("HMMA",), "attend_tile": ("HMMA",)},
    "sm_90a": {
        "product_panels": ("HMMA", "UBLKCP", "ACQBULK", "PREEXIT"),
        "prompt_panels": ("HGMMA.64x64x16.F32", "UBLKCP", "ACQBULK", "PREEXIT"),
        "attend_tile": ("HMMA", "ACQBULK", "PREEXIT"),
        "": ("ACQBULK",),  # every kernel waits for those in front
    },
}

library = sys.argv[1]
tool = os.environ.get("G4_CUOBJDUMP") or shutil.which("cuobjdump", path=os.environ.get("PATH", "") + ":/usr/local/cuda/bin")
if tool is None:
    print("skipped: there is no cuobjdump in PATH or /usr/local/cuda/bin")
    sys.exit(77)
environment = dict(os.environ, PATH=os.path.dirname(tool) + ":" + os.environ.get("PATH", ""))  # it calls nvdisasm
done = subprocess.run([tool, "-sass", library], capture_output=True, text=True, check=False, env=environment)
if done.returncode != 0:
    sys.exit(f"{tool}: {done.stderr.strip()}")

kernels = {}  # (architecture, kernel): its instructions' names
architecture = here = None
for line in done.stdout.splitlines():
    if found := re.match(r"\s*(?:arch|\.target|EF_CUDA_SM\w*)\s*=?\s*(sm_\w+)", line):
        architecture = found[1]
    elif found := re.match(r"\s*Function : (\S+)", line):
        here = kernels.setdefault((architecture, found[1]), set())
    elif here is not None and (found := re.match(r"\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.x]*)", line)):
        here.add(re.sub(r"(?i)x", "x", found[1]) if found[1].startswith("HGMMA") else found[1])

wrong = []
for wanted_of, wanted in WANTED.items():
    of = {name: has for (arch, name), has in kernels.items() if arch == wanted_of}
    if not of:
        if wanted_of == "sm_80":
            continue  # built for other architectures
        wrong.append(f"there is no kernel for {wanted_of}")
    for part, instructions in wanted.items():
        with_part = {name: has for name, has in of.items() if part in name}
        if of and not with_part:
            wrong.append(f"{wanted_of}: there is no kernel {part}")
        for name, has in with_part.items():
            for one in instructions:
                if not any(h.startswith(one) for h in has):
                    wrong.append(f"{wanted_of}: {name} has no {one}")
for (arch, name), has in kernels.items():
    if "turn_angles" in name:
        continue  # cosines of large angles have a table there
    if any(h.startswith(("LDL", "STL")) for h in has):
        wrong.append(f"{arch}: {name} keeps numbers in its threads' memory")
print(f"{len(kernels)} kernels")
if wrong:
    sys.exit("\n".join(wrong))
