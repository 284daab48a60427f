/// What the model is → the C++ header of its variant, as a person would have written it.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "g4/load/match.h"
#include "g4/policy/attention.h"
#include "g4/spec/text.h"

namespace g4::load {

namespace detail {

/// 262144 → 262'144
[[nodiscard]] inline std::string count_text(int value) {
  std::string text = std::to_string(value);
  if (text.size() < 5) return text;
  for (std::size_t at = text.size() - 3; at > 0; at = at > 3 ? at - 3 : 0) text.insert(at, "'");
  return text;
}

/// A float in C++: 1e6f, 0.25f; whole numbers as they are (30).
[[nodiscard]] inline std::string literal(float value) {
  const std::string text = number_text(value);
  return text.find_first_of(".e") == std::string::npos ? text : text + "f";
}

/// The divisor that `scaled_by_root_of` needs for a scale: whole where one gives exactly this scale.
[[nodiscard]] inline float divisor_of(float scale) {
  const auto gives = [scale](float divisor) {
    text_spec m;
    scaled_by_root_of{divisor}.describe(m);
    return m.query_scale == scale;
  };
  const auto exact = static_cast<float>(1.0 / (static_cast<double>(scale) * static_cast<double>(scale)));
  if (exact >= 1 && gives(std::round(exact))) return std::round(exact);
  float below = exact;
  float above = exact;
  for (int step = 0; step < 8; ++step) {
    if (gives(below)) return below;
    if (gives(above)) return above;
    below = std::nextafter(below, 0.0f);
    above = std::nextafter(above, 1e30f);
  }
  return exact;
}

/// A layer as its policies say it, before a model settles it.
[[nodiscard]] inline layer_kind said_of(const text_spec& m, int l) {
  layer_kind k = m.layer[static_cast<std::size_t>(l)];
  const int producer = m.producer[static_cast<std::size_t>(l)];
  // A reuser's values are its producer's affair; saying the same keeps the pattern regular.
  if (k.role == cache_role::reuser && producer >= 0)
    k.key_is_value = m.layer[static_cast<std::size_t>(producer)].key_is_value;
  k.role = cache_role::owner;
  if (k.key_value_heads == m.key_value_heads) k.key_value_heads = 0;
  k.query_heads = 0;
  if (k.sees == reach::global) k.keys = {};
  k.hidden = 0;
  k.sparsity = 0;
  return k;
}

[[nodiscard]] inline std::string rope_text(const rope_spec& rope) {
  std::string text = rope.fraction == 1 ? "rope{.theta = " : "partial_rope{.theta = ";
  text += literal(rope.theta);
  if (rope.fraction != 1) text += ", .fraction = " + literal(rope.fraction);
  if (rope.factor != 1) text += ", .factor = " + literal(rope.factor);
  return text + "}";
}

[[nodiscard]] inline std::string layer_text(const layer_kind& k) {
  std::string text = k.sees == reach::local ? "local<head{" : "global<head{";
  text += std::to_string(k.head_size) + "}";
  if (k.key_value_heads != 0) text += ", key_value_heads{" + std::to_string(k.key_value_heads) + "}";
  if (k.key_is_value) text += ", key_is_value";
  if (k.sees == reach::local) {
    text += k.keys.ahead == 0 ? ", window{" + std::to_string(k.keys.back + 1) + "}"
                              : ", each_side{" + std::to_string(k.keys.back) + "}";
  }
  return text + ", " + rope_text(k.rope) + ">";
}

/// Layers in runs, and the runs as often as they repeat: the shortest period that makes the whole stack.
[[nodiscard]] inline std::string pattern_text(const text_spec& m) {
  std::vector<layer_kind> layers;
  for (int l = 0; l < m.layers; ++l) layers.push_back(said_of(m, l));
  std::size_t period = 1;
  const auto repeats = [&layers](std::size_t p) {
    for (std::size_t l = p; l < layers.size(); ++l) {
      if (layers[l] != layers[l - p]) return false;
    }
    return true;
  };
  while (!repeats(period)) ++period;
  std::string text = "repeat<";
  for (std::size_t l = 0; l < period;) {
    std::size_t end = l + 1;
    while (end < period && layers[end] == layers[l]) ++end;
    if (l > 0) text += ",\n           ";
    text += "times<" + std::to_string(end - l) + ", " + layer_text(layers[l]) + ">";
    l = end;
  }
  return text + ">";
}

/// `hidden{6144}`, or runs of it: `hidden{64, 2}, hidden{96}`. `value(l)` is what layer l has.
template <class Value>
[[nodiscard]] std::string per_layer_text(const char* what, int layers, bool silent_when_zero, Value&& value) {
  std::string text;
  for (int l = 0; l < layers;) {
    int end = l + 1;
    while (end < layers && value(end) == value(l)) ++end;
    if (silent_when_zero && end == layers && value(l) == 0) break;
    text += std::string(", ") + what + "{";
    if constexpr (std::is_same_v<decltype(value(l)), float>) {
      text += literal(value(l));
    } else {
      text += count_text(value(l));
    }
    if (end < layers) text += ", " + std::to_string(end - l);
    text += "}";
    l = end;
  }
  return text;
}

[[nodiscard]] inline std::string attention_text(const text_spec& m) {
  std::string text = "attention<heads{.query = " + std::to_string(m.query_heads) +
                     ", .key_value = " + std::to_string(m.key_value_heads) + "}";
  if (m.qk_norm) text += ", qk_norm";
  if (m.v_norm) text += ", v_norm";
  text += m.query_scale == 1 ? ", unscaled" : ", scaled_by_root_of{" + literal(divisor_of(m.query_scale)) + "}";
  if (m.attention_bias) text += ", biased";
  if (m.score_cap != 0) text += ", score_cap{" + literal(m.score_cap) + "}";
  return text + ">";
}

[[nodiscard]] inline std::string feed_text(const text_spec& m) {
  const auto hidden = [&m](int l) {
    const layer_kind& k = m.layer[static_cast<std::size_t>(l)];
    return m.doubled_where_shared && k.role == cache_role::reuser ? k.hidden / 2 : k.hidden;
  };
  const auto sparsity = [&m](int l) { return m.layer[static_cast<std::size_t>(l)].sparsity; };
  std::string text = "feed::gated<gelu_tanh";
  text += per_layer_text("hidden", m.layers, false, hidden);
  text += per_layer_text("sparse", m.layers, true, sparsity);
  if (m.doubled_where_shared) text += ", doubled_where_shared";
  text += ">";
  if (m.experts.has_value()) {
    text += " + feed::experts<count{" + std::to_string(m.experts->count) + "}, chosen{" + std::to_string(m.experts->chosen) +
            "}, hidden{" + count_text(m.experts->hidden) + "}>";
  }
  return text;
}

/// Breaks the line of a feed-forward before it passes column 120, between two of its parts.
[[nodiscard]] inline std::string wrapped(const std::string& policy) {
  std::string text;
  std::size_t column = 4;
  for (std::size_t at = 0; at < policy.size();) {
    const std::size_t comma = policy.find("}, ", at);
    const std::size_t end = comma == std::string::npos ? policy.size() : comma + 3;
    const std::string piece = policy.substr(at, end - at);
    if (column + piece.size() > 119) {
      while (text.ends_with(' ')) text.pop_back();
      text += "\n                ";
      column = 16;
    }
    text += piece;
    column += piece.size();
    at = end;
  }
  return text;
}

}  // namespace detail

/// Prints the header of `struct name : transformer<…> {}` whose `spec` is `m`: the policies in the order of the
/// hand-written variants, and only what differs from their defaults.
///
/// m        settled, and keeping every rule (`check_spec`); what `read_config` gives
/// name     a C++ identifier
/// target   a drafter's: the type it drafts for, and the header that has it. Without one the drafter stands alone, as
///          `transformer<…, drafts_for{.width}>`, and cannot run.
[[nodiscard]] inline std::string variant_source(const text_spec& m, std::string_view name,
                                                std::string_view target = {}, std::string_view target_header = {}) {
  const bool has_target = m.is_drafter() && !target.empty();
  std::vector<std::string> policies;
  std::string shape = "shape{.layers = " + std::to_string(m.layers) + ", .width = " + std::to_string(m.width) +
                      ", .vocab = " + detail::count_text(m.vocab);
  if (m.norm_eps != 1e-6f) shape += ", .norm_eps = " + detail::literal(m.norm_eps);
  policies.push_back(shape + "}");
  policies.emplace_back(m.tied_head ? "embed::tied_scaled" : "embed::untied_scaled");
  policies.emplace_back(m.one_plus_weight ? "norm::sandwich<one_plus_weight>" : "norm::sandwich<plain_weight>");
  policies.push_back(detail::attention_text(m));
  policies.push_back(detail::pattern_text(m));
  if (m.shared_layers > 0 && !m.is_drafter())
    policies.push_back("share_kv<last{" + std::to_string(m.shared_layers) + "}>");
  policies.push_back(detail::wrapped(detail::feed_text(m)));
  if (m.altup.has_value()) {
    policies.push_back("altup{.streams = " + std::to_string(m.altup->streams) +
                       (m.altup->output_scale ? "}" : ", .output_scale = false}"));
  }
  if (m.laurel.has_value()) policies.push_back("laurel{.rank = " + std::to_string(m.laurel->rank) + "}");
  if (m.per_layer.has_value()) {
    policies.push_back("per_layer_embedding{.width = " + std::to_string(m.per_layer->width) +
                       ", .vocab = " + detail::count_text(m.per_layer->vocab) + "}");
  }
  if (m.layer_scalar) policies.emplace_back("layer_scalar");
  if (m.sees == visibility::images_on_local) policies.emplace_back("image_mask::bidirectional_on_local");
  if (m.sees == visibility::images_everywhere) policies.emplace_back("image_mask::bidirectional");
  if (m.sees == visibility::everything) policies.emplace_back("mask::bidirectional");
  if (m.is_drafter() && !has_target) policies.push_back("drafts_for{.width = " + std::to_string(m.target->width) + "}");
  if (m.clusters.has_value()) {
    policies.push_back("ordered_embeddings{.clusters = " + std::to_string(m.clusters->count) +
                       ", .chosen = " + std::to_string(m.clusters->chosen) + "}");
  } else {
    policies.push_back(m.logit_cap != 0 ? "logits::soft_cap{" + detail::literal(m.logit_cap) + "}"
                                        : "logits::uncapped");
  }

  if (m.pooled.has_value()) {
    policies.push_back("pooled_embedding{.hidden = " + std::to_string(m.pooled->hidden) +
                       ", .out = " + std::to_string(m.pooled->out) + "}");
  }

  std::string text = "/// Made from a model's configuration; not to be edited.\n#pragma once\n\n#include \"g4/model/" +
                     std::string(m.is_drafter() ? "drafter.h" : "transformer.h") + "\"\n";
  if (m.pooled.has_value()) text += "#include \"g4/policy/pooling.h\"\n";
  if (has_target && !target_header.empty()) text += "#include \"" + std::string(target_header) + "\"\n";
  text += "\nnamespace g4 {\n\nstruct " + std::string(name) + " : " +
          (has_target ? "drafter<" + std::string(target) + "," : std::string("transformer<"));
  for (std::size_t i = 0; i < policies.size(); ++i) text += (i > 0 ? ",\n    " : "\n    ") + policies[i];
  return text + "> {};\n\n}  // namespace g4\n";
}

}  // namespace g4::load
