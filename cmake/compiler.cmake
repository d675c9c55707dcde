# Language level, optimisation and warnings that hold for all of Concord's own code.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
# No -ffast-math: NaN must stay visible and a sum must keep its order, so that a seed fixes the bits.
# -fno-math-errno changes no value: it lets std::sqrt become the instruction.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -ftree-vectorize -fno-math-errno")

add_library(concord_flags INTERFACE)
target_compile_options(
  concord_flags
  INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow;-Werror>
            # -Wpedantic would be about the code that nvcc generates.
            $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra,-Wshadow,-Werror;--Werror=all-warnings;-lineinfo>)
# fmt 9 takes constexpr from nvcc, as early ones had none, and cannot check its format strings then.
target_compile_definitions(concord_flags INTERFACE $<$<COMPILE_LANGUAGE:CUDA>:FMT_USE_CONSTEXPR=1>)
target_include_directories(concord_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(concord_flags INTERFACE CONCORD_VERSION="${PROJECT_VERSION}")
if(CONCORD_NATIVE)
  target_compile_options(concord_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-march=native>)
  include(CheckCXXCompilerFlag)
  check_cxx_compiler_flag(-mprefer-vector-width=512 CONCORD_HAS_VECTOR_WIDTH)
  if(CONCORD_HAS_VECTOR_WIDTH)
    target_compile_options(concord_flags
                           INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-mprefer-vector-width=512>)
  endif()
endif()
if(CONCORD_SANITIZE)
  target_compile_options(
    concord_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=address,undefined
                            -fno-sanitize-recover=undefined -g>)
  target_link_options(concord_flags INTERFACE -fsanitize=address,undefined)
endif()
