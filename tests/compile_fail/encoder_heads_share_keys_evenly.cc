// Four query heads over three key/value heads.
// expect: g4: the query heads of encoder<...> must share its key/value heads evenly: query % key_value == 0. See num_key_value_heads in vision_config.
#include "g4/model/tower/tower.h"

using namespace g4;

struct tried : tower<
    picture::any_aspect{.side = 12}, patches{.side = 4}, embed::linear<width{32}>,
#ifdef G4_WRONG
    encoder<layers{2}, norm::sandwich<plain_weight>,
            attention<heads{4, 3}, head{8}, unscaled>,
            feed::gated<gelu_tanh, hidden{16}>>,
#else
    encoder<layers{2}, norm::sandwich<plain_weight>,
            attention<heads{4, 2}, head{8}, unscaled>,
            feed::gated<gelu_tanh, hidden{16}>>,
#endif
    mean_pooled{.side = 3}, into_text<norm::unweighted>> {};
static_assert(Tower<tried>);
