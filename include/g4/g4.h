/// Gemma models as C++ types: everything a host needs but a backend.
///
///     #include <g4/backend/cpu.h>             // the fast kernels: link g4::cpu
///     #include <g4/g4.h>
///     #include <g4/variants/gemma3_270m.h>
///
///     g4::backend::cpu on;
///     auto model = g4::open<g4::gemma3_270m>("gemma-3-270m-q4_k_m.gguf", on);
///     if (!model) return complain(model.error().message);
///     auto session = model->session({.context = 4096});
///     g4::generate(*session, model->tokenizer(), "The three laws of thermodynamics are", {.max_tokens = 100},
///                  [](std::string_view piece) { std::cout << piece << std::flush; });
#pragma once

#include "g4/core/result.h"
#include "g4/generate/generate.h"
#include "g4/generate/lookup.h"
#include "g4/generate/speculate.h"
#include "g4/model/text/session.h"
#include "g4/model/transformer.h"
#include "g4/open/open.h"
#include "g4/sample/sampler.h"
#include "g4/text/chat.h"
#include "g4/text/tokenizer.h"
