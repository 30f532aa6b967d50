#include "values.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <stdexcept>

#include "cow_cache/errors.hpp"
#include "terminal.hpp"

namespace cow::tool {
namespace {

constexpr std::string_view kRootType = "cow.Root";  // RootDirectory of cow_cache/root.hpp

Oid oid_of(const msgpack::object& object) {
  const msgpack::object_ext& ext = object.via.ext;
  if (object.type != msgpack::type::EXT || ext.type() != kReferenceExtension || ext.size != 8) return {};
  std::uint64_t oid = 0;
  for (int i = 0; i < 8; ++i) oid = oid << 8 | static_cast<unsigned char>(ext.data()[i]);
  return Oid{oid};
}

bool is_identifier(std::string_view key) {
  const auto fits = [](char letter) { return std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '_'; };
  return !key.empty() && std::ranges::all_of(key, fits) && std::isdigit(static_cast<unsigned char>(key[0])) == 0;
}

void add_offsets(const msgpack::object& object, const char* record, std::vector<std::size_t>& offsets) {
  if (oid_of(object)) {
    offsets.push_back(static_cast<std::size_t>(object.via.ext.data() - record));
  } else if (object.type == msgpack::type::ARRAY) {
    for (std::uint32_t i = 0; i < object.via.array.size; ++i) add_offsets(object.via.array.ptr[i], record, offsets);
  } else if (object.type == msgpack::type::MAP) {
    for (std::uint32_t i = 0; i < object.via.map.size; ++i) {
      add_offsets(object.via.map.ptr[i].key, record, offsets);
      add_offsets(object.via.map.ptr[i].val, record, offsets);
    }
  }
}

void add_key(std::string& path, const msgpack::object& key) {
  if (key.type == msgpack::type::STR) {
    const std::string_view text(key.via.str.ptr, key.via.str.size);
    if (is_identifier(text)) {
      path += path.empty() ? "" : ".";
      path += text;
      return;
    }
  }
  path += '[';
  detail::JsonWriter(path, 0).write(key);
  path += ']';
}

class Walk {
 public:
  explicit Walk(const Value::OnReference& visit) : visit_(visit) {}

  void at(const msgpack::object& object) {
    if (const Oid oid = oid_of(object)) return visit_(path_, oid);
    const std::size_t length = path_.size();
    if (object.type == msgpack::type::ARRAY) {
      for (std::uint32_t i = 0; i < object.via.array.size; ++i) {
        path_ += '[' + std::to_string(i) + ']';
        at(object.via.array.ptr[i]);
        path_.resize(length);
      }
    } else if (object.type == msgpack::type::MAP) {
      for (std::uint32_t i = 0; i < object.via.map.size; ++i) {
        const msgpack::object_kv& entry = object.via.map.ptr[i];
        if (entry.key.type != msgpack::type::STR) at_key(entry.key);
        add_key(path_, entry.key);
        at(entry.val);
        path_.resize(length);
      }
    }
  }

 private:
  void at_key(const msgpack::object& key) {
    const std::size_t length = path_.size();
    path_ += path_.empty() ? "(key)" : ".(key)";
    at(key);
    path_.resize(length);
  }

  const Value::OnReference& visit_;
  std::string path_;
};

/// Compares two values member by member.
class Comparison {
 public:
  void at(const msgpack::object& a, const msgpack::object& b) {
    const std::size_t length = path_.size();
    if (a.type == msgpack::type::ARRAY && b.type == a.type && a.via.array.size == b.via.array.size) {
      for (std::uint32_t i = 0; i < a.via.array.size; ++i) {
        path_ += '[' + std::to_string(i) + ']';
        at(a.via.array.ptr[i], b.via.array.ptr[i]);
        path_.resize(length);
      }
    } else if (a.type == msgpack::type::MAP && b.type == a.type) {
      const std::map<std::string, const msgpack::object*> left = members(a), right = members(b);
      for (const auto& [key, value] : left) {
        const auto found = right.find(key);
        path_ += key;
        if (found == right.end()) {
          paths.push_back(path_);
        } else {
          at(*value, *found->second);
        }
        path_.resize(length);
      }
      for (const auto& [key, value] : right) {
        if (!left.contains(key)) paths.push_back(path_ + key);
      }
    } else if (!(a == b)) {
      paths.push_back(path_);
    }
  }

  std::vector<std::string> paths;

 private:
  std::map<std::string, const msgpack::object*> members(const msgpack::object& map) const {
    std::map<std::string, const msgpack::object*> found;
    for (std::uint32_t i = 0; i < map.via.map.size; ++i) {
      std::string key = path_;
      add_key(key, map.via.map.ptr[i].key);
      found.emplace(key.substr(path_.size()), &map.via.map.ptr[i].val);
    }
    return found;
  }

  std::string path_;
};

}  // namespace

Value::Value(std::string_view record, Oid oid, Tid tid)
    : record_(record), header_(detail::read_record_header(record, oid, tid)) {
  try {
    std::size_t offset = header_.value_offset;
    object_ = zone_.unpack(record, offset);
    if (offset != record.size()) throw std::length_error("bytes follow the value");
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    throw CorruptRecordError(oid, tid, std::string("the value is no MessagePack: ") + error.what());
  }
}

std::string Value::json() const {
  std::string out;
  detail::JsonWriter(out, 0).write(object_);
  return out;
}

void Value::references(const OnReference& visit) const { Walk(visit).at(object_); }

std::vector<std::size_t> Value::reference_offsets() const {
  std::vector<std::size_t> offsets;
  add_offsets(object_, record_.data(), offsets);
  return offsets;
}

std::vector<std::string> differences(const Value& a, const Value& b) {
  Comparison comparison;
  comparison.at(a.object(), b.object());
  return std::move(comparison.paths);
}

std::map<std::string, Oid> names_in_root(std::string_view record, Tid tid) {
  const Value root(record, kRootOid, tid);
  if (root.type() != kRootType) {
    throw CorruptRecordError(kRootOid, tid, "the root is a '" + printable(root.type()) + "'");
  }
  std::map<std::string, Oid> names;
  const msgpack::object& fields = root.object();
  for (std::uint32_t i = 0; fields.type == msgpack::type::MAP && i < fields.via.map.size; ++i) {
    const msgpack::object& key = fields.via.map.ptr[i].key;
    const msgpack::object& entries = fields.via.map.ptr[i].val;
    if (key.type != msgpack::type::STR || std::string_view(key.via.str.ptr, key.via.str.size) != "entries") continue;
    for (std::uint32_t j = 0; entries.type == msgpack::type::MAP && j < entries.via.map.size; ++j) {
      const msgpack::object_kv& entry = entries.via.map.ptr[j];
      if (entry.key.type == msgpack::type::STR) {
        names[std::string(entry.key.via.str.ptr, entry.key.via.str.size)] = oid_of(entry.val);
      }
    }
  }
  return names;
}

}  // namespace cow::tool
