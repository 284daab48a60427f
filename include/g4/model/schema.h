/// The checkpoint a model expects. Every tensor is declared once: the member that holds it, what each file format calls
/// it, its extents, and whether it must be there.
///
/// A tensor is two lines: the one here, and the member (`model/weights.h`) beside which it is read.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "g4/spec/text.h"

/// A member of a struct of weights, in a schema: `G4_WEIGHT(query)` is what gives `w.query` of any weights w.
#define G4_WEIGHT(member) [](auto& weights) -> auto& { return weights.member; }

namespace g4 {

/// What a tensor's numbers are.
enum class role : std::uint8_t {
  matrix,
  token_table,  ///< a row for every token, read one at a time; where the head is tied, the head as well
  table,        ///< rows that are read one at a time, far more than are ever looked at
  head,         ///< the matrix behind the last layer
  norm_weight,  ///< this and the next two are read as float32
  numbers,
  bias,      ///< numbers that may all be zero
  integers,  ///< tokens
};

[[nodiscard]] constexpr bool is_matrix(role r) { return r <= role::head; }
[[nodiscard]] constexpr bool is_small(role r) {
  return r == role::norm_weight || r == role::numbers || r == role::bias;
}

/// Whether a checkpoint must hold a tensor. Anything the schema does not list is unknown.
enum class need : std::uint8_t {
  required,
  skippable,  ///< may be there and is not read: key and value weights that released files carry for reusing layers
};

/// How much of a matrix a quantiser may lose (`load/file_type.h`).
enum class grade : std::uint8_t {
  usual,
  careful,  ///< more bits in some layers: what everything after it passes through
  rows,     ///< more bits: tables
  plain,    ///< never quantised
  exact,    ///< float32
};

/// A part of a model, as each file format calls it, without the prefix of its module and of its layer. A name with '#'
/// stands for several tensors, numbered from 0.
///
/// Source: the state dicts of transformers 5.23.0 and the tensor names of GGUF files (docs/formats.md).
struct part {
  std::string_view safetensors;
  std::string_view gguf;
  grade stored = grade::usual;
  bool outside = false;  ///< in a safetensors file it stands outside its module's prefix
};

struct tensor_entry {
  part what;
  int layer = -1;                ///< −1 for tensors of the whole model
  int rank = 1;                  ///< how many of `extents` count
  std::array<int, 4> extents{};  ///< outermost first, as safetensors lists them
  role as = role::matrix;
  need needed = need::required;

  [[nodiscard]] constexpr long long elements() const {
    long long n = 1;
    for (int i = 0; i < rank; ++i) n *= extents[i];
    return n;
  }
  /// Whether safetensors files hold it as several tensors; each is then `one()`.
  [[nodiscard]] constexpr bool numbered() const { return what.safetensors.find('#') != std::string_view::npos; }
  [[nodiscard]] constexpr tensor_entry one() const { return {what, layer, 2, {extents[1], extents[2], 0}, as, needed}; }
};

/// Writes the lines of a schema: each calls `visit(tensor_entry, member)`.
template <class Visit>
struct schema_lines {
  Visit& visit;
  int layer = -1;

  template <class Member>
  constexpr void matrix(Member member, part what, int rows, int columns, need needed = need::required,
                        role as = role::matrix) const {
    visit(tensor_entry{what, layer, 2, {rows, columns, 0}, as, needed}, member);
  }
  /// Several matrices in one: `count` of [rows, columns].
  template <class Member>
  constexpr void matrices(Member member, part what, int count, int rows, int columns) const {
    visit(tensor_entry{what, layer, 3, {count, rows, columns}, role::matrix, need::required}, member);
  }
  template <class Member>
  constexpr void norm(Member member, part what, int size, need needed = need::required) const {
    visit(tensor_entry{what, layer, 1, {size, 0, 0}, role::norm_weight, needed}, member);
  }
  template <class Member>
  constexpr void numbers(Member member, part what, int size) const {
    visit(tensor_entry{what, layer, 1, {size, 0, 0}, role::numbers, need::required}, member);
  }
  template <class Member>
  constexpr void bias(Member member, part what, int size, need needed = need::required) const {
    visit(tensor_entry{what, layer, 1, {size, 0, 0}, role::bias, needed}, member);
  }
  template <class Member>
  constexpr void integers(Member member, part what, int size) const {
    visit(tensor_entry{what, layer, 1, {size, 0, 0}, role::integers, need::required}, member);
  }
};

/// The tensors of layer `l`, in the order data meets them: `visit(tensor_entry, member of layer_weights)`.
template <class Visit>
constexpr void each_layer_part(const stack_spec& m, int l, Visit&& visit) {
  const layer_kind& k = m.layer[l];
  const int D = m.width, H = k.query_heads, K = k.key_value_heads, d = k.head_size, F = k.hidden;
  const need keys = k.role == cache_role::owner ? need::required : need::skippable;
  const schema_lines<Visit> s{visit, l};

  s.norm(G4_WEIGHT(attention_norm), {"input_layernorm.weight", "attn_norm.weight"}, D);
  s.matrix(G4_WEIGHT(query), {"self_attn.q_proj.weight", "attn_q.weight"}, H * d, D);
  s.matrix(G4_WEIGHT(key), {"self_attn.k_proj.weight", "attn_k.weight"}, K * d, D, keys);
  if (!k.key_is_value) {
    s.matrix(G4_WEIGHT(value), {"self_attn.v_proj.weight", "attn_v.weight", grade::careful}, K * d, D, keys);
  }
  s.matrix(G4_WEIGHT(output), {"self_attn.o_proj.weight", "attn_output.weight"}, D, H * d);
  if (m.attention_bias) {
    s.bias(G4_WEIGHT(query_bias), {"self_attn.q_proj.bias", "attn_q.bias"}, H * d);
    s.bias(G4_WEIGHT(key_bias), {"self_attn.k_proj.bias", "attn_k.bias"}, K * d, keys);
    if (!k.key_is_value) s.bias(G4_WEIGHT(value_bias), {"self_attn.v_proj.bias", "attn_v.bias"}, K * d, keys);
    s.bias(G4_WEIGHT(output_bias), {"self_attn.o_proj.bias", "attn_output.bias"}, D);
  }
  if (m.qk_norm) {
    s.norm(G4_WEIGHT(query_norm), {"self_attn.q_norm.weight", "attn_q_norm.weight"}, d);
    s.norm(G4_WEIGHT(key_norm), {"self_attn.k_norm.weight", "attn_k_norm.weight"}, d, keys);
  }
  s.norm(G4_WEIGHT(post_attention_norm), {"post_attention_layernorm.weight", "post_attention_norm.weight"}, D);
  if (m.laurel) {
    const int R = m.laurel->rank;
    s.matrix(G4_WEIGHT(laurel_left), {"laurel.linear_left.weight", "laurel_l.weight", grade::plain}, R, D);
    s.matrix(G4_WEIGHT(laurel_right), {"laurel.linear_right.weight", "laurel_r.weight", grade::plain}, D, R);
    s.norm(G4_WEIGHT(laurel_norm), {"laurel.post_laurel_norm.weight", "laurel_post_norm.weight"}, D);
  }

  s.norm(G4_WEIGHT(feed_norm), {"pre_feedforward_layernorm.weight", "ffn_norm.weight"}, D);
  s.matrix(G4_WEIGHT(gate), {"mlp.gate_proj.weight", "ffn_gate.weight"}, F, D);
  s.matrix(G4_WEIGHT(up), {"mlp.up_proj.weight", "ffn_up.weight"}, F, D);
  s.matrix(G4_WEIGHT(down), {"mlp.down_proj.weight", "ffn_down.weight", grade::careful}, D, F);
  if (m.experts) {
    const int E = m.experts->count, I = m.experts->hidden;
    s.norm(G4_WEIGHT(dense_post_norm), {"post_feedforward_layernorm_1.weight", "post_ffw_norm_1.weight"}, D);
    s.matrix(G4_WEIGHT(router), {"router.proj.weight", "ffn_gate_inp.weight", grade::exact}, E, D);
    s.numbers(G4_WEIGHT(router_scale), {"router.scale", "ffn_gate_inp.scale"}, D);
    s.numbers(G4_WEIGHT(expert_scale), {"router.per_expert_scale", "ffn_down_exps.scale"}, E);
    s.norm(G4_WEIGHT(experts_norm), {"pre_feedforward_layernorm_2.weight", "pre_ffw_norm_2.weight"}, D);
    s.matrices(G4_WEIGHT(experts_gate_up), {"experts.gate_up_proj", "ffn_gate_up_exps.weight"}, E, 2 * I, D);
    s.matrices(G4_WEIGHT(experts_down), {"experts.down_proj", "ffn_down_exps.weight", grade::careful}, E, D, I);
    s.norm(G4_WEIGHT(experts_post_norm), {"post_feedforward_layernorm_2.weight", "post_ffw_norm_2.weight"}, D);
  }
  s.norm(G4_WEIGHT(post_feed_norm), {"post_feedforward_layernorm.weight", "post_ffw_norm.weight"}, D);

  if (m.altup) {
    const int A = m.altup->streams;
    s.norm(G4_WEIGHT(altup_router_norm), {"altup.router_norm.weight", "altup_router_norm.weight"}, D);
    s.matrix(G4_WEIGHT(altup_router), {"altup.modality_router.weight", "altup_router.weight", grade::plain}, A, D);
    s.matrix(G4_WEIGHT(altup_predict), {"altup.prediction_coefs.weight", "altup_predict_coef.weight", grade::plain},
             A * A, A);
    s.matrix(G4_WEIGHT(altup_correct), {"altup.correction_coefs.weight", "altup_correct_coef.weight", grade::plain},
             A, A);
    s.numbers(G4_WEIGHT(altup_output_scale), {"altup.correct_output_scale", "altup_correct_scale.weight"}, D);
  }
  if (m.per_layer) {
    const int P = m.per_layer->width;
    s.matrix(G4_WEIGHT(per_layer_gate), {"per_layer_input_gate.weight", "inp_gate.weight"}, P, D);
    s.matrix(G4_WEIGHT(per_layer_projection), {"per_layer_projection.weight", "proj.weight"}, D, P);
    s.norm(G4_WEIGHT(post_per_layer_norm), {"post_per_layer_input_norm.weight", "post_norm.weight"}, D);
  }
  if (m.layer_scalar) s.numbers(G4_WEIGHT(stream_scale), {"layer_scalar", "layer_output_scale.weight"}, 1);
}

/// The tensors of a text model outside its layers, `visit(tensor_entry, member of weights)`; `layers()` is called where
/// the layers stand between them.
template <class Visit, class Layers>
constexpr void each_text_part(const text_spec& m, Visit&& visit, Layers&& layers) {
  const int D = m.width, V = m.vocab;
  const schema_lines<Visit> s{visit};
  constexpr bool outside = true;

  if (m.target) {
    s.matrix(G4_WEIGHT(pre_projection),
             {"pre_projection.weight", "nextn.pre_projection.weight", grade::usual, outside}, D, 2 * m.target->width);
  }
  s.matrix(G4_WEIGHT(embed), {"embed_tokens.weight", "token_embd.weight", grade::rows}, V, D, need::required,
           role::token_table);
  if (m.per_layer) {
    const int P = m.per_layer->width, all = m.layers * P;
    s.matrix(G4_WEIGHT(per_layer_embed),
             {"embed_tokens_per_layer.weight", "per_layer_token_embd.weight", grade::rows}, m.per_layer->vocab, all,
             need::required, role::table);
    s.matrix(G4_WEIGHT(per_layer_model_projection),
             {"per_layer_model_projection.weight", "per_layer_model_proj.weight", grade::plain}, all, D);
    s.norm(G4_WEIGHT(per_layer_projection_norm), {"per_layer_projection_norm.weight", "per_layer_proj_norm.weight"}, P);
  }
  if (m.altup) {
    const int others = m.altup->streams - 1;
    s.matrices(G4_WEIGHT(altup_projections), {"altup_projections.#.weight", "altup_proj.weight", grade::plain}, others,
               D, D);
    s.matrices(G4_WEIGHT(altup_unembed_projections),
               {"altup_unembed_projections.#.weight", "altup_unembd_proj.weight", grade::plain}, others, D, D);
  }
  layers();
  s.norm(G4_WEIGHT(final_norm), {"norm.weight", "output_norm.weight"}, D);
  if (!m.tied_head) {
    s.matrix(G4_WEIGHT(head), {"lm_head.weight", "output.weight", grade::rows, outside}, V, D, need::required,
             role::head);
  }
  if (m.target) {
    s.matrix(G4_WEIGHT(post_projection),
             {"post_projection.weight", "nextn.post_projection.weight", grade::usual, outside}, m.target->width, D);
  }
  if (m.clusters) {
    s.matrix(G4_WEIGHT(centroids),
             {"masked_embedding.centroids.weight", "masked_embd_centroids.weight", grade::usual, outside},
             m.clusters->count, D);
    s.integers(G4_WEIGHT(token_ordering),
               {"masked_embedding.token_ordering", "masked_embd_ordering", grade::usual, outside}, V);
  }
}

/// The heads of a text embedder: a module of its own, in files of its own (`load/dense_modules.h` numbers them) or under
/// names of its own.
template <class Visit>
constexpr void each_head_part(const text_spec& m, Visit&& visit) {
  if (!m.pooled) return;
  const schema_lines<Visit> s{visit};
  s.matrix(G4_WEIGHT(first), {"dense.0.weight", "dense_2.weight"}, m.pooled->hidden, m.width);
  s.matrix(G4_WEIGHT(second), {"dense.1.weight", "dense_3.weight"}, m.pooled->out, m.pooled->hidden);
}

/// Calls `visit(tensor_entry)` for every tensor a checkpoint of the model holds.
template <class Visit>
constexpr void each_tensor(const text_spec& m, Visit&& visit) {
  const auto entry_alone = [&visit](const tensor_entry& t, auto) { visit(t); };
  each_text_part(m, entry_alone, [&] {
    for (int l = 0; l < m.layers; ++l) each_layer_part(m, l, entry_alone);
  });
}

/// Numbers in all required tensors: the model's parameter count, tied tables counted once.
[[nodiscard]] constexpr long long parameters_of(const text_spec& m) {
  long long n = 0;
  each_tensor(m, [&](const tensor_entry& t) {
    if (t.needed == need::required && t.as != role::integers) n += t.elements();
  });
  return n;
}

}  // namespace g4
