/// Whether a program was started several times over.
#pragma once

#include <cstdlib>
#include <initializer_list>

namespace g4::comm {

/// How many processes a launcher says it has started, by the variables that it sets; 1 where there is none. A program that
/// does not reach the others should refuse more than one: all of them would answer.
[[nodiscard]] inline int processes_started() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    if (const char* said = std::getenv(name); said != nullptr && std::atoi(said) > 1) return std::atoi(said);
  }
  return 1;
}

/// Which of them this is, from 0, by the same word.
[[nodiscard]] inline int number_among_processes() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMI_RANK"}) {
    if (const char* said = std::getenv(name); said != nullptr) return std::atoi(said);
  }
  return 0;
}

}  // namespace g4::comm
