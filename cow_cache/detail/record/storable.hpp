// Which members a stored type may have: checked by the compiler, before anything is written.
//
// Thread safety: nothing here runs.
//
// A type that describes itself with MSGPACK_DEFINE, MSGPACK_DEFINE_ARRAY or MSGPACK_DEFINE_MAP is looked into, member by
// member, and so are the standard containers. Refused are
//
//  - members that borrow their bytes: what was loaded would point into a record that is gone;
//  - an optional (or a smart pointer) around something that can itself be nil, as a null Ref is: nil would mean both;
//  - containers of elements above kMaxElementBytes, for which one byte of a damaged record could ask for that much;
//  - time points of units that msgpack-cxx cannot write exactly (time_points.hpp);
//  - what msgpack-cxx has no adaptor for: structs without a macro, variants, enumerations that nobody has told it of;
//  - elements that cannot be made before they are read, or not be copied;
//  - aggregates with more members than the project's macros list (member_count.hpp).
//
// A type that writes `msgpack_pack` by hand, has an adaptor of its own, or specialises Codec answers for itself.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <forward_list>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <msgpack.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "adaptors.hpp"
#include "cow_cache/ref.hpp"
#include "member_count.hpp"
#include "time_points.hpp"

namespace cow {

/// The largest element that a container in a stored value may have, unless `kMayBeElement` says otherwise.
inline constexpr std::size_t kMaxElementBytes = 1024;

/// Specialise it with `true` for a type that is larger and shall be an element all the same: a damaged record may then
/// ask for sizeof(T) bytes of memory for each of its own.
template <class T>
inline constexpr bool kMayBeElement = sizeof(T) <= kMaxElementBytes;

/// Specialise it with `true` for a container that comes back in another order, as hash tables do. Such containers are
/// compared as sets (detail/record/round_trip.hpp).
template <class T>
inline constexpr bool kUnordered = false;
template <class... A>
inline constexpr bool kUnordered<std::unordered_map<A...>> = true;
template <class... A>
inline constexpr bool kUnordered<std::unordered_multimap<A...>> = true;
template <class... A>
inline constexpr bool kUnordered<std::unordered_set<A...>> = true;
template <class... A>
inline constexpr bool kUnordered<std::unordered_multiset<A...>> = true;

namespace detail {

/// How a type is written, as far as the compiler can know.
enum class Shape {
  scalar,     ///< one value without anything in it
  container,  ///< a standard container, written as one array or one map
  holder,     ///< a standard type around at most one value, which it is written as, or as nil
  product,    ///< pair, tuple: one array
  described,  ///< by one of msgpack-cxx's macros
  foreign,    ///< an adaptor or functions by hand: it may write anything
};

template <class T>
struct StandardShape {
  static constexpr Shape kShape = Shape::foreign;
};
template <Shape kOfIt>
struct HasShape {
  static constexpr Shape kShape = kOfIt;
};

// clang-format off
template <class... A> struct StandardShape<std::basic_string<A...>> : HasShape<Shape::scalar> {};
template <class T> struct StandardShape<Ref<T>> : HasShape<Shape::scalar> {};
template <std::size_t kSize> struct StandardShape<char[kSize]> : HasShape<Shape::scalar> {};
template <class C, class D> struct StandardShape<std::chrono::time_point<C, D>> : HasShape<Shape::scalar> {};
template <class... A> struct StandardShape<std::vector<A...>> : HasShape<Shape::container> {};
template <class... A> struct StandardShape<std::deque<A...>> : HasShape<Shape::container> {};
template <class... A> struct StandardShape<std::list<A...>> : HasShape<Shape::container> {};
template <class... A> struct StandardShape<std::forward_list<A...>> : HasShape<Shape::container> {};
template <class T, std::size_t kSize> struct StandardShape<std::array<T, kSize>> : HasShape<Shape::container> {};
template <class... A> struct StandardShape<std::map<A...>> : HasShape<Shape::container> {};
template <class... A> struct StandardShape<std::multimap<A...>> : HasShape<Shape::container> {};
template <class... A> struct StandardShape<std::set<A...>> : HasShape<Shape::container> {};
template <class... A> struct StandardShape<std::multiset<A...>> : HasShape<Shape::container> {};
template <class... A> struct StandardShape<std::unordered_map<A...>> : HasShape<Shape::container> {};
template <class... A> struct StandardShape<std::unordered_multimap<A...>> : HasShape<Shape::container> {};
template <class... A> struct StandardShape<std::unordered_set<A...>> : HasShape<Shape::container> {};
template <class... A> struct StandardShape<std::unordered_multiset<A...>> : HasShape<Shape::container> {};
template <class... A> struct StandardShape<std::optional<A...>> : HasShape<Shape::holder> {};
template <class... A> struct StandardShape<std::shared_ptr<A...>> : HasShape<Shape::holder> {};
template <class... A> struct StandardShape<std::unique_ptr<A...>> : HasShape<Shape::holder> {};
template <class... A> struct StandardShape<std::pair<A...>> : HasShape<Shape::product> {};
template <class... A> struct StandardShape<std::tuple<A...>> : HasShape<Shape::product> {};
// clang-format on

/// msgpack-cxx's macros write this template; functions by hand are none, as a rule.
template <class T>
concept Described = requires(const T& value, msgpack::object* object, msgpack::zone& zone,
                             msgpack::packer<Discarding>& packer) {
  value.template msgpack_object<msgpack::object>(object, zone);
  value.msgpack_pack(packer);
};

template <class T>
constexpr Shape shape_of() {
  if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
    return Shape::scalar;
  } else if constexpr (StandardShape<T>::kShape != Shape::foreign) {
    return StandardShape<T>::kShape;
  } else if constexpr (Described<T>) {
    return Shape::described;
  } else {
    return Shape::foreign;
  }
}

template <class T>
inline constexpr bool kBorrows =
    std::is_pointer_v<T> || std::is_same_v<T, msgpack::object> || std::is_same_v<T, msgpack::object_kv> ||
    std::is_same_v<T, msgpack::type::raw_ref> || std::is_same_v<T, msgpack::type::v4raw_ref> ||
    std::is_same_v<T, msgpack::type::ext_ref>;
template <class... A>
inline constexpr bool kBorrows<std::basic_string_view<A...>> = true;
template <class T, std::size_t kExtent>
inline constexpr bool kBorrows<std::span<T, kExtent>> = true;
template <class T>
inline constexpr bool kBorrows<std::reference_wrapper<T>> = true;
template <class T>
inline constexpr bool kBorrows<msgpack::type::array_ref<T>> = true;
#if defined(MSGPACK_USE_BOOST)
template <>
inline constexpr bool kBorrows<msgpack::type::variant_ref> = true;
template <class... A>
inline constexpr bool kBorrows<boost::basic_string_ref<A...>> = true;
#if (BOOST_VERSION / 100) >= 1061
template <class... A>
inline constexpr bool kBorrows<boost::basic_string_view<A...>> = true;
#endif
#endif

/// Whether a value of the type may be written as nil.
template <class T>
inline constexpr bool kMayBeNil = StandardShape<T>::kShape == Shape::holder || std::is_same_v<T, msgpack::type::nil_t>;
template <class T>
inline constexpr bool kMayBeNil<Ref<T>> = true;
#if defined(MSGPACK_USE_BOOST)
template <>
inline constexpr bool kMayBeNil<msgpack::type::variant> = true;
template <class T>
inline constexpr bool kMayBeNil<boost::optional<T>> = true;
#endif

template <class T>
concept MapLike = requires {
  typename T::mapped_type;
};

template <class T>
inline constexpr bool kIsOtherTime = false;
template <class Clock, class Duration>
inline constexpr bool kIsOtherTime<std::chrono::time_point<Clock, Duration>> = !StorableTime<Duration>;

/// Whether T can be copied with all that it holds. Containers say that they can, whatever their elements are.
template <class T>
consteval bool is_copied_in_full() {
  if constexpr (std::is_array_v<T>) {
    return is_copied_in_full<std::remove_extent_t<T>>();
  } else if constexpr (!std::is_copy_constructible_v<T>) {
    return false;
  } else if constexpr (MapLike<T>) {
    return is_copied_in_full<typename T::mapped_type>();
  } else if constexpr ((shape_of<T>() == Shape::container || shape_of<T>() == Shape::holder) &&
                       requires { typename T::value_type; }) {
    return is_copied_in_full<typename T::value_type>();
  } else {
    return true;
  }
}

/// The static_asserts are what it is for. They fail as soon as it is named, so before anything that needs what they ask for.
template <class T>
consteval void check_storable();

/// Poses as a packer of msgpack-cxx, to be instantiated with the types of the members. `kCopiesThem`: of a type whose copies
/// the compiler makes, by copying its members.
template <bool kCopiesThem>
class MemberCheck : public msgpack::packer<Discarding> {
 public:
  using packer::packer;
  template <class T>
  auto& pack(const T&) {  // deduced: so it is compiled as soon as it is named
    check_storable<T>();
    static_assert(
        !kCopiesThem || is_copied_in_full<T>(),
        "cow: a container in a stored type has elements that cannot be copied. It must be copyable: a transaction "
        "clones it on first write. Hold the values themselves, or a cow::Ref to each.");
    return *this;
  }
  MemberCheck& pack_array(std::uint32_t) { return *this; }
  MemberCheck& pack_map(std::uint32_t) { return *this; }
};

/// What has an element is read into one that was made before.
template <class T>
consteval void check_is_made() {
  static_assert(std::is_default_constructible_v<T> || msgpack::has_as<T>::value,
                "cow: a container (or an optional, or a smart pointer) in a stored type has elements without a default "
                "constructor: an element is made before it is read. Add `T() = default;` to their type, or specialise "
                "msgpack::adaptor::as for it.");
}

template <class T>
consteval void check_element() {
  check_storable<T>();
  check_is_made<T>();
  static_assert(
      kMayBeElement<T>,
      "cow: a container in a stored type has elements of more than kMaxElementBytes, so that one byte of a "
      "damaged record could ask for as much memory. Make them objects of their own and hold a cow::Ref to each, or "
      "say that it is wanted: template <> inline constexpr bool cow::kMayBeElement<T> = true;");
}

template <class... T>
consteval void check_all() {
  (check_storable<std::remove_const_t<T>>(), ...);
}

template <class T>
struct ProductCheck;
template <class... T>
struct ProductCheck<std::tuple<T...>> {
  static consteval void check() { check_all<T...>(); }
};
template <class A, class B>
struct ProductCheck<std::pair<A, B>> {
  static consteval void check() { check_all<A, B>(); }
};

template <class T>
consteval void check_storable() {
  static_assert(
      !kBorrows<T>,
      "cow: a member of a stored type borrows its bytes (a raw pointer, string_view, span, msgpack::object ...). "
      "After loading it would point into a record that is gone. Use a type that owns them, as std::string or "
      "std::vector, or a cow::Ref for another object.");
  static_assert(!kIsOtherTime<T>,
                "cow: a time point in a stored type has a unit in which it could not be written exactly. Use whole "
                "seconds, milli-, micro- or nanoseconds, of a signed integer.");
  constexpr Shape shape = shape_of<T>();
  if constexpr (shape == Shape::container) {
    if constexpr (MapLike<T>) {
      check_element<typename T::key_type>();
      check_element<typename T::mapped_type>();
    } else {
      check_element<typename T::value_type>();
    }
  } else if constexpr (shape == Shape::holder) {
    using Held = std::remove_cvref_t<decltype(*std::declval<T&>())>;
    static_assert(!kMayBeNil<Held>,
                  "cow: an optional (or a smart pointer) in a stored type holds what may itself be nil (a Ref, another "
                  "optional ...). Nil would mean both, so it would come back empty. A Ref can be null by itself.");
    check_storable<Held>();
    check_is_made<Held>();
  } else if constexpr (shape == Shape::product) {
    ProductCheck<T>::check();
  } else if constexpr (std::is_array_v<T>) {
    check_storable<std::remove_cv_t<std::remove_extent_t<T>>>();
  } else if constexpr (shape == Shape::described) {
    static_assert(
        lists_all_members<T>(),
        "cow: a stored type has more members than its COW_CACHE_DEFINE_MAP (or _ARRAY) lists: what is left out "
        "would be lost. List it, or say how many members are not stored on purpose: "
        "static constexpr std::size_t cow_members_left_out = 1;");
    // Naming the function instantiates it with the check in the place of the packer.
    using Check = MemberCheck<std::is_aggregate_v<T> && std::is_copy_constructible_v<T>>;
    (void)static_cast<void (T::*)(Check&) const>(&T::template msgpack_pack<Check>);
  } else if constexpr ((std::is_arithmetic_v<T> || std::is_enum_v<T> || shape == Shape::foreign) && !kBorrows<T>) {
    require_adaptor<T>();
  }
}

}  // namespace detail
}  // namespace cow
