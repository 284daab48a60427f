#!/usr/bin/env bash
# usage: tools/make_aarch64_root.sh DEST     gathers what the aarch64 preset links and includes, from Debian's packages:
# the header-only libraries as they are, GoogleTest compiled for aarch64.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dest=$1
[ ! -f "$dest/usr/.complete" ] || exit 0

rm -rf "$dest" "$dest.googletest"
mkdir -p "$dest/usr/include" "$dest/usr/share/cmake"
for name in eigen3 nlohmann tl; do ln -s "/usr/include/$name" "$dest/usr/include/$name"; done
for config in eigen3/cmake:eigen3 cmake/nlohmann_json:nlohmann_json cmake/tl-expected:tl-expected; do
  cp -r "/usr/share/${config%:*}" "$dest/usr/share/cmake/${config#*:}"
done
cmake -S /usr/src/googletest -B "$dest.googletest" -G Ninja -D CMAKE_TOOLCHAIN_FILE="$PWD/cmake/aarch64.cmake" \
  -D CMAKE_BUILD_TYPE=Release -D CMAKE_INSTALL_PREFIX=/usr
cmake --build "$dest.googletest" -j 2
DESTDIR=$dest cmake --install "$dest.googletest"
rm -rf "$dest.googletest"
touch "$dest/usr/.complete"
