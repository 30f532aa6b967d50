// A small content store: folders, documents, users, an index of words, and reviewers that wait for somebody else. The tutorial,
// docs/guide/tutorial.md, goes through it part by part.
//
//   content_store DIRECTORY     makes a database there, works in it, opens it again and shows what is there
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <cow_cache/async.hpp>
#include <cow_cache/cow_cache.hpp>
#include <persistence/rocksdb_store.hpp>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

// [types]
struct User {
  static constexpr std::string_view cow_type_name = "content.User";
  std::string name;
  bool on_duty = false;
  MSGPACK_DEFINE_MAP(name, on_duty);
};

struct Document {
  static constexpr std::string_view cow_type_name = "content.Document";
  std::string title;
  std::string text;
  cow::Ref<User> author;
  std::string review;  // empty: not reviewed
  MSGPACK_DEFINE_MAP(title, text, author, review);
};

struct Folder {
  static constexpr std::string_view cow_type_name = "content.Folder";
  std::map<std::string, cow::Ref<Folder>> folders;
  std::map<std::string, cow::Ref<Document>> documents;
  MSGPACK_DEFINE_MAP(folders, documents);
};
// [types]

// [index]
struct Bucket {  // some of the words, and where they occur
  static constexpr std::string_view cow_type_name = "content.Bucket";
  std::map<std::string, std::vector<cow::Ref<Document>>> documents;
  MSGPACK_DEFINE_MAP(documents);
};

struct Index {  // never changes: so writers meet in a bucket only, and seldom
  static constexpr std::string_view cow_type_name = "content.Index";
  std::vector<cow::Ref<Bucket>> buckets;
  MSGPACK_DEFINE_MAP(buckets);

  const cow::Ref<Bucket>& bucket_of(std::string_view word) const {
    std::uint32_t hash =
        2166136261u;  // FNV-1a: a hash that is stored must be the same in every program, std::hash is not
    for (char letter : word) hash = (hash ^ static_cast<unsigned char>(letter)) * 16777619u;
    return buckets[hash % buckets.size()];
  }
};
// [index]

// [make]
void make(cow::Transaction& txn) {
  Index index;
  for (int i = 0; i < 64; ++i) index.buckets.push_back(txn.create(Bucket{}));
  txn.root().emplace("index", index);
  txn.root().emplace("site", Folder{});
}
// [make]

// [add]
cow::Ref<Document> add(cow::Transaction& txn, const cow::Ref<Folder>& folder, const Document& document) {
  cow::Ref<Document> added = txn.create(document);
  txn.write(folder).documents[document.title] = added;  // a clone of the folder, of this transaction's own

  const Index& index = txn.read(txn.root().get<Index>("index"));  // the shared one
  std::istringstream text(document.text);
  for (std::string word; text >> word;) {
    std::vector<cow::Ref<Document>>& places = txn.write(index.bucket_of(word)).documents[word];
    if (places.empty() || places.back() != added) places.push_back(added);
  }
  return added;
}
// [add]

// [find]
std::vector<std::string> find(cow::Transaction& txn, const std::string& word) {
  std::vector<std::string> titles;
  const Index& index = txn.read(txn.root().get<Index>("index"));
  const Bucket& bucket = txn.read(index.bucket_of(word));
  if (auto found = bucket.documents.find(word); found != bucket.documents.end()) {
    for (const cow::Ref<Document>& document : found->second) titles.push_back(txn.read(document).title);
  }
  return titles;
}
// [find]

// [threads]
void import_files(cow::Database& db, const std::vector<cow::Ref<Folder>>& folders, const cow::Ref<User>& author) {
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < folders.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int n = 0; n < 25; ++n) {
        std::string title = "file " + std::to_string(i) + "." + std::to_string(n);
        db.transact([&](cow::Transaction& txn) {  // two threads that write one bucket: one of them runs again
          add(txn, folders[i], Document{title, "imported from file number " + std::to_string(n), author, ""});
        });
      }
    });
  }
}
// [threads]

// [duty]
// Somebody must stay on duty. Under snapshots two who leave at once may each see the other one on duty, and both commit.
bool leave(cow::Database& db, const cow::Ref<User>& leaving, const std::vector<cow::Ref<User>>& all) {
  for (int attempt = 1;; ++attempt) {
    try {
      cow::Transaction txn = db.begin(cow::Isolation::serializable);  // what was read is checked, too
      int on_duty = 0;
      for (const cow::Ref<User>& user : all) on_duty += txn.read(user).on_duty;
      if (on_duty < 2) return false;
      txn.write(leaving).on_duty = false;
      txn.commit();
      return true;
    } catch (const cow::ConflictError&) {
      if (attempt == 10) throw;
    }
  }
}
// [duty]

// [review]
// The opinion of a service elsewhere, which takes its time.
cow::Task<std::string> opinion(cow::AnyExecutor executor, std::string text, cow::Cancellation cancellation) {
  co_await cow::sleep_for(executor, std::chrono::milliseconds(20), cancellation);
  co_return text.size() > 27 ? "good" : "too short";
}

void review(cow::Database& db, const std::vector<cow::Ref<Document>>& documents) {
  boost::asio::io_context loop;
  cow::AsyncDatabase async(db);
  for (const cow::Ref<Document>& document : documents) {
    auto body = [document](cow::AsyncTransaction& txn) -> cow::Task<> {
      const Document& seen = co_await cow::async_read(txn, document);
      auto ask = [&](const cow::Cancellation& cancellation) {
        return opinion(txn.executor(), seen.text, cancellation);
      };
      std::string said = co_await cow::outside(txn, ask);  // holds no thread; `seen` is as it was
      (co_await cow::async_write(txn, document))->review = said + ", says a reviewer of '" + seen.title + "'";
    };
    cow::spawn(loop.get_executor(), cow::async_transact(async, loop.get_executor(), body), boost::asio::detached);
  }
  loop.run();
}
// [review]

// [undo]
// Somebody empties a folder, by mistake, and it comes to light only later.
std::string undo_what_was_last_done_to(cow::Database& db, const cow::Ref<Folder>& folder) {
  for (const cow::RevisionInfo& revision : db.history(folder)) {  // the newest first
    db.undo(revision.begin);
    return revision.note.user + " did: " + revision.note.description;
  }
  return "nobody did anything";
}
// [undo]

// [main]
int main(int argc, char** argv) try {
  if (argc != 2) {
    std::cerr << "usage: content_store DIRECTORY\n";
    return 2;
  }
  cow::RocksDbStore store = cow::RocksDbStore::create(argv[1]);
  cow::Database db(store, {.cache_bytes = 64u << 20});
  db.transact(make);
  // [main]

  auto [ada, ben] = db.transact([](cow::Transaction& txn) {
    return std::pair(txn.root().emplace("ada", User{"Ada", true}), txn.root().emplace("ben", User{"Ben", true}));
  });
  auto folders = db.transact([](cow::Transaction& txn) {
    std::vector<cow::Ref<Folder>> made;
    for (std::string name : {"letters", "notes", "plans"}) {
      made.push_back(txn.create(Folder{}));
      txn.write(txn.root().get<Folder>("site")).folders[name] = made.back();
    }
    return made;
  });
  import_files(db, folders, ada);

  {
    cow::Transaction txn = db.begin();
    std::cout << "'imported' stands in " << find(txn, "imported").size() << " documents, '7' in "
              << find(txn, "7").size() << "\n";
    txn.commit();
  }

  bool ada_left = leave(db, ada, {ada, ben});
  bool ben_left = leave(db, ben, {ada, ben});
  std::cout << "Ada may leave: " << ada_left << ", then Ben: " << ben_left << "\n";

  std::vector<cow::Ref<Document>> letters;
  cow::Transaction before = db.begin();
  for (const auto& [title, letter] : before.read(folders[0]).documents) letters.push_back(letter);
  review(db, letters);
  std::cout << "before: '" << before.read(letters[0]).review << "', now: '" << db.begin().read(letters[0]).review
            << "'\n";

  // [note]
  db.transact([&](cow::Transaction& txn) {
    txn.write(folders[0]).documents.clear();
    txn.note("ben", "tidied up");
  });
  // [note]
  std::string what = undo_what_was_last_done_to(db, folders[0]);
  std::cout << what << "; undone: " << db.begin().read(folders[0]).documents.size() << " letters\n";
  return 0;
} catch (const cow::Error& error) {
  std::cerr << "content_store: " << error.what() << "\n";
  return 1;
}
