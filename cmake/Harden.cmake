# What the compiler and the linker add so that a mistake with memory ends the program instead of being used.
# Each flag only where the compiler or the linker takes it. Not under the sanitizers, which see more.
include(CheckCCompilerFlag)
include(CheckCSourceCompiles)
include(CheckLinkerFlag)
include(CheckPIESupported)

option(GPTPIPE_HARDEN "Checked C functions, stack protector, full RELRO" ON)
if(NOT GPTPIPE_HARDEN OR GPTPIPE_SANITIZE)
  return()
endif()
check_pie_supported(LANGUAGES C CXX)
set(CMAKE_POSITION_INDEPENDENT_CODE ON) # programs too: their addresses differ from run to run

set(GPTPIPE_HARDEN_FLAGS "")
foreach(flag -fstack-protector-strong -fstack-clash-protection -fcf-protection)
  string(MAKE_C_IDENTIFIER "GPTPIPE${flag}" name)
  set(CMAKE_REQUIRED_FLAGS -Werror) # clang only warns of what its target does not have
  check_c_compiler_flag(${flag} ${name})
  unset(CMAKE_REQUIRED_FLAGS)
  if(${name})
    list(APPEND GPTPIPE_HARDEN_FLAGS ${flag})
  endif()
endforeach()

# The highest level at which the C library does not warn. A distribution's compiler may define one itself.
if(CMAKE_BUILD_TYPE MATCHES "^(Release|RelWithDebInfo|MinSizeRel)$") # it needs an optimizing compiler
  foreach(level 3 2)
    set(CMAKE_REQUIRED_FLAGS "-Werror -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=${level}")
    check_c_source_compiles("#include <stdio.h>\nint main(void) { return 0; }" GPTPIPE_FORTIFY_${level})
    unset(CMAKE_REQUIRED_FLAGS)
    if(GPTPIPE_FORTIFY_${level})
      list(APPEND GPTPIPE_HARDEN_FLAGS -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=${level})
      break()
    endif()
  endforeach()
endif()
foreach(flag ${GPTPIPE_HARDEN_FLAGS})
  add_compile_options($<$<COMPILE_LANGUAGE:C,CXX>:${flag}>)
endforeach()
foreach(flag -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
  string(MAKE_C_IDENTIFIER "GPTPIPE${flag}" name)
  check_linker_flag(C ${flag} ${name})
  if(${name})
    add_link_options(${flag})
  endif()
endforeach()
