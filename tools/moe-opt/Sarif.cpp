//===- Sarif.cpp - Diagnostics for code hosts and editors -----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Sarif.h"
#include "moe/Analysis/Repairs.h"
#include "moe/Support/DiagnosticRules.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

namespace json = llvm::json;
using llvm::StringRef;

/// What a heading's anchor is on code hosts: `g1-a-reduction-is-missing`.
static std::string anchorOf(const moe::DiagnosticRule &rule) {
  if (!rule.isOfPass)
    return "constraints-of-types-attributes-and-operations";
  // T1 is a section with one entry.
  if (rule.id == "T1")
    return "types-t1";
  std::string anchor;
  for (char c : (rule.id + "-" + rule.description).str())
    if (llvm::isAlnum(c) || c == '-' || c == ' ')
      anchor += c == ' ' ? '-' : llvm::toLower(c);
  return anchor;
}

/// As a reference: a relative path stays relative.
static std::string uriOf(StringRef path) {
  std::string uri = llvm::sys::path::is_absolute(path) ? "file://" : "";
  for (char c : llvm::sys::path::convert_to_slash(path))
    if (llvm::isAlnum(c) || StringRef("/-._~").contains(c))
      uri += c;
    else
      uri += "%" + llvm::utohexstr(static_cast<unsigned char>(c), false, 2);
  return uri;
}

static json::Object artifactAt(mlir::FileLineColLoc place) {
  return json::Object{{"uri", uriOf(place.getFilename().getValue())}};
}

static json::Object physicalLocation(mlir::FileLineColLoc place) {
  json::Object location{{"artifactLocation", artifactAt(place)}};
  if (place.getLine() > 0)
    location["region"] =
        json::Object{{"startLine", int64_t(place.getLine())},
                     {"startColumn", std::max<int64_t>(place.getColumn(), 1)}};
  return json::Object{{"physicalLocation", std::move(location)}};
}

static json::Object messageOf(StringRef text) {
  return json::Object{{"text", json::fixUTF8(text)}};
}

/// The text from `grad` to the `>` that ends the list, after `place`; empty if
/// the text has another form.
static StringRef findClause(const llvm::SourceMgr &sources,
                            mlir::FileLineColLoc place) {
  StringRef text =
      sources.getMemoryBuffer(sources.getMainFileID())->getBuffer();
  for (unsigned line = 1; line < place.getLine(); ++line)
    text = text.split('\n').second;
  text = text.drop_front(std::min<size_t>(
      text.size(), std::max<size_t>(place.getColumn(), 1) - 1));
  size_t begin = text.find(" grad ");
  // Not beyond the operation's types.
  if (begin == StringRef::npos || text.take_front(begin).contains(" : "))
    return "";
  StringRef clause = text.drop_front(begin + 1);
  int depth = 0;
  for (size_t i = 0; i < clause.size(); ++i) {
    depth += clause[i] == '<';
    if (clause[i] == '>' && --depth == 0)
      return clause.take_front(i + 1);
  }
  return "";
}

/// The region of a part of the main file.
static json::Object regionOf(const llvm::SourceMgr &sources, StringRef text) {
  auto [line, column] =
      sources.getLineAndColumn(llvm::SMLoc::getFromPointer(text.begin()));
  auto [endLine, endColumn] =
      sources.getLineAndColumn(llvm::SMLoc::getFromPointer(text.end()));
  return json::Object{{"startLine", int64_t(line)},
                      {"startColumn", int64_t(column)},
                      {"endLine", int64_t(endLine)},
                      {"endColumn", int64_t(endColumn)}};
}

void SarifLog::addFix(mlir::Diagnostic &note, json::Array &fixes) const {
  json::Array replacements;
  mlir::FileLineColLoc first;
  for (auto &[loc, text] : moe::spmd::getClauseEdits(note)) {
    mlir::FileLineColLoc place = moe::findFileLocation(loc);
    StringRef clause = place ? findClause(sources, place) : "";
    if (clause.empty())
      return;
    first = first ? first : place;
    replacements.push_back(
        json::Object{{"deletedRegion", regionOf(sources, clause)},
                     {"insertedContent", messageOf(text.getValue())}});
  }
  if (replacements.empty())
    return;
  json::Array changes{json::Object{{"artifactLocation", artifactAt(first)},
                                   {"replacements", std::move(replacements)}}};
  std::string text = note.str();
  StringRef description = text;
  description.consume_front("help: ");
  description.consume_front("or ");
  fixes.push_back(json::Object{{"description", messageOf(description)},
                               {"artifactChanges", std::move(changes)}});
}

void SarifLog::add(mlir::Diagnostic &diagnostic) {
  StringRef level = "note";
  if (diagnostic.getSeverity() == mlir::DiagnosticSeverity::Error)
    level = "error";
  else if (diagnostic.getSeverity() == mlir::DiagnosticSeverity::Warning)
    level = "warning";
  std::string message = diagnostic.str();
  json::Array related, fixes;
  std::string helps;
  for (mlir::Diagnostic &note : diagnostic.getNotes()) {
    std::string text = note.str();
    // The operation in its generic form: for terminals, if at all.
    if (StringRef(text).starts_with("see current operation"))
      continue;
    if (StringRef(text).starts_with("help: "))
      helps += "\n" + text;
    addFix(note, fixes);
    if (mlir::FileLineColLoc place =
            moe::findFileLocation(note.getLocation())) {
      json::Object location = physicalLocation(place);
      location["id"] = int64_t(related.size());
      location["message"] = messageOf(text);
      related.push_back(std::move(location));
    }
  }
  json::Object result{{"level", level},
                      {"message", messageOf(message + helps)}};
  if (const moe::DiagnosticRule *rule = moe::findDiagnosticRule(message)) {
    result["ruleId"] = rule->id;
    result["ruleIndex"] = rule - moe::getDiagnosticRules().begin();
  }
  if (mlir::FileLineColLoc place =
          moe::findFileLocation(diagnostic.getLocation()))
    result["locations"] = json::Array{physicalLocation(place)};
  if (!related.empty())
    result["relatedLocations"] = std::move(related);
  if (!fixes.empty())
    result["fixes"] = std::move(fixes);
  results.push_back(std::move(result));
}

std::string SarifLog::str(bool successful) const {
  json::Array rules;
  for (const moe::DiagnosticRule &rule : moe::getDiagnosticRules())
    rules.push_back(json::Object{
        {"id", rule.id},
        {"shortDescription", messageOf(rule.description)},
        {"helpUri", MOE_DOCS_URL "/Diagnostics.md#" + anchorOf(rule)}});
  json::Object driver{{"name", "moe-opt"}, {"rules", std::move(rules)}};
  json::Object run{{"tool", json::Object{{"driver", std::move(driver)}}},
                   {"columnKind", "utf16CodeUnits"},
                   {"invocations", json::Array{json::Object{
                                       {"executionSuccessful", successful}}}},
                   {"results", json::Array(results)}};
  json::Object log{{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
                   {"version", "2.1.0"},
                   {"runs", json::Array{std::move(run)}}};
  std::string text;
  llvm::raw_string_ostream(text)
      << llvm::formatv("{0:2}", json::Value(std::move(log))) << "\n";
  return text;
}
