# Sources named *_avx512.cpp and *_avx2.cpp are compiled for that instruction set, whatever the rest is
# compiled for; the program chooses among them when it runs. The second is kept from AVX-512, so that
# what a lesser machine runs can be measured and tested on this one.
function(concord_instruction_sets)
  if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    return()
  endif()
  foreach(SOURCE ${ARGN})
    if(SOURCE MATCHES "_avx512\\.cpp$")
      set_source_files_properties(${SOURCE} PROPERTIES COMPILE_OPTIONS
                                  "-mavx512f;-mavx512vl;-mavx512dq;-mavx512bw;-mfma")
    elseif(SOURCE MATCHES "_avx2\\.cpp$")
      set_source_files_properties(${SOURCE} PROPERTIES COMPILE_OPTIONS "-mno-avx512f;-mavx2;-mfma")
    endif()
  endforeach()
endfunction()

# concord_library(NAME FOLDER [WHOLE] LINKS ...): every .cpp under FOLDER becomes the archive NAME.
# Files are found by pattern: adding an operation edits no CMake file.
#
# WHOLE: programs link every object of the archive. Kernels register themselves by static
# initialisers (kernels/kernel.h), and a linker drops the objects of an archive that nobody names.
function(concord_library NAME FOLDER)
  cmake_parse_arguments(ARG "WHOLE" "" "LINKS" ${ARGN})
  file(GLOB_RECURSE SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${FOLDER}/*.cpp)
  concord_instruction_sets(${SOURCES})
  add_library(${NAME}_archive STATIC ${SOURCES})
  target_link_libraries(${NAME}_archive PUBLIC concord_flags ${ARG_LINKS})
  add_library(${NAME} INTERFACE)
  if(ARG_WHOLE)
    target_link_libraries(${NAME} INTERFACE "$<LINK_LIBRARY:WHOLE_ARCHIVE,${NAME}_archive>"
                                            concord_flags ${ARG_LINKS})
  else()
    target_link_libraries(${NAME} INTERFACE ${NAME}_archive)
  endif()
endfunction()

# concord_program(NAME SOURCE): build/bin/NAME from tools/SOURCE.
function(concord_program NAME SOURCE)
  add_executable(${NAME} ${SOURCE})
  target_link_libraries(${NAME} PRIVATE concord_tool_common)
endfunction()

# concord_tests(NAME FOLDER LINKS ...): every *_test.cpp under tests/FOLDER becomes one test program.
function(concord_tests NAME FOLDER)
  cmake_parse_arguments(ARG "" "" "LINKS" ${ARGN})
  file(GLOB_RECURSE SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${FOLDER}/*_test.cpp)
  if(NOT SOURCES)
    return()
  endif()
  add_executable(${NAME} ${SOURCES})
  target_link_libraries(${NAME} PRIVATE ${ARG_LINKS} GTest::gtest_main)
  gtest_discover_tests(${NAME} DISCOVERY_TIMEOUT 120 PROPERTIES TIMEOUT 900)
endfunction()
