// Which types the store knows the field sets of, and what a commit must write for one that it does not (field_set.hpp).
//
// Thread safety: all functions may be called from any thread.
//
// Invariants:
//  1. [known] A type whose flag is set has been compared with the store's set, and the store has that set. Flags are never taken
//     back. A type without a number in keys (key_bits.hpp) has no flag, and stands in a list.
//  2. [one-at-a-time] A thread that changes the store's type directory holds `turn()` from when it was loaded until the commit has
//     returned. Where there is one database on a store nobody else changes it, and such a write never conflicts: its entry in the write
//     set counts as created. Nothing of the user's runs meanwhile. Other processes have turns of their own: with peers the directory
//     is changed by a commit apart, which conflicts and is tried again (BasicTransaction::commit_types_apart).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "commit_request.hpp"
#include "cow_cache/detail/record/raw_record.hpp"
#include "cow_cache/detail/record/type_check.hpp"
#include "cow_cache/detail/state/key_bits.hpp"
#include "cow_cache/detail/state/state.hpp"
#include "cow_cache/errors.hpp"
#include "cow_cache/field_set.hpp"
#include "cow_cache/root.hpp"
#include "cow_cache/store.hpp"
#include "cow_cache/store/hears_of_types.hpp"
#include "write_set.hpp"

namespace cow::detail {

/// What the first commit of some types takes along.
struct NewTypes {
  std::vector<const TypeOperations*> types;
  std::vector<TypeDescription> descriptions;  ///< of each
  Oid directory{};                            ///< Oid{0}: there will be none, or the transaction itself creates it
  std::unique_lock<std::mutex> turn;          ///< invariant 2
  std::string record;                         ///< of the directory, if it is written

  void release() noexcept {
    if (turn.owns_lock()) turn.unlock();
  }
};

class TypeRegistry {
 public:
  explicit TypeRegistry(Store& store) : store_(store), hears_(dynamic_cast<HearsOfTypes*>(&store)) {
    for (std::uint64_t bits :
         {type_bits<void>(), type_bits<RawRecord>(), type_bits<RootDirectory>(), type_bits<TypeDirectory>()})
      set_known(bits);
  }

  /// Whether all types of a write set are known: what every commit asks.
  [[gnu::always_inline]] bool knows(const WriteSet& writes) const noexcept {
    for (const WriteSetEntry& entry : writes) {
      const std::uint64_t number = entry.state->type_bits() >> kOidBits;
      // Relaxed: who is told that a type is known needs to see nothing else (invariant 1).
      if (!known_[number].load(std::memory_order_relaxed)) [[unlikely]]
        return false;
    }
    return true;
  }

  /// The types of a write set that are not known.
  [[gnu::cold]] std::vector<const TypeOperations*> unknown_in(const WriteSet& writes) {
    std::vector<const TypeOperations*> unknown;
    std::scoped_lock lock(mutex_);
    for (const WriteSetEntry& entry : writes) {
      const TypeOperations& operations = entry.state->operations();
      if (operations.describe == nullptr || is_known(entry.state->type_bits(), operations)) continue;
      bool is_listed = false;
      for (const TypeOperations* one : unknown) is_listed = is_listed || same_type(*one, operations);
      if (!is_listed) unknown.push_back(&operations);
    }
    return unknown;
  }

  /// Where the store keeps its type directory; Oid{0}: nowhere yet; nothing: nowhere ever, for its first object is no root, in which it
  /// could be found. Throws what loading and decoding the root throws.
  [[gnu::cold]] std::optional<Oid> find_object() {
    // Relaxed: the oid is all that there is to see.
    if (std::uint64_t found = object_.load(std::memory_order_relaxed); found != 0) return Oid{found};
    std::optional<Revision> revision = store_.load(kRootOid, kInfinity);
    if (!revision || revision->erased) return Oid{};
    RootDirectory root;
    try {
      root = DefinedCodec<RootDirectory>::decode(revision->record, kRootOid, revision->begin);
    } catch (const TypeMismatchError&) {
      return std::nullopt;
    }
    auto found = root.entries.find(kTypesName);
    if (found == root.entries.end()) return Oid{};
    object_.store(found->second.oid().value, std::memory_order_relaxed);
    return found->second.oid();
  }

  /// Invariant 2.
  std::mutex& turn() noexcept { return turn_; }

  /// Compares new types with the store's directory, and makes that a part of the commit, if they are new to it too. The caller
  /// then has the turn. Throws FieldsChangedError, and what loading and decoding throws.
  [[gnu::noinline, gnu::cold]] void append(NewTypes& news, CommitRequest& request, WriteSet::Frozen& frozen) {
    if (!news.directory) return;
    news.turn = std::unique_lock(turn_);
    TypeDirectory directory = load(news.directory);
    bool is_new = false;
    for (const TypeDescription& description : news.descriptions) is_new = note_type(directory, description) || is_new;
    if (is_new) {
      request.append(frozen, news.directory, new_state(std::move(directory)), news.record);
    } else {
      news.release();
    }
  }

  /// Compares new types with the directory as of a snapshot. The directory with them added; nothing: it has them all. Throws as `append`.
  [[gnu::cold]] std::optional<TypeDirectory> with_added(const NewTypes& news, Tid snapshot) {
    TypeDirectory directory = load(news.directory, snapshot);
    bool is_new = false;
    for (const TypeDescription& description : news.descriptions) is_new = note_type(directory, description) || is_new;
    return is_new ? std::optional(std::move(directory)) : std::nullopt;
  }

  /// The store has the sets of these types (invariant 1). Tells it what these sets cannot notice. Throws std::bad_alloc.
  [[gnu::cold]] void mark_known(const std::vector<const TypeOperations*>& types,
                                const std::vector<TypeDescription>& descriptions) {
    for (const TypeDescription& description : descriptions) {
      if (hears_ != nullptr && description.set.form == "array") hears_->warn(warning_of(description.name));
    }
    std::scoped_lock lock(mutex_);
    for (const TypeOperations* type : types) {
      if (type->type_bits() == kUnnumberedType) {
        unnumbered_.push_back(type);
      } else {
        set_known(type->type_bits());
      }
    }
  }

 private:
  /// What the store knows by then.
  [[gnu::cold]] TypeDirectory load(Oid object, Tid at = kInfinity) {
    std::optional<Revision> revision = store_.load(object, at);
    if (!revision || revision->erased) return {};  // somebody has erased it: begun anew
    return DefinedCodec<TypeDirectory>::decode(revision->record, object, revision->begin);
  }

  [[gnu::cold]] static std::string warning_of(std::string_view type) {
    return "type '" + std::string(type) +
           "' is stored as an array: its fields are known by their places and types only. Nobody will notice if two of "
           "one "
           "type change places, or if one is taken away where another one of its type follows. "
           "COW_CACHE_DEFINE_MAP and MSGPACK_DEFINE_MAP store names.";
  }

  void set_known(std::uint64_t bits) noexcept {
    if (bits == kUnnumberedType) return;
    const std::uint64_t number = bits >> kOidBits;
    known_[number].store(true, std::memory_order_relaxed);  // as in `knows`
  }
  /// REQUIRES: `mutex_`.
  bool is_known(std::uint64_t bits, const TypeOperations& operations) const noexcept {
    const std::uint64_t number = bits >> kOidBits;
    if (known_[number].load(std::memory_order_relaxed)) return true;
    for (const TypeOperations* one : unnumbered_) {
      if (same_type(*one, operations)) return true;
    }
    return false;
  }

  Store& store_;
  HearsOfTypes* const hears_;  // null: the store does not
  std::array<std::atomic<bool>, std::size_t{1} << kTypeBits> known_{};
  std::atomic<std::uint64_t> object_{0};
  std::mutex turn_;
  std::mutex mutex_;                               // guards the next
  std::vector<const TypeOperations*> unnumbered_;  // known ones
};

}  // namespace cow::detail
