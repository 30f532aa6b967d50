// WordNet as persistent objects.
//
//   Catalog -> Ref<SynsetPage>... -> Synset <-> Synset       every synset, in the order of the files
//           -> LemmaIndex -> Ref<Bucket>... -> Lemma -> Synset   from a word to its senses
//
// Looking a word up touches the index, one bucket and one lemma, however many words there are.
//
// Thread safety: plain values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <msgpack.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "files.hpp"

namespace cow::bench::wordnet {

struct Word {
  std::string text;  ///< as spelled, '_' for spaces
  std::uint8_t lexical_id = 0;
  AdjectivePosition position = AdjectivePosition::any;
  MSGPACK_DEFINE(text, lexical_id, position);
};

/// How a verb may be used in a sentence: the number of a generic frame, for one word or all.
struct Frame {
  std::uint8_t frame = 0;
  std::uint8_t word = 0;
  MSGPACK_DEFINE(frame, word);
};

/// A set of words with one meaning.
template <class Pointers>
struct Synset {
  template <class T>
  using Ref = typename Pointers::template Ref<T>;
  static constexpr std::string_view cow_type_name = "wordnet.Synset";

  struct Pointer {
    PointerType type = PointerType::antonym;
    std::uint8_t source_word = 0;  ///< from 1; 0: the whole synset
    std::uint8_t target_word = 0;
    Ref<Synset> target;
    MSGPACK_DEFINE(type, source_word, target_word, target);
  };

  std::uint32_t number = 0;  ///< 0, 1, 2, ... over all parts of speech
  std::uint32_t offset = 0;  ///< its name in WordNet, within its part of speech
  PartOfSpeech part_of_speech = PartOfSpeech::noun;
  bool satellite = false;  ///< of an adjective cluster
  std::uint8_t lexicographer_file = 0;
  std::uint32_t edits = 0;  ///< how often the gloss was edited since the import
  std::vector<Pointer> pointers;
  std::vector<Word> words;
  std::string gloss;
  std::vector<Frame> frames;
  MSGPACK_DEFINE(number, offset, part_of_speech, satellite, lexicographer_file, edits, pointers, words, gloss, frames);
};

/// A word as one part of speech.
template <class Pointers>
struct Lemma {
  template <class T>
  using Ref = typename Pointers::template Ref<T>;
  static constexpr std::string_view cow_type_name = "wordnet.Lemma";

  std::string text;  ///< lower case, '_' for spaces
  PartOfSpeech part_of_speech = PartOfSpeech::noun;
  std::uint16_t tagged_senses = 0;
  std::vector<Ref<Synset<Pointers>>> senses;  ///< most frequent first
  MSGPACK_DEFINE(text, part_of_speech, tagged_senses, senses);
};

/// The lemmas whose words hash alike. Keeping hashes, not words, keeps buckets small; the lemma itself has the word.
template <class Pointers>
struct Bucket {
  template <class T>
  using Ref = typename Pointers::template Ref<T>;
  static constexpr std::string_view cow_type_name = "wordnet.Bucket";

  struct Entry {
    std::uint64_t hash = 0;
    Ref<Lemma<Pointers>> lemma;
    MSGPACK_DEFINE(hash, lemma);
  };
  std::vector<Entry> entries;
  MSGPACK_DEFINE(entries);
};

/// From words to lemmas: a fixed number of buckets, a power of two.
template <class Pointers>
struct LemmaIndex {
  template <class T>
  using Ref = typename Pointers::template Ref<T>;
  static constexpr std::string_view cow_type_name = "wordnet.LemmaIndex";

  std::vector<Ref<Bucket<Pointers>>> buckets;
  MSGPACK_DEFINE(buckets);
};

inline constexpr std::size_t kSynsetsPerPage = 1'000;

/// The synsets number i * kSynsetsPerPage and following.
template <class Pointers>
struct SynsetPage {
  template <class T>
  using Ref = typename Pointers::template Ref<T>;
  static constexpr std::string_view cow_type_name = "wordnet.SynsetPage";

  std::vector<Ref<Synset<Pointers>>> synsets;
  MSGPACK_DEFINE(synsets);
};

/// How many objects and references there are. Also what a walk through everything must find.
struct Totals {
  std::array<std::uint64_t, kPartsOfSpeech> synsets{};
  std::array<std::uint64_t, kPartsOfSpeech> lemmas{};
  std::uint64_t pointers = 0;
  std::uint64_t senses = 0;
  MSGPACK_DEFINE(synsets, lemmas, pointers, senses);

  std::uint64_t all_synsets() const { return sum(synsets); }
  std::uint64_t all_lemmas() const { return sum(lemmas); }
  friend bool operator==(const Totals&, const Totals&) = default;

 private:
  static std::uint64_t sum(const std::array<std::uint64_t, kPartsOfSpeech>& counts) {
    std::uint64_t total = 0;
    for (std::uint64_t count : counts) total += count;
    return total;
  }
};

/// The entry point, named `kCatalogName` in the root. It exists only when all of WordNet does.
template <class Pointers>
struct Catalog {
  template <class T>
  using Ref = typename Pointers::template Ref<T>;
  static constexpr std::string_view cow_type_name = "wordnet.Catalog";

  Totals totals;
  Ref<LemmaIndex<Pointers>> index;
  std::vector<Ref<SynsetPage<Pointers>>> pages;
  MSGPACK_DEFINE(totals, index, pages);
};

inline constexpr std::string_view kCatalogName = "wordnet";

/// FNV-1a, finished with a multiplication and a shift: the same on every machine, as the stored index needs.
inline std::uint64_t hash_of(std::string_view word) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (char c : word) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  hash ^= hash >> 32;
  hash *= 0x9E3779B97F4A7C15u;
  return hash ^ hash >> 29;
}

}  // namespace cow::bench::wordnet

MSGPACK_ADD_ENUM(cow::bench::wordnet::PartOfSpeech);
MSGPACK_ADD_ENUM(cow::bench::wordnet::PointerType);
MSGPACK_ADD_ENUM(cow::bench::wordnet::AdjectivePosition);
