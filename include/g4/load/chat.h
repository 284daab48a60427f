/// Conversations written as JSON in the common form (`role`, `content`, `tool_calls`, …) → typed messages.
#pragma once

#include <vector>

#include "g4/core/compiled.h"
#include "g4/core/result.h"
#include "g4/io/json.h"
#include "g4/text/chat.h"

namespace g4::load {

/// A JSON value as the chat templates see it. A whole number beyond 64 bits becomes a float. The document's depth is
/// bounded by whoever parsed it.
[[nodiscard]] G4_INLINE text::value value_from_json(const io::json& json);

/// A list of messages.
[[nodiscard]] G4_INLINE result<std::vector<text::message>> messages_from_json(const io::json& list);

/// A list of tools, as functions or wrapped in `{"type": "function", "function": …}`.
[[nodiscard]] G4_INLINE result<std::vector<text::tool>> tools_from_json(const io::json& list);

}  // namespace g4::load

#if !defined(G4_COMPILED)
#include "g4/load/chat.inl"  // IWYU pragma: keep
#endif
