#include "export_file.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <new>

#include "cow_cache/detail/record/unpacking.hpp"
#include "session.hpp"

namespace cow::tool {
namespace {

constexpr std::string_view kFormat = "cow export";
constexpr std::uint64_t kVersion = 1;

std::string why() { return std::strerror(errno); }

std::string bytes_of_file(const std::string& path) {
  std::FILE* const file = path == "-" ? stdin : std::fopen(path.c_str(), "rb");
  if (file == nullptr) throw Refusal(kNotThere, fmt::format("cannot read '{}': {}", path, why()));
  std::string bytes;
  char block[65536];
  for (std::size_t count = 0; (count = std::fread(block, 1, sizeof block, file)) > 0;) bytes.append(block, count);
  const bool failed = std::ferror(file) != 0;
  const std::string cause = failed ? why() : "";
  if (file != stdin) std::fclose(file);
  if (failed) throw Refusal(kFailed, fmt::format("cannot read '{}': {}", path, cause));
  return bytes;
}

const msgpack::object* member(const msgpack::object& map, std::string_view name) {
  if (map.type != msgpack::type::MAP) return nullptr;
  for (std::uint32_t i = 0; i < map.via.map.size; ++i) {
    const msgpack::object& key = map.via.map.ptr[i].key;
    if (key.type == msgpack::type::STR && std::string_view(key.via.str.ptr, key.via.str.size) == name) {
      return &map.via.map.ptr[i].val;
    }
  }
  return nullptr;
}

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw Refusal(kDamaged, fmt::format("'{}': {}", path, what));
}

Oid read_header(const std::string& path, const msgpack::object& header) {
  const msgpack::object* const format = member(header, "format");
  const msgpack::object* const version = member(header, "version");
  const msgpack::object* const top = member(header, "top");
  if (format == nullptr || version == nullptr || top == nullptr || format->as<std::string>() != kFormat) {
    refuse(path, "not a file that `cow export` has written");
  }
  if (version->as<std::uint64_t>() != kVersion) {
    refuse(path, fmt::format("version {}; this program knows version {}", version->as<std::uint64_t>(), kVersion));
  }
  return Oid{top->as<std::uint64_t>()};
}

// Adds what the arrays hold, until the last one, which must fit.
void read_objects(const std::string& path, std::size_t offset, ExportedGraph& graph) {
  const std::string& bytes = graph.bytes;
  while (true) {
    detail::ScratchZone zone;
    const std::size_t begin = offset;
    const msgpack::object item = zone.unpack(bytes, offset);
    if (item.type != msgpack::type::ARRAY || item.via.array.size < 2) refuse(path, "damaged");
    const msgpack::object* const parts = item.via.array.ptr;
    const Oid oid{parts[0].as<std::uint64_t>()};
    if (!oid) {
      const bool whole = item.via.array.size == 3 && parts[1].as<std::uint64_t>() == graph.objects.size() &&
                         parts[2].as<std::uint64_t>() == XXH3_64bits(bytes.data(), begin) && offset == bytes.size();
      if (!whole) refuse(path, "damaged: its checksum is wrong, or something is missing");
      return;
    }
    if (parts[1].is_nil()) {
      graph.objects.push_back({oid, std::nullopt});
    } else if (parts[1].type == msgpack::type::BIN) {
      graph.objects.push_back({oid, std::string_view(parts[1].via.bin.ptr, parts[1].via.bin.size)});
    } else {
      refuse(path, "damaged");
    }
  }
}

}  // namespace

ExportWriter::ExportWriter(const std::string& path, std::uint64_t store_id, Tid at, Oid top) : path_(path) {
  if (path_ == "-") {
    if (::isatty(STDOUT_FILENO) != 0) throw Refusal(kBadUsage, "an export is binary: not written to a terminal");
    file_ = stdout;
  } else {
    const int descriptor = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0) file_ = ::fdopen(descriptor, "wb");
    if (file_ == nullptr) throw Refusal(kFailed, fmt::format("cannot make '{}': {}", path_, why()));
  }
  hash_ = XXH3_createState();
  if (hash_ == nullptr) throw std::bad_alloc();
  XXH3_64bits_reset(hash_);
  msgpack::packer packer(buffer_);
  packer.pack_map(5);
  packer.pack("format").pack(std::string(kFormat));
  packer.pack("version").pack(kVersion);
  packer.pack("store").pack(fmt::format("{:016x}", store_id));
  packer.pack("at").pack(at.value);
  packer.pack("top").pack(top.value);
  write();
}

ExportWriter::~ExportWriter() {
  XXH3_freeState(hash_);
  if (file_ == nullptr || file_ == stdout) return;
  std::fclose(file_);
  ::unlink(path_.c_str());
}

void ExportWriter::add(Oid oid, const std::optional<std::string>& record) {
  msgpack::packer packer(buffer_);
  packer.pack_array(2).pack(oid.value);
  if (record) {
    packer.pack_bin(static_cast<std::uint32_t>(record->size()))
        .pack_bin_body(record->data(), static_cast<std::uint32_t>(record->size()));
  } else {
    packer.pack_nil();
  }
  ++count_;
  write();
}

void ExportWriter::finish() {
  msgpack::packer packer(buffer_);
  packer.pack_array(3).pack(0).pack(count_).pack(XXH3_64bits_digest(hash_));
  write();
  if (file_ == stdout) return;  // `main` flushes it
  std::FILE* const file = file_;
  const bool flushed = std::fflush(file) == 0 && ::fsync(::fileno(file)) == 0;
  const std::string cause = flushed ? "" : why();
  if (!flushed) throw Refusal(kFailed, fmt::format("cannot write '{}': {}", path_, cause));
  file_ = nullptr;
  std::fclose(file);
}

void ExportWriter::write() {
  XXH3_64bits_update(hash_, buffer_.data(), buffer_.size());
  if (std::fwrite(buffer_.data(), 1, buffer_.size(), file_) != buffer_.size()) {
    throw Refusal(kFailed, fmt::format("cannot write '{}': {}", path_, why()));
  }
  buffer_.clear();
}

ExportedGraph ExportedGraph::read(const std::string& path) {
  ExportedGraph graph;
  graph.bytes = bytes_of_file(path);
  try {
    std::size_t offset = 0;
    {
      detail::ScratchZone zone;
      graph.top = read_header(path, zone.unpack(graph.bytes, offset));
    }
    read_objects(path, offset, graph);
  } catch (const Refusal&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception&) {
    refuse(path, "not a file that `cow export` has written, or cut off");
  }
  return graph;
}

}  // namespace cow::tool
