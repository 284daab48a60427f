#!/usr/bin/env bash
# ./test.sh [STEP…]     sets up, builds and checks everything; the last line is "N passed, M failed, K skipped"
#
# Steps, in this order:
#   release       build everything, run every test: rooms, sentences of wrong variants, installs
#   conformance   every case in conformance/cases, on the reference backend and on the kernels; planted defects are caught
#   sanitize      tests of files, texts, kernels and sessions again under AddressSanitizer and UndefinedBehaviorSanitizer
#   tsan          the tests that use threads, under ThreadSanitizer
#   fuzz          clang: every header alone, and a short run of each fuzz target over its corpus
#   aarch64       the kernel tests, cross-built, under qemu
#   cuda          nvcc, where CUDA's toolkit is: the GPU's kernels for sm_80 and sm_90a without spills, and, where a GPU is,
#                 their tests on it
# Logs lie in build/log. Exit status 0 only when nothing failed.
set -euo pipefail
unset CDPATH
cd "$(dirname "${BASH_SOURCE[0]}")"
case ${1:-} in -h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' test.sh; exit 0 ;; esac
. tools/setup.sh

all_steps=(release conformance sanitize tsan fuzz aarch64 cuda)
steps=("$@")
[ $# -gt 0 ] || steps=("${all_steps[@]}")
for step in "${steps[@]}"; do
  case " ${all_steps[*]} " in *" $step "*) ;; *) die "test.sh: there is no step $step; there are: ${all_steps[*]}" ;; esac
done

passed=0 failed=0 skipped=0
failures=()

count() {  # count PASSED FAILED SKIPPED
  passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}
fail_step() {
  count 0 1 0
  failures+=("$1")
}

# run_ctest PRESET [ctest option…]: shows ctest's own output and adds up its figures.
run_ctest() {
  local preset=$1 report=$PWD/build/log/ctest-$1.xml status=0
  shift
  rm -f "$report"
  ctest --preset "$preset" -j "$g4_jobs" --no-tests=error --output-junit "$report" "$@" || status=$?
  local figures
  figures=$(tr '\n' ' ' <"$report" 2>/dev/null |
    sed -n 's/.*<testsuite [^>]*tests="\([0-9]*\)"[^>]*failures="\([0-9]*\)"[^>]*disabled="\([0-9]*\)"[^>]*skipped="\([0-9]*\)".*/\1 \2 \3 \4/p')
  if [ -z "$figures" ]; then
    fail_step "ctest --preset $preset"
    return
  fi
  local total bad disabled left_out
  read -r total bad disabled left_out <<<"$figures"
  count $((total - bad - disabled - left_out)) "$bad" $((disabled + left_out))
  [ "$status" -eq 0 ] || failures+=("ctest --preset $preset ($bad of $total)")
}

step_release() {
  configure release -DG4_MPI=ON -DCMAKE_REQUIRE_FIND_PACKAGE_GTest=ON && build release || { fail_step "build release"; return; }
  run_ctest release -LE conformance -E every_header_alone   # the fuzz step compiles them, with clang
}

step_conformance() {
  configure release -DCMAKE_REQUIRE_FIND_PACKAGE_GTest=ON && build release g4_conformance_tools g4_conformance_precompiled || { fail_step "build conformance"; return; }
  run_ctest release -L conformance
}

# The rooms of tests/CMakeLists.txt's g4_memory_tests: all programs, twice as long to compile as to optimise, took a CI of
# two CPUs past its hour. `cmake --build --preset sanitize --target g4_tests` and ctest run the rest by hand.
step_sanitize() {
  configure sanitize -DCMAKE_REQUIRE_FIND_PACKAGE_GTest=ON && build sanitize g4_memory_tests || { fail_step "build sanitize"; return; }
  run_ctest sanitize -L '^(core|io|load|text|sample|media|media_files|kernels|model|open)$'
}

step_tsan() {
  configure tsan -DCMAKE_REQUIRE_FIND_PACKAGE_GTest=ON && build tsan g4_thread_tests || { fail_step "build tsan"; return; }
  run_ctest tsan -R 'pool|thread|session|ranks' -LE 'compile_fail|conformance|cuda'
}

step_fuzz() {
  configure fuzz && build fuzz g4_fuzz verify_headers || { fail_step "build fuzz"; return; }
  run_ctest fuzz -L fuzz
}

step_aarch64() {
  quietly build/log/aarch64.txt tools/make_aarch64_root.sh build/aarch64-root || { fail_step "set-up for aarch64"; return; }
  configure aarch64 -DCMAKE_REQUIRE_FIND_PACKAGE_GTest=ON && build aarch64 test_kernels || { fail_step "build aarch64"; return; }
  run_ctest aarch64 -L kernels
}

step_cuda() {
  if ! PATH=$PATH:/usr/local/cuda/bin command -v nvcc >/dev/null; then
    say "CUDA's toolkit is not here: nvcc is left out."
    count 0 0 1
    return
  fi
  # Kernels of the CPU have no part in it.
  configure cuda -DG4_KERNELS=OFF -DCMAKE_REQUIRE_FIND_PACKAGE_GTest=ON && build cuda g4_compiled g4-variant-header g4_cuda test_cuda_on_gpu g4_bench_cuda_gemma3_270m g4_bench_limits ||
    { fail_step "build cuda"; return; }
  run_ctest cuda -R '^(gpu|cuda\.a_stranger|cuda\.instructions)'
}

lock_checkout
packages=("${build_packages[@]}" "${test_packages[@]}" "${media_packages[@]}" "${serve_packages[@]}" "${model_packages[@]}")
case " ${steps[*]} " in *" fuzz "*) packages+=(clang libclang-rt-14-dev) ;; esac
case " ${steps[*]} " in *" aarch64 "*) packages+=(g++-aarch64-linux-gnu qemu-user googletest) ;; esac
need_packages "${packages[@]}"
need_highway
case " ${steps[*]} " in *" release "* | *" sanitize "*) need_openai ;; esac

if [ -z "${G4_MODEL_270M:-}" ]; then
  if model=$(tools/get_model.sh); then
    export G4_MODEL_270M=$model
  else
    say "Tests that need the real model will be skipped."
  fi
fi

for step in "${steps[@]}"; do
  say "== $step ($(date +%H:%M:%S))"
  "step_$step"
done
say "== done ($(date +%H:%M:%S))"
if [ ${#failures[@]} -gt 0 ]; then
  echo "Failed:"
  printf '  %s\n' "${failures[@]}"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
