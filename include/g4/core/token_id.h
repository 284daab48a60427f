/// A token of a vocabulary.
#pragma once

#include <cstdint>

namespace g4 {

/// An id of the vocabulary, counted from 0; negative where there is none.
using token_id = std::int32_t;
inline constexpr token_id no_token = -1;

}  // namespace g4
