#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "g4/load/match.h"

namespace g4::load {

namespace detail {

G4_INLINE std::string number_text(float value) {
  std::array<char, 48> plain{};
  std::array<char, 48> scientific{};
  const std::string as_plain(plain.data(), std::to_chars(plain.data(), plain.data() + plain.size(), value).ptr);
  std::string text(scientific.data(), std::to_chars(scientific.data(), scientific.data() + scientific.size(), value,
                                                    std::chars_format::scientific)
                                          .ptr);
  // to_chars writes at least two digits of exponent, and its sign: 1e+06.
  const std::size_t e = text.find('e');
  if (e != std::string::npos) {
    std::string exponent = text.substr(e + 1);
    const bool negative = exponent[0] == '-';
    exponent.erase(0, exponent.find_first_not_of("+-0"));
    text = text.substr(0, e) + (exponent.empty() ? "" : (negative ? "e-" : "e") + exponent);
  }
  return text.size() < as_plain.size() || as_plain.find('e') != std::string::npos ? text : as_plain;
}

[[nodiscard]] inline std::string value_text(int value) { return std::to_string(value); }
[[nodiscard]] inline std::string value_text(float value) { return number_text(value); }
[[nodiscard]] inline std::string value_text(bool value) { return value ? "yes" : "no"; }
G4_INLINE std::string value_text(reach value) { return value == reach::local ? "local" : "global"; }
G4_INLINE std::string value_text(visibility value) {
  switch (value) {
    case visibility::causal: return "causal";
    case visibility::images_on_local: return "images see themselves in local layers";
    case visibility::images_everywhere: return "images see themselves in every layer";
    case visibility::everything: break;
  }
  return "an encoder";
}
[[nodiscard]] inline std::string value_text(key_span value) {
  if (value.back == key_span::unbounded) return value.ahead == 0 ? "all keys before" : "all keys";
  if (value.ahead == 0) return std::to_string(value.back + 1LL) + " keys";
  return std::to_string(value.back) + " keys before and " + std::to_string(value.ahead) + " after";
}
[[nodiscard]] inline std::string value_text(activation_kind value) {
  return value == activation_kind::gelu_tanh ? "gelu_tanh" : "its own";
}
[[nodiscard]] inline std::string value_text(cache_role value) {
  return value == cache_role::owner ? "its own" : "a producer's";
}

/// A struct that lists its fields.
template <class T>
concept lists_fields = requires { T::each_field([](const auto&) {}); };

/// Its fields, by name: "theta 1e6, factor 1, fraction 0.25".
template <lists_fields T>
[[nodiscard]] std::string value_text(const T& value) {
  std::string text;
  T::each_field([&](const auto& f) { text += (text.empty() ? "" : ", ") + (f.name + (" " + value_text(value.*f.member))); });
  return text;
}
template <class Part>
[[nodiscard]] std::string value_text(const maybe<Part>& value) {
  return value ? value_text(*value) : "none";
}

[[nodiscard]] inline bool agree(float a, float b) {
  return a == b || std::abs(a - b) <= 1e-6f * std::max(std::abs(a), std::abs(b));
}
template <class T>
[[nodiscard]] bool agree(const T& a, const T& b) {
  if constexpr (lists_fields<T>) {
    bool same = true;
    T::each_field([&](const auto& f) { same = same && agree(a.*f.member, b.*f.member); });
    return same;
  } else {
    return a == b;
  }
}
template <class Part>
[[nodiscard]] bool agree(const maybe<Part>& a, const maybe<Part>& b) {
  return a.has_value() == b.has_value() && (!a || agree(*a, *b));
}

/// "layer 5", "layers 0-4, 6 and 12-17"
[[nodiscard]] inline std::string runs_text(const std::vector<int>& layers) {
  std::vector<std::string> runs;
  for (std::size_t i = 0; i < layers.size();) {
    std::size_t end = i;
    while (end + 1 < layers.size() && layers[end + 1] == layers[end] + 1) ++end;
    runs.push_back(std::to_string(layers[i]) + (end > i ? "-" + std::to_string(layers[end]) : ""));
    i = end + 1;
  }
  std::string text = layers.size() == 1 ? "layer " : "layers ";
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (i > 0) text += i + 1 == runs.size() ? " and " : ", ";
    text += runs[i];
  }
  return text;
}

class difference_list {
 public:
  explicit difference_list(std::string_view variant) : variant_(variant) {}

  template <class T>
  void field(const char* what, const T& file, const T& variant) {
    if (!agree(file, variant)) add(what, value_text(file), value_text(variant));
  }

  /// One line for all layers that differ in the same way.
  template <class T>
  void layers(const char* what, const stack_spec& file, const stack_spec& variant, T layer_kind::*member) {
    struct group {
      T file, variant;
      std::vector<int> layers;
    };
    std::vector<group> groups;
    for (int l = 0; l < file.layers; ++l) {
      const T& a = file.layer[l].*member;
      const T& b = variant.layer[l].*member;
      if (agree(a, b)) continue;
      std::size_t g = 0;
      while (g < groups.size() && !(groups[g].file == a && groups[g].variant == b)) ++g;
      if (g == groups.size()) groups.push_back({a, b, {}});
      groups[g].layers.push_back(l);
    }
    for (const group& g : groups)
      add(std::string(what) + " of " + runs_text(g.layers), value_text(g.file), value_text(g.variant));
  }

  std::vector<std::string> lines;

 private:
  void add(const std::string& what, const std::string& file, const std::string& variant) {
    lines.push_back(what + ": the file has " + file + ", " + variant_ + " has " + variant);
  }
  std::string variant_;
};

[[nodiscard]] constexpr bool is_encoder(visibility v) { return v == visibility::everything; }

}  // namespace detail

G4_INLINE std::vector<std::string> differences(const text_spec& file, const text_spec& variant,
                                             std::string_view name, laxity lax) {
  detail::difference_list d(name);
  const bool as_deep = file.layers == variant.layers;
  text_spec said = file;
  if (lax.fewer_rows && file.vocab < variant.vocab && file.vocab > variant.vocab - variant.vocab / 64) {
    said.vocab = variant.vocab;
  }
  if (lax.images && detail::is_encoder(file.sees) == detail::is_encoder(variant.sees)) said.sees = variant.sees;
  text_spec::each_field([&](const auto& f) {
    if (f.when == compared::always || (f.when == compared::by_layer && !as_deep)) {
      d.field(f.name, said.*f.member, variant.*f.member);
    }
  });
  if (!as_deep) return d.lines;  // layer by layer there is nothing to compare
  layer_kind::each_field([&](const auto& f) {
    if (f.when == compared::always) d.layers(f.name, file, variant, f.member);
  });
  return d.lines;
}

G4_INLINE std::vector<shown_field> shown_fields(const text_spec& m) {
  std::vector<shown_field> fields;
  const text_spec silent;
  text_spec::each_field([&](const auto& f) {
    fields.push_back({f.name, detail::value_text(m.*f.member), m.*f.member == silent.*f.member});
  });
  return fields;
}

}  // namespace g4::load
