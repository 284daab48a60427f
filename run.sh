#!/usr/bin/env bash
# ./run.sh [options] [PROMPT]     streams a continuation of PROMPT from a real Gemma 3 270M
#
# Sets up, builds what this machine and this model need, and gets the model the first time; later runs start at once.
#   --model PATH     another GGUF file, or a folder with config.json and safetensors
#   --help           this text
# Other options go to the program, such as --max-tokens 64 --temperature 0.7; once it is built they are listed below.
# The text goes to stdout, all else to stderr.
set -euo pipefail
unset CDPATH
called_from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"
. tools/setup.sh

model= flavour= shows=
arguments=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help)
      sed -n '2,/^set /s/^# \{0,1\}//p' run.sh
      for program in build/here/bin/g4-* build/release/bin/g4; do
        case $program in *-variant-header) continue ;; esac
        [ ! -x "$program" ] || exec "$program" generate --help
      done
      exit 0
      ;;
    -m | --model)
      [ $# -ge 2 ] || die "--model needs a path"
      model=$2
      shift
      ;;
    --model=*) model=${1#--model=} ;;
    --image | --image=* | --audio | --audio=*) shows=1; arguments+=("$1") ;;
    --backend=reference) flavour=-reference; arguments+=("$1") ;;
    --draft=*) [ "$1" = --draft=lookup ] || flavour=-drafting; arguments+=("$1") ;;
    --backend | --draft)
      case "$1 ${2-}" in
        "--backend reference") flavour=-reference ;;
        "--backend "* | "--draft lookup") ;;
        *) flavour=-drafting ;;
      esac
      arguments+=("$1")
      [ $# -lt 2 ] || { arguments+=("$2"); shift; }
      ;;
    *) arguments+=("$1") ;;
  esac
  shift
done
case $model in '' | /*) ;; *) model=$called_from/$model ;; esac
[ -z "$model" ] || [ -e "$model" ] || die "--model: there is no $model"
if [ ${#arguments[@]} -eq 0 ]; then
  arguments=("The three laws of thermodynamics are")
  say "No prompt given; taking \"${arguments[0]}\""
fi

lock_checkout
packages=("${build_packages[@]}")
[ -n "$model" ] || packages+=("${model_packages[@]}")
[ -z "$shows" ] || packages+=("${media_packages[@]}")
need_packages "${packages[@]}"

# The model is fetched while the program is built.
fetching=
if [ -z "$model" ]; then
  fetched=$(mktemp)
  set -m                                                # a group of its own, which ends as one
  tools/get_model.sh >"$fetched" 9>&- &
  fetching=$!
  set +m
  trap '[ -z "$fetching" ] || kill -- "-$fetching" 2>/dev/null; rm -f "$fetched"' EXIT
  trap 'exit 130' INT TERM
fi

need_highway
if [ -n "$shows" ] && ! grep -q '^G4_MEDIA_soxr:FILEPATH=/' build/here/CMakeCache.txt 2>/dev/null; then
  rm -f build/here/cpu                                  # configured before there was what reads pictures
fi
configure_here
if [ -z "$model" ]; then
  variant=gemma3_270m
else
  build_here g4-variant-header "what reads models"
  variant=$(build/here/bin/g4-variant-header --which build/here/variants "$model") || exit 1
  case $variant in made_*) say "No released variant is this model; compiling one for it: build/here/variants/$variant.h" ;; esac
fi
program=g4-${variant//_/-}$flavour
if [ "$flavour" = -drafting ] && [ ! -f "include/g4/variants/${variant}_assistant.h" ]; then
  die "--draft: there is no drafter for $variant, only lookup"
fi
build_here "$program" "$program"
unlock_checkout

if [ -z "$model" ]; then
  status=0
  wait "$fetching" || status=$?
  fetching=
  model=$(cat "$fetched")
  rm -f "$fetched"
  if [ "$status" -eq 3 ]; then
    smallest=$(find conformance/cases -mindepth 2 -maxdepth 2 -name model.safetensors -printf '%s %h\n' | sort -n | sed -n '1s/^[0-9]* //p')
    say "Without the real model there is no text to show. Running the smallest conformance model instead: $smallest"
    exec conformance/check --backend cpu "$smallest"
  elif [ "$status" -ne 0 ]; then
    exit "$status"
  fi
fi

program=$PWD/build/here/bin/$program
cd "$called_from"
exec "$program" generate --model "$model" "${arguments[@]}"
