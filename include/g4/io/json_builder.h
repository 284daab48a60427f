/// A document from events.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/io/json.h"
#include "g4/io/shown.h"

namespace g4::io {

/// Builds a document from the events of `read_json`, all of a text's or some. A repeated key is refused.
class json_builder final : public json_reader {
 public:
  json root;

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(std::int64_t value) override { return put(value); }
  bool number_unsigned(std::uint64_t value) override { return put(value); }
  bool number_float(double value) override { return put(value); }
  // A copy: the walk's buffer may be far larger than its content.
  bool string(std::string& value) override { return put(std::string(std::string_view(value))); }
  bool key(std::string& value) override {
    open_.back().members.push_back({std::string(std::string_view(value)), {}});
    return true;
  }
  bool start_object() override { return open(true); }
  bool end_object() override {
    json::object_t members = std::move(open_.back().members);
    open_.pop_back();
    const std::size_t count = members.size();
    std::vector<std::string_view> names;
    names.reserve(count);
    for (const json::member& m : members) names.push_back(m.name);
    std::sort(names.begin(), names.end());
    if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end()) {
      return refuse("holds the key " + shown(*twice) + " twice");
    }
    return put(std::move(members));
  }
  bool start_array() override { return open(false); }
  bool end_array() override {
    json::array_t elements = std::move(open_.back().elements);
    open_.pop_back();
    return put(std::move(elements));
  }

 private:
  struct container {
    bool is_object;
    json::array_t elements;
    json::object_t members;  // the last one's value is still to come while it is read
  };

  bool open(bool is_object) {
    open_.push_back({is_object, {}, {}});
    return true;
  }
  bool put(json value) {
    if (open_.empty()) {
      root = std::move(value);
    } else if (open_.back().is_object) {
      open_.back().members.back().value = std::move(value);
    } else {
      open_.back().elements.push_back(std::move(value));
    }
    return true;
  }

  std::vector<container> open_;
};

}  // namespace g4::io
