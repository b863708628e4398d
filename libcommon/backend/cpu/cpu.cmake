# The cpu backend: its op files once, one of them with the products of oneDNN or the other with its own; its kernels once
# a level of instructions. The level is chosen when the backend opens, so that one build runs everywhere; nothing is ever
# tuned for the machine that builds.
set(CPU_DIR ${CMAKE_CURRENT_LIST_DIR})
file(GLOB CPU_SOURCES CONFIGURE_DEPENDS ${CPU_DIR}/*.c)
if(GPTPIPE_DNNL)
  list(FILTER CPU_SOURCES EXCLUDE REGEX "/matmul_own\\.c$")
  target_link_libraries(gptpipe_packages INTERFACE DNNL::dnnl)
else()
  list(FILTER CPU_SOURCES EXCLUDE REGEX "/matmul_dnnl\\.c$")
endif()
file(GLOB CPU_KERNELS CONFIGURE_DEPENDS ${CPU_DIR}/simd/*.c)
# backend/sample.h, backend/weight_encode.h: the same bits, whether or not a processor adds a product in one instruction
set_source_files_properties(backend/ref/sample.c ${CPU_DIR}/op_sample.c ${CPU_DIR}/simd/sample.c backend/weight_format.c
  ${CPU_DIR}/simd/encode.c PROPERTIES COMPILE_OPTIONS -ffp-contract=off)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(CPU_LEVELS baseline avx2 avx512)
  set(CPU_FLAGS_avx2 -march=x86-64-v3)
  set(CPU_FLAGS_avx512 -march=x86-64-v4 -mprefer-vector-width=512)
  set(CPU_DEFINITIONS GP_X86=1)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(CPU_LEVELS neon) # which every arm64 processor has
  set(CPU_DEFINITIONS GP_NEON=1)
else()
  set(CPU_LEVELS baseline)
endif()

# Products by AMX, where the compiler knows it (gcc 11, clang 12).
include(CheckCCompilerFlag)
check_c_compiler_flag("-mamx-tile -mamx-bf16" GPTPIPE_AMX)
if(GPTPIPE_AMX)
  list(APPEND CPU_DEFINITIONS GP_AMX=1)
  set_source_files_properties(${CPU_DIR}/amx_product.c PROPERTIES COMPILE_OPTIONS
    "-O3;-march=x86-64-v4;-mamx-tile;-mamx-bf16")
else()
  list(FILTER CPU_SOURCES EXCLUDE REGEX "/amx_product\\.c$")
endif()

function(gptpipe_cpu_objects target)
  add_library(${target} OBJECT ${ARGN})
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/libcommon)
  target_compile_definitions(${target} PRIVATE ${CPU_DEFINITIONS})
  list(APPEND GPTPIPE_OBJECTS $<TARGET_OBJECTS:${target}>)
  set(GPTPIPE_OBJECTS ${GPTPIPE_OBJECTS} PARENT_SCOPE)
endfunction()

gptpipe_cpu_objects(gptpipe_cpu ${CPU_SOURCES})
target_link_libraries(gptpipe_cpu PRIVATE gptpipe_packages)
foreach(level ${CPU_LEVELS})
  gptpipe_cpu_objects(gptpipe_cpu_${level} ${CPU_KERNELS})
  target_compile_definitions(gptpipe_cpu_${level} PRIVATE GP_SIMD=${level})
  # NaN must stay NaN, so no -ffast-math; what is given up is errno and floating-point traps.
  target_compile_options(gptpipe_cpu_${level} PRIVATE -O3 -fopenmp-simd -fno-math-errno -fno-trapping-math
    ${CPU_FLAGS_${level}})
endforeach()
