//===- Module.cpp - The C API for Python ----------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What users see is in python/moe_mlir; this is what it is made of. Diagnostics
// come as tuples, in the order of the fields of `moe_mlir.Diagnostic`.
//
//===----------------------------------------------------------------------===//

#include "moe-c/Layer.h"
#include <algorithm>
#include <memory>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <string>
#include <string_view>
#include <vector>

namespace nb = nanobind;

namespace {

struct Module {
  explicit Module(MoEModule *module) : handle(module, moeModuleDestroy) {}

  std::string print(bool locations) const {
    std::string text;
    moeModulePrint(
        handle.get(), locations,
        [](const char *piece, size_t length, void *to) {
          static_cast<std::string *>(to)->append(piece, length);
        },
        &text);
    return text;
  }

  std::unique_ptr<MoEModule, decltype(&moeModuleDestroy)> handle;
};

struct Diagnostics {
  MoEDiagnostics *get() const { return list.get(); }

  nb::list toPython() const {
    nb::list result;
    for (size_t i = 0; i < moeDiagnosticsGetSize(get()); ++i)
      result.append(convert(moeDiagnosticsGet(get(), i)));
    return result;
  }

private:
  /// Text of files need not be UTF-8.
  static nb::object decode(const char *text) {
    if (!text)
      return nb::none();
    return nb::steal(PyUnicode_DecodeUTF8(
        text, Py_ssize_t(std::string_view(text).size()), "replace"));
  }

  static nb::tuple convert(const MoEDiagnostic *diagnostic) {
    static constexpr const char *severities[] = {"error", "warning", "note",
                                                 "remark"};
    nb::object location = nb::none();
    if (const char *file = moeDiagnosticGetFile(diagnostic))
      location = nb::make_tuple(decode(file), moeDiagnosticGetLine(diagnostic),
                                moeDiagnosticGetColumn(diagnostic));
    nb::list notes, helps;
    for (size_t i = 0; i < moeDiagnosticGetNumNotes(diagnostic); ++i)
      notes.append(convert(moeDiagnosticGetNote(diagnostic, i)));
    for (size_t i = 0; i < moeDiagnosticGetNumHelps(diagnostic); ++i)
      helps.append(decode(moeDiagnosticGetHelp(diagnostic, i)));
    return nb::make_tuple(severities[moeDiagnosticGetSeverity(diagnostic)],
                          decode(moeDiagnosticGetMessage(diagnostic)),
                          decode(moeDiagnosticGetRule(diagnostic)), location,
                          notes, helps);
  }

  std::unique_ptr<MoEDiagnostics, decltype(&moeDiagnosticsDestroy)> list{
      moeDiagnosticsCreate(), moeDiagnosticsDestroy};
};

} // namespace

static nb::tuple parse(const std::string &text, const std::string &filename) {
  Diagnostics diagnostics;
  MoEModule *module;
  {
    nb::gil_scoped_release released;
    module = moeModuleParse(text.data(), text.size(), filename.c_str(),
                            diagnostics.get());
  }
  nb::object result = nb::none();
  if (module)
    result = nb::cast(Module(module), nb::rv_policy::move);
  return nb::make_tuple(result, diagnostics.toPython());
}

/// Why the text is no pipeline; empty if it is one.
static nb::list checkPipeline(const std::string &pipeline) {
  Diagnostics diagnostics;
  (void)moePipelineCheck(pipeline.data(), pipeline.size(), diagnostics.get());
  return diagnostics.toPython();
}

/// On a copy.
static nb::tuple runPipeline(const Module &module,
                             const std::string &pipeline) {
  Diagnostics diagnostics;
  Module copy(moeModuleClone(module.handle.get()));
  bool succeeded;
  {
    nb::gil_scoped_release released;
    succeeded = moeModuleRunPipeline(copy.handle.get(), pipeline.data(),
                                     pipeline.size(), diagnostics.get());
  }
  nb::object result = nb::none();
  if (succeeded)
    result = nb::cast(std::move(copy), nb::rv_policy::move);
  return nb::make_tuple(result, diagnostics.toPython());
}

//===----------------------------------------------------------------------===//
// Layers
//===----------------------------------------------------------------------===//

namespace {

struct Layer {
  explicit Layer(MoELayer *layer) : handle(layer, moeLayerDestroy) {}

  std::unique_ptr<MoELayer, decltype(&moeLayerDestroy)> handle;
};

struct ElementType {
  const char *name;
  nb::dlpack::dtype type;

  size_t bytes() const { return type.bits / 8; }
};

} // namespace

static ElementType getElementType(const MoEValue *value) {
  static constexpr auto code = [](nb::dlpack::dtype_code c) {
    return static_cast<uint8_t>(c);
  };
  switch (moeValueGetDType(value)) {
  case MOE_F32:
    return {"float32", {code(nb::dlpack::dtype_code::Float), 32, 1}};
  case MOE_F64:
    return {"float64", {code(nb::dlpack::dtype_code::Float), 64, 1}};
  case MOE_BF16:
    return {"bfloat16", {code(nb::dlpack::dtype_code::Bfloat), 16, 1}};
  case MOE_I32:
    return {"int32", {code(nb::dlpack::dtype_code::Int), 32, 1}};
  case MOE_I64:
    return {"int64", {code(nb::dlpack::dtype_code::Int), 64, 1}};
  }
  throw nb::value_error("no such element type");
}

static std::vector<int64_t> getShape(const MoEValue *value) {
  const int64_t *shape = moeValueGetShape(value);
  return {shape, shape + moeValueGetNumDimensions(value)};
}

static std::string describeShape(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

static nb::tuple compile(const Module &module, const std::string &target,
                         const std::string &policy, const std::string &costFile,
                         int64_t memoryBudget, int64_t bucketBytes,
                         bool verify) {
  Diagnostics diagnostics;
  MoECompileOptions options{policy.c_str(), costFile.c_str(), memoryBudget,
                            bucketBytes, verify};
  MoELayer *layer;
  {
    nb::gil_scoped_release released;
    layer = moeCompile(module.handle.get(), target.c_str(), &options,
                       diagnostics.get());
  }
  nb::object result = nb::none();
  if (layer)
    result = nb::cast(Layer(layer), nb::rv_policy::move);
  return nb::make_tuple(result, diagnostics.toPython());
}

/// (name, element type, shape, placements).
static nb::tuple describe(const MoEValue *value) {
  return nb::make_tuple(moeValueGetName(value), getElementType(value).name,
                        nb::tuple(nb::cast(getShape(value))),
                        moeValueGetPlacements(value));
}

using Input = nb::ndarray<nb::ro>;

/// Raises ValueError if `tensor` cannot be `value` as it is.
static void checkInput(const MoEValue *value, const Input &tensor) {
  std::string name = std::string("'") + moeValueGetName(value) + "'";
  ElementType type = getElementType(value);
  if (tensor.device_type() != nb::device::cpu::value)
    throw nb::value_error((name + " is not in the CPU's memory").c_str());
  if (tensor.dtype() != type.type)
    throw nb::value_error((name + " must have elements of type " + type.name +
                           "; convert it first")
                              .c_str());
  std::vector<int64_t> shape = getShape(value), found;
  for (size_t i = 0; i < tensor.ndim(); ++i)
    found.push_back(int64_t(tensor.shape(i)));
  if (found != shape)
    throw nb::value_error((name + " has the shape " + describeShape(found) +
                           ", but must have " + describeShape(shape))
                              .c_str());
  int64_t stride = 1;
  bool dense = true;
  for (size_t i = shape.size(); i-- > 0; stride *= shape[i])
    dense &= shape[i] == 1 || tensor.stride(i) == stride;
  bool empty = std::ranges::count(shape, 0) > 0;
  if (!empty &&
      (!dense || reinterpret_cast<uintptr_t>(tensor.data()) % type.bytes()))
    throw nb::value_error((name + " is not contiguous and aligned: a copy is, "
                                  "as numpy.ascontiguousarray makes it")
                              .c_str());
}

/// Arguments and results in order. Results have memory of their own.
static nb::tuple run(Layer &layer, const std::vector<nb::object> &inputs,
                     double timeout) {
  std::vector<Input> tensors;
  std::vector<const void *> arguments;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const MoEValue *value = moeLayerGetArgument(layer.handle.get(), i);
    Input tensor;
    if (!nb::try_cast(inputs[i], tensor))
      throw nb::type_error((std::string("'") + moeValueGetName(value) +
                            "' is no tensor: it needs __dlpack__ or the buffer "
                            "protocol, and no gradient of its own")
                               .c_str());
    checkInput(value, tensor);
    arguments.push_back(tensor.data());
    tensors.push_back(std::move(tensor));
  }
  nb::list outputs;
  std::vector<void *> results;
  for (size_t i = 0; i < moeLayerGetNumResults(layer.handle.get()); ++i) {
    const MoEValue *value = moeLayerGetResult(layer.handle.get(), i);
    std::vector<int64_t> shape = getShape(value);
    std::vector<size_t> sizes(shape.begin(), shape.end());
    ElementType type = getElementType(value);
    size_t bytes = type.bytes();
    for (size_t size : sizes)
      bytes *= size;
    // JAX copies what is aligned less.
    constexpr std::align_val_t alignment{64};
    void *data = ::operator new(std::max<size_t>(bytes, 1), alignment);
    results.push_back(data);
    nb::capsule owner(
        data, [](void *p) noexcept { ::operator delete(p, alignment); });
    // NumPy has no bfloat16: such a result offers DLPack alone.
    if (moeValueGetDType(value) == MOE_BF16)
      outputs.append(nb::cast(nb::ndarray<nb::array_api>(
          data, sizes.size(), sizes.data(), owner, nullptr, type.type)));
    else
      outputs.append(nb::cast(nb::ndarray<nb::numpy>(
          data, sizes.size(), sizes.data(), owner, nullptr, type.type)));
  }
  Diagnostics diagnostics;
  bool succeeded, leftBehind;
  {
    nb::gil_scoped_release released;
    succeeded =
        moeLayerRun(layer.handle.get(), arguments.data(), results.data(),
                    timeout, &leftBehind, diagnostics.get());
  }
  if (leftBehind) {
    // A rank that does not stop goes on with these.
    new std::vector<Input>(std::move(tensors));
    (void)nb::object(outputs).release();
  }
  return nb::make_tuple(succeeded ? nb::object(outputs) : nb::none(),
                        diagnostics.toPython());
}

NB_MODULE(_moe_mlir, m) {
  nb::class_<Module>(m, "Module", "A program: a `builtin.module`.")
      .def("__str__", [](const Module &module) { return module.print(false); })
      .def("print", &Module::print, nb::arg("locations") = false,
           "The program as text; with `locations`, the place of each operation "
           "too.");
  m.def("parse", &parse);
  m.def("check_pipeline", &checkPipeline);
  m.def("run", &runPipeline);

  nb::class_<Layer>(m, "Layer")
      .def_prop_ro("num_ranks",
                   [](const Layer &layer) {
                     return moeLayerGetNumRanks(layer.handle.get());
                   })
      .def_prop_ro("arguments",
                   [](const Layer &layer) {
                     nb::list values;
                     MoELayer *handle = layer.handle.get();
                     for (size_t i = 0; i < moeLayerGetNumArguments(handle);
                          ++i)
                       values.append(describe(moeLayerGetArgument(handle, i)));
                     return values;
                   })
      .def_prop_ro("results",
                   [](const Layer &layer) {
                     nb::list values;
                     MoELayer *handle = layer.handle.get();
                     for (size_t i = 0; i < moeLayerGetNumResults(handle); ++i)
                       values.append(describe(moeLayerGetResult(handle, i)));
                     return values;
                   })
      .def("run", &run);
  m.def("compile", &compile);
}
