/// What a pass is given before its first layer: which keys each row may see, and by which angles it is turned.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "g4/ops/rope.h"
#include "g4/tensor/pass_row.h"

namespace g4 {

/// A mask of one kind of layer: positions q − back … q + ahead around a query at q, a negative number meaning no limit.
struct key_mask {
  std::int64_t back = -1;
  std::int64_t ahead = 0;
  bool sees_its_run = false;  ///< as well as all tokens of the query's own picture
  friend constexpr bool operator==(const key_mask&, const key_mask&) = default;
};

/// A table of angles: its frequencies [d/2] in the backend's memory, and where the cosines and sines [T, d/2] go.
template <class Scalar>
struct angle_table {
  const double* frequencies = nullptr;
  std::size_t half = 0;  ///< d/2
  Scalar* cos = nullptr;
  Scalar* sin = nullptr;
};

/// T rows, of any texts, that begin a pass. All pointers but `masks` and `tables` are of the backend's memory.
template <class Scalar>
struct begin_call {
  const pass_row* rows = nullptr;  ///< [T]
  std::size_t count = 0;           ///< T
  std::int64_t first_position = 0; ///< what the first token of a text is turned by
  token_id* ids = nullptr;         ///< [T]
  token_id* looked_up = nullptr;   ///< [T]
  const key_mask* masks = nullptr;
  std::size_t mask_count = 0;
  key_range* keys = nullptr;       ///< [masks, stride]
  std::size_t stride = 0;
  const angle_table<Scalar>* tables = nullptr;
  std::size_t table_count = 0;
};

namespace ops {

/// The keys a row may see under a mask. Every mask of the family is one stretch of positions.
[[nodiscard]] constexpr key_range visible_keys(const pass_row& row, const key_mask& mask) {
  const std::int64_t q = index_of(row.at);
  const std::int64_t end = index_of(row.text_end);
  const std::int64_t from = mask.back < 0 ? 0 : std::max<std::int64_t>(0, q - mask.back);
  std::int64_t to = mask.ahead < 0 ? end : std::min(end, q + mask.ahead + 1);
  if (mask.sees_its_run) to = std::max(to, index_of(row.run_end));
  return {position{from}, position{to}};
}

template <class Scalar>
void begin(const begin_call<Scalar>& call) {
  for (std::size_t t = 0; t < call.count; ++t) {
    const pass_row& row = call.rows[t];
    call.ids[t] = row.id;
    call.looked_up[t] = row.looked_up;
    for (std::size_t m = 0; m < call.mask_count; ++m) {
      call.keys[m * call.stride + t] = visible_keys(row, call.masks[m]);
    }
    for (std::size_t r = 0; r < call.table_count; ++r) {
      const angle_table<Scalar>& table = call.tables[r];
      rope_angles(table.frequencies, table.half, call.first_position + index_of(row.at), table.cos + t * table.half,
                  table.sin + t * table.half);
    }
  }
}

}  // namespace ops
}  // namespace g4
