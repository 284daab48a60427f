// An answer on its way from the thread that makes it to the one that sends it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <iterator>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "answers.h"
#include "refusal.h"
#include "spoken.h"

namespace serve {

/// How an answer ended.
struct ended {
  std::string finish;                       ///< "stop", "length", "tool_calls"
  usage took;
  std::optional<refusal> wrong{};           ///< why there is no answer, or none to its end
  std::vector<std::vector<float>> vectors{};  ///< of embedded texts
};

/// Holds what has been said and not sent: at most an answer's whole text, so that a slow reader keeps nobody waiting.
class ticket {
 public:
  void say(std::vector<spoken> pieces) {
    if (pieces.empty()) return;
    {
      const std::lock_guard lock(mutex_);
      said_.insert(said_.end(), std::make_move_iterator(pieces.begin()), std::make_move_iterator(pieces.end()));
    }
    changed_.notify_one();
  }
  void end(ended how) {
    {
      const std::lock_guard lock(mutex_);
      if (!ended_) ended_ = std::move(how);
    }
    changed_.notify_one();
  }
  /// Whether anybody waits for more.
  [[nodiscard]] bool wanted() const { return wanted_.load(std::memory_order_relaxed); }

  /// Waits for news, at most so long. Takes what was said; the end comes once, after all of it.
  void wait(std::chrono::milliseconds most, std::vector<spoken>& said, std::optional<ended>& end) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, most, [&] { return !said_.empty() || ended_.has_value(); });
    said = std::exchange(said_, {});
    end = std::exchange(ended_, {});
  }
  /// Nobody waits any more.
  void give_up() { wanted_.store(false, std::memory_order_relaxed); }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<spoken> said_;
  std::optional<ended> ended_;
  std::atomic<bool> wanted_{true};
};

}  // namespace serve
