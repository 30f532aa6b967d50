// What GCC before 13 makes of temporaries in a co_await, and how it is kept from doing so.
//
// Such a compiler destroys the members of a temporary twice if the statement has a co_await and if the temporary is
//  - a closure: `co_await outside(txn, [name](const Cancellation&) -> Task<> { ... })`, where `name` is a string, or
//  - an aggregate: `co_await async_read(txn, txn->create(Account{owner, 1}))`.
// (It moves each member's initialiser to a variable of its own, and copies that one's bytes.) What the callee gets is broken
// before it is called, so no library can mend it. Give the temporary a name, in a statement before:
//
//   auto call = [name](const cow::Cancellation&) { return ask_the_bank(name); };
//   co_await cow::outside(txn, call);                                   // copies it
//
//   auto task = cow::outside(txn, [name = std::move(name)](const cow::Cancellation&) { return ask_the_bank(name); });
//   co_await task;                                                      // moves it
//
//   cow::Ref<Account> account = txn->create(Account{owner, 1});
//   const Account& seen = co_await cow::async_read(txn, account);
//
// Here the compiler refuses, with a static_assert, to await at once what was made with an unnamed callable (outside,
// async_transact, async_run, periodic), and to read what an unnamed reference leads to (async_read, async_write). A type
// does not tell what is unnamed from what is named and moved, so `co_await outside(txn, std::move(call))` is refused too.
// Callables whose members need no destruction (references, numbers, Refs) are right as they are, and pass. What the
// library does not see it cannot refuse: a coroutine of your own that takes a closure or an aggregate. Not measured are
// `(co_await async_write(txn, parent))->child = txn->create(Child{name})`, which is not refused: name the child to be safe;
// and types with constructors, which pass as they are no aggregates. Clang and later versions of GCC do all this right, and
// nothing is refused there.
//
// Thread safety: types only.
#pragma once

#include <coroutine>
#include <type_traits>
#include <utility>

namespace cow::detail {

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
inline constexpr bool kTemporariesDieTwice = true;
#else
inline constexpr bool kTemporariesDieTwice = false;
#endif

/// `Callable` makes the message come once for each closure, not once for all.
template <bool kIsNamed, class Callable>
constexpr void require_named_callable() noexcept {
  static_assert(
      kIsNamed,
      "this compiler destroys an unnamed closure in a co_await twice. Name it before: `auto call = [...] ...; "
      "co_await f(call);`, or name the task: `auto task = f([...] ...); co_await task;` (by_name.hpp)");
}

/// Awaits what stays where it is. (GCC copies what an operator co_await returns by reference.)
template <class Awaitable>
class ByReference {
 public:
  explicit ByReference(Awaitable& awaitable) noexcept : awaitable_(awaitable) {}

  bool await_ready() { return awaitable_.await_ready(); }
  template <class Promise>
  auto await_suspend(std::coroutine_handle<Promise> coroutine) {
    return awaitable_.await_suspend(coroutine);
  }
  decltype(auto) await_resume() { return awaitable_.await_resume(); }

 private:
  Awaitable& awaitable_;
};

/// What was made with an unnamed callable: like Awaitable, but awaited by its own name only.
template <class Awaitable, class Callable>
class [[nodiscard]] AwaitedByName : public Awaitable {
 public:
  using Awaitable::Awaitable;
  explicit AwaitedByName(Awaitable&& made) noexcept : Awaitable(std::move(made)) {}

  ByReference<Awaitable> operator co_await() & noexcept { return ByReference<Awaitable>(*this); }

  template <bool kAtOnce = true>
  ByReference<Awaitable> operator co_await() && noexcept {
    require_named_callable<!kAtOnce, Callable>();
    return ByReference<Awaitable>(*this);
  }
};

/// `Callable`: as deduced for a forwarding reference, so not a reference where it may be unnamed.
template <class Callable>
inline constexpr bool kMayDieTwice =
    kTemporariesDieTwice && !std::is_reference_v<Callable> && !std::is_trivially_destructible_v<Callable>;

/// What is made with a Callable: an Awaitable, or one that must be awaited by its name.
template <class Callable, class Awaitable>
using MadeWith = std::conditional_t<kMayDieTwice<Callable>, AwaitedByName<Awaitable, Callable>, Awaitable>;

template <class Callable, class Awaitable>
MadeWith<Callable, Awaitable> made_with(Awaitable&& made) noexcept {
  return MadeWith<Callable, Awaitable>(std::forward<Awaitable>(made));
}

/// What has been returned by a function is no temporary of the co_await that follows: it may be awaited at once.
template <class Awaitable>
Awaitable&& returned(Awaitable&& made) noexcept {
  return std::forward<Awaitable>(made);
}
template <class Awaitable, class Callable>
Awaitable&& returned(AwaitedByName<Awaitable, Callable>&& made) noexcept {
  return static_cast<Awaitable&&>(made);
}

/// For functions that take a reference to a T: refuses an unnamed one, as `create` gives it.
template <class T>
constexpr void require_named_reference() noexcept {
  static_assert(
      !kTemporariesDieTwice || !std::is_aggregate_v<T> || std::is_trivially_destructible_v<T>,
      "this compiler destroys an unnamed aggregate in a co_await twice, as in `co_await async_read(txn, "
      "txn->create(Account{...}))`. Name the reference before: `auto account = txn->create(Account{...}); co_await "
      "async_read(txn, account);` (by_name.hpp)");
}

}  // namespace cow::detail
