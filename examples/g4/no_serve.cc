// In place of examples/serve, for a program that is built without cpp-httplib.
#include "program.h"

namespace program {

g4::result<int> serve(const settings&) {
  return g4::fail("serve: this program was built without what speaks HTTP; install libcpp-httplib-dev (cpp-httplib) and build ",
                  "it again");
}

}  // namespace program
