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

// Eight chains of `rounds` operations each; returns how many numbers were multiplied and added. The values are such
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

// As above for pairs: sums in Sum, numbers in Number.
template <class Sum, class Number>
size_t chain_pairs(size_t rounds, float start) {
  const hn::ScalableTag<Sum> ds;
  const hn::Repartition<Number, decltype(ds)> d;
  const auto a = hn::BitCast(d, hn::Set(ds, hwy::ConvertScalarTo<Sum>(start)));
  const auto from = [&](float k) HWY_ATTR { return hn::Set(ds, hwy::ConvertScalarTo<Sum>(start * k)); };
  auto s0 = from(0), s1 = from(2), s2 = from(4), s3 = from(6), s4 = from(8), s5 = from(10), s6 = from(12), s7 = from(14);
  auto unused = s0;
  for (size_t i = 0; i < rounds; ++i) {
    s0 = hn::ReorderWidenMulAccumulate(ds, a, a, s0, unused), s1 = hn::ReorderWidenMulAccumulate(ds, a, a, s1, unused);
    s2 = hn::ReorderWidenMulAccumulate(ds, a, a, s2, unused), s3 = hn::ReorderWidenMulAccumulate(ds, a, a, s3, unused);
    s4 = hn::ReorderWidenMulAccumulate(ds, a, a, s4, unused), s5 = hn::ReorderWidenMulAccumulate(ds, a, a, s5, unused);
    s6 = hn::ReorderWidenMulAccumulate(ds, a, a, s6, unused), s7 = hn::ReorderWidenMulAccumulate(ds, a, a, s7, unused);
  }
  const auto sum = hn::Add(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)), hn::Add(hn::Add(s4, s5), hn::Add(s6, s7)));
  hwy::PreventElision(hn::GetLane(hn::Add(sum, unused)));
  return 8 * hn::Lanes(d);
}

size_t chain_bf16(size_t rounds, float start) { return chain_pairs<float, hwy::bfloat16_t>(rounds, start); }
size_t chain_int16(size_t rounds, float start) { return chain_pairs<int32_t, int16_t>(rounds, start); }

size_t chain_int8(size_t rounds, float start) {
  const hn::ScalableTag<int32_t> ds;
  const hn::Repartition<int8_t, decltype(ds)> d;
  const hn::Repartition<uint8_t, decltype(ds)> du;
  const auto a = hn::Set(du, static_cast<uint8_t>(start));
  const auto b = hn::Set(d, static_cast<int8_t>(start));
  const auto from = [&](float k) HWY_ATTR { return hn::Set(ds, static_cast<int32_t>(start * k)); };
  auto s0 = from(0), s1 = from(2), s2 = from(4), s3 = from(6), s4 = from(8), s5 = from(10), s6 = from(12), s7 = from(14);
  for (size_t i = 0; i < rounds; ++i) {
    s0 = hn::SumOfMulQuadAccumulate(ds, a, b, s0), s1 = hn::SumOfMulQuadAccumulate(ds, a, b, s1);
    s2 = hn::SumOfMulQuadAccumulate(ds, a, b, s2), s3 = hn::SumOfMulQuadAccumulate(ds, a, b, s3);
    s4 = hn::SumOfMulQuadAccumulate(ds, a, b, s4), s5 = hn::SumOfMulQuadAccumulate(ds, a, b, s5);
    s6 = hn::SumOfMulQuadAccumulate(ds, a, b, s6), s7 = hn::SumOfMulQuadAccumulate(ds, a, b, s7);
  }
  const auto sum = hn::Add(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)), hn::Add(hn::Add(s4, s5), hn::Add(s6, s7)));
  hwy::PreventElision(hn::GetLane(sum));
  return 8 * hn::Lanes(d);
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
      best_seconds(threads, [&](std::size_t task) { HWY_DYNAMIC_DISPATCH(stream)(memory[task].data(), bytes); });
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
