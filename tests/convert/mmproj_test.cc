// Towers written as mmproj files: every tensor is what such a file holds, and the loader gives the same rows.
#include "g4/convert/mmproj.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "g4/backend/reference.h"
#include "g4/io/gguf.h"
#include "g4/io/safetensors.h"
#include "g4/io/safetensors_writer.h"
#include "g4/load/tower.h"
#include "g4/model/tower/run.h"
#include "g4/ops/attend_near.h"
#include "g4/ops/dequantise.h"
#include "g4/ops/quantise.h"
#include "g4/variants/all.h"
#include "tests/io/files.h"
#include "tests/support/random_tower.h"
#include "tests/support/small_towers.h"

namespace g4 {
namespace {

using test::temporary_folder;
using test::why;

// One tower of each kind that is released.
using any_shape = test::any_aspect_eyes;
using a_square = test::square_eyes;
using straight = test::straight_eyes;
using convolved = test::convolved_eyes;
using heard = test::conformer_ears;
using heard_before = test::cumulative_ears;
using framed = test::framed_ears;

constexpr int text_width = 6;

/// The towers of a safetensors file, as a checkpoint has them.
checkpoint checkpoint_of(const std::string& folder) {
  checkpoint from;
  from.path = folder;
  from.format = load::format::safetensors;
  auto tensors = io::open_safetensors(folder + "/model.safetensors");
  EXPECT_TRUE(tensors) << why(tensors);
  if (tensors) from.tensors = std::move(*tensors);
  return from;
}

template <class T>
test::random_tower<T, text_width> random_numbers() {
  test::random_tower<T, text_width> made(7);
  for (auto& [name, tensor] : made.tensors) {
    if (!name.ends_with("per_dim_scale")) continue;
    for (float& x : tensor.turned) x = ops::softplus(x);  // such files hold it taken already
  }
  return made;
}

void write_folder(const std::string& folder, std::vector<io::tensor_file> files, storage stored) {
  std::vector<io::tensor_plan> plan;
  for (const auto& file : files) {
    for (const auto& t : file.tensors()) plan.push_back({t.name, io::element_of(stored), t.dims});
  }
  auto out = io::write_safetensors(folder + "/model.safetensors", plan);
  ASSERT_TRUE(out) << why(out);
  for (const auto& file : files) {
    for (const auto& t : file.tensors()) {
      const std::size_t n = t.dims.elements();
      std::vector<std::byte> bytes(row_bytes(stored, n));
      ASSERT_TRUE(quantise(stored, reinterpret_cast<const float*>(t.bytes.data()), n, bytes.data()));
      ASSERT_TRUE(out->write(t.name, bytes));
    }
  }
  ASSERT_TRUE(out->finish());
}

std::vector<float> numbers_of(const io::stored_tensor& t) {
  std::vector<float> x(t.dims.elements());
  dequantise(*t.type.weights, t.bytes.data(), x.size(), x.data());
  return x;
}

/// Every tensor of the file is the one that `random_tower` says such a file holds, in the storage it should have.
template <class T>
void expect_what_such_files_hold() {
  temporary_folder in;
  in.track("model.safetensors");
  const auto random = random_numbers<T>();
  write_folder(in.path(), {random.file()}, storage::f32);
  const tower_tensors towers = tensors_of_tower<T, text_width>();
  const std::string path = in.track("mmproj.gguf");
  const auto done = write_mmproj(checkpoint_of(in.path()), {&towers, 1}, path);
  ASSERT_TRUE(done) << why(done);
  const auto written = io::open_gguf(path);
  ASSERT_TRUE(written) << why(written);
  const auto expected = random.file(load::format::gguf);
  ASSERT_EQ(written->tensors.tensors().size(), expected.tensors().size());
  EXPECT_EQ(done->tensors, expected.tensors().size());
  EXPECT_EQ(done->squared_error, 0);
  for (const io::stored_tensor& t : expected.tensors()) {
    const io::stored_tensor* const found = written->tensors.find(t.name);
    ASSERT_NE(found, nullptr) << t.name;
    EXPECT_EQ(numbers_of(*found), numbers_of(t)) << t.name;
    EXPECT_LE(found->dims.rank(), 4u);
  }
}

TEST(mmproj, pictures_of_any_shape_hold_what_such_files_hold) { expect_what_such_files_hold<any_shape>(); }
TEST(mmproj, square_pictures_hold_what_such_files_hold) { expect_what_such_files_hold<a_square>(); }
TEST(mmproj, patches_without_a_tower_hold_what_such_files_hold) { expect_what_such_files_hold<straight>(); }
TEST(mmproj, convolved_pictures_hold_what_such_files_hold) { expect_what_such_files_hold<convolved>(); }
TEST(mmproj, sounds_hold_what_such_files_hold) { expect_what_such_files_hold<heard>(); }
TEST(mmproj, sounds_of_gemma3n_hold_what_such_files_hold) { expect_what_such_files_hold<heard_before>(); }
TEST(mmproj, frames_hold_what_such_files_hold) { expect_what_such_files_hold<framed>(); }

template <class T>
std::vector<float> rows_of(const io::tensor_file& file, load::format f) {
  backend::reference<float> on;
  const auto w = load::make_tower<T, text_width>(file, f, on);
  EXPECT_TRUE(w) << why(w);
  if (!w) return {};
  tower_input in;
  std::vector<float> x;
  std::vector<place> places;
  if constexpr (T::of_pictures) {
    const bool square = T::spec.template find<stage::square>().has_value();
    const int side = T::spec.template find<stage::patches>()->side;
    const int rows = square ? T::spec.template find<stage::square>()->side / side : 4;
    const int columns = square ? rows : 6;
    // A picture whose numbers are those of their pixel and colour, cut as the weights want it.
    const int numbers = 3 * side * side, pixels = side * side;
    x.resize(static_cast<std::size_t>(rows * columns * numbers));
    for (int p = 0; p < rows * columns; ++p) {
      for (int i = 0; i < numbers; ++i) {
        const int colour = i % 3, pixel = i / 3;
        const int at = (*w)->colours_apart ? colour * pixels + pixel : i;
        x[static_cast<std::size_t>(p * numbers + at)] = static_cast<float>((p * numbers + i) * 37 % 101) / 101;
      }
      places.push_back({p % columns, p / columns});
    }
    in = {x, places};
  } else {
    x.resize(24 * static_cast<std::size_t>(T::input_width));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 37 % 101) / 101;
    in = {x, {}};
  }
  const auto rows = run_tower(on, **w, in);
  EXPECT_TRUE(rows) << why(rows);
  if (!rows) return {};
  return {rows->view().data, rows->view().data + rows->count() * text_width};
}

/// What a tower stored in BF16 makes of a picture or a sound, from the folder and from the file written of it.
///
/// to   what its matrices are stored as; nothing: as they are
template <class T>
void expect_the_same_rows(std::optional<storage> to, float most_off) {
  temporary_folder in;
  in.track("model.safetensors");
  write_folder(in.path(), {random_numbers<T>().file()}, storage::bf16);
  const checkpoint from = checkpoint_of(in.path());
  const tower_tensors towers = tensors_of_tower<T, text_width>();
  const std::string path = in.track("mmproj.gguf");
  const auto done = write_mmproj(from, {&towers, 1}, path, {.matrices = to});
  ASSERT_TRUE(done) << why(done);
  const auto written = io::open_gguf(path);
  ASSERT_TRUE(written) << why(written);
  const auto before = rows_of<T>(from.tensors, load::format::safetensors);
  const auto after = rows_of<T>(written->tensors, load::format::gguf);
  ASSERT_FALSE(before.empty());
  ASSERT_EQ(before.size(), after.size());
  float off = 0;
  for (std::size_t i = 0; i < before.size(); ++i) off = std::max(off, std::abs(before[i] - after[i]));
  EXPECT_LE(off, most_off);
  if (to != storage::f16) {
    EXPECT_EQ(done->squared_error, 0);
  }
}

// Where a patch's numbers lie colour by colour, its products are summed in another order; elsewhere nothing differs.
TEST(mmproj, the_same_rows_to_the_bit) {
  for (const auto to : {std::optional<storage>(), std::optional(storage::bf16), std::optional(storage::f32)}) {
    expect_the_same_rows<a_square>(to, 0);
    expect_the_same_rows<convolved>(to, 0);
    expect_the_same_rows<heard>(to, 0);
    expect_the_same_rows<heard_before>(to, 0);
    expect_the_same_rows<framed>(to, 0);
    expect_the_same_rows<any_shape>(to, 2e-6f);
    expect_the_same_rows<straight>(to, 2e-6f);
  }
}
// A BF16 number between 2⁻¹⁴ and 65504 is a half as well.
TEST(mmproj, the_same_rows_from_halves) {
  expect_the_same_rows<a_square>(storage::f16, 1e-5f);
  expect_the_same_rows<convolved>(storage::f16, 1e-5f);
  expect_the_same_rows<any_shape>(storage::f16, 1e-5f);
}

TEST(mmproj, keys_say_what_it_is) {
  temporary_folder in;
  in.track("model.safetensors");
  const auto eyes = random_numbers<a_square>();
  const auto ears = random_numbers<heard>();
  write_folder(in.path(), {eyes.file(), ears.file()}, storage::bf16);
  const tower_tensors towers[] = {tensors_of_tower<a_square, text_width>(), tensors_of_tower<heard, text_width>()};
  const checkpoint from = checkpoint_of(in.path());
  EXPECT_TRUE(holds_towers(from, towers));
  const std::string path = in.track("mmproj.gguf");
  ASSERT_TRUE(write_mmproj(from, towers, path, {.matrices = storage::f16}));
  const auto written = io::open_gguf(path);
  ASSERT_TRUE(written) << why(written);
  std::string keys;
  for (const io::gguf_value& value : written->metadata.values()) keys += std::string(value.key) + " ";
  for (const char* const key :
       {"clip.has_vision_encoder ", "clip.has_audio_encoder ", "clip.vision.projector_type ",
        "clip.audio.projector_type ", "clip.vision.block_count ", "clip.vision.image_mean ", "clip.audio.num_mel_bins ",
        "clip.audio.attention.head_count ", "clip.vision.projector.scale_factor ", "general.file_type "}) {
    EXPECT_NE(keys.find(key), std::string::npos) << key;
  }
  const io::gguf_value* const first = written->metadata.find("clip.vision.projector_type");
  ASSERT_NE(first, nullptr);
  EXPECT_NE(io::text_of(first->bytes).find("gemma3"), std::string::npos);
  // A patch embedding is the convolution that it can be read as; positions and first convolutions are exact.
  EXPECT_EQ(written->tensors.find("v.patch_embd.weight")->dims, (io::extents{12, 3, 2, 2}));
  EXPECT_EQ(written->tensors.find("v.patch_embd.weight")->type.weights, storage::f16);
  EXPECT_EQ(written->tensors.find("v.position_embd.weight")->type.weights, storage::f32);
  EXPECT_EQ(written->tensors.find("a.conv1d.1.weight")->type.weights, storage::f32);
  EXPECT_EQ(written->tensors.find("a.blk.0.conv_dw.weight")->dims, (io::extents{12, 3}));
  EXPECT_EQ(written->tensors.find("a.blk.0.attn_q.input_min")->dims, (io::extents{1}));
}

TEST(mmproj, refusals_leave_no_file) {
  temporary_folder in;
  in.track("model.safetensors");
  const std::string path = in.track("mmproj.gguf");
  const tower_tensors towers = tensors_of_tower<a_square, text_width>();
  const auto refuse = [&](const checkpoint& from, const std::string& says, mmproj_options options = {}) {
    const auto done = write_mmproj(from, {&towers, 1}, path, options);
    ASSERT_FALSE(done);
    EXPECT_TRUE(test::holds(why(done), says)) << why(done);
    EXPECT_NE(::access(path.c_str(), F_OK), 0);
  };
  const auto with = [&](auto&& change) {
    auto random = random_numbers<a_square>();
    change(random.tensors);
    write_folder(in.path(), {random.file()}, storage::f32);
    return checkpoint_of(in.path());
  };
  const std::string norm = "vision_tower.encoder.layers.0.layer_norm1.weight";
  const std::string up = "vision_tower.encoder.layers.1.mlp.fc1.weight";
  refuse(with([&](auto& t) { t.erase(norm); }), norm + " [12] is missing");
  refuse(with([&](auto& t) { t[up].dims = {12, 20}; }), up + " is [12, 20]; the tower needs [20, 12]");
  refuse(with([&](auto& t) { t[up + "s"] = t[up]; }), up + "s [20, 12] is no part of this tower");
  refuse(with([&](auto& t) { t[up].numbers[5] = 1e6f; }), up + " holds a number that is too large for F16",
         {.matrices = storage::f16});
  refuse(with([](auto&) {}), "F32, F16 or BF16, and not in Q8_0", {.matrices = storage::q8_0});
  refuse(with([](auto&) {}), "was given up", {.cancelled = [] { return true; }});
  checkpoint gguf = with([](auto&) {});
  gguf.format = load::format::gguf;
  refuse(gguf, "in an mmproj file already");
  EXPECT_FALSE(holds_towers(gguf, {&towers, 1}));
  const tower_tensors other = tensors_of_tower<heard, text_width>();
  EXPECT_FALSE(holds_towers(with([](auto&) {}), {&other, 1}));
}

// Every released model's towers are listed, and what a file would be called is unique.
template <class... M>
void expect_unique_names(one_of<M...>) {
  const auto check = [](const std::vector<tower_tensors>& towers) {
    std::vector<std::string> names;
    for (const tower_tensors& t : towers) {
      for (const tower_tensor& one : t.list) names.push_back(one.gguf);
    }
    EXPECT_GT(names.size(), 5u);
    std::sort(names.begin(), names.end());
    EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
  };
  (check(tensors_of_towers<M>()), ...);
}
TEST(mmproj, names_are_unique_in_both_towers_of_a_file) {
  expect_unique_names(one_of<gemma3_4b, gemma3n_e2b, gemma4_e2b, gemma4_12b, gemma4_26b_a4b>{});
}

}  // namespace
}  // namespace g4
