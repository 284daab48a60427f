# g4_add_variant(NAME CONFIG config.json [TARGET variant])
#
# Turns the config.json (or GGUF file) of any model of the family into a variant while the host builds. Makes the target
# NAME, whose header is "NAME.h" and holds `struct NAME : g4::transformer<…> {}` in namespace g4:
#
#     g4_add_variant(my_gemma CONFIG models/my_gemma/config.json)
#     target_link_libraries(app PRIVATE my_gemma g4::cpu)
#
# A drafter is built from the type it drafts for: TARGET names one made by g4_add_variant, or one of include/g4/variants.
# A key that changes the arithmetic and is not known is an error of the build, with a sentence that names it.
# Hosts that compile for another machine set G4_VARIANT_HEADER to a g4-variant-header that runs on this one.

# The program that does it: built here from source, or installed with the libraries.
set(g4_variant_header_source "${CMAKE_CURRENT_LIST_DIR}/../tools/variant_header/main.cc")
if(NOT TARGET g4::variant-header AND EXISTS "${g4_variant_header_source}")
  add_executable(g4-variant-header "${g4_variant_header_source}")
  add_executable(g4::variant-header ALIAS g4-variant-header)
  set_target_properties(g4-variant-header PROPERTIES EXPORT_NAME variant-header
                        RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
  target_link_libraries(g4-variant-header PRIVATE g4_compiled)
  target_compile_options(g4-variant-header PRIVATE $<$<CONFIG:Release>:-Og>)        # it reads one header and ends
  if(NOT G4_INSTALL)                                    # made when a variant asks for it
    set_target_properties(g4-variant-header PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
  list(APPEND g4_libraries g4-variant-header)
endif()

function(g4_add_variant name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "CONFIG;TARGET" "")
  if(NOT arg_CONFIG OR arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "g4_add_variant: the form is g4_add_variant(NAME CONFIG config.json [TARGET variant])")
  endif()
  if(NOT name MATCHES "^[a-z_][a-z0-9_]*$")
    message(FATAL_ERROR "g4_add_variant: '${name}' becomes a C++ type; use lower case letters, digits and _")
  endif()
  get_filename_component(config "${arg_CONFIG}" ABSOLUTE)
  if(NOT EXISTS "${config}")
    message(FATAL_ERROR "g4_add_variant: ${config} is not there")
  endif()
  set(options --name ${name})
  set(libraries g4::g4)
  if(arg_TARGET AND TARGET ${arg_TARGET})
    list(APPEND options --target ${arg_TARGET} --target-header "${arg_TARGET}.h")
    list(APPEND libraries ${arg_TARGET})
  elseif(arg_TARGET)
    list(APPEND options --target ${arg_TARGET} --target-header "g4/variants/${arg_TARGET}.h")
  endif()
  if(G4_VARIANT_HEADER)
    set(program "${G4_VARIANT_HEADER}")
  else()
    set(program g4::variant-header)
  endif()
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/g4_variants")
  set(header "${folder}/${name}.h")
  file(MAKE_DIRECTORY "${folder}")
  add_custom_command(OUTPUT "${header}"
    COMMAND "${program}" ${options} --output "${header}" "${config}"
    DEPENDS "${config}" ${program}
    COMMENT "Making variant ${name} from ${arg_CONFIG}"
    VERBATIM)
  add_custom_target(${name}_header DEPENDS "${header}")
  add_library(${name} INTERFACE)
  target_include_directories(${name} INTERFACE "${folder}")
  target_link_libraries(${name} INTERFACE ${libraries})
  add_dependencies(${name} ${name}_header)
endfunction()
