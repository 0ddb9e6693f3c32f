# Compiler, warnings and sanitizers for our own code. Third-party headers are SYSTEM and stay silent.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
# No NDEBUG: there is no assert in our code that a release build should drop.
set(CMAKE_CXX_FLAGS_RELEASE "-O2")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g")
set(SLUICE_SANITIZER "" CACHE STRING "empty, asan (with UBSan) or tsan")
option(SLUICE_WERROR "Treat warnings in our own code as errors" ON)

if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang" OR CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19)
  message(FATAL_ERROR "Sluice is built with clang 19 or newer, and CMake found "
    "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}. "
    "Run scripts/install_packages.sh, then configure with a preset: cmake --preset release")
endif()

find_program(SLUICE_CCACHE ccache)
if(SLUICE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Paths below the checkout count as relative, so that a second checkout finds what the first compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}
      CCACHE_NOHASHDIR=1 ${SLUICE_CCACHE})
endif()

if(SLUICE_SANITIZER STREQUAL "asan")
  set(sanitize -fsanitize=address,undefined -fno-sanitize-recover=all)
  set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1 -fno-omit-frame-pointer")
elseif(SLUICE_SANITIZER STREQUAL "tsan")
  set(sanitize -fsanitize=thread)
  set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1 -fno-omit-frame-pointer")
elseif(NOT SLUICE_SANITIZER STREQUAL "")
  message(FATAL_ERROR "SLUICE_SANITIZER is '${SLUICE_SANITIZER}', but only asan and tsan exist")
endif()

add_library(sluice_flags INTERFACE)
target_include_directories(sluice_flags INTERFACE ${PROJECT_SOURCE_DIR}/src)
target_compile_definitions(sluice_flags INTERFACE SLUICE_VERSION="${PROJECT_VERSION}")
target_compile_options(sluice_flags INTERFACE
  -stdlib=libstdc++ -fdiagnostics-color -Wall -Wextra -Wpedantic -Wshadow -Wconversion
  -Wno-sign-conversion -Wno-missing-designated-field-initializers
  $<$<BOOL:${SLUICE_WERROR}>:-Werror> ${sanitize})
target_link_options(sluice_flags INTERFACE -stdlib=libstdc++ -fuse-ld=lld ${sanitize})
find_package(Threads REQUIRED)
target_link_libraries(sluice_flags INTERFACE Threads::Threads)
