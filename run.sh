#!/usr/bin/env bash
# ./run.sh [options] [PROMPT]     streams a continuation of PROMPT from a real Gemma 3 270M
#
# Sets up, builds and gets the model the first time; later runs start at once.
#   --model PATH     another GGUF file, or a folder with config.json and safetensors
#   --help           this text
# Other options go to the program, such as --max-tokens 64 --temperature 0.7; once it is built they are listed below.
# The text goes to stdout, all else to stderr.
set -euo pipefail
called_from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"
. tools/setup.sh

model=
arguments=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help)
      sed -n '2,/^set /s/^# \{0,1\}//p' run.sh
      for program in build/release/bin/g4-gemma3-270m build/release/bin/g4; do
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
need_packages "${packages[@]}"
need_highway
# For the small model the program of that one variant will do, and builds in a fraction of the time.
if [ -z "$model" ]; then target=g4-gemma3-270m program=g4-gemma3-270m; else target=g4_program program=g4; fi
[ -f build/release/build.ninja ] || configure release
if ! cmake --build --preset release --target "$target" -- -n 2>/dev/null | grep -q 'no work to do'; then
  say "Building $program (some minutes the first time) ..."
  build release "$target" 2>/dev/null || { configure release && build release "$target"; }
fi
unlock_checkout

if [ -z "$model" ]; then
  status=0
  model=$(tools/get_model.sh) || status=$?
  if [ "$status" -eq 3 ]; then
    smallest=$(find conformance/cases -mindepth 2 -maxdepth 2 -name model.safetensors -printf '%s %h\n' | sort -n | sed -n '1s/^[0-9]* //p')
    say "Without the real model there is no text to show. Running the smallest conformance model instead: $smallest"
    exec conformance/check --backend cpu "$smallest"
  elif [ "$status" -ne 0 ]; then
    exit "$status"
  fi
fi

program=$PWD/build/release/bin/$program
cd "$called_from"
exec "$program" generate --model "$model" "${arguments[@]}"
