/// The inline backend: the cpu backend's kernels in the host's own file, for the SIMD target its flags choose. Nothing
/// to link but Highway's headers; use one `-march` for the whole program.
#pragma once

#include "g4/backend/cpu/attention.inl"
#include "g4/backend/cpu/calls.h"
#include "g4/backend/cpu/products.inl"
#include "g4/backend/cpu/ranking.inl"
#include "g4/backend/cpu/simd.h"
#include "hwy/highway.h"
// after highway.h
#include "kernels/cpu/attend-inl.h"
#include "kernels/cpu/attend_all-inl.h"
#include "kernels/cpu/depthwise-inl.h"
#include "kernels/cpu/gate-inl.h"
#include "kernels/cpu/matmul-inl.h"
#include "kernels/cpu/panel_matmul-inl.h"
#include "kernels/cpu/panel_matmul_bytes-inl.h"
#include "kernels/cpu/quantise-inl.h"
#include "kernels/cpu/rank-inl.h"
#include "kernels/cpu/rms_norm-inl.h"
#include "kernels/cpu/rope-inl.h"
#include "kernels/cpu/soft_cap-inl.h"
#include "kernels/cpu/to_panels-inl.h"
#include "kernels/cpu/tower-inl.h"
#include "kernels/cpu/unpack-inl.h"

namespace g4::cpu {

/// The kernels of this file's own SIMD target.
struct inline_kernels {
  static void matmul(const matmul_call& call) { g4::HWY_NAMESPACE::matmul(call); }
  static void unpack(storage type, const std::byte* block, std::size_t n, float* y) {
    g4::HWY_NAMESPACE::unpack(type, block, n, y);
  }
  static void quantise(const quantise_call& call) { g4::HWY_NAMESPACE::quantise(call); }
  static void to_panels(const to_panels_call& call) { g4::HWY_NAMESPACE::to_panels(call); }
  static void nibbles_to_words(const nibbles_to_words_call& call) { g4::HWY_NAMESPACE::nibbles_to_words(call); }
  static void rank(const rank_call& call) { g4::HWY_NAMESPACE::rank(call); }
  [[nodiscard]] static bool ranking_pays() { return g4::HWY_NAMESPACE::ranking_pays(); }
  static void panel_matmul_32(const product_call& call) { g4::HWY_NAMESPACE::panel_matmul_32(call); }
  static void panel_matmul_q2_k(const product_call& call) { g4::HWY_NAMESPACE::panel_matmul_q2_k(call); }
  static void panel_matmul_q3_k(const product_call& call) { g4::HWY_NAMESPACE::panel_matmul_q3_k(call); }
  static void panel_matmul_q4_k(const product_call& call) { g4::HWY_NAMESPACE::panel_matmul_q4_k(call); }
  static void panel_matmul_q5_k(const product_call& call) { g4::HWY_NAMESPACE::panel_matmul_q5_k(call); }
  static void panel_matmul_q6_k(const product_call& call) { g4::HWY_NAMESPACE::panel_matmul_q6_k(call); }
  static void panel_matmul_iq4(const product_call& call) { g4::HWY_NAMESPACE::panel_matmul_iq4(call); }
  static void panel_matmul_mxfp4(const product_call& call) { g4::HWY_NAMESPACE::panel_matmul_mxfp4(call); }
  static void panel_matmul_q5(const product_call& call) { g4::HWY_NAMESPACE::panel_matmul_q5(call); }
  [[nodiscard]] static bool bytes_pay(storage type) { return g4::HWY_NAMESPACE::bytes_pay(type); }
  static void quantise_bytes(const quantise_bytes_call& call) { g4::HWY_NAMESPACE::quantise_bytes(call); }
  static void panel_matmul_bytes(const product_call& call) { g4::HWY_NAMESPACE::panel_matmul_bytes(call); }
  static void panel_matmul_bytes_k(const product_call& call) { g4::HWY_NAMESPACE::panel_matmul_bytes_k(call); }
  static void rms_norm(const norm_call& call) { g4::HWY_NAMESPACE::rms_norm(call); }
  static void depthwise(const depthwise_call& call) { g4::HWY_NAMESPACE::depthwise(call); }
  static void rope(const rope_call& call) { g4::HWY_NAMESPACE::rope(call); }
  static void store(const store_call& call) { g4::HWY_NAMESPACE::store(call); }
  static void attend(const attend_call& call) { g4::HWY_NAMESPACE::attend(call); }
  static void join_attention(const join_call& call) { g4::HWY_NAMESPACE::join_attention(call); }
  static void pack_all(const pack_all_call& call) { g4::HWY_NAMESPACE::pack_all(call); }
  static void attend_all(const attend_all_call& call) { g4::HWY_NAMESPACE::attend_all(call); }
  static void attend_near(const near_call& call) { g4::HWY_NAMESPACE::attend_near(call); }
  static void layer_norm(const layer_norm_call& call) { g4::HWY_NAMESPACE::layer_norm(call); }
  static void rope_2d(const rope_call& call) { g4::HWY_NAMESPACE::rope_2d(call); }
  static void convolve_back(const convolve_call& call) { g4::HWY_NAMESPACE::convolve_back(call); }
  static void add(const float* x, std::size_t n, float* y) { g4::HWY_NAMESPACE::add(x, n, y); }
  static void add_bias(float* y, const float* bias, std::size_t rows, std::size_t width) {
    g4::HWY_NAMESPACE::add_bias(y, bias, rows, width);
  }
  static void keep_within(const float* x, std::size_t n, float least, float most, float* y) {
    g4::HWY_NAMESPACE::keep_within(x, n, least, most, y);
  }
  static void silu(float* x, std::size_t n) { g4::HWY_NAMESPACE::silu(x, n); }
  static void glu(const float* x, std::size_t rows, std::size_t width, float* y) {
    g4::HWY_NAMESPACE::glu(x, rows, width, y);
  }
  static void gelu_gate(float* gate, const float* up, std::size_t n) { g4::HWY_NAMESPACE::gelu_gate(gate, up, n); }
  static void soft_cap(float* x, std::size_t n, float cap) { g4::HWY_NAMESPACE::soft_cap(x, n, cap); }
};

}  // namespace g4::cpu

namespace g4::backend {

/// Static dispatch.
class inlined : public simd<g4::cpu::inline_kernels> {
 public:
  using simd<g4::cpu::inline_kernels>::simd;
};

static_assert(Backend<inlined>);

}  // namespace g4::backend
