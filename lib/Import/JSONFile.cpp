//===- JSONFile.cpp - JSON that a user wrote ------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "JSONFile.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace moe::importer;
namespace json = llvm::json;

/// Longest quotation in an error.
static constexpr size_t kMaxQuoted = 80;

std::string moe::importer::show(const json::Value &value) {
  std::string text = llvm::formatv("{0}", value).str();
  if (text.size() <= kMaxQuoted)
    return text;
  // Not inside a character of several bytes.
  size_t end = kMaxQuoted;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
    --end;
  return text.substr(0, end) + "...";
}

std::string moe::importer::quote(StringRef text) {
  std::string shown = show(json::Value(json::fixUTF8(text)));
  // JSON's escapes in the quotes of this project's messages.
  if (shown.back() == '"')
    shown.pop_back();
  return "'" + shown.substr(1) + "'";
}

namespace {

/// What a scan of the text finds without understanding it: strings and
/// brackets suffice. On text that is no JSON the answers mean nothing.
struct Scan {
  bool tooDeep = false;
  std::string duplicate;
};

Scan scan(StringRef text) {
  constexpr size_t maxDepth = 100;
  Scan result;
  SmallVector<llvm::StringSet<>> keys;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '{' || text[i] == '[') {
      keys.emplace_back();
      if (keys.size() > maxDepth) {
        result.tooDeep = true;
        return result;
      }
    } else if ((text[i] == '}' || text[i] == ']') && !keys.empty()) {
      keys.pop_back();
    } else if (text[i] == '"') {
      size_t begin = i++;
      while (i < text.size() && text[i] != '"')
        i += text[i] == '\\' ? 2 : 1;
      StringRef literal = text.slice(begin, i + 1);
      // A string is a key if a colon follows.
      StringRef rest = text.drop_front(std::min(i + 1, text.size())).ltrim();
      if (!rest.starts_with(":") || keys.empty())
        continue;
      llvm::Expected<json::Value> key = json::parse(literal);
      if (!key) {
        llvm::consumeError(key.takeError());
        continue;
      }
      std::optional<StringRef> name = key->getAsString();
      if (name && !keys.back().insert(*name).second && result.duplicate.empty())
        result.duplicate = quote(*name);
    }
  }
  return result;
}

} // namespace

FailureOr<json::Object> moe::importer::parseJSONObject(StringRef text,
                                                       StringRef path,
                                                       StringRef help,
                                                       ImportError &error) {
  auto fail = [&](const Twine &message) {
    error = {(path + ": " + message).str(), help.str()};
    return failure();
  };
  if (text.trim().empty())
    return fail("the file is empty");
  Scan scanned = scan(text);
  if (scanned.tooDeep)
    return fail("the JSON is nested more than 100 deep");
  llvm::Expected<json::Value> value = json::parse(text);
  if (!value)
    return fail(llvm::toString(value.takeError()));
  json::Object *object = value->getAsObject();
  if (!object)
    return fail("is not a JSON object");
  if (!scanned.duplicate.empty()) {
    error = {
        (path + ": the key " + scanned.duplicate + " is there twice").str(),
        "keep one of the two"};
    return failure();
  }
  return std::move(*object);
}
