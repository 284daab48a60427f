// `PROGRAM SCENARIO [SEEDS]`: does a kernel with a mistake planted in it give itself away? Prints the seeds that tell.
//
// Linked with a kernel's planted source in front of the kernels: see tests/cuda/CMakeLists.txt.
#include <cstdio>
#include <string>

#include "tests/cuda/on_both.h"
#include "tests/cuda/scenarios.h"

namespace {

using namespace g4;

template <class B>
void run(const std::string& scenario, test::bench<B>& b) {
  if (scenario == "attend") return test::attend(b, storage::f32, 0);
  if (scenario == "attend_near") return test::attend_near(b, 40);
  if (scenario == "experts") return test::experts(b);
  if (scenario == "clusters") return test::clusters(b, false);
  if (scenario == "product") {
    float* const y = b.template room<>(5 * 11);
    b.on.matmul(b.floats(11, 37, 1), b.put(test::numbers(5 * 37, 2)), 5, y);
    return b.see("product", y, 5 * 11);
  }
  if (scenario == "panels") return test::panels(b);
  if (scenario == "dependent") return test::dependent(b);
  if (scenario == "prompt") return test::prompt(b);
  if (scenario == "gated") return test::gated(b);
  if (scenario == "attend_halves") return test::attend_halves(b, 36, 0);
  if (scenario == "turn_heads") return test::turn_heads(b, storage::q8_0, true);
  if (scenario == "close_and_open") return test::close_and_open(b);
  if (scenario == "greatest") return test::greatest(b);
  if (scenario == "next_row") return test::next_row(b);
  std::fprintf(stderr, "there is no scenario %s\n", scenario.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  const std::string scenario = argc > 1 ? argv[1] : "";
  backend::reference<float> defined;
  test::bench<backend::reference<float>> want(defined);
  run(scenario, want);
  if (want.shown.empty()) return 2;
  const double near_enough = scenario == "attend_halves" ? 2e-3 : 1e-5;
  decltype(want.shown) in_order;
  std::size_t told = 0;
  const std::uint64_t seeds = argc > 2 ? std::stoul(argv[2]) : test::seeds;
  for (std::uint64_t seed = 0; seed <= seeds; ++seed) {
    backend::cuda_on_host kernels({.mode = backend::numeric::fast, .seed = seed, .capability = 90});
    test::bench<backend::cuda_on_host> got(kernels);
    run(scenario, got);
    if (seed == 0) in_order = got.shown;
    const bool wrong = !kernels.failure() || !test::near(got.shown, want.shown, near_enough, false) ||
                       !test::near(got.shown, in_order, 0, false);  // the same bits in every order
    if (wrong) std::printf("seed %llu tells\n", static_cast<unsigned long long>(seed));
    told += wrong;
  }
  std::printf("%s\n", told == 0 ? "MISSED" : "caught");
  return told == 0 ? 1 : 0;
}
