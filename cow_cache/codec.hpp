// Codec<T>: how a C++ value becomes the bytes of a record and comes back.
//
// Thread safety: all functions are stateless and may run concurrently.
//
// The default codec writes one MessagePack value with msgpack-cxx, so a struct needs no more than MSGPACK_DEFINE_MAP
// (fields may be added later: missing ones keep their defaults, unknown ones are skipped) or MSGPACK_DEFINE (smaller and
// faster, a fixed list of fields). A Ref<T> is written as a MessagePack extension value of type kReferenceExtension with
// the oid in eight bytes, big-endian, and a null one as nil: any program finds the references of a record without
// knowing its type.
//
// What a member may be is checked by the compiler (detail/record/storable.hpp). All that decoding refuses is refused
// before it is committed, with an UnstorableValueError: nesting above 1024 levels, records above kMaxRecordBytes, and
// what a codec or an adaptor of one's own writes that is not exactly one MessagePack value.
//
// Specialise Codec<T> for another encoding; it must still write exactly one MessagePack value (`bin` holds anything). Only
// references that are packed as Ref<T> are checked when they are committed (UncommittedReferenceError).
//
// Codecs, upgrades and HeapBytes may read other objects, by the transaction that has called them or by another one. By the former they
// may not write, create, erase, commit or say that it will sleep: TransactionBusyError. They are called when an object is not in
// the cache, so what they would do would be done now and then. One that needs its own object gets a BuildCycleError. None may
// suspend the fiber that it runs on.
#pragma once

#include "version.hpp"

#include <concepts>
#include <cstdint>
#include <msgpack.hpp>
#include <string>
#include <string_view>

#include "detail/record/described_members.hpp"
#include "detail/record/packing.hpp"
#include "detail/record/reference_watch.hpp"
#include "members.hpp"
#include "ref.hpp"
#include "type_name.hpp"

namespace cow {

/// Encodes and decodes the value part of a record.
template <class T>
struct Codec {
  using WritesMembersOf = T;  ///< only here: a specialisation answers for its members itself

  static void encode(const T& value, std::string& out) {
    detail::StringSink sink{out};
    msgpack::pack(sink, value);
  }

  /// `schema` is the number in the record. A type whose current number is higher upgrades older records with
  /// `static T cow_upgrade(const msgpack::object& old, std::uint32_t schema)`. Throws any std::exception on bad data.
  static T decode(const msgpack::object& object, std::uint32_t schema) {
    if constexpr (requires {
                    { T::cow_upgrade(object, schema) } -> std::convertible_to<T>;
                  }) {
      if (schema < schema_of<T>()) return T::cow_upgrade(object, schema);
    }
    return object.as<T>();
  }
};

}  // namespace cow

// How msgpack-cxx writes and reads a reference.
namespace msgpack {
MSGPACK_API_VERSION_NAMESPACE(MSGPACK_DEFAULT_API_NS) {
  namespace adaptor {

  template <class T>
  struct pack<cow::Ref<T>> {
    template <class Stream>
    packer<Stream>& operator()(packer<Stream>& out, const cow::Ref<T>& reference) const {
      if (!reference) return out.pack_nil();
      cow::detail::ReferenceWatch::note(reference.oid());
      char bytes[8];
      for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(reference.oid().value >> (56 - 8 * i));
      out.pack_ext(sizeof bytes, cow::kReferenceExtension);
      return out.pack_ext_body(bytes, sizeof bytes);
    }
  };

  template <class T>
  struct convert<cow::Ref<T>> {
    const msgpack::object& operator()(const msgpack::object& in, cow::Ref<T>& reference) const {
      if (in.is_nil()) {
        reference = cow::Ref<T>{};
        return in;
      }
      if (in.type != type::EXT || in.via.ext.type() != cow::kReferenceExtension || in.via.ext.size != 8) {
        throw type_error();
      }
      std::uint64_t oid = 0;
      for (int i = 0; i < 8; ++i) oid = oid << 8 | static_cast<unsigned char>(in.via.ext.data()[i]);
      reference = cow::Ref<T>(cow::Oid{oid});
      return in;
    }
  };

  }  // namespace adaptor
}
}  // namespace msgpack
