// HTTP: the addresses, who may come in, and answers as they are made. Of the program's files only door.cc knows the library
// that speaks it.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "g4/core/result.h"
#include "metrics.h"
#include "request.h"
#include "scheduler.h"
#include "service.h"

namespace serve {

struct door_options {
  std::string host = "127.0.0.1";
  int port = 8080;              ///< 0: any that is free
  std::string token;            ///< what clients must say they know; empty: nothing
  std::size_t connections = 128;  ///< most at once; more are told so, and a few more wait outside
  int request_seconds = 60;     ///< a request must have come by then
  int write_seconds = 30;       ///< a reader that takes nothing for so long has gone
  limits most{};
  defaults otherwise{};
};

class door {
 public:
  door(door_options options, const service& asks, scheduler& does, metrics& counts);
  door(const door&) = delete;
  door& operator=(const door&) = delete;
  ~door();

  /// Binds the address; says which port. Fails where it is taken, or is none.
  [[nodiscard]] g4::result<int> open();
  /// Lets clients in until `shut` is called on another thread.
  void serve();
  /// Lets nobody in any more, and cuts off who is still here.
  void shut();
  [[nodiscard]] std::size_t connections() const;

 private:
  class server;
  std::unique_ptr<server> server_;
};

/// The page to talk in: page.html.
extern const char* const page;

}  // namespace serve
