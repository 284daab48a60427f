// Every released model's checkpoint, tensor by tensor: what the type expects is what the reference's model holds.
//
// data/NAME.txt lists the reference's text tensors (transformers 5.23.0, the model built without weights), made by
// make_lists.py. The tied head and the towers are not in it; of one tower there is a list of its own, gemma3n_eyes.txt.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "g4/load/names.h"
#include "g4/model/schema.h"
#include "g4/model/tower/weights.h"
#include "g4/model/weights.h"
#include "g4/variants/all.h"

namespace g4 {
namespace {

using shapes = std::map<std::string, std::string>;  // name → "1024x256"

/// "0-3,5" → 0 1 2 3 5
std::vector<int> layers_in(const std::string& runs) {
  std::vector<int> layers;
  std::istringstream in(runs);
  for (std::string run; std::getline(in, run, ',');) {
    const auto dash = run.find('-');
    const int first = std::atoi(run.c_str());
    const int last = dash == std::string::npos ? first : std::atoi(run.c_str() + dash + 1);
    for (int l = first; l <= last; ++l) layers.push_back(l);
  }
  return layers;
}

shapes listed(const std::string& variant) {
  shapes out;
  std::ifstream in(std::string(G4_SOURCE_DIR) + "/tests/variants/data/" + variant + ".txt");
  EXPECT_TRUE(in) << variant;
  for (std::string name, sizes; in >> name >> sizes;) {
    const auto open = name.find('{');
    if (open == std::string::npos) {
      out[name] = sizes;
      continue;
    }
    const auto close = name.find('}');
    for (const int l : layers_in(name.substr(open + 1, close - open - 1))) {
      out[name.substr(0, open) + std::to_string(l) + name.substr(close + 1)] = sizes;
    }
  }
  return out;
}

std::string text_of(const tensor_entry& t, int from) {
  std::string text;
  for (int i = from; i < t.rank; ++i)
    text += (text.empty() ? "" : "x") + std::to_string(t.extents[i]);
  return text;
}

/// Names and shapes as the type expects them; without those that a file may or may not hold.
shapes expected(const text_spec& m) {
  shapes out;
  each_tensor(m, [&](const tensor_entry& t) {
    if (t.needed != need::required) return;
    const bool several = t.numbered();
    for (int n = 0; n < (several ? t.extents[0] : 1); ++n) {
      const std::string name = load::name_in(load::format::safetensors, "", t, n);
      EXPECT_FALSE(out.contains(name)) << name;
      out[name] = text_of(t, several ? 1 : 0);
    }
  });
  return out;
}

template <class V>
void agrees(const std::string& name) {
  SCOPED_TRACE(name);
  const shapes want = listed(name);
  const shapes have = expected(V::spec);
  EXPECT_FALSE(want.empty());
  for (const auto& [tensor, sizes] : want) {
    const auto found = have.find(tensor);
    EXPECT_TRUE(found != have.end()) << "the type does not expect " << tensor << " " << sizes;
    if (found != have.end()) {
      EXPECT_EQ(found->second, sizes) << tensor;
    }
  }
  for (const auto& [tensor, sizes] : have)
    EXPECT_TRUE(want.contains(tensor)) << "the reference has no " << tensor << " " << sizes;
}

// The two lines of a tensor: what the schema says of its extents, and the type of the member that holds it.

template <int N>
std::string extents_of(const vector<N>&) {
  return std::to_string(N);
}
template <int Out, int In>
std::string extents_of(const matrix<Out, In>&) {
  return std::to_string(Out) + "x" + std::to_string(In);
}
template <int Out, int In, std::size_t N>
std::string extents_of(const std::array<matrix<Out, In>, N>&) {
  return std::to_string(N) + "x" + std::to_string(Out) + "x" + std::to_string(In);
}

template <class V>
void members_are_as_the_schema_says() {
  weights<V> w;
  each_weight(w, [](const tensor_entry& t, auto& member) {
    using type = std::remove_cvref_t<decltype(member)>;
    if constexpr (std::is_same_v<type, absent>) {
      EXPECT_EQ(t.needed, need::skippable) << t.what.safetensors;
    } else if constexpr (std::is_same_v<type, std::vector<std::int32_t>>) {
      EXPECT_EQ(t.as, role::integers) << t.what.safetensors;
    } else {
      EXPECT_EQ(extents_of(member), text_of(t, 0)) << t.what.safetensors;
    }
  });
}

TEST(weights, have_members_as_the_schema_says) {
  []<class... V>(one_of<V...>) { (members_are_as_the_schema_says<V>(), ...); }(all_variants{});
  []<class... V>(one_of<V...>) { (members_are_as_the_schema_says<V>(), ...); }(all_drafters{});
  []<class... V>(one_of<V...>) { (members_are_as_the_schema_says<V>(), ...); }(all_embedders{});
}

TEST(tensors, of_gemma_3) {
  agrees<gemma3_270m>("gemma3_270m");
  agrees<gemma3_1b>("gemma3_1b");
  agrees<gemma3_4b::text>("gemma3_4b");
}
TEST(tensors, of_gemma_3n) {
  agrees<gemma3n_e2b::text>("gemma3n_e2b");
  agrees<gemma3n_e4b::text>("gemma3n_e4b");
}
/// Names and shapes of a picture tower, as its type expects them in a released checkpoint.
template <class M>
shapes expected_eyes() {
  shapes out;
  tower_weights<typename M::seeing::tower, M::text::width> w;
  w.each([&](const stage_names& names, auto& stage) {
    stage.each([&](const stage_tensor& t, auto&) {
      std::string sizes;
      for (int i = 0; i < t.rank; ++i)
        sizes += (i > 0 ? "x" : "") + std::to_string(t.extents[static_cast<std::size_t>(i)]);
      out[std::string(names.safetensors) + t.safetensors] = sizes;
    });
  });
  return out;
}
TEST(tensors, of_the_eyes_of_gemma_3n) {
  // One list for both: those of E2B and of E4B are equal.
  const shapes want = listed("gemma3n_eyes");
  EXPECT_EQ(want.size(), 552u);
  EXPECT_EQ(expected_eyes<gemma3n_e2b>(), want);
  EXPECT_EQ(expected_eyes<gemma3n_e4b>(), want);
}
TEST(tensors, of_gemma_4) {
  agrees<gemma4_e2b::text>("gemma4_e2b");
  agrees<gemma4_e4b::text>("gemma4_e4b");
  agrees<gemma4_12b::text>("gemma4_12b");
  agrees<gemma4_26b_a4b::text>("gemma4_26b_a4b");
  agrees<gemma4_31b::text>("gemma4_31b");
}
TEST(tensors, of_the_drafters) {
  agrees<gemma4_e2b_assistant>("gemma4_e2b_assistant");
  agrees<gemma4_e4b_assistant>("gemma4_e4b_assistant");
  agrees<gemma4_26b_a4b_assistant>("gemma4_26b_a4b_assistant");
  agrees<gemma4_31b_assistant>("gemma4_31b_assistant");
}

// What follows from the policies is a constant; these were settled when the file compiled.

constexpr const layer_kind& layer(const text_spec& m, int l) { return m.layer[l]; }
constexpr int producer(const text_spec& m, int l) { return m.producer[l]; }

// Gemma 3: every sixth layer is global, and the last is not forced to be.
static_assert(layer(gemma3_270m::spec, 17).sees == reach::global);
static_assert(layer(gemma3_1b::spec, 23).sees == reach::global && layer(gemma3_1b::spec, 25).sees == reach::local);
static_assert(layer(gemma3_4b::text::spec, 33).sees == reach::local);
static_assert(layer(gemma3_27b::text::spec, 59).sees == reach::global && layer(gemma3_27b::text::spec, 61).sees == reach::local);
static_assert(layer(gemma3_4b::text::spec, 5).rope == rope_spec{1e6f, 8, 1} &&
              layer(gemma3_4b::text::spec, 4).rope == rope_spec{1e4f, 1, 1});

// Gemma 4: the last layer is global, and the sharing layers read the last of their reach that makes keys.
static_assert(layer(gemma4_e2b::text::spec, 34).sees == reach::global && layer(gemma4_e4b::text::spec, 41).sees == reach::global);
static_assert(producer(gemma4_e2b::text::spec, 15) == 13 && producer(gemma4_e2b::text::spec, 33) == 13 &&
              producer(gemma4_e2b::text::spec, 34) == 14);
static_assert(producer(gemma4_e4b::text::spec, 24) == 22 && producer(gemma4_e4b::text::spec, 41) == 23);
static_assert(producer(gemma3n_e2b::text::spec, 29) == 19 && producer(gemma3n_e4b::text::spec, 33) == 18 &&
              producer(gemma3n_e4b::text::spec, 34) == 19);
static_assert(layer(gemma4_e2b::text::spec, 14).hidden == 6144 && layer(gemma4_e2b::text::spec, 15).hidden == 12'288);
static_assert(layer(gemma4_31b::text::spec, 5).key_is_value && !layer(gemma4_31b::text::spec, 4).key_is_value);
static_assert(layer(gemma4_12b::text::spec, 5).key_value_heads == 1 &&
              layer(gemma4_12b::text::spec, 4).key_value_heads == 8);

// Drafters read the target's last owner of each reach, whether the target shares layers or not.
static_assert(gemma4_e2b_assistant::producer(0) == 13 && gemma4_e2b_assistant::producer(3) == 14);
static_assert(gemma4_e4b_assistant::producer(2) == 22 && gemma4_e4b_assistant::producer(3) == 23);
static_assert(gemma4_12b_assistant::producer(0) == 46 && gemma4_12b_assistant::producer(3) == 47);
static_assert(gemma4_26b_a4b_assistant::producer(0) == 28 && gemma4_26b_a4b_assistant::producer(3) == 29);
static_assert(gemma4_31b_assistant::producer(0) == 58 && gemma4_31b_assistant::producer(3) == 59);
static_assert(gemma4_12b_assistant::spec.target->width == 3840 && gemma4_12b_assistant::spec.is_drafter());

// Windows: W keys, itself included; an encoder's are counted to each side.
static_assert(layer(gemma4_e2b::text::spec, 0).keys == key_span{511, 0} &&
              layer(gemma4_31b::text::spec, 0).keys == key_span{1023, 0});
static_assert(layer(embeddinggemma_300m::spec, 0).keys == key_span{256, 256});
static_assert(layer(embeddinggemma_300m::spec, 5).keys == key_span{key_span::unbounded, key_span::unbounded});

// Code is made per kind of layer, and no model has many.
static_assert(gemma3_27b::text::kinds.count == 2 && gemma4_e2b::text::kinds.count == 4 && gemma4_26b_a4b::text::kinds.count == 2);
static_assert(gemma3n_e4b::text::kinds.count == 6 && gemma4_e2b_assistant::kinds.count == 2);

TEST(parameters, of_the_text_models_are_those_of_the_model_cards) {
  // In millions, the tied table once, without the towers (docs: model cards; 270M: 268.1, EmbeddingGemma without its heads: 302.9).
  const auto millions = [](const text_spec& m) { return static_cast<double>(parameters_of(m)) / 1e6; };
  EXPECT_NEAR(millions(gemma3_270m::spec), 268.1, 0.1);
  EXPECT_NEAR(millions(gemma3_1b::spec), 999.9, 0.1);
  EXPECT_NEAR(millions(gemma4_e2b_assistant::spec), 77.7, 0.5);
  EXPECT_NEAR(millions(gemma4_e4b_assistant::spec), 78.5, 0.5);
  EXPECT_NEAR(millions(gemma4_26b_a4b_assistant::spec), 420, 1);
  EXPECT_NEAR(millions(gemma4_31b_assistant::spec), 470, 1);
  EXPECT_NEAR(millions(embeddinggemma_300m::spec), 302.9, 0.1);
  EXPECT_GT(millions(gemma3_27b::text::spec), 26'000);
  EXPECT_LT(millions(gemma3_27b::text::spec), 27'100);
}

}  // namespace
}  // namespace g4
