# `make install`: the driver gptpipe and the tools behind it, both libraries, headers, gptpipe.pc, a CMake package, manual
# pages, completions, scripts and documents. The tools have their short names in bin too, unless SHORT_NAMES is OFF.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
option(SHORT_NAMES "Install train, sample and the other tools under these names beside gptpipe" ON)

install(TARGETS gptpipe ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS gptpipe_shared EXPORT gptpipeTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
set_target_properties(gptpipe_shared PROPERTIES EXPORT_NAME gptpipe)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/gptpipe)
install(EXPORT gptpipeTargets NAMESPACE gptpipe:: DESTINATION ${package})
configure_package_config_file(cmake/gptpipeConfig.cmake.in ${CMAKE_BINARY_DIR}/gptpipeConfig.cmake
  INSTALL_DESTINATION ${package})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/gptpipeConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/gptpipeConfig.cmake ${CMAKE_BINARY_DIR}/gptpipeConfigVersion.cmake
  DESTINATION ${package})

install(FILES LICENSE README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs examples DESTINATION ${CMAKE_INSTALL_DOCDIR})
file(GLOB scripts CONFIGURE_DEPENDS pipelines/*.sh)
list(FILTER scripts EXCLUDE REGEX "install-deps") # is for building
install(PROGRAMS ${scripts} DESTINATION ${CMAKE_INSTALL_DATADIR}/gptpipe/pipelines)
install(DIRECTORY data/explain DESTINATION ${CMAKE_INSTALL_DATADIR}/gptpipe/data)
install(DIRECTORY include/gptpipe DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")

# What the static library needs, as a linker is told: the packages' own flags, then oneDNN, CUDA's runtime, OpenMP and threads.
set(GPTPIPE_PRIVATE_LIBS "")
foreach(package ZLIB CRYPTO YAML JANSSON)
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
set(short_names ON)
if(NOT SHORT_NAMES)
  set(short_names OFF)
endif()
foreach(tool ${GPTPIPE_TOOL_NAMES})
  set(dir ${CMAKE_BINARY_DIR}/share)
  set(files ${dir}/${tool}.1 ${dir}/${tool}.bash ${dir}/_${tool} ${dir}/${tool}.fish)
  add_custom_command(OUTPUT ${files} DEPENDS ${tool}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${dir}
    COMMAND ${tool} --man > ${dir}/${tool}.1
    COMMAND ${tool} --completion bash > ${dir}/${tool}.bash
    COMMAND ${tool} --completion zsh > ${dir}/_${tool}
    COMMAND ${tool} --completion fish > ${dir}/${tool}.fish
    COMMENT "Manual page and completions of ${tool}" VERBATIM)
  list(APPEND pages ${files})
  install(TARGETS ${tool} RUNTIME DESTINATION ${GPTPIPE_TOOLS_DIR})
  install(FILES ${dir}/${tool}.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 RENAME gptpipe-${tool}.1)
  file(RELATIVE_PATH place "/${CMAKE_INSTALL_BINDIR}" "/${GPTPIPE_TOOLS_DIR}/${tool}")
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/links)
  file(CREATE_LINK ${place} ${CMAKE_BINARY_DIR}/links/${tool} SYMBOLIC)
  foreach(file IN ITEMS "${CMAKE_BINARY_DIR}/links/${tool}:${CMAKE_INSTALL_BINDIR}:${tool}"
      "${dir}/${tool}.1:${CMAKE_INSTALL_MANDIR}/man1:${tool}.1"
      "${dir}/${tool}.bash:${CMAKE_INSTALL_DATADIR}/bash-completion/completions:${tool}"
      "${dir}/_${tool}:${CMAKE_INSTALL_DATADIR}/zsh/site-functions:_${tool}"
      "${dir}/${tool}.fish:${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d:${tool}.fish")
    string(REPLACE ":" ";" file "${file}")
    list(GET file 0 from)
    list(GET file 1 to)
    list(GET file 2 name)
    install(CODE "
      if(NOT \"${short_names}\" STREQUAL \"OFF\" AND NOT \"\$ENV{SHORT_NAMES}\" STREQUAL \"OFF\") # make install SHORT_NAMES=OFF
        file(INSTALL DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${to}\" TYPE FILE RENAME ${name} FILES \"${from}\")
      endif()")
  endforeach()
endforeach()
add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/share/gptpipe.1 DEPENDS gptpipe_driver
  COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/share
  COMMAND gptpipe_driver --man > ${CMAKE_BINARY_DIR}/share/gptpipe.1
  COMMENT "Manual page of gptpipe" VERBATIM)
install(FILES ${CMAKE_BINARY_DIR}/share/gptpipe.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
add_custom_target(pages ALL DEPENDS ${pages} ${CMAKE_BINARY_DIR}/share/gptpipe.1)
install(TARGETS gptpipe_driver RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS bag_of_words RUNTIME DESTINATION ${GPTPIPE_TOOLS_DIR})
