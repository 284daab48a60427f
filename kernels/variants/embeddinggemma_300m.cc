// Compiled ahead of time for hosts; g4/generate/prebuilt_embedder.h promises it to them.
#include "g4/variants/embeddinggemma_300m.h"

#include <memory>

#include "g4/backend/cpu.h"
#include "g4/generate/open_embedder.h"

template g4::result<std::unique_ptr<g4::any_embedder>> g4::open_embedder_as<g4::embeddinggemma_300m>(
    const g4::checkpoint&, g4::backend::cpu&, std::size_t, const g4::open_options&);
