/// Towers of true shapes with random weights: alone in a file, as an mmproj GGUF or as safetensors, or in a folder with
/// the text that they belong to.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "bench/random_checkpoint/tower_headers.h"
#include "bench/random_checkpoint/write.h"
#include "g4/core/result.h"
#include "g4/io/gguf_writer.h"
#include "g4/io/safetensors_writer.h"
#include "g4/load/names.h"
#include "g4/model/multimodal.h"
#include "g4/model/tower/weights.h"

namespace g4::bench {

namespace detail {

/// Spreads that keep activations near 1: matrices keep the size of what they multiply, and queries make scores that spread
/// by about 1. Bounds lie where they clip a little.
[[nodiscard]] inline random_tensor spread(const stage_tensor& t, bool gguf) {
  constexpr float bound = 3;
  random_tensor r;
  std::size_t all = 1;
  for (int i = 0; i < t.rank; ++i) all *= static_cast<std::size_t>(t.extents[i]);
  const auto behind_first = static_cast<float>(all / static_cast<std::size_t>(t.extents[0]));
  const auto named = [&](std::string_view part) { return t.safetensors.find(part) != std::string::npos; };
  switch (t.as) {
    case stage_role::convolution:
    case stage_role::channelwise:
    case stage_role::matrix: r.sigma = 1 / std::sqrt(behind_first); break;
    case stage_role::turned: r.sigma = 1 / std::sqrt(static_cast<float>(t.extents[0])); break;
    case stage_role::table: r.sigma = 0.5f; break;
    case stage_role::bias: r.sigma = 0.1f; break;
    case stage_role::softened: r.sigma = 0.1f, r.middle = gguf ? 0.69f : 0.0f; break;  // softplus(0) = log 2
    case stage_role::bound: r.middle = named("_min") ? -bound : bound; break;
    case stage_role::one_plus: r.sigma = 0.1f, r.middle = gguf ? 1.0f : 0.0f; break;
    case stage_role::numbers:
      r.middle = 1;
      if (named("q_norm")) r.middle = 1 / std::sqrt(static_cast<float>(t.extents[0]));
      if (named("depthwise")) r.middle = 0;
      r.sigma = r.middle == 0 ? 1 / std::sqrt(behind_first) : 0.1f * r.middle;
      break;
  }
  return r;
}

/// The tensors of tower T in front of a text of `Text` numbers, appended to `plan`.
template <Tower T, int Text>
void plan_tower_tensors(load::format f, storage base, std::vector<random_tensor>& plan) {
  const bool gguf = f == load::format::gguf;
  const auto weights = std::make_unique<tower_weights<T, Text>>();
  weights->each([&](const stage_names& names, auto& stage) {
    if constexpr (requires { stage.by_axis; }) stage.by_axis = places_by_axis(T::spec, gguf);
    stage.each([&](const stage_tensor& t, auto&) {
      random_tensor r = spread(t, gguf);
      r.plan.name = gguf ? std::string(names.gguf) + t.gguf : "model." + std::string(names.safetensors) + t.safetensors;
      const auto& extents = gguf && t.gguf_extents[0] != 0 ? t.gguf_extents : t.extents;
      for (std::size_t i = 0; i < extents.size() && extents[i] != 0; ++i) {
        r.plan.dims.push_back(static_cast<std::size_t>(extents[i]));
      }
      const bool weight = t.as == stage_role::matrix || t.as == stage_role::turned || t.as == stage_role::table;
      const bool in_blocks = weight && r.plan.dims.rank() == 2 &&
                             r.plan.dims[1] % facts_of(base).block_elements == 0;
      const bool plain = facts_of(base).block_elements == 1;
      r.plan.type = io::element_of(in_blocks || (plain && (weight || !gguf)) ? base
                                   : weight && gguf                          ? storage::f16
                                   : gguf                                    ? storage::f32
                                                                             : storage::bf16);
      plan.push_back(std::move(r));
    });
  });
}

template <class Sense, int Text>
void plan_sense(load::format f, storage base, std::vector<random_tensor>& plan) {
  if constexpr (!std::is_same_v<Sense, no_sense>) plan_tower_tensors<typename Sense::tower, Text>(f, base, plan);
}

[[nodiscard]] inline std::vector<io::tensor_plan> plans_of(const std::vector<random_tensor>& tensors) {
  std::vector<io::tensor_plan> plans;
  for (const random_tensor& t : tensors) plans.push_back(t.plan);
  return plans;
}

}  // namespace detail

/// All towers of model M in a plan: of pictures first.
template <Multimodal M>
[[nodiscard]] std::vector<detail::random_tensor> plan_towers(load::format f, storage base) {
  std::vector<detail::random_tensor> plan;
  detail::plan_sense<typename M::seeing, M::text::width>(f, base, plan);
  detail::plan_sense<typename M::hearing, M::text::width>(f, base, plan);
  return plan;
}

/// The tokens around a model's pictures, sounds and turns.
template <Multimodal M>
[[nodiscard]] std::vector<std::string> marks_of() {
  std::vector<std::string> marks;
  const auto add = [&](std::string_view mark) {
    if (std::find(marks.begin(), marks.end(), mark) == marks.end()) marks.emplace_back(mark);
  };
  const auto around = [&]<class Sense>(std::type_identity<Sense>) {
    if constexpr (!std::is_same_v<Sense, no_sense>) {
      for (const mark& m : {Sense::marks.before, Sense::marks.each, Sense::marks.behind}) add(m.view());
    }
  };
  around(std::type_identity<typename M::seeing>{});
  around(std::type_identity<typename M::hearing>{});
  const bool gemma4 = generation_of(M::text::spec) == generation::gemma4;
  for (const char* const turn : {gemma4 ? "<|turn>" : "<start_of_turn>", gemma4 ? "<turn|>" : "<end_of_turn>"}) add(turn);
  if (gemma4) {
    for (const char* const thought : {"<|channel>", "<channel|>"}) add(thought);
  }
  return marks;
}

/// config.json of model M, its towers included.
template <Multimodal M>
[[nodiscard]] std::string config_json_with_towers() {
  auto config = config_of(M::text::spec);
  const generation g = generation_of(M::text::spec);
  if constexpr (M::can_see) {
    constexpr tower_spec t = M::seeing::tower::spec;
    // Of patches straight into the text: a model of another name.
    if (g == generation::gemma4 && !t.find<stage::encoder>().has_value()) {
      config["model_type"] = "gemma4_unified";
      config["text_config"]["model_type"] = "gemma4_unified_text";
    }
    config["vision_config"] = vision_config(t);
    config[g == generation::gemma3 ? "mm_tokens_per_image" : "vision_soft_tokens_per_image"] = M::seeing::budget.most;
  }
  if constexpr (M::can_hear) {
    config["audio_config"] = audio_config(M::hearing::tower::spec);
    if (g == generation::gemma3n) config["audio_soft_tokens_per_image"] = M::hearing::budget.most;
  }
  return config.dump(2) + "\n";
}

/// Writes config.json, model.safetensors (bfloat16) and tokenizer.json of a model with its towers into a folder that exists.
template <Multimodal M>
[[nodiscard]] result<void> write_random_model(const std::string& folder, const random_options& options = {}) {
  auto tensors = detail::plan_tensors(M::text::spec, load::format::safetensors, storage::bf16);
  for (auto& t : plan_towers<M>(load::format::safetensors, storage::bf16)) tensors.push_back(std::move(t));
  random_options with_marks = options;
  if (with_marks.marks.empty()) with_marks.marks = marks_of<M>();
  return detail::write_folder(folder, M::text::spec, config_json_with_towers<M>(), tensors, with_marks);
}

/// Writes the tensors of such a plan as a GGUF file, which an mmproj file is.
[[nodiscard]] inline result<void> write_towers_gguf(const std::string& path,
                                                    const std::vector<detail::random_tensor>& tensors, bool sees,
                                                    bool hears, const random_options& options = {}) {
  io::gguf_keys keys;
  keys.string("general.architecture", "clip").string("general.type", "mmproj").string("general.name", "random weights");
  keys.boolean("clip.has_vision_encoder", sees).boolean("clip.has_audio_encoder", hears);
  auto out = io::write_gguf(path, keys, detail::plans_of(tensors));
  if (!out) return unexpected(std::move(out.error()));
  if (auto written = detail::write_tensors(*out, tensors, options); !written) return written;
  return out->finish();
}

/// Writes one tower alone as a safetensors file, in bfloat16 as towers are published: `load::make_tower` reads it.
template <Tower T, int Text>
[[nodiscard]] result<void> write_tower_safetensors(const std::string& path, const random_options& options = {}) {
  std::vector<detail::random_tensor> tensors;
  detail::plan_tower_tensors<T, Text>(load::format::safetensors, storage::bf16, tensors);
  auto out = io::write_safetensors(path, detail::plans_of(tensors));
  if (!out) return unexpected(std::move(out.error()));
  if (auto written = detail::write_tensors(*out, tensors, options); !written) return written;
  return out->finish();
}

}  // namespace g4::bench
