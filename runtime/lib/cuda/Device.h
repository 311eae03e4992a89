//===- Device.h - One GPU ---------------------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_CUDA_DEVICE_H
#define MOERT_LIB_CUDA_DEVICE_H

#include "Driver.h"

namespace moert::cuda {

/// A GPU of this process, with the context that all of the process shares, so
/// that NCCL and profilers see the same.
class Device {
public:
  /// How many this process sees.
  static int count(const Driver &driver);

  Device(const Driver &driver, int ordinal);
  Device(Device &&) = delete;

  const Driver &getDriver() const { return driver; }
  int getOrdinal() const { return ordinal; }
  /// "GPU 0 (NVIDIA H100 80GB HBM3)".
  std::string describe() const;

  /// The same for no two devices anywhere.
  std::string identify() const;

  /// Every thread that calls the driver does this first.
  void makeCurrent() const;

  /// Throws Failure unless this GPU runs code for `target`, as "cuda:sm_90a".
  void checkTarget(const std::string &target) const;
  /// Throws Failure unless that much can be allocated.
  void checkMemory(size_t bytes, const std::string &forWhat) const;

  // What the GPU can do at its highest clocks; 0 where it is not known.

  /// Bytes per second, read and written, of device memory.
  double getPeakBytes() const;
  /// Operations per second: of matrix units with bfloat16, or of float32.
  double getPeakOperations(bool matrixUnits) const;

private:
  int getAttribute(CUdevice_attribute attribute) const;

  const Driver &driver;
  int ordinal;
  CUdevice device = 0;
  CUcontext context = nullptr;
  std::string name;
  /// 90 for compute capability 9.0.
  int capability;
};

/// Device memory; freed with this.
class DeviceMemory {
public:
  /// `doing` is for the message if there is too little.
  DeviceMemory(const Driver &driver, size_t bytes, std::string_view doing);
  DeviceMemory(DeviceMemory &&) = delete;
  ~DeviceMemory();

  CUdeviceptr get() const { return address; }
  size_t size() const { return bytes; }

private:
  const Driver &driver;
  CUdeviceptr address = 0;
  size_t bytes;
};

/// "1.5 GiB", "640 B".
std::string describeBytes(size_t bytes);

} // namespace moert::cuda

#endif // MOERT_LIB_CUDA_DEVICE_H
