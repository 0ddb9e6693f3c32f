# bench/<name>/*.cpp -> executable bench_<name>, built only on demand.
find_package(benchmark QUIET)
find_package(TBB QUIET)

file(GLOB names CONFIGURE_DEPENDS LIST_DIRECTORIES true RELATIVE ${PROJECT_SOURCE_DIR}/bench
     "${PROJECT_SOURCE_DIR}/bench/*")
foreach(name IN LISTS names)
  sluice_glob(sources "${PROJECT_SOURCE_DIR}/bench/${name}")
  if(NOT sources)
    continue()
  endif()
  set(links ${SLUICE_FOLDERS})
  if(NOT SLUICE_WITH_ENGINE)
    list(REMOVE_ITEM links engine)
  endif()
  list(TRANSFORM links PREPEND sluice_)
  add_executable(bench_${name} EXCLUDE_FROM_ALL ${sources})
  target_include_directories(bench_${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_definitions(bench_${name} PRIVATE
    SLUICE_BENCH_DIR="${PROJECT_SOURCE_DIR}/bench/${name}")
  target_link_libraries(bench_${name} PRIVATE ${links} benchmark::benchmark TBB::tbb)
endforeach()
