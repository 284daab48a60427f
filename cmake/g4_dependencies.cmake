# The header-only libraries g4::g4 stands on. The names in brackets are the Debian packages.
function(g4_require package target debian)
  if(NOT TARGET ${target})
    find_package(${package} QUIET CONFIG GLOBAL)
    if(NOT TARGET ${target})
      message(FATAL_ERROR "g4 needs ${package} and did not find it. On Debian: apt-get install ${debian}. "
                          "Elsewhere: put its install prefix on CMAKE_PREFIX_PATH.")
    endif()
  endif()
endfunction()

g4_require(Eigen3 Eigen3::Eigen libeigen3-dev)
g4_require(tl-expected tl::expected libexpected-dev)
find_package(Threads REQUIRED)
