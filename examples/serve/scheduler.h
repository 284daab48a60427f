// The queue, and the one thread that runs models.
//
// Texts wait in a queue with a bound, join a batch when a place is free, and advance together. What a batch cannot take runs
// beside it on the same thread, and the batch advances in between:
//   - a prompt with pictures or sounds, one at a time, in a session of its own, whose text then joins: a picture's tokens see
//     each other and must be run at once, and a batch's pass has fewer rows. While a tower looks at a picture everybody waits;
//   - a system prompt, which is read once and then copied into every text that begins with it;
//   - texts to embed.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "g4/generate/any_batch.h"
#include "g4/generate/any_embedder.h"
#include "g4/generate/any_senses.h"
#include "g4/open/any_model.h"
#include "metrics.h"
#include "refusal.h"
#include "request.h"
#include "ticket.h"

namespace serve {

/// What is to be done for a request.
struct order {
  std::vector<g4::token_id> ids;   ///< of a prompt of text alone
  std::size_t shared = 0;          ///< how many of them are the system prompt's, which other texts may begin with
  g4::text::prompt written;        ///< of a prompt with media, whose ids follow from what they are
  std::vector<medium_file> media;
  g4::generate_options how;
  bool marks = false;  ///< the model marks thoughts and calls
  std::vector<std::string> stops;
  std::vector<std::vector<g4::token_id>> texts;  ///< to embed, in place of all above
  std::chrono::steady_clock::time_point asked = std::chrono::steady_clock::now();
  std::shared_ptr<ticket> to = std::make_shared<ticket>();
};

/// What the scheduler runs. Null where there is none; all must outlive it, and nobody else may use their backend meanwhile.
struct models {
  const g4::any_model* text = nullptr;
  g4::any_batch* batch = nullptr;
  const g4::any_senses* senses = nullptr;
  g4::any_embedder* embedder = nullptr;
  /// Makes a picture or a sound of a file's bytes into rows.
  std::function<g4::result<g4::any_shown>(const medium_file&)> look;
  std::size_t context = 0;        ///< most tokens of a text
  std::size_t guesses = 0;        ///< tokens of each text that a step may guess: `g4::guessing`
  std::size_t media_batch = 256;  ///< most tokens run at once of a text with media
};

class scheduler {
 public:
  /// queue      most orders that wait
  /// prefixes   most system prompts that are kept
  scheduler(const models& m, std::size_t queue, std::size_t prefixes, metrics& counts);
  scheduler(const scheduler&) = delete;
  scheduler& operator=(const scheduler&) = delete;
  ~scheduler();

  /// Refuses with 503 where the queue is full, or the server is ending.
  [[nodiscard]] granted<std::shared_ptr<ticket>> submit(order o);

  /// Takes no more orders.
  void close();
  /// Waits until nothing is left to do; false when that takes longer.
  [[nodiscard]] bool idle_within(std::chrono::milliseconds most);
  /// Ends what is left, with 503, and the thread.
  void stop();

 private:
  struct answer;
  struct prefix;

  void run();
  [[nodiscard]] std::optional<order> next(bool beside);
  bool admit(bool beside);
  void advance();
  void end_all(const refusal& why);
  void start(order o, bool beside);
  void take_in(order o, std::span<const g4::token_id> prompt, const g4::any_session* after, std::size_t read,
               std::size_t cached);
  void finish(answer& a, g4::result<g4::generated> done);
  void run_with_media(order o);
  void embed(order o);
  [[nodiscard]] g4::result<const prefix*> prefix_of(const order& o);
  [[nodiscard]] const prefix* known_prefix(const order& o) const;
  void note_running();

  models m_;
  std::size_t most_waiting_;
  std::size_t most_prefixes_;
  metrics& counts_;
  std::vector<std::unique_ptr<answer>> running_;
  std::vector<std::unique_ptr<prefix>> prefixes_;
  mutable std::uint64_t used_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<order> waiting_;
  bool closed_ = false;
  bool busy_ = false;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace serve
