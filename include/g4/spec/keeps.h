/// Which rules a specification must keep, and with which of its numbers.
#pragma once

#include "g4/rule/rules.h"
#include "g4/spec/text.h"

namespace g4 {

/// Calls `visit(rule, layer, numbers…)` for every rule that a stack of layers must keep; `layer` is −1 where the rule is
/// about the whole. Where a rule does not hold, `visit` may return false: nothing more is asked then.
template <class Visit>
constexpr bool each_rule(const stack_spec& m, Visit&& visit) {
  if (!visit(rule::shared_layers_exist{}, -1, m.shared_layers, m.layers)) return false;
  const bool encoder = m.sees == visibility::everything;
  for (int l = 0; l < m.layers; ++l) {
    const layer_kind& k = m.layer[l];
    if (!visit(rule::heads_share_keys_evenly{}, l, k.query_heads, k.key_value_heads)) return false;
    if (!visit(rule::head_size_is_even{}, l, k.head_size)) return false;
    if (!visit(rule::feed_forward_has_a_width{}, l, k.hidden)) return false;
    if (!visit(rule::layers_are_countable{}, l, k.query_heads, k.head_size, k.hidden)) return false;
    if (k.sees == reach::local) {
      if (!visit(rule::local_layer_has_a_window{}, l, k.keys.back)) return false;
      if (!visit(rule::window_fits_the_mask{}, l, encoder, k.keys.back, k.keys.ahead)) return false;
    }
  }
  if (m.experts) {
    const experts_spec& e = *m.experts;
    if (!visit(rule::experts_chosen_exist{}, -1, e.chosen, e.count)) return false;
    if (!visit(rule::experts_have_a_width{}, -1, e.hidden)) return false;
    if (!visit(rule::experts_are_countable{}, -1, e.count, e.hidden, m.width)) return false;
  }
  if (m.per_layer) {
    if (!visit(rule::per_layer_inputs_have_a_table{}, -1, m.per_layer->width, m.per_layer->vocab)) return false;
    if (!visit(rule::per_layer_inputs_are_countable{}, -1, m.layers, m.per_layer->width)) return false;
  }
  if (m.altup && !visit(rule::streams_are_several{}, -1, m.altup->streams)) return false;
  if (m.laurel && !visit(rule::laurel_has_a_rank{}, -1, m.laurel->rank)) return false;
  return true;
}

/// The rules of layers that read the keys and values of an earlier one. A drafter's producers lie in its target.
template <class Visit>
constexpr bool each_sharing_rule(const stack_spec& m, Visit&& visit) {
  for (int l = 0; l < m.layers; ++l) {
    const layer_kind& k = m.layer[l];
    const int from = m.producer[l];
    if (!visit(rule::shared_layer_has_a_producer{}, l, l, from)) return false;
    const layer_kind& owner = m.layer[from];
    if (!visit(rule::shared_heads_agree{}, l, k.key_value_heads, k.head_size, from, owner.key_value_heads,
               owner.head_size)) {
      return false;
    }
    if (!visit(rule::shared_window_agrees{}, l, k.keys.back, from, owner.keys.back)) return false;
    if (!visit(rule::shared_rotation_agrees{}, l, k.rope == owner.rope, from)) return false;
  }
  return true;
}

/// Every rule of a settled text model.
template <class Visit>
constexpr bool each_rule(const text_spec& m, Visit&& visit) {
  if (!visit(rule::depth_is_bounded{}, -1, m.layers, max_layers)) return false;
  if (!visit(rule::shape_is_positive{}, -1, m.layers, m.width, m.vocab)) return false;
  if (!each_rule(static_cast<const stack_spec&>(m), visit)) return false;
  if (!m.is_drafter() && !each_sharing_rule(m, visit)) return false;
  if (m.clusters) {
    if (!visit(rule::clusters_are_equal{}, -1, m.vocab, m.clusters->count)) return false;
    if (!visit(rule::clusters_chosen_exist{}, -1, m.clusters->chosen, m.clusters->count)) return false;
  }
  return true;
}

/// Whether a model keeps every rule.
[[nodiscard]] constexpr bool keeps_its_rules(const text_spec& m) {
  return each_rule(m, [](auto rule, int, auto... numbers) { return rule.keeps(numbers...); });
}

}  // namespace g4
