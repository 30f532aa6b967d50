// A WordNet of our own, small and with every kind of name: with dots, with a slash, with senses that share their first word.
//
// Thread safety: one thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "bench/baselines/session.hpp"
#include "bench/workloads/wordnet/model.hpp"

namespace cow::testing {

/// entity <- animal <- dog, cat; "u.s.", "dr.", "tcp/ip", "st._louis" under entity; run as noun (twice) and as verb.
template <class Database>
void make_wordnet(Database& database) {
  using P = typename Database::Pointers;
  using namespace bench::wordnet;
  auto session = bench::open_session(database);
  session.transact([](typename Database::Transaction& txn) {
    std::uint32_t number = 0;
    auto synset = [&](std::vector<std::string> words, std::string gloss,
                      std::vector<typename Synset<P>::Pointer> pointers) {
      Synset<P> made;
      made.number = number++;
      for (std::string& word : words) made.words.push_back({std::move(word), 0, AdjectivePosition::any});
      made.gloss = std::move(gloss);
      made.pointers = std::move(pointers);
      return txn.create(std::move(made));
    };
    auto entity = synset({"entity"}, "what <entity> is", {});
    auto animal = synset({"animal"}, "what <animal> is", {{PointerType::hypernym, 0, 0, entity}});
    auto dog = synset({"dog"}, "what <dog> is", {{PointerType::hypernym, 0, 0, animal}});
    auto cat = synset({"cat"}, "what <cat> is", {{PointerType::hypernym, 0, 0, animal}});
    txn.write(animal).pointers.push_back({PointerType::hyponym, 0, 0, dog});
    txn.write(animal).pointers.push_back({PointerType::hyponym, 0, 0, cat});
    auto states = synset({"United_States", "U.S."}, "a country", {{PointerType::hypernym, 0, 0, entity}});
    auto doctor = synset({"doctor", "Dr."}, "a \"person\" & more", {{PointerType::hypernym, 0, 0, entity}});
    auto protocol = synset({"TCP/IP"}, "a set of rules", {{PointerType::hypernym, 0, 0, entity}});
    auto louis = synset({"St._Louis"}, "a city", {{PointerType::hypernym, 0, 0, states}});
    auto race = synset({"run", "footrace"}, "a race on foot", {{PointerType::hypernym, 0, 0, entity}});
    auto score = synset({"run", "tally"}, "a score in baseball", {{PointerType::hypernym, 0, 0, entity}});
    auto move = synset({"run"}, "move fast", {});
    txn.write(move).part_of_speech = PartOfSpeech::verb;

    LemmaIndex<P> index;
    Bucket<P> bucket;
    auto lemma = [&](std::string text, std::vector<Ref<Synset<P>>> senses, PartOfSpeech part = PartOfSpeech::noun) {
      const std::uint64_t hash = hash_of(text);
      bucket.entries.push_back({hash, txn.create(Lemma<P>{std::move(text), part, 1, std::move(senses)})});
    };
    lemma("entity", {entity});
    lemma("animal", {animal});
    lemma("dog", {dog});
    lemma("cat", {cat});
    lemma("u.s.", {states});
    lemma("dr.", {doctor});
    lemma("tcp/ip", {protocol});
    lemma("st._louis", {louis});
    lemma("run", {race, score});
    lemma("run", {move}, PartOfSpeech::verb);
    index.buckets = {txn.create(std::move(bucket))};
    Catalog<P> catalog;
    catalog.index = txn.create(std::move(index));
    txn.root().template emplace<Catalog<P>>(kCatalogName, std::move(catalog));
  });
}

}  // namespace cow::testing
