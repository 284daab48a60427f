/// Every released text embedder on the cpu backend, compiled ahead of time. Link `g4::variants`.
#pragma once

#include <cstddef>
#include <memory>

#include "g4/backend/cpu.h"
#include "g4/core/result.h"
#include "g4/generate/open_embedder.h"
#include "g4/variants/embeddinggemma_300m.h"

namespace g4 {

extern template result<std::unique_ptr<any_embedder>> open_embedder_as<embeddinggemma_300m>(const checkpoint&,
                                                                                            backend::cpu&, std::size_t,
                                                                                            const open_options&);

}  // namespace g4
