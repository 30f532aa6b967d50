// Key sequences: what a simulated cache is asked for, one key after the other.
//
// Thread safety: all functions may be called from any thread.
//
// Keys are as the program that was traced had them, or oids: neighbours in number are neighbours in the store.
#pragma once

#include <lzma.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bench/workloads/oo7/oo7.hpp"
#include "bench/workloads/random.hpp"
#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"

namespace cow::bench {

using Keys = std::vector<std::uint32_t>;

namespace detail {

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(file), {});
  if (!file.is_open() || file.bad()) throw std::runtime_error("cannot read " + path.string());
  return bytes;
}

inline std::string unpack_xz(const std::string& packed) {
  std::string bytes(std::max<std::size_t>(packed.size(), 4096), '\0');
  lzma_stream stream = LZMA_STREAM_INIT;
  if (lzma_stream_decoder(&stream, UINT64_MAX, 0) != LZMA_OK) throw std::bad_alloc();
  stream.next_in = reinterpret_cast<const std::uint8_t*>(packed.data());
  stream.avail_in = packed.size();
  lzma_ret result = LZMA_OK;
  while (result == LZMA_OK) {
    if (stream.total_out == bytes.size()) bytes.resize(2 * bytes.size());
    stream.next_out = reinterpret_cast<std::uint8_t*>(bytes.data()) + stream.total_out;
    stream.avail_out = bytes.size() - stream.total_out;
    result = lzma_code(&stream, LZMA_FINISH);
  }
  bytes.resize(stream.total_out);
  lzma_end(&stream);
  if (result != LZMA_STREAM_END) throw std::runtime_error("not a whole xz file");
  return bytes;
}

}  // namespace detail

/// A trace file: keys as big-endian int32, one after the other, packed with xz if its name ends so. Throws
/// std::runtime_error.
inline Keys read_trace(const std::filesystem::path& path) {
  std::string bytes = detail::read_file(path);
  if (path.extension() == ".xz") bytes = detail::unpack_xz(bytes);
  if (bytes.size() % 4 != 0) throw std::runtime_error(path.string() + " is not a sequence of 4-byte keys");
  Keys keys(bytes.size() / 4);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    for (std::size_t byte = 0; byte < 4; ++byte)
      keys[i] = keys[i] << 8 | static_cast<unsigned char>(bytes[4 * i + byte]);
  }
  return keys;
}

struct ZipfParameters {
  std::size_t objects = 100'000, accesses = 2'000'000;
  double theta = 0.99;
  std::size_t scan_every = 0;         ///< accesses from one scan to the next; 0: no scans
  std::size_t scan_objects = 10'000;  ///< that a scan reads, going on where the last one ended
  std::uint64_t seed = 1;
};

/// Zipf's distribution over objects in random order.
inline Keys zipf_keys(const ZipfParameters& parameters) {
  Random random(parameters.seed);
  Zipf zipf(parameters.objects, parameters.theta);
  std::vector<std::uint32_t> key_of_rank = random_permutation(parameters.objects, random);
  Keys keys;
  std::size_t scanned = 0;
  for (std::size_t i = 0; i < parameters.accesses; ++i) {
    if (parameters.scan_every != 0 && i % parameters.scan_every == 0) {
      for (std::size_t k = 0; k < parameters.scan_objects; ++k)
        keys.push_back(static_cast<std::uint32_t>(scanned++ % parameters.objects));
    }
    keys.push_back(key_of_rank[zipf.draw(random)]);
  }
  return keys;
}

namespace detail {

/// A transaction that notes the oid of every read. Enough of one for OO7's traversals.
class NotingTransaction {
 public:
  NotingTransaction(Transaction& transaction, Keys& keys) : transaction_(transaction), keys_(keys) {}

  template <class T>
  const T& read(const Ref<T>& reference) {
    keys_.push_back(static_cast<std::uint32_t>(reference.oid().value));
    return transaction_.read(reference);
  }
  template <class T>
  auto create(T value) {
    return transaction_.create(std::move(value));
  }
  template <class T>
  void erase(const Ref<T>& reference) {
    transaction_.erase(reference);
  }
  template <class T>
  T& write(const Ref<T>& reference) {
    return transaction_.write(reference);
  }
  auto root() { return transaction_.root(); }

 private:
  Transaction& transaction_;
  Keys& keys_;
};

struct NotingDatabase {
  using Transaction = NotingTransaction;
  using Pointers = Database::Pointers;
};

}  // namespace detail

/// The oids that T1 of OO7 (small, fan-out 3) reads, three times over: a real traversal of a generated database.
inline Keys oo7_keys(std::uint64_t seed = 1) {
  MemoryStore store;
  Database database(store);
  const auto parameters = oo7::Parameters::small(3, seed);
  oo7::generate(database, parameters);
  Transaction transaction = database.begin();
  Keys keys;
  detail::NotingTransaction noting(transaction, keys);
  oo7::Traverser<detail::NotingDatabase> traverser(parameters);
  for (int repetition = 0; repetition < 3; ++repetition) {
    oo7::check(traverser.expected(oo7::Operation::t1), traverser.run(noting, oo7::Operation::t1));
  }
  return keys;
}

}  // namespace cow::bench
