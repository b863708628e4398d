# gptpipe_embed(OUT file name): adds to the list OUT a generated .c that holds the file as
# `const unsigned char NAME[]`, with a zero byte after its last one, so that an installed library needs no data folder.
function(gptpipe_embed out file name)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(READ ${file} bytes HEX)
  string(REGEX REPLACE "(................................................)" "\\1\n" bytes "${bytes}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  get_filename_component(base ${file} NAME)
  set(generated ${CMAKE_BINARY_DIR}/generated/${name}.c)
  file(WRITE ${generated}.new
    "/* Made from ${base}; do not edit. */\n#include \"fetch/embedded.h\"\n\nconst unsigned char ${name}[] = {\n${bytes}0};\n")
  configure_file(${generated}.new ${generated} COPYONLY) # touches the target only when it changed
  set(${out} ${${out}} ${generated} PARENT_SCOPE)
endfunction()
