/// The same operations on the definitions and on the kernels: what comes out must be equal but for float32's rounding, and
/// the same bits with every seed.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "g4/backend/composed.h"
#include "g4/backend/reference.h"
#ifdef G4_TEST_ON_GPU
#include "g4/backend/cuda.h"
#else
#include "g4/backend/cuda_on_host.h"
#endif

namespace g4::test {

inline constexpr std::uint64_t seeds = 20;

/// Numbers of −spread … spread, the same on every machine.
inline std::vector<float> numbers(std::size_t n, unsigned seed, float spread = 1) {
  std::mt19937 random(seed);
  std::vector<float> made(n);
  for (float& x : made) x = spread * (2 * static_cast<float>(random() >> 8) * 0x1p-24f - 1);
  return made;
}

/// A backend with arrays in its memory, and what operations left in them.
template <class B>
class bench {
 public:
  explicit bench(B& backend) : on(backend) {}

  template <class T>
  T* put(const std::vector<T>& some) {
    blocks_.push_back(std::move(*on.take(some.size() * sizeof(T))));
    auto* const to = reinterpret_cast<T*>(blocks_.back().data());
    on.put(some.data(), some.size(), to);
    return to;
  }
  /// An array that is not set.
  template <class T = float>
  T* room(std::size_t n) {
    blocks_.push_back(std::move(*on.take(n * sizeof(T))));
    return reinterpret_cast<T*>(blocks_.back().data());
  }
  weight_view weight(const std::vector<std::byte>& bytes, std::size_t rows, std::size_t columns, storage type) {
    return matrix_view{put(bytes), rows, columns, type};
  }
  weight_view floats(std::size_t rows, std::size_t columns, unsigned seed) {
    return matrix_view{reinterpret_cast<const std::byte*>(put(numbers(rows * columns, seed))), rows, columns,
                       storage::f32};
  }
  /// As a model's weights are loaded: by the backend's own `prepare`, where it has one.
  weight_view prepared(const std::vector<std::byte>& bytes, std::size_t rows, std::size_t columns, storage type) {
    if constexpr (requires { typename B::weight_store; }) {
      return *on.prepare(matrix_view{bytes.data(), rows, columns, type}, store_);
    } else {
      return weight(bytes, rows, columns, type);
    }
  }
  /// Notes what lies at p [n].
  template <class T>
  void see(std::string what, const T* p, std::size_t n) {
    std::vector<T> room(n);
    const T* const seen = on.host(p, n, room.data());
    shown.emplace_back(std::move(what), std::vector<double>(seen, seen + n));
  }

  B& on;
  std::vector<std::pair<std::string, std::vector<double>>> shown;

 private:
  struct no_store {};
  template <class C>
  struct store_of {
    using type = no_store;
  };
  template <class C>
  requires requires { typename C::weight_store; }
  struct store_of<C> {
    using type = typename C::weight_store;
  };
  std::vector<typename B::owned_memory> blocks_;
  typename store_of<B>::type store_;
};

/// Whether all that `got` shows is what `want` shows, each number but for `relative` of the array's greatest.
template <class Got, class Want>
bool near(const Got& got, const Want& want, double relative, bool complain) {
  bool good = got.size() == want.size();
  for (std::size_t i = 0; good && i < want.size(); ++i) {
    const auto& [name, expected] = want[i];
    double most = 0, worst = 0;
    for (const double x : expected) most = std::max(most, std::isfinite(x) ? std::abs(x) : 0.0);
    for (std::size_t k = 0; k < expected.size(); ++k) {
      const double found = got[i].second[k];
      const bool same = found == expected[k] || (std::isnan(found) && std::isnan(expected[k]));
      const double away = same ? 0 : std::abs(found - expected[k]);
      worst = away >= worst || std::isnan(away) ? away : worst;
      if (std::isnan(worst)) break;
    }
    if (worst <= relative * most) continue;
    if (complain) ADD_FAILURE() << name << ": off by " << worst << " where the greatest is " << most;
    good = false;
  }
  return good;
}

#ifdef G4_TEST_ON_GPU

/// Runs `scenario(bench)` on the definitions, and twice on the GPU; skips where there is none.
template <class Scenario>
void expect_the_same(Scenario&& scenario, double relative = 1e-5, backend::numeric mode = backend::numeric::exact,
                     std::uint64_t /*orders*/ = seeds, int /*capability*/ = 0) {
  auto kernels = backend::cuda::open({.mode = mode, .check_each = true});
  if (!kernels) GTEST_SKIP() << kernels.error().message;
  backend::reference<float> defined;
  bench want(defined), got(*kernels), again(*kernels);
  scenario(want);
  scenario(got);
  scenario(again);
  const auto sound = kernels->failure();
  ASSERT_TRUE(sound) << sound.error().message;
  EXPECT_TRUE(near(got.shown, want.shown, relative, true));
  EXPECT_TRUE(near(again.shown, got.shown, 0, true));
}

#else

/// Runs `scenario(bench)` on the definitions, and on the kernels in order and in so many others, as those of a GPU of this
/// compute capability (a GPU has its own).
template <class Scenario>
void expect_the_same(Scenario&& scenario, double relative = 1e-5, backend::numeric mode = backend::numeric::exact,
                     std::uint64_t orders = seeds, int capability = 80) {
  backend::reference<float> defined;
  bench want(defined);
  scenario(want);
  std::vector<std::pair<std::string, std::vector<double>>> in_order;
  for (std::uint64_t seed = 0; seed <= orders; ++seed) {
    backend::cuda_on_host kernels({.mode = mode, .seed = seed, .capability = capability});
    bench got(kernels);
    scenario(got);
    const auto sound = kernels.failure();
    ASSERT_TRUE(sound) << "seed " << seed << ": " << sound.error().message;
    if (seed == 0) {
      ASSERT_TRUE(near(got.shown, want.shown, relative, true));
      in_order = got.shown;
    }
    ASSERT_TRUE(near(got.shown, in_order, 0, true)) << "seed " << seed;
  }
}

#endif

}  // namespace g4::test
