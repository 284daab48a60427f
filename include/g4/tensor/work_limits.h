/// How large a backend's calls can be.
#pragma once

#include <cstddef>

namespace g4 {

/// The largest calls that are to come: what a backend with working memory of its own is told in advance.
struct work_limits {
  std::size_t rows = 0;       ///< of a pass
  std::size_t columns = 0;    ///< longest row that a product reads
  std::size_t ranked = 0;     ///< length of the rows whose greatest products are asked for; 0: none are
  std::size_t head_size = 0;  ///< the widest of attention
  std::size_t slots = 0;      ///< of the longest cache
  std::size_t all_heads = 0;  ///< key/value heads where all rows see each other without one; 0: nowhere
  std::size_t joined = 0;     ///< numbers that ranks bring together in one exchange; 0: there is one rank
};

}  // namespace g4
