# Functions which declare this project's libraries, tools and unit tests.
#
# Everything which uses MLIR links the shared libraries `MLIR` and `LLVM` and
# nothing else of them. Upstream's lists (MLIR_DIALECT_LIBS and the like) name
# static archives; next to libMLIR.so they would put a second copy of MLIR, with
# its own TypeIDs and command line options, into the process.

# Makes a library part of what is installed: MoEMLIR::Pipelines is MoEPipelines.
function(moe_install_library name)
  if(MOE_NO_INSTALL)
    return()
  endif()
  string(REGEX REPLACE "^MoE(.*)$" "\\1" export_name ${name})
  set_target_properties(${name} PROPERTIES EXPORT_NAME ${export_name})
  add_library(MoEMLIR::${export_name} ALIAS ${name})
  install(TARGETS ${name} EXPORT MoEMLIRTargets
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
endfunction()

# Common to all targets: LLVM is built without exceptions, and code which may be
# called from it must not throw.
function(_moe_configure_target name)
  cmake_parse_arguments(ARG "NO_MLIR;EXCEPTIONS;CLOSED" "" "DEPENDS;LINK_LIBS"
    ${ARGN})
  # What is in a shared library need not be linked by those who link it.
  set(scope PUBLIC)
  if(ARG_CLOSED)
    set(scope PRIVATE)
  endif()
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
  target_include_directories(${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
  target_include_directories(${name} SYSTEM PUBLIC
    $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>)
  target_link_libraries(${name} ${scope} ${ARG_LINK_LIBS})
  if(NOT ARG_NO_MLIR)
    # MoEMLIRConfig.cmake adds those of the machine that it is installed on.
    foreach(directory ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
      target_include_directories(${name} SYSTEM ${scope}
        $<BUILD_INTERFACE:${directory}>)
    endforeach()
    target_link_libraries(${name} ${scope} MLIR LLVM)
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

# add_moe_library(name [SHARED|MODULE] SOURCES file... [DEPENDS target...]
#                 [LINK_LIBS lib...] [NO_MLIR] [EXCEPTIONS])
#
# A static, position-independent library, or one that programs load and that holds
# all that it links of this project. It is installed. DEPENDS names the TableGen targets
# whose headers it includes; targets which link the library inherit the order.
function(add_moe_library name)
  cmake_parse_arguments(ARG "SHARED;MODULE;NO_MLIR;EXCEPTIONS" ""
    "SOURCES;DEPENDS;LINK_LIBS" ${ARGN})
  _moe_check_arguments(add_moe_library ${name})
  if(ARG_SHARED OR ARG_MODULE)
    if(ARG_SHARED)
      add_library(${name} SHARED ${ARG_SOURCES})
    else()
      add_library(${name} MODULE ${ARG_SOURCES})
    endif()
    _moe_configure_target(${name} CLOSED ${_forward})
    set_target_properties(${name} PROPERTIES
      CXX_VISIBILITY_PRESET hidden
      VISIBILITY_INLINES_HIDDEN ON)
    target_link_options(${name} PRIVATE LINKER:--exclude-libs,ALL)
    # The sanitizer's functions are left to the program.
    if(NOT MOE_ENABLE_ASAN)
      target_link_options(${name} PRIVATE LINKER:-z,defs)
    endif()
  else()
    add_library(${name} STATIC ${ARG_SOURCES})
    _moe_configure_target(${name} ${_forward})
    if(NOT ARG_NO_MLIR)
      set_property(GLOBAL APPEND PROPERTY MOE_MLIR_LIBRARIES ${name})
    endif()
  endif()
  if(ARG_MODULE AND NOT MOE_NO_INSTALL)
    install(TARGETS ${name} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  elseif(NOT ARG_MODULE)
    moe_install_library(${name})
  endif()
endfunction()

# add_moe_tool(name SOURCES file... [DEPENDS target...] [LINK_LIBS lib...]
#              [NO_MLIR] [EXCEPTIONS])
#
# An executable in build/bin, which is installed. check-moe builds it.
function(add_moe_tool name)
  cmake_parse_arguments(ARG "NO_MLIR;EXCEPTIONS" "" "SOURCES;DEPENDS;LINK_LIBS"
    ${ARGN})
  _moe_check_arguments(add_moe_tool ${name})
  add_executable(${name} ${ARG_SOURCES})
  _moe_configure_target(${name} ${_forward})
  if(NOT MOE_NO_INSTALL)
    install(TARGETS ${name})
  endif()
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
