/// mmproj.h, defined.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/convert/mmproj.h"
#include "g4/core/guarded.h"
#include "g4/core/result.h"
#include "g4/io/gguf_writer.h"
#include "g4/io/mapped_file.h"
#include "g4/load/tower_source.h"
#include "g4/ops/attend_near.h"
#include "g4/ops/dequantise.h"
#include "g4/ops/quantise.h"

namespace g4 {

namespace detail {

/// What llama.cpp calls a tower, and what it reads of it. All of it follows from the type.
[[nodiscard]] inline std::string_view projector_of(const tower_spec& t) {
  if (t.find<stage::mobilenet>().has_value()) return "gemma3nv";
  if (t.find<stage::square>().has_value()) return "gemma3";
  if (t.find<stage::encoder>().has_value()) return "gemma4v";
  if (t.find<stage::patches>().has_value()) return "gemma4uv";
  if (!t.find<stage::conformer>().has_value()) return "gemma4ua";
  return t.find<stage::into_text_with_ids>().has_value() ? "gemma3na" : "gemma4a";
}

[[nodiscard]] inline bool of_pictures(const tower_spec& t) { return !t.find<stage::waveform>().has_value(); }

inline void describe_tower(const tower_tensors& t, io::gguf_keys& keys) {
  const std::string room = of_pictures(t.tower) ? "clip.vision." : "clip.audio.";
  const auto u32 = [&](const char* key, int value) { keys.u32(room + key, static_cast<std::uint32_t>(value)); };
  const auto norm_eps = [&](float value) { keys.f32(room + "attention.layer_norm_epsilon", value); };
  u32("projection_dim", t.text);
  if (const auto patches = t.tower.find<stage::patches>(); patches.has_value()) {
    const auto square = t.tower.find<stage::square>();
    u32("image_size",
        square.has_value() ? square->side : 224);  // of any shape: a number that readers want and do not use
    u32("patch_size", patches->side);
    // What lies in 0 … 1 is centred by SigLIP's processor, and by Gemma 4's tower itself.
    const float middle = square.has_value() && t.tower.find<stage::centred>().has_value() ? 0.5f : 0.0f;
    const std::array<float, 3> mean{middle, middle, middle}, spread{1 - middle, 1 - middle, 1 - middle};
    keys.f32s(room + "image_mean", mean).f32s(room + "image_std", spread);
    if (const auto pooled = t.tower.find<stage::mean_pooled>(); pooled.has_value()) {
      u32("projector.scale_factor", pooled->side);
    }
  }
  if (const auto mel = t.tower.find<stage::log_mel>(); mel.has_value()) u32("num_mel_bins", mel->bins);
  const auto mapped = t.tower.find<stage::linear>();
  const int width = mapped.has_value() ? mapped->width : 0;
  if (const auto e = t.tower.find<stage::encoder>(); e.has_value()) {
    u32("embedding_length", width);
    u32("feed_forward_length", e->hidden);
    u32("block_count", e->layers);
    u32("attention.head_count", e->query_heads);
    norm_eps(e->norm_eps);
    keys.boolean("clip.use_gelu", true);
  } else if (const auto c = t.tower.find<stage::conformer>(); c.has_value()) {
    u32("embedding_length", width);
    u32("feed_forward_length", c->wider * width);
    u32("block_count", c->layers);
    u32("attention.head_count", c->heads);
    norm_eps(1e-6f);
  } else if (const auto net = t.tower.find<stage::mobilenet>(); net.has_value()) {
    int blocks = 0;
    for (int b = 0; b < net->entries; ++b) blocks += net->block[static_cast<std::size_t>(b)].times;
    u32("embedding_length", net->fused);
    u32("block_count", blocks);
    norm_eps(1e-6f);
  }
}

/// A tensor of the file to be written, and where its numbers come from.
struct mmproj_step {
  io::tensor_plan plan;
  const tower_tensor* what = nullptr;
  const io::stored_tensor* from = nullptr;
  float bound = 0;  ///< where there is no tensor to read
};

class mmproj_writer {
 public:
  mmproj_writer(const checkpoint& from, std::span<const tower_tensors> towers, const std::string& path,
                const mmproj_options& options)
      : from_(from), towers_(towers), path_(path), options_(options) {}

  [[nodiscard]] result<written_towers> run() {
    if (from_.format != load::format::safetensors) {
      return fail(from_.path, ": is a GGUF file, whose towers are in an mmproj file already");
    }
    if (options_.matrices && facts_of(*options_.matrices).block_elements != 1) {
      return fail(path_, ": towers are written in F32, F16 or BF16, and not in ",
                  std::string(facts_of(*options_.matrices).name));
    }
    for (const auto& file : from_.tensors.files()) {
      if (io::same_file(file->path(), path_)) return fail(path_, ": is the file to be read; give another name");
    }
    for (const tower_tensors& t : towers_) {
      if (auto planned = plan(t); !planned) return unexpected(std::move(planned.error()));
    }
    if (steps_.empty()) return fail(from_.path, ": has no towers");
    std::vector<io::tensor_plan> tensors;
    for (const mmproj_step& step : steps_) tensors.push_back(step.plan);
    auto out = io::write_gguf(path_, header(), tensors);
    if (!out) return unexpected(std::move(out.error()));
    for (const mmproj_step& step : steps_) {
      if (auto written = write(*out, step); !written) return unexpected(std::move(written.error()));
    }
    if (auto finished = out->finish(); !finished) return unexpected(std::move(finished.error()));
    done_.tensors = steps_.size();
    return done_;
  }

 private:
  [[nodiscard]] result<void> plan(const tower_tensors& tower) {
    load::detail::tower_source source(from_.tensors, from_.format, tower.tower, {});
    for (const tower_tensor& t : tower.list) {
      mmproj_step step;
      step.what = &t;
      step.plan.name = t.gguf;
      if (t.as == stage_role::bound) {
        const auto bound = source.bound(t);
        if (!bound) continue;  // none is none in these files as well
        step.bound = *bound;
        step.plan.dims = {1};
        step.plan.type = io::element_of(storage::f32);
      } else {
        step.from = source.checked(t);
        if (step.from == nullptr) break;
        step.plan.dims = dims_of(t, tower.tower);
        auto type = storage_of(t, *step.from);
        if (!type) return unexpected(std::move(type.error()));
        step.plan.type = io::element_of(*type);
        total_ += step.from->bytes.size();
      }
      steps_.push_back(std::move(step));
    }
    source.refuse_unknown();
    if (source.failed()) return source.why();
    return {};
  }

  [[nodiscard]] static io::extents dims_of(const tower_tensor& t, const tower_spec& tower) {
    if (t.patch_side != 0 && t.as == stage_role::matrix && tower.find<stage::encoder>().has_value()) {
      const auto side = static_cast<std::size_t>(t.patch_side);
      return {static_cast<std::size_t>(t.extents[0]), 3, side, side};  // as the convolution that it can be read as
    }
    const auto& extents = t.gguf_extents[0] != 0 ? t.gguf_extents : t.extents;
    io::extents dims;
    for (std::size_t i = 0; i < extents.size() && extents[i] != 0; ++i) {
      dims.push_back(static_cast<std::size_t>(extents[i]));
    }
    return dims;
  }

  [[nodiscard]] result<storage> storage_of(const tower_tensor& t, const io::stored_tensor& from) const {
    using enum stage_role;
    const auto stored = io::storage_of(from_.tensors, from);
    if (!stored) return unexpected(stored.error());
    if (facts_of(*stored).block_elements != 1) {
      return fail(from_.tensors.file_name(from), ": ", from.name, " is stored as ", std::string(from.type.name),
                  ", which is quantised already; give the model in F32, F16 or BF16");
    }
    const bool exact =
        t.gguf.starts_with("v.position_embd") || t.gguf.starts_with("v.conv_stem") || t.gguf.starts_with("a.conv1d");
    const bool weight = t.as == matrix || t.as == turned || t.as == convolution || t.as == table;
    return weight && !exact ? options_.matrices.value_or(*stored) : storage::f32;
  }

  [[nodiscard]] io::gguf_keys header() const {
    io::gguf_keys keys;
    keys.string("general.architecture", "clip").string("general.type", "mmproj");
    keys.string("general.name", from_.path.substr(from_.path.find_last_of('/') + 1));
    if (options_.matrices) {
      keys.u32("general.file_type", *options_.matrices == storage::f32   ? 0
                                    : *options_.matrices == storage::f16 ? 1
                                                                         : 32);
    }
    const auto any = [&](bool pictures) {
      return std::any_of(towers_.begin(), towers_.end(),
                         [&](const tower_tensors& t) { return of_pictures(t.tower) == pictures; });
    };
    keys.boolean("clip.has_vision_encoder", any(true)).boolean("clip.has_audio_encoder", any(false));
    for (const tower_tensors& t : towers_) {
      const char* const room = towers_.size() == 1    ? "clip.projector_type"
                               : of_pictures(t.tower) ? "clip.vision.projector_type"
                                                      : "clip.audio.projector_type";
      keys.string(room, projector_of(t.tower));
      describe_tower(t, keys);
    }
    return keys;
  }

  [[nodiscard]] result<void> write(io::tensor_writer& out, const mmproj_step& step) {
    if (step.from == nullptr) {
      return out.write(step.plan.name, std::as_bytes(std::span(&step.bound, 1)));
    }
    const std::size_t n = step.plan.dims.elements();
    const storage to = *step.plan.type.weights;
    numbers_.resize(n);
    dequantise(*step.from->type.weights, step.from->bytes.data(), n, numbers_.data());
    turn(*step.what);
    bytes_.resize(row_bytes(to, n));
    if (!quantise(to, numbers_.data(), n, bytes_.data())) {
      return fail(from_.tensors.file_name(*step.from), ": ", step.from->name, " holds a number that is too large for ",
                  std::string(facts_of(to).name));
    }
    read_.resize(n);
    dequantise(to, bytes_.data(), n, read_.data());
    for (std::size_t i = 0; i < n; ++i) {
      const double off = static_cast<double>(read_[i]) - static_cast<double>(numbers_[i]);
      done_.squares += static_cast<double>(numbers_[i]) * static_cast<double>(numbers_[i]);
      done_.squared_error += off * off;
    }
    if (auto written = out.write(step.plan.name, bytes_); !written) return written;
    from_.tensors.pages_of (*step.from)(step.from->bytes);
    done_.bytes_before += step.from->bytes.size();
    done_.bytes_after += bytes_.size();
    if (options_.progress.tell != nullptr) options_.progress.tell(options_.progress.self, done_.bytes_before, total_);
    if (options_.cancelled != nullptr && options_.cancelled()) {
      return fail(path_, ": was given up; nothing is left of it");
    }
    return {};
  }

  /// What an mmproj file holds in place of the numbers of a safetensors file.
  void turn(const tower_tensor& t) {
    if (t.as == stage_role::one_plus) {
      for (float& x : numbers_) x += 1.0f;
    } else if (t.as == stage_role::softened) {
      for (float& x : numbers_) x = ops::softplus(x);
    } else if (t.as == stage_role::table && t.gguf_extents[0] != 0 && t.gguf_extents != t.extents) {
      // [places, 2, width] → [2, places, width]
      const auto places = static_cast<std::size_t>(t.extents[0]), width = static_cast<std::size_t>(t.extents[2]);
      turned([&](std::size_t i) {
        const std::size_t row = i / width;
        return (row % 2 * places + row / 2) * width + i % width;
      });
    } else if (t.patch_side != 0 && !t.apart) {
      // (row, column, colour) → (colour, row, column)
      const std::size_t pixels = static_cast<std::size_t>(t.patch_side) * static_cast<std::size_t>(t.patch_side);
      turned([&](std::size_t i) {
        const std::size_t at = i % (3 * pixels);
        return i - at + at % 3 * pixels + at / 3;
      });
    }
  }
  template <class Goes>
  void turned(Goes&& goes) {
    read_.resize(numbers_.size());
    for (std::size_t i = 0; i < numbers_.size(); ++i) read_[goes(i)] = numbers_[i];
    numbers_.swap(read_);
  }

  const checkpoint& from_;
  std::span<const tower_tensors> towers_;
  const std::string& path_;
  const mmproj_options& options_;
  std::vector<mmproj_step> steps_;
  std::vector<float> numbers_, read_;
  std::vector<std::byte> bytes_;
  std::size_t total_ = 0;
  written_towers done_;
};

}  // namespace detail

G4_INLINE bool holds_towers(const checkpoint& from, std::span<const tower_tensors> towers) {
  if (from.format != load::format::safetensors) return false;
  return std::any_of(towers.begin(), towers.end(), [&](const tower_tensors& t) {
    return load::detail::tower_source(from.tensors, from.format, t.tower, {}).holds_any();
  });
}

G4_INLINE result<written_towers> write_mmproj(const checkpoint& from, std::span<const tower_tensors> towers,
                                              const std::string& path, const mmproj_options& options) {
  return guarded([&] { return detail::mmproj_writer(from, towers, path, options).run(); });
}

}  // namespace g4
