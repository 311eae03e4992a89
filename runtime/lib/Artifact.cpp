//===- Artifact.cpp - The file of a compiled layer ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Artifact.h"

#include "Descriptor.h"
#include "TensorChecks.h"

#include <cerrno>
#include <cstring>

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>

using namespace moert;

#if defined(__x86_64__)
static constexpr unsigned hostMachine = EM_X86_64;
#elif defined(__aarch64__)
static constexpr unsigned hostMachine = EM_AARCH64;
#else
#error "what is this machine's number in an ELF header?"
#endif

static std::string readWhole(const std::string &path) {
  // O_NONBLOCK: opening a named pipe must not wait for a writer.
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status;
  if (!file.isOpen() || ::fstat(file.get(), &status) != 0)
    throw FormatError("cannot be opened: " + describeSystemError(errno));
  if (!S_ISREG(status.st_mode))
    throw FormatError("is not a regular file");
  std::string bytes(status.st_size, '\0');
  size_t size = 0;
  while (size < bytes.size()) {
    ssize_t got = ::read(file.get(), bytes.data() + size, bytes.size() - size);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      throw FormatError("cannot be read: " + describeSystemError(errno));
    if (got == 0)
      break;
    size += got;
  }
  bytes.resize(size);
  return bytes;
}

namespace {
/// The parts of an ELF file, each only where the file has it.
class ElfFile {
public:
  explicit ElfFile(std::string_view bytes) : bytes(bytes) { readHeader(); }

  /// The bytes of a symbol that the file defines; throws if there is none.
  std::string_view getSymbol(const std::string &name) const;

private:
  using Header = ElfW(Ehdr);
  using Segment = ElfW(Phdr);
  using Section = ElfW(Shdr);
  using Symbol = ElfW(Sym);

  void readHeader();
  std::string_view range(uint64_t offset, uint64_t size) const {
    if (offset > bytes.size() || size > bytes.size() - offset)
      throw FormatError("is truncated: it has " + std::to_string(bytes.size()) +
                        " bytes, and its headers describe more");
    return bytes.substr(offset, size);
  }
  /// Copied: the bytes need not be aligned for T.
  template <typename T>
  std::vector<T> table(uint64_t offset, uint64_t count) const {
    uint64_t size;
    if (__builtin_mul_overflow(count, sizeof(T), &size))
      size = UINT64_MAX;
    std::string_view data = range(offset, size);
    std::vector<T> entries(count);
    if (count > 0)
      std::memcpy(entries.data(), data.data(), data.size());
    return entries;
  }

  std::string_view bytes;
  std::vector<Segment> segments;
  std::vector<Section> sections;
};
} // namespace

void ElfFile::readHeader() {
  if (bytes.size() < SELFMAG || std::memcmp(bytes.data(), ELFMAG, SELFMAG) != 0)
    throw FormatError("is no shared object");
  Header header = table<Header>(0, 1)[0];
  if (header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_machine != hostMachine)
    throw FormatError("is compiled for another kind of processor");
  if (header.e_type != ET_DYN || header.e_phentsize != sizeof(Segment) ||
      header.e_shentsize != sizeof(Section))
    throw FormatError("is no shared object");
  segments = table<Segment>(header.e_phoff, header.e_phnum);
  sections = table<Section>(header.e_shoff, header.e_shnum);
  for (const Segment &segment : segments)
    if (segment.p_type == PT_LOAD)
      (void)range(segment.p_offset, segment.p_filesz);
}

std::string_view ElfFile::getSymbol(const std::string &name) const {
  for (const Section &section : sections) {
    if (section.sh_type != SHT_DYNSYM || section.sh_link >= sections.size())
      continue;
    const Section &strings = sections[section.sh_link];
    std::string_view names = range(strings.sh_offset, strings.sh_size);
    for (const Symbol &symbol :
         table<Symbol>(section.sh_offset, section.sh_size / sizeof(Symbol))) {
      if (symbol.st_shndx == SHN_UNDEF || symbol.st_name >= names.size())
        continue;
      std::string_view rest = names.substr(symbol.st_name);
      if (rest.substr(0, rest.find('\0')) != name)
        continue;
      for (const Segment &segment : segments)
        if (segment.p_type == PT_LOAD && symbol.st_value >= segment.p_vaddr &&
            symbol.st_value - segment.p_vaddr < segment.p_filesz &&
            symbol.st_size <=
                segment.p_filesz - (symbol.st_value - segment.p_vaddr))
          return range(segment.p_offset + symbol.st_value - segment.p_vaddr,
                       symbol.st_size);
    }
  }
  throw FormatError("is no compiled layer: it lacks '" + name + "'");
}

/// FNV-1a. It tells files apart that were not made to be mistaken.
static Fingerprint fingerprintOf(std::string_view bytes) {
  using Wide = unsigned __int128;
  constexpr Wide prime = (Wide(1) << 88) + 0x13b;
  Wide hash = (Wide(0x6c62272e07bb0142) << 64) + 0x62b821756295c58d;
  for (char c : bytes)
    hash = (hash ^ static_cast<unsigned char>(c)) * prime;
  uint64_t size = bytes.size(), version = MOERT_ABI_VERSION;
  Fingerprint result;
  std::memcpy(result.data(), &hash, 16);
  std::memcpy(result.data() + 16, &size, 8);
  std::memcpy(result.data() + 24, &version, 8);
  return result;
}

bool moert::readArtifact(const std::string &path, std::string &description,
                         Fingerprint &fingerprint, std::string &error) {
  return guarded("'" + path + "' ", error, [&] {
    std::string bytes = readWhole(path);
    ElfFile file(bytes);
    (void)file.getSymbol("moert_main");
    std::string_view text = file.getSymbol("moert_program");
    if (text.empty() || text.back() != '\0')
      throw FormatError("is no compiled layer: its 'moert_program' is no text");
    description = text.substr(0, text.find('\0'));
    fingerprint = fingerprintOf(bytes);
  });
}
