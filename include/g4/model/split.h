/// The plan: what of each part of a model one of several ranks has.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "g4/model/schema.h"
#include "g4/spec/share.h"
#include "g4/tensor/storage.h"

namespace g4 {

/// How a part is shared out.
enum class split : std::uint8_t {
  copied,       ///< every rank has all of it
  rows,         ///< some of its rows each; of several matrices, some rows of each matrix
  key_heads,    ///< the same by key/value heads: where there are fewer than ranks, neighbours have the same head
  hidden_rows,  ///< the rows that make the columns which this rank has of a product behind them
  gate_and_up,  ///< some rows of the upper half (gates), and the same of the lower half
  columns,      ///< some of its columns: ranks add what they make
  looked_up,    ///< held by none: single rows are read from the file
};

[[nodiscard]] constexpr std::string_view name_of(split how) {
  switch (how) {
    case split::copied: return "copied";
    case split::rows: return "rows";
    case split::key_heads: return "rows, by key/value heads";
    case split::hidden_rows: return "rows, in whole blocks";
    case split::gate_and_up: return "rows of gate and of up";
    case split::columns: return "columns";
    case split::looked_up: return "looked up in the file";
  }
  return "";
}

/// The parts that are not on every rank. Norms, routers, the per-layer branch, AltUp, LAuReL, scalars and the biases behind
/// a closing product are: they are small, or all of a row is needed to compute with them.
struct split_line {
  std::string_view part;  ///< as safetensors files call it
  split how;
  split where_sums_are_divided = how;
};
inline constexpr std::array<split_line, 15> split_lines{{
    {"embed_tokens.weight", split::looked_up},
    {"embed_tokens_per_layer.weight", split::looked_up},
    {"self_attn.q_proj.weight", split::rows},
    {"self_attn.q_proj.bias", split::rows},
    {"self_attn.k_proj.weight", split::key_heads},
    {"self_attn.k_proj.bias", split::key_heads},
    {"self_attn.v_proj.weight", split::key_heads},
    {"self_attn.v_proj.bias", split::key_heads},
    {"self_attn.o_proj.weight", split::rows, split::columns},
    {"mlp.gate_proj.weight", split::rows, split::hidden_rows},
    {"mlp.up_proj.weight", split::rows, split::hidden_rows},
    {"mlp.down_proj.weight", split::rows, split::columns},
    {"experts.gate_up_proj", split::gate_and_up},
    {"experts.down_proj", split::rows, split::columns},
    {"lm_head.weight", split::rows},
}};

/// How a part of the schema is shared out, however many ranks there are.
[[nodiscard]] constexpr split split_of(const part& what, sums how = sums::whole) {
  for (const split_line& line : split_lines) {
    if (line.part == what.safetensors) return how == sums::divided ? line.where_sums_are_divided : line.how;
  }
  return split::copied;
}

/// A model shared out among so many ranks, each of which has some rows of every large weight; with `sums::divided` some columns
/// of those that close a branch.
template <int Ranks, sums Sums = sums::whole>
struct tensor_parallel {
  static constexpr int ranks = Ranks;
  static constexpr g4::sums sums_are = Sums;
};

/// The rows that a rank has, of the `rows` that a tensor of `m`, or one half of it, has in the file.
[[nodiscard]] constexpr stretch rows_of_a_rank(const text_spec& m, const tensor_entry& t, std::size_t rows, int ranks,
                                               int rank, sums how = sums::whole) {
  switch (split_of(t.what, how)) {
    case split::copied:
    case split::columns:
    case split::looked_up: break;
    case split::rows: return share_of(rows, ranks, rank);
    case split::hidden_rows:
    case split::gate_and_up: return hidden_of_a_rank(rows, ranks, rank, how);
    case split::key_heads: {
      const layer_kind& k = m.layer[t.layer];
      const int mine = key_heads_of_a_rank(k.key_value_heads, ranks);
      const auto first = static_cast<std::size_t>(rank) * static_cast<std::size_t>(k.key_value_heads) /
                         static_cast<std::size_t>(ranks);
      const auto d = static_cast<std::size_t>(k.head_size);
      return {first * d, static_cast<std::size_t>(mine) * d};
    }
  }
  return {0, rows};
}

/// The columns that a rank has, of the `columns` that a tensor has in the file.
[[nodiscard]] constexpr stretch columns_of_a_rank(const tensor_entry& t, std::size_t columns, int ranks, int rank,
                                                  sums how = sums::whole) {
  if (split_of(t.what, how) != split::columns) return {0, columns};
  // Attention's output reads heads, which divide.
  return t.what.safetensors == "self_attn.o_proj.weight" ? share_of(columns, ranks, rank)
                                                         : hidden_of_a_rank(columns, ranks, rank, how);
}

/// How many numbers of a tensor a rank holds: of those in its memory, and of those it multiplies with where they lie. A
/// tied table is held as the head that it is as well.
[[nodiscard]] constexpr long long elements_of_a_rank(const text_spec& m, const tensor_entry& t, int ranks, int rank,
                                                     sums sums_are = sums::whole) {
  const split how = split_of(t.what, sums_are);
  if (how == split::looked_up) {
    if (t.as != role::token_table || !m.tied_head) return 0;
    return static_cast<long long>(share_of(static_cast<std::size_t>(t.extents[0]), ranks, rank).count) * t.extents[1];
  }
  if (t.rank < 2) {
    return static_cast<long long>(
        rows_of_a_rank(m, t, static_cast<std::size_t>(t.extents[0]), ranks, rank).count);
  }
  const bool several = t.rank == 3;
  const long long matrices = several ? t.extents[0] : 1;
  const int halves = how == split::gate_and_up ? 2 : 1;
  const auto rows = static_cast<std::size_t>(t.extents[several ? 1 : 0] / halves);
  const auto columns = static_cast<std::size_t>(t.extents[t.rank - 1]);
  return matrices * halves * static_cast<long long>(rows_of_a_rank(m, t, rows, ranks, rank, sums_are).count) *
         static_cast<long long>(columns_of_a_rank(t, columns, ranks, rank, sums_are).count);
}

/// Bytes that so many numbers of a tensor take. Matrices are stored as `matrices`, a table that is the head or one as `tables`,
/// everything small as float32; what need not be there takes nothing.
[[nodiscard]] constexpr long long planned_bytes(const tensor_entry& t, long long elements, storage matrices, storage tables) {
  if (t.needed != need::required || t.as == role::integers) return 0;
  const storage_facts f = facts_of(is_small(t.as) ? storage::f32 : t.as == role::matrix ? matrices : tables);
  return elements / static_cast<long long>(f.block_elements) * static_cast<long long>(f.block_bytes);
}

/// Bytes of the weights that a rank holds, before anything is read.
[[nodiscard]] constexpr long long plan_weights(const text_spec& m, storage matrices, storage tables, int ranks = 1,
                                               int rank = 0, sums how = sums::whole) {
  long long bytes = 0;
  each_tensor(m, [&](const tensor_entry& t) {
    bytes += planned_bytes(t, elements_of_a_rank(m, t, ranks, rank, how), matrices, tables);
  });
  return bytes;
}

}  // namespace g4
