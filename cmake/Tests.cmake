# tests/<folder>/*.cpp -> executable test_<folder>, one ctest entry each.
find_package(GTest REQUIRED)

# Sanitizers name functions, and so find their suppressions, only with a symbolizer.
find_program(SLUICE_SYMBOLIZER NAMES llvm-symbolizer-19 llvm-symbolizer)
set(symbolizer "")
if(SLUICE_SYMBOLIZER)
  set(symbolizer ":external_symbolizer_path=${SLUICE_SYMBOLIZER}")
endif()
set(sanitizers ${PROJECT_SOURCE_DIR}/tests/sanitizers)

# What a test may need from outside, handed over by ctest.
set(SLUICE_TEST_ENVIRONMENT
  "SLUICE_SOURCE_DIR=${PROJECT_SOURCE_DIR}"
  "SLUICE_BIN=${SLUICE_BIN_DIR}/sluice"
  "SLUICE_TEST_MODEL=${SLUICE_THIRD_PARTY_model}"
  "SLUICE_SCHEMA_SUITE=${SLUICE_THIRD_PARTY_schema_suite}"
  "SLUICE_MCP_SERVERS=${SLUICE_THIRD_PARTY_mcp_servers}"
  "SLUICE_OPENAI_JS=${SLUICE_THIRD_PARTY_openai_js}"
  "ASAN_OPTIONS=detect_stack_use_after_return=1${symbolizer}"
  "LSAN_OPTIONS=suppressions=${sanitizers}/lsan.supp:print_suppressions=0"
  "UBSAN_OPTIONS=print_stacktrace=1${symbolizer}"
  "TSAN_OPTIONS=suppressions=${sanitizers}/tsan.supp:halt_on_error=1${symbolizer}")
set(SLUICE_TEST_RESULTS ${CMAKE_BINARY_DIR}/test-results)

# Seconds before ctest kills a test executable; sanitizers are slower.
set(SLUICE_TEST_TIMEOUT 300)
if(SLUICE_SANITIZER)
  set(SLUICE_TEST_TIMEOUT 1500)
endif()

# One ctest entry with the environment above; `make test` counts the cases in its XML results.
function(sluice_add_test name)
  add_test(NAME ${name} COMMAND ${ARGN} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${SLUICE_TEST_TIMEOUT}
    ENVIRONMENT "${SLUICE_TEST_ENVIRONMENT};GTEST_OUTPUT=xml:${SLUICE_TEST_RESULTS}/${name}.xml")
endfunction()

# The folder of src/ that a test folder of another name is about.
set(SLUICE_TESTED_BY_sim simulate)
set(SLUICE_TESTED_BY_laws simulate)

# A test folder that mirrors a folder of src/ links that; any other links all of them.
function(sluice_test folder)
  sluice_glob(sources "${PROJECT_SOURCE_DIR}/tests/${folder}")
  if(NOT sources)
    return()
  endif()
  if(folder IN_LIST SLUICE_FOLDERS AND TARGET sluice_${folder})
    set(links sluice_${folder})
  elseif(DEFINED SLUICE_TESTED_BY_${folder})
    set(links sluice_${SLUICE_TESTED_BY_${folder}})
  else()
    set(links ${SLUICE_FOLDERS})
    if(NOT SLUICE_WITH_ENGINE)
      list(REMOVE_ITEM links engine)
    endif()
    list(TRANSFORM links PREPEND sluice_)
  endif()
  add_executable(test_${folder} ${sources})
  target_include_directories(test_${folder} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(test_${folder} PRIVATE ${links} GTest::gmock GTest::gtest GTest::gtest_main)
  sluice_add_test(${folder} test_${folder} --gtest_brief=1)
endfunction()

file(GLOB folders CONFIGURE_DEPENDS LIST_DIRECTORIES true RELATIVE ${PROJECT_SOURCE_DIR}/tests
     "${PROJECT_SOURCE_DIR}/tests/*")
foreach(folder IN LISTS folders)
  if(IS_DIRECTORY ${PROJECT_SOURCE_DIR}/tests/${folder})
    sluice_test(${folder})
  endif()
endforeach()

# The laws are about passes under the run loop; of the host and the tools they need parts alone.
if(TARGET test_laws)
  file(GLOB table_query CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/tools/table_query/*.cpp)
  target_sources(test_laws PRIVATE ${PROJECT_SOURCE_DIR}/src/host/calls/shared_calls.cpp
    ${PROJECT_SOURCE_DIR}/src/host/calls/bulk_form.cpp ${PROJECT_SOURCE_DIR}/src/host/calls/kept_results.cpp
    ${table_query} ${PROJECT_SOURCE_DIR}/src/tools/sql/sql_statement.cpp
    ${PROJECT_SOURCE_DIR}/src/tools/text.cpp)
endif()

# Every file in twenty variations.
if(TARGET test_plans)
  set_tests_properties(plans PROPERTIES TIMEOUT 1500)
endif()

# 10,000 seeds and every operation of the disk take minutes.
if(TARGET test_sim)
  set_tests_properties(sim PROPERTIES TIMEOUT 1500)
endif()

# With 12,000 cases of the attention op and 200 greedy texts.
if(TARGET test_engine)
  set_tests_properties(engine PROPERTIES TIMEOUT 3600)
endif()

# These compute on all cores: beside another test their threads would wait for each other most of the time.
foreach(test IN ITEMS engine contract)
  if(TARGET test_${test})
    set_tests_properties(${test} PROPERTIES PROCESSORS 2)
  endif()
endforeach()

# ggml's own cases of the attention op, against our kernel.
if(SLUICE_WITH_ENGINE)
  set(ggml_cases ${SLUICE_THIRD_PARTY_${llama}}/share/ggml_tests/test-backend-ops.cpp)
  add_executable(ggml_op_cases ${ggml_cases} tests/engine/attention/ggml_ops/main.cpp)
  set_source_files_properties(${ggml_cases} PROPERTIES
    COMPILE_OPTIONS "-w;-fno-sanitize=undefined"  # ggml's code, as it is
    COMPILE_DEFINITIONS main=ggml_op_cases_main)
  target_link_libraries(ggml_op_cases PRIVATE sluice_engine)
  sluice_add_test(ggml_op_cases ggml_op_cases)
  set_tests_properties(ggml_op_cases PROPERTIES PROCESSORS 2 TIMEOUT 3600)  # all take 20 minutes
endif()

# The checks over our own sources.
sluice_add_test(tidy ${SLUICE_PYTHON} tests/tidy/test_check_sources.py
                ${SLUICE_TEST_RESULTS}/tidy.xml)

# The scripts that fetch and build third-party code.
sluice_add_test(setup ${SLUICE_PYTHON} tests/setup/test_third_party.py
                ${SLUICE_TEST_RESULTS}/setup.xml)

# pytest with the real binary, the real model and real servers.
# Those of durability kill, fill and damage; they are an entry of their own, with time for 200 kills.
set(e2e_durable test_durable test_store_faults test_old_journals test_kill)
list(TRANSFORM e2e_durable REPLACE "(.+)" "tests/e2e/\\1.py")
# Those of the server are one too: clients of two languages, 10,000 connections.
set(e2e_serve test_serve test_serve_faults test_serve_js test_serve_soak)
list(TRANSFORM e2e_serve REPLACE "(.+)" "tests/e2e/\\1.py")
list(TRANSFORM e2e_durable PREPEND "--ignore=" OUTPUT_VARIABLE ignored)
list(TRANSFORM e2e_serve PREPEND "--ignore=" OUTPUT_VARIABLE ignored_serve)
list(APPEND ignored ${ignored_serve})
file(GLOB e2e CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/e2e/test_*.py")
if(e2e AND TARGET sluice)
  set(pytest ${SLUICE_THIRD_PARTY_pytest} -m pytest -q -p no:cacheprovider)
  sluice_add_test(e2e ${pytest} tests/e2e ${ignored}
                  --junitxml=${SLUICE_TEST_RESULTS}/e2e.xml)
  sluice_add_test(e2e_durable ${pytest} ${e2e_durable}
                  --junitxml=${SLUICE_TEST_RESULTS}/e2e_durable.xml)
  sluice_add_test(e2e_serve ${pytest} ${e2e_serve}
                  --junitxml=${SLUICE_TEST_RESULTS}/e2e_serve.xml)
  set_tests_properties(e2e e2e_durable e2e_serve PROPERTIES RUN_SERIAL ON)
  set_tests_properties(e2e_durable PROPERTIES TIMEOUT 1500)
endif()
