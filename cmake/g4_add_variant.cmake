# g4_add_variant(NAME CONFIG config.json)
#
# Turns the config.json of any model of the family into a variant while the host builds. Makes the target NAME, whose
# header is "NAME.h" and holds `struct NAME : g4::transformer<…> {}`:
#
#     g4_add_variant(my_gemma CONFIG models/my_gemma/config.json)
#     target_link_libraries(app PRIVATE my_gemma g4::cpu)
#
# A key that changes the arithmetic and is not known is an error of the build, with a sentence that names it.
function(g4_add_variant name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "CONFIG" "")
  if(NOT arg_CONFIG OR arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "g4_add_variant: the form is g4_add_variant(NAME CONFIG config.json)")
  endif()
  if(NOT name MATCHES "^[a-z_][a-z0-9_]*$")
    message(FATAL_ERROR "g4_add_variant: '${name}' becomes a C++ type; use lower case letters, digits and _")
  endif()
  get_filename_component(config "${arg_CONFIG}" ABSOLUTE)
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/g4_variants")
  set(header "${folder}/${name}.h")
  file(MAKE_DIRECTORY "${folder}")
  add_custom_command(OUTPUT "${header}"
    COMMAND g4::variant-header --name ${name} --output "${header}" "${config}"
    DEPENDS "${config}" g4::variant-header
    COMMENT "Making variant ${name} from ${arg_CONFIG}"
    VERBATIM)
  add_library(${name} INTERFACE "${header}")
  target_include_directories(${name} INTERFACE "${folder}")
  target_link_libraries(${name} INTERFACE g4::g4)
  add_custom_target(${name}_header DEPENDS "${header}")
  add_dependencies(${name} ${name}_header)
endfunction()
