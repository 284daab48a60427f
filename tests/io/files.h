/// Small files for the tests of this room: written byte by byte, so that they can be wrong on purpose.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "g4/core/result.h"

namespace g4::test {

inline std::span<const std::byte> bytes_of_text(std::string_view text) { return std::as_bytes(std::span(text)); }

template <class Number>
std::string little(Number value) {
  std::string out(sizeof value, '\0');
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}

/// The sentence of a result that ought to have been refused.
template <class T>
std::string why(const result<T>& outcome) {
  return outcome ? "(accepted)" : outcome.error().message;
}

inline bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// The error names the file first, holds `part`, and is one line.
#define EXPECT_REFUSED(outcome, file, part)                                           \
  do {                                                                                \
    const std::string sentence = ::g4::test::why(outcome);                            \
    EXPECT_TRUE(sentence.starts_with(std::string(file) + ": ")) << sentence;          \
    EXPECT_TRUE(::g4::test::holds(sentence, part)) << sentence << "\nwant: " << part; \
    EXPECT_FALSE(::g4::test::holds(sentence, "\n")) << sentence;                      \
  } while (false)

/// A folder that is gone when the test is over.
class temporary_folder {
 public:
  temporary_folder() {
    path_ = testing::TempDir() + "g4-io-XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << "no temporary folder at " << path_;
  }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  ~temporary_folder() {
    for (auto it = made_.rbegin(); it != made_.rend(); ++it) {
      if (::unlink(it->c_str()) != 0) ::rmdir(it->c_str());
    }
    ::rmdir(path_.c_str());
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string path(const std::string& name) const { return path_ + "/" + name; }
  std::string write(const std::string& name, std::string_view content) {
    const std::string at = track(name);
    std::ofstream(at, std::ios::binary) << content;
    return at;
  }
  std::string folder(const std::string& name) {
    const std::string at = track(name);
    ::mkdir(at.c_str(), 0700);
    return at;
  }
  /// The path of a file that the code under test is about to make.
  std::string track(const std::string& name) {
    made_.push_back(path(name));
    return made_.back();
  }

 private:
  std::string path_;
  std::vector<std::string> made_;
};

/// A safetensors file: header text and data.
inline std::string safetensors(std::string_view header, std::string_view data) {
  return little<std::uint64_t>(header.size()) + std::string(header) + std::string(data);
}

/// A GGUF file in the making; every field can be spoilt.
struct gguf_builder {
  std::uint32_t version = 3;
  std::string magic = "GGUF";
  std::string keys;
  std::uint64_t key_count = 0;
  std::string tensors;
  std::uint64_t tensor_count = 0;
  std::string data;
  std::size_t alignment = 32;

  static std::string text(std::string_view s) { return little<std::uint64_t>(s.size()) + std::string(s); }

  gguf_builder& key(std::string_view name, std::uint32_t type, const std::string& value) {
    keys += text(name) + little(type) + value;
    ++key_count;
    return *this;
  }
  gguf_builder& string(std::string_view name, std::string_view value) { return key(name, 8, text(value)); }
  gguf_builder& u32(std::string_view name, std::uint32_t value) { return key(name, 4, little(value)); }
  template <class Number>
  gguf_builder& array(std::string_view name, std::uint32_t element, const std::vector<Number>& values) {
    std::string all = little(element) + little<std::uint64_t>(values.size());
    for (const Number& v : values) all += little(v);
    return key(name, 9, all);
  }
  gguf_builder& strings(std::string_view name, const std::vector<std::string>& values) {
    std::string all = little<std::uint32_t>(8) + little<std::uint64_t>(values.size());
    for (const std::string& v : values) all += text(v);
    return key(name, 9, all);
  }
  /// Sizes innermost first, as in the file.
  gguf_builder& tensor(std::string_view name, const std::vector<std::uint64_t>& sizes, std::uint32_t type,
                       std::uint64_t offset) {
    tensors += text(name) + little(static_cast<std::uint32_t>(sizes.size()));
    for (const std::uint64_t size : sizes) tensors += little(size);
    tensors += little(type) + little(offset);
    ++tensor_count;
    return *this;
  }
  [[nodiscard]] std::string head() const {
    return magic + little(version) + little(tensor_count) + little(key_count) + keys + tensors;
  }
  [[nodiscard]] std::string bytes() const {
    std::string out = head();
    while (out.size() % alignment != 0) out += '\0';
    return out + data;
  }
};

}  // namespace g4::test
