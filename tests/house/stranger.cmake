# Builds tests/house/stranger by one route and runs what it built.
#   cmake -D ROUTE=find_package|subdirectory|fetch -D G4_SOURCE=… -D G4_BINARY=… -D WORK=… [-D CXX=…] [-D HIGHWAY=…] [-D CUDA=ON] [-D WITHOUT_KERNELS=ON] -P stranger.cmake
cmake_minimum_required(VERSION 3.24)

function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE status OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(NOT status EQUAL 0)
    string(REPLACE ";" " " command "${ARGV}")
    message(FATAL_ERROR "${ROUTE}: ${command}\nended with ${status}:\n${out}")
  endif()
endfunction()

file(REMOVE_RECURSE "${WORK}")
set(flags -D CMAKE_BUILD_TYPE=Release -D "CMAKE_CXX_COMPILER=${CXX}" -D ROUTE=${ROUTE} -D "G4_SOURCE=${G4_SOURCE}")
if(ROUTE STREQUAL "find_package")
  run("${CMAKE_COMMAND}" --install "${G4_BINARY}" --prefix "${WORK}/prefix")
  list(APPEND flags -D "CMAKE_PREFIX_PATH=${WORK}/prefix")
else()                                                  # the kernels for one instruction set only, to be quick
  list(APPEND flags "-DCMAKE_CXX_FLAGS=-DHWY_COMPILE_ONLY_STATIC -O1" -D CMAKE_CXX_FLAGS_RELEASE=)
  if(HIGHWAY)
    list(APPEND flags -D "FETCHCONTENT_SOURCE_DIR_HIGHWAY=${HIGHWAY}")
  endif()
endif()

run("${CMAKE_COMMAND}" -S "${CMAKE_CURRENT_LIST_DIR}/stranger" -B "${WORK}/build" ${flags})
run("${CMAKE_COMMAND}" --build "${WORK}/build" -j 2)
set(programs headers_only with_own_variant)
if(CUDA)
  list(APPEND programs on_a_gpu)
endif()
if(NOT ROUTE STREQUAL "fetch" AND NOT WITHOUT_KERNELS)
  list(APPEND programs with_kernels with_inline_kernels)
endif()
foreach(program IN LISTS programs)
  run("${WORK}/build/${program}")
endforeach()

if(ROUTE STREQUAL "find_package")                       # compiled sources stay at home
  file(GLOB_RECURSE sources "${WORK}/prefix/*.cc")
  if(sources)
    message(FATAL_ERROR "sources were installed: ${sources}")
  endif()
  file(GLOB_RECURSE licence "${WORK}/prefix/*/LICENSE")  # and what goes out goes with its terms
  if(NOT licence)
    message(FATAL_ERROR "no LICENSE was installed")
  endif()
endif()
file(REMOVE_RECURSE "${WORK}")
