# Shared by run.sh and test.sh, which source it from the repository root. Everything said here goes to stderr.
# Killing it at any point is harmless: what is fetched lands under its final name only when it is whole.
#
#   G4_NO_INSTALL=1     install no packages; say what is missing and go on
#   XDG_CACHE_HOME      where the model and Highway are kept, in a folder g4 (default: ~/.cache)

g4_cache=${XDG_CACHE_HOME:-${HOME:-$PWD/build}/.cache}/g4
g4_jobs=$(nproc 2>/dev/null || echo 2)
[ "$g4_jobs" -le 8 ] || g4_jobs=8                       # a compile may take 0.5 GB

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# quietly LOG COMMAND…: the command's output goes to LOG; its last lines are shown when it fails.
quietly() {
  local log=$1 status=0
  shift
  mkdir -p "$(dirname "$log")"
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if [ "$status" -ne 0 ]; then
    say "This failed: $*"
    tail -n 25 "$log" >&2
    say "The whole output is in $log"
  fi
  return "$status"
}

# Only one set-up or build at a time in this checkout: the second waits. The lock goes when the process ends.
lock_checkout() {
  mkdir -p build
  exec 9>build/.lock
  if command -v flock >/dev/null && ! flock -n 9; then
    say "Another run is setting up in this folder; waiting for it ..."
    flock 9
  fi
}
unlock_checkout() { exec 9>&-; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# need_packages PACKAGE…: installs those that are missing, on Debian and its relatives.
need_packages() {
  local missing=() package
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then return 0; fi
  for package in "$@"; do
    case $package in                                    # another source of these is as good
      g++ | clang | python3) command -v "${package/clang/clang++}" >/dev/null && continue ;;
      cmake) cmake_is_new_enough && continue ;;
      ninja-build) command -v ninja >/dev/null && continue ;;
      python3-pip) python3 -m pip --version >/dev/null 2>&1 && continue ;;
    esac
    is_installed "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ -n "${G4_NO_INSTALL:-}" ]; then
    say "Missing packages, not installed because G4_NO_INSTALL is set: ${missing[*]}"
    return 0
  fi
  local how="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "g4 needs packages that only root can install. As root: $how"
    if [ ! -t 0 ] && ! sudo -n true 2>/dev/null; then
      die "g4 needs packages, and sudo wants a password but there is no terminal to ask on. Please run: sudo sh -c '$how'"
    fi
    sudo -v || die "g4 needs packages that only root can install. As root: $how"
  fi
  say "Installing ${missing[*]} ..."
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600)
  quietly build/log/apt-update.txt as_root "${apt[@]}" update ||
    say "The package lists could not be brought up to date (no network?); trying with those at hand."
  quietly build/log/apt-install.txt as_root "${apt[@]}" install -y --no-install-recommends "${missing[@]}" ||
    die "The packages could not be installed. Once the cause above is mended, run this again; or by hand, as root: $how"
}

cmake_is_new_enough() {
  command -v cmake >/dev/null &&
    printf '3.24\n%s\n' "$(cmake --version | sed -n '1s/[^0-9]*\([0-9.]*\).*/\1/p')" | sort -C -V
}

build_packages=(g++ cmake ninja-build libeigen3-dev libexpected-dev libfmt-dev)
check_packages=(nlohmann-json3-dev)                     # of conformance/check
test_packages=("${check_packages[@]}" libgtest-dev libgmock-dev libbenchmark-dev python3 python3-numpy python3-pip python3-setuptools python3-wheel
  libopenmpi-dev openmpi-bin)
media_packages=(libpng-dev libjpeg-dev libwebp-dev libsndfile1-dev libsoxr-dev)   # of what reads pictures and sounds
serve_packages=(libcpp-httplib-dev)                     # of `g4 serve`
model_packages=(ca-certificates python3 python3-pip)

# need_openai: OpenAI's client for Python in build/python, for the tests of `g4 serve`; without it these are skipped.
need_openai() {
  local folder=build/python fresh
  [ ! -d "$folder/openai" ] || return 0
  [ -z "${G4_NO_INSTALL:-}" ] || return 0
  say "Getting OpenAI's client for the tests of g4 serve ..."
  mkdir -p build
  fresh=$(mktemp -d build/python.XXXXXX)
  if quietly build/log/openai.txt python3 -m pip --disable-pip-version-check install --quiet --only-binary :all: --target "$fresh" 'openai>=1,<4'; then
    mv -T "$fresh" "$folder" 2>/dev/null || rm -rf "$fresh"
  else
    rm -rf "$fresh"
    say "It could not be had; tests with it are skipped."
  fi
}

# Highway 1.2 or later. Sets highway_flags to what CMake needs to find it: nothing where it is installed, the folder of a
# source tree otherwise. Where neither can be had, CMake fetches the release itself.
highway_flags=()
need_highway() {
  local folder=$g4_cache/highway-1.2.0
  if command -v dpkg-query >/dev/null; then
    dpkg --compare-versions "$(dpkg-query -W -f '${Version}' libhwy-dev 2>/dev/null)" ge 1.2 && return 0
  fi
  if [ ! -f "$folder/CMakeLists.txt" ] && command -v apt-get >/dev/null; then
    say "Getting Highway 1.2.0 ..."
    mkdir -p "$g4_cache"
    local fresh
    fresh=$(mktemp -d "$g4_cache/highway.XXXXXX")
    if quietly build/log/highway.txt tools/get_highway.sh "$fresh"; then
      mv -T "$fresh" "$folder" 2>/dev/null || rm -rf "$fresh"          # somebody else may have been quicker
    else
      rm -rf "$fresh"
      say "Trying the release archive instead ..."
    fi
  fi
  if [ -f "$folder/CMakeLists.txt" ]; then highway_flags=("-DFETCHCONTENT_SOURCE_DIR_HIGHWAY=$folder"); fi
  find "$g4_cache" -maxdepth 1 -name 'highway.??????' -mmin +60 -exec rm -rf {} + 2>/dev/null || true
}

# configure PRESET [FLAG…], then build PRESET [TARGET…]. Logs: build/log.
configure() {
  local preset=$1
  shift
  if ! quietly "build/log/configure-$preset.txt" cmake --preset "$preset" "${highway_flags[@]}" "$@"; then
    # A half-written cache, or one made by another CMake, is no reason to give up.
    say "Trying once more from an empty build/$preset ..."
    rm -rf "build/$preset"
    quietly "build/log/configure-$preset.txt" cmake --preset "$preset" "${highway_flags[@]}" "$@"
  fi
}

build() {
  local preset=$1
  shift
  quietly "build/log/build-$preset.txt" cmake --build --preset "$preset" -j "$g4_jobs" ${1+--target "$@"}
}

# configure_here: build/here is for the CPU it was configured on. A checkout that has moved to another is set up anew.
configure_here() {
  local stamp=build/here/cpu cpu
  cpu=$(uname -m; grep -m 1 -E '^(flags|Features)' /proc/cpuinfo 2>/dev/null || true)
  if [ -f build/here/build.ninja ] && [ "$cpu" = "$(cat "$stamp" 2>/dev/null)" ]; then return 0; fi
  rm -f "$stamp"
  configure here
  printf '%s\n' "$cpu" >"$stamp"
}

# build_here TARGET WHAT: builds it, and says so where there is something to do.
build_here() {
  if cmake --build --preset here --target "$1" -- -n 2>/dev/null | grep -q 'no work to do'; then return 0; fi
  say "Building $2 ..."
  build here "$1" 2>/dev/null || { configure here && build here "$1"; }
}
