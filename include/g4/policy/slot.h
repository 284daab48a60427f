/// The places a policy can take in a transformer; each may be filled once.
#pragma once

namespace g4 {

struct text_spec;

namespace slots {
struct shape;
struct embedding;
struct norm;
struct attention;
struct pattern;
struct sharing;
struct feed_forward;
struct per_layer_embedding;
struct altup;
struct laurel;
struct layer_scalar;
struct visibility;
struct logits;
struct pooling;
struct drafter;
}  // namespace slots

/// A policy is a constant that names its slot and can write itself into a specification.
template <class P>
concept Policy = requires(const P& policy, text_spec& m) {
  typename P::slot;
  policy.describe(m);
};

}  // namespace g4
