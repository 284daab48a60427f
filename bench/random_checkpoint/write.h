/// Checkpoints of the true shape of a model, with random weights: what speed and memory are measured on where the
/// published weights cannot be had.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/random_checkpoint/headers.h"
#include "bench/random_checkpoint/random_numbers.h"
#include "bench/random_checkpoint/vocabulary.h"
#include "g4/core/result.h"
#include "g4/io/file_writer.h"
#include "g4/io/gguf.h"
#include "g4/io/gguf_writer.h"
#include "g4/io/safetensors_writer.h"
#include "g4/load/file_type.h"
#include "g4/load/gguf_header.h"
#include "g4/load/names.h"
#include "g4/model/schema.h"

namespace g4::bench {

struct random_options {
  std::uint64_t seed = 1;
  std::string vocabulary;  ///< a GGUF or tokenizer.json whose vocabulary is taken; empty: a made-up one
  std::vector<std::string> marks;  ///< tokens that a made-up vocabulary has as well: those around pictures and turns
  void (*tell)(std::size_t done, std::size_t total) = nullptr;  ///< told how many bytes are written
};

namespace detail {

/// One tensor of the file: where it belongs in the model and how its numbers are spread.
struct random_tensor {
  io::tensor_plan plan;
  part what;
  float sigma = 0;
  float middle = 0;
};

/// Spreads that keep activations near 1 everywhere: matrices keep the size of what they multiply; the norms' weights are
/// near 1, except that the one of queries makes scores spread by about 1.
[[nodiscard]] inline random_tensor spread(const text_spec& m, const tensor_entry& t, bool stored_less_one) {
  random_tensor r;
  r.what = t.what;
  if (is_matrix(t.as)) {
    r.sigma = 1 / std::sqrt(static_cast<float>(t.extents[static_cast<std::size_t>(t.rank - 1)]));
    return r;
  }
  r.middle = 1;
  if (t.what.gguf == "attn_q_norm.weight") {
    const auto size = static_cast<float>(m.layer[static_cast<std::size_t>(t.layer)].head_size);
    r.middle = 1 / (m.query_scale * std::sqrt(size));
  }
  r.sigma = 0.1f * r.middle;
  if (t.as == role::bias) r.middle = 0;
  if (stored_less_one && t.as == role::norm_weight) r.middle -= 1;
  return r;
}

[[nodiscard]] inline std::vector<random_tensor> plan_tensors(const text_spec& m, load::format f, storage base) {
  std::vector<random_tensor> plan;
  const bool gguf = f == load::format::gguf;
  const bool less_one = m.one_plus_weight && !gguf;
  const std::string_view prefix = gguf ? std::string_view() : text_prefix_of(m);
  each_tensor(m, [&](const tensor_entry& t) {
    // Released models carry the keys and values that reusing layers do not read; drafters do not.
    if (t.needed == need::skippable && m.is_drafter()) return;
    random_tensor r = spread(m, t, less_one);
    r.plan.type = io::element_of(gguf ? load::storage_in_gguf(t, m, base) : storage::bf16);
    if (t.as == role::integers)
      r.plan.type = gguf ? io::element_type{"I32", 1, 4, {}} : io::element_type{"I64", 1, 8, {}};
    for (int i = 0; i < t.rank; ++i)
      r.plan.dims.push_back(static_cast<std::size_t>(t.extents[static_cast<std::size_t>(i)]));
    if (!gguf && t.numbered()) {
      const io::extents one{r.plan.dims[1], r.plan.dims[2]};
      for (int j = 0; j < t.extents[0]; ++j) {
        random_tensor numbered = r;
        numbered.plan.dims = one;
        numbered.plan.name = load::name_in(f, prefix, t, j);
        plan.push_back(std::move(numbered));
      }
      return;
    }
    r.plan.name = load::name_in(f, prefix, t);
    plan.push_back(std::move(r));
  });
  return plan;
}

/// A permutation of the vocabulary: which tokens a drafter's clusters hold.
[[nodiscard]] inline std::vector<std::byte> random_ordering(const random_tensor& t, random_bits& random) {
  std::vector<std::int64_t> ids(t.plan.dims.elements());
  std::iota(ids.begin(), ids.end(), 0);
  for (std::size_t i = ids.size(); i-- > 1;) std::swap(ids[i], ids[random.next() % (i + 1)]);
  const std::size_t size = t.plan.type.block_bytes;
  std::vector<std::byte> bytes(ids.size() * size);
  for (std::size_t i = 0; i < ids.size(); ++i) std::memcpy(bytes.data() + size * i, &ids[i], size);  // little-endian
  return bytes;
}

/// Writes the tensors in pieces of a few MiB, so that memory does not depend on the model.
[[nodiscard]] inline result<void> write_tensors(io::tensor_writer& out, std::span<const random_tensor> plan,
                                                const random_options& options) {
  constexpr std::size_t piece = std::size_t{4} << 20;
  std::vector<std::byte> buffer(piece);
  std::size_t total = 0;
  std::size_t done = 0;
  for (const random_tensor& t : plan) total += *io::bytes_of(t.plan.type, t.plan.dims);
  std::uint64_t number = 0;
  for (const random_tensor& t : plan) {
    random_bits random(options.seed * 0x2545f4914f6cdd1du + ++number);
    if (!t.plan.type.weights) {
      if (auto written = out.write(t.plan.name, random_ordering(t, random)); !written) return written;
      continue;
    }
    const std::size_t block = t.plan.type.block_bytes;
    std::size_t left = t.plan.dims.elements() / t.plan.type.block_elements;
    while (left > 0) {
      const std::size_t blocks = std::min(left, piece / block);
      fill_random(*t.plan.type.weights, buffer.data(), blocks, t.sigma, t.middle, random);
      if (auto written = out.write(t.plan.name, std::span(buffer).first(blocks * block)); !written) return written;
      left -= blocks;
      done += blocks * block;
      if (options.tell != nullptr) options.tell(done, total);
    }
  }
  return {};
}

}  // namespace detail

/// Writes a GGUF file. `type` is one of `load::file_types`; every tensor gets what llama.cpp's quantiser would give it.
[[nodiscard]] inline result<void> write_random_gguf(const std::string& path, const text_spec& m,
                                                    const load::file_type& type, const random_options& options = {}) {
  if (m.sees == visibility::everything) return fail(path, ": text embedders are written as safetensors only");
  io::gguf_keys keys = load::gguf_header(m, "random weights", type.id, load::trained_context(m));
  if (options.vocabulary.empty()) {
    vocabulary(static_cast<std::size_t>(m.vocab), options.marks).write(keys);
  } else {
    const auto file = io::open_gguf(options.vocabulary);
    if (!file) return unexpected(file.error());
    for (const io::gguf_value& value : file->metadata.values()) {
      if (!value.key.starts_with("tokenizer.")) continue;
      if (value.key == "tokenizer.ggml.tokens" && value.count > static_cast<std::size_t>(m.vocab)) {
        return fail(options.vocabulary, ": has ", value.count, " tokens; the model has ", m.vocab, " rows");
      }
      keys.copy(value);
    }
  }
  std::vector<detail::random_tensor> tensors = detail::plan_tensors(m, load::format::gguf, type.base);
  std::vector<io::tensor_plan> plan;
  const std::vector<float> divisors = load::rope_divisors(m);
  if (!divisors.empty()) plan.push_back({"rope_freqs.weight", io::element_of(storage::f32), {divisors.size()}});
  for (const auto& t : tensors) plan.push_back(t.plan);
  auto out = io::write_gguf(path, keys, plan);
  if (!out) return unexpected(std::move(out.error()));
  if (!divisors.empty()) {
    if (auto written = out->write("rope_freqs.weight", std::as_bytes(std::span(divisors))); !written) return written;
  }
  if (auto written = detail::write_tensors(*out, tensors, options); !written) return written;
  return out->finish();
}

namespace detail {

/// Writes config.json, model.safetensors and tokenizer.json into a folder that exists.
[[nodiscard]] inline result<void> write_folder(const std::string& folder, const text_spec& m, const std::string& config,
                                               const std::vector<random_tensor>& tensors,
                                               const random_options& options) {
  const auto write_text = [&](const char* name, std::string_view text) -> result<void> {
    auto file = io::file_writer::create(folder + "/" + name);
    if (!file) return unexpected(std::move(file.error()));
    if (auto written = file->write(std::as_bytes(std::span(text.data(), text.size()))); !written) return written;
    return file->finish();
  };
  std::vector<io::tensor_plan> plan;
  for (const auto& t : tensors) plan.push_back(t.plan);
  if (auto written = write_text("config.json", config); !written) return written;
  if (options.vocabulary.empty()) {
    const std::string json = vocabulary(static_cast<std::size_t>(m.vocab), options.marks).json();
    if (auto written = write_text("tokenizer.json", json); !written) return written;
  } else {
    auto file = io::map_file(options.vocabulary);
    if (!file) return unexpected(std::move(file.error()));
    if (auto written = write_text("tokenizer.json", io::text_of((*file)->bytes())); !written) return written;
  }
  const std::pair<std::string, std::string> metadata[] = {{"format", "pt"}};
  auto out = io::write_safetensors(folder + "/model.safetensors", plan, metadata);
  if (!out) return unexpected(std::move(out.error()));
  if (auto written = write_tensors(*out, tensors, options); !written) return written;
  return out->finish();
}

}  // namespace detail

/// Writes config.json, model.safetensors (bfloat16) and tokenizer.json of a text into a folder that exists.
[[nodiscard]] inline result<void> write_random_safetensors(const std::string& folder, const text_spec& m,
                                                           const random_options& options = {}) {
  const auto tensors = detail::plan_tensors(m, load::format::safetensors, storage::bf16);
  return detail::write_folder(folder, m, config_json(m), tensors, options);
}

}  // namespace g4::bench
