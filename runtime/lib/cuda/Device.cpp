//===- Device.cpp - One GPU -----------------------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Device.h"
#include <algorithm>
#include <cstdio>

using namespace moert::cuda;

int Device::count(const Driver &driver) {
  int count = 0;
  driver.check(driver.cuDeviceGetCount(&count), "count the GPUs");
  return count;
}

Device::Device(const Driver &driver, int ordinal)
    : driver(driver), ordinal(ordinal) {
  std::string which = "GPU " + std::to_string(ordinal);
  driver.check(driver.cuDeviceGet(&device, ordinal), "find " + which);
  char text[256] = {};
  driver.check(driver.cuDeviceGetName(text, sizeof(text) - 1, device),
               "ask for the name of " + which);
  name = text;
  capability = 10 * getAttribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) +
               getAttribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  driver.check(driver.cuDevicePrimaryCtxRetain(&context, device),
               "make a context on " + describe());
}

std::string Device::describe() const {
  return "GPU " + std::to_string(ordinal) + " (" + name + ")";
}

std::string Device::identify() const {
  CUuuid id = {};
  driver.check(driver.cuDeviceGetUuid(&id, device),
               "ask for the identity of " + describe());
  return {id.bytes, sizeof(id.bytes)};
}

int Device::getAttribute(CUdevice_attribute attribute) const {
  int value = 0;
  driver.check(driver.cuDeviceGetAttribute(&value, attribute, device),
               "ask for a property of GPU " + std::to_string(ordinal));
  return value;
}

void Device::makeCurrent() const {
  driver.check(driver.cuCtxSetCurrent(context), "use " + describe());
}

void Device::checkTarget(const std::string &target) const {
  std::string here = "sm_" + std::to_string(capability);
  // A letter after the number binds code to that number alone.
  if (target == "cuda:" + here || target == "cuda:" + here + "a")
    return;
  // Without kernels.
  if (target == "cuda")
    return;
  throw Failure{"the layer is compiled for " + target + ", and " + describe() +
                    " is " + here,
                "run it on a GPU that it is compiled for, or compile it for "
                "this one (moe-compile --target)"};
}

void Device::checkMemory(size_t bytes, const std::string &forWhat) const {
  size_t available = 0, total = 0;
  driver.check(driver.cuMemGetInfo(&available, &total),
               "ask for the memory of " + describe());
  if (bytes <= available)
    return;
  throw Failure{forWhat + " needs " + describeBytes(bytes) + " on " +
                    describe() + ", where " + describeBytes(available) +
                    " of " + describeBytes(total) + " are free",
                "end what else runs there (nvidia-smi shows it), make batch or "
                "sequence smaller, or use more GPUs"};
}

double Device::getPeakBytes() const {
  // In kHz and bits; data goes at both edges of the clock.
  double clock = getAttribute(CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE);
  double width = getAttribute(CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH);
  return clock * 1e3 * 2 * width / 8;
}

double Device::getPeakOperations(bool matrixUnits) const {
  // Per clock and multiprocessor, from the architecture's white paper.
  if (capability != 90)
    return 0;
  double clock = getAttribute(CU_DEVICE_ATTRIBUTE_CLOCK_RATE);
  return clock * 1e3 * getAttribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT) *
         (matrixUnits ? 4096 : 256);
}

DeviceMemory::DeviceMemory(const Driver &driver, size_t bytes,
                           std::string_view doing)
    : driver(driver), bytes(bytes) {
  driver.check(driver.cuMemAlloc(&address, std::max<size_t>(bytes, 1)), doing);
}

// There is nobody to tell if this fails.
DeviceMemory::~DeviceMemory() { (void)driver.cuMemFree(address); }

std::string moert::cuda::describeBytes(size_t bytes) {
  static constexpr const char *units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = bytes;
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(units); ++unit)
    value /= 1024;
  char text[32];
  std::snprintf(text, sizeof(text), unit == 0 ? "%.0f %s" : "%.1f %s", value,
                units[unit]);
  return text;
}
