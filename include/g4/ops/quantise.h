/// Numbers into a storage: the inverse of dequantise.h, as near as the storage allows.
///
/// A block is chosen to make Σ w·(y − x)² small, where y is what `dequantise` will read and w is 1 unless the caller knows
/// which columns matter more. The method is least squares throughout: a guess of the step fixes the whole numbers q, and
/// the q fix the best step. Several guesses are tried, scales are rounded to what the block can hold, and the plain choice
/// (the largest number takes the last level) is always among those compared, so the result is never worse than it.
///
/// Source: the block layouts that dequantise.h reads; the method is written from the definition above.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "g4/core/small_float.h"
#include "g4/ops/dequantise.h"
#include "g4/tensor/storage.h"

namespace g4 {

namespace detail {

template <class Number>
inline void store(std::byte* at, Number value) {
  std::memcpy(at, &value, sizeof value);
}

/// t[0] + … + t[N − 1], by halves: a compiler may use vectors without changing the order of anything.
template <std::size_t N>
[[nodiscard]] inline float sum_by_halves(float* t) {
  static_assert(N > 0 && (N & (N - 1)) == 0);
  if constexpr (N == 1) {
    return t[0];
  } else {
    for (std::size_t i = 0; i < N / 2; ++i) t[i] += t[i + N / 2];
    return sum_by_halves<N / 2>(t);
  }
}

/// Σ term(i)
template <std::size_t N, class Term>
[[nodiscard]] inline float sum_of(Term term) {
  std::array<float, N> t;
  for (std::size_t i = 0; i < N; ++i) t[i] = term(i);
  return sum_by_halves<N>(t.data());
}

/// 1/x, and 0 where that is too large for a float: a step of 0 makes every q the same.
[[nodiscard]] inline float inverse(float x) {
  const float y = 1.0f / x;
  return std::isfinite(y) ? y : 0.0f;
}

/// The whole numbers that q may be, both ends included.
struct levels {
  float least;
  float most;
};

/// The nearest level. Numbers at 1.5·2²³ have no fraction, so adding it rounds (to even where x lies in the middle).
[[nodiscard]] inline float nearest_level(float x, levels l) {
  constexpr float whole = 12582912.0f;
  const float rounded = (x + whole) - whole;
  const float bounded = rounded > l.least ? rounded : l.least;  // in this form g++ 12 uses vectors, with std::clamp not
  return bounded < l.most ? bounded : l.most;
}

/// Of numbers ≥ 0: the nearest finite half, and the next that is not below. Their bits ascend with their values.
inline constexpr std::uint16_t largest_half = 0x7bff;
[[nodiscard]] inline std::uint16_t half_near(float x) { return std::min(f16_from_float(x), largest_half); }
[[nodiscard]] inline std::uint16_t half_not_below(float x) {
  const std::uint16_t bits = half_near(x);
  return bits < largest_half && float_from_f16(bits) < x ? static_cast<std::uint16_t>(bits + 1) : bits;
}

// y = step·q: Q4_0, Q5_0, Q8_0, and the sub-blocks of Q6_K.

/// Σ w·(step·q − x)² with the best q for that step.
template <std::size_t N>
[[nodiscard]] inline float error_of_step(const float* x, const float* w, float step, levels l) {
  const float per_step = inverse(step);
  return sum_of<N>([=](std::size_t i) {
    const float e = step * nearest_level(x[i] * per_step, l) - x[i];
    return w[i] * e * e;
  });
}

/// The number of largest magnitude, with its sign.
[[nodiscard]] inline float farthest(const float* x, std::size_t n) {
  float most = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (std::abs(x[i]) > std::abs(most)) most = x[i];
  }
  return most;
}

/// The step with the least error, of either sign. For given q the best step is Σwxq / Σwq², and it takes
/// (Σwxq)² / Σwq² off the error; so guesses of q are compared by that, without a second look at x.
template <std::size_t N>
[[nodiscard]] inline float fit_step(const float* x, const float* w, levels l) {
  const float top = farthest(x, N);
  float best = top / l.least;
  float most_gained = 0;
  std::array<float, N> q;
  for (const float end : {l.least, l.most}) {
    for (int i = -7; i <= 7; ++i) {
      // The largest number lands up to 7/8 of a level short of the end, or past it.
      const float per_step = (end + 0.125f * static_cast<float>(i)) * inverse(top);
      for (std::size_t k = 0; k < N; ++k) q[k] = nearest_level(x[k] * per_step, l);
      const float xq = sum_of<N>([&](std::size_t k) { return w[k] * x[k] * q[k]; });
      const float qq = sum_of<N>([&](std::size_t k) { return w[k] * q[k] * q[k]; });
      if (!(qq > 0)) continue;
      const float gained = xq * (xq / qq);
      if (gained > most_gained) {
        most_gained = gained;
        best = xq / qq;
      }
    }
  }
  return best;
}

/// The best step that is a half float, as its bits.
template <std::size_t N>
[[nodiscard]] inline std::uint16_t fit_half_step(const float* x, const float* w, levels l) {
  const float top = farthest(x, N);
  if (top == 0) return 0;
  std::uint16_t best = 0;
  float least = HUGE_VALF;
  const auto compare = [&](float step, int further) {
    const int magnitude = std::clamp(half_near(std::abs(step)) + further, 0, static_cast<int>(largest_half));
    const auto bits = static_cast<std::uint16_t>(magnitude | (step < 0 ? 0x8000 : 0));
    const float error = error_of_step<N>(x, w, float_from_f16(bits), l);
    if (error < least) {
      least = error;
      best = bits;
    }
  };
  const float fitted = fit_step<N>(x, w, l);
  for (const int further : {0, 1, -1}) compare(fitted, further);
  for (const float end : {l.least, l.most}) {
    compare(top / end, 0);
    compare(top / end, 1);  // the smallest halves are coarse: the last level must still reach
  }
  return best;
}

// y = step·q − offset, 0 ≤ q ≤ 15, offset ≥ 0: the sub-blocks of Q4_K.

struct line {
  float step = 0;
  float offset = 0;
};
inline constexpr levels nibble{0, 15};

[[nodiscard]] inline float error_of_line(const float* x, const float* w, line l) {
  const float per_step = inverse(l.step);
  return sum_of<32>([=](std::size_t i) {
    const float e = (l.step * nearest_level((x[i] + l.offset) * per_step, nibble) - l.offset) - x[i];
    return w[i] * e * e;
  });
}

/// The smallest number and zero at one end, the largest at the other.
[[nodiscard]] inline line plain_line(const float* x) {
  const auto [low, high] = std::minmax_element(x, x + 32);
  const float bottom = std::min(*low, 0.0f);
  return {(*high - bottom) / 15, -bottom};
}

/// Minimises Σw(step·q − offset − x)² for the q that a line gives: two unknowns, or one where offset would fall below 0.
[[nodiscard]] inline line refit(const float* x, const float* w, line guess) {
  const float per_step = inverse(guess.step);
  std::array<float, 32> q;
  std::array<float, 32> z;  // measured from the guess's bottom, so that a common offset costs no precision
  for (std::size_t i = 0; i < 32; ++i) {
    z[i] = x[i] + guess.offset;
    q[i] = nearest_level(z[i] * per_step, nibble);
  }
  const double s = static_cast<double>(sum_of<32>([&](std::size_t i) { return w[i]; }));
  const double sq = static_cast<double>(sum_of<32>([&](std::size_t i) { return w[i] * q[i]; }));
  const double sz = static_cast<double>(sum_of<32>([&](std::size_t i) { return w[i] * z[i]; }));
  const double sqq = static_cast<double>(sum_of<32>([&](std::size_t i) { return w[i] * q[i] * q[i]; }));
  const double sqz = static_cast<double>(sum_of<32>([&](std::size_t i) { return w[i] * q[i] * z[i]; }));
  const double determinant = s * sqq - sq * sq;
  if (!(determinant > 0)) return guess;
  const double step = (s * sqz - sq * sz) / determinant;
  const double below = (step * sq - sz) / s;
  line fitted{static_cast<float>(step), guess.offset + static_cast<float>(below)};
  if (fitted.offset < 0) {
    const double sqx = sqz - static_cast<double>(guess.offset) * sq;
    fitted = {static_cast<float>(sqx / sqq), 0};
  }
  return fitted.step > 0 ? fitted : guess;
}

[[nodiscard]] inline line fit_line(const float* x, const float* w) {
  const line plain = plain_line(x);
  line best = plain;
  float least = error_of_line(x, w, plain);
  for (int i = -8; i <= 8; ++i) {
    // From 13 to 17 steps between the ends: the outermost numbers are met short of their level, or past it.
    line guess{plain.step * 15 / (15 + 0.25f * static_cast<float>(i)), plain.offset};
    for (int again = 0; again < 2; ++again) {
      guess = refit(x, w, guess);
      const float error = error_of_line(x, w, guess);
      if (error < least) {
        least = error;
        best = guess;
      }
    }
  }
  return best;
}

}  // namespace detail

/// Numbers → one block. `w` has a weight ≥ 0 for each.
namespace block {

inline void to_q4_0(const float* x, const float* w, std::byte* b) {
  constexpr detail::levels l{-8, 7};
  const std::uint16_t d = detail::fit_half_step<32>(x, w, l);
  const float per_step = detail::inverse(float_from_f16(d));
  detail::store(b, d);
  const auto q = [&](std::size_t i) { return static_cast<unsigned>(detail::nearest_level(x[i] * per_step, l) + 8); };
  for (std::size_t j = 0; j < 16; ++j) b[2 + j] = static_cast<std::byte>(q(j) | (q(j + 16) << 4));
}

inline void to_q5_0(const float* x, const float* w, std::byte* b) {
  constexpr detail::levels l{-16, 15};
  const std::uint16_t d = detail::fit_half_step<32>(x, w, l);
  const float per_step = detail::inverse(float_from_f16(d));
  detail::store(b, d);
  const auto q = [&](std::size_t i) { return static_cast<unsigned>(detail::nearest_level(x[i] * per_step, l) + 16); };
  std::uint32_t fifth = 0;
  for (std::size_t j = 0; j < 16; ++j) {
    b[6 + j] = static_cast<std::byte>((q(j) & 15u) | ((q(j + 16) & 15u) << 4));
    fifth |= (q(j) >> 4) << j | (q(j + 16) >> 4) << (j + 16);
  }
  detail::store(b + 2, fifth);
}

inline void to_q8_0(const float* x, const float* w, std::byte* b) {
  constexpr detail::levels l{-127, 127};
  const std::uint16_t d = detail::fit_half_step<32>(x, w, l);
  const float per_step = detail::inverse(float_from_f16(d));
  detail::store(b, d);
  for (std::size_t j = 0; j < 32; ++j) {
    detail::store(b + 2 + j, static_cast<std::int8_t>(detail::nearest_level(x[j] * per_step, l)));
  }
}

/// Each sub-block gets its best line; d and dmin are what lets 6-bit scales come nearest to those; then in turn each pair
/// of scales gives way to a neighbour that fits better, and d and dmin are fitted anew to what the pairs have become.
class q4_k_fit {
 public:
  q4_k_fit(const float* x, const float* w) : x_(x), w_(w) {
    std::array<detail::line, 8> fitted;
    std::array<detail::line, 8> plain;
    for (std::size_t j = 0; j < 8; ++j) {
      fitted[j] = detail::fit_line(x + 32 * j, w + 32 * j);
      plain[j] = detail::plain_line(x + 32 * j);
    }
    for (const auto* lines : {&fitted, &plain}) {
      start(*lines, detail::half_near);
      start(*lines, detail::half_not_below);
    }
    for (int round = 0; round < 4 && improve(); ++round) {
    }
  }

  void write(std::byte* b) const {
    detail::store(b, best_.d);
    detail::store(b + 2, best_.dmin);
    std::byte* const s = b + 4;
    for (std::size_t j = 0; j < 4; ++j) {
      const unsigned scale = best_.scale[j + 4];
      const unsigned minimum = best_.minimum[j + 4];
      s[j] = static_cast<std::byte>(best_.scale[j] | (scale >> 4) << 6);
      s[j + 4] = static_cast<std::byte>(best_.minimum[j] | (minimum >> 4) << 6);
      s[j + 8] = static_cast<std::byte>((scale & 15u) | (minimum & 15u) << 4);
    }
    for (std::size_t j = 0; j < 8; j += 2) {
      for (std::size_t l = 0; l < 32; ++l) {
        b[16 + 16 * j + l] = static_cast<std::byte>(q(j, l) | q(j + 1, l) << 4);
      }
    }
  }

 private:
  struct choice {
    std::uint16_t d = 0;
    std::uint16_t dmin = 0;
    std::array<std::uint8_t, 8> scale{};
    std::array<std::uint8_t, 8> minimum{};
    std::array<float, 8> errors{};
    float error = HUGE_VALF;

    [[nodiscard]] detail::line line_of(unsigned scale_of, unsigned minimum_of) const {
      return {float_from_f16(d) * static_cast<float>(scale_of), float_from_f16(dmin) * static_cast<float>(minimum_of)};
    }
    [[nodiscard]] detail::line line_of(std::size_t j) const { return line_of(scale[j], minimum[j]); }
  };

  [[nodiscard]] float error_in(std::size_t j, detail::line l) const {
    return detail::error_of_line(x_ + 32 * j, w_ + 32 * j, l);
  }
  void measure(choice& c) const {
    c.error = 0;
    for (std::size_t j = 0; j < 8; ++j) c.error += c.errors[j] = error_in(j, c.line_of(j));
  }
  bool take(const choice& c) {
    if (!(c.error < best_.error)) return false;
    best_ = c;
    return true;
  }

  void start(const std::array<detail::line, 8>& lines, std::uint16_t (*rounded)(float)) {
    constexpr detail::levels six_bits{0, 63};
    float step = 0;
    float offset = 0;
    for (const detail::line& l : lines) {
      step = std::max(step, l.step);
      offset = std::max(offset, l.offset);
    }
    choice c;
    c.d = rounded(step / 63);
    c.dmin = rounded(offset / 63);
    const float per_d = detail::inverse(float_from_f16(c.d));
    const float per_dmin = detail::inverse(float_from_f16(c.dmin));
    for (std::size_t j = 0; j < 8; ++j) {
      c.scale[j] = static_cast<std::uint8_t>(detail::nearest_level(lines[j].step * per_d, six_bits));
      c.minimum[j] = static_cast<std::uint8_t>(detail::nearest_level(lines[j].offset * per_dmin, six_bits));
    }
    measure(c);
    take(c);
  }

  /// True when something has become better.
  bool improve() {
    choice c = best_;
    for (std::size_t j = 0; j < 8; ++j) {
      for (int ds = -1; ds <= 1; ++ds) {
        for (int dm = -1; dm <= 1; ++dm) {
          const int scale = best_.scale[j] + ds;
          const int minimum = best_.minimum[j] + dm;
          if (scale < 0 || scale > 63 || minimum < 0 || minimum > 63) continue;
          const float e = error_in(j, c.line_of(static_cast<unsigned>(scale), static_cast<unsigned>(minimum)));
          if (e >= c.errors[j]) continue;
          c.errors[j] = e;
          c.scale[j] = static_cast<std::uint8_t>(scale);
          c.minimum[j] = static_cast<std::uint8_t>(minimum);
        }
      }
    }
    c.error = 0;
    for (const float e : c.errors) c.error += e;
    const bool nearer = take(c);
    return refit_scales(c) || nearer;
  }

  /// d and dmin by least squares, for the q and the scales there are: y = d·a − dmin·m with a = scale·q.
  bool refit_scales(choice c) {
    double aa = 0, am = 0, mm = 0, ax = 0, mx = 0;
    for (std::size_t j = 0; j < 8; ++j) {
      const auto scale = static_cast<double>(c.scale[j]);
      const auto m = static_cast<double>(c.minimum[j]);
      const detail::line l = c.line_of(j);
      const float per_step = detail::inverse(l.step);
      const float* const x = x_ + 32 * j;
      const float* const w = w_ + 32 * j;
      std::array<float, 32> q;
      for (std::size_t i = 0; i < 32; ++i) q[i] = detail::nearest_level((x[i] + l.offset) * per_step, detail::nibble);
      aa += scale * scale * static_cast<double>(detail::sum_of<32>([&](std::size_t i) { return w[i] * q[i] * q[i]; }));
      am += scale * m * static_cast<double>(detail::sum_of<32>([&](std::size_t i) { return w[i] * q[i]; }));
      mm += m * m * static_cast<double>(detail::sum_of<32>([&](std::size_t i) { return w[i]; }));
      ax += scale * static_cast<double>(detail::sum_of<32>([&](std::size_t i) { return w[i] * q[i] * x[i]; }));
      mx += m * static_cast<double>(detail::sum_of<32>([&](std::size_t i) { return w[i] * x[i]; }));
    }
    const double determinant = aa * mm - am * am;
    double d = aa > 0 ? ax / aa : 0;
    double dmin = 0;
    if (determinant > 1e-9 * aa * mm) {
      d = (ax * mm - mx * am) / determinant;
      dmin = (ax * am - mx * aa) / determinant;
    } else if (mm > 0) {
      return false;
    }
    if (!(d >= 0) || !(dmin >= 0)) return false;
    c.d = detail::half_near(static_cast<float>(d));
    c.dmin = detail::half_near(static_cast<float>(dmin));
    measure(c);
    return take(c);
  }

  [[nodiscard]] unsigned q(std::size_t j, std::size_t i) const {
    const detail::line l = best_.line_of(j);
    return static_cast<unsigned>(
        detail::nearest_level((x_[32 * j + i] + l.offset) * detail::inverse(l.step), detail::nibble));
  }

  const float* x_;
  const float* w_;
  choice best_;
};

inline void to_q4_k(const float* x, const float* w, std::byte* b) { q4_k_fit(x, w).write(b); }

/// As q4_k_fit, with one signed 8-bit scale for each 16 numbers.
class q6_k_fit {
 public:
  q6_k_fit(const float* x, const float* w) : x_(x), w_(w) {
    std::array<float, 16> fitted;
    std::array<float, 16> plain;
    for (std::size_t j = 0; j < 16; ++j) {
      fitted[j] = detail::fit_step<16>(x + 16 * j, w + 16 * j, six_bits);
      plain[j] = detail::farthest(x + 16 * j, 16) / six_bits.least;
    }
    for (const auto* steps : {&fitted, &plain}) {
      start(*steps, detail::half_near);
      start(*steps, detail::half_not_below);
    }
    for (int round = 0; round < 4 && improve(); ++round) {
    }
  }

  void write(std::byte* b) const {
    std::memset(b, 0, 192);
    for (std::size_t half = 0; half < 2; ++half) {
      std::byte* const nibbles = b + 64 * half;
      std::byte* const pairs = b + 128 + 32 * half;
      for (std::size_t part = 0; part < 4; ++part) {
        for (std::size_t l = 0; l < 32; ++l) {
          const unsigned six = q(128 * half + 32 * part + l);
          nibbles[l + 32 * (part % 2)] |= static_cast<std::byte>((six & 15u) << (part < 2 ? 0 : 4));
          pairs[l] |= static_cast<std::byte>((six >> 4) << (2 * part));
        }
      }
    }
    for (std::size_t j = 0; j < 16; ++j) detail::store(b + 192 + j, best_.scale[j]);
    detail::store(b + 208, best_.d);
  }

 private:
  static constexpr detail::levels six_bits{-32, 31};

  struct choice {
    std::uint16_t d = 0;
    std::array<std::int8_t, 16> scale{};
    std::array<float, 16> errors{};
    float error = HUGE_VALF;
    [[nodiscard]] float step(int of) const { return float_from_f16(d) * static_cast<float>(of); }
  };

  [[nodiscard]] float error_in(std::size_t j, float step) const {
    return detail::error_of_step<16>(x_ + 16 * j, w_ + 16 * j, step, six_bits);
  }
  void measure(choice& c) const {
    c.error = 0;
    for (std::size_t j = 0; j < 16; ++j) c.error += c.errors[j] = error_in(j, c.step(c.scale[j]));
  }
  bool take(const choice& c) {
    if (!(c.error < best_.error)) return false;
    best_ = c;
    return true;
  }

  void start(const std::array<float, 16>& steps, std::uint16_t (*rounded)(float)) {
    choice c;
    c.d = rounded(std::abs(detail::farthest(steps.data(), 16)) / 127);
    const float per_d = detail::inverse(float_from_f16(c.d));
    for (std::size_t j = 0; j < 16; ++j) {
      c.scale[j] = static_cast<std::int8_t>(detail::nearest_level(steps[j] * per_d, {-127, 127}));
    }
    measure(c);
    take(c);
  }

  bool improve() {
    choice c = best_;
    for (std::size_t j = 0; j < 16; ++j) {
      for (const int scale : {best_.scale[j] - 1, best_.scale[j] + 1}) {
        if (scale < -127 || scale > 127) continue;
        const float e = error_in(j, c.step(scale));
        if (e >= c.errors[j]) continue;
        c.errors[j] = e;
        c.scale[j] = static_cast<std::int8_t>(scale);
      }
    }
    c.error = 0;
    for (const float e : c.errors) c.error += e;
    const bool nearer = take(c);
    return refit_scale(c) || nearer;
  }

  bool refit_scale(choice c) {
    double aa = 0, ax = 0;
    for (std::size_t j = 0; j < 16; ++j) {
      const auto scale = static_cast<double>(c.scale[j]);
      const float per_step = detail::inverse(c.step(c.scale[j]));
      const float* const x = x_ + 16 * j;
      const float* const w = w_ + 16 * j;
      std::array<float, 16> q;
      for (std::size_t i = 0; i < 16; ++i) q[i] = detail::nearest_level(x[i] * per_step, six_bits);
      aa += scale * scale * static_cast<double>(detail::sum_of<16>([&](std::size_t i) { return w[i] * q[i] * q[i]; }));
      ax += scale * static_cast<double>(detail::sum_of<16>([&](std::size_t i) { return w[i] * q[i] * x[i]; }));
    }
    if (!(aa > 0 && ax > 0)) return false;
    c.d = detail::half_near(static_cast<float>(ax / aa));
    measure(c);
    return take(c);
  }

  [[nodiscard]] unsigned q(std::size_t i) const {
    const float per_step = detail::inverse(best_.step(best_.scale[i / 16]));
    return static_cast<unsigned>(detail::nearest_level(x_[i] * per_step, six_bits) + 32);
  }

  const float* x_;
  const float* w_;
  choice best_;
};

inline void to_q6_k(const float* x, const float* w, std::byte* b) { q6_k_fit(x, w).write(b); }

}  // namespace block

/// The largest magnitude that every element of a storage can have; 0 for a storage that `quantise` does not make.
[[nodiscard]] constexpr float most_of(storage type) {
  constexpr float half = 65504;
  switch (type) {
    case storage::f32: return std::numeric_limits<float>::max();
    case storage::bf16: return 3.3895314e38f;
    case storage::f16: return half;
    case storage::q4_0: return 7 * half;
    case storage::q5_0: return 15 * half;
    case storage::q8_0: return 127 * half;
    case storage::q4_k: return 63 * half;
    case storage::q6_k: return 127 * 31 * half;
    default: return 0;
  }
}

/// Writes a row of numbers in a storage: F32, F16, BF16, Q4_0, Q5_0, Q8_0, Q4_K or Q6_K.
///
/// row          [elements]
/// elements     a whole number of blocks
/// out          row_bytes(type, elements) bytes, at any alignment
/// importance   [elements], ≥ 0: how much an error in each column counts; null: all the same. Plain floats ignore it.
/// False, with `out` not to be used, when a number is not finite or is larger than `most_of(type)`.
[[nodiscard]] inline bool quantise(storage type, const float* row, std::size_t elements, std::byte* out,
                                   const float* importance = nullptr) {
  const float most = most_of(type);
  bool fits = most > 0;
  for (std::size_t i = 0; i < elements; ++i) fits = fits && std::abs(row[i]) <= most;  // false for what is no number
  if (!fits) return false;
  const auto blocks = [&](auto one_block) {
    const storage_facts facts = facts_of(type);
    std::array<float, 256> same;
    same.fill(1);
    for (std::size_t at = 0; at < elements; at += facts.block_elements, out += facts.block_bytes) {
      one_block(row + at, importance == nullptr ? same.data() : importance + at, out);
    }
    return true;
  };
  switch (type) {
    case storage::f32: std::memcpy(out, row, elements * sizeof(float)); return true;
    case storage::f16:
      for (std::size_t i = 0; i < elements; ++i) detail::store(out + 2 * i, f16_from_float(row[i]));
      return true;
    case storage::bf16:
      for (std::size_t i = 0; i < elements; ++i) detail::store(out + 2 * i, bf16_from_float(row[i]));
      return true;
    case storage::q4_0: return blocks(block::to_q4_0);
    case storage::q5_0: return blocks(block::to_q5_0);
    case storage::q8_0: return blocks(block::to_q8_0);
    case storage::q4_k: return blocks(block::to_q4_k);
    case storage::q6_k: return blocks(block::to_q6_k);
    default: return false;
  }
}

}  // namespace g4
