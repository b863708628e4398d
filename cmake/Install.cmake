# `make install`: tools, both libraries, headers, gptpipe.pc, manual pages and completions.
include(GNUInstallDirs)

install(TARGETS gptpipe gptpipe_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/gptpipe DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")

# What the static library needs, as a linker is told: the packages' own flags, then oneDNN, CUDA's runtime, OpenMP and threads.
set(GPTPIPE_PRIVATE_LIBS "")
foreach(package ZLIB CRYPTO YAML JANSSON UTF8PROC)
  list(APPEND GPTPIPE_PRIVATE_LIBS ${${package}_LDFLAGS})
endforeach()
if(GPTPIPE_EDIT)
  list(APPEND GPTPIPE_PRIVATE_LIBS ${LIBEDIT_LDFLAGS})
endif()
if(GPTPIPE_DNNL)
  list(APPEND GPTPIPE_PRIVATE_LIBS -ldnnl)
endif()
if(GPTPIPE_CUDA)
  list(APPEND GPTPIPE_PRIVATE_LIBS ${GPTPIPE_CUDART} -ldl -lrt)
endif()
if(CMAKE_DL_LIBS)
  list(APPEND GPTPIPE_PRIVATE_LIBS -l${CMAKE_DL_LIBS})
endif()
list(APPEND GPTPIPE_PRIVATE_LIBS ${OpenMP_C_FLAGS} ${CMAKE_THREAD_LIBS_INIT} -lm)
list(REMOVE_DUPLICATES GPTPIPE_PRIVATE_LIBS)
list(JOIN GPTPIPE_PRIVATE_LIBS " " GPTPIPE_PRIVATE_LIBS)

# Written at install time, since `cmake --install --prefix` may name another place than configuring did.
configure_file(cmake/gptpipe.pc.in gptpipe.pc.in @ONLY)
install(CODE "
  file(READ \"${CMAKE_BINARY_DIR}/gptpipe.pc.in\" text)
  string(REGEX REPLACE \"prefix=[^\\n]*\" \"prefix=\${CMAKE_INSTALL_PREFIX}\" text \"\${text}\")
  file(WRITE \"${CMAKE_BINARY_DIR}/gptpipe.pc\" \"\${text}\")")
install(FILES ${CMAKE_BINARY_DIR}/gptpipe.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# A tool prints its own manual page and completions; they are made whenever it is built.
set(pages "")
foreach(tool ${GPTPIPE_TOOL_NAMES})
  set(dir ${CMAKE_BINARY_DIR}/share)
  set(files ${dir}/${tool}.1 ${dir}/${tool}.bash ${dir}/_${tool} ${dir}/${tool}.fish)
  add_custom_command(OUTPUT ${files} DEPENDS ${tool}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${dir}
    COMMAND $<TARGET_FILE:${tool}> --man > ${dir}/${tool}.1
    COMMAND $<TARGET_FILE:${tool}> --completion bash > ${dir}/${tool}.bash
    COMMAND $<TARGET_FILE:${tool}> --completion zsh > ${dir}/_${tool}
    COMMAND $<TARGET_FILE:${tool}> --completion fish > ${dir}/${tool}.fish
    COMMENT "Manual page and completions of ${tool}" VERBATIM)
  list(APPEND pages ${files})
  install(TARGETS ${tool} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(FILES ${dir}/${tool}.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES ${dir}/${tool}.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME ${tool})
  install(FILES ${dir}/_${tool} DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
  install(FILES ${dir}/${tool}.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endforeach()
add_custom_target(pages ALL DEPENDS ${pages})
