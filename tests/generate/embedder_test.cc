// What an embedder gives is finite or refused.
#include "g4/generate/embedder.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "g4/backend/cpu.h"
#include "g4/backend/joined.h"
#include "g4/backend/reference.h"
#include "g4/generate/embedder_on_ranks.h"
#include "g4/model/transformer.h"
#include "g4/policy/pooling.h"
#include "tests/support/on_ranks.h"

namespace g4 {
namespace {

/// conformance/cases/embeddinggemma.
struct small_embedder
    : transformer<shape{.layers = 6, .width = 36, .vocab = 192}, embed::tied_scaled, norm::sandwich<one_plus_weight>,
                  attention<heads{.query = 3, .key_value = 1}, qk_norm, scaled_by_root_of{16}>,
                  repeat<times<5, local<head{16}, each_side{5}, rope{.theta = 1e4f}>>,
                         times<1, global<head{16}, rope{.theta = 1e6f}>>>,
                  feed::gated<gelu_tanh, hidden{56}>, mask::bidirectional, logits::uncapped,
                  pooled_embedding{.hidden = 72, .out = 32}> {};

/// The same with other heads, and with none.
struct wider_embedder : small_embedder {
  static constexpr text_spec spec = [] {
    text_spec m = small_embedder::spec;
    m.pooled = pooled_spec{80, 32};
    return m;
  }();
};
struct bare_embedder : small_embedder {
  static constexpr text_spec spec = [] {
    text_spec m = small_embedder::spec;
    m.pooled = {};
    return m;
  }();
};

template <class V>
std::string why_not(const std::string& folder) {
  backend::reference<float> on;
  const auto made = embedder<V, backend::reference<float>>::open(folder, on, 16);
  return made ? "it opened" : made.error().message;
}

TEST(embedder, has_the_heads_of_its_type) {
  namespace fs = std::filesystem;
  const std::string whole = std::string(G4_SOURCE_DIR) + "/conformance/cases/embeddinggemma";
  EXPECT_EQ(why_not<small_embedder>(whole), "it opened");
  EXPECT_EQ(why_not<wider_embedder>(whole),
            whole + "/2_Dense/model.safetensors: dense.0.weight is [72, 36]; the model needs [80, 36]");
  EXPECT_EQ(why_not<bare_embedder>(whole), whole +
                                               ": has dense heads behind the mean of its rows; bare_embedder has none: "
                                               "add pooled_embedding{.hidden, .out}");
  const fs::path folder = fs::temp_directory_path() / ("g4_embedder_heads_" + std::to_string(getpid()));
  fs::copy(whole, folder, fs::copy_options::recursive);
  fs::remove(folder / "modules.json");
  const std::string without = why_not<small_embedder>(folder.string());
  const std::string bare = why_not<bare_embedder>(folder.string());
  fs::remove_all(folder);
  EXPECT_EQ(without, folder.string() + "/modules.json: the tensor dense.0.weight [72, 36] is missing");
  EXPECT_EQ(bare, "it opened");
}

TEST(embedder, reads_nothing_again_of_a_checkpoint_that_is_open) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / ("g4_embedder_open_" + std::to_string(getpid()));
  fs::copy(fs::path(G4_SOURCE_DIR) / "conformance/cases/embeddinggemma", folder, fs::copy_options::recursive);
  const auto from = open_checkpoint(folder.string());
  fs::remove(folder / "config.json");
  backend::reference<float> on;
  using opens = embedder<small_embedder, backend::reference<float>>;
  const bool again = opens::open(folder.string(), on, 16).has_value();
  const auto made = from ? opens::open(*from, on, 16) : result<opens>(unexpected(from.error()));
  fs::remove_all(folder);
  EXPECT_FALSE(again);
  EXPECT_TRUE(made) << made.error().message;
}

TEST(embedder, widths_are_read_from_the_modules) {
  const auto modules = load::open_dense_modules(std::string(G4_SOURCE_DIR) + "/conformance/cases/embeddinggemma");
  ASSERT_TRUE(modules) << modules.error().message;
  const auto pooled = load::pooled_of(*modules, 36);
  ASSERT_TRUE(pooled) << pooled.error().message;
  EXPECT_EQ(*pooled, small_embedder::spec.pooled);
  const auto other = load::pooled_of(*modules, 40);
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message.find("is [72, 36]; expected rows of 40"), std::string::npos) << other.error().message;
}

TEST(embedder, refuses_a_vector_that_is_not_finite) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / ("g4_embedder_test_" + std::to_string(getpid()));
  fs::copy(fs::path(G4_SOURCE_DIR) / "conformance/cases/embeddinggemma", folder, fs::copy_options::recursive);
  const auto embedded = [&]() -> result<text_embedding<float>> {
    backend::reference<float> on;
    auto made = embedder<small_embedder, backend::reference<float>>::open(folder.string(), on, 16,
                                                                          {.checks = {.contents = false}});
    if (!made) return unexpected(made.error());
    const token_id ids[] = {2, 17, 33, 1};
    return made->embed(ids);
  };
  const auto fine = embedded();
  EXPECT_TRUE(fine) << fine.error().message;
  {
    // The last of its numbers becomes a NaN (BF16 or F32: all ones is one).
    std::fstream file(folder / "3_Dense/model.safetensors", std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(-4, std::ios::end);
    file.write("\xff\xff\xff\xff", 4);
  }
  const auto broken = embedded();
  fs::remove_all(folder);
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().message,
            "embedder: the embedding holds a NaN or an infinity; the weights are damaged, or the model overflowed");
}

std::vector<token_id> some_text(std::size_t length, token_id seed) {
  std::vector<token_id> ids(length);
  for (std::size_t t = 0; t < length; ++t) ids[t] = static_cast<token_id>((seed * 37 + static_cast<token_id>(t) * 11) % 192);
  return ids;
}

/// Texts of all lengths, so that they begin anywhere in a pass and end on both sides of a window; more of them than a pass
/// takes, and more tokens.
template <class B>
void vectors_are_those_of_texts_alone(B& on, float within) {
  auto made = embedder<small_embedder, B>::open(std::string(G4_SOURCE_DIR) + "/conformance/cases/embeddinggemma", on, 60);
  ASSERT_TRUE(made) << made.error().message;
  std::vector<std::vector<token_id>> ids;
  for (std::size_t i = 0; i < 45; ++i) ids.push_back(some_text(i < 40 ? 1 + i % 3 : 5 + 11 * (i - 40), static_cast<token_id>(i)));
  const auto all = made->embed_each(std::vector<std::span<const token_id>>(ids.begin(), ids.end()));
  ASSERT_TRUE(all) << all.error().message;
  ASSERT_EQ(all->size(), ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto alone = made->embed(ids[i]);
    ASSERT_TRUE(alone) << alone.error().message;
    for (std::size_t n = 0; n < alone->unit.size(); ++n) {
      EXPECT_NEAR((*all)[i].unit[n], alone->unit[n], within) << "text " << i << ", number " << n;
    }
    ASSERT_EQ((*all)[i].dense.size(), 2u);
    EXPECT_EQ((*all)[i].pooled.size(), 36u);
  }
}

TEST(embedder, texts_that_share_a_pass_have_the_vectors_that_they_have_alone) {
  backend::reference<float> definitions;
  vectors_are_those_of_texts_alone(definitions, 0);
  backend::cpu exact({.mode = backend::numeric::exact});
  vectors_are_those_of_texts_alone(exact, 0);
  backend::cpu fast({.mode = backend::numeric::fast});
  vectors_are_those_of_texts_alone(fast, 2e-3f);  // 16 rows and more of plain floats are rounded otherwise than few
}

TEST(embedder, of_many_texts_all_are_embedded_or_none) {
  backend::reference<float> on;
  auto made = embedder<small_embedder, backend::reference<float>>::open(
      std::string(G4_SOURCE_DIR) + "/conformance/cases/embeddinggemma", on, 16);
  ASSERT_TRUE(made) << made.error().message;
  std::vector<std::vector<token_id>> ids(9, {2, 17, 33, 1});
  const auto each = [&] { return made->embed_each(std::vector<std::span<const token_id>>(ids.begin(), ids.end())); };
  ids[6] = some_text(17, 1);
  EXPECT_EQ(each().error().message, "text 7 of 9: encoder: the text has 17 tokens; there is room for 16");
  ids[6] = {2, 192, 1};
  EXPECT_EQ(each().error().message, "text 7 of 9: session: token id 192 is outside the vocabulary of 192");
  ids[6].clear();
  EXPECT_EQ(each().error().message, "text 7 of 9: encoder: there is nothing to run");
  ids[6] = {2, 1};
  EXPECT_TRUE(each());
  ids.clear();
  EXPECT_TRUE(each()->empty());
}

TEST(embedder, on_three_ranks_gives_the_bits_of_one_process) {
  const std::string folder = std::string(G4_SOURCE_DIR) + "/conformance/cases/embeddinggemma";
  using shared = sharded<small_embedder, tensor_parallel<3>>;
  using joined = backend::joined<backend::cpu, comm::thread_rank>;
  const std::vector<token_id> one{2, 71, 5, 90, 1}, other{2, 8, 8, 120, 33, 17, 64, 1}, wrong{2, 192}, none;
  const std::vector<std::span<const token_id>> both{one, other, one}, with_wrong{one, wrong};
  const auto morning = [&](auto& vectors) {
    std::vector<std::vector<float>> all;
    const auto keep = [&](const text_embedding<float>& of) {
      all.push_back(of.pooled);
      for (const auto& d : of.dense) all.push_back(d);
      all.push_back(of.unit);
    };
    const auto alone = vectors.embed(one);
    EXPECT_TRUE(alone) << (alone ? "" : alone.error().message);
    if (alone) keep(*alone);
    EXPECT_FALSE(vectors.embed(none));
    EXPECT_FALSE(vectors.embed(wrong));
    const auto refused = vectors.embed_each(with_wrong);
    EXPECT_FALSE(refused);
    if (!refused) {
      EXPECT_EQ(refused.error().message, "text 2 of 2: session: token id 192 is outside the vocabulary of 192");
    }
    const auto several = vectors.embed_each(both);
    EXPECT_TRUE(several) << (several ? "" : several.error().message);
    if (several) {
      for (const auto& of : *several) keep(of);
    }
    return all;
  };
  backend::cpu plain({.mode = backend::numeric::exact});
  auto in_one_piece = embedder<small_embedder, backend::cpu>::open(folder, plain, 16);
  ASSERT_TRUE(in_one_piece) << in_one_piece.error().message;
  const auto expected = morning(*in_one_piece);
  ASSERT_EQ(expected.size(), 16u);
  test::on_ranks(3, [&](comm::thread_rank& rank) {
    joined on(rank, {.mode = backend::numeric::exact});
    const auto lost = open_embedder<shared>(rank.rank() == 1 ? "/nowhere" : folder, on, 16);
    ASSERT_FALSE(lost);
    EXPECT_NE(lost.error().message.find("/nowhere"), std::string::npos) << lost.error().message;
    auto vectors = open_embedder<shared>(folder, on, 16);
    ASSERT_TRUE(vectors) << vectors.error().message;
    if (!on.leads()) {
      EXPECT_FALSE(vectors->embed(one));
      const auto followed = vectors->follow();
      EXPECT_TRUE(followed) << followed.error().message;
      return;
    }
    EXPECT_FALSE(vectors->follow());
    EXPECT_EQ(vectors->numbers(), 32u);
    EXPECT_EQ(morning(*vectors), expected);
  });
}

}  // namespace
}  // namespace g4
