/// A tensor of a stage: its name behind the stage's, its extents, and how it is read.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "g4/spec/tower.h"
#include "g4/tensor/matrix.h"
#include "g4/tensor/pass_row.h"
#include "g4/tensor/place.h"

namespace g4 {

/// How a stage's tensor is read: a matrix in any storage, a table read row by row, or numbers in float32.
/// A bias may be all noughts; a bound is one number that may be missing: there is no bound then. Of `one_plus` a safetensors
/// file holds what exceeds 1; of `softened` numbers, which may be noughts too, an mmproj file holds the softplus; and a
/// `turned` matrix has its columns where others have their rows. A `convolution`
/// [out, in, side, side] becomes a matrix [out, side² · in], a `channelwise` one [channels, 1, side, side] numbers
/// [side², channels]: place by place, as planes with their channels side by side are read (`ops/plane.h`).
enum class stage_role : std::uint8_t {
  matrix,
  table,
  numbers,
  bias,
  bound,
  one_plus,
  softened,
  turned,
  convolution,
  channelwise
};

struct stage_tensor {
  std::string safetensors;  ///< behind the stage's name
  std::string gguf;
  stage_role as = stage_role::matrix;
  int rank = 1;
  std::array<int, 4> extents{};       ///< outermost first
  std::array<int, 4> gguf_extents{};  ///< where that format has another order

  [[nodiscard]] bool is_lower_bound() const { return as == stage_role::bound && safetensors.ends_with("_min"); }
};

/// What a stage runs on: n rows, and memory to work in. All pointers but `places` are of the backend's memory.
template <class Scalar>
struct stage_pass {
  std::size_t rows = 0;            ///< n
  std::size_t behind = 0;  ///< rows of padding after those: none are made of them, but convolutions look into them
  Scalar* x = nullptr;             ///< what the stage is given, and where it leaves what it makes of it
  Scalar* y = nullptr;             ///< as large as x: a stage that cannot work in place writes here and exchanges the two
  std::byte* memory = nullptr;     ///< what the stage's `room` asked for
  Scalar* room = nullptr;          ///< one row
  token_id* ids = nullptr;         ///< [n]
  Scalar* out = nullptr;           ///< [n, D of the text]: where the last stage writes
  const place* places = nullptr;   ///< [n] on the host; of pictures
  token_id* host_ids = nullptr;    ///< [n] on the host
};

/// The weights of a stage and what they do: specialised for each stage that has any, in a header of its name. A stage
/// that makes fewer rows says so, `rows_of(n)`; one that needs memory says how many bytes, `room(n, …)`; and one with
/// layers is given `show(layer, x, rows, width)` as well, for what each leaves.
///
///     In     how wide the rows are that it is given
///     Text   how wide the rows of the text are
template <auto Stage, int In, int Text>
struct stage_weights;

}  // namespace g4
