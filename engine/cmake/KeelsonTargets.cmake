# What every Keelson target has in common.
include_guard(GLOBAL)
include(GNUInstallDirs)

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)

find_program(KEELSON_CCACHE ccache)
if(KEELSON_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${KEELSON_CCACHE})
endif()

# Warnings and sanitizers, for our own targets only.
function(keelson_compile_options target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
                                           -Woverloaded-virtual -Wunused-result)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # False alarms of g++ 12's optimizer inside std::string (GCC bugs 105329, 105651), coroutine
    # frames and, in optimized builds, inside std::variant and std::optional (80635).
    target_compile_options(${target} PRIVATE
      -Wno-restrict -Wno-stringop-overread -Wno-stringop-overflow -Wno-array-bounds
      -Wno-mismatched-new-delete $<$<NOT:$<CONFIG:Debug>>:-Wno-maybe-uninitialized>)
  endif()
  if(KEELSON_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(KEELSON_SANITIZE)
    # Undefined behaviour ends the program: else it only prints a line, and the test passes.
    target_compile_options(${target} PRIVATE -fsanitize=${KEELSON_SANITIZE}
                                             -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=${KEELSON_SANITIZE})
    if(KEELSON_SANITIZE STREQUAL thread AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
      # Boost.Asio has fences, which g++ warns that the sanitizer does not see. It sees the locks
      # and atomics that go with them.
      target_compile_options(${target} PRIVATE -Wno-tsan)
    endif()
  endif()
  if(KEELSON_BUILD_FUZZ)
    # Coverage in the libraries, which is what the fuzzers steer by; only they link libFuzzer.
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endfunction()

# keelson_library(engine): the target keelson_engine, known as keelson::engine, with headers
# included by their path from the root (`engine/store/store.h`).
function(keelson_library name)
  set(target keelson_${name})
  add_library(${target} STATIC)
  add_library(keelson::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name} VERIFY_INTERFACE_HEADER_SETS ON)
  target_compile_features(${target} PUBLIC cxx_std_23)
  target_sources(${target} PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR})
  keelson_compile_options(${target})
  install(TARGETS ${target} EXPORT keelson-targets
          FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/keelson)
endfunction()

# keelson_headers(engine FILES a.h …): public headers of a library, beside their sources.
function(keelson_headers name)
  list(TRANSFORM ARGN PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  target_sources(keelson_${name} PUBLIC FILE_SET HEADERS FILES ${ARGN})
endfunction()

# Asio is compiled in keelson::engine and Beast in keelson::http, once for all. What includes them
# and links those must be compiled alike: with two copies of Asio in a program, an error of one is
# not equal to the other's.
set(KEELSON_ASIO_DEFINITIONS BOOST_ASIO_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED)
function(keelson_use_beast target scope)
  target_compile_definitions(${target} ${scope} ${KEELSON_ASIO_DEFINITIONS}
    BOOST_BEAST_SEPARATE_COMPILATION)
endfunction()
