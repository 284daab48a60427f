/// A number that tells one run of bytes from another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace g4 {

/// FNV-1a in 64 bits, fed piece by piece. It finds damage and mix-ups (no single changed byte gives the same number), not
/// forgers.
///
///     h₀ = 0xcbf29ce484222325      hᵢ₊₁ = (hᵢ xor byteᵢ) · 0x100000001b3
class fingerprint {
 public:
  void add(std::span<const std::byte> bytes) {
    for (const std::byte b : bytes) value_ = (value_ ^ static_cast<std::uint64_t>(b)) * 0x100000001b3;
  }
  /// The text and its length, so that two texts are not one that is cut elsewhere.
  void add(std::string_view text) {
    add(text.size());
    add(std::as_bytes(std::span(text)));
  }
  void add(std::uint64_t number) { add(std::as_bytes(std::span(&number, 1))); }

  [[nodiscard]] std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325;
};

/// Sixteen hexadecimal digits.
[[nodiscard]] inline std::string hex_of(std::uint64_t number) {
  std::string digits;
  for (int shift = 60; shift >= 0; shift -= 4) digits += "0123456789abcdef"[(number >> shift) & 15];
  return digits;
}

/// A name where there is room for so many letters, 17 or more: itself, or else its beginning, a tilde, and the fingerprint of all of
/// it, so that long names that begin alike stay apart.
[[nodiscard]] inline std::string name_within(std::size_t room, std::string_view name) {
  if (name.size() <= room) return std::string(name);
  fingerprint print;
  print.add(name);
  return std::string(name.substr(0, room - 17)) + "~" + hex_of(print.value());
}

}  // namespace g4
