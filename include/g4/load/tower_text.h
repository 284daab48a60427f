/// Towers in words: as a variant's author writes them, and where two of them differ.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "g4/load/variant_source.h"
#include "g4/spec/tower.h"

namespace g4::load {

namespace detail {

[[nodiscard]] inline std::string field_text(int value) { return count_text(value); }
[[nodiscard]] inline std::string field_text(bool value) { return value ? "true" : "false"; }
[[nodiscard]] inline std::string field_text(float value) { return literal(value); }

/// `patches{.side = 48}`: a stage's word with the fields that differ from their defaults.
template <class Stage>
[[nodiscard]] std::string stage_text(const Stage& stage) {
  std::string fields;
  Stage::each_field([&](const auto& f) {
    if (stage.*f.member == Stage{}.*f.member) return;
    fields += (fields.empty() ? "." : ", .") + std::string(f.name) + " = " + field_text(stage.*f.member);
  });
  return std::string(Stage::word) + (fields.empty() ? "" : "{" + fields + "}");
}
[[nodiscard]] inline std::string stage_text(const std::monostate&) { return "nothing"; }
// Constants stand for these as long as nothing of them is unusual.
[[nodiscard]] inline std::string stage_text(const stage::layer_norm& stage) {
  return stage == stage::layer_norm{} ? "norm::layer" : "norm::layer_t{" + literal(stage.eps) + "}";
}
[[nodiscard]] inline std::string stage_text(const stage::linear& stage) {
  return "embed::linear<width{" + count_text(stage.width) + "}" + (stage.biased ? ", biased>" : ">");
}
[[nodiscard]] inline std::string stage_text(const stage::per_axis& stage) {
  return "positions::per_axis{" + count_text(stage.places) + "}";
}
[[nodiscard]] inline std::string stage_text(const stage::learned& stage) {
  return "positions::learned{" + count_text(stage.places) + "}";
}
[[nodiscard]] inline std::string stage_text(const stage::every& stage) { return "every{" + count_text(stage.of) + "}"; }
[[nodiscard]] inline std::string stage_text(const stage::into_text& stage) {
  if (stage.weighted) {
    return stage.eps == 1e-6f ? "into_text<norm::one_plus>" : "into_text<norm::one_plus_t{" + literal(stage.eps) + "}>";
  }
  return stage == stage::into_text{} ? "into_text<norm::unweighted>"
                                     : "into_text<norm::unweighted_t{" + literal(stage.eps) + "}>";
}

[[nodiscard]] inline std::string stage_text(const stage::into_text_with_ids& stage) {
  return "into_text<" +
         (stage.eps == 1e-6f ? std::string("norm::soft_and_hard")
                             : "norm::soft_and_hard_t{" + literal(stage.eps) + "}") +
         ", own_ids{.first = " + count_text(stage.first) + ", .count = " + count_text(stage.count) + "}>";
}

[[nodiscard]] inline std::string stage_text(const stage::encoder& e) {
  std::string text = "encoder<layers{" + count_text(e.layers);
  const bool sandwich = e.norms == encoder_norms::sandwich;
  if (sandwich && e.norm_eps != 1e-6f) text += ", " + literal(e.norm_eps);
  text += sandwich ? "}, norm::sandwich<plain_weight>"
                   : "}, norm::before<" + stage_text(stage::layer_norm{e.norm_eps}) + ">";
  text += ",\n            attention<heads{.query = " + count_text(e.query_heads) +
          ", .key_value = " + count_text(e.key_value_heads) + "}, head{" + count_text(e.head_size) + "}";
  if (e.qk_norm) text += ", qk_norm";
  if (e.v_norm) text += ", v_norm";
  text += e.query_scale == 1 ? ", unscaled" : ", scaled_by_root_of{" + literal(divisor_of(e.query_scale)) + "}";
  if (e.rope_theta > 0) text += ", rope_2d{.theta = " + literal(e.rope_theta) + "}";
  text += ">,\n            feed::" + std::string(e.gated ? "gated" : "plain") + "<gelu_tanh, hidden{" +
          count_text(e.hidden) + "}>";
  if (e.biased) text += ", biased";
  if (e.clipped) text += ", clipped_linears";
  return text + ">";
}
/// `bottleneck{.channels = 256, .start = 5, .wider = 4}`
[[nodiscard]] inline std::string block_text(const mobile_block& b) {
  std::string fields;
  const auto add = [&](const char* name, const std::string& value) {
    fields += (fields.empty() ? "." : ", .") + std::string(name) + " = " + value;
  };
  const auto unless = [&](int usual, const char* name, int value) {
    if (value != usual) add(name, count_text(value));
  };
  add("channels", count_text(b.channels));
  if (b.kind == mobile::attention) {
    add("heads", count_text(b.heads));
    add("size", count_text(b.head_size));
    unless(1, "key_stride", b.key_stride);
    if (b.key_stride > 1) unless(3, "side", b.side);
    return "multi_query{" + fields + "}";
  }
  if (b.kind == mobile::edge) {
    unless(3, "side", b.side);
  } else {
    unless(0, "start", b.start);
    unless(0, "middle", b.middle);
  }
  unless(1, "stride", b.stride);
  add("wider", literal(b.wider));
  return (b.kind == mobile::edge ? "edge_residual{" : "bottleneck{") + fields + "}";
}
[[nodiscard]] inline std::string stage_text(const stage::mobilenet& net) {
  std::string text = "mobilenet<\n        conv_stem{.channels = " + count_text(net.stem) + "}";
  for (int e = 0; e < net.entries;) {
    const mobile_block& b = net.block[static_cast<std::size_t>(e)];
    text += b.stride == 2 ? (e > 0 ? ">" : "") + std::string(",\n        blocks<") : ",\n               ";
    const int end = net.turn_end(e);
    const bool several = end > e + 1;
    if (several || b.times > 1) text += std::string(several ? "in_turn<" : "times<") + count_text(b.times) + ", ";
    for (int k = e; k < end; ++k) text += (k > e ? ", " : "") + block_text(net.block[static_cast<std::size_t>(k)]);
    if (several || b.times > 1) text += ">";
    e = end;
  }
  return text + ">,\n        fused{.channels = " + count_text(net.fused) + ", .side = " + count_text(net.side) + "}>";
}
[[nodiscard]] inline std::string stage_text(const stage::conformer& stage) {
  const stage::conformer usual;
  std::string text = "conformer<layers{" + count_text(stage.layers) + "}";
  const auto word = [&](const char* name, std::initializer_list<std::pair<const char*, std::string>> fields) {
    std::string inside;
    for (const auto& [field, value] : fields) {
      if (!value.empty()) inside += (inside.empty() ? "." : ", .") + std::string(field) + " = " + value;
    }
    if (!inside.empty()) text += ", " + std::string(name) + "{" + inside + "}";
  };
  const auto other = [](const auto& value, const auto& standard) {
    return value == standard ? std::string() : field_text(value);
  };
  word("relative_attention", {{"heads", field_text(stage.heads)},
                              {"past", other(stage.past, usual.past)},
                              {"ahead", other(stage.ahead, usual.ahead)},
                              {"chunk", other(stage.chunk, usual.chunk)},
                              {"cap", other(stage.cap, usual.cap)},
                              {"scaled_keys", other(stage.scaled_keys, usual.scaled_keys)}});
  word("light_conv", {{"side", field_text(stage.side)}, {"eps", other(stage.conv_eps, usual.conv_eps)}});
  word("half_feed", {{"wider", other(stage.wider, usual.wider)}, {"residual", other(stage.residual, usual.residual)}});
  word("limited", {{"limit", other(stage.limit, usual.limit)}});
  return text + (stage.clipped ? ", clipped_linears>" : ">");
}

}  // namespace detail

/// A stage as it is written in a list.
[[nodiscard]] inline std::string stage_text(const stage_spec& stage) {
  return std::visit([](const auto& s) { return detail::stage_text(s); }, stage);
}

/// `struct name : tower<…> {};`
[[nodiscard]] inline std::string tower_source(const tower_spec& t, std::string_view name) {
  std::string text = "struct " + std::string(name) + " : tower<";
  for (std::size_t i = 0; i < t.count; ++i) text += (i > 0 ? ",\n    " : "\n    ") + stage_text(t.stages[i]);
  return text + "> {};\n";
}

/// One line for each stage in which a file's tower is another than the variant's.
///
/// what   "picture" or "sound"
[[nodiscard]] inline std::vector<std::string> differences(const tower_spec& file, const tower_spec& variant,
                                                          std::string_view what, std::string_view name) {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < file.count || i < variant.count; ++i) {
    const stage_spec a = i < file.count ? file.stages[i] : stage_spec{};
    const stage_spec b = i < variant.count ? variant.stages[i] : stage_spec{};
    if (a == b) continue;
    lines.push_back("stage " + std::to_string(i + 1) + " of the " + std::string(what) + " tower: the file has " +
                    stage_text(a) + ", " + std::string(name) + " has " + stage_text(b));
  }
  return lines;
}

}  // namespace g4::load
