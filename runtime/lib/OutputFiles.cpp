//===- OutputFiles.cpp - Files that appear together -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moert/OutputFiles.h"

#include "Descriptor.h"
#include "TensorChecks.h"

#include <atomic>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace moert;

static void writeAll(const Descriptor &file, std::string_view data) {
  while (!data.empty()) {
    ssize_t put = ::write(file.get(), data.data(), data.size());
    if (put < 0 && errno == EINTR)
      continue;
    if (put < 0)
      throw FormatError("writing failed: " + describeSystemError(errno) +
                        "; check the space left on the disk");
    data.remove_prefix(put);
  }
}

/// Returns the directory part of `path`, with its slash, or "" if there is
/// none.
static std::string directoryOf(const std::string &path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

/// Creates a new file in `directory` and stores its name in `path`. O_EXCL and
/// not mkstemp, whose files only their owner may read.
static int createTemporary(const std::string &directory, std::string &path) {
  static std::atomic<unsigned> counter{0};
  int descriptor;
  do {
    path = directory + ".moert-" + std::to_string(::getpid()) + "-" +
           std::to_string(counter++) + ".tmp";
    descriptor =
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor < 0 && (errno == EEXIST || errno == EINTR));
  return descriptor;
}

/// To a device or a pipe, which must stay what it is.
static void writeInPlace(const std::string &path,
                         const std::vector<std::string_view> &pieces) {
  Descriptor device(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!device.isOpen())
    throw FormatError("cannot open it: " + describeSystemError(errno) +
                      "; check its permissions");
  for (std::string_view piece : pieces)
    writeAll(device, piece);
}

OutputFiles::~OutputFiles() {
  for (const File &file : pending)
    ::unlink(file.temporary.c_str());
}

void OutputFiles::write(const std::string &path,
                        const std::vector<std::string_view> &pieces) {
  // Found out now, since it must not happen between two files of a commit.
  struct stat status;
  bool exists = ::stat(path.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode))
    throw FormatError("cannot put the new file in place: it is a directory; "
                      "remove it");
  if (exists && !S_ISREG(status.st_mode))
    return writeInPlace(path, pieces);
  std::string temporary;
  Descriptor file(createTemporary(directoryOf(path), temporary));
  if (!file.isOpen())
    throw FormatError(
        "cannot create a file in its directory: " + describeSystemError(errno) +
        "; check that the directory exists and is writable");
  pending.push_back({path, std::move(temporary)});
  for (std::string_view piece : pieces)
    writeAll(file, piece);
  if (::fsync(file.get()) != 0 || !file.close())
    throw FormatError("writing failed: " + describeSystemError(errno) +
                      "; check the space left on the disk");
}

bool OutputFiles::add(const std::string &path, std::string_view text,
                      std::string &error) {
  return guarded(path + ": ", error, [&] { write(path, {text}); });
}

bool OutputFiles::add(const std::string &path, const TensorMap &tensors,
                      std::string &error) {
  return guarded(path + ": ", error, [&] {
    std::vector<const Tensor *> data;
    std::string header = layOutSafeTensors(tensors, data);
    std::vector<std::string_view> pieces{header};
    for (const Tensor *tensor : data)
      pieces.emplace_back(reinterpret_cast<const char *>(tensor->data.data()),
                          tensor->data.size());
    write(path, pieces);
  });
}

bool OutputFiles::commit(std::string &error) {
  while (!pending.empty()) {
    const File &file = pending.back();
    if (::rename(file.temporary.c_str(), file.path.c_str()) != 0) {
      error = file.path + ": cannot put the new file in place: " +
              describeSystemError(errno) + "; check its directory";
      retract();
      return false;
    }
    placed.push_back(file);
    pending.pop_back();
  }
  // The files are complete and in place; syncing the directories only makes the
  // new names survive a power cut, and not every file system can.
  std::string synced;
  for (const File &file : placed) {
    std::string directory = directoryOf(file.path);
    if (&file != &placed.front() && directory == synced)
      continue;
    synced = directory;
    Descriptor parent(::open(directory.empty() ? "." : directory.c_str(),
                             O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (parent.isOpen())
      (void)::fsync(parent.get());
  }
  return true;
}

void OutputFiles::retract() {
  for (const File &file : placed)
    ::unlink(file.path.c_str());
  placed.clear();
}

bool moert::writeSafeTensors(const std::string &path, const TensorMap &tensors,
                             std::string &error) {
  OutputFiles files;
  return files.add(path, tensors, error) && files.commit(error);
}
