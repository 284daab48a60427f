#!/bin/sh
# Puts the source of Highway 1.2.0 into DEST, on Debian 12, whose own Highway is older: through apt and the mirror this
# machine already uses, without root and without touching apt's state.   usage: tools/get_highway.sh DEST
set -eu
mkdir -p "$1"
dest=$(cd "$1" && pwd)
work=$dest/.apt
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/src"
: >"$work/status"

uri=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' 'Created-By: Packages' | head -n 1)
[ -n "$uri" ] || uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
[ -n "$uri" ] || { echo "apt has no package source" >&2; exit 1; }
cat >"$work/trixie.sources" <<SOURCES
Types: deb-src
URIs: $uri
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
set -- -q -o Dir::Etc::sourcelist="$work/trixie.sources" -o Dir::Etc::sourceparts=/dev/null \
  -o Dir::Etc::preferencesparts=/dev/null -o Dir::State::lists="$work/lists" -o Dir::State::status="$work/status" \
  -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root

apt-get "$@" update
cd "$work/src"
apt-get "$@" source --download-only highway
archive=$(echo highway_*.orig.tar.gz)
echo "7e0be78b8318e8bdbf6fa545d2ecb4c90f947df03f7aadc42c1967f019e63343  $archive" | sha256sum -c -
tar -xzf "$archive" -C "$dest" --strip-components=1
rm -rf "$work"
