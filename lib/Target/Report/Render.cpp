//===- Render.cpp - A report to read --------------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Text and HTML show the same tables: each is made once, of strings.
//
//===----------------------------------------------------------------------===//

#include "moe/Target/Report.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"

using namespace moe;
using llvm::StringRef;
namespace json = llvm::json;

namespace {

struct Table {
  StringRef title;
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> rows;
};

} // namespace

static std::string textOf(const json::Object &object, StringRef key) {
  return object.getString(key).value_or("").str();
}

static std::string numberOf(const json::Object &object, StringRef key) {
  return std::to_string(object.getInteger(key).value_or(0));
}

static std::string join(const json::Array &array, StringRef separator) {
  std::string text;
  for (const json::Value &value : array) {
    text += text.empty() ? "" : separator.str();
    if (auto string = value.getAsString())
      text += *string;
    else
      text += llvm::formatv("{0}", value).str();
  }
  return text;
}

static std::string axesOf(const json::Object &object) {
  return join(*object.getArray("axes"), ",");
}

/// A bound says so.
static std::string bytesOf(const json::Object &object, int64_t bytes) {
  return (object.getBoolean("bound").value_or(false) ? "<= " : "") +
         std::to_string(bytes);
}

static Table valuesOf(const json::Object &report, StringRef list) {
  Table table{list, {"name", "dtype", "shape", "placements"}, {}};
  for (const json::Value &value : *report.getArray(list)) {
    const json::Object &object = *value.getAsObject();
    table.rows.push_back({textOf(object, "name"), textOf(object, "dtype"),
                          join(*object.getArray("shape"), "x"),
                          join(*object.getArray("placements"), ", ")});
  }
  return table;
}

/// `12.3`; nothing if there is no number.
static std::string timeOf(const json::Object &object, StringRef key) {
  auto time = object.getNumber(key);
  return time ? llvm::formatv("{0:f1}", *time).str() : "";
}

static Table reductionsOf(const json::Object &report) {
  Table table{"reductions",
              {"fate", "collective", "axis", "phase", "site", "where", "to",
               "bytes before", "after", "us before", "after", "why"},
              {}};
  for (const json::Value &value : *report.getArray("reductions")) {
    const json::Object &object = *value.getAsObject();
    std::string to;
    for (const json::Value &place : *object.getArray("to")) {
      const json::Object &at = *place.getAsObject();
      to += (to.empty() ? "" : ", ") + textOf(at, "kind") + " " +
            textOf(at, "location");
    }
    table.rows.push_back(
        {textOf(object, "fate"), textOf(object, "kind"), textOf(object, "axis"),
         textOf(object, "phase"), textOf(object, "site"),
         textOf(object, "location"), to, numberOf(object, "bytes_before"),
         numberOf(object, "bytes_after"), timeOf(object, "us_before"),
         timeOf(object, "us_after"), textOf(object, "why")});
  }
  return table;
}

static constexpr StringRef kPolicies[] = {"eager", "boundary", "min-cut"};

static Table fatesOf(const json::Object &report) {
  Table table{"reductions by policy: bytes of a rank, us",
              {"collective", "axis", "phase", "site", "where"},
              {}};
  for (StringRef policy : kPolicies)
    for (StringRef column : {policy, StringRef("bytes"), StringRef("us")})
      table.head.push_back(column.str());
  for (const json::Value &value : *report.getArray("reductions")) {
    const json::Object &object = *value.getAsObject();
    std::vector<std::string> row{
        textOf(object, "kind"), textOf(object, "axis"), textOf(object, "phase"),
        textOf(object, "site"), textOf(object, "location")};
    for (StringRef policy : kPolicies) {
      const json::Object *fate =
          object.getObject("policies")->getObject(policy);
      row.push_back(fate ? textOf(*fate, "fate") : "");
      row.push_back(fate ? numberOf(*fate, "bytes") : "");
      row.push_back(fate ? timeOf(*fate, "us") : "");
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

static Table policiesOf(const json::Object &report) {
  Table table{"policies",
              {"policy", "phase", "collectives", "bytes of a rank", "us"},
              {}};
  for (const json::Value &value : *report.getArray("policies")) {
    const json::Object &object = *value.getAsObject();
    table.rows.push_back({textOf(object, "policy"), textOf(object, "phase"),
                          numberOf(object, "collectives"),
                          numberOf(object, "bytes"), timeOf(object, "us")});
  }
  return table;
}

static Table estimatesOf(const json::Object &report) {
  Table table{"estimates by axis, us",
              {"axis", "eager", "boundary", "min-cut", "at least"},
              {}};
  for (const json::Value &value : *report.getArray("estimates")) {
    const json::Object &estimate = *value.getAsObject();
    std::vector<std::string> row{textOf(estimate, "axis")};
    for (StringRef key :
         {"us_eager", "us_boundary", "us_min_cut", "us_at_least"})
      row.push_back(timeOf(estimate, key));
    table.rows.push_back(std::move(row));
  }
  return table;
}

static Table collectivesOf(const json::Object &report) {
  Table table{
      "collectives",
      {"id", "collective", "axes", "phase", "site", "where", "bytes of a rank"},
      {}};
  for (const json::Value &value : *report.getArray("collectives")) {
    const json::Object &object = *value.getAsObject();
    int64_t most = 0;
    for (const json::Value &bytes : *object.getArray("bytes"))
      most = std::max(most, *bytes.getAsInteger());
    table.rows.push_back({numberOf(object, "id"), textOf(object, "kind"),
                          axesOf(object), textOf(object, "phase"),
                          textOf(object, "site"), textOf(object, "location"),
                          bytesOf(object, most)});
  }
  return table;
}

static std::string microsecondsOf(const json::Object &object, StringRef key) {
  return llvm::formatv("{0:f1}", object.getNumber(key).value_or(0)).str();
}

static Table bucketsOf(const json::Object &report) {
  Table table{"small all-reduces that became one",
              {"members", "phase", "where", "bytes", "us before", "after"},
              {}};
  for (const json::Value &value : *report.getArray("buckets")) {
    const json::Object &bucket = *value.getAsObject();
    table.rows.push_back({numberOf(bucket, "members"), textOf(bucket, "phase"),
                          textOf(bucket, "location"), numberOf(bucket, "bytes"),
                          microsecondsOf(bucket, "us_before"),
                          microsecondsOf(bucket, "us_after")});
  }
  return table;
}

/// Of a step, before and after its collectives were moved beside kernels.
static Table scheduleOf(const json::Object &report) {
  Table table{"schedule",
              {"", "us of the step", "us exposed", "bytes of the arena"},
              {}};
  if (const json::Object *schedule = report.getObject("schedule"))
    for (StringRef when : {"before", "after"})
      table.rows.push_back(
          {when.str(), microsecondsOf(*schedule, ("us_" + when).str()),
           microsecondsOf(*schedule, ("us_exposed_" + when).str()),
           numberOf(*schedule, ("bytes_arena_" + when).str())});
  return table;
}

static Table overlapsOf(const json::Object &report) {
  Table table{"overlap, us",
              {"id", "collective", "alone", "exposed before", "after",
               "beside, longest first"},
              {}};
  for (const json::Value &value : *report.getArray("collectives")) {
    const json::Object &object = *value.getAsObject();
    const json::Array *beside = object.getArray("beside");
    if (!beside)
      continue;
    std::vector<const json::Object *> kernels;
    for (const json::Value &kernel : *beside)
      kernels.push_back(kernel.getAsObject());
    auto timeOf = [](const json::Object *kernel) {
      return kernel->getNumber("us_beside").value_or(0);
    };
    llvm::sort(kernels, [&](auto *lhs, auto *rhs) {
      return std::tuple(-timeOf(lhs), lhs) < std::tuple(-timeOf(rhs), rhs);
    });
    std::string list;
    for (const json::Object *kernel : llvm::ArrayRef(kernels).take_front(3))
      list += (list.empty() ? "" : ", ") +
              microsecondsOf(*kernel, "us_beside") + " " +
              textOf(*kernel, "op") + " " + textOf(*kernel, "location");
    if (kernels.size() > 3)
      list += ", and " + std::to_string(kernels.size() - 3) + " more";
    table.rows.push_back({numberOf(object, "id"), textOf(object, "kind"),
                          microsecondsOf(object, "us_alone"),
                          microsecondsOf(object, "us_exposed_before"),
                          microsecondsOf(object, "us_exposed_after"), list});
  }
  return table;
}

static Table totalsOf(const json::Object &report) {
  Table table{"totals",
              {"phase", "collective", "axes", "count", "bytes of all ranks"},
              {}};
  for (const json::Value &value : *report.getArray("totals")) {
    const json::Object &object = *value.getAsObject();
    table.rows.push_back({textOf(object, "phase"), textOf(object, "kind"),
                          axesOf(object), numberOf(object, "count"),
                          bytesOf(object, *object.getInteger("bytes"))});
  }
  return table;
}

static std::string titleOf(const json::Object &report) {
  std::string mesh;
  for (const json::Value &value : *report.getArray("mesh")) {
    const json::Object &axis = *value.getAsObject();
    mesh += " " + textOf(axis, "name") + "=" + numberOf(axis, "size");
  }
  auto policy = report.getString("policy");
  return textOf(report, "function") + " of " + textOf(report, "source") +
         ", target " + textOf(report, "target") + ", mesh" + mesh + ", " +
         (policy ? "reductions by policy " + policy->str()
                 : "not verified, reductions where they were");
}

static void printText(const Table &table, llvm::raw_ostream &os) {
  std::vector<size_t> widths;
  widths.reserve(table.head.size());
  for (const std::string &cell : table.head)
    widths.push_back(cell.size());
  for (const auto &row : table.rows)
    for (size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], row[i].size());
  os << "\n" << table.title << "\n";
  auto print = [&](const std::vector<std::string> &row) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i)
      line += "  " + row[i] + std::string(widths[i] - row[i].size(), ' ');
    os << StringRef(line).rtrim() << "\n";
  };
  print(table.head);
  for (const auto &row : table.rows)
    print(row);
}

static void printCells(const std::vector<std::string> &row, StringRef tag,
                       llvm::raw_ostream &os) {
  os << "<tr>";
  for (const std::string &cell : row) {
    os << "<" << tag << ">";
    llvm::printHTMLEscaped(cell, os);
    os << "</" << tag << ">";
  }
  os << "</tr>\n";
}

static void printHTML(const Table &table, llvm::raw_ostream &os) {
  os << "<h2>" << table.title << "</h2>\n<table>\n";
  printCells(table.head, "th", os);
  for (const auto &row : table.rows)
    printCells(row, "td", os);
  os << "</table>\n";
}

std::optional<ReportFormat> moe::getReportFormat(StringRef path) {
  StringRef extension = llvm::sys::path::extension(path);
  if (extension == ".json")
    return ReportFormat::JSON;
  if (extension == ".txt")
    return ReportFormat::Text;
  if (extension == ".html")
    return ReportFormat::HTML;
  return std::nullopt;
}

void moe::renderReport(const json::Object &report, ReportFormat format,
                       llvm::raw_ostream &os) {
  if (format == ReportFormat::JSON) {
    os << llvm::formatv("{0:2}", json::Value(json::Object(report))) << "\n";
    return;
  }
  std::vector<Table> tables{reductionsOf(report),
                            fatesOf(report),
                            policiesOf(report),
                            estimatesOf(report),
                            collectivesOf(report),
                            totalsOf(report),
                            valuesOf(report, "arguments"),
                            valuesOf(report, "results")};
  // What was not made has no table.
  Table more[] = {bucketsOf(report), scheduleOf(report), overlapsOf(report)};
  for (Table &table : more)
    if (!table.rows.empty())
      tables.insert(tables.end() - 3, std::move(table));
  std::string title = titleOf(report);
  if (format == ReportFormat::Text) {
    os << title << "\n";
    for (const Table &table : tables)
      printText(table, os);
    return;
  }
  os << "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<title>";
  llvm::printHTMLEscaped(title, os);
  os << "</title>\n<style>body { font-family: sans-serif } table { "
        "border-collapse: collapse } th, td { text-align: left; padding: 2px "
        "12px 2px 0; border-bottom: 1px solid #ccc "
        "}</style></head><body>\n<h1>";
  llvm::printHTMLEscaped(title, os);
  os << "</h1>\n";
  for (const Table &table : tables)
    printHTML(table, os);
  os << "</body></html>\n";
}
