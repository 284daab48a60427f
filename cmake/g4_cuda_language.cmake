# CUDA as a language of this project, for G4_CUDA. Included where all of its targets see it.
list(APPEND CMAKE_PROGRAM_PATH /usr/local/cuda/bin)
include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  message(FATAL_ERROR "G4_CUDA: there is no nvcc in PATH or /usr/local/cuda/bin; CUDA's toolkit 12.4 or later is needed, "
                      "a GPU is not. -DCMAKE_CUDA_COMPILER=path/nvcc names another.")
endif()
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90a-real 90-virtual)
endif()
enable_language(CUDA)
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")  # CMake 3.25 does not know that nvcc has it
if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12.4)
  message(FATAL_ERROR "G4_CUDA: ${CMAKE_CUDA_COMPILER} is of CUDA ${CMAKE_CUDA_COMPILER_VERSION}; 12.4 or later is needed")
endif()
find_package(CUDAToolkit REQUIRED)
