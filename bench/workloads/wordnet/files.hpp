// Reads the files of WordNet 3.0 (Miller: "WordNet: A Lexical Database for English", CACM 38(11), 1995) as Debian's
// package wordnet-base installs them. The format is in wndb(5WN).
//
// Everything that the format allows to check is checked: offsets against positions in the file, counts against what
// follows, pointers against the synsets that they name, index entries against the words of their synsets.
//
// Thread safety: loaded `Files` are read by any number of threads.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text.hpp"

namespace cow::bench::wordnet {

enum class PartOfSpeech : std::uint8_t { noun, verb, adjective, adverb };
inline constexpr std::size_t kPartsOfSpeech = 4;
inline constexpr std::array<std::string_view, kPartsOfSpeech> kPartOfSpeechNames{"noun", "verb", "adj", "adv"};
inline constexpr std::array<PartOfSpeech, kPartsOfSpeech> kAllPartsOfSpeech{
    PartOfSpeech::noun, PartOfSpeech::verb, PartOfSpeech::adjective, PartOfSpeech::adverb};

/// The relations between synsets, or between words of them; comments give the sign in the files.
enum class PointerType : std::uint8_t {
  antonym,            // !
  hypernym,           // @
  instance_hypernym,  // @i
  hyponym,            // ~
  instance_hyponym,   // ~i
  member_holonym,     // #m
  substance_holonym,  // #s
  part_holonym,       // #p
  member_meronym,     // %m
  substance_meronym,  // %s
  part_meronym,       // %p
  attribute,          // =
  derivation,         // +
  domain_topic,       // ;c
  member_of_topic,    // -c
  domain_region,      // ;r
  member_of_region,   // -r
  domain_usage,       // ;u
  member_of_usage,    // -u
  entailment,         // *
  cause,              // >
  also_see,           // ^
  verb_group,         // $
  similar,            // &
  participle,         // <
  pertainym,          // \ (of an adverb: the adjective that it derives from)
};
inline constexpr std::array<std::string_view, 26> kPointerSigns{"!",  "@",  "@i", "~", "~i", "#m", "#s", "#p", "%m",
                                                                "%s", "%p", "=",  "+", ";c", "-c", ";r", "-r", ";u",
                                                                "-u", "*",  ">",  "^", "$",  "&",  "<",  "\\"};

/// Where an adjective may stand: the "(p)", "(a)" and "(ip)" after a word in data.adj.
enum class AdjectivePosition : std::uint8_t { any, predicative, attributive, postnominal };

/// One synset as the file gives it. Views point into the text of the file, which `Files` keeps.
struct SynsetLine {
  struct Word {
    std::string_view text;  ///< as spelled, '_' for spaces, without the marker of an adjective
    std::uint8_t lexical_id;
    AdjectivePosition position;
  };
  struct Pointer {
    PointerType type;
    std::uint8_t source_word;  ///< from 1; 0: the whole synset
    std::uint8_t target_word;
    std::uint32_t target;  ///< number of the synset: position in Files::synsets
  };
  struct Frame {
    std::uint8_t frame;
    std::uint8_t word;  ///< from 1; 0: all words
  };

  std::uint32_t line;    ///< number of its line in the file
  std::uint32_t offset;  ///< position of its line in the file: the name that WordNet gives it
  PartOfSpeech part_of_speech;
  bool satellite;  ///< of an adjective cluster (ss_type 's')
  std::uint8_t lexicographer_file;
  std::vector<Word> words;
  std::vector<Pointer> pointers;
  std::vector<Frame> frames;
  std::string_view gloss;
};

/// One entry of an index file: a word as one part of speech.
struct LemmaLine {
  std::string_view text;  ///< lower case, '_' for spaces
  PartOfSpeech part_of_speech;
  std::uint16_t tagged_senses;        ///< how many senses are ranked by frequency in tagged texts
  std::vector<std::uint32_t> senses;  ///< numbers of synsets, most frequent first
};

inline PartOfSpeech part_of_speech_of(std::string_view letter, const detail::TextFile& file) {
  if (letter == "n") return PartOfSpeech::noun;
  if (letter == "v") return PartOfSpeech::verb;
  if (letter == "a" || letter == "s") return PartOfSpeech::adjective;
  if (letter == "r") return PartOfSpeech::adverb;
  file.fail("no part of speech '" + std::string(letter) + "'");
}

/// All of WordNet, parsed and checked.
class Files {
 public:
  /// Reads `directory`. Throws FormatError.
  explicit Files(const std::filesystem::path& directory) {
    for (PartOfSpeech part : kAllPartsOfSpeech) read_data(directory, part);
    resolve_pointers();
    for (PartOfSpeech part : kAllPartsOfSpeech) read_index(directory, part);
  }

  /// By number: nouns, verbs, adjectives, adverbs, each in the order of its file.
  const std::vector<SynsetLine>& synsets() const { return synsets_; }
  const std::vector<LemmaLine>& lemmas() const { return lemmas_; }

  std::uint64_t synset_count(PartOfSpeech part) const { return first_synset_[at(part) + 1] - first_synset_[at(part)]; }
  std::uint64_t lemma_count(PartOfSpeech part) const { return lemma_counts_[at(part)]; }
  std::uint64_t pointer_count() const { return pointer_count_; }
  std::uint64_t sense_count() const { return sense_count_; }

 private:
  using TextFile = detail::TextFile;
  using Fields = detail::Fields;

  /// How the files name a synset.
  struct Name {
    PartOfSpeech part_of_speech;
    std::uint32_t offset;
  };

  static std::size_t at(PartOfSpeech part) { return static_cast<std::size_t>(part); }

  TextFile& open(const std::filesystem::path& directory, std::string_view kind, PartOfSpeech part) {
    const std::string name = std::string(kind) + "." + std::string(kPartOfSpeechNames[at(part)]);
    return *texts_.emplace_back(std::make_unique<TextFile>(directory / name));
  }

  void read_data(const std::filesystem::path& directory, PartOfSpeech part) {
    TextFile& file = open(directory, "data", part);
    first_synset_[at(part)] = static_cast<std::uint32_t>(synsets_.size());
    while (auto line = file.next_line()) synsets_.push_back(read_synset(file, *line, part));
    first_synset_[at(part) + 1] = static_cast<std::uint32_t>(synsets_.size());
    if (!file.is_version_3_0()) throw FormatError(file.path(), 0, "not a file of WordNet 3.0");
  }

  /// synset_offset lex_filenum ss_type w_cnt word lex_id [word lex_id...] p_cnt [ptr...] [frames...] | gloss
  SynsetLine read_synset(TextFile& file, std::string_view line, PartOfSpeech part) {
    const std::size_t bar = line.find(" | ");
    if (bar == std::string_view::npos) file.fail("no gloss");
    Fields fields(file, line.substr(0, bar));
    SynsetLine synset;
    synset.line = static_cast<std::uint32_t>(file.line());
    synset.offset = fields.number("offset");
    if (synset.offset != file.line_start()) file.fail("the offset is not the position of the line");
    synset.lexicographer_file = static_cast<std::uint8_t>(fields.number("lexicographer file"));
    const std::string_view type = fields.word("synset type");
    synset.part_of_speech = part_of_speech_of(type, file);
    synset.satellite = type == "s";
    if (synset.part_of_speech != part) file.fail("synset type '" + std::string(type) + "' in the wrong file");
    for (std::uint32_t left = fields.number("word count", 16); left > 0; --left) {
      synset.words.push_back(read_word(file, fields));
    }
    if (synset.words.empty()) file.fail("a synset without words");
    for (std::uint32_t left = fields.number("pointer count"); left > 0; --left) {
      synset.pointers.push_back(read_pointer(file, fields, synset));
    }
    if (part == PartOfSpeech::verb) {
      for (std::uint32_t left = fields.number("frame count"); left > 0; --left) {
        if (fields.word("frame") != "+") file.fail("a frame begins with '+'");
        const auto frame = static_cast<std::uint8_t>(fields.number("frame number"));
        synset.frames.push_back({frame, static_cast<std::uint8_t>(fields.number("word number", 16))});
      }
    }
    if (!detail::without_trailing_spaces(fields.rest()).empty()) file.fail("unexpected text before the gloss");
    synset.gloss = detail::without_trailing_spaces(line.substr(bar + 3));
    return synset;
  }

  static SynsetLine::Word read_word(TextFile& file, Fields& fields) {
    SynsetLine::Word word{fields.word("word"), 0, AdjectivePosition::any};
    if (word.text.ends_with(')')) {
      const std::size_t marker = std::min(word.text.rfind('('), word.text.size());
      const std::string_view position = word.text.substr(marker);
      if (position == "(p)")
        word.position = AdjectivePosition::predicative;
      else if (position == "(a)")
        word.position = AdjectivePosition::attributive;
      else if (position == "(ip)")
        word.position = AdjectivePosition::postnominal;
      else
        file.fail("no adjective marker '" + std::string(position) + "'");
      word.text = word.text.substr(0, marker);
    }
    word.lexical_id = static_cast<std::uint8_t>(fields.number("lexical id", 16));
    return word;
  }

  /// sign synset_offset pos source/target; the last are two hexadecimal digits each, 00 for the whole synset.
  SynsetLine::Pointer read_pointer(TextFile& file, Fields& fields, const SynsetLine& synset) {
    const std::string_view sign = fields.word("pointer sign");
    const auto type = std::find(kPointerSigns.begin(), kPointerSigns.end(), sign);
    if (type == kPointerSigns.end()) file.fail("no pointer sign '" + std::string(sign) + "'");
    const std::uint32_t offset = fields.number("pointer offset");
    const PartOfSpeech part = part_of_speech_of(fields.word("pointer part of speech"), file);
    const std::uint32_t words = fields.number("source and target", 16);
    if (words >> 8 > synset.words.size()) file.fail("a pointer from a word that the synset does not have");
    targets_.push_back({part, offset});
    ++pointer_count_;
    return {static_cast<PointerType>(type - kPointerSigns.begin()), static_cast<std::uint8_t>(words >> 8),
            static_cast<std::uint8_t>(words), 0};
  }

  /// Pointers lead to lines further down and to other files, so their targets are looked up when all is read.
  void resolve_pointers() {
    auto target = targets_.begin();
    for (SynsetLine& synset : synsets_) {
      for (SynsetLine::Pointer& pointer : synset.pointers) {
        const auto found = find(*target++);
        const TextFile& file = *texts_[at(synset.part_of_speech)];
        if (!found) throw FormatError(file.path(), synset.line, "a pointer to a synset that does not exist");
        if (pointer.target_word > synsets_[*found].words.size()) {
          throw FormatError(file.path(), synset.line, "a pointer to a word that its synset does not have");
        }
        pointer.target = *found;
      }
    }
    targets_ = {};
  }

  /// lemma pos synset_cnt p_cnt [sign...] sense_cnt tagsense_cnt synset_offset [synset_offset...]
  void read_index(const std::filesystem::path& directory, PartOfSpeech part) {
    TextFile& file = open(directory, "index", part);
    while (auto line = file.next_line()) {
      Fields fields(file, *line);
      LemmaLine lemma;
      lemma.text = fields.word("lemma");
      lemma.part_of_speech = part_of_speech_of(fields.word("part of speech"), file);
      if (lemma.part_of_speech != part) file.fail("a lemma in the wrong file");
      const std::uint32_t senses = fields.number("synset count");
      for (std::uint32_t left = fields.number("pointer count"); left > 0; --left) fields.word("pointer sign");
      if (fields.number("sense count") != senses) file.fail("the two counts of senses differ");
      lemma.tagged_senses = static_cast<std::uint16_t>(fields.number("tagged sense count"));
      for (std::uint32_t i = 0; i < senses; ++i) {
        const auto synset = find({part, fields.number("synset offset")});
        if (!synset) file.fail("a sense that does not exist");
        const auto& words = synsets_[*synset].words;
        if (std::none_of(words.begin(), words.end(), [&](auto& w) { return detail::same_lemma(lemma.text, w.text); })) {
          file.fail("a sense whose synset does not have the word");
        }
        lemma.senses.push_back(*synset);
      }
      sense_count_ += senses;
      ++lemma_counts_[at(part)];
      lemmas_.push_back(std::move(lemma));
    }
    if (!file.is_version_3_0()) throw FormatError(file.path(), 0, "not a file of WordNet 3.0");
  }

  /// The number of the synset of that name. Lines are in the order of their offsets.
  std::optional<std::uint32_t> find(Name name) const {
    auto first = synsets_.begin() + first_synset_[at(name.part_of_speech)];
    auto last = synsets_.begin() + first_synset_[at(name.part_of_speech) + 1];
    auto found = std::lower_bound(first, last, name.offset,
                                  [](const SynsetLine& synset, std::uint32_t o) { return synset.offset < o; });
    if (found == last || found->offset != name.offset) return std::nullopt;
    return static_cast<std::uint32_t>(found - synsets_.begin());
  }

  std::vector<std::unique_ptr<TextFile>> texts_;  ///< what the views point into
  std::vector<SynsetLine> synsets_;
  std::vector<LemmaLine> lemmas_;
  std::vector<Name> targets_;  ///< of all pointers in order, until they are resolved
  std::array<std::uint32_t, kPartsOfSpeech + 1> first_synset_{};
  std::array<std::uint64_t, kPartsOfSpeech> lemma_counts_{};
  std::uint64_t pointer_count_ = 0;
  std::uint64_t sense_count_ = 0;
};

}  // namespace cow::bench::wordnet
