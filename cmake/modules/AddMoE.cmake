# Functions which declare this project's libraries, tools and unit tests.
#
# Everything which uses MLIR links the shared libraries `MLIR` and `LLVM` and
# nothing else of them. Upstream's lists (MLIR_DIALECT_LIBS and the like) name
# static archives; next to libMLIR.so they would put a second copy of MLIR, with
# its own TypeIDs and command line options, into the process.

# Common to all targets: LLVM is built without exceptions, and code which may be
# called from it must not throw.
function(_moe_configure_target name)
  cmake_parse_arguments(ARG "NO_MLIR;EXCEPTIONS" "" "DEPENDS;LINK_LIBS" ${ARGN})
  if(NOT ARG_EXCEPTIONS)
    target_compile_options(${name} PRIVATE
      $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions>)
  endif()
  if(ARG_DEPENDS)
    add_dependencies(${name} ${ARG_DEPENDS})
  endif()
  # As usage requirements too, so that a project which embeds this one needs no
  # more than target_link_libraries.
  target_compile_features(${name} PUBLIC cxx_std_20)
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/include)
  target_include_directories(${name} SYSTEM PUBLIC
    ${PROJECT_BINARY_DIR}/include)
  target_link_libraries(${name} PUBLIC ${ARG_LINK_LIBS})
  if(NOT ARG_NO_MLIR)
    target_include_directories(${name} SYSTEM PUBLIC
      ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
    target_link_libraries(${name} PUBLIC MLIR LLVM)
  endif()
endfunction()

macro(_moe_check_arguments function target)
  if(ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR
      "${function}: unknown arguments: ${ARG_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT ARG_SOURCES)
    message(FATAL_ERROR "${function}: no SOURCES for ${target}")
  endif()
  set(_forward)
  foreach(_option NO_MLIR EXCEPTIONS)
    if(ARG_${_option})
      list(APPEND _forward ${_option})
    endif()
  endforeach()
  list(APPEND _forward DEPENDS ${ARG_DEPENDS} LINK_LIBS ${ARG_LINK_LIBS})
endmacro()

# add_moe_library(name [SHARED] SOURCES file... [DEPENDS target...]
#                 [LINK_LIBS lib...] [NO_MLIR] [EXCEPTIONS])
#
# A static, position-independent library, or a shared one. DEPENDS names the TableGen targets
# whose headers it includes; targets which link the library inherit the order.
function(add_moe_library name)
  cmake_parse_arguments(ARG "SHARED;NO_MLIR;EXCEPTIONS" ""
    "SOURCES;DEPENDS;LINK_LIBS" ${ARGN})
  _moe_check_arguments(add_moe_library ${name})
  if(ARG_SHARED)
    add_library(${name} SHARED ${ARG_SOURCES})
  else()
    add_library(${name} STATIC ${ARG_SOURCES})
  endif()
  _moe_configure_target(${name} ${_forward})
endfunction()

# add_moe_tool(name SOURCES file... [DEPENDS target...] [LINK_LIBS lib...]
#              [NO_MLIR] [EXCEPTIONS])
#
# An executable in build/bin. check-moe builds it.
function(add_moe_tool name)
  cmake_parse_arguments(ARG "NO_MLIR;EXCEPTIONS" "" "SOURCES;DEPENDS;LINK_LIBS"
    ${ARGN})
  _moe_check_arguments(add_moe_tool ${name})
  add_executable(${name} ${ARG_SOURCES})
  _moe_configure_target(${name} ${_forward})
  set_property(GLOBAL APPEND PROPERTY MOE_TEST_DEPENDS ${name})
endfunction()

# add_moe_unittest(name SOURCES file... [DEPENDS target...] [LINK_LIBS lib...]
#                  [NO_MLIR] [EXCEPTIONS])
#
# A GoogleTest executable, run by lit with check-moe. lit finds it by its name,
# which must end in `Tests`.
function(add_moe_unittest name)
  cmake_parse_arguments(ARG "NO_MLIR;EXCEPTIONS" "" "SOURCES;DEPENDS;LINK_LIBS"
    ${ARGN})
  _moe_check_arguments(add_moe_unittest ${name})
  if(NOT name MATCHES "Tests$")
    message(FATAL_ERROR "add_moe_unittest: '${name}' must end in 'Tests'")
  endif()
  find_package(GTest REQUIRED)
  add_executable(${name} ${ARG_SOURCES})
  _moe_configure_target(${name} ${_forward} GTest::gtest GTest::gtest_main)
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/test/unit/bin)
  set_property(GLOBAL APPEND PROPERTY MOE_TEST_DEPENDS ${name})
endfunction()
