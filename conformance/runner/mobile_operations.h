/// MobileNetV5's blocks as operations: the library's own parts, with a case's numbers. A block is a type, so those of the
/// cases (golden/mobile_blocks.py) are written out here.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "conformance/runner/operation_inputs.h"
#include "g4/load/place_by_place.h"
#include "g4/model/tower/mobilenet.h"
#include "g4/policy/mobilenet.h"

namespace g4::conformance::operation {

/// Fills a part's weights from a variant, which names them as a checkpoint does, in the layout that the loader gives them.
class part_weights {
 public:
  explicit part_weights(const variant_inputs& in) : in_(in) {}

  template <int N>
  void operator()(const stage_tensor& t, vector<N>& v) {
    v.data = read(t, N).data();
  }
  template <int Out, int In>
  void operator()(const stage_tensor& t, matrix<Out, In>& m) {
    m = weight_view{plain(read(t, std::size_t{Out} * In), In)};
  }
  [[nodiscard]] bool complete() const { return complete_; }

 private:
  const numbers& read(const stage_tensor& t, std::size_t count) {
    const std::vector<std::size_t> wanted(t.extents.begin(), t.extents.begin() + t.rank);
    if (!in_.has(t.safetensors) || in_.shape(t.safetensors) != wanted) {
      complete_ = false;
      return held_.emplace_back(count);
    }
    numbers read = in_.floats(t.safetensors);
    if (t.as == stage_role::convolution) read = load::place_by_place(read, wanted[0], wanted[1]);
    if (t.as == stage_role::channelwise) read = load::place_by_place(read, 1, wanted[0]);
    return held_.emplace_back(std::move(read));
  }

  const variant_inputs& in_;
  std::deque<numbers> held_;  // addresses stay
  bool complete_ = true;
};

/// A block on the square plane x; nothing where the case has other extents.
template <mobile_block K, int In, class B>
std::optional<outputs> run_block(B& on, const variant_inputs& in) {
  const std::size_t side = in.extent("x", 0), places = side * side;
  detail::mobile_weights<K, In> block;
  part_weights weights(in);
  block.each(detail::mobile_tensors<part_weights>{weights, "", ""});
  if (!weights.complete() || in.shape("x") != std::vector<std::size_t>{side, side, In}) return std::nullopt;

  const int widened = K.kind == mobile::attention ? 0 : K.inner(In);
  const int widest = std::max({In * std::max(1, K.side * K.side), widened, K.channels, K.heads * K.head_size});
  std::array<numbers, 8> planes;
  for (numbers& plane : planes) plane.resize(places * static_cast<std::size_t>(widest));
  const numbers x = in.floats("x");
  std::copy(x.begin(), x.end(), planes[0].begin());
  const storage keys_as = on.cache_storage();
  const std::size_t bytes = cached_bytes(keys_as, 1, places, static_cast<std::size_t>(K.head_size));
  std::vector<std::byte> keys(bytes), values(bytes);
  std::vector<key_range> ranges(places);
  std::vector<pass_row> rows(places);

  detail::mobile_planes<float> m{};
  m.side = side;
  m.x = planes[0].data();
  m.y = planes[1].data();
  m.inner = planes[2].data();
  m.wide = planes[3].data();
  m.squares = planes[4].data();
  m.thin = planes[5].data();
  m.key = planes[6].data();
  m.value = planes[7].data();
  m.cache = {keys.data(), values.data(), 0, 1, 0, keys_as};
  m.ranges = ranges.data();
  m.rows = rows.data();
  block.run(on, m);
  return outputs{{"y", {m.x, m.x + m.places() * std::size_t{K.channels}}}};
}

template <class B>
std::optional<outputs> edge_residual(B& on, const variant_inputs& in) {
  using word = g4::edge_residual;
  if (in.name() == "added") return run_block<word{.channels = 4}.block(), 4>(on, in);
  if (in.name() == "halved") return run_block<word{.channels = 6, .stride = 2, .wider = 6}.block(), 4>(on, in);
  return std::nullopt;
}

template <class B>
std::optional<outputs> inverted_residual(B& on, const variant_inputs& in) {
  if (in.name() == "halved") {
    return run_block<bottleneck{.channels = 6, .start = 3, .middle = 5, .stride = 2}.block(), 4>(on, in);
  }
  if (in.name() == "at_the_start") return run_block<bottleneck{.channels = 4, .start = 5}.block(), 4>(on, in);
  if (in.name() == "maps_alone") return run_block<bottleneck{.channels = 8, .wider = 2}.block(), 8>(on, in);
  return std::nullopt;
}

template <class B>
std::optional<outputs> mobile_attention(B& on, const variant_inputs& in) {
  if (in.name() == "every_place") {
    return run_block<multi_query{.channels = 6, .heads = 3, .size = 4}.block(), 6>(on, in);
  }
  if (in.name() == "thinned_out") {
    return run_block<multi_query{.channels = 6, .heads = 2, .size = 8, .key_stride = 2}.block(), 6>(on, in);
  }
  return std::nullopt;
}

template <int Kept, int Last, int Fused, int Side, class B>
std::optional<outputs> run_fusion(B& on, const variant_inputs& in) {
  const std::size_t large = in.extent("large", 0), small = in.extent("small", 0), n = large * large;
  using part = detail::mobile_fusion<Kept, Last, Fused, Side>;
  part fusion;
  part_weights weights(in);
  fusion.each(detail::mobile_tensors<part_weights>{weights, "", ""});
  if (!weights.complete() || in.shape("large") != std::vector<std::size_t>{large, large, Kept} ||
      in.shape("small") != std::vector<std::size_t>{small, small, Last} || large % Side != 0 || small > large) {
    return std::nullopt;
  }
  numbers a = in.floats("large"), b = in.floats("small");
  numbers squares(n * part::from), wide(n * part::inner), inner(n * Fused), y(n * Fused);
  std::vector<token_id> ids(2 * n), host_ids(2 * n);
  detail::mobile_planes<float> m{};
  m.side = small;
  m.kept = a.data();
  m.x = b.data();
  m.squares = squares.data();
  m.wide = wide.data();
  m.inner = inner.data();
  stage_pass<float> p;
  p.rows = n;
  p.x = y.data();
  p.ids = ids.data();
  p.host_ids = host_ids.data();
  fusion.run(on, p, m, large);
  return outputs{{"y", {p.x, p.x + p.rows * Fused}}};
}

template <class B>
std::optional<outputs> multi_scale_fusion(B& on, const variant_inputs& in) {
  if (in.name() == "halved") return run_fusion<4, 6, 8, 2>(on, in);
  if (in.name() == "odd") return run_fusion<3, 5, 6, 3>(on, in);
  return std::nullopt;
}

}  // namespace g4::conformance::operation
