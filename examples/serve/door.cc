#include "door.h"

#include <arpa/inet.h>
#include <httplib.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <functional>
#include <mutex>
#include <set>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "g4/core/printable.h"
#include "g4/io/json.h"

namespace serve {

namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

/// One client's connection, which carries one request: what it sends is bounded in bytes and in time, and so is how long
/// it may take nothing of an answer. (The library's own stream bounds neither a body in chunks nor a request's whole time.)
class connection final : public httplib::Stream {
 public:
  connection(int socket, std::size_t most_bytes, std::chrono::seconds request, std::chrono::seconds write)
      : socket_(socket), left_(most_bytes), until_(steady_clock::now() + request), write_(write) {}

  [[nodiscard]] bool is_readable() const override { return at_ < filled_ || ready(POLLIN, until_ - steady_clock::now()); }
  [[nodiscard]] bool is_writable() const override { return !gone() && ready(POLLOUT, write_); }
  ssize_t read(char* to, std::size_t size) override {
    if (at_ == filled_) {
      if (left_ == 0) too_much_ = true;
      if (left_ == 0 || !ready(POLLIN, until_ - steady_clock::now())) return -1;
      const ssize_t got = receive(buffer_.data(), std::min(left_, buffer_.size()));
      if (got <= 0) return got;
      at_ = 0;
      filled_ = static_cast<std::size_t>(got);
      left_ -= filled_;
    }
    const std::size_t some = std::min(size, filled_ - at_);
    std::memcpy(to, buffer_.data() + at_, some);
    at_ += some;
    return static_cast<ssize_t>(some);
  }
  ssize_t write(const char* from, std::size_t size) override {
    if (!ready(POLLOUT, write_)) return -1;
    for (;;) {
      const ssize_t sent = ::send(socket_, from, size, MSG_NOSIGNAL);
      if (sent >= 0 || errno != EINTR) return sent;
    }
  }
  void get_remote_ip_and_port(std::string& ip, int& port) const override { address(ip, port, ::getpeername); }
  void get_local_ip_and_port(std::string& ip, int& port) const override { address(ip, port, ::getsockname); }
  [[nodiscard]] socket_t socket() const override { return socket_; }

  /// Whether nobody is there any more.
  [[nodiscard]] bool gone() const {
    pollfd one{socket_, POLLRDHUP, 0};
    return ::poll(&one, 1, 0) > 0 && (one.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
  }
  [[nodiscard]] bool sent_too_much() const { return too_much_; }

  /// Says that no more comes, and reads what is still on its way for a moment: closing over it would take the answer back.
  void part() {
    if (::shutdown(socket_, SHUT_WR) != 0) return;
    const auto until = steady_clock::now() + 1s;
    for (std::size_t most = std::size_t{32} << 20; most > 0 && ready(POLLIN, until - steady_clock::now());) {
      const ssize_t got = receive(buffer_.data(), buffer_.size());
      if (got <= 0) return;
      most -= std::min(most, static_cast<std::size_t>(got));
    }
  }

 private:
  [[nodiscard]] bool ready(short what, steady_clock::duration most) const {
    pollfd one{socket_, what, 0};
    const auto until = steady_clock::now() + most;
    for (;;) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - steady_clock::now()).count();
      const int found = ::poll(&one, 1, static_cast<int>(std::clamp<long long>(left, 0, 1'000'000)));
      if (found >= 0 || errno != EINTR) return found > 0;
    }
  }
  [[nodiscard]] ssize_t receive(char* to, std::size_t size) const {
    for (;;) {
      const ssize_t got = ::recv(socket_, to, size, 0);
      if (got >= 0 || errno != EINTR) return got;
    }
  }
  template <class Get>
  void address(std::string& ip, int& port, Get get) const {
    sockaddr_storage a{};
    socklen_t size = sizeof a;
    char text[INET6_ADDRSTRLEN] = "";
    if (get(socket_, reinterpret_cast<sockaddr*>(&a), &size) != 0) return;
    if (a.ss_family == AF_INET) {
      const auto* const v4 = reinterpret_cast<const sockaddr_in*>(&a);
      ::inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
      port = ntohs(v4->sin_port);
    } else if (a.ss_family == AF_INET6) {
      const auto* const v6 = reinterpret_cast<const sockaddr_in6*>(&a);
      ::inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
      port = ntohs(v6->sin6_port);
    }
    ip = text;
  }

  int socket_;
  std::size_t left_;
  steady_clock::time_point until_;
  std::chrono::seconds write_;
  bool too_much_ = false;
  std::array<char, 16384> buffer_;
  std::size_t at_ = 0, filled_ = 0;
};

// Of the connection that this thread serves.
thread_local connection* current = nullptr;
thread_local bool crowded = false;  ///< it is one too many

/// A thread for each connection, and a bound on them. The last few are only told that there is no room; beyond these the
/// server accepts nobody until somebody leaves.
class crew final : public httplib::TaskQueue {
 public:
  crew(std::size_t most, metrics& counts) : most_(most), counts_(counts) {}

  void enqueue(std::function<void()> serve_one) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return busy_ < most_ + spare; });
    const bool one_too_many = ++busy_ > most_;
    counts_.connections = busy_;
    lock.unlock();
    try {
      std::thread([this, one_too_many, serve_one] {
        crowded = one_too_many;
        serve_one();
        leave();
      }).detach();
    } catch (const std::system_error&) {  // no thread to be had: it is told so on this one
      crowded = true;
      serve_one();
      crowded = false;
      leave();
    }
  }
  void shutdown() override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return busy_ == 0; });
  }

 private:
  static constexpr std::size_t spare = 8;
  void leave() {
    const std::lock_guard lock(mutex_);
    counts_.connections = --busy_;
    changed_.notify_all();
  }

  std::size_t most_;
  metrics& counts_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t busy_ = 0;
};

/// Whether two words are the same, in a time that does not tell how much of them is.
bool same_secret(std::string_view said, std::string_view secret) {
  unsigned difference = said.size() == secret.size() ? 0 : 1;
  for (std::size_t i = 0; i < said.size(); ++i) {
    difference |= static_cast<unsigned>(static_cast<unsigned char>(said[i]) ^
                                        static_cast<unsigned char>(secret[i % std::max<std::size_t>(secret.size(), 1)]));
  }
  return difference == 0;
}

bool is_loopback(std::string_view host) { return host == "localhost" || host == "::1" || host.starts_with("127."); }

/// "127.0.0.1:8080" and "[::1]:8080" without the port and the brackets.
std::string_view name_of_host(std::string_view host) {
  if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.find(':'));
}

struct address {
  std::string_view method, path;
};
constexpr address addresses[] = {
    {"GET", "/"},        {"GET", "/health"},           {"GET", "/metrics"},
    {"GET", "/v1/models"}, {"POST", "/v1/chat/completions"}, {"POST", "/v1/completions"},
    {"POST", "/v1/embeddings"}};

}  // namespace

class door::server final : public httplib::Server {
 public:
  server(door_options options, const service& asks, scheduler& does, metrics& counts)
      : options_(std::move(options)), asks_(asks), does_(does), counts_(counts) {
    new_task_queue = [this] { return new crew(options_.connections, counts_); };
    set_payload_max_length(options_.most.body);
    set_tcp_nodelay(true);
    set_socket_options([](int socket) {  // the library's own would let a second server share the port
      const int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    set_default_headers({{"X-Content-Type-Options", "nosniff"}, {"Cache-Control", "no-store"}});
    set_pre_routing_handler([this](const httplib::Request& req, httplib::Response& res) { return admit(req, res); });
    set_error_handler([this](const httplib::Request& req, httplib::Response& res) { explain(req, res); });
    set_exception_handler([this](const httplib::Request&, httplib::Response& res, std::exception_ptr) {
      tell(res, broken("the request could not be answered for want of memory"));
    });
    Get("/", [](const httplib::Request&, httplib::Response& res) {
      res.set_header("Content-Security-Policy",
                     "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
                     "img-src data: blob:; media-src data: blob:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'");
      res.set_content(page, "text/html; charset=utf-8");
    });
    Get("/health", [](const httplib::Request&, httplib::Response& res) {
      res.set_content("{\"status\":\"ok\"}\n", "application/json");
    });
    Get("/metrics", [this](const httplib::Request&, httplib::Response& res) {
      res.set_content(counts_.text(), "text/plain; version=0.0.4; charset=utf-8");
    });
    Get("/v1/models", [this](const httplib::Request&, httplib::Response& res) {
      res.set_content(models_body(asks_.models(), began_), "application/json");
    });
    Post("/v1/chat/completions", [this](const httplib::Request& req, httplib::Response& res) {
      answer(req, res, counts_.chats, read_chat, options_.otherwise);
    });
    Post("/v1/completions", [this](const httplib::Request& req, httplib::Response& res) {
      answer(req, res, counts_.completions, read_completion, options_.otherwise);
    });
    Post("/v1/embeddings", [this](const httplib::Request& req, httplib::Response& res) { embed(req, res); });
  }

  g4::result<int> bind() {
    int port = options_.port;
    if (port == 0) {
      port = bind_to_any_port(options_.host);
    } else if (!bind_to_port(options_.host, port)) {
      port = -1;
    }
    if (port <= 0) {
      return g4::fail("serve: ", options_.host, " port ", options_.port,
                      " cannot be bound: is another server there, and is the address one of this machine's?");
    }
    ::listen(svr_sock_, 512);  // the library asks for 5: more may knock at once
    return port;
  }

  /// Cuts off everybody who is still here.
  void cut_off() {
    const std::lock_guard lock(open_mutex_);
    for (const int socket : open_) ::shutdown(socket, SHUT_RDWR);
  }
  [[nodiscard]] std::size_t connections() const { return counts_.connections; }

 private:
  bool process_and_close_socket(socket_t socket) override {
    {
      const std::lock_guard lock(open_mutex_);
      open_.insert(socket);
    }
    connection line(socket, options_.most.body + (std::size_t{64} << 10), std::chrono::seconds(options_.request_seconds),
                    std::chrono::seconds(options_.write_seconds));
    current = &line;
    bool fine = false;
    try {
      bool closed = false;
      fine = process_request(line, true, closed, nullptr);
    } catch (const std::exception&) {  // no memory even for the headers
    }
    current = nullptr;
    line.part();
    {
      const std::lock_guard lock(open_mutex_);
      open_.erase(socket);
      ::shutdown(socket, SHUT_RDWR);
      ::close(socket);
    }
    return fine;
  }

  // Before a body is read.
  HandlerResponse admit(const httplib::Request& req, httplib::Response& res) {
    if (crowded) {
      ++counts_.turned_away;
      return turn_away(res, busy("there are " + std::to_string(options_.connections) +
                                 " connections, as many as may be; try again in a while"));
    }
    const std::string host = req.get_header_value("Host");
    if (options_.token.empty() && is_loopback(options_.host) && !is_loopback(name_of_host(host))) {
      return turn_away(res, {403, "invalid_request_error",
                             "Host: must be this machine, as the server listens to it alone; found " +
                                 g4::io::json_quoted(g4::io::shown(host)), "Host", "wrong_host"});
    }
    if (req.has_header("Origin")) {  // a page of somebody else's in this machine's browser
      const std::string origin = req.get_header_value("Origin");
      if (origin != "http://" + host && origin != "https://" + host) {
        return turn_away(res, {403, "invalid_request_error",
                               "Origin: must be this server's own page; found " +
                                   g4::io::json_quoted(g4::io::shown(origin)), "Origin", "wrong_origin"});
      }
    }
    if (!options_.token.empty() && req.path != "/" && req.path != "/health") {
      const std::string said = req.get_header_value("Authorization");
      constexpr std::string_view scheme = "Bearer ";
      if (!said.starts_with(scheme) || !same_secret(std::string_view(said).substr(scheme.size()), options_.token)) {
        res.set_header("WWW-Authenticate", "Bearer");
        return turn_away(res, {401, "authentication_error",
                               "Authorization: must be Bearer and this server's token; found " +
                                   std::string(said.empty() ? "nothing" : "something else"),
                               "Authorization", "invalid_api_key"});
      }
    }
    if (req.method == "POST") {
      const std::string type = req.get_header_value("Content-Type");
      if (type.substr(0, type.find(';')) != "application/json") {
        return turn_away(res, {415, "invalid_request_error",
                               "Content-Type: must be application/json; found " +
                                   g4::io::json_quoted(g4::io::shown(type)), "Content-Type", {}});
      }
      if (req.has_header("Content-Encoding")) {
        return turn_away(res, {415, "invalid_request_error",
                               "Content-Encoding: must not be there, as bodies are read as they come; found " +
                                   g4::io::json_quoted(g4::io::shown(req.get_header_value("Content-Encoding"))),
                               "Content-Encoding", {}});
      }
    }
    return HandlerResponse::Unhandled;
  }
  HandlerResponse turn_away(httplib::Response& res, const refusal& why) {
    tell(res, why);
    return HandlerResponse::Handled;
  }

  void tell(httplib::Response& res, const refusal& why) {
    res.status = why.status;
    if (why.status == 503) res.set_header("Retry-After", "2");
    res.set_content(error_body(why), "application/json");
  }

  // What the library refuses by itself gets a sentence; everything that was refused is counted.
  void explain(const httplib::Request& req, httplib::Response& res) {
    ++(res.status < 500 ? counts_.refused : counts_.failed);
    if (!res.body.empty()) return;
    refusal why{res.status, "invalid_request_error", {}, {}, {}};
    if (res.status == 413 || (current != nullptr && current->sent_too_much())) {
      why.status = 413;
      why.param = "body";
      why.message = "body: may have at most " + std::to_string(options_.most.body) + " bytes; this has more";
    } else if (res.status == 404) {
      const auto* const known = std::find_if(std::begin(addresses), std::end(addresses),
                                             [&](const address& a) { return a.path == req.path; });
      if (known != std::end(addresses)) {
        why.status = 405;
        res.set_header("Allow", std::string(known->method));
        why.message = g4::io::shown(req.path) + ": takes " + std::string(known->method) + "; found " + g4::io::shown(req.method);
      } else {
        std::string all;
        for (const address& a : addresses) all += (all.empty() ? "" : ", ") + std::string(a.path);
        why.message = g4::io::shown(req.path) + ": there is no such address; there are " + all;
      }
    } else if (res.status >= 500) {
      why = broken("the request could not be answered");
    } else {
      why.message = "the request is no HTTP that can be read, or came too slowly";
    }
    tell(res, why);
  }

  template <class Read, class... More>
  void answer(const httplib::Request& req, httplib::Response& res, metrics::counter& counter, Read read, const More&... more) {
    auto made = [&]() -> granted<prepared> {
      const std::lock_guard lock(reading_);
      auto asked = read(req.body, options_.most, more...);
      if (!asked) return refused(std::move(asked.error()));
      return asks_.prepare(std::move(*asked));
    }();
    if (!made) return tell(res, made.error());
    ++counter;
    auto to = does_.submit(std::move(made->what));
    if (!to) return tell(res, to.error());

    // Nothing is sent before there is something to say: what cannot be answered still gets its status.
    std::vector<spoken> said;
    std::optional<ended> end;
    if (!wait(**to, said, end)) return;
    if (said.empty() && end && end->wrong) return tell(res, *end->wrong);
    if (made->stream) {
      res.set_chunked_content_provider(
          "text/event-stream", [this, to = *to, head = made->head, with_usage = made->stream_usage, said = std::move(said),
                                end = std::move(end)](std::size_t, httplib::DataSink& sink) mutable {
            const bool sent = stream(*to, head, with_usage, said, end, sink);
            if (!sent) to->give_up();
            return sent;
          });
      return;
    }
    std::vector<spoken> all = std::move(said);
    while (!end) {
      if (!wait(**to, said, end)) return;
      all.insert(all.end(), std::make_move_iterator(said.begin()), std::make_move_iterator(said.end()));
    }
    if (end->wrong) return tell(res, *end->wrong);
    res.set_content(whole_answer(made->head, all, end->finish, end->took), "application/json");
  }

  /// Waits for something to be said, or the end. False when the client has gone, and with it the wish.
  bool wait(ticket& to, std::vector<spoken>& said, std::optional<ended>& end) const {
    for (;;) {
      to.wait(200ms, said, end);
      if (current != nullptr && current->gone()) {  // looked for whatever was said: an answer may come without a pause
        to.give_up();
        return false;
      }
      if (!said.empty() || end) return true;
    }
  }

  bool stream(ticket& to, const heading& head, bool with_usage, std::vector<spoken>& said, std::optional<ended>& end,
              httplib::DataSink& sink) const {
    events as_events(head);
    const auto send = [&](const std::string& text) {
      return text.empty() || (!(current != nullptr && current->gone()) && sink.write(text.data(), text.size()));
    };
    if (!send(as_events.opening())) return false;
    for (;;) {
      if (!send(as_events.said(said))) return false;
      if (end) break;
      if (!wait(to, said, end)) return false;
    }
    if (end->wrong) return send(events::broke_off(*end->wrong)) && (sink.done(), true);
    if (!send(as_events.finish(end->finish))) return false;
    if (with_usage && !send(as_events.took(end->took))) return false;
    if (!send(events::end())) return false;
    sink.done();
    return true;
  }

  void embed(const httplib::Request& req, httplib::Response& res) {
    bool base64 = false;
    std::size_t dimensions = 0;
    auto made = [&]() -> granted<prepared> {
      const std::lock_guard lock(reading_);
      auto asked = read_embedding(req.body, options_.most);
      if (!asked) return refused(std::move(asked.error()));
      base64 = asked->base64;
      dimensions = asked->dimensions.value_or(0);
      return asks_.prepare(std::move(*asked));
    }();
    if (!made) return tell(res, made.error());
    ++counts_.embeddings;
    auto to = does_.submit(std::move(made->what));
    if (!to) return tell(res, to.error());
    std::vector<spoken> said;
    std::optional<ended> end;
    if (!wait(**to, said, end)) return;
    if (end->wrong) return tell(res, *end->wrong);
    if (dimensions > 0) {
      for (auto& vector : end->vectors) shorten(vector, dimensions);
    }
    res.set_content(embeddings_body(made->head.model, end->vectors, base64, end->took.prompt_tokens), "application/json");
  }

  door_options options_;
  const service& asks_;
  scheduler& does_;
  metrics& counts_;
  std::int64_t began_ =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  std::mutex reading_;  ///< one document at a time is in memory as values, which take many times its bytes
  std::mutex open_mutex_;
  std::set<int> open_;
};

door::door(door_options options, const service& asks, scheduler& does, metrics& counts)
    : server_(std::make_unique<server>(std::move(options), asks, does, counts)) {}
door::~door() = default;
g4::result<int> door::open() { return server_->bind(); }
void door::serve() { server_->listen_after_bind(); }
void door::shut() {
  server_->stop();
  server_->cut_off();
}
std::size_t door::connections() const { return server_->connections(); }

}  // namespace serve
