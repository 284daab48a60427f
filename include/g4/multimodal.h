/// Models that see and hear: what a host needs beside `g4/g4.h`.
///
///     #include <g4/backend/cpu.h>             // the fast kernels: link g4::cpu
///     #include <g4/g4.h>
///     #include <g4/multimodal.h>
///     #include <g4/variants/gemma4_12b.h>
///
///     auto model = g4::open<g4::gemma4_12b>(folder, on);
///     auto cat = model->see({rgb, height, width});
///     auto prompt = model->prompt({{.said = {"What is this? ", *cat}}});
///     auto session = model->session({.context = 4096, .batch = 512});   // a picture must fit into a batch
///     g4::generate(*session, model->tokenizer(), *prompt, {.max_tokens = 100}, print);
#pragma once

#include "g4/generate/multimodal_model.h"
