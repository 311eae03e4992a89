//===- Diagnostics.cpp - What is reported, for C --------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Diagnostics.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "moe/Support/DiagnosticRules.h"

using namespace mlir;

static MoESeverity convert(DiagnosticSeverity severity) {
  switch (severity) {
  case DiagnosticSeverity::Error:
    return MOE_ERROR;
  case DiagnosticSeverity::Warning:
    return MOE_WARNING;
  case DiagnosticSeverity::Note:
    return MOE_NOTE;
  case DiagnosticSeverity::Remark:
    return MOE_REMARK;
  }
  llvm_unreachable("no such severity");
}

static MoEDiagnostic record(Diagnostic &diagnostic) {
  MoEDiagnostic result;
  result.severity = convert(diagnostic.getSeverity());
  result.message = diagnostic.str();
  if (const moe::DiagnosticRule *rule = moe::findDiagnosticRule(result.message))
    // `T1.type` tells two of one label apart.
    result.rule = rule->id.split('.').first.str();
  if (FileLineColLoc place = moe::findFileLocation(diagnostic.getLocation())) {
    result.file = place.getFilename().getValue().str();
    result.line = place.getLine();
    result.column = place.getColumn();
  }
  // Errors of one line say it themselves.
  if (StringRef help = StringRef(result.message).split("; help: ").second;
      !help.empty())
    result.helps.push_back(help.str());
  for (Diagnostic &note : diagnostic.getNotes()) {
    result.notes.push_back(record(note));
    StringRef text = result.notes.back().message;
    if (text.consume_front("help: "))
      result.helps.push_back(text.str());
  }
  return result;
}

moe::DiagnosticCollector::DiagnosticCollector(MLIRContext &context,
                                              MoEDiagnostics *list)
    : handler(&context, [list](Diagnostic &diagnostic) {
        if (list)
          list->list.push_back(record(diagnostic));
      }) {}

void moe::addError(MoEDiagnostics *list, std::string message,
                   std::string help) {
  if (!list)
    return;
  MoEDiagnostic error;
  error.message = std::move(message);
  if (!help.empty()) {
    error.notes.emplace_back();
    error.notes.back().severity = MOE_NOTE;
    error.notes.back().message = "help: " + help;
    error.helps.push_back(std::move(help));
  }
  list->list.push_back(std::move(error));
}

MoEDiagnostics *moeDiagnosticsCreate() { return new MoEDiagnostics; }

void moeDiagnosticsDestroy(MoEDiagnostics *list) { delete list; }

size_t moeDiagnosticsGetSize(const MoEDiagnostics *list) {
  return list->list.size();
}

const MoEDiagnostic *moeDiagnosticsGet(const MoEDiagnostics *list,
                                       size_t index) {
  return &list->list[index];
}

MoESeverity moeDiagnosticGetSeverity(const MoEDiagnostic *diagnostic) {
  return diagnostic->severity;
}

const char *moeDiagnosticGetMessage(const MoEDiagnostic *diagnostic) {
  return diagnostic->message.c_str();
}

const char *moeDiagnosticGetRule(const MoEDiagnostic *diagnostic) {
  return diagnostic->rule.empty() ? nullptr : diagnostic->rule.c_str();
}

const char *moeDiagnosticGetFile(const MoEDiagnostic *diagnostic) {
  return diagnostic->file.empty() ? nullptr : diagnostic->file.c_str();
}

unsigned moeDiagnosticGetLine(const MoEDiagnostic *diagnostic) {
  return diagnostic->line;
}

unsigned moeDiagnosticGetColumn(const MoEDiagnostic *diagnostic) {
  return diagnostic->column;
}

size_t moeDiagnosticGetNumNotes(const MoEDiagnostic *diagnostic) {
  return diagnostic->notes.size();
}

const MoEDiagnostic *moeDiagnosticGetNote(const MoEDiagnostic *diagnostic,
                                          size_t index) {
  return &diagnostic->notes[index];
}

size_t moeDiagnosticGetNumHelps(const MoEDiagnostic *diagnostic) {
  return diagnostic->helps.size();
}

const char *moeDiagnosticGetHelp(const MoEDiagnostic *diagnostic,
                                 size_t index) {
  return diagnostic->helps[index].c_str();
}
