# Adds kernel sources to TARGET, compiled once per x86-64 level (v2, v3, v4), each into its own
# namespace. The baseline comes first on the link line: should a helper ever be emitted as a COMDAT,
# the linker keeps the copy that every processor can run.
#
#   polyad_add_kernels(TARGET source_cpu.cpp ...)
function(polyad_add_kernels target)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    set(levels v2 v3 v4)
    target_compile_definitions(${target} PUBLIC POLYAD_X86_LEVELS)
  else()
    set(levels v2)
  endif()
  foreach(level IN LISTS levels)
    set(objects ${target}_${level})
    add_library(${objects} OBJECT ${ARGN})
    target_include_directories(${objects} PRIVATE ${PROJECT_SOURCE_DIR}/csrc)
    target_compile_definitions(${objects} PRIVATE POLYAD_ISA=${level})
    target_link_libraries(${objects} PRIVATE polyad_options OpenMP::OpenMP_CXX)
    # kernels throw nothing, and the tables of exceptions would be a weak symbol
    target_compile_options(${objects} PRIVATE -fno-exceptions)
    if("v4" IN_LIST levels)
      target_compile_definitions(${objects} PRIVATE POLYAD_X86_LEVELS)
      target_compile_options(${objects} PRIVATE -march=x86-64-${level})
      if(level STREQUAL "v4")
        # gcc and clang otherwise prefer 256-bit registers at this level
        target_compile_options(${objects} PRIVATE -mprefer-vector-width=512)
      endif()
    endif()
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${objects}>)
  endforeach()
endfunction()
