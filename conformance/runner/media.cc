#include "conformance/runner/media.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "conformance/runner/compare.h"
#include "conformance/runner/recorder.h"
#include "g4/media/patches.h"
#include "g4/media/resize.h"
#include "g4/media/sound.h"
#include "g4/text/placeholders.h"

namespace g4::conformance {

namespace {

/// Two ways of resizing a picture may differ by so much: ../goldens say why.
constexpr double pixel_steps = 2.01 / 255;

template <class To, class From>
std::vector<To> part(const std::vector<From>& all, std::size_t first, std::size_t count) {
  const auto from = all.begin() + static_cast<std::ptrdiff_t>(first);
  return {from, from + static_cast<std::ptrdiff_t>(count)};
}

void append(std::vector<double>& to, std::span<const double> from) { to.insert(to.end(), from.begin(), from.end()); }

/// How many of a medium's rows are no padding: `valid(i)` for a stretch at the front.
template <class Valid>
std::size_t valid_rows(std::size_t most, Valid&& valid) {
  std::size_t n = 0;
  while (n < most && valid(n)) ++n;
  return n;
}

bool has_pictures(const case_folder& folder, const running_on& on) {
  return on.how.sees && folder.has("pixel_values") && folder.has("image_position_ids");
}
/// Patches on a side of one soft token, of patches as the case has them: 1 where it has them merged already.
std::size_t pooled_side(const case_folder& folder, std::size_t side) {
  const auto vision = folder.config().find("vision_config");
  if (vision == folder.config().end() || !vision->is_object()) return 1;
  const auto number = [&](const char* key, std::size_t fallback) {
    const auto found = vision->find(key);
    return found != vision->end() && found->is_number_integer() ? found->get<std::size_t>() : fallback;
  };
  return number("patch_size", 16) == side ? number("pooling_kernel_size", 3) : 1;
}
bool has_sounds(const case_folder& folder, const running_on& on) {
  return on.how.hears && folder.has("input_features") && folder.has("input_features_mask");
}

}  // namespace

result<tower_tensors> run_towers(const case_folder& folder, const running_on& on, loaded_model& model) {
  tower_tensors made;
  const auto wanted = [&](const std::string& name) { return folder.has(name); };
  const auto add = [&](const std::string& soft, const std::vector<double>& rows, const recorder& seen, std::size_t n,
                       std::size_t padded) {
    append(made[soft], rows);
    for (const std::string& name : seen.names()) {
      if (name == soft) continue;
      append(made[name], seen[name]);
      const bool by_medium = folder.shape(name).size() == 3;  // and not the rows of all media, one after the other
      if (by_medium) made[name].resize(made[name].size() + seen[name].size() / n * (padded - n));
    }
  };
  if (has_pictures(folder, on)) {
    const auto shape = folder.shape("pixel_values");  // [pictures, patches, width]
    const std::vector<double> pixels = folder.numbers("pixel_values");
    const std::vector<std::int32_t> places = folder.integers("image_position_ids");
    for (std::size_t i = 0; i < shape[0]; ++i) {
      const std::size_t first = i * shape[1];
      const std::size_t n = valid_rows(shape[1], [&](std::size_t p) { return places[2 * (first + p)] >= 0; });
      recorder seen(wanted);
      const auto rows = model.see({part<float>(pixels, first * shape[2], n * shape[2]),
                                   part<std::int32_t>(places, 2 * first, 2 * n)},
                                  &seen);
      if (!rows) return unexpected(rows.error());
      add("vision.soft_tokens", *rows, seen, n, shape[1]);
    }
  }
  if (has_sounds(folder, on)) {
    const auto shape = folder.shape("input_features");  // [clips, frames, width]
    const std::vector<double> features = folder.numbers("input_features");
    const std::vector<std::int32_t> mask = folder.integers("input_features_mask");
    for (std::size_t i = 0; i < shape[0]; ++i) {
      const std::size_t first = i * shape[1];
      const std::size_t n = valid_rows(shape[1], [&](std::size_t t) { return mask[first + t] != 0; });
      recorder seen(wanted);
      const auto rows = model.hear({part<float>(features, first * shape[2], n * shape[2]), {}}, &seen);
      if (!rows) return unexpected(rows.error());
      add("audio.soft_tokens", *rows, seen, n, shape[1]);
    }
  }
  return made;
}

result<void> lay_in(const case_folder& folder, const running_on& on, const tower_tensors& made, case_prompt& prompt) {
  const auto width = static_cast<std::size_t>(on.spec.width);
  const auto lay = [&](const char* name, auto&& belongs) -> result<void> {
    const auto rows = made.find(name);
    if (rows == made.end()) return {};
    std::size_t next = 0;
    for (std::size_t t = 0; t < prompt.what.ids.size(); ++t) {
      if (!belongs(prompt.types[t])) continue;
      if ((next + 1) * width > rows->second.size()) break;
      std::copy_n(rows->second.data() + next * width, width, prompt.what.soft_rows.data() + t * width);
      ++next;
    }
    if (next * width != rows->second.size()) {
      return fail(folder.name(), ": the tower made ", rows->second.size() / width, " rows of ", name, " for ", next,
                  " places");
    }
    return {};
  };
  if (auto done = lay("vision.soft_tokens", [](std::int32_t type) { return type == 1 || type == 2; }); !done)
    return done;
  return lay("audio.soft_tokens", [](std::int32_t type) { return type == 3; });
}

result<void> check_media(const case_folder& folder, const running_on& on, report& out) {
  if (has_pictures(folder, on) && folder.has("image.0")) {
    const auto shape = folder.shape("pixel_values");
    const auto side = static_cast<std::size_t>(std::lround(std::sqrt(static_cast<double>(shape[2]) / 3)));
    const std::vector<double> pixels = folder.numbers("pixel_values");
    for (std::size_t i = 0; i < shape[0]; ++i) {
      const std::string name = "image." + std::to_string(i);
      const std::vector<double> numbers = folder.numbers(name);
      const auto sides = folder.shape(name);
      const std::vector<std::uint8_t> rgb(numbers.begin(), numbers.end());
      const std::size_t pooled = pooled_side(folder, side);
      const auto size = text::gemma4_image_size(sides[0], sides[1], shape[1] / (pooled * pooled), side * pooled);
      if (!size) return unexpected(size.error());
      const media::pixels fitting = media::resized({rgb, sides[0], sides[1]}, size->height, size->width);
      const std::vector<float> rows = media::cut(fitting.view(), side);
      std::vector<double> found(rows.begin(), rows.end());
      found.resize(shape[1] * shape[2]);  // padded with noughts, as the case is
      out.compared(name + " resized and cut",
                   largest_error(found, part<double>(pixels, i * found.size(), found.size())), pixel_steps);
    }
  }
  if (has_sounds(folder, on) && folder.has("waveform.0")) {
    const auto shape = folder.shape("input_features");
    const std::vector<double> features = folder.numbers("input_features");
    for (std::size_t i = 0; i < shape[0]; ++i) {
      const std::string name = "waveform." + std::to_string(i);
      const std::vector<double> numbers = folder.numbers(name);
      const std::vector<float> samples(numbers.begin(), numbers.end());
      const std::vector<float> rows = media::framed({samples}, shape[2]);
      std::vector<double> found(rows.begin(), rows.end());
      found.resize(shape[1] * shape[2]);
      const std::vector<double> expected = part<double>(features, i * found.size(), found.size());
      std::size_t wrong = 0;
      for (std::size_t s = 0; s < found.size(); ++s) wrong += found[s] != expected[s] ? 1 : 0;
      out.exact(name + " framed", wrong, found.size());
    }
  }
  return {};
}

}  // namespace g4::conformance
