// Towers as types: what their lists amount to.
#include "g4/model/tower/tower.h"

#include <gtest/gtest.h>

#include <array>
#include <variant>

#include "g4/model/multimodal.h"
#include "g4/variants/gemma4_12b.h"

namespace g4 {
namespace {

static_assert(Tower<gemma4_patches> && Tower<gemma4_frames> && Multimodal<gemma4_12b>);
static_assert(Variant<gemma4_12b::text> && !Variant<gemma4_12b> && !Multimodal<gemma4_12b::text>);
static_assert(std::same_as<text_of<gemma4_12b>, gemma4_12b_text> &&
              std::same_as<text_of<gemma4_12b_text>, gemma4_12b_text>);
static_assert(gemma4_12b::can_see && gemma4_12b::can_hear);

// Rows and width before each stage, and behind the last.
static_assert(gemma4_patches::widths == std::array{0, 0, 6912, 6912, 3840, 3840, 3840, 3840, 0});
static_assert(gemma4_patches::first_on_rows == 2 && gemma4_patches::input_width == 6912);
static_assert(gemma4_frames::widths == std::array{0, 0, 640, 0});
static_assert(gemma4_frames::first_on_rows == 2 && gemma4_frames::input_width == 640);
static_assert(gemma4_patches::of_pictures && !gemma4_frames::of_pictures);

// The numbers of each stage, in the order of the list.
static_assert(stage_of<gemma4_patches, 0> == stage::any_aspect{48});
static_assert(stage_of<gemma4_patches, 1> == stage::patches{48});
static_assert(stage_of<gemma4_patches, 2> == stage::layer_norm{1e-5f});
static_assert(stage_of<gemma4_patches, 3> == stage::linear{3840, true});
static_assert(stage_of<gemma4_patches, 5> == stage::per_axis{1120});
static_assert(stage_of<gemma4_patches, 7> == stage::into_text{1e-6f});
static_assert(stage_of<gemma4_frames, 0> == stage::waveform{16'000});
static_assert(stage_of<gemma4_frames, 1> == stage::frames{640});

// A sense that a model does not have is not there to be asked for.
struct blind : multimodal<gemma4_12b_text,
                          hears<gemma4_frames, soft_tokens{.most = 750}, marked{"<|audio>", "<|audio|>", "<audio|>"}>,
                          turns::gemma4<>> {};
static_assert(!blind::can_see && blind::can_hear);

TEST(tower, of_another_order_is_another_tower) {
  constexpr tower_spec patches = gemma4_patches::spec;
  tower_spec other = patches;
  std::swap(other.stages[2], other.stages[3]);
  EXPECT_EQ(patches.count, 8u);
  EXPECT_FALSE(other == patches);
  EXPECT_EQ(other.find<stage::linear>()->width, 3840);
  EXPECT_FALSE(other.find<stage::frames>().has_value());
}

TEST(mark, as_a_vocabulary_writes_it) {
  EXPECT_EQ(gemma4_12b::seeing::marks.before.view(), "<|image>");
  EXPECT_EQ(gemma4_12b::seeing::marks.each.view(), "<|image|>");
  EXPECT_EQ(gemma4_12b::hearing::marks.behind.view(), "<audio|>");
}

}  // namespace
}  // namespace g4
