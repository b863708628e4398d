# The cuda backend: cuda.c by the C compiler, each .cu by nvcc. Rules of our own rather than CMake's CUDA language: what
# ptxas says of the kernels is kept beside the objects, and programs are linked by the C compiler, since nothing here
# needs C++ at run time (no exceptions, no RTTI, no statics that threads race to initialise).
set(CUDA_DIR ${CMAKE_CURRENT_LIST_DIR})
set(CUDA_OBJECTS_DIR ${CMAKE_BINARY_DIR}/cuda)
file(GLOB CUDA_SOURCES CONFIGURE_DEPENDS ${CUDA_DIR}/*.cu)
set(CUDA_FLAGS -std=c++17 -O3 -lineinfo -I${PROJECT_SOURCE_DIR}/include -I${PROJECT_SOURCE_DIR}/libcommon -Xptxas -v
  -Xcompiler -Wall,-Wextra,-fPIC,-fvisibility=hidden,-fno-exceptions,-fno-rtti,-fno-threadsafe-statics)
if(GPTPIPE_HAS_CUDNN)
  list(APPEND CUDA_FLAGS -DGPTPIPE_CUDNN=1 -I${GPTPIPE_CUDNN})
endif()
if(GPTPIPE_WERROR)
  list(APPEND CUDA_FLAGS -Werror all-warnings)
endif()

# for tests/cuda/build.sh
list(JOIN CUDA_FLAGS "\n" text)
file(WRITE ${CUDA_OBJECTS_DIR}/flags "${GPTPIPE_NVCC}\n${text}\n")
list(JOIN GPTPIPE_CUDA_CODE "\n" text)
file(WRITE ${CUDA_OBJECTS_DIR}/code "${text}\n")

set(CUDA_OBJECTS "")
foreach(source ${CUDA_SOURCES})
  get_filename_component(name ${source} NAME_WE)
  set(object ${CUDA_OBJECTS_DIR}/${name}.cu.o)
  add_custom_command(OUTPUT ${object}
    COMMAND ${PROJECT_SOURCE_DIR}/cmake/nvcc.sh ${CUDA_OBJECTS_DIR}/${name}.log ${GPTPIPE_NVCC} ${GPTPIPE_CUDA_CODE}
      ${CUDA_FLAGS} -MD -MT ${object} -MF ${object}.d -c ${source} -o ${object}
    DEPENDS ${source} DEPFILE ${object}.d COMMENT "Building CUDA object ${name}.cu.o" VERBATIM)
  list(APPEND CUDA_OBJECTS ${object})
endforeach()
set_source_files_properties(${CUDA_OBJECTS} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
add_custom_target(gptpipe_cuda_objects DEPENDS ${CUDA_OBJECTS}) # made once, for both libraries

add_library(gptpipe_cuda OBJECT ${CUDA_DIR}/cuda.c)
set_target_properties(gptpipe_cuda PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
target_compile_definitions(gptpipe_cuda PRIVATE GP_CUDA_BUILT_FOR="${GPTPIPE_CUDA_NAMES}")
target_include_directories(gptpipe_cuda PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/libcommon)
list(APPEND GPTPIPE_OBJECTS $<TARGET_OBJECTS:gptpipe_cuda> ${CUDA_OBJECTS})

# cudart finds the driver by dlopen when the first of its functions is called. It belongs to the libraries with this
# backend, not to gptpipe_packages: the tests on the simulator have a cudart of their own.
set(GPTPIPE_CUDA_LIBS ${GPTPIPE_CUDART} ${CMAKE_DL_LIBS} rt)
