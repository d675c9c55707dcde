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

# concord_library(NAME FOLDER [WHOLE] [EXCEPT FOLDER...] LINKS ...): every .cpp under FOLDER becomes the
# archive NAME. Files are found by pattern: adding an operation edits no CMake file.
#
# WHOLE: programs link every object of the archive. Kernels register themselves by static
# initialisers (kernels/kernel.h), and a linker drops the objects of an archive that nobody names.
function(concord_library NAME FOLDER)
  cmake_parse_arguments(ARG "WHOLE" "" "EXCEPT;LINKS" ${ARGN})
  file(GLOB_RECURSE SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${FOLDER}/*.cpp)
  foreach(EXCEPTED ${ARG_EXCEPT})
    list(FILTER SOURCES EXCLUDE REGEX "/${EXCEPTED}/")
  endforeach()
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

# build/bin/libconcord_cuda.so: kernels/cuda, by nvcc, which kernels/device.cpp loads. What it uses of
# kernels/ is that of the program (hence its exported symbols). The objects by themselves are for
# tests/cuda, which asks them what no program can.
function(concord_cuda_module)
  file(GLOB SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/cuda/*.cu
       ${PROJECT_SOURCE_DIR}/kernels/cuda/ladder/*.cu ${PROJECT_SOURCE_DIR}/kernels/cuda/*.cpp)
  add_library(concord_cuda_objects OBJECT ${SOURCES})
  set_target_properties(concord_cuda_objects PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_include_directories(concord_cuda_objects SYSTEM PUBLIC ${CUDNN_INCLUDE_DIR})
  target_link_libraries(concord_cuda_objects PUBLIC concord_flags fmt::fmt CUDA::cudart CUDA::cublas
                                                    CUDA::cublasLt ${CUDNN_LIBRARY})
  add_library(concord_cuda MODULE $<TARGET_OBJECTS:concord_cuda_objects>)
  set_target_properties(concord_cuda PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin
                                                LINKER_LANGUAGE CUDA)
  target_link_libraries(concord_cuda PRIVATE fmt::fmt CUDA::cudart CUDA::cublas CUDA::cublasLt
                                             ${CUDNN_LIBRARY})
endfunction()

# A program that can load the CUDA module, which is built before it.
function(concord_loads_modules NAME)
  set_target_properties(${NAME} PROPERTIES ENABLE_EXPORTS ON)
  target_link_libraries(${NAME} PRIVATE ${CMAKE_DL_LIBS})
  if(CONCORD_HAS_CUDA)
    add_dependencies(${NAME} concord_cuda)
  endif()
endfunction()

# concord_program(NAME SOURCE): build/bin/NAME from tools/SOURCE.
function(concord_program NAME SOURCE)
  add_executable(${NAME} ${SOURCE})
  concord_loads_modules(${NAME})
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
  concord_loads_modules(${NAME})
  target_link_libraries(${NAME} PRIVATE ${ARG_LINKS} GTest::gtest_main)
  gtest_discover_tests(${NAME} DISCOVERY_TIMEOUT 120 PROPERTIES TIMEOUT 900)
endfunction()

# simt_tests: tests/device and tests/simt with kernels/cuda compiled as C++ for the host
# (kernels/simt/runner.h), always under AddressSanitizer and UBSan; the code of the libraries it links
# is not instrumented. What calls CUDA's libraries has a stand-in in kernels/simt.
function(concord_simt_tests)
  set(ROOT ${PROJECT_SOURCE_DIR})
  file(GLOB KERNELS CONFIGURE_DEPENDS ${ROOT}/kernels/cuda/*.cu ${ROOT}/kernels/cuda/ladder/*.cu)
  file(GLOB SOURCES CONFIGURE_DEPENDS ${ROOT}/kernels/simt/*.cpp ${ROOT}/tests/simt/*_test.cpp
       ${ROOT}/tests/device/*_test.cpp)
  find_package(Boost REQUIRED COMPONENTS context)
  # Of this folder's targets: the CUDA module compiles the same files by nvcc.
  set_source_files_properties(${KERNELS} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-x;c++")
  add_executable(simt_tests ${KERNELS} ${SOURCES})
  target_compile_definitions(simt_tests PRIVATE CONCORD_SIMT)
  target_compile_options(simt_tests PRIVATE -fsanitize=address,undefined -fno-sanitize-recover=all -g1 -O1)
  target_link_options(simt_tests PRIVATE -fsanitize=address,undefined)
  target_link_libraries(simt_tests PRIVATE concord_tool_common Boost::context GTest::gtest_main)
  gtest_discover_tests(simt_tests DISCOVERY_TIMEOUT 120 TEST_PREFIX "simt." PROPERTIES TIMEOUT 900)
endfunction()

# concord_cuda_tests(NAME FOLDER): tests/FOLDER with kernels/cuda linked in, for what goes wrong in calls
# of CUDA's libraries. They need no GPU. Only where the module is built.
function(concord_cuda_tests NAME FOLDER)
  file(GLOB SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${FOLDER}/*.cpp)
  add_executable(${NAME} ${SOURCES} $<TARGET_OBJECTS:concord_cuda_objects>)
  set_target_properties(${NAME} PROPERTIES LINKER_LANGUAGE CXX)
  target_include_directories(${NAME} SYSTEM PRIVATE ${CUDNN_INCLUDE_DIR})
  target_link_libraries(${NAME} PRIVATE concord_engine GTest::gtest_main CUDA::cudart CUDA::cublas
                                        CUDA::cublasLt ${CUDNN_LIBRARY} ${CMAKE_DL_LIBS})
  gtest_discover_tests(${NAME} DISCOVERY_TIMEOUT 120 TEST_PREFIX "cuda." PROPERTIES TIMEOUT 900)
endfunction()
