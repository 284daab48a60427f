# Headers, compiled libraries and the files find_package(g4) reads. Sources of compiled targets are not installed.
include(CMakePackageConfigHelpers)
set(g4_config_folder "${CMAKE_INSTALL_LIBDIR}/cmake/g4")

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/g4" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.h" PATTERN "*.inl")
if(G4_KERNELS)
  install(DIRECTORY "${PROJECT_SOURCE_DIR}/kernels" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/g4-kernels"
          FILES_MATCHING PATTERN "*.h" PATTERN "cuda" EXCLUDE)
  get_target_property(g4_highway_is_imported hwy::hwy IMPORTED)
  if(NOT g4_highway_is_imported)                        # fetched: it goes along as g4::hwy
    list(APPEND g4_libraries hwy)
    add_custom_target(g4_highway ALL DEPENDS hwy)
    install(DIRECTORY "$<TARGET_PROPERTY:hwy,SOURCE_DIR>/hwy" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
            FILES_MATCHING PATTERN "*.h")
  endif()
endif()

install(TARGETS ${g4_libraries} EXPORT g4-targets
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
install(EXPORT g4-targets NAMESPACE g4:: DESTINATION "${g4_config_folder}")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/g4-config.cmake.in" "${PROJECT_BINARY_DIR}/g4-config.cmake"
                              INSTALL_DESTINATION "${g4_config_folder}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/g4-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/g4-config.cmake" "${PROJECT_BINARY_DIR}/g4-config-version.cmake"
              "${PROJECT_SOURCE_DIR}/cmake/g4_add_variant.cmake"
        DESTINATION "${g4_config_folder}")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
