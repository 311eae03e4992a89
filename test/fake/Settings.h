//===- Settings.h - Faults and sizes of the fake GPU ------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TEST_FAKE_SETTINGS_H
#define MOE_TEST_FAKE_SETTINGS_H

#include <cstdlib>
#include <map>
#include <mutex>
#include <string>

namespace fake {

/// What an environment variable says, as
/// "devices=2,fail=cuLaunchKernel@3,fail-with=700".
class Settings {
public:
  explicit Settings(const char *variable) {
    const char *text = std::getenv(variable);
    std::string rest = text ? text : "";
    while (!rest.empty()) {
      std::string entry = rest.substr(0, rest.find(','));
      rest.erase(0, entry.size() + 1);
      size_t equals = entry.find('=');
      values[entry.substr(0, equals)] =
          equals == std::string::npos ? "1" : entry.substr(equals + 1);
    }
  }

  bool has(const std::string &name) const { return values.count(name) != 0; }
  std::string text(const std::string &name) const {
    auto found = values.find(name);
    return found == values.end() ? "" : found->second;
  }
  long number(const std::string &name, long otherwise) const {
    return has(name) ? std::atol(text(name).c_str()) : otherwise;
  }

  /// The error that `call` is to return this time; 0 for none. `fail` names a
  /// function and which call of it, `fail-with` the error.
  int errorOf(const std::string &call) {
    return matches("fail", call) ? int(number("fail-with", 0)) : 0;
  }

  /// Whether `setting` says "call@n", and this is the nth call.
  bool matches(const std::string &setting, const std::string &call) {
    std::string text = this->text(setting);
    size_t at = text.find('@');
    if (text.substr(0, at) != call)
      return false;
    std::lock_guard<std::mutex> lock(mutex);
    long now = ++calls[setting + call];
    return at == std::string::npos || now == std::atol(text.c_str() + at + 1);
  }

private:
  std::map<std::string, std::string> values;
  std::map<std::string, long> calls;
  std::mutex mutex;
};

} // namespace fake

#endif // MOE_TEST_FAKE_SETTINGS_H
