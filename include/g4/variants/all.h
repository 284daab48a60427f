/// Every released variant. Including this compiles all of them; a host that runs one includes that one.
#pragma once

#include "g4/model/one_of.h"
#include "g4/variants/embeddinggemma_300m.h"
#include "g4/variants/gemma3_12b.h"
#include "g4/variants/gemma3_1b.h"
#include "g4/variants/gemma3_270m.h"
#include "g4/variants/gemma3_27b.h"
#include "g4/variants/gemma3_4b.h"
#include "g4/variants/gemma3n_e2b.h"
#include "g4/variants/gemma3n_e4b.h"
#include "g4/variants/gemma4_12b.h"
#include "g4/variants/gemma4_12b_assistant.h"
#include "g4/variants/gemma4_26b_a4b.h"
#include "g4/variants/gemma4_26b_a4b_assistant.h"
#include "g4/variants/gemma4_31b.h"
#include "g4/variants/gemma4_31b_assistant.h"
#include "g4/variants/gemma4_e2b.h"
#include "g4/variants/gemma4_e2b_assistant.h"
#include "g4/variants/gemma4_e4b.h"
#include "g4/variants/gemma4_e4b_assistant.h"

namespace g4 {

/// Models that answer: decoders, smallest first within a generation; of those that also see or hear, the text.
using all_variants = one_of<gemma3_270m, gemma3_1b, gemma3_4b::text, gemma3_12b::text, gemma3_27b::text,
                            gemma3n_e2b::text, gemma3n_e4b::text, gemma4_e2b::text, gemma4_e4b::text, gemma4_12b::text,
                            gemma4_26b_a4b::text, gemma4_31b::text>;

/// Those of them that also see or hear, whole.
using all_multimodal = one_of<gemma3_4b, gemma3_12b, gemma3_27b, gemma3n_e2b, gemma3n_e4b, gemma4_e2b, gemma4_e4b,
                              gemma4_12b, gemma4_26b_a4b, gemma4_31b>;

/// Models that draft for them.
using all_drafters = one_of<gemma4_e2b_assistant, gemma4_e4b_assistant, gemma4_12b_assistant, gemma4_26b_a4b_assistant,
                            gemma4_31b_assistant>;

/// Models that give a text a place among others.
using all_embedders = one_of<embeddinggemma_300m>;

}  // namespace g4
