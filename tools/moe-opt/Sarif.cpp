//===- Sarif.cpp - Diagnostics for code hosts and editors -----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Sarif.h"
#include "mlir/IR/Location.h"
#include "moe/Analysis/Repairs.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

namespace json = llvm::json;
using llvm::StringRef;

namespace {

/// A label, as docs/Diagnostics.md describes it. Labels in parentheses, of
/// single operations, are described in one section.
struct Rule {
  StringRef id, description;
  bool isOfPass;
};

} // namespace

static constexpr Rule kRules[] = {
    {"G1", "a reduction is missing", true},
    {"G2", "a reduction too many", true},
    {"G3", "cut otherwise", true},
    {"G4", "another kind of reduction", true},
    {"G5", "a sum without meaning", true},
    {"G6", "sums what is not Partial", true},
    {"Q1", "a gradient leaves otherwise than its argument lies", true},
    {"T1", "an operation is typed otherwise than its rule gives", true},
    {"R1", "Partial into what is not linear", true},
    {"R2", "two Partial factors", true},
    {"R3", "terms of different kinds", true},
    {"R4", "operands that cut different things", true},
    {"R5", "a cut of what is needed whole", true},
    {"R6", "no rule", true},
    {"R7", "not what opaque code needs", true},
    {"I1", "an argument's placement is not given", true},
    {"I2", "not inferred yet", true},
    {"A1", "no derivative", true},
    {"A2", "not inferred yet", true},
    {"M1", "the sizes of a mesh", false},
    {"M2", "names of mesh axes", false},
    {"M3", "split axes", false},
    {"T1.type", "one placement per mesh axis", false},
    {"T2", "cut dimensions", false},
    {"T3", "reductions in one type", false},
    {"T4", "shapes", false},
    {"C1", "operations of `spmd` change placements alone", false},
    {"C2", "rows cut by expert", false},
    {"C3", "conversions to avg, max or min", false},
    {"B1", "names of axes in operations", false},
    {"L1", "`spmd.all_reduce`", false},
    {"L2", "`spmd.all_gather`", false},
    {"L3", "`spmd.reduce_scatter`", false},
    {"L4", "`spmd.all_to_all`", false},
    {"U1", "arguments of `spmd.compute`'s body", false},
    {"U2", "what it yields", false},
    {"U3", "the mesh of `spmd.compute` and `spmd.opaque`", false},
    {"O1", "what `spmd.opaque` declares of operands", false},
    {"O2", "what it declares of its result", false},
    {"E1", "the equation of an einsum", false},
    {"E2", "its letters and sizes", false},
    {"E3", "element types", false},
    {"E4", "counts of a grouped einsum", false},
    {"W1", "element-wise operations", false},
    {"W2", "`moe.fold`, `moe.unfold`", false},
    {"K1", "sizes of `moe.top_k`", false},
    {"K2", "its groups", false},
    {"K3", "its bias", false},
    {"G", "`moe.gather`, `moe.scatter`, `moe.count`", false},
    {"N1", "axes of a collective of `moert`", false},
    {"N2", "its operands", false},
    {"N3", "what its operands are parts of", false},
    {"D1", "`moe.dispatch`, `moe.combine`, `moe.permute`, `moe.unpermute`",
     false},
};

/// What a heading's anchor is on code hosts: `g1-a-reduction-is-missing`.
static std::string anchorOf(const Rule &rule) {
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

/// The label at the beginning of a message, or in it in parentheses; -1 if it
/// has none that is known.
static int findRule(StringRef message) {
  bool ofPass = message.starts_with("[");
  StringRef label = message.drop_front().split(']').first;
  if (!ofPass) {
    size_t open = message.find('(');
    label = open == StringRef::npos
                ? ""
                : message.drop_front(open + 1).split(')').first;
  }
  std::string id = !ofPass && label == "T1" ? "T1.type" : label.str();
  for (auto [i, rule] : llvm::enumerate(kRules))
    if (rule.id == id && rule.isOfPass == ofPass)
      return i;
  return -1;
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

static mlir::FileLineColLoc findPlace(mlir::Location loc) {
  mlir::FileLineColLoc place;
  loc->walk([&](mlir::Location part) {
    place = llvm::dyn_cast<mlir::FileLineColLoc>(part);
    return place ? mlir::WalkResult::interrupt() : mlir::WalkResult::advance();
  });
  return place;
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
    mlir::FileLineColLoc place = findPlace(loc);
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
    if (mlir::FileLineColLoc place = findPlace(note.getLocation())) {
      json::Object location = physicalLocation(place);
      location["id"] = int64_t(related.size());
      location["message"] = messageOf(text);
      related.push_back(std::move(location));
    }
  }
  json::Object result{{"level", level},
                      {"message", messageOf(message + helps)}};
  if (int rule = findRule(message); rule >= 0) {
    result["ruleId"] = kRules[rule].id;
    result["ruleIndex"] = rule;
  }
  if (mlir::FileLineColLoc place = findPlace(diagnostic.getLocation()))
    result["locations"] = json::Array{physicalLocation(place)};
  if (!related.empty())
    result["relatedLocations"] = std::move(related);
  if (!fixes.empty())
    result["fixes"] = std::move(fixes);
  results.push_back(std::move(result));
}

std::string SarifLog::str(bool successful) const {
  json::Array rules;
  for (const Rule &rule : kRules)
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
