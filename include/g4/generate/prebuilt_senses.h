/// The towers of every released model on the cpu backend, compiled ahead of time: beside `g4/open/prebuilt.h`, which has
/// their texts. Link `g4::variants`.
#pragma once

#include <memory>
#include <string>

#include "g4/backend/cpu.h"
#include "g4/core/result.h"
#include "g4/generate/open_senses.h"
#include "g4/variants/all.h"

namespace g4 {

using opened_senses = result<std::unique_ptr<any_senses>>;

extern template opened_senses open_senses_as<gemma3_4b>(const checkpoint&, const any_model&, backend::cpu&,
                                                        const open_options&, const std::string&);
extern template opened_senses open_senses_as<gemma3_12b>(const checkpoint&, const any_model&, backend::cpu&,
                                                         const open_options&, const std::string&);
extern template opened_senses open_senses_as<gemma3_27b>(const checkpoint&, const any_model&, backend::cpu&,
                                                         const open_options&, const std::string&);
extern template opened_senses open_senses_as<gemma3n_e2b>(const checkpoint&, const any_model&, backend::cpu&,
                                                          const open_options&, const std::string&);
extern template opened_senses open_senses_as<gemma3n_e4b>(const checkpoint&, const any_model&, backend::cpu&,
                                                          const open_options&, const std::string&);
extern template opened_senses open_senses_as<gemma4_e2b>(const checkpoint&, const any_model&, backend::cpu&,
                                                         const open_options&, const std::string&);
extern template opened_senses open_senses_as<gemma4_e4b>(const checkpoint&, const any_model&, backend::cpu&,
                                                         const open_options&, const std::string&);
extern template opened_senses open_senses_as<gemma4_12b>(const checkpoint&, const any_model&, backend::cpu&,
                                                         const open_options&, const std::string&);
extern template opened_senses open_senses_as<gemma4_26b_a4b>(const checkpoint&, const any_model&, backend::cpu&,
                                                             const open_options&, const std::string&);
extern template opened_senses open_senses_as<gemma4_31b>(const checkpoint&, const any_model&, backend::cpu&,
                                                         const open_options&, const std::string&);

}  // namespace g4
