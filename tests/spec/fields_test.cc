// A specification lists its fields once; whatever walks the list sees all of them.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <type_traits>

#include "g4/spec/stack.h"
#include "g4/spec/text.h"

namespace g4 {
namespace {

/// Whether a walk over the listed fields finds that two differ. `layer` and `producer` are walked layer by layer.
template <class Spec>
bool walk_tells_apart(const Spec& a, const Spec& b) {
  bool differ = false;
  Spec::each_field([&](const auto& f) { differ = differ || !(a.*f.member == b.*f.member); });
  if constexpr (std::is_base_of_v<stack_spec, Spec>) {
    differ = differ || a.layer != b.layer || a.producer != b.producer;
  }
  return differ;
}

/// Turns each bit-0 of a struct over. Where that makes another value (and no padding), the list must tell so.
template <class Spec>
void lists_every_field() {
  static_assert(std::is_trivially_copyable_v<Spec>);
  const auto plain = std::make_unique<Spec>();
  for (std::size_t i = 0; i < sizeof(Spec); ++i) {
    auto bytes = std::make_unique<std::array<std::byte, sizeof(Spec)>>();
    std::memcpy(bytes->data(), plain.get(), sizeof(Spec));
    (*bytes)[i] ^= std::byte{1};
    const auto changed = std::make_unique<Spec>();
    std::memcpy(static_cast<void*>(changed.get()), bytes->data(), sizeof(Spec));
    if (!(*changed == *plain)) {
      EXPECT_TRUE(walk_tells_apart(*changed, *plain)) 
          << "byte " << i << " of " << sizeof(Spec);
    }
  }
}

TEST(fields, of_every_specification_are_listed) {
  lists_every_field<text_spec>();
  lists_every_field<stack_spec>();
  lists_every_field<layer_kind>();
  lists_every_field<rope_spec>();
  lists_every_field<experts_spec>();
  lists_every_field<altup_spec>();
  lists_every_field<laurel_spec>();
  lists_every_field<per_layer_spec>();
  lists_every_field<pooled_spec>();
  lists_every_field<target_spec>();
  lists_every_field<clusters_spec>();
}

// A part that is not there reads as its defaults.
static_assert(!maybe<experts_spec>() && maybe<experts_spec>()->count == 0);
static_assert(maybe<experts_spec>(experts_spec{}) && !(maybe<experts_spec>(experts_spec{}) == maybe<experts_spec>()));

}  // namespace
}  // namespace g4
