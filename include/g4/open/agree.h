/// What ranks make sure of before they work together.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "g4/core/fingerprint.h"
#include "g4/core/result.h"
#include "g4/core/version.h"
#include "g4/tensor/matrix.h"

namespace g4 {

namespace detail {

/// `agree` for whatever was made. `why_not` is null where it could be.
template <class B>
[[nodiscard]] result<void> agree_unless(B& on, const error* why_not) {
  struct outcome {
    std::uint32_t fine = 1;
    std::array<char, 508> why{};
  };
  outcome own;
  if (why_not != nullptr) {
    own.fine = 0;
    why_not->message.copy(own.why.data(), own.why.size() - 1);
  }
  std::vector<outcome> all(static_cast<std::size_t>(on.ranks()));
  const auto told = on.gather(&own, sizeof own, all.data());
  if (why_not != nullptr) return unexpected(*why_not);
  if (!told) return told;
  for (std::size_t r = 0; r < all.size(); ++r) {
    if (all[r].fine != 0) continue;
    all[r].why.back() = 0;
    return fail("rank ", r, ": ", std::string(all[r].why.data()));
  }
  return {};
}

}  // namespace detail

/// Goes on where all ranks do: fails with this rank's own sentence, or with the first other's, its rank in front.
///
/// mine   what this rank made, or did
template <class B, class Made>
[[nodiscard]] result<void> agree(B& on, const result<Made>& mine) {
  return detail::agree_unless(on, mine ? nullptr : &mine.error());
}

/// What a rank would work with. Ranks that differ in any of it would give other bits, or wait for each other in vain.
struct rank_record {
  std::array<char, 24> version{};
  std::array<char, 64> variant{};
  std::uint64_t checkpoint = 0;  ///< `io::fingerprint_of`
  std::uint64_t bytes = 0;       ///< of its tensors
  std::int64_t mode = 0;
  std::uint64_t divides_sums = 0;  ///< 1: `sums::divided`
  std::array<char, 64> cuts{};   ///< of a pipeline
  std::uint64_t arithmetic = 0;  ///< of a few numbers that the backend computed
};

/// Which bits a backend's norms, products and activations come to: machines whose vectors differ in length add in another
/// order.
template <class B>
[[nodiscard]] std::uint64_t arithmetic_of(B& on) {
  using scalar = typename B::scalar;
  constexpr std::size_t n = 300, rows = 3;
  std::array<float, rows * n> w{};
  std::array<scalar, n> x{}, y{}, z{};
  std::array<scalar, rows> product{};
  std::uint32_t random = 1;
  const auto next = [&random] {
    random = random * 1664525u + 1013904223u;
    return static_cast<float>(random >> 8) * 0x1p-23f - 1;
  };
  for (float& number : w) number = next();
  for (scalar& number : x) number = static_cast<scalar>(next());
  on.rms_norm(x.data(), w.data(), 1, n, 1e-6f, y.data());
  on.matmul(matrix_view{reinterpret_cast<const std::byte*>(w.data()), rows, n, storage::f32}, y.data(), 1,
            product.data());
  z = y;
  on.gelu_gate(z.data(), x.data(), n);
  on.soft_cap(y.data(), n, 30.0f);
  fingerprint print;
  print.add(std::as_bytes(std::span(product)));
  print.add(std::as_bytes(std::span(y)));
  print.add(std::as_bytes(std::span(z)));
  return print.value();
}

/// Refuses ranks that differ from the leader.
template <class B>
[[nodiscard]] result<void> agree_on(B& on, const rank_record& mine) {
  std::vector<rank_record> all(static_cast<std::size_t>(on.ranks()));
  if (auto told = on.gather(&mine, sizeof mine, all.data()); !told) return told;
  const rank_record& leader = all.front();
  for (std::size_t r = 1; r < all.size(); ++r) {
    const auto differs = [&](const char* what, const std::string& theirs, const std::string& leads) {
      return fail("rank ", r, " has another ", what, " than rank 0: ", theirs, ", not ", leads,
                  "; start all ranks alike, on machines of one kind");
    };
    const auto text = [](const auto& letters) {
      return std::string(letters.data(), ::strnlen(letters.data(), letters.size()));
    };
    const rank_record& its = all[r];
    if (its.version != leader.version) return differs("version of g4", text(its.version), text(leader.version));
    if (its.variant != leader.variant) return differs("variant", text(its.variant), text(leader.variant));
    if (its.bytes != leader.bytes) {
      return differs("file", std::to_string(its.bytes) + " bytes of tensors", std::to_string(leader.bytes));
    }
    if (its.checkpoint != leader.checkpoint) return differs("file", hex_of(its.checkpoint), hex_of(leader.checkpoint));
    if (its.mode != leader.mode) return differs("mode", std::to_string(its.mode), std::to_string(leader.mode));
    if (its.divides_sums != leader.divides_sums) {
      const auto kind = [](const rank_record& of) { return of.divides_sums != 0 ? "divided" : "whole"; };
      return differs("kind of sums", kind(its), kind(leader));
    }
    if (its.cuts != leader.cuts) {
      const auto cuts = [&text](const rank_record& of) { return of.cuts[0] == 0 ? "none" : text(of.cuts); };
      return differs("pipeline", cuts(its), cuts(leader));
    }
    if (its.arithmetic != leader.arithmetic) {
      return differs("arithmetic", hex_of(its.arithmetic), hex_of(leader.arithmetic));
    }
  }
  return {};
}

}  // namespace g4
