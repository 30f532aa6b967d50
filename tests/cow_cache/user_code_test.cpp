// User code that an operation of a transaction calls, and that uses this very transaction: a table of where user code runs and of
// what it does there. Each field works, with reads that come out right afterwards, or is refused by an error that says at which
// object, and the transaction is as good as before; or it ends the transaction, and the operation says so.
#include <gtest/gtest.h>

#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"

namespace cow {
namespace {

/// What calls user code.
enum class Call { decode, encode, weigh, copy, move, destroy };

struct Node {
  static constexpr std::string_view cow_type_name = "test.Node";

  Node() = default;
  explicit Node(std::string name) : name(std::move(name)), text(100, 't') {}
  Node(const Node& other) : name(other.name) {
    call(Call::copy);
    text = other.text;  // must still be there
  }
  // NOLINTNEXTLINE(performance-noexcept-move-constructor): a user may write such a one
  Node(Node&& other) : name(std::move(other.name)) {
    call(Call::move);
    text = std::move(other.text);
  }
  Node& operator=(const Node&) = default;
  Node& operator=(Node&&) noexcept = default;
  ~Node() { call(Call::destroy); }

  void call(Call from) const {
    if (on_call) on_call(from, *this);
  }

  std::string name;
  std::string text;
  MSGPACK_DEFINE(name, text);

  static inline std::function<void(Call, const Node&)> on_call;
};

}  // namespace

template <>
struct Codec<Node> {
  static void encode(const Node& node, std::string& out) {
    node.call(Call::encode);
    detail::StringSink sink{out};
    msgpack::pack(sink, node);
  }
  static Node decode(const msgpack::object& object, std::uint32_t) {
    Node node;
    object.convert(node);
    node.call(Call::decode);
    return node;
  }
};

template <>
struct HeapBytes<Node> {
  static void add(const Node& node, HeapSum& sum) {
    node.call(Call::weigh);
    sum.add(node.text);
  }
};

namespace {

constexpr int kFillers = 600;

struct World {
  MemoryStore store;
  std::optional<Database> db;
  Ref<Node> a, b, c;
  std::vector<Ref<Node>> fillers;
  std::optional<Transaction> txn;
  std::optional<Transaction> other;  ///< where it is moved to
  Ref<Node> created;
  Oid at;  ///< of the operation

  World() {
    db.emplace(store, CacheOptions{.cache_bytes = 64 << 10, .limbo_bytes = 1 << 10});
    a = make("a"), b = make("b"), c = make("c");
    for (int i = 0; i < kFillers; ++i) fillers.push_back(make("f"));
    db->evict_all();
  }
  Ref<Node> make(std::string name) {
    return db->transact([&](Transaction& txn) { return txn.create(Node(std::move(name))); });
  }
  std::string now(const Ref<Node>& node) { return db->begin().read(Ref<Node>(node.oid())).name; }
};

/// By references with a hint and without one, and by a new one.
std::string seen(Transaction& txn, const Ref<Node>& node) {
  const Ref<Node> without(node.oid());
  std::string name = txn.read(node).name;
  for (const Ref<Node>& each : {without, node, Ref<Node>(node.oid())}) {
    const Node& value = txn.read(each);
    if (value.name != name) return name + " and " + value.name;
    if (value.text.size() != 100) return name + " without its text";
  }
  return name;
}

// ---- what user code does

enum class Effect { reads, writes, refused, ends };

struct Misuse {
  const char* name;
  Effect effect;
  std::function<void(World&)> run;
};

const std::vector<Misuse>& misuses() {
  static const std::vector<Misuse> all{
      {"reads what is not loaded", Effect::reads, [](World& w) { (void)w.txn->read(Ref<Node>(w.b.oid())); }},
      {"reads what it has written", Effect::reads, [](World& w) { (void)w.txn->read(w.c); }},
      {"reads what is not there", Effect::reads,
       [](World& w) {
         try {
           (void)w.txn->read(Ref<Node>(Oid{999'999}));
           ADD_FAILURE();
         } catch (const DanglingReferenceError&) {
         }
       }},
      {"reads a lot", Effect::reads,
       [](World& w) {
         for (const Ref<Node>& each : w.fillers) (void)w.txn->read(Ref<Node>(each.oid()));
       }},
      {"evicts", Effect::reads, [](World& w) { w.db->evict_all(); }},
      {"commits another transaction", Effect::reads,
       [](World& w) { w.db->transact([&](Transaction& txn) { (void)txn.create(Node("x")); }); }},
      {"writes another object", Effect::writes, [](World& w) { w.txn->write(Ref<Node>(w.b.oid())).name += "!"; }},
      {"writes one that it has written", Effect::writes, [](World& w) { w.txn->write(w.c).name += "!"; }},
      {"erases another object", Effect::writes, [](World& w) { w.txn->erase(w.b); }},
      {"creates one", Effect::writes, [](World& w) { w.created = w.txn->create(Node("new")); }},
      {"names one", Effect::writes, [](World& w) { w.txn->root().set("b", w.b); }},
      {"commits", Effect::refused, [](World& w) { w.txn->commit(); }},
      {"sleeps", Effect::refused, [](World& w) { w.txn->will_sleep(); }},
      {"aborts", Effect::ends, [](World& w) { w.txn->abort(); }},
      {"destroys it", Effect::ends, [](World& w) { w.txn.reset(); }},
      {"assigns to it", Effect::ends, [](World& w) { *w.txn = w.db->begin(); }},
      {"moves it", Effect::ends, [](World& w) { w.other.emplace(std::move(*w.txn)); }},
      {"moves and destroys it", Effect::ends, [](World& w) { Transaction moved = std::move(*w.txn); }},
      {"moves it and begins another one", Effect::ends,
       [](World& w) {
         w.other.emplace(std::move(*w.txn));
         *w.txn = w.db->begin();
       }},
      {"aborts it and begins another one", Effect::ends,
       [](World& w) {
         w.txn->abort();
         w.txn.emplace(w.db->begin());
       }},
      {"moves it and back", Effect::reads,
       [](World& w) {
         Transaction moved = std::move(*w.txn);
         *w.txn = std::move(moved);
       }},
  };
  return all;
}

// ---- where user code runs

struct Place {
  const char* name;
  Call call;
  const char* node;                   ///< whose user code it is
  bool may_write;                     ///< while it copies and creates
  bool may_throw;                     ///< what leaves it reaches the caller of the operation
  bool ends;                          ///< the operation ends the transaction anyhow
  std::function<void(World&)> begin;  ///< before the hook is there
  std::function<void(World&)> run;
};

void begin(World& w) {
  w.txn.emplace(w.db->begin());
  w.txn->write(w.c).name = "C";
}

/// As many as give a reclaimer something to do.
void write_fillers(World& w, bool erases) {
  for (std::size_t i = 0; i < 100; ++i) {
    w.txn->write(w.fillers[i]).name = "F";
    if (erases) w.txn->erase(w.fillers[i]);
  }
}

const std::vector<Place>& places() {
  auto read_a = [](World& w) {
    w.at = w.a.oid();
    EXPECT_EQ(w.txn->read(Ref<Node>(w.a.oid())).name, "a");
  };
  auto write_a = [](World& w) {
    w.at = w.a.oid();
    w.txn->write(w.a).name = "A";
  };
  auto commit = [](World& w) { w.txn->commit(); };
  auto begin_and_write = [](World& w) {
    begin(w);
    w.at = w.a.oid();
    w.txn->write(w.a).name = "A";
  };
  static const std::vector<Place> all{
      {"decoding", Call::decode, "a", false, true, false, begin, read_a},
      {"decoding for a write", Call::decode, "a", false, true, false, begin, write_a},
      {"decoding an old revision", Call::decode, "a", false, true, false,
       [](World& w) {
         begin(w);
         w.db->transact([&](Transaction& txn) { txn.write(w.a).name = "later"; });
         w.db->evict_all();
       },
       read_a},
      {"decoding one that is too new", Call::decode, "later", false, true, false,
       [](World& w) {
         begin(w);
         w.db->transact([&](Transaction& txn) { txn.write(w.a).name = "later"; });
         w.db->evict_all();
       },
       read_a},
      {"weighing what is loaded", Call::weigh, "a", false, false, false, begin, read_a},
      {"copying", Call::copy, "a", true, true, false, begin, write_a},
      {"moving what is created", Call::move, "n", true, true, false, begin,
       [](World& w) {
         w.at = Oid{};  // not known before
         (void)w.txn->create(Node("n"));
       }},
      {"destroying what has to go", Call::destroy, "f", false, false, false,
       [](World& w) {
         begin(w);
         for (const Ref<Node>& each : w.fillers) (void)w.db->begin().read(Ref<Node>(each.oid()));
       },
       [](World& w) {
         for (const Ref<Node>& each : w.fillers) {
           w.at = each.oid();
           if (w.txn && w.txn->active()) EXPECT_EQ(w.txn->read(Ref<Node>(w.at)).name, "f");
           if (!Node::on_call) return;
         }
         ADD_FAILURE() << "nothing had to go";
       }},
      {"encoding", Call::encode, "A", false, true, true, begin_and_write, commit},
      {"weighing what is committed", Call::weigh, "A", false, false, true, begin_and_write, commit},
      {"destroying what a commit has superseded", Call::destroy, "f", false, false, true,
       [](World& w) {
         begin(w);
         write_fillers(w, false);
       },
       commit},
      {"destroying after an abort", Call::destroy, "A", false, false, true, begin_and_write,
       [](World& w) { w.txn->abort(); }},
      {"destroying what a commit has erased", Call::destroy, "F", false, false, true,
       [](World& w) {
         begin(w);
         write_fillers(w, true);
       },
       commit},
  };
  return all;
}

// ---- the table

struct Field {
  std::size_t place, misuse;
  bool catches;  ///< user code catches what is thrown there; if not, it reaches the caller of the operation
};

std::vector<Field> fields() {
  std::vector<Field> all;
  for (std::size_t place = 0; place < places().size(); ++place) {
    for (std::size_t misuse = 0; misuse < misuses().size(); ++misuse) {
      all.push_back({place, misuse, true});
      if (places()[place].may_throw) all.push_back({place, misuse, false});
    }
  }
  return all;
}

class UserCode : public ::testing::TestWithParam<Field> {
 protected:
  ~UserCode() override { Node::on_call = nullptr; }
};

/// Nothing may have changed but by what was allowed.
void expect_usable(World& w, const Place& place, const Misuse& misuse, bool has_worked) {
  Transaction& txn = *w.txn;
  ASSERT_TRUE(txn.active());
  const std::string name = misuse.name;
  bool wrote_b = has_worked && name == "writes another object", wrote_c = has_worked && name.starts_with("writes one");
  bool erased = has_worked && name == "erases another object";
  const std::string b = wrote_b ? "b!" : "b", c = wrote_c ? "C!" : "C";
  for (bool cold : {false, true}) {
    if (cold) w.db->evict_all();
    if (erased) {
      EXPECT_THROW(txn.read(w.b), DanglingReferenceError);
    } else {
      EXPECT_EQ(seen(txn, w.b), b);
    }
    EXPECT_EQ(seen(txn, w.c), c);
    EXPECT_TRUE(seen(txn, w.a) == "a" || seen(txn, w.a) == "A");
    if (has_worked && name == "creates one") EXPECT_EQ(seen(txn, w.created), "new");
  }
  txn.will_sleep();
  w.db->evict_all();
  txn.write(w.a).name = "AA";
  EXPECT_EQ(seen(txn, w.a), "AA");
  const bool conflicts = std::string_view(place.name).starts_with("decoding one that is too new") ||
                         std::string_view(place.name).starts_with("decoding an old");
  if (conflicts) {
    EXPECT_THROW(txn.commit(), ConflictError);
    return;
  }
  txn.commit();
  EXPECT_EQ(w.now(w.a), "AA");
  EXPECT_EQ(w.now(w.c), c);
  if (!erased) EXPECT_EQ(w.now(w.b), b);
}

TEST_P(UserCode, WorksOrIsRefusedOrEndsTheTransaction) {
  const bool catches = GetParam().catches;
  const Place& place = places()[GetParam().place];
  const Misuse& misuse = misuses()[GetParam().misuse];
  SCOPED_TRACE(std::string(place.name) + ": " + misuse.name + (catches ? ", and catches" : ""));
  const bool after_the_end = place.call == Call::destroy && place.ends;

  World w;
  place.begin(w);
  int runs = 0;
  bool has_worked = false, ended_before = false;
  std::exception_ptr caught;
  Node::on_call = [&](Call from, const Node& node) {
    if (from != place.call || node.name != place.node) return;
    auto itself = std::exchange(Node::on_call, nullptr);
    ++runs;
    ended_before = !w.txn->active();
    try {
      misuse.run(w);
      has_worked = true;
    } catch (const Error&) {
      caught = std::current_exception();
      if (!catches) throw;
    }
  };
  std::exception_ptr thrown;
  try {
    place.run(w);
  } catch (const Error&) {
    thrown = std::current_exception();
  }
  Node::on_call = nullptr;
  ASSERT_EQ(runs, 1);
  EXPECT_EQ(ended_before, after_the_end);

  const bool is_refused = misuse.effect == Effect::refused || (misuse.effect == Effect::writes && !place.may_write);
  if (after_the_end) {
    // Then the transaction is nobody's any more; what uses it is told so.
    if (caught) EXPECT_THROW(std::rethrow_exception(caught), TransactionEndedError);
    EXPECT_FALSE(thrown);
  } else if (misuse.effect == Effect::ends) {
    EXPECT_TRUE(has_worked);
    if (place.may_throw || !place.ends) EXPECT_TRUE(thrown);
    if (thrown) EXPECT_THROW(std::rethrow_exception(thrown), TransactionEndedError);
  } else if (is_refused) {
    EXPECT_FALSE(has_worked);
    ASSERT_TRUE(caught);
    try {
      std::rethrow_exception(caught);
    } catch (const TransactionBusyError& error) {
      if (w.at) EXPECT_EQ(error.oid, w.at);
      EXPECT_NE(std::string(error.what()).find("oid " + std::to_string(error.oid.value)), std::string::npos);
      EXPECT_EQ(dynamic_cast<const TransactionCommittingError*>(&error) != nullptr, place.ends);
    }
    if (catches) {
      EXPECT_FALSE(thrown);
    } else {
      EXPECT_THROW(std::rethrow_exception(thrown), TransactionBusyError);
    }
  } else {
    EXPECT_TRUE(has_worked);
    EXPECT_FALSE(thrown);
  }

  if (!place.ends && misuse.effect != Effect::ends) expect_usable(w, place, misuse, has_worked);
  if (misuse.effect == Effect::ends) {
    if (w.other && !after_the_end) {  // moved: with all that it has read and written
      EXPECT_EQ(seen(*w.other, w.c), "C");
      if (!place.ends) {
        EXPECT_EQ(seen(*w.other, w.b), "b");
      } else {
        w.other->commit();
        EXPECT_EQ(w.now(w.a) + w.now(w.c), "AC");
        w.other.reset();
      }
    } else if (!after_the_end) {
      EXPECT_EQ(w.now(w.c), "c") << "nothing of it";
    }
    if (w.txn && w.txn->active()) {  // assigned: another one
      EXPECT_EQ(seen(*w.txn, w.b), "b");
      w.txn->write(w.b).name = "B";
      w.txn->commit();
      EXPECT_EQ(w.now(w.b), "B");
    }
  } else if (place.ends) {
    EXPECT_FALSE(w.txn->active());
    const bool committed = !thrown && std::string_view(place.name) != "destroying after an abort";
    EXPECT_EQ(w.now(w.c), committed ? "C" : "c");
  }
  w.txn.reset();
  w.other.reset();
  EXPECT_EQ(w.db->statistics().active_transactions, 0U);
  w.db->evict_all();
  EXPECT_EQ(w.db->statistics().cache_bytes, 0U);
  EXPECT_EQ(w.db->statistics().limbo_bytes, 0U);
}

INSTANTIATE_TEST_SUITE_P(All, UserCode, ::testing::ValuesIn(fields()), [](const auto& field) {
  std::string name = std::string(places()[field.param.place].name) + " " + misuses()[field.param.misuse].name +
                     (field.param.catches ? " caught" : " thrown");
  for (char& letter : name) letter = letter == ' ' ? '_' : letter;
  return name;
});

// ---- what the table has no field for

class UserCodeOnce : public ::testing::Test {
 protected:
  ~UserCodeOnce() override { Node::on_call = nullptr; }

  /// `run` once, where `call` is made of a node of that name.
  static void hook(Call call, std::string name, std::function<void()> run) {
    Node::on_call = [=](Call from, const Node& node) {
      if (from != call || node.name != name) return;
      auto once = run;
      Node::on_call = nullptr;
      once();
    };
  }
  World w_;
};

// The state is logged, then evicted; the codec writes by it, without a load; then the load would be logged.
TEST_F(UserCodeOnce, ACodecDoesNotWriteTheVeryObjectByAnotherReference) {
  w_.txn.emplace(w_.db->begin());
  Ref<Node> first(w_.a), second(w_.a.oid());
  (void)w_.txn->read(first);
  w_.db->evict_all();
  hook(Call::decode, "a", [&] { EXPECT_THROW(w_.txn->write(first).name = "A", TransactionBusyError); });
  EXPECT_EQ(w_.txn->read(second).name, "a");
  w_.txn->write(second).name = "A";
  EXPECT_EQ(seen(*w_.txn, first) + seen(*w_.txn, second), "AA");
}

TEST_F(UserCodeOnce, ACopyConstructorDoesNotWriteItsOwnObject) {
  w_.txn.emplace(w_.db->begin());
  hook(Call::copy, "a", [&] { EXPECT_THROW(w_.txn->write(w_.a), BuildCycleError); });
  w_.txn->write(w_.a).name = "A";
  EXPECT_EQ(seen(*w_.txn, w_.a), "A");
  EXPECT_EQ(w_.txn->writes(), 1U);
}

// An operation within an operation: what ends, ends for both; and the outer one still reads its base.
TEST_F(UserCodeOnce, ACodecWithinACopyEndsTheTransactionOfBoth) {
  for (bool destroys : {false, true}) {
    w_.db->evict_all();
    w_.txn.emplace(w_.db->begin());
    (void)w_.txn->read(w_.a);
    Node::on_call = [&](Call from, const Node& node) {
      if (from == Call::copy && node.name == "a") {
        (void)w_.txn->read(Ref<Node>(w_.b.oid()));
      } else if (from == Call::decode && node.name == "b") {
        destroys ? w_.txn.reset() : w_.txn->abort();
        w_.db->evict_all();
        for (const Ref<Node>& each : w_.fillers) (void)w_.db->begin().read(Ref<Node>(each.oid()));
      }
    };
    EXPECT_THROW(w_.txn->write(w_.a), TransactionEndedError);
    Node::on_call = nullptr;
    EXPECT_EQ(w_.db->statistics().active_transactions, 0U);
  }
}

TEST_F(UserCodeOnce, ACodecWithinACopyMayNotWriteThoughTheCopyMay) {
  w_.txn.emplace(w_.db->begin());
  (void)w_.txn->read(w_.a);
  Node::on_call = [&](Call from, const Node& node) {
    if (from == Call::copy && node.name == "a") {
      (void)w_.txn->read(Ref<Node>(w_.b.oid()));
      w_.txn->write(w_.b).name = "B";
    } else if (from == Call::decode && node.name == "b") {
      EXPECT_THROW(w_.txn->write(w_.c), TransactionBusyError);
    }
  };
  w_.txn->write(w_.a).name = "A";
  Node::on_call = nullptr;
  EXPECT_EQ(seen(*w_.txn, w_.a) + seen(*w_.txn, w_.b), "AB");
  w_.txn->commit();
}

// What an encoder has found absent, and exists by now, is validated like all that a serializable transaction has read.
TEST_F(UserCodeOnce, WhatAnEncoderHasReadIsValidated) {
  for (bool commits : {false, true}) {
    Transaction creates = w_.db->begin();
    Ref<Node> fresh = creates.create(Node("fresh"));
    w_.txn.emplace(w_.db->begin(Isolation::serializable));
    w_.txn->write(w_.a).name = "A";
    hook(Call::encode, "A", [&] {
      EXPECT_THROW(w_.txn->read(Ref<Node>(fresh.oid())), DanglingReferenceError);
      if (commits) creates.commit();
    });
    if (commits) {
      EXPECT_THROW(w_.txn->commit(), ConflictError);
    } else {
      EXPECT_NO_THROW(w_.txn->commit());
    }
    w_.db->transact([&](Transaction& txn) { txn.write(w_.a).name = "a"; });
  }
}

}  // namespace
}  // namespace cow
