// A soft cap, which an encoder does not have.
// expect: g4: encoder<...> takes layers{...}, norm::sandwich<plain_weight> or norm::before<norm::layer>, attention<...>, feed::gated<...> or feed::plain<...>, biased, clipped_linears and nothing else: see policy/encoder.h.
#include "g4/model/tower/tower.h"

using namespace g4;

struct tried : tower<
    picture::any_aspect{.side = 12}, patches{.side = 4}, embed::linear<width{32}>,
#ifdef G4_WRONG
    encoder<layers{2}, norm::sandwich<plain_weight>,
            attention<heads{4, 2}, head{8}, unscaled>,
            feed::gated<gelu_tanh, hidden{16}>, score_cap{50}>,
#else
    encoder<layers{2}, norm::sandwich<plain_weight>,
            attention<heads{4, 2}, head{8}, unscaled>,
            feed::gated<gelu_tanh, hidden{16}>>,
#endif
    mean_pooled{.side = 3}, into_text<norm::unweighted>> {};
static_assert(Tower<tried>);
