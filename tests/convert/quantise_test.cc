// Whole checkpoints quantised: the file opens as the same model, its logits are near, and nothing half-done stays behind.
#include "g4/convert/quantise.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "bench/random_checkpoint/write.h"
#include "g4/backend/reference.h"
#include "g4/io/gguf.h"
#include "g4/io/safetensors.h"
#include "g4/model/transformer.h"
#include "g4/open/open.h"
#include "tests/io/files.h"
#include "tests/support/small_mixed.h"

namespace g4 {
namespace {

using test::small_mixed;
using test::temporary_folder;
using test::why;

// Rows of 256, 128 and 64 numbers: blocks of 256, and what they fall back to.
struct small_gemma3
    : transformer<shape{.layers = 7, .width = 256, .vocab = 320}, embed::tied_scaled, norm::sandwich<one_plus_weight>,
                  attention<heads{.query = 4, .key_value = 2}, qk_norm, scaled_by_root_of{32}>,
                  repeat<times<5, local<head{32}, window{8}, rope{.theta = 1e4f}>>,
                         times<1, global<head{32}, rope{.theta = 1e6f, .factor = 8}>>>,
                  feed::gated<gelu_tanh, hidden{256}>, logits::uncapped> {};

struct small_3n
    : transformer<shape{.layers = 10, .width = 64, .vocab = 320}, embed::tied_scaled, norm::sandwich<plain_weight>,
                  attention<heads{.query = 4, .key_value = 2}, qk_norm, v_norm, unscaled>,
                  repeat<times<4, local<head{32}, window{8}, rope{.theta = 1e4f}>>,
                         times<1, global<head{32}, rope{.theta = 1e6f}>>>,
                  share_kv<last{5}>, feed::gated<gelu_tanh, hidden{96}, sparse{0.95f, 2}>,
                  per_layer_embedding{.width = 32, .vocab = 320}, altup{4}, laurel{32}, logits::soft_cap{30}> {};

/// A checkpoint of V in a folder of its own: config.json, model.safetensors (BF16), tokenizer.json.
template <class V>
std::string folder_of(temporary_folder& in) {
  const std::string path = in.folder("model");
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json"})
    in.track(std::string("model/") + name);
  const auto written = bench::write_random_safetensors(path, V::spec);
  EXPECT_TRUE(written) << why(written);
  return path;
}

result<quantised> quantise_to(const char* type, const std::string& from, const std::string& to,
                              quantise_options options = {}) {
  const auto opened = open_checkpoint(from);
  if (!opened) return unexpected(opened.error());
  return quantise_checkpoint(*opened, *load::file_type_called(type), to, options);
}

template <class V>
std::vector<float> logits_of(const std::string& path) {
  backend::reference<float> on;
  auto model = open<V>(path, on);
  EXPECT_TRUE(model) << model.error().message;
  if (!model) return {};
  auto session = model->session({.context = 16});
  const std::vector<token_id> ids{2, 270, 11, 310, 45, 8, 99, 123, 7, 300};
  const auto logits = session->run(ids);
  EXPECT_TRUE(logits) << logits.error().message;
  return {logits->begin(), logits->end()};
}

/// Root of Σ(b − a)² / Σa².
double distance(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double off = 0;
  double all = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double d = static_cast<double>(b[i]) - static_cast<double>(a[i]);
    off += d * d;
    all += static_cast<double>(a[i]) * static_cast<double>(a[i]);
  }
  return std::sqrt(off / all);
}

// Limits hold random weights, which have nothing to spare; trained ones come off better.
const struct {
  const char* type;
  double limit;
} wanted[] = {{"BF16", 1e-6}, {"Q8_0", 0.05}, {"Q6_K", 0.15}, {"Q4_K", 0.5}, {"Q4_0", 0.6}};

/// slack   on those limits, for models in which a small difference can choose another expert, or cut another activation
template <class V>
void expect_near(std::initializer_list<std::string_view> types, double slack = 1) {
  temporary_folder folder;
  const std::string from = folder_of<V>(folder);
  const std::string to = folder.track("out.gguf");
  const std::vector<float> before = logits_of<V>(from);
  double last = 0;
  for (const auto& [type, limit] : wanted) {
    if (std::find(types.begin(), types.end(), type) == types.end()) continue;
    SCOPED_TRACE(type);
    const auto done = quantise_to(type, from, to);
    ASSERT_TRUE(done) << why(done);
    const double off = distance(before, logits_of<V>(to));
    EXPECT_LT(off, slack * limit);
    EXPECT_GE(off, last * 0.5);  // fewer bits, more error
    last = off;
    const auto file = io::open_gguf(to);
    ASSERT_TRUE(file);
    EXPECT_EQ(*file->metadata.u64("general.file_type"), load::file_type_called(type)->id);
    for (const quantised_tensor& t : done->tensors) {
      const io::stored_tensor* found = file->tensors.find(t.name);
      ASSERT_NE(found, nullptr) << t.name;
      EXPECT_EQ(found->type.weights, t.to) << t.name;
      EXPECT_EQ(found->bytes.size(), t.bytes_after) << t.name;
      EXPECT_LT(t.squared_error, 0.02 * t.squares) << t.name;
    }
  }
}

TEST(quantise_checkpoint, folder_of_gemma3_in_every_type) {
  expect_near<small_gemma3>({"BF16", "Q8_0", "Q6_K", "Q4_K", "Q4_0"});
}
TEST(quantise_checkpoint, folder_of_gemma4) { expect_near<small_mixed>({"Q8_0", "Q4_K"}, 1.6); }
TEST(quantise_checkpoint, folder_of_gemma3n) { expect_near<small_3n>({"BF16", "Q8_0", "Q4_0"}, 1.6); }

TEST(quantise_checkpoint, each_tensor_in_the_storage_of_its_kind) {
  temporary_folder folder;
  const std::string to = folder.track("out.gguf");
  ASSERT_TRUE(quantise_to("Q4_K", folder_of<small_mixed>(folder), to));
  const auto file = io::open_gguf(to);
  ASSERT_TRUE(file) << why(file);
  const auto stored = [&](const char* name) {
    const auto* t = file->tensors.find(name);
    return t == nullptr ? std::string("missing") : std::string(t->type.name);
  };
  EXPECT_EQ(stored("token_embd.weight"), "Q6_K");
  EXPECT_EQ(stored("per_layer_token_embd.weight"), "Q6_K");
  EXPECT_EQ(stored("per_layer_model_proj.weight"), "BF16");
  EXPECT_EQ(stored("blk.2.attn_q.weight"), "Q4_K");
  EXPECT_EQ(stored("blk.1.attn_v.weight"), "Q4_K");
  EXPECT_EQ(stored("blk.0.attn_v.weight"), "Q6_K");         // the first eighth of the layers has more bits
  EXPECT_EQ(stored("blk.2.ffn_down_exps.weight"), "Q5_0");  // rows of 96
  EXPECT_EQ(stored("blk.3.ffn_down_exps.weight"), "Q8_0");
  EXPECT_EQ(stored("blk.0.ffn_gate_inp.weight"), "F32");
  EXPECT_EQ(stored("blk.0.attn_norm.weight"), "F32");
  EXPECT_EQ(stored("blk.0.layer_output_scale.weight"), "F32");
  EXPECT_EQ(stored("rope_freqs.weight"), "F32");
}

TEST(quantise_checkpoint, keys_of_a_gguf_carried_over) {
  temporary_folder folder;
  const std::string from = folder.track("in.gguf");
  const std::string to = folder.track("out.gguf");
  ASSERT_TRUE(bench::write_random_gguf(from, small_mixed::spec, *load::file_type_called("BF16")));
  const auto done = quantise_to("Q8_0", from, to);
  ASSERT_TRUE(done) << why(done);
  const auto before = io::open_gguf(from);
  const auto after = io::open_gguf(to);
  ASSERT_TRUE(before && after);
  EXPECT_EQ(after->metadata.values().size(), before->metadata.values().size());
  for (const io::gguf_value& value : before->metadata.values()) {
    const io::gguf_value* found = after->metadata.find(value.key);
    ASSERT_NE(found, nullptr) << value.key;
    if (value.key == "general.file_type") continue;
    EXPECT_TRUE(std::equal(value.bytes.begin(), value.bytes.end(), found->bytes.begin(), found->bytes.end()))
        << value.key;
  }
  EXPECT_EQ(*after->metadata.u64("general.file_type"), 7u);
  EXPECT_EQ(after->tensors.tensors().size(), before->tensors.tensors().size());
  EXPECT_NE(after->tensors.find("rope_freqs.weight"), nullptr);
  EXPECT_LT(distance(logits_of<small_mixed>(from), logits_of<small_mixed>(to)), 0.05);
  EXPECT_REFUSED(quantise_to("Q4_0", to, folder.path("again.gguf")), to, "stored as Q8_0, which is quantised already");
  EXPECT_EQ(io::kind_of(folder.path("again.gguf")), io::path_kind::nothing);
}

std::string bytes_of(const std::string& path) {
  const auto file = io::map_file(path);
  return file ? std::string(io::text_of((*file)->bytes())) : std::string();
}

TEST(quantise_checkpoint, the_same_file_with_any_number_of_threads) {
  temporary_folder folder;
  const std::string from = folder_of<small_gemma3>(folder);
  const std::string one = folder.track("one.gguf");
  const std::string three = folder.track("three.gguf");
  thread_pool threads(3);
  const auto alone = quantise_to("Q4_K", from, one);
  const auto together = quantise_to("Q4_K", from, three, {.threads = &threads});
  ASSERT_TRUE(alone && together);
  EXPECT_TRUE(bytes_of(one) == bytes_of(three));
  for (std::size_t i = 0; i < alone->tensors.size(); ++i) {
    EXPECT_EQ(alone->tensors[i].squared_error, together->tensors[i].squared_error);
  }
}

TEST(quantise_checkpoint, progress_to_the_last_byte) {
  temporary_folder folder;
  struct seen {
    std::size_t done = 0;
    std::size_t total = 0;
  } last;
  const auto tell = [](void* self, std::size_t done, std::size_t total) {
    EXPECT_GE(done, static_cast<seen*>(self)->done);
    *static_cast<seen*>(self) = {done, total};
  };
  ASSERT_TRUE(
      quantise_to("Q8_0", folder_of<small_gemma3>(folder), folder.track("out.gguf"), {.progress = {&last, tell}}));
  EXPECT_EQ(last.done, last.total);
  EXPECT_GT(last.total, 1'000'000u);
}

/// Writes over one number of a tensor in a safetensors file.
void spoil(const std::string& folder, const char* tensor, std::size_t element, std::uint16_t bits) {
  const std::string path = folder + "/model.safetensors";
  std::size_t offset = 0;
  {
    const auto file = io::open_safetensors(path);
    ASSERT_TRUE(file);
    const auto* t = file->find(tensor);
    ASSERT_NE(t, nullptr);
    offset = static_cast<std::size_t>(t->bytes.data() - file->files()[0]->bytes().data()) + 2 * element;
  }
  std::fstream out(path, std::ios::in | std::ios::out | std::ios::binary);
  out.seekp(static_cast<std::streamoff>(offset));
  out.write(reinterpret_cast<const char*>(&bits), 2);
}

TEST(quantise_checkpoint, numbers_that_cannot_be_kept_refused_and_nothing_left) {
  temporary_folder folder;
  const std::string from = folder_of<small_gemma3>(folder);
  const std::string to = folder.path("out.gguf");
  constexpr const char* up = "model.layers.3.mlp.up_proj.weight";
  spoil(from, up, 256 * 5 + 7, bf16_from_float(1e30f));
  EXPECT_REFUSED(quantise_to("Q4_0", from, to), from + "/model.safetensors",
                 std::string(up) + " holds a number in row 5 that is too large for Q4_0");
  spoil(from, up, 256 * 5 + 7, 0x7fc0);
  EXPECT_REFUSED(quantise_to("Q4_K", from, to), from + "/model.safetensors",
                 std::string(up) + " holds a number that is not finite at row 5, column 7");
  EXPECT_EQ(io::kind_of(to), io::path_kind::nothing);
  std::size_t unfinished = 0;
  for (int i = 0; i < 4; ++i) {
    const std::string partial = to + ".partial-" + std::to_string(::getpid()) + "-" + std::to_string(i);
    if (io::kind_of(partial) != io::path_kind::nothing) ++unfinished;
  }
  EXPECT_EQ(unfinished, 0u);
}

TEST(quantise_checkpoint, an_old_file_kept_when_given_up) {
  temporary_folder folder;
  const std::string from = folder_of<small_gemma3>(folder);
  const std::string to = folder.write("out.gguf", "old");
  EXPECT_REFUSED(quantise_to("Q8_0", from, to, {.cancelled = [] { return true; }}), to, "was given up");
  EXPECT_EQ(bytes_of(to), "old");
}

TEST(quantise_checkpoint, writing_over_the_input_refused) {
  temporary_folder folder;
  const std::string from = folder.track("in.gguf");
  ASSERT_TRUE(bench::write_random_gguf(from, small_gemma3::spec, *load::file_type_called("BF16")));
  EXPECT_REFUSED(quantise_to("Q8_0", from, from), from, "is the file to be read");
  EXPECT_REFUSED(quantise_to("Q8_0", from, folder.path() + "/./in.gguf"), folder.path() + "/./in.gguf",
                 "is the file to be read");
  EXPECT_TRUE(io::open_gguf(from));
}

// A query scale that no key of a GGUF states.
struct odd_scale
    : transformer<shape{.layers = 6, .width = 64, .vocab = 320}, embed::tied_scaled, norm::sandwich<one_plus_weight>,
                  attention<heads{.query = 2, .key_value = 1}, qk_norm, scaled_by_root_of{48}>,
                  repeat<times<5, local<head{32}, window{8}, rope{.theta = 1e4f}>>,
                         times<1, global<head{32}, rope{.theta = 1e6f}>>>,
                  feed::gated<gelu_tanh, hidden{64}>, logits::uncapped> {};

TEST(quantise_checkpoint, a_model_that_a_header_cannot_tell_refused) {
  temporary_folder folder;
  const std::string to = folder.path("out.gguf");
  EXPECT_REFUSED(quantise_to("Q8_0", folder_of<odd_scale>(folder), to), to,
                 "a GGUF header cannot say what this model is: query scale");
}

TEST(quantise_checkpoint, a_folder_without_a_vocabulary_refused) {
  temporary_folder folder;
  const std::string from = folder_of<small_gemma3>(folder);
  std::remove((from + "/tokenizer.json").c_str());
  EXPECT_REFUSED(quantise_to("Q8_0", from, folder.path("out.gguf")), from + "/tokenizer.json", "there is no such file");
}

}  // namespace
}  // namespace g4
