// Halves of three numbers, which are no pairs.
// expect: g4: rope_2d turns pairs of numbers in each half of a head, so the head size must be a multiple of 4. See head_dim in vision_config.
#include "g4/model/tower/tower.h"

using namespace g4;

struct tried : tower<
    picture::any_aspect{.side = 12}, patches{.side = 4}, embed::linear<width{32}>,
#ifdef G4_WRONG
    encoder<layers{2}, norm::sandwich<plain_weight>,
            attention<heads{4, 2}, head{6}, unscaled, rope_2d{}>,
            feed::gated<gelu_tanh, hidden{16}>>,
#else
    encoder<layers{2}, norm::sandwich<plain_weight>,
            attention<heads{4, 2}, head{8}, unscaled, rope_2d{}>,
            feed::gated<gelu_tanh, hidden{16}>>,
#endif
    mean_pooled{.side = 3}, into_text<norm::unweighted>> {};
static_assert(Tower<tried>);
