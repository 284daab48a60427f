/// One object of a configuration, read key by key: what nobody asks for and nobody knows is an error.
///
/// For the readers of configurations (config.inl, tower_config.h); nobody else needs it.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/io/json.h"
#include "g4/io/shown.h"

namespace g4::load::detail {

/// Keys of every model's configuration that say nothing about its arithmetic: how it was saved, trained, is sampled.
// clang-format off
inline constexpr std::string_view harmless_keys[] = {
    "architectures", "model_type", "transformers_version", "dtype", "torch_dtype", "_name_or_path", "name_or_path",
    "auto_map", "tokenizer_class", "processor_class", "prefix", "use_cache", "cache_implementation",
    "_attn_implementation", "_attn_implementation_autoset", "attn_implementation", "initializer_range",
    "attention_dropout", "max_position_embeddings", "bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id",
    "unk_token_id", "decoder_start_token_id", "return_dict", "return_dict_in_generate", "output_attentions", "output_hidden_states",
    "output_scores", "torchscript", "use_bfloat16", "tf_legacy_loss", "chunk_size_feed_forward", "is_decoder",
    "finetuning_task", "id2label", "label2id", "problem_type", "task_specific_params", "max_length", "min_length",
    "do_sample", "early_stopping", "num_beams", "num_beam_groups", "diversity_penalty", "temperature", "top_k",
    "top_p", "typical_p", "repetition_penalty", "length_penalty", "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size", "bad_words_ids", "num_return_sequences", "forced_bos_token_id",
    "forced_eos_token_id", "remove_invalid_values", "exponential_decay_length_penalty", "suppress_tokens",
    "begin_suppress_tokens", "cross_attention_hidden_size",
};
// clang-format on

/// Keys beside text_config in a model with images or sound: they are for the towers and for the prompt.
// clang-format off
inline constexpr std::string_view tower_keys[] = {
    "vision_config", "audio_config", "boi_token_id", "boi_token_index", "eoi_token_id", "eoi_token_index",
    "image_token_id", "image_token_index", "video_token_id", "video_token_index", "boa_token_id", "boa_token_index",
    "eoa_token_id", "eoa_token_index", "audio_token_id", "audio_token_index", "mm_tokens_per_image",
    "vision_soft_tokens_per_image", "audio_soft_tokens_per_image",
};
// clang-format on

/// A value as errors quote it.
[[nodiscard]] inline std::string shown_json(const io::json& value) {
  if (value.is_null()) return "null";
  if (const auto* truth = value.as<bool>()) return *truth ? "true" : "false";
  if (const auto* whole = value.as<std::uint64_t>()) return std::to_string(*whole);
  if (const auto* negative = value.as<std::int64_t>()) return std::to_string(*negative);
  if (const auto* text = value.as<std::string>()) return "\"" + io::shown(*text) + "\"";
  if (const auto* real = value.as<double>()) {
    std::array<char, 32> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), *real).ptr;
    return {digits.data(), end};
  }
  return (value.is_array() ? "a list of " : "an object of ") + std::to_string(value.size());
}

/// One object of a config.json. Every key must be asked for or be known not to matter; the first thing that is wrong is
/// kept, and what is asked afterwards no longer counts.
class config_object {
 public:
  /// place   how errors begin: the file, and the keys that lead here
  config_object(const io::json& object, std::string place, std::string& problem)
      : object_(object), place_(std::move(place)), problem_(problem) {}

  [[nodiscard]] bool failed() const { return !problem_.empty(); }
  [[nodiscard]] std::string path(std::string_view key) const { return place_ + std::string(key); }

  void refuse(std::string_view key, const std::string& why) {
    if (problem_.empty()) problem_ = path(key) + why;
  }
  void expected(std::string_view key, const io::json& found, const std::string& what) {
    refuse(key, " is " + shown_json(found) + "; expected " + what);
  }

  /// The value of a key, or null where it is absent.
  [[nodiscard]] const io::json* take(std::string_view key) {
    const io::json* value = object_.find(key);
    if (value != nullptr) used_.push_back(key);
    return value;
  }
  /// As `take`; a JSON null counts as absent.
  [[nodiscard]] const io::json* take_set(std::string_view key) {
    const io::json* value = take(key);
    return value != nullptr && !value->is_null() ? value : nullptr;
  }

  [[nodiscard]] int whole(std::string_view key, int fallback, int least, int most) {
    const io::json* value = take(key);
    return value == nullptr ? fallback : whole_of(key, *value, least, most);
  }
  [[nodiscard]] int whole_of(std::string_view key, const io::json& value, int least, int most) {
    // Negative numbers are signed; what does not fit into 63 bits is unsigned and above every `most`.
    if (const auto* n = value.as<std::uint64_t>()) {
      if (*n <= static_cast<std::uint64_t>(most) && static_cast<int>(*n) >= least) return static_cast<int>(*n);
    }
    expected(key, value, "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    return least;
  }

  [[nodiscard]] float positive(std::string_view key, float fallback) {
    const io::json* value = take(key);
    return value == nullptr ? fallback
                            : real_of(key, *value, std::numeric_limits<float>::min(), 1e30f, "a positive number");
  }
  /// A number that may be null: 0 then.
  [[nodiscard]] float cap(std::string_view key, float fallback) {
    const io::json* value = take(key);
    if (value == nullptr) return fallback;
    if (value->is_null()) return 0;
    return real_of(key, *value, std::numeric_limits<float>::min(), 1e30f, "a positive number or null");
  }
  [[nodiscard]] float real_of(std::string_view key, const io::json& value, float least, float most, const char* what) {
    double number = 0;
    bool is_number = true;
    if (const auto* whole = value.as<std::uint64_t>()) {
      number = static_cast<double>(*whole);
    } else if (const auto* real = value.as<double>()) {
      number = *real;
    } else {
      is_number = false;
    }
    if (is_number && number >= static_cast<double>(least) && number <= static_cast<double>(most)) {
      return static_cast<float>(number);
    }
    expected(key, value, what);
    return least;
  }

  [[nodiscard]] bool truth(std::string_view key, bool fallback) {
    const io::json* value = take(key);
    if (value == nullptr) return fallback;
    if (const auto* truth = value->as<bool>()) return *truth;
    expected(key, *value, "true or false");
    return fallback;
  }
  /// Refuses anything but `only` (or null): the choice is not made here, but another one would change the arithmetic.
  void only(std::string_view key, bool choice) {
    const io::json* value = take_set(key);
    if (value == nullptr) return;
    const auto* truth = value->as<bool>();
    if (truth == nullptr || *truth != choice) expected(key, *value, choice ? "true" : "false");
  }
  void only_text(std::string_view key, std::string_view choice) {
    const std::string_view said = text(key, choice);
    if (said != choice) refuse(key, " is \"" + io::shown(said) + "\"; expected \"" + std::string(choice) + "\"");
  }
  [[nodiscard]] std::string_view text(std::string_view key, std::string_view fallback) {
    const io::json* value = take(key);
    if (value == nullptr) return fallback;
    if (const auto* text = value->as<std::string>()) return *text;
    expected(key, *value, "a string");
    return fallback;
  }
  /// An object, or null where it is absent or null.
  [[nodiscard]] const io::json* object(std::string_view key) {
    const io::json* value = take_set(key);
    if (value == nullptr || value->is_object()) return value;
    expected(key, *value, "an object");
    return nullptr;
  }
  /// A list with an entry for every layer, or null where it is absent or null.
  [[nodiscard]] const io::json* list(std::string_view key, int layers) {
    const io::json* value = take_set(key);
    if (value == nullptr) return nullptr;
    if (value->is_array() && value->size() == static_cast<std::size_t>(layers)) return value;
    expected(key, *value, "a list of " + std::to_string(layers) + ", one for each layer");
    return nullptr;
  }

  /// Marks keys as seen that do not matter here.
  void ignore(std::span<const std::string_view> keys) { used_.insert(used_.end(), keys.begin(), keys.end()); }
  void ignore(std::initializer_list<std::string_view> keys) { used_.insert(used_.end(), keys.begin(), keys.end()); }

  /// Refuses what nobody has asked for. A null sets nothing.
  void finish() {
    if (failed()) return;
    for (const auto& [key, value] : object_.members()) {
      if (value.is_null() || std::find(used_.begin(), used_.end(), key) != used_.end()) continue;
      refuse(io::shown(key),
             " is a key that g4 does not know; it may change the arithmetic, so the model is refused");
      return;
    }
  }

 private:
  const io::json& object_;
  std::string place_;
  std::string& problem_;
  std::vector<std::string_view> used_;
};

inline constexpr int most_width = 1 << 20;  ///< of any layer; far above every model, far below where products overflow
inline constexpr int most_vocab = 1 << 24;

}  // namespace g4::load::detail
