// WordNet: files, importer, queries and sessions, on raw pointers and on the database.

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <unordered_set>
#include <vector>

#include "bench/workloads/wordnet/wordnet.hpp"
#include "workload_testing.hpp"

namespace cow::bench {
namespace {

/// WordNet is parsed once for all tests.
const wordnet::Files& wordnet_files() {
  static const wordnet::Files files(wordnet::locate());
  return files;
}

template <class D>
class WordNetTest : public testing::Test {
 protected:
  Opened<D> opened_;
};
TYPED_TEST_SUITE(WordNetTest, Databases);

/// Everything below `top`, without any database and any of its code.
std::size_t closure_size_in_files(std::uint32_t top) {
  const auto& synsets = wordnet_files().synsets();
  std::unordered_set<std::uint32_t> seen{top};
  std::vector<std::uint32_t> waiting{top};
  while (!waiting.empty()) {
    const auto& synset = synsets[waiting.back()];
    waiting.pop_back();
    for (const auto& pointer : synset.pointers) {
      const std::string_view sign = wordnet::kPointerSigns[static_cast<std::size_t>(pointer.type)];
      if (sign.starts_with('~') && seen.insert(pointer.target).second) waiting.push_back(pointer.target);
    }
  }
  return seen.size() - 1;
}

TYPED_TEST(WordNetTest, WordNetIsWholeAndAnswersRight) {
  TypeParam& database = this->opened_.database();
  EXPECT_FALSE(wordnet::is_imported(database));
  std::uint64_t done = 0, all = 1;
  wordnet::Importer<TypeParam>(database, wordnet_files()).run([&](std::uint64_t d, std::uint64_t a) {
    done = d, all = a;
  });
  EXPECT_EQ(done, all);
  EXPECT_TRUE(wordnet::is_imported(database));
  auto session = open_session(database);
  const wordnet::Everything everything = wordnet::verify<TypeParam>(session);
  EXPECT_EQ(everything.totals.all_synsets(), 117'659u);
  EXPECT_EQ(everything.edits, 0u);

  session.transact([&](typename TypeParam::Transaction& txn) {
    wordnet::Reader<TypeParam> reader(txn);
    wordnet::Scratch scratch(everything.totals.all_synsets());
    const auto* dog = reader.find("dog", wordnet::PartOfSpeech::noun);
    ASSERT_NE(dog, nullptr);
    EXPECT_EQ(dog->senses.size(), 7u);
    std::vector<std::string> path;
    reader.walk_to_root(dog->senses.front(), [&](const auto& synset) { path.push_back(synset.words.front().text); });
    EXPECT_EQ(path.front(), "dog");
    EXPECT_EQ(path.at(1), "canine");
    EXPECT_EQ(path.back(), "entity");
    EXPECT_EQ(path.size(), 14u);
    for (const char* word : {"entity", "animal", "dog", "tree", "city", "benthos"}) {
      const auto* lemma = reader.find(word, wordnet::PartOfSpeech::noun);
      ASSERT_NE(lemma, nullptr) << word;
      const auto& sense = lemma->senses.front();
      constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();
      EXPECT_EQ(reader.hyponym_closure(sense, kNoLimit, scratch, [](const auto&) {}),
                closure_size_in_files(txn.read(sense).number))
          << word;
    }
    EXPECT_EQ(reader.find("no such word", wordnet::PartOfSpeech::noun), nullptr);
  });

  // A share of edits, by two threads where there is isolation; none may be lost.
  const wordnet::Words words(wordnet_files(), 1);
  std::vector<wordnet::Worker<TypeParam>> workers;
  const std::uint64_t count = std::is_same_v<TypeParam, RawDatabase> ? 1 : 2;
  for (std::uint64_t i = 0; i < count; ++i) workers.emplace_back(words, wordnet::MixOptions{.write_share = 0.5}, i);
  {
    std::vector<std::jthread> threads;
    for (auto& worker : workers) {
      threads.emplace_back([&] {
        auto own = open_session(database);
        for (int i = 0; i < 2'000; ++i) worker.step(own);
      });
    }
  }
  wordnet::check_edits<TypeParam>(session, workers);
  std::uint64_t edits = 0;
  for (const auto& worker : workers) edits += worker.edits().size();
  EXPECT_GT(edits, 800u);
  EXPECT_EQ(wordnet::verify<TypeParam>(session).edits, edits);
}

TYPED_TEST(WordNetTest, WordNetSessionsDoTheSameOnEveryDatabase) {
  TypeParam& database = this->opened_.database();
  wordnet::Importer<TypeParam>(database, wordnet_files()).run();
  auto session = open_session(database);
  const wordnet::Words words(wordnet_files(), 7);
  wordnet::Worker<TypeParam> worker(words, {.seed = 7}, 0);
  for (int i = 0; i < 1'000; ++i) worker.step(session);
  static const std::uint64_t first_checksum = worker.done().checksum;  // of the first database that came here
  EXPECT_EQ(worker.done().checksum, first_checksum);
  EXPECT_EQ(worker.done().operations, 1'000u);
}

/// The counts that a reader of our own finds in the files: lines, and the fields that give numbers of pointers.
TEST(WordNetFiles, AgreeWithASecondReader) {
  std::uint64_t pointers = 0;
  for (std::size_t i = 0; i < wordnet::kPartsOfSpeech; ++i) {
    std::ifstream in(wordnet::locate() / ("data." + std::string(wordnet::kPartOfSpeechNames[i])));
    std::uint64_t lines = 0;
    for (std::string line; std::getline(in, line);) {
      if (line[0] == ' ') continue;
      ++lines;
      std::istringstream fields(line);
      std::string skipped, words, count;
      fields >> skipped >> skipped >> skipped >> words;
      for (int left = 2 * std::stoi(words, nullptr, 16); left > 0; --left) fields >> skipped;
      fields >> count;
      pointers += std::stoul(count);
    }
    EXPECT_EQ(lines, wordnet_files().synset_count(static_cast<wordnet::PartOfSpeech>(i)));
  }
  EXPECT_EQ(pointers, wordnet_files().pointer_count());
  EXPECT_EQ(pointers, wordnet::published_totals().pointers);
}

TEST(WordNetFiles, ErrorsSayWhere) {
  namespace fs = std::filesystem;
  const fs::path directory = fs::path(testing::TempDir()) / ("wordnet-broken-" + std::to_string(::getpid()));
  fs::create_directory(directory);
  auto write_nouns = [&](const std::string& text) { std::ofstream(directory / "data.noun", std::ios::binary) << text; };
  auto error_of = [&]() -> std::string {
    try {
      wordnet::Files files(directory);
    } catch (const wordnet::FormatError& error) {
      EXPECT_EQ(error.file, directory / "data.noun");
      return error.what() + directory.string().size() + 1;
    }
    return "no error";
  };
  const std::string licence = "  1 WordNet 3.0 Copyright 2006 by Princeton University.\n";  // 56 characters
  const std::vector<std::array<std::string, 2>> cases = {
      {"", "data.noun:0: not a file of WordNet 3.0"},
      {licence + "00000001 03 n 01 entity 0 000 | that\n", "data.noun:2: the offset is not the position of the line"},
      {licence + "x0000056 03 n 01 entity 0 000 | that\n", "data.noun:2: offset 'x0000056' is not a number"},
      {licence + "00000056 03 n 01 entity 0 000\n", "data.noun:2: no gloss"},
      {licence + "00000056 03 n 02 entity 0 000 | that\n", "data.noun:2: missing lexical id"},
      {licence + "00000056 03 q 01 entity 0 000 | that\n", "data.noun:2: no part of speech 'q'"},
      {licence + "00000056 03 v 01 entity 0 000 | that\n", "data.noun:2: synset type 'v' in the wrong file"},
      {licence + "00000056 03 n 01 entity(z) 0 000 | that\n", "data.noun:2: no adjective marker '(z)'"},
      {licence + "00000056 03 n 01 entity 0 001 ? 00000056 n 0000 | that\n", "data.noun:2: no pointer sign '?'"},
      {licence + "00000056 03 n 01 entity 0 001 @ 00000056 n 0200 | that\n",
       "data.noun:2: a pointer from a word that the synset does not have"},
      {licence + "00000056 03 n 01 entity 0 000 @ | that\n", "data.noun:2: unexpected text before the gloss"},
  };
  ASSERT_EQ(licence.size(), 56u);
  for (const auto& [text, expected] : cases) {
    write_nouns(text);
    EXPECT_EQ(error_of(), expected) << text;
  }
  fs::remove(directory / "data.noun");
  EXPECT_EQ(error_of(), "data.noun:0: cannot open the file");
  fs::remove_all(directory);
  EXPECT_THROW(wordnet::locate(directory), wordnet::NotInstalledError);
}

}  // namespace
}  // namespace cow::bench
