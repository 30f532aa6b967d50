// Imports WordNet into a database.
//
// Synsets point at each other in circles, so they come in two passes: first one empty object each, so that everyone has
// a reference, then the content. The first pass costs a tenth of the second; no pointer is ever patched.
//
// Thread safety: one importer per database; other sessions may run, they see WordNet when its catalog is committed.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/baselines/session.hpp"
#include "bench/workloads/workload_error.hpp"
#include "files.hpp"
#include "model.hpp"

namespace cow::bench::wordnet {

/// What Princeton published for version 3.0 (wnstats(7WN)).
inline Totals published_totals() {
  Totals totals;
  totals.synsets = {82'115, 13'767, 18'156, 3'621};
  totals.lemmas = {117'798, 11'529, 21'479, 4'481};
  totals.senses = 206'941;
  totals.pointers = 377'592;  // not in wnstats: the sum of the pointer counts of all lines
  return totals;
}

/// Throws WrongAnswerError unless both are the same.
inline void check_totals(const Totals& expected, const Totals& found) {
  for (std::size_t i = 0; i < kPartsOfSpeech; ++i) {
    check_count(std::string(kPartOfSpeechNames[i]) + " synsets", expected.synsets[i], found.synsets[i]);
    check_count(std::string(kPartOfSpeechNames[i]) + " lemmas", expected.lemmas[i], found.lemmas[i]);
  }
  check_count("pointers", expected.pointers, found.pointers);
  check_count("senses", expected.senses, found.senses);
}

inline Totals totals_of(const Files& files) {
  Totals totals;
  for (PartOfSpeech part : kAllPartsOfSpeech) {
    totals.synsets[static_cast<std::size_t>(part)] = files.synset_count(part);
    totals.lemmas[static_cast<std::size_t>(part)] = files.lemma_count(part);
  }
  totals.pointers = files.pointer_count();
  totals.senses = files.sense_count();
  return totals;
}

/// Called with (objects done, objects in all).
using Progress = std::function<void(std::uint64_t, std::uint64_t)>;

/// Imports `files`, `kBatch` objects a transaction. Throws WrongAnswerError if they are not all of WordNet 3.0.
template <ObjectDatabase Database>
class Importer {
 public:
  Importer(Database& database, const Files& files) : session_(open_session(database)), files_(files) {}

  void run(Progress progress = {}) {
    check_totals(published_totals(), totals_of(files_));
    progress_ = std::move(progress);
    done_ = 0;
    all_ = 2 * files_.synsets().size() + files_.lemmas().size() + bucket_count() + page_count();
    reserve_synsets();
    fill_synsets();
    make_lemmas();
    make_buckets();
    make_pages();
    make_catalog();
  }

 private:
  using Pointers = typename Database::Pointers;
  using Transaction = typename Database::Transaction;
  template <class T>
  using Ref = typename Pointers::template Ref<T>;

  static constexpr std::size_t kBatch = 1'000;
  static constexpr std::size_t kLemmasPerBucket = 32;

  std::size_t bucket_count() const { return std::bit_ceil(files_.lemmas().size() / kLemmasPerBucket); }
  std::size_t page_count() const { return (files_.synsets().size() + kSynsetsPerPage - 1) / kSynsetsPerPage; }

  /// Calls `make(txn, i)` for each i in [0, count), a batch a transaction. A retried transaction calls again for the
  /// same i, so `make` assigns and never appends.
  template <class Make>
  void in_batches(std::size_t count, Make make) {
    for (std::size_t first = 0; first < count; first += kBatch) {
      const std::size_t last = std::min(first + kBatch, count);
      session_.transact([&](Transaction& txn) {
        for (std::size_t i = first; i < last; ++i) make(txn, i);
      });
      done_ += last - first;
      if (progress_) progress_(done_, all_);
    }
  }

  void reserve_synsets() {
    synsets_.resize(files_.synsets().size());
    in_batches(synsets_.size(), [&](Transaction& txn, std::size_t i) { synsets_[i] = txn.create(Synset<Pointers>{}); });
  }

  void fill_synsets() {
    in_batches(synsets_.size(), [&](Transaction& txn, std::size_t i) { txn.write(synsets_[i]) = synset(i); });
  }

  Synset<Pointers> synset(std::size_t number) const {
    const SynsetLine& line = files_.synsets()[number];
    Synset<Pointers> synset;
    synset.number = static_cast<std::uint32_t>(number);
    synset.offset = line.offset;
    synset.part_of_speech = line.part_of_speech;
    synset.satellite = line.satellite;
    synset.lexicographer_file = line.lexicographer_file;
    synset.gloss = line.gloss;
    synset.words.reserve(line.words.size());
    for (const auto& word : line.words) {
      synset.words.push_back({std::string(word.text), word.lexical_id, word.position});
    }
    synset.pointers.reserve(line.pointers.size());
    for (const auto& pointer : line.pointers) {
      synset.pointers.push_back({pointer.type, pointer.source_word, pointer.target_word, synsets_[pointer.target]});
    }
    synset.frames.reserve(line.frames.size());
    for (const auto& frame : line.frames) synset.frames.push_back({frame.frame, frame.word});
    return synset;
  }

  void make_lemmas() {
    lemmas_.resize(files_.lemmas().size());
    in_batches(lemmas_.size(), [&](Transaction& txn, std::size_t i) {
      const LemmaLine& line = files_.lemmas()[i];
      Lemma<Pointers> lemma;
      lemma.text = line.text;
      lemma.part_of_speech = line.part_of_speech;
      lemma.tagged_senses = line.tagged_senses;
      lemma.senses.reserve(line.senses.size());
      for (std::uint32_t number : line.senses) lemma.senses.push_back(synsets_[number]);
      lemmas_[i] = txn.create(std::move(lemma));
    });
  }

  void make_buckets() {
    std::vector<Bucket<Pointers>> buckets(bucket_count());
    for (std::size_t i = 0; i < lemmas_.size(); ++i) {
      const std::uint64_t hash = hash_of(files_.lemmas()[i].text);
      buckets[hash & (buckets.size() - 1)].entries.push_back({hash, lemmas_[i]});
    }
    index_.buckets.resize(buckets.size());
    in_batches(buckets.size(), [&](Transaction& txn, std::size_t i) { index_.buckets[i] = txn.create(buckets[i]); });
  }

  void make_pages() {
    catalog_.pages.resize(page_count());
    in_batches(page_count(), [&](Transaction& txn, std::size_t i) {
      auto first = synsets_.begin() + static_cast<std::ptrdiff_t>(i * kSynsetsPerPage);
      auto last = synsets_.begin() + static_cast<std::ptrdiff_t>(std::min((i + 1) * kSynsetsPerPage, synsets_.size()));
      catalog_.pages[i] = txn.create(SynsetPage<Pointers>{{first, last}});
    });
  }

  void make_catalog() {
    catalog_.totals = totals_of(files_);
    session_.transact([&](Transaction& txn) {
      catalog_.index = txn.create(index_);
      txn.root().template emplace<Catalog<Pointers>>(kCatalogName, catalog_);
    });
  }

  Session<Database> session_;
  const Files& files_;
  Progress progress_;
  std::uint64_t done_ = 0, all_ = 0;
  std::vector<Ref<Synset<Pointers>>> synsets_;  ///< by number
  std::vector<Ref<Lemma<Pointers>>> lemmas_;    ///< in the order of the files
  LemmaIndex<Pointers> index_;
  Catalog<Pointers> catalog_;
};

/// Whether `database` holds WordNet, whole.
template <ObjectDatabase Database>
bool is_imported(Database& database) {
  auto session = open_session(database);
  return session.transact([](typename Database::Transaction& txn) { return txn.root().contains(kCatalogName); });
}

}  // namespace cow::bench::wordnet
