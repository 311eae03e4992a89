# What the runtime's CUDA back end is built with: headers alone. Driver and NCCL
# are loaded by the program that runs a layer, so it starts without them.
#
# MOE_ENABLE_CUDA: ON demands them, OFF leaves the back end out, and AUTO takes
# what is there. Sets MOE_HAVE_CUDA, and if that is true
#   MOE_CUDA_INCLUDE_DIRS  cuda.h and nccl.h
#   MOE_NCCL_LIBRARY_DIR   where libnccl.so.2 is, or nothing
#   MOE_HAVE_NVTX          whether nvtx3 is there too
# MOE_PTXAS is the assembler for GPUs that moe-compile uses where PATH and
# CUDA_HOME have none, or empty.

set(MOE_ENABLE_CUDA AUTO CACHE STRING "Build the back end for GPUs")
set_property(CACHE MOE_ENABLE_CUDA PROPERTY STRINGS AUTO ON OFF)

# tools/setup --cuda installs into the first.
set(_moe_cuda_prefixes
  ${PROJECT_SOURCE_DIR}/.cuda/nvidia/cu13 ${PROJECT_SOURCE_DIR}/.cuda/nvidia/nccl
  $ENV{CUDA_HOME} $ENV{CUDA_PATH} $ENV{NCCL_HOME} /usr/local/cuda)

find_program(MOE_PTXAS ptxas HINTS ${_moe_cuda_prefixes} PATH_SUFFIXES bin)
if(NOT MOE_PTXAS)
  set(MOE_PTXAS "")
endif()

set(MOE_HAVE_CUDA NO)
if(MOE_ENABLE_CUDA)
  find_path(MOE_CUDA_INCLUDE_DIR cuda.h
    HINTS ${_moe_cuda_prefixes} PATH_SUFFIXES include)
  find_path(MOE_NCCL_INCLUDE_DIR nccl.h
    HINTS ${_moe_cuda_prefixes} PATH_SUFFIXES include)
  find_path(MOE_NCCL_LIBRARY_DIR libnccl.so.2
    HINTS ${_moe_cuda_prefixes} PATH_SUFFIXES lib lib64)
  set(_moe_cuda_missing)
  foreach(_moe_header CUDA NCCL)
    if(NOT MOE_${_moe_header}_INCLUDE_DIR)
      string(TOLOWER ${_moe_header} _moe_name)
      list(APPEND _moe_cuda_missing ${_moe_name}.h)
    endif()
  endforeach()
  if(NOT _moe_cuda_missing)
    set(MOE_HAVE_CUDA YES)
    set(MOE_CUDA_INCLUDE_DIRS ${MOE_CUDA_INCLUDE_DIR} ${MOE_NCCL_INCLUDE_DIR})
    list(REMOVE_DUPLICATES MOE_CUDA_INCLUDE_DIRS)
    if(NOT MOE_NCCL_LIBRARY_DIR)
      set(MOE_NCCL_LIBRARY_DIR "")
    endif()
    set(MOE_HAVE_NVTX NO)
    if(EXISTS ${MOE_CUDA_INCLUDE_DIR}/nvtx3/nvToolsExt.h)
      set(MOE_HAVE_NVTX YES)
    endif()
    message(STATUS "Back end for GPUs: with ${MOE_CUDA_INCLUDE_DIRS}")
  else()
    list(JOIN _moe_cuda_missing " and " _moe_cuda_missing)
    if(MOE_ENABLE_CUDA STREQUAL "AUTO")
      message(STATUS "Back end for GPUs: left out, ${_moe_cuda_missing} not "
        "found; `tools/setup --cuda` installs them")
    else()
      message(FATAL_ERROR "MOE_ENABLE_CUDA needs ${_moe_cuda_missing}; run "
        "`tools/setup --cuda`, or set CUDA_HOME")
    endif()
  endif()
else()
  message(STATUS "Back end for GPUs: left out (MOE_ENABLE_CUDA is OFF)")
endif()

# For scripts.
set(MOE_HAVE_CUDA ${MOE_HAVE_CUDA} CACHE INTERNAL "")
