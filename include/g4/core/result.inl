#pragma once

#include <initializer_list>
#include <string>

#include "g4/core/printable.h"
#include "g4/core/result.h"

namespace g4 {

namespace detail {

G4_INLINE void piece::append_to(std::string& sentence) const {
  switch (kind_) {
    case kind::text: sentence.append(text_, size_); break;
    case kind::integer: sentence += std::to_string(integer_); break;
    case kind::natural: sentence += std::to_string(natural_); break;
    case kind::real: sentence += std::to_string(real_); break;
  }
}

G4_INLINE unexpected fail_with(std::initializer_list<piece> pieces) {
  std::string sentence;
  for (const piece& p : pieces) p.append_to(sentence);
  return unexpected(error{printable(sentence)});
}

}  // namespace detail

G4_INLINE unexpected fail_in(const std::string& where, const error& why) {
  return unexpected(error{printable(where + ": " + why.message)});
}

}  // namespace g4
