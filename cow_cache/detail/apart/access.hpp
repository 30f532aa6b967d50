// What takes code to do with objects of one type, named here and defined elsewhere.
//
// Thread safety: a transaction, and so a call, belongs to one thread at a time.
//
// Translation units that know the definitions (record/record.hpp, transaction_definitions.hpp) instantiate what they use, unless
// COW_CACHE_DECLARE_CODEC says that another one does it. Those that include objects.hpp only leave it to the linker, which
// names the type where nobody has it. A hit needs none of them.
#pragma once

#include <string>
#include <string_view>

#include "cow_cache/heap_sum.hpp"
#include "cow_cache/types.hpp"

namespace cow {
template <class T>
class Ref;
template <class Cache>
class BasicTransaction;
}  // namespace cow

namespace cow::detail {

struct StateHeader;
struct TypeDescription;
class SharedCache;

/// Values of T as records.
template <class T>
struct DefinedCodec {
  /// Appends the record of a value. Throws UnstorableValueError, which names `oid`, and what the codec throws.
  static void encode(const T& value, Oid oid, std::string& out);
  /// Makes what `decode` keeps for its next call: before allocations are counted.
  static void prepare_decode();
  /// Reads the value of a record. Throws as decode_record does.
  static T decode(std::string_view record, Oid oid, Tid tid);
  /// Adds up what belongs to the value on the heap (heap_bytes.hpp).
  static void add_heap_bytes(const T& value, HeapSum& sum);
  /// Its name, its schema number and its fields (record/describe.hpp). Makes objects by default constructors.
  static TypeDescription describe();
};

/// What transactions do with objects of type T, hits apart.
template <class T>
struct DefinedAccess {
  using Transaction = BasicTransaction<SharedCache>;

  static StateHeader& read_first(Transaction& transaction, const Ref<T>& reference);
  static StateHeader& read_by_oid(Transaction& transaction, const Ref<T>& reference);
  static T& write(Transaction& transaction, const Ref<T>& reference);
  static Ref<T> create(Transaction& transaction, T&& value);
  static void erase(Transaction& transaction, const Ref<T>& reference);

 private:
  static StateHeader* read_displaced(Transaction& transaction, const Ref<T>& reference);
  static StateHeader* read_slowly(Transaction& transaction, const Ref<T>& reference);
  static StateHeader* read_otherwise(Transaction& transaction, const Ref<T>& reference, const StateHeader& state);
};

}  // namespace cow::detail
