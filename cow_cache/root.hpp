// The root object: the named entry points of a database.
//
// Thread safety: `RootView` is part of a transaction and used like it.
#pragma once

#include "version.hpp"

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "detail/refused.hpp"
#include "errors.hpp"
#include "field_set.hpp"
#include "members.hpp"
#include "ref.hpp"
#include "stored_type.hpp"
#include "types.hpp"

namespace cow {

/// The value of the root object. Names lead to oids; the type of each is checked when it is read.
struct RootDirectory {
  static constexpr std::string_view cow_type_name = "cow.Root";
  static constexpr bool cow_is_of_the_library = true;

  /// Any reference: a Ref<T> whose T is known to the reader only.
  struct AnyObject;

  std::map<std::string, Ref<AnyObject>, std::less<>> entries;
  COW_CACHE_DEFINE_MAP(entries)
};

/// The root as one transaction sees it.
template <class Transaction>
class RootView {
 public:
  explicit RootView(Transaction& transaction) : transaction_(transaction) {}

  /// Stores a new object under a name, replacing what the name meant.
  template <class T, bool = detail::require_copyable<T>()>
  auto emplace(std::string_view name, T value) {
    require_ones_own(name);
    auto reference = transaction_.create(std::move(value));
    set(name, reference);
    return reference;
  }

  template <class T>
  void set(std::string_view name, const Ref<T>& reference) {
    require_ones_own(name);
    RootDirectory& root = transaction_.write(transaction_.root_reference());
    root.entries.insert_or_assign(std::string(name), Ref<RootDirectory::AnyObject>(reference.oid()));
  }

  /// The object under a name. Throws UnknownRootError; a wrong T shows when the reference is followed.
  template <class T>
  Ref<T> get(std::string_view name) const {
    const RootDirectory& root = transaction_.read(transaction_.root_reference());
    auto found = root.entries.find(name);
    if (found == root.entries.end()) throw UnknownRootError(name);
    return Ref<T>(found->second.oid());
  }

  Ref<RootDirectory::AnyObject> get
      COW_CACHE_REFUSED("cow: say the type of the object: txn.root().get<Account>(\"alice\")", std::string_view);

  bool contains(std::string_view name) const {
    return transaction_.read(transaction_.root_reference()).entries.contains(name);
  }

  /// Forgets a name; the object stays. False: there was no such name.
  bool erase(std::string_view name) {
    require_ones_own(name);
    if (!contains(name)) return false;
    RootDirectory& root = transaction_.write(transaction_.root_reference());
    root.entries.erase(root.entries.find(name));
    return true;
  }

 private:
  /// Throws std::invalid_argument.
  static void require_ones_own(std::string_view name) {
    if (name == kTypesName) throw std::invalid_argument("the root's name 'cow.types' is the library's own");
  }

  Transaction& transaction_;
};

}  // namespace cow
