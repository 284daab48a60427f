#include "this_cpu.h"

#ifdef G4_PROGRAM_TARGET
#include "hwy/targets.h"
#endif

namespace program {

g4::result<void> check_this_cpu() {
#ifdef G4_PROGRAM_TARGET
  // Highway's library is built without the program's flags, so that it looks before it needs anything.
  if ((hwy::SupportedTargets() & G4_PROGRAM_TARGET) == 0) {
    return g4::fail("this program was built for the CPU of one machine, with " G4_PROGRAM_TARGET_NAME
                    ", which this machine has not; ./run.sh builds it anew, and the preset `release` for every CPU");
  }
#endif
  return {};
}

}  // namespace program
