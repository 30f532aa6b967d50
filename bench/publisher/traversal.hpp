// Publishing by traversal: each step of a URL's path leads from an object to the next.
//
//   /dog                  the word: its senses (as a noun if it is one; /dog.verb; /u.s. is a word too)
//   /dog/senses/2         one of them
//   /dog/hypernyms        what a relation of the first sense leads to: a list
//   /dog/hypernyms/0/...  one of them, and on from there
//
// Written once, as a task, for all models: what a source's `read` returns is awaited, and in blocking models it is always
// ready (sources.hpp).
//
// Thread safety: as the source's transaction.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "answer.hpp"
#include "bench/workloads/wordnet/model.hpp"
#include "cow_cache/async/task.hpp"
#include "cow_cache/ref.hpp"
#include "target.hpp"

namespace cow::bench::publisher {

constexpr std::size_t kMaxSteps = 64, kMaxListed = 100;

struct Relation {
  std::string_view name;
  wordnet::PointerType type, second_type;
};
inline constexpr std::array<Relation, 10> kRelations{{
    {"hypernyms", wordnet::PointerType::hypernym, wordnet::PointerType::instance_hypernym},
    {"hyponyms", wordnet::PointerType::hyponym, wordnet::PointerType::instance_hyponym},
    {"antonyms", wordnet::PointerType::antonym, wordnet::PointerType::antonym},
    {"holonyms", wordnet::PointerType::member_holonym, wordnet::PointerType::part_holonym},
    {"meronyms", wordnet::PointerType::member_meronym, wordnet::PointerType::part_meronym},
    {"attributes", wordnet::PointerType::attribute, wordnet::PointerType::attribute},
    {"derivations", wordnet::PointerType::derivation, wordnet::PointerType::pertainym},
    {"entailments", wordnet::PointerType::entailment, wordnet::PointerType::cause},
    {"similar", wordnet::PointerType::similar, wordnet::PointerType::similar},
    {"see_also", wordnet::PointerType::also_see, wordnet::PointerType::verb_group},
}};

template <class Source>
class Traversal {
 public:
  using Pointers = typename Source::Pointers;
  using Synset = wordnet::Synset<Pointers>;
  using Lemma = wordnet::Lemma<Pointers>;
  using SynsetRef = Ref<Synset>;

  Traversal(Source& source, const Query& query) : source_(source), query_(query) {}

  /// 200, 404 for what does not exist, 405 for an edit of what is no synset. Throws what reading throws.
  Task<Answer> run() {
    if (query_.path.empty()) co_return front_page();
    if (query_.path.size() > kMaxSteps) co_return Answer::error(404, "the path is too long");
    const Lemma* lemma = co_await find_lemma(query_.path[0]);
    if (lemma == nullptr || lemma->senses.empty()) co_return Answer::error(404, "no such word");
    std::size_t step = 1;
    const std::vector<SynsetRef>* senses = &lemma->senses;
    const SynsetRef* found = &senses->front();
    if (query_.path.size() == 1 || query_.path[1] == "senses") {
      if (query_.path.size() <= 2) co_return co_await list(lemma->text, targets_of(*senses), "senses/");
      found = at(targets_of(*senses), query_.path[2]);
      step = 3;
    }
    while (found != nullptr) {
      const Synset& synset = co_await source_.read(*found);
      if (step == query_.path.size()) co_return co_await show(*found, synset);
      std::vector<const SynsetRef*> targets;
      if (!follow(synset, query_.path[step], targets)) co_return Answer::error(404, "no such relation");
      if (step + 1 == query_.path.size()) co_return co_await list(query_.path[step], targets, "");
      found = at(targets, query_.path[step + 1]);
      step += 2;
    }
    co_return Answer::error(404, "no such object");
  }

 private:
  /// "dog", "dog.verb", "u.s.", "u.s..noun": a whole word comes first, then a word and its part of speech.
  Task<const Lemma*> find_lemma(std::string_view step) {
    const wordnet::Catalog<Pointers>& catalog = co_await source_.read(source_.catalog());
    const wordnet::LemmaIndex<Pointers>& index = co_await source_.read(catalog.index);
    if (const Lemma* lemma = co_await find_word(index, step, "")) co_return lemma;
    const std::size_t dot = step.rfind('.');
    if (dot == step.npos || dot + 1 == step.size()) co_return nullptr;
    co_return co_await find_word(index, step.substr(0, dot), step.substr(dot + 1));
  }

  /// The first lemma of a word, or that of a part of speech. Null: there is none.
  Task<const Lemma*> find_word(const wordnet::LemmaIndex<Pointers>& index, std::string_view word,
                               std::string_view part) {
    const std::uint64_t hash = wordnet::hash_of(word);
    const wordnet::Bucket<Pointers>& bucket = co_await source_.read(index.buckets[hash & (index.buckets.size() - 1)]);
    const Lemma* best = nullptr;
    for (const auto& entry : bucket.entries) {
      if (entry.hash != hash) continue;
      const Lemma& lemma = co_await source_.read(entry.lemma);
      if (lemma.text != word || (!part.empty() && part != name_of(lemma.part_of_speech))) continue;
      if (best == nullptr || lemma.part_of_speech < best->part_of_speech) best = &lemma;
    }
    co_return best;
  }

  static std::string_view name_of(wordnet::PartOfSpeech part) {
    return wordnet::kPartOfSpeechNames[static_cast<std::size_t>(part)];
  }

  static std::vector<const SynsetRef*> targets_of(const std::vector<SynsetRef>& references) {
    std::vector<const SynsetRef*> targets;
    for (const SynsetRef& reference : references) targets.push_back(&reference);
    return targets;
  }

  /// False: there is no such relation. No targets: the synset has none.
  static bool follow(const Synset& synset, std::string_view name, std::vector<const SynsetRef*>& targets) {
    auto relation =
        std::find_if(kRelations.begin(), kRelations.end(), [&](const Relation& known) { return known.name == name; });
    if (relation == kRelations.end()) return false;
    for (const auto& pointer : synset.pointers) {
      if (pointer.type == relation->type || pointer.type == relation->second_type) targets.push_back(&pointer.target);
    }
    return true;
  }

  /// Null: no number, or too large.
  static const SynsetRef* at(const std::vector<const SynsetRef*>& targets, std::string_view number) {
    std::size_t index = 0;
    auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), index);
    if (error != std::errc{} || end != number.data() + number.size() || index >= targets.size()) return nullptr;
    return targets[index];
  }

  Task<Answer> show(const SynsetRef& reference, const Synset& synset) {
    if (query_.external_call.count() > 0) co_await source_.wait(query_.external_call);
    const Synset* shown = &synset;
    Answer answer;
    if (query_.new_gloss) {
      Synset* mine = co_await source_.write(reference);
      mine->gloss = *query_.new_gloss;
      ++mine->edits;
      answer.changed_synset = mine->number;
      shown = mine;
    }
    if (query_.as_html) {
      html(answer, *shown);
    } else {
      json(answer, *shown);
    }
    co_return answer;
  }

  void json(Answer& answer, const Synset& synset) const {
    std::string& text = answer.body;
    text.reserve(256 + synset.gloss.size());
    text += "{\"synset\":" + std::to_string(synset.number) + ",\"part_of_speech\":";
    append_json(text, name_of(synset.part_of_speech));
    text += ',';
    append_meaning(text, synset);
    text += ",\"edits\":" + std::to_string(synset.edits) + ",\"relations\":{";
    bool first = true;
    for (const Relation& relation : kRelations) {
      std::size_t count = count_of(synset, relation);
      if (count == 0) continue;
      if (!std::exchange(first, false)) text += ',';
      append_json(text, relation.name);
      text += ':' + std::to_string(count);
    }
    text += "}}\n";
  }

  static std::size_t count_of(const Synset& synset, const Relation& relation) {
    return static_cast<std::size_t>(std::count_if(
        synset.pointers.begin(), synset.pointers.end(),
        [&](const auto& pointer) { return pointer.type == relation.type || pointer.type == relation.second_type; }));
  }

  void html(Answer& answer, const Synset& synset) const {
    answer.content_type = kHtml;
    std::string& text = answer.body;
    begin_html(text, words_of(synset));
    text += "<p>";
    append_html(text, name_of(synset.part_of_speech));
    text += ": ";
    web::append_isolated(text, synset.gloss);
    text += "</p>\n<ul>\n";
    for (const Relation& relation : kRelations) {
      if (std::size_t count = count_of(synset, relation)) {
        append_link(text, here() + "/" + std::string(relation.name),
                    spelled(relation.name) + " (" + std::to_string(count) + ")");
        text += "</li>\n";
      }
    }
    text += "</ul>\n";
  }

  /// Words and gloss of each target: what the senses of a word differ in.
  Task<Answer> list(std::string_view title, const std::vector<const SynsetRef*>& targets,
                    std::string_view before_number) {
    if (query_.new_gloss) co_return Answer::error(405, "only synsets can be edited");
    if (query_.path.size() > 1 && query_.path[1] == "senses") before_number = "";
    const std::size_t listed = std::min(targets.size(), kMaxListed);
    Answer answer;
    std::string& text = answer.body;
    if (query_.as_html) {
      answer.content_type = kHtml;
      begin_html(text, spelled(title));
      if (listed < targets.size())
        text += "<p>The first " + std::to_string(listed) + " of " + std::to_string(targets.size()) + ".</p>\n";
      text += "<ol start=\"0\">\n";
    } else {
      text += '[';
    }
    for (std::size_t i = 0; i < listed; ++i) {
      const Synset& synset = co_await source_.read(*targets[i]);
      std::string link = here() + "/" + std::string(before_number) + std::to_string(i);
      if (query_.as_html) {
        append_link(text, link, words_of(synset));
        text += " (";
        append_html(text, name_of(synset.part_of_speech));
        text += "): ";
        web::append_isolated(text, synset.gloss);
        text += "</li>\n";
        continue;
      }
      if (i > 0) text += ',';
      text += "{\"path\":";
      append_json(text, link);
      text += ',';
      append_meaning(text, synset);
      text += '}';
    }
    text += query_.as_html ? "</ol>\n" : "]\n";
    co_return answer;
  }

  Answer front_page() const {
    if (query_.new_gloss) return Answer::error(405, "only synsets can be edited");
    Answer answer;
    answer.content_type = kHtml;
    begin_html(answer.body, "WordNet");
    answer.body += "<ul>\n";
    append_link(answer.body, "/entity", "entity");
    answer.body += "</li>\n</ul>\n";
    return answer;
  }

  /// As JSON, without braces.
  static void append_meaning(std::string& text, const Synset& synset) {
    text += "\"words\":[";
    for (bool first = true; const wordnet::Word& word : synset.words) {
      if (!std::exchange(first, false)) text += ',';
      append_json(text, word.text);
    }
    text += "],\"gloss\":";
    append_json(text, synset.gloss);
  }

  /// With spaces, for those who read.
  static std::string spelled(std::string_view name) {
    std::string text(name);
    std::replace(text.begin(), text.end(), '_', ' ');
    return text;
  }
  static std::string words_of(const Synset& synset) {
    std::string text;
    for (const wordnet::Word& word : synset.words) {
      if (!text.empty()) text += ", ";
      text += spelled(word.text);
    }
    return text.empty() ? "?" : text;
  }

  /// The path asked for, as links spell it, without a slash at its end.
  std::string here() const {
    std::string text;
    for (const std::string& step : query_.path) text += "/" + encoded_step(step);
    return text;
  }
  /// A list item that the caller ends.
  static void append_link(std::string& text, std::string_view target, std::string_view name) {
    text += "<li><a href=\"";
    append_html(text, target);
    text += "\">";
    web::append_isolated(text, name);
    text += "</a>";
  }

  Source& source_;
  const Query& query_;
};

}  // namespace cow::bench::publisher
