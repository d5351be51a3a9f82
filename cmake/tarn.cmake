# Flags and the two functions every folder uses.

option(TARN_ASAN "AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
option(TARN_TSAN "ThreadSanitizer" OFF)

add_compile_options(-Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -Wno-missing-field-initializers
                    -fno-omit-frame-pointer -fvisibility-inlines-hidden)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_compile_options(-Wthread-safety -Wno-unused-private-field)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wno-restrict)  # false positives of g++ 12 in std::string (GCC bug 105651)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND (TARN_ASAN OR TARN_TSAN))
  add_compile_options(-Wno-maybe-uninitialized -Wno-tsan)  # g++ 12 reports false ones under sanitizers
endif()
if(TARN_ASAN)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
endif()
if(TARN_TSAN)
  add_compile_options(-fsanitize=thread)
  add_link_options(-fsanitize=thread)
endif()

find_program(TARN_CCACHE ccache)
if(TARN_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${TARN_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${TARN_CCACHE})
endif()
find_program(TARN_MOLD mold)
if(TARN_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# add_module(NAME name SRCS a.cc b.cc DEPS module... LIBS third-party...)
# A folder as a static library tarn_<name>. DEPS equal the folder's row in docs/architecture.md.
function(add_module)
  cmake_parse_arguments(M "" "NAME" "SRCS;DEPS;LIBS" ${ARGN})
  foreach(src ${M_SRCS})  # TEMPORARY-GUARD
    if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${src} AND NOT EXISTS ${src})  # TEMPORARY-GUARD
      message(STATUS "skip ${M_NAME}: ${src} missing")  # TEMPORARY-GUARD
      return()  # TEMPORARY-GUARD
    endif()  # TEMPORARY-GUARD
  endforeach()  # TEMPORARY-GUARD
  add_library(tarn_${M_NAME} STATIC ${M_SRCS})
  target_include_directories(tarn_${M_NAME} PUBLIC ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/include)
  foreach(dep ${M_DEPS})
    target_link_libraries(tarn_${M_NAME} PUBLIC tarn_${dep})
  endforeach()
  target_link_libraries(tarn_${M_NAME} PUBLIC Threads::Threads PRIVATE ${M_LIBS})
endfunction()

# tarn_test(NAME name SRCS a_test.cc ... DEPS module... LIBS third-party... [TIMEOUT seconds] [LABELS ...])
# One GoogleTest program, registered with ctest as one test a suite-case.
include(GoogleTest)
function(tarn_test)
  cmake_parse_arguments(T "" "NAME;TIMEOUT" "SRCS;DEPS;LIBS;LABELS" ${ARGN})
  foreach(src ${T_SRCS})  # TEMPORARY-GUARD
    if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${src} AND NOT EXISTS ${src})  # TEMPORARY-GUARD
      message(STATUS "skip ${T_NAME}: ${src} missing")  # TEMPORARY-GUARD
      return()  # TEMPORARY-GUARD
    endif()  # TEMPORARY-GUARD
  endforeach()  # TEMPORARY-GUARD
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 300)
  endif()
  add_executable(${T_NAME} ${T_SRCS})
  target_include_directories(${T_NAME} PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/include)
  foreach(dep ${T_DEPS})
    target_link_libraries(${T_NAME} PRIVATE tarn_${dep})
  endforeach()
  target_link_libraries(${T_NAME} PRIVATE ${T_LIBS} GTest::gtest_main GTest::gmock)
  gtest_discover_tests(${T_NAME} TEST_PREFIX ${T_NAME}. DISCOVERY_TIMEOUT 60
                       PROPERTIES TIMEOUT ${T_TIMEOUT} LABELS "${T_LABELS}")
endfunction()
