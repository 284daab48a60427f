#include "conformance/runner/written.h"

#include <cstdint>
#include <cstring>
#include <fstream>

namespace g4::conformance {

namespace {

template <class Stored, class Values>
std::vector<std::byte> bytes_as(const Values& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(Stored));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto stored = static_cast<Stored>(values[i]);
    std::memcpy(bytes.data() + i * sizeof stored, &stored, sizeof stored);
  }
  return bytes;
}

}  // namespace

void written::add(const std::string& name, std::span<const double> values) {
  if (!folder_.names(name)) return;
  std::vector<std::size_t> shape = folder_.shape(name);
  std::size_t row = 1;
  for (std::size_t axis = 1; axis < shape.size(); ++axis) row *= shape[axis];
  if (shape.empty() || row == 0 || values.size() % row != 0) {
    shape = {values.size()};
  } else {
    shape[0] = values.size() / row;
  }
  const bool integers = folder_.about().at("outputs").at(name).value("dtype", "F32") != "F32";
  tensors_.push_back({name, integers ? "I32" : "F32", std::move(shape),
                      integers ? bytes_as<std::int32_t>(values) : bytes_as<float>(values)});
}

void written::add(const std::string& name, const std::vector<std::int32_t>& values) {
  tensors_.push_back({name, "I32", {values.size()}, bytes_as<std::int32_t>(values)});
}

void written::add(const std::string& name, const std::string& text) {
  tensors_.push_back({name, "U8", {text.size()}, bytes_as<std::uint8_t>(text)});
}

result<void> written::save(const std::string& path) const {
  json header = json::object();
  std::size_t at = 0;
  for (const tensor& t : tensors_) {
    header[t.name] = {{"dtype", t.type}, {"shape", t.shape}, {"data_offsets", {at, at + t.bytes.size()}}};
    at += t.bytes.size();
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const std::uint64_t length = text.size();
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&length), sizeof length);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  for (const tensor& t : tensors_) {
    file.write(reinterpret_cast<const char*>(t.bytes.data()), static_cast<std::streamsize>(t.bytes.size()));
  }
  file.close();
  if (!file) return fail(path, ": cannot be written");
  return {};
}

}  // namespace g4::conformance
