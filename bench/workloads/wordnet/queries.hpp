// Questions to WordNet, each within a transaction of the caller.
//
// Thread safety: a `Scratch` belongs to one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/baselines/session.hpp"
#include "import.hpp"
#include "model.hpp"

namespace cow::bench::wordnet {

/// The visited set of a closure, and its stack: generation marks by number of the synset, so that the same few
/// nanoseconds per synset are spent whatever the database is. One per thread, not per session: it is no part of a cache.
class Scratch {
 public:
  explicit Scratch(std::size_t synsets) : marks_(synsets) {}

  void forget_all() { ++generation_; }
  /// Whether `number` was not yet marked.
  bool mark(std::uint32_t number) { return std::exchange(marks_[number], generation_) != generation_; }

 private:
  std::vector<std::uint32_t> marks_;
  std::uint32_t generation_ = 0;
};

/// Sees WordNet through one transaction. References that it returns live as long as the transaction.
template <class Database>
class Reader {
 public:
  using Pointers = typename Database::Pointers;
  using Transaction = typename Database::Transaction;
  template <class T>
  using Ref = typename Pointers::template Ref<T>;
  using SynsetRef = Ref<Synset<Pointers>>;

  explicit Reader(Transaction& txn)
      : txn_(txn), catalog_(txn.read(txn.root().template get<Catalog<Pointers>>(kCatalogName))) {}

  const Catalog<Pointers>& catalog() const { return catalog_; }

  /// The lemma `word` (lower case, '_' for spaces) as that part of speech; nullptr if there is none.
  const Lemma<Pointers>* find(std::string_view word, PartOfSpeech part) {
    const std::uint64_t hash = hash_of(word);
    const auto& buckets = txn_.read(catalog_.index).buckets;
    for (const auto& entry : txn_.read(buckets[hash & (buckets.size() - 1)]).entries) {
      if (entry.hash != hash) continue;
      const Lemma<Pointers>& lemma = txn_.read(entry.lemma);
      if (lemma.part_of_speech == part && lemma.text == word) return &lemma;
    }
    return nullptr;
  }

  /// Calls `see(synset)` for `from` and each synset on the way up, always by the first hypernym; returns the top.
  template <class See>
  const Synset<Pointers>& walk_to_root(const SynsetRef& from, See see) {
    const Synset<Pointers>* synset = &txn_.read(from);
    while (true) {
      see(*synset);
      const SynsetRef* hypernym = nullptr;
      for (const auto& pointer : synset->pointers) {
        if (pointer.type == PointerType::hypernym || pointer.type == PointerType::instance_hypernym) {
          hypernym = &pointer.target;
          break;
        }
      }
      if (hypernym == nullptr) return *synset;
      synset = &txn_.read(*hypernym);
    }
  }

  /// Calls `see(synset)` for each synset below `from`, instances included, each once, depth first, `limit` at most.
  /// Returns how many.
  template <class See>
  std::size_t hyponym_closure(const SynsetRef& from, std::size_t limit, Scratch& scratch, See see) {
    scratch.forget_all();
    const Synset<Pointers>& top = txn_.read(from);
    scratch.mark(top.number);
    std::size_t found = 0;
    descend(top, limit, scratch, see, found);
    return found;
  }

 private:
  template <class See>
  void descend(const Synset<Pointers>& synset, std::size_t limit, Scratch& scratch, See& see, std::size_t& found) {
    for (const auto& pointer : synset.pointers) {
      if (pointer.type != PointerType::hyponym && pointer.type != PointerType::instance_hyponym) continue;
      if (found == limit) return;
      const Synset<Pointers>& below = txn_.read(pointer.target);
      if (!scratch.mark(below.number)) continue;
      ++found;
      see(below);
      descend(below, limit, scratch, see, found);  // no deeper than WordNet: 20 levels
    }
  }

  Transaction& txn_;
  const Catalog<Pointers>& catalog_;
};

/// What reading everything found.
struct Everything {
  Totals totals;
  std::uint64_t edits = 0;       ///< sum over all synsets
  std::uint64_t text_bytes = 0;  ///< of glosses and words
  std::uint64_t objects = 0;     ///< read, each once
};

/// Reads every object of WordNet once, in transactions of about a thousand objects.
template <ObjectDatabase Database>
Everything read_everything(Session<Database>& session) {
  using Pointers = typename Database::Pointers;
  using Transaction = typename Database::Transaction;
  Everything all;
  std::size_t pages = 0, buckets = 0;
  session.transact([&](Transaction& txn) {
    Reader<Database> reader(txn);
    pages = reader.catalog().pages.size();
    buckets = txn.read(reader.catalog().index).buckets.size();
  });
  all.objects = 2 + pages + buckets;  // the catalog and the index, too
  for (std::size_t page = 0; page < pages; ++page) {
    session.transact([&](Transaction& txn) {
      for (const auto& reference : txn.read(Reader<Database>(txn).catalog().pages[page]).synsets) {
        const Synset<Pointers>& synset = txn.read(reference);
        ++all.objects;
        ++all.totals.synsets[static_cast<std::size_t>(synset.part_of_speech)];
        all.totals.pointers += synset.pointers.size();
        all.edits += synset.edits;
        all.text_bytes += synset.gloss.size();
        for (const Word& word : synset.words) all.text_bytes += word.text.size();
      }
    });
  }
  constexpr std::size_t kBucketsPerTransaction = 32;
  for (std::size_t first = 0; first < buckets; first += kBucketsPerTransaction) {
    session.transact([&](Transaction& txn) {
      const auto& index = txn.read(Reader<Database>(txn).catalog().index);
      for (std::size_t i = first; i < std::min(first + kBucketsPerTransaction, buckets); ++i) {
        for (const auto& entry : txn.read(index.buckets[i]).entries) {
          const Lemma<Pointers>& lemma = txn.read(entry.lemma);
          ++all.objects;
          ++all.totals.lemmas[static_cast<std::size_t>(lemma.part_of_speech)];
          all.totals.senses += lemma.senses.size();
          all.text_bytes += lemma.text.size();
        }
      }
    });
  }
  return all;
}

/// Reads everything and answers a few questions whose answers are known. Throws WrongAnswerError.
template <ObjectDatabase Database>
Everything verify(Session<Database>& session) {
  const Everything all = read_everything<Database>(session);
  check_totals(published_totals(), all.totals);
  session.transact([&](typename Database::Transaction& txn) {
    Reader<Database> reader(txn);
    const auto* dog = reader.find("dog", PartOfSpeech::noun);
    if (dog == nullptr) throw WrongAnswerError("no noun 'dog'");
    const auto& top = reader.walk_to_root(dog->senses.front(), [](const auto&) {});
    check_answer("root above the noun 'dog'", "entity", top.words.front().text);
    if (reader.find("dog", PartOfSpeech::adverb) != nullptr) throw WrongAnswerError("'dog' is no adverb");
  });
  return all;
}

}  // namespace cow::bench::wordnet
