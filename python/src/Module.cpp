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

#include "moe-c/Module.h"
#include <memory>
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <string>
#include <string_view>

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
static nb::tuple run(const Module &module, const std::string &pipeline) {
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

NB_MODULE(_moe_mlir, m) {
  nb::class_<Module>(m, "Module", "A program: a `builtin.module`.")
      .def("__str__", [](const Module &module) { return module.print(false); })
      .def("print", &Module::print, nb::arg("locations") = false,
           "The program as text; with `locations`, the place of each operation "
           "too.");
  m.def("parse", &parse);
  m.def("check_pipeline", &checkPipeline);
  m.def("run", &run);
}
