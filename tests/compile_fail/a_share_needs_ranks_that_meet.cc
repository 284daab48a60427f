// A rank's share of a model on a backend that knows of no other rank.
// expect: g4: a rank's share of a model runs on a backend that meets the other ranks: backend::joined<B, C>. See backend/joined.h.
#include "g4/backend/joined.h"
#include "g4/backend/reference.h"
#include "g4/comm/threads.h"
#include "g4/model/sharded.h"
#include "g4/model/stack/share.h"
#include "g4/variants/gemma3_270m.h"

using namespace g4;

using share = sharded<gemma3_270m, tensor_parallel<2>>;
#ifdef G4_WRONG
using machine = backend::reference<float>;
#else
using machine = backend::joined<backend::reference<float>, comm::thread_rank>;
#endif
void close(pass<machine>& p, const matrix<320, 1024>& w, rows<512, float> x, rows<640, float> y) {
  close_branch<share>(p, w, x, y);
}
