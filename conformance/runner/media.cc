#include "conformance/runner/media.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "conformance/runner/compare.h"
#include "conformance/runner/recorder.h"
#include "g4/media/log_mel.h"
#include "g4/media/patches.h"
#include "g4/media/resize.h"
#include "g4/media/sound.h"
#include "g4/text/placeholders.h"

namespace g4::conformance {

namespace {

/// What `run_towers` notes beside the tensors.
constexpr const char* rows_of_each_sound = "rows of each sound";

/// Two ways of resizing a picture may differ by so much: ../goldens say why.
constexpr double pixel_steps = 2.01 / 255;

template <class To, class From>
std::vector<To> part(const std::vector<From>& all, std::size_t first, std::size_t count) {
  const auto from = all.begin() + static_cast<std::ptrdiff_t>(first);
  return {from, from + static_cast<std::ptrdiff_t>(count)};
}

void append(std::vector<double>& to, std::span<const double> from) { to.insert(to.end(), from.begin(), from.end()); }

/// Rows of places, each with all its channels, as planes of one channel each.
std::vector<double> channels_first(std::span<const double> rows, std::size_t channels) {
  const std::size_t places = rows.size() / channels;
  std::vector<double> planes(rows.size());
  for (std::size_t p = 0; p < places; ++p) {
    for (std::size_t c = 0; c < channels; ++c) planes[c * places + p] = rows[p * channels + c];
  }
  return planes;
}

/// How many of a medium's rows are no padding: `valid(i)` for a stretch at the front.
template <class Valid>
std::size_t valid_rows(std::size_t most, Valid&& valid) {
  std::size_t n = 0;
  while (n < most && valid(n)) ++n;
  return n;
}

/// Pictures in patches, and the frames of a video, which are pictures too.
struct patched {
  const char* pixels;
  const char* places;
  const char* source;
};
constexpr patched pictures_and_frames[] = {{"pixel_values", "image_position_ids", "image."},
                                           {"pixel_values_videos", "video_position_ids", "frame."}};
bool has(const case_folder& folder, const running_on& on, const patched& what) {
  return on.how.sees && folder.has(what.pixels) && folder.has(what.places);
}
/// Gemma 3 and 3n: whole pictures [pictures, 3, side, side], −1 … 1 or 0 … 1.
bool has_squares(const case_folder& folder, const running_on& on) {
  return on.how.sees && folder.has("pixel_values") && folder.shape("pixel_values").size() == 4;
}
/// What the least value of a picture's pixels is: 0 of the towers that are given pixels and not patches.
double least_pixel(const case_folder& folder) {
  const auto vision = folder.config().find("vision_config");
  return vision != folder.config().end() && vision->value("model_type", "") == "gemma3n_vision" ? 0 : -1;
}
/// A picture of planes as a tower takes it: patches with their colours apart, 0 … 1, and their places.
medium patches_of(std::span<const double> planes, std::size_t side, std::size_t patch, double least) {
  medium out;
  for (std::size_t top = 0; top + patch <= side; top += patch) {
    for (std::size_t left = 0; left + patch <= side; left += patch) {
      out.places.push_back(static_cast<std::int32_t>(left / patch));
      out.places.push_back(static_cast<std::int32_t>(top / patch));
      for (std::size_t c = 0; c < 3; ++c) {
        for (std::size_t i = 0; i < patch * patch; ++i) {
          const double v = planes[(c * side + top + i / patch) * side + left + i % patch];
          out.rows.push_back(static_cast<float>((v - least) / (1 - least)));
        }
      }
    }
  }
  return out;
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
/// What stands at the place of a video, character by character and mark by mark, as ids.
void check_expansion(const case_folder& folder, report& out) {
  const auto& video = folder.about().at("video");
  text::medium frames{text::medium::kind::video, video.at("soft_tokens_per_frame").get<std::size_t>()};
  for (const auto& index : video.at("indices")) {
    frames.seconds.push_back(index.get<double>() / video.at("fps").get<double>());
  }
  const auto written = text::gemma4_expand("<|video|>", std::span<const text::medium>(&frames, 1));
  if (!written) return out.failed("video.expansion_ids", written.error().message);
  std::vector<std::pair<std::string, std::int32_t>> known{
      {"<|image>", folder.config().at("boi_token_id").get<std::int32_t>()},
      {"<|video|>", folder.config().at("video_token_id").get<std::int32_t>()},
      {"<image|>", folder.config().at("eoi_token_id").get<std::int32_t>()}};
  for (const auto& [character, id] : video.at("character_ids").items()) known.emplace_back(character, id.get<int>());
  std::vector<std::int32_t> ids;
  for (std::size_t at = 0; at < written->size();) {
    const auto here = std::find_if(known.begin(), known.end(), [&](const auto& k) {
      return std::string_view(*written).substr(at).starts_with(k.first);
    });
    if (here == known.end()) return out.failed("video.expansion_ids", "the case has no id for what is written");
    ids.push_back(here->second);
    at += here->first.size();
  }
  const std::vector<std::int32_t> expected = folder.integers("video.expansion_ids");
  std::size_t wrong = ids.size() == expected.size() ? 0 : expected.size();
  for (std::size_t i = 0; wrong == 0 && i < ids.size(); ++i) wrong += ids[i] != expected[i] ? 1 : 0;
  out.exact("video.expansion_ids", wrong, expected.size());
}
bool has_sounds(const case_folder& folder, const running_on& on) {
  return on.how.hears && folder.has("input_features") && folder.has("input_features_mask");
}

/// Two ways of taking a Fourier transform may differ by so much in the logarithm of a band.
constexpr double band_steps = 2e-4;

/// What the case says of its feature extractor; nothing where it says nothing.
json extractor_of(const case_folder& folder) {
  for (const char* file : {"audio_preprocessor_config.json", "preprocessor_config.json"}) {
    if (!folder.has_file(file)) continue;
    if (auto read = read_json_file(folder.file(file)); read && read->contains("feature_extractor_type")) return *read;
  }
  return json::object();
}

/// Whose features a case has: a family's log-mel, or others.
enum class front_end { other, gemma3n, gemma4 };
front_end front_end_of(const case_folder& folder) {
  if (const json said = extractor_of(folder); !said.empty()) {
    const std::string type = said.value("feature_extractor_type", "");
    return type == "Gemma4AudioFeatureExtractor"    ? front_end::gemma4
           : type == "Gemma3nAudioFeatureExtractor" ? front_end::gemma3n
                                                    : front_end::other;
  }
  const auto audio = folder.config().find("audio_config");
  if (audio == folder.config().end() || !audio->is_object()) return front_end::other;
  const std::string type = audio->value("model_type", "");
  return type == "gemma4_audio" ? front_end::gemma4 : type == "gemma3n_audio" ? front_end::gemma3n : front_end::other;
}

/// A family's settings, and what the case says of them.
media::log_mel_settings settings_of(const case_folder& folder, std::size_t bins) {
  const bool gemma3n = front_end_of(folder) == front_end::gemma3n;
  const stage::log_mel usual{static_cast<int>(bins), gemma3n ? 512 : 320, 160, gemma3n};
  media::log_mel_settings how = media::settings_of(usual, stage::waveform{16'000});
  const json said = extractor_of(folder);
  const auto take = [&](const char* key, auto& to) { to = said.value(key, to); };
  take("frame_length", how.window);
  take("hop_length", how.step);
  take("fft_length", how.fft);
  take("sampling_rate", how.rate);
  take("min_frequency", how.least_hz);
  take("max_frequency", how.most_hz);
  take("mel_floor", gemma3n ? how.least : how.floor);
  take("preemphasis", how.emphasis);
  how.before = gemma3n ? 0 : how.window / 2;
  return how;
}

/// The log-mel features of a case's waveforms: of all, padded together, or of one alone, `single.<i>.input_features`.
result<void> check_log_mel(const case_folder& folder, const std::string& prefix, const std::string& tensor,
                           report& out) {
  const json said = extractor_of(folder);
  const auto shape = folder.shape(tensor);
  const bool gemma3n = front_end_of(folder) == front_end::gemma3n;
  const media::log_mel_settings how = settings_of(folder, shape[2 - (shape.size() == 2 ? 1 : 0)]);
  const auto is = [&](const char* key, const json& wanted) { return !said.contains(key) || said.at(key) == wanted; };
  if (!is("dither", 0.0) || !is("input_scale_factor", 1.0) || !is("per_bin_mean", nullptr) ||
      !is("per_bin_stddev", nullptr) || (gemma3n ? !is("preemphasis_htk_flavor", true) : how.emphasis != 0) ||
      how.fft < how.window || (how.fft & (how.fft - 1)) != 0 || how.window == 0 || how.step == 0) {
    return fail(folder.name(), ": its feature extractor is set in a way that g4 does not have");
  }
  const media::log_mel features(how);
  const std::vector<double> all = folder.numbers(tensor), mask = folder.numbers(tensor + "_mask");
  const std::size_t frames = shape[shape.size() - 2];
  const bool alone = shape.size() == 2;
  std::size_t longest = 0;
  for (std::size_t i = 0; folder.has("waveform." + std::to_string(i)); ++i) {
    longest = std::max(longest, folder.shape("waveform." + std::to_string(i))[0]);
  }
  for (std::size_t i = 0; folder.has("waveform." + std::to_string(i)); ++i) {
    const std::string name = "waveform." + std::to_string(i);
    if (alone && tensor != "single." + std::to_string(i) + ".input_features") continue;
    const std::vector<double> numbers = folder.numbers(name);
    std::vector<float> samples(numbers.begin(), numbers.end());
    // Gemma 3n hears what a clip is padded with as well; a frame is valid that begins within the clip.
    if (gemma3n && !alone) samples.resize(longest);
    const std::vector<float> rows = features.of(samples);
    const std::size_t first = alone ? 0 : i * frames;
    std::vector<double> found(rows.begin(), rows.end());
    std::vector<double> valid(rows.size() / how.bins, 1.0);
    if (gemma3n) valid.resize(std::min(valid.size(), (numbers.size() + how.step - 1) / how.step));
    found.resize(frames * how.bins);  // padded with noughts, as the case is
    valid.resize(frames);
    out.compared(prefix + name + " as log-mel", largest_error(found, part<double>(all, first * how.bins, found.size())),
                 band_steps);
    std::size_t wrong = 0;
    for (std::size_t t = 0; t < frames; ++t) wrong += valid[t] != mask[first + t] ? 1 : 0;
    out.exact(prefix + name + " frames", wrong, frames);
  }
  return {};
}

}  // namespace

result<void> check_sound(const case_folder& folder, report& out) {
  if (front_end_of(folder) == front_end::other) {
    out.skipped("(the case)", "another family's sound features: not in this build");
    return {};
  }
  if (folder.has("mel_filters") && folder.has("window")) {
    media::log_mel_settings how = settings_of(folder, folder.shape("mel_filters")[1]);
    how.window = folder.shape("window")[0];
    how.fft = 2 * (folder.shape("mel_filters")[0] - 1);
    const media::log_mel features(how);
    const std::vector<double> window(features.window().begin(), features.window().end());
    out.compared("window", largest_error(window, folder.numbers("window")), 1e-7);
    out.compared("mel_filters", largest_error(features.filters(), folder.numbers("mel_filters")), 1e-7);
  }
  for (std::size_t i = 0; folder.has("single." + std::to_string(i) + ".input_features"); ++i) {
    const std::string name = "single." + std::to_string(i) + ".input_features";
    if (auto done = check_log_mel(folder, "single ", name, out); !done) return done;
  }
  if (folder.has("batch.input_features")) return check_log_mel(folder, "batch ", "batch.input_features", out);
  return {};
}

result<tower_tensors> run_towers(const case_folder& folder, const running_on& on, loaded_model& model, media_of whose) {
  tower_tensors made;
  const auto given = [&](medium what) {
    if (whose == media_of::another) {
      for (float& x : what.rows) x = 1 - x;
    }
    return what;
  };
  const auto wanted = [&](const std::string& name) { return folder.has(name) || folder.names(name); };
  // Every picture's or clip's rows are padded as the case has them: [media, rows, width].
  const auto add = [&](const std::string& soft, const std::vector<double>& rows, const recorder& seen) {
    append(made[soft], rows);
    for (const std::string& name : seen.names()) {
      if (name == soft) continue;
      const auto shape = folder.shape(name);
      const std::size_t padded = shape.size() == 3 ? made[name].size() + shape[1] * shape[2] : 0;
      append(made[name], shape.size() == 4 ? channels_first(seen[name], shape[1]) : seen[name]);
      made[name].resize(std::max(made[name].size(), padded));
    }
  };
  for (const patched& what : pictures_and_frames) {
    if (!has(folder, on, what)) continue;
    const auto shape = folder.shape(what.pixels);  // [pictures, patches, width]
    const std::vector<double> pixels = folder.numbers(what.pixels);
    const std::vector<std::int32_t> places = folder.integers(what.places);
    for (std::size_t i = 0; i < shape[0]; ++i) {
      const std::size_t first = i * shape[1];
      const std::size_t n = valid_rows(shape[1], [&](std::size_t p) { return places[2 * (first + p)] >= 0; });
      recorder seen(wanted);
      const auto rows = model.see(
          given({part<float>(pixels, first * shape[2], n * shape[2]), part<std::int32_t>(places, 2 * first, 2 * n)}),
          &seen);
      if (!rows) return unexpected(rows.error());
      add("vision.soft_tokens", *rows, seen);
    }
  }
  if (has_squares(folder, on)) {
    const auto shape = folder.shape("pixel_values");
    const std::vector<double> pixels = folder.numbers("pixel_values");
    const double least = least_pixel(folder);
    const auto patch =
        least == 0 ? std::size_t{1} : folder.config().at("vision_config").value("patch_size", std::size_t{16});
    for (std::size_t i = 0; i < shape[0]; ++i) {
      const std::size_t size = 3 * shape[2] * shape[2];
      recorder seen(wanted);
      const medium picture = patches_of(std::span(pixels).subspan(i * size, size), shape[2], patch, least);
      const auto rows = model.see(given(picture), &seen);
      if (!rows) return unexpected(rows.error());
      add("vision.soft_tokens", *rows, seen);
    }
  }
  if (has_sounds(folder, on)) {
    const auto shape = folder.shape("input_features");  // [clips, frames, width]
    const std::vector<double> features = folder.numbers("input_features");
    const std::vector<std::int32_t> mask = folder.integers("input_features_mask");
    for (std::size_t i = 0; i < shape[0]; ++i) {
      const std::size_t first = i * shape[1];
      const std::size_t n = valid_rows(shape[1], [&](std::size_t t) { return mask[first + t] != 0; });
      // Gemma 3n looks into what a clip is padded with.
      const std::size_t all = front_end_of(folder) == front_end::gemma3n ? shape[1] : n;
      recorder seen(wanted);
      const auto rows =
          model.hear(given({part<float>(features, first * shape[2], all * shape[2]), {}, all - n}), &seen);
      if (!rows) return unexpected(rows.error());
      add("audio.soft_tokens", *rows, seen);
      // The reference convolves padding too; what it makes of that carries no meaning.
      if (made.contains("audio.subsample") && all != n) {
        const auto rows_of = folder.shape("audio.subsample");
        const std::size_t from = (i * rows_of[1] + (n + 3) / 4) * rows_of[2], to = (i + 1) * rows_of[1] * rows_of[2];
        const std::vector<double> expected = folder.numbers("audio.subsample");
        auto& found = made["audio.subsample"];
        for (std::size_t k = from; k < std::min(to, found.size()); ++k) found[k] = expected.empty() ? 0 : expected[k];
      }
      made[rows_of_each_sound].push_back(static_cast<double>(rows->size() / static_cast<std::size_t>(on.spec.width)));
      if (wanted("audio.mask")) {
        const std::size_t made_rows = rows->size() / static_cast<std::size_t>(on.spec.width);
        auto& valid = made["audio.mask"];
        const std::size_t start = valid.size();
        valid.resize(start + folder.shape("audio.mask")[1]);
        std::fill_n(valid.begin() + static_cast<std::ptrdiff_t>(start), std::min(made_rows, valid.size() - start), 1.0);
      }
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
  // Of a sound that always takes as many places, those that are left are read as the vocabulary's last token.
  if (const auto each = folder.config().find("audio_soft_tokens_per_image");
      each != folder.config().end() && made.contains(rows_of_each_sound)) {
    const auto places = each->get<std::size_t>();
    const std::vector<double>& counts = made.at(rows_of_each_sound);
    std::size_t place = 0;
    for (std::size_t t = 0; t < prompt.what.ids.size(); ++t) {
      if (prompt.types[t] != 3) continue;
      const std::size_t sound = place / places, row = place % places;
      ++place;
      if (sound >= counts.size() || static_cast<double>(row) < counts[sound]) continue;
      prompt.what.ids[t] = on.spec.vocab - 1;
      prompt.what.soft[t] = 0;
      prompt.types[t] = 0;
    }
  }
  if (auto done = lay("vision.soft_tokens", [](std::int32_t type) { return type == 1 || type == 2; }); !done)
    return done;
  return lay("audio.soft_tokens", [](std::int32_t type) { return type == 3; });
}

result<void> check_media(const case_folder& folder, const running_on& on, report& out) {
  for (const patched& what : pictures_and_frames) {
    if (!has(folder, on, what) || !folder.has(std::string(what.source) + "0")) continue;
    const auto shape = folder.shape(what.pixels);
    const auto side = static_cast<std::size_t>(std::lround(std::sqrt(static_cast<double>(shape[2]) / 3)));
    const std::vector<double> pixels = folder.numbers(what.pixels);
    for (std::size_t i = 0; i < shape[0]; ++i) {
      const std::string name = what.source + std::to_string(i);
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
  if (folder.has("video.expansion_ids") && folder.about().contains("video")) check_expansion(folder, out);
  if (has_squares(folder, on) && folder.has("image.0")) {
    const auto shape = folder.shape("pixel_values");
    const std::vector<double> pixels = folder.numbers("pixel_values");
    const std::size_t side = shape[2], size = 3 * side * side;
    const double least = least_pixel(folder);
    for (std::size_t i = 0; i < shape[0] && folder.has("image." + std::to_string(i)); ++i) {
      const std::string name = "image." + std::to_string(i);
      const std::vector<double> numbers = folder.numbers(name);
      const auto sides = folder.shape(name);
      const std::vector<std::uint8_t> rgb(numbers.begin(), numbers.end());
      const media::pixels fitting = media::resized({rgb, sides[0], sides[1]}, side, side, media::joined_by::triangle);
      std::vector<double> found(size);
      for (std::size_t p = 0; p < size; ++p)
        found[p % 3 * side * side + p / 3] = least + fitting.rgb[p] / 255.0 * (1 - least);
      out.compared(name + " resized", largest_error(found, part<double>(pixels, i * size, size)), pixel_steps);
    }
  }
  if (has_sounds(folder, on) && folder.has("waveform.0")) {
    const auto shape = folder.shape("input_features");
    const std::vector<double> features = folder.numbers("input_features");
    if (front_end_of(folder) != front_end::other) return check_log_mel(folder, "", "input_features", out);
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
