// The program for cases without a model.
#include "conformance/runner/engine.h"

namespace g4::conformance {

model_unit this_unit() { return {}; }

}  // namespace g4::conformance
