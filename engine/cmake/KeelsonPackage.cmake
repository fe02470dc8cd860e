# What `cmake --install` leaves beside the libraries and headers: a package that find_package finds.
include_guard(GLOBAL)
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(KEELSON_PACKAGE_FOLDER ${CMAKE_INSTALL_LIBDIR}/cmake/keelson)

configure_package_config_file(
  ${CMAKE_CURRENT_LIST_DIR}/keelsonConfig.cmake.in ${PROJECT_BINARY_DIR}/keelsonConfig.cmake
  INSTALL_DESTINATION ${KEELSON_PACKAGE_FOLDER})
# Before 1.0 every minor version may change the API.
write_basic_package_version_file(
  ${PROJECT_BINARY_DIR}/keelsonConfigVersion.cmake COMPATIBILITY SameMinorVersion)

install(FILES ${PROJECT_BINARY_DIR}/keelsonConfig.cmake
              ${PROJECT_BINARY_DIR}/keelsonConfigVersion.cmake
        DESTINATION ${KEELSON_PACKAGE_FOLDER})
install(EXPORT keelson-targets NAMESPACE keelson:: DESTINATION ${KEELSON_PACKAGE_FOLDER})
