// Pictures as a tower takes them: resized, cut into patches with their places, or into pieces.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "conformance/runner/checks.h"
#include "conformance/runner/compare.h"
#include "g4/media/pan_and_scan.h"
#include "g4/media/patches.h"
#include "g4/media/resize.h"
#include "g4/text/placeholders.h"

namespace g4::conformance {

namespace {

/// Two ways of resizing may differ by so many of 255.
constexpr double cubic_steps = 2.01, triangle_steps = 1.01;

media::pixels pixels_of(const case_folder& folder, const std::string& name) {
  const auto shape = folder.shape(name);
  const std::vector<double> numbers = folder.numbers(name);
  if (shape.size() != 3) return {};
  return {{numbers.begin(), numbers.end()}, shape[0], shape[1]};
}

/// Colour by colour: [3, h, w].
void append_planes(const media::pixels& x, std::size_t step, std::vector<double>& to) {
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t i = 0; i < x.height; i += step) {
      for (std::size_t j = 0; j < x.width; j += step) to.push_back(x.rgb[(i * x.width + j) * 3 + c]);
    }
  }
}

void check_patches(const case_folder& folder, const std::string& number, report& out) {
  const auto whole = [&](const char* key, std::size_t fallback) { return folder.about().value(key, fallback); };
  const std::size_t patch = whole("patch_size", 16);
  const media::pixels picture = pixels_of(folder, number + ".image");
  const auto size = text::gemma4_image_size(picture.height, picture.width, whole("max_soft_tokens", 280),
                                            patch * whole("pooling_kernel_size", 3));
  if (!size) return out.failed(number + ".image", size.error().message);
  const media::pixels fitting = media::resized(picture.view(), size->height, size->width);
  std::vector<double> found;
  for (const float x : media::cut(fitting.view(), patch)) found.push_back(static_cast<double>(x) * 255);
  out.compared(number + ".patches_u8", largest_error(found, folder.numbers(number + ".patches_u8")), cubic_steps);
  const std::vector<std::int32_t> places = folder.integers(number + ".position_ids");
  std::size_t wrong = 0, i = 0;
  for (const place& p : media::places_of(fitting.view(), patch)) {
    for (const std::int32_t at : {p.column, p.row}) wrong += i >= places.size() || places[i] != at ? 1 : 0, ++i;
  }
  out.exact(number + ".position_ids", i == places.size() ? wrong : i, places.size());
}

void check_resized(const case_folder& folder, const std::string& number, report& out) {
  const media::pixels picture = pixels_of(folder, number + ".image");
  const auto check = [&](const std::string& name, std::size_t side, std::size_t step) {
    if (!folder.has(name)) return;
    std::vector<double> found;
    append_planes(media::resized(picture.view(), side, side, media::joined_by::triangle), step, found);
    out.compared(name, largest_error(found, folder.numbers(name)), triangle_steps);
  };
  check(number + ".resized_224_u8", 224, 1);
  check(number + ".resized_896_u8_every_16", 896, 16);
  check(number + ".gemma3n_256_u8", 256, 1);
}

void check_pieces(const case_folder& folder, report& out) {
  const auto& facts = folder.about().at("pan_and_scan");
  const auto side = facts.at("size").get<std::size_t>();
  const media::pixels picture = pixels_of(folder, "pan_and_scan.image");
  const auto pieces = media::pieces_of(
      picture.view(), {facts.at("min_crop_size").get<std::size_t>(), facts.at("max_num_crops").get<std::size_t>(),
                       facts.at("min_ratio_to_activate").get<double>()});
  std::vector<double> found;
  append_planes(media::resized(picture.view(), side, side, media::joined_by::triangle), 1, found);
  for (const media::pixels& piece : pieces) {
    append_planes(media::resized(piece.view(), side, side, media::joined_by::triangle), 1, found);
  }
  const std::string name = "pan_and_scan.crops_" + std::to_string(side) + "_u8";
  out.compared(name, largest_error(found, folder.numbers(name)), triangle_steps);
}

}  // namespace

result<void> check_images(const case_folder& folder, report& out) {
  std::size_t count = 0;
  for (; folder.has(std::to_string(count) + ".image"); ++count) {
    const std::string number = std::to_string(count);
    if (folder.has(number + ".patches_u8")) {
      check_patches(folder, number, out);
    } else {
      check_resized(folder, number, out);
    }
  }
  if (folder.has("pan_and_scan.image")) check_pieces(folder, out);
  if (count == 0) return fail(folder.name(), ": expected.safetensors has no 0.image");
  return {};
}

}  // namespace g4::conformance
