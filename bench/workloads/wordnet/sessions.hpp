// The WordNet workload: sessions that look words up, walk to the root, collect what lies below, and now and then edit.
//
// One operation is one transaction about one word, drawn by true Zipf (theta 0.99) over the lemmas in random order:
//  - read: find the lemma; for every sense read the gloss and walk the hypernyms to the root; collect the hyponym
//    closure of the first sense, `closure_limit` synsets at most.
//  - edit: the same, and then edit the gloss of the first sense.
// An edit counts itself in the synset, and the worker remembers the count, so that `check_edits` finds lost updates.
//
// Thread safety: a `Worker` belongs to one thread and may serve many sessions; `Words` are shared, read only.
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/baselines/session.hpp"
#include "bench/workloads/random.hpp"
#include "bench/workloads/until_committed.hpp"
#include "queries.hpp"

namespace cow::bench::wordnet {

/// The words that users ask for. They come from the files, as from outside, so that nobody's cache is warmed by them.
class Words {
 public:
  struct Word {
    std::string text;
    PartOfSpeech part_of_speech;
  };

  /// `seed` decides which words are the frequent ones.
  Words(const Files& files, std::uint64_t seed, double theta = 0.99) : zipf_(files.lemmas().size(), theta) {
    Random random(seed);
    words_.reserve(files.lemmas().size());
    for (std::uint32_t i : random_permutation(files.lemmas().size(), random)) {
      words_.push_back({std::string(files.lemmas()[i].text), files.lemmas()[i].part_of_speech});
    }
  }

  /// Pre-drawn keys: drawing costs more than some databases' whole lookup.
  std::vector<const Word*> draw(std::size_t count, Random& random) const {
    std::vector<const Word*> drawn(count);
    for (const Word*& word : drawn) word = &words_[zipf_.draw(random)];
    return drawn;
  }

 private:
  std::vector<Word> words_;  ///< the most frequent first
  Zipf zipf_;
};

struct MixOptions {
  double write_share = 0;  ///< of the operations
  std::size_t closure_limit = 1'000;
  std::uint64_t seed = 1;
};

/// What a worker has done.
struct WorkDone {
  std::uint64_t operations = 0;
  std::uint64_t edits = 0;     ///< committed
  std::uint64_t attempts = 0;  ///< transactions begun for all that
  std::uint64_t senses = 0;
  std::uint64_t path_synsets = 0;
  std::uint64_t closure_synsets = 0;
  std::uint64_t checksum = 0;  ///< of what was read

  WorkDone& operator+=(const WorkDone& other) {
    operations += other.operations;
    edits += other.edits;
    attempts += other.attempts;
    senses += other.senses;
    path_synsets += other.path_synsets;
    closure_synsets += other.closure_synsets;
    checksum += other.checksum;
    return *this;
  }
};

/// A committed edit: what the synset's count became.
struct Edit {
  std::uint32_t synset;
  std::uint32_t count;
  friend auto operator<=>(const Edit&, const Edit&) = default;
};

template <ObjectDatabase Database>
class Worker {
 public:
  using Session = bench::Session<Database>;
  using Transaction = typename Database::Transaction;

  /// `number` tells the workers of a run apart: the same options and number give the same operations.
  Worker(const Words& words, const MixOptions& options, std::uint64_t number)
      : options_(options),
        random_(options.seed * 0x10001 + number),
        keys_(words.draw(kKeys, random_)),
        scratch_(published_totals().all_synsets()) {}

  /// One operation in `session`.
  void step(Session& session) {
    const Words::Word& word = *keys_[next_++ % kKeys];
    const bool edit = options_.write_share > 0 && random_.chance(options_.write_share);
    std::uint64_t attempts = 0;
    WorkDone step;
    Edit made{};
    until_committed(session, attempts, [&](Transaction& txn) {
      step = {};  // a retry starts again
      auto& first_sense = look_up(txn, word, step);
      if (edit) made = edit_gloss(txn.write(first_sense));
    });
    if (edit) edits_.push_back(made);
    step.operations = 1;
    step.attempts = attempts;
    step.edits = edit;
    done_ += step;
  }

  const WorkDone& done() const { return done_; }
  const std::vector<Edit>& edits() const { return edits_; }

 private:
  using Pointers = typename Database::Pointers;
  static constexpr std::size_t kKeys = std::size_t{1} << 16;

  /// Returns the first sense.
  const auto& look_up(Transaction& txn, const Words::Word& word, WorkDone& step) {
    Reader<Database> reader(txn);
    const Lemma<Pointers>* lemma = reader.find(word.text, word.part_of_speech);
    if (lemma == nullptr) throw WrongAnswerError("no lemma '" + word.text + "'");
    for (const auto& sense : lemma->senses) {
      ++step.senses;
      const std::string& gloss = txn.read(sense).gloss;
      step.checksum += gloss.size() + static_cast<unsigned char>(gloss.back());
      const auto& top = reader.walk_to_root(sense, [&](const Synset<Pointers>&) { ++step.path_synsets; });
      step.checksum += top.offset;
      // Nouns have one root, 1740 'entity'; verbs have many, and adjectives and adverbs have no hypernyms at all.
      if (word.part_of_speech == PartOfSpeech::noun && top.offset != kEntityOffset) {
        throw WrongAnswerError("the noun '" + word.text + "' does not end at 'entity'");
      }
    }
    step.closure_synsets +=
        reader.hyponym_closure(lemma->senses.front(), options_.closure_limit, scratch_,
                               [&](const Synset<Pointers>& below) { step.checksum += below.number; });
    return lemma->senses.front();
  }

  /// Adds a remark, or takes it away again: synsets keep their size however long the run.
  static Edit edit_gloss(Synset<Pointers>& synset) {
    constexpr std::string_view kRemark = "; (under review)";
    if (std::string_view(synset.gloss).ends_with(kRemark)) {
      synset.gloss.resize(synset.gloss.size() - kRemark.size());
    } else {
      synset.gloss += kRemark;
    }
    return {synset.number, ++synset.edits};
  }

  static constexpr std::uint32_t kEntityOffset = 1740;

  const MixOptions options_;
  Random random_;
  std::vector<const Words::Word*> keys_;
  std::size_t next_ = 0;
  Scratch scratch_;
  WorkDone done_;
  std::vector<Edit> edits_;
};

/// Throws WrongAnswerError if an edit of the workers was lost: if two made the same count of the same synset, or if a
/// synset's count now is not the last one that was made. REQUIRES: nobody else edits.
template <ObjectDatabase Database>
void check_edits(Session<Database>& session, const std::vector<Worker<Database>>& workers) {
  using Transaction = typename Database::Transaction;
  std::vector<Edit> edits;
  for (const auto& worker : workers) edits.insert(edits.end(), worker.edits().begin(), worker.edits().end());
  std::sort(edits.begin(), edits.end());
  if (auto twice = std::adjacent_find(edits.begin(), edits.end()); twice != edits.end()) {
    throw WrongAnswerError("an edit of synset " + std::to_string(twice->synset) + " was lost");
  }
  for (std::size_t i = 0; i < edits.size(); ++i) {
    if (i + 1 < edits.size() && edits[i + 1].synset == edits[i].synset) continue;  // not its last
    session.transact([&](Transaction& txn) {
      const auto& pages = Reader<Database>(txn).catalog().pages;
      const auto& page = txn.read(pages[edits[i].synset / kSynsetsPerPage]);
      const auto& synset = txn.read(page.synsets[edits[i].synset % kSynsetsPerPage]);
      check_count("edits of synset " + std::to_string(synset.number), edits[i].count, synset.edits);
    });
  }
}

}  // namespace cow::bench::wordnet
