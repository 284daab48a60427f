#pragma once

#include <string>

#include "g4/load/check_spec.h"
#include "g4/rule/rules.h"
#include "g4/spec/keeps.h"

namespace g4::load {

namespace detail {

/// "query heads must be …; layer 0 has 3 and 2 (num_attention_heads and num_key_value_heads)"
template <class... Number>
[[nodiscard]] std::string sentence(const rule::words& says, int layer, Number... numbers) {
  const std::string found[] = {std::to_string(numbers)...};
  std::string text = std::string(says.why) + "; ";
  const std::string* next = found;
  for (const char* c = says.found; *c != 0; ++c) {
    if (*c == '#') {
      text += std::to_string(layer);
    } else if (*c == '%') {
      text += *next++;
    } else {
      text += *c;
    }
  }
  return text + " (" + says.keys + ")";
}

}  // namespace detail

G4_INLINE result<void> check_spec(const text_spec& m, const std::string& name) {
  std::string broken;
  const bool kept = each_rule(m, [&](auto rule, int layer, auto... numbers) {
    if (rule.keeps(numbers...)) return true;
    broken = detail::sentence(rule.says, layer, numbers...);
    return false;
  });
  if (!kept) return fail(name, ": ", broken);
  return {};
}

}  // namespace g4::load
