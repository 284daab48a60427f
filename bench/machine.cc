// bench/machine.cc: memory bandwidth and arithmetic peaks, on the best SIMD target of the machine.
#include "kernels/cpu/targets.h"

#include "bench/machine.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "g4/backend/pool.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/machine.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Ten chains of `rounds` operations each; returns how many numbers were multiplied and added. The values are such
// that nothing overflows and nothing is known to the compiler.
size_t chain_f32(size_t rounds, float start) {
  const hn::ScalableTag<float> d;
  const auto a = hn::Set(d, start);
  // Every chain starts elsewhere, or the compiler would see that they are one.
  const auto from = [&](float k) HWY_ATTR { return hn::Set(d, start * k); };
  auto s0 = from(0), s1 = from(1), s2 = from(2), s3 = from(3), s4 = from(4), s5 = from(5), s6 = from(6), s7 = from(7),
       s8 = from(8), s9 = from(9);
  for (size_t i = 0; i < rounds; ++i) {
    s0 = hn::MulAdd(s0, a, a), s1 = hn::MulAdd(s1, a, a), s2 = hn::MulAdd(s2, a, a), s3 = hn::MulAdd(s3, a, a);
    s4 = hn::MulAdd(s4, a, a), s5 = hn::MulAdd(s5, a, a), s6 = hn::MulAdd(s6, a, a), s7 = hn::MulAdd(s7, a, a);
    s8 = hn::MulAdd(s8, a, a), s9 = hn::MulAdd(s9, a, a);
  }
  const auto sum = hn::Add(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)), hn::Add(hn::Add(s4, s5), hn::Add(s6, s7)));
  hwy::PreventElision(hn::GetLane(hn::Add(sum, hn::Add(s8, s9))));
  return 10 * hn::Lanes(d);
}

// Ten chains of sum = step(sum) as above; each step multiplies what the one before has left, so that none is done once for
// all. `numbers` are multiplied and added by a step.
template <class Sum, class Step>
HWY_INLINE size_t ten_chains(size_t rounds, size_t numbers, float start, Step step) {
  const hn::ScalableTag<Sum> ds;
  const auto from = [&](float k) HWY_ATTR { return hn::Set(ds, hwy::ConvertScalarTo<Sum>(start * k)); };
  auto s0 = from(0), s1 = from(2), s2 = from(4), s3 = from(6), s4 = from(8), s5 = from(10), s6 = from(12),
       s7 = from(14), s8 = from(16), s9 = from(18);
  for (size_t i = 0; i < rounds; ++i) {
    s0 = step(s0), s1 = step(s1), s2 = step(s2), s3 = step(s3), s4 = step(s4);
    s5 = step(s5), s6 = step(s6), s7 = step(s7), s8 = step(s8), s9 = step(s9);
  }
  const auto sum = hn::Add(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)), hn::Add(hn::Add(s4, s5), hn::Add(s6, s7)));
  hwy::PreventElision(hn::GetLane(hn::Add(sum, hn::Add(s8, s9))));
  return 10 * numbers;
}

// Pairs: sums in Sum, numbers in Number.
template <class Sum, class Number>
HWY_INLINE size_t chain_pairs(size_t rounds, float start) {
  const hn::ScalableTag<Sum> ds;
  const hn::Repartition<Number, decltype(ds)> d;
  const auto a = hn::BitCast(d, hn::Set(ds, hwy::ConvertScalarTo<Sum>(start)));
  return ten_chains<Sum>(rounds, hn::Lanes(d), start, [&](auto sum) HWY_ATTR {
    auto unused = hn::Zero(ds);  // of this step alone: kept from step to step it is kept in memory
    return hn::ReorderWidenMulAccumulate(ds, hn::BitCast(d, sum), a, sum, unused);
  });
}

size_t chain_bf16(size_t rounds, float start) { return chain_pairs<float, hwy::bfloat16_t>(rounds, start); }
size_t chain_int16(size_t rounds, float start) { return chain_pairs<int32_t, int16_t>(rounds, start); }

// Bytes: four to a sum where the processor has that, else two to a sum of 16 bits, which a kernel widens now and then.
size_t chain_int8(size_t rounds, float start) {
#if HWY_TARGET == HWY_AVX2
  const hn::ScalableTag<int16_t> ds;
#else
  const hn::ScalableTag<int32_t> ds;
#endif
  const hn::Repartition<int8_t, decltype(ds)> d;
  const hn::Repartition<uint8_t, decltype(ds)> du;
  const auto b = hn::Set(d, static_cast<int8_t>(start));
  return ten_chains<hn::TFromD<decltype(ds)>>(rounds, hn::Lanes(d), start, [&](auto sum) HWY_ATTR {
#if HWY_TARGET == HWY_AVX2
    return hn::Add(sum, hn::SatWidenMulPairwiseAdd(ds, hn::BitCast(du, sum), b));
#else
    return hn::SumOfMulQuadAccumulate(ds, hn::BitCast(du, sum), b, sum);
#endif
  });
}

// Reads `bytes` bytes once, asking for them 16 KB ahead.
void stream(const uint8_t* p, size_t bytes) {
  const hn::ScalableTag<uint8_t> d;
  const size_t lanes = hn::Lanes(d);
  auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
  for (size_t i = 0; i + 4 * lanes <= bytes; i += 4 * lanes) {
#if HWY_COMPILER_GCC || HWY_COMPILER_CLANG
    for (size_t line = 0; line < 4 * lanes; line += 64) __builtin_prefetch(p + i + line + 16384, 0, 2);
#endif
    s0 = hn::Xor(s0, hn::LoadU(d, p + i)), s1 = hn::Xor(s1, hn::LoadU(d, p + i + lanes));
    s2 = hn::Xor(s2, hn::LoadU(d, p + i + 2 * lanes)), s3 = hn::Xor(s3, hn::LoadU(d, p + i + 3 * lanes));
  }
  hwy::PreventElision(hn::GetLane(hn::Xor(hn::Xor(s0, s1), hn::Xor(s2, s3))));
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace g4 {
HWY_EXPORT(chain_f32);
HWY_EXPORT(chain_bf16);
HWY_EXPORT(chain_int16);
HWY_EXPORT(chain_int8);
HWY_EXPORT(stream);
}  // namespace g4

namespace g4::bench {
namespace {

using clock = std::chrono::steady_clock;

double seconds_since(clock::time_point start) { return std::chrono::duration<double>(clock::now() - start).count(); }

// The best of a few rounds of all threads at once: a limit is what was reached, not what was usual.
template <class Body>
double best_seconds(pool& threads, Body&& body) {
  double best = 1e9;
  for (int i = 0; i < 8; ++i) {
    const auto start = clock::now();
    threads.run(threads.workers(), [&](std::size_t task, std::size_t) { body(task); });
    best = std::min(best, seconds_since(start));
  }
  return best;
}

template <class Chain>
double giga_operations(pool& threads, Chain chain) {
  constexpr std::size_t rounds = 1'000'000;
  std::size_t numbers = 0;
  const double seconds = best_seconds(threads, [&](std::size_t task) {
    const std::size_t n = chain(rounds, 0.5f);
    if (task == 0) numbers = n;
  });
  return 2.0 * static_cast<double>(numbers * rounds * threads.workers()) / seconds * 1e-9;
}

}  // namespace

machine_limits measure_limits(std::size_t count) {
  thread_pool threads(count);
  machine_limits out;
  constexpr std::size_t bytes = std::size_t{128} << 20;  // per thread; four times any cache tried
  std::vector<std::vector<std::uint8_t>> memory(count);
  threads.run(count, [&](std::size_t task, std::size_t) { memory[task].assign(bytes, 1); });
  const double seconds =
      best_seconds(threads, [&](std::size_t task) { HWY_DYNAMIC_DISPATCH(stream)
                                                    (memory[task].data(), bytes); });
  out.read = static_cast<double>(bytes * count) / seconds * 1e-9;
  out.f32 = giga_operations(threads, HWY_DYNAMIC_POINTER(chain_f32));
  out.bf16 = giga_operations(threads, HWY_DYNAMIC_POINTER(chain_bf16));
  out.int16 = giga_operations(threads, HWY_DYNAMIC_POINTER(chain_int16));
  out.int8 = giga_operations(threads, HWY_DYNAMIC_POINTER(chain_int8));
  return out;
}

const machine_limits& one_thread_limits() {
  static const machine_limits limits = measure_limits(1);
  return limits;
}

const char* simd_target() { return hwy::TargetName(hwy::SupportedTargets() & -hwy::SupportedTargets()); }

}  // namespace g4::bench
#endif
