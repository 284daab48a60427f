// A configuration becomes a header, the header a type, and the type is the configuration.
//
// data/generated/*.h is what g4-variant-header makes of data/small/*.json. The test makes each once more and compares:
// the text must be the file, and the type that the file defines must be what the configuration says.
#include "g4/load/variant_source.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "g4/load/config.h"
#include "g4/variants/all.h"
#include "tests/load/configs.h"
#include "tests/load/data/generated/g3_embed.h"
#include "tests/load/data/generated/g3_long.h"
#include "tests/load/data/generated/g3_text.h"
#include "tests/load/data/generated/g3_vision.h"
#include "tests/load/data/generated/g3n_audio.h"
#include "tests/load/data/generated/g3n_text.h"
#include "tests/load/data/generated/g3n_vision.h"
#include "tests/load/data/generated/g4_assistant.h"
#include "tests/load/data/generated/g4_assistant_drafter.h"
#include "tests/load/data/generated/g4_assistant_plain.h"
#include "tests/load/data/generated/g4_assistant_plain_drafter.h"
#include "tests/load/data/generated/g4_audio.h"
#include "tests/load/data/generated/g4_bf16.h"
#include "tests/load/data/generated/g4_bidir_all.h"
#include "tests/load/data/generated/g4_dense.h"
#include "tests/load/data/generated/g4_kv.h"
#include "tests/load/data/generated/g4_long.h"
#include "tests/load/data/generated/g4_moe.h"
#include "tests/load/data/generated/g4_odd.h"
#include "tests/load/data/generated/g4_omni.h"
#include "tests/load/data/generated/g4_pattern_a.h"
#include "tests/load/data/generated/g4_pattern_b.h"
#include "tests/load/data/generated/g4_ple_shared.h"
#include "tests/load/data/generated/g4_unified.h"
#include "tests/load/data/generated/g4_video.h"
#include "tests/load/data/generated/g4_vision.h"

namespace g4::load {
namespace {

struct generated {
  std::string name;
  std::string target;  // of a drafter
  const text_spec* spec;
};

const generated all_generated[] = {
    {"g3_embed", "", &test_g3_embed::spec},
    {"g3_long", "", &test_g3_long::spec},
    {"g3_text", "", &test_g3_text::spec},
    {"g3_vision", "", &test_g3_vision::spec},
    {"g3n_audio", "", &test_g3n_audio::spec},
    {"g3n_text", "", &test_g3n_text::spec},
    {"g3n_vision", "", &test_g3n_vision::spec},
    {"g4_assistant", "", &test_g4_assistant::spec},
    {"g4_assistant_drafter", "g4_assistant", &test_g4_assistant_drafter::spec},
    {"g4_assistant_plain", "", &test_g4_assistant_plain::spec},
    {"g4_assistant_plain_drafter", "g4_assistant_plain", &test_g4_assistant_plain_drafter::spec},
    {"g4_audio", "", &test_g4_audio::spec},
    {"g4_bf16", "", &test_g4_bf16::spec},
    {"g4_bidir_all", "", &test_g4_bidir_all::spec},
    {"g4_dense", "", &test_g4_dense::spec},
    {"g4_kv", "", &test_g4_kv::spec},
    {"g4_long", "", &test_g4_long::spec},
    {"g4_moe", "", &test_g4_moe::spec},
    {"g4_odd", "", &test_g4_odd::spec},
    {"g4_omni", "", &test_g4_omni::spec},
    {"g4_pattern_a", "", &test_g4_pattern_a::spec},
    {"g4_pattern_b", "", &test_g4_pattern_b::spec},
    {"g4_ple_shared", "", &test_g4_ple_shared::spec},
    {"g4_unified", "", &test_g4_unified::spec},
    {"g4_video", "", &test_g4_video::spec},
    {"g4_vision", "", &test_g4_vision::spec},
};

TEST(variant_source, of_every_small_model_is_the_header_that_defines_it) {
  for (const generated& g : all_generated) {
    const auto spec = small(g.name);
    ASSERT_TRUE(spec) << spec.error().message;
    EXPECT_TRUE(*spec == *g.spec) << g.name;
    const std::string target = g.target.empty() ? "" : "test_" + g.target;
    const std::string header = g.target.empty() ? "" : "tests/load/data/generated/" + g.target + ".h";
    EXPECT_EQ(variant_source(*spec, "test_" + g.name, target, header),
              file_text("tests/load/data/generated/" + g.name + ".h"));
  }
}

/// From the first policy to the end of the definition.
std::string definition_in(const std::string& text) {
  const auto begin = text.find(" : ", text.find("struct "));
  const auto end = text.find("{};", begin);
  return begin == std::string::npos || end == std::string::npos ? text : text.substr(begin, end - begin);
}

template <class V>
void writes_as_people_wrote_it(std::string_view target = {}) {
  const std::string name(variant_name<V>());
  const std::string by_hand = file_text("include/g4/variants/" + name + ".h");
  EXPECT_EQ(definition_in(variant_source(V::spec, name, target)), definition_in(by_hand));
}

TEST(variant_source, of_a_released_decoder_is_what_people_wrote) {
  []<class... V>(one_of<V...>) { (writes_as_people_wrote_it<V>(), ...); }(all_variants{});
}
TEST(variant_source, of_a_released_embedder_is_what_people_wrote) { writes_as_people_wrote_it<embeddinggemma_300m>(); }
TEST(variant_source, of_a_released_drafter_is_what_people_wrote) {
  []<class... V>(one_of<V...>) {
    (writes_as_people_wrote_it<V>(variant_name<typename V::target>()), ...);
  }(all_drafters{});
}

TEST(variant_source, of_a_drafter_alone_names_the_width_it_continues) {
  const std::string text = variant_source(gemma4_e2b_assistant::spec, "alone");
  EXPECT_NE(text.find("struct alone : transformer<"), std::string::npos);
  EXPECT_NE(text.find("drafts_for{.width = 1536}"), std::string::npos);
}

TEST(variant_source, holds_numbers_as_people_write_them) {
  EXPECT_EQ(detail::count_text(704), "704");
  EXPECT_EQ(detail::count_text(6144), "6144");
  EXPECT_EQ(detail::count_text(10'240), "10'240");
  EXPECT_EQ(detail::count_text(1'048'576), "1'048'576");
  EXPECT_EQ(detail::literal(1e6f), "1e6f");
  EXPECT_EQ(detail::literal(30), "30");
  EXPECT_EQ(detail::literal(0.25f), "0.25f");
  EXPECT_EQ(detail::literal(1e-5f), "1e-5f");
  EXPECT_EQ(detail::literal(8), "8");
}

TEST(variant_source, has_a_divisor_for_every_query_scale) {
  for (const float divisor : {16.0f, 24.0f, 168.0f, 256.0f, 0.3f, 12.34f, 1e6f}) {
    text_spec m;
    scaled_by_root_of{divisor}.describe(m);
    text_spec again;
    scaled_by_root_of{detail::divisor_of(m.query_scale)}.describe(again);
    EXPECT_EQ(m.query_scale, again.query_scale) << divisor;
  }
}

}  // namespace
}  // namespace g4::load
